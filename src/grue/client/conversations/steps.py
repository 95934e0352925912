"""Steps of the state machines of conversations and messages are written here, inside the caller's transaction."""

from collections.abc import Sequence

from grue._core import MlsSession
from grue.client import chats
from grue.client.context import Context
from grue.client.conversations import profiles, tables
from grue.client.store.engine import Db, as_bytes
from grue.client.store.entries import group_prefix, mls_entries, save_mls
from grue.protocol.conversation.changing import drained
from grue.protocol.conversation.conversation import (
    READING,
    Conversation,
    ConversationEvent,
    ConversationState,
    Incoming,
    Notice,
    Outgoing,
    Purpose,
    Read,
    Step,
    become,
    become_if,
)
from grue.protocol.conversation.delivery import EXPIRED_AFTER_MS, TABLE, MessageEvent, MessageState
from grue.protocol.conversation.fallback import Route
from grue.protocol.conversation.holes import owe
from grue.protocol.states import advance
from grue.protocol.wire import ENVELOPE_DAYS, RemoveReader


def save(context: Context, db: Db, chat: int, step: Step, session: MlsSession | None = None) -> None:
    """Write all of a step, and the MLS changes that belong to it."""
    conversation = step.conversation
    tables.save_conversation(db, conversation, chat)
    if step.moved:
        # What waits for room where the others were must not keep us from where they are: texts go out again there.
        tables.drop_posts(db, conversation.id)
    if step.new_epoch:
        # Of a commit that another one has beaten.
        db.execute("DELETE FROM outbox WHERE conversation = ? AND purpose = ?", conversation.id, Purpose.PART.value)
    for outgoing in step.outgoing:
        tables.enqueue(db, conversation.id, outgoing, context.now_ms)
        if outgoing.message:
            db.execute(
                "UPDATE message SET conversation = ?, envelope = ? WHERE id = ? AND incoming = 0",
                *(conversation.id, outgoing.envelope, outgoing.message),
            )
    for incoming in step.incoming:
        save_incoming(db, chat, context.account.identity_public, incoming, conversation.id)
    tables.keep_parts(db, conversation.id, step.parts, afresh=step.new_epoch or conversation.state not in READING)
    if step.hashes:
        tables.keep_hashes(db, conversation.id, step.hashes)
    for identity in step.readmitted:
        tables.note_readmitted(db, identity, context.now_ms)
    for envelope, seq in step.echoes.items():
        db.execute("UPDATE message SET met = ? WHERE envelope = ? AND incoming = 0", seq, envelope)
    for first, last in step.holes:
        # It may have been there, and has expired since: then the server's word is all that there is.
        db.execute(
            "UPDATE message SET met = seq WHERE conversation = ? AND incoming = 0 AND met = 0 AND seq BETWEEN ? AND ?",
            *(conversation.id, first, last),
        )
    for one in step.read:
        note_read(db, conversation, chat, one)
    if step.moved:
        # After what was said of the log before: in the new mailbox seqs begin anew.
        tables.forget_log(db, conversation.id)
    if step.resend or step.moved:
        intend_again(db, conversation.id, chat)
    for sender, profile in step.profiles:
        if sender == context.account.identity_public:
            profiles.adopt(db, conversation.id, profile)
        else:
            profiles.keep(db, sender, profile)
    if step.moved or step.changes or step.unintroduced:
        # Who has come does not have it; and what was on its way was dropped, or cannot be opened.
        profiles.send_anew(db, conversation.id)
    for group in step.changes:
        if chats.of_group(db, conversation.id) is not None:
            # That of the own devices is the chat with oneself.
            chats.for_group(db, conversation.id, group.name)
        # Nobody waits for the word of who is gone.
        _settle_confirmed(db, conversation, tables.unconfirmed_in(db, conversation.id))
    chats.notify(db, chat, step.notices)
    if session is not None:
        context.sessions.save(db, conversation.id, session)


def save_incoming(db: Db, chat: int, own_identity: bytes, incoming: Incoming, conversation: bytes) -> None:
    """Store a text that came, or that another device of ours said; once, however often it comes."""
    text = incoming.text
    if tables.blocked_as(db, incoming.sender.hex()) is not None:
        # In a group, where others are heard.
        return
    if incoming.sender == own_identity:
        # Another device of ours said it.
        if tables.message_state(db, text.id) is None:
            found = chats.by_id(db, chat)
            noted = found is not None and found.identity == own_identity
            state = MessageState.DELIVERED if noted else MessageState.SENT
            tables.add_own(db, chat, own_identity, text.id, text.text, Route.ENCRYPTED, text.sent, state, conversation)
            # Where it lies, so that what the others have read confirms it here as well.
            db.execute("UPDATE message SET seq = ?1, met = ?1 WHERE id = ?2 AND incoming = 0", incoming.seq, text.id)
            tables.attach(db, own_identity, text.id, text.attachment)
        return
    if tables.add_incoming(db, chat, incoming.sender, text.id, text.text, Route.ENCRYPTED, text.sent, conversation):
        tables.attach(db, incoming.sender, text.id, text.attachment)
    chats.mark_encrypted(db, chat)


def leave(context: Context, db: Db, chat: int, conversation: Conversation) -> None:
    """Leave the mailbox of a superseded conversation, and forget its keys."""
    tables.save_conversation(db, become(conversation, ConversationEvent.EXPIRED), chat)
    leaving = Outgoing(Purpose.LEAVE, RemoveReader(conversation.log.mailbox, conversation.read_key))
    tables.enqueue(db, conversation.id, leaving, context.now_ms)
    session = MlsSession(mls_entries(db, group_prefix(conversation.id)))
    session.delete(conversation.id)
    save_mls(db, session.changes())


def leave_drained(context: Context, db: Db, chat: int, conversation: Conversation) -> None:
    """Stop reading where a conversation has moved from, once that was long enough ago."""
    step = drained(conversation, context.now_ms)
    if step is not None:
        save(context, db, chat, step)


def fire(db: Db, message: bytes, event: MessageEvent) -> None:
    """Take a step of the message's state; one that the table does not have is no news and is left out."""
    state = tables.message_state(db, message)
    if state is not None and event in TABLE[state]:
        after = advance(TABLE, state, event)
        db.execute("UPDATE message SET state = ? WHERE id = ? AND incoming = 0", after.value, message)


def give_up_intent(db: Db, message: bytes) -> None:
    """A text that was to go out never does."""
    if tables.take_intent(db, message):
        fire(db, message, MessageEvent.REFUSED)


def acknowledged(db: Db, message: bytes, conversation: bytes, seq: int, now_ms: int) -> None:
    """The server says that it has it on disk, at this seq of its mailbox (0 for an intro mailbox)."""
    fire(db, message, MessageEvent.ACKNOWLEDGED)
    db.execute(
        "UPDATE message SET seq = ?, conversation = ?, acknowledged = ? WHERE id = ? AND incoming = 0",
        *(seq, conversation, now_ms, message),
    )


def note_read(db: Db, conversation: Conversation, chat: int, read: Read) -> None:
    """One of the others has read what it says, and what went ahead of the log as an invitation.

    CONVERSATION-20 That confirms what we have met in the log ourselves, or what would be where we have a hole. In a
    group a text is `delivered` once all others have confirmed it.
    """
    messages = tables.own_of(db, chat, read.texts) if read.texts else tables.covered(db, conversation.id, read)
    if conversation.group is None:
        for message in messages:
            fire(db, message, MessageEvent.READ)
        return
    for message in messages:
        tables.note_confirmed(db, message, read.reader)
    _settle_confirmed(db, conversation, messages)


def _settle_confirmed(db: Db, conversation: Conversation, messages: Sequence[bytes]) -> None:
    """Who has never said anything here has not come yet, so a text waits for the others' word."""
    here = {member.identity for member in conversation.members if member.heard}
    for message in messages:
        readers = tables.readers_of(db, message)
        if any(readers.values()) and all(done for identity, done in readers.items() if identity in here):
            fire(db, message, MessageEvent.READ)
            tables.forget_readers(db, message)


def intend_again(db: Db, conversation: bytes, chat: int) -> None:
    """Own texts of this conversation that nobody has confirmed go out again, under the same ids."""
    rows = db.rows(
        "SELECT id FROM message WHERE conversation = ? AND incoming = 0 AND state IN (?, ?)",
        *(conversation, MessageState.SENT.value, MessageState.QUEUED.value),
    )
    _intend(db, chat, [as_bytes(message) for (message,) in rows])


def _intend(db: Db, chat: int, messages: Sequence[bytes]) -> None:
    """These go out again; in a group unless somebody has come since, who must not read what was said before."""
    if not messages:
        return
    others = tables.others_in_group(db, chat)
    for message in messages:
        if not others <= tables.readers_of(db, message).keys():
            # What was sent stays sent, and is told as expired should nobody confirm it. What was not goes nowhere.
            fire(db, message, MessageEvent.REFUSED)
            continue
        db.execute(
            "UPDATE message SET state = 'queued', seq = 0, met = 0, conversation = x'', envelope = x''"
            " WHERE id = ? AND incoming = 0",
            message,
        )
        db.execute("DELETE FROM outbox WHERE message = ?", message)
        tables.intend(db, message, chat)


def renew_old(db: Db, today: int) -> None:
    """Encrypt texts anew whose final bytes wait for longer than the server knows ids, and so would take them twice.

    The other side may have read them, and would pass over the same bytes without a word.
    """
    for message, chat in tables.queued_texts(db, today - ENVELOPE_DAYS):
        _intend(db, chat, [message])


def intend_never_kept(context: Context, db: Db, conversation: Conversation, chat: int) -> None:
    """CONVERSATION-20 what the server has acknowledged for a place in the log where it is not goes out again.

    Call it when the log was read on. Unless it is so old that it has expired there: that is for its writer to decide.
    """
    rows = db.rows(
        "SELECT id FROM message WHERE conversation = ? AND incoming = 0 AND state = ?"
        " AND met = 0 AND seq BETWEEN 1 AND ? AND acknowledged > ?",
        *(conversation.id, MessageState.SENT.value, conversation.log.cursor, context.now_ms - EXPIRED_AFTER_MS),
    )
    _intend(db, chat, [as_bytes(message) for (message,) in rows])


def owe_all(db: Db, conversation_id: bytes) -> None:
    """Whoever wrote in this conversation was accepted, and is told what was read of it."""
    found = tables.conversation_by_id(db, conversation_id)
    if found is not None:
        tables.save_conversation(db, owe(found[0], tables.incoming_in(db, conversation_id)), found[1])


def expire(context: Context, db: Db, chat: int) -> None:
    """Own texts of a chat that nobody has confirmed for too long are `expired`, and their conversation is given up.

    CONVERSATION-17 Call it when the log was read to its head, since a confirmation may wait there. CONVERSATION-19 One
    whose confirmation may have expired itself, while we were away, goes out again under its id, in a conversation that
    is founded anew: who reads the one that it was in is not known.
    """
    unconfirmed = tables.unconfirmed(db, context.now_ms - EXPIRED_AFTER_MS, chat)
    # In a group there is no other conversation to say it in.
    conversations = [one for one in tables.conversations_of(db, chat) if one.group is None]
    missed = [one for one in unconfirmed if _may_have_missed(db, conversations, *one[1:])]
    unread = [one for one in unconfirmed if not any(tables.readers_of(db, one[1]).values())]
    overdue = [one for one in unconfirmed if one not in missed]
    for _, message, _, _ in missed:
        _intend(db, chat, [message])
    for _, message, _, _ in overdue:
        fire(db, message, MessageEvent.EXPIRED)
        tables.forget_readers(db, message)
    for conversation in {conversation for _, _, conversation, _ in unconfirmed}:
        invitation = any(of == conversation and not seq for _, _, of, seq in overdue)
        _give_up(db, chat, conversation, invitation=invitation)
    if any(one in unread for one in overdue):
        chats.notify(db, chat, [Notice.UNHEARD])


def _may_have_missed(db: Db, conversations: Sequence[Conversation], message: bytes, said_in: bytes, seq: int) -> bool:
    """Whether a confirmation of an own text may be among what was never seen here, as behind a commit that lost us."""
    acknowledged = tables.acknowledged_at(db, message)
    lost = any(c.id == said_in and c.state is ConversationState.LOST for c in conversations)
    return lost or any(c.unseen >= acknowledged and (c.id != said_in or c.unseen_seq > seq) for c in conversations)


def _give_up(db: Db, chat: int, conversation_id: bytes, *, invitation: bool) -> None:
    found = tables.conversation_by_id(db, conversation_id)
    if found is None or found[0].group is not None:
        # Of a group some have read it, and nobody can found another one.
        return
    conversation = become_if(found[0], ConversationEvent.UNCONFIRMED)
    tables.save_conversation(db, conversation, chat)
    if invitation and not conversation.heard:
        # Nobody joined by it, so nobody can read what followed it either.
        for message in tables.unconfirmed_in(db, conversation_id):
            fire(db, message, MessageEvent.EXPIRED)


def intend_elsewhere(db: Db, chat: int, to: int) -> None:
    """Own texts of a chat that nobody has confirmed go out again in another one, under the same ids."""
    for message in tables.unconfirmed_of(db, chat):
        db.execute(
            "UPDATE message SET chat = ?, state = 'queued', seq = 0, met = 0, conversation = x'', envelope = x''"
            " WHERE id = ? AND incoming = 0",
            *(to, message),
        )
        db.execute("DELETE FROM outbox WHERE message = ?", message)
        db.execute("DELETE FROM intent WHERE message = ?", message)
        tables.intend(db, message, to)
