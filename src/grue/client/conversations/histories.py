"""What a chat holds, as somebody reads it: in pages, counted, and seen so far."""

from typing import Final

from grue.client.conversations.tables import StoredMessage, messages
from grue.client.store.engine import Db, as_int

MAX_ROW: Final = (1 << 63) - 1
"""SQLite's largest; no message has it."""


def mark_seen(db: Db, chat: int, until: int) -> None:
    """A person has looked at this chat, up to a row."""
    db.execute("UPDATE message SET shown = 1 WHERE chat = ? AND n <= ? AND incoming = 1 AND shown = 0", chat, until)


def history(
    db: Db, chat: int, since: int = 0, before: int | None = None, limit: int | None = None, *, oldest: bool = False
) -> list[StoredMessage]:
    """Messages of a chat, oldest first: from a row on, before another one, and as many as came last of them, or first.

    oldest  those that came first
    """
    found = messages(
        db,
        f"WHERE chat = ? AND n >= ? AND n < ? ORDER BY n {'' if oldest else 'DESC'} LIMIT ?",
        *(chat, since, MAX_ROW if before is None else before, -1 if limit is None else limit),
    )
    return found if oldest else found[::-1]


def newest(db: Db, chat: int) -> StoredMessage | None:
    found = messages(db, "WHERE chat = ? ORDER BY n DESC LIMIT 1", chat)
    return found[0] if found else None


def counted(db: Db, chat: int) -> tuple[int, int]:
    """How many messages a chat has, and how many of them came in and were shown to nobody."""
    total = db.row("SELECT count(*) FROM message WHERE chat = ?", chat)
    unread = db.row("SELECT count(*) FROM message WHERE chat = ? AND incoming = 1 AND shown = 0", chat)
    assert total is not None
    assert unread is not None
    return as_int(total[0]), as_int(unread[0])
