"""What lies on a server's disk: every byte of every file, and the database as tables; but not the directory's key."""

import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from grue.exposure.captures import SERVER_AT_REST, Capture, Piece

APART: Final = frozenset({"directory.key"})
"""Kept in a file of its own, which can lie on another machine."""

MAGIC: Final = b"SQLite format 3\0"


def at_rest(data: Path) -> Capture:
    """Capture a server's data as it is now; the server may be running. The files are copied before they are read."""
    with tempfile.TemporaryDirectory(prefix="grue-at-rest-") as copied:
        copy = Path(copied) / "data"
        shutil.copytree(data, copy, ignore=shutil.ignore_patterns(*APART))
        files = [path for path in sorted(copy.rglob("*")) if path.is_file()]
        pieces = [Piece(f"{path.relative_to(copy)}, bytes", _dense(path.read_bytes())) for path in files]
        databases = [path for path in files if _is_database(path)]
        read = [table for path in databases for table in tables(path)]
    columns = [column for table in read for column in table.columns()]
    return Capture(SERVER_AT_REST, [*columns, *pieces], rows=[row for table in read for row in table.rows])


def at_any_time(captures: Iterable[Capture]) -> Capture:
    """What lay on the disk at one of several times; what stayed the same counts once."""
    captures = list(captures)
    pieces = dict.fromkeys(piece for capture in captures for piece in capture.pieces)
    return Capture(SERVER_AT_REST, list(pieces), rows=list(dict.fromkeys(row for one in captures for row in one.rows)))


@dataclass(frozen=True)
class Table:
    """A table as SQLite reads it."""

    name: str
    heads: tuple[str, ...]
    rows: list[tuple[object, ...]]

    def columns(self) -> Iterator[Piece]:
        """Each column as one piece, so that what is found in it has a name."""
        for head, values in zip(self.heads, zip(*self.rows, strict=True), strict=False):
            texts = [value if isinstance(value, bytes) else str(value).encode() for value in values]
            integers = tuple(value for value in values if isinstance(value, int))
            yield Piece(f"{self.name}.{head}", b"\0\0".join(texts), integers=integers)


def _dense(data: bytes) -> bytes:
    """The same with long runs of zeros cut short: a database is mostly those, and nothing that is sought has any."""
    return re.sub(rb"\0{16,}", bytes(16), data)


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def tables(path: Path) -> Iterator[Table]:
    """Every table of a database, which is to be a copy: its log is written back."""
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)) as database:
        names = [str(name) for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        for name in names:
            heads = tuple(str(column[1]) for column in database.execute(f'PRAGMA table_info("{name}")'))
            yield Table(name, heads, database.execute(f'SELECT * FROM "{name}"').fetchall())  # noqa: S608 -- our own
