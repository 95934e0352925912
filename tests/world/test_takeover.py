"""Somebody else receives a number's SMS from now on, and registers it: what they get, and who notices."""

import pytest

from grue.client.client import Client
from grue.errors import NoClaim, NotPermitted, NumberHeld, UsageError
from grue.protocol.conversation.conversation import Notice
from grue.protocol.registration import CODE_WINDOW, HOLD_DAYS
from grue.testing import World
from tests.world.memory import ALICE, BOB, take, taken_over
from tests.world.test_messages import acquainted


async def test_who_takes_a_number_over_gets_no_conversation_and_no_message_that_goes_on_in_one(
    world: World,
) -> None:
    alice, bob = await acquainted(world)
    thief = await taken_over(world, BOB, bob, "who has the number now")
    await alice.send(BOB, "for bob, whom I know")
    assert await take(thief) == []
    assert await thief.chats() == []
    # The one it was written to is still reading the conversation, though the account is gone.
    assert (await anext(bob.receive(idle=15))).text == "for bob, whom I know"


async def test_who_lost_the_number_is_told_at_the_next_daily_round(world: World) -> None:
    _alice, bob = await acquainted(world)
    await bob.notices()
    await taken_over(world, BOB, bob, "who has the number now")
    await world.pass_days(1.1)
    told = set()
    for _ in range(3):
        # A round that failed for another reason, such as a base that is being cut, is made again after an hour.
        await bob.account.daily_round()
        told |= {notice for _, notice in await bob.notices()}
        world.clock.pass_seconds(3601)
    assert Notice.NUMBER_TAKEN in told


# --- while the old device is active ---------------------------------------------------------------


async def claiming(world: World) -> tuple[Client, Client, Client]:
    """Alice and Bob, and somebody who proved once to receive Bob's SMS."""
    alice, bob = await acquainted(world)
    thief = await world.open("thief")
    await prove(world, thief)
    return alice, bob, thief


async def prove(world: World, client: Client) -> str:
    """Prove to receive Bob's SMS, and be told that the number is held, and by which claim."""
    await client.register(BOB, world.url)
    with pytest.raises(NumberHeld) as held:
        await client.verify(world.code(BOB))
    assert "From 20" in held.value.detail
    return held.value.detail.rpartition(" ")[2].rstrip(".")


async def told(client: Client) -> set[Notice]:
    await client.account.daily_round()
    return {notice for _, notice in await client.notices()}


async def test_while_the_old_device_is_active_a_number_is_held_and_both_are_told(world: World) -> None:
    alice, bob, thief = await claiming(world)
    await alice.send(BOB, "still you?")
    assert await take(bob) == ["still you?"]
    await world.pass_days(1.1)
    assert Notice.NUMBER_CLAIMED in await told(bob)
    world.clock.pass_seconds(86_500)
    assert Notice.NUMBER_CLAIMED not in await told(bob)
    await prove(world, thief)
    # Contacts find who had the number all the time.
    await alice.lookup(BOB)
    await alice.send(BOB, "and still you?")
    assert await take(bob) == ["and still you?"]


async def test_a_second_proof_after_the_hold_takes_the_number(world: World) -> None:
    _alice, bob, thief = await claiming(world)
    await world.pass_days(HOLD_DAYS)
    await thief.register(BOB, world.url)
    await thief.verify(world.code(BOB))
    with pytest.raises(NotPermitted):
        await bob.account.release("00" * 8)


async def test_registration_10_an_objection_begins_the_hold_anew_once(world: World) -> None:
    _alice, bob, thief = await claiming(world)
    await world.pass_days(HOLD_DAYS - 1)
    (claim,) = await bob.account.claims()
    assert (await bob.account.object(), claim.objected) == ([claim.name], False)
    (again,) = await bob.account.claims()
    assert (again.name, again.objected, (again.until - claim.until).days) == (claim.name, True, HOLD_DAYS - 1)
    with pytest.raises(NoClaim):
        await bob.account.object()
    await world.pass_days(HOLD_DAYS - 1)
    await prove(world, thief)
    await world.pass_days(1)
    await thief.register(BOB, world.url)
    await thief.verify(world.code(BOB))


async def test_who_has_a_new_device_and_a_thief_lets_go_to_the_device_that_shows_the_name(world: World) -> None:
    _alice, bob, thief = await claiming(world)
    new = await world.open("bob's new one")
    name = await prove(world, new)
    assert name in [claim.name for claim in await bob.account.claims()]
    await bob.account.release(name)
    await new.register(BOB, world.url)
    await new.verify(world.code(BOB))
    # The thief's claim is settled, and the code that it was made by has served.
    world.clock.pass_seconds(CODE_WINDOW)
    await prove(world, thief)


@pytest.mark.parametrize("typed", ["", "nonsense", "7f3a-11c2", "7f3a-11c2-90ab-33de-00"])
async def test_what_is_no_name_of_a_claim_is_said_and_answers_none(world: World, typed: str) -> None:
    _alice, bob, _thief = await claiming(world)
    with pytest.raises(UsageError):
        await bob.account.release(typed)
    assert [claim.objected for claim in await bob.account.claims()] == [False]


async def test_who_is_claimed_by_nobody_has_nothing_to_answer(world: World) -> None:
    alice, _bob = await acquainted(world)
    with pytest.raises(NoClaim):
        await alice.account.object()
    assert Notice.NUMBER_CLAIMED not in await told(alice)
    assert alice.number == ALICE
