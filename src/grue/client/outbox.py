"""The outbox: requests in final bytes, sent in order, again and again until the server has answered.

Each conversation is a lane: a request that has to wait holds up its own lane only. A time-out is no answer, so the
same bytes go again; a refusal is an answer, and what it means depends on what the request was for.
"""

import asyncio

from grue._core import MlsSession
from grue.client import rows
from grue.client.context import Context
from grue.client.rows import Queued
from grue.client.store import Db
from grue.errors import GrueError, MailboxFull, NetworkError, Refused
from grue.protocol import wire
from grue.protocol.conversation import ConversationEvent, ConversationState, Purpose, become
from grue.protocol.delivery import MessageEvent
from grue.protocol.first_contact import slot_exchanged
from grue.protocol.follow import refused_commit


class Outbox:
    """Sends what is queued. Several processes may do so at once: every request is idempotent."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._one_flush = asyncio.Lock()
        self.opened = False
        """A mailbox can be read now that could not before."""

    async def flush(self) -> None:
        """Send everything that can go now. Raises NetworkError when the server does not answer; the rest is kept."""
        async with self._one_flush:
            held: set[bytes] = set()
            while waiting := [q for q in await self._context.store.read(rows.queued) if q.conversation not in held]:
                for queued in waiting:
                    if queued.conversation not in held and not await self._send(queued):
                        held.add(queued.conversation)

    async def _send(self, queued: Queued) -> bool:
        """False when this lane has to wait."""
        request = wire.ANONYMOUS_REQUEST.decode(queued.request)
        try:
            answer = await self._context.transport.anonymous(request)
        except MailboxFull:
            return False
        except NetworkError:
            raise
        except GrueError as error:
            await self._context.store.transact(self._refused, queued, error)
        else:
            await self._context.store.transact(self._answered, queued, answer)
            self.opened |= queued.purpose in (Purpose.FOUND, Purpose.EXCHANGE)
        return True

    def _answered(self, db: Db, queued: Queued, answer: wire.AnonymousAnswer) -> None:
        if not rows.dequeue(db, queued.n):
            return
        if queued.message:
            seq = answer.seq if isinstance(answer, wire.Posted) and queued.purpose is Purpose.SAY else 0
            rows.acknowledged(db, queued.message, queued.conversation, seq)
        if queued.purpose is Purpose.INTRODUCE:
            self._introduced(db, queued.conversation)
        elif isinstance(answer, wire.Reading):
            self._reading(db, queued.conversation, answer.cursor)

    def _introduced(self, db: Db, conversation_id: bytes) -> None:
        found = rows.conversation_by_id(db, conversation_id)
        if found is not None and found[0].state is ConversationState.FOUNDED:
            rows.save_conversation(db, become(found[0], ConversationEvent.POSTED), found[1])

    def _reading(self, db: Db, conversation_id: bytes, cursor: int) -> None:
        found = rows.conversation_by_id(db, conversation_id)
        if found is not None:
            rows.save_conversation(db, slot_exchanged(found[0], cursor), found[1])

    def _refused(self, db: Db, queued: Queued, error: GrueError) -> None:
        if not isinstance(error, Refused):
            # Not the server's word on this request: it stays queued.
            raise error
        if not rows.dequeue(db, queued.n):
            return
        if queued.message:
            rows.fire(db, queued.message, MessageEvent.REFUSED)
        if queued.purpose is Purpose.COMMIT:
            self._commit_refused(db, queued)

    def _commit_refused(self, db: Db, queued: Queued) -> None:
        found = rows.conversation_by_id(db, queued.conversation)
        if found is None or found[0].pending is None or found[0].pending.envelope != queued.envelope:
            return
        conversation, chat = found
        session = MlsSession(rows.mls_entries(db, b"s", rows.group_prefix(conversation.id)))
        self._context.save(db, chat, refused_commit(session, conversation), session)
