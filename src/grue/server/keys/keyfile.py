"""Key files: only their owner can read one, it is written whole or not at all, and never replaced."""

import io
import os
import stat
from contextlib import suppress
from pathlib import Path

from grue.errors import UsageError
from grue.server.store.disk import starting, sync_directory, write_all


def read_key_file(path: Path, magic: bytes, length: int) -> bytes:
    """What stands in a key file behind its magic. Raises UsageError: others can read it, or it is none of this kind."""
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UsageError(f"Others on this machine can read the key file {path}. Run `chmod 600 {path}`.")
        contents = path.read_bytes()
    except OSError:
        raise UsageError(f"The key file {path} cannot be read.") from None
    if not contents.startswith(magic) or len(contents) != len(magic) + length:
        raise foreign(path)
    return contents[len(magic) :]


def create_key_file(path: Path, contents: bytes) -> None:
    """Put the whole file there or nothing, and never replace one. Raises DiskFull, DiskFailed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with starting(path.parent):
        try:
            temporary.unlink(missing_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with io.FileIO(descriptor, "w") as file:
                write_all(file, contents)
                os.fsync(file.fileno())
            # When another process made it at the same moment, that one counts.
            with suppress(FileExistsError):
                os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_directory(path.parent)


def foreign(path: Path) -> UsageError:
    return UsageError(f"{path} is not a key file of this version of Grue.")
