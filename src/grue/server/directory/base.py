"""The file of a base: it is read and written in pieces, and mapped into memory where records are looked for.

So no more of it is in memory than is used, whatever its size: what is mapped the system takes back when it needs room.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Final, TypeAlias

from grue.protocol.directory import directory
from grue.protocol.directory.directory import Manifest
from grue.protocol.directory.record import RECORD_BYTES

PIECE: Final = 1 << 20
"""Bytes of a base that are read at once: whole records."""

Mapped: TypeAlias = bytes | mmap
"""A file's contents: read where they are looked at."""

Heard = Callable[[float], None]
"""Hears how much of a base was read, from 0 to 1."""


def nobody(_part: float) -> None:
    """Nobody hears it."""


def pieces(path: Path, heard: Heard = nobody) -> Iterator[bytes]:
    """The file, a piece at a time. Raises OSError."""
    done = 0
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        while piece := file.read(PIECE):
            yield piece
            done += len(piece)
            heard(done / size)


def checked(path: Path, manifest: Manifest, heard: Heard = nobody) -> Mapped:
    """A base, mapped, after a client's checks: DIRECTORY-09 to -11. Raises BadDirectory, OSError."""
    directory.check_records(pieces(path, heard), path.stat().st_size, manifest)
    return mapped(path)


def mapped(path: Path) -> Mapped:
    """The whole file; it must not change while this is in use."""
    with path.open("rb") as file:
        # What is empty cannot be mapped.
        return mmap(file.fileno(), 0, access=ACCESS_READ) if os.fstat(file.fileno()).st_size else b""


def write(path: Path, records: Iterable[bytes]) -> tuple[int, bytes]:
    """Write a base that comes in pieces, on disk on return; how many records it has, and their Merkle root."""
    with path.open("wb") as file:

        def written() -> Iterator[bytes]:
            for piece in records:
                file.write(piece)
                yield from directory.entries(piece)

        root = directory.merkle_root(written())
        file.flush()
        os.fsync(file.fileno())
        return file.tell() // RECORD_BYTES, root
