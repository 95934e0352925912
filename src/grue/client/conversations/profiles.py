"""Profiles: what we call ourselves goes to whom we write with; what others call themselves is kept beside them.

Ours goes into conversations that we have begun or accepted, and into no other. Between two it goes at once; in a group
with the next text, so that a change does not show a server all groups that somebody is in.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from msgspec.structs import replace

from grue._core import MlsSession
from grue.client.context import Context
from grue.client.conversations import naming, tables
from grue.client.store.engine import Db, as_bytes, as_int, as_str
from grue.client.store.entries import get_meta, put_meta
from grue.errors import UsageError
from grue.protocol.conversation.contents import MAX_PROFILE_NAME, Profile
from grue.protocol.conversation.conversation import SENDING, Conversation, Outgoing, introduce_oneself
from grue.protocol.pictures import bare

_OWN: Final = "profile"


def own(db: Db) -> Profile:
    """What we call ourselves; of version 0 when we never said."""
    return get_meta(db, _OWN, Profile) or Profile(0)


def change(db: Db, context: Context, name: str | None, picture: bytes | None) -> Profile:
    """Change one of the two, or both; empty takes it back. Raises UsageError."""
    after = before = own(db)
    if name is not None:
        after = replace(after, name=naming.checked_name(name, MAX_PROFILE_NAME) if name else "")
    if picture is not None:
        after = replace(after, picture=bare(picture) if picture else b"")
    if after != before:
        after = replace(after, version=max(before.version + 1, context.now_ms))
        put_meta(db, _OWN, after)
    return after


def along(db: Db, session: MlsSession, conversation: Conversation, context: Context) -> Sequence[Outgoing]:
    """Our profile, unless this conversation has it; noted as sent, in the caller's transaction."""
    profile = own(db)
    row = db.row("SELECT version FROM profile_sent WHERE conversation = ?", conversation.id)
    known = 0 if row is None else as_int(row[0])
    if known >= profile.version or conversation.state not in SENDING:
        return []
    db.execute("INSERT OR REPLACE INTO profile_sent VALUES (?, ?)", conversation.id, profile.version)
    return introduce_oneself(session, conversation, profile, context.tools)


def send_anew(db: Db, conversation: bytes) -> None:
    """Somebody in this conversation does not have our profile."""
    db.execute("DELETE FROM profile_sent WHERE conversation = ?", conversation)


def owed(db: Db, chat: int | None = None) -> list[tuple[bytes, int]]:
    """Conversations of two that do not have our profile yet, each with its chat: of all chats, or of one."""
    version = own(db).version
    if not version:
        return []
    rows = db.rows(
        "SELECT conversation.id, chat FROM conversation JOIN chat ON chat.id = chat AND group_id = x''"
        " LEFT JOIN profile_sent ON profile_sent.conversation = conversation.id"
        " WHERE conversation.state IN (?1, ?2) AND coalesce(version, 0) < ?3 AND (?4 IS NULL OR chat = ?4)",
        *(*sorted(state.value for state in SENDING), version, chat),
    )
    blocked = tables.blocked_chats(db)
    return [(as_bytes(conversation), as_int(of)) for conversation, of in rows if of not in blocked]


def to_say(db: Db, only: int | None = None) -> tuple[list[tuple[bytes, int]], list[tuple[bytes, int]]]:
    """Texts that are to be encrypted, and conversations that lack our profile: each with its chat; or those of one."""
    return tables.intended(db, only), owed(db, only)


def keep(db: Db, sender: bytes, profile: Profile) -> None:
    """Keep what somebody calls themself. PEOPLE-04 the newest counts; a name or picture that is none is left out."""
    if tables.blocked_as(db, sender.hex()) is not None:
        return
    name, picture = "", b""
    with suppress(UsageError):
        name = naming.checked_name(profile.name, MAX_PROFILE_NAME)
    with suppress(UsageError):
        picture = bare(profile.picture)
    db.execute(
        "INSERT INTO person (identity, profile_name, picture, profile_version) VALUES (?1, ?2, ?3, ?4)"
        " ON CONFLICT (identity) DO UPDATE SET profile_name = ?2, picture = ?3, profile_version = ?4"
        " WHERE profile_version < ?4",
        *(sender, name, picture, profile.version),
    )


def adopt(db: Db, conversation: bytes, profile: Profile) -> None:
    """Another device of ours has said it, in this conversation, so that it need not be said there again."""
    if profile.version > own(db).version:
        put_meta(db, _OWN, profile)
    db.execute("INSERT OR REPLACE INTO profile_sent VALUES (?, ?)", conversation, profile.version)


def name_of(db: Db, identity: bytes) -> str:
    """What somebody calls themself; empty for nothing."""
    row = db.row("SELECT profile_name FROM person WHERE identity = ?", identity)
    return "" if row is None else as_str(row[0])


def picture_of(db: Db, identity: bytes) -> bytes:
    row = db.row("SELECT picture FROM person WHERE identity = ?", identity)
    return b"" if row is None else as_bytes(row[0])
