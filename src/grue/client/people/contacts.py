"""The address book in the encrypted home: brought in from files, listed, forgotten. `contactsync` looks it up.

No server is asked for any of this.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO, Final, cast

from grue.client.conversations import tables as rows
from grue.client.people.addressfile import Entry, Skip, read
from grue.client.store.engine import Db, Store
from grue.errors import NoSuchContact
from grue.protocol.conversation.fallback import Route

MAX_CONTACTS: Final = 100_000
"""Numbers in one address book: what fifty lookups a day would take five years for."""

CHUNK: Final = 1000
"""Entries that are read and stored at a time, so that a file of any length takes the same memory."""

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


@dataclass
class Imported:
    """What came of a file. Counts are of numbers; of `skipped` also of cards and lines."""

    imported: int = 0
    known: int = 0
    """In the address book before."""
    duplicates: int = 0
    """In the file more than once, in whatever form."""
    skipped: Counter[Skip] = field(default_factory=Counter)


async def take_in(store: Store, file: BinaryIO, region: str | None) -> Imported:
    """Bring a file's names and numbers in. Raises NotAnAddressBook, DiskFull, ...; see `addressfile.read`.

    Broken off, it has what came before; the same file again goes on with the rest.
    """
    entries = await asyncio.to_thread(read, file, region)
    imported, seen = Imported(), set[str]()
    while chunk := await asyncio.to_thread(_chunk, entries):
        await store.transact(_take_in, chunk, imported, seen)
    return imported


def _chunk(entries: Iterator[Entry]) -> list[Entry]:
    return list(islice(entries, CHUNK))


# --- in transactions ------------------------------------------------------------------------------


def _take_in(db: Db, entries: list[Entry], imported: Imported, seen: set[str]) -> None:
    room = MAX_CONTACTS - count(db)
    for entry in entries:
        imported.skipped.update(entry.skipped)
        for number in entry.numbers:
            if number in seen:
                imported.duplicates += 1
                _name_the_nameless(db, number, entry.name)
            elif db.execute("UPDATE contact SET name = iif(?1 = '', name, ?1) WHERE number = ?2", entry.name, number):
                imported.known += 1
                seen.add(number)
            elif room <= 0:
                imported.skipped[Skip.TOO_MANY] += 1
            else:
                db.execute("INSERT INTO contact (number, name) VALUES (?, ?)", number, entry.name)
                imported.imported += 1
                room -= 1
                seen.add(number)


def _name_the_nameless(db: Db, number: str, name: str) -> None:
    if name:
        db.execute("UPDATE contact SET name = ? WHERE number = ? AND name = ''", name, number)


def count(db: Db) -> int:
    row = db.row("SELECT count(*) FROM contact")
    return cast("int", row[0]) if row is not None else 0


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
    rows.put_meta(db, SYNCING, False)
    return db.execute("DELETE FROM contact")


def know_nothing(db: Db) -> None:
    """Keep names and numbers, and forget what a directory said of them: it is not ours any more."""
    rows.put_meta(db, SYNCING, False)
    db.execute("UPDATE contact SET route = 'unknown', checked = 0, changed = 0, news = 0")
    db.execute("DELETE FROM asked")
