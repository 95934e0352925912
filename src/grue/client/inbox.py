"""What arrives: envelopes of the intro mailbox and of conversations, each batch in one transaction, then acknowledged.

Whatever the bytes are, they are read once: junk is counted and passed over, so that it can hold nothing up.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Final

from msgspec.structs import replace

from grue._core import MlsError, MlsSession
from grue.client import directory as own_directory
from grue.client import rows
from grue.client.context import Context, load_account, save_account
from grue.client.store import Db
from grue.errors import GrueError, NotAGrueServer, Refused
from grue.protocol import wire
from grue.protocol.contents import IntroSms, IntroWelcome
from grue.protocol.conversation import (
    READING,
    SENDING,
    Conversation,
    ConversationEvent,
    ConversationState,
    Step,
    become,
    confirm,
    preferred,
    supersede,
)
from grue.protocol.directory_sync import Current
from grue.protocol.fallback import Route
from grue.protocol.first_contact import Invited, accept, invited, open_intro
from grue.protocol.follow import Follower, ask_resync
from grue.protocol.lookup import Found, check_transcript
from grue.protocol.mailbox import ReaderState, met
from grue.protocol.smsseal import open_sms

log: Final = logging.getLogger("grue.client")

ANSWERS_BY_ITSELF: Final = SENDING | {ConversationState.LOST, ConversationState.SUPERSEDED, ConversationState.FORKED}
"""With a conversation in one of these we have agreed to hear from the other side: a new one needs no request."""


class Inbox:
    """Reads deliveries into the store. Returns only after everything is committed."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._unconfirmed: set[bytes] = set()

    async def confirm(self) -> bool:
        """Queue a receipt for each conversation in which something new was read: one, however much it was."""
        unconfirmed, self._unconfirmed = self._unconfirmed, set()
        for conversation in unconfirmed:
            await self._context.store.transact(self._confirm, conversation)
        return bool(unconfirmed)

    def _confirm(self, db: Db, conversation_id: bytes) -> None:
        found = rows.conversation_by_id(db, conversation_id)
        if found is None:
            return
        conversation, chat = found
        session = MlsSession(rows.mls_entries(db, b"s", rows.group_prefix(conversation.id)))
        receipt = confirm(session, conversation, self._context.tools)
        if receipt is not None:
            self._context.save(db, chat, Step(conversation, [receipt]), session)

    # --- polling ----------------------------------------------------------------------------------

    async def poll_conversations(self) -> None:
        """Fetch all that waits in the conversations that can be read. Raises NetworkError."""
        for conversation, _ in await self._context.store.read(rows.reading_conversations):
            if conversation.log.state is ReaderState.READING:
                await self._poll_conversation(conversation)

    async def poll_intro(self) -> None:
        """Fetch all that waits in the intro mailbox. Raises NetworkError."""
        more = True
        while more:
            account = await self._context.store.read(load_account)
            fetched = await self._fetch(account.intro_mailbox, account.intro_read_key, account.intro_cursor)
            await self.intro(fetched.incarnation, fetched.envelopes)
            more = bool(fetched.envelopes) and fetched.envelopes[-1].seq < fetched.head

    async def _poll_conversation(self, conversation: Conversation) -> None:
        more = True
        while more:
            fetched = await self._fetch(conversation.log.mailbox, conversation.read_key, conversation.log.cursor)
            after = await self.conversation(conversation.log.mailbox, fetched.incarnation, fetched.envelopes)
            if after is None or after.state not in READING:
                return
            more = bool(fetched.envelopes) and after.log.cursor < fetched.head
            conversation = after

    async def _fetch(self, mailbox: bytes, read_key: bytes, after: int) -> wire.Fetched:
        answer = await self._context.transport.anonymous(wire.Fetch(mailbox, read_key, after))
        if not isinstance(answer, wire.Fetched):
            raise NotAGrueServer
        return answer

    async def _ack(self, mailbox: bytes, read_key: bytes, seq: int) -> None:
        # Only the server's store depends on it, so its refusal must not stop what is read here.
        with suppress(Refused):
            await self._context.transport.anonymous(wire.Ack(mailbox, read_key, seq))

    # --- the intro mailbox ------------------------------------------------------------------------

    async def intro(self, incarnation: bytes, deliveries: Sequence[wire.Delivery], acknowledge: bool = True) -> int:
        """Store what came to the intro mailbox; returns the seq to acknowledge, and does so when asked."""
        current = await self._fresh_directory() if deliveries else None
        cursor = 0
        for delivery in deliveries:
            cursor = await self._context.store.transact(self._intro_one, current, incarnation, delivery)
        if cursor and acknowledge:
            account = self._context.account
            await self._ack(account.intro_mailbox, account.intro_read_key, cursor)
        return cursor

    async def _fresh_directory(self) -> Current | None:
        # A newcomer's record may be seconds old. Without the directory a number just stays unverified.
        try:
            return await self._context.directory.current()
        except GrueError:
            return None

    def _intro_one(self, db: Db, current: Current | None, incarnation: bytes, delivery: wire.Delivery) -> int:
        account = load_account(db)
        if account.intro_incarnation not in (b"", incarnation):
            account = replace(account, intro_cursor=0)
        save_account(db, replace(account, intro_cursor=delivery.seq, intro_incarnation=incarnation))
        if rows.first_sight(db, delivery.envelope, self._context.now_ms):
            db.execute("SAVEPOINT intro")
            try:
                self._intro_payload(db, current, delivery)
            except (GrueError, MlsError) as error:
                db.execute("ROLLBACK TO intro")
                log.info("an intro envelope was passed over: %s", type(error).__name__)
            db.execute("RELEASE intro")
        return delivery.seq

    def _intro_payload(self, db: Db, current: Current | None, delivery: wire.Delivery) -> None:
        payload = open_intro(delivery.blob)
        if isinstance(payload, IntroSms):
            self._sms(db, payload)
        else:
            self._welcome(db, current, payload)

    def _sms(self, db: Db, payload: IntroSms) -> None:
        account = self._context.account
        sms = open_sms(account.sms_secret, account.server_public, account.number, payload.sealed)
        chat = rows.chat_for_number(db, sms.sender)
        message = sha256(payload.sealed).digest()[:16]
        rows.add_incoming(db, chat.id, b"", message, sms.text, Route.SMS, sms.received)

    def _welcome(self, db: Db, current: Current | None, payload: IntroWelcome) -> None:
        known = [conversation for conversation, _ in rows.conversations_in(db, ConversationState)]
        lost = [rows.group_prefix(c.id) for c in known if c.state is ConversationState.LOST]
        session = MlsSession(rows.mls_entries(db, b"s", b"k", *lost))
        result = invited(session, self._context.account.me, payload, known, self._context.tools)
        chat = self._chat(db, current, result)
        rows.mark_encrypted(db, chat.id, result.device_list.number)
        if result.superseded is not None:
            rows.save_conversation(db, result.superseded, chat.id)
        step = self._settle(db, chat.id, result, known)
        self._context.save(db, chat.id, step, session)

    def _chat(self, db: Db, current: Current | None, result: Invited) -> rows.Chat:
        """The chat of whoever invites: under the claimed number only when the directory says it is theirs."""
        identity = result.device_list.identity_public
        before = rows.chat_of_identity(db, identity)
        if before is not None and before.number == result.number:
            return before
        by_number = rows.chat_of_number(db, result.number)
        taken = by_number is not None and by_number.identity not in (b"", identity)
        if not taken and self._owns_number(db, current, result):
            return rows.bind_chat(db, result.number, identity)
        return rows.chat_for_identity(db, identity, result.number)

    def _owns_number(self, db: Db, current: Current | None, result: Invited) -> bool:
        if current is None or result.transcript is None:
            return False
        identity, now = result.device_list.identity_public, int(self._context.clock())
        try:
            found = check_transcript(
                current, result.number, identity, result.transcript, lambda tag: own_directory.find(db, tag), now
            )
        except GrueError:
            return False
        return isinstance(found, Found)

    def _settle(self, db: Db, chat: int, result: Invited, known: Sequence[Conversation]) -> Step:
        """Accept by itself what continues a conversation; of two groups for one pair leave the one not preferred."""
        step, tools = result.step, self._context.tools
        same = [c for c in known if c.peer == step.conversation.peer and c.id != step.conversation.id]
        if not result.again and not any(c.state in ANSWERS_BY_ITSELF for c in same):
            return step
        accepted = accept(step.conversation, tools)
        step.conversation, step.outgoing = accepted.conversation, accepted.outgoing
        rivals = [c for c in same if c.state in SENDING and c.id != getattr(result.superseded, "id", None)]
        best = preferred([step.conversation, *rivals])
        for rival in rivals:
            if rival is not best:
                rows.save_conversation(db, supersede(rival, tools), chat)
        if best is not step.conversation:
            step.conversation = supersede(step.conversation, tools)
        return step

    # --- conversations ----------------------------------------------------------------------------

    async def conversation(
        self, mailbox: bytes, incarnation: bytes, deliveries: Sequence[wire.Delivery], acknowledge: bool = True
    ) -> Conversation | None:
        """Store what came to a conversation's mailbox, and acknowledge; None when it is not ours (any more)."""
        after = await self._context.store.transact(self._follow, mailbox, incarnation, deliveries)
        if after is not None and after.read_key and deliveries and acknowledge:
            await self._ack(mailbox, after.read_key, after.log.cursor)
        return after

    def _follow(
        self, db: Db, mailbox: bytes, incarnation: bytes, deliveries: Sequence[wire.Delivery]
    ) -> Conversation | None:
        found = rows.conversation_by_mailbox(db, mailbox)
        if found is None or found[0].state not in READING:
            return None
        conversation, chat = found
        conversation = replace(conversation, log=met(conversation.log, incarnation))
        entries = rows.mls_entries(db, b"s", rows.group_prefix(conversation.id))
        follower = Follower(
            entries=entries,
            me=self._context.account.me,
            tools=self._context.tools,
            posted=lambda envelope: rows.was_posted(db, envelope),
            hash_at=lambda seq: rows.hash_at(db, conversation.id, seq),
        )
        step, changes = follower.follow(conversation, deliveries)
        if any(incoming.sender == conversation.peer for incoming in step.incoming):
            self._unconfirmed.add(conversation.id)
        rows.save_mls(db, changes)
        self._context.save(db, chat, step)
        if step.conversation.state is ConversationState.LOST:
            self._recover(db, chat, step)
        return step.conversation

    def _recover(self, db: Db, chat: int, step: Step) -> None:
        """Lost by a commit: ask for a resync. Lost by our own state: the next message is a new first contact."""
        if step.start_over:
            return
        session = MlsSession(rows.mls_entries(db, b"s", b"k", rows.group_prefix(step.conversation.id)))
        asked = ask_resync(session, step.conversation, self._context.account.me, self._context.tools)
        self._context.save(db, chat, asked, session)


def expire(db: Db, context: Context, older_than_ms: int) -> None:
    """Leave superseded conversations whose time has passed."""
    for conversation, chat in rows.conversations_in(db, {ConversationState.SUPERSEDED}):
        if context.now_ms - conversation.since > older_than_ms:
            rows.save_conversation(db, become(conversation, ConversationEvent.EXPIRED), chat)
