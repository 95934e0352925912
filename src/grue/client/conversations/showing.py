"""Of several receivers of one home each message is shown by one: it holds a lock that ends with its process.

That a message was shown is noted when it was, so a process that is killed meanwhile leaves it to the next. The lock is
a file that says nothing: its name is a hash over the message's random id.
"""

import errno
import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from grue.errors import DiskFailed, DiskFull

FOLDER = "showing"
"""In the home; empty while nothing is being shown."""


class Showing:
    """The messages that one client is showing. Where there is no `flock`, two receivers may show the same one."""

    def __init__(self, home: Path) -> None:
        self._folder = home / FOLDER
        self._held: dict[int, tuple[Path, int]] = {}
        """By the message's row: its lock, and the descriptor that holds it."""

    def claim(self, row: int, message: bytes) -> bool:
        """Whether this message is ours to show: False while somebody shows it, we or others.

        Raises DiskFull, DiskFailed.
        """
        if row in self._held:
            return False
        path = self._folder / sha256(b"%d " % row + message).hexdigest()[:32]
        try:
            descriptor = self._locked(path)
        except OSError as error:
            raise (DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else DiskFailed) from None
        if descriptor is None:
            return False
        self._held[row] = path, descriptor
        return True

    def _locked(self, path: Path) -> int | None:
        try:
            return _locked(path)
        except FileNotFoundError:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            return _locked(path)

    def release(self, row: int) -> None:
        """Whoever asks next may show it, unless it was noted as shown. Nothing happens when it is not held."""
        held = self._held.pop(row, None)
        if held is not None:
            path, descriptor = held
            path.unlink(missing_ok=True)
            os.close(descriptor)

    def close(self) -> None:
        """Release all that is held."""
        for row in list(self._held):
            self.release(row)


def _locked(path: Path) -> int | None:
    """A descriptor that locks this file, made when it is not there; None while another one does."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        if not _lock(descriptor):
            os.close(descriptor)
            return None
        with suppress(FileNotFoundError):
            if os.fstat(descriptor).st_ino == os.stat(path).st_ino:
                return descriptor
        # Whoever held it has removed it since it was opened.
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
    return True
