"""`client.requests`: who may write here. People we do not know wait until they are accepted, declined or blocked."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from grue.client.context import Opened
from grue.client.conversations import requests, tables
from grue.client.conversations.requests import Request
from grue.errors import NetworkError


class Requests:
    """Requests of one home. Whoever sent one is told of nothing but an acceptance, and that by what comes after it.

    A chat is named as in `Request.chat`; an SMS sender by its number, or `sms:` and its name.
    """

    def __init__(self, opened: Opened, go_out: Callable[[], Awaitable[None]]) -> None:
        self._opened = opened
        self._go_out = go_out

    async def look(self) -> None:
        """Fetch what the newest requests hold by now; nothing is acknowledged. Raises NetworkError.

        A server sees that this home looked, and not whether a request was declined: those are fetched as well.
        """
        await requests.look(self._opened.ready)

    async def turned_away(self) -> int:
        """Return how many requests gave way to newer ones since this was last asked."""
        return await self._opened.ready.store.transact(requests.turned_away)

    async def accept(self, chat: str) -> str:
        """Accept a request, as an answer does; returns the chat's name. Raises UsageError, NoSuchChat."""
        context = self._opened.ready
        name = await context.store.transact(requests.accept, context, chat)
        await self._go_out()
        return name

    async def decline(self, chat: str) -> str:
        """Turn a request down; another of the same person may come. Raises UsageError, NoSuchChat."""
        context = self._opened.ready
        return await context.store.transact(requests.decline, context, chat)

    async def block(self, who: str) -> str:
        """Hear nothing of somebody any more, neither encrypted nor by SMS; returns who. Raises UsageError, NoSuchChat.

        It is their number and their identity that are blocked: one of them is enough to be known again, also after
        either side has registered anew. To them this looks as if we were not there.
        """
        context = self._opened.ready
        return await context.store.transact(requests.block, context, who)

    async def unblock(self, who: str) -> str:
        """Hear somebody again; what still waits for us comes. Returns who. Raises UsageError, NoSuchChat."""
        context = self._opened.ready
        name = await context.store.transact(requests.unblock, context, who)
        await self._go_out()
        return name

    async def blocked(self) -> Sequence[str]:
        """Return who is blocked, each under the name that they were blocked by."""
        return await self._opened.ready.store.read(tables.blocked_names)

    async def list(self) -> Sequence[Request]:
        """Return the requests that wait, the newest first, with what they hold by now if the server answers."""
        with suppress(NetworkError):
            await self.look()
        return await self._opened.ready.store.read(requests.waiting)
