"""Whoever wrote and was not heard is told so, and is heard again with the next message."""

import pytest

from grue.client.client import Client
from grue.protocol.conversation.conversation import Notice
from grue.server import chores
from grue.testing import World
from tests.world.memory import ALICE, BOB, take
from tests.world.test_messages import acquainted

pytestmark = pytest.mark.tiers

DAYS = 31.1
"""More than an envelope lives, and one day."""


async def pass_days(world: World, days: float) -> None:
    await world.pass_days(days)
    await chores.sweep(world.server)


async def states(client: Client, chat: str) -> list[str]:
    return [message.state.value for message in await client.history(chat) if not message.incoming]


async def notices(client: Client) -> list[Notice]:
    return [notice for _, notice in await client.notices()]


async def test_conversation_17_a_first_message_that_nobody_read_expires_and_the_next_one_is_heard(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "read by nobody")
    await pass_days(world, 20)
    await alice.send(BOB, "behind an invitation that is never read")
    await pass_days(world, DAYS - 20)
    await alice.poll()
    assert await states(alice, BOB) == ["expired", "expired"]
    assert await notices(alice) == [Notice.UNHEARD]
    await alice.send(BOB, "are you there?")
    assert await take(bob) == ["are you there?"]
    await bob.send(ALICE, "since today")
    assert await take(alice) == ["since today"]
    assert await states(alice, BOB) == ["expired", "expired", "delivered"]


async def test_what_expired_is_noticed_before_the_next_message_goes(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "read by nobody")
    await pass_days(world, DAYS)
    await alice.send(BOB, "are you there?")
    assert await states(alice, BOB) == ["expired", "sent"]
    assert await take(bob) == ["are you there?"]


async def test_a_request_that_is_answered_late_is_heard_in_the_conversation_that_was_given_up(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "hello")
    assert await take(bob) == ["hello"]
    await pass_days(world, DAYS)
    await alice.poll()
    assert await states(alice, BOB) == ["expired"]
    await bob.send(ALICE, "late, and heard")
    assert await take(alice) == ["late, and heard"]
    world.network.seen.clear()
    await alice.send(BOB, "in the same conversation")
    assert "Claim" not in world.network.requests()
    assert await take(bob) == ["in the same conversation"]


async def test_a_request_and_its_successor_are_both_answered_by_one_answer(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "hello")
    assert await take(bob) == ["hello"]
    await pass_days(world, DAYS)
    await alice.send(BOB, "hello?")
    assert await take(bob) == ["hello?"]
    await bob.send(ALICE, "both")
    assert await take(alice) == ["both"]
    await alice.send(BOB, "good")
    assert await take(bob) == ["good"]


async def test_a_contact_who_was_away_for_longer_than_envelopes_live_is_heard_and_hears(world: World) -> None:
    alice, bob = await acquainted(world)
    await alice.send(BOB, "expires")
    await pass_days(world, DAYS)
    await alice.poll()
    assert (await states(alice, BOB))[-1] == "expired"
    await alice.send(BOB, "after it")
    assert await take(bob) == ["after it"]
    await bob.send(ALICE, "heard")
    assert await take(alice) == ["heard"]


async def test_a_confirmation_that_waits_is_read_before_anything_is_said_to_have_expired(world: World) -> None:
    alice, bob = await acquainted(world)
    await alice.send(BOB, "confirmed while alice is away")
    await pass_days(world, 20)
    assert await take(bob) == ["confirmed while alice is away"]
    await pass_days(world, DAYS - 20)
    await alice.poll()
    assert (await states(alice, BOB))[-1] == "delivered"
    assert Notice.UNHEARD not in await notices(alice)


@pytest.mark.parametrize("days", [3652, -3652], ids=["ahead", "behind"])
async def test_by_a_wrong_clock_nothing_expires(world: World, days: int) -> None:
    alice, bob = await acquainted(world)
    await alice.send(BOB, "a moment ago")
    await alice.close()
    alice = await world.open(ALICE, ahead=days * 86_400)
    await alice.send(BOB, "another")
    assert await states(alice, BOB) == ["delivered", "sent", "sent"]
    assert await take(bob) == ["a moment ago", "another"]


async def test_what_was_written_without_a_network_expires_by_the_day_it_went(world: World) -> None:
    alice, bob = await acquainted(world)
    world.network.down = True
    await alice.send(BOB, "kept for long")
    await pass_days(world, 20)
    world.network.down = False
    await alice.poll()
    await pass_days(world, 20)
    await alice.poll()
    assert (await states(alice, BOB))[-1] == "sent"
    assert await take(bob) == ["kept for long"]
