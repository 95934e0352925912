"""A snapshot of an SQLite database is read in memory, from its files as they were at one moment; nothing is written."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import apsw

MAGIC: Final = b"SQLite format 3\0"

SECTOR: Final = 4096
"""Bytes. Nothing depends on it: no power fails in memory."""

_NAME: Final = "snapshot"


class Snapshot(NamedTuple):
    """The bytes of a database and of its write-ahead log, which is empty where there is none."""

    data: bytes
    log: bytes = b""


def snapshot(path: Path) -> Snapshot:
    """A database's files as they are now; a server that writes meanwhile may have them torn."""
    log = path.with_name(path.name + "-wal")
    return Snapshot(path.read_bytes(), log.read_bytes() if log.exists() else b"")


def databases_in(files: Mapping[str, bytes]) -> list[Snapshot]:
    """Those among some files, each with its log, by their names."""
    return [
        Snapshot(contents, files.get(f"{name}-wal", b"")) for name, contents in files.items() if contents[:16] == MAGIC
    ]


@contextmanager
def opened(taken: Snapshot) -> Iterator[apsw.Connection]:
    """What SQLite reads in a snapshot, its log included. What is written to it is lost.

    Costs the snapshot's size once more in memory. Raises apsw.Error for what is no whole database.
    """
    files = _Files({_NAME: bytearray(taken.data), f"{_NAME}-wal": bytearray(taken.log)})
    try:
        with closing(apsw.Connection(_NAME, flags=apsw.SQLITE_OPEN_READWRITE, vfs=files.name)) as connection:
            # The index of the log is then in memory, and so is all that SQLite would put into a temporary file.
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("PRAGMA temp_store=MEMORY")
            yield connection
    finally:
        files.unregister()


def whole(taken: Snapshot) -> bytes:
    """The database with its log written back."""
    with opened(taken) as connection:
        return connection.serialize("main")


class _Files(apsw.VFS):
    """A file system of some bytes."""

    def __init__(self, files: dict[str, bytearray]) -> None:
        self.name = f"grue-snapshot-{id(self):x}"
        self._files = files
        super().__init__(self.name, "")

    def xOpen(self, name: "str | apsw.URIFilename | None", flags: list[int]) -> "_File":  # noqa: ARG002
        path = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        return _File(self._files.setdefault(path, bytearray()))

    def xFullPathname(self, name: str) -> str:
        return name

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: ARG002
        return pathname in self._files

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: ARG002
        self._files.pop(filename, None)


class _File(apsw.VFSFile):
    """One of them, as SQLite asks for it; nobody else has it open, so locks are always given."""

    def __init__(self, contents: bytearray) -> None:
        # Without its own `__init__`, which would open a file.
        self._contents = contents

    def xRead(self, amount: int, offset: int) -> bytes:
        return bytes(self._contents[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        self._contents.extend(bytes(max(offset - len(self._contents), 0)))
        self._contents[offset : offset + len(data)] = data

    def xTruncate(self, newsize: int) -> None:
        del self._contents[newsize:]

    def xFileSize(self) -> int:
        return len(self._contents)

    def xSectorSize(self) -> int:
        return SECTOR

    def xDeviceCharacteristics(self) -> int:
        return 0

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, op: int, ptr: int) -> bool:  # noqa: ARG002
        return False

    def xLock(self, level: int) -> None: ...

    def xUnlock(self, level: int) -> None: ...

    def xSync(self, flags: int) -> None: ...

    def xClose(self) -> None: ...
