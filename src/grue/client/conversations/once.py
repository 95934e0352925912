"""Send and fetch, once: through a relay for each conversation by itself, else for all of them together."""

from dataclasses import dataclass
from functools import partial

from grue.client.context import Context
from grue.client.conversations import apart, tables
from grue.client.conversations.groups import GroupChanges
from grue.client.conversations.inbox import Inbox
from grue.client.conversations.messenger import Messenger
from grue.client.conversations.outbox import Outbox


@dataclass(frozen=True)
class Parts:
    """What reads and writes the conversations of one client."""

    context: Context
    inbox: Inbox
    outbox: Outbox
    messenger: Messenger
    groups: GroupChanges

    async def send(self) -> None:
        """Send all that is queued or intended. Raises NetworkError; what could not go stays.

        Through a relay that takes up to a minute, unless there is nothing.
        """
        spread = self.context.transport.spread
        if not spread:
            await self.messenger.resume()
            await self.outbox.flush()
            return
        chats = await self.messenger.chats_to_write_in()
        lanes = {queued.conversation for queued in await self.context.store.read(tables.queued)}
        writing = [partial(self.messenger.resume, chat) for chat in chats]
        await apart.each(spread, [*writing, *(partial(self.outbox.flush, lane) for lane in lanes)])

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
            return
        await self.inbox.poll_intro()
        await self.inbox.ask_again()
        chats = await self.messenger.chats_to_write_in()
        reading = {found.id for found, _ in await self.context.store.read(tables.reading_conversations)}
        lanes = {queued.conversation for queued in await self.context.store.read(tables.queued)}
        writing = [partial(self.messenger.resume, chat) for chat in chats]
        all_of_it = [*writing, *(partial(self._fetch_one, one) for one in reading | lanes)]
        await apart.each(self.context.transport.spread, all_of_it)

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
        await self.inbox.poll_intro()
        # What came may have been accepted by itself, and can be read once that is said.
        await self.send()
        before = self.outbox.opened
        await self.inbox.poll_conversations()
        await self.send()
        if self.outbox.opened != before:
            # Where a group has moved to meanwhile.
            await self.inbox.poll_conversations()
        await self.inbox.ask_again()
        await self.inbox.confirm()
        await self.send()
