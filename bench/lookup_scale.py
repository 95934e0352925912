"""`lookup_1m_*`, `lookups_per_s_1m`, `build_1m_s`, `build_rss_ratio`: lookups of tier 2 at a million records.

The records have random tags, which is all that the figures depend on. One real server process, the real client on
loopback with tokens that are made here. `RECORDS` in the environment makes it another size: then its figures have that
size in their names, in thousands.
"""

import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final, cast

import uvloop

from bench.directory import paying
from bench.server import ServerProcess
from grue._core import PirBase, PirClient
from grue.client.directory import Directory as ClientDirectory
from grue.client.stock import STOCK
from grue.client.store import Store
from grue.client.transport import DirectTransport
from grue.lab.mint import paid
from grue.protocol import wire
from grue.protocol.directory_sync import restore
from grue.protocol.pir import PrivateFiles, PrivateTable, Retrieval
from grue.protocol.record import RECORD_BYTES
from grue.server.directory import Directory
from grue.server.keys import Keys, open_keys

MILLION: Final = 1_000_000
RUNS: Final = 21
LOOKUPS: Final = 40
TOGETHER: Final = 64
"""Queries in flight while answers are counted."""
ANSWERS: Final = 1_600

_BUILD: Final = """
import sys, time
from grue._core import pir_build
start = time.perf_counter()
pir_build(sys.argv[1] + "/base", sys.argv[1], bytes(16), 2)
seconds = time.perf_counter() - start
# And not ru_maxrss, in which a process begins with what its parent had.
(peak,) = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(seconds, int(peak) << 10)
"""


def records(count: int) -> list[bytes]:
    dice = random.Random(1)
    return [dice.randbytes(RECORD_BYTES) for _ in range(count)]


def built(folder: Path) -> tuple[float, float]:
    """Seconds to build a table in a process of its own, and its peak memory over the packed base and hint."""
    code = [sys.executable, "-c", _BUILD, str(folder)]
    seconds, peak = map(float, subprocess.run(code, check=True, capture_output=True, text=True).stdout.split())
    kept = sum((folder / name).stat().st_size for name in ("packed", "hint"))
    return seconds, peak / kept


def answering(folder: Path) -> float:
    """Milliseconds of a core for one query."""
    base = PirBase.open(folder / "packed")
    client = PirClient(base.layout, (folder / "hint").read_bytes())
    query, _ = client.query(client.material(2), 0)
    base.touch(1)
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        base.answer([query], 1)
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


def at_client(directory: Path, keys: Keys, epoch: int) -> float:
    """Milliseconds that one query and its answer take a client that has material: all but the network and the store."""
    folder = directory / str(epoch)
    known = restore((folder / "manifest").read_bytes(), (directory / "head").read_bytes(), keys.server_public)
    files = PrivateFiles(**{name: (folder / name).read_bytes() for name in ("hint", "fences", "top")})
    table, base = PrivateTable(known.manifest.contents, files), PirBase.open(folder / "packed")
    times = []
    for n in range(RUNS):
        material = table.material(threads=2)
        assert material is not None
        stored = material.to_bytes()
        start = time.perf_counter()
        retrieval = Retrieval(table, [os.urandom(16)])
        read = table.material(stored)
        assert read is not None
        request = retrieval.ask([read])
        between = time.perf_counter()
        answer = wire.Answers(base.answer(request.queries, 2))
        again = time.perf_counter()
        retrieval.answered(answer)
        if n:
            times.append((time.perf_counter() - again + between - start) * 1000)
    return statistics.median(times)


async def looked_up(home: Path, url: str, keys: Keys) -> dict[str, float]:
    """What a cold client fetches, and what one lookup takes and carries then."""
    store = await Store.open(home, os.urandom(32))
    async with DirectTransport(url) as transport:
        directory = ClientDirectory(store, transport, keys.server_public, time.time, paying(transport, keys))
        start = time.perf_counter()
        await directory.current()
        cold, cold_s = transport.usage.snapshot(), time.perf_counter() - start
        found = []
        for n in range(LOOKUPS):
            if n % STOCK == 0:
                await directory.prepare()
            found += await directory.lookup([f"+4477009{n:05}"])
    await store.close()
    assert all(one.error is None and one.tier == 2 for one in found)
    return {
        "cold_mb": cold.bytes_down / 1e6,
        "cold_s": cold_s,
        "ms": statistics.median(one.ms for one in found[1:]),
        "up_kb": statistics.median(one.bytes_up for one in found) / 1e3,
        "down_kb": statistics.median(one.bytes_down for one in found) / 1e3,
    }


async def per_second(folder: Path, url: str, keys: Keys, epoch: int) -> float:
    """Answers a second that the server gives when it never waits for clients; those share the machine with it."""
    base = PirBase.open(folder / "packed")
    client = PirClient(base.layout, (folder / "hint").read_bytes())
    query, _ = client.query(client.material(2), 0)
    requests = iter([paid(keys, wire.Query(epoch, [query])) for _ in range(ANSWERS)])
    async with DirectTransport(url) as transport:

        async def ask() -> None:
            for request in requests:
                answer = await transport.anonymous(cast("wire.Spend", request))
                assert isinstance(answer, wire.Answers)

        start = time.perf_counter()
        await asyncio.gather(*(ask() for _ in range(TOGETHER)))
        return ANSWERS / (time.perf_counter() - start)


def measure() -> list[dict[str, Any]]:
    """Needs 1.5 GB of memory, and 1 GB of disk; some two minutes."""
    count = int(os.environ.get("RECORDS", MILLION))
    size = "1m" if count == MILLION else f"{count // 1000}k"
    reach = (lambda value: value) if count == MILLION else (lambda _value: None)
    os.environ["GRUE_DIRECTORY_TIER"] = "2"
    with tempfile.TemporaryDirectory(prefix="grue-bench-") as scratch:
        data = Path(scratch) / "data"
        keys = open_keys(data)
        directory = Directory(data, keys)
        start = time.perf_counter()
        directory.put_many(records(count))
        whole, epoch = time.perf_counter() - start, directory.manifest.epoch
        folder = data / "directory" / str(epoch)
        del directory
        server_ms, client_ms = answering(folder), at_client(data / "directory", keys, epoch)
        with ServerProcess(data) as server:
            url = f"http://127.0.0.1:{server.port}"
            used = uvloop.run(looked_up(Path(scratch) / "home", url, keys))
            rate = uvloop.run(per_second(folder, url, keys, epoch))
        again = Path(scratch) / "again"
        again.mkdir()
        (folder / "base").rename(again / "base")
        build_s, ratio = built(again)
    figures = [
        (f"lookup_{size}_server_ms", round(server_ms, 2), "ms", 10),
        (f"lookup_{size}_up_kb", round(used["up_kb"], 1), "kB", 212),
        (f"lookup_{size}_down_kb", round(used["down_kb"], 2), "kB", 6),
        (f"lookup_{size}_client_ms", round(client_ms, 2), "ms", 5),
        (f"lookup_{size}_cold_mb", round(used["cold_mb"], 2), "MB", 8),
        (f"lookup_{size}_cold_s", round(used["cold_s"], 2), "s", None),
        (f"lookup_{size}_ms", round(used["ms"], 1), "ms", None),
        (f"lookups_per_s_{size}", round(rate), "1/s", 200),
        (f"build_{size}_s", round(build_s, 2), "s", 10),
        (f"build_{size}_whole_s", round(whole, 1), "s", None),
        ("build_rss_ratio" if count == MILLION else f"build_rss_ratio_{size}", round(ratio, 2), "times", 1.5),
    ]
    return [
        {"id": name, "value": value, "unit": unit, "reach": None if aim is None else reach(aim)}
        for name, value, unit, aim in figures
    ]
