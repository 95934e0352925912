"""What the devices of one account agree on: each thing is a register, and the latest value counts on all of them.

Triggers of the store note what changed here; it is told in the group of the own devices. What another device says is
written where it belongs, unless the same thing was changed here since.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from msgspec.structs import replace

from grue.client import chats, verified
from grue.client.chats import CHAT_PREFIX, Chat
from grue.client.context import Context, load_account, save_account
from grue.client.conversations import requests, steps, tables
from grue.client.lookup import own_record
from grue.client.people.tables import call_person, contact_name, is_contact, name_of
from grue.client.store.engine import Db, as_bytes, as_int, as_str
from grue.client.store.entries import get_meta
from grue.errors import BadKeyPackage, BadRequest, NoSuchRequest, UsageError
from grue.protocol.conversation.contents import PERSON, Kind, Person, Register
from grue.protocol.conversation.conversation import Conversation, ConversationState
from grue.protocol.conversation.devices import verify_device_list
from grue.protocol.conversation.first_contact import accept_all
from grue.protocol.wire import encode

OWN_GROUP: Final = "own_group"
"""In `meta`: the id of the group of the own devices."""

NOTE: Final = "note"
"""In `unsynced`: a note to oneself, by its id."""

ACCEPTED: Final = b"accepted"
DECLINED: Final = b"declined"

DRAFT_RESTS_MS: Final = 10_000
"""A draft is told once nobody has changed it for so long, or has sent or emptied it: whoever sees posts to the own
devices' group would see somebody type."""

MAX_DRAFT: Final = 8192
"""Bytes of a draft that is told, as many as a register holds; a longer one stays where it was written."""

SHOWN_KEY: Final = 32
"""Bytes of a sender's identity before a message's id."""


def own_group(db: Db) -> Conversation | None:
    """The group of the own devices; None while there is but one."""
    id = get_meta(db, OWN_GROUP, bytes)
    found = None if id is None else tables.conversation_by_id(db, id)
    return None if found is None else found[0]


def value_of(db: Db, kind: Kind, key: bytes = b"") -> bytes:
    """The latest value; empty when there is none."""
    row = db.row("SELECT value FROM synced WHERE kind = ? AND key = ?", kind.value, key)
    return b"" if row is None else as_bytes(row[0])


def values_of(db: Db, kind: Kind) -> dict[bytes, bytes]:
    """By key, the latest values of one kind."""
    rows = db.rows("SELECT key, value FROM synced WHERE kind = ?", kind.value)
    return {as_bytes(key): as_bytes(value) for key, value in rows}


def put(db: Db, kind: Kind, key: bytes, value: bytes, now_ms: int) -> None:
    """Set what no table has; the others are told."""
    row = db.row("SELECT value, time FROM synced WHERE kind = ? AND key = ?", kind.value, key)
    if row is None or row[0] != value:
        _keep(db, Register(kind, key, value, max(now_ms, 0 if row is None else as_int(row[1]))))
        touch(db, kind, key)


def touch(db: Db, kind: str, key: bytes) -> None:
    """This is to be told."""
    db.execute("INSERT OR IGNORE INTO unsynced VALUES (?, ?)", str(kind), key)


def touch_all(db: Db) -> None:
    """A device has come that knows nothing yet: everything is to be told, but for what was shown."""
    db.execute(
        "INSERT OR IGNORE INTO unsynced SELECT kind, key FROM synced WHERE kind NOT IN ('shown')"
        " UNION SELECT 'contact', CAST(number AS BLOB) FROM contact"
        " UNION SELECT 'called', identity FROM person WHERE name != ''"
        " UNION SELECT 'blocked', CAST(who AS BLOB) FROM blocked"
        " UNION SELECT 'verified', identity FROM verified"
        " UNION SELECT 'person', identity FROM chat WHERE identity IS NOT NULL AND number IS NOT NULL"
        " UNION SELECT 'pinned', key FROM chat_keyed WHERE pinned != 0 AND key IS NOT NULL"
        " UNION SELECT 'muted', key FROM chat_keyed WHERE muted != 0 AND key IS NOT NULL"
        " UNION SELECT 'archived', key FROM chat_keyed WHERE archived != 0 AND key IS NOT NULL"
        " UNION SELECT 'draft', key FROM chat_keyed WHERE draft != '' AND key IS NOT NULL"
    )


def forget_device(db: Db, device_public: bytes) -> None:
    """A device was removed: what was agreed on about it goes."""
    for table in ("synced", "unsynced"):
        db.execute(
            f"DELETE FROM {table} WHERE key = ? AND kind IN ('package', 'name', 'day', 'holder')",  # noqa: S608
            device_public,
        )


# --- telling --------------------------------------------------------------------------------------


def waits(db: Db, now_ms: int) -> bool:
    """Whether there is something to tell."""
    row = db.row(
        f"SELECT EXISTS (SELECT 1 FROM unsynced) OR EXISTS (SELECT 1 FROM chat WHERE {_RESTED})",  # noqa: S608
        now_ms - DRAFT_RESTS_MS,
    )
    return row is not None and bool(row[0])


_RESTED: Final = "drafted != 0 AND (drafted <= ? OR draft = '')"


def take(db: Db, context: Context) -> tuple[list[Register], list[bytes]]:
    """What is to be told, and notes to oneself by their ids; from now on it counts as told."""
    registers, notes = [], []
    rested = f"WHERE {_RESTED}"
    db.execute(
        f"INSERT OR IGNORE INTO unsynced SELECT 'draft', key FROM chat_keyed {rested} AND key IS NOT NULL",  # noqa: S608
        context.now_ms - DRAFT_RESTS_MS,
    )
    db.execute(f"UPDATE chat SET drafted = 0 {rested}", context.now_ms - DRAFT_RESTS_MS)  # noqa: S608
    for kind, key in [(as_str(kind), as_bytes(key)) for kind, key in db.rows("SELECT kind, key FROM unsynced")]:
        if kind == NOTE:
            notes.append(key)
            continue
        row = db.row("SELECT time FROM synced WHERE kind = ? AND key = ?", kind, key)
        before = 0 if row is None else as_int(row[0])
        value = _here(db, context, Kind(kind), key)
        if value is not None:
            register = Register(Kind(kind), key, value, max(context.now_ms, before + 1))
            _keep(db, register)
            registers.append(register)
    db.execute("DELETE FROM unsynced")
    return registers, notes


def _here(db: Db, context: Context, kind: Kind, key: bytes) -> bytes | None:
    """The value on this device; None when there is nothing to say."""
    match kind:
        case Kind.CONTACT:
            number = key.decode()
            return b"\x01" + contact_name(db, number).encode() if is_contact(db, number) else b""
        case Kind.CALLED:
            return name_of(db, "", key).encode()
        case Kind.BLOCKED:
            name = tables.blocked_as(db, key.decode()) or ""
            # A chat's id means nothing elsewhere.
            return (key.decode() if name.startswith(CHAT_PREFIX) else name).encode()
        case Kind.VERIFIED:
            return b"1" if verified.is_verified(db, key) else b""
        case Kind.PERSON:
            chat = chats.of_identity(db, key)
            if chat is None or not chat.number or key == context.account.identity_public:
                return None
            return encode(Person(chat.number, chat.claimed, chat.list_version))
        case Kind.SHOWN:
            return b"1"
        case Kind.DECIDED:
            found = tables.conversation_by_id(db, key)
            declined = found is not None and found[0].state is ConversationState.DECLINED
            return DECLINED if declined else ACCEPTED
        case Kind.PINNED | Kind.MUTED | Kind.ARCHIVED | Kind.DRAFT:
            return _arranged(chats.of_key(db, key), kind)
        case Kind.LIST:
            return load_account(db).device_list
        case Kind.HIDDEN:
            return b"1" if load_account(db).hidden else b"0"
        case _:
            return value_of(db, kind, key)


def _arranged(chat: Chat | None, kind: Kind) -> bytes | None:
    if chat is None:
        return None
    if kind is Kind.PINNED:
        return b"1" if chat.pinned else b""
    if kind is Kind.MUTED:
        return b"%d" % chat.muted if chat.muted else b""
    if kind is Kind.ARCHIVED:
        return b"1" if chat.archived else b""
    draft = chat.draft.encode()
    return draft if len(draft) <= MAX_DRAFT else None


# --- hearing --------------------------------------------------------------------------------------


def hear(db: Db, context: Context, registers: Sequence[Register]) -> None:
    """Take what another device of ours says, where it is newer than what is known here."""
    for register in registers:
        row = db.row("SELECT time, value FROM synced WHERE kind = ? AND key = ?", register.kind.value, register.key)
        known = (0, b"") if row is None else (as_int(row[0]), as_bytes(row[1]))
        changed_here = db.row("SELECT 1 FROM unsynced WHERE kind = ? AND key = ?", register.kind.value, register.key)
        if changed_here is not None or (register.time, register.value) <= known:
            continue
        _keep(db, register)
        with suppress(UsageError, BadRequest, BadKeyPackage, UnicodeDecodeError):
            _write(db, context, register)
        # What was written by that is no news to the others.
        db.execute("DELETE FROM unsynced WHERE kind = ? AND key = ?", register.kind.value, register.key)


def decided(db: Db, conversation: bytes) -> bytes:
    """What another device has decided of a request; empty when it has not."""
    return value_of(db, Kind.DECIDED, conversation)


def _keep(db: Db, register: Register) -> None:
    db.execute(
        "INSERT OR REPLACE INTO synced VALUES (?, ?, ?, ?)",
        *(register.kind.value, register.key, register.value, register.time),
    )


def _write(db: Db, context: Context, register: Register) -> None:
    key, value = register.key, register.value
    match register.kind:
        case Kind.LIST:
            take_list(db, context, value)
        case Kind.HIDDEN:
            save_account(db, replace(load_account(db), hidden=value == b"1"))
            context.account = load_account(db)
            own_record.expect(db, listed=value != b"1")
        case Kind.PERSON:
            _person(db, key, PERSON.decode(value))
        case Kind.CONTACT if value:
            db.execute(
                "INSERT INTO contact (number, name) VALUES (?1, ?2) ON CONFLICT (number) DO UPDATE SET name = ?2",
                *(key.decode(), value[1:].decode()),
            )
        case Kind.CONTACT:
            db.execute("DELETE FROM contact WHERE number = ?", key.decode())
        case Kind.CALLED:
            call_person(db, key, value.decode())
        case Kind.BLOCKED if value:
            tables.block(db, key.decode(), value.decode())
            requests.turn_down_blocked(db)
        case Kind.BLOCKED:
            db.execute("DELETE FROM blocked WHERE who = ?", key.decode())
        case Kind.VERIFIED if value:
            chat = chats.of_identity(db, key)
            verified.mark(db, key, "" if chat is None else chat.number, register.time // 1000)
        case Kind.VERIFIED:
            verified.unmark(db, key, "")
        case Kind.SHOWN:
            sender, message = key[:SHOWN_KEY], key[SHOWN_KEY:]
            db.execute("UPDATE message SET shown = 1 WHERE sender = ? AND id = ? AND incoming = 1", sender, message)
        case Kind.DECIDED:
            _decide(db, context, key, value)
        case Kind.PINNED | Kind.MUTED | Kind.ARCHIVED | Kind.DRAFT:
            _arrange(db, context, register)


def _arrange(db: Db, context: Context, register: Register) -> None:
    value, chat = register.value, chats.for_key(db, register.key)
    if chat is None:
        return
    match register.kind:
        case Kind.PINNED:
            chats.pin(db, chat.id, pinned=bool(value))
        case Kind.MUTED:
            chats.mute(db, chat.id, _seconds(value), context.now_ms // 1000)
        case Kind.ARCHIVED if not value or not chat.archived:
            chats.archive(db, chat.id, archived=bool(value))
        case Kind.DRAFT:
            # Unless it is being written here.
            db.execute("UPDATE chat SET draft = ? WHERE id = ? AND drafted = 0", value.decode(), chat.id)


def _seconds(value: bytes) -> int:
    """0 for what is no time."""
    return min(int(value), chats.FOR_GOOD) if value.isdigit() and len(value) <= len(str(chats.FOR_GOOD)) else 0


def take_list(db: Db, context: Context, signed: bytes) -> None:
    """The account's device list as another device knows it: newer ones are kept. Raises BadKeyPackage."""
    account = load_account(db)
    known = verify_device_list(account.device_list, account.identity_public)
    listed = verify_device_list(signed, account.identity_public)
    if listed.version <= known.version:
        return
    save_account(db, replace(account, device_list=signed))
    for gone in set(known.devices) - set(listed.devices):
        forget_device(db, gone)
    context.account = load_account(db)


def _person(db: Db, identity: bytes, person: Person) -> None:
    by_number = chats.of_number(db, person.number) if person.number else None
    if person.number and (by_number is None or by_number.identity in (b"", identity)):
        chat = chats.bind(db, person.number, identity)
    else:
        chat = chats.for_identity(db, identity, person.claimed or person.number)
    chats.mark_encrypted(db, chat.id, person.list_version, by_us=True)


def _decide(db: Db, context: Context, conversation: bytes, value: bytes) -> None:
    found = tables.conversation_by_id(db, conversation)
    if found is None:
        return
    waiting = found[0].state in (ConversationState.REQUESTED, ConversationState.DECLINED)
    if value == ACCEPTED and waiting:
        for step in accept_all([found[0]], context.tools):
            steps.save(context, db, found[1], step)
            steps.owe_all(db, conversation)
    elif value == DECLINED and found[0].state is ConversationState.REQUESTED:
        chat = chats.by_id(db, found[1])
        with suppress(NoSuchRequest):
            requests.decline(db, context, "" if chat is None else f"{CHAT_PREFIX}{chat.id}")
