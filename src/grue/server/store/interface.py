"""The interface of the store, the one way in which the server keeps rows: transactions of SQL.

A transaction is one `async def f(tx, *args)` with SQL whose parameters are `$1`, `$2`, ...; the same function
runs on every engine. It must be safe to run again from its start, and must wait for nothing but `tx`:
an engine may run it in another thread, or twice when the first try could not be committed.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar, TypeVarTuple

T = TypeVar("T")
Args = TypeVarTuple("Args")

Value = bytes | str | int | float | None
Row = tuple[Value, ...]

LATER_WITHIN: Final = 0.25
"""Seconds. What is written with `later` is on disk by then: an acknowledgement lost in a crash is made again."""

MAX_QUEUED: Final = 10_000
"""Transactions waiting for the disk before the server says that it is busy: some seconds of work."""


class Tx(Protocol):
    """What a transaction can do. The returned values of a row are as SQL has them, untyped."""

    async def row(self, sql: str, *args: Value) -> Row | None:
        """The first row, or None."""

    async def rows(self, sql: str, *args: Value) -> list[Row]: ...

    async def run(self, sql: str, *args: Value) -> int:
        """Change something; the number of rows that were."""


class Store(Protocol):
    @property
    def disk_full(self) -> bool:
        """Whether the disk had no room for what was to be written last."""

    def transact(self, f: Callable[[Tx, *Args], Awaitable[T]], *args: *Args) -> Awaitable[T]:
        """Run `f`, commit it to disk, and only then return its result.

        Raising in `f` undoes this transaction and no other. Raises DiskFull, CorruptDatabase, ServerBusy.
        """

    def read(self, f: Callable[[Tx, *Args], Awaitable[T]], *args: *Args) -> Awaitable[T]:
        """Run `f` over a snapshot that holds everything committed before; it must change nothing."""

    def later(self, f: Callable[[Tx, *Args], Awaitable[object]], *args: *Args) -> None:
        """Run `f` with the next group commit, within `LATER_WITHIN`; nobody waits for it, in order of the calls."""

    async def flush(self) -> None:
        """Return when everything given to `later` so far is on disk."""

    async def tidy(self) -> None:
        """Lay everything out anew in the order of the keys, where that is quick: when what came is not to be seen."""

    async def close(self) -> None:
        """Finish what is queued, and leave all of it in one file. Nothing may be asked afterwards."""
