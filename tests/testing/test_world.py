"""The world that `grue.testing` gives to authors of bots: what it promises them."""

import asyncio
from pathlib import Path

import pytest

import grue.testing
from grue.protocol import wire
from grue.testing import Carrier, World
from tests.world.memory import ALICE, BOB, NOBODY, take


async def test_people_write_to_each_other_and_receive_by_streams(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        alice, bob = await world.person(ALICE), await world.person(BOB)
        answers, received = alice.receive(), bob.receive()
        await alice.send(BOB, "hello")
        assert (await anext(received)).text == "hello"
        await bob.send(ALICE, "hello yourself")
        assert (await anext(answers)).text == "hello yourself"
        await alice.send(BOB, "and again")
        assert (await anext(received)).text == "and again"


async def test_who_receives_comes_back_after_the_server_was_away(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        alice, bob = await world.person(ALICE), await world.person(BOB)
        received = bob.receive()
        await alice.send(BOB, "before")
        assert (await anext(received)).text == "before"
        await bob.send(ALICE, "yes?")
        assert await take(alice) == ["yes?"]
        await world.restart()
        await alice.send(BOB, "after")
        assert (await anext(received)).text == "after"


async def test_nobody_is_reached_while_the_network_is_down_or_the_server_has_stopped(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        alice = await world.person(ALICE)
        world.network.down = True
        with pytest.raises(grue.Unreachable):
            await alice.poll()
        world.network.down = False
        await world.stop()
        with pytest.raises(grue.Unreachable):
            await alice.poll()
        await world.start()
        await alice.poll()


async def test_an_answer_that_is_lost_is_asked_for_again(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        alice, bob = await world.person(ALICE), await world.person(BOB)
        await alice.send(BOB, "first")
        assert await take(bob) == ["first"]
        await bob.send(ALICE, "yes?")
        assert await take(alice) == ["yes?"]
        world.network.lose = lambda request: isinstance(request, wire.Post)
        await alice.send(BOB, "second")
        world.network.lose = lambda _request: False
        await alice.flush()
        assert await take(bob) == ["second"]


async def test_an_answer_is_late(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        alice, asked, answer = await world.person(ALICE), asyncio.Event(), asyncio.Event()

        async def delay(request: wire.Message) -> None:
            if isinstance(request, wire.Evaluate):
                asked.set()
                await answer.wait()

        world.network.delay = delay
        looking = asyncio.create_task(alice.lookup(NOBODY))
        await asked.wait()
        assert not looking.done()
        answer.set()
        assert [found.registered for found in await looking] == [False]


async def test_a_server_that_lies_is_not_believed(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        alice = await world.person(ALICE)

        def forged(_request: wire.Message, answer: wire.Message) -> wire.Message:
            return wire.Evaluated(answer.elements, bytes(64)) if isinstance(answer, wire.Evaluated) else answer

        world.network.change = forged
        (found,) = await alice.lookup(NOBODY)
        assert (found.route, type(found.error)) == (grue.Route.UNKNOWN, grue.BadProof)


async def test_the_clock_stands_until_it_is_told_to_go(tmp_path: Path) -> None:
    async with World(tmp_path, now=1_900_000_000) as world:
        alice, bob = await world.person(ALICE), await world.person(BOB)
        await alice.send(BOB, "on one day")
        await bob.poll()
        await world.pass_days(2)
        world.clock.pass_seconds(60)
        await bob.send(ALICE, "two days later")
        await alice.poll()
        assert [message.sent for message in await alice.history(BOB)] == [1_900_000_000, 1_900_172_860]


async def test_a_clock_that_is_wrong_is_that_of_one_client(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        bob = await world.person(BOB)
        await world.person(ALICE)
        alice = await world.open(ALICE, ahead=60)
        await alice.send(BOB, "from the future")
        await bob.poll()
        assert [message.sent for message in await bob.unshown()] == [world.clock() + 60]


async def test_sms_go_out_and_come_in(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        alice = await world.person(ALICE)
        await alice.send(NOBODY, "are you there?", sms=True)
        assert await world.carrier.next_text(NOBODY) == "are you there?"
        await world.carrier.inject(NOBODY, ALICE, "I am")
        assert await take(alice) == ["I am"]
        assert world.texts(NOBODY) == ["are you there?"]
        assert world.texts(ALICE) == []


async def test_a_carrier_of_ones_own_says_what_it_does_not_take(tmp_path: Path) -> None:
    carrier = Carrier()
    async with World(tmp_path, carrier=carrier) as world:
        alice = await world.person(ALICE)
        carrier.failure = grue.SmsThrottled()
        with pytest.raises(grue.SmsThrottled):
            await alice.send(NOBODY, "hello", sms=True)


async def test_registering_is_tested_step_by_step(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        alice = await world.open("alice")
        with pytest.raises(LookupError):
            world.code(ALICE)
        assert await alice.register(ALICE, world.url) == ALICE
        code = world.code(ALICE)
        with pytest.raises(grue.CodeWrong):
            await alice.verify("000000" if code != "000000" else "000001")
        await alice.verify(code)


async def test_a_mistyped_home_is_not_made_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(grue.NoSuchHome):
        await grue.open(tmp_path / "mistyped", passphrase="of a test").__aenter__()
    assert not (tmp_path / "mistyped").exists()
    async with grue.open(tmp_path / "new", passphrase="of a test", create=True) as client:
        assert await client.chats() == []
    async with grue.open(tmp_path / "new", passphrase="of a test"):
        pass


async def test_a_home_opens_again_in_another_world(tmp_path: Path) -> None:
    """A server's data and homes are files: a test may keep them as what others begin with."""
    async with World(tmp_path) as world:
        await world.person(ALICE)
    async with World(tmp_path) as world:
        alice = await world.open(ALICE)
        assert [found.registered for found in await alice.lookup(NOBODY)] == [False]
    with pytest.raises(grue.WrongPassphrase):
        await grue.open(tmp_path / ALICE, passphrase="another").__aenter__()
    async with grue.open(tmp_path / ALICE, passphrase=World.passphrase) as alice:
        assert alice.number == ALICE
