"""`client.chats`: the list of chats, and how it is arranged: what is pinned, muted or archived, and drafts."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from grue.client import chats
from grue.client.api.messages import ChatInfo, listed
from grue.client.chats import FOR_GOOD, Chat
from grue.client.context import Opened, own_number
from grue.client.conversations import naming
from grue.client.store.engine import Db
from grue.errors import NotRegistered, TooLarge, UsageError
from grue.protocol.conversation.contents import MAX_TEXT


class Chats:
    """The chats of one home. It needs no account, and asks no server: chats stay when that is left.

    How they are arranged is the same on all devices of the account: what was said last counts. A chat is named as in
    `Client.send`. Raises NoSuchChat, NotANumber and AmbiguousName of a name.
    """

    def __init__(self, opened: Opened, clock: Callable[[], float], changed: Callable[[], None]) -> None:
        """`changed` has the own other devices told, when somebody receives."""
        self._opened = opened
        self._clock = clock
        self._changed = changed

    async def __call__(self) -> list[ChatInfo]:
        """As `list`."""
        return await self._opened.store.read(listed, self._clock())

    async def list(self) -> Sequence[ChatInfo]:
        """Return all chats, archived ones too: the pinned ones first, and of each the latest first."""
        return await self()

    async def pin(self, chat: str) -> None:
        """Have it stand above the others."""
        await self._arrange(chat, lambda db, one: chats.pin(db, one.id, pinned=True))

    async def unpin(self, chat: str) -> None:
        """Have it stand among the others."""
        await self._arrange(chat, lambda db, one: chats.pin(db, one.id, pinned=False))

    async def mute(self, chat: str, until: float | None = None) -> None:
        """Have what comes be quiet until then, Unix seconds, or for good. Raises UsageError of a time that is over."""
        now = self._clock()
        if until is not None and until <= now:
            raise UsageError("That time is over.")
        end = FOR_GOOD if until is None else min(int(until), FOR_GOOD)
        await self._arrange(chat, lambda db, one: chats.mute(db, one.id, end, now))

    async def unmute(self, chat: str) -> None:
        """Have it be quiet no more."""
        now = self._clock()
        await self._arrange(chat, lambda db, one: chats.mute(db, one.id, 0, now))

    async def archive(self, chat: str) -> None:
        """Put it away until something comes; what comes while it is muted leaves it there."""
        await self._arrange(chat, lambda db, one: chats.archive(db, one.id, archived=True))

    async def unarchive(self, chat: str) -> None:
        """Take it back into the list."""
        await self._arrange(chat, lambda db, one: chats.archive(db, one.id, archived=False))

    async def draft(self, chat: str, text: str) -> None:
        """Keep what was written and not sent; an empty text takes it back. Raises TooLarge of what no message holds.

        It is on disk at once. The own other devices hear of it when it has rested for ten seconds, with the next thing
        that goes out and a minute later at most; one of more than 8 KiB stays here.
        """
        if len(text.encode()) > MAX_TEXT:
            raise TooLarge
        now_ms = int(self._clock() * 1000)
        await self._arrange(chat, lambda db, one: chats.draft(db, one.id, text, now_ms), wake=not text)

    async def drop_draft(self, chat: str, text: str) -> None:
        """Take a draft back that has been sent, unless it is another text by now."""
        now_ms = int(self._clock() * 1000)
        await self._arrange(chat, lambda db, one: chats.drop_draft(db, one.id, text, now_ms))

    async def _arrange(self, name: str, change: Callable[[Db, Chat], None], *, wake: bool = True) -> None:
        def work(db: Db) -> None:
            change(db, naming.chat(db, name, own_number(db)))

        await self._opened.store.transact(work)
        if wake:
            with suppress(NotRegistered):
                self._changed()
