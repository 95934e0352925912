"""A group whose tree no Welcome holds, across real clients and a real server: joined late, and without its tree."""

import pytest

from bench.groups import choir_of
from grue.client.client import Client
from grue.errors import GroupFull, NetworkError, NoSuchBlob
from grue.protocol import wire
from grue.protocol.conversation import hearing
from grue.protocol.conversation.delivery import MessageState
from grue.testing import World
from tests.world.memory import BOB, take
from tests.world.test_groups import hike, settle

NUMBERS = [f"+4477009001{n:02}" for n in range(14)]
"""One more than a Welcome holds the tree of."""


async def crowd(world: World) -> tuple[list[Client], str]:
    """A group that was made, and that nobody but its maker has joined."""
    people = [await world.person(number) for number in NUMBERS]
    group = await people[0].groups.create("Choir", *NUMBERS[1:])
    return people, group.id


async def join(client: Client) -> None:
    """Strangers are asked."""
    await client.poll()
    (request,) = await client.requests.list()
    await client.requests.accept(request.chat)
    await client.poll()


async def test_group_30_who_comes_on_day_20_joins_a_large_group(world: World) -> None:
    people, group = await crowd(world)
    alice, bob, carol = people[:3]
    await join(bob)
    await world.pass_days(20)
    await join(carol)
    await alice.send(group, "from the top")
    assert await take(carol) == ["from the top"]
    await carol.send(group, "in which key?")
    assert (await take(bob))[-1] == "in which key?"


class Withheld:
    """A server that says it has no blob, to whoever asks while this is so."""

    def __init__(self, world: World) -> None:
        self.asked = 0
        self._world = world

    def __call__(self, request: wire.Message, answer: wire.Message) -> wire.Message:
        if not isinstance(request, wire.GetBlob):
            return answer
        self.asked += 1
        return wire.Refusal(NoSuchBlob.code)


async def test_group_32_who_finds_no_tree_asks_its_inviter_and_is_welcomed_again(world: World) -> None:
    people, group = await crowd(world)
    alice, bob, carol = people[:3]
    await join(bob)
    withheld = world.network.change = Withheld(world)
    await carol.poll()
    assert withheld.asked
    assert await carol.requests.list() == []
    world.network.change = lambda _request, answer: answer
    await carol.poll()
    await settle(alice, bob)
    await join(carol)
    await bob.send(group, "once more")
    assert await take(carol) == ["once more"]


async def test_group_32_while_the_tree_is_withheld_it_is_asked_for_once_a_welcome(world: World) -> None:
    people, group = await crowd(world)
    alice, carol = people[0], people[2]
    world.network.change = Withheld(world)
    before = world.network.requests().count("PostIntro")
    for _ in range(3):
        await carol.poll()
    asked = world.network.requests().count("PostIntro")
    assert asked == before + 1
    for _ in range(3):
        await carol.poll()
    assert world.network.requests().count("PostIntro") == asked
    world.network.change = lambda _request, answer: answer
    await settle(alice)
    await alice.groups.remove(group, carol.number)
    await alice.groups.add(group, carol.number)
    await join(carol)
    await alice.send(group, "by hand")
    assert await take(carol) == ["by hand"]


async def test_group_30_a_network_that_fails_meanwhile_loses_no_welcome(world: World) -> None:
    people, _ = await crowd(world)
    carol = people[2]
    world.network.lose = lambda request: isinstance(request, wire.GetBlob)
    with pytest.raises(NetworkError):
        await carol.poll()
    world.network.lose = lambda _request: False
    await join(carol)
    assert [one.name for one in await carol.groups.list()] == ["Choir"]


async def test_group_04_of_a_thousand_others_nothing_is_asked_or_posted(world: World) -> None:
    alice = await world.person(NUMBERS[0])
    asked = world.network.requests()
    with pytest.raises(GroupFull):
        await alice.groups.create("Everybody", *[f"+44770{n:07}" for n in range(900_1000, 900_2000)])
    assert world.network.requests() == asked
    assert await alice.groups.list() == []


async def test_group_31_a_commit_in_parts_is_followed_by_a_client_that_is_closed_between_them(world: World) -> None:
    choir = await choir_of(world, 64)
    alice, bob = choir.alice, choir.bob
    # The first part arrives, and the second is not sent, since nobody has answered.
    world.network.lose = lambda request: isinstance(request, wire.Post)
    with pytest.raises(NetworkError):
        await alice.groups.describe(choir.group, "those who sing")
    world.network.lose = lambda _request: False
    await bob.poll()
    kept = await bob.context.store.read(lambda db: db.row("SELECT count(*) FROM commit_part"))
    assert kept == (1,), "the first part waits for the second"
    await bob.close()
    bob = await world.open(BOB)
    await alice.poll()
    await bob.poll()
    assert (await bob.groups.show(choir.group)).description == "those who sing"
    assert await bob.context.store.read(lambda db: db.row("SELECT count(*) FROM commit_part")) == (0,)
    await alice.send(choir.group, "from the top")
    assert (await take(bob))[-1] == "from the top"


async def test_in_a_large_group_a_member_confirms_once_an_hour(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearing, "CONFIRMED_AT_ONCE", 2)
    (alice, bob, carol), group = await hike(world, *NUMBERS[:3])
    world.clock.pass_seconds(3601)

    async def say(text: str) -> int:
        before = world.network.requests().count("Post")
        await alice.send(group.id, text)
        await bob.poll()
        await bob.poll()
        return world.network.requests().count("Post") - before

    assert await say("one") == 2, "a text and a receipt"
    assert await say("two") == 1
    world.clock.pass_seconds(3601)
    assert await say("three") == 2
    await carol.poll()
    for client in (carol, alice, alice):
        await client.poll()
    states = [message.state for message in await alice.history(group.id) if message.text in ("one", "two", "three")]
    assert set(states) == {MessageState.DELIVERED}
