"""Is it really them: safety numbers across real clients and a server, marks, and a verified contact's other key."""

import pytest

from grue.client.client import Client
from grue.errors import (
    KeyChanged,
    NoSuchChat,
    NotOnGrue,
    SafetyNumberDiffers,
    Unreachable,
    UsageError,
    VerifiedKeyChanged,
)
from grue.protocol.conversation.conversation import Notice
from grue.testing import World
from tests.world.memory import ALICE, BOB, CAROL, NOBODY, take, taken_over
from tests.world.test_messages import acquainted

pytestmark = pytest.mark.tiers


@pytest.fixture(autouse=True)
def no_copy_is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grue.client.lookup.directory.FRESH_SECONDS", 0.0)


async def told(client: Client) -> list[tuple[str, Notice]]:
    return [one for one in await client.notices() if one[1] is Notice.VERIFIED_CHANGED]


async def verified(world: World) -> tuple[Client, Client]:
    """Alice and Bob, who have written, and of whom Alice has verified Bob."""
    alice, bob = await acquainted(world)
    await alice.people.verify(BOB)
    return alice, bob


# --- the number -----------------------------------------------------------------------------------


async def test_both_sides_have_the_same_sixty_digits(world: World) -> None:
    alice, bob = await acquainted(world)
    here, there = await alice.people.safety(BOB), await bob.people.safety(ALICE)
    assert (here.digits, len(here.digits)) == (there.digits, 60)
    assert (here.number, here.person[:7], here.verified, here.changed) == (BOB, "person:", False, False)
    assert here.person != there.person


async def test_a_number_is_a_number_however_it_is_typed_and_a_chat_and_a_person_are_the_same(world: World) -> None:
    alice, _bob = await acquainted(world)
    found = await alice.people.safety(BOB)
    (chat,) = [chat for chat in await alice.chats() if chat.chat == BOB]
    assert chat.chat == found.number
    names = ["+44 7700 900 002", "07700 900002", "chat:1", found.person]
    assert [await alice.people.safety(name) for name in names] == [found] * len(names)


async def test_somebody_never_written_to_has_one_by_a_lookup_and_hears_nothing_of_it(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    found = await alice.people.safety(BOB)
    assert found.digits == (await bob.people.safety(ALICE)).digits
    assert (await take(bob), await bob.chats(), await alice.chats()) == ([], [], [])


async def test_without_a_server_it_is_that_of_the_identity_known_here(world: World) -> None:
    alice, _bob = await acquainted(world)
    found = await alice.people.safety(BOB)
    world.network.down = True
    assert await alice.people.safety(BOB) == found
    with pytest.raises(Unreachable):
        await alice.people.safety(CAROL)


async def test_a_member_of_a_group_has_one_without_a_number(world: World) -> None:
    alice, bob = await acquainted(world)
    carol = await world.person(CAROL)
    await alice.send(CAROL, "hello")
    await take(carol)
    await carol.send(ALICE, "hello")
    await take(alice)
    group = await alice.groups.create("Hike", BOB, CAROL)
    for client in (bob, carol, alice):
        await client.poll()
    (other,) = [m for m in (await bob.groups.show(group.id)).members if not m.own and m.number != ALICE]
    found = await bob.people.verify(other.person)
    assert (found.number, found.person, found.verified) == ("", other.person, True)
    assert found.digits == (await carol.people.safety(BOB)).digits
    shown = {m.person: m.verified for m in (await bob.groups.show(group.id)).members}
    assert [person for person, mark in shown.items() if mark] == [other.person]


@pytest.mark.parametrize("who", [ALICE, "me", "07700 900001"])
async def test_oneself_has_none(world: World, who: str) -> None:
    alice = await world.person(ALICE)
    with pytest.raises(UsageError, match="yourself"):
        await alice.people.safety(who)


@pytest.mark.parametrize(
    ("who", "error"),
    [
        (NOBODY, NotOnGrue),
        ("sms:BANK", UsageError),
        ("chat:99", NoSuchChat),
        ("person:00", NoSuchChat),
        ("x", NoSuchChat),
    ],
)
async def test_who_is_not_known_has_none(world: World, who: str, error: type[Exception]) -> None:
    alice, _bob = await acquainted(world)
    with pytest.raises(error):
        await alice.people.safety(who)


async def test_an_sms_contact_has_none_until_they_register(world: World) -> None:
    alice = await world.person(ALICE)
    await alice.send(BOB, "hello by SMS", sms=True)
    with pytest.raises(NotOnGrue):
        await alice.people.safety(BOB)
    bob = await world.person(BOB)
    assert (await alice.people.safety(BOB)).digits == (await bob.people.safety(ALICE)).digits


async def test_a_group_has_none_and_its_members_are_named(world: World) -> None:
    alice, _bob = await acquainted(world)
    await alice.groups.create("Hike", BOB)
    with pytest.raises(UsageError, match="each member"):
        await alice.people.safety("Hike")


# --- comparing and marking ------------------------------------------------------------------------


async def test_equal_digits_are_equal_and_mark_nothing(world: World) -> None:
    alice, bob = await acquainted(world)
    theirs = (await bob.people.safety(ALICE)).digits
    assert not (await alice.people.compare(BOB, f" {theirs[:5]} {theirs[5:]} ")).verified
    assert (await alice.people.verify(BOB, theirs)).verified


async def test_other_digits_are_refused_and_mark_nothing(world: World) -> None:
    alice, bob = await acquainted(world)
    theirs = (await bob.people.safety(ALICE)).digits
    wrong = theirs[:-1] + str(9 - int(theirs[-1]))
    with pytest.raises(SafetyNumberDiffers):
        await alice.people.compare(BOB, wrong)
    with pytest.raises(SafetyNumberDiffers):
        await alice.people.verify(BOB, wrong)
    for none in ("", theirs[:-1]):
        with pytest.raises(UsageError):
            await alice.people.verify(BOB, none)
    assert not (await alice.people.safety(BOB)).verified


async def test_a_server_that_lists_another_key_is_noticed_when_the_digits_are_compared(world: World) -> None:
    """From the first message on somebody is in between: nothing else than comparing can show it."""
    bob, carol = await world.person(BOB), await world.person(CAROL)
    of_bob = (await bob.people.safety(CAROL)).digits
    liar = await taken_over(world, BOB, bob, "who is listed in bob's place")
    await carol.send(BOB, "hello bob")
    assert await take(liar) == ["hello bob"]
    with pytest.raises(SafetyNumberDiffers):
        await carol.people.compare(BOB, of_bob)


async def test_the_mark_is_shown_with_chats_and_messages_and_can_be_taken_back(world: World) -> None:
    alice, bob = await verified(world)
    await bob.send(ALICE, "it is me")
    await alice.poll()
    (message,) = await alice.unshown()
    assert (message.verified, [chat.verified for chat in await alice.chats()]) == (True, [True])
    assert not (await alice.people.unverify(BOB)).verified
    assert [message.verified for message in await alice.history(BOB)] == [False] * 3
    assert [chat.verified for chat in await alice.chats()] == [False]


async def test_the_mark_is_this_homes_and_the_other_side_has_its_own(world: World) -> None:
    _alice, bob = await verified(world)
    assert not (await bob.people.safety(ALICE)).verified


async def test_an_sms_from_a_verified_contacts_number_is_not_verified(world: World) -> None:
    alice, _bob = await verified(world)
    await world.carrier.inject(BOB, ALICE, "send me money")
    await alice.poll()
    (message,) = await alice.unshown()
    assert (message.route.value, message.verified) == ("sms", False)


async def test_who_was_verified_before_the_first_message_stays_so(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.people.verify(BOB)
    assert await alice.chats() == []
    await bob.send(ALICE, "hello")
    await alice.poll()
    (message,) = await alice.unshown()
    assert (message.sender, message.verified) == (BOB, True)


# --- another key ----------------------------------------------------------------------------------


async def test_nothing_goes_to_another_key_of_a_verified_contact_and_it_is_said_that_they_were(world: World) -> None:
    alice, bob = await verified(world)
    new_bob = await taken_over(world, BOB, bob, "bob's new telephone")
    with pytest.raises(VerifiedKeyChanged, match="verified") as stopped:
        await alice.send(BOB, "is it you?")
    assert isinstance(stopped.value, KeyChanged)
    assert "--accept-key" in stopped.value.fix
    assert await take(new_bob) == []


async def test_it_is_told_once_when_the_directory_has_another_key(world: World) -> None:
    alice, bob = await verified(world)
    await alice.notices()
    await taken_over(world, BOB, bob, "bob's new telephone")
    await alice.context.directory.current()
    assert await told(alice) == [(BOB, Notice.VERIFIED_CHANGED)]
    for _ in range(2):
        await alice.lookup(BOB)
        await alice.context.directory.current()
    assert await told(alice) == []


async def test_it_is_told_when_somebody_writes_under_the_number_with_another_key(world: World) -> None:
    alice, bob = await verified(world)
    new_bob = await taken_over(world, BOB, bob, "bob's new telephone")
    await new_bob.send(ALICE, "it is me")
    await alice.poll()
    (message,) = await alice.unshown()
    assert (message.claimed, message.request, message.verified) == (BOB, True, False)
    assert await told(alice) == [(BOB, Notice.VERIFIED_CHANGED)]


async def test_of_a_contact_who_was_not_verified_nothing_of_it_is_told(world: World) -> None:
    alice, bob = await acquainted(world)
    await taken_over(world, BOB, bob, "bob's new telephone")
    await alice.context.directory.current()
    with pytest.raises(KeyChanged) as stopped:
        await alice.send(BOB, "is it you?")
    assert (type(stopped.value), await told(alice)) == (KeyChanged, [])


async def test_the_new_key_is_compared_before_it_is_accepted_and_begins_unverified(world: World) -> None:
    alice, bob = await verified(world)
    before = await alice.people.safety(BOB)
    new_bob = await taken_over(world, BOB, bob, "bob's new telephone")
    after = await alice.people.safety(BOB)
    assert (after.verified, after.changed, after.number) == (False, True, BOB)
    assert after.digits == (await new_bob.people.safety(ALICE)).digits != before.digits
    assert [chat.verified for chat in await alice.chats()] == [False]
    await alice.send(BOB, "I have heard your voice", accept_key=True)
    assert await take(new_bob) == ["I have heard your voice"]
    assert (await alice.people.safety(BOB)).changed
    await alice.people.verify(BOB, after.digits)
    assert [(one.verified, one.changed) for one in [await alice.people.safety(BOB)]] == [(True, False)]


async def test_a_new_key_that_was_verified_is_told_of_no_more_but_has_to_be_accepted(world: World) -> None:
    alice, bob = await verified(world)
    new_bob = await taken_over(world, BOB, bob, "bob's new telephone")
    await alice.people.verify(BOB, (await new_bob.people.safety(ALICE)).digits)
    await alice.notices()
    with pytest.raises(VerifiedKeyChanged):
        await alice.send(BOB, "is it you?")
    await alice.send(BOB, "it is", accept_key=True)
    assert (await take(new_bob), await told(alice)) == (["it is"], [])


async def test_the_mark_stays_with_the_key_when_the_chat_loses_its_number(world: World) -> None:
    alice, bob = await verified(world)
    person = (await alice.people.safety(BOB)).person
    await taken_over(world, BOB, bob, "bob's new telephone")
    await alice.send(BOB, "hello again", accept_key=True)
    marks = {chat.claimed: chat.verified for chat in await alice.chats()}
    assert marks == {BOB: True, "": False}
    old = await alice.people.safety(person)
    assert (old.number, old.verified) == ("", True)


async def test_nobody_whose_key_was_not_the_verified_one_is_put_into_a_group(world: World) -> None:
    alice, bob = await verified(world)
    await taken_over(world, BOB, bob, "bob's new telephone")
    with pytest.raises(VerifiedKeyChanged):
        await alice.groups.create("Hike", BOB)


async def test_a_mark_outlives_the_process(world: World) -> None:
    alice, _bob = await verified(world)
    await alice.close()
    alice = await world.open(ALICE)
    assert (await alice.people.safety(BOB)).verified
