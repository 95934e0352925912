"""The server on the network: aiohttp hands requests to `app.Server` and sends its answers, and decides nothing.

No access log, no header that names a version of anything, no compression (it would let lengths speak).
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Final

from aiohttp import WSMsgType, web

from grue.errors import BadRequest, GrueError, OtherVersion, ServerBusy, TooLarge
from grue.protocol import wire
from grue.protocol.directory.directory import HEAD_PATH, PRIVATE_FILES
from grue.server import listening
from grue.server.app import Server
from grue.server.arriving import Arrivals, Socket
from grue.server.conditions import Conditions
from grue.server.listening import Place, Room
from grue.server.oblivious import ohttp_gateway
from grue.server.oblivious.ohttp_gateway import RESERVED, keep_answer
from grue.server.reporting import report

PREFIX: Final = f"/{wire.PROTOCOL}"
BINARY: Final = "application/octet-stream"
HEALTH_PATH: Final = "/health"

FRAME_BYTES: Final = wire.MAX_REQUEST + 64
"""A frame is a request and a few bytes around it."""

MAX_IN_FLIGHT: Final = 64
"""Requests of one socket that are worked on at once; more wait in the client's own buffers."""

MAX_HELD: Final = 256 << 20
"""Bytes of requests and answers in memory at once, over all connections: who asks on many sockets and reads none of the
answers makes others wait, and not the server grow."""

PIECE: Final = 64 * 1024
"""Bytes of a large answer or a file that are written at a time; the next follow when the client has taken these."""

CLIENT_SECONDS: Final = 30.0
"""Seconds that a client has to send its request, and again to take each piece of an answer: 1 MiB at 300 kbit/s in, and
64 KiB at 18 kbit/s out. Who takes nothing for so long loses the connection, and gives back what was held."""

HIGH_WATER: Final = 256 * 1024
"""Bytes that may wait for a client that reads slowly, before its mailboxes are paged to it instead."""

KEEPALIVE_IDLE, KEEPALIVE_EVERY, KEEPALIVE_TRIES = 120, 30, 4
"""Seconds, seconds and probes until the kernel finds out that a silent client is gone."""

HEAD_CACHE: Final = "no-store"
"""Contacts tell each other which head they were shown: one that was kept somewhere would look held back."""

OVERLAY_CACHE: Final = "public, max-age=60"
"""For who fetches the overlay that a head has just named. Not for ever: what is restored from a backup goes on anew."""

IMMUTABLE_CACHE: Final = "public, max-age=31536000, immutable"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Sockets(set[Socket]):
    """The WebSockets that are open, to say goodbye to when the server stops; and what comes on all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.arrivals = Arrivals()


SERVER: Final = web.AppKey("server", Server)
SOCKETS: Final = web.AppKey("sockets", Sockets)
ROOM: Final = web.AppKey("room", Room)
CONDITIONS: Final = web.AppKey[Conditions | None]("conditions")


def application(server: Server, conditions: Conditions | None = None) -> web.Application:
    """The routes of one server; without `conditions` nothing is known to be wrong."""
    app = web.Application(client_max_size=FRAME_BYTES, middlewares=[_reported])
    app[SERVER] = server
    app[SOCKETS] = Sockets()
    app[ROOM] = Room(MAX_HELD)
    app[CONDITIONS] = conditions
    app.on_shutdown.append(_let_polls_go)
    app.on_shutdown.append(_close_sockets)
    app.router.add_get("/grue", _hello)
    app.router.add_get(HEALTH_PATH, _health)
    app.router.add_post(f"{PREFIX}/account", _account)
    app.router.add_post(f"{PREFIX}/anonymous", _anonymous)
    app.router.add_get(f"{PREFIX}/anonymous", _anonymous_socket)
    app.router.add_get(f"{PREFIX}/stream", _stream)
    app.router.add_get(f"{PREFIX}/gateway", _gateway_key)
    app.router.add_post(f"{PREFIX}/gateway", _gateway)
    app.router.add_get(f"{PREFIX}/directory/{{path:.+}}", _directory_file)
    app.router.add_route("*", r"/{version:\d+}/{rest:.*}", _other_version)
    return app


def runner(server: Server, conditions: Conditions | None = None) -> web.AppRunner:
    """What a site is started from; keeps no log of who came."""
    return listening.runner(application(server, conditions))


@web.middleware
async def _reported(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A fault of ours is logged as every other is, and answered as one."""
    try:
        return await handler(request)
    except web.HTTPException:
        raise
    except ServerBusy:
        return web.Response(status=503, headers={"Retry-After": str(listening.RETRY_SECONDS)})
    except TimeoutError:
        return web.Response(status=408)
    except Exception as error:  # noqa: BLE001 -- the server goes on
        report(error)
        return _refusal(GrueError(), status=500)


def _binary(body: bytes | memoryview, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, headers={"Content-Type": BINARY})


def _refusal(error: GrueError, status: int = 200) -> web.Response:
    return _binary(wire.encode(wire.Refusal(error.code, error.retry_after)), status)


async def _hello(request: web.Request) -> web.Response:
    return _binary(wire.encode(request.app[SERVER].hello()))


async def _health(request: web.Request) -> web.Response:
    """The codes of what is wrong, and 200: a balancer that took the server away would make it worse."""
    conditions = request.app[CONDITIONS]
    wrong = sorted(conditions.now) if conditions is not None else []
    return web.json_response({"wrong": wrong}, headers={"Cache-Control": "no-store"})


async def _account(request: web.Request) -> web.StreamResponse:
    return await _answer(request, request.app[SERVER].account)


async def _anonymous(request: web.Request) -> web.StreamResponse:
    return await _answer(request, request.app[SERVER].anonymous)


async def _answer(request: web.Request, role: Callable[[bytes], Awaitable[bytes]]) -> web.StreamResponse:
    with request.app[ROOM].place() as place:
        try:
            body = await _body(request, place)
            # Before anything is done: a request that was carried out is never refused.
            place.hold(RESERVED)
            answer = await role(body)
            keep_answer(place, body, answer)
        except (ServerBusy, TooLarge) as error:
            return _refusal(error)
        return await _sent(request, _binary(answer))


async def _body(request: web.Request, place: Place) -> bytes:
    """All of a request. Raises TooLarge, ServerBusy, TimeoutError."""
    if (request.content_length or 0) > FRAME_BYTES:
        raise TooLarge
    body = bytearray()
    async with asyncio.timeout(CLIENT_SECONDS):
        async for chunk in request.content.iter_any():
            place.hold(len(chunk))
            body += chunk
            if len(body) > FRAME_BYTES:
                raise TooLarge
    # What a middleware of the lab's has read before is kept by aiohttp, and does not come again.
    return bytes(body) or await request.read()


async def _sent(request: web.Request, whole: web.Response) -> web.StreamResponse:
    """Send while the place is still held, if it is worth it."""
    body = whole.body
    if not isinstance(body, bytes) or len(body) <= PIECE:
        return whole
    response = web.StreamResponse(status=whole.status, headers=whole.headers)
    return await _sent_in_pieces(request, response, memoryview(body))


async def _gateway_key(request: web.Request) -> web.Response:
    return _binary(request.app[SERVER].ohttp_keys.key_file())


async def _gateway(request: web.Request) -> web.StreamResponse:
    """A sealed request that a relay hands on; RFC 9458 has the media types and statuses."""
    if request.content_type != wire.OHTTP_REQUEST:
        return web.Response(status=415)
    with request.app[ROOM].place() as place:
        try:
            body = await _body(request, place)
        except TooLarge:
            return web.Response(status=413)
        server = request.app[SERVER]
        reply = await ohttp_gateway.answer(server.ohttp_keys, server.relayed, body, place)
        return await _sent(request, web.Response(body=reply.body, status=reply.status, content_type=reply.media))


async def _other_version(request: web.Request) -> web.Response:
    if request.match_info["version"] == str(wire.PROTOCOL):
        raise web.HTTPNotFound
    return _refusal(OtherVersion(), status=426)


# --- the directory's public files -----------------------------------------------------------------


async def _directory_file(request: web.Request) -> web.StreamResponse:
    path = request.match_info["path"]
    with request.app[ROOM].place() as place:
        place.hold(PIECE)
        file = request.app[SERVER].directory.view(path, request.query_string)
        if file is None:
            return web.Response(status=404)
        return await _ranged(request, memoryview(file), {"Cache-Control": _cache_rule(path), "Accept-Ranges": "bytes"})


def _cache_rule(path: str) -> str:
    """An epoch's files never change, but for its overlay, which grows; and the head is ever another."""
    if path == HEAD_PATH:
        return HEAD_CACHE
    epoch, _, name = path.partition("/")
    return IMMUTABLE_CACHE if epoch.isdecimal() and name in ("manifest", "base", *PRIVATE_FILES) else OVERLAY_CACHE


async def _ranged(request: web.Request, file: memoryview, headers: dict[str, str]) -> web.StreamResponse:
    """The part of a file that was asked for, so that a broken download goes on where it was."""
    headers = headers | {"Content-Type": BINARY}
    try:
        wanted = request.http_range
    except ValueError:
        return _unsatisfiable(file)
    if wanted.start is None and wanted.stop is None:
        return await _sent_in_pieces(request, web.StreamResponse(headers=headers), file)
    start, stop, _ = wanted.indices(len(file))
    if start >= stop:
        return _unsatisfiable(file)
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(file)}"
    return await _sent_in_pieces(request, web.StreamResponse(status=206, headers=headers), file[start:stop])


def _unsatisfiable(file: memoryview) -> web.Response:
    return web.Response(status=416, headers={"Content-Range": f"bytes */{len(file)}"})


async def _sent_in_pieces(
    request: web.Request, response: web.StreamResponse, contents: memoryview
) -> web.StreamResponse:
    """Send each piece when the one before was taken; who takes none in time loses the connection.

    What is mapped is read from the disk in here, a piece at a time.
    """
    response.content_length = len(contents)
    try:
        async with asyncio.timeout(CLIENT_SECONDS):
            await response.prepare(request)
        if request.method == "HEAD":
            return response
        for start in range(0, len(contents), PIECE):
            async with asyncio.timeout(CLIENT_SECONDS):
                await response.write(contents[start : start + PIECE])
                await request.writer.drain()
        await response.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    return response


# --- sockets --------------------------------------------------------------------------------------


async def _open(request: web.Request) -> Socket:
    websocket = Socket(
        request.app[SOCKETS].arrivals,
        max_msg_size=FRAME_BYTES,
        timeout=listening.CLOSE_SECONDS,
        autoping=True,
        writer_limit=HIGH_WATER,
    )
    await websocket.prepare(request)
    _keep_alive(request)
    request.app[SOCKETS].add(websocket)
    return websocket


async def _end(request: web.Request, websocket: Socket) -> None:
    request.app[SOCKETS].discard(websocket)
    await websocket.end()


def _keep_alive(request: web.Request) -> None:
    raw = request.transport.get_extra_info("socket") if request.transport is not None else None
    if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6) and hasattr(socket, "TCP_KEEPIDLE"):
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_EVERY)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_TRIES)


async def _let_polls_go(app: web.Application) -> None:
    app[SERVER].streams.let_go()


async def _close_sockets(app: web.Application) -> None:
    sockets = app[SOCKETS]
    await asyncio.gather(*(websocket.close(code=1001) for websocket in list(sockets)), return_exceptions=True)


class _Sink:
    """`streams.Sink` over a stream's WebSocket."""

    __slots__ = ("_transport", "_websocket")

    def __init__(self, request: web.Request, websocket: web.WebSocketResponse) -> None:
        self._websocket = websocket
        self._transport = request.transport

    def push(self, frame: bytes) -> bool:
        transport = self._transport
        if transport is None or transport.is_closing() or transport.get_write_buffer_size() > HIGH_WATER:
            return False
        transport.write(_framed(frame))
        return True

    async def send(self, frame: bytes) -> None:
        await self._websocket.send_bytes(frame)


_WHOLE: Final = 0x82
"""The first byte of a WebSocket frame: the last of its message, and of a binary one."""


def _framed(payload: bytes, first: int = _WHOLE) -> bytes:
    """A WebSocket frame as a server sends it (RFC 6455, section 5.2): not masked.

    Written here because aiohttp's `send_bytes` is a coroutine, and a push happens where nothing can wait.
    """
    length = len(payload)
    if length < 126:
        return bytes([first, length]) + payload
    if length < 1 << 16:
        return bytes([first, 126]) + length.to_bytes(2, "big") + payload
    return bytes([first, 127]) + length.to_bytes(8, "big") + payload


def _fragments(message: bytes) -> Iterator[bytes]:
    """A binary message in frames of a piece each (section 5.4), between which a pong or a goodbye may come."""
    binary, last = 0x02, 0x80
    for start in range(0, len(message), PIECE):
        ends = start + PIECE >= len(message)
        yield _framed(message[start : start + PIECE], (0 if start else binary) | (last if ends else 0))


async def _stream(request: web.Request) -> web.WebSocketResponse:
    websocket = await _open(request)
    stream = request.app[SERVER].stream(_Sink(request, websocket))
    try:
        async for message in websocket:
            if message.type is not WSMsgType.BINARY:
                break
            await stream.received(message.data)
            websocket.arriving.taken(message.data)
    except (BadRequest, ConnectionError):
        pass
    except Exception as error:  # noqa: BLE001 -- one stream ends; the server goes on
        report(error)
    finally:
        stream.close()
        await _end(request, websocket)
    return websocket


async def _anonymous_socket(request: web.Request) -> web.WebSocketResponse:
    """Several requests in flight; each answer goes out when it is ready."""
    websocket = await _open(request)
    requests = _Requests(request)
    try:
        while (message := await websocket.receive()).type is WSMsgType.BINARY:
            await requests.received(message.data)
            websocket.arriving.taken(message.data)
    except (BadRequest, ConnectionError):
        pass
    finally:
        await _end(request, websocket)
    return websocket


class _Requests:
    """The requests of one socket. What each takes is held until the client has taken its answer."""

    def __init__(self, request: web.Request) -> None:
        assert request.transport is not None
        self._server = request.app[SERVER]
        self._room = request.app[ROOM]
        self._transport = request.transport
        # What is drained is then in the kernel, all of it.
        self._transport.set_write_buffer_limits(high=1)
        self._drain = request.writer.drain
        self._sending = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._fewer = asyncio.Event()

    async def received(self, frame: bytes) -> None:
        """Begin to answer, as soon as fewer than `MAX_IN_FLIGHT` are under way. One reader calls it, in turn."""
        framed = wire.FRAMED.decode(frame)
        if len(self._tasks) >= MAX_IN_FLIGHT:
            self._fewer.clear()
            await self._fewer.wait()
        task = self._loop.create_task(self._answer(framed))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def _answer(self, framed: wire.Framed) -> None:
        with Place(self._room) as place:
            try:
                place.hold(len(framed.body) + RESERVED)
                body = await self._server.anonymous(framed.body)
                keep_answer(place, framed.body, body)
            except ServerBusy as error:
                body = wire.encode(wire.Refusal(error.code, error.retry_after))
            message = wire.encode(wire.Framed(framed.n, body))
            if len(message) > PIECE or self._sending.locked():
                await self._send_in_turn(_fragments(message))
            elif not self._written(_framed(message)):
                await self._send_in_turn(())

    async def _send_in_turn(self, frames: Iterable[bytes]) -> None:
        """Each when the one before is taken, after what others send. It takes a lock and a clock, which together cost a
        tenth of a post, and nearly every answer is short and taken at once.

        Raises ConnectionError; also when the client takes nothing for too long, which ends the socket.
        """
        async with self._sending:
            await self._taken()
            for frame in frames:
                if not self._written(frame):
                    await self._taken()

    def _written(self, frame: bytes) -> bool:
        """Write; whether all of it is in the kernel already. Raises ConnectionError."""
        if self._transport.is_closing():
            raise ConnectionResetError
        self._transport.write(frame)
        return self._transport.get_write_buffer_size() == 0

    async def _taken(self) -> None:
        """Wait until all that was written is in the kernel. Raises ConnectionError."""
        try:
            async with asyncio.timeout(CLIENT_SECONDS):
                await self._drain()
        except TimeoutError:
            self._transport.abort()
            raise ConnectionResetError from None

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._fewer.set()
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, ConnectionError):
            report(error)
