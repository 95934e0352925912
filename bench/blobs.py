"""`blob_seal_mb_s`, `blob_open_mb_s`: attachments sealed and opened on one core. `blob_put_10mb_s`, `blob_get_10mb_s`:
seconds for 10 MB from a file to the real server on loopback, and back into a file.

An upload draws its tokens ahead, as a client does, waits for each part's fsyncs, and has one part in flight. The disk
is the one that the benches lie on. Megabytes are millions of bytes.
"""

import os
import statistics
import time
from pathlib import Path
from typing import Any, Final

import uvloop

from bench.people import ALICE, processes
from grue.client.conversations.attachments import get, put
from grue.protocol.blobs import PART_ROOM, Sealing

BYTES: Final = 10_000_000
RUNS: Final = 5


def _sealing() -> tuple[float, float]:
    """Megabytes a second, each the median of the runs."""
    contents = os.urandom(BYTES)
    seal, unseal = [], []
    for _ in range(RUNS):
        sealing = Sealing(os.urandom(32), BYTES)
        start = time.perf_counter()
        parts = [sealing.seal(n, contents[n * PART_ROOM : (n + 1) * PART_ROOM]) for n in range(sealing.parts)]
        between = time.perf_counter()
        opened = [sealing.unseal(n, part) for n, part in enumerate(parts)]
        seal.append(BYTES / 1e6 / (between - start))
        unseal.append(BYTES / 1e6 / (time.perf_counter() - between))
        assert b"".join(opened) == contents
    return statistics.median(seal), statistics.median(unseal)


async def _transfers() -> tuple[float, float]:
    """Seconds up and down, each the median of the runs."""
    up, down = [], []
    async with processes() as world:
        alice = await world.person(ALICE)
        source = Path(world.path) / "source"
        for n in range(RUNS):
            source.write_bytes(os.urandom(BYTES))
            await alice.context.tokens.fill()
            start = time.perf_counter()
            attachment = await put(alice.context, source)
            between = time.perf_counter()
            await get(alice.context, attachment, source.with_name(f"got{n}"))
            up.append(between - start)
            down.append(time.perf_counter() - between)
    return statistics.median(up), statistics.median(down)


def measure() -> list[dict[str, Any]]:
    seal, unseal = _sealing()
    up, down = uvloop.run(_transfers())
    return [
        {"id": "blob_seal_mb_s", "value": round(seal), "unit": "MB/s"},
        {"id": "blob_open_mb_s", "value": round(unseal), "unit": "MB/s"},
        {"id": "blob_put_10mb_s", "value": round(up, 2), "unit": "s"},
        {"id": "blob_get_10mb_s", "value": round(down, 2), "unit": "s"},
    ]
