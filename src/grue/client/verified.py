"""Identities whose safety number was compared. The mark is the key's: it outlives a chat's number, and the chat."""

from grue.client.store.engine import Db, as_bytes, as_str
from grue.errors import KeyChanged, VerifiedKeyChanged


def mark(db: Db, identity: bytes, number: str, now: int) -> None:
    """This identity was compared, at Unix seconds, while it had this number; empty when it showed none."""
    db.execute("INSERT OR IGNORE INTO verified (identity, time) VALUES (?, ?)", identity, now)
    note_number(db, identity, number)


def unmark(db: Db, identity: bytes, number: str) -> None:
    """Take the mark back, and forget whose the number was."""
    db.execute("DELETE FROM verified_number WHERE identity = ? OR number = ?", identity, number)
    db.execute("DELETE FROM verified WHERE identity = ?", identity)


def is_verified(db: Db, identity: bytes) -> bool:
    return db.row("SELECT 1 FROM verified WHERE identity = ?", identity) is not None


def note_number(db: Db, identity: bytes, number: str) -> None:
    """An identity was found under a number: of a verified one it is kept, to notice when it leads to another."""
    if number and is_verified(db, identity):
        db.execute("INSERT OR REPLACE INTO verified_number (number, identity) VALUES (?, ?)", number, identity)


def owner(db: Db, number: str) -> bytes:
    """The identity that was verified under this number last; empty for none."""
    row = db.row("SELECT identity FROM verified_number WHERE number = ?", number)
    return b"" if row is None else as_bytes(row[0])


def numbers(db: Db) -> list[str]:
    """All numbers under which somebody was verified."""
    return [as_str(number) for (number,) in db.rows("SELECT number FROM verified_number")]


def has_changed(db: Db, number: str, identity: bytes) -> bool:
    """Whether another identity was verified under this number, and this one never was."""
    return owner(db, number) not in (b"", identity) and not is_verified(db, identity)


def is_news(db: Db, number: str, identity: bytes) -> bool:
    """Whether it has changed, and nobody was told of this very identity."""
    told = db.row("SELECT told FROM verified_number WHERE number = ?", number)
    return told is not None and told[0] != identity and has_changed(db, number, identity)


def note_told(db: Db, number: str, identity: bytes) -> None:
    db.execute("UPDATE verified_number SET told = ? WHERE number = ?", identity, number)


def key_changed(db: Db, known: bytes, detail: str = "") -> KeyChanged:
    """What stops a message to somebody whose identity is not the one known here: louder when that one was verified."""
    return VerifiedKeyChanged(detail) if is_verified(db, known) else KeyChanged(detail)
