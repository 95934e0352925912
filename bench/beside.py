"""`deliver_beside_queries_p50_ms`: a post's acknowledgement while private queries of a million records fill the queue.

`deliver_alone_p50_ms` is the same at the same server without them. Each is from the call to the answer, behind the
server's fsync, one post after the other on a connection of its own; the queries come from another process, 64 of them
in flight, which is more than two cores answer at once. `RECORDS` in the environment makes the table smaller.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

import uvloop

from bench.lookup_scale import MILLION, TOGETHER, records
from bench.server import Box, ServerProcess, create_mailboxes
from grue._core import PirBase, PirClient
from grue.client.transport.transport import DirectTransport
from grue.lab.mint import paid
from grue.protocol import wire
from grue.server.directory.directory import Directory
from grue.server.keys.keys import open_keys

POSTS: Final = 300
PAUSE_SECONDS: Final = 0.01
"""Between two posts: a server that has other things to do."""
TEXT_BYTES: Final = 1024

_LOAD: Final = """
import sys
from pathlib import Path
from bench.beside import load
load(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
"""


def load(data: Path, url: str, epoch: int) -> None:
    """Ask private queries until the process is ended; says when the first are answered."""
    folder, keys = data / "directory" / str(epoch), open_keys(data)
    base = PirBase.open(folder / "packed")
    client = PirClient(base.layout, (folder / "hint").read_bytes())
    query, _ = client.query(client.material(os.cpu_count() or 1), 0)

    async def ask(transport: DirectTransport) -> None:
        while True:
            answer = await transport.anonymous(cast("wire.Spend", paid(keys, wire.Query(epoch, [query]))))
            assert isinstance(answer, wire.Answers)
            sys.stdout.write("answered\n")
            sys.stdout.flush()

    async def run() -> None:
        async with DirectTransport(url) as transport:
            await asyncio.gather(*(ask(transport) for _ in range(TOGETHER)))

    uvloop.run(run())


@contextmanager
def _loaded(server: ServerProcess, epoch: int) -> Iterator[list[float]]:
    """While queries are asked; afterwards the list has how many were answered in a second."""
    rate: list[float] = []
    code = [sys.executable, "-c", _LOAD, str(server.data), server.url, str(epoch)]
    with subprocess.Popen(code, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(TOGETHER):
            assert process.stdout.readline() == "answered\n"
        start = time.perf_counter()
        try:
            yield rate
        finally:
            seconds = time.perf_counter() - start
            process.terminate()
            rate.append(len(process.stdout.readlines()) / seconds)


async def _posts(server: ServerProcess) -> float:
    """The median of milliseconds until a post is acknowledged."""
    box, times = Box(), []
    await create_mailboxes(server, [box])
    async with DirectTransport(server.url) as transport:
        for _ in range(POSTS):
            post = wire.Post(box.id, box.write_key, os.urandom(16), os.urandom(TEXT_BYTES))
            start = time.perf_counter()
            assert isinstance(await transport.anonymous(post), wire.Posted)
            times.append((time.perf_counter() - start) * 1000)
            await asyncio.sleep(PAUSE_SECONDS)
    return statistics.median(times)


def measure() -> list[dict[str, Any]]:
    """Some 40 seconds, most of it for the table."""
    os.environ["GRUE_DIRECTORY_TIER"] = "2"
    with tempfile.TemporaryDirectory(prefix="grue-bench-") as scratch:
        data = Path(scratch)
        directory = Directory(data, open_keys(data))
        directory.put_many(records(int(os.environ.get("RECORDS", MILLION))))
        epoch = directory.manifest.epoch
        del directory
        with ServerProcess(data) as server:
            alone = uvloop.run(_posts(server))
            with _loaded(server, epoch) as rate:
                beside = uvloop.run(_posts(server))
    return [
        {"id": "deliver_alone_p50_ms", "value": round(alone, 2), "unit": "ms"},
        {"id": "deliver_beside_queries_p50_ms", "value": round(beside, 2), "unit": "ms"},
        {"id": "queries_beside_deliver_per_s", "value": round(rate[0]), "unit": "1/s"},
    ]
