"""A contact registers anew, or leaves: who gets the next message, and what happens to those that went before."""

import shutil

import pytest

from grue.client import health
from grue.client.client import Client
from grue.errors import ContactGone, KeyChanged, NotPermitted
from grue.protocol.conversation.conversation import Notice
from grue.server import chores
from grue.testing import World
from tests.world.memory import ALICE, BOB, CAROL, take, taken_over
from tests.world.test_messages import acquainted

pytestmark = pytest.mark.tiers


@pytest.fixture(autouse=True)
def no_copy_is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grue.client.lookup.directory.FRESH_SECONDS", 0.0)


async def states(client: Client, chat: str) -> dict[str, str]:
    return {message.text: message.state.value for message in await client.history(chat) if not message.incoming}


async def test_conversation_11_the_next_message_does_not_go_to_the_home_that_was_lost(world: World) -> None:
    alice, bob = await acquainted(world)
    await taken_over(world, BOB, bob, "bob's new telephone")
    with pytest.raises(KeyChanged):
        await alice.send(BOB, "is it you?")
    with pytest.raises(NotPermitted):
        await take(bob)
    assert "is it you?" not in [message.text for message in await bob.unshown()]


async def test_what_nobody_confirmed_goes_to_the_new_home_under_its_ids(world: World) -> None:
    alice, bob = await acquainted(world)
    sent = [(await alice.send(BOB, text)).id for text in ("lost with the telephone", "and this")]
    new_bob = await taken_over(world, BOB, bob, "bob's new telephone")
    await alice.send(BOB, "again", accept_key=True)
    await new_bob.poll()
    await new_bob.send(ALICE, "I have it")
    await alice.poll()
    await new_bob.poll()
    got = await new_bob.history(ALICE)
    texts = {message.text: message.id for message in got if message.incoming}
    assert list(texts) == ["lost with the telephone", "and this", "again"]
    assert list(texts.values())[:2] == sent
    await alice.poll()
    assert set((await states(alice, BOB)).values()) == {"delivered"}


async def test_what_the_lost_home_still_writes_is_not_shown_as_the_contacts(world: World) -> None:
    alice, bob = await acquainted(world)
    await bob.send(ALICE, "before")
    await alice.poll()
    (before,) = await alice.unshown()
    await taken_over(world, BOB, bob, "bob's new telephone")
    await alice.context.directory.current()
    await bob.send(ALICE, "from whoever found the telephone")
    await alice.poll()
    (after,) = await alice.unshown()
    assert (before.sender, before.claimed) == (BOB, "")
    assert (after.sender.startswith("person:"), after.claimed) == (True, BOB)


async def test_conversation_11_a_contact_who_left_is_not_written_to_as_if_nothing_had_happened(world: World) -> None:
    alice, bob = await acquainted(world)
    await bob.account.delete()
    with pytest.raises(ContactGone):
        await alice.send(BOB, "are you there?", sms=True)
    assert world.texts(BOB) == []


async def test_who_goes_on_without_a_record_is_not_asked_again(world: World) -> None:
    alice, bob = await acquainted(world)
    await bob.account.delete()
    sent = await alice.send(BOB, "I know", accept_key=True)
    assert sent.route.value == "encrypted"
    await alice.send(BOB, "and go on")


async def test_without_a_network_the_copy_that_is_here_is_what_counts(world: World) -> None:
    alice, bob = await acquainted(world)
    world.network.down = True
    assert (await alice.send(BOB, "kept")).state.value == "queued"
    world.network.down = False
    await alice.poll()
    assert await take(bob) == ["kept"]


async def told(client: Client) -> list[Notice]:
    return [notice for _, notice in await client.notices()]


@pytest.mark.parametrize("then", ["another first contact", "nothing"])
async def test_a_home_that_was_moved_and_used_once_at_the_old_place_says_so(world: World, then: str) -> None:
    _alice, bob = await acquainted(world)
    await bob.close()
    shutil.copytree(world.path / BOB, world.path / "moved")
    moved = await world.open("moved")
    await moved.poll()
    assert await health.copied(moved.context) is None
    carol = await world.person(CAROL)
    await carol.send(BOB, "read at the old place")
    old = await world.open(BOB)
    assert await take(old) == ["read at the old place"]
    # An acknowledgement is carried out with the next commit.
    dave = await world.person("+447700900004")
    if then != "nothing":
        await dave.send(BOB, "read at the new one")
    await moved.poll()
    assert await told(moved) == [Notice.COPIED]
    assert await health.copied(moved.context) is not None
    await moved.poll()
    assert await told(moved) == []


async def test_two_processes_of_one_home_are_no_copy_and_neither_is_a_long_holiday(world: World) -> None:
    _alice, bob = await acquainted(world)
    other, carol = await world.open(BOB), await world.person(CAROL)
    await carol.send(BOB, "one")
    await other.poll()
    await bob.poll()
    dave = await world.person("+447700900004")
    await dave.send(BOB, "expires")
    await world.pass_days(31.1)
    await chores.sweep(world.server)
    await bob.poll()
    assert Notice.COPIED not in await told(bob)
