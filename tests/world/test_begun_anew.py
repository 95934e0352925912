"""A conversation is begun anew: what nobody confirmed before goes along, under its ids, and is shown once."""

import pytest

from grue.client.client import Client
from grue.client.conversations import tables
from grue.client.store.engine import Db
from grue.protocol import wire
from grue.protocol.conversation.conversation import Conversation, ConversationEvent, ConversationState, become
from grue.testing import World
from tests.world.memory import ALICE, BOB, take
from tests.world.test_messages import acquainted
from tests.world.test_unheard import pass_days

pytestmark = pytest.mark.tiers


async def sent(client: Client, chat: str) -> dict[str, str]:
    return {message.text: message.state.value for message in await client.history(chat) if not message.incoming}


async def conversation_of(client: Client) -> Conversation:
    """The one that is written to."""
    found = await client.context.store.read(
        tables.conversations_in, {ConversationState.ACTIVE, ConversationState.STARTED}
    )
    ((conversation, _chat),) = found
    return conversation


async def test_a_younger_text_in_a_conversation_that_was_given_up_goes_out_again_in_its_order(world: World) -> None:
    alice, bob = await acquainted(world)
    await alice.send(BOB, "read by nobody")
    await pass_days(world, 20)
    younger = [(await alice.send(BOB, text)).id for text in ("younger", "and this")]
    await pass_days(world, 11.1)
    await alice.poll()
    assert list((await sent(alice, BOB)).values())[1:] == ["expired", "sent", "sent"]
    # The old mailbox is lost to Bob: whatever he reads comes by the new conversation.
    await bob.context.store.transact(lose_track)
    await alice.send(BOB, "today")
    assert await take(bob) == ["younger", "and this", "today"]
    got = [message.id for message in await bob.history(ALICE) if message.incoming]
    assert got[1:3] == younger
    await alice.poll()
    assert list((await sent(alice, BOB)).values())[1:] == ["expired", "delivered", "delivered", "delivered"]


async def test_what_was_read_in_the_old_conversation_is_not_shown_again_by_the_new_one(world: World) -> None:
    alice, bob = await acquainted(world)
    await alice.send(BOB, "read by nobody")
    await pass_days(world, 20)
    await alice.send(BOB, "read, and the receipt is late")
    await pass_days(world, 11.1)
    await bob._parts.inbox.poll_conversations()
    await alice.send(BOB, "today")
    assert await take(bob) == ["read, and the receipt is late", "today"]
    assert await take(bob) == []


@pytest.mark.parametrize("state", [ConversationEvent.FORK_SEEN, ConversationEvent.WENT_BACK])
async def test_what_nobody_confirmed_goes_along_however_the_old_conversation_ended(
    world: World, state: ConversationEvent
) -> None:
    alice, bob = await acquainted(world)
    text = await alice.send(BOB, "before")
    old = await conversation_of(alice)
    chat = await alice.context.store.read(tables.conversation_by_id, old.id)
    assert chat is not None
    await alice.context.store.transact(tables.save_conversation, become(old, state), chat[1])
    await bob.context.store.transact(lose_track)
    await alice.send(BOB, "after", accept_key=True)
    assert await take(bob) == ["before", "after"]
    assert text.id in [message.id for message in await bob.history(ALICE)]


async def test_texts_that_wait_for_a_mailbox_that_is_gone_go_out_in_the_next_conversation(world: World) -> None:
    alice, bob = await acquainted(world)
    old = await conversation_of(alice)
    await bob.context.store.transact(lose_track)
    world.network.down = True
    for text in ("one", "two", "three"):
        await alice.send(BOB, text)
    world.network.down = False
    world.network.change = lambda request, answer: (
        wire.Refusal("no_such_mailbox") if getattr(request, "mailbox", b"") == old.log.mailbox else answer
    )
    for _ in range(2):
        await alice.poll()
    world.network.change = lambda _request, answer: answer
    assert set((await sent(alice, BOB)).values()) <= {"sent", "delivered"}
    assert [text for text in await take(bob) if text != "hello"] == ["one", "two", "three"]


def lose_track(db: Db) -> None:
    for conversation, chat in tables.conversations_in(db, {ConversationState.ACTIVE}):
        lost = become(conversation, ConversationEvent.LOST_TRACK)
        tables.save_conversation(db, lost, chat)
