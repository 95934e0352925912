"""What people call themselves: who is told, who is not, and what becomes of names that are none."""

import pytest

from grue.client.client import Client
from grue.client.conversations import naming, profiles
from grue.errors import UsageError
from grue.protocol.conversation.contents import Profile
from grue.testing import World
from tests.protocol.test_pictures import JPEG, PNG, SECRET
from tests.world.memory import ALICE, BOB, CAROL, take
from tests.world.test_groups import friends, hike, settle
from tests.world.test_messages import acquainted
from tests.world.test_people import BAD_NAMES

pytestmark = pytest.mark.tiers


async def known(client: Client, who: str) -> str:
    return (await client.people.profile(who)).name


async def test_whom_one_has_written_with_sees_name_and_picture_without_where_it_was_taken(world: World) -> None:
    alice, bob = await acquainted(world)
    await alice.people.set_profile(name="  Alice\tfrom Leeds ", picture=JPEG)
    await bob.poll()
    seen = await bob.people.profile(ALICE)
    assert (seen.name, seen.picture[:2], SECRET in seen.picture) == ("Alice from Leeds", b"\xff\xd8", False)
    assert [(chat.chat, chat.name, chat.profile) for chat in await bob.chats()] == [(ALICE, "", "Alice from Leeds")]
    await alice.send(BOB, "hello")
    await bob.poll()
    (message,) = await bob.unshown()
    assert (message.text, message.sender, message.name, message.profile) == ("hello", ALICE, "", "Alice from Leeds")


async def test_a_request_says_what_its_sender_calls_themself_and_is_told_nothing_before_it_is_accepted(
    world: World,
) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.people.set_profile(name="Alice")
    await bob.people.set_profile(name="Bob in secret")
    await alice.send(BOB, "hello")
    (request,) = await bob.requests.list()
    assert (request.chat, request.profile) == (ALICE, "Alice")
    await bob.poll()
    await alice.poll()
    assert await known(alice, BOB) == ""
    await bob.requests.accept(ALICE)
    await alice.poll()
    assert await known(alice, BOB) == "Bob in secret"


@pytest.mark.parametrize("decide", ["decline", "block"])
async def test_who_was_turned_down_is_told_nothing(world: World, decide: str) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "hello")
    await (bob.requests.decline(ALICE) if decide == "decline" else bob.requests.block(ALICE))
    await bob.people.set_profile(name="Bob")
    await settle(bob, alice)
    assert await known(alice, BOB) == ""


async def test_who_is_blocked_hears_of_no_change_and_says_none(world: World) -> None:
    alice, bob = await acquainted(world)
    await bob.people.set_profile(name="Bob")
    await settle(alice, bob)
    await alice.requests.block(BOB)
    await alice.people.set_profile(name="Alice")
    await bob.people.set_profile(name="Bob again")
    await settle(alice, bob)
    assert (await known(bob, ALICE), await known(alice, BOB)) == ("", "Bob")


async def test_the_newest_counts_and_it_can_be_taken_back(world: World) -> None:
    alice, bob = await acquainted(world)
    for name in ("First", "Second"):
        await alice.people.set_profile(name=name, picture=PNG)
    await bob.poll()
    assert await known(bob, ALICE) == "Second"
    await alice.people.set_profile(name="")
    await bob.poll()
    seen = await bob.people.profile(ALICE)
    assert (seen.name, bool(seen.picture)) == ("", True)
    await alice.people.set_profile(picture=b"")
    await bob.poll()
    assert not (await bob.people.profile(ALICE)).picture


async def test_people_04_an_older_profile_takes_no_newer_ones_place(world: World) -> None:
    alice, bob = await acquainted(world)
    await alice.people.set_profile(name="Alice")
    await bob.poll()
    identity = alice.context.account.identity_public
    await bob.context.store.transact(profiles.keep, identity, Profile(1, "Old"))
    assert await known(bob, ALICE) == "Alice"


async def test_ones_own_name_for_somebody_stands_before_what_they_call_themselves(world: World) -> None:
    alice, bob = await acquainted(world)
    await bob.people.set_profile(name="Alice's bank")
    await alice.contacts.name(BOB, "Bob")
    await alice.poll()
    assert [(chat.name, chat.profile) for chat in await alice.chats()] == [("Bob", "Alice's bank")]


async def test_what_somebody_calls_themself_catches_no_message(world: World) -> None:
    alice, bob = await acquainted(world)
    await bob.people.set_profile(name="Mum")
    await alice.poll()
    with pytest.raises(UsageError):
        await alice.send("Mum", "for Mum alone")
    assert await take(bob) == []


@pytest.mark.parametrize("name", [name for name in BAD_NAMES if len(name) <= 64])
async def test_people_02_nobody_calls_themself_what_reads_as_something_else(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await acquainted(world)
    with pytest.raises(UsageError):
        await alice.people.set_profile(name=name)
    # Whoever has another client sends it all the same.
    with monkeypatch.context() as patched:
        patched.setattr(naming, "checked_name", lambda name, _longest: name[:64])
        await alice.people.set_profile(name=name, picture=PNG)
    await bob.poll()
    seen = await bob.people.profile(ALICE)
    assert (seen.name, bool(seen.picture)) == ("", True)


async def test_a_name_has_a_length(world: World) -> None:
    alice = await world.person(ALICE)
    await alice.people.set_profile(name="x" * 64)
    for longer in ("x" * 65, "x" * 10_000):
        with pytest.raises(UsageError):
            await alice.people.set_profile(name=longer)
    assert (await alice.people.profile()).name == "x" * 64


async def test_in_a_group_it_comes_with_the_next_text_also_for_who_has_come_since(world: World) -> None:
    (alice, bob, carol), _group = await hike(world, ALICE, BOB, CAROL)
    bobs = "person:" + bob.context.account.identity_public.hex()[:16]
    before = len(world.network.seen)
    await bob.people.set_profile(name="Bob the guide")
    await settle(alice, carol)
    assert (await known(alice, BOB), await known(carol, bobs)) == ("Bob the guide", "")
    assert world.network.requests()[before:].count("Post") < 9
    await bob.send("Hike", "follow me")
    await settle(carol)
    assert await known(carol, bobs) == "Bob the guide"
    members = {m.person: m.profile for m in (await carol.groups.show("Hike")).members}
    assert members[bobs] == "Bob the guide"
    dave = await world.person("+447700900004")
    await alice.groups.add("Hike", "+447700900004")
    await settle(bob)
    await dave.poll()
    await dave.requests.accept("Hike")
    await settle(dave, bob, alice)
    await bob.send("Hike", "and you")
    await settle(dave)
    assert await known(dave, bobs) == "Bob the guide"


async def test_a_home_that_never_said_a_name_sends_nothing_more_than_before(world: World) -> None:
    alice, _bob = await acquainted(world)
    before = len(world.network.seen)
    await alice.send(BOB, "hello")
    assert world.network.requests()[before:].count("Post") == 1


async def test_a_conversation_that_begins_anew_has_it_too(world: World) -> None:
    alice, bob = await friends(world, ALICE, BOB)
    await alice.people.set_profile(name="Alice")
    again = await world.person("+447700900005")
    await alice.send("+447700900005", "hello")
    (request,) = await again.requests.list()
    assert (request.profile, await known(bob, ALICE)) == ("Alice", "")
    await bob.poll()
    assert await known(bob, ALICE) == "Alice"
