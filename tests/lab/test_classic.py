"""The classic directory: what it logs, for how long, and what orders get; and that nothing of Grue's leads there."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest

from grue.errors import Unreachable, UsageError
from grue.exposure.records import Asked
from grue.lab import classic_http
from grue.lab.classic import WARNING, ClassicDirectory
from tests.cli.play import Service

ALICE, BOB, CAROL = "+447700900111", "+447700900222", "+447700900333"
DAY = 86_400.0
BEGUN = 1_800_000_000.0


class World:
    """A directory whose clock is turned."""

    def __init__(self, kept_days: int = 30, path: Path | None = None) -> None:
        self.now = BEGUN
        self.directory = ClassicDirectory(path, [BOB], kept_days=kept_days, clock=lambda: self.now)

    def days(self, days: float) -> None:
        """Let days pass; Alice types Bob's number on each, and the sweep runs."""
        for _ in range(round(days)):
            self.now += DAY
            self.directory.ask(ALICE, "192.0.2.1", BOB)
            self.directory.sweep()


@pytest.fixture
def world() -> World:
    return World()


def test_it_answers_by_who_is_registered_and_logs_every_question(world: World) -> None:
    assert world.directory.ask(ALICE, "192.0.2.1", BOB) == "encrypted"
    assert world.directory.ask(ALICE, "192.0.2.1", CAROL) == "sms"
    order = world.directory.order(ALICE, BEGUN)
    assert world.directory.produce(order).records() == [
        Asked(BEGUN, ALICE, "192.0.2.1", BOB, 1),
        Asked(BEGUN, ALICE, "192.0.2.1", CAROL, 0),
    ]


def test_a_return_is_about_its_target_and_nobody_else(world: World) -> None:
    world.directory.ask(BOB, "192.0.2.2", ALICE)
    assert world.directory.produce(world.directory.order(ALICE, BEGUN)).records() == []


@pytest.mark.parametrize("kept", [30, 25])
def test_the_log_reaches_back_as_far_as_it_is_kept(kept: int) -> None:
    world = World(kept)
    world.days(60)
    records = world.directory.produce(world.directory.order(ALICE, BEGUN)).records()
    assert world.now - records[0].at == kept * DAY
    assert len(records) == kept + 1


def test_an_order_gets_also_what_is_asked_while_it_runs(world: World) -> None:
    order = world.directory.order(ALICE, BEGUN)
    world.days(20)
    assert len(world.directory.produce(order).records()) == 20


def test_an_order_ends_when_it_ends(world: World) -> None:
    order = world.directory.order(ALICE, BEGUN, 30)
    world.days(45)
    assert len(world.directory.produce(order).records()) == 29


@pytest.mark.parametrize("step", [30, 60])
def test_snapshots_of_extensions_add_up_to_more_than_is_kept(world: World, step: int) -> None:
    order = world.directory.order(ALICE, BEGUN, step)
    world.days(step - 1)
    world.directory.extend(order, step)
    world.days(step)
    produced = world.directory.produce(order)
    assert [len(snapshot.records) for snapshot in produced.snapshots] == [step - 1, step]
    assert produced.snapshots[0].ended == produced.snapshots[1].begun
    assert [record.at for record in produced.records()] == [BEGUN + n * DAY for n in range(1, 2 * step)]
    assert produced.until == BEGUN + 2 * step * DAY


def test_overlapping_orders_each_have_all_of_theirs(world: World) -> None:
    first = world.directory.order(ALICE, BEGUN)
    world.days(10)
    second = world.directory.order(ALICE, BEGUN + 5 * DAY)
    world.days(10)
    assert len(world.directory.produce(first).records()) == 20
    assert len(world.directory.produce(second).records()) == 16


def test_overlapping_orders_each_have_all_of_theirs_when_the_log_has_none_of_it(world: World) -> None:
    first = world.directory.order(ALICE, BEGUN)
    world.days(10)
    second = world.directory.order(ALICE, BEGUN)
    world.directory.extend(second, 60)
    world.days(140)
    assert len(world.directory.produce(world.directory.order(ALICE, BEGUN)).records()) == 31
    times = [[one.at for one in world.directory.produce(order).records()] for order in (first, second)]
    assert times[0] == [BEGUN + n * DAY for n in range(1, 30)]
    assert times[1] == [BEGUN + n * DAY for n in range(1, 100)]


@pytest.mark.parametrize(("late", "lost"), [(10, 0), (40, 10)])
def test_an_order_that_ran_out_goes_on_from_there_as_far_as_is_kept(world: World, late: int, lost: int) -> None:
    order = world.directory.order(ALICE, BEGUN)
    world.days(30 + late)
    world.directory.extend(order, 60)
    world.days(90)
    _, second = world.directory.produce(order).snapshots
    assert [one.at for one in second.records] == [BEGUN + n * DAY for n in range(30 + lost, 90)]


def test_an_order_for_a_number_never_seen_has_an_empty_return_that_fills(world: World) -> None:
    order = world.directory.order(CAROL, BEGUN)
    assert not world.directory.produce(order).responsive
    world.now += DAY
    world.directory.ask(CAROL, "192.0.2.3", ALICE)
    assert world.directory.produce(order).responsive


def test_an_order_does_not_begin_in_the_future(world: World) -> None:
    with pytest.raises(UsageError, match="now or earlier"):
        world.directory.order(ALICE, BEGUN + 1)


@pytest.mark.parametrize("days", [0, -30, 31, 1])
def test_an_order_goes_on_in_steps_of_thirty_or_sixty_days(world: World, days: int) -> None:
    order = world.directory.order(ALICE, BEGUN)
    with pytest.raises(UsageError, match="30 or 60"):
        world.directory.extend(order, days)
    with pytest.raises(UsageError, match="30 or 60"):
        world.directory.order(ALICE, BEGUN, days)
    assert world.directory.produce(order).until == BEGUN + 30 * DAY


def test_there_has_to_be_an_order_to_extend_or_produce(world: World) -> None:
    with pytest.raises(UsageError, match="no order 7"):
        world.directory.extend(7, 30)
    with pytest.raises(UsageError, match="no order 7"):
        world.directory.produce(7)


def test_producing_twice_gives_the_same(world: World) -> None:
    order = world.directory.order(ALICE, BEGUN)
    world.days(3)
    assert world.directory.produce(order) == world.directory.produce(order)


def test_a_pen_register_hears_its_target_from_when_it_begins_until_it_ends(world: World) -> None:
    heard: list[Asked] = []
    world.directory.ask(ALICE, "192.0.2.1", CAROL)
    end = world.directory.pen_register(ALICE, heard.append)
    world.directory.ask(ALICE, "192.0.2.1", BOB)
    world.directory.ask(BOB, "192.0.2.2", ALICE)
    end()
    world.directory.ask(ALICE, "192.0.2.1", CAROL)
    assert [one.number for one in heard] == [BOB]


def test_log_and_orders_outlive_the_process(tmp_path: Path) -> None:
    world = World(path=tmp_path / "log.db")
    order = world.directory.order(ALICE, BEGUN)
    world.days(2)
    world.directory.close()
    again = ClassicDirectory(tmp_path / "log.db", clock=lambda: world.now)
    assert len(again.produce(order).records()) == 2
    again.close()


def test_a_file_that_is_no_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_bytes(b"not a database, however long it may be" * 40)
    with pytest.raises(UsageError):
        ClassicDirectory(tmp_path / "log.db")


# --- over HTTP ------------------------------------------------------------------------------------


@asynccontextmanager
async def served() -> AsyncIterator[str]:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(classic_http.serve("127.0.0.1:0", None, [BOB], ready.set_result))
    try:
        yield f"http://{await ready}"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def post(server: str, path: str, body: object) -> tuple[int, dict[str, object]]:
    async with aiohttp.ClientSession() as session, session.post(server + path, json=body) as response:
        return response.status, await response.json()


async def test_a_client_asks_over_http_and_an_order_shows_it() -> None:
    async with served() as server:
        assert await post(server, "/lookup", {"account": ALICE, "number": BOB}) == (200, {"route": "encrypted"})
        assert await post(server, "/lookup", {"account": ALICE, "number": CAROL}) == (200, {"route": "sms"})
        order = await classic_http.order(server, ALICE, 0.0, 30)
        returned = await classic_http.produced(server, order)
        assert [(one.account, one.address, one.number) for one in returned.records()] == [
            (ALICE, "127.0.0.1", BOB),
            (ALICE, "127.0.0.1", CAROL),
        ]
        assert await classic_http.extend(server, order, 60) == returned.until + 60 * DAY


async def test_a_pen_register_streams_what_is_typed() -> None:
    async with served() as server, aclosing(classic_http.dialled(server, ALICE)) as stream:
        waiting = asyncio.ensure_future(anext(stream))
        while not waiting.done():
            await post(server, "/lookup", {"account": ALICE, "number": CAROL})
        assert (await waiting).number == CAROL


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/lookup", {"account": ALICE, "number": "12"}),
        ("/lookup", {"account": ALICE}),
        ("/lookup", [1]),
        ("/orders", {"target": ALICE, "begun": 9e9}),
        ("/orders", {"target": ALICE, "begun": "yesterday"}),
        ("/orders", {"target": ALICE, "begun": 0, "days": -30}),
        ("/orders/1/extend", {"days": 30}),
    ],
)
async def test_bad_requests_are_refused_in_words(path: str, body: object) -> None:
    async with served() as server:
        status, answer = await post(server, path, body)
        assert status == 400
        assert answer["message"]


async def test_a_refusal_reaches_whoever_ordered() -> None:
    async with served() as server:
        with pytest.raises(UsageError, match="now or earlier"):
            await classic_http.order(server, ALICE, 9e9, 30)
        with pytest.raises(UsageError, match="no order 3"):
            await classic_http.produced(server, 3)
        order = await classic_http.order(server, ALICE, 0, 30)
        until = (await classic_http.produced(server, order)).until
        for days in (-30, 0):
            with pytest.raises(UsageError, match="30 or 60"):
                await classic_http.extend(server, order, days)
        assert (await classic_http.produced(server, order)).until == until
    with pytest.raises(Unreachable):
        await classic_http.produced(server, 3)


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "example.org:80", "127.0.0.1"])
async def test_it_listens_on_this_machine_only(listen: str) -> None:
    with pytest.raises(UsageError):
        await classic_http.serve(listen, None, [], print)


# --- apart from Grue ------------------------------------------------------------------------------


@pytest.mark.whole
def test_it_says_what_it_is_at_every_start_and_ends_cleanly() -> None:
    service = Service("lab", "classic", "--listen", "127.0.0.1:0")
    service.listening()
    assert service.stop() == 0
    assert WARNING in " ".join(service.errors)


@pytest.mark.whole
async def test_a_grue_server_has_nothing_of_it(tmp_path: Path) -> None:
    service = Service("serve", "--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0")
    try:
        server = f"http://{service.listening()}"
        async with aiohttp.ClientSession() as session:
            for path in ("/lookup", "/orders"):
                async with session.post(server + path, json={"account": ALICE, "number": BOB}) as response:
                    assert response.status == 404
            async with session.get(f"{server}/pen-register/{ALICE}") as response:
                assert response.status == 404
    finally:
        service.stop()


def test_what_serves_does_not_load_the_lab() -> None:
    loaded = "import json, sys, grue.server.run, grue.cli.verbs.servers; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, check=True, text=True)
    assert not [name for name in json.loads(done.stdout) if name.startswith("grue.lab")]


def test_a_record_keeps_its_form(world: World) -> None:
    """What is handed over is read by others: the names of its fields stand."""
    world.directory.ask(ALICE, "192.0.2.1", BOB)
    returned = msgspec.to_builtins(world.directory.produce(world.directory.order(ALICE, BEGUN)))
    assert set(returned) == {
        "order",
        "target",
        "begun",
        "until",
        "produced",
        "responsive",
        "snapshots",
        "notice",
        "kept_from",
    }
    assert set(returned["snapshots"][0]["records"][0]) == {"at", "account", "address", "number", "devices"}
