"""Writing so that it outlives a crash, and saying so when there is no room."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grue.errors import DiskFull


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


def sync_directory(path: Path) -> None:
    """Make what was created, renamed or removed in a directory outlive a crash."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
