"""Homes of before there were groups, made by that code: what they were in the middle of goes on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from grue.client.client import Client
from grue.client.conversations import tables
from grue.client.store import schema
from grue.protocol.conversation.conversation import Conversation, ConversationState
from grue.testing import World
from tests.world.before_groups import ALICE, BOB, CAROL, DAVE, HOMES, LEFT_AT, opened, unpack
from tests.world.memory import take


@pytest.fixture
async def old(tmp_path: Path) -> AsyncIterator[World]:
    """The world as it was left: Bob is well, Carol is being readmitted, Dave has asked for it."""
    unpack(tmp_path)
    async with World(tmp_path, now=LEFT_AT) as world:
        yield world


async def settle(*clients: Client) -> None:
    for _ in range(4):
        for client in clients:
            await client.poll()


async def conversations(client: Client) -> list[Conversation]:
    """All of a home, in any state."""
    found = await client.context.store.read(tables.conversations_in, set(ConversationState))
    return [conversation for conversation, _ in found]


async def test_the_homes_are_of_the_version_before_and_hold_what_is_tested(tmp_path: Path) -> None:
    unpack(tmp_path)
    for number in HOMES:
        connection = opened(tmp_path / number / "grue.db")
        assert connection.pragma("user_version") == 11
        connection.close()
    async with World(tmp_path, now=LEFT_AT) as world:
        alice, dave = await world.open(ALICE), await world.open(DAVE)
        pending = [one.pending for one in await conversations(alice) if one.pending is not None]
        assert [len(commit.newcomers) for commit in pending if commit.newcomers] == [1]
        assert [one.state for one in await conversations(dave)] == [ConversationState.LOST]
    assert schema.SCHEMA_VERSION > 11


async def test_an_active_conversation_goes_on_both_ways(old: World) -> None:
    alice, bob = await old.open(ALICE), await old.open(BOB)
    assert "written before, read after" in await take(alice)
    await alice.send(BOB, "from the new version")
    assert (await take(bob))[-1] == "from the new version"
    await bob.send(ALICE, "likewise")
    assert await take(alice) == ["likewise"]
    assert [one.state for one in await conversations(bob)] == [ConversationState.ACTIVE]


async def test_a_readmission_that_was_pending_is_finished(old: World) -> None:
    alice, carol = await old.open(ALICE), await old.open(CAROL)
    await settle(alice, carol)
    await take(carol)
    await alice.send(CAROL, "there you are")
    assert await take(carol) == ["there you are"]
    await carol.send(ALICE, "here I am")
    assert "here I am" in await take(alice)
    assert [one.state for one in await conversations(carol)] == [ConversationState.ACTIVE], "it is the same one"


async def test_a_conversation_that_was_lost_is_begun_anew_with_the_next_message(old: World) -> None:
    """It has asked in the log, where nobody reads requests any more, and does not know whom to ask by another way."""
    alice, dave = await old.open(ALICE), await old.open(DAVE)
    await settle(alice, dave)
    await take(dave)
    await dave.send(ALICE, "here I am")
    assert "here I am" in await take(alice)
    await alice.send(DAVE, "there you are")
    assert "there you are" in await take(dave)


async def test_people_of_an_old_home_can_be_in_a_group(old: World) -> None:
    alice, bob, carol = [await old.open(number) for number in (ALICE, BOB, CAROL)]
    await settle(alice, bob, carol)
    group = await alice.groups.create("Hike", BOB, CAROL)
    await settle(alice, bob, carol)
    await bob.send(group.id, "Nine at the station")
    await settle(alice, bob, carol)
    assert "Nine at the station" in await take(carol)
