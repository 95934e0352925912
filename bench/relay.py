"""`relay_hop_ms`: what the relay adds to a request, at the median.

A gateway that echoes is a process of its own, and so is the relay before it. One client sends each sealed request
twice, straight to the gateway and then through the relay, each over its one connection. Both are medians of the same
run, and the figure is their difference. All on loopback without TLS, so no network is in it.
"""

import os
import statistics
import time
from typing import Any, Final

import aiohttp
import uvloop

from bench.server import Program

REQUESTS: Final = 2000
WARM: Final = 200
BODY: Final = 4096 + 1143
"""Bytes: an inner message of 4 KiB, sealed."""

_ECHO: Final = """
import asyncio, uvloop
from aiohttp import web
async def echo(request):
    return web.Response(body=await request.read(), content_type="message/ohttp-res")
async def main():
    app = web.Application()
    app.router.add_post("/2/gateway", echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()
uvloop.run(main())
"""

RELAY: Final = """
import sys
from grue.server.oblivious.relay import run
run("127.0.0.1:0", sys.argv[1], ready=lambda address: print(address, flush=True))
"""


async def _timed(session: aiohttp.ClientSession, url: str, body: bytes) -> float:
    """Milliseconds of one request and its answer."""
    began = time.perf_counter()
    async with session.post(url, data=body, headers={"Content-Type": "message/ohttp-req"}) as response:
        answer = await response.read()
    took = (time.perf_counter() - began) * 1e3
    assert (response.status, answer) == (200, body)
    return took


async def _medians(gateway: str, relay: str) -> tuple[float, float]:
    """Milliseconds straight to the gateway, and through the relay."""
    straight, relayed = [], []
    async with aiohttp.ClientSession() as session:
        for _ in range(WARM + REQUESTS):
            body = os.urandom(BODY)
            straight.append(await _timed(session, f"{gateway}/2/gateway", body))
            relayed.append(await _timed(session, f"{relay}/2/relay", body))
    return statistics.median(straight[WARM:]), statistics.median(relayed[WARM:])


def measure() -> list[dict[str, Any]]:
    with Program(_ECHO) as gateway, Program(RELAY, gateway.url) as relay:
        straight, relayed = uvloop.run(_medians(gateway.url, relay.url))
    peers = {"the echoing gateway itself": round(straight, 2)}
    return [{"id": "relay_hop_ms", "value": round(relayed - straight, 2), "unit": "ms", "reach": None, "peers": peers}]
