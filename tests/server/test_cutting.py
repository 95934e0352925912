"""When the next base is due: by what a client downloads a day, in the tier that it takes."""

import random
import struct
from math import ceil
from typing import Final

import pytest

from grue._core import PirLayout
from grue.protocol import wire
from grue.protocol.directory.directory import MAX_OVERLAY
from grue.protocol.directory.pir import hint_bytes
from grue.protocol.directory.record import RECORD_BYTES
from grue.server.directory import cutting

SLOTS: Final = {12_000: 3, 100_000: 7, 1_000_000: 20, 10_000_000: 64, 13_000_000: 73, 20_000_000: 90}
"""Record slots of a column, as tables of so many records have."""


def layout_of(count: int) -> bytes:
    """The layout of a table that need not be built: `docs/protocol/pir.md`."""
    slots = SLOTS[count]
    columns = ceil(count * 20 / (19 * slots) / 64) * 64
    path = next(height for height in range(20) if ceil(columns / (1 << height)) <= 1024)
    numbers = struct.pack("<7I", 1, 1, 1280, 128 * slots + 32 * path, columns, slots, columns)
    return b"GRUEPIRL" + numbers + bytes([30, 0, 0, 0]) + struct.pack("<Q", count) + bytes(16 + 32 + 32)


def manifest_of(count: int, private: bool) -> wire.Manifest:
    table = layout_of(count) if private else b""
    return wire.Manifest(1, 1, bytes(32), count, bytes(32), "table", [], table)


def a_day(manifest: wire.Manifest, entries: int) -> float:
    """Bytes that a client downloads in one, if bases are cut every so many entries: counted look by look."""
    size = hint_bytes(PirLayout.from_bytes(manifest.pir)) if manifest.pir else manifest.count * RECORD_BYTES
    a_look = manifest.count * cutting.CHANGES_A_DAY / 1000 / cutting.LOOKS_A_DAY
    days, length, fetched = 400, 0.0, 0.0
    for _ in range(days * cutting.LOOKS_A_DAY):
        length += a_look
        if length >= entries:
            length, fetched = length - entries, fetched + size
        fetched += length * RECORD_BYTES
    return fetched / days


@pytest.mark.parametrize(
    ("count", "private"), [(20_000, False), (100_000, False), (100_000, True), (1_000_000, True), (10_000_000, True)]
)
def test_no_other_number_of_entries_costs_a_client_less(count: int, private: bool) -> None:
    manifest = manifest_of(count, private)
    due = cutting.cut_at(manifest)
    dice = random.Random(count)
    others = [round(due * dice.uniform(0.25, 6)) for _ in range(40)]
    assert all(a_day(manifest, due) <= 1.05 * a_day(manifest, other) for other in others)


def test_with_private_queries_a_base_is_cut_sooner() -> None:
    assert cutting.cut_at(manifest_of(100_000, True)) * 2 < cutting.cut_at(manifest_of(100_000, False))
    a_million = manifest_of(1_000_000, True)
    assert 4e6 < a_day(a_million, cutting.cut_at(a_million)) < 4.5e6
    assert a_day(a_million, 1_000_000 // 16) > 12e6


def test_a_table_that_clients_do_not_take_changes_nothing() -> None:
    # So few records that the whole of them costs less than queries.
    assert cutting.cut_at(manifest_of(12_000, True)) == cutting.cut_at(manifest_of(12_000, False))


@pytest.mark.parametrize("count", [0, 50, 1_000, 5_000])
def test_a_small_directory_gathers_some_before_it_cuts(count: int) -> None:
    assert cutting.cut_at(manifest_of(count, False)) == cutting.MIN_CUT


@pytest.mark.parametrize("count", [13_000_000, 20_000_000])
def test_half_of_what_clients_read_is_the_most(count: int) -> None:
    assert cutting.cut_at(manifest_of(count, True)) == cutting.MAX_CUT == MAX_OVERLAY // 2
