"""Two people with real clients, a server and a carrier as processes, for benches."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from grue.client.client import Client
from tests.world.processes import ProcessWorld

ALICE, BOB, NOBODY = "+447700900001", "+447700900002", "+447700900999"


@asynccontextmanager
async def processes(*options: str) -> AsyncIterator[ProcessWorld]:
    """`options` are the server's."""
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as path:
        world = ProcessWorld(Path(path))
        world.options += options
        await world.start()
        try:
            yield world
        finally:
            await world.close()


async def acquainted(world: ProcessWorld) -> tuple[Client, Client]:
    """Alice and Bob, who have exchanged a message each way."""
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "hello")
    await bob.poll()
    await bob.send(ALICE, "hello yourself")
    await alice.poll()
    await bob.poll()
    await alice.unshown()
    await bob.unshown()
    return alice, bob
