"""People write to each other: the main cases, each named as the sentence that it proves."""

import pytest

from grue.client.client import Client
from grue.client.conversations import tables
from grue.client.store.engine import Db
from grue.errors import (
    AlreadyRegistered,
    CodeWrong,
    ConsentNeeded,
    ContactGone,
    KeyChanged,
    NoSuchChat,
    SmsGatewayDown,
    SmsMayHaveGone,
    SmsRejected,
    SmsThrottled,
    TooLarge,
    Unreachable,
    UsageError,
)
from grue.protocol import wire
from grue.protocol.conversation.contents import MAX_TEXT
from grue.testing import World
from tests.world.memory import ALICE, BOB, CAROL, NOBODY, take, taken_over

pytestmark = pytest.mark.tiers


async def acquainted(world: World) -> tuple[Client, Client]:
    """Alice and Bob, who have written to each other and read everything."""
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "hello")
    assert await take(bob) == ["hello"]
    await bob.send(ALICE, "hello yourself")
    assert await take(alice) == ["hello yourself"]
    await bob.poll()
    return alice, bob


async def state_of_last(client: Client, chat: str) -> str:
    return (await client.history(chat))[-1].state.value


# --- registering ----------------------------------------------------------------------------------


async def test_the_second_verification_of_a_home_is_refused(world: World) -> None:
    alice = await world.person(ALICE)
    with pytest.raises(AlreadyRegistered):
        await alice.verify(world.code(ALICE))
    with pytest.raises(AlreadyRegistered):
        await alice.register(BOB, "http://localhost")


async def test_a_code_is_good_for_the_home_that_asked_for_it_only(world: World) -> None:
    await world.person(ALICE)
    code = world.code(ALICE)
    thief = await world.open("thief")
    await thief.register(ALICE, "http://localhost")
    with pytest.raises(CodeWrong):
        await thief.verify(code)


async def test_a_verification_whose_answer_was_lost_is_done_again_without_harm(world: World) -> None:
    alice = await world.open("alice")
    await alice.register(ALICE, "http://localhost")
    lost = [True]
    world.network.lose = lambda request: isinstance(request, wire.RegisterFinish) and bool(lost and lost.pop())
    with pytest.raises(Exception, match="did not answer in time"):
        await alice.verify(world.code(ALICE))
    account = await alice.verify(world.code(ALICE))
    assert len(account) == 32


# --- lookups --------------------------------------------------------------------------------------


async def test_a_registered_number_is_found_and_another_is_not(world: World) -> None:
    alice = await world.person(ALICE)
    await world.person(BOB)
    looked_up = await alice.lookup(BOB, NOBODY)
    assert [(x.number, x.route.value, x.registered) for x in looked_up] == [
        (BOB, "encrypted", True),
        (NOBODY, "sms", False),
    ]


async def test_a_hit_and_a_miss_make_the_same_requests(world: World) -> None:
    alice = await world.person(ALICE)
    await world.person(BOB)
    await alice.lookup("+447700900777")
    traces = []
    for number in (BOB, NOBODY):
        world.network.seen.clear()
        (looked_up,) = await alice.lookup(number)
        sizes = [len(wire.encode(request)) for request in world.network.seen]
        traces.append((world.network.requests(), sizes, looked_up.requests, looked_up.bytes_up, looked_up.bytes_down))
    assert traces[0] == traces[1]


async def test_a_lookup_made_again_asks_for_no_evaluation(world: World) -> None:
    alice = await world.person(ALICE)
    await alice.lookup(NOBODY)
    world.network.seen.clear()
    await alice.lookup(NOBODY)
    assert "Evaluate" not in world.network.requests()


async def test_a_number_never_stands_in_a_request_that_looks_it_up(world: World) -> None:
    alice = await world.person(ALICE)
    world.network.seen.clear()
    await alice.lookup(NOBODY)
    assert world.network.seen
    assert all(NOBODY[1:].encode() not in wire.encode(request) for request in world.network.seen)


# --- writing --------------------------------------------------------------------------------------


async def test_a_first_message_arrives_as_a_request_and_the_answer_accepts_it(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    sent = await alice.send(BOB, "hello")
    assert (sent.route.value, sent.state.value) == ("encrypted", "sent")
    await bob.poll()
    (message,) = await bob.unshown()
    assert (message.sender, message.text, message.request) == (ALICE, "hello", True)
    await bob.send(message.chat, "hello yourself")
    assert await take(alice) == ["hello yourself"]


async def test_a_request_sends_nothing_back_until_it_is_accepted(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "hello")
    world.network.seen.clear()
    await take(bob)
    await take(bob)
    # Its own intro mailbox, and nothing else: no receipt, no slot, no conversation's mailbox. In tier 2 a query says no
    # more than that somebody looks something up.
    assert set(world.network.requests()) <= {"Fetch", "Ack", "Query"}
    assert len({request.mailbox for request in world.network.seen if isinstance(request, wire.Fetch)}) == 1
    assert await state_of_last(alice, BOB) == "sent"


async def test_each_message_is_shown_once(world: World) -> None:
    alice, bob = await acquainted(world)
    await alice.send(BOB, "once")
    assert await take(bob) == ["once"]
    assert await take(bob) == []


async def test_messages_keep_their_order(world: World) -> None:
    alice, bob = await acquainted(world)
    for n in range(20):
        await alice.send(BOB, str(n))
    assert await take(bob) == [str(n) for n in range(20)]


async def test_a_message_becomes_delivered_when_the_other_side_has_stored_it(world: World) -> None:
    alice, bob = await acquainted(world)
    await alice.send(BOB, "seen?")
    await alice.poll()
    assert await state_of_last(alice, BOB) == "sent"
    await take(bob)
    await alice.poll()
    assert await state_of_last(alice, BOB) == "delivered"


async def test_the_first_message_becomes_delivered_with_the_answer(world: World) -> None:
    alice, _bob = await acquainted(world)
    assert [message.state.value for message in await alice.history(BOB) if not message.incoming] == ["delivered"]


async def test_an_empty_and_a_too_large_message_are_refused(world: World) -> None:
    alice, bob = await acquainted(world)
    with pytest.raises(UsageError):
        await alice.send(BOB, "")
    with pytest.raises(TooLarge):
        await alice.send(BOB, "x" * (MAX_TEXT + 1))
    await alice.send(BOB, "x" * MAX_TEXT)
    assert await take(bob) == ["x" * MAX_TEXT]


async def test_every_size_of_message_fits_a_bucket(world: World) -> None:
    alice, bob = await acquainted(world)
    texts = ["é" * length for length in (1, 300, 500, 2_000, 8_000, MAX_TEXT // 2)]
    world.network.seen.clear()
    for text in texts:
        await alice.send(BOB, text)
    sizes = {len(request.blob) for request in world.network.seen if isinstance(request, wire.Post)}
    assert sizes == set(wire.ENVELOPE_BUCKETS)
    assert await take(bob) == texts


async def test_a_note_to_oneself_goes_nowhere(world: World) -> None:
    alice = await world.person(ALICE)
    world.network.seen.clear()
    await alice.send("me", "buy milk")
    assert world.network.seen == []
    assert [message.text for message in await alice.history("me")] == ["buy milk"]


async def test_both_start_at_once_and_end_in_one_conversation(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "from alice")
    await bob.send(ALICE, "from bob")
    assert await take(alice) == ["from bob"]
    assert await take(bob) == ["from alice"]
    await alice.send(BOB, "again from alice")
    await bob.send(ALICE, "again from bob")
    assert await take(bob) == ["again from alice"]
    assert await take(alice) == ["again from bob"]
    mailboxes = {request.mailbox for request in world.network.seen[-8:] if isinstance(request, wire.Post)}
    assert len(mailboxes) == 1
    assert len(await alice.chats()) == len(await bob.chats()) == 1


async def test_two_receivers_of_one_home_show_each_message_once(world: World) -> None:
    alice, bob = await acquainted(world)
    second = await world.open(BOB)
    for n in range(10):
        await alice.send(BOB, str(n))
    await bob.poll()
    await second.poll()
    shown = [m.text for m in [*await bob.unshown(), *await second.unshown()]]
    assert sorted(shown) == sorted(str(n) for n in range(10))


async def test_a_chat_that_is_not_there_is_named(world: World) -> None:
    alice = await world.person(ALICE)
    for name in (NOBODY, "chat:1", "chat:999999999999999999999"):
        with pytest.raises(NoSuchChat):
            await alice.history(name)


# --- SMS ------------------------------------------------------------------------------------------


async def test_an_sms_goes_only_after_consent(world: World) -> None:
    alice = await world.person(ALICE)
    with pytest.raises(ConsentNeeded):
        await alice.send(NOBODY, "hello")
    assert world.texts(NOBODY) == []
    sent = await alice.send(NOBODY, "hello", sms=True)
    assert (sent.route.value, sent.state.value, world.texts(NOBODY)) == ("sms", "submitted", ["hello"])


async def test_consent_to_sms_does_not_turn_a_registered_number_green(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    sent = await alice.send(BOB, "hello", sms=True)
    assert (sent.route.value, world.texts(BOB)) == ("encrypted", [])
    assert await take(bob) == ["hello"]


async def test_an_sms_reply_arrives_sealed(world: World) -> None:
    alice = await world.person(ALICE)
    await alice.send(NOBODY, "hello", sms=True)
    await world.carrier.inject(NOBODY, ALICE, "hello from a telephone")
    await alice.poll()
    (message,) = await alice.unshown()
    assert (message.chat, message.claimed, message.route.value) == (NOBODY, NOBODY, "sms")
    assert (message.sender.startswith("chat:"), message.text) == (True, "hello from a telephone")


async def test_an_sms_in_a_verified_contacts_name_is_not_from_them(world: World) -> None:
    alice, bob = await acquainted(world)
    await world.carrier.inject(BOB, ALICE, "send me the code")
    await bob.send(ALICE, "from bob")
    await alice.poll()
    spoofed, real = sorted(await alice.unshown(), key=lambda message: message.route.value, reverse=True)
    assert (spoofed.chat, spoofed.sender.startswith("chat:"), spoofed.claimed) == (BOB, True, BOB)
    assert (real.chat, real.sender, real.claimed) == (BOB, BOB, "")


async def test_a_receipt_makes_an_sms_delivered(world: World) -> None:
    alice = await world.person(ALICE)
    await alice.send(NOBODY, "hello", sms=True)
    world.carrier.receipt(len(world.carrier.delivered), "delivered")
    await world.carrier.inject(NOBODY, ALICE, "behind the receipt")
    await alice.poll()
    own = [m for m in await alice.history(NOBODY) if not m.incoming]
    assert own[0].state.value == "delivered"


@pytest.mark.parametrize(
    ("failure", "state"),
    [
        (SmsGatewayDown(), "failed"),
        (SmsThrottled(retry_after=3), "failed"),
        (SmsRejected(), "failed"),
        (SmsMayHaveGone(), "unknown"),
    ],
)
async def test_an_sms_that_fails_says_how_and_is_not_tried_again(world: World, failure: Exception, state: str) -> None:
    alice = await world.person(ALICE)
    world.carrier.failure = failure  # type: ignore[assignment]
    with pytest.raises(type(failure)):
        await alice.send(NOBODY, "hello", sms=True)
    world.carrier.failure = None
    await alice.poll()
    assert world.texts(NOBODY) == []
    assert await state_of_last(alice, NOBODY) == state


async def test_an_sms_whose_answer_was_lost_is_unknown_and_goes_once(world: World) -> None:
    alice = await world.person(ALICE)
    await alice.lookup(NOBODY)
    world.network.lose = lambda request: isinstance(request, wire.Signed)
    with pytest.raises(SmsMayHaveGone):
        await alice.send(NOBODY, "hello", sms=True)
    world.network.lose = lambda _request: False
    await alice.poll()
    assert world.texts(NOBODY) == ["hello"]
    assert await state_of_last(alice, NOBODY) == "submitted"


# --- identities -----------------------------------------------------------------------------------


async def test_conversation_11_a_contact_with_a_new_key_is_not_written_to_until_it_is_accepted(
    world: World,
) -> None:
    alice, bob = await acquainted(world)
    new_bob = await taken_over(world, BOB, bob, "bob's new telephone")
    await alice.lookup(BOB)
    with pytest.raises(KeyChanged):
        await alice.send(BOB, "is it you?")
    await alice.send(BOB, "hello again", accept_key=True)
    assert await take(new_bob) == ["hello again"]


async def test_a_known_number_with_a_new_key_writes_as_somebody_unverified(world: World) -> None:
    alice, bob = await acquainted(world)
    new_bob = await taken_over(world, BOB, bob, "bob's new telephone")
    await new_bob.send(ALICE, "it is me")
    await alice.poll()
    (message,) = await alice.unshown()
    assert (message.sender.startswith("person:"), message.claimed, message.request) == (True, BOB, True)
    assert [m.text for m in await alice.history(BOB)] == ["hello", "hello yourself"]


async def test_a_contact_that_left_does_not_turn_green_by_itself(world: World) -> None:
    alice, bob = await acquainted(world)
    await bob.account.delete()
    alice = await reopened(world, alice)
    with pytest.raises(ContactGone):
        await alice.send(BOB, "hello?", sms=True)
    assert world.texts(BOB) == []


async def reopened(world: World, alice: Client) -> Client:
    """Alice, in a process that has not looked into the directory yet."""
    await alice.close()
    return await world.open(ALICE)


async def test_three_people_have_three_conversations(world: World) -> None:
    alice, bob = await acquainted(world)
    carol = await world.person(CAROL)
    await carol.send(ALICE, "carol to alice")
    await carol.send(BOB, "carol to bob")
    assert await take(alice) == ["carol to alice"]
    assert await take(bob) == ["carol to bob"]
    assert len({c.chat for c in await carol.chats()}) == 2


async def test_a_contact_holds_nothing_of_other_conversations(world: World) -> None:
    alice, bob = await acquainted(world)
    carol = await world.person(CAROL)
    await alice.send(CAROL, "for carol alone")
    assert await take(carol) == ["for carol alone"]
    await carol.send(ALICE, "for alice alone")
    assert await take(alice) == ["for alice alone"]
    theirs = await carol.context.store.read(_secrets)
    assert len(theirs) >= 4
    assert all([secret in await carol.context.store.read(_everything) for secret in theirs])
    everything = await bob.context.store.read(_everything)
    assert [secret for secret in theirs if secret in everything] == []
    assert b"for carol alone" in await carol.context.store.read(_everything)
    assert b"alone" not in everything


def _secrets(db: Db) -> set[bytes]:
    """What gives a way into this person's conversations: mailboxes and keys."""
    found = set()
    for conversation, _ in tables.reading_conversations(db):
        found |= {conversation.id, conversation.log.mailbox, conversation.write_key, conversation.read_key}
        found |= set(conversation.epoch_keys)
    return found


def _everything(db: Db) -> bytes:
    """All that lies in a home, one value after the other."""
    tables = [str(row[0]) for row in db.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    values = [value for table in tables for row in db.rows(f"SELECT * FROM {table}") for value in row]  # noqa: S608 -- our own names
    return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in values)


async def test_a_new_number_cannot_be_reached_while_the_server_is_away(world: World) -> None:
    alice = await world.person(ALICE)
    world.network.down = True
    (looked_up,) = await alice.lookup(BOB)
    assert (looked_up.route.value, looked_up.registered, type(looked_up.error)) == ("unknown", None, Unreachable)
    with pytest.raises(Unreachable):
        await alice.send(BOB, "hello", sms=True)
    assert world.texts(BOB) == []


async def test_the_text_stands_in_no_request_that_carries_it(world: World) -> None:
    alice, bob = await acquainted(world)
    world.network.seen.clear()
    await alice.send(BOB, "the weather is fine in Lisbon")
    assert await take(bob) == ["the weather is fine in Lisbon"]
    requests = [wire.encode(request) for request in world.network.seen]
    assert any(len(request) > 1024 for request in requests)
    for secret in (b"Lisbon", ALICE[1:].encode(), BOB[1:].encode(), alice.context.account.identity_public):
        assert not any(secret in request for request in requests)
