"""Tokens in the world: what people notice of them, which should be little."""

import pytest

from grue.errors import LimitReached
from grue.server import tokens
from tests.world.memory import ALICE, BOB, NOBODY, MemoryWorld, take


async def test_a_limit_makes_a_route_unknown_and_sends_no_sms(
    world: MemoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
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


async def test_a_limit_on_lookups_leaves_first_contacts_alone(
    world: MemoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "FIRST_LOOKUPS", 50)
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "hello")
    assert await take(bob) == ["hello"]


async def test_a_home_from_a_backup_passes_over_the_tokens_that_it_has_spent_before(world: MemoryWorld) -> None:
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
