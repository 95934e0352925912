"""What counts as shown: at least once, and twice only when a process ended between showing a message and noting it."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import pytest

from grue.client.client import Client
from grue.testing import World
from tests.often import WEEKLY
from tests.world.memory import BOB
from tests.world.test_messages import acquainted

pytestmark = pytest.mark.tiers


async def waiting(world: World, count: int) -> Client:
    """Bob, with so many messages that nobody has shown."""
    alice, bob = await acquainted(world)
    for n in range(count):
        await alice.send(BOB, str(n))
    await bob.poll()
    return bob


async def again(world: World) -> list[str]:
    """What another process of Bob's home shows."""
    other = await world.open(BOB)
    shown = [message.text async for message in other.receive(idle=0)]
    await other.close()
    return shown


async def test_a_message_that_was_handed_out_and_never_come_back_from_is_shown_again(world: World) -> None:
    bob = await waiting(world, 3)
    received = bob.receive(idle=0)
    first = await anext(received)
    # The process is killed while this message is being written out: nothing is noted, and its locks end.
    bob._given.clear()
    await bob.close()
    other = await world.open(BOB)
    shown = [(message.id, message.text) async for message in other.receive(idle=0)]
    assert shown[0] == (first.id, "0")
    assert [text for _, text in shown] == ["0", "1", "2"]


async def test_what_the_body_of_a_loop_has_done_with_is_shown_once(world: World) -> None:
    bob = await waiting(world, 3)
    assert [message.text async for message in bob.receive(idle=0)] == ["0", "1", "2"]
    assert await again(world) == []


async def test_who_leaves_the_loop_has_seen_the_last_one(world: World) -> None:
    bob = await waiting(world, 3)
    async for message in bob.receive(idle=0):
        assert message.text == "0"
        break
    assert [message.text async for message in bob.receive(idle=0)] == ["1", "2"]
    await bob.close()
    assert await again(world) == []


async def test_a_loop_that_is_left_early_can_be_closed_at_once(world: World) -> None:
    bob = await waiting(world, 2)
    async with aclosing(bob.receive(idle=0)) as received:
        assert (await anext(received)).text == "0"
    assert [message.text async for message in bob.receive(idle=0)] == ["1"]


async def failing(client: Client) -> None:
    async for _ in client.receive(idle=0):
        raise LookupError


async def failing_in_a_task(client: Client) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(failing(client))


@pytest.mark.parametrize("loop", [failing, failing_in_a_task])
async def test_a_loop_that_fails_and_ends_the_client_gets_its_message_again(
    world: World, loop: Callable[[Client], Awaitable[None]]
) -> None:
    bob = await waiting(world, 2)
    try:
        await loop(bob)
    except (LookupError, ExceptionGroup) as error:
        # As `async with` does.
        await bob.__aexit__(type(error), error, None)
    assert await again(world) == ["0", "1"]


async def test_what_one_receiver_is_showing_is_not_shown_by_another_and_all_the_rest_is(world: World) -> None:
    bob = await waiting(world, 20)
    busy = bob.receive(idle=0)
    assert (await anext(busy)).text == "0"
    assert await again(world) == [str(n) for n in range(1, 20)]
    assert [message.text async for message in busy] == []
    assert await again(world) == []


async def test_a_message_that_could_not_be_shown_is_left_to_the_next(world: World) -> None:
    bob = await waiting(world, 1)
    message = await bob.take()
    assert message is not None
    assert await bob.take() is None
    await bob.put_back(message)
    assert await again(world) == ["0"]


async def test_a_message_that_is_taken_is_noted_when_it_is_said_to_be_shown(world: World) -> None:
    bob = await waiting(world, 2)
    for text in ("0", "1"):
        message = await bob.take()
        assert message is not None
        assert message.text == text
        await bob.shown(message)
    assert await again(world) == []


async def test_several_tasks_of_one_client_show_each_message_once(world: World) -> None:
    bob = await waiting(world, 30)
    shown: list[str] = []

    async def show() -> None:
        async for message in bob.receive(idle=0):
            await asyncio.sleep(0)
            shown.append(message.text)

    await asyncio.gather(*(show() for _ in range(3)))
    assert sorted(shown, key=int) == [str(n) for n in range(30)]


async def test_a_receiver_that_is_stopped_just_after_a_message_does_not_show_it_again(world: World) -> None:
    bob = await waiting(world, 3)
    shown: list[str] = []

    async def show() -> None:
        async for message in bob.receive():
            shown.append(message.text)
            if len(shown) == 2:
                stopping.cancel()

    stopping = asyncio.create_task(show())
    with pytest.raises(asyncio.CancelledError):
        await stopping
    await bob.close()
    assert shown == ["0", "1"]
    assert await again(world) == ["2"]


def test_however_often_receivers_are_killed_every_message_is_written_out() -> None:
    # Forks many times, so it is a process of its own. `python -m bench.kills 10000 12` is the same for longer.
    kills = 200 if WEEKLY else 25
    command = [sys.executable, "-m", "bench.kills", str(kills), "5"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=300).stdout)
    _, messages, unshown, shown_twice = found
    assert messages >= kills
    assert unshown == 0
    assert shown_twice <= kills
