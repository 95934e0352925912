"""Tokens in the world: what people notice of them, which should be little."""

import itertools
import os

import pytest

from grue._core import MlsSession
from grue.client.client import Client
from grue.client.conversations import steps, tables
from grue.client.store.engine import Db
from grue.client.store.entries import group_prefix, mls_entries
from grue.errors import LimitReached, TokenNeeded
from grue.protocol import wire
from grue.protocol.conversation.answering import READMISSIONS_A_DAY
from grue.protocol.conversation.asking import post_request
from grue.protocol.conversation.commits import UPDATE_AFTER_MS
from grue.protocol.conversation.contents import ResyncRequest
from grue.protocol.conversation.conversation import ConversationState, Outgoing, Purpose, Step
from grue.protocol.conversation.groups import sign_readmission
from grue.server.mailboxes import mailboxes
from grue.server.tokens import tokens
from grue.testing import World
from tests.world.memory import ALICE, BOB, CAROL, NOBODY, take
from tests.world.test_faults import forget_private_keys
from tests.world.test_messages import acquainted

pytestmark = pytest.mark.tiers


# Where a lookup costs one token.
@pytest.mark.usefixtures("tier_1")
async def test_a_limit_makes_a_route_unknown_and_sends_no_sms(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "FIRST_LOOKUPS", 50)
    alice = await world.person(ALICE)
    looked_up = await alice.lookup(*(f"+4477009004{n:02}" for n in range(60)))
    assert {(one.route.value, one.registered, type(one.error)) for one in looked_up} == {
        ("unknown", None, LimitReached)
    }
    assert looked_up[0].error is not None
    assert looked_up[0].error.retry_after > 0
    await alice.lookup(*(f"+4477009005{n:02}" for n in range(49)))
    with pytest.raises(LimitReached):
        await alice.send(NOBODY, "hello", sms=True)
    assert world.texts(NOBODY) == []


async def test_a_limit_on_lookups_leaves_first_contacts_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "FIRST_LOOKUPS", 50)
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "hello")
    assert await take(bob) == ["hello"]


async def fill(world: World, address: tuple[bytes, bytes]) -> int:
    """A member posts junk, as much as is taken for nothing."""
    for count in range(1000):
        junk = wire.Post(*address, os.urandom(16), os.urandom(1024))
        answer = wire.ANONYMOUS_ANSWER.decode(await world.server.anonymous(wire.encode(junk)))
        if isinstance(answer, wire.Refusal):
            assert answer.code == TokenNeeded.code
            return count
    raise AssertionError("no limit")


async def address_of(client: Client) -> tuple[bytes, bytes]:
    ((conversation, _),) = await client.context.store.read(tables.reading_conversations)
    return conversation.log.mailbox, conversation.write_key


async def test_texts_wait_for_room_and_spend_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = await acquainted(world)
    monkeypatch.setattr(mailboxes, "MAX_BACKLOG_KIB", 40)
    assert await fill(world, await address_of(alice)) > 30
    before = await post_tokens(alice)
    assert (await alice.send(BOB, "waits")).state.value == "queued"
    await alice.flush()
    assert await post_tokens(alice) == before
    assert await take(bob) == []
    await alice.poll()
    await world.server.store.flush()
    await alice.poll()
    assert await post_tokens(alice) == before
    assert await take(bob) == ["waits"]


async def test_who_has_to_be_readmitted_is_although_somebody_filled_the_mailbox(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await acquainted(world)
    monkeypatch.setattr(mailboxes, "MAX_BACKLOG_KIB", 400)
    await forget_private_keys(bob)
    await world.pass_days(UPDATE_AFTER_MS / 86_400_000 + 0.1)
    await alice.send(BOB, "with a commit that bob cannot follow")
    assert await take(bob) == ["with a commit that bob cannot follow"]
    await fill(world, await address_of(alice))
    before = await post_tokens(alice)
    await alice.poll()
    assert await post_tokens(alice) < before
    await alice.poll()
    for _ in range(3):
        await bob.poll()
    await alice.send(BOB, "as if nothing had been")
    assert await take(bob) == ["as if nothing had been"]


async def post_tokens(client: Client) -> int:
    rows = await client.context.store.read(lambda db: db.rows("SELECT 1 FROM token WHERE purpose = 'post'"))
    return len(rows)


# Where a lookup costs one token.
@pytest.mark.usefixtures("tier_1")
async def test_a_home_from_a_backup_passes_over_the_tokens_that_it_has_spent_before(
    world: World,
) -> None:
    alice = await world.person(ALICE)
    spent = await alice.context.store.read(lambda db: db.rows("SELECT * FROM token WHERE purpose = 'lookup'"))
    await alice.lookup(NOBODY)
    left = await alice.context.store.read(lambda db: db.rows("SELECT nonce FROM token WHERE purpose = 'lookup'"))
    (first,) = {row[0] for row in spent} - {row[0] for row in left}
    gone = next(row for row in spent if row[0] == first)
    await alice.context.store.transact(lambda db: db.execute("DELETE FROM token WHERE purpose = 'lookup'"))
    await alice.context.store.transact(lambda db: db.execute("INSERT INTO token VALUES (?, ?, ?, ?)", *gone))
    (looked_up,) = await alice.lookup(BOB)
    assert (looked_up.route.value, looked_up.error) == ("sms", None)


# --- what a contact may cost ----------------------------------------------------------------------


_numbers = itertools.count(1)
"""By each a device comes back once."""


async def ask_readmission(client: Client, intro: bytes) -> None:
    """Post a resync request, needed or not, that names this intro mailbox."""

    def asked(db: Db) -> wire.AnonymousRequest:
        ((conversation, chat),) = tables.conversations_in(db, {ConversationState.ACTIVE, ConversationState.LOST})
        session = MlsSession(mls_entries(db, b"s", group_prefix(conversation.id)))
        package = session.key_package(client.context.account.credential, last_resort=False)
        proof = sign_readmission(session, conversation.id, next(_numbers))
        request = ResyncRequest(os.urandom(16), package, intro, proof)
        (other,) = conversation.members
        key = conversation.request_keys[0]
        steps.save(client.context, db, chat, Step(conversation), session)
        return post_request(key, other.intro_mailbox, request, client.context.tools).request

    await client.context.tokens.ask(await client.context.store.transact(asked))


def welcomes(world: World, since: int, intro: bytes) -> int:
    """What went to an intro mailbox."""
    posted = [request for request in world.network.seen[since:] if isinstance(request, wire.PostIntro)]
    return sum(request.mailbox == intro for request in posted)


async def test_conversation_16_a_contact_costs_no_more_tokens_than_its_budget(world: World) -> None:
    alice, bob = await acquainted(world)
    intro = bob.context.account.intro_mailbox
    begun = len(world.network.seen)
    for _ in range(12):
        await ask_readmission(bob, intro)
        await alice.poll()
        await alice.poll()
        await bob.poll()
        await world.pass_days(11 / 24 / 60)
    assert welcomes(world, begun, intro) == READMISSIONS_A_DAY
    await world.pass_days(1)
    begun = len(world.network.seen)
    await ask_readmission(bob, intro)
    for _ in range(2):
        await alice.poll()
    assert welcomes(world, begun, intro) == 1


async def test_conversation_15_a_contact_cannot_have_a_welcome_sent_to_somebody_else(world: World) -> None:
    alice, bob = await acquainted(world)
    carol = await world.person(CAROL)
    begun = len(world.network.seen)
    await ask_readmission(bob, carol.context.account.intro_mailbox)
    for _ in range(2):
        await alice.poll()
    assert welcomes(world, begun, carol.context.account.intro_mailbox) == 0


async def without_tokens(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """This account has drawn all that it may, and spent it."""
    monkeypatch.setattr(tokens, "WEEKLY_POSTS", 0)
    await client.context.store.transact(lambda db: db.execute("DELETE FROM token WHERE purpose = 'post'"))


async def test_with_the_tokens_gone_what_arrives_is_fetched_and_other_friends_are_written_to(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await acquainted(world)
    await alice.context.store.transact(queue_introduction, alice)
    await without_tokens(alice, monkeypatch)
    await bob.send(ALICE, "are you there?")
    assert await take(alice) == ["are you there?"]
    sent = await alice.send(BOB, "yes")
    assert sent.state.value == "sent"
    assert await take(bob) == ["yes"]
    # What the limit keeps back goes out once it may.
    assert [one.purpose for one in await alice.context.store.read(tables.queued)] == [Purpose.INTRODUCE]
    monkeypatch.undo()
    await alice.poll()
    assert await alice.context.store.read(tables.queued) == []


def queue_introduction(db: Db, alice: Client) -> None:
    """Something that costs a token waits in a lane of its own."""
    intro = wire.PostIntro(alice.context.account.intro_mailbox, os.urandom(16), os.urandom(1024))
    tables.enqueue(db, b"another conversation".ljust(32), Outgoing(Purpose.INTRODUCE, intro), 0)
