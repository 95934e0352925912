"""How somebody arranges their chats: pinned, muted, archived, and what was written and not sent."""

import pytest

from grue.client.api.messages import ChatInfo
from grue.client.client import Client
from grue.client.conversations.sync import DRAFT_RESTS_MS, MAX_DRAFT
from grue.errors import NoSuchChat, TooLarge, UsageError
from grue.protocol.conversation.contents import MAX_TEXT
from grue.testing import World
from tests.world.memory import ALICE, BOB, CAROL, take
from tests.world.test_devices import linked, settle

HOUR = 3600


async def line(client: Client, chat: str) -> ChatInfo:
    return next(one for one in await client.chats() if one.chat == chat)


async def arranged(client: Client, chat: str) -> tuple[bool, bool, bool, str]:
    one = await line(client, chat)
    return one.pinned, bool(one.muted_until), one.archived, one.draft


async def test_pinned_chats_stand_above_the_others(world: World) -> None:
    alice, _, _ = await world.person(ALICE), await world.person(BOB), await world.person(CAROL)
    await alice.send(BOB, "hi")
    await alice.send(CAROL, "hi")
    assert [one.chat for one in await alice.chats()] == [CAROL, BOB]
    await alice.chats.pin(BOB)
    assert [one.chat for one in await alice.chats.list()] == [BOB, CAROL]
    await alice.chats.unpin(BOB)
    assert [one.chat for one in await alice.chats()] == [CAROL, BOB]


async def test_a_muted_chat_is_quiet_until_its_time_or_for_good(world: World) -> None:
    alice, _ = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "hi")
    await alice.chats.mute(BOB, world.clock.now + HOUR)
    assert (await line(alice, BOB)).muted_until == int(world.clock.now + HOUR)
    world.clock.pass_seconds(HOUR + 1)
    assert (await line(alice, BOB)).muted_until == 0
    await alice.chats.mute(BOB)
    world.clock.pass_seconds(400 * 24 * HOUR)
    assert (await line(alice, BOB)).muted_until
    await alice.chats.unmute(BOB)
    assert (await line(alice, BOB)).muted_until == 0
    with pytest.raises(UsageError):
        await alice.chats.mute(BOB, world.clock.now)
    with pytest.raises(NoSuchChat):
        await alice.chats.mute(CAROL)


async def test_what_comes_brings_an_archived_chat_back_unless_it_is_muted(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "hi")
    await take(bob)
    await alice.chats.archive(BOB)
    assert (await line(alice, BOB)).archived
    await bob.send(ALICE, "hello")
    await take(alice)
    assert not (await line(alice, BOB)).archived

    await alice.chats.archive(BOB)
    await alice.chats.mute(BOB, world.clock.now + HOUR)
    await bob.send(ALICE, "are you there?")
    await take(alice)
    assert (await line(alice, BOB)).archived
    world.clock.pass_seconds(HOUR + 1)
    # Something came meanwhile, and it is quiet no more.
    assert not (await line(alice, BOB)).archived
    await alice.chats.mute(BOB)
    assert not (await line(alice, BOB)).archived
    await alice.chats.archive(BOB)
    await alice.chats.unarchive(BOB)
    assert not (await line(alice, BOB)).archived


async def test_muting_no_more_brings_back_what_something_came_in(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "hi")
    await take(bob)
    await alice.chats.archive(BOB)
    await alice.chats.mute(BOB)
    await bob.send(ALICE, "hello")
    await take(alice)
    assert (await line(alice, BOB)).archived
    await alice.chats.unmute(BOB)
    await alice.chats.mute(BOB)
    assert not (await line(alice, BOB)).archived


async def test_a_draft_is_kept_until_it_is_taken_back(world: World) -> None:
    alice, _ = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "hi")
    await alice.chats.draft(BOB, "as I was saying")
    assert (await line(alice, BOB)).draft == "as I was saying"
    await alice.chats.draft(BOB, "")
    assert (await line(alice, BOB)).draft == ""
    with pytest.raises(TooLarge):
        await alice.chats.draft(BOB, "x" * (MAX_TEXT + 1))


async def test_all_of_it_is_the_same_on_other_devices_and_on_one_that_comes_later(world: World) -> None:
    alice, bob, carol = await world.person(ALICE), await world.person(BOB), await world.person(CAROL)
    await alice.send(BOB, "hi")
    await take(bob)
    await bob.send(ALICE, "hello")
    await take(alice)
    group = (await alice.groups.create("Hike", BOB, CAROL)).id
    laptop = await linked(world, alice, "laptop")
    await settle(bob, carol, alice, laptop)
    await alice.chats.pin(BOB)
    await alice.chats.mute(BOB)
    await alice.chats.archive(BOB)
    await alice.chats.pin(group)
    await alice.chats.draft(BOB, "I would")
    await settle(alice, laptop)
    assert await arranged(laptop, BOB) == (True, True, True, "")
    assert await arranged(laptop, group) == (True, False, False, "")
    # A draft is told when it has rested.
    world.clock.pass_seconds(DRAFT_RESTS_MS / 1000 + 1)
    await settle(alice, laptop)
    assert await arranged(laptop, BOB) == (True, True, True, "I would")
    await laptop.chats.unmute(BOB)
    await laptop.chats.draft(BOB, "")
    await settle(laptop, alice)
    assert await arranged(alice, BOB) == (True, False, True, "")
    await bob.send(ALICE, "still there?")
    await settle(alice, laptop)
    assert await arranged(alice, BOB) == await arranged(laptop, BOB) == (True, False, False, "")

    tablet = await linked(world, alice, "tablet")
    await settle(bob, carol, alice, laptop, tablet)
    await bob.send(ALICE, "and now?")
    await settle(bob, alice, laptop, tablet)
    assert (await line(tablet, BOB)).pinned
    assert (await line(tablet, group)).pinned


async def test_what_is_being_written_here_is_not_replaced_by_a_draft_of_another_device(world: World) -> None:
    alice, _ = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "hi")
    laptop = await linked(world, alice, "laptop")
    await alice.send(BOB, "hi again")
    await settle(alice, laptop)
    await laptop.chats.draft(BOB, "theirs")
    world.clock.pass_seconds(DRAFT_RESTS_MS / 1000 + 1)
    await alice.chats.draft(BOB, "mine")
    await settle(laptop, alice)
    assert (await line(alice, BOB)).draft == "mine"
    world.clock.pass_seconds(DRAFT_RESTS_MS / 1000 + 1)
    await settle(alice, laptop)
    assert (await line(laptop, BOB)).draft == "mine"


async def test_a_draft_that_no_register_holds_stays_where_it_was_written(world: World) -> None:
    alice, _ = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "hi")
    laptop = await linked(world, alice, "laptop")
    await alice.send(BOB, "hi again")
    await alice.chats.draft(BOB, "x" * (MAX_DRAFT + 1))
    world.clock.pass_seconds(DRAFT_RESTS_MS / 1000 + 1)
    await settle(alice, laptop)
    assert (await line(laptop, BOB)).draft == ""


async def test_two_chats_that_turn_out_to_be_one_person_are_arranged_as_either_was(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await bob.send(ALICE, "a request")
    await take(alice)
    (request,) = [one.chat for one in await alice.chats()]
    await alice.chats.pin(request)
    await alice.chats.draft(request, "who is it?")
    await alice.send(BOB, "hi")
    assert await arranged(alice, BOB) == (True, False, False, "who is it?")
