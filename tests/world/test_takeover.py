"""Somebody else receives a number's SMS from now on, and registers it: what they get, and who notices."""

from grue.protocol.conversation.conversation import Notice
from grue.testing import World
from tests.world.memory import BOB, take
from tests.world.test_messages import acquainted


async def test_who_takes_a_number_over_gets_no_conversation_and_no_message_that_goes_on_in_one(
    world: World,
) -> None:
    alice, bob = await acquainted(world)
    thief = await world.person(BOB, "who has the number now")
    await alice.send(BOB, "for bob, whom I know")
    assert await take(thief) == []
    assert await thief.chats() == []
    # The one it was written to is still reading the conversation, though the account is gone.
    assert (await anext(bob.receive(idle=15))).text == "for bob, whom I know"


async def test_who_lost_the_number_is_told_at_the_next_daily_round(world: World) -> None:
    _alice, bob = await acquainted(world)
    await bob.notices()
    await world.person(BOB, "who has the number now")
    await world.pass_days(1.1)
    told = set()
    for _ in range(3):
        # A round that failed for another reason, such as a base that is being cut, is made again after an hour.
        await bob.account.daily_round()
        told |= {notice for _, notice in await bob.notices()}
        world.clock.pass_seconds(3601)
    assert Notice.NUMBER_TAKEN in told
