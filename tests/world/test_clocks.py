"""A client whose clock is ten years off, either way: it says so, takes nothing for absent, and forgets nothing."""

import pytest

from grue.client.client import Client
from grue.client.store.engine import Db
from grue.errors import StaleDirectory
from grue.protocol.tokens import EPOCH_WEEKS
from grue.testing import World
from tests.world.memory import ALICE, BOB, NOBODY, take
from tests.world.test_messages import acquainted

pytestmark = pytest.mark.tiers

YEARS = 3652 * 86_400
EPOCH_SECONDS = EPOCH_WEEKS * 7 * 86_400
EITHER_WAY = pytest.mark.parametrize("off", [YEARS, -YEARS], ids=["ahead", "behind"])


async def mistimed(world: World, client: Client, name: str, off: float) -> Client:
    """The same home with a clock that is off."""
    await client.close()
    return await world.open(name, ahead=off)


async def remembered(client: Client) -> set[tuple[object, ...]]:
    """What a clock that is ahead could make a client forget: every row, with its table."""

    def rows(db: Db) -> set[tuple[object, ...]]:
        sql = "SELECT * FROM "
        tables = ("seen", "posted", "conversation", "mls")
        return {(table, *row) for table in tables for row in db.rows(sql + table)}

    return await client.context.store.read(rows)


@EITHER_WAY
async def test_a_lookup_by_a_wrong_clock_is_unknown_and_says_to_check_it(world: World, off: float) -> None:
    alice = await world.person(ALICE)
    await world.person(BOB)
    assert [one.route.value for one in await alice.lookup(BOB, NOBODY)] == ["encrypted", "sms"]
    alice = await mistimed(world, alice, ALICE, off)
    for looked_up in await alice.lookup(BOB, NOBODY):
        assert (looked_up.route.value, looked_up.registered) == ("unknown", None)
        assert isinstance(looked_up.error, StaleDirectory)
        assert "2027-01-15" in str(looked_up.error)
        assert ("2037-01-14" if off > 0 else "2017-01-15") in str(looked_up.error)
        assert looked_up.error.fix.startswith("Check this machine's clock")
    with pytest.raises(StaleDirectory):
        await alice.send(NOBODY, "hello", sms=True)
    assert world.texts(NOBODY) == []


@EITHER_WAY
async def test_who_registers_with_a_wrong_clock_has_an_account_and_no_lookups(world: World, off: float) -> None:
    alice = await world.open(ALICE, ahead=off)
    await alice.register(ALICE, "http://localhost")
    await alice.verify(world.code(ALICE))
    (looked_up,) = await alice.lookup(NOBODY)
    assert (looked_up.route.value, looked_up.registered) == ("unknown", None)
    alice = await mistimed(world, alice, ALICE, 0)
    await alice.poll()
    bob = await world.person(BOB)
    await bob.send(ALICE, "are you there?")
    assert await take(alice) == ["are you there?"]


@EITHER_WAY
async def test_messages_go_on_by_a_wrong_clock_and_after_it_was_set(world: World, off: float) -> None:
    alice, bob = await acquainted(world)
    bob = await mistimed(world, bob, BOB, off)
    await alice.send(BOB, "one")
    assert await take(bob) == ["one"]
    await bob.send(ALICE, "two")
    assert await take(alice) == ["two"]
    bob = await mistimed(world, bob, BOB, 0)
    await bob.send(ALICE, "three")
    await alice.send(BOB, "four")
    assert await take(alice) == ["three"]
    assert await take(bob) == ["four"]


@EITHER_WAY
async def test_a_daily_round_by_a_wrong_clock_forgets_nothing_and_is_done_once_it_is_set(
    world: World, off: float
) -> None:
    alice, bob = await acquainted(world)
    await alice.send(BOB, "one")
    assert await take(bob) == ["one"]
    before = await remembered(bob)
    assert {str(row[0]) for row in before} >= {"seen", "conversation", "mls"}
    bob = await mistimed(world, bob, BOB, off)
    await bob.account.daily_round()
    assert await remembered(bob) >= before, "key packages are filled up, and none is lost"
    bob = await mistimed(world, bob, BOB, 0)
    world.network.seen.clear()
    await bob.account.daily_round()
    assert "Signed" in world.network.requests()


@EITHER_WAY
async def test_tokens_are_of_the_servers_epoch_whatever_the_own_clock_says(world: World, off: float) -> None:
    alice = await mistimed(world, await world.person(ALICE), ALICE, off)
    await alice.context.tokens.fill()
    epochs = await alice.context.store.read(lambda db: db.rows("SELECT DISTINCT epoch FROM token"))
    assert epochs == [(int(world.clock()) // EPOCH_SECONDS,)]


@EITHER_WAY
async def test_a_lookup_by_a_wrong_clock_costs_no_token(world: World, off: float) -> None:
    alice = await mistimed(world, await world.person(ALICE), ALICE, off)
    before, asked = await lookup_tokens(alice), len(world.network.requests())
    await alice.lookup(NOBODY, BOB)
    assert await lookup_tokens(alice) == before
    assert "Evaluate" not in world.network.requests()[asked:]
    world.clock.pass_seconds(2 * EPOCH_SECONDS)
    await world.server.directory.tend()
    alice = await mistimed(world, alice, ALICE, 0)
    (looked_up,) = await alice.lookup(NOBODY)
    assert (looked_up.route.value, looked_up.error) == ("sms", None), "with tokens of the new epoch"


async def lookup_tokens(client: Client) -> object:
    return await client.context.store.read(lambda db: db.row("SELECT count(*) FROM token WHERE purpose = 'lookup'"))
