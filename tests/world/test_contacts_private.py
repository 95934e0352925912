"""An address book in tier 2: one private query a number and epoch, whatever is found."""

from itertools import pairwise

import pytest

from grue.lab.fill import numbers
from grue.protocol import wire
from grue.protocol.conversation.fallback import Route
from grue.protocol.directory.addressbook import BATCH
from grue.server.tokens import tokens
from grue.testing import World
from tests.damage import flipped
from tests.world.test_contacts import evaluations, listed, routes, with_book
from tests.world.test_private import answers

pytestmark = pytest.mark.whole


@pytest.fixture(autouse=True)
def _tier_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRUE_DIRECTORY_TIER", "2")


def queries(world: World) -> list[int]:
    return [len(request.queries) for request in world.network.seen if isinstance(request, wire.Query)]


async def cut(world: World) -> None:
    """A new base, which is a new epoch."""
    world.server.directory.put_many([])


async def test_every_number_is_asked_for_once_in_an_epoch(world: World) -> None:
    people = numbers(20, 31)
    await listed(world, people[::2])
    alice = await with_book(world, people)
    world.network.seen.clear()
    synced = await alice.contacts.sync()
    assert (synced.encrypted, synced.sms, synced.left) == (10, 10, 0)
    assert sum(queries(world)) == 20
    world.network.seen.clear()
    assert (await alice.contacts.sync()).evaluated == 0
    assert queries(world) == []
    await cut(world)
    assert (await alice.contacts.sync()).encrypted == 10
    # And the own number, which is looked at in each new base.
    assert (sum(queries(world)), evaluations(world)) == (1 + 20, [])


async def test_hits_and_misses_are_asked_for_alike(world: World) -> None:
    traces = []
    people = numbers(24, 32)
    await listed(world, people[:12])
    await cut(world)
    for name, share in (("+447700900801", people[:12]), ("+447700900802", people[12:])):
        client = await with_book(world, share, name)
        world.network.seen.clear()
        synced = await client.contacts.sync()
        assert {synced.encrypted, synced.sms} == {0, 12}
        traces.append([(type(one).__name__, len(wire.encode(one))) for one in world.network.seen if _is_lookup(one)])
    assert traces[0] == traces[1]
    assert sum(kind == "Query" for kind, _ in traces[0]) == 2


def _is_lookup(request: wire.Message) -> bool:
    return isinstance(request, wire.Query | wire.Evaluate)


async def test_an_allowance_that_ends_has_given_answers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "FIRST_LOOKUPS", 200)
    people = numbers(200, 33)
    await listed(world, people[::2])
    alice = await with_book(world, people)
    synced = await alice.contacts.sync()
    known = synced.encrypted + synced.sms
    assert 40 <= known < 200
    assert synced.left == 200 - known
    assert synced.retry_after > 0
    for _ in range(60):
        await world.pass_days(1)
        await alice.poll()
    assert Route.UNKNOWN not in (await routes(alice)).values()


@pytest.mark.parametrize("bases", [1, 2, 3])
async def test_a_sync_goes_on_in_the_base_that_was_cut_meanwhile(world: World, bases: int) -> None:
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
    synced = await alice.contacts.sync()
    assert (synced.evaluated, synced.encrypted, synced.sms, synced.left) == (20, 10, 10, 0)


async def test_what_was_known_stays_on_the_list_until_it_is_asked_for_in_the_new_epoch(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = numbers(10, 34)
    await listed(world, people[:5])
    alice = await with_book(world, people)
    await alice.contacts.sync()
    before = await routes(alice)
    await cut(world)
    monkeypatch.setattr(tokens, "FIRST_LOOKUPS", 0)
    monkeypatch.setattr(tokens, "DAILY_LOOKUPS", 0)
    monkeypatch.setattr(alice.context.tokens, "stock", _refuse)
    synced = await alice.contacts.sync()
    assert (synced.left, synced.earlier, synced.retry_after) == (0, 10, 60)
    assert await routes(alice) == before


@pytest.mark.weekly
@pytest.mark.timeout(600)
async def test_a_thousand_numbers_are_all_looked_up_in_five_weeks(world: World) -> None:
    """With the allowances that a server gives, and a new base every other week."""
    people = numbers(1000, 36)
    await listed(world, people[::2])
    await cut(world)
    alice = await with_book(world, people)
    await alice.contacts.sync()
    never = [sum(contact.checked is None for contact in await alice.contacts.all())]
    for week in range(1, 5):
        if week % 2 == 0:
            await cut(world)
        for _ in range(7):
            await world.pass_days(1)
            await alice.account.daily_round()
        never.append(sum(contact.checked is None for contact in await alice.contacts.all()))
    # Half of what the first week allows, and then half of 350 a week, for two tokens each; one draw more or less.
    assert never[0] in range(500, 550 + 1), never
    assert all(before - now <= 7 * tokens.DAILY_LOOKUPS // 2 + BATCH for before, now in pairwise(never)), never
    assert never[-1] == 0 < never[-2], never
    assert list((await routes(alice)).values()).count(Route.ENCRYPTED) == 500


async def test_what_was_asked_for_longest_ago_is_asked_for_again_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "FIRST_LOOKUPS", 500)
    monkeypatch.setattr(tokens, "DAILY_LOOKUPS", 25)
    people = numbers(150, 37)
    await listed(world, people[::2])
    alice = await with_book(world, people)
    first = await alice.contacts.sync()
    assert (first.left, first.earlier) == (0, 0)
    before = int(world.clock())
    ages = []
    # A new base a week, and by its second day tokens for a third of the numbers.
    for _ in range(5):
        await world.pass_days(7)
        await cut(world)
        synced = await alice.contacts.sync()
        assert synced.left == 0
        assert 0 < synced.earlier < 150
        assert Route.UNKNOWN not in (await routes(alice)).values()
        ages.append(min(contact.checked or 0 for contact in await alice.contacts.all()))
    assert ages[0] == before
    assert ages[-1] > before, "each had its turn"


async def test_hits_and_misses_are_asked_for_alike_where_the_allowance_ends(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "FIRST_LOOKUPS", 200)
    people = numbers(240, 38)
    await listed(world, people[:60])
    await cut(world)
    # Of the first address book some are in the base, some in the overlay, and of the second nobody is anywhere.
    await listed(world, people[60:120])
    clients = [
        await with_book(world, share, name)
        for name, share in (("+447700900803", people[:120]), ("+447700900804", people[120:]))
    ]
    traces: list[list[tuple[str, int]]] = [[], []]
    for day in range(21):
        if day == 10:
            await cut(world)
        for client, trace in zip(clients, traces, strict=True):
            world.network.seen.clear()
            await (client.account.daily_round() if day else client.contacts.sync())
            trace += [(type(one).__name__, len(wire.encode(one))) for one in world.network.seen]
        await world.pass_days(1)
    assert traces[0] == traces[1]
    found = [list((await routes(client)).values()) for client in clients]
    assert [one.count(Route.ENCRYPTED) for one in found] == [120, 0]


async def test_good_and_spoilt_answers_lead_to_the_same_requests(world: World) -> None:
    people = numbers(24, 39)
    await listed(world, people[:12])
    await cut(world)
    traces = []
    for name, spoilt in (("+447700900805", False), ("+447700900806", True)):
        client = await with_book(world, people, name)
        await client.account.daily_round()
        world.network.seen.clear()
        world.network.change = answers(flipped) if spoilt else lambda _request, answer: answer
        first = await client.contacts.sync()
        assert (first.encrypted, first.unknown) == ((0, 24) if spoilt else (12, 0))
        again = await client.contacts.sync()
        await world.pass_days(1)
        await client.account.daily_round()
        world.network.change = lambda _request, answer: answer
        assert (first.evaluated, again.evaluated) == (24, 0)
        traces.append([(type(one).__name__, len(wire.encode(one))) for one in world.network.seen])
        await world.pass_days(1)
    assert traces[0] == traces[1]


async def test_progress_counts_evaluations_and_queries(world: World) -> None:
    alice = await with_book(world, numbers(70, 40))
    seen: list[tuple[int, int]] = []
    await alice.contacts.sync(lambda done, of: seen.append((done, of)))
    assert seen == [(0, 140), (50, 140), *((70 + at, 140) for at in range(0, 70, wire.MAX_QUERIES)), (140, 140)]
    seen.clear()
    await cut(world)
    await alice.contacts.sync(lambda done, of: seen.append((done, of)))
    assert seen == [*((at, 70) for at in range(0, 70, wire.MAX_QUERIES)), (70, 70)]


async def _refuse(*_: object) -> None:
    from grue.errors import LimitReached

    raise LimitReached(retry_after=60)
