"""The main cases once more, between real processes on sockets, with real kills: what memory cannot prove."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from grue.client.api.messages import Message
from grue.client.client import Client
from grue.errors import ConsentNeeded, Unreachable
from tests.world.memory import ALICE, BOB, CAROL, NOBODY
from tests.world.processes import PATIENCE_SECONDS, ProcessWorld, eventually, until

pytestmark = pytest.mark.whole


@pytest.fixture(params=["direct", "oblivious"])
async def processes(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[ProcessWorld]:
    world = ProcessWorld(tmp_path, relayed=request.param == "oblivious")
    await world.start()
    yield world
    await world.close()


async def next_message(client: Client) -> Message:
    """What `receive` yields next, as it is pushed."""
    messages = client.receive()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await anext(messages)
    finally:
        await messages.aclose()


async def test_blue_green_and_back_on_real_sockets(processes: ProcessWorld) -> None:
    alice, bob = await processes.person(ALICE), await processes.person(BOB)
    looked_up = await alice.lookup(BOB, NOBODY)
    assert [x.route.value for x in looked_up] == ["encrypted", "sms"]
    await alice.send(BOB, "hello")
    assert (await next_message(bob)).text == "hello"
    await bob.send(ALICE, "hello yourself")
    assert (await next_message(alice)).text == "hello yourself"
    await alice.send(BOB, "pushed")
    assert (await next_message(bob)).text == "pushed"
    with pytest.raises(ConsentNeeded):
        await alice.send(NOBODY, "by sms")
    assert (await alice.send(NOBODY, "by sms", sms=True)).route.value == "sms"
    assert await processes.texts(NOBODY, 1) == ["by sms"]
    await processes.inject(NOBODY, ALICE, "an answer by sms")
    assert (await next_message(alice)).text == "an answer by sms"


async def test_the_server_is_killed_between_any_two_steps_and_nothing_is_lost(processes: ProcessWorld) -> None:
    alice = await processes.open(ALICE)
    await alice.register(ALICE, processes.url, relay=processes.relay)
    code = await processes.code(ALICE)
    await processes.restart()
    await alice.verify(code)
    await processes.restart()
    bob = await processes.person(BOB)
    await processes.restart()
    await alice.send(BOB, "hello")
    await processes.restart()
    assert await eventually(bob, ["hello"]) == ["hello"]
    await bob.send(ALICE, "hello yourself")
    await processes.restart()
    assert await eventually(alice, ["hello yourself"]) == ["hello yourself"]


async def test_receivers_and_senders_come_back_by_themselves_after_the_server_was_away(
    processes: ProcessWorld,
) -> None:
    alice, bob = await processes.person(ALICE), await processes.person(BOB)
    await alice.send(BOB, "hello")
    received: list[str] = []

    async def listen() -> None:
        async for message in bob.receive():
            received.append(message.text)
            await bob.send(message.chat, f"re: {message.text}")

    listening = asyncio.create_task(listen())
    answers = asyncio.create_task(_collect(alice, 2))
    await until(lambda: received == ["hello"])
    await processes.stop()
    assert (await alice.send(BOB, "while it is away")).state.value == "queued"
    with pytest.raises(Unreachable):
        await alice.poll()
    await processes.start()
    await until(lambda: received == ["hello", "while it is away"])
    assert await answers == ["re: hello", "re: while it is away"]
    listening.cancel()


async def test_clients_that_are_closed_and_opened_anew_go_on_where_they_were(processes: ProcessWorld) -> None:
    alice, bob = await processes.person(ALICE), await processes.person(BOB)
    await alice.send(BOB, "one")
    await alice.close()
    await bob.close()
    bob = await processes.open(BOB)
    assert await eventually(bob, ["one"]) == ["one"]
    await bob.send(ALICE, "two")
    await bob.close()
    alice = await processes.open(ALICE)
    assert await eventually(alice, ["two"]) == ["two"]


async def test_two_receivers_of_one_home_and_a_busy_sender_show_each_message_once(processes: ProcessWorld) -> None:
    alice, bob = await processes.person(ALICE), await processes.person(BOB)
    await alice.send(BOB, "first")
    assert (await next_message(bob)).text == "first"
    await bob.send(ALICE, "accepted")
    second = await processes.open(BOB)
    shown: list[str] = []

    async def listen(client: Client) -> None:
        async for message in client.receive():
            shown.append(message.text)  # noqa: PERF401 -- as they come

    listening = [asyncio.create_task(listen(client)) for client in (bob, second)]
    wanted = [str(n) for n in range(30)]
    for text in wanted:
        await alice.send(BOB, text)
    await until(lambda: len(shown) >= len(wanted))
    assert sorted(shown, key=int) == wanted
    for task in listening:
        task.cancel()


async def test_a_third_person_is_reached_while_two_talk(processes: ProcessWorld) -> None:
    alice, bob = await processes.person(ALICE), await processes.person(BOB)
    carol = await processes.person(CAROL)
    await asyncio.gather(alice.send(CAROL, "from alice"), bob.send(CAROL, "from bob"))
    assert sorted(await eventually(carol, ["", ""])) == ["from alice", "from bob"]


async def _collect(client: Client, count: int) -> list[str]:
    return [(await next_message(client)).text for _ in range(count)]
