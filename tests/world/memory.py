"""What tests of the world in memory share: a few people, and what these have read."""

import pytest

from grue.client.client import Client
from grue.errors import NumberHeld
from grue.testing import World

ALICE, BOB, CAROL, NOBODY = "+447700900001", "+447700900002", "+447700900003", "+447700900999"


async def take(client: Client) -> list[str]:
    """Fetch what waits and show it."""
    await client.poll()
    return [message.text for message in await client.unshown()]


async def taken_over(world: World, number: str, old: Client, name: str) -> Client:
    """A client that has the number now, which the old one let go of."""
    new = await world.open(name)
    await new.register(number, world.url)
    with pytest.raises(NumberHeld):
        await new.verify(world.code(number))
    (claim,) = await old.account.claims()
    await old.account.release(claim.name)
    await new.verify(world.code(number))
    return new
