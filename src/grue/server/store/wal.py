"""SQLite's write-ahead log as a file of one size: made once, overwritten in place, never cut and never deleted.

What is cut off a file stays in the blocks that the file system takes back, and a file that grows has the time of each
commit written into the file system's own journal. So the log is written full of zeros when it is made, and what a
checkpoint leaves in it is overwritten with zeros where it lies. The database itself is overwritten before `VACUUM` cuts
it.
"""

import ctypes
import os
from pathlib import Path
from typing import Final

import apsw

from grue.errors import DiskFull
from grue.server.store.disk import sync_directory, writing

LOG_PAGES: Final = 1_100
"""Pages for which the log has room from the beginning, 9 MiB: at a thousand it is written back, and what one more group
of transactions adds mostly fits. A larger group makes it grow, once."""

MORE_PAGES: Final = 16
"""Pages that a database written anew may have more than before."""

HEADER, FRAME_HEADER = 32, 24
PIECE: Final = bytes(1 << 20)


def log_of(path: Path) -> Path:
    """The log of a database."""
    return path.with_name(path.name + "-wal")


def keep(connection: apsw.Connection) -> None:
    """Let the log stay when this connection is the last one that closes."""
    on = ctypes.c_int(1)
    connection.file_control("main", apsw.SQLITE_FCNTL_PERSIST_WAL, ctypes.addressof(on))


def make(path: Path, page_bytes: int, pages: int = 0) -> None:
    """Give the log its full size, or the double as often as a database of so many pages needs; what is in it stays.

    Raises DiskFull, and leaves it as it was.
    """
    room = LOG_PAGES
    while room < pages + MORE_PAGES:
        room *= 2
    log, size = log_of(path), HEADER + room * (FRAME_HEADER + page_bytes)
    new = not log.exists()
    # Without a buffer: what found no room in one would be tried again when the file is cut, and when it is closed.
    with log.open("ab", buffering=0) as file:
        before = at = file.tell()
        try:
            with writing():
                while at < size:
                    # On a disk that is nearly full a write ends early, and the next one says so.
                    at += file.write(PIECE[: size - at])
                os.fsync(file.fileno())
        except DiskFull:
            # Nothing but zeros is cut off.
            file.truncate(before)
            raise
    if new:
        sync_directory(path.parent)


def blank(path: Path) -> int:
    """Overwrite what is in the log, right after a checkpoint that has left nothing to read there; how many bytes were.

    The header first: without one nothing that a crash leaves behind it is taken for newer than the database.
    """
    with log_of(path).open("r+b", buffering=0) as file:
        _write(file.fileno(), HEADER, 0)
        size = _used(file.fileno())
        _write(file.fileno(), size - HEADER, HEADER)
    return size


def is_blank(path: Path) -> bool:
    """Whether there is nothing in the log that is not in the database."""
    try:
        with log_of(path).open("rb") as file:
            return not any(file.read(HEADER))
    except FileNotFoundError:
        return True


def _used(descriptor: int) -> int:
    """Where the zeros at the end begin, to a piece."""
    end = os.fstat(descriptor).st_size
    while end > HEADER:
        start = max(HEADER, end - len(PIECE))
        if os.pread(descriptor, end - start, start) != PIECE[: end - start]:
            break
        end = start
    return end


def _write(descriptor: int, count: int, at: int) -> None:
    end = at + count
    while at < end:
        at += os.pwrite(descriptor, PIECE[: end - at], at)
    os.fsync(descriptor)


# --- a database that shrinks ----------------------------------------------------------------------


class _File(apsw.VFSFile):
    """Overwrites what is cut off it."""

    def xTruncate(self, newsize: int) -> None:
        end = self.xFileSize()
        for at in range(newsize, end, len(PIECE)):
            self.xWrite(PIECE[: end - at], at)
        self.xSync(apsw.SQLITE_SYNC_NORMAL)
        super().xTruncate(newsize)


class _Overwriting(apsw.VFS):
    NAME: Final = "grue-overwriting"

    def __init__(self) -> None:
        super().__init__(self.NAME, "", maxpathname=0)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> _File:
        return _File("", name, flags)


_OVERWRITING: Final = _Overwriting()
"""Registered for as long as it is referred to."""


def shrinking(path: Path) -> apsw.Connection:
    """A connection to what may shrink. Slower than others, since each of its calls passes through here."""
    return apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=_Overwriting.NAME)
