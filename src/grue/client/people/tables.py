"""Queries for the address book, to be used inside a transaction."""

from dataclasses import dataclass
from typing import Final, cast

from grue.client import chats
from grue.client.store.engine import Db, as_bytes, as_str
from grue.client.store.entries import put_meta
from grue.errors import NoSuchContact
from grue.protocol.conversation.fallback import Route

SYNCING: Final = "contacts_syncing"
"""Under this key it is noted that the address book is to be looked up, and goes on by itself."""


@dataclass(frozen=True)
class Contact:
    """One number of the address book, with the route as it was when it was checked. Sending always looks up anew."""

    number: str
    name: str
    route: Route
    checked: int | None
    """Unix seconds; None when it has not been looked up yet."""
    changed: int | None
    """Unix seconds of the check that found it registered, or gone, after it had been the other way."""


def count(db: Db) -> int:
    row = db.row("SELECT count(*) FROM contact")
    return cast("int", row[0]) if row is not None else 0


def is_contact(db: Db, number: str) -> bool:
    """Whether the address book has this number."""
    return db.row("SELECT 1 FROM contact WHERE number = ?", number) is not None


def contact_name(db: Db, number: str) -> str:
    """What the address book calls this number; empty when it does not have it."""
    row = db.row("SELECT name FROM contact WHERE number = ?", number)
    return "" if row is None else cast("str", row[0])


MAX_CONTACT_NAME: Final = 100
"""Characters of a name that somebody is given here: one line of a list of chats."""


def called(db: Db, name: str) -> list[str]:
    """The numbers that the address book has under exactly this name, and the ids of who is called so without one."""
    numbers = db.rows("SELECT number FROM contact WHERE name = ?1 AND ?1 != '' ORDER BY number LIMIT 9", name)
    people = db.rows("SELECT identity FROM person WHERE name = ?1 AND ?1 != '' ORDER BY identity LIMIT 9", name)
    chats_of = [chats.of_identity(db, as_bytes(identity)) for (identity,) in people]
    ids = [chats.person(as_bytes(identity)) for (identity,) in people]
    return [as_str(number) for (number,) in numbers] + [
        id if chat is None else chat.name for id, chat in zip(ids, chats_of, strict=True)
    ]


def name_of(db: Db, number: str, identity: bytes) -> str:
    """What the user calls whoever has this number or identity; empty for nothing."""
    row = db.row("SELECT name FROM person WHERE identity = ? AND ? != x''", identity, identity)
    return (contact_name(db, number) if number else "") or ("" if row is None else as_str(row[0]))


def call_number(db: Db, number: str, name: str) -> None:
    """Name a number in the address book, and put it in where it is not."""
    db.execute(
        "INSERT INTO contact (number, name) VALUES (?1, ?2) ON CONFLICT (number) DO UPDATE SET name = ?2", number, name
    )


def call_person(db: Db, identity: bytes, name: str) -> None:
    """Name somebody who shows no number."""
    db.execute(
        "INSERT INTO person (identity, name) VALUES (?1, ?2) ON CONFLICT (identity) DO UPDATE SET name = ?2",
        *(identity, name),
    )


def everybody(db: Db) -> list[Contact]:
    """All contacts by name, and those without one by number, last."""
    return [_contact(row) for row in db.rows(f"{_SELECT} ORDER BY name = '', name COLLATE NOCASE, number")]


def take_news(db: Db) -> list[Contact]:
    """Those whose route has changed since somebody was told, each once."""
    found = [_contact(row) for row in db.rows(f"{_SELECT} WHERE news = 1 ORDER BY name COLLATE NOCASE, number")]
    if found:
        db.execute("UPDATE contact SET news = 0 WHERE news = 1")
    return found


_SELECT: Final = """SELECT number, name, CASE WHEN route = 'sms' AND EXISTS (SELECT 1 FROM encrypted_number AS e
    WHERE e.number = contact.number) THEN 'unknown' ELSE route END, checked, changed FROM contact"""
"""A number that was reached encrypted does not turn green here either."""


def _contact(row: tuple[object, ...]) -> Contact:
    number, name, route, checked, changed = cast("tuple[str, str, str, int, int]", row)
    return Contact(number, name, Route(route), checked or None, changed or None)


def forget(db: Db, number: str) -> None:
    """Drop a number from the address book, and what a lookup of it left here. Raises NoSuchContact."""
    if not db.execute("DELETE FROM contact WHERE number = ?", number):
        raise NoSuchContact
    db.execute(
        "DELETE FROM evaluation WHERE number = ?1 AND NOT EXISTS (SELECT 1 FROM chat WHERE chat.number = ?1)", number
    )


def forget_all(db: Db) -> int:
    """Drop the whole address book, and look nothing up by itself any more; returns how many there were."""
    db.execute(
        "DELETE FROM evaluation WHERE number IN (SELECT number FROM contact)"
        " AND NOT EXISTS (SELECT 1 FROM chat WHERE chat.number = evaluation.number)"
    )
    put_meta(db, SYNCING, False)
    return db.execute("DELETE FROM contact")


def know_nothing(db: Db) -> None:
    """Keep names and numbers, and forget what a directory said of them: it is not ours any more."""
    put_meta(db, SYNCING, False)
    db.execute("UPDATE contact SET route = 'unknown', checked = 0, changed = 0, news = 0")
    db.execute("DELETE FROM asked")
