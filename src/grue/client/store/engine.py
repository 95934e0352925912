"""The store is the client's encrypted database: one connection, one worker thread, one transaction at a time.

Several processes may use one home at once: each transaction takes the database's write lock, reads what it needs
and writes everything that belongs together, so none sees another's half. What is committed is on disk.
"""

import asyncio
import errno
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Concatenate, Final, ParamSpec, TypeVar

import apsw

from grue.client.store.schema import bring_up_to_date
from grue.errors import CorruptDatabase, DiskFailed, DiskFull, ForeignDatabase, GrueError, HomeBusy

PLAIN_HEADER: Final = b"SQLite format 3\0"
"""What an unencrypted database begins with."""

BUSY_MS: Final = 20_000
"""How long a transaction waits for another process's; theirs take milliseconds."""

NO_ROOM: Final = 1 << 16
"""Bytes. A disk with less free counts as full when SQLite can only say that something failed."""

STATEMENTS: Final = 512
"""Prepared statements that are kept: all that there are, some 150. One that is not kept is parsed each time, 30 us."""

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")
Value = None | int | float | str | bytes
Row = tuple[Value, ...]


class Db:
    """One transaction's connection, with the few verbs that queries need."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, *arguments: Value) -> int:
        """Run one statement; returns how many rows it changed."""
        self._connection.execute(sql, arguments)
        return self._connection.changes()

    def many(self, sql: str, rows: Iterator[Row]) -> None:
        self._connection.executemany(sql, rows)

    def rows(self, sql: str, *arguments: Value) -> list[Row]:
        return self._connection.execute(sql, arguments).fetchall()

    def row(self, sql: str, *arguments: Value) -> Row | None:
        return self._connection.execute(sql, arguments).fetchone()


class Store:
    """The database of one home. Methods are called from the event loop; the work is done in one thread."""

    def __init__(self, path: Path, connection: apsw.Connection, worker: ThreadPoolExecutor) -> None:
        self._path = path
        self._connection = connection
        self._db = Db(connection)
        self._worker = worker
        self._synchronous = "full"
        self._watching: set[asyncio.Event] = set()

    @classmethod
    async def open(cls, path: Path, key: bytes) -> "Store":
        """Open or create. Raises ForeignDatabase or CorruptDatabase, and leaves the file as it is.

        Raises DiskFull, DiskFailed, HomeBusy.
        """
        worker = ThreadPoolExecutor(1, thread_name_prefix="grue-store")
        try:
            connection = await asyncio.get_running_loop().run_in_executor(worker, _connect, path, key)
        except BaseException:
            worker.shutdown(wait=False)
            raise
        return cls(path, connection, worker)

    async def transact(self, f: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `f` in one transaction that holds the write lock; on disk when this returns.

        Whatever `f` raises rolls everything back. Raises DiskFull, DiskFailed, HomeBusy, CorruptDatabase.
        """
        return await self._written("full", lambda: f(self._db, *args, **kwargs))

    async def note(self, f: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `transact`, without waiting for the disk: a power cut may undo it, a kill of the process does not.

        For what can be found out again, such as that the server has acknowledged something.
        """
        return await self._written("normal", lambda: f(self._db, *args, **kwargs))

    async def read(self, f: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `f`, which only reads, on one consistent snapshot."""

        return await self._run(lambda: self._snapshot(lambda: f(self._db, *args, **kwargs)))

    async def read_each(self, f: Callable[[Db], R], then: Callable[[Db, R], T]) -> T:
        """Run `f`, and `then` with its result on another snapshot: what was committed meanwhile is seen by it."""

        def work() -> T:
            result = self._snapshot(lambda: f(self._db))
            return self._snapshot(lambda: then(self._db, result))

        return await self._run(work)

    def _snapshot(self, work: Callable[[], T]) -> T:
        with _Errors(self._path, self._connection):
            self._connection.execute("BEGIN")
            try:
                return work()
            finally:
                _undo(self._connection)

    @contextmanager
    def watch(self) -> Iterator[asyncio.Event]:
        """An event that is set after each transaction of this process; whoever waits for it clears it."""
        event = asyncio.Event()
        self._watching.add(event)
        try:
            yield event
        finally:
            self._watching.discard(event)

    async def version(self) -> int:
        """A number that changes when another process has committed."""

        def work() -> int:
            with _Errors(self._path, self._connection):
                return int(self._connection.pragma("data_version"))

        return await self._run(work)

    async def close(self) -> None:
        await self._run(self._connection.close)
        self._worker.shutdown()

    async def _written(self, synchronous: str, work: Callable[[], T]) -> T:
        try:
            return await self._run(lambda: self._transaction(synchronous, work))
        finally:
            for event in self._watching:
                event.set()

    def _transaction(self, synchronous: str, work: Callable[[], T]) -> T:
        with _Errors(self._path, self._connection):
            if synchronous != self._synchronous:
                self._connection.pragma("synchronous", synchronous)
                self._synchronous = synchronous
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                result = work()
                self._connection.execute("COMMIT")
            except BaseException:
                _undo(self._connection)
                raise
            return result

    async def _run(self, work: Callable[[], T]) -> T:
        # Shielded: a transaction that has begun is finished even when its caller is cancelled.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._worker, _settling(work)))


def _settling(work: Callable[[], T]) -> Callable[[], T]:
    """The same work, which ends in any case for who awaits it."""

    def settling() -> T:
        try:
            return work()
        except StopIteration as error:
            # A future cannot hold one: whoever waits for it would wait for ever.
            raise GrueError("(StopIteration in a transaction)") from error

    return settling


class _Errors:
    """SQLite's errors as ours, while working on the database at `path`."""

    def __init__(self, path: Path, connection: apsw.Connection | None = None) -> None:
        self._path = path
        self._connection = connection

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        mapped = self._mapped(error)
        if mapped is not None:
            raise mapped from None

    def _mapped(self, error: BaseException | None) -> GrueError | None:
        match error:
            case apsw.FullError():
                return DiskFull()
            case apsw.IOError() | apsw.CantOpenError() | apsw.ReadOnlyError():
                return DiskFull() if self._is_full(error) else DiskFailed()
            case apsw.BusyError() | apsw.LockedError():
                return HomeBusy()
            case apsw.CorruptError() | apsw.NotADBError():
                return CorruptDatabase()
            case _:
                return None

    def _is_full(self, error: BaseException) -> bool:
        """Whether room is what is missing: SQLite has a code for that only where it writes the file itself."""
        if getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHMSIZE:
            return True
        if self._connection is not None and self._connection.system_errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        try:
            return shutil.disk_usage(self._path.parent).free < NO_ROOM
        except OSError:
            return False


def _undo(connection: apsw.Connection) -> None:
    """Roll back, unless SQLite has done so by itself, as it does when the disk fails."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _connect(path: Path, key: bytes) -> apsw.Connection:
    with _Errors(path):
        _check_encrypted(path)
        connection = apsw.Connection(str(path), statementcachesize=STATEMENTS)
    try:
        with _Errors(path, connection):
            connection.pragma("key", f"raw:{key.hex()}")
            connection.set_busy_timeout(BUSY_MS)
            _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_encrypted(path: Path) -> None:
    if path.exists():
        with path.open("rb") as file:
            if file.read(len(PLAIN_HEADER)) == PLAIN_HEADER:
                raise ForeignDatabase("(it is not encrypted)")


def _prepare(connection: apsw.Connection) -> None:
    for name, value in (
        ("journal_mode", "wal"),
        ("synchronous", "full"),
        ("secure_delete", True),
        ("temp_store", "memory"),
        ("foreign_keys", True),
    ):
        connection.pragma(name, value)
    connection.execute("BEGIN IMMEDIATE")
    try:
        bring_up_to_date(connection)
        connection.execute("COMMIT")
    except BaseException:
        _undo(connection)
        raise


def as_int(value: object) -> int:
    """A column that holds whole numbers."""
    assert isinstance(value, int)
    return value


def as_str(value: object) -> str:
    """A column that holds text."""
    assert isinstance(value, str)
    return value


def as_bytes(value: object) -> bytes:
    """A column that holds bytes."""
    assert isinstance(value, bytes)
    return value
