"""`lookup_*`, `lookups_per_s_*`, `build_*`, `overlay_*`: lookups of tier 2, at 10,000 records to 10,000,000.

The records have random tags, which is all that the figures depend on. One real server process, the real client on
loopback with tokens that are made here. The two smaller sizes are there for how cost grows, and have fewer figures.
`RECORDS` in the environment makes it that one size, which its figures have in their names.

`overlay_1k_*`: a client that holds a copy of a million records syncs after 1,000 changes, the first since the base was
cut, from the call until they are checked and stored. `overlay_half_*`: the same when the overlay is half as long then
as it becomes, which it is on average: all changes since the base was cut are fetched, and not the last 1,000 alone.
`lookup_*_cold_*` are with an empty overlay.

`build_rss_ratio`: the peak memory of a process that builds the table, over the packed base and hint.
`build_verb_rss_ratio`: that of `grue directory build`, all of it, less what an idle interpreter with its modules has.
"""

import asyncio
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TypedDict, cast

import uvloop

from bench.directory import paying
from bench.server import ServerProcess
from grue._core import PirBase, PirClient
from grue.client.lookup.directory import Directory as ClientDirectory
from grue.client.lookup.query_material import KEPT_READY
from grue.client.store.engine import Store
from grue.client.transport.transport import DirectTransport
from grue.lab.mint import paid
from grue.protocol import wire
from grue.protocol.directory.directory_sync import restore
from grue.protocol.directory.pir import PrivateFiles, PrivateTable, Retrieval
from grue.protocol.directory.record import RECORD_BYTES
from grue.server.directory.cutting import cut_at
from grue.server.directory.directory import Directory
from grue.server.keys.keys import Keys, open_keys

MILLION: Final = 1_000_000
SIZES: Final = (10_000, 100_000, MILLION, 10 * MILLION)
LARGE: Final = MILLION
"""Records from which on all is measured, and not only what one lookup costs."""
CHANGES: Final = 1_000
SYNCS: Final = 5
RUNS: Final = 21
LOOKUPS: Final = 40
TOGETHER: Final = 64
"""Queries in flight while answers are counted."""
ANSWERS: Final = 1_600
"""At a million records; at more so many fewer."""
AIMS: Final[dict[str, float]] = {
    "lookup_1m_server_ms": 10,
    "lookup_1m_up_kb": 212,
    "lookup_1m_down_kb": 6,
    "lookup_1m_client_ms": 5,
    "lookup_1m_cold_mb": 8,
    "lookups_per_s_1m": 200,
    "build_1m_s": 10,
    "build_rss_ratio": 1.5,
    "build_verb_rss_ratio": 1.5,
    "lookup_10m_server_ms": 85,
    "lookup_10m_up_kb": 660,
    "lookup_10m_down_kb": 17,
    "lookup_10m_cold_mb": 23,
    "build_10m_s": 90,
    "overlay_1k_ms": 50,
    "overlay_1k_kb": 140,
}

_BUILD: Final = """
import sys, time
from grue._core import pir_build
start = time.perf_counter()
pir_build(sys.argv[1] + "/base", sys.argv[1], bytes(16), 2)
print(time.perf_counter() - start)
"""

_PEAK: Final = """
# And not ru_maxrss, in which a process begins with what its parent had.
(peak,) = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(peak) << 10)
"""

_VERB: Final = """
import sys
from grue.cli.run import run
from grue.server.directory import inspection
if sys.argv[1:]:
    assert run(["--json", "directory", "build", "--data", sys.argv[1]]) == 0
"""


class Used(TypedDict):
    """What a cold client fetches, and what one lookup takes and carries then."""

    cold_mb: float
    cold_s: float
    ms: float
    up_kb: float
    down_kb: float


def records(count: int, seed: int = 1) -> Iterator[bytes]:
    dice = random.Random(seed)
    return (dice.randbytes(RECORD_BYTES) for _ in range(count))


def named(count: int) -> str:
    """A number of records as it stands in a figure's name: `100k`, `1m`."""
    return f"{count // MILLION}m" if count % MILLION == 0 else f"{count // 1000}k"


def peak_of(code: str, *arguments: str) -> tuple[list[str], int]:
    """What a process prints that runs the code, line by line, and its peak memory in bytes."""
    command = [sys.executable, "-c", code + _PEAK, *arguments]
    *lines, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return lines, int(peak)


def kept(folder: Path) -> int:
    """Bytes of an epoch's packed base and hint."""
    return sum((folder / name).stat().st_size for name in ("packed", "hint"))


def built(folder: Path) -> tuple[float, float]:
    """Seconds to build a table in a process of its own, and its peak memory over the packed base and hint."""
    (seconds,), peak = peak_of(_BUILD, str(folder))
    return float(seconds), peak / kept(folder)


def verb(data: Path, folder: Path) -> float:
    """The peak memory of `grue directory build`, less the idle interpreter's, over the packed base and hint."""
    (_, idle), (_, peak) = peak_of(_VERB), peak_of(_VERB, str(data))
    return (peak - idle) / kept(folder)


def answering(folder: Path) -> float:
    """Milliseconds of a core for one query, so that others who use the machine do not count."""
    base = PirBase.open(folder / "packed")
    client = PirClient(base.layout, (folder / "hint").read_bytes())
    query, _ = client.query(client.material(2), 0)
    base.touch(1)
    times = []
    for _ in range(RUNS):
        start = time.process_time()
        base.answer([query], 1)
        times.append((time.process_time() - start) * 1000)
    return statistics.median(times)


def at_client(directory: Path, keys: Keys, epoch: int) -> float:
    """Milliseconds of a core that one query and its answer take a client with material: all but network and store."""
    folder = directory / str(epoch)
    known = restore((folder / "manifest").read_bytes(), (directory / "head").read_bytes(), keys.server_public)
    files = PrivateFiles(**{name: (folder / name).read_bytes() for name in ("hint", "fences", "top")})
    table, base = PrivateTable(known.manifest.contents, files), PirBase.open(folder / "packed")
    times = []
    for n in range(RUNS):
        material = table.material(threads=2)
        assert material is not None
        stored = material.to_bytes()
        start = time.process_time()
        retrieval = Retrieval(table, [os.urandom(16)])
        read = table.material(stored)
        assert read is not None
        request = retrieval.ask([read])
        between = time.process_time()
        answer = wire.Answers(base.answer(request.queries, 2))
        again = time.process_time()
        retrieval.answered(answer)
        if n:
            times.append((time.process_time() - again + between - start) * 1000)
    return statistics.median(times)


async def looked_up(home: Path, url: str, keys: Keys) -> Used:
    store = await Store.open(home, os.urandom(32))
    async with DirectTransport(url) as transport:
        directory = ClientDirectory(store, transport, keys.server_public, time.time, paying(transport, keys))
        start = time.perf_counter()
        await directory.current()
        cold, cold_s = transport.usage.snapshot(), time.perf_counter() - start
        found = []
        for n in range(LOOKUPS):
            if n % KEPT_READY == 0:
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


async def per_second(folder: Path, url: str, keys: Keys, epoch: int, answers: int) -> float:
    """Answers a second that the server gives when it never waits for clients; those share the machine with it."""
    base = PirBase.open(folder / "packed")
    client = PirClient(base.layout, (folder / "hint").read_bytes())
    query, _ = client.query(client.material(2), 0)
    requests = iter([paid(keys, wire.Query(epoch, [query])) for _ in range(answers)])
    async with DirectTransport(url) as transport:

        async def ask() -> None:
            for request in requests:
                answer = await transport.anonymous(cast("wire.Spend", request))
                assert isinstance(answer, wire.Answers)

        start = time.perf_counter()
        await asyncio.gather(*(ask() for _ in range(TOGETHER)))
        return answers / (time.perf_counter() - start)


async def changed(data: Path, keys: Keys, entries: Iterable[bytes]) -> None:
    """Add records one by one, as accounts would that come: they are in the overlay then."""
    directory = Directory(data, keys)
    await asyncio.gather(*(directory.put(entry) for entry in entries))
    await directory.close()


async def synced(home: Path, secret: bytes, url: str, keys: Keys, changes: int) -> tuple[float, float]:
    """Milliseconds and kilobytes, both ways, until a client has a directory with so many changes in its store."""
    store = await Store.open(home, secret)
    async with DirectTransport(url) as transport:
        directory = ClientDirectory(store, transport, keys.server_public, time.time, paying(transport, keys))
        start = time.perf_counter()
        current = await directory.current()
        milliseconds, used = (time.perf_counter() - start) * 1000, transport.usage.snapshot()
    await store.close()
    assert current.head.contents.length == changes
    return milliseconds, (used.bytes_up + used.bytes_down) / 1e3


def grown(scratch: Path, data: Path, keys: Keys, begin: int) -> tuple[float, float]:
    """What `CHANGES` changes cost clients that held the directory with an overlay of `begin` entries: medians."""
    secret = os.urandom(32)
    scratch.mkdir()
    with ServerProcess(data) as server:
        uvloop.run(synced(scratch / "before", secret, server.url, keys, begin))
    uvloop.run(changed(data, keys, records(CHANGES, begin + 2)))
    homes = [scratch / f"after{run}" for run in range(SYNCS)]
    for home in homes:
        shutil.copy(scratch / "before", home)
    with ServerProcess(data) as server:
        synced_all = [uvloop.run(synced(home, secret, server.url, keys, begin + CHANGES)) for home in homes]
    times, sizes = zip(*synced_all, strict=True)
    return round(statistics.median(times), 1), round(statistics.median(sizes), 1)


def overlay(scratch: Path, data: Path, keys: Keys, due: int) -> dict[str, float]:
    """The first `CHANGES` after a base was cut, and those with which the overlay is half of what it becomes."""
    first = grown(scratch / "1k", data, keys, 0)
    begin = due // 2 - CHANGES
    uvloop.run(changed(data, keys, records(begin - CHANGES, 3)))
    half = grown(scratch / "half", data, keys, begin)
    return {
        f"overlay_{name}_{what}": value
        for name, figures in (("1k", first), ("half", half))
        for what, value in zip(("ms", "kb"), figures, strict=True)
    }


def at_scale(count: int) -> dict[str, float]:
    """The figures of one size."""
    size = named(count)
    with tempfile.TemporaryDirectory(prefix="grue-bench-") as scratch:
        data = Path(scratch) / "data"
        keys = open_keys(data)
        start = time.perf_counter()
        directory = Directory(data, keys)
        directory.put_many(records(count))
        whole, epoch, due = time.perf_counter() - start, directory.manifest.epoch, cut_at(directory.manifest)
        folder = data / "directory" / str(epoch)
        del directory
        figures = {
            f"lookup_{size}_server_ms": round(answering(folder), 2),
            f"lookup_{size}_client_ms": round(at_client(data / "directory", keys, epoch), 2),
        }
        with ServerProcess(data) as server:
            used = uvloop.run(looked_up(Path(scratch) / "home", server.url, keys))
            figures |= carried(size, used)
            if count >= LARGE:
                answers = ANSWERS * MILLION // count
                rate = uvloop.run(per_second(folder, server.url, keys, epoch, answers))
                figures |= {f"lookups_per_s_{size}": round(rate), f"lookup_{size}_ms": round(used["ms"], 1)}
        if count == MILLION:
            figures |= overlay(Path(scratch), data, keys, due) | {"build_verb_rss_ratio": round(verb(data, folder), 2)}
        if count >= LARGE:
            figures |= building(size, Path(scratch) / "again", folder) | {f"build_{size}_whole_s": round(whole, 1)}
    return figures


def carried(size: str, used: Used) -> dict[str, float]:
    return {
        f"lookup_{size}_up_kb": round(used["up_kb"], 1),
        f"lookup_{size}_down_kb": round(used["down_kb"], 2),
        f"lookup_{size}_cold_mb": round(used["cold_mb"], 2),
        f"lookup_{size}_cold_s": round(used["cold_s"], 2),
    }


def building(size: str, again: Path, folder: Path) -> dict[str, float]:
    """What the table of a folder's base takes to build once more, with its records encrypted and sorted already."""
    again.mkdir()
    (folder / "base").rename(again / "base")
    seconds, ratio = built(again)
    return {
        f"build_{size}_s": round(seconds, 2),
        "build_rss_ratio" if size == "1m" else f"build_rss_ratio_{size}": round(ratio, 2),
    }


def measure() -> list[dict[str, Any]]:
    """Needs 16 GB of memory and 6 GB of disk for the largest size; some ten minutes for all."""
    os.environ["GRUE_DIRECTORY_TIER"] = "2"
    one = os.environ.get("RECORDS")
    figures = {name: value for count in ([int(one)] if one else SIZES) for name, value in at_scale(count).items()}
    return [
        {"id": name, "value": value, "unit": unit(name), "reach": AIMS.get(name)} for name, value in figures.items()
    ]


def unit(name: str) -> str:
    """The unit that a figure's name ends in."""
    if name.startswith("lookups_per_s"):
        return "1/s"
    if "_rss_" in name:
        return "times"
    return {"ms": "ms", "kb": "kB", "mb": "MB", "s": "s"}[name.rpartition("_")[2]]
