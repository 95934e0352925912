"""`oblivious_overhead_ms`: what sealing, the relay and opening add to an anonymous request, at the median.

A server and a relay are processes of their own. One client has a fresh number evaluated each time, with its token, by
both transports in turn: `direct` on its open WebSocket, and `oblivious` through the relay. Both are medians of the same
run, and the figure is their difference. All on loopback without TLS, so no network is in it; of the two hops that a
relay is, a real network adds its own times.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final, cast

import uvloop

from bench.relay import RELAY
from bench.server import Program, ServerProcess
from grue._core import OprfBlind
from grue.client.transport.oblivious import ObliviousTransport
from grue.client.transport.transport import DirectTransport, Endpoint, Transport, TransportSettings
from grue.lab.mint import paid
from grue.protocol import wire
from grue.server.directory.directory import OPRF_EPOCH
from grue.server.keys.keys import Keys, open_keys

REQUESTS: Final = 1000
WARM: Final = 100


async def _timed(transport: Transport, keys: Keys, n: int) -> float:
    """Milliseconds of one evaluation and its answer; the token is made before."""
    blind = OprfBlind.blind(f"+4477009{n:05}".encode())
    request = paid(keys, wire.Evaluate(OPRF_EPOCH, [blind.element]))
    began = time.perf_counter()
    answer = await transport.anonymous(cast("wire.Spend", request))
    took = (time.perf_counter() - began) * 1e3
    assert isinstance(answer, wire.Evaluated)
    return took


async def _medians(server: str, relay: str, keys: Keys) -> tuple[float, float]:
    """Milliseconds by `direct` and by `oblivious`."""
    direct = DirectTransport(server)
    oblivious = ObliviousTransport(Endpoint(server, keys.server_public, TransportSettings(relay=relay)))
    straight, relayed = [], []
    for n in range(WARM + REQUESTS):
        straight.append(await _timed(direct, keys, n))
        relayed.append(await _timed(oblivious, keys, n))
    await direct.close()
    await oblivious.close()
    return statistics.median(straight[WARM:]), statistics.median(relayed[WARM:])


def measure() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="grue-bench-") as scratch:
        data = Path(scratch) / "data"
        keys = open_keys(data)
        with ServerProcess(data) as server, Program(RELAY, server.url) as relay:
            straight, relayed = uvloop.run(_medians(server.url, relay.url, keys))
    peers = {"direct": round(straight, 2), "oblivious": round(relayed, 2)}
    figure = {"id": "oblivious_overhead_ms", "value": round(relayed - straight, 2), "unit": "ms", "reach": 1.0}
    return [{**figure, "peers": peers}]
