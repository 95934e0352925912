"""A store that runs everything where it is called: the server's own database, without threads and without fsync.

A year of messages played in a minute needs neither: there is one client at a time, and no power to fail. Schema,
transactions and the contents of the file are the server's. Never use it for a server that anybody uses.
"""

import re
from collections.abc import Awaitable, Callable, Coroutine
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeVar, TypeVarTuple, cast

import apsw

from grue.errors import GrueError
from grue.server.store.interface import Row, Store, Tx, Value
from grue.server.store.sqlite import open_store

T = TypeVar("T")
Args = TypeVarTuple("Args")

_PRAGMAS: Final = "PRAGMA synchronous=OFF; PRAGMA secure_delete=ON; PRAGMA temp_store=MEMORY"


async def open_inline(path: Path) -> Store:
    """A server's database, created when there is none. Raises as `open_store`."""
    await (await open_store(path)).close()
    return InlineStore(path)


@lru_cache(maxsize=256)
def _numbered(sql: str) -> str:
    return re.sub(r"\$(\d+)", r"?\1", sql)


class _InlineTx:
    """`Tx` over one connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    async def row(self, sql: str, *args: Value) -> Row | None:
        rows = self._connection.execute(_numbered(sql), args).fetchall()
        return cast("Row", rows[0]) if rows else None

    async def rows(self, sql: str, *args: Value) -> list[Row]:
        return cast("list[Row]", self._connection.execute(_numbered(sql), args).fetchall())

    async def run(self, sql: str, *args: Value) -> int:
        self._connection.execute(_numbered(sql), args)
        return self._connection.changes()


class InlineStore:
    """`Store` that does everything at once, where it is called."""

    disk_full = False

    def __init__(self, path: Path) -> None:
        self._connection = apsw.Connection(str(path))
        self._connection.execute(_PRAGMAS)
        self._tx: Tx = _InlineTx(self._connection)
        self._later: list[Callable[[], Awaitable[object]]] = []

    async def transact(self, f: Callable[[Tx, *Args], Awaitable[T]], *args: *Args) -> T:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for later in self._later:
                _driven(later())
            self._later = []
            result = _driven(f(self._tx, *args))
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        return result

    async def read(self, f: Callable[[Tx, *Args], Awaitable[T]], *args: *Args) -> T:
        return _driven(f(self._tx, *args))

    def later(self, f: Callable[[Tx, *Args], Awaitable[object]], *args: *Args) -> None:
        self._later.append(lambda: _kept_quiet(f(self._tx, *args)))

    async def flush(self) -> None:
        await self.transact(_nothing)

    async def tidy(self) -> None:
        await self.flush()
        self._connection.execute("VACUUM")
        self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    async def close(self) -> None:
        await self.flush()
        self._connection.close()


def _driven(job: Awaitable[T]) -> T:
    """Drive a transaction to its end: nothing that it waits for suspends."""
    coroutine = cast("Coroutine[object, None, T]", job)
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    coroutine.close()
    raise RuntimeError("a transaction waited for something other than its tx")


async def _kept_quiet(job: Awaitable[object]) -> None:
    """What nobody waits for may be refused, and nobody hears of it."""
    try:
        await job
    except GrueError:
        return


async def _nothing(_tx: Tx) -> None:
    pass
