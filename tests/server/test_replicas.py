"""The server's side of replicas: what they are sent, what is taken from them, and what happens when they fail."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from grue.errors import BadRequest, EpochEnded, ServerBusy, TokenSpent, UsageError
from grue.protocol import wire
from grue.protocol.directory.replica import ReplicaKey
from grue.server.directory import queryqueue
from grue.server.listening import listening, runner
from grue.server.replica import replicas
from grue.server.replica.replicas import EPOCH_REST_SECONDS, REST_SECONDS, Replicas
from tests.server.kit import TestServer
from tests.server.replicakit import Host, passing_on, replicating
from tests.server.test_queries import _spent


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with Host(tmp_path / "server").served() as host:
        yield host


Says = Callable[[bytes], Awaitable[web.Response]]


class Fake:
    """Something at a replica's URL, and all that it was sent."""

    def __init__(self, says: Says) -> None:
        self.says = says
        self.asked: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.asked.append((dict(request.headers), body))
        return await self.says(body)


@asynccontextmanager
async def standing(*says: Says) -> AsyncIterator[list[Fake]]:
    """Fakes on sockets."""
    async with AsyncExitStack() as stack:
        fakes = [Fake(one) for one in says]
        for fake in fakes:
            app = web.Application(client_max_size=2 * wire.MAX_REQUEST)
            app.router.add_post("/2/query", fake.answer)
            fake.url = "http://" + await stack.enter_async_context(listening(runner(app), ("127.0.0.1", 0), None))
        yield fakes


def message(answer: wire.Message) -> Says:
    async def says(_body: bytes) -> web.Response:
        return web.Response(body=wire.encode(answer))

    return says


def status(code: int, **headers: str) -> Says:
    async def says(_body: bytes) -> web.Response:
        return web.Response(status=code, headers=headers)

    return says


def raw(body: bytes) -> Says:
    async def says(_body: bytes) -> web.Response:
        return web.Response(body=body)

    return says


async def silent(_body: bytes) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def answered(host: Host, server: TestServer) -> bool:
    """Whether a client is answered, and rightly; whoever does it."""
    made = host.query()
    answer = await server.ask(wire.Query(host.epoch, [made.query]))
    return isinstance(answer, wire.Answers) and made.found(answer) == host.records[0]


def nobody_answers(server: TestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's own queue answers nothing."""

    async def answer(*_: Any) -> list[bytes]:
        raise AssertionError("the server answered by itself")

    monkeypatch.setattr(server.queries.queue, "answer", answer)


async def test_a_replica_answers_in_the_servers_place(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replicating(host, tmp_path / "replica") as site, passing_on(host, site.url) as server:
        await site.look()
        nobody_answers(server, monkeypatch)
        assert await answered(host, server)
        assert await server.store.read(_spent) == 1


async def test_query_03_a_token_pays_once_whoever_answers(host: Host, tmp_path: Path) -> None:
    async with replicating(host, tmp_path / "replica") as site, passing_on(host, site.url) as server:
        await site.look()
        paid = wire.encode(server.paid(wire.Query(host.epoch, [host.query().query])))
        assert isinstance(wire.ANONYMOUS_ANSWER.decode(await server.anonymous(paid)), wire.Answers)
        again = wire.ANONYMOUS_ANSWER.decode(await server.anonymous(paid))
        assert again == wire.Refusal(TokenSpent.code)


async def test_what_the_server_itself_refuses_goes_to_no_replica(host: Host) -> None:
    async with standing(status(500)) as (fake,), passing_on(host, fake.url) as server:
        query = host.query().query
        assert await server.code(wire.Query(99, [query])) == EpochEnded.code
        assert await server.code(wire.Query(host.epoch, [query[:-1]])) == BadRequest.code
        assert fake.asked == []


# --- REPLICA-12, -13: where to, and what ----------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["http://replica.example", "https://name:word@replica.example", "https://replica.example/?x=1", "replica"]
)
def test_replica_12_a_url_that_would_show_the_key_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        Replicas([url], ReplicaKey(bytes(32), bytes(32)))


async def test_replica_13_a_replica_is_sent_epoch_and_queries_and_nothing_of_who_asked(host: Host) -> None:
    async with standing(status(503)) as (fake,), passing_on(host, fake.url) as server:
        request = wire.Query(host.epoch, [host.query().query, host.query(1).query])
        spend = server.paid(request)
        assert isinstance(spend, wire.Spend)
        await server.anonymous(wire.encode(spend))
    ((headers, body),) = fake.asked
    assert body == wire.encode(request)
    assert not any(token.nonce in body for token in spend.tokens)
    assert set(headers) == {"Host", "Accept-Encoding", "Authorization", "Content-Type", "Content-Length"}
    assert headers["Authorization"] == host.key.authorization


async def test_replica_13_hits_and_misses_are_passed_on_alike(host: Host) -> None:
    host.records.append(bytes(128))
    async with standing(status(503)) as (fake,):
        for n in (0, -1):
            async with passing_on(host, fake.url) as server:
                await server.ask(wire.Query(host.epoch, [host.query(n).query]))
    (hit, miss) = fake.asked
    assert (hit[0], len(hit[1])) == (miss[0], len(miss[1]))


# --- REPLICA-14, -15: what is taken, and what happens without -------------------------------------


def wrong_answers() -> dict[str, Says]:
    return {
        "none": message(wire.Answers([])),
        "short": message(wire.Answers([b"x"])),
        "two": message(wire.Answers([bytes(100), bytes(100)])),
        "another": message(wire.Done()),
        "nonsense": raw(b"\xc1nonsense"),
        "nothing": raw(b""),
        "endless": raw(bytes(replicas.MAX_ANSWER + 1)),
        "fault": status(500),
        "stranger": status(401),
        "elsewhere": status(307, Location="http://127.0.0.1:1/2/query"),
        "busy": message(wire.Refusal(ServerBusy.code, 3)),
        "bad": message(wire.Refusal(BadRequest.code)),
        "odd": message(wire.Refusal("two words\n")),
    }


@pytest.mark.parametrize("name", list(wrong_answers()))
async def test_replica_14_what_is_no_answer_is_answered_by_the_server_and_the_replica_rests(
    host: Host, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    async with (
        standing(wrong_answers()[name]) as (fake,),
        passing_on(host, fake.url, clock=lambda: now[0]) as server,
    ):
        assert await answered(host, server)
        assert await answered(host, server)
        assert len(fake.asked) == 1
        now[0] += REST_SECONDS
        assert await answered(host, server)
        assert len(fake.asked) == 2
    # Once, and in words of ours.
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("replica 1 gives no answer: ")
    assert "\n" not in line


async def test_replica_14_a_replica_that_comes_back_is_asked_again(
    host: Host, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    async with replicating(host, tmp_path / "replica") as site:
        await site.look()
        async with standing(status(502)) as (fake,), passing_on(host, fake.url, clock=lambda: now[0]) as server:
            assert await answered(host, server)

            async def honest(body: bytes) -> web.Response:
                return web.Response(body=wire.encode(await site.ask(body)))

            fake.says = honest
            now[0] += REST_SECONDS
            assert await answered(host, server)
    assert [record.getMessage() for record in caplog.records][1:] == ["replica 1 answers again"]


async def test_replica_14_an_epoch_that_a_replica_has_not_yet_rests_for_that_epoch_alone(
    host: Host, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    async with (
        replicating(host, tmp_path / "replica") as site,
        passing_on(host, site.url, clock=lambda: now[0]) as server,
    ):
        await site.look()
        before = host.epoch
        host.directory.renew()
        assert await answered(host, server)
        assert isinstance(replicas := server.queries.helpers, Replicas)
        assert [len(replicas._open(epoch)) for epoch in (before, host.epoch)] == [1, 0]
        now[0] += EPOCH_REST_SECONDS
        assert len(replicas._open(host.epoch)) == 1
    assert caplog.records == []


async def test_replica_15_another_replica_is_asked_and_no_third(host: Host, tmp_path: Path) -> None:
    async with replicating(host, tmp_path / "replica") as site:
        await site.look()
        async with standing(status(500), status(500), status(500)) as fakes:
            async with passing_on(host, *(fake.url for fake in fakes)) as server:
                assert await answered(host, server)
                assert [len(fake.asked) for fake in fakes] == [1, 1, 0]
            async with passing_on(host, fakes[0].url, site.url) as server:
                with pytest.MonkeyPatch.context() as patched:
                    nobody_answers(server, patched)
                    assert await answered(host, server)


async def test_replica_15_the_least_busy_one_is_asked(host: Host) -> None:
    came = [asyncio.Event(), asyncio.Event()]

    def keeping(n: int) -> Says:
        async def says(_body: bytes) -> web.Response:
            came[n].set()
            return await silent(_body)

        return says

    async with standing(keeping(0), keeping(1)) as fakes, passing_on(host, *(fake.url for fake in fakes)) as server:
        asking = [asyncio.create_task(answered(host, server)) for _ in range(2)]
        await asyncio.gather(*(event.wait() for event in came))
        assert [len(fake.asked) for fake in fakes] == [1, 1]
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


async def test_replica_15_one_that_is_silent_or_away_costs_its_time_and_no_more(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "ANSWER_SECONDS", 0.2)
    for urls in ([], ["http://127.0.0.1:1"]):
        async with standing(silent) as (fake,), passing_on(host, *urls, fake.url) as server:
            assert await answered(host, server)
            assert await answered(host, server)
            # None at all, where it took so long to connect.
            assert len(fake.asked) <= 1


async def test_replica_15_more_than_may_be_under_way_is_the_servers_own(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "PASSED_ON_BYTES", 0)
    async with standing(status(500)) as (fake,), passing_on(host, fake.url) as server:
        assert await answered(host, server)
        assert fake.asked == []


async def test_replica_15_who_has_paid_is_answered_though_the_servers_queue_is_full(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = host.query().query
    monkeypatch.setattr(queryqueue, "QUEUE_BYTES", len(query))
    async with standing(status(500)) as (fake,), passing_on(host, fake.url) as server:
        with server.queries.queue.room([query]):
            assert await answered(host, server)
            # The replica rests now, so the next one is refused before it pays.
            assert await server.code(wire.Query(host.epoch, [query])) == ServerBusy.code
            assert await server.store.read(_spent) == 1


async def test_what_was_under_way_is_given_back(host: Host) -> None:
    async with standing(status(500)) as (fake,), passing_on(host, fake.url) as server:
        assert await answered(host, server)
        assert isinstance(replicas := server.queries.helpers, Replicas)
        assert replicas._bytes == sum(replica.bytes for replica in replicas._replicas) == 0
