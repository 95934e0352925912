"""`client.requests`: who may write here. People we do not know wait until they are accepted, declined or blocked."""

from collections.abc import Awaitable, Callable, Sequence

from grue.client.context import Context, Opened
from grue.client.conversations import requests, tables
from grue.client.conversations.requests import Request
from grue.client.store.engine import Db
from grue.errors import GrueError, NetworkError, NoSuchChat, NoSuchRequest, Refused

Decide = Callable[[Db, Context, str], str]


class Requests:
    """Requests of one home. Whoever sent one is told of nothing but an acceptance, and that by what comes after it.

    A chat is named as in `Request.chat`; an SMS sender by its number, or `sms:` and its name. Each call but those of
    `unblock`, `blocked` and `turned_away` first fetches what waits for the account, as `Client.poll` does, and notes
    nothing as shown. If the server does not answer, it goes on with what is here, and `unreached` says so.
    """

    def __init__(
        self, opened: Opened, fetch: Callable[[], Awaitable[None]], go_out: Callable[[str], Awaitable[None]]
    ) -> None:
        """
        fetch   stores what waits in the own intro mailbox
        go_out  sends what is queued in a chat, if the server answers
        """
        self._opened = opened
        self._fetch = fetch
        self._go_out = go_out
        self.unreached: GrueError | None = None
        """Why the server gave no answer when it was last asked for requests: there may be more than are here."""

    async def look(self) -> None:
        """Fetch new requests, and what the newest ones hold by now; no sender is told. Raises NetworkError, Refused.

        A server sees that this home looked, and not whether a request was declined: those are fetched as well.
        """
        context = self._opened.ready
        await self._fetch()
        await requests.look(context)

    async def turned_away(self) -> int:
        """Return how many requests gave way to newer ones since this was last asked."""
        return await self._opened.ready.store.transact(requests.turned_away)

    async def accept(self, chat: str) -> str:
        """Accept a request, as an answer does; returns the chat's name. Raises NoSuchRequest, NoSuchChat, UsageError.

        Of a name that is not here, NetworkError or Refused is raised when the server did not answer: it may wait there.
        """
        name = await self._decided(requests.accept, chat)
        await self._go_out(name)
        return name

    async def decline(self, chat: str) -> str:
        """Turn a request down; another of the same person may come. Raises as `accept`."""
        return await self._decided(requests.decline, chat)

    async def block(self, who: str) -> str:
        """Hear nothing of somebody any more, neither encrypted nor by SMS; returns who. Raises as `accept`.

        It is their number and their identity that are blocked: one of them is enough to be known again, also after
        either side has registered anew. To them this looks as if we were not there.
        """
        return await self._decided(requests.block, who)

    async def unblock(self, who: str) -> str:
        """Hear somebody again; what still waits for us comes. Returns who. Raises UsageError, NoSuchChat."""
        context = self._opened.ready
        name = await context.store.transact(requests.unblock, context, who)
        await self._go_out(name)
        return name

    async def blocked(self) -> Sequence[str]:
        """Return who is blocked, each under the name that they were blocked by."""
        return await self._opened.ready.store.read(tables.blocked_names)

    async def list(self) -> Sequence[Request]:
        """Return the requests that wait, the newest first, with what they hold by now if the server answers."""
        await self._answered(self.look)
        return await self._opened.ready.store.read(requests.waiting)

    async def joining(self) -> Sequence[str]:
        """Return who asks to be let into a group of ours by its link, as in `Request.chat`. Asks no server."""
        waiting = await self._opened.ready.store.read(requests.waiting)
        return [request.chat for request in waiting if request.joins]

    async def _decided(self, decide: Decide, name: str) -> str:
        context = self._opened.ready
        await self._answered(self._fetch)
        try:
            return await context.store.transact(decide, context, name)
        except (NoSuchChat, NoSuchRequest):
            if self.unreached is not None:
                # Whether there is one, only the server knows.
                raise self.unreached from None
            raise

    async def _answered(self, ask: Callable[[], Awaitable[None]]) -> None:
        _ = self._opened.ready
        try:
            await ask()
            self.unreached = None
        except (NetworkError, Refused) as error:
            self.unreached = error
