"""Names and numbers of an address book are brought into the encrypted home. `contactsync` looks them up.

No server is asked for any of this.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO, Final

from grue.client.people import tables
from grue.client.people.addressfile import Entry, Skip, read
from grue.client.store.engine import Db, Store

MAX_CONTACTS: Final = 100_000
"""Numbers in one address book: what fifty lookups a day would take five years for."""

CHUNK: Final = 1000
"""Entries that are read and stored at a time, so that a file of any length takes the same memory."""


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
    while chunk := await asyncio.to_thread(list, islice(entries, CHUNK)):
        await store.transact(_take_in, chunk, imported, seen)
    return imported


# --- in transactions ------------------------------------------------------------------------------


def _take_in(db: Db, entries: list[Entry], imported: Imported, seen: set[str]) -> None:
    room = MAX_CONTACTS - tables.count(db)
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
