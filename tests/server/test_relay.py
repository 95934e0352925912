"""The relay on real sockets, between raw clients and a gateway that writes down every byte."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from grue.errors import UsageError
from grue.exposure.scanner import encodings
from grue.server.listening import NOT_ENCODED, listening, runner
from grue.server.oblivious import relay
from grue.server.oblivious.relay import KEY_SECONDS, MAX_ANSWER, MAX_BODY, MAX_KEY_FILE, PATH, KeyFile, Relay
from tests.server.relaykit import REQ, RES, Answer, Said, Target, always, ask, http, read, request, running

GET = request(method="GET")
KEY_TYPE = "application/octet-stream"


class Front:
    """A relay that listens, the target behind it, and a clock that a test moves."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.now = 1000.0
        self.relay = Relay(target.url, lambda: self.now)
        self.runner = runner(self.relay.application())
        self.port = 0

    async def ask(self, raw: bytes, *, address: str = "127.0.0.1") -> Said:
        return await ask(self.port, raw, address=address)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()

    async def empty(self) -> None:
        """Wait until nothing is under way."""
        async with asyncio.timeout(10):
            while self.relay.room.requests:  # noqa: ASYNC110 -- the relay tells nobody
                await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def standing(target: Target) -> AsyncIterator[Front]:
    front = Front(target)
    async with listening(front.runner, ("127.0.0.1", 0), None) as address:
        front.port = int(address.rpartition(":")[2])
        yield front
        await front.empty()
    assert front.relay.room.bytes == 0, "what was held is given back, whatever happened"


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    async with running(Target()) as target, standing(target) as front:
        yield front


def forwarded(front: Front, body: bytes) -> bytes:
    """All that a gateway is sent of one request."""
    return (
        f"POST /2/gateway HTTP/1.1\r\nHost: 127.0.0.1:{front.target.port}\r\nAccept-Encoding: identity\r\n"
        f"Content-Type: {REQ}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


class Gate:
    """An answer that waits until it is let through."""

    def __init__(self, answer: bytes) -> None:
        self.opened = asyncio.Event()
        self._answer = answer

    async def __call__(self, _request: bytes) -> bytes:
        await self.opened.wait()
        return self._answer


# --- what goes to the gateway ---------------------------------------------------------------------

TELLTALES = (
    "User-Agent: Mozilla/5.0\r\nAccept: text/html\r\nAccept-Language: de-CH\r\nAccept-Encoding: br\r\nCookie: id=1\r\n"
    "Forwarded: for=192.0.2.9\r\nX-Forwarded-For: 192.0.2.9\r\nX-Real-IP: 192.0.2.9\r\nVia: 1.1 home\r\n"
    "Referer: https://grue.example/\r\nOrigin: null\r\nDNT: 1\r\nTraceparent: 00-1-2-3\r\nAuthorization: Basic eA==\r\n"
)


@pytest.mark.parametrize("body", [b"", b"sealed", bytes(range(256)) * 64], ids=["empty", "small", "16 KiB"])
async def test_relay_05_a_gateway_is_sent_the_body_and_nothing_else_of_a_client(front: Front, body: bytes) -> None:
    said = await front.ask(request(body, more=TELLTALES))
    assert (said.status, said.body) == (200, b"echo of " + body)
    assert front.target.requests == [forwarded(front, body)]


async def test_relay_05_two_clients_who_write_differently_look_alike(front: Front) -> None:
    await front.ask(request(b"sealed", media_type=f"{REQ.upper()}; charset=mine"))
    chunked = f"POST {PATH}?q=me HTTP/1.1\r\nHost: x\r\nContent-Type: {REQ}\r\nTransfer-Encoding: chunked\r\n\r\n"
    await front.ask(chunked.encode() + b"3\r\nsea\r\n3\r\nled\r\n0\r\n\r\n")
    assert front.target.requests == [forwarded(front, b"sealed")] * 2


async def test_relay_05_the_key_file_is_asked_for_with_nothing_of_a_client(front: Front) -> None:
    front.target.answer = always(http(b"keys", media_type=KEY_TYPE))
    await front.ask(request(method="GET", more=TELLTALES))
    wanted = f"GET /2/gateway HTTP/1.1\r\nHost: 127.0.0.1:{front.target.port}\r\nAccept-Encoding: identity\r\n\r\n"
    assert front.target.requests == [wanted.encode()]


async def test_relay_05_no_form_of_a_clients_address_goes_to_the_gateway(front: Front) -> None:
    address = "127.83.17.11"
    said = await front.ask(request(b"sealed"), address=address)
    assert said.status == 200
    sent = b"".join(front.target.requests)
    assert sent
    assert [form for form in encodings.of_address(address) if form in sent] == []


async def test_relay_05_no_proxy_of_the_environment_is_used(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(Target()) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        assert (await front.ask(request())).status == 200
        assert (len(front.target.requests), proxy.requests) == (1, [])


async def test_relay_06_all_clients_share_connections(front: Front) -> None:
    for n in range(5):
        assert (await front.ask(request(b"%d" % n), address=f"127.0.0.{n + 1}")).body == b"echo of %d" % n
    assert (len(front.target.requests), front.target.connections) == (5, 1)


async def test_relay_06_a_client_that_goes_away_disturbs_nobody_and_the_gateway_does_not_see_it(front: Front) -> None:
    gate = front.target.answer = Gate(http(b"late"))
    other = asyncio.create_task(front.ask(request(b"other")))
    async with front.connection() as (_, leaving):
        leaving.write(request(b"leaving"))
        await front.target.asked(2)
    # Once more than the relay needs to see that it has gone.
    other_too = asyncio.create_task(front.ask(request(b"other too")))
    await front.target.asked(3)
    assert front.target.open == 3
    gate.opened.set()
    assert [(await task).body for task in (other, other_too)] == [b"late", b"late"]
    front.target.answer = always(http(b"after"))
    assert (await front.ask(request())).body == b"after"
    assert (front.target.connections, front.target.open) == (3, 3), "the connection of the one that left is used again"


# --- what is taken from clients -------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        request(media_type="application/octet-stream"),
        request(media_type=RES),
        request(media_type="message/ohttp-req2"),
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx".encode(),
        request(more="Content-Encoding: gzip\r\n"),
    ],
    ids=["octets", "an answer", "another", "none", "encoded"],
)
async def test_relay_01_another_media_type_is_refused(front: Front, raw: bytes) -> None:
    said = await front.ask(raw)
    assert (said.status, front.target.requests) == (415, [])
    assert said.body in (b"", NOT_ENCODED.encode())


async def test_relay_02_a_body_of_the_largest_size_passes_and_one_byte_more_does_not(front: Front) -> None:
    front.target.answer = always(http(b"taken"))
    assert (await front.ask(request(bytes(MAX_BODY)))).body == b"taken"
    assert (await front.ask(request(bytes(MAX_BODY + 1)))).status == 413
    assert front.target.requests == [forwarded(front, bytes(MAX_BODY))]


async def test_relay_02_a_body_that_is_announced_too_large_is_not_waited_for(front: Front) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: {REQ}\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n"
    assert (await front.ask(head.encode())).status == 413


async def test_relay_02_a_body_that_grows_unannounced_is_cut(front: Front) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: {REQ}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    said = await front.ask(head + (b"10000\r\n" + bytes(0x10000) + b"\r\n") * 17 + b"0\r\n\r\n")
    assert (said.status, front.target.requests) == (413, [])


@pytest.mark.parametrize(
    "line",
    [
        "GET /", "GET /grue", "GET /grue-relay", "GET /2/gateway", "POST /2/gateway", "POST /2/anonymous",
        "GET /1/relay", "POST /2/relay/", "PUT /2/relay", "OPTIONS /2/relay", "DELETE /2/relay",
        "GET /2/relay/../gateway", "HEAD /2/relay", "GET /.well-known/security.txt",
    ],
)  # fmt: skip
async def test_relay_03_everything_else_is_not_found(front: Front, line: str) -> None:
    said = await front.ask(f"{line} HTTP/1.1\r\nHost: x\r\nContent-Type: {REQ}\r\nContent-Length: 0\r\n\r\n".encode())
    assert (said.status, said.body, front.target.requests) == (404, b"", [])


ODD = [
    request(),
    GET,
    request(media_type="x/y"),
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"PUT /2/relay HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /2/relay HTTP/9.9\r\n\r\n",
    b"\x16\x03\x01 nonsense\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20000 + b"\r\n\r\n",
    b"POST /2/relay HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
]


@pytest.mark.parametrize("raw", ODD)
async def test_relay_03_no_header_names_a_version_of_anything(front: Front, raw: bytes) -> None:
    said = await front.ask(raw)
    assert set(said.headers) <= {"Content-Type", "Content-Length", "Connection", "Date", "Server", "Retry-After"}
    assert said.headers.get("Server", "grue") == "grue"


async def test_relay_04_nothing_is_logged_or_printed(
    front: Front, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    for raw in ODD:
        await front.ask(raw)
    async with front.connection() as (_, cut):
        cut.write(request()[:-3])
        await cut.drain()
    await front.empty()
    assert [record for record in caplog.records if record.name.startswith(("aiohttp", "grue"))] == []
    assert capfd.readouterr() == ("", "")


async def test_relay_04_a_fault_of_ours_is_a_bare_500(
    front: Front, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(_response: object) -> str:
        raise RuntimeError("a number, perhaps")

    monkeypatch.setattr(relay, "_media_type", broken)
    said = await front.ask(request())
    assert (said.status, said.body, capfd.readouterr()) == (500, b"", ("", ""))


# --- what comes back from the gateway -------------------------------------------------------------


async def test_relay_07_status_media_type_and_body_come_back_and_no_header_of_the_gateways(front: Front) -> None:
    more = "Set-Cookie: id=1\r\nServer: nginx/1.2\r\nETag: x\r\nLocation: /x\r\nRetry-After: 77\r\n"
    front.target.answer = always(http(b"sealed", media_type=f"{RES}; id=1", more=more))
    said = await front.ask(request())
    assert (said.status, said.body) == (200, b"sealed")
    assert {name: value for name, value in said.headers.items() if name != "Date"} == {
        "Content-Type": RES, "Content-Length": "6", "Server": "grue",
    }  # fmt: skip


@pytest.mark.parametrize("status", [400, 401, 404, 413, 422, 429, 500, 503])
async def test_relay_07_a_problem_of_the_gateways_comes_back_as_it_is(front: Front, status: int) -> None:
    problem = "application/problem+json"
    front.target.answer = always(http(b'{"title": "no"}', status=f"{status} No", media_type=problem))
    said = await front.ask(request())
    assert (said.status, said.headers["Content-Type"], said.body) == (status, problem, b'{"title": "no"}')


async def test_relay_07_a_redirect_is_not_followed(front: Front) -> None:
    async with running(Target()) as elsewhere:
        for status in ("301 Moved", "302 Found", "307 Temporary", "308 Permanent"):
            front.target.answer = always(http(status=status, more=f"Location: {elsewhere.url}/2/gateway\r\n"))
            for raw in (request(), GET):
                assert (await front.ask(raw)).status == 502
        assert elsewhere.requests == []


def cases() -> Iterator[tuple[str, Answer]]:
    whole = http(b"a sealed answer")
    yield "closes mid-head", always(b"closes" + whole[:20])
    yield "closes mid-answer", always(whole[:-3].replace(b"Content-Type", b"Connection: close\r\nContent-Type"))
    yield "says nothing", always(b"")
    yield "is not HTTP", always(b"220 mail.example ESMTP\r\n")
    yield "answers encoded", always(http(b"x", more="Content-Encoding: gzip\r\n"))
    yield "answers a part", always(http(b"x", status="206 Partial"))
    yield "answers with no content", always(http(status="204 No Content"))


@pytest.mark.parametrize(("name", "answer"), list(cases()), ids=[name for name, _ in cases()])
@pytest.mark.parametrize("raw", [request(), GET], ids=["POST", "GET"])
async def test_relay_07_a_gateway_that_answers_none_is_an_empty_502(
    front: Front, raw: bytes, name: str, answer: Answer
) -> None:
    front.target.answer = answer
    said = await front.ask(raw)
    assert (said.status, said.body, said.headers["Retry-After"]) == (502, b"", "5"), name
    front.target.answer = always(http(b"back", media_type=KEY_TYPE))
    assert (await front.ask(raw)).body == b"back"


async def test_relay_07_a_gateway_that_is_away_is_an_empty_502() -> None:
    async with running(Target()) as target:
        pass
    async with standing(target) as alone:
        for raw in (request(), GET):
            said = await alone.ask(raw)
            assert (said.status, said.body, said.headers["Retry-After"]) == (502, b"", "5")


async def test_relay_08_an_answer_of_the_largest_size_passes_and_one_byte_more_does_not(front: Front) -> None:
    front.target.answer = always(http(bytes(MAX_ANSWER)))
    assert (await front.ask(request())).body == bytes(MAX_ANSWER)
    front.target.answer = always(http(bytes(MAX_ANSWER + 1)))
    said = await front.ask(request())
    assert (said.status, said.body) == (502, b"")


async def test_relay_08_an_answer_that_grows_unannounced_is_cut(front: Front) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {RES}\r\nConnection: close\r\n\r\n".encode()
    front.target.answer = always(head + bytes(MAX_ANSWER + 1))
    assert (await front.ask(request())).status == 502
    front.target.answer = always(head + b"short")
    assert (await front.ask(request())).body == b"short"


async def test_a_long_poll_passes(front: Front) -> None:
    assert relay.UPSTREAM_SECONDS > 30
    gate = front.target.answer = Gate(http(b"at last"))
    poll = asyncio.create_task(front.ask(request(b"poll")))
    await front.target.asked(1)
    front.target.answer = always(http(b"meanwhile"))
    assert (await front.ask(request(b"another"))).body == b"meanwhile"
    assert not poll.done()
    gate.opened.set()
    assert (await poll).body == b"at last"


async def test_a_gateway_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "UPSTREAM_SECONDS", 0.2)
    async with running(Target(Gate(b""))) as target, standing(target) as front:
        assert (await front.ask(request())).status == 502


# --- the key file ---------------------------------------------------------------------------------


class Faces:
    """A gateway that shows everybody another key file."""

    def __init__(self) -> None:
        self.shown = 0

    async def __call__(self, _request: bytes) -> bytes:
        self.shown += 1
        return http(b"keys %d" % self.shown, media_type=KEY_TYPE)


async def test_relay_09_everybody_is_given_the_same_keys_by_a_gateway_that_shows_each_another(front: Front) -> None:
    front.target.answer = Faces()
    said = [
        await front.ask(request(method="GET", more=f"Cookie: {n}\r\n"), address=f"127.0.0.{n}") for n in range(1, 9)
    ]
    assert {one.body for one in said} == {b"keys 1"}
    assert (said[0].status, said[0].headers["Content-Type"]) == (200, KEY_TYPE)
    front.now += KEY_SECONDS - 1
    assert (await front.ask(GET)).body == b"keys 1"
    front.now += 1
    assert [(await front.ask(GET)).body for _ in range(3)] == [b"keys 2"] * 3
    assert len(front.target.requests) == 2


async def test_relay_13_everybody_is_told_when_the_next_keys_come(front: Front) -> None:
    front.target.answer = Faces()
    said = []
    for later in (0, 0, 0.5, 118.5, 0.9, 0.1):
        front.now += later
        answer = await front.ask(GET)
        said.append((answer.body, answer.headers["Cache-Control"]))
    left = [120, 120, 120, 1, 1]
    assert said == [*((b"keys 1", f"max-age={seconds}") for seconds in left), (b"keys 2", "max-age=120")]


async def test_relay_09_who_comes_at_once_shares_one_fetch(front: Front) -> None:
    gate = front.target.answer = Gate(http(b"keys", media_type=KEY_TYPE))
    asking = [asyncio.create_task(front.ask(GET)) for _ in range(30)]
    async with asyncio.timeout(10):
        while front.relay.room.requests < 30:  # noqa: ASYNC110 -- the relay tells nobody
            await asyncio.sleep(0.005)
    gate.opened.set()
    assert [(await one).body for one in asking] == [b"keys"] * 30
    assert len(front.target.requests) == 1


async def test_relay_09_the_first_who_asks_may_go_away(front: Front) -> None:
    gate = front.target.answer = Gate(http(b"keys", media_type=KEY_TYPE))
    async with front.connection() as (_, first):
        first.write(GET)
        await front.target.asked(1)
    second = asyncio.create_task(front.ask(GET))
    await asyncio.sleep(0.05)
    gate.opened.set()
    assert (await second).body == b"keys"
    assert len(front.target.requests) == 1


async def test_relay_09_a_fetch_outlives_whoever_began_it() -> None:
    gate = asyncio.Event()

    async def fetch() -> bytes:
        await gate.wait()
        return b"keys"

    keys = KeyFile(fetch, lambda: 0.0)
    first, second = asyncio.create_task(keys.get()), asyncio.create_task(keys.get())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    gate.set()
    assert await second == b"keys"


async def test_relay_09_a_key_file_of_the_largest_size_passes_and_one_byte_more_does_not(front: Front) -> None:
    front.target.answer = always(http(bytes(MAX_KEY_FILE + 1), media_type=KEY_TYPE))
    assert (await front.ask(GET)).status == 502
    front.target.answer = always(http(bytes(MAX_KEY_FILE), media_type=KEY_TYPE))
    assert (await front.ask(GET)).body == bytes(MAX_KEY_FILE)


@pytest.mark.parametrize(
    "answer",
    [http(b"x", media_type="text/html"), http(b"x", status="500 No", media_type=KEY_TYPE), http(status="404 No")],
    ids=["a page", "500", "404"],
)
async def test_relay_10_a_failure_is_not_kept(front: Front, answer: bytes) -> None:
    front.target.answer = always(answer)
    said = await front.ask(GET)
    assert (said.status, said.body, said.headers["Retry-After"]) == (502, b"", "5")
    front.target.answer = always(http(b"keys", media_type=KEY_TYPE))
    assert (await front.ask(GET)).body == b"keys"


async def test_relay_10_a_copy_that_has_run_out_is_not_handed_out(front: Front) -> None:
    front.target.answer = Faces()
    assert (await front.ask(GET)).body == b"keys 1"
    front.now += KEY_SECONDS
    front.target.answer = always(http(status="500 No"))
    assert [(await front.ask(GET)).status for _ in range(2)] == [502, 502]


# --- limits ---------------------------------------------------------------------------------------


async def test_relay_11_more_requests_than_there_is_room_for_are_refused(front: Front) -> None:
    front.relay.room.most_requests = 2
    gate = front.target.answer = Gate(http(b"done"))
    polls = [asyncio.create_task(front.ask(request(b"poll"))) for _ in range(2)]
    await front.target.asked(2)
    for raw in (request(), GET):
        said = await front.ask(raw)
        assert (said.status, said.body, said.headers["Retry-After"]) == (503, b"", "5")
    gate.opened.set()
    assert [(await poll).body for poll in polls] == [b"done"] * 2
    assert (await front.ask(request())).body == b"done"


async def test_relay_11_more_bytes_than_there_is_room_for_are_refused(front: Front) -> None:
    front.relay.room.most_bytes = 100_000
    assert (await front.ask(request(bytes(100_001)))).status == 503
    assert front.target.requests == []
    front.target.answer = always(http(bytes(60_000)))
    assert (await front.ask(request(bytes(50_000)))).status == 503
    assert (await front.ask(request(bytes(40_000)))).body == bytes(60_000)


async def test_relay_11_a_connection_has_one_request_under_way(front: Front) -> None:
    gate = front.target.answer = Gate(http(b"done"))
    async with front.connection() as (reader, writer):
        writer.write(request(b"1") + request(b"2") + request(b"3"))
        await front.target.asked(1)
        await front.ask(request(media_type="x/y"))
        assert (front.relay.room.requests, len(front.target.requests)) == (1, 1)
        gate.opened.set()
        assert [(await read(reader)).body for _ in range(3)] == [b"done"] * 3


async def test_relay_11_who_sends_too_slowly_gives_the_place_back(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "CLIENT_SECONDS", 0.1)
    said = await front.ask(request(b"sealed")[:-1])
    assert (said.status, said.body, front.relay.room.requests) == (408, b"", 0)


async def test_relay_11_who_takes_no_answer_loses_the_connection(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "CLIENT_SECONDS", 0.5)
    front.target.answer = always(http(bytes(MAX_ANSWER)))
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.setblocking(False)
    with line:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(line, ("127.0.0.1", front.port))
        # So many that what the kernels keep for both sides does not take them.
        await loop.sock_sendall(line, request() * 8)
        assert await _taken_late(front, line) < 8 * MAX_ANSWER


async def _taken_late(front: Front, line: socket.socket) -> int:
    """Take nothing until the relay has ended the connection, then all that there is."""
    taken = 0
    async with asyncio.timeout(20):
        assert front.runner.server is not None
        while front.runner.server.connections:  # noqa: ASYNC110 -- the relay tells nobody
            await asyncio.sleep(0.005)
        with contextlib.suppress(ConnectionResetError):
            while data := await asyncio.get_running_loop().sock_recv(line, 1 << 20):
                taken += len(data)
    return taken


# --- where to -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "to",
    [
        "http://grue.example", "http://192.0.2.1", "ftp://127.0.0.1", "grue.example", "",
        "https://name:secret@grue.example", "https://name@grue.example", "https://grue.example/?a=b", "https://grue.example/#a",
    ],
)  # fmt: skip
def test_relay_12_another_target_than_a_servers_url_is_refused(to: str) -> None:
    with pytest.raises(UsageError):
        Relay(to)


@pytest.mark.parametrize(
    "to", ["https://grue.example/", "https://grue.example/chat", "http://127.0.0.1:8443", "http://[::1]"]
)
def test_relay_12_the_gateway_is_under_the_servers_url(to: str) -> None:
    assert str(Relay(to)._gateway._url) == f"{to.rstrip('/')}/2/gateway"
