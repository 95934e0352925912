"""A server's disk as a capture: every byte of every file, and the database as tables, without the directory's key."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from grue.exposure.captures import SERVER_AT_REST, Capture, Piece
from grue.exposure.scanner.snapshot import Snapshot, databases_in, opened

APART: Final = frozenset({"directory.key"})
"""Kept in a file of its own, which can lie on another machine."""


def at_rest(data: Path) -> Capture:
    """Capture a server's data as it is now; the server may be running. Everything is read into memory first."""
    paths = [path for path in sorted(data.rglob("*")) if path.is_file() and path.name not in APART]
    files = {str(path.relative_to(data)): path.read_bytes() for path in paths}
    pieces = [Piece(f"{name}, bytes", _dense(contents)) for name, contents in files.items()]
    read = [table for taken in databases_in(files) for table in tables(taken)]
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


def tables(taken: Snapshot) -> Iterator[Table]:
    """Every table of a database, its log included."""
    with opened(taken) as database:
        names = [str(name) for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        for name in names:
            heads = tuple(str(column[1]) for column in database.execute(f'PRAGMA table_info("{name}")'))
            yield Table(name, heads, database.execute(f'SELECT * FROM "{name}"').fetchall())  # noqa: S608 -- our own
