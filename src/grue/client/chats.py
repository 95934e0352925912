"""A chat is a person, a number or a group as the user sees them, and where they have put it in their list.

Rooms above need chats, and the notices in them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, cast

from grue.client import verified
from grue.client.store.engine import Db, Row, as_bytes, as_int, as_str
from grue.protocol.conversation.conversation import Notice

CHAT_PREFIX: Final = "chat:"
"""Names a chat by its id: the only way to one that has neither a verified number nor an account."""


GROUP_PREFIX: Final = "group:"
"""Names a group by the first `ID_DIGITS` hexadecimal digits of its id."""

PERSON_PREFIX: Final = "person:"
"""Names an account by the first `ID_DIGITS` hexadecimal digits of its identity key, for who shows no number."""

ID_DIGITS: Final = 16
"""64 bits: nobody has so many groups or contacts that two of them would be called the same by chance."""

SMS_PREFIX: Final = "sms:"
"""Before an SMS sender that is a name and no number."""

ME: Final = "me"
"""Send to this to keep a note for oneself."""

PREFIXES: Final = (CHAT_PREFIX, GROUP_PREFIX, PERSON_PREFIX, SMS_PREFIX)
"""Whatever begins with one of these is an id, and no name that people give."""


ARCHIVED: Final = 1
MISSED: Final = 2
"""Archived, and something came while it was muted: it is in the list again when that ends."""

FOR_GOOD: Final = 253_402_300_799
"""Unix seconds at the end of the year 9999: muted without an end."""


@dataclass(frozen=True)
class Chat:
    """One person (or number) as the user sees them; may have had several conversations."""

    id: int
    number: str
    claimed: str
    identity: bytes
    list_version: int
    """Of the newest device list that was seen of this account."""
    encrypted: bool
    group: bytes = b""
    """The id of a group; empty for one person or number."""
    title: str = ""
    """What the group is called."""
    pinned: bool = False
    """It stands above those that are not."""
    muted: int = 0
    """Unix seconds until which what comes is quiet; 0 when it is not."""
    archived: int = 0
    """0, ARCHIVED or MISSED."""
    draft: str = ""
    """What was written and not sent."""

    def is_muted(self, now: float) -> bool:
        return self.muted > now

    def is_archived(self, now: float) -> bool:
        """Whether it is out of the list: until something comes that is not quiet."""
        return self.archived == ARCHIVED or (self.archived == MISSED and self.is_muted(now))

    @property
    def name(self) -> str:
        """What to send to: the group's id, the number when it is verified, else the account's id."""
        if self.group:
            return GROUP_PREFIX + self.group.hex()[:ID_DIGITS]
        return self.number or self.unnumbered

    @property
    def unnumbered(self) -> str:
        """What it is called without a number: the account's id, or the chat's where there is no account."""
        return person(self.identity) if self.identity else f"{CHAT_PREFIX}{self.id}"


_CHAT = (
    "SELECT id, number, claimed, identity, list_number, encrypted, group_id, title, pinned, muted, archived, draft"
    " FROM chat "
)


def of_number(db: Db, number: str) -> Chat | None:
    return _chat(db.row(_CHAT + "WHERE number = ?", number))


def of_identity(db: Db, identity: bytes) -> Chat | None:
    return _chat(db.row(_CHAT + "WHERE identity = ?", identity))


def of_claim(db: Db, number: str) -> Chat | None:
    """The newest chat whose other side claims this number, unverified."""
    return _chat(db.row(_CHAT + "WHERE claimed = ? AND number IS NULL ORDER BY id DESC", number))


def by_id(db: Db, chat: int) -> Chat | None:
    return _chat(db.row(_CHAT + "WHERE id = ?", chat))


def of_group(db: Db, group: bytes) -> Chat | None:
    return _chat(db.row(_CHAT + "WHERE group_id = ?", group))


def person(identity: bytes) -> str:
    """What an account is called whose number is not known here."""
    return PERSON_PREFIX + identity.hex()[:ID_DIGITS]


def of_group_id(db: Db, name: str) -> Chat | None:
    """The chat of a `group:` id."""
    return _chat(db.row(_CHAT + _BY_ID.format("group_id"), name.removeprefix(GROUP_PREFIX), ID_DIGITS))


def of_person_id(db: Db, name: str) -> Chat | None:
    """The chat of a `person:` id."""
    return _chat(db.row(_CHAT + _BY_ID.format("identity"), name.removeprefix(PERSON_PREFIX), ID_DIGITS))


def groups_called(db: Db, name: str) -> list[Chat]:
    """Groups with exactly this name."""
    return [cast("Chat", _chat(row)) for row in db.rows(_CHAT + "WHERE title = ? AND group_id != x''", name)]


_BY_ID: Final = "WHERE substr(lower(hex({})), 1, ?2) = ?1 AND ?1 != ''"


def all_chats(db: Db) -> list[Chat]:
    newest_first = "ORDER BY (SELECT max(n) FROM message WHERE message.chat = chat.id) DESC"
    return [cast("Chat", _chat(row)) for row in db.rows(_CHAT + newest_first)]


def for_number(db: Db, number: str) -> Chat:
    """The chat of a number, made when there is none."""
    db.execute("INSERT OR IGNORE INTO chat (number) VALUES (?)", number)
    found = of_number(db, number)
    assert found is not None
    return found


def for_identity(db: Db, identity: bytes, claimed: str) -> Chat:
    """The chat of an account, made when there is none."""
    db.execute("INSERT OR IGNORE INTO chat (identity, claimed) VALUES (?, ?)", identity, claimed)
    found = of_identity(db, identity)
    assert found is not None
    return found


def for_group(db: Db, group: bytes, title: str) -> Chat:
    """The chat of a group, made when there is none, and called what it is called now."""
    db.execute(
        "INSERT INTO chat (group_id, title) VALUES (?1, ?2)"
        " ON CONFLICT (group_id) WHERE group_id != x'' DO UPDATE SET title = ?2",
        group,
        title,
    )
    found = of_group(db, group)
    assert found is not None
    return found


def bind(db: Db, number: str, identity: bytes) -> Chat:
    """One chat for a number and the identity that a verified lookup found behind it.

    A chat of the number with another identity loses the number: its history stays, under what it claimed.
    """
    by_number, by_identity = of_number(db, number), of_identity(db, identity)
    if by_number and by_number.identity and by_number.identity != identity:
        db.execute("UPDATE chat SET number = NULL, claimed = ? WHERE id = ?", number, by_number.id)
        by_number = None
    if by_number and by_identity and by_number.id != by_identity.id:
        newest = max(by_number.list_version, by_identity.list_version)
        db.execute("UPDATE chat SET list_number = ? WHERE id = ?", newest, by_number.id)
        _join_arrangement(db, by_number, by_identity)
        db.execute("UPDATE intent SET chat = ? WHERE chat = ?", by_number.id, by_identity.id)
        db.execute("UPDATE notice SET chat = ? WHERE chat = ?", by_number.id, by_identity.id)
        db.execute("UPDATE message SET chat = ? WHERE chat = ?", by_number.id, by_identity.id)
        db.execute("UPDATE conversation SET chat = ? WHERE chat = ?", by_number.id, by_identity.id)
        db.execute("UPDATE gossip SET chat = ? WHERE chat = ?", by_number.id, by_identity.id)
        db.execute("DELETE FROM chat WHERE id = ?", by_identity.id)
        by_identity = None
    chat = by_number or by_identity or for_number(db, number)
    db.execute("UPDATE chat SET number = ?, claimed = ?, identity = ? WHERE id = ?", number, number, identity, chat.id)
    verified.note_number(db, identity, number)
    return cast("Chat", by_id(db, chat.id))


def mark_encrypted(db: Db, chat: int, list_version: int = 0, *, by_us: bool = False) -> None:
    """This chat is encrypted, and its number never turns green by itself; a claimed one only once we have written.

    by_us  whether it was we who wrote or accepted: a stranger's claim must not keep SMS from the number's owner
    """
    db.execute(
        # What changes nothing writes nothing: this is said of each message.
        "UPDATE chat SET encrypted = 1, list_number = max(list_number, ?1)"
        " WHERE id = ?2 AND (encrypted = 0 OR list_number < ?1)",
        *(list_version, chat),
    )
    db.execute(
        "INSERT OR IGNORE INTO encrypted_number SELECT iif(number != '', number, claimed) FROM chat"
        " WHERE id = ? AND (number != '' OR (? AND claimed != ''))",
        *(chat, by_us),
    )


def note_list_version(db: Db, chat: int, list_version: int) -> None:
    """A device list of this version is there: older ones count no more."""
    db.execute("UPDATE chat SET list_number = max(list_number, ?) WHERE id = ?", list_version, chat)


def encrypted_before(db: Db, number: str) -> bool:
    return db.row("SELECT 1 FROM encrypted_number WHERE number = ?", number) is not None


def list_version_of(db: Db, identity: bytes) -> int:
    """The version of the newest device list seen of an account; 0 when none was."""
    chat = of_identity(db, identity)
    return chat.list_version if chat is not None else 0


# --- how the user has arranged them ---------------------------------------------------------------


def pin(db: Db, chat: int, *, pinned: bool) -> None:
    """Have it stand above the others, or not."""
    db.execute("UPDATE chat SET pinned = ? WHERE id = ?", pinned, chat)


def mute(db: Db, chat: int, until: int, now: float) -> None:
    """Have it be quiet until then, Unix seconds; 0: no more."""
    # What came while it was quiet, if it is not any more, has brought it back by now.
    db.execute("UPDATE chat SET archived = 0 WHERE id = ? AND archived = ? AND muted <= ?", chat, MISSED, int(now))
    db.execute("UPDATE chat SET muted = ? WHERE id = ?", until, chat)
    if not until:
        db.execute("UPDATE chat SET archived = 0 WHERE id = ? AND archived = ?", chat, MISSED)


def archive(db: Db, chat: int, *, archived: bool) -> None:
    """Put it away, until something comes; or take it out."""
    db.execute("UPDATE chat SET archived = ? WHERE id = ?", ARCHIVED if archived else 0, chat)


def draft(db: Db, chat: int, text: str, now_ms: int) -> None:
    """Keep what was written and not sent; it is told once it has rested."""
    db.execute("UPDATE chat SET draft = ?1, drafted = ?2 WHERE id = ?3 AND draft != ?1", text, now_ms, chat)


def drop_draft(db: Db, chat: int, text: str, now_ms: int) -> None:
    """This was sent: it is no draft any more, unless that is another by now."""
    db.execute("UPDATE chat SET draft = '', drafted = ? WHERE id = ? AND draft = ? AND draft != ''", now_ms, chat, text)


def of_key(db: Db, key: bytes) -> Chat | None:
    """The chat that an own device names so; None for a key that names none yet."""
    kind, name = key[:1], key[1:]
    if kind == b"g":
        return of_group(db, name)
    if kind == b"i":
        return of_identity(db, name)
    return of_number(db, name.decode()) if kind == b"n" else None


def for_key(db: Db, key: bytes) -> Chat | None:
    """As `of_key`, made when there is none: what was said of it comes before the first message here."""
    found, kind, name = of_key(db, key), key[:1], key[1:]
    if found is not None or not name:
        return found
    if kind == b"g":
        return for_group(db, name, "")
    if kind == b"i":
        return for_identity(db, name, "")
    return for_number(db, name.decode()) if kind == b"n" else None


def _join_arrangement(db: Db, into: Chat, other: Chat) -> None:
    """Two chats turn out to be one: what was said of either holds, and it is in the list if one of them was."""
    db.execute(
        "UPDATE chat SET pinned = ?, muted = ?, archived = ?, draft = ? WHERE id = ?",
        *(into.pinned or other.pinned, max(into.muted, other.muted), min(into.archived, other.archived)),
        *(into.draft or other.draft, into.id),
    )


def notify(db: Db, chat: int, notices: Iterable[Notice]) -> None:
    for notice in notices:
        db.execute("INSERT INTO notice (chat, kind) VALUES (?, ?)", chat, notice.value)


def drop_notices(db: Db, chat: int, notice: Notice) -> None:
    """What this says of a chat is no news any more."""
    db.execute("DELETE FROM notice WHERE chat = ? AND kind = ?", chat, notice.value)


def take_notices(db: Db) -> list[tuple[Chat, Notice]]:
    """What a person should know, once."""
    rows = db.rows("SELECT chat, kind FROM notice ORDER BY n")
    db.execute("DELETE FROM notice")
    return [(cast("Chat", by_id(db, as_int(chat))), Notice(as_str(kind))) for chat, kind in rows]


def _chat(row: Row | None) -> Chat | None:
    if row is None:
        return None
    number, identity = row[1] or "", row[3] or b""
    return Chat(
        as_int(row[0]),
        as_str(number),
        as_str(row[2]),
        as_bytes(identity),
        as_int(row[4]),
        bool(row[5]),
        as_bytes(row[6]),
        as_str(row[7]),
        bool(row[8]),
        as_int(row[9]),
        as_int(row[10]),
        as_str(row[11]),
    )
