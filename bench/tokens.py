"""`token_issue_us`, `token_redeem_us`: what a token costs the server, on one core, through Python.

Issue is the evaluation of a batch with its proof. Redemption is the check of a request's tokens and the transaction
that marks them as spent, on a real file, in requests of 50: the share of one token. Both are process time, so that
others who use the machine do not count; the disk's wait is not in it.
"""

import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import uvloop

from bench.oprf import median_us
from grue._core import OprfBlind, OprfKey
from grue.lab.mint import paid
from grue.protocol import wire
from grue.server.app import Server
from grue.server.directory.directory import Directory
from grue.server.keys.keys import open_keys
from grue.server.mailboxes.blobs import Blobs
from grue.server.store.sqlite import open_store
from grue.server.tokens import tokens

REQUESTS: Final = 40


def measure() -> list[dict[str, Any]]:
    key = OprfKey.generate()
    blinded = [OprfBlind.blind(os.urandom(32)).element for _ in range(wire.TOKEN_BATCH)]
    issue = median_us(lambda: key.evaluate(blinded), len(blinded))
    with tempfile.TemporaryDirectory(prefix="grue-bench-") as scratch:
        redeem = uvloop.run(_redeem(Path(scratch)))
    return [
        {"id": "token_issue_us", "value": issue, "unit": "us", "reach": 100},
        {"id": "token_redeem_us", "value": redeem, "unit": "us", "reach": 100},
    ]


async def _redeem(data: Path) -> float:
    keys = open_keys(data)
    store = await open_store(data / "server.db")
    server = Server(store, keys=keys, directory=Directory(data, keys), blobs=Blobs(data / "blobs"))
    request = wire.Evaluate(1, [OprfBlind.blind(os.urandom(32)).element for _ in range(wire.TOKEN_BATCH)])
    spends = [paid(keys, request) for _ in range(REQUESTS)]
    times = []
    for spend in spends:
        assert isinstance(spend, wire.Spend)
        # Between two, so that neither the waiting nor the one before counts.
        await asyncio.sleep(0.01)
        start = time.process_time()
        _, spent = await tokens.check(server.context, spend)
        assert not await store.transact(tokens.take, spent)
        times.append((time.process_time() - start) / wire.TOKEN_BATCH * 1e6)
    await store.close()
    return round(statistics.median(times), 1)
