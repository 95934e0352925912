"""`import_100k_s`: 100,000 lines of CSV, each another number, from a file into a client's encrypted home.
`address_book_500_s`: 500 new numbers at 1,000 records, by a client and a server on loopback.

The sync counts from the call to its result: the newest head, tokens (those that registration drew, and the draws for
the rest), ten requests, the proofs, and all that is stored and searched. Every tenth of the numbers is registered.
"""

import io
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import uvloop

from bench.people import ALICE
from grue.client.client import Client
from grue.client.contacts import take_in
from grue.client.store import Store
from grue.lab.fill import fictional_numbers, filled, numbers
from tests.world.processes import ProcessWorld

LINES: Final = 100_000
RECORDS: Final = 1000
NEW: Final = 500
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
    file = "Name,Phone\n" + "".join(f"Somebody,{number}\n" for number in people)
    await client.import_contacts(io.BytesIO(file.encode()))
    start = time.perf_counter()
    synced = await client.sync_contacts()
    seconds = time.perf_counter() - start
    assert (synced.evaluated, synced.left, synced.encrypted) == (NEW, 0, NEW // 10), synced
    return seconds


async def _address_books(path: Path) -> list[float]:
    """Seconds for one address book of each of some people."""
    world = ProcessWorld(path)
    registered = await filled(path / "server", RECORDS, 1)
    await world.start()
    try:
        others = [number for number in numbers(2 * RECORDS, 2) if number not in set(registered)]
        people = registered[: NEW // 10] + others[: NEW - NEW // 10]
        # Whoever comes next has an allowance and a home of their own.
        return [await _sync(await world.person(f"{ALICE[:-1]}{n}"), people) for n in range(RUNS)]
    finally:
        await world.close()


def measure() -> list[dict[str, Any]]:
    """Medians."""
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as scratch:
        imports = [uvloop.run(_import(Path(scratch) / f"grue{n}.db")) for n in range(RUNS)]
        synced = uvloop.run(_address_books(Path(scratch)))
    return [
        {"id": "import_100k_s", "value": round(statistics.median(imports), 2), "unit": "s"},
        {"id": "address_book_500_s", "value": round(statistics.median(synced), 2), "unit": "s"},
    ]
