"""A server on a socket, a relay before it that does as a test says, and a SOCKS5 proxy that notes what it is asked."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from grue.client.transport.oblivious import ObliviousTransport
from grue.client.transport.transport import Endpoint, TransportSettings
from grue.protocol import wire
from grue.server import http
from grue.server.app import Server
from grue.server.directory.directory import Directory
from grue.server.keys.keys import Keys
from grue.server.oblivious.ohttp_gateway import OhttpKeys
from tests.server.kit import Clock, TestServer, serving

Behave = Callable[[bytes], Awaitable[web.Response]]


@dataclass
class Relay:
    """Hands on what it is given, unless `post` or `key` was exchanged."""

    gateway: str
    session: aiohttp.ClientSession
    taken: list[bytes] = field(default_factory=list)
    """Sealed requests, as they came."""
    keys_given: int = 0
    common: int = 120
    """Seconds until the relay has another copy of the key."""
    copy: bytes = b""
    """What it hands out to everybody until then; nothing for one that keeps none."""
    url: str = ""

    def __post_init__(self) -> None:
        self.post: Behave = self.hand_on
        self.key: Callable[[], Awaitable[web.Response]] = self.hand_out

    async def hand_on(self, sealed: bytes) -> web.Response:
        headers = {"Content-Type": wire.OHTTP_REQUEST}
        async with self.session.post(self.gateway, data=sealed, headers=headers) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)

    async def hand_out(self) -> web.Response:
        if self.copy:
            return self.key_response(self.copy)
        async with self.session.get(self.gateway) as answer:
            return self.key_response(await answer.read(), answer.status)

    def key_response(self, file: bytes, status: int = 200) -> web.Response:
        return web.Response(status=status, body=file, headers={"Cache-Control": f"max-age={self.common}"})

    async def posted(self, request: web.Request) -> web.Response:
        sealed = await request.read()
        self.taken.append(sealed)
        try:
            return await self.post(sealed)
        except aiohttp.ClientError:
            return web.Response(status=502)

    async def got(self, _request: web.Request) -> web.Response:
        self.keys_given += 1
        return await self.key()


def always(status: int, headers: dict[str, str] | None = None) -> Behave:
    async def answer(_sealed: bytes) -> web.Response:
        return web.Response(status=status, headers=headers)

    return answer


class Way:
    """A transport of a client, the relay that it goes through, and the server behind."""

    def __init__(self, server: TestServer, relay: Relay, url: str) -> None:
        self.server = server
        self.relay = relay
        self.url = url
        self.transport = self.another()

    def another(self, **settings: str) -> ObliviousTransport:
        chosen = TransportSettings(**({"relay": self.relay.url} | settings))
        return ObliviousTransport(Endpoint(self.url, self.server.keys.server_public, chosen), self.server.clock)


def strangers_key(to: Way) -> Callable[[], Awaitable[web.Response]]:
    """What hands out a key that another server has signed."""
    stranger = OhttpKeys(Keys.generate().signing, to.server.clock)

    async def hand_out() -> web.Response:
        return web.Response(body=stranger.key_file())

    return hand_out


@contextlib.asynccontextmanager
async def way(path: Path) -> AsyncIterator[Way]:
    """Everything on sockets of this process."""
    keys, clock = Keys.generate(), Clock()
    async with (
        serving(keys=keys, directory=Directory(path, keys, clock), clock=clock) as server,
        aiohttp.ClientSession() as session,
        _site(http.application(server)) as url,
        relaying(f"{url}/2/gateway", session) as relay,
    ):
        all_of_it = Way(server, relay, url)
        yield all_of_it
        await all_of_it.transport.close()


@contextlib.asynccontextmanager
async def relaying(gateway: str, session: aiohttp.ClientSession) -> AsyncIterator[Relay]:
    relay = Relay(gateway, session)
    app = web.Application(client_max_size=2 * wire.MAX_REQUEST)
    app.router.add_post("/2/relay", relay.posted)
    app.router.add_get("/2/relay", relay.got)
    async with _site(app) as relay.url:
        yield relay


@contextlib.asynccontextmanager
async def recorded(server: Server) -> AsyncIterator[tuple[str, list[tuple[str, bytes]]]]:
    """A server on a socket, and all that comes to it: path and body, of a WebSocket a path for each frame."""
    seen: list[tuple[str, bytes]] = []

    @web.middleware
    async def note(request: web.Request, handler: Any) -> web.StreamResponse:
        websocket = request.headers.get("Upgrade", "").lower() == "websocket"
        seen.append((request.path, b"" if websocket else await request.read()))
        return await handler(request)  # type: ignore[no-any-return]

    app = http.application(server)
    app.middlewares.append(note)
    async with _site(app) as url:
        yield url, seen


@contextlib.asynccontextmanager
async def _site(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@dataclass
class Connect:
    """One connection that a SOCKS5 proxy was asked for."""

    user: bytes
    kind: int
    """ATYP of RFC 1928: 1 and 4 are addresses, 3 is a name."""
    host: bytes
    port: int


class Socks:
    """A SOCKS5 proxy that takes any name and password, and connects every name to this machine."""

    def __init__(self) -> None:
        self.connects: list[Connect] = []
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"socks5://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Socks"]:
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            connect = await self._asked(reader, writer)
            self.connects.append(connect)
            there_reader, there = await asyncio.open_connection("127.0.0.1", connect.port)
            writer.write(b"\x05\x00\x00\x01" + bytes(6))
            await asyncio.gather(_copy(reader, there), _copy(there_reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _asked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Connect:
        _, methods = await reader.readexactly(2)
        assert 2 in await reader.readexactly(methods), "no name and password offered"
        writer.write(b"\x05\x02")
        _, length = await reader.readexactly(2)
        user = await reader.readexactly(length)
        await reader.readexactly((await reader.readexactly(1))[0])
        writer.write(b"\x01\x00")
        _, _, _, kind = await reader.readexactly(4)
        length = {1: 4, 4: 16}.get(kind) or (await reader.readexactly(1))[0]
        host = await reader.readexactly(length)
        return Connect(user, kind, host, int.from_bytes(await reader.readexactly(2), "big"))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
