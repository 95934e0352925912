"""The messenger decides which way a message goes, and stores all that is needed before anything leaves.

An encrypted message is first an *intent*: its text, stored. It is encrypted when the conversation's log has been read
to its head, so that a state that went back is noticed before its keys are used twice. For a number without a
conversation a lookup comes first; SMS follows only from a proven absence and the sender's consent
(`grue.protocol.conversation.fallback`).
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from grue._core import MlsSession
from grue.client import chats, verified
from grue.client.chats import ME, PERSON_PREFIX, SMS_PREFIX, Chat
from grue.client.context import Context, load_account
from grue.client.conversations import (
    apart,
    naming,
    own_devices,
    personlinks,
    profiles,
    reaching,
    requests,
    steps,
    sync,
    tables,
)
from grue.client.conversations.inbox import Inbox
from grue.client.conversations.outbox import Outbox
from grue.client.lookup.directory import record_before
from grue.client.signing import signed
from grue.client.store.engine import Db
from grue.client.store.entries import mls_entries
from grue.errors import (
    BadRequest,
    Blocked,
    ContactGone,
    EncryptedContact,
    ForkedLog,
    GrueError,
    KeyChanged,
    LimitReached,
    NetworkError,
    NoSuchChat,
    NotInGroup,
    NotPermitted,
    OnlyAdmins,
    Refused,
    RouteUnknown,
    SmsGatewayDown,
    SmsMayHaveGone,
    SmsRejected,
    SmsThrottled,
    SmsUnavailable,
    TooLarge,
    Unreachable,
    UsageError,
    VerificationFailed,
)
from grue.protocol import wire
from grue.protocol.conversation.commits import update, update_due
from grue.protocol.conversation.contents import MAX_TEXT, Attachment
from grue.protocol.conversation.conversation import (
    GIVEN_UP,
    READING,
    TABLE,
    Conversation,
    ConversationEvent,
    ConversationState,
    Notice,
    Step,
    preferred,
    say,
    supersede,
)
from grue.protocol.conversation.delivery import EXPIRED_AFTER_MS, MessageEvent, MessageState
from grue.protocol.conversation.fallback import Route, decide
from grue.protocol.conversation.first_contact import Peer, accept_all, start_conversation
from grue.protocol.conversation.groups import may_write
from grue.protocol.directory.lookup import Found
from grue.protocol.directory.record import Record
from grue.protocol.links import is_link

NO_FILE_BY_SMS: Final = "This number is not on Grue, or not to be found, and an SMS carries no file."

YOURSELF: Final = "That is yourself; send to `me` instead."

SMS_EVENTS: Final = {
    MessageState.UNKNOWN: MessageEvent.ANSWER_LOST,
    MessageState.SUBMITTED: MessageEvent.SUBMITTED,
    MessageState.DELIVERED: MessageEvent.RECEIPT_DELIVERED,
    MessageState.FAILED: MessageEvent.RECEIPT_FAILED,
}

NOBODY_THERE: Final = (KeyChanged, ContactGone, RouteUnknown, NoSuchChat)
"""What says that trying again finds nobody to send to, unlike a full disk at the server."""

SMS_NOT_SENT: Final = (
    *(SmsGatewayDown, SmsThrottled, SmsRejected, SmsUnavailable),
    *(LimitReached, NotPermitted, TooLarge, BadRequest, Unreachable),
)
"""What the server says, or a connection that was never made: the SMS did not go. After anything else it may have."""


@dataclass(frozen=True)
class Said:
    """What one message holds."""

    text: str
    attachment: Attachment | None = None


Intended = tuple[bytes, int, bool]
"""A text that is stored: its id, its chat, and whether it was encrypted."""


@dataclass(frozen=True)
class Sent:
    """What became of a message so far."""

    id: str
    route: Route
    state: MessageState


class Messenger:
    """Sends messages for one client."""

    def __init__(self, context: Context, inbox: Inbox, outbox: Outbox) -> None:
        self._context = context
        self._inbox = inbox
        self._outbox = outbox

    async def send(
        self, to: str, text: str, *, attachment: Attachment | None = None, sms: bool = False, accept_key: bool = False
    ) -> Sent:
        """Send one message to a number, a chat or `me`; returns when it is stored, and sent if the server answers.

        attachment  uploaded already; with one the text may be empty
        sms         the sender agrees to SMS, should it be proved that the number is not on Grue, or not to be found
        accept_key  the sender has checked with the contact, and goes on with a new key or after a fork
        Raises Refused (consent, limits), NetworkError (nothing was stored), VerificationFailed, UsageError.
        """
        if not text and attachment is None:
            raise UsageError("There is nothing to send.")
        if len(text.encode()) > MAX_TEXT:
            raise TooLarge
        if to == ME:
            return await self._note(text, attachment)
        said = Said(text, attachment)
        target, known = await self._context.store.transact(
            self._intend_at_once, await self._named(to), said, accept_key
        )
        if known is None:
            with suppress(GrueError):
                # What is wrong is said when it stands in the way of this message.
                await self._look_around(target)
            known = await self._context.store.transact(self._intend_for, target, said, accept_key)
        if known is not None:
            message, chat, encrypted = known
            return await (self._flushed(message) if encrypted else self._carried_out(message, chat))
        if target.startswith(chats.PREFIXES):
            return await self._to_unverified(target, said, accept_key)
        return await self._to_number(target, said, sms, accept_key)

    async def check_takes_files(self, to: str) -> None:
        """Say no before anything is uploaded. Raises UsageError, NoSuchChat, and what a lookup raises."""
        if to == ME:
            raise UsageError("A note to yourself carries no file.")
        target = await self._context.store.transact(self._target, await self._named(to))
        if target.startswith(chats.PREFIXES):
            await self._context.store.read(_chat_of, target)
        elif not await self._context.store.read(chats.encrypted_before, target):
            looked_up = await reaching.look_up(self._context, target)
            if not isinstance(looked_up.result, Found):
                raise UsageError(NO_FILE_BY_SMS)

    async def _named(self, to: str) -> str:
        """The same; of a link, the name of whom it is of, who is known from now on."""
        return (await self._context.store.transact(personlinks.learn, self._context, to)).name if is_link(to) else to

    def _target(self, db: Db, to: str) -> str:
        """An id, or a number as E.164. Raises AmbiguousName, NoSuchChat, NotANumber."""
        target = naming.target(db, to, self._context.account.number, to_write=True)
        if target.startswith(SMS_PREFIX):
            raise NoSuchChat
        if target == chats.person(self._context.account.identity_public):
            raise UsageError(YOURSELF)
        if target.startswith(PERSON_PREFIX):
            naming.person(db, target)
        return target

    # --- what nobody confirmed --------------------------------------------------------------------

    async def expire(self) -> None:
        """Tell of own texts that nobody has confirmed for `EXPIRED_AFTER_MS`, and give their conversations up.

        Raises NetworkError, or StaleDirectory while the own clock does not fit the server's signed one.
        """
        until = self._context.now_ms - EXPIRED_AFTER_MS
        overdue = await self._context.store.read(tables.unconfirmed, until)
        chats_overdue = {chat for chat, _, _, _ in overdue}
        each_chat = [partial(self._try_to_expire, chat) for chat in chats_overdue]
        await apart.each(self._context.transport.spread, each_chat)

    async def _try_to_expire(self, chat: int) -> None:
        with suppress(Refused, VerificationFailed):
            # It is tried again with the next look, or message to them: it must not end what receives.
            await self._expire(chat)

    async def _look_around(self, target: str) -> None:
        """Before a message to somebody known: who has the number now, and whether the last one was heard."""
        chat, overdue = await self._context.store.read(_overdue, target, self._context.now_ms - EXPIRED_AFTER_MS)
        if chat is None or not chat.identity:
            return
        with suppress(GrueError):
            await self._context.directory.freshen()
        if overdue:
            await self._expire(chat.id)

    async def _expire(self, chat: int) -> None:
        await self._context.directory.current()
        await self._inbox.catch_up(chat)
        await self._context.store.transact(partial(steps.expire, self._context), chat)

    # --- intents ----------------------------------------------------------------------------------

    def _intend_at_once(self, db: Db, to: str, said: Said, accept_key: bool) -> tuple[str, Intended | None]:
        """Who is meant; and the text is stored, unless something is to be looked for before: most often not."""
        target = self._target(db, to)
        chat, overdue = _overdue(db, target, self._context.now_ms - EXPIRED_AFTER_MS)
        if chat is None or overdue or not self._context.directory.is_fresh:
            return target, None
        return target, self._intend_known(db, chat, said, accept_key)

    def _intend_for(self, db: Db, target: str, said: Said, accept_key: bool) -> Intended | None:
        return self._intend_known(db, _chat_of(db, target), said, accept_key)

    def _intend_known(self, db: Db, chat: Chat | None, said: Said, accept_key: bool) -> Intended | None:
        """Store the text for a contact with a conversation; None when there is none that can be sent to.

        CONVERSATION-11 the directory's copy here names no other identity for the contact's number (KeyChanged), and has
        not lost its record (ContactGone).
        CONVERSATION-12 the own devices were shown one history (ForkedLog): nothing is sent before the user says so.
        """
        _check_not_blocked(db, chat)
        if chat is not None and chat.group:
            self._check_may_write(db, chat)
            return self._keep_and_say(db, chat.id, said, tables.conversations_of(db, chat.id))
        if chat is None or not chat.identity or chat.identity == self._context.account.identity_public:
            return None
        record = record_before(db, chat.number)
        changed = isinstance(record, Record) and record.identity_public != chat.identity
        reaching.check_not_gone(db, chat, record, accept_key)
        if changed and not accept_key:
            raise verified.key_changed(db, chat.identity)
        conversations = tables.conversations_of(db, chat.id)
        sendable = preferred(conversations) or any(c.state is ConversationState.REQUESTED for c in conversations)
        if not sendable and not accept_key and any(c.state is ConversationState.FORKED for c in conversations):
            raise ForkedLog
        if not sendable or changed:
            return None
        return self._keep_and_say(db, chat.id, said, conversations)

    def _check_may_write(self, db: Db, chat: Chat) -> None:
        """Raises NotInGroup, NotPermitted."""
        found = tables.conversation_by_id(db, chat.group)
        if found is None or found[0].state not in READING | {ConversationState.REQUESTED, ConversationState.LOST}:
            raise NotInGroup
        if not may_write(found[0].group, self._context.account.identity_public):
            raise OnlyAdmins
        if not found[0].members:
            raise UsageError("Nobody else is in this group.")

    def _keep_and_say(self, db: Db, chat: int, said: Said, conversations: Sequence[Conversation]) -> Intended:
        """Store the text; and encrypt it at once, when nothing is before it and the log is known to be at its head."""
        best = preferred(conversations)
        if best is None or not self._inbox.is_fresh(best.log.mailbox) or tables.intended(db, chat):
            return self._keep_own(db, chat, said), chat, False
        message = self._keep(db, chat, said)
        self._say_in(db, best, message, chat)
        return message, chat, True

    def _keep_own(self, db: Db, chat: int, said: Said) -> bytes:
        """Store the text, to be encrypted later."""
        message = self._keep(db, chat, said)
        tables.intend(db, message, chat)
        return message

    def _keep(self, db: Db, chat: int, said: Said) -> bytes:
        message, own = self._context.random(16), self._context.account.identity_public
        tables.add_own(db, chat, own, message, said.text, Route.ENCRYPTED, self._context.now_ms, MessageState.QUEUED)
        tables.attach(db, own, message, said.attachment)
        chats.mark_encrypted(db, chat, by_us=True)
        return message

    async def resume(self, only: int | None = None) -> None:
        """Carry out what was intended, or what was in one chat, and say who we are; through a relay, send that at once.

        Raises NetworkError; what cannot go for another reason is marked as refused.
        """
        refused: set[int] = set()
        intended, owed = await self._context.store.read(profiles.to_say, only)
        for message, chat in intended:
            if chat not in refused:
                try:
                    await self._carry_out(message, chat)
                    if only is not None:
                        await self._outbox.flush(await self._context.store.read(tables.said_in, message))
                except (Refused, VerificationFailed):
                    refused.add(chat)
        if intended:
            # Some of it went along.
            owed = await self._context.store.read(profiles.owed, only)
        for conversation, chat in owed:
            with suppress(Refused, VerificationFailed):
                await self._inbox.catch_up(chat)
                await self._context.store.transact(self._introduce, conversation)
                if only is not None:
                    await self._outbox.flush(conversation)

    async def chats_to_write_in(self) -> set[int]:
        """The chats in which `resume` has something to say."""
        intended, owed = await self._context.store.read(profiles.to_say)
        return {chat for _, chat in [*intended, *owed]}

    def _introduce(self, db: Db, conversation_id: bytes) -> None:
        found = tables.conversation_by_id(db, conversation_id)
        if found is not None:
            session = self._context.sessions.open(db, conversation_id)
            outgoing = profiles.along(db, session, found[0], self._context)
            steps.save(self._context, db, found[1], Step(found[0], [*outgoing]), session)

    async def _carried_out(self, message: bytes, chat: int) -> Sent:
        """Carry out this intent after earlier ones of its chat, and send.

        What stays queued was not refused, whatever the server said: it goes when the server takes it.
        """
        for intent, _ in await self._context.store.read(tables.intended, chat):
            try:
                await self._carry_out(intent, chat)
            except GrueError:
                if await self._context.store.read(tables.is_intended, intent):
                    break
                if intent == message:
                    raise
        return await self._flushed(message)

    async def _flushed(self, message: bytes) -> Sent:
        """Send what is queued, and say what became of this message."""
        state = None
        with suppress(GrueError):
            # Stored and queued: what the server says now, such as that its disk is full, is no word on this message.
            spread = self._context.transport.spread
            lane = await self._context.store.read(tables.said_in, message) if spread else None
            state = await self._outbox.flush(lane, message)
        if state is None:
            state = await self._context.store.read(tables.message_state, message)
        if state is MessageState.REFUSED:
            raise Refused("The server does not take messages for this contact any more.")
        return Sent(message.hex(), Route.ENCRYPTED, state or MessageState.QUEUED)

    async def _carry_out(self, message: bytes, chat: int) -> None:
        await self._inbox.catch_up(chat)
        if await self._context.store.transact(self._say, message, chat):
            return
        if await self._context.store.read(_is_group, chat):
            # It goes when we can follow the group again.
            await self._context.store.transact(self._give_up_if_out, message, chat)
            return
        try:
            peer, by_number = await reaching.claim(self._context, chat)
        except NetworkError:
            raise
        except (Refused, VerificationFailed) as error:
            await self._context.store.transact(_give_up, message, isinstance(error, NOBODY_THERE))
            raise
        await self._context.store.transact(self._start_conversation, message, chat, peer, by_number)

    def _give_up_if_out(self, db: Db, message: bytes, chat: int) -> None:
        """A text for a group that we are not in any more goes nowhere."""
        if all(conversation.state is ConversationState.GONE for conversation in tables.conversations_of(db, chat)):
            steps.give_up_intent(db, message)

    # --- encrypted --------------------------------------------------------------------------------

    def _say(self, db: Db, message: bytes, chat: int) -> bool:
        """Encrypt and queue, accepting requests; False when there is no conversation to send to."""
        conversation = self._sendable(db, chat)
        if conversation is None:
            return False
        if tables.take_intent(db, message):
            self._say_in(db, conversation, message, chat)
        return True

    def _say_in(self, db: Db, conversation: Conversation, message: bytes, chat: int) -> None:
        """Encrypt and queue a text that is stored."""
        text = tables.own_text(db, message)
        if text is None:
            return
        session = self._context.sessions.open(db, conversation.id)
        step = say(session, conversation, text, self._context.tools)
        step.outgoing += profiles.along(db, session, conversation, self._context)
        if conversation.group is not None:
            tables.mean_for(db, message, conversation.others)
        if update_due(step.conversation, self._context.now_ms):
            renewed = update(session, step.conversation, self._context.tools)
            step.conversation = renewed.conversation
            step.outgoing += renewed.outgoing
        steps.save(self._context, db, chat, step, session)

    def _sendable(self, db: Db, chat: int) -> Conversation | None:
        conversations = tables.conversations_of(db, chat)
        best = preferred(conversations)
        if best is not None:
            return best
        accepted = accept_all([c for c in conversations if c.state is ConversationState.REQUESTED], self._context.tools)
        chats.drop_notices(db, chat, Notice.INVITED)
        for step in accepted:
            steps.save(self._context, db, chat, step)
        for step in accepted[:-1]:
            # What goes out in the last one confirms that alone.
            steps.owe_all(db, step.conversation.id)
        return accepted[-1].conversation if accepted else None

    def _start_conversation(self, db: Db, message: bytes, chat: int, peer: Peer, by_number: bool) -> None:
        """Begin it with the oldest text that is to go out, and say the others in it, in the order of their writing.

        What nobody has confirmed in those that it takes the place of is among them, under its id. Who has never
        answered may see but the first one, as a request, and may have seen the old ones so: there the new one is first.
        """
        if self._say(db, message, chat):
            # Their invitation, or an earlier intent, has made the conversation meanwhile.
            return
        known = tables.conversations_of(db, chat)
        given_up = [c for c in known if c.state in GIVEN_UP]
        declined = [c for c in known if c.state is ConversationState.DECLINED]
        gone = [c for c in known if c.state is ConversationState.GONE]
        # They may still write in what we have turned down: named here, it is superseded there whatever its id.
        newest = max(given_up or declined or gone, key=lambda c: c.since, default=None)
        for conversation in given_up:
            steps.intend_again(db, conversation.id, chat)
        intents = [intent for intent, _ in tables.intended(db, chat)] or [message]
        if given_up and message in intents and not any(one.heard for one in given_up):
            intents.sort(key=lambda intent: intent != message)
        first, *others = intents
        text = tables.own_text(db, first)
        if text is None or not tables.take_intent(db, first):
            return
        session = MlsSession(mls_entries(db, b"s"))
        replaces = newest.id if newest else b""
        me, tools = load_account(db).me, self._context.tools
        # Who was reached without a number is not shown ours.
        me = me if by_number else me.unnumbered
        ticket = personlinks.ticket_for(db, peer.devices.identity_public)
        own = list(own_devices.packages_of(db, self._context.account).values())
        step = start_conversation(session, me, peer, text, tools, own, replaces, ticket=ticket)
        step.outgoing += profiles.along(db, session, step.conversation, self._context)
        for conversation in given_up:
            if ConversationEvent.SUPERSEDED in TABLE[conversation.state]:
                tables.save_conversation(db, supersede(conversation, self._context.tools), chat)
        requests.forget(db, [(one, chat) for one in declined])
        steps.save(self._context, db, chat, step, session)
        chats.mark_encrypted(db, chat, peer.devices.version, by_us=True)
        for other in others:
            self._say(db, other, chat)

    # --- to a number ------------------------------------------------------------------------------

    async def _to_unverified(self, name: str, said: Said, accept_key: bool) -> Sent:
        """A chat that is no conversation any more: a new one with the same identity, or nothing. Never SMS."""
        chat = await self._context.store.read(_chat_of, name)
        if chat is None or not chat.identity or accept_key:
            raise NotPermitted("(write to the number itself)")
        message = await self._context.store.transact(self._keep_own, chat.id, said)
        return await self._carried_out(message, chat.id)

    async def _to_number(self, number: str, said: Said, sms: bool, accept_key: bool) -> Sent:
        looked_up = await reaching.look_up(self._context, number)
        before = await self._context.store.read(chats.encrypted_before, number)
        if decide(looked_up.route, consent=sms, encrypted_before=before) is Route.SMS:
            if said.attachment is not None:
                raise UsageError(NO_FILE_BY_SMS)
            return await self._sms(number, said.text)
        if not isinstance(looked_up.result, Found):
            raise RouteUnknown
        record = looked_up.result.record
        message, chat = await self._context.store.transact(self._intend_number, number, record, said, accept_key)
        return await self._carried_out(message, chat)

    def _intend_number(self, db: Db, number: str, record: Record, said: Said, accept_key: bool) -> tuple[bytes, int]:
        if number == self._context.account.number:
            raise UsageError(YOURSELF)
        chat = chats.of_number(db, number)
        known = (chat and chat.identity) or verified.owner(db, number)
        if known not in (b"", record.identity_public) and not accept_key:
            raise verified.key_changed(db, known)
        before, chat = chat, chats.bind(db, number, record.identity_public)
        _check_not_blocked(db, chat)
        if before and before.identity not in (b"", record.identity_public):
            # Who it was meant for never had it: it went to what they have lost.
            steps.intend_elsewhere(db, before.id, chat.id)
        return self._keep_own(db, chat.id, said), chat.id

    # --- SMS and notes ----------------------------------------------------------------------------

    async def _sms(self, number: str, text: str) -> Sent:
        """Hand an SMS to the server's gateway, once. A lost answer is `unknown`, and stays so until a receipt."""
        if len(text) > wire.MAX_SMS:
            raise TooLarge("An SMS holds less than an encrypted message.")
        message = await self._context.store.transact(self._keep_sms, number, text)
        request = wire.SendSms(message, self._context.account.number, number, text)
        try:
            answer = await signed(self._context, request, wire.SmsState)
        except SMS_NOT_SENT:
            await self._context.store.transact(steps.fire, message, MessageEvent.REFUSED)
            raise
        except GrueError:
            await self._context.store.transact(steps.fire, message, MessageEvent.ANSWER_LOST)
            raise SmsMayHaveGone from None
        await self._context.store.transact(self._sms_state, answer)
        state = await self._context.store.read(tables.message_state, message)
        if state is None or state is MessageState.UNKNOWN:
            raise SmsMayHaveGone
        return Sent(message.hex(), Route.SMS, state)

    def _keep_sms(self, db: Db, number: str, text: str) -> bytes:
        if chats.encrypted_before(db, number):
            # Since it was looked up, another process has heard from them.
            raise EncryptedContact
        chat, message = chats.for_number(db, number), self._context.random(16)
        _check_not_blocked(db, chat)
        own = self._context.account.identity_public
        tables.add_own(db, chat.id, own, message, text, Route.SMS, self._context.now_ms, MessageState.SUBMITTING)
        return message

    def _sms_state(self, db: Db, answer: wire.SmsState) -> None:
        if answer.state in SMS_EVENTS:
            steps.fire(db, answer.id, SMS_EVENTS[MessageState(answer.state)])

    async def ask_sms(self) -> None:
        """Ask what became of SMS whose last word has not been heard."""
        waiting = await self._context.store.read(tables.open_sms)
        if not waiting:
            return
        answer = await signed(self._context, wire.AskSms(waiting), wire.SmsStates)
        for state in answer.states:
            await self._context.store.note(self._sms_state, state)

    async def _note(self, text: str, attachment: Attachment | None) -> Sent:
        if attachment is not None:
            raise UsageError("A note to yourself carries no file.")
        message = self._context.random(16)
        await self._context.store.transact(self._keep_note, message, text)
        return Sent(message.hex(), Route.ENCRYPTED, MessageState.DELIVERED)

    def _keep_note(self, db: Db, message: bytes, text: str) -> None:
        own, state = self._context.account, MessageState.DELIVERED
        chat = chats.bind(db, own.number, own.identity_public)
        tables.add_own(db, chat.id, own.identity_public, message, text, Route.ENCRYPTED, self._context.now_ms, state)
        if sync.own_group(db) is not None:
            sync.touch(db, sync.NOTE, message)


def _is_group(db: Db, chat: int) -> bool:
    found = chats.by_id(db, chat)
    return found is not None and bool(found.group)


def _check_not_blocked(db: Db, chat: Chat | None) -> None:
    """Raises Blocked."""
    if chat is not None and tables.blocked_as(db, chat.number, chat.identity.hex()) is not None:
        raise Blocked


def _overdue(db: Db, target: str, until_ms: int) -> tuple[Chat | None, bool]:
    """The chat, and whether something in it that the server has had since before was confirmed by nobody."""
    chat = _chat_of(db, target)
    return chat, chat is not None and bool(tables.unconfirmed(db, until_ms, chat.id))


def _chat_of(db: Db, target: str) -> Chat | None:
    """The chat that a target names; None when there is none of a number. Raises NoSuchChat."""
    chat = naming.chat_of(db, target)
    if chat is None and target.startswith(chats.PREFIXES):
        raise NoSuchChat
    return chat


def _give_up(db: Db, message: bytes, nobody_there: bool) -> None:
    """A text that the server had before is not refused: it waits, or is told as what nobody confirmed."""
    sent_before = tables.acknowledged_at(db, message) > 0
    if (nobody_there or not sent_before) and tables.take_intent(db, message):
        steps.fire(db, message, MessageEvent.EXPIRED if sent_before else MessageEvent.REFUSED)
