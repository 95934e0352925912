"""`client.exposure`: this home's own record of what it gave to whom, in counts by day."""

from collections.abc import Awaitable, Callable
from datetime import date

from grue.client.context import Opened
from grue.client.transport import tables


class Exposure:
    """What this client has given away so far. It needs no account: registering gives something away already."""

    def __init__(self, opened: Opened, note: Callable[[], Awaitable[None]]) -> None:
        """`note` stores what the transport has counted since the last time."""
        self._opened = opened
        self._note = note

    async def since(self, first: date | None = None) -> list[tuple[str, str, int]]:
        """Say what each party was given from a day on (by UTC), or so far: (party, fact, count)."""
        await self._note()
        return await self._opened.store.read(tables.exposure, _day(first))

    async def by_day(self, first: date | None = None) -> list[tuple[int, int]]:
        """Say how many requests went out on each day, from one on or so far: (days since 1970 by UTC, count)."""
        await self._note()
        return await self._opened.store.read(tables.exposure_days, _day(first))


def _day(one: date | None) -> int:
    """Days since 1970; of none the first there could be."""
    return 0 if one is None else (one - date(1970, 1, 1)).days
