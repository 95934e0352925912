"""Disk writes that outlive a crash, and the error that says when there is no room."""

import errno
import fcntl
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from grue.errors import DiskFailed, DiskFull, UsageError

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

UNUSABLE: Final = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.EIO,
        errno.EFBIG,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.ENAMETOOLONG,
    }
)
"""What a folder, its disk, or a limit on the process's files says to who would write there."""


@contextmanager
def writing() -> Iterator[None]:
    """Turn a full disk into the error that says so. Raises DiskFull, OSError."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise DiskFull from None
        raise


@contextmanager
def starting(folder: Path) -> Iterator[None]:
    """Say whose disk it is that keeps a program from starting: one may have its data on one, and its keys on another.

    Raises DiskFull, DiskFailed.
    """
    try:
        yield
    except (DiskFull, DiskFailed) as error:
        if error.detail:
            raise
        raise type(error)(f"It is the disk of {folder}.") from None
    except OSError as error:
        if error.errno in FULL:
            raise DiskFull(f"It is the disk of {folder}.") from None
        if error.errno in UNUSABLE:
            where = error.filename if isinstance(error.filename, str) else folder
            raise DiskFailed(f"({where}: {os.strerror(error.errno)}.)") from None
        raise


def write_all(file: io.FileIO, contents: bytes) -> None:
    """All of it, to a file without a buffer: a write to a disk that is nearly full ends early. Raises OSError."""
    at = 0
    while at < len(contents):
        at += file.write(contents[at:])


def write_file(path: Path, contents: bytes) -> None:
    """The whole file, on disk on return; its name is only with `sync_directory`."""
    with path.open("wb") as file:
        file.write(contents)
        file.flush()
        os.fsync(file.fileno())


def sync_file(path: Path) -> None:
    """Make what was written to a file before outlive a crash."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Make what was created, renamed or removed in a directory outlive a crash."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def locked(data: Path, name: str, who: str) -> IO[bytes]:
    """Hold a directory, made when it is not there, for this process; `who` else holds it is said. Raises UsageError."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.umask(0o077)
    file = (data / name).open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise UsageError(f"Another {who} is running on this directory.") from None
    return file
