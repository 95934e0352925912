"""Further devices of one account, across real clients and a real server."""

import asyncio
import io
from contextlib import suppress
from datetime import date

import pytest

from grue.client.account import check_in, set_discoverable
from grue.client.api.devices import NewDevice
from grue.client.client import Client
from grue.client.conversations import steps, tables
from grue.client.devices import link
from grue.client.store.engine import Db
from grue.errors import (
    AlreadyRegistered,
    Blocked,
    CannotManage,
    CodesDiffer,
    HoldsIdentity,
    KeyChanged,
    LinkDeclined,
    LinkExpired,
    LinkUsed,
    NotPermitted,
    Refused,
)
from grue.protocol import wire
from grue.protocol.conversation.contents import Kind, Register
from grue.protocol.conversation.conversation import Notice, Step
from grue.protocol.devices.link import Link, written
from grue.protocol.devices.own import tell
from grue.testing import World
from tests.world.memory import ALICE, BOB, CAROL, take

A_LINK = written(Link(World.url, bytes(16), bytes(32)))


async def linked(world: World, old: Client, home: str, *, can_manage: bool = False) -> Client:
    """Another device of this account, with a home of its own."""
    new = await world.open(home)

    async def ask(device: NewDevice) -> None:
        shown.set_result(await device.meet())
        await device.finish()

    shown: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with new.devices.link(world.url, home, can_manage=can_manage) as device, asyncio.TaskGroup() as group:
        group.create_task(ask(device))
        asking = await old.devices.accept(device.link)
        assert (asking.name, asking.manages) == (home, can_manage)
        await asking.accept(await shown)
    await settle(new, old)
    return new


async def settle(*clients: Client) -> None:
    for _ in range(3):
        for client in clients:
            await client.poll()


async def said(client: Client, chat: str) -> list[str]:
    return [message.text for message in await client.history(chat)]


async def test_a_new_home_becomes_a_device_of_the_account(world: World) -> None:
    alice = await world.person(ALICE)
    laptop = await linked(world, alice, "laptop")
    assert laptop.number == ALICE
    listed = [(device.name, device.own, device.manages) for device in await alice.devices.list()]
    assert listed == [("", True, True), ("laptop", False, False)]
    assert [device.own for device in await laptop.devices.list()] == [False, True]


async def test_what_comes_and_goes_is_on_both_devices(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "before")
    await take(bob)
    await bob.send(ALICE, "yes")
    await take(alice)
    laptop = await linked(world, alice, "laptop")
    await settle(bob, laptop, alice)
    await bob.send(ALICE, "to both")
    assert await take(laptop) == ["to both"]
    assert await take(alice) == ["to both"]
    await laptop.send(BOB, "from the laptop")
    assert await take(bob) == ["from the laptop"]
    await settle(alice, laptop, bob)
    assert (await said(alice, BOB))[-1] == "from the laptop"
    assert [m.incoming for m in await alice.history(BOB)][-1] is False


async def test_whoever_writes_first_reaches_both_devices(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    laptop = await linked(world, alice, "laptop")
    await bob.send(ALICE, "hello")
    assert await take(alice) == ["hello"]
    assert await take(laptop) == ["hello"]
    await laptop.send(BOB, "accepted by this")
    await settle(laptop, alice, bob)
    assert (await said(alice, BOB)) == ["hello", "accepted by this"]
    await alice.send(BOB, "and here")
    await settle(bob, laptop)
    assert (await said(laptop, BOB)) == ["hello", "accepted by this", "and here"]


async def test_devices_07_a_conversation_that_one_device_begins_is_on_the_other(world: World) -> None:
    alice, carol = await world.person(ALICE), await world.person(CAROL)
    laptop = await linked(world, alice, "laptop")
    await laptop.send(CAROL, "first")
    await settle(carol, alice)
    assert await said(alice, CAROL) == ["first"]
    await carol.send(ALICE, "who is it?")
    await alice.poll()
    await alice.send(CAROL, "second")
    await settle(carol, laptop)
    assert await said(carol, ALICE) == ["first", "who is it?", "second"] == await said(laptop, CAROL)


async def test_a_note_to_oneself_is_on_all_devices(world: World) -> None:
    alice = await world.person(ALICE)
    laptop = await linked(world, alice, "laptop")
    await laptop.send("me", "milk")
    await settle(alice)
    await alice.send("me", "bread")
    await settle(laptop)
    assert await said(alice, "me") == ["milk", "bread"] == await said(laptop, "me")


async def test_in_a_group_both_devices_are_heard(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "hi")
    await take(bob)
    await bob.send(ALICE, "hi")
    await take(alice)
    group = await alice.groups.create("Hike", BOB)
    await settle(bob, alice)
    laptop = await linked(world, alice, "laptop")
    await settle(bob, alice, laptop)
    await laptop.send(group.id, "from the laptop")
    await settle(bob, alice)
    assert "from the laptop" in await said(bob, group.id)
    assert "from the laptop" in await said(alice, group.id)


async def test_devices_08_a_removed_device_reads_and_writes_nothing_more(world: World) -> None:
    """It takes no part in its removal: it may be stolen."""
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "hi")
    await take(bob)
    await bob.send(ALICE, "hi")
    group = await alice.groups.create("Hike", BOB)
    await settle(alice, bob)
    laptop = await linked(world, alice, "laptop")
    await settle(bob, laptop, alice)
    before = {c.id: c.log.mailbox for c, _ in await laptop.context.store.read(tables.reading_conversations)}
    gone = await alice.devices.remove("laptop")
    assert (gone.name, [device.name for device in await alice.devices.list()]) == ("laptop", [""])
    await settle(alice, bob)
    await bob.send(ALICE, "only for alice")
    await bob.send(group.id, "only for members")
    await settle(alice, bob)
    assert "only for alice" in await said(alice, BOB)
    assert "only for members" in await said(alice, group.id)
    with suppress(Refused):
        await settle(laptop)
    assert "only for alice" not in await said(laptop, BOB)
    assert "only for members" not in await said(laptop, group.id)
    after = {c.id: c.log.mailbox for c, _ in await alice.context.store.read(tables.reading_conversations)}
    assert not set(before.values()) & set(after.values()), "where it knows to read, nothing is written any more"
    assert Notice.UNLINKED in [notice for _, notice in await laptop.notices()]


async def test_others_learn_names_blocks_marks_and_what_was_shown(world: World) -> None:
    alice, bob, carol = await world.person(ALICE), await world.person(BOB), await world.person(CAROL)
    await bob.send(ALICE, "hello")
    await take(alice)
    await alice.people.verify(BOB)
    laptop = await linked(world, alice, "laptop")
    assert (await laptop.people.safety(BOB)).verified, "what was so before it was linked"
    await laptop.contacts.import_file(io.BytesIO(b"Name,Phone\nBob the builder,%s\n" % BOB.encode()))
    await laptop.requests.block(CAROL)
    await laptop.people.unverify(BOB)
    await settle(laptop, alice)
    assert [contact.name for contact in await alice.contacts.all()] == ["Bob the builder"]
    assert not (await alice.people.safety(BOB)).verified
    with pytest.raises(Blocked):
        await alice.send(CAROL, "hello")
    await alice.send(BOB, "hi")
    await settle(bob)
    await bob.send(ALICE, "seen?")
    assert await take(alice) == ["seen?"]
    await settle(alice)
    assert await take(laptop) == [], "it was shown on the other one"
    assert carol.number == CAROL


async def test_a_request_that_one_device_declines_is_declined_on_the_other(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    laptop = await linked(world, alice, "laptop")
    await bob.send(ALICE, "buy")
    await settle(alice, laptop)
    await laptop.requests.decline(BOB)
    await settle(laptop, alice)
    assert await alice.requests.list() == []


async def test_a_linked_device_holds_no_identity_key_and_links_and_removes_nobody(world: World) -> None:
    alice = await world.person(ALICE)
    laptop = await linked(world, alice, "laptop")
    assert laptop.context.account.identity_secret == b""
    with pytest.raises(CannotManage):
        await laptop.devices.remove((await laptop.devices.list())[0].id)
    with pytest.raises(CannotManage):
        await laptop.devices.accept(A_LINK)


async def test_one_that_may_manage_links_and_removes_others_and_is_not_removed_itself(world: World) -> None:
    alice = await world.person(ALICE)
    laptop = await linked(world, alice, "laptop", can_manage=True)
    tablet = await linked(world, laptop, "tablet")
    await settle(alice, tablet)
    assert [device.name for device in await alice.devices.list()] == ["", "laptop", "tablet"]
    with pytest.raises(HoldsIdentity):
        await alice.devices.remove("laptop")
    await laptop.devices.remove("tablet")
    await settle(laptop, alice)
    assert [device.name for device in await alice.devices.list()] == ["", "laptop"]


async def test_a_device_is_renamed_and_says_on_which_day_it_was_in_use(world: World) -> None:
    alice = await world.person(ALICE)
    laptop = await linked(world, alice, "laptop")
    await laptop.devices.rename("laptop", "kitchen")
    await world.pass_days(3)
    await settle(laptop, alice)
    named = {device.name: device.last_seen for device in await alice.devices.list()}
    assert named["kitchen"] == date.fromtimestamp(world.clock.now)


async def test_mailbox_12_a_removed_device_does_not_read_the_intro_mailbox(world: World) -> None:
    alice = await world.person(ALICE)
    laptop = await linked(world, alice, "laptop")
    account = laptop.context.account
    fetch = wire.Fetch(account.intro_mailbox, account.intro_read_key, 0)
    assert isinstance(await laptop.context.transport.intro(fetch), wire.Fetched)
    await alice.devices.remove("laptop")
    with pytest.raises(NotPermitted):
        await laptop.context.transport.intro(fetch)
    assert isinstance(await alice.context.transport.intro(replace_key(fetch, alice)), wire.Fetched)


def replace_key(fetch: wire.Fetch, client: Client) -> wire.Fetch:
    return wire.Fetch(fetch.mailbox, client.context.account.intro_read_key, 0)


async def test_devices_05_a_link_is_used_once(world: World) -> None:
    """Somebody who has photographed it comes too late, or the owner does, and is told."""
    alice, mallory = await world.person(ALICE), await world.person(BOB)
    new = await world.open("laptop")
    async with new.devices.link(world.url, "laptop") as device, asyncio.TaskGroup() as group:
        meeting = group.create_task(device.meet())
        asking = await mallory.devices.accept(device.link)
        with pytest.raises(LinkUsed):
            await alice.devices.accept(device.link)
        assert await meeting == asking.code
        assert device.number == BOB, "which is not the owner's, and is shown beside the digits"
        await device.refuse()
    with pytest.raises((LinkExpired, LinkDeclined)):
        await asking.accept(asking.code)
    assert [one.own for one in await alice.devices.list()] == [True]


async def test_other_digits_link_nothing(world: World) -> None:
    alice, new = await world.person(ALICE), await world.open("laptop")
    async with new.devices.link(world.url, "laptop") as device, asyncio.TaskGroup() as group:
        meeting = group.create_task(device.meet())
        asking = await alice.devices.accept(device.link)
        await meeting
        other = f"{(int(asking.code) + 1) % 10**6:06}"
        with pytest.raises(CodesDiffer):
            await asking.accept(other)
        with pytest.raises(LinkDeclined):
            await device.finish()
    assert len(await alice.devices.list()) == 1


async def test_a_link_that_nobody_waits_for_has_expired(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "ANSWER_SECONDS", 0.2)
    alice = await world.person(ALICE)
    with pytest.raises(LinkExpired):
        await alice.devices.accept(A_LINK)


async def test_devices_10_a_home_has_one_account(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    with pytest.raises(AlreadyRegistered):
        async with bob.devices.link(world.url, "laptop"):
            pass
    laptop = await linked(world, alice, "laptop")
    with pytest.raises(AlreadyRegistered):
        async with laptop.devices.link(world.url, "laptop"):
            pass


async def test_devices_09_what_others_say_in_the_name_of_an_own_device_counts_nowhere(world: World) -> None:
    """A contact says in a conversation what only an own device may say in the group of the own devices."""
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "hi")
    await take(bob)
    await bob.send(ALICE, "hi")
    laptop = await linked(world, alice, "laptop")
    await settle(bob, alice, laptop)

    def forge(db: Db) -> None:
        ((conversation, chat),) = tables.reading_conversations(db)
        session = bob.context.sessions.open(db, conversation.id)
        register = Register(Kind.BLOCKED, CAROL.encode(), CAROL.encode(), 2**50)
        forged = tell(session, conversation, [register], bob.context.tools)
        steps.save(bob.context, db, chat, Step(conversation, forged), session)

    await bob.context.store.transact(forge)
    await settle(bob, alice, laptop)
    for client in (alice, laptop):
        assert await client.requests.blocked() == []


async def test_a_server_at_rest_has_no_name_of_a_device_and_no_note(world: World) -> None:
    alice = await world.person(ALICE)
    laptop = await linked(world, alice, "kitchen-laptop-canary")
    await laptop.send("me", "note-canary")
    await settle(laptop, alice)
    assert await said(alice, "me") == ["note-canary"]
    kept = b"".join(file.read_bytes() for file in world.data.rglob("*") if file.is_file())
    for secret in (b"kitchen-laptop-canary", b"note-canary", laptop.context.account.intro_read_key):
        assert secret not in kept


async def test_a_removed_holder_is_gone_with_the_identity_alone(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await bob.send(ALICE, "hi")
    await take(alice)
    laptop = await linked(world, alice, "laptop", can_manage=True)
    before = alice.context.account.identity_public
    assert await alice.devices.leave_identity() == ALICE
    await alice.register(ALICE, world.url)
    await alice.verify(world.code(ALICE))
    assert alice.context.account.identity_public != before
    assert len(await alice.devices.list()) == 1
    await bob.lookup(ALICE)
    with pytest.raises(KeyChanged):
        await bob.send(ALICE, "is it you?")
    with pytest.raises(Refused):
        await settle(laptop)
    assert "hi" in await said(alice, BOB), "the history stays"


async def test_who_commits_for_the_own_devices_may_have_been_switched_off(world: World) -> None:
    """The one that has linked a device goes before it has added it everywhere: others go on."""
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "hi")
    await take(bob)
    await bob.send(ALICE, "hi")
    laptop = await linked(world, alice, "laptop")
    await settle(bob, alice, laptop)

    async def nothing(_conversation: bytes) -> None:
        return None

    alice_parts = alice._parts
    alice_parts.own.try_to_bring = nothing  # type: ignore[assignment, method-assign]
    tablet = await linked(world, alice, "tablet")
    assert await tablet.chats() in ([], [one for one in await tablet.chats() if one.notes])
    world.clock.pass_seconds(11 * 60)
    await settle(laptop, tablet, bob, tablet)
    await bob.send(ALICE, "to all three")
    await settle(tablet)
    assert "to all three" in await said(tablet, BOB)


async def test_whether_the_number_is_listed_is_the_same_on_all(world: World) -> None:
    """Each device checks in: one that did not know would put the number back into the directory."""
    alice, bob = await world.person(ALICE), await world.person(BOB)
    laptop = await linked(world, alice, "laptop")
    await set_discoverable(alice.context, False)
    await settle(alice, laptop)
    assert laptop.context.account.hidden
    await check_in(laptop.context)
    (found,) = await bob.lookup(ALICE)
    assert not found.registered


async def test_a_device_that_was_away_for_two_months_comes_back_or_says_why_not(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "hi")
    await take(bob)
    await bob.send(ALICE, "hi")
    laptop = await linked(world, alice, "laptop")
    await settle(bob, alice, laptop)
    for _ in range(8):
        await world.pass_days(8)
        await alice.send(BOB, "week")
        await alice.send("me", "week")
        await settle(bob, alice)
        await bob.send(ALICE, "week")
        await settle(alice, bob)
    for _ in range(4):
        await settle(laptop, bob, alice)
        world.clock.pass_seconds(11 * 60)
    await alice.send("me", "note")
    await settle(laptop)
    assert "note" in await said(laptop, "me"), "the own devices have let it in again"
    assert Notice.LOST in [notice for _, notice in await laptop.notices()], "of two accounts, it says so"
    # What an account may look up in a week is for all its devices, and the other one has drawn it.
    await world.pass_days(7)
    await settle(laptop)
    await laptop.send(BOB, "here again")
    await settle(bob, alice)
    await bob.send(ALICE, "welcome back")
    await settle(alice, laptop)
    for client in (alice, laptop):
        assert (await said(client, BOB))[-2:] == ["here again", "welcome back"]
