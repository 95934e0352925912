"""Tokens in the world: what people notice of them, which should be little."""

import os

import pytest

from grue.client.client import Client
from grue.client.conversations import tables
from grue.errors import LimitReached, TokenNeeded
from grue.protocol import wire
from grue.protocol.conversation.conversation import UPDATE_AFTER_MS
from grue.server.mailboxes import mailboxes
from grue.server.tokens import tokens
from grue.testing import World
from tests.world.memory import ALICE, BOB, NOBODY, take
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
