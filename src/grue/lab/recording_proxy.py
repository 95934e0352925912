"""Recording proxies stand between two parties, pass everything on, and record it: the captures of the demo."""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import aiohttp
from aiohttp import web

from grue.exposure.captures import Event

MAX_FRAME: Final = 4 << 20
HOP: Final = frozenset({"host", "connection", "keep-alive", "transfer-encoding", "upgrade", "content-length"})
"""Headers that are between two neighbours and not passed on, in small letters; those of WebSockets are left out too."""

PDU_HEADER: Final = 16
"""Bytes of the header of every SMPP PDU."""

Record = Callable[[Event], None]
Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


class HttpProxy:
    """Stands before a server, for the clients of one network address, which the server sees them come from."""

    def __init__(self, address: str, record: Record) -> None:
        self.address = address
        self._record = record
        self._server = ""
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Listen; returns the URL that stands for the server's."""
        app = web.Application(client_max_size=MAX_FRAME)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=0.1, auto_decompress=False
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    def connect(self, server: str) -> None:
        """The server's real URL. Connections to it come from this proxy's address, where this machine has it."""
        connector = aiohttp.TCPConnector(local_addr=(self.address, 0) if _is_here(self.address) else None)
        self._session = aiohttp.ClientSession(
            connector=connector, auto_decompress=False, skip_auto_headers=("User-Agent",)
        )
        self._server = server

    async def close(self) -> None:
        # In this order: a request that comes when there is no session any more would be a fault of the proxy's.
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        handle = self._socket if request.headers.get("Upgrade", "").lower() == "websocket" else self._request
        try:
            return await handle(request)
        except aiohttp.ClientError:
            return web.Response(status=502)

    async def _request(self, request: web.Request) -> web.StreamResponse:
        where, body = f"{request.method} {request.path}", await request.read()
        passed = self._passed(request)
        passed(True, f"{where} headers", _headers(request))
        passed(True, where, body)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP}
        assert self._session is not None
        async with self._session.request(
            request.method, self._server + request.raw_path, data=body or None, headers=headers, allow_redirects=False
        ) as answer:
            answered = await answer.read()
            passed(False, where, answered)
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP}
            return web.Response(status=answer.status, body=answered, headers=kept)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        where, passed = f"WS {request.path}", self._passed(request)
        passed(True, f"{where} headers", _headers(request))
        assert self._session is not None
        async with self._session.ws_connect(
            self._server + request.raw_path, compress=0, max_msg_size=MAX_FRAME
        ) as server:
            client = web.WebSocketResponse(compress=False, max_msg_size=MAX_FRAME)
            await client.prepare(request)
            pumps = [
                asyncio.create_task(_pump(client, server, lambda data: passed(True, where, data))),
                asyncio.create_task(_pump(server, client, lambda data: passed(False, where, data))),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            await client.close()
        return client

    def _passed(self, request: web.Request) -> Callable[[bool, str, bytes], None]:
        """What records all that passes on this connection; each has a port of its own."""
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        connection = f"{self.address} {peer[1] if peer else id(request)}"

        def passed(up: bool, where: str, data: bytes) -> None:
            self._record(Event(time.time(), self.address, connection, up, where, data))

        return passed


async def _pump(source: Socket, sink: Socket, passed: Callable[[bytes], None]) -> None:
    async for message in source:
        if message.type is not aiohttp.WSMsgType.BINARY:
            return
        passed(message.data)
        with suppress(ConnectionError):
            await sink.send_bytes(message.data)


def _is_here(address: str) -> bool:
    """On Linux all of 127.0.0.0/8 is; elsewhere it may be only 127.0.0.1."""
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _headers(request: web.Request) -> bytes:
    return b"\r\n".join(name + b": " + value for name, value in request.raw_headers)


class SmppProxy:
    """Stands between an SMS gateway and its carrier. Each PDU is an event, however TCP cut or joined them."""

    def __init__(self, record: Record) -> None:
        self._name = "SMPP"
        self._record = record
        self._target: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> str:
        """Listen; returns HOST:PORT. Connections wait until `connect`."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def connect(self, address: str) -> None:
        """HOST:PORT of the other side."""
        host, _, port = address.rpartition(":")
        self._target.set_result((host, int(port)))

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        # Cancelled by `close`: asyncio would complain of a handler that ends so.
        with suppress(asyncio.CancelledError, OSError):
            there_reader, there_writer = await asyncio.open_connection(*await self._target)
            connection = f"{self._name} {writer.get_extra_info('peername')[1]}"
            await asyncio.gather(
                self._pump(reader, there_writer, connection, True), self._pump(there_reader, writer, connection, False)
            )
        writer.close()
        self._tasks.discard(task)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: str, up: bool
    ) -> None:
        waiting = b""
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                pdus, waiting = _pdus(waiting + data)
                for pdu in pdus:
                    self._record(Event(time.time(), self._name, connection, up, self._name, pdu))
                writer.write(data)
                await writer.drain()
        writer.close()


def _pdus(data: bytes) -> tuple[list[bytes], bytes]:
    """Whole PDUs, by the length that each begins with (SMPP 3.4, section 3.2), and what is left of the next one."""
    pdus = []
    while len(data) >= PDU_HEADER:
        length = max(int.from_bytes(data[:4], "big"), PDU_HEADER)
        if length > len(data):
            break
        pdus.append(data[:length])
        data = data[length:]
    return pdus, data
