"""Nobody whose text was read is told that it expired, however long either side was away: faults of seeded schedules."""

import pytest
from msgspec.structs import replace

from grue._core import MlsSession
from grue.client.client import Client
from grue.client.conversations import steps, tables
from grue.client.store.engine import Db
from grue.client.store.entries import group_prefix, mls_entries
from grue.protocol import wire
from grue.protocol.conversation.conversation import ConversationState, Notice, Step
from grue.protocol.conversation.resync import ask_resync
from grue.testing import World
from tests.world.memory import ALICE, BOB, CAROL, take
from tests.world.test_faults import forget_private_keys
from tests.world.test_messages import acquainted
from tests.world.test_unheard import DAYS, pass_days, states

pytestmark = pytest.mark.tiers


async def again(*clients: Client) -> None:
    """Everybody receives, until nothing more is to be said."""
    for _ in range(3):
        for client in clients:
            client._parts.inbox._read_at.clear()
            await take(client)


async def test_conversation_19_a_text_whose_confirmation_expired_unread_goes_out_again_and_is_shown_once(
    world: World,
) -> None:
    alice, bob = await acquainted(world)
    sent = await alice.send(BOB, "read at once")
    await bob.poll()
    assert [message.id for message in await bob.unshown()] == [sent.id]
    await pass_days(world, 40)
    await again(alice, bob)
    assert (await states(alice, BOB))[-1] == "delivered"
    assert "read at once" not in [message.text for message in await bob.unshown()]


async def test_conversation_18_what_is_read_after_a_hole_in_the_log_is_confirmed(world: World) -> None:
    alice, bob = await acquainted(world)
    await alice.send(BOB, "expires")
    await pass_days(world, 20)
    await alice.send(BOB, "is read")
    await pass_days(world, DAYS - 20)
    assert await take(bob) == ["is read"]
    await alice.poll()
    assert (await states(alice, BOB))[-2:] == ["expired", "delivered"]


async def test_a_text_in_a_conversation_that_was_founded_anew_is_confirmed_without_an_answer(world: World) -> None:
    alice, bob = await acquainted(world)
    await alice.poll()
    await alice.send(BOB, "expires")
    await pass_days(world, DAYS)
    await alice.send(BOB, "in a new conversation")
    await again(bob, alice)
    assert (await states(alice, BOB))[-2:] == ["expired", "delivered"]


async def test_what_was_read_in_a_conversation_that_is_given_up_before_it_was_said_is_confirmed_in_it(
    world: World,
) -> None:
    alice, bob = await acquainted(world)
    await bob.poll()
    await bob.send(ALICE, "expires unread")
    await pass_days(world, DAYS)
    await alice.send(BOB, "read at once")
    await bob._parts.inbox.poll_conversations()
    await bob._parts.messenger.expire()
    assert await bob.context.store.read(tables.conversations_in, [ConversationState.UNHEARD])
    # Before Alice says anything: then the conversation is heard again, and confirmed in any case.
    await bob._parts.inbox.confirm()
    await bob._parts.outbox.flush()
    await alice._parts.inbox.poll_conversations()
    assert (await states(alice, BOB))[-1] == "delivered"


async def test_conversation_18_what_was_read_before_a_superseded_conversation_is_lost_is_confirmed(
    world: World,
) -> None:
    alice, bob = await acquainted(world)
    await bob.poll()
    await bob.send(ALICE, "expires unread")
    await pass_days(world, DAYS)
    await bob.poll()
    await bob.send(ALICE, "in a conversation that nobody joins")
    await forget_private_keys(bob)
    await pass_days(world, 46)
    await alice.send(BOB, "a commit that bob cannot follow comes with it")
    assert await take(bob) == ["a commit that bob cannot follow comes with it"]
    assert not await bob.context.store.read(tables.conversations_in, [ConversationState.SUPERSEDED])
    await again(alice, bob)
    assert (await states(alice, BOB))[-1] == "delivered"


async def test_a_request_that_is_accepted_is_confirmed_without_an_answer(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "hello")
    await take(bob)
    await bob.requests.accept(ALICE)
    await again(bob, alice)
    assert await states(alice, BOB) == ["delivered"]


async def test_conversation_21_two_who_receive_once_a_day_get_over_a_lost_commit(world: World) -> None:
    alice, bob = await acquainted(world)
    await forget_private_keys(bob)
    await pass_days(world, 7.1)
    await alice.send(BOB, "a commit that bob cannot follow comes with it")
    for _ in range(6):
        for client in (bob, alice):
            await client.poll()
        await pass_days(world, 1)
    await alice.send(BOB, "after it")
    assert "after it" in await take(bob)


async def test_a_text_of_a_request_that_gave_way_is_not_shown_as_a_contacts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grue.client.conversations.requests.MAX_REQUESTS", 1)
    bob = await world.person(BOB)
    for number in (ALICE, CAROL):
        await (await world.person(number)).send(BOB, "hello")
    await bob.poll()
    assert [message.request for message in await bob.unshown()] == [True, True]


async def test_conversation_19_what_was_confirmed_behind_a_commit_that_lost_us_is_not_called_expired(
    world: World,
) -> None:
    """Who is readmitted without having lost track loses it at the commit, with what the other said behind that."""
    alice, bob = await acquainted(world)
    await alice.send(BOB, "read at once")
    await alice.context.store.transact(ask_for_nothing, alice)
    await alice.poll()
    await bob.poll()
    assert [message.text for message in await bob.unshown()] == ["read at once"]
    await alice.poll()
    await pass_days(world, DAYS)
    await alice.poll()
    assert "expired" not in await states(alice, BOB)
    await again(bob, alice)
    assert (await states(alice, BOB))[-1] == "delivered"


def ask_for_nothing(db: Db, client: Client) -> None:
    """Queue a request to be readmitted, though we can follow."""
    context = client.context
    for conversation, chat in tables.reading_conversations(db):
        session = MlsSession(mls_entries(db, b"s", b"k", group_prefix(conversation.id)))
        lost = replace(conversation, lost_commit=context.random(16))
        step = ask_resync(session, lost, context.account.me, context.tools)
        steps.save(context, db, chat, Step(conversation, step.outgoing), session)


async def test_a_text_whose_acknowledgement_was_lost_long_ago_is_not_sent_again_as_it_was(world: World) -> None:
    """The server has forgotten its envelope by then, and would take it for another one that says the same."""
    alice, bob = await acquainted(world)
    world.network.lose = lambda request: isinstance(request, wire.Post)
    await alice.send(BOB, "read at once")
    world.network.lose = lambda _request: False
    assert await take(bob) == ["read at once"]
    await pass_days(world, DAYS)
    await take(bob)
    await again(alice, bob)
    await pass_days(world, DAYS)
    await again(alice, bob)
    assert ((await states(alice, BOB))[-1], await take(bob)) == ("delivered", [])


async def test_conversation_18_what_was_read_before_a_conversation_was_lost_is_confirmed_in_the_other_one(
    world: World,
) -> None:
    """Both had founded one, and the invitation to the other is read when somebody has answered in the first."""
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "of alice")
    await bob.send(ALICE, "of bob")
    ((in_alices, _),) = await alice.context.store.read(tables.reading_conversations)
    ((in_bobs, _),) = await bob.context.store.read(tables.reading_conversations)
    first, second = (alice, bob) if in_alices.id < in_bobs.id else (bob, alice)
    await second.poll()
    await first._parts.inbox.poll_conversations()
    await forget_private_keys(first)
    await pass_days(world, 7.1)
    await second.send(first.number, "read at once")
    assert "read at once" in await take(first)
    await again(second, first)
    await pass_days(world, DAYS)
    await again(second, first)
    assert (await states(second, first.number))[-1] == "delivered"


async def test_what_went_out_again_to_who_has_blocked_its_sender_since_looks_like_an_unread_text(world: World) -> None:
    """Its confirmation expired before it was fetched, and who is blocked learns nothing by saying it again."""
    alice, bob = await acquainted(world)
    await alice.send(BOB, "read at once")
    assert "read at once" in await take(bob)
    await pass_days(world, 40)
    await bob.requests.block(ALICE)
    await alice.poll()
    await pass_days(world, 0.1)
    await again(alice, bob)
    assert (await states(alice, BOB))[-1] == "sent"
    await pass_days(world, DAYS)
    await again(alice, bob)
    assert (await states(alice, BOB))[-1] == "expired"


async def test_conversation_23_who_was_away_for_longer_than_an_own_commit_lives_readmits_who_could_not_follow_it(
    world: World,
) -> None:
    alice, bob = await acquainted(world)
    await forget_private_keys(bob)
    await pass_days(world, 7.1)
    await alice.send(BOB, "read at once")
    assert "read at once" in await take(bob)
    await pass_days(world, 40)
    await again(alice, bob)
    await again(bob, alice)
    assert (await states(alice, BOB))[-1] == "delivered"
    await alice.send(BOB, "in the same conversation")
    assert await take(bob) == ["in the same conversation"]
    assert len(await alice.context.store.read(tables.conversations_in, set(ConversationState))) == 1


async def test_conversation_23_an_own_commit_that_expired_unseen_has_won_where_nobody_else_wrote_before_it(
    world: World,
) -> None:
    alice, bob = await acquainted(world)
    await pass_days(world, 7.1)
    await alice.send(BOB, "a commit comes with it")
    await take(bob)
    await pass_days(world, 40)
    await bob.send(ALICE, "behind the commit")
    await take(alice)
    assert "behind the commit" in [message.text for message in await alice.history(BOB)]
    assert Notice.LOST not in [notice for _, notice in await alice.notices()]


async def test_conversation_23_an_own_commit_that_may_have_been_beaten_unseen_is_not_waited_for(world: World) -> None:
    alice, bob = await acquainted(world)
    await alice.send(BOB, "earlier")
    await pass_days(world, 7.1)
    await alice.poll()
    assert "earlier" in await take(bob)  # Its receipt lies between what alice has read and what she writes.
    await forget_private_keys(bob)
    await alice.send(BOB, "read at once")
    await bob.poll()
    await pass_days(world, 40)
    for _ in range(4):
        await again(alice, bob)
        await pass_days(world, 10)
    assert (await states(alice, BOB))[-1] == "delivered"


async def test_conversation_23_an_own_commit_that_neither_side_has_seen_gives_way_to_the_others(world: World) -> None:
    alice, bob = await acquainted(world)
    await alice.poll()
    await pass_days(world, 7.1)
    await alice.send(BOB, "expires with a commit")
    await pass_days(world, 40)
    await alice.poll()
    for n in range(2):
        await bob.send(ALICE, f"{n}: with a commit, from the epoch that both are in")
        await bob.poll()
    assert [text[0] for text in await take(alice)] == ["0", "1"]
    await again(alice, bob)
    assert (await states(bob, ALICE))[-2:] == ["delivered", "delivered"]


async def test_conversation_18_what_was_read_before_a_commit_that_lost_us_is_confirmed_with_the_request(
    world: World,
) -> None:
    """So that its sender knows before it has met its answer to the request, which may take longer than that lives."""
    alice, bob = await acquainted(world)
    await forget_private_keys(bob)
    await pass_days(world, 7.1)
    await alice.send(BOB, "read at once")
    assert "read at once" in await take(bob)
    await alice.poll()
    assert (await states(alice, BOB))[-1] == "delivered"


async def test_conversation_23_an_answer_to_a_request_that_expired_unseen_goes_out_when_it_is_asked_for_again(
    world: World,
) -> None:
    """The request that was answered names another commit than the answer, and is made again as it was."""
    alice, bob = await acquainted(world)
    await forget_private_keys(bob)
    await pass_days(world, 7.1)
    await alice.send(BOB, "a commit that bob cannot follow comes with it")
    await bob.poll()
    await alice.poll()
    await pass_days(world, 40)
    await again(alice, bob)
    await alice.send(BOB, "in the conversation that both are in again")
    assert "in the conversation that both are in again" in await take(bob)
    assert len(await alice.context.store.read(tables.reading_conversations)) == 1


async def test_conversation_18_who_lost_track_names_again_what_a_receipt_that_expired_had_confirmed(
    world: World,
) -> None:
    alice, bob = await acquainted(world)
    await alice.send(BOB, "read at once")
    assert "read at once" in await take(bob)
    await forget_private_keys(bob)
    await pass_days(world, 30.5)
    await alice.send(BOB, "a commit that bob cannot follow comes with it")
    await bob.poll()
    await alice.poll()
    assert (await states(alice, BOB))[-2:] == ["delivered", "delivered"]


async def test_conversation_21_who_was_away_while_the_answer_expired_is_answered_when_it_asks_again(
    world: World,
) -> None:
    alice, bob = await acquainted(world)
    await forget_private_keys(bob)
    await pass_days(world, 7.1)
    await alice.send(BOB, "a commit that bob cannot follow comes with it")
    await bob.poll()
    for _ in range(2):
        await alice.poll()
    await pass_days(world, 40)
    await bob.poll()
    for _ in range(2):
        await alice.poll()
    await alice.send(BOB, "in the conversation that both are in again")
    assert "in the conversation that both are in again" in await take(bob)
    assert len(await alice.context.store.read(tables.reading_conversations)) == 1
