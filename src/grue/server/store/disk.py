"""Disk writes that outlive a crash, and the error that says when there is no room."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from grue.errors import DiskFull, UsageError


@contextmanager
def writing() -> Iterator[None]:
    """Turn a full disk into the error that says so. Raises DiskFull, OSError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull from None
        raise


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
