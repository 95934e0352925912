"""In tier 2, all that a client asks after an answer: the same for a record, for none, and for an answer that is spoilt.

By spoiling one answer, and watching who behaves in another way from then on, a server would learn whose query it was.
"""

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path

import pytest

from grue.client.client import Client
from grue.client.lookup.asyoutype import AsYouType
from grue.client.lookup.directory import LookedUp
from grue.errors import SpoiltAnswer
from grue.protocol.conversation.fallback import Route
from grue.server.directory import directory as directories
from grue.testing import World
from tests.world.memory import ALICE, BOB, CAROL
from tests.world.test_contacts import book, routes
from tests.world.test_dishonest import flipped
from tests.world.test_private import answers

pytestmark = pytest.mark.whole

Trace = list[tuple[str, int]]
Doing = Callable[[World, Client], Awaitable[object]]
HOUR = 3600


class Answer(StrEnum):
    HIT = "hit"
    MISS = "miss"
    SPOILT = "spoilt"


ROUTES = {Answer.HIT: Route.ENCRYPTED, Answer.MISS: Route.SMS, Answer.SPOILT: Route.UNKNOWN}


@pytest.fixture(autouse=True)
def _tier_2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRUE_DIRECTORY_TIER", "2")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


async def traced(path: Path, asked: str, answer: Answer, doing: Doing) -> Trace:
    """What the server and the network see of a client, for which `asked` is in the base, or not, or spoilt.

    The answer is spoilt while `doing` goes on, and honest in the two days after it, whose traces count too.
    """
    folder = path / answer
    folder.mkdir()
    async with World(folder) as world:
        alice = await world.person(ALICE)
        for number in (BOB, CAROL):
            await world.person(number)
        await alice.poll()
        absent = asked if answer is Answer.MISS else CAROL
        await world.server.directory.remove(directories.tag_of(world.server.keys, absent))
        world.server.directory.renew()
        await world.pass_days(1.1)
        honest = world.network.change
        world.network.change = answers(flipped) if answer is Answer.SPOILT else honest
        world.network.trace.clear()
        await doing(world, alice)
        world.network.change = honest
        for _ in range(2):
            await alice.account.daily_round()
            await alice.lookup(asked)
            world.clock.pass_seconds(HOUR)
        return world.network.trace


async def same(path: Path, asked: str, doing: Callable[[World, Client, Answer], Awaitable[object]]) -> Trace:
    """The one trace that there is, whatever came."""
    traces = []
    for answer in Answer:

        async def done(world: World, client: Client, answer: Answer = answer) -> None:
            await doing(world, client, answer)

        traces.append(await traced(path, asked, answer, done))
    assert traces[0] == traces[1] == traces[2]
    return traces[0]


def names(trace: Trace) -> list[str]:
    return [name for name, _ in trace]


async def test_after_a_lookup_the_same_is_asked_whatever_came(tmp_path: Path) -> None:
    async def looking(_world: World, alice: Client, answer: Answer) -> None:
        for _ in range(2):
            (looked_up,) = await alice.lookup(BOB)
            assert looked_up.route is ROUTES[answer]

    trace = await same(tmp_path, BOB, looking)
    assert names(trace).count("Evaluate") == 2  # of Bob, and of the own number in the round that followed


async def test_a_daily_round_is_the_same_whatever_came_of_the_own_record(tmp_path: Path) -> None:
    async def days(_world: World, alice: Client, _answer: Answer) -> None:
        for _ in range(3):
            await alice.account.daily_round()
            _world.clock.pass_seconds(HOUR)

    trace = await same(tmp_path, ALICE, days)
    # Of one round: first under the challenge of the day before, which has passed, and then under a new one.
    assert names(trace).count("CountKeyPackages") == 2


async def test_a_spoilt_own_record_does_not_keep_an_account_from_checking_in(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        alice = await world.person(ALICE)
        world.server.directory.renew()
        await world.pass_days(8)
        world.network.change = answers(flipped)
        world.network.trace.clear()
        await alice.account.daily_round()
        assert "CheckIn" in names(world.network.trace)
        assert isinstance((await alice.lookup(ALICE))[0].error, SpoiltAnswer)


async def test_typing_a_number_again_asks_the_same_whatever_came(tmp_path: Path) -> None:
    async def typing(_world: World, alice: Client, answer: Answer) -> None:
        now, looked = [0.0], asyncio.Event()

        async def look(number: str) -> LookedUp:
            (looked_up,) = await alice.lookup(number)
            looked.set()
            return looked_up

        async with AsYouType(look, "GB", clock=lambda: now[0]) as field:
            field.typed(BOB, done=True)
            await looked.wait()
            for _ in range(3):
                field.typed("")
                now[0] += 20
                assert field.typed(BOB, done=True).route is ROUTES[answer]

    trace = await same(tmp_path, BOB, typing)
    assert names(trace).count("Evaluate") == 2


async def test_an_address_book_is_asked_for_in_the_same_way_whatever_came(tmp_path: Path) -> None:
    async def syncing(_world: World, alice: Client, answer: Answer) -> None:
        await alice.contacts.import_file(book([BOB]))
        for _ in range(2):
            await alice.contacts.sync()
            assert await routes(alice) == {BOB: ROUTES[answer]}

    await same(tmp_path, BOB, syncing)


async def test_after_an_invitation_the_same_is_asked_whatever_came_of_the_claimed_number(tmp_path: Path) -> None:
    async def invited(world: World, alice: Client, answer: Answer) -> None:
        bob = await world.open(BOB)
        change, world.network.change = world.network.change, lambda _request, answer: answer
        await bob.account.daily_round()
        await bob.send(ALICE, "it is me")
        world.network.change = change
        world.network.trace.clear()
        await alice.poll()
        (chat,) = await alice.chats()
        assert (chat.chat == BOB) is (answer is Answer.HIT)

    trace = await same(tmp_path, BOB, invited)
    # The transcript has told the output of the number, which is kept: only the own one is evaluated, once.
    assert (names(trace).count("Evaluate"), names(trace).count("Query")) == (1, 2)
