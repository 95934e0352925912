"""The direct transport against what can answer on the other side: a server, a proxy before it, or something else."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web

from grue.client.transport import transport
from grue.client.transport.transport import DirectTransport, Transport, _Requests
from grue.errors import GrueError, NotAGrueServer, OtherVersion, ServerBusy, TimedOut, Unreachable
from grue.protocol import wire

START = wire.RegisterStart("+447700900123", bytes(32))
ACK = wire.Ack(bytes(32), bytes(32), 1)
HELLO = wire.encode(wire.ServerHello([wire.PROTOCOL], bytes(32)))

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Answer], Awaitable[Transport]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts what answers everything but the hello, and gives a transport that leads to it."""
    closing: list[Callable[[], Awaitable[None]]] = []

    async def start(answer: Answer) -> Transport:
        app = web.Application()
        app.router.add_get("/grue", hello)
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        direct = DirectTransport(f"http://127.0.0.1:{runner.addresses[0][1]}")
        closing.extend([runner.cleanup, direct.close])
        return direct

    yield start
    for close in reversed(closing):
        await close()


async def hello(_request: web.Request) -> web.Response:
    return web.Response(body=HELLO)


def always(status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, headers=headers, body=body)

    return answer


# --- statuses -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 524])
async def test_a_status_that_says_nothing_of_the_request_leaves_it_open_whether_it_was_done(
    serve: Serve, status: int
) -> None:
    direct = await serve(always(status))
    with pytest.raises(TimedOut):
        await direct.account(START)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("said", "seconds"), [("17", 17), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("9" * 5000, 0)])
async def test_a_server_that_says_when_to_come_back_is_busy(serve: Serve, status: int, said: str, seconds: int) -> None:
    direct = await serve(always(status, {"Retry-After": said}))
    for asking in (direct.account(START), direct.anonymous(ACK), direct.file("head")):
        with pytest.raises(ServerBusy) as raised:
            await asking
        assert raised.value.retry_after == seconds


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_what_was_not_let_in_or_only_reads_did_not_reach_the_server(serve: Serve, status: int) -> None:
    direct = await serve(always(status))
    for asking in (direct.anonymous(ACK), direct.stream(), direct.file("head")):
        with pytest.raises(Unreachable):
            await asking


@pytest.mark.parametrize("status", [301, 302, 307, 308, 403, 404])
async def test_what_knows_no_such_path_is_no_grue_server(serve: Serve, status: int) -> None:
    direct = await serve(always(status, {"Location": "/elsewhere"}))
    for asking in (direct.account(START), direct.anonymous(ACK), direct.stream(), direct.file("head")):
        with pytest.raises(NotAGrueServer):
            await asking


async def test_a_server_cannot_send_a_client_to_another_machine(serve: Serve) -> None:
    elsewhere: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        elsewhere.append(request.path)
        return web.Response(status=302, headers={"Location": str(request.url.with_host("localhost").with_path("/x"))})

    direct = await serve(answer)
    for asking in (direct.account(START), direct.anonymous(ACK), direct.stream(), direct.file("head")):
        with pytest.raises(NotAGrueServer):
            await asking
    assert "/x" not in elsewhere
    assert len(elsewhere) == 4


async def test_a_server_of_an_earlier_protocol_is_told_by_its_hello(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = wire.encode(wire.ServerHello([wire.PROTOCOL - 1], bytes(32)))
    monkeypatch.setattr(sys.modules[__name__], "HELLO", older)
    with pytest.raises(OtherVersion):
        await (await serve(always(426))).hello()


async def test_another_version_is_told_by_its_status(serve: Serve) -> None:
    direct = await serve(always(426))
    with pytest.raises(OtherVersion):
        await direct.account(START)


@pytest.mark.parametrize("body", [b"", b"<html>", wire.encode(wire.Posted(1)), HELLO])
async def test_contents_that_are_not_ours_are_no_grue_servers_even_after_a_hello(serve: Serve, body: bytes) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/account"):
            return web.Response(body=body)
        return await framed(request, b"<html>")

    direct = await serve(answer)
    assert wire.PROTOCOL in (await direct.hello()).protocols
    for asking in (direct.account(START), direct.anonymous(ACK)):
        with pytest.raises(NotAGrueServer):
            await asking


# --- the socket for anonymous requests ------------------------------------------------------------


async def framed(request: web.Request, body: bytes) -> web.WebSocketResponse:
    """Answer each request on a socket with these contents."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_bytes(wire.encode(wire.Framed(wire.FRAMED.decode(message.data).n, body)))
    return socket


async def test_a_socket_that_ends_leaves_open_whether_the_request_was_done_and_the_next_opens_another(
    serve: Serve,
) -> None:
    sockets = 0

    async def answer(request: web.Request) -> web.WebSocketResponse:
        nonlocal sockets
        sockets += 1
        if sockets > 1:
            return await framed(request, wire.encode(wire.Done()))
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        await socket.close()
        return socket

    direct = await serve(answer)
    with pytest.raises(TimedOut):
        await direct.anonymous(ACK)
    assert await direct.anonymous(ACK) == wire.Done()


async def test_a_frame_that_is_none_of_ours_keeps_nobody_waiting(serve: Serve) -> None:
    async def answer(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for _ in socket:
            await socket.send_bytes(b"\xc1")
        return socket

    direct = await serve(answer)
    async with asyncio.timeout(5):
        results = await asyncio.gather(*(direct.anonymous(ACK) for _ in range(3)), return_exceptions=True)
    assert {type(result) for result in results} == {TimedOut}


class Socket:
    """Stands in for a client's WebSocket; what it is told to raise ends its reading, and closing takes for ever."""

    def __init__(self) -> None:
        self.closed = False
        self.written: list[bytes] = []
        self.error: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.first = asyncio.Event()
        self.taking = asyncio.Event()
        self.taking.set()

    async def send_bytes(self, data: bytes) -> None:
        self.written.append(data)
        self.first.set()
        await self.taking.wait()

    async def close(self) -> None:
        await asyncio.Event().wait()

    def __aiter__(self) -> "Socket":
        return self

    async def __anext__(self) -> aiohttp.WSMessage:
        await self.error
        raise StopAsyncIteration


def requests_on(socket: Socket) -> _Requests:
    return _Requests(cast("Any", socket))


async def asked(requests: _Requests, socket: Socket) -> asyncio.Task[bytes]:
    """A request that is written and waits for its answer."""
    task = asyncio.create_task(requests.ask(b""))
    await socket.first.wait()
    return task


@pytest.mark.parametrize("error", [None, RuntimeError(), aiohttp.ClientError(), OSError(), GrueError()])
async def test_whatever_ends_the_reader_every_request_is_settled_and_the_next_was_not_written(
    error: Exception | None,
) -> None:
    socket = Socket()
    requests = requests_on(socket)
    waiting = await asked(requests, socket)
    if error is None:
        socket.error.set_result(None)
    else:
        socket.error.set_exception(error)
    async with asyncio.timeout(5):
        with pytest.raises(TimedOut):
            await waiting
    assert requests.ended
    with pytest.raises(Unreachable):
        await requests.ask(b"")
    assert len(socket.written) == 1


async def test_on_a_closed_socket_nothing_is_written_and_that_is_known() -> None:
    socket = Socket()
    requests = requests_on(socket)
    socket.closed = True
    with pytest.raises(Unreachable):
        await requests.ask(b"")
    assert socket.written == []


async def test_a_socket_that_takes_nothing_keeps_nobody_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "REQUEST_SECONDS", 0.05)
    socket = Socket()
    socket.taking.clear()
    async with asyncio.timeout(5):
        with pytest.raises(TimedOut):
            await requests_on(socket).ask(b"")


# --- parts of files -------------------------------------------------------------------------------


@pytest.mark.parametrize(("start", "most"), [(0, 4), (6, 4), (6, None)])
async def test_of_what_answers_with_the_whole_file_the_part_from_the_start_is_taken(
    serve: Serve, start: int, most: int | None
) -> None:
    # As a cache does that knows no parts. It is no part to be put behind what has come before.
    direct = await serve(always(200, body=b"0123456789"))
    assert await direct.file("1/base", start, most) == b"0123456789"[start:]


async def test_a_part_is_taken_as_it_is(serve: Serve) -> None:
    direct = await serve(always(206, body=b"6789"))
    assert await direct.file("1/base", 6, 4) == b"6789"
