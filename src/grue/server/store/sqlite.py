"""`Store` on one SQLite file: one thread writes, one reads, and one fsync acknowledges a whole group.

The writer takes everything that is queued, runs each transaction under a savepoint of its own inside one
SQLite transaction, commits (which syncs the write-ahead log), and wakes all waiters at once. A group that
cannot be committed as a whole is run again one by one, so that only the culprit fails.
"""

import asyncio
import os
import re
import struct
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Final, TypeVar, TypeVarTuple, cast

import apsw

from grue.errors import (
    CorruptDatabase,
    DiskFailed,
    DiskFull,
    ForeignDatabase,
    GrueError,
    OldData,
    ServerBusy,
    UsageError,
)
from grue.server.reporting import report
from grue.server.store import schema, wal
from grue.server.store.disk import FULL
from grue.server.store.interface import LATER_WITHIN, MAX_QUEUED, Row, Tx, Value

T = TypeVar("T")
Args = TypeVarTuple("Args")

APPLICATION_ID: Final = 0x67727565
"""`grue`, in the file's header."""

PAGE_BYTES: Final = 8192
"""The smallest page whose leaf takes an envelope of 1 KiB: with 4096 each took an overflow page of its own."""

MAX_BATCH: Final = 256
"""Transactions in one group, so that the first in it does not wait for hundreds more."""

CHECKPOINT_EVERY: Final = 60.0
"""Seconds until deleted envelopes are gone from the write-ahead log too: it is overwritten, and keeps its size."""

AUTOCHECKPOINT_PAGES: Final = 1000
"""8 MiB of log before it is written back, between two groups: a pause of some milliseconds."""

CACHE_KIB: Final = 16 * 1024
"""Pages kept in memory by each of the two connections: the upper levels of a large database."""

CHECKED_AT_START: Final = 64 << 20
"""Bytes. A file up to this size is checked whole when it is opened; a larger one would delay the start."""

TIDIED_UP_TO: Final = 64 << 20
"""Bytes. A file up to this size is written anew by the sweep. A larger one would hold transactions up for too long; few
of its rows share a page, so that where they lie says less of what came after what."""

# Values of the declared kinds only, and no row number that would tell the order.
TABLE_SUFFIX: Final = "STRICT, WITHOUT ROWID"

_HEADER: Final = struct.Struct(">16s44xI4xI")
_MAGIC: Final = b"SQLite format 3\0"


@lru_cache(maxsize=1024)
def _numbered(sql: str) -> str:
    return re.sub(r"\$(\d+)", r"?\1", sql)


class _SqliteTx:
    """`Tx` over one connection. Its coroutines never suspend."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()

    async def row(self, sql: str, *args: Value) -> Row | None:
        # Read to the end: a statement still in progress would stand in the way of the commit.
        rows = self._cursor.execute(_numbered(sql), args).fetchall()
        return cast("Row", rows[0]) if rows else None

    async def rows(self, sql: str, *args: Value) -> list[Row]:
        return cast("list[Row]", self._cursor.execute(_numbered(sql), args).fetchall())

    async def run(self, sql: str, *args: Value) -> int:
        self._cursor.execute(_numbered(sql), args)
        return self._connection.changes()


class _Job:
    __slots__ = ("args", "error", "f", "future", "result")

    def __init__(
        self, f: Callable[..., Awaitable[object]], args: tuple[object, ...], future: asyncio.Future[Any] | None
    ) -> None:
        self.f = f
        self.args = args
        self.future = future
        self.result: object = None
        self.error: BaseException | None = None

    def run(self, tx: Tx) -> None:
        """Drive the coroutine to its end: nothing it may wait for ever suspends."""
        coroutine = cast("Coroutine[object, None, object]", self.f(tx, *self.args))
        try:
            coroutine.send(None)
        except StopIteration as end:
            self.result = end.value
            return
        coroutine.close()
        raise RuntimeError("a transaction waited for something other than its tx")

    def settle(self) -> None:
        """Tell whoever waits."""
        if self.future is None:
            if self.error is not None and not isinstance(self.error, GrueError):
                report(self.error)
            return
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


def _mapped(error: BaseException, path: Path | None) -> BaseException:
    """SQLite's errors as ours, and a full disk's; what is neither's stays."""
    if isinstance(error, apsw.FullError) or (isinstance(error, OSError) and error.errno in FULL):
        return DiskFull()
    if isinstance(error, apsw.IOError | apsw.CantOpenError) and path is not None and _is_full(path):
        return DiskFull()
    if isinstance(error, apsw.CorruptError):
        return CorruptDatabase()
    if isinstance(error, apsw.NotADBError):
        return ForeignDatabase()
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return ServerBusy(retry_after=1)
    return error


def _is_full(path: Path) -> bool:
    space = os.statvfs(path.parent)
    # Some file systems count no files, and then have none left either.
    return space.f_bavail * space.f_frsize < 1 << 16 or (space.f_files > 0 and space.f_favail == 0)


class _Alone:
    """Work for the writer's thread that is no transaction: nothing else is written meanwhile."""

    __slots__ = ("future", "work")

    def __init__(self, work: Callable[[], None], future: asyncio.Future[None]) -> None:
        self.work = work
        self.future = future

    def settle(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


class _Worker:
    """A thread with a connection of its own that runs queued jobs in groups."""

    def __init__(self, connection: apsw.Connection, path: Path | None, *, writes: bool) -> None:
        self._connection = connection
        self._path = path
        self._tx = _SqliteTx(connection)
        self._begin = "BEGIN IMMEDIATE" if writes else "BEGIN"
        self._writes = writes
        self.full = False
        """The disk had no room for one of the last group."""
        self._alone: _Alone | None = None
        self._logged = writes and path is not None and not wal.is_blank(path)
        self._checkpointed = monotonic()
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Job | _Alone | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._main, name="grue-writer" if writes else "grue-reader", daemon=True)
        self._thread.start()

    def put(self, job: _Job | _Alone) -> None:
        self._queue.put(job)

    @property
    def queued(self) -> int:
        return self._queue.qsize()

    async def close(self) -> None:
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _main(self) -> None:
        open_ = True
        while open_:
            jobs, open_ = self._take()
            if jobs:
                self._group(jobs)
                self.full = any(isinstance(job.error, DiskFull) for job in jobs)
                self._loop.call_soon_threadsafe(_settle, jobs)
            if self._alone is not None:
                self._run_alone(self._alone)
            if self._logged and (not open_ or self._patience() == 0):
                self._checkpoint()
        self._connection.close()

    def _take(self) -> tuple[list[_Job], bool]:
        """Everything queued up to `MAX_BATCH`, after waiting for the first; False once closed."""
        jobs: list[_Job] = []
        try:
            job = self._queue.get(timeout=self._patience())
            while job is not None:
                if isinstance(job, _Alone):
                    self._alone = job
                    return jobs, True
                jobs.append(job)
                if len(jobs) == MAX_BATCH:
                    return jobs, True
                job = self._queue.get_nowait()
        except Empty:
            return jobs, True
        return jobs, False

    def _patience(self) -> float | None:
        """Seconds to wait for work before the log is overwritten; None when it is empty."""
        if not self._logged:
            return None
        return max(0.0, self._checkpointed + CHECKPOINT_EVERY - monotonic())

    def _group(self, jobs: list[_Job]) -> None:
        try:
            self._together(jobs)
        except Exception as error:  # noqa: BLE001 -- every waiter has to learn of it
            self._undo()
            if len(jobs) == 1:
                jobs[0].error = _mapped(error, self._path)
                return
            for job in jobs:
                self._group([job])

    def _together(self, jobs: list[_Job]) -> None:
        execute = self._connection.execute
        execute(self._begin)
        if len(jobs) == 1:
            jobs[0].error = None
            jobs[0].run(self._tx)
        else:
            for job in jobs:
                self._apart(job)
        execute("COMMIT")
        self._logged = self._writes

    def _apart(self, job: _Job) -> None:
        execute = self._connection.execute
        execute("SAVEPOINT job")
        job.error = None
        try:
            job.run(self._tx)
        except Exception as error:
            if not self._connection.in_transaction:
                raise
            execute("ROLLBACK TO job")
            job.error = _mapped(error, self._path)
        execute("RELEASE job")

    def _undo(self) -> None:
        if self._connection.in_transaction:
            with suppress(apsw.Error):
                self._connection.execute("ROLLBACK")

    def _run_alone(self, alone: _Alone) -> None:
        self._alone = None
        try:
            alone.work()
        except Exception as error:  # noqa: BLE001 -- the thread goes on
            report(error)
        self._checkpoint()
        self._loop.call_soon_threadsafe(alone.settle)

    def _checkpoint(self) -> None:
        """Write the log back, and overwrite it; as long as somebody reads in it, the next time does that."""
        self._checkpointed = monotonic()
        if self._path is None:
            self._logged = False
            return
        with suppress(apsw.Error, OSError):
            # Returns when nobody reads in the log, and nobody will: the next frame goes to its beginning.
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
            wal.blank(self._path)
            self._logged = False


def _settle(jobs: list[_Job]) -> None:
    for job in jobs:
        job.settle()


class SqliteStore:
    """`Store` on a file, or on memory when `path` is None. Made by `open_store`."""

    def __init__(self, path: Path | None) -> None:
        self._loop = asyncio.get_running_loop()
        connections = [_connect(path)] if path is None else [_connect(path), _connect(path)]
        self._writer = _Worker(connections[0], path, writes=True)
        self._reader = self._writer if path is None else _Worker(connections[1], path, writes=False)
        self._path = path
        self._later: list[_Job] = []
        self._timer: asyncio.TimerHandle | None = None

    @property
    def disk_full(self) -> bool:
        return self._writer.full

    def transact(self, f: Callable[[Tx, *Args], Awaitable[T]], *args: *Args) -> "asyncio.Future[T]":
        """Run `f`, commit it to disk, and only then return its result."""
        if self._writer.queued > MAX_QUEUED:
            raise ServerBusy(retry_after=1)
        if self._later:
            self._hand_over()
        future: asyncio.Future[T] = self._loop.create_future()
        self._writer.put(_Job(f, args, future))
        return future

    def read(self, f: Callable[[Tx, *Args], Awaitable[T]], *args: *Args) -> "asyncio.Future[T]":
        """Run `f` over a snapshot that holds everything committed before."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._reader.put(_Job(f, args, future))
        return future

    def later(self, f: Callable[[Tx, *Args], Awaitable[object]], *args: *Args) -> None:
        """Run `f` with the next group commit, within `LATER_WITHIN`."""
        self._later.append(_Job(f, args, None))
        if self._timer is None:
            self._timer = self._loop.call_later(LATER_WITHIN, self._hand_over)

    async def flush(self) -> None:
        """Return when everything given to `later` so far is on disk."""
        await self.transact(_nothing)

    async def tidy(self) -> None:
        """Write a small file anew: rows lie in the order of their keys then, and nothing is free between them.

        Without this the newest row lies lowest on its page, and what was added to an account lies far from the rest.
        Transactions wait meanwhile. When the disk is full or busy, the next time does it.
        """
        await self.flush()
        path = self._path
        if path is not None and path.stat().st_size <= TIDIED_UP_TO:
            tidied: asyncio.Future[None] = self._loop.create_future()
            self._writer.put(_Alone(lambda: _write_anew(path), tidied))
            await tidied

    async def close(self) -> None:
        """Finish what is queued, write the log back into the file, overwrite it, and close both."""
        self._hand_over()
        if self._reader is not self._writer:
            await self._reader.close()
        await self._writer.close()

    def _hand_over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for job in self._later:
            self._writer.put(job)
        self._later = []


def _write_anew(path: Path) -> None:
    with suppress(apsw.Error, DiskFull), closing(wal.shrinking(path)) as connection:
        _set_up(connection)
        # All of it goes through the log, which therefore must have the room, and is not written back by the way.
        wal.make(path, PAGE_BYTES, cast("int", connection.pragma("page_count")))
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("VACUUM")
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)


async def _nothing(_tx: Tx) -> None:
    pass


async def open_store(path: Path | None) -> SqliteStore:
    """Open the database, creating it when there is none. Call within the event loop that will use it.

    Raises ForeignDatabase for a file that is not ours or is newer, OldData for one of an earlier protocol,
    CorruptDatabase for a damaged one, DiskFull, DiskFailed; the file is as it was then.
    """
    try:
        if path is not None:
            version = _version(path)
            if not version:
                _create(path)
            elif version < schema.FIRST_VERSION:
                raise OldData
            else:
                with suppress(DiskFull):
                    # What is there can be read all the same. The log grows then as it is written.
                    wal.make(path, PAGE_BYTES)
                _check_whole(path)
                _bring_up_to_date(path)
        return SqliteStore(path)
    except (apsw.Error, OSError) as error:
        mapped = _mapped(error, path)
        if isinstance(mapped, GrueError):
            raise mapped from None
        if isinstance(error, apsw.IOError | apsw.CantOpenError | apsw.ReadOnlyError | apsw.PermissionsError):
            raise DiskFailed from None
        raise


@contextmanager
def opened_to_read(path: Path, *, served: bool) -> Iterator[apsw.Connection]:
    """One snapshot of a database, which changes no file; beside a server (`served`) or of one that is stopped.

    Raises UsageError when there is no database, or one that cannot be read without changing it; ForeignDatabase,
    CorruptDatabase, ServerBusy.
    """
    if not _version(path):
        raise UsageError("There is no server's database in that directory.")
    try:
        with closing(apsw.Connection(_uri(path, served), flags=_READ)) as connection:
            connection.set_busy_timeout(5000)
            connection.execute("BEGIN")
            yield connection
    except apsw.Error as error:
        raise _mapped(error, path) from None


_READ: Final = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI


def _uri(path: Path, served: bool) -> str:
    """How SQLite opens the file without writing beside it either."""
    uri = path.resolve().as_uri() + "?mode=ro"
    if served:
        return uri
    if wal.is_blank(path):
        # Without a log nothing is missing in the file itself, and no index of one is made.
        return uri + "&immutable=1"
    if path.with_name(path.name + "-shm").exists():
        # A crash left both: the log is indexed anew, in memory.
        return uri + "&readonly_shm=1"
    raise UsageError("The database lacks a part of its log. Start the server on it once, and stop it.")


def _version(path: Path) -> int:
    """The schema's version; 0 when there is no database yet. Reads the header itself: SQLite would already write."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
    except FileNotFoundError:
        return 0
    if not header:
        return 0
    if len(header) < _HEADER.size:
        raise ForeignDatabase
    magic, version, application = _HEADER.unpack(header)
    if magic != _MAGIC or application != APPLICATION_ID:
        raise ForeignDatabase
    if not 1 <= version <= schema.SCHEMA_VERSION:
        raise ForeignDatabase(f"(It has version {version}; this Grue knows 1 to {schema.SCHEMA_VERSION}.)")
    return int(version)


def _create(path: Path) -> None:
    """Make the whole file beside its place and move it there, so that no half-made one is ever found."""
    unborn = path.with_name(path.name + ".new")
    unborn.unlink(missing_ok=True)
    try:
        with closing(apsw.Connection(str(unborn))) as connection:
            connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
            _create_tables(connection)
        _sync(unborn)
        # Of a database that is none any more; SQLite would take it for this one's.
        wal.log_of(path).unlink(missing_ok=True)
        wal.make(path, PAGE_BYTES)
        unborn.rename(path)
    except apsw.Error as error:
        # Now: whether the disk is full shows only as long as the half-made file is there.
        raise _mapped(error, path) from None
    finally:
        unborn.unlink(missing_ok=True)
    _sync(path.parent)


def _bring_up_to_date(path: Path) -> None:
    """Take a file of an earlier version through the steps that it lacks: all of them, or it stays as it is."""
    with closing(_opened(path)) as connection:
        version = cast("int", connection.pragma("user_version"))
        if version == schema.SCHEMA_VERSION:
            return
        # A step may drop or write anew what nobody is to find afterwards.
        _set_up(connection)
        with connection:
            for statement in schema.step_statements(version, TABLE_SUFFIX):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={schema.SCHEMA_VERSION}")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _create_tables(connection: apsw.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in schema.create_statements(TABLE_SUFFIX):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={schema.SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _connect(path: Path | None) -> apsw.Connection:
    if path is None:
        connection = apsw.Connection(":memory:")
        _create_tables(connection)
        return connection
    connection = _opened(path)
    try:
        _set_up(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_whole(path: Path) -> None:
    """Look at every page of a small file. Raises CorruptDatabase."""
    if path.stat().st_size <= CHECKED_AT_START:
        with closing(_opened(path)) as connection:
            if connection.execute("PRAGMA quick_check(1)").get != "ok":
                raise CorruptDatabase


def _opened(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    wal.keep(connection)
    return connection


def _set_up(connection: apsw.Connection) -> None:
    wal.keep(connection)
    connection.set_busy_timeout(5000)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute("PRAGMA temp_store=MEMORY")
    connection.execute(f"PRAGMA wal_autocheckpoint={AUTOCHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
