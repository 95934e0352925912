"""Through a relay each conversation sends, and sends again, in a moment of its own."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from grue.client import chats
from grue.client.client import Client
from grue.client.conversations import apart, tables
from grue.protocol import wire
from grue.testing import World
from grue.testing.network import MemoryTransport
from tests.world.memory import ALICE, BOB, CAROL, take
from tests.world.processes import until
from tests.world.test_messages import acquainted

People = tuple[World, Client, Client, Client]


class Pauses:
    """Stands for chance: a pause ends when a test says so."""

    def __init__(self) -> None:
        self.held = False
        self.waiting: list[asyncio.Event] = []

    async def pause(self, _spread: float) -> None:
        if self.held:
            self.waiting.append(asyncio.Event())
            await self.waiting[-1].wait()

    def end_one(self) -> None:
        self.waiting.pop(0).set()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Pauses:
    pauses = Pauses()
    monkeypatch.setattr(apart, "pause", pauses.pause)
    monkeypatch.setattr(MemoryTransport, "spread", 0.001)
    return pauses


@pytest.fixture
async def people(world: World, pauses: Pauses) -> People:
    """Alice, who knows Bob and Carol."""
    _ = pauses
    alice, bob = await acquainted(world)
    carol = await world.person(CAROL)
    await carol.send(ALICE, "hello")
    assert await take(alice) == ["hello"]
    await alice.send(CAROL, "hello yourself")
    await take(carol)
    await alice.poll()
    return world, alice, bob, carol


async def mailbox_of(client: Client, number: str) -> bytes:
    chat = await client.context.store.read(chats.of_number, number)
    assert chat is not None
    (conversation,) = await client.context.store.read(tables.conversations_of, chat.id)
    return conversation.log.mailbox


def posts(world: World) -> list[bytes]:
    return [request.mailbox for request in world.network.seen if isinstance(request, wire.Post)]


async def in_two_moments(world: World, pauses: Pauses, mailboxes: set[bytes]) -> None:
    """Two conversations wait to post something: neither does before its own pause ends, and then it alone."""
    await until(lambda: len(pauses.waiting) == 2)
    world.network.seen.clear()
    for count in (0, 1, 2):
        await until(lambda count=count: len(set(posts(world))) == count)  # type: ignore[misc]
        await asyncio.sleep(0.5)
        assert len(set(posts(world))) == count
        if count < 2:
            pauses.end_one()
    assert set(posts(world)) == mailboxes


async def test_one_poll_fetches_and_confirms_and_sends_what_was_kept(people: People) -> None:
    world, alice, bob, carol = people
    await bob.send(ALICE, "one")
    await carol.send(ALICE, "two")
    world.network.down = True
    await alice.send(BOB, "kept")
    world.network.down = False
    assert sorted(await take(alice)) == ["one", "two"]
    for other in (bob, carol):
        await other.poll()
        assert (await other.history(ALICE))[-1 if other is carol else -2].state.value == "delivered"
    assert [message.text for message in await bob.unshown()] == ["kept"]


async def test_a_text_to_one_takes_nothing_along_that_waits_for_another(people: People) -> None:
    world, alice, _bob, carol = people
    world.network.down = True
    await alice.send(BOB, "kept")
    world.network.down = False
    world.network.seen.clear()
    await alice.send(CAROL, "now")
    assert posts(world) == [await mailbox_of(alice, CAROL)]
    assert await take(carol) == ["now"]
    await alice.flush()
    assert posts(world)[-1] == await mailbox_of(alice, BOB)


@pytest.fixture
async def following(people: People) -> AsyncIterator[Client]:
    """Alice, who receives."""
    _, alice, _, _ = people
    task = asyncio.create_task(_follow(alice))
    await until(lambda: alice._receiver is not None and alice._receiver._streams)
    yield alice
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.usefixtures("following")
async def test_receipts_for_two_chats_are_posted_in_two_moments(people: People, pauses: Pauses) -> None:
    world, alice, bob, carol = people
    both = {await mailbox_of(alice, BOB), await mailbox_of(alice, CAROL)}
    pauses.held = True
    await bob.send(ALICE, "one")
    await carol.send(ALICE, "two")
    await in_two_moments(world, pauses, both)


@pytest.mark.usefixtures("following")
async def test_what_was_not_answered_is_sent_again_for_each_conversation_in_a_moment_of_its_own(
    people: People, pauses: Pauses
) -> None:
    world, alice, _bob, _carol = people
    both = {await mailbox_of(alice, BOB), await mailbox_of(alice, CAROL)}
    pauses.held = True
    world.network.lose = lambda request: isinstance(request, wire.Post)
    for number in (BOB, CAROL):
        assert (await alice.send(number, "the answer is lost")).state.value == "queued"
    await until(lambda: len(pauses.waiting) == 2)
    world.network.lose = lambda _request: False
    await in_two_moments(world, pauses, both)


async def _follow(client: Client) -> None:
    async for _ in client.receive():
        pass
