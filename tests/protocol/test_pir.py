"""The private query's files and messages against a slow reading of docs/protocol/pir.md."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from grue._core import (
    PirBase,
    PirClient,
    PirColumns,
    PirError,
    PirLayout,
    PirProgress,
    pir_build,
)
from grue.protocol.directory.directory import merkle_root
from tests.damage import flipped

SEED: Final = bytes(range(16))
WORDS: Final = 1280
HEADER: Final = 128


@dataclass(frozen=True)
class Table:
    """A table in a folder, and what was read of it."""

    folder: Path
    records: list[bytes]
    layout: PirLayout

    def file(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def base(self) -> PirBase:
        return PirBase.open(self.folder / "packed")

    def client(self) -> PirClient:
        return PirClient(self.layout, self.file("hint"))

    def columns(self) -> PirColumns:
        return PirColumns(self.layout, self.file("fences"), self.file("top"))

    def column(self, index: int) -> bytes:
        """A column out of the packed file: the table has one panel."""
        matrix = self.file("packed")[4096:]
        return bytes(byte ^ 0x80 for byte in matrix[index :: self.layout.columns])


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    folder = tmp_path_factory.mktemp("table")
    dice = random.Random(5)
    records = sorted(dice.randbytes(128) for _ in range(100))
    (folder / "records").write_bytes(b"".join(records))
    progress = PirProgress()
    assert progress.steps == ("packing", 0, 0)
    built = pir_build(folder / "records", folder, SEED, 2, progress, slots=2)
    phase, done, blocks = progress.steps
    assert phase == "hint"
    assert done == blocks > 0
    table = Table(folder, records, built.layout)
    for name in ("packed", "hint", "fences", "top"):
        assert sha256(table.file(name)).digest() == getattr(built, name)
    return table


def _stream(position: int, length: int) -> bytes:
    cipher = Cipher(algorithms.AES(SEED), modes.CTR((position // 16).to_bytes(16, "big")))
    return cipher.encryptor().update(bytes(length))


def _row_of_a(column: int) -> list[int]:
    row = _stream(column * WORDS * 4, WORDS * 4)
    return [int.from_bytes(row[at : at + 4], "little") for at in range(0, len(row), 4)]


def _rounded(word: int) -> int:
    return ((word + (1 << 15)) >> 16) & 0xFFFF


def _keys(layout: PirLayout, fences: bytes) -> list[int]:
    """The fence keys, bit by bit."""
    bits = "".join(f"{byte:08b}" for byte in fences[HEADER:])
    width = layout.to_bytes()[36]
    low = max(0, width - (layout.used.bit_length() - 1) - 1)
    keys, at = [0], 0
    while len(keys) < layout.used:
        zero = bits.index("0", at)
        gap = (zero - at) << low | int("0" + bits[zero + 1 : zero + 1 + low], 2)
        keys.append(keys[-1] + gap + 1)
        at = zero + 1 + low
    assert len(bits) - at < 8
    return [key << (128 - width) for key in keys]


def test_columns_hold_the_records_in_order(table: Table) -> None:
    found = []
    for index in range(table.layout.columns):
        column = table.column(index)
        slots = [column[at : at + 128] for at in range(0, 128 * table.layout.slots, 128)]
        found += [slot for slot in slots if slot != b"\x80" * 128]
    assert found == table.records


def test_the_root_is_over_bounds_and_slots(table: Table) -> None:
    keys = _keys(table.layout, table.file("fences"))
    lasts = [key - 1 for key in keys[1:]] + [(1 << 128) - 1]
    bounds = [first.to_bytes(16, "big") + last.to_bytes(16, "big") for first, last in zip(keys, lasts, strict=True)]
    bounds += [b"\xff" * 16 + bytes(16)] * (table.layout.columns - len(keys))
    assert merkle_root([bound + table.column(at) for at, bound in enumerate(bounds)]) == table.layout.root


def test_the_hint_is_the_rounded_product(table: Table) -> None:
    matrix = [_row_of_a(column) for column in range(table.layout.columns)]
    digits = [[byte - 128 for byte in table.column(at)] for at in range(table.layout.columns)]
    hint = table.file("hint")[HEADER:]
    for row, word in [(0, 0), (0, WORDS - 1), (17, 5), (128, 700), (table.layout.rows - 1, WORDS - 1)]:
        product = sum(digits[at][row] * matrix[at][word] for at in range(table.layout.columns))
        at = 2 * (row * WORDS + word)
        assert int.from_bytes(hint[at : at + 2], "little") == _rounded(product)


def _zeros(length: int) -> bytes:
    return bytes(length)


def _ones(length: int) -> bytes:
    return b"\xff" * length


@pytest.mark.parametrize("make", [_zeros, _ones, random.Random(6).randbytes], ids=["zeros", "ones", "random"])
def test_an_answer_is_the_rounded_product(table: Table, make: Callable[[int], bytes]) -> None:
    query = make(table.layout.query_bytes)
    words = [int.from_bytes(query[at : at + 4], "little") for at in range(0, len(query), 4)]
    columns = [table.column(at) for at in range(table.layout.columns)]
    expected = [
        _rounded(sum((column[row] - 128) * word for column, word in zip(columns, words, strict=True)))
        for row in range(table.layout.rows)
    ]
    (answer,) = table.base().answer([query], 1)
    assert [int.from_bytes(answer[at : at + 2], "little") for at in range(0, len(answer), 2)] == expected


def test_every_record_is_retrieved_and_a_gap_is_proved(table: Table) -> None:
    base, client, columns = table.base(), table.client(), table.columns()
    for record in table.records[::9]:
        index = columns.column(record[:16])
        query, pending = client.query(client.material(1), index)
        (answer,) = base.answer([query], 2)
        column = pending.recover(answer)
        assert (pending.column, column) == (index, table.column(index))
        assert columns.open(record[:16], column) == record
        absent = flipped(record[:16])
        assert columns.open(absent, column) is None


# --- the checks, by their ids ---------------------------------------------------------------------

EMPTY: Final = b"\x80" * 128


def _forged(table: Table, index: int, slots: Sequence[bytes]) -> PirColumns:
    """What a directory publishes that put these slots into a column: all of it leads to its root."""
    keys = _keys(table.layout, table.file("fences"))
    lasts = [key - 1 for key in keys[1:]] + [(1 << 128) - 1]
    bounds = [first.to_bytes(16, "big") + last.to_bytes(16, "big") for first, last in zip(keys, lasts, strict=True)]
    bounds += [b"\xff" * 16 + bytes(16)] * (table.layout.columns - len(keys))
    leaves = [bound + table.column(at) for at, bound in enumerate(bounds)]
    leaves[index] = bounds[index] + b"".join(slots)
    layout, root = table.layout.to_bytes(), merkle_root(leaves)
    top = b"GRUEPIRT" + layout[8:64] + root + layout[96:]
    fences = b"GRUEPIRF" + layout[8:64] + root + layout[96:] + table.file("fences")[HEADER:]
    hashes = b"".join(sha256(b"\0" + leaf).digest() for leaf in leaves)
    return PirColumns(PirLayout.from_bytes(layout[:64] + root + layout[96:]), fences, top + hashes)


@pytest.mark.parametrize("at", range(HEADER))
def test_pir_01_02_a_changed_byte_of_a_layout_is_another_layout_or_none(table: Table, at: int) -> None:
    changed = bytearray(table.layout.to_bytes())
    changed[at] ^= 1
    try:
        layout = PirLayout.from_bytes(bytes(changed))
    except PirError:
        return
    # Which files fit it not: what it says is in each of them.
    assert layout.to_bytes() == bytes(changed)
    with pytest.raises(PirError):
        PirColumns(layout, table.file("fences"), table.file("top"))
    with pytest.raises(PirError):
        PirClient(layout, table.file("hint"))


def test_pir_03_04_changed_top_hashes_and_fences_that_are_no_keys_are_refused(table: Table) -> None:
    fences, top = table.file("fences"), table.file("top")
    for changed in (flipped(top), top[:-32], top + bytes(32)):
        with pytest.raises(PirError):
            PirColumns(table.layout, fences, changed)
    for changed in (fences[:-1], fences + b"\0", fences[:HEADER] + b"\xff" * (len(fences) - HEADER)):
        with pytest.raises(PirError):
            PirColumns(table.layout, changed, top)


def test_pir_05_another_column_of_the_same_table_is_refused(table: Table) -> None:
    tag = table.records[0][:16]
    for index in range(1, table.layout.used):
        with pytest.raises(PirError):
            table.columns().open(tag, table.column(index))


@pytest.mark.parametrize("wrong", ["swapped", "twice", "of the column before", "of the column behind", "late"])
def test_pir_06_a_column_that_the_directory_made_wrong_is_refused_though_it_is_under_the_root(
    table: Table, wrong: str
) -> None:
    full = [at for at in range(1, table.layout.used - 1) if EMPTY not in table.column(at)]
    index = full[0]
    first, second = (table.column(index)[at : at + 128] for at in (0, 128))
    slots = {
        "swapped": [second, first],
        "twice": [first, first],
        "of the column before": [table.column(index - 1)[:128], second],
        "of the column behind": [first, table.column(index + 1)[:128]],
        "late": [EMPTY, second],
    }[wrong]
    honest = _forged(table, index, [first, second])
    assert honest.open(second[:16], first + second) == second
    forged = _forged(table, index, slots)
    for tag in (first[:16], second[:16], flipped(second[:16])):
        with pytest.raises(PirError):
            forged.open(tag, b"".join(slots))


def test_pir_07_08_queries_and_answers_of_another_length_or_number_are_refused(table: Table) -> None:
    base, size = table.base(), table.layout.query_bytes
    for queries in ([bytes(size - 1)], [bytes(size + 4)], [bytes(size), b""], [], [bytes(size)] * 9):
        with pytest.raises(PirError):
            base.answer(queries, 1)
    for length in (0, table.layout.answer_bytes - 1, table.layout.answer_bytes + 2):
        client = table.client()
        _, pending = client.query(client.material(1), 0)
        with pytest.raises(PirError):
            pending.recover(bytes(length))


def test_pir_09_material_is_for_one_query_of_a_column_in_use(table: Table) -> None:
    client = table.client()
    for column in (table.layout.used, table.layout.columns):
        with pytest.raises(PirError):
            client.query(client.material(1), column)
    stored = client.material(1).to_bytes()
    for changed in (
        stored[:-1],
        stored + b"\0",
        bytes([stored[0] ^ 1]) + stored[1:],
        stored[:8] + bytes(32) + stored[40:],
    ):
        with pytest.raises(PirError):
            client.material_from_bytes(changed)


def test_pir_09_material_and_an_answer_are_used_once(table: Table) -> None:
    client = table.client()
    material = client.material_from_bytes(client.material(2).to_bytes())
    _, pending = client.query(material, 0)
    with pytest.raises(PirError):
        client.query(material, 0)
    with pytest.raises(PirError):
        material.to_bytes()
    pending.recover(bytes(table.layout.answer_bytes))
    with pytest.raises(PirError):
        pending.recover(bytes(table.layout.answer_bytes))


@pytest.mark.parametrize("length", [0, 127, 129])
def test_what_is_no_layout_or_file_of_one_is_refused(table: Table, length: int) -> None:
    with pytest.raises(PirError):
        PirLayout.from_bytes(bytes(length))
    with pytest.raises(PirError):
        PirClient(table.layout, bytes(length))
    with pytest.raises(PirError):
        PirColumns(table.layout, table.file("fences"), bytes(length))
    with pytest.raises(PirError):
        table.base().answer([bytes(length)], 1)
    with pytest.raises(PirError):
        PirBase.open(table.folder / "fences")


def test_a_layout_survives_its_bytes(table: Table) -> None:
    again = PirLayout.from_bytes(table.layout.to_bytes())
    assert (again.to_bytes(), again.count, again.seed) == (table.layout.to_bytes(), 100, SEED)


@pytest.mark.parametrize("records", [b"\2" * 128 + b"\1" * 128, b"\1" * 256, b"\1" * 127, EMPTY])
def test_pir_10_records_that_are_not_sorted_or_not_whole_are_refused(tmp_path: Path, records: bytes) -> None:
    (tmp_path / "records").write_bytes(records)
    with pytest.raises(PirError):
        pir_build(tmp_path / "records", tmp_path, SEED, 1)


def test_a_table_of_files_that_are_not_there_or_of_a_short_seed_is_not_built(tmp_path: Path) -> None:
    (tmp_path / "records").write_bytes(b"\1" * 128)
    with pytest.raises(PirError):
        pir_build(tmp_path / "missing", tmp_path, SEED, 1)
    with pytest.raises(PirError):
        pir_build(tmp_path / "records", tmp_path, b"short", 1)
