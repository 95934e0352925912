"""The outbox: requests in final bytes, sent in order, again and again until the server has answered.

Each conversation is a lane: a request that has to wait holds up its own lane only. A time-out is no answer, so the
same bytes go again; a refusal is an answer, and what it means depends on what the request was for.
"""

import asyncio
from collections.abc import Sequence

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

TOGETHER = frozenset({Purpose.SAY, Purpose.RECEIPT})
"""Requests that need no answer before the next one of their lane goes out on the same socket."""

Outcome = wire.AnonymousAnswer | GrueError


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
            while ready := _ready(await self._context.store.read(rows.queued), held):
                outcomes = await asyncio.gather(*(self._ask(queued) for queued in ready))
                pairs = list(zip(ready, outcomes, strict=True))
                # Not waiting for the disk: what a power cut undoes is sent again, as the same bytes.
                await self._context.store.note(self._settle, pairs)
                held |= {queued.conversation for queued, outcome in pairs if isinstance(outcome, MailboxFull)}
                _raise_network(outcomes)

    async def _ask(self, queued: Queued) -> Outcome:
        try:
            return await self._context.transport.anonymous(wire.ANONYMOUS_REQUEST.decode(queued.request))
        except GrueError as error:
            return error

    def _settle(self, db: Db, pairs: Sequence[tuple[Queued, Outcome]]) -> None:
        for queued, outcome in pairs:
            if not isinstance(outcome, GrueError):
                self._answered(db, queued, outcome)
            elif isinstance(outcome, Refused) and not isinstance(outcome, MailboxFull):
                self._refused(db, queued)

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
        self.opened |= queued.purpose in (Purpose.FOUND, Purpose.EXCHANGE)

    def _introduced(self, db: Db, conversation_id: bytes) -> None:
        found = rows.conversation_by_id(db, conversation_id)
        if found is not None and found[0].state is ConversationState.FOUNDED:
            rows.save_conversation(db, become(found[0], ConversationEvent.POSTED), found[1])

    def _reading(self, db: Db, conversation_id: bytes, cursor: int) -> None:
        found = rows.conversation_by_id(db, conversation_id)
        if found is not None:
            rows.save_conversation(db, slot_exchanged(found[0], cursor), found[1])

    def _refused(self, db: Db, queued: Queued) -> None:
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


def _ready(waiting: Sequence[Queued], held: set[bytes]) -> list[Queued]:
    """What may go out now: the head of each lane, and what follows it as long as none needs the answer before it."""
    ready: list[Queued] = []
    begun: set[bytes] = set()
    closed = set(held)
    for queued in waiting:
        lane, alone = queued.conversation, queued.purpose not in TOGETHER
        if lane not in closed and not (alone and lane in begun):
            ready.append(queued)
        begun.add(lane)
        if alone:
            closed.add(lane)
    return ready


def _raise_network(outcomes: Sequence[Outcome]) -> None:
    """Raise what is no word of the server on one request: no answer, or one that makes no sense."""
    for outcome in outcomes:
        if isinstance(outcome, GrueError) and (isinstance(outcome, NetworkError) or not isinstance(outcome, Refused)):
            raise outcome
