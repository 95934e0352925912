"""`client.directory`: this home's copy of the server's directory, and a field that asks it while a number is typed."""

from collections.abc import Callable

from grue.client.context import Clock, Opened
from grue.client.lookup import directory
from grue.client.lookup.asyoutype import AsYouType, Shown
from grue.client.lookup.directory import LookedUp
from grue.client.lookup.gossip import Heads
from grue.client.people.tables import know_nothing
from grue.client.store.engine import Db
from grue.protocol.numbers import region_of


class DirectoryCopy:
    """The directory as this home holds it."""

    def __init__(self, opened: Opened, clock: Clock) -> None:
        self._opened = opened
        self._clock = clock

    @property
    def fetched(self) -> float | None:
        """How much of the directory's large file has come, from 0 to 1; None while it is not being fetched."""
        return self._opened.ready.directory.fetched

    def as_you_type(self, changed: Callable[[Shown], None] | None = None) -> AsYouType:
        """Return a field that a number is typed into: it looks the number up once it is whole.

        changed  is called with what to show, whenever that changes; or iterate over the field
        """
        context = self._opened.ready

        async def look(number: str) -> LookedUp:
            return (await context.directory.lookup([number]))[0]

        return AsYouType(look, region_of(context.account.number), changed=changed)

    async def heads(self) -> Heads:
        """Say which head of the directory this home was shown, and which ones contacts were shown."""
        context = self._opened.ready
        return await context.store.read(context.directory.gossip.heads)

    async def start_over(self) -> None:
        """Begin the copy anew, as for the first time: what was seen before is not held against the server.

        For after two heads have disagreed, and the user knows why. Contacts and messages stay.
        """
        await self._opened.ready.store.transact(_start_over, int(self._clock()))


def _start_over(db: Db, now: int) -> None:
    directory.start_over(db, now)
    know_nothing(db)
