"""The server on real sockets: paths, sizes, ranges, several requests in flight, streams, and what a header tells."""

import asyncio
import contextlib
import io
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from grue.protocol import wire
from grue.server import http
from grue.server.directory.directory import Directory
from grue.server.keys.keys import Keys
from grue.server.listening import Room
from grue.server.oblivious import ohttp_gateway
from tests.server.kit import BLOB, Box, Clock, TestServer, key_hash, serving


class Site:
    """A server, and a client session that points at it."""

    def __init__(self, server: TestServer, session: aiohttp.ClientSession, url: str, room: Room) -> None:
        self.server = server
        self.session = session
        self.url = url
        self.room = room

    async def anonymous(self, body: bytes | io.BytesIO) -> Any:
        async with self.session.post(f"{self.url}/2/anonymous", data=body) as response:
            assert response.status == 200
            return wire.ANONYMOUS_ANSWER.decode(await response.read())

    def socket(self, path: str) -> Any:
        return self.session.ws_connect(f"{self.url}{path}", max_msg_size=2 * wire.MAX_REQUEST)


def narrow() -> socket.socket:
    """Where to listen; of what is not read, this machine's kernel keeps little."""
    listens = socket.socket()
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        listens.setsockopt(socket.SOL_SOCKET, option, 16_384)
    listens.bind(("127.0.0.1", 0))
    return listens


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    keys = Keys.generate()
    clock = Clock()
    async with serving(keys=keys, directory=Directory(tmp_path, keys, clock), clock=clock) as server:
        runner = http.runner(server)
        await runner.setup()
        await web.SockSite(runner, narrow()).start()
        async with aiohttp.ClientSession() as session:
            yield Site(server, session, f"http://127.0.0.1:{runner.addresses[0][1]}", runner.app[http.ROOM])
        await runner.cleanup()


# --- plain requests -------------------------------------------------------------------------------


async def test_hello_says_protocol_and_key(site: Site) -> None:
    async with site.session.get(f"{site.url}/grue") as response:
        hello = wire.SERVER_HELLO.decode(await response.read())
    assert hello == wire.ServerHello([wire.PROTOCOL], site.server.keys.server_public, "")


async def test_a_request_and_its_answer(site: Site) -> None:
    box = Box(site.server)
    assert await site.anonymous(wire.encode(site.server.paid(box.creation()))) == wire.Done()
    assert await site.anonymous(wire.encode(box.posting())) == wire.Posted(1)


@pytest.mark.parametrize("path", ["account", "anonymous"])
async def test_bytes_that_are_no_request_are_refused_as_such(site: Site, path: str) -> None:
    for body in (b"", b"\xc1", os.urandom(100), wire.encode(wire.Done())):
        async with site.session.post(f"{site.url}/2/{path}", data=body) as response:
            assert wire.ANONYMOUS_ANSWER.decode(await response.read()) == wire.Refusal("bad_request")


async def test_a_body_that_is_too_large_is_refused_and_not_read(site: Site) -> None:
    assert await site.anonymous(io.BytesIO(bytes(2 * wire.MAX_REQUEST))) == wire.Refusal("too_large")


@pytest.mark.parametrize("path", ["/1/account", "/1/stream", "/0/directory/head", "/17/anything/else"])
async def test_another_version_of_the_protocol_is_told_apart(site: Site, path: str) -> None:
    async with site.session.get(site.url + path) as response:
        assert response.status == 426
        assert wire.ANONYMOUS_ANSWER.decode(await response.read()) == wire.Refusal("other_version")


async def test_a_client_of_an_earlier_protocol_is_told_so_whatever_it_asks(site: Site) -> None:
    async with site.session.get(f"{site.url}/grue") as response:
        assert wire.SERVER_HELLO.decode(await response.read()).protocols == [wire.PROTOCOL]
    asked = wire.encode(wire.RegisterStart("+447700900123", bytes(32)))
    async with site.session.post(f"{site.url}/1/account", data=asked) as response:
        assert (response.status, await response.read()) == (426, wire.encode(wire.Refusal("other_version")))


async def test_a_path_that_is_not_ours_is_not_found(site: Site) -> None:
    for path in ("/", "/2/else", "/admin"):
        async with site.session.get(site.url + path) as response:
            assert response.status == 404


async def raw(site: Site, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(site.url.rpartition(":")[2]))
    writer.write(request)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /grue HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PUT /grue HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /2/stream HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01 nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20000 + b"\r\n\r\n",
    ],
)
async def test_no_header_names_a_version_of_anything(site: Site, request_: bytes) -> None:
    answer = (await raw(site, request_)).lower()
    assert answer.startswith(b"http/1.")
    for name in (b"aiohttp", b"python", b"uvloop"):
        assert name not in answer


async def test_no_request_is_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    box = Box(site.server)
    await site.anonymous(wire.encode(site.server.paid(box.creation())))
    await site.anonymous(wire.encode(box.posting()))
    await site.anonymous(b"\xc1")
    await raw(site, b"\x16\x03\x01 nonsense\r\n\r\n")
    assert [record for record in caplog.records if record.name.startswith(("aiohttp", "grue"))] == []


async def test_a_fault_of_ours_is_logged_by_type_and_place_only(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_args: object) -> None:
        raise ValueError("+44 7700 900123 and a secret")

    site.server.context.random = broken  # type: ignore[assignment]
    assert await site.anonymous(wire.encode(site.server.paid(Box(site.server).creation()))) == wire.Refusal("bug")
    (record,) = [record for record in caplog.records if record.name == "grue.server"]
    assert record.getMessage().startswith("ValueError at test_http.py:")
    assert "900123" not in caplog.text


async def test_a_fault_of_ours_outside_a_request_is_answered_and_logged_likewise(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.server.directory = None  # type: ignore[assignment]
    async with site.session.get(f"{site.url}/2/directory/head") as response:
        assert response.status == 500
        assert wire.ANONYMOUS_ANSWER.decode(await response.read()) == wire.Refusal("bug")
    assert "AttributeError at http.py:" in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "path", ["metrics", "2/metrics", "stats", "status", "health/live", "debug", "debug/vars", "server-status", ""]
)
async def test_no_path_answers_with_metrics(site: Site, path: str) -> None:
    async with site.session.get(f"{site.url}/{path}") as response:
        assert response.status == 404


# --- the directory's files ------------------------------------------------------------------------


async def test_a_directory_file_with_its_cache_rules(site: Site) -> None:
    for path, rule in [("head", http.HEAD_CACHE), ("1/manifest", http.IMMUTABLE_CACHE),
                       ("1/overlay/0", http.OVERLAY_CACHE)]:  # fmt: skip
        async with site.session.get(f"{site.url}/2/directory/{path}") as response:
            assert response.status == 200
            assert response.headers["Cache-Control"] == rule
            assert await response.read() == site.server.directory.file(path)


@pytest.mark.parametrize("path", ["else", "1/else", "9/base", "../server.key", "1/%2e%2e/%2e%2e/server.key", "1/"])
async def test_a_directory_file_that_is_not_there(site: Site, path: str) -> None:
    async with site.session.get(f"{site.url}/2/directory/{path}") as response:
        assert response.status == 404


@pytest.mark.parametrize(
    ("range_", "status", "part"),
    [
        ("bytes=0-", 206, slice(0, None)),
        ("bytes=10-", 206, slice(10, None)),
        ("bytes=10-19", 206, slice(10, 20)),
        ("bytes=-5", 206, slice(-5, None)),
        ("bytes=100000-", 416, None),
        ("bytes=x", 416, None),
    ],
)
async def test_a_broken_download_goes_on_where_it_was(site: Site, range_: str, status: int, part: slice | None) -> None:
    whole = site.server.directory.file("1/manifest")
    assert whole is not None
    async with site.session.get(f"{site.url}/2/directory/1/manifest", headers={"Range": range_}) as response:
        assert response.status == status
        if part is not None:
            assert await response.read() == whole[part]
            start, stop, _ = part.indices(len(whole))
            assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(whole)}"


def ended_base(site: Site) -> tuple[str, bytes]:
    """The path of a base that another has taken the place of, and what is in it: several pieces."""
    directory = site.server.directory
    directory.put_many(os.urandom(128) for _ in range(5_000))
    epoch, base = directory.manifest.epoch, directory.file(f"{directory.manifest.epoch}/base")
    directory.put_many([os.urandom(128)])
    assert base is not None
    assert directory.manifest.epoch != epoch
    assert len(base) > 2 * http.PIECE
    return f"{site.url}/2/directory/{epoch}/base", base


async def test_files_of_several_pieces_arrive_whole(site: Site) -> None:
    ended, base = ended_base(site)
    epoch = site.server.directory.manifest.epoch
    present = site.server.directory.file(f"{epoch}/base")
    for url, whole in ((ended, base), (f"{site.url}/2/directory/{epoch}/base", present)):
        assert whole is not None
        for start in (0, 1, http.PIECE, len(whole) - 1):
            async with site.session.get(url, headers={"Range": f"bytes={start}-"} if start else {}) as response:
                assert response.content_length == len(whole) - start
                assert await response.read() == whole[start:]
        async with site.session.head(url) as response:
            assert (response.content_length, await response.read()) == (len(whole), b"")
    assert site.room.bytes == 0


@pytest.mark.parametrize(("range_", "byte"), [("bytes=0-0", 0), ("bytes=-1", (1 << 40) - 1)])
async def test_a_byte_of_an_ended_base_is_read_and_not_all_of_it(
    site: Site, tmp_path: Path, range_: str, byte: int
) -> None:
    """Of a file that grew, with a hole, to what no machine reads."""
    url, _ = ended_base(site)
    (file,) = tmp_path.glob(f"**/*{url.split('/')[-2]}/base")
    os.truncate(file, 1 << 40)
    async with site.session.get(url, headers={"Range": range_}) as response:
        assert response.headers["Content-Range"] == f"bytes {byte}-{byte}/{1 << 40}"
        assert len(await response.read()) == 1


# --- the anonymous socket -------------------------------------------------------------------------


async def test_several_requests_are_in_flight_and_each_answer_has_its_number(site: Site) -> None:
    box = await Box.create(site.server)
    async with site.socket("/2/anonymous") as socket:
        for n in range(100):
            await socket.send_bytes(wire.encode(wire.Framed(n, wire.encode(box.posting(bytes([n]) * 16)))))
        answers: dict[int, Any] = {}
        for _ in range(100):
            framed = wire.FRAMED.decode(await socket.receive_bytes())
            answers[framed.n] = wire.ANONYMOUS_ANSWER.decode(framed.body)
    assert sorted(answers) == list(range(100))
    assert sorted(answer.seq for answer in answers.values()) == list(range(1, 101))


async def test_an_answer_does_not_wait_for_an_earlier_request(site: Site) -> None:
    waiting = asyncio.Event()
    anonymous = site.server.anonymous

    async def slow_then_fast(body: bytes) -> bytes:
        if body == b"slow":
            await waiting.wait()
        return await anonymous(body)

    site.server.anonymous = slow_then_fast  # type: ignore[method-assign]
    async with site.socket("/2/anonymous") as socket:
        await socket.send_bytes(wire.encode(wire.Framed(1, b"slow")))
        await socket.send_bytes(wire.encode(wire.Framed(2, b"fast")))
        assert wire.FRAMED.decode(await socket.receive_bytes()).n == 2
        waiting.set()
        assert wire.FRAMED.decode(await socket.receive_bytes()).n == 1


async def test_a_frame_that_is_none_ends_the_socket(site: Site) -> None:
    async with site.socket("/2/anonymous") as socket:
        await socket.send_bytes(b"\xc1")
        assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


async def test_a_frame_that_is_too_large_ends_the_socket(site: Site) -> None:
    async with site.socket("/2/anonymous") as socket:
        await socket.send_bytes(bytes(2 * wire.MAX_REQUEST))
        assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


async def test_a_client_that_hangs_up_mid_request_harms_nobody(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    box = await Box.create(site.server)
    async with site.socket("/2/anonymous") as socket:
        for n in range(20):
            await socket.send_bytes(wire.encode(wire.Framed(n, wire.encode(box.posting()))))
        socket._response.connection.transport.abort()
    await asyncio.sleep(0.1)
    assert await box.post() >= 1
    assert [record for record in caplog.records if record.name.startswith("grue")] == []


LARGE = b"L" * wire.ENVELOPE_BUCKETS[-1]


async def full_box(site: Site) -> Box:
    """A mailbox of which one page is as large as an answer gets."""
    box = await Box.create(site.server)
    for _ in range(15):
        await box.post(blob=LARGE)
    return box


class Together:
    """Lets requests begin when all of them have come, and knows when all were answered."""

    def __init__(self, server: TestServer, count: int) -> None:
        self._anonymous = server.anonymous
        self._begin = asyncio.Barrier(count)
        self._missing = count
        self.answered = asyncio.Event()
        server.anonymous = self  # type: ignore[method-assign]

    async def __call__(self, body: bytes) -> bytes:
        await self._begin.wait()
        answer = await self._anonymous(body)
        self._missing -= 1
        if not self._missing:
            self.answered.set()
        return answer


async def test_answers_that_nobody_reads_are_held_within_one_bound_for_all_sockets(site: Site) -> None:
    box = await full_box(site)
    fetch = wire.encode(wire.Fetch(box.id, box.read_key, 0))
    together = Together(site.server, 3 * http.MAX_IN_FLIGHT)
    site.room.most_bytes = bound = 8 << 20
    answers = []
    async with contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(site.socket("/2/anonymous")) for _ in range(3)]
        for one in sockets:
            for n in range(http.MAX_IN_FLIGHT):
                await one.send_bytes(wire.encode(wire.Framed(n, fetch)))
        await together.answered.wait()
        for one in sockets:
            for _ in range(http.MAX_IN_FLIGHT):
                assert site.room.bytes <= bound
                answers.append(wire.FRAMED.decode(await one.receive_bytes()).body)
    kinds = [type(wire.ANONYMOUS_ANSWER.decode(answer)) for answer in answers]
    assert 0 < kinds.count(wire.Fetched) < len(kinds) // 2
    assert kinds.count(wire.Refusal) == len(kinds) - kinds.count(wire.Fetched)
    assert wire.encode(wire.Refusal("busy")) in answers
    assert (site.room.bytes, site.room.requests) == (0, 0)


async def test_answers_to_posts_that_nobody_reads_are_held_within_the_same_bound(site: Site) -> None:
    box = await full_box(site)
    fetch = wire.encode(wire.Fetch(box.id, box.read_key, 0))
    together = Together(site.server, 30)
    site.room.most_bytes = bound = 8 << 20
    head = (
        f"POST /2/anonymous HTTP/1.1\r\nHost: x\r\nContent-Length: {len(fetch)}\r\nConnection: close\r\n\r\n".encode()
    )
    port = int(site.url.rpartition(":")[2])
    lines = [await asyncio.open_connection("127.0.0.1", port, limit=1024) for _ in range(30)]
    for _, writer in lines:
        writer.write(head + fetch)
    await together.answered.wait()
    answers = []
    for reader, writer in lines:
        assert site.room.bytes <= bound
        answers.append((await reader.read()).partition(b"\r\n\r\n")[2])
        writer.close()
    kinds = [type(wire.ANONYMOUS_ANSWER.decode(answer)) for answer in answers]
    assert 0 < kinds.count(wire.Fetched) < 30
    assert kinds.count(wire.Refusal) == 30 - kinds.count(wire.Fetched)
    assert (site.room.bytes, site.room.requests) == (0, 0)


async def test_what_there_is_no_room_for_is_refused_before_it_is_done_and_what_is_done_is_answered(site: Site) -> None:
    box = await Box.create(site.server)
    posting = wire.encode(box.posting())
    site.room.most_bytes = len(posting) + ohttp_gateway.RESERVED - 1
    assert await site.anonymous(posting) == wire.Refusal("busy")
    async with site.socket("/2/anonymous") as socket:
        await socket.send_bytes(wire.encode(wire.Framed(7, posting)))
        framed = wire.FRAMED.decode(await socket.receive_bytes())
        assert (framed.n, wire.ANONYMOUS_ANSWER.decode(framed.body)) == (7, wire.Refusal("busy"))
    assert await box.seqs() == []
    site.room.most_bytes += 1
    assert await site.anonymous(posting) == wire.Posted(1)


# --- streams --------------------------------------------------------------------------------------


async def test_a_stream_over_a_socket(site: Site) -> None:
    box = await Box.create(site.server)
    await box.post(b"1" * 16)
    async with site.socket("/2/stream") as socket:
        await socket.send_bytes(wire.encode(wire.Subscribe(box.id, box.read_key, 0)))
        assert isinstance(wire.STREAM_PUSH.decode(await socket.receive_bytes()), wire.Subscribed)
        assert wire.STREAM_PUSH.decode(await socket.receive_bytes()) == wire.Delivery(box.id, 1, b"1" * 16, BLOB)
        for size in wire.ENVELOPE_BUCKETS:
            blob = os.urandom(size)
            await box.post(blob=blob)
            assert wire.STREAM_PUSH.decode(await socket.receive_bytes()).blob == blob  # type: ignore[union-attr]
    await asyncio.sleep(0.05)
    assert len(site.server.streams) == 0


async def test_a_client_that_does_not_read_gets_everything_once_when_it_does(site: Site) -> None:
    box = await Box.create(site.server)
    async with site.socket("/2/stream") as socket:
        await socket.send_bytes(wire.encode(wire.Subscribe(box.id, box.read_key, 0)))
        await socket.receive_bytes()
        for _ in range(10):
            await asyncio.gather(*(box.post(blob=bytes(65536)) for _ in range(40)))
        async with asyncio.timeout(30):
            seqs = [wire.STREAM_PUSH.decode(await socket.receive_bytes()).seq for _ in range(400)]  # type: ignore[union-attr]
    assert seqs == list(range(1, 401))


async def test_a_stream_ends_at_bytes_that_are_no_request(site: Site) -> None:
    async with site.socket("/2/stream") as socket:
        await socket.send_bytes(b"\xc1")
        assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 70000])
async def test_our_frames_are_those_of_rfc_6455(size: int) -> None:
    async def answer(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse(compress=False)
        await websocket.prepare(request)
        assert request.transport is not None
        request.transport.write(http._framed(b"x" * size))
        await websocket.receive()
        return websocket

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{runner.addresses[0][1]}/") as socket,
    ):
        assert await socket.receive_bytes() == b"x" * size
    await runner.cleanup()


async def test_a_removed_reader_hears_of_it_on_its_socket(site: Site) -> None:
    slot = b"s" * 32
    box = await Box.create(site.server, [slot])
    second = await box.join(slot)
    async with site.socket("/2/stream") as socket:
        await socket.send_bytes(wire.encode(wire.Subscribe(box.id, second, 0)))
        await socket.receive_bytes()
        await site.anonymous(wire.encode(wire.RemoveReader(box.id, second)))
        push = wire.STREAM_PUSH.decode(await socket.receive_bytes())
    assert push == wire.NotSubscribed(box.id, "not_permitted")
    assert key_hash(second) != second
