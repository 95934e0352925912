"""`import_100k_s`: 100,000 lines of CSV, each another number, from a file into a client's encrypted home.
`address_book_500_s`: 500 new numbers at 1,000 records, by a client and a server on loopback.
`address_book_500_1m_*`: the same at a million records, in tier 2, where each number takes a private query besides.

The sync counts from the call to its result: the newest head, tokens (those that registration drew, and the draws for
the rest), ten requests, the proofs, and all that is stored and searched. Every tenth of the numbers is registered.
In tier 2 `address_book_500_1m_first_s` ends when the base's word on ten numbers is there, `address_book_500_1m_s` when
all 500 are evaluated besides, and `..._whole_s` when it is there on all. That takes 1,050 tokens, an evaluation and a
query each and 50 that are left alone; the account has 1,000 of its first week and 350 as of its second.
"""

import asyncio
import io
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final, cast

import uvloop

from bench.lookup_scale import MILLION, records
from bench.people import ALICE
from grue.client.client import Client
from grue.client.people.contacts import take_in
from grue.client.store.engine import Db, Store
from grue.client.store.home import DATABASE, unlock
from grue.client.transport.tables import put_tokens
from grue.lab.fill import fictional_numbers, filled, numbers
from grue.lab.mint import WEEK, mint
from grue.protocol.tokens import Purpose, StoredToken, epoch_of
from grue.server.directory.directory import Directory
from grue.server.keys.keys import open_keys
from grue.server.tokens.tokens import DAILY_LOOKUPS
from grue.testing.world import PASSPHRASE
from tests.world.processes import ProcessWorld

LINES: Final = 100_000
RECORDS: Final = 1000
NEW: Final = 500
FIRST: Final = 10
AIMS: Final = {"address_book_500_1m_s": 2}
RUNS: Final = 3


async def _import(home: Path) -> float:
    """Seconds for the whole file."""
    every = fictional_numbers()
    file = "Name,Phone\n" + "".join(f"Somebody {n},{next(every)}\n" for n in range(LINES))
    store = await Store.open(home, bytes(32))
    start = time.perf_counter()
    imported = await take_in(store, io.BytesIO(file.encode()), "GB")
    seconds = time.perf_counter() - start
    await store.close()
    assert imported.imported == LINES, imported
    return seconds


async def _sync(client: Client, people: list[str]) -> float:
    await client.contacts.import_file(_csv(people))
    start = time.perf_counter()
    synced = await client.contacts.sync()
    seconds = time.perf_counter() - start
    assert (synced.evaluated, synced.left, synced.encrypted) == (NEW, 0, NEW // 10), synced
    return seconds


async def _address_books(path: Path) -> list[float]:
    """Seconds for one address book of each of some people."""
    world = ProcessWorld(path)
    people = await _some_people(path / "server")
    await world.start()
    try:
        # Whoever comes next has an allowance and a home of their own.
        return [await _sync(await world.person(f"{ALICE[:-1]}{n}"), people) for n in range(RUNS)]
    finally:
        await world.close()


async def _some_people(data: Path) -> list[str]:
    """Numbers for an address book, every tenth of which is registered with the server that will run here."""
    registered = await filled(data, RECORDS, 1)
    others = [number for number in numbers(2 * RECORDS, 2) if number not in set(registered)]
    return registered[: NEW // 10] + others[: NEW - NEW // 10]


async def _large_address_book(path: Path) -> dict[str, float]:
    """Seconds until the marks of one address book at `MILLION` records, where a number takes a private query."""
    world = ProcessWorld(path)
    people = await _some_people(path / "server")
    Directory(path / "server", open_keys(path / "server")).put_many(records(MILLION - RECORDS))
    await world.start()
    try:
        client = await world.person(ALICE)
        await client.contacts.import_file(_csv(people))
        await client.context.store.note(put_tokens, Purpose.LOOKUP, _second_week(path / "server"))
        return await _marks(client, path / ALICE)
    finally:
        await world.close()


def _second_week(data: Path) -> list[StoredToken]:
    """What an account may draw in its second week."""
    keys, epoch = open_keys(data), epoch_of(int(time.time()) // WEEK)
    return [mint(keys, Purpose.LOOKUP, epoch) for _ in range(7 * DAILY_LOOKUPS)]


async def _marks(client: Client, home: Path) -> dict[str, float]:
    store = await Store.open(home / DATABASE, unlock(home, PASSPHRASE))
    _, before = await store.read(_counts)
    start = time.perf_counter()
    syncing = asyncio.create_task(client.contacts.sync())
    seen = []
    while not syncing.done():
        seen.append((time.perf_counter() - start, *await store.read(_counts)))
        await asyncio.sleep(0.01)
    whole, synced = time.perf_counter() - start, await syncing
    await store.close()
    assert (synced.evaluated, synced.left, synced.encrypted) == (NEW, 0, NEW // 10), synced
    most = max(evaluations for _, evaluations, _ in seen)
    first = [(seconds, evaluations) for seconds, evaluations, answers in seen if answers >= before + FIRST]
    return {
        "address_book_500_1m_first_s": first[0][0],
        "address_book_500_1m_s": next(seconds for seconds, evaluations in first if evaluations == most),
        "address_book_500_1m_whole_s": whole,
    }


def _counts(db: Db) -> tuple[int, int]:
    """Numbers that are evaluated, and those on which the base's word is there."""
    ((evaluations, answers),) = db.rows("SELECT (SELECT count(*) FROM evaluation), (SELECT count(*) FROM retrieved)")
    return cast("int", evaluations), cast("int", answers)


def _csv(people: list[str]) -> io.BytesIO:
    return io.BytesIO(("Name,Phone\n" + "".join(f"Somebody,{number}\n" for number in people)).encode())


def measure() -> list[dict[str, Any]]:
    """Medians, and at a million records one run."""
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as scratch:
        imports = [uvloop.run(_import(Path(scratch) / f"grue{n}.db")) for n in range(RUNS)]
        synced = uvloop.run(_address_books(Path(scratch)))
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as scratch:
        marks = uvloop.run(_large_address_book(Path(scratch)))
    return [
        {"id": "import_100k_s", "value": round(statistics.median(imports), 2), "unit": "s"},
        {"id": "address_book_500_s", "value": round(statistics.median(synced), 2), "unit": "s"},
        *(
            {"id": name, "value": round(value, 2), "unit": "s", "reach": AIMS.get(name)}
            for name, value in marks.items()
        ),
    ]
