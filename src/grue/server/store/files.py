"""The names of the files in a server's data directory, and the lock that keeps it to one process."""

from pathlib import Path
from typing import IO, Final

from grue.server.store import disk

DATABASE: Final = "server.db"
LOCK: Final = "server.lock"
BLOBS: Final = "blobs"


def locked(data: Path) -> IO[bytes]:
    """Hold the directory for this process. Two servers would not see each other's streams. Raises UsageError."""
    return disk.locked(data, LOCK, "server")
