"""What becomes of a message whose sender was cancelled, as by a time-out."""

import asyncio

import pytest

from grue.protocol import wire
from grue.testing import World
from tests.world.memory import ALICE, BOB, take
from tests.world.test_messages import acquainted


async def never(_request: wire.Message) -> None:
    await asyncio.Event().wait()


async def test_cancelled_before_it_was_stored_a_message_is_not_sent(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    honest, world.network.delay = world.network.delay, never
    with pytest.raises(TimeoutError):
        # A lookup comes first, and does not end.
        await asyncio.wait_for(alice.send(BOB, "hello"), 0.3)
    world.network.delay = honest
    assert await alice.chats() == []
    await alice.poll()
    assert await take(bob) == []


async def test_cancelled_once_it_was_stored_a_message_is_queued_and_goes_out_once(world: World) -> None:
    alice, bob = await acquainted(world)
    honest, world.network.delay = world.network.delay, never
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(alice.send(BOB, "hello again"), 0.5)
    world.network.delay = honest
    assert [(m.text, m.state.value) for m in await alice.history(BOB)][-1] == ("hello again", "queued")
    await alice.poll()
    assert await take(bob) == ["hello again"]
    assert [m.text for m in await bob.history(ALICE)].count("hello again") == 1
