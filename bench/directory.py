"""`directory_build_100k_s`, `directory_sync_100k_s`, `lookup_100k_ms`: a directory of 100,000 records.

Built from its numbers: PRF, records, sorting, Merkle tree, signature, and all of it on disk. Downloaded cold by
the real client from the real server on loopback, checked, and stored in the client's encrypted database. Then
looked up in: a fresh number each time, with its request for the newest head and its evaluation. All in tier 1; tier 2
is measured by `bench.lookup_scale`.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final, cast

import uvloop

from bench.server import ServerProcess
from grue.client.lookup.directory import Ask
from grue.client.lookup.directory import Directory as ClientDirectory
from grue.client.store.engine import Store
from grue.client.transport.transport import DirectTransport
from grue.lab.fill import numbers
from grue.lab.mint import paid
from grue.protocol import wire
from grue.protocol.directory.directory_sync import Fetch, RecordTable, Sync
from grue.protocol.directory.record import NONCE_BYTES, Record, derive, seal
from grue.server.directory.directory import Directory, outputs
from grue.server.keys.keys import Keys, open_keys

RECORDS: Final = 100_000
RUNS: Final = 3
LOOKUPS: Final = 300


def build(data: Path, keys: Keys, chosen: list[str]) -> Directory:
    """Make a directory from numbers, as on a server that starts with them."""
    directory = Directory(data, keys)
    derived = (derive(output) for output in outputs(keys, chosen))
    account = Record(os.urandom(32), os.urandom(32), os.urandom(16))
    directory.put_many(seal(account, key, os.urandom(NONCE_BYTES)) for key in derived)
    return directory


def check_and_load(directory: Directory, server_public: bytes) -> RecordTable:
    """What a client does with the files once it has them, in memory."""
    sync = Sync(server_public, int(time.time()))
    effect: Any = sync.start()
    while isinstance(effect, Fetch):
        file = directory.file(effect.path)
        assert file is not None
        effect = sync.fetched(file)
    table = RecordTable()
    table.apply(effect)
    return table


def paying(transport: DirectTransport, keys: Keys) -> Ask:
    """Requests with tokens that we make ourselves, so that only the lookup is measured."""

    async def ask(request: wire.Evaluate | wire.Query) -> wire.AnonymousAnswer:
        return await transport.anonymous(cast("wire.Spend", paid(keys, request)))

    return ask


async def cold_sync(home: Path, url: str, keys: Keys) -> float:
    """Seconds from nothing to a stored, checked copy."""
    store = await Store.open(home, os.urandom(32))
    start = time.perf_counter()
    async with DirectTransport(url) as transport:
        await ClientDirectory(store, transport, keys.server_public, time.time, paying(transport, keys)).current()
    seconds = time.perf_counter() - start
    await store.close()
    return seconds


async def lookups(home: Path, url: str, keys: Keys, chosen: list[str]) -> list[float]:
    """Milliseconds of lookups of fresh numbers, every other of them registered."""
    store = await Store.open(home, os.urandom(32))
    times = []
    async with DirectTransport(url) as transport:
        directory = ClientDirectory(store, transport, keys.server_public, time.time, paying(transport, keys))
        await directory.lookup(["+447700900999"])
        for n in range(LOOKUPS):
            start = time.perf_counter()
            (result,) = await directory.lookup([chosen[n] if n % 2 else f"+4477009{n:05}"])
            times.append((time.perf_counter() - start) * 1000)
            assert result.registered is bool(n % 2)
    await store.close()
    return times


def measure() -> list[dict[str, Any]]:
    os.environ["GRUE_DIRECTORY_TIER"] = "1"
    chosen = numbers(RECORDS, 1)
    with tempfile.TemporaryDirectory(prefix="grue-bench-") as scratch:
        built, checked = [], []
        for run in range(RUNS):
            data = Path(scratch) / f"data{run}"
            keys = open_keys(data)
            start = time.perf_counter()
            directory = build(data, keys, chosen)
            built.append(time.perf_counter() - start)
            start = time.perf_counter()
            check_and_load(directory, keys.server_public)
            checked.append(time.perf_counter() - start)
        with ServerProcess(data) as server:
            url = f"http://127.0.0.1:{server.port}"
            cold = [uvloop.run(cold_sync(Path(scratch) / f"home{run}", url, keys)) for run in range(RUNS)]
            looked_up = uvloop.run(lookups(Path(scratch) / "home", url, keys, chosen))
    return [
        {"id": "directory_build_100k_s", "value": round(statistics.median(built), 2), "unit": "s", "reach": 15},
        {"id": "directory_sync_100k_s", "value": round(statistics.median(cold), 2), "unit": "s", "reach": 3},
        {"id": "directory_check_100k_s", "value": round(statistics.median(checked), 2), "unit": "s"},
        {"id": "lookup_100k_ms", "value": round(statistics.median(looked_up), 2), "unit": "ms"},
    ]
