"""The private query's files and messages against a slow reading of docs/protocol/pir.md."""

import random
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
from grue.protocol.directory import merkle_root

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
    built = pir_build(folder / "records", folder, SEED, 2, progress, slots=2)
    done, blocks = progress.blocks
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


def test_an_answer_is_the_rounded_product(table: Table) -> None:
    dice = random.Random(6)
    query = dice.randbytes(table.layout.query_bytes)
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
        absent = record[:15] + bytes([record[15] ^ 1])
        assert columns.open(absent, column) is None


def test_material_and_an_answer_are_used_once(table: Table) -> None:
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


def test_records_that_are_not_sorted_are_refused(tmp_path: Path) -> None:
    (tmp_path / "records").write_bytes(bytes([2]) * 128 + bytes([1]) * 128)
    with pytest.raises(PirError):
        pir_build(tmp_path / "records", tmp_path, SEED, 1)
    with pytest.raises(PirError):
        pir_build(tmp_path / "missing", tmp_path, SEED, 1)
    with pytest.raises(PirError):
        pir_build(tmp_path / "records", tmp_path, b"short", 1)
