"""The client's encrypted database: one connection, one worker thread, one transaction at a time.

Several processes may use one home at once: each transaction takes the database's write lock, reads what it needs
and writes everything that belongs together, so none sees another's half. What is committed is on disk.
"""

import asyncio
import errno
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Concatenate, Final, ParamSpec, TypeVar

import apsw

from grue.errors import CorruptDatabase, DiskFailed, DiskFull, ForeignDatabase, GrueError, HomeBusy

APPLICATION_ID: Final = 0x67727565
"""`grue` in ASCII, in the database's header."""
SCHEMA_VERSION: Final = 7

PLAIN_HEADER: Final = b"SQLite format 3\0"
"""What an unencrypted database begins with."""

BUSY_MS: Final = 20_000
"""How long a transaction waits for another process's; theirs take milliseconds."""

NO_ROOM: Final = 1 << 16
"""Bytes. A disk with less free counts as full when SQLite can only say that something failed."""

SINCE_2: Final = """
CREATE TABLE token (
    nonce BLOB PRIMARY KEY,
    purpose TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    output BLOB NOT NULL
) WITHOUT ROWID;
"""
"""What a home of version 1 lacks."""

SINCE_3: Final = """
CREATE TABLE attachment (
    message INTEGER PRIMARY KEY REFERENCES message ON DELETE CASCADE,
    key BLOB NOT NULL,
    length INTEGER NOT NULL,
    name TEXT NOT NULL
);
"""
"""What a home of version 2 lacks."""

SINCE_4: Final = """
CREATE TABLE contact (
    number TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    route TEXT NOT NULL DEFAULT 'unknown',  -- as the directory had it when it was checked
    checked INTEGER NOT NULL DEFAULT 0,     -- Unix seconds; 0: not yet
    changed INTEGER NOT NULL DEFAULT 0,     -- Unix seconds of the check that found another route; 0: none did
    news INTEGER NOT NULL DEFAULT 0         -- 1 until the change was told
) WITHOUT ROWID;
"""
"""What a home of version 3 lacks."""


SINCE_5: Final = """
CREATE TABLE private (
    name TEXT PRIMARY KEY,                  -- one of a directory's files for private queries
    data BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE part (
    path TEXT NOT NULL,
    start INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (path, start)
) WITHOUT ROWID;

-- What the base says of a tag: hits, misses and spoilt answers alike.
CREATE TABLE retrieved (
    tag BLOB PRIMARY KEY,
    epoch INTEGER NOT NULL,
    spoilt INTEGER NOT NULL,
    record BLOB
) WITHOUT ROWID;

-- Secrets of queries that were not made yet.
CREATE TABLE material (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    data BLOB NOT NULL
);
"""
"""What a home of version 4 lacks."""

SINCE_6: Final = """
-- Heads of the directory that contacts were shown, and that our copy does not reach yet.
CREATE TABLE gossip (
    head BLOB PRIMARY KEY,                  -- a SignedFile
    chat INTEGER NOT NULL REFERENCES chat
) WITHOUT ROWID;

-- Of directory epochs that have ended, what contacts' heads are compared with.
CREATE TABLE ended (
    epoch INTEGER PRIMARY KEY,
    head BLOB NOT NULL,                     -- the newest that was seen of it, a SignedFile
    links BLOB NOT NULL                     -- the chain hashes after 0, 1, 2, ... entries of its overlay
);
"""
"""What a home of version 5 lacks."""

SINCE_7: Final = """
-- Numbers of the address book that the base was asked for by a private query, each under its present tag.
CREATE TABLE asked (
    number TEXT PRIMARY KEY REFERENCES contact ON DELETE CASCADE,
    time INTEGER NOT NULL                   -- Unix seconds of the last query
) WITHOUT ROWID;
"""
"""What a home of version 6 lacks."""

LACKS: Final = {
    1: SINCE_2 + SINCE_3 + SINCE_4 + SINCE_5 + SINCE_6 + SINCE_7,
    2: SINCE_3 + SINCE_4 + SINCE_5 + SINCE_6 + SINCE_7,
    3: SINCE_4 + SINCE_5 + SINCE_6 + SINCE_7,
    4: SINCE_5 + SINCE_6 + SINCE_7,
    5: SINCE_6 + SINCE_7,
    6: SINCE_7,
}
"""By the version of a home."""

SCHEMA: Final = """
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE mls (
    key BLOB PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE chat (
    id INTEGER PRIMARY KEY,
    number TEXT UNIQUE,                     -- verified by a lookup, or an SMS contact's
    claimed TEXT NOT NULL DEFAULT '',
    identity BLOB UNIQUE,
    list_number INTEGER NOT NULL DEFAULT 0, -- of the newest device list seen
    encrypted INTEGER NOT NULL DEFAULT 0    -- 1 once any message went or came encrypted
);

-- Numbers that were written to or heard from encrypted. Kept for ever: none of them turns green by itself.
CREATE TABLE encrypted_number (
    number TEXT PRIMARY KEY
) WITHOUT ROWID;

CREATE TABLE conversation (
    id BLOB PRIMARY KEY,
    chat INTEGER NOT NULL REFERENCES chat,
    state TEXT NOT NULL,
    mailbox BLOB NOT NULL,
    body BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX conversation_mailbox ON conversation (mailbox);

CREATE TABLE message (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL,
    chat INTEGER NOT NULL REFERENCES chat,
    sender BLOB NOT NULL,                   -- identity key; empty for an SMS that came in
    incoming INTEGER NOT NULL,
    route TEXT NOT NULL,
    text TEXT NOT NULL,
    sent INTEGER NOT NULL,                  -- Unix milliseconds by the sender's clock
    state TEXT NOT NULL,
    conversation BLOB NOT NULL DEFAULT x'',
    seq INTEGER NOT NULL DEFAULT 0,
    shown INTEGER NOT NULL DEFAULT 0,
    UNIQUE (sender, id)
);
CREATE INDEX message_chat ON message (chat, n);
CREATE INDEX message_own ON message (id) WHERE incoming = 0;
CREATE INDEX message_new ON message (n) WHERE incoming = 1 AND shown = 0;
CREATE INDEX message_state ON message (conversation, state) WHERE incoming = 0;

-- Own messages that are to go out encrypted and are not encrypted yet.
CREATE TABLE intent (
    message BLOB PRIMARY KEY,
    chat INTEGER NOT NULL REFERENCES chat
) WITHOUT ROWID;

-- What a person should know that is no message.
CREATE TABLE notice (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    chat INTEGER NOT NULL REFERENCES chat,
    kind TEXT NOT NULL
);

CREATE TABLE outbox (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation BLOB NOT NULL,
    purpose TEXT NOT NULL,
    request BLOB NOT NULL,
    envelope BLOB NOT NULL,
    message BLOB NOT NULL
);

CREATE TABLE posted (
    envelope BLOB PRIMARY KEY,
    purpose TEXT NOT NULL,
    digest BLOB NOT NULL,                   -- SHA-256 of the MLS message inside
    day INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX posted_digest ON posted (digest);

CREATE TABLE seen (
    envelope BLOB PRIMARY KEY,
    day INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE log (
    conversation BLOB NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (conversation, seq)
) WITHOUT ROWID;

CREATE TABLE evaluation (
    number TEXT NOT NULL,
    oprf_epoch INTEGER NOT NULL,
    output BLOB NOT NULL,
    PRIMARY KEY (number, oprf_epoch)
) WITHOUT ROWID;

CREATE TABLE record (
    tag BLOB PRIMARY KEY,
    record BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE overlay (
    seq INTEGER PRIMARY KEY,
    tag BLOB NOT NULL,
    entry BLOB NOT NULL
);
CREATE INDEX overlay_tag ON overlay (tag, seq);

CREATE TABLE exposure (
    day INTEGER NOT NULL,
    party TEXT NOT NULL,
    fact TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (day, party, fact)
) WITHOUT ROWID;
"""

P = ParamSpec("P")
T = TypeVar("T")
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
        return await self._run(lambda: self._transaction("full", lambda: f(self._db, *args, **kwargs)))

    async def note(self, f: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `transact`, without waiting for the disk: a power cut may undo it, a kill of the process does not.

        For what can be found out again, such as that the server has acknowledged something.
        """
        return await self._run(lambda: self._transaction("normal", lambda: f(self._db, *args, **kwargs)))

    async def read(self, f: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `f`, which only reads, on one consistent snapshot."""

        def work() -> T:
            with _Errors(self._path, self._connection):
                self._connection.execute("BEGIN")
                try:
                    return f(self._db, *args, **kwargs)
                finally:
                    _undo(self._connection)

        return await self._run(work)

    async def version(self) -> int:
        """A number that changes when another process has committed."""

        def work() -> int:
            with _Errors(self._path, self._connection):
                return int(self._connection.pragma("data_version"))

        return await self._run(work)

    async def close(self) -> None:
        await self._run(self._connection.close)
        self._worker.shutdown()

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
        connection = apsw.Connection(str(path))
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
        _migrate(connection)
        connection.execute("COMMIT")
    except BaseException:
        _undo(connection)
        raise


def _migrate(connection: apsw.Connection) -> None:
    application, version = connection.pragma("application_id"), connection.pragma("user_version")
    if (application, version) == (APPLICATION_ID, SCHEMA_VERSION):
        return
    if application == APPLICATION_ID and version in LACKS:
        connection.execute(LACKS[version])
        connection.pragma("user_version", SCHEMA_VERSION)
        return
    if application or version or connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
        raise ForeignDatabase
    connection.execute(SCHEMA + LACKS[1])
    connection.pragma("application_id", APPLICATION_ID)
    connection.pragma("user_version", SCHEMA_VERSION)


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
