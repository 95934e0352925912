"""An address book in tier 2: one private query a number and epoch, whatever is found."""

import pytest

from grue.lab.fill import numbers
from grue.protocol import wire
from grue.protocol.fallback import Route
from grue.server import tokens
from tests.world.memory import MemoryWorld
from tests.world.test_contacts import evaluations, listed, routes, with_book


@pytest.fixture(autouse=True)
def _tier_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRUE_DIRECTORY_TIER", "2")


def queries(world: MemoryWorld) -> list[int]:
    return [len(request.queries) for request in world.network.seen if isinstance(request, wire.Query)]


async def cut(world: MemoryWorld) -> None:
    """A new base, which is a new epoch."""
    world.server.directory.put_many([])


async def test_every_number_is_asked_for_once_in_an_epoch(world: MemoryWorld) -> None:
    people = numbers(20, 31)
    await listed(world, people[::2])
    alice = await with_book(world, people)
    world.network.seen.clear()
    synced = await alice.sync_contacts()
    assert (synced.encrypted, synced.sms, synced.left) == (10, 10, 0)
    assert sum(queries(world)) == 20
    world.network.seen.clear()
    assert (await alice.sync_contacts()).evaluated == 0
    assert queries(world) == []
    await cut(world)
    assert (await alice.sync_contacts()).encrypted == 10
    # And the own number, which is looked at in each new base.
    assert (sum(queries(world)), evaluations(world)) == (1 + 20, [])


async def test_hits_and_misses_are_asked_for_alike(world: MemoryWorld) -> None:
    traces = []
    people = numbers(24, 32)
    await listed(world, people[:12])
    await cut(world)
    for name, share in (("+447700900801", people[:12]), ("+447700900802", people[12:])):
        client = await with_book(world, share, name)
        world.network.seen.clear()
        synced = await client.sync_contacts()
        assert {synced.encrypted, synced.sms} == {0, 12}
        traces.append([(type(one).__name__, len(wire.encode(one))) for one in world.network.seen if _is_lookup(one)])
    assert traces[0] == traces[1]
    assert sum(kind == "Query" for kind, _ in traces[0]) == 2


def _is_lookup(request: wire.Message) -> bool:
    return isinstance(request, wire.Query | wire.Evaluate)


async def test_an_allowance_that_ends_has_given_answers(world: MemoryWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "FIRST_LOOKUPS", 200)
    people = numbers(200, 33)
    await listed(world, people[::2])
    alice = await with_book(world, people)
    synced = await alice.sync_contacts()
    known = synced.encrypted + synced.sms
    assert 40 <= known < 200
    assert synced.left == 200 - known
    assert synced.retry_after > 0
    for _ in range(60):
        await world.pass_days(1)
        await alice.poll()
    assert Route.UNKNOWN not in (await routes(alice)).values()


@pytest.mark.parametrize("bases", [1, 2, 3])
async def test_a_sync_goes_on_in_the_base_that_was_cut_meanwhile(world: MemoryWorld, bases: int) -> None:
    people = numbers(20, 35)
    await listed(world, people[::2])
    alice = await with_book(world, people)
    left = [bases]

    def renewing(request: wire.Message, answer: wire.Message) -> wire.Message:
        if isinstance(request, wire.Evaluate):
            for _ in range(left.pop() if left else 0):
                world.server.directory.renew()
        return answer

    world.network.change = renewing
    synced = await alice.sync_contacts()
    assert (synced.evaluated, synced.encrypted, synced.sms, synced.left) == (20, 10, 10, 0)


async def test_what_was_known_stays_on_the_list_until_it_is_asked_for_in_the_new_epoch(
    world: MemoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = numbers(10, 34)
    await listed(world, people[:5])
    alice = await with_book(world, people)
    await alice.sync_contacts()
    before = await routes(alice)
    await cut(world)
    monkeypatch.setattr(tokens, "FIRST_LOOKUPS", 0)
    monkeypatch.setattr(tokens, "DAILY_LOOKUPS", 0)
    monkeypatch.setattr(alice.context.purse, "stock", _refuse)
    synced = await alice.sync_contacts()
    assert synced.left == 10
    assert await routes(alice) == before


async def _refuse(*_: object) -> None:
    from grue.errors import LimitReached

    raise LimitReached(retry_after=60)
