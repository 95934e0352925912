"""Lookups of tier 2 in a whole world: the same for hits, misses and spoilt answers, and no material used twice."""

import itertools
import shutil
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from grue.client.client import Client
from grue.client.conversations import inbox
from grue.client.lookup import directory as own_directory
from grue.client.lookup.pir import BUSY_SECONDS, BUSY_TRIES
from grue.client.lookup.query_material import KEPT_READY, QueryMaterial
from grue.errors import BadDirectory, BadManifest, ServerBusy, TimedOut, Unreachable
from grue.protocol import wire
from grue.protocol.conversation.fallback import Route
from grue.protocol.directory.pir import PrivateTable
from grue.testing import World
from tests.world.memory import ALICE, BOB, CAROL, NOBODY
from tests.world.test_dishonest import flipped, forget_directory


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A world whose directory and clients are of tier 2, at whatever size."""
    monkeypatch.setenv("GRUE_DIRECTORY_TIER", "2")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    async with World(tmp_path) as world:
        yield world


async def route(client: Client, number: str) -> Route:
    (looked_up,) = await client.lookup(number)
    assert looked_up.tier == 2
    return looked_up.route


def queries(world: World) -> list[bytes]:
    """All queries that were sent, in order."""
    return [query for request in world.network.seen if isinstance(request, wire.Query) for query in request.queries]


def answers(change: Callable[[bytes], bytes]) -> Callable[[wire.Message, wire.Message], wire.Message]:
    """What a server does that changes its answers."""

    def changed(_request: wire.Message, answer: wire.Message) -> wire.Message:
        return wire.Answers([change(one) for one in answer.answers]) if isinstance(answer, wire.Answers) else answer

    return changed


@pytest.mark.parametrize("in_base", [False, True])
async def test_a_number_is_found_in_the_base_and_in_the_overlay(world: World, in_base: bool) -> None:
    alice = await world.person(ALICE)
    await world.person(BOB)
    if in_base:
        world.server.directory.renew()
        assert (world.server.directory.manifest.count, world.server.directory.head.length) == (2, 0)
    assert await route(alice, BOB) is Route.ENCRYPTED
    assert await route(alice, NOBODY) is Route.SMS
    assert len(queries(world)) >= 2


async def test_strangers_cost_no_more_lookups_a_day_than_their_budget(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "CLAIMS_A_DAY", 1)
    bob = await world.person(BOB)
    strangers = [await world.person(number) for number in (ALICE, CAROL, NOBODY)]
    world.server.directory.renew()
    await bob.poll()
    claimed = []
    for stranger, days in zip(strangers, (0.0, 1.01, 0.0), strict=True):
        await stranger.send(BOB, "hello")
        before = len(queries(world))
        await bob.poll()
        (message,) = await bob.unshown()
        claimed.append((message.claimed, len(queries(world)) > before))
        await world.pass_days(days)
        await bob.poll()
    assert claimed == [("", True), (CAROL, False), ("", True)]


async def test_a_base_of_one_record_is_asked_like_any_other(world: World) -> None:
    alice = await world.person(ALICE)
    world.server.directory.renew()
    assert world.server.directory.manifest.count == 1
    assert await route(alice, ALICE) is Route.ENCRYPTED
    assert await route(alice, NOBODY) is Route.SMS


async def test_hit_miss_bad_column_and_failed_check_make_the_same_requests(world: World) -> None:
    alice = await world.person(ALICE)
    await world.person(BOB)
    world.server.directory.renew()
    await world.person(CAROL)
    await alice.lookup("+447700900777")
    honest = world.network.change
    traces, routes = [], []
    for number, change in (
        (BOB, honest),
        (CAROL, honest),
        (NOBODY, honest),
        ("+447700900998", answers(flipped)),
        ("+447700900997", answers(lambda one: bytes(len(one)))),
    ):
        world.network.change = change
        world.network.seen.clear()
        (first,) = await alice.lookup(number)
        world.network.change = honest
        # And what is done later does not depend on it either.
        (second,) = await alice.lookup(number)
        assert first.route is second.route
        routes.append(first.route)
        sizes = [len(wire.encode(request)) for request in world.network.seen]
        costs = [(one.requests, one.bytes_up, one.bytes_down) for one in (first, second)]
        traces.append((world.network.requests(), sizes, costs))
    assert routes == [Route.ENCRYPTED, Route.ENCRYPTED, Route.SMS, Route.UNKNOWN, Route.UNKNOWN]
    assert all(trace == traces[0] for trace in traces)
    assert traces[0][0] == ["Evaluate", "Query"]


async def test_a_spoilt_answer_says_so_and_sends_no_sms(world: World) -> None:
    alice = await world.person(ALICE)
    world.network.change = answers(flipped)
    (looked_up,) = await alice.lookup(NOBODY)
    assert isinstance(looked_up.error, BadDirectory)
    assert (looked_up.registered, looked_up.tier) == (None, 2)
    with pytest.raises(BadDirectory):
        await alice.send(NOBODY, "hello", sms=True)
    assert world.texts(NOBODY) == []


async def test_a_number_is_asked_for_once_in_an_epoch_and_evaluated_once(world: World) -> None:
    alice = await world.person(ALICE)
    # In a new base the own number is looked at first.
    for expected in (["Evaluate", "Query"], [], ["Query", "Query"], []):
        if expected == ["Query", "Query"]:
            world.server.directory.renew()
        world.network.seen.clear()
        assert await route(alice, NOBODY) is Route.SMS
        assert world.network.requests() == expected


async def test_who_registers_later_is_found_though_the_base_was_asked_before(world: World) -> None:
    alice = await world.person(ALICE)
    assert await route(alice, BOB) is Route.SMS
    await world.person(BOB)
    assert await route(alice, BOB) is Route.ENCRYPTED


# --- epochs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("bases", [1, 2])
async def test_an_epoch_that_ends_between_evaluation_and_query_costs_at_most_another_query(
    world: World, bases: int
) -> None:
    alice = await world.person(ALICE)
    await world.person(BOB)
    world.server.directory.renew()
    await alice.lookup(NOBODY)
    world.network.seen.clear()
    left = [bases]

    def renewing(request: wire.Message, answer: wire.Message) -> wire.Message:
        if isinstance(request, wire.Evaluate):
            for _ in range(left.pop() if left else 0):
                world.server.directory.renew()
        return answer

    world.network.change = renewing
    assert await route(alice, BOB) is Route.ENCRYPTED
    # The base before is still asked; of an earlier one the query is refused, and one for the newest follows.
    # With it the own number is looked at in that one.
    assert [request.epoch for request in world.network.seen if isinstance(request, wire.Query)] == [2, 4, 4][
        : 2 * bases - 1
    ]


class Waits:
    """Stands in for sleeping, and notes for how long it would have been."""

    def __init__(self, client: Client) -> None:
        self.seconds: list[float] = []
        client.context.directory._private._sleep = self.sleep

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)


def refusing(times: int, retry_after: int = 2) -> Callable[[wire.Message, wire.Message], wire.Message]:
    """What a server does whose queue is full so many times."""
    left = [times]

    def changed(request: wire.Message, answer: wire.Message) -> wire.Message:
        if isinstance(request, wire.Query) and left[0]:
            left[0] -= 1
            return wire.Refusal(ServerBusy.code, retry_after)
        return answer

    return changed


async def test_a_query_refused_as_busy_is_made_again_with_other_material(world: World) -> None:
    alice = await world.person(ALICE)
    waits = Waits(alice)
    world.network.change = refusing(BUSY_TRIES - 1)
    sent = len(queries(world))
    assert await route(alice, NOBODY) is Route.SMS
    tried = queries(world)[sent:]
    assert len(tried) == BUSY_TRIES
    assert not any(related(first, second) for first, second in itertools.combinations(tried, 2))
    assert all(2 <= seconds <= 3 for seconds in waits.seconds)
    assert len(waits.seconds) == BUSY_TRIES - 1


async def test_a_server_that_stays_busy_leaves_the_route_unknown_and_is_asked_afresh_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await world.person(ALICE)
    waits = Waits(alice)
    sent = len(queries(world))
    with monkeypatch.context() as patched:
        patched.setattr("grue.server.directory.queryqueue.QUEUE_BYTES", 0)
        with world.server.queries.queue.room([b"x"]):
            (looked_up,) = await alice.lookup(NOBODY)
    assert isinstance(looked_up.error, ServerBusy)
    assert looked_up.error.retry_after > 0
    assert len(queries(world)) - sent == BUSY_TRIES == len(waits.seconds) + 1
    assert await route(alice, NOBODY) is Route.SMS
    refused, again = queries(world)[-2:]
    assert not related(refused, again)


async def test_who_is_told_to_come_back_much_later_does_not_wait(world: World) -> None:
    alice = await world.person(ALICE)
    waits = Waits(alice)
    world.network.change = refusing(1, BUSY_SECONDS + 1)
    (looked_up,) = await alice.lookup(NOBODY)
    assert isinstance(looked_up.error, ServerBusy)
    assert waits.seconds == []


async def test_a_busy_server_is_asked_in_the_same_way_for_hits_and_misses(world: World) -> None:
    alice = await world.person(ALICE)
    await world.person(BOB)
    world.server.directory.renew()
    await alice.lookup("+447700900777")
    waits = Waits(alice)
    traces, routes = [], []
    for number in (BOB, NOBODY):
        world.network.seen.clear()
        world.network.change = refusing(1)
        (looked_up,) = await alice.lookup(number)
        routes.append(looked_up.route)
        costs = (looked_up.requests, looked_up.bytes_up, looked_up.bytes_down)
        traces.append((world.network.requests(), [len(wire.encode(one)) for one in world.network.seen], costs))
    assert routes == [Route.ENCRYPTED, Route.SMS]
    assert traces[0] == traces[1]
    assert traces[0][0] == ["Evaluate", "Query", "Query"]
    assert len(waits.seconds) == 2


async def test_what_was_answered_before_the_server_was_busy_is_not_asked_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await world.person(ALICE)
    Waits(alice)
    monkeypatch.setattr(PrivateTable, "batch", 1)
    answered = [0]

    def changed(request: wire.Message, answer: wire.Message) -> wire.Message:
        answered[0] += isinstance(request, wire.Query)
        return wire.Refusal(ServerBusy.code, 1) if answered[0] == 2 else answer

    world.network.change = changed
    sent = len(queries(world))
    found = await alice.lookup(BOB, CAROL, NOBODY)
    assert [one.route for one in found] == [Route.SMS] * 3
    # Three, and the second of them once more.
    assert len(queries(world)) - sent == 4


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["manifest", "hint", "fences", "top", "overlay"])
@pytest.mark.parametrize("damage", ["flip", "cut"])
async def test_a_damaged_file_makes_the_route_unknown_and_nothing_is_asked(
    world: World, name: str, damage: str
) -> None:
    alice = await world.person(ALICE)
    await forget_directory(alice)
    world.network.seen.clear()
    spoil = flipped if damage == "flip" else (lambda file: file[:-1])
    world.network.change_file = lambda path, file: spoil(file) if name in path else file
    (looked_up,) = await alice.lookup(NOBODY)
    assert isinstance(looked_up.error, (BadDirectory, BadManifest))
    assert world.network.requests() == []
    world.network.change_file = lambda _path, file: file
    assert await route(alice, NOBODY) is Route.SMS


async def test_a_hint_that_breaks_off_goes_on_where_it_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = await world.person(ALICE)
    await forget_directory(alice)
    monkeypatch.setattr(own_directory, "PART", 100_000)
    fetched: list[str] = []
    shares: list[float | None] = []

    def breaking(path: str, file: bytes) -> bytes:
        fetched.append(path)
        if path.endswith("hint"):
            shares.append(alice.directory.fetched)
        if len(fetched) == 4:
            raise Unreachable
        return file

    world.network.change_file = breaking
    (looked_up,) = await alice.lookup(NOBODY)
    assert isinstance(looked_up.error, Unreachable)
    assert await route(alice, NOBODY) is Route.SMS
    # Of 327,808 bytes: one part came, the second broke off, and the second to the fourth came later.
    assert [None if share is None else round(share, 2) for share in shares] == [0, 0.31, 0.31, 0.61, 0.92]
    assert alice.directory.fetched is None


# --- material -------------------------------------------------------------------------------------


def related(one: bytes, other: bytes) -> bool:
    """Whether two queries were made of one material: then they differ in two words at most."""
    words = zip(struct.iter_unpack("<I", one), struct.iter_unpack("<I", other), strict=True)
    return sum(a != b for a, b in words) <= 2


async def material(client: Client) -> int:
    return int(str((await client.context.store.read(lambda db: db.rows("SELECT count(*) FROM material")))[0][0]))


async def restored(world: World, number: str, between: Callable[[Client], object]) -> Client:
    """A home as it was before something was done with it."""
    client = await world.open(number)
    await client.context.directory.prepare()
    assert await material(client) == KEPT_READY
    await client.close()
    backup = world.path / "backup"
    shutil.copytree(world.path / number, backup)
    client = await world.open(number)
    await client.lookup(NOBODY)
    assert await material(client) == KEPT_READY - 1
    await client.close()
    between(client)
    shutil.rmtree(world.path / number)
    shutil.copytree(backup, world.path / number)
    return await world.open(number)


async def test_a_home_restored_from_a_backup_does_not_use_its_material(world: World) -> None:
    await world.person(ALICE)
    alice = await restored(world, ALICE, lambda _client: None)
    await alice.lookup(NOBODY)
    first, second = queries(world)[-2:]
    assert not related(first, second)
    assert await material(alice) == 0
    await alice.context.directory.prepare()
    assert await material(alice) == KEPT_READY


async def test_without_its_mark_a_restored_home_would(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # Shows that the test before can notice it.
    await world.person(ALICE)
    alice = await restored(
        world, ALICE, lambda _client: monkeypatch.setattr(QueryMaterial, "_is_ours", lambda *_: True)
    )
    await alice.lookup("+447700900998")
    first, second = queries(world)[-2:]
    assert related(first, second)


async def test_material_is_gone_before_its_query_is_sent(world: World) -> None:
    alice = await world.person(ALICE)
    await alice.context.directory.prepare()
    before = await material(alice)

    def killed(request: wire.Message) -> bool:
        if isinstance(request, wire.Query):
            shutil.copytree(world.path / ALICE, world.path / "killed")
        return isinstance(request, wire.Query)

    world.network.lose = killed
    (looked_up,) = await alice.lookup(NOBODY)
    assert isinstance(looked_up.error, TimedOut)
    world.network.lose = lambda _request: False
    # The home as a kill at this moment leaves it, where it was.
    await alice.close()
    shutil.rmtree(world.path / ALICE)
    shutil.copytree(world.path / "killed", world.path / ALICE)
    alice = await world.open(ALICE)
    assert await material(alice) == before - 1
    assert await route(alice, NOBODY) is Route.SMS
    first, second = queries(world)[-2:]
    assert not related(first, second)


async def test_the_daily_round_makes_query_material_and_lookups_use_it(world: World) -> None:
    alice = await world.person(ALICE)
    assert await material(alice) == KEPT_READY
    await alice.lookup(NOBODY, BOB)
    assert await material(alice) == KEPT_READY - 2


async def test_material_goes_with_its_epoch(world: World) -> None:
    alice = await world.person(ALICE)
    await alice.context.directory.prepare()
    world.server.directory.renew()
    await alice.lookup(NOBODY)
    assert await material(alice) == 0


async def test_where_no_mark_can_be_kept_no_query_material_is_kept(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await world.person(ALICE)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "nowhere"))
    alice = await world.open(ALICE)
    await alice.context.directory.prepare()
    assert await route(alice, NOBODY) is Route.SMS


async def test_the_tier_can_change_within_an_epoch(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.person(ALICE)
    await world.person(BOB)
    world.server.directory.renew()
    for tier in ("1", "2", "1"):
        monkeypatch.setenv("GRUE_DIRECTORY_TIER", tier)
        alice = await world.open(ALICE)
        (looked_up,) = await alice.lookup(BOB)
        assert (looked_up.tier, looked_up.route) == (int(tier), Route.ENCRYPTED)
        await alice.close()


async def test_a_manifest_without_the_table_is_looked_up_in_tier_1(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRUE_DIRECTORY_TIER", "1")
    await world.stop()
    await world.start("another")
    monkeypatch.setenv("GRUE_DIRECTORY_TIER", "2")
    assert replace(world.server.directory.manifest, pir=b"") == world.server.directory.manifest
    alice = await world.person(ALICE)
    (looked_up,) = await alice.lookup(NOBODY)
    assert (looked_up.tier, looked_up.route) == (1, Route.SMS)


async def test_who_leaves_a_server_takes_nothing_of_its_table_along(world: World) -> None:
    alice = await world.person(ALICE)
    await alice.lookup(NOBODY)
    store = alice.context.store
    await alice.account.delete()
    for table in ("private", "part", "retrieved", "material"):
        assert await store.read(lambda db, table=table: db.rows(f"SELECT 1 FROM {table}")) == []  # type: ignore[misc]  # noqa: S608
