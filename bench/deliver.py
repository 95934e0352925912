"""`deliver_p50_ms`, `deliver_p99_ms`: from `send` to `receive`, encrypted, across the real server, at 200 a second.

The clock starts when `send` is called and stops when the receiver's loop has the text: both clients' transactions,
the encryption, the server's fsync and the push lie between. The clients share one process, the server has its own.
Messages are sent when they are due, however slow the ones before were.
"""

import asyncio
import statistics
import time
from typing import Any, Final

import uvloop

from bench.people import BOB, acquainted, processes
from grue.client.client import Client

RATE: Final = 200
SECONDS: Final = 15
WARM_UP: Final = 2


async def _receive(bob: Client, count: int) -> list[float]:
    latencies: list[float] = []
    async for message in bob.receive():
        latencies.append(time.perf_counter() - float(message.text))
        if len(latencies) == count:
            break
    return latencies


async def _run() -> list[float]:
    async with processes() as world:
        alice, bob = await acquainted(world)
        count = RATE * (SECONDS + WARM_UP)
        receiving = asyncio.create_task(_receive(bob, count))
        await asyncio.sleep(0.5)
        start, sending = time.perf_counter(), []
        for n in range(count):
            await asyncio.sleep(max(0.0, start + n / RATE - time.perf_counter()))
            sending.append(asyncio.create_task(alice.send(BOB, repr(time.perf_counter()))))
        await asyncio.gather(*sending)
        return (await receiving)[RATE * WARM_UP :]


def measure() -> list[dict[str, Any]]:
    """Fifteen seconds, after two to warm up."""
    latencies = sorted(uvloop.run(_run()))
    p50, p99 = statistics.median(latencies), latencies[len(latencies) * 99 // 100]
    return [
        {"id": "deliver_p50_ms", "value": round(p50 * 1e3, 1), "unit": "ms", "reach": 5},
        {"id": "deliver_p99_ms", "value": round(p99 * 1e3, 1), "unit": "ms", "reach": 25},
    ]
