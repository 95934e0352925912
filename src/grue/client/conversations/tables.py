"""What the client stores, row by row: typed queries over `store.Db`, used inside transactions."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeVar, cast

import msgspec

from grue.client.store.engine import Db, Row, as_bytes, as_int, as_str
from grue.protocol import wire
from grue.protocol.conversation.contents import Attachment, Text
from grue.protocol.conversation.conversation import (
    READING,
    Conversation,
    ConversationState,
    Incoming,
    Notice,
    Outgoing,
    Purpose,
    Step,
)
from grue.protocol.conversation.delivery import TABLE, MessageEvent, MessageState
from grue.protocol.conversation.fallback import Route
from grue.protocol.states import advance

KEPT_HASHES: Final = 4096
"""Log hashes kept for one conversation: how far back another member's statement can be checked."""

SEEN_DAYS: Final = 31
"""Days that intro envelopes are remembered: one more than an envelope lives."""

POSTED_DAYS: Final = 366
"""Days that own envelopes are remembered: while a kept epoch key could open one, it must be known as ours."""

CHAT_PREFIX: Final = "chat:"
"""Names a chat by its id: the only way to a chat whose number is not verified."""

DAY_MS: Final = 24 * 3600 * 1000

T = TypeVar("T")


@dataclass(frozen=True)
class Chat:
    """One person (or number) as the user sees them; may have had several conversations."""

    id: int
    number: str
    claimed: str
    identity: bytes
    list_number: int
    encrypted: bool

    @property
    def name(self) -> str:
        """What to send to: the number when it is verified, else the chat by its id."""
        return self.number or f"{CHAT_PREFIX}{self.id}"


@dataclass(frozen=True)
class StoredMessage:
    n: int
    id: bytes
    chat: int
    incoming: bool
    route: Route
    text: str
    sent: int
    state: MessageState


@dataclass(frozen=True)
class Queued:
    """One request of the outbox, in final bytes."""

    n: int
    conversation: bytes
    purpose: Purpose
    request: bytes
    envelope: bytes
    message: bytes


# --- meta and MLS entries -------------------------------------------------------------------------


def get_meta(db: Db, key: str, kind: type[T]) -> T | None:
    row = db.row("SELECT value FROM meta WHERE key = ?", key)
    return None if row is None else msgspec.msgpack.decode(as_bytes(row[0]), type=kind)


def put_meta(db: Db, key: str, value: object) -> None:
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", key, msgspec.msgpack.encode(value))


def drop_meta(db: Db, key: str) -> None:
    db.execute("DELETE FROM meta WHERE key = ?", key)


def mls_entries(db: Db, *prefixes: bytes) -> dict[bytes, bytes]:
    """All entries under these prefixes: b"s", b"k", or `group_prefix`."""
    entries: dict[bytes, bytes] = {}
    for prefix in prefixes:
        rows = db.rows("SELECT key, value FROM mls WHERE key >= ? AND key < ?", prefix, _after(prefix))
        entries.update((as_bytes(key), as_bytes(value)) for key, value in rows)
    return entries


def group_prefix(group: bytes) -> bytes:
    return b"g" + group


def save_mls(db: Db, changes: dict[bytes, bytes | None]) -> None:
    for key, value in changes.items():
        if value is None:
            db.execute("DELETE FROM mls WHERE key = ?", key)
        else:
            db.execute("INSERT OR REPLACE INTO mls VALUES (?, ?)", key, value)


# --- chats ----------------------------------------------------------------------------------------

_CHAT = "SELECT id, number, claimed, identity, list_number, encrypted FROM chat "


def chat_of_number(db: Db, number: str) -> Chat | None:
    return _chat(db.row(_CHAT + "WHERE number = ?", number))


def chat_of_identity(db: Db, identity: bytes) -> Chat | None:
    return _chat(db.row(_CHAT + "WHERE identity = ?", identity))


def chat_of_claim(db: Db, number: str) -> Chat | None:
    """The newest chat whose other side claims this number, unverified."""
    return _chat(db.row(_CHAT + "WHERE claimed = ? AND number IS NULL ORDER BY id DESC", number))


def chat_by_id(db: Db, chat: int) -> Chat | None:
    return _chat(db.row(_CHAT + "WHERE id = ?", chat))


def all_chats(db: Db) -> list[Chat]:
    newest_first = "ORDER BY (SELECT max(n) FROM message WHERE message.chat = chat.id) DESC"
    return [cast("Chat", _chat(row)) for row in db.rows(_CHAT + newest_first)]


def chat_for_number(db: Db, number: str) -> Chat:
    """The chat of a number, made when there is none."""
    db.execute("INSERT OR IGNORE INTO chat (number) VALUES (?)", number)
    found = chat_of_number(db, number)
    assert found is not None
    return found


def chat_for_identity(db: Db, identity: bytes, claimed: str) -> Chat:
    """The chat of an account, made when there is none."""
    db.execute("INSERT OR IGNORE INTO chat (identity, claimed) VALUES (?, ?)", identity, claimed)
    found = chat_of_identity(db, identity)
    assert found is not None
    return found


def bind_chat(db: Db, number: str, identity: bytes) -> Chat:
    """One chat for a number and the identity that a verified lookup found behind it.

    A chat of the number with another identity loses the number: its history stays, under what it claimed.
    """
    by_number, by_identity = chat_of_number(db, number), chat_of_identity(db, identity)
    if by_number and by_number.identity and by_number.identity != identity:
        db.execute("UPDATE chat SET number = NULL, claimed = ? WHERE id = ?", number, by_number.id)
        by_number = None
    if by_number and by_identity and by_number.id != by_identity.id:
        newest = max(by_number.list_number, by_identity.list_number)
        db.execute("UPDATE chat SET list_number = ? WHERE id = ?", newest, by_number.id)
        db.execute("UPDATE intent SET chat = ? WHERE chat = ?", by_number.id, by_identity.id)
        db.execute("UPDATE notice SET chat = ? WHERE chat = ?", by_number.id, by_identity.id)
        db.execute("UPDATE message SET chat = ? WHERE chat = ?", by_number.id, by_identity.id)
        db.execute("UPDATE conversation SET chat = ? WHERE chat = ?", by_number.id, by_identity.id)
        db.execute("UPDATE gossip SET chat = ? WHERE chat = ?", by_number.id, by_identity.id)
        db.execute("DELETE FROM chat WHERE id = ?", by_identity.id)
        by_identity = None
    chat = by_number or by_identity or chat_for_number(db, number)
    db.execute("UPDATE chat SET number = ?, claimed = ?, identity = ? WHERE id = ?", number, number, identity, chat.id)
    return cast("Chat", chat_by_id(db, chat.id))


def mark_encrypted(db: Db, chat: int, list_number: int = 0, *, by_us: bool = False) -> None:
    """This chat is encrypted, and its number never turns green by itself; a claimed one only once we have written.

    by_us  whether it was we who wrote or accepted: a stranger's claim must not keep SMS from the number's owner
    """
    db.execute("UPDATE chat SET encrypted = 1, list_number = max(list_number, ?) WHERE id = ?", list_number, chat)
    found = chat_by_id(db, chat)
    number = found and (found.number or (found.claimed if by_us else ""))
    if number:
        db.execute("INSERT OR IGNORE INTO encrypted_number VALUES (?)", number)


def encrypted_before(db: Db, number: str) -> bool:
    return db.row("SELECT 1 FROM encrypted_number WHERE number = ?", number) is not None


def list_number_of(db: Db, identity: bytes) -> int:
    """The number of the newest device list seen of an account; 0 when none was."""
    chat = chat_of_identity(db, identity)
    return chat.list_number if chat is not None else 0


# --- conversations --------------------------------------------------------------------------------


def save_conversation(db: Db, conversation: Conversation, chat: int) -> None:
    body = msgspec.msgpack.encode(conversation)
    db.execute(
        "INSERT INTO conversation (id, chat, state, mailbox, body) VALUES (?1, ?2, ?3, ?4, ?5)"
        " ON CONFLICT (id) DO UPDATE SET chat = ?2, state = ?3, mailbox = ?4, body = ?5",
        *(conversation.id, chat, conversation.state.value, conversation.log.mailbox, body),
    )


def conversation_by_id(db: Db, conversation: bytes) -> tuple[Conversation, int] | None:
    return _conversation(db.row("SELECT body, chat FROM conversation WHERE id = ?", conversation))


def conversation_by_mailbox(db: Db, mailbox: bytes) -> tuple[Conversation, int] | None:
    return _conversation(db.row("SELECT body, chat FROM conversation WHERE mailbox = ?", mailbox))


def conversations_of(db: Db, chat: int) -> list[Conversation]:
    rows = db.rows("SELECT body, chat FROM conversation WHERE chat = ? ORDER BY id", chat)
    return [cast("tuple[Conversation, int]", _conversation(row))[0] for row in rows]


def conversations_in(db: Db, states: Iterable[ConversationState]) -> list[tuple[Conversation, int]]:
    wanted = {state.value for state in states}
    rows = db.rows("SELECT body, chat, state FROM conversation ORDER BY id")
    return [cast("tuple[Conversation, int]", _conversation(row)) for row in rows if row[2] in wanted]


def count_conversations(db: Db, state: ConversationState) -> int:
    row = db.row("SELECT count(*) FROM conversation WHERE state = ?", state.value)
    return as_int(row[0]) if row is not None else 0


def reading_conversations(db: Db) -> list[tuple[Conversation, int]]:
    return conversations_in(db, READING)


# --- the outbox -----------------------------------------------------------------------------------


def enqueue(db: Db, conversation: bytes, outgoing: Outgoing, now_ms: int) -> None:
    """Store final bytes. Own envelope ids are remembered, to know the own echo in the log."""
    request = wire.encode(outgoing.request)
    db.execute(
        "INSERT INTO outbox (conversation, purpose, request, envelope, message) VALUES (?, ?, ?, ?, ?)",
        *(conversation, outgoing.purpose.value, request, outgoing.envelope, outgoing.message),
    )
    if outgoing.envelope:
        values = (outgoing.envelope, outgoing.purpose.value, outgoing.digest, now_ms // DAY_MS)
        db.execute("INSERT OR IGNORE INTO posted VALUES (?, ?, ?, ?)", *values)


def queued(db: Db) -> list[Queued]:
    """What waits to be sent, oldest first."""
    rows = db.rows("SELECT n, conversation, purpose, request, envelope, message FROM outbox ORDER BY n")
    return [
        Queued(
            as_int(n),
            as_bytes(conversation),
            Purpose(as_str(purpose)),
            as_bytes(request),
            as_bytes(envelope),
            as_bytes(message),
        )
        for n, conversation, purpose, request, envelope, message in rows
    ]


def dequeue(db: Db, n: int) -> bool:
    """Take one from the outbox; False when another process did so first."""
    return db.execute("DELETE FROM outbox WHERE n = ?", n) == 1


def drop_queued(db: Db, conversation: bytes) -> None:
    """Nothing of this conversation goes out any more."""
    db.execute("DELETE FROM outbox WHERE conversation = ?", conversation)


def posted_purpose(db: Db, envelope: bytes) -> Purpose | None:
    """What one of our own envelopes was for; None for an id that is not ours."""
    row = db.row("SELECT purpose FROM posted WHERE envelope = ?", envelope)
    return None if row is None else Purpose(as_str(row[0]))


def is_ours(db: Db, digest: bytes) -> bool:
    """Whether we have sent an MLS message with this SHA-256."""
    return db.row("SELECT 1 FROM posted WHERE digest = ?", digest) is not None


def first_sight(db: Db, envelope: bytes, now_ms: int) -> bool:
    """Remember an intro envelope; False when it was here before."""
    return db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", envelope, now_ms // DAY_MS) == 1


def forget_old(db: Db, now_ms: int) -> None:
    day = now_ms // DAY_MS
    db.execute("DELETE FROM posted WHERE day < ?", day - POSTED_DAYS)
    db.execute("DELETE FROM seen WHERE day < ?", day - SEEN_DAYS)


def forget_log(db: Db, conversation: bytes) -> None:
    """The seqs of a mailbox begin anew: what was known by them means nothing any more."""
    db.execute("DELETE FROM log WHERE conversation = ?", conversation)
    db.execute("UPDATE message SET seq = 0 WHERE conversation = ? AND incoming = 0", conversation)


def hash_at(db: Db, conversation: bytes, seq: int) -> bytes | None:
    row = db.row("SELECT hash FROM log WHERE conversation = ? AND seq = ?", conversation, seq)
    return None if row is None else as_bytes(row[0])


# --- messages -------------------------------------------------------------------------------------

_MESSAGE = "SELECT n, id, chat, incoming, route, text, sent, state FROM message "


def add_own(
    db: Db, chat: int, sender: bytes, message: bytes, text: str, route: Route, sent: int, state: MessageState,
    conversation: bytes = b"",
) -> None:  # fmt: skip
    db.execute(
        "INSERT INTO message (id, chat, sender, incoming, route, text, sent, state, conversation, shown)"
        " VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?, 1)",
        *(message, chat, sender, route.value, text, sent, state.value, conversation),
    )


def add_incoming(
    db: Db, chat: int, sender: bytes, message: bytes, text: str, route: Route, sent: int, conversation: bytes = b""
) -> bool:
    """Store a text that came in; False when it is here already."""
    added = db.execute(
        "INSERT OR IGNORE INTO message (id, chat, sender, incoming, route, text, sent, state, conversation)"
        " VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?)",
        *(message, chat, sender, route.value, text, sent, MessageState.DELIVERED.value, conversation),
    )
    return added == 1


def attach(db: Db, sender: bytes, message: bytes, attachment: Attachment | None) -> None:
    """Keep what opens a message's attachment, once; the attachment itself stays where it is."""
    if attachment is not None:
        db.execute(
            "INSERT OR IGNORE INTO attachment SELECT n, ?, ?, ? FROM message WHERE sender = ? AND id = ?",
            *(attachment.key, attachment.length, attachment.name, sender, message),
        )


def attached(db: Db, n: int) -> Attachment | None:
    row = db.row("SELECT key, length, name FROM attachment WHERE message = ?", n)
    return None if row is None else Attachment(as_bytes(row[0]), as_int(row[1]), as_str(row[2]))


def attached_to(db: Db, message: bytes) -> Attachment | None:
    """Of the newest message with this id and an attachment: ids are their senders' choice."""
    row = db.row("SELECT max(message) FROM attachment WHERE message IN (SELECT n FROM message WHERE id = ?)", message)
    return None if row is None or row[0] is None else attached(db, as_int(row[0]))


def message_state(db: Db, message: bytes) -> MessageState | None:
    row = db.row("SELECT state FROM message WHERE id = ? AND incoming = 0", message)
    return None if row is None else MessageState(as_str(row[0]))


def fire(db: Db, message: bytes, event: MessageEvent) -> None:
    """Take a step of the message's state; one that the table does not have is no news and is left out."""
    state = message_state(db, message)
    if state is not None and event in TABLE[state]:
        after = advance(TABLE, state, event)
        db.execute("UPDATE message SET state = ? WHERE id = ? AND incoming = 0", after.value, message)


def acknowledged(db: Db, message: bytes, conversation: bytes, seq: int) -> None:
    """The server has it on disk, at this seq of its mailbox (0 for an intro mailbox)."""
    fire(db, message, MessageEvent.ACKNOWLEDGED)
    db.execute("UPDATE message SET seq = ?, conversation = ? WHERE id = ? AND incoming = 0", seq, conversation, message)


def read_by_peer(db: Db, conversation: bytes, seq: int) -> None:
    """The other side has read up to here, and with it whatever went ahead of the log as an invitation."""
    rows = db.rows(
        "SELECT id FROM message WHERE conversation = ? AND incoming = 0 AND state = ? AND seq <= ?",
        *(conversation, MessageState.SENT.value, seq),
    )
    for (message,) in rows:
        fire(db, as_bytes(message), MessageEvent.READ)


def take_unshown(db: Db) -> tuple[StoredMessage, Chat] | None:
    """The oldest message that nobody has shown yet, marked as shown in the same step."""
    row = db.row("SELECT n FROM message WHERE incoming = 1 AND shown = 0 ORDER BY n LIMIT 1")
    if row is None:
        return None
    db.execute("UPDATE message SET shown = 1 WHERE n = ?", row[0])
    message = _message(cast("Row", db.row(_MESSAGE + "WHERE n = ?", row[0])))
    return message, cast("Chat", chat_by_id(db, message.chat))


def unshow(db: Db, n: int) -> None:
    """It could not be shown after all."""
    db.execute("UPDATE message SET shown = 0 WHERE n = ?", n)


def history(db: Db, chat: int) -> list[StoredMessage]:
    return [_message(row) for row in db.rows(_MESSAGE + "WHERE chat = ? ORDER BY n", chat)]


def open_sms(db: Db) -> list[bytes]:
    """Own SMS whose last word has not been heard, the newest first."""
    rows = db.rows(
        "SELECT id FROM message WHERE incoming = 0 AND route = 'sms' AND state IN (?, ?, ?) ORDER BY n DESC LIMIT 64",
        # One that is still `submitting` is from a process that ended while it waited for the answer.
        *(MessageState.SUBMITTING.value, MessageState.SUBMITTED.value, MessageState.UNKNOWN.value),
    )
    return [as_bytes(row[0]) for row in rows]


# --- intents and notices --------------------------------------------------------------------------


def intend(db: Db, message: bytes, chat: int) -> None:
    """An own message is to go out, encrypted, as soon as it can be."""
    db.execute("INSERT OR IGNORE INTO intent VALUES (?, ?)", message, chat)


def intended(db: Db, chat: int | None = None) -> list[tuple[bytes, int]]:
    """Messages to be encrypted and sent, with their chats, in the order in which they were written."""
    rows = db.rows(
        "SELECT intent.message, intent.chat FROM intent JOIN message ON message.id = intent.message AND incoming = 0"
        " WHERE ?1 IS NULL OR intent.chat = ?1 ORDER BY message.n",
        chat,
    )
    return [(as_bytes(message), as_int(where)) for message, where in rows]


def take_intent(db: Db, message: bytes) -> bool:
    """It is being carried out; False when another process did so first."""
    return db.execute("DELETE FROM intent WHERE message = ?", message) == 1


def intend_again(db: Db, conversation: bytes, chat: int) -> None:
    """Own texts of this conversation that nobody has confirmed go out again, under the same ids."""
    rows = db.rows(
        "SELECT id FROM message WHERE conversation = ? AND incoming = 0 AND state IN (?, ?)",
        *(conversation, MessageState.SENT.value, MessageState.QUEUED.value),
    )
    for (message,) in rows:
        db.execute("UPDATE message SET state = 'queued', seq = 0 WHERE id = ? AND incoming = 0", message)
        db.execute("DELETE FROM outbox WHERE message = ?", message)
        intend(db, as_bytes(message), chat)


def own_text(db: Db, message: bytes) -> Text | None:
    row = db.row("SELECT text, sent, n FROM message WHERE id = ? AND incoming = 0", message)
    if row is None:
        return None
    return Text(message, as_str(row[0]), as_int(row[1]), attachment=attached(db, as_int(row[2])), head=told_head(db))


def overlay(db: Db) -> bytes:
    """All entries of the directory's overlay, in order."""
    return b"".join(as_bytes(row[0]) for row in db.rows("SELECT entry FROM overlay ORDER BY seq"))


def told_head(db: Db) -> bytes:
    """The head of the directory that messages carry; empty before the first daily round."""
    return get_meta(db, "told", bytes) or b""


def notify(db: Db, chat: int, notices: Iterable[Notice]) -> None:
    for notice in notices:
        db.execute("INSERT INTO notice (chat, kind) VALUES (?, ?)", chat, notice.value)


def take_notices(db: Db) -> list[tuple[Chat, Notice]]:
    """What a person should know, once."""
    rows = db.rows("SELECT chat, kind FROM notice ORDER BY n")
    db.execute("DELETE FROM notice")
    return [(cast("Chat", chat_by_id(db, as_int(chat))), Notice(as_str(kind))) for chat, kind in rows]


# --- a step of the protocol -----------------------------------------------------------------------


def save_step(db: Db, chat: int, own_identity: bytes, step: Step, now_ms: int) -> None:
    """Write all of a step; the caller adds the MLS changes in the same transaction."""
    conversation = step.conversation
    save_conversation(db, conversation, chat)
    for outgoing in step.outgoing:
        enqueue(db, conversation.id, outgoing, now_ms)
    for incoming in step.incoming:
        _save_incoming(db, chat, own_identity, incoming, conversation.id)
    for seq, digest in step.hashes.items():
        db.execute("INSERT OR REPLACE INTO log VALUES (?, ?, ?)", conversation.id, seq, digest)
    if step.hashes:
        db.execute(
            "DELETE FROM log WHERE conversation = ? AND seq < ?", conversation.id, max(step.hashes) - KEPT_HASHES
        )
    if step.read_by_peer is not None:
        read_by_peer(db, conversation.id, step.read_by_peer)
    if step.resend:
        intend_again(db, conversation.id, chat)
    notify(db, chat, step.notices)


def _save_incoming(db: Db, chat: int, own_identity: bytes, incoming: Incoming, conversation: bytes) -> None:
    text = incoming.text
    if incoming.sender == own_identity:
        # Another device of ours said it.
        if message_state(db, text.id) is None:
            add_own(
                db, chat, own_identity, text.id, text.text, Route.ENCRYPTED, text.sent, MessageState.SENT, conversation
            )
            attach(db, own_identity, text.id, text.attachment)
        return
    if add_incoming(db, chat, incoming.sender, text.id, text.text, Route.ENCRYPTED, text.sent, conversation):
        attach(db, incoming.sender, text.id, text.attachment)
    mark_encrypted(db, chat)


def count_exposure(db: Db, day: int, counts: dict[tuple[str, str], int]) -> None:
    """Add to what each party has been given, by day."""
    for (party, fact), count in counts.items():
        db.execute(
            "INSERT INTO exposure VALUES (?1, ?2, ?3, ?4)"
            " ON CONFLICT (day, party, fact) DO UPDATE SET count = count + ?4",
            *(day, party, fact, count),
        )


def exposure(db: Db, first: int) -> list[tuple[str, str, int]]:
    """What each party was given from a day on, in days since 1970."""
    rows = db.rows(
        "SELECT party, fact, sum(count) FROM exposure WHERE day >= ?1 GROUP BY party, fact ORDER BY party, fact", first
    )
    return [(as_str(party), as_str(fact), as_int(count)) for party, fact, count in rows]


def exposure_days(db: Db, first: int) -> list[tuple[int, int]]:
    """Days since 1970 from one on, each with how many requests went out."""
    rows = db.rows("SELECT day, sum(count) FROM exposure WHERE day >= ?1 GROUP BY day ORDER BY day", first)
    return [(as_int(day), as_int(count)) for day, count in rows]


# --- columns --------------------------------------------------------------------------------------


def _chat(row: Row | None) -> Chat | None:
    if row is None:
        return None
    number, identity = row[1] or "", row[3] or b""
    return Chat(as_int(row[0]), as_str(number), as_str(row[2]), as_bytes(identity), as_int(row[4]), bool(row[5]))


def _conversation(row: Row | None) -> tuple[Conversation, int] | None:
    if row is None:
        return None
    return msgspec.msgpack.decode(as_bytes(row[0]), type=Conversation), as_int(row[1])


def _message(row: Row) -> StoredMessage:
    n, message, chat, incoming, route, text, sent, state = row
    return StoredMessage(
        n=as_int(n),
        id=as_bytes(message),
        chat=as_int(chat),
        incoming=bool(incoming),
        route=Route(as_str(route)),
        text=as_str(text),
        sent=as_int(sent),
        state=MessageState(as_str(state)),
    )


def _after(prefix: bytes) -> bytes:
    return prefix[:-1] + bytes([prefix[-1] + 1]) if prefix[-1] < 255 else prefix + b"\xff" * 64
