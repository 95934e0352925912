"""Queries for conversations, messages and the outbox, to be used inside a transaction."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, cast

import msgspec
from msgspec.structs import replace

from grue.client import chats
from grue.client.chats import Chat
from grue.client.lookup.tables import told_head
from grue.client.store.engine import Db, Row, as_bytes, as_int, as_str
from grue.protocol import wire
from grue.protocol.conversation.contents import Attachment, CommitPart, GroupState, Text
from grue.protocol.conversation.conversation import (
    READING,
    Conversation,
    ConversationState,
    Outgoing,
    Purpose,
    Read,
)
from grue.protocol.conversation.delivery import MessageState
from grue.protocol.conversation.fallback import Route
from grue.protocol.conversation.stored import Member

KEPT_HASHES: Final = 4096
"""Log hashes kept for one conversation: how far back another member's statement can be checked."""

SEEN_DAYS: Final = 31
"""Days that intro envelopes are remembered: one more than an envelope lives."""

POSTED_DAYS: Final = 366
"""Days that own envelopes are remembered: while a kept epoch key could open one, it must be known as ours."""

DAY_MS: Final = 24 * 3600 * 1000


@dataclass(frozen=True)
class StoredMessage:
    n: int
    id: bytes
    chat: int
    sender: bytes
    """Identity key; empty for an SMS that came in."""
    incoming: bool
    route: Route
    text: str
    sent: int
    state: MessageState


AT_ONCE: Final = 16
"""Requests of one lane under way at once: should the first be refused as too much for a full mailbox, so many may
overtake it, and a receiver opens messages that are up to 32 out of order."""


class Kind(StrEnum):
    """What a queued request is, as far as the outbox treats one unlike another."""

    POST = "post"
    """Into a conversation's mailbox."""
    READMISSION = "readmission"
    """A post that reserves slots, for a device that is added anew."""
    OTHER = "other"


@dataclass(frozen=True)
class Queued:
    """One request of the outbox, in final bytes."""

    n: int
    conversation: bytes
    purpose: Purpose
    kind: Kind
    request: bytes
    envelope: bytes
    message: bytes


# --- conversations --------------------------------------------------------------------------------


def save_conversation(db: Db, conversation: Conversation, chat: int) -> None:
    """Who is in a group is apart from the rest: each message would rewrite it, and few change it."""
    rest = conversation if conversation.group is None else replace(conversation, members=[], group=None)
    body = msgspec.msgpack.encode(rest)
    db.execute(
        "INSERT INTO conversation (id, chat, state, mailbox, body) VALUES (?1, ?2, ?3, ?4, ?5)"
        " ON CONFLICT (id) DO UPDATE SET chat = ?2, state = ?3, mailbox = ?4, body = ?5",
        *(conversation.id, chat, conversation.state.value, conversation.log.mailbox, body),
    )
    if conversation.group is not None:
        membership = msgspec.msgpack.encode((conversation.members, conversation.group))
        db.execute(
            "INSERT INTO membership VALUES (?1, ?2) ON CONFLICT DO UPDATE SET body = ?2 WHERE body != ?2",
            *(conversation.id, membership),
        )
    db.execute("DELETE FROM drained WHERE conversation = ?", conversation.id)
    for drain in conversation.drains:
        db.execute("INSERT OR REPLACE INTO drained VALUES (?, ?)", drain.log.mailbox, conversation.id)


def conversation_by_id(db: Db, conversation: bytes) -> tuple[Conversation, int] | None:
    return _conversation(db.row("SELECT body, chat, membership FROM conversation_whole WHERE id = ?", conversation))


def conversation_by_mailbox(db: Db, mailbox: bytes) -> tuple[Conversation, int] | None:
    """The conversation that is in this mailbox, or has moved from it and still reads it."""
    found = _conversation(db.row("SELECT body, chat, membership FROM conversation_whole WHERE mailbox = ?", mailbox))
    if found is not None:
        return found
    drained = db.row("SELECT conversation FROM drained WHERE mailbox = ?", mailbox)
    return None if drained is None else conversation_by_id(db, as_bytes(drained[0]))


def conversations_of(db: Db, chat: int) -> list[Conversation]:
    rows = db.rows("SELECT body, chat, membership FROM conversation_whole WHERE chat = ? ORDER BY id", chat)
    return [cast("tuple[Conversation, int]", _conversation(row))[0] for row in rows]


def conversations_in(db: Db, states: Iterable[ConversationState]) -> list[tuple[Conversation, int]]:
    wanted = {state.value for state in states}
    rows = db.rows("SELECT body, chat, membership, state FROM conversation_whole ORDER BY id")
    return [cast("tuple[Conversation, int]", _conversation(row)) for row in rows if row[3] in wanted]


def all_members(db: Db) -> list[Member]:
    """Everybody in a conversation that was not left or turned down, as its members agree."""
    out = {ConversationState.DECLINED, ConversationState.GONE}
    return [member for one, _ in conversations_in(db, set(ConversationState) - out) for member in one.members]


def intro_of(db: Db, identity: bytes) -> bytes:
    """The intro mailbox of somebody in a conversation with us; empty when there is none."""
    return next((one.intro_mailbox for one in all_members(db) if one.identity == identity), b"")


def reading_conversations(db: Db) -> list[tuple[Conversation, int]]:
    """Those that are read."""
    return heard_conversations(db, READING)


def heard_conversations(db: Db, states: Iterable[ConversationState]) -> list[tuple[Conversation, int]]:
    """As `conversations_in`, without those of whoever is blocked: nothing of them is read, acknowledged or answered."""
    blocked = blocked_chats(db)
    return [(conversation, chat) for conversation, chat in conversations_in(db, states) if chat not in blocked]


def readable_of(db: Db, chat: int) -> list[Conversation]:
    """As `conversations_of`; none of whoever is blocked."""
    return [] if chat in blocked_chats(db) else conversations_of(db, chat)


def _conversation(row: Row | None) -> tuple[Conversation, int] | None:
    if row is None:
        return None
    conversation = msgspec.msgpack.decode(as_bytes(row[0]), type=Conversation)
    if row[2] is not None:
        members, group = msgspec.msgpack.decode(as_bytes(row[2]), type=tuple[list[Member], GroupState])
        conversation = replace(conversation, members=members, group=group)
    return conversation, as_int(row[1])


# --- commits in parts -----------------------------------------------------------------------------


def parts_of(db: Db, conversation: bytes, leaf: int) -> list[CommitPart]:
    """What came of the commit that a leaf is sending."""
    rows = db.rows(
        "SELECT part FROM commit_part WHERE conversation = ? AND leaf = ? ORDER BY number", conversation, leaf
    )
    return [msgspec.msgpack.decode(as_bytes(part), type=CommitPart) for (part,) in rows]


def keep_parts(db: Db, conversation: bytes, parts: Mapping[int, Sequence[CommitPart]], *, afresh: bool) -> None:
    """Parts of these leaves; `afresh`: of no others."""
    if afresh:
        db.execute("DELETE FROM commit_part WHERE conversation = ?", conversation)
    for leaf, kept in parts.items():
        db.execute("DELETE FROM commit_part WHERE conversation = ? AND leaf = ?", conversation, leaf)
        for part in kept:
            values = (conversation, leaf, part.number, wire.encode(part))
            db.execute("INSERT INTO commit_part VALUES (?, ?, ?, ?)", *values)


# --- who is blocked -------------------------------------------------------------------------------


def block(db: Db, who: str, name: str) -> None:
    """`who` is a number, an SMS sender or an identity in hexadecimal; `name` is shared by all that belong together."""
    db.execute("INSERT OR IGNORE INTO blocked VALUES (?, ?)", who, name)


def unblock(db: Db, name: str) -> bool:
    """False when nothing was blocked under this name."""
    return db.execute("DELETE FROM blocked WHERE name = ?", name) > 0


def blocked_as(db: Db, *who: str) -> str | None:
    """The name under which one of these is blocked."""
    rows = (db.row("SELECT name FROM blocked WHERE who = ?", one) for one in who if one)
    return next((as_str(row[0]) for row in rows if row is not None), None)


def blocked_names(db: Db) -> list[str]:
    """Who is blocked, each once, by the name that they were blocked under."""
    return [as_str(name) for (name,) in db.rows("SELECT DISTINCT name FROM blocked ORDER BY name")]


def blocked_chats(db: Db) -> set[int]:
    """The chats of whoever is blocked."""
    rows = db.rows("SELECT chat.id FROM chat JOIN blocked ON who = number OR who = lower(hex(identity))")
    return {as_int(chat) for (chat,) in rows}


# --- the outbox -----------------------------------------------------------------------------------


def enqueue(db: Db, conversation: bytes, outgoing: Outgoing, now_ms: int) -> None:
    """Store final bytes. Own envelope ids are remembered, to know the own echo in the log."""
    kind, request = _kind(outgoing.request), wire.encode(outgoing.request)
    db.execute(
        "INSERT INTO outbox (conversation, purpose, kind, request, envelope, message) VALUES (?, ?, ?, ?, ?, ?)",
        *(conversation, outgoing.purpose.value, kind.value, request, outgoing.envelope, outgoing.message),
    )
    if outgoing.envelope:
        values = (outgoing.envelope, outgoing.purpose.value, outgoing.digest, now_ms // DAY_MS)
        db.execute("INSERT OR IGNORE INTO posted VALUES (?, ?, ?, ?)", *values)


def _kind(request: wire.AnonymousRequest) -> Kind:
    if not isinstance(request, wire.Post):
        return Kind.OTHER
    return Kind.READMISSION if request.slots else Kind.POST


def queued(db: Db, conversation: bytes | None = None) -> list[Queued]:
    """What of all conversations or of one can be sent next, oldest first: of each no more than go out at once.

    A large group that is being made has a thousand invitations here, of which each takes its turn.
    """
    rows = db.rows(
        "SELECT n, conversation, purpose, kind, request, envelope, message FROM outbox WHERE n IN (SELECT n FROM"
        " (SELECT n, row_number() OVER (PARTITION BY conversation ORDER BY n) AS place FROM outbox"
        " WHERE ?1 IS NULL OR conversation = ?1) WHERE place <= ?2) ORDER BY n",
        *(conversation, AT_ONCE),
    )
    return [
        Queued(
            as_int(n),
            as_bytes(conversation),
            Purpose(as_str(purpose)),
            Kind(as_str(kind)),
            as_bytes(request),
            as_bytes(envelope),
            as_bytes(message),
        )
        for n, conversation, purpose, kind, request, envelope, message in rows
    ]


def lanes_with(db: Db, purposes: Iterable[Purpose]) -> set[bytes]:
    """The conversations in which something for one of these waits."""
    wanted = {purpose.value for purpose in purposes}
    rows = db.rows("SELECT DISTINCT conversation, purpose FROM outbox")
    return {as_bytes(conversation) for conversation, purpose in rows if purpose in wanted}


def queued_texts(db: Db, until_day: int) -> list[tuple[bytes, int]]:
    """Own texts that were encrypted on this day or before and still wait to be sent: (message, chat)."""
    rows = db.rows(
        "SELECT message.id, message.chat FROM outbox JOIN posted ON posted.envelope = outbox.envelope"
        " JOIN message ON message.id = outbox.message AND incoming = 0"
        " WHERE outbox.purpose = ? AND posted.day <= ? ORDER BY outbox.n",
        *(Purpose.SAY.value, until_day),
    )
    return [(as_bytes(message), as_int(chat)) for message, chat in rows]


def dequeue(db: Db, n: int) -> bool:
    """Take one from the outbox; False when another process did so first."""
    return db.execute("DELETE FROM outbox WHERE n = ?", n) == 1


def drop_queued(db: Db, conversation: bytes) -> None:
    """Nothing of this conversation goes out any more."""
    db.execute("DELETE FROM outbox WHERE conversation = ?", conversation)


def drop_posts(db: Db, conversation: bytes) -> None:
    """What waits to be posted in this conversation goes out no more."""
    kinds = (Kind.POST.value, Kind.READMISSION.value)
    db.execute("DELETE FROM outbox WHERE conversation = ? AND kind IN (?, ?)", conversation, *kinds)


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
    db.execute("DELETE FROM readmitted WHERE time < ?", now_ms - DAY_MS)


def note_readmitted(db: Db, identity: bytes, now_ms: int) -> None:
    """A device of this account was readmitted."""
    db.execute("INSERT INTO readmitted (peer, time) VALUES (?, ?)", identity, now_ms)


def readmitted(db: Db, identity: bytes) -> list[int]:
    """When devices of this account were readmitted, for a day or more: Unix milliseconds."""
    return [as_int(time) for (time,) in db.rows("SELECT time FROM readmitted WHERE peer = ?", identity)]


def keep_hashes(db: Db, conversation: bytes, hashes: dict[int, bytes]) -> None:
    """Keep the log's hash after each of these seqs; old ones go."""
    for seq, digest in hashes.items():
        db.execute("INSERT OR REPLACE INTO log VALUES (?, ?, ?)", conversation, seq, digest)
    db.execute("DELETE FROM log WHERE conversation = ? AND seq < ?", conversation, max(hashes) - KEPT_HASHES)


def forget_log(db: Db, conversation: bytes) -> None:
    """The seqs of a mailbox begin anew: what was known by them means nothing any more."""
    db.execute("DELETE FROM log WHERE conversation = ?", conversation)
    db.execute("UPDATE message SET seq = 0 WHERE conversation = ? AND incoming = 0", conversation)


def hash_at(db: Db, conversation: bytes, seq: int) -> bytes | None:
    row = db.row("SELECT hash FROM log WHERE conversation = ? AND seq = ?", conversation, seq)
    return None if row is None else as_bytes(row[0])


# --- messages -------------------------------------------------------------------------------------

_MESSAGE = "SELECT n, id, chat, sender, incoming, route, text, sent, state FROM message "


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


def said_in(db: Db, message: bytes) -> bytes:
    """The conversation that an own text was encrypted in last; empty while it is in none."""
    row = db.row("SELECT conversation FROM message WHERE id = ? AND incoming = 0", message)
    return b"" if row is None else as_bytes(row[0])


def last_written(db: Db) -> StoredMessage | None:
    """The newest message that was written here, by whatever process of this home."""
    row = db.row(_MESSAGE + "WHERE incoming = 0 ORDER BY n DESC LIMIT 1")
    return None if row is None else _message(row)


_UNCONFIRMED = "FROM message WHERE incoming = 0 AND route = 'encrypted' AND state = 'sent' "


def unconfirmed(db: Db, until_ms: int, chat: int | None = None) -> list[tuple[int, bytes, bytes, int]]:
    """Own texts that the server has had since before, and nobody has confirmed: (chat, id, conversation, seq)."""
    rows = db.rows(
        "SELECT chat, id, conversation, seq " + _UNCONFIRMED + "AND acknowledged BETWEEN 1 AND ?1"
        " AND (?2 IS NULL OR chat = ?2)",
        *(until_ms, chat),
    )
    return [(as_int(of), as_bytes(message), as_bytes(conv), as_int(seq)) for of, message, conv, seq in rows]


def unconfirmed_of(db: Db, chat: int) -> list[bytes]:
    """Own texts of a chat that wait, or that the server has, and nobody has confirmed."""
    rows = db.rows(
        "SELECT id FROM message WHERE chat = ? AND incoming = 0 AND route = 'encrypted' AND state IN (?, ?) ORDER BY n",
        *(chat, MessageState.SENT.value, MessageState.QUEUED.value),
    )
    return [as_bytes(row[0]) for row in rows]


def acknowledged_at(db: Db, message: bytes) -> int:
    """Unix milliseconds at which the server said to have an own text; 0: it has not yet."""
    row = db.row("SELECT acknowledged FROM message WHERE id = ? AND incoming = 0", message)
    return 0 if row is None else as_int(row[0])


def covered(db: Db, conversation: bytes, read: Read) -> list[bytes]:
    """Own texts that the server has, nobody has confirmed, and this confirms."""
    rows = db.rows(
        "SELECT id FROM message WHERE conversation = ? AND incoming = 0 AND state = ?"
        " AND (seq = 0 OR (met > 0 AND met > ?)) AND met <= ?",
        *(conversation, MessageState.SENT.value, read.after, read.until),
    )
    return [as_bytes(message) for (message,) in rows]


def others_in_group(db: Db, chat: int) -> set[bytes]:
    """The other members of the group that this chat is; empty when it is none."""
    groups = [one for one in conversations_of(db, chat) if one.group is not None]
    return groups[0].others if groups else set()


def mean_for(db: Db, message: bytes, identities: Iterable[bytes]) -> None:
    """Note whom an own text in a group is for, unless that is known."""
    if db.row("SELECT 1 FROM reader WHERE message = ?", message) is None:
        for identity in identities:
            db.execute("INSERT INTO reader (message, identity) VALUES (?, ?)", message, identity)


def note_confirmed(db: Db, message: bytes, identity: bytes) -> None:
    """A member of a group has confirmed an own text."""
    db.execute("UPDATE reader SET confirmed = 1 WHERE message = ? AND identity = ?", message, identity)


def readers_of(db: Db, message: bytes) -> dict[bytes, bool]:
    """Whom an own text in a group was for, and whether they have confirmed it."""
    rows = db.rows("SELECT identity, confirmed FROM reader WHERE message = ?", message)
    return {as_bytes(identity): bool(confirmed) for identity, confirmed in rows}


def forget_readers(db: Db, message: bytes) -> None:
    """What becomes of this text is known."""
    db.execute("DELETE FROM reader WHERE message = ?", message)


def own_of(db: Db, chat: int, messages: Iterable[bytes]) -> list[bytes]:
    """Those of these ids that are own texts of a chat."""
    sql = "SELECT 1 FROM message WHERE id = ? AND chat = ? AND incoming = 0 AND route = 'encrypted'"
    return [message for message in messages if db.row(sql, message, chat) is not None]


def incoming_in(db: Db, conversation: bytes) -> list[bytes]:
    """Texts that came in a conversation, oldest first."""
    rows = db.rows("SELECT id FROM message WHERE conversation = ? AND incoming = 1 ORDER BY n", conversation)
    return [as_bytes(row[0]) for row in rows]


def last_incoming(db: Db, chat: int, senders: Collection[bytes], limit: int) -> list[bytes]:
    """The newest texts that came of these accounts, oldest first."""
    sql = "SELECT id, sender FROM message WHERE chat = ? AND incoming = 1 ORDER BY n DESC LIMIT ?"
    return [as_bytes(row[0]) for row in reversed(db.rows(sql, chat, limit)) if row[1] in senders]


def unconfirmed_in(db: Db, conversation: bytes) -> list[bytes]:
    """Own texts of a conversation that the server has, and nobody has confirmed."""
    return [as_bytes(row[0]) for row in db.rows("SELECT id " + _UNCONFIRMED + "AND conversation = ?", conversation)]


def unshown(db: Db, after: int, limit: int) -> list[tuple[int, bytes]]:
    """Messages that nobody has shown yet, oldest first, after a row: (row, id)."""
    rows = db.rows(
        "SELECT n, id FROM message WHERE incoming = 1 AND shown = 0 AND n > ? ORDER BY n LIMIT ?", *(after, limit)
    )
    return [(as_int(n), as_bytes(message)) for n, message in rows]


def still_unshown(db: Db, n: int) -> tuple[StoredMessage, Chat] | None:
    """One of them; None when somebody has shown it meanwhile."""
    row = db.row(_MESSAGE + "WHERE n = ? AND incoming = 1 AND shown = 0", n)
    if row is None:
        return None
    message = _message(row)
    return message, cast("Chat", chats.by_id(db, message.chat))


def show_no_more(db: Db, chat: int) -> None:
    """What came of this chat stays in its history, and is not put before anybody."""
    db.execute("UPDATE message SET shown = 1 WHERE chat = ? AND incoming = 1", chat)


def mark_shown(db: Db, rows: Iterable[int], limit: int) -> list[tuple[int, bytes]]:
    """A person, or who stands for one, has these; returns as many that nobody has shown yet, as `unshown` does."""
    for n in rows:
        db.execute("UPDATE message SET shown = 1 WHERE n = ?", n)
    return unshown(db, 0, limit)


def open_sms(db: Db) -> list[bytes]:
    """Own SMS whose last word has not been heard, the newest first."""
    rows = db.rows(
        "SELECT id FROM message WHERE incoming = 0 AND route = 'sms' AND state IN (?, ?, ?) ORDER BY n DESC LIMIT 64",
        # One that is still `submitting` is from a process that ended while it waited for the answer.
        *(MessageState.SUBMITTING.value, MessageState.SUBMITTED.value, MessageState.UNKNOWN.value),
    )
    return [as_bytes(row[0]) for row in rows]


def own_text(db: Db, message: bytes) -> Text | None:
    row = db.row("SELECT text, sent, n FROM message WHERE id = ? AND incoming = 0", message)
    if row is None:
        return None
    return Text(message, as_str(row[0]), as_int(row[1]), attachment=attached(db, as_int(row[2])), head=told_head(db))


def messages(db: Db, where: str, *arguments: int) -> list[StoredMessage]:
    """Messages by the end of a query, for the rooms that show them."""
    return [_message(row) for row in db.rows(_MESSAGE + where, *arguments)]


def _message(row: Row) -> StoredMessage:
    n, message, chat, sender, incoming, route, text, sent, state = row
    return StoredMessage(
        n=as_int(n),
        id=as_bytes(message),
        chat=as_int(chat),
        sender=as_bytes(sender),
        incoming=bool(incoming),
        route=Route(as_str(route)),
        text=as_str(text),
        sent=as_int(sent),
        state=MessageState(as_str(state)),
    )


# --- intents --------------------------------------------------------------------------------------


def intend(db: Db, message: bytes, chat: int) -> None:
    """An own message is to go out, encrypted, as soon as it can be."""
    db.execute("INSERT OR IGNORE INTO intent VALUES (?, ?)", message, chat)


def intended(db: Db, chat: int | None = None) -> list[tuple[bytes, int]]:
    """Messages to be encrypted and sent, with their chats, in the order in which they were written."""
    rows = db.rows(
        # CROSS: from the few intents to their messages. SQLite would go through all messages, to have them in order.
        "SELECT intent.message, intent.chat FROM intent CROSS JOIN message"
        " ON message.id = intent.message AND incoming = 0 WHERE ?1 IS NULL OR intent.chat = ?1 ORDER BY message.n",
        chat,
    )
    return [(as_bytes(message), as_int(where)) for message, where in rows]


def is_intended(db: Db, message: bytes) -> bool:
    """Whether it is still to be encrypted and sent."""
    return db.row("SELECT 1 FROM intent WHERE message = ?", message) is not None


def take_intent(db: Db, message: bytes) -> bool:
    """It is being carried out; False when another process did so first."""
    return db.execute("DELETE FROM intent WHERE message = ?", message) == 1
