"""The outbox sends stored requests in order, as the same bytes again and again, until the server has answered.

Each conversation is a lane: a request that has to wait holds up its own lane only. A time-out is no answer, so the
same bytes go again. Only what the server says of this very request settles it: `VERDICTS`; anything else, such as a
full disk there or a proxy's page of HTML, leaves it queued.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final, cast

from msgspec.structs import replace

from grue.client.context import Context
from grue.client.conversations import steps, tables
from grue.client.conversations.tables import Kind, Queued
from grue.client.store.engine import Db
from grue.errors import (
    GrueError,
    LimitReached,
    MailboxConflict,
    MailboxFull,
    NoSuchMailbox,
    NotPermitted,
    TokenNeeded,
    TooLarge,
)
from grue.protocol import wire
from grue.protocol.conversation.conversation import (
    COMMITS,
    MAX_OWN,
    ConversationEvent,
    ConversationState,
    Purpose,
    Step,
    announce,
    become_if,
)
from grue.protocol.conversation.delivery import MessageEvent, MessageState
from grue.protocol.conversation.first_contact import slot_exchanged
from grue.protocol.conversation.follow import refused_commit

VERDICTS: Final = (NoSuchMailbox, NotPermitted, MailboxConflict, TooLarge)
"""What the server can say of one request that trying again will not change."""

MUST_FIT: Final = frozenset({Purpose.CHANGE, Purpose.PART, Purpose.FAREWELL})
"""Posts that spend a token where the mailbox is full: without them a conversation cannot go on, or be left."""

TOGETHER: Final = frozenset({Purpose.SAY, Purpose.RECEIPT})
"""Requests that need no answer before the next one of their lane goes out on the same socket."""

Outcome = wire.AnonymousAnswer | GrueError

Waiting = tuple[list[Queued], set[bytes], MessageState | None]
"""What can be sent next, the conversations in which something that must fit waits, next or later, and what became of
the message that was asked for.
"""


class Outbox:
    """Sends what is queued. Several processes may do so at once: every request is idempotent.

    give_up  called, in the transaction, for a conversation whose mailbox is gone or does not know us
    """

    def __init__(self, context: Context, give_up: Callable[[Db, bytes], None]) -> None:
        self._context = context
        self._give_up = give_up
        self._one_flush: defaultdict[bytes, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._renewed = 0
        """The day on which what waits was last looked through for texts that are too old."""
        self.opened = 0
        """How many mailboxes can be read by now that could not before."""

    async def flush(self, lane: bytes | None = None, message: bytes = b"") -> MessageState | None:
        """Send everything that can go now. Raises NetworkError when the server does not answer; the rest is kept.

        What a limit keeps back stays as well, without holding up other lanes: that is raised for nobody.

        lane  a conversation: through a relay, where two lanes in one moment show that one client has both, only what
              waits there is sent; None: all of it
        message  whose state then is returned
        """
        only = lane if self._context.transport.spread else None
        async with self._one_flush[only or b""]:
            if (today := self._context.now_ms // tables.DAY_MS) != self._renewed:
                await self._context.store.transact(steps.renew_old, today)
                self._renewed = today
            held: set[bytes] = set()
            open_lanes: set[bytes] = set()
            waiting, must_fit, state = await self._context.store.read(_waiting, only, message)
            while ready := _ready(waiting, held, open_lanes):
                paying = must_fit | {queued.conversation for queued in waiting if _must_fit(queued)}
                outcomes = await asyncio.gather(*(self._ask(one, one.conversation in paying) for one in ready))
                pairs = list(zip(ready, outcomes, strict=True))
                # Not waiting for the disk: what a power cut undoes is sent again, as the same bytes.
                settled = await self._context.store.note(self._settle, pairs, only, message)
                waiting, must_fit, state = settled
                for queued, outcome in pairs:
                    lanes = held if isinstance(outcome, GrueError) and not isinstance(outcome, VERDICTS) else open_lanes
                    lanes.add(queued.conversation)
                _raise_other(outcomes)
            return state

    async def _ask(self, queued: Queued, pays: bool) -> Outcome:
        """`pays` for a place in what a mailbox keeps of itself, if there is no other."""
        request, is_post = wire.ANONYMOUS_REQUEST.decode(queued.request), queued.kind is not Kind.OTHER
        try:
            try:
                return await self._context.tokens.ask(request)
            except TokenNeeded:
                if not is_post:
                    raise
                return await self._context.tokens.pay(cast("wire.Post", request)) if pays else MailboxFull()
        except LimitReached as error:
            # Of posts that wait for room, nothing that holds up other lanes.
            return MailboxFull() if is_post else error
        except GrueError as error:
            return error

    def _settle(self, db: Db, pairs: Sequence[tuple[Queued, Outcome]], lane: bytes | None, message: bytes) -> Waiting:
        """Note what the server said, and return what waits now."""
        for queued, outcome in pairs:
            if not isinstance(outcome, GrueError):
                self._answered(db, queued, outcome)
            elif isinstance(outcome, VERDICTS) and tables.dequeue(db, queued.n):
                self._refused(db, queued, outcome)
        return _waiting(db, lane, message)

    def _answered(self, db: Db, queued: Queued, answer: wire.AnonymousAnswer) -> None:
        if not tables.dequeue(db, queued.n):
            return
        if queued.message:
            # 0 is an invitation's, which is in no log.
            seq = max(1, answer.seq) if isinstance(answer, wire.Posted) and queued.purpose is Purpose.SAY else 0
            steps.acknowledged(db, queued.message, queued.conversation, seq, self._context.now_ms)
        if isinstance(answer, wire.Posted) and queued.kind is not Kind.OTHER:
            self._posted(db, queued, answer.seq)
        if queued.purpose is Purpose.INTRODUCE:
            self._introduced(db, queued.conversation)
        elif isinstance(answer, wire.Reading):
            self._reading(db, queued.conversation, answer.cursor)
        self.opened += queued.purpose in (Purpose.START, Purpose.EXCHANGE)

    def _posted(self, db: Db, queued: Queued, seq: int) -> None:
        """Ours is what has this seq, should it never be met in the log."""
        found = tables.conversation_by_id(db, queued.conversation)
        if found is not None and seq > found[0].log.cursor:
            own, pending = [*found[0].own, seq][-MAX_OWN:], found[0].pending
            if pending is not None and pending.envelope == queued.envelope:
                pending = replace(pending, seq=seq)
            tables.save_conversation(db, replace(found[0], own=own, pending=pending), found[1])

    def _introduced(self, db: Db, conversation_id: bytes) -> None:
        found = tables.conversation_by_id(db, conversation_id)
        if found is not None and found[0].state is ConversationState.STARTED:
            tables.save_conversation(db, become_if(found[0], ConversationEvent.POSTED), found[1])

    def _reading(self, db: Db, conversation_id: bytes, cursor: int) -> None:
        found = tables.conversation_by_id(db, conversation_id)
        if found is not None:
            conversation, chat = slot_exchanged(found[0], cursor), found[1]
            session = self._context.sessions.open(db, conversation_id)
            joined = Step(conversation, announce(session, conversation, self._context.tools))
            steps.save(self._context, db, chat, joined, session)

    def _refused(self, db: Db, queued: Queued, verdict: GrueError) -> None:
        if queued.purpose in COMMITS:
            self._commit_refused(db, queued)
        if queued.purpose in (Purpose.LEAVE, Purpose.RESYNC, Purpose.JOIN) or self._is_of_group(db, queued):
            return
        if queued.message and (queued.purpose is Purpose.INTRODUCE or isinstance(verdict, TooLarge)):
            # The account is gone, or the text can never go: the sender has to know.
            steps.fire(db, queued.message, MessageEvent.REFUSED)
        if not isinstance(verdict, TooLarge):
            # Other texts are not lost with the mailbox: they go out in the conversation that takes its place.
            self._give_up(db, queued.conversation)

    def _is_of_group(self, db: Db, queued: Queued) -> bool:
        """An invitation to a group, whose account is gone: the others go on, and an admin can remove it."""
        found = tables.conversation_by_id(db, queued.conversation)
        return queued.purpose is Purpose.INTRODUCE and found is not None and found[0].group is not None

    def _commit_refused(self, db: Db, queued: Queued) -> None:
        found = tables.conversation_by_id(db, queued.conversation)
        if found is None or found[0].pending is None or found[0].pending.envelope != queued.envelope:
            return
        conversation, chat = found
        session = self._context.sessions.open(db, conversation.id)
        steps.save(self._context, db, chat, refused_commit(session, conversation), session)


def _waiting(db: Db, lane: bytes | None, message: bytes) -> Waiting:
    waiting = tables.queued(db, lane)
    state = tables.message_state(db, message) if message else None
    return waiting, tables.lanes_with(db, MUST_FIT) if waiting else set(), state


def _must_fit(queued: Queued) -> bool:
    """Whether a conversation cannot go on without this: a group changes, or a device is to be, or is, readmitted.

    What waits before it goes first, and so is paid for too. Texts alone wait until the other side has read: they would
    only fill up what is kept for this, and use up what first contacts cost.
    """
    return queued.kind is Kind.READMISSION or queued.purpose in MUST_FIT


def _ready(waiting: Sequence[Queued], held: set[bytes], open_lanes: set[bytes]) -> list[Queued]:
    """What may go out now: of each lane its head, and more behind it once the server has taken one of that lane."""
    ready: list[Queued] = []
    sent: dict[bytes, int] = {}
    closed = set(held)
    for queued in waiting:
        lane, alone = queued.conversation, queued.purpose not in TOGETHER
        most = tables.AT_ONCE if lane in open_lanes and not alone else 1
        if lane not in closed and sent.get(lane, 0) < most:
            ready.append(queued)
            sent[lane] = sent.get(lane, 0) + 1
        else:
            closed.add(lane)
        if alone:
            closed.add(lane)
    return ready


def _raise_other(outcomes: Sequence[Outcome]) -> None:
    """Raise what says nothing about the requests: no answer, or a trouble of the server's own."""
    for outcome in outcomes:
        if isinstance(outcome, GrueError) and not isinstance(outcome, (*VERDICTS, MailboxFull, LimitReached)):
            raise outcome
