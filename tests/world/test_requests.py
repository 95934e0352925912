"""Requests: what people we do not know can make us do, what they are told, and whom we hear no more."""

from pathlib import Path

import pytest

from grue.client.client import Client
from grue.client.conversations import inbox, requests, tables
from grue.client.store.engine import Db
from grue.errors import Blocked, NoSuchChat, Unreachable, UsageError
from grue.protocol import wire
from grue.protocol.conversation.conversation import Conversation, ConversationState, Notice
from grue.protocol.conversation.resync import give_up_mailbox
from grue.testing import World
from tests.world.memory import ALICE, BOB, CAROL, NOBODY, take
from tests.world.test_messages import acquainted

DAVE = "+447700900004"


async def strangers(world: World, *texts: str) -> tuple[Client, Client]:
    """Alice, who has written this to Bob, and Bob, who has read the first of it and not answered."""
    alice, bob = await world.person(ALICE), await world.person(BOB)
    first, *later = texts
    await alice.send(BOB, first)
    assert await take(bob) == [first]
    for text in later:
        await alice.send(BOB, text)
    return alice, bob


async def conversations(client: Client) -> list[Conversation]:
    return [found for found, _ in await client.context.store.read(tables.conversations_in, set(ConversationState))]


# --- what waits -----------------------------------------------------------------------------------


async def test_what_a_stranger_says_next_is_in_the_request_before_anybody_answers(world: World) -> None:
    alice, bob = await strangers(world, "one", "two", "three")
    before = len(world.network.seen)
    (request,) = await bob.requests.list()
    assert (request.chat, request.claimed, request.messages, request.text) == (ALICE, "", 3, "one")
    looked = [one for one in world.network.seen[before:] if one.mailbox != bob.context.account.intro_mailbox]  # type: ignore[attr-defined]
    assert [type(one).__name__ for one in looked] == ["Fetch"], "looked at, and neither exchanged nor acknowledged"
    assert [message.text for message in await bob.history(ALICE)] == ["one", "two", "three"]
    assert all(message.request for message in await bob.history(ALICE))
    await alice.poll()
    assert [message.state.value for message in await alice.history(BOB)] == ["sent"] * 3


async def unfetched(world: World, text: str) -> tuple[Client, Client]:
    """Alice, who has written this to Bob, and Bob, who has not fetched anything."""
    bob, alice = await world.person(BOB), await world.person(ALICE)
    await alice.send(BOB, text)
    return alice, bob


async def test_a_request_that_nothing_has_fetched_yet_is_listed_and_shown_later_all_the_same(world: World) -> None:
    _alice, bob = await unfetched(world, "hello")
    assert [(request.chat, request.text) for request in await bob.requests.list()] == [(ALICE, "hello")]
    assert bob.requests.unreached is None
    assert await take(bob) == ["hello"]


async def test_a_request_that_nothing_has_fetched_yet_can_be_accepted(world: World) -> None:
    alice, bob = await unfetched(world, "hello")
    assert await bob.requests.accept(ALICE) == ALICE
    await alice.send(BOB, "more")
    assert await take(bob) == ["hello", "more"]


async def test_a_request_that_nothing_has_fetched_yet_can_be_declined_and_is_not_shown(world: World) -> None:
    _alice, bob = await unfetched(world, "hello")
    assert await bob.requests.decline(ALICE) == ALICE
    assert (await take(bob), await bob.requests.list()) == ([], [])


async def test_who_wrote_what_nothing_has_fetched_yet_can_be_blocked_under_the_name_of_their_chat(
    world: World,
) -> None:
    _alice, bob = await unfetched(world, "hello")
    assert await bob.requests.block("chat:1") in (ALICE, "chat:1")
    assert (await take(bob), await bob.requests.list()) == ([], [])


async def test_without_the_server_what_is_here_is_decided_and_what_is_not_here_is_not_denied(world: World) -> None:
    _alice, bob = await strangers(world, "one")
    world.network.down = True
    assert [request.chat for request in await bob.requests.list()] == [ALICE]
    assert isinstance(bob.requests.unreached, Unreachable)
    for name in (CAROL, "chat:99"):
        with pytest.raises(Unreachable):
            await bob.requests.accept(name)
    assert await bob.requests.decline(ALICE) == ALICE
    world.network.down = False
    with pytest.raises(NoSuchChat):
        await bob.requests.accept(CAROL)
    assert bob.requests.unreached is None


async def test_an_accepted_request_is_read_once_and_confirmed(world: World) -> None:
    alice, bob = await strangers(world, "one", "two")
    await bob.requests.list()
    assert await bob.requests.accept(ALICE) == ALICE
    await alice.send(BOB, "three")
    assert await take(bob) == ["two", "three"]
    await alice.poll()
    assert [message.state.value for message in await alice.history(BOB)] == ["delivered"] * 3
    assert await bob.requests.list() == []
    assert [message.text for message in await bob.history(ALICE)] == ["one", "two", "three"]
    with pytest.raises(UsageError):
        await bob.requests.accept(ALICE)


async def test_a_declined_request_is_neither_shown_nor_listed_and_can_still_be_accepted(world: World) -> None:
    alice, bob = await strangers(world, "one", "two")
    assert await bob.requests.decline(ALICE) == ALICE
    await alice.send(BOB, "three")
    assert (await take(bob), await bob.requests.list(), await bob.chats()) == ([], [], [])
    with pytest.raises(UsageError):
        await bob.requests.decline(ALICE)
    await bob.requests.accept(ALICE)
    assert await take(bob) == ["two", "three"]


FATES = ("waits", "declined", "blocked", "gave way")


@pytest.mark.tiers
async def test_requests_that_are_not_wanted_look_like_unread_ones_to_sender_and_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}
    for fate in FATES:
        async with World(tmp_path / fate) as world:
            alice, bob = await strangers(world, "one", "two")
            carol = await world.person(CAROL)
            begun = len(world.network.trace)
            if fate == "declined":
                await bob.requests.decline(ALICE)
            elif fate == "blocked":
                await bob.requests.block(ALICE)
            else:
                # As whoever decides does.
                await bob._fetch_intro()
            if fate == "gave way":
                monkeypatch.setattr(requests, "MAX_REQUESTS", 1)
            await carol.send(BOB, "another, for which the first gives way in one of these")
            monkeypatch.undo()
            for text in ("three", "four"):
                await bob.poll()
                await bob.requests.list()
                await alice.send(BOB, text)
                await alice.poll()
                await world.pass_days(0.2)
            told = [(message.text, message.state.value) for message in await alice.history(BOB)]
            seen[fate] = (world.network.trace[begun:], told, await alice.notices())
    assert all(seen[fate] == seen["waits"] for fate in FATES)
    assert [state for _, state in seen["waits"][1]] == ["sent"] * 4


# --- floods ---------------------------------------------------------------------------------------


async def test_of_too_many_requests_of_one_identity_its_oldest_give_way(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await (await world.person(CAROL)).send(BOB, "who writes once")
    for n in range(requests.MAX_REQUESTS_EACH + 2):
        await alice.send(BOB, str(n))
        await alice.context.store.transact(lose_all)
        await bob.poll()
        await world.pass_days(0.01)
    assert await take(bob) == ["who writes once", "0", "1", "2", "3", "4"]
    states = [c.state for c in await conversations(bob)]
    assert states.count(ConversationState.DECLINED) == 2
    assert {request.chat for request in await bob.requests.list()} == {ALICE, CAROL}


async def test_a_flood_makes_its_oldest_give_way_and_a_notice_says_how_many(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "MAX_REQUESTS", 2)
    bob = await world.person(BOB)
    numbers = [f"+4477009001{n:02}" for n in range(4)]
    for number in numbers:
        await (await world.person(number)).send(BOB, number)
        await bob.poll()
        await world.pass_days(0.01)
    # The first one's text was acknowledged: it is shown all the same.
    assert await take(bob) == numbers
    assert [request.chat for request in await bob.requests.list()] == numbers[:1:-1]
    assert await bob.notices() == [(BOB, Notice.TURNED_AWAY)]
    assert (await bob.requests.turned_away(), await bob.requests.turned_away()) == (2, 0)
    # A new one is heard, however many wait.
    await (await world.person(CAROL)).send(BOB, "and I")
    assert await take(bob) == ["and I"]


async def test_who_is_in_the_address_book_does_not_give_way_to_strangers(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "MAX_REQUESTS", 1)
    bob = await world.person(BOB)
    book = tmp_path / "book.vcf"
    book.write_text(f"BEGIN:VCARD\nVERSION:3.0\nFN:Alice\nTEL:{ALICE}\nEND:VCARD\n")
    await bob.contacts.import_file(book)
    for number in (ALICE, CAROL, DAVE):
        await (await world.person(number)).send(BOB, number)
        await bob.poll()
        await world.pass_days(0.01)
    assert await take(bob) == [ALICE, CAROL, DAVE]
    assert [request.chat for request in await bob.requests.list()] == [ALICE]


async def test_declined_requests_are_forgotten_and_their_welcome_makes_no_other(world: World) -> None:
    alice, bob = await strangers(world, "one")
    (welcome,) = [request.blob for request in world.network.seen if isinstance(request, wire.PostIntro)]
    await bob.requests.decline(ALICE)
    await world.pass_days(31)
    await (await world.person(CAROL)).send(BOB, "so that bob tidies up")
    await bob.poll()
    await bob.context.store.transact(requests.tidy, bob.context)
    assert ConversationState.GONE in [c.state for c in await conversations(bob)]
    await alice.context.tokens.ask(wire.PostIntro(bob.context.account.intro_mailbox, b"again" + bytes(11), welcome))
    await bob.poll()
    assert [request.chat for request in await bob.requests.list()] == [CAROL]


async def test_a_contact_who_founds_one_conversation_after_another_is_given_few_mailboxes_to_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MAX_SUPERSEDED", 2)
    alice, bob = await acquainted(world)
    for n in range(5):
        await alice.context.store.transact(lose_all)
        await alice.send(BOB, str(n))
        assert await take(bob) == [str(n)]
        await world.pass_days(0.01)
    states = [c.state for c in await conversations(bob)]
    assert (states.count(ConversationState.SUPERSEDED), states.count(ConversationState.ACTIVE)) == (2, 1)
    await bob.send(ALICE, "still here")
    assert await take(alice) == ["still here"]


# --- blocking -------------------------------------------------------------------------------------


async def test_who_is_blocked_is_not_heard_and_not_written_to_until_unblocked(world: World) -> None:
    alice, bob = await acquainted(world)
    assert await bob.requests.block(ALICE) == ALICE
    assert list(await bob.requests.blocked()) == [ALICE]
    await alice.send(BOB, "unheard")
    assert await take(bob) == []
    await alice.poll()
    assert (await alice.history(BOB))[-1].state.value == "sent", "nothing was acknowledged or confirmed"
    with pytest.raises(Blocked):
        await bob.send(ALICE, "nor this")
    await bob.requests.unblock(ALICE)
    assert await take(bob) == ["unheard"]
    with pytest.raises(UsageError):
        await bob.requests.unblock(ALICE)
    await bob.send(ALICE, "heard")
    assert await take(alice) == ["heard"]


async def test_a_receiver_that_goes_on_hears_what_was_written_while_somebody_was_blocked(world: World) -> None:
    alice, bob = await acquainted(world)
    await alice.send(BOB, "before")
    assert (await anext(bob.receive(idle=15))).text == "before"
    await bob.requests.block(ALICE)
    await alice.send(BOB, "meanwhile")
    await alice.send(BOB, "meanwhile too")
    assert [message.text async for message in bob.receive(idle=0.7)] == []
    await bob.requests.unblock(ALICE)
    await alice.send(BOB, "after")
    heard = [message.text async for message in bob.receive(idle=1.5)]
    assert heard == ["meanwhile", "meanwhile too", "after"]
    assert await bob.notices() == []


async def test_who_is_blocked_stays_so_after_registering_anew(world: World) -> None:
    alice, bob = await acquainted(world)
    await bob.requests.block(ALICE)
    await alice.account.delete()
    again = await world.person(ALICE, "another home, another identity, the same number")
    await again.send(BOB, "me again")
    assert (await take(bob), await bob.requests.list()) == ([], [])
    assert list(await bob.requests.blocked()) == [ALICE]
    # And after we have.
    await bob.account.delete()
    await bob.register(BOB, world.url)
    await bob.verify(world.code(BOB))
    await again.send(BOB, "and again", accept_key=True)
    assert (await take(bob), await bob.requests.list()) == ([], [])
    await bob.requests.unblock(ALICE)
    assert list(await bob.requests.blocked()) == []


async def test_who_is_blocked_does_not_block_a_number_by_claiming_it(world: World) -> None:
    alice, bob = await strangers(world, "one")
    await bob.requests.block(ALICE)
    assert await bob.context.store.read(tables.blocked_as, CAROL) is None
    await alice.context.store.transact(lose_all)
    await alice.send(BOB, "two")
    assert await take(bob) == []
    await (await world.person(CAROL)).send(BOB, "hello")
    assert await take(bob) == ["hello"]


@pytest.mark.parametrize(("sender", "name"), [(NOBODY, NOBODY), ("A Bank", "sms:A Bank")])
async def test_an_sms_sender_can_be_blocked_by_number_or_name(world: World, sender: str, name: str) -> None:
    bob = await world.person(BOB)
    await world.carrier.inject(sender, BOB, "one")
    assert await take(bob) == ["one"]
    assert await bob.requests.block(name) == name
    await world.carrier.inject(sender, BOB, "two")
    assert await take(bob) == []
    await bob.requests.unblock(name)
    await world.carrier.inject(sender, BOB, "three")
    assert await take(bob) == ["three"]


async def test_nobody_blocks_themselves(world: World) -> None:
    bob = await world.person(BOB)
    await bob.send("me", "a note")
    for name in (BOB, "me"):
        with pytest.raises(UsageError):
            await bob.requests.block(name)


def lose_all(db: Db) -> None:
    """What this home has founded is lost: its next message founds another."""
    for conversation, chat in tables.conversations_in(db, {ConversationState.ACTIVE, ConversationState.STARTED}):
        tables.save_conversation(db, give_up_mailbox(conversation), chat)
