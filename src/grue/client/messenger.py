"""Sending: which way a message goes, and what has to be stored before anything leaves.

A message to somebody we have a conversation with is encrypted at once and queued. For anybody else the number is
looked up first; SMS follows only from a proven absence and the sender's consent (`grue.protocol.fallback`).
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from grue._core import MlsSession
from grue.client import rows
from grue.client.account import signed
from grue.client.context import Context
from grue.client.directory import LookedUp, find
from grue.client.outbox import Outbox
from grue.client.rows import Chat
from grue.client.store import Db
from grue.errors import (
    ForkedLog,
    KeyChanged,
    NetworkError,
    NoSuchChat,
    NotAGrueServer,
    Refused,
    RouteUnknown,
    SmsMayHaveGone,
    TimedOut,
    TooLarge,
    UsageError,
)
from grue.protocol import wire
from grue.protocol.contents import MAX_TEXT, Text
from grue.protocol.conversation import (
    Conversation,
    ConversationState,
    preferred,
    say,
    supersede,
    update,
    update_due,
)
from grue.protocol.delivery import MessageEvent, MessageState
from grue.protocol.fallback import Route, decide
from grue.protocol.first_contact import Peer, accept, check_claimed, found
from grue.protocol.lookup import Found
from grue.protocol.numbers import parse, region_of
from grue.protocol.record import Record, derive, open_record

ME: Final = "me"
"""Send to this to keep a note for oneself."""

CHAT_PREFIX: Final = "chat:"
"""Names a chat by its id: the only way to a chat whose number is not verified."""

GIVEN_UP: Final = frozenset({ConversationState.LOST, ConversationState.FORKED})
"""A conversation in one of these is replaced when the next message founds another."""

SMS_EVENTS: Final = {
    MessageState.UNKNOWN: MessageEvent.ANSWER_LOST,
    MessageState.SUBMITTED: MessageEvent.SUBMITTED,
    MessageState.DELIVERED: MessageEvent.RECEIPT_DELIVERED,
    MessageState.FAILED: MessageEvent.RECEIPT_FAILED,
}


@dataclass(frozen=True)
class Sent:
    """What became of a message so far."""

    id: str
    route: Route
    state: MessageState


class Messenger:
    """Sends messages for one client."""

    def __init__(self, context: Context, outbox: Outbox) -> None:
        self._context = context
        self._outbox = outbox

    async def send(self, to: str, text: str, *, sms: bool = False, accept_key: bool = False) -> Sent:
        """Send one text to a number, a chat or `me`; returns when it is stored, and sent if the server answers.

        sms         the sender agrees to SMS, should the number be proved not to be on Grue
        accept_key  the sender has checked with the contact, and goes on with a new key or after a fork
        Raises Refused (consent, limits), NetworkError (nothing was stored), VerificationFailed, UsageError.
        """
        if not text:
            raise UsageError("There is nothing to send.")
        if len(text.encode()) > MAX_TEXT:
            raise TooLarge
        if to == ME:
            return await self._note(text)
        number = to if to.startswith(CHAT_PREFIX) else parse(to, region_of(self._context.account.number))
        if not accept_key:
            message = await self._context.store.transact(self._to_known, number, text)
            if message is not None:
                return await self._flushed(message)
        if number.startswith(CHAT_PREFIX):
            number = await self._context.store.read(_number_of, number)
        return await self._first(number, text, sms, accept_key)

    def _to_known(self, db: Db, to: str, text: str) -> bytes | None:
        """Queue for the conversation that there is; None when there is none.

        CONVERSATION-11 the directory's copy here does not name another identity for the contact's number (KeyChanged).
        CONVERSATION-12 no two histories were seen (ForkedLog): nothing is sent before the user says so.
        """
        chat = chat_named(db, to, "") if to.startswith(CHAT_PREFIX) else rows.chat_of_number(db, to)
        if chat is None or not chat.identity:
            return None
        record = _known_record(db, chat.number)
        if record is not None and record.identity_public != chat.identity:
            raise KeyChanged
        message = self._say(db, chat.id, text)
        if message is None and any(c.state is ConversationState.FORKED for c in rows.conversations_of(db, chat.id)):
            raise ForkedLog
        return message

    # --- to a conversation that is there ----------------------------------------------------------

    def _say(self, db: Db, chat: int, text: str) -> bytes | None:
        """Encrypt and queue, accepting a request when there is one; None when a first contact is needed."""
        conversation = self._sendable(db, chat)
        if conversation is None:
            return None
        message = self._context.random(16)
        session = MlsSession(rows.mls_entries(db, b"s", rows.group_prefix(conversation.id)))
        said = Text(message, text, self._context.now_ms)
        step = say(session, conversation, said, self._context.tools)
        self._keep_own(db, chat, message, text, conversation.id)
        self._context.save(db, chat, step, session)
        if update_due(step.conversation, self._context.now_ms):
            session = MlsSession(rows.mls_entries(db, b"s", rows.group_prefix(conversation.id)))
            self._context.save(db, chat, update(session, step.conversation, self._context.tools), session)
        return message

    def _sendable(self, db: Db, chat: int) -> Conversation | None:
        conversations = rows.conversations_of(db, chat)
        best = preferred(conversations)
        requests = [c for c in conversations if c.state is ConversationState.REQUESTED]
        if best is None and requests:
            step = accept(requests[-1], self._context.tools)
            self._context.save(db, chat, step)
            return step.conversation
        return best

    def _keep_own(self, db: Db, chat: int, message: bytes, text: str, conversation: bytes = b"") -> None:
        own = self._context.account.identity_public
        rows.add_own(
            db, chat, own, message, text, Route.ENCRYPTED, self._context.now_ms, MessageState.QUEUED, conversation
        )
        rows.mark_encrypted(db, chat)

    async def _flushed(self, message: bytes) -> Sent:
        """Try to send what is queued; when the server does not answer, it stays queued."""
        with suppress(NetworkError):
            await self._outbox.flush()
        state = await self._context.store.read(rows.message_state, message)
        if state is MessageState.REFUSED:
            raise Refused("The server does not take messages for this contact any more.")
        return Sent(message.hex(), Route.ENCRYPTED, state or MessageState.QUEUED)

    # --- to a number ------------------------------------------------------------------------------

    async def _first(self, number: str, text: str, sms: bool, accept_key: bool) -> Sent:
        (looked_up,) = await self._context.directory.lookup([number])
        encrypted_before = await self._context.store.read(_encrypted_before, number)
        if looked_up.error is not None:
            raise looked_up.error
        route = decide(looked_up.route, consent=sms, encrypted_before=encrypted_before)
        if route is Route.SMS:
            return await self._sms(number, text)
        return await self._first_contact(looked_up, text, accept_key)

    async def _first_contact(self, looked_up: LookedUp, text: str, accept_key: bool) -> Sent:
        if not isinstance(looked_up.result, Found):
            raise RouteUnknown
        record = looked_up.result.record
        message = await self._context.store.transact(self._intend, looked_up.number, record, text, accept_key)
        try:
            await self.resume()
        except NetworkError:
            return Sent(message.hex(), Route.ENCRYPTED, MessageState.QUEUED)
        return await self._flushed(message)

    def _intend(self, db: Db, number: str, record: Record, text: str, accept_key: bool) -> bytes:
        if number == self._context.account.number:
            raise UsageError("That is your own number; send to `me` instead.")
        chat = rows.chat_of_number(db, number)
        if chat and chat.identity not in (b"", record.identity_public) and not accept_key:
            raise KeyChanged
        chat = rows.bind_chat(db, number, record.identity_public)
        # Their request may have come meanwhile, or the identity may be known under another number.
        queued = self._say(db, chat.id, text)
        if queued is not None:
            return queued
        message = self._context.random(16)
        self._keep_own(db, chat.id, message, text)
        db.execute("INSERT INTO intent (message, number) VALUES (?, ?)", message, number)
        return message

    async def resume(self) -> None:
        """Make the first contacts that were intended and not made yet. Raises NetworkError."""
        for message, number in await self._context.store.read(_intents):
            try:
                await self._make_contact(message, number)
            except NetworkError:
                raise
            except Exception:
                await self._context.store.transact(_give_up, message)
                raise

    async def _make_contact(self, message: bytes, number: str) -> None:
        record = await self._context.store.read(_known_record, number)
        if record is None:
            raise RouteUnknown
        claimed = await self._context.transport.anonymous(wire.Claim(record.intro_mailbox))
        if not isinstance(claimed, wire.Claimed):
            raise NotAGrueServer
        known_number = await self._context.store.read(_list_number, number)
        peer = check_claimed(claimed, record.identity_public, record.device_list_hash, known_number)
        await self._context.store.transact(self._found, message, number, peer)

    def _found(self, db: Db, message: bytes, number: str, peer: Peer) -> None:
        row = db.row("SELECT text, sent FROM message WHERE id = ? AND incoming = 0", message)
        chat = rows.chat_of_number(db, number)
        if not db.execute("DELETE FROM intent WHERE message = ?", message) or row is None or chat is None:
            return
        text = Text(message, str(row[0]), int(str(row[1])))
        there = self._sendable(db, chat.id)
        if there is not None:
            # An earlier intent, or their invitation, has made the conversation meanwhile.
            session = MlsSession(rows.mls_entries(db, b"s", rows.group_prefix(there.id)))
            self._context.save(db, chat.id, say(session, there, text, self._context.tools), session)
            return
        lost = [c for c in rows.conversations_of(db, chat.id) if c.state in GIVEN_UP]
        session = MlsSession(rows.mls_entries(db, b"s"))
        replaces = lost[-1].id if lost else b""
        step = found(session, self._context.account.me, peer, text, self._context.tools, replaces=replaces)
        for conversation in lost:
            rows.save_conversation(db, supersede(conversation, self._context.tools), chat.id)
        self._context.save(db, chat.id, step, session)
        rows.mark_encrypted(db, chat.id, peer.devices.number)

    # --- SMS and notes ----------------------------------------------------------------------------

    async def _sms(self, number: str, text: str) -> Sent:
        """Hand an SMS to the server's gateway, once. A lost answer is `unknown`, and stays so until a receipt."""
        if len(text) > wire.MAX_SMS:
            raise TooLarge("An SMS holds less than an encrypted message.")
        message = self._context.random(16)
        await self._context.store.transact(self._keep_sms, number, message, text)
        request = wire.SendSms(message, self._context.account.number, number, text)
        try:
            answer = await signed(self._context, request, wire.SmsState)
        except (TimedOut, SmsMayHaveGone):
            await self._context.store.transact(rows.fire, message, MessageEvent.ANSWER_LOST)
            raise SmsMayHaveGone from None
        except Exception:
            await self._context.store.transact(rows.fire, message, MessageEvent.REFUSED)
            raise
        await self._context.store.transact(self._sms_state, answer)
        state = await self._context.store.read(rows.message_state, message)
        if state is None or state is MessageState.UNKNOWN:
            raise SmsMayHaveGone
        return Sent(message.hex(), Route.SMS, state)

    def _keep_sms(self, db: Db, number: str, message: bytes, text: str) -> None:
        chat = rows.chat_for_number(db, number)
        own = self._context.account.identity_public
        rows.add_own(db, chat.id, own, message, text, Route.SMS, self._context.now_ms, MessageState.SUBMITTING)

    def _sms_state(self, db: Db, answer: wire.SmsState) -> None:
        if answer.state in SMS_EVENTS:
            rows.fire(db, answer.id, SMS_EVENTS[MessageState(answer.state)])

    async def ask_sms(self) -> None:
        """Ask what became of SMS whose last word has not been heard."""
        waiting = await self._context.store.read(rows.open_sms)
        if not waiting:
            return
        answer = await signed(self._context, wire.AskSms(waiting[-64:]), wire.SmsStates)
        for state in answer.states:
            await self._context.store.transact(self._sms_state, state)

    async def _note(self, text: str) -> Sent:
        message = self._context.random(16)
        await self._context.store.transact(self._keep_note, message, text)
        return Sent(message.hex(), Route.ENCRYPTED, MessageState.DELIVERED)

    def _keep_note(self, db: Db, message: bytes, text: str) -> None:
        own = self._context.account
        chat = rows.bind_chat(db, own.number, own.identity_public)
        rows.add_own(
            db, chat.id, own.identity_public, message, text, Route.ENCRYPTED, self._context.now_ms,
            MessageState.DELIVERED,
        )  # fmt: skip


def _number_of(db: Db, name: str) -> str:
    chat = chat_named(db, name, "")
    return chat.number or chat.claimed


def chat_named(db: Db, name: str, own_number: str) -> Chat:
    """The chat of a number, of `me`, or `chat:ID`. Raises NoSuchChat, NotANumber."""
    if name.startswith(CHAT_PREFIX):
        digits = name.removeprefix(CHAT_PREFIX)
        chat = rows.chat_by_id(db, int(digits)) if digits.isdecimal() and len(digits) < 18 else None
    else:
        number = own_number if name == ME else parse(name, region_of(own_number))
        chat = rows.chat_of_number(db, number)
    if chat is None:
        raise NoSuchChat
    return chat


def _encrypted_before(db: Db, number: str) -> bool:
    chat = rows.chat_of_number(db, number)
    return chat is not None and chat.encrypted


def _list_number(db: Db, number: str) -> int:
    chat = rows.chat_of_number(db, number)
    return chat.list_number if chat is not None else 0


def _intents(db: Db) -> list[tuple[bytes, str]]:
    pairs = db.rows(
        "SELECT intent.message, number FROM intent JOIN message ON message.id = intent.message AND incoming = 0"
        " ORDER BY message.n"
    )
    return [(message, str(number)) for message, number in pairs if isinstance(message, bytes)]


def _give_up(db: Db, message: bytes) -> None:
    db.execute("DELETE FROM intent WHERE message = ?", message)
    rows.fire(db, message, MessageEvent.REFUSED)


def _known_record(db: Db, number: str) -> Record | None:
    """A number's record in the copy here, when the number was looked up before; however old the copy is."""
    row = db.row("SELECT output FROM evaluation WHERE number = ? ORDER BY oprf_epoch DESC LIMIT 1", number)
    if row is None or not isinstance(row[0], bytes):
        return None
    key = derive(row[0])
    sealed = find(db, key.tag)
    return None if sealed is None else open_record(sealed, key)
