"""How a program that answers requests starts and stops: `run`, `relay` and `replica` share it, and it knows none."""

import asyncio
import ctypes
import logging
import math
import os
import resource
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web, web_response

from grue.errors import ServerBusy, UsageError

BACKLOG: Final = 1024
"""Connections waiting to be accepted: all of a small server's clients coming back at once."""

CLOSE_SECONDS: Final = 2.0
"""How long a client may take to say goodbye, and what is under way may go on, when the program stops."""

RETRY_SECONDS: Final = 5
"""What `Retry-After` says when there is no room, or what is behind is away."""

PR_SET_DUMPABLE: Final = 4
"""Of Linux's `prctl`: whether a crash leaves an image of the process, and whether others of its user may read it."""

NOT_ENCODED: Final = "A body is sent as it is, without a Content-Encoding."

KEEPALIVE_SECONDS: Final = 75.0
"""After this a connection without a request is closed."""

# Also in answers that never reach our routes: no version of aiohttp and Python.
web_response.SERVER_SOFTWARE = "grue"  # type: ignore[attr-defined]

_SILENT: Final = logging.getLogger("grue.server.http")
"""aiohttp logs the address of whoever sends nonsense, with a trace; ours are reported elsewhere."""
_SILENT.disabled = True


class Room:
    """What is under way, in bytes and in requests, so that no crowd makes the program grow."""

    def __init__(self, most_bytes: int, most_requests: float = math.inf) -> None:
        self.most_bytes = most_bytes
        self.most_requests = most_requests
        self.bytes = 0
        self.requests = 0

    def place(self) -> "Place":
        """One request's place, from `with` on. Raises ServerBusy there."""
        return Place(self)


class Place:
    """The bytes that one request holds, given back when it is done.

    A class and no generator under `contextmanager`, which costs three times as much, and every request has a place.
    """

    __slots__ = ("_room", "held")

    def __init__(self, room: Room) -> None:
        self._room = room
        self.held = 0

    def __enter__(self) -> Self:
        if self._room.requests >= self._room.most_requests:
            raise ServerBusy
        self._room.requests += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._room.requests -= 1
        self._room.bytes -= self.held

    def hold(self, count: int) -> None:
        """Count bytes before they are kept. Raises ServerBusy."""
        room = self._room
        if room.bytes + count > room.most_bytes:
            raise ServerBusy
        room.bytes += count
        self.held += count

    def keep(self, count: int) -> None:
        """Count bytes that stay, whether there is room for them or not."""
        self._room.bytes += count
        self.held += count


@web.middleware
async def _as_it_is(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
    """Refuse what is encoded before anything of it is read: a MiB of it can be a GiB."""
    encodings = request.headers.getall("Content-Encoding", ())
    if any(encoding.strip().lower() != "identity" for encoding in encodings):
        return web.Response(status=415, text=NOT_ENCODED)
    return await handler(request)  # type: ignore[no-any-return]


def runner(app: web.Application, *, shutdown_seconds: float = CLOSE_SECONDS) -> web.AppRunner:
    """What a site is started from; keeps no log of who came, and unpacks no body."""
    app.middlewares.insert(0, _as_it_is)
    return web.AppRunner(
        app,
        access_log=None,
        logger=_SILENT,
        handle_signals=False,
        shutdown_timeout=shutdown_seconds,
        tcp_keepalive=True,
        keepalive_timeout=KEEPALIVE_SECONDS,
        # In the event loop and before any check of ours; see `_as_it_is`.
        auto_decompress=False,
    )


def parse_address(listen: str) -> tuple[str, int]:
    """Host and port of HOST:PORT. Raises UsageError."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError("--listen takes HOST:PORT, for example 127.0.0.1:8443.")
    return host.strip("[]"), int(port)


def set_limits() -> None:
    """No core dump, which would put keys and what is passing through into a file; and sockets for everybody."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # Linux takes no notice of the limit where `core_pattern` pipes the image to a program (core(5)). Of a process
        # that is not dumpable it makes none, and nobody but root reads its memory.
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))


def stop_signal() -> asyncio.Event:
    """Set at SIGTERM and at SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


@asynccontextmanager
async def listening(
    web_runner: web.AppRunner, address: tuple[str, int], tls: ssl.SSLContext | None
) -> AsyncIterator[str]:
    """Answer requests on HOST:PORT, which it gives. On leaving: take no more, and let what is under way finish."""
    host, port = address
    await web_runner.setup()
    try:
        await _start(web.TCPSite(web_runner, host, port, ssl_context=tls, backlog=BACKLOG))
        yield _bound(web_runner, host)
    finally:
        await web_runner.cleanup()


async def _start(site: web.TCPSite) -> None:
    try:
        await site.start()
    except OSError as error:
        raise UsageError(f"Cannot listen on that address: {os.strerror(error.errno or 0)}.") from None


def _bound(web_runner: web.AppRunner, host: str) -> str:
    """HOST:PORT as it is, since port 0 means any."""
    port = web_runner.addresses[0][1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def run_fast(main: Coroutine[Any, Any, None]) -> None:
    """Run to the end, on the fastest event loop there is."""
    try:
        import uvloop
    except ImportError:  # Windows
        asyncio.run(main)
    else:
        uvloop.run(main)
