"""Send and fetch, once: through a relay for each conversation by itself, else for all of them together."""

from dataclasses import dataclass
from functools import partial

from grue.client.context import Context
from grue.client.conversations import apart, profiles, sync, tables
from grue.client.conversations.groups import GroupChanges
from grue.client.conversations.inbox import Inbox
from grue.client.conversations.messenger import Messenger
from grue.client.conversations.outbox import Outbox
from grue.client.conversations.own_devices import OwnDevices
from grue.client.store.engine import Db
from grue.errors import NotPermitted


@dataclass(frozen=True)
class Parts:
    """What reads and writes the conversations of one client."""

    context: Context
    inbox: Inbox
    outbox: Outbox
    messenger: Messenger
    groups: GroupChanges
    own: OwnDevices

    async def send(self) -> None:
        """Send all that is queued or intended. Raises NetworkError; what could not go stays.

        Through a relay that takes up to a minute, unless there is nothing.
        """
        spread = self.context.transport.spread
        if not spread:
            # Most often there is nothing, and one look says so.
            if await self.context.store.read(_waits, self.context.now_ms):
                await self.own.tell()
                await self.messenger.resume()
                await self.outbox.flush()
            return
        await self.own.tell()
        chats = await self.messenger.chats_to_write_in()
        lanes = {queued.conversation for queued in await self.context.store.read(tables.queued)}
        writing = [partial(self.messenger.resume, chat) for chat in chats]
        await apart.each(spread, [*writing, *(partial(self.outbox.flush, lane) for lane in lanes)])

    async def answer(self) -> None:
        """Do what was asked at our intro mailbox: readmit who has lost track, let in who has a link. NetworkError."""
        await self.inbox.resyncs.answer()
        await self.groups.admit()

    async def send_of(self, chat: int) -> None:
        """Send what is queued or intended in one chat, at once. Raises NetworkError."""
        await self.messenger.resume(chat)
        for conversation in await self.context.store.read(tables.readable_of, chat):
            await self.outbox.flush(conversation.id)

    async def fetch(self) -> None:
        """Send what is queued, fetch what waits, and confirm it. Raises NetworkError.

        Through a relay that takes up to a minute, in which each conversation has one moment for all of that.
        """
        if not self.context.transport.spread:
            await self._fetch_together()
            await self.look_after()
            return
        await self.own.tell()
        await self.inbox.poll_intro()
        await self.inbox.ask_again()
        chats = await self.messenger.chats_to_write_in()
        reading = {found.id for found, _ in await self.context.store.read(tables.reading_conversations)}
        lanes = {queued.conversation for queued in await self.context.store.read(tables.queued)}
        writing = [partial(self.messenger.resume, chat) for chat in chats]
        all_of_it = [*writing, *(partial(self._fetch_one, one) for one in reading | lanes)]
        await apart.each(self.context.transport.spread, all_of_it)
        await self.look_after()
        await self.groups.admit()

    async def tell(self) -> None:
        """Tell the own other devices what changed here, at once unless that shows whose all of it is."""
        if not self.context.transport.spread and await self.context.store.read(sync.waits, self.context.now_ms):
            await self.own.tell()
            own = await self.context.store.read(sync.own_group)
            await self.outbox.flush(b"" if own is None else own.id)

    async def look_after(self) -> None:
        """Add and remove own devices where that is due; through a relay in each conversation by itself."""
        spread = self.context.transport.spread
        if not spread:
            await self.own.look_after()
            return
        due = await self.own.due()
        await apart.each(spread, [partial(self.own.try_to_bring, one) for one in due])

    async def turn(self, conversation: bytes) -> None:
        """Confirm what was read in a conversation, and send what is queued there."""
        await self.inbox.confirm(conversation)
        await self.outbox.flush(conversation)

    async def _fetch_one(self, conversation: bytes) -> None:
        await self.outbox.flush(conversation)
        before = self.outbox.opened
        await self.inbox.catch_up_in(conversation)
        await self.turn(conversation)
        if self.outbox.opened != before:
            # Where a group has moved to meanwhile.
            await self.inbox.catch_up_in(conversation)
            await self.turn(conversation)

    async def _fetch_together(self) -> None:
        await self.send()
        try:
            await self.inbox.poll_intro()
        except NotPermitted:
            # This device was removed: what the others have said of that is in their group.
            await self.inbox.poll_conversations()
            raise
        # What came may have been accepted by itself, and can be read once that is said.
        await self.send()
        before = self.outbox.opened
        await self.inbox.poll_conversations()
        await self.send()
        if self.outbox.opened != before:
            # Where a group has moved to meanwhile.
            await self.inbox.poll_conversations()
        await self.inbox.ask_again()
        await self.groups.admit()
        await self.inbox.confirm()
        await self.send()


def _waits(db: Db, now_ms: int) -> bool:
    """Whether there is anything to send, to tell or to encrypt."""
    return bool(tables.queued(db)) or sync.waits(db, now_ms) or any(profiles.to_say(db))
