"""Reached without a number: links that people give away, and accounts that are not to be found."""

import pytest
from msgspec.structs import replace

from grue.client import chats
from grue.client.client import Client
from grue.client.people.tables import name_of
from grue.errors import BadKeyPackage, BadLink, ContactGone, NotOnGrue, OtherLink, UsageError
from grue.protocol import wire
from grue.protocol.conversation.conversation import Notice
from grue.protocol.conversation.fallback import Route
from grue.protocol.links import LinkKind, make_link
from grue.testing import World
from tests.world.memory import ALICE, BOB, CAROL, take
from tests.world.test_devices import linked
from tests.world.test_groups import hike, settle
from tests.world.test_messages import acquainted
from tests.world.test_people import everything, person

pytestmark = pytest.mark.tiers


@pytest.fixture(autouse=True)
def no_copy_is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grue.client.lookup.directory.FRESH_SECONDS", 0.0)


async def route(client: Client, number: str) -> Route:
    (found,) = await client.lookup(number)
    return found.route


# --- links ------------------------------------------------------------------------------------------


async def test_whoever_has_the_link_writes_and_neither_learns_the_others_number(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    link = await bob.people.link()
    assert (link.startswith("grue:person/"), await bob.people.link()) == (True, link)
    await alice.send(link, "found your poster")
    (request,) = await bob.requests.list()
    assert (request.chat, request.claimed, request.text) == (person(alice), "", "found your poster")
    await bob.send(person(alice), "hello")
    await alice.poll()
    (answer,) = await alice.unshown()
    assert (answer.text, answer.sender, answer.claimed) == ("hello", person(bob), "")
    alices, bobs = [await client.context.store.read(everything) for client in (alice, bob)]
    assert (BOB in alices, ALICE in bobs) == (False, False)


async def test_who_is_kept_by_a_link_has_a_name_and_nobody_is_asked_or_told(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    link = await bob.people.link()
    before = len(world.network.seen)
    assert await alice.people.add(f"  {link[:40]}\n{link[40:]} ", "Poster") == person(bob)
    assert (len(world.network.seen), await alice.chats()) == (before, [])
    await alice.send("Poster", "hello")
    assert await take(bob) == ["hello"]


async def test_people_06_who_writes_by_a_link_that_was_reset_is_put_before_nobody(world: World) -> None:
    alice, bob, carol = [await world.person(number) for number in (ALICE, BOB, CAROL)]
    old = await bob.people.link()
    await carol.send(old, "in time")
    assert await take(bob) == ["in time"]
    new = await bob.people.link(reset=True)
    await alice.send(old, "too late")
    assert (await take(bob), [one.text for one in await bob.requests.list()]) == ([], ["in time"])
    assert [message.state.value for message in await alice.history(person(bob))] == ["sent"], "as with any request"
    await carol.send(person(bob), "still here")
    await bob.send(person(carol), "yes")
    assert await take(carol) == ["yes"]
    dave = await world.person("+447700900004")
    await dave.send(new, "by the new one")
    assert "by the new one" in await take(bob)


async def test_people_05_what_is_no_link_of_somebody_here_is_refused(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    link = await bob.people.link()
    for cut in (link[:-1], link[:30], "grue:person/", link[:20] + ("A" if link[20] != "A" else "B") + link[21:]):
        with pytest.raises(BadLink):
            await alice.people.add(cut)
    with pytest.raises(BadLink):
        await alice.people.add(make_link(LinkKind.PERSON, b"nothing"))
    with pytest.raises(OtherLink):
        await alice.people.add(make_link(LinkKind.GROUP, b"nothing"))
    with pytest.raises(UsageError, match="your own"):
        await bob.people.add(link)
    for name in ("me", BOB, "\u202elast"):
        with pytest.raises(UsageError):
            await alice.people.add(link, name)
    assert await alice.chats() == []


async def test_people_05_a_link_of_another_server_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    link = await bob.people.link()
    elsewhere = replace(alice.context.account, server_public=bytes(32))
    monkeypatch.setattr(alice.context, "account", elsewhere)
    with pytest.raises(UsageError, match="another server"):
        await alice.people.add(link)


async def test_people_01_what_the_server_hands_out_for_a_link_has_to_be_of_its_identity(world: World) -> None:
    alice, bob, mallory = [await world.person(number) for number in (ALICE, BOB, CAROL)]
    theirs, real = mallory.context.account.intro_mailbox, alice.context.tokens.ask

    async def lying(request: wire.AnonymousRequest) -> wire.AnonymousAnswer:
        return await real(wire.Claim(theirs) if isinstance(request, wire.Claim) else request)

    alice.context.tokens.ask = lying  # type: ignore[method-assign]
    with pytest.raises(BadKeyPackage):
        await alice.send(await bob.people.link(), "secret")
    assert (await take(mallory), await take(bob)) == ([], [])


async def test_who_is_blocked_is_not_heard_by_a_link_either(world: World) -> None:
    alice, bob = await acquainted(world)
    await bob.requests.block(ALICE)
    await alice.send(await bob.people.link(), "by the link")
    assert (await take(bob), list(await bob.requests.list())) == ([], [])


# --- several devices --------------------------------------------------------------------------------


async def test_all_devices_know_which_link_holds_and_what_people_are_called(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    old = await bob.people.link()
    laptop = await linked(world, bob, "laptop")
    assert await laptop.people.link() == await bob.people.link(), "with the newer list; the old one holds as well"
    new = await bob.people.link(reset=True)
    await settle(bob, laptop)
    assert (await laptop.people.link(), new != old) == (new, True)
    await alice.send(old, "too late")
    await settle(laptop, bob)
    assert [list(await device.requests.list()) for device in (laptop, bob)] == [[], []]
    await bob.people.add(await alice.people.link(), "Night desk")
    await settle(bob, laptop)
    assert await laptop.context.store.read(name_of, "", alice.context.account.identity_public) == "Night desk"


async def test_what_one_calls_oneself_is_the_same_on_all_devices(world: World) -> None:
    alice, bob = await acquainted(world)
    laptop = await linked(world, alice, "laptop")
    await alice.send(BOB, "from both")
    await settle(alice, bob, laptop)
    await alice.people.set_profile(name="Alice")
    await settle(alice, bob, laptop)
    assert (await laptop.people.profile()).name == (await bob.people.profile(ALICE)).name == "Alice"


# --- not to be found --------------------------------------------------------------------------------


async def test_who_is_not_discoverable_is_not_found_and_keeps_their_conversations(world: World) -> None:
    alice, bob = await acquainted(world)
    carol = await world.person(CAROL)
    assert (await bob.account.is_discoverable(), await route(carol, BOB)) == (True, Route.ENCRYPTED)
    await bob.account.set_discoverable(False)
    assert (await bob.account.is_discoverable(), await route(carol, BOB)) == (False, Route.SMS)
    await bob.send(ALICE, "still here")
    assert await take(alice) == ["still here"]
    await world.pass_days(8)
    await bob.poll()
    assert await route(carol, BOB) is Route.SMS, "the check-in of a later week does not publish it"
    assert [notice for _, notice in await bob.notices() if notice is Notice.NUMBER_MISSING] == []
    await bob.account.set_discoverable(True)
    assert await route(carol, BOB) is Route.ENCRYPTED


async def test_who_registers_so_was_never_to_be_found(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.open("bob")
    await bob.register(BOB, world.url, discoverable=False)
    await bob.verify(world.code(BOB))
    await bob.poll()
    assert (await bob.account.is_discoverable(), await route(alice, BOB)) == (False, Route.SMS)
    with pytest.raises(NotOnGrue):
        await alice.groups.create("Hike", BOB)
    await alice.send(await bob.people.link(), "by the link")
    assert await take(bob) == ["by the link"]


async def test_who_is_not_discoverable_shows_nobody_their_number(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await bob.account.set_discoverable(False)
    await bob.send(ALICE, "who am I?")
    (request,) = await alice.requests.list()
    assert (request.chat, request.claimed) == (person(bob), "")
    group = await bob.groups.create("Hike", ALICE)
    await settle(alice, bob)
    assert BOB not in await alice.context.store.read(everything)
    assert group.name in {one.group for one in await alice.requests.list()}


async def test_people_06_without_a_link_only_who_is_known_writes_to_who_is_not_to_be_found(world: World) -> None:
    (alice, bob, carol), _group = await hike(world, ALICE, BOB, CAROL)
    dave = await world.person("+447700900004")
    intro = bob.context.account.intro_mailbox
    await bob.account.set_discoverable(False)
    await carol.send(person(bob), "from the group")
    assert await take(bob) == ["from the group"]
    # Dave has the intro mailbox from an old record, and no link.
    identity = bob.context.account.identity_public
    await dave.context.store.transact(chats.for_identity, identity, "")
    await dave.context.store.transact(
        lambda db: db.execute("INSERT INTO person (identity, intro_mailbox) VALUES (?, ?)", identity, intro)
    )
    await dave.send(person(bob), "by an old record")
    assert await take(bob) == []
    assert {one.chat for one in await bob.requests.list()} == {person(carol)}
    # Who knew the number is told, once, that it is gone from the directory.
    with pytest.raises(ContactGone):
        await alice.send(BOB, "as before")
    await alice.send(BOB, "as before", accept_key=True)
    assert await take(bob) == ["as before"]
