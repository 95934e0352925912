"""The role that answers private queries: what it refuses, that it is paid, and that it is fair."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from grue._core import PirBase, PirClient, PirColumns, PirError
from grue.errors import BadRequest, CorruptDatabase, EpochEnded, ServerBusy, TokenSpent
from grue.protocol import wire
from grue.protocol.directory.directory import PRIVATE_FILES
from grue.protocol.directory.record import RECORD_BYTES
from grue.server.directory import pir_table, queryqueue
from grue.server.directory.directory import Directory
from grue.server.directory.queryqueue import PASS, Queries
from grue.server.keys.keys import open_keys
from tests.damage import flipped
from tests.protocol.directories import NOW
from tests.server.kit import TestServer, serving

FORCED = {"GRUE_DIRECTORY_TIER": "2"}


class Host:
    """A directory with a table for private queries."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.keys = open_keys(data)
        self.records = [os.urandom(RECORD_BYTES) for _ in range(5)]
        self.directory = self.open()
        self.directory.put_many(self.records)

    def open(self) -> Directory:
        return Directory(self.data, self.keys, lambda: NOW, environment=FORCED)

    @property
    def epoch(self) -> int:
        return self.directory.manifest.epoch

    def query(self, tag: bytes) -> tuple[bytes, Any, PirColumns]:
        folder = self.data / "directory" / str(self.epoch)
        base = self.directory.private_base(self.epoch)
        assert base is not None
        client = PirClient(base.layout, (folder / "hint").read_bytes())
        columns = PirColumns(base.layout, (folder / "fences").read_bytes(), (folder / "top").read_bytes())
        query, pending = client.query(client.material(1), columns.column(tag))
        return query, pending, columns

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[TestServer]:
        async with serving(keys=self.keys, directory=self.directory) as server:
            yield server


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "data")


async def test_a_query_is_answered(host: Host) -> None:
    tags = [host.records[0][:16], host.records[3][:16], bytes(16)]
    made = [host.query(tag) for tag in tags]
    async with host.serving() as server:
        answer = await server.ask(wire.Query(host.epoch, [query for query, _, _ in made]))
    found = [
        columns.open(tag, pending.recover(one))
        for tag, (_, pending, columns), one in zip(tags, made, answer.answers, strict=True)
    ]
    assert found == [host.records[0], host.records[3], None]


async def test_query_01_the_epoch_before_is_answered_and_an_earlier_one_has_ended(host: Host) -> None:
    query, pending, columns = host.query(host.records[0][:16])
    request = wire.Query(host.epoch, [query])
    async with host.serving() as server:
        host.directory.put_many([])
        answer = await server.ask(request)
        assert columns.open(host.records[0][:16], pending.recover(answer.answers[0])) == host.records[0]
        host.directory.put_many([])
        assert await server.code(request) == EpochEnded.code
        assert await server.code(wire.Query(99, [query])) == EpochEnded.code


async def test_query_01_a_restart_goes_on_answering_for_the_epoch_before(host: Host) -> None:
    query, _, _ = host.query(host.records[0][:16])
    request = wire.Query(host.epoch, [query])
    host.directory.put_many([])
    host.directory = host.open()
    async with host.serving() as server:
        assert isinstance(await server.ask(request), wire.Answers)


async def test_query_01_a_directory_without_a_table_answers_none(tmp_path: Path) -> None:
    keys = open_keys(tmp_path)
    directory = Directory(tmp_path, keys, lambda: NOW, environment={})
    async with serving(keys=keys, directory=directory) as server:
        assert await server.code(wire.Query(1, [bytes(256)])) == EpochEnded.code


@pytest.mark.parametrize("change", [lambda q: q[:-1], lambda q: q + b"\0", lambda _: b""])
async def test_query_02_another_length_is_refused_and_takes_no_token(host: Host, change: Any) -> None:
    query, _, _ = host.query(bytes(16))
    async with host.serving() as server:
        assert await server.code(wire.Query(host.epoch, [query, change(query)])) == BadRequest.code
        assert await server.store.read(_spent) == 0


@pytest.mark.parametrize("byte", [0, 255, 128])
async def test_any_bytes_of_the_right_length_are_answered(host: Host, byte: int) -> None:
    query, _, _ = host.query(bytes(16))
    async with host.serving() as server:
        answer = await server.ask(wire.Query(host.epoch, [bytes([byte]) * len(query)]))
        assert isinstance(answer, wire.Answers)


async def test_query_03_a_query_is_paid_for_each_time(host: Host) -> None:
    query, _, _ = host.query(bytes(16))
    async with host.serving() as server:
        paid = wire.encode(server.paid(wire.Query(host.epoch, [query, query])))
        first = wire.ANONYMOUS_ANSWER.decode(await server.anonymous(paid))
        assert isinstance(first, wire.Answers)
        assert await server.store.read(_spent) == 2
        again = wire.ANONYMOUS_ANSWER.decode(await server.anonymous(paid))
        assert again == wire.Refusal(TokenSpent.code)


async def test_query_04_a_full_queue_says_when_to_come_back_and_takes_no_token(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    query, _, _ = host.query(bytes(16))
    monkeypatch.setattr(queryqueue, "QUEUE_BYTES", len(query))
    async with host.serving() as server:
        with server.queries.queue.room([query]):
            answer = await server.ask(wire.Query(host.epoch, [query]))
            assert (answer.code, answer.retry_after) == (ServerBusy.code, 1)
            assert await server.store.read(_spent) == 0
        assert isinstance(await server.ask(wire.Query(host.epoch, [query])), wire.Answers)


async def _spent(tx: Any) -> int:
    return int((await tx.row("SELECT count(*) FROM token_spent"))[0])


# --- the queue ------------------------------------------------------------------------------------


class FakeBase:
    """Answers a query with itself, once the test lets it."""

    def __init__(self) -> None:
        self.passes: list[list[bytes]] = []
        self.go = threading.Event()

    def answer(self, asked: Sequence[bytes], _threads: int) -> list[bytes]:
        assert self.go.wait(30)
        self.passes.append(list(asked))
        return list(asked)


async def together(waiting: Queries, *asked: tuple[FakeBase, list[bytes]]) -> list[list[bytes]]:
    """All of these at once."""
    tasks = [asyncio.create_task(waiting.answer(cast("PirBase", base), requests)) for base, requests in asked]
    await asyncio.sleep(0)
    for base, _ in asked:
        base.go.set()
    return await asyncio.gather(*tasks)


async def test_queries_that_wait_are_answered_in_one_pass_and_take_turns() -> None:
    base, many, few = FakeBase(), [bytes([n]) for n in range(12)], [b"a", b"b"]
    found = await together(Queries(), (base, many), (base, few))
    assert found == [many, few]
    assert [len(one) for one in base.passes] == [PASS, 14 - PASS]
    assert set(few) < set(base.passes[0])


async def test_another_epochs_queries_are_another_pass() -> None:
    old, new = FakeBase(), FakeBase()
    found = await together(Queries(), (old, [b"1"]), (new, [b"2"]), (old, [b"3"]))
    assert found == [[b"1"], [b"2"], [b"3"]]
    assert (old.passes, new.passes) == ([[b"1", b"3"]], [[b"2"]])


async def test_messages_do_not_wait_for_a_pass(host: Host) -> None:
    base = FakeBase()
    async with host.serving() as server:
        asked = asyncio.create_task(server.queries.queue.answer(cast("PirBase", base), [b"x"]))
        await asyncio.sleep(0)
        assert await server.code(wire.Fetch(os.urandom(32), os.urandom(32), 0)) == "no_such_mailbox"
        assert not asked.done()
        base.go.set()
        assert await asked == [b"x"]


async def test_a_pass_that_fails_ends_those_requests_and_no_other(host: Host) -> None:
    base = host.directory.private_base(host.epoch)
    assert base is not None
    waiting = Queries()
    with pytest.raises(PirError):
        await waiting.answer(base, [b"short"])
    query, _, _ = host.query(bytes(16))
    assert len(await waiting.answer(base, [query])) == 1


# --- on disk --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [pir_table.PACKED, *PRIVATE_FILES])
@pytest.mark.parametrize("damage", ["cut", "gone", "header"])
async def test_a_damaged_table_stops_the_start(host: Host, name: str, damage: str) -> None:
    path = host.data / "directory" / str(host.epoch) / name
    contents = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(contents[:-1] if damage == "cut" else flipped(contents, 40))
    with pytest.raises(CorruptDatabase):
        host.open()


async def test_a_base_gets_its_table_when_the_operator_wants_one(tmp_path: Path) -> None:
    keys = open_keys(tmp_path)
    before = Directory(tmp_path, keys, lambda: NOW, environment={})
    assert (before.manifest.pir, before.private_base(1)) == (b"", None)
    after = Directory(tmp_path, keys, lambda: NOW, environment=FORCED)
    assert after.manifest.epoch == 2
    assert after.private_base(2) is not None


@pytest.mark.parametrize(
    ("count", "tier", "wanted"), [(19_999, None, False), (20_000, None, True), (0, 2, True), (10**5, 1, False)]
)
def test_a_table_is_built_where_it_saves(count: int, tier: int | None, wanted: bool) -> None:
    assert pir_table.is_wanted(count, tier) is wanted


def test_more_records_than_anybody_downloads_always_get_one() -> None:
    assert pir_table.is_wanted(500_001, 1)


async def test_what_changes_while_a_table_is_built_is_in_the_next_overlay(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    building, go = threading.Event(), threading.Event()
    real = pir_table.build

    def slow(*arguments: Any) -> Any:
        building.set()
        assert go.wait(30)
        return real(*arguments)

    first, meanwhile = os.urandom(RECORD_BYTES), os.urandom(RECORD_BYTES)
    monkeypatch.setattr("grue.server.directory.cutting.MIN_CUT", 1)
    monkeypatch.setattr(pir_table, "build", slow)
    await host.directory.put(first)
    assert await asyncio.to_thread(building.wait, 30)
    await host.directory.put(meanwhile)
    assert host.directory.manifest.epoch == 2
    go.set()
    await host.directory.settled()
    assert (host.directory.manifest.epoch, host.directory.head.length) == (3, 1)
    assert host.directory.file("3/overlay/1") == meanwhile
    host.directory = host.open()
    assert host.directory.find(first[:16]) == first
    assert host.directory.find(meanwhile[:16]) == meanwhile
