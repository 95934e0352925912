"""Query material is made ahead of time, so that a lookup need not wait for it; each piece is used once.

Used twice it would tell the server how two columns differ. So it is deleted on disk before its query is sent; and a
home that was restored from a backup must not find what it has used since. Every change of it is marked twice,
in the store and in a file in memory, so that whatever brings the home's disk back does not bring it too: if the marks
differ, all of it is thrown away. Where no such file can be kept, none is kept: it is made when it is needed.
"""

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from grue.client.store.engine import Db
from grue.client.store.entries import get_meta, put_meta

KEPT_READY: Final = 16
"""Materials kept ready: 3.5 MB at a million records, 0.6 s of a core to make."""

_META: Final = "stock"
"""As it is stored since before it had its present name."""

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_MOUNTS: Final = Path("/proc/self/mounts")
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 -- a folder of our own in it, whose owner and mode are checked
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})


class _Mark(msgspec.Struct, array_like=True, frozen=True):
    """As the store has it: which file, and what it has to say."""

    name: str
    mark: bytes


def runtime_folder() -> Path | None:
    """A folder of this user's that lies in memory; None when there is none to be trusted.

    `XDG_RUNTIME_DIR` by its specification; else where temporary files are, or shared memory. On a disk it could be set
    back together with the home, as that of a container is, while the machine runs on.
    """
    if given := os.environ.get("XDG_RUNTIME_DIR"):
        return _own(Path(given) / "grue")
    try:
        mounts = _MOUNTS.read_text()
    except (OSError, UnicodeDecodeError):
        return None
    places = [Path(tempfile.gettempdir()).resolve(), _SHARED_MEMORY]
    return next((_own(place / f"grue-{os.getuid()}") for place in places if is_in_memory(place, mounts)), None)


def is_in_memory(place: Path, mounts: str) -> bool:
    """Whether a folder, given without links, is on a file system of memory alone, by a text as `/proc/mounts`."""
    fields = [line.split() for line in mounts.splitlines() if line.strip()]
    # Of two on one place the later hides the other.
    kinds = {Path(_unescaped(where)): kind for _, where, kind, *_ in fields}
    return next((kinds[at] in _IN_MEMORY for at in (place, *place.parents) if at in kinds), False)


def _unescaped(where: str) -> str:
    """`/proc/mounts` writes blanks and the like in octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), where)


def _own(folder: Path) -> Path | None:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return None
    ours = status.st_uid == os.getuid() and not status.st_mode & 0o077
    return folder if ours and not folder.is_symlink() else None


class QueryMaterial:
    """What one home has made ahead. Its methods run inside transactions that hold the write lock, but for `count`."""

    def __init__(self, folder: Path | None) -> None:
        """`folder` is `runtime_folder()`."""
        self._folder = folder

    def count(self, db: Db) -> int:
        """How many are ready."""
        row = db.row("SELECT count(*) FROM material")
        return row[0] if row is not None and isinstance(row[0], int) and self._is_ours(db) else 0

    def missing(self, db: Db) -> int:
        """How many are to be made; none where none can be kept."""
        return 0 if self._folder is None else KEPT_READY - self.count(db)

    def put(self, db: Db, material: bytes) -> None:
        """Add one. Without a place for its mark nothing is kept."""
        if not self._is_ours(db):
            self.drop(db)
        if self._marked(db):
            db.execute("INSERT INTO material (data) VALUES (?)", material)

    def take(self, db: Db, count: int) -> list[bytes]:
        """Up to so many, which are in the store no more. Their queries go out when this is committed."""
        if not self._is_ours(db) or not self._marked(db):
            self.drop(db)
            return []
        taken = db.rows("SELECT n, data FROM material ORDER BY n LIMIT ?", count)
        for n, _ in taken:
            db.execute("DELETE FROM material WHERE n = ?", n)
        return [data for _, data in taken if isinstance(data, bytes)]

    def drop(self, db: Db) -> None:
        """Throw all of it away: it is for another table, or may have been used."""
        db.execute("DELETE FROM material")

    def _is_ours(self, db: Db) -> bool:
        """The material is as this machine left it, since it was started."""
        mark = get_meta(db, _META, _Mark)
        if mark is None or self._folder is None:
            return False
        try:
            return (self._folder / mark.name).read_bytes() == _boot() + mark.mark
        except OSError:
            return False

    def _marked(self, db: Db) -> bool:
        """Mark a change, in the file first: if only that one is written, the material is lost and nothing else."""
        if self._folder is None:
            return False
        before = get_meta(db, _META, _Mark)
        mark = _Mark(before.name if before is not None else os.urandom(16).hex(), os.urandom(16))
        temporary = self._folder / f".{mark.name}"
        try:
            temporary.write_bytes(_boot() + mark.mark)
            temporary.replace(self._folder / mark.name)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            return False
        put_meta(db, _META, mark)
        return True


def _boot() -> bytes:
    """What changes when the machine is started; nothing where it cannot be told."""
    try:
        return _BOOT.read_bytes()
    except OSError:
        return b""
