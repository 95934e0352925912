"""The server on the network: aiohttp in front of `app.Server`, and nothing that decides anything.

No access log, no header that names a version of anything, no compression (it would let lengths speak).
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import WSMsgType, web

from grue.errors import BadRequest, GrueError, OtherVersion, TooLarge
from grue.protocol import wire
from grue.protocol.directory import HEAD_PATH, PRIVATE_FILES
from grue.server import gateway, listening
from grue.server.app import Server
from grue.server.reporting import report

PREFIX: Final = f"/{wire.PROTOCOL}"
BINARY: Final = "application/octet-stream"

FRAME_BYTES: Final = wire.MAX_REQUEST + 64
"""A frame is a request and a few bytes around it."""

MAX_IN_FLIGHT: Final = 64
"""Requests of one socket that are worked on at once; more wait in the client's own buffers."""

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


class Sockets(set[web.WebSocketResponse]):
    """The WebSockets that are open, to say goodbye to when the server stops."""


SERVER: Final = web.AppKey("server", Server)
SOCKETS: Final = web.AppKey("sockets", Sockets)


def application(server: Server) -> web.Application:
    """The routes of one server."""
    app = web.Application(client_max_size=FRAME_BYTES, middlewares=[_reported])
    app[SERVER] = server
    app[SOCKETS] = Sockets()
    app.on_shutdown.append(_let_polls_go)
    app.on_shutdown.append(_close_sockets)
    app.router.add_get("/grue", _hello)
    app.router.add_post(f"{PREFIX}/account", _account)
    app.router.add_post(f"{PREFIX}/anonymous", _anonymous)
    app.router.add_get(f"{PREFIX}/anonymous", _anonymous_socket)
    app.router.add_get(f"{PREFIX}/stream", _stream)
    app.router.add_get(f"{PREFIX}/gateway", _gateway_key)
    app.router.add_post(f"{PREFIX}/gateway", _gateway)
    app.router.add_get(f"{PREFIX}/directory/{{path:.+}}", _directory_file)
    app.router.add_route("*", r"/{version:\d+}/{rest:.*}", _other_version)
    return app


def runner(server: Server) -> web.AppRunner:
    """What a site is started from; keeps no log of who came."""
    return listening.runner(application(server))


@web.middleware
async def _reported(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A fault of ours is logged as every other is, and answered as one."""
    try:
        return await handler(request)
    except web.HTTPException:
        raise
    except Exception as error:  # noqa: BLE001 -- the server goes on
        report(error)
        return _refusal(GrueError(), status=500)


def _binary(body: bytes | memoryview, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, headers={"Content-Type": BINARY})


def _refusal(error: GrueError, status: int = 200) -> web.Response:
    return _binary(wire.encode(wire.Refusal(error.code, error.retry_after)), status)


async def _hello(request: web.Request) -> web.Response:
    return _binary(wire.encode(request.app[SERVER].hello()))


async def _account(request: web.Request) -> web.Response:
    return await _answer(request, request.app[SERVER].account)


async def _anonymous(request: web.Request) -> web.Response:
    return await _answer(request, request.app[SERVER].anonymous)


async def _answer(request: web.Request, role: Callable[[bytes], Awaitable[bytes]]) -> web.Response:
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        return _refusal(TooLarge())
    return _binary(await role(body))


async def _gateway_key(request: web.Request) -> web.Response:
    return _binary(request.app[SERVER].gateway.key_file())


async def _gateway(request: web.Request) -> web.Response:
    """A sealed request that a relay hands on; RFC 9458 has the media types and statuses."""
    if request.content_type != wire.OHTTP_REQUEST:
        return web.Response(status=415)
    reply = await gateway.answer(request.app[SERVER], await request.read())
    return web.Response(body=reply.body, status=reply.status, content_type=reply.media)


async def _other_version(request: web.Request) -> web.Response:
    if request.match_info["version"] == str(wire.PROTOCOL):
        raise web.HTTPNotFound
    return _refusal(OtherVersion(), status=426)


# --- the directory's public files -----------------------------------------------------------------


async def _directory_file(request: web.Request) -> web.Response:
    path = request.match_info["path"]
    body = request.app[SERVER].directory.view(path, request.query_string)
    if body is None:
        return web.Response(status=404)
    response = _ranged(request, body)
    response.headers["Cache-Control"] = _cache_rule(path)
    response.headers["Accept-Ranges"] = "bytes"
    return response


def _cache_rule(path: str) -> str:
    """An epoch's files never change, but for its overlay, which grows; and the head is ever another."""
    if path == HEAD_PATH:
        return HEAD_CACHE
    epoch, _, name = path.partition("/")
    return IMMUTABLE_CACHE if epoch.isdecimal() and name in ("manifest", "base", *PRIVATE_FILES) else OVERLAY_CACHE


def _ranged(request: web.Request, body: bytes | memoryview) -> web.Response:
    """The part of a file that was asked for, so that a broken download goes on where it was."""
    try:
        wanted = request.http_range
    except ValueError:
        return _unsatisfiable(body)
    if wanted.start is None and wanted.stop is None:
        return _binary(body)
    start, stop, _ = wanted.indices(len(body))
    if start >= stop:
        return _unsatisfiable(body)
    response = _binary(body[start:stop], status=206)
    response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(body)}"
    return response


def _unsatisfiable(body: bytes | memoryview) -> web.Response:
    return web.Response(status=416, headers={"Content-Range": f"bytes */{len(body)}"})


# --- sockets --------------------------------------------------------------------------------------


async def _open(request: web.Request) -> web.WebSocketResponse:
    websocket = web.WebSocketResponse(
        compress=False,
        max_msg_size=FRAME_BYTES,
        timeout=listening.CLOSE_SECONDS,
        autoping=True,
        writer_limit=HIGH_WATER,
    )
    await websocket.prepare(request)
    _keep_alive(request)
    request.app[SOCKETS].add(websocket)
    return websocket


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
    """`streams.Sink` over a WebSocket."""

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


def _framed(payload: bytes) -> bytes:
    """A binary WebSocket frame as a server sends it (RFC 6455, section 5.2): whole, and not masked.

    Written here because aiohttp's `send_bytes` is a coroutine, and a push happens where nothing can wait.
    """
    length = len(payload)
    if length < 126:
        return b"\x82" + bytes([length]) + payload
    if length < 1 << 16:
        return b"\x82\x7e" + length.to_bytes(2, "big") + payload
    return b"\x82\x7f" + length.to_bytes(8, "big") + payload


async def _stream(request: web.Request) -> web.WebSocketResponse:
    websocket = await _open(request)
    stream = request.app[SERVER].stream(_Sink(request, websocket))
    try:
        async for message in websocket:
            if message.type is not WSMsgType.BINARY:
                break
            await stream.received(message.data)
    except (BadRequest, ConnectionError):
        pass
    except Exception as error:  # noqa: BLE001 -- one stream ends; the server goes on
        report(error)
    finally:
        stream.close()
        request.app[SOCKETS].discard(websocket)
        await websocket.close()
    return websocket


async def _anonymous_socket(request: web.Request) -> web.WebSocketResponse:
    """Several requests in flight; each answer goes out when it is ready."""
    websocket = await _open(request)
    requests = _Requests(request.app[SERVER], _Sink(request, websocket))
    try:
        async for message in websocket:
            if message.type is not WSMsgType.BINARY:
                break
            await requests.received(message.data)
    except (BadRequest, ConnectionError):
        pass
    finally:
        request.app[SOCKETS].discard(websocket)
        await websocket.close()
    return websocket


class _Requests:
    def __init__(self, server: Server, sink: _Sink) -> None:
        self._server = server
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._free = asyncio.Semaphore(MAX_IN_FLIGHT)

    async def received(self, frame: bytes) -> None:
        framed = wire.FRAMED.decode(frame)
        await self._free.acquire()
        task = self._loop.create_task(self._answer(framed))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def _answer(self, framed: wire.Framed) -> None:
        answer = wire.encode(wire.Framed(framed.n, await self._server.anonymous(framed.body)))
        if not self._sink.push(answer):
            await self._sink.send(answer)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._free.release()
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, ConnectionError):
            report(error)
