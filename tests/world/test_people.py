"""Who is meant, what people are called, and writing to somebody whose number nobody shows."""

import io

import pytest

from grue.client.client import Client
from grue.client.store.engine import Db
from grue.errors import AmbiguousName, BadKeyPackage, NoSuchChat, NoSuchMember, NotANumber, UsageError
from grue.protocol import wire
from grue.protocol.conversation.contents import Role
from grue.testing import World
from tests.world.memory import ALICE, BOB, CAROL, take
from tests.world.test_groups import hike, settle
from tests.world.test_messages import acquainted

pytestmark = pytest.mark.tiers

BAD_NAMES = [
    *(" ", "\u200d\u2060", "\u3164", "x" * 10_000, "ecalp \u202elast", "\u2066Mum\u2069", "me", "+44 7700 900222"),
    *("07700 900222", "1", "group:00", "person:0123456789abcdef", "chat:1", "sms:BANK", "grue:person/x", "a\x00b"),
]


def person(client: Client) -> str:
    return "person:" + client.context.account.identity_public.hex()[:16]


# --- who is meant ---------------------------------------------------------------------------------


async def test_every_verb_takes_the_name_that_one_contact_has(world: World) -> None:
    alice, bob = await acquainted(world)
    assert await alice.contacts.name(BOB, "  Bob\tMiller ") == BOB
    await alice.send("Bob Miller", "by name")
    assert await take(bob) == ["by name"]
    assert [message.text for message in await alice.history("Bob Miller")][-1] == "by name"
    assert (await alice.people.safety("Bob Miller")).number == BOB
    group = await alice.groups.create("Two", "Bob Miller")
    await settle(bob, alice)
    assert {m.name: m.role for m in (await alice.groups.set_role("Two", "Bob Miller", Role.ADMIN)).members}[
        "Bob Miller"
    ] is Role.ADMIN
    assert len((await alice.groups.remove(group.id, "Bob Miller")).members) == 1
    assert await alice.requests.block("Bob Miller") == BOB
    assert await alice.requests.unblock("Bob Miller") == BOB


async def test_a_name_that_two_have_means_nobody_and_says_which_ids(world: World) -> None:
    alice, bob = await acquainted(world)
    await alice.contacts.name(BOB, "Sam")
    await alice.contacts.name(CAROL, "Sam")
    for ask in (alice.send("Sam", "x"), alice.history("Sam"), alice.requests.block("Sam"), alice.people.safety("Sam")):
        with pytest.raises(AmbiguousName) as error:
            await ask
        assert (BOB in str(error.value), CAROL in str(error.value), error.value.exit_code) == (True, True, 2)
    assert await take(bob) == []


async def test_a_group_that_is_called_like_a_contact_catches_none_of_their_messages(world: World) -> None:
    (alice, bob, _carol), _group = await hike(world, ALICE, BOB, CAROL)
    await bob.contacts.name(ALICE, "Hike")
    with pytest.raises(AmbiguousName, match=r"group:.*"):
        await bob.send("Hike", "for whom?")
    await bob.contacts.name(ALICE, "")
    await bob.send("Hike", "for all")
    assert await take(alice) == ["for all"]


async def test_names_are_exact(world: World) -> None:
    alice, _bob = await acquainted(world)
    await alice.contacts.name(BOB, "Bob")
    for name in ("bob", "Bo", "Bobb", "B\u043eb"):
        with pytest.raises(NoSuchChat):
            await alice.send(name, "x")
    with pytest.raises(NotANumber):
        await alice.send("Bob 2", "x")


@pytest.mark.parametrize("name", BAD_NAMES)
async def test_people_02_nobody_is_given_a_name_that_reads_as_something_else(world: World, name: str) -> None:
    alice, _bob = await acquainted(world)
    with pytest.raises(UsageError):
        await alice.contacts.name(BOB, name)
    assert [chat.name for chat in await alice.chats()] == [""]


async def test_a_name_in_an_imported_file_that_reads_as_a_number_means_the_number(world: World) -> None:
    alice, bob = await acquainted(world)
    await alice.contacts.import_file(io.BytesIO(f"Name,Phone\n{BOB},{CAROL}\nme,{CAROL}\n".encode()))
    await alice.send(BOB, "to Bob himself")
    assert await take(bob) == ["to Bob himself"]
    assert (await alice.send("me", "a note")).state.value == "delivered"


# --- what people are called -------------------------------------------------------------------------


async def test_a_contacts_name_stands_with_their_chat_and_messages_and_goes_nowhere(world: World) -> None:
    alice, bob = await acquainted(world)
    await alice.contacts.name(BOB, "Uncle Bob")
    await bob.send(ALICE, "hello again")
    await alice.poll()
    (message,) = await alice.unshown()
    assert (message.sender, message.name, message.text) == (BOB, "Uncle Bob", "hello again")
    assert [(chat.chat, chat.name) for chat in await alice.chats()] == [(BOB, "Uncle Bob")]
    assert [contact.name for contact in await alice.contacts.all()] == ["Uncle Bob"]
    assert [chat.name for chat in await bob.chats()] == [""]


async def test_oneself_and_groups_are_not_named_here(world: World) -> None:
    (alice, *_), group = await hike(world, ALICE, BOB)
    for who in ("me", ALICE, group.id, "Hike"):
        with pytest.raises(UsageError):
            await alice.contacts.name(who, "Somebody")


# --- without a number -------------------------------------------------------------------------------


async def strangers(world: World) -> tuple[Client, Client, Client]:
    """Alice's group with Bob and Carol, who know nothing of each other's numbers."""
    (alice, bob, carol), _group = await hike(world, ALICE, BOB, CAROL)
    return alice, bob, carol


async def test_a_member_who_shows_no_number_can_be_written_to_and_answers_and_neither_learns_a_number(
    world: World,
) -> None:
    _alice, bob, carol = await strangers(world)
    await bob.send(person(carol), "from the group")
    await carol.poll()
    (request,) = await carol.requests.list()
    assert (request.chat, request.claimed, request.text) == (person(bob), "", "from the group")
    await carol.send(person(bob), "hello Bob")
    await bob.poll()
    (answer,) = await bob.unshown()
    assert (answer.text, answer.sender, answer.chat, answer.claimed) == ("hello Bob", person(carol), person(carol), "")
    (bobs, carols) = [await client.context.store.read(everything) for client in (bob, carol)]
    assert ("hello Bob" in bobs, CAROL in bobs, BOB in carols) == (True, False, False)


def everything(db: Db) -> str:
    """All chats, conversations and contacts of a home."""
    rows = [db.rows(f"SELECT * FROM {table}") for table in ("chat", "conversation", "contact", "message")]  # noqa: S608
    return str(rows)


async def test_who_shows_no_number_is_named_verified_blocked_and_added_by_their_id(world: World) -> None:
    _alice, bob, carol = await strangers(world)
    assert await bob.contacts.name(person(carol), "Carol from the hike") == person(carol)
    members = {m.person: m.name for m in (await bob.groups.show("Hike")).members}
    assert members[person(carol)] == "Carol from the hike"
    await bob.send("Carol from the hike", "hello")
    assert await take(carol) == ["hello"]
    assert (await bob.people.verify("Carol from the hike")).person == person(carol)
    await bob.groups.create("Two", "Carol from the hike")
    await carol.poll()
    assert "Two" in {request.group for request in await carol.requests.list()}
    assert await bob.requests.block("Carol from the hike") == person(carol)
    await carol.send(person(bob), "anybody?")
    assert await take(bob) == []


async def test_people_01_what_the_server_hands_out_for_a_member_has_to_be_of_their_identity(world: World) -> None:
    _alice, bob, carol = await strangers(world)
    mallory = await world.person("+447700900004")
    theirs = mallory.context.account.intro_mailbox
    real = bob.context.tokens.ask

    async def lying(request: wire.AnonymousRequest) -> wire.AnonymousAnswer:
        return await real(wire.Claim(theirs) if isinstance(request, wire.Claim) else request)

    bob.context.tokens.ask = lying  # type: ignore[method-assign]
    with pytest.raises(BadKeyPackage):
        await bob.send(person(carol), "secret")
    assert (await take(mallory), await take(carol)) == ([], [])
    assert [m.state.value for m in await bob.history(person(carol))] == ["refused"]


async def test_nobody_is_made_up_by_an_id(world: World) -> None:
    alice, bob, _carol = await strangers(world)
    for name in ("person:0123456789abcdef", "person:", "person:zz", "group:0123456789abcdef", "chat:99", "sms:BANK"):
        with pytest.raises(NoSuchChat):
            await bob.send(name, "x")
    with pytest.raises(UsageError, match="yourself"):
        await bob.send(person(bob), "x")
    with pytest.raises(NoSuchMember):
        await alice.groups.remove("Hike", "person:0123456789abcdef")
