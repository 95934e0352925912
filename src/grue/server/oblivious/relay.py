"""The oblivious relay (RFC 9458): it sees who asks and not what, and passes sealed requests to one gateway.

A program for another operator than the server's. It has no key, no store and no log, and knows one place to
forward to. See `docs/protocol/relay.md`, whose checks are named here.
"""

import asyncio
import io
import logging
import math
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, TypeVar

import aiohttp
from aiohttp import web
from yarl import URL

from grue.errors import ServerBusy, TooLarge, Unreachable, UsageError
from grue.protocol import wire
from grue.protocol.urls import check_url
from grue.server.listening import (
    CLOSE_SECONDS,
    RETRY_SECONDS,
    Place,
    Room,
    listening,
    parse_address,
    run_fast,
    runner,
    set_limits,
    stop_signal,
)

PATH: Final = f"/{wire.PROTOCOL}/relay"
GATEWAY: Final = f"{wire.PROTOCOL}/gateway"
BINARY: Final = "application/octet-stream"

MAX_BODY: Final = wire.MAX_REQUEST + 4096
"""Bytes of one sealed request: the largest inside, and what the sealing adds."""

MAX_ANSWER: Final = wire.MAX_REQUEST + 4096
"""Bytes of one answer. More is no gateway's, and is not passed on."""

MAX_KEY_FILE: Final = 8192
"""Bytes of the gateway's key file: some 1.3 KB for each key in it."""

KEY_SECONDS: Final = 120.0
"""Seconds for which one key file is handed to everybody, so that a gateway cannot answer each client with its own. Then
all clients ask again. Longer would be cheaper, and worse after the gateway's restart, which loses its keys."""

MAX_IN_FLIGHT: Final = 4096
"""Requests at once, most of them long polls, each with two sockets. Of one connection it is one, as in HTTP/1.1."""

MAX_HELD: Final = 256 << 20
"""Bytes of requests and answers in memory at once. Most are a few KB; a thousand of the largest would be too much."""

UPSTREAM_SECONDS: Final = 45.0
"""Seconds until the gateway counts as gone: a long poll takes 30, and its answer has to come over as well."""

CONNECT_SECONDS: Final = 5.0
"""Seconds for a connection to the gateway, where none is free."""

CLIENT_SECONDS: Final = 30.0
"""Seconds that a client has to send its request, and again to take its answer: 1 MiB at 300 kbit/s."""

_MEDIA_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,64}/[A-Za-z0-9!#$&^_.+-]{1,64}")


T = TypeVar("T")


class Answer(NamedTuple):
    """What the gateway said, and all of it that is passed on."""

    status: int
    media_type: str
    body: bytes


Hold = Callable[[int], None]


class Gateway:
    """The one place to forward to, over connections that all clients share."""

    def __init__(self, to: str) -> None:
        self._url = _gateway_url(to)
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        async with _session() as self._session:
            yield

    async def post(self, body: bytes, place: Place) -> Answer:
        """The answer to one sealed request. Raises Unreachable, ServerBusy."""
        # As a file, because aiohttp warns of larger bytes than 1 MiB, which it would write at one go.
        return await self._ask("POST", io.BytesIO(body), {"Content-Type": wire.OHTTP_REQUEST}, MAX_ANSWER, place.hold)

    async def key_file(self) -> bytes:
        """The gateway's signed keys. Raises Unreachable."""
        answer = await self._ask("GET", None, {}, MAX_KEY_FILE, lambda _count: None)
        if (answer.status, answer.media_type) != (200, BINARY):
            raise Unreachable
        return answer.body

    async def _ask(
        self, method: str, body: io.BytesIO | None, headers: dict[str, str], limit: int, hold: Hold
    ) -> Answer:
        assert self._session is not None
        try:
            request = self._session.request(method, self._url, data=body, headers=headers, allow_redirects=False)
            async with request as response:
                if not _is_answer(response):
                    raise Unreachable
                return Answer(response.status, _media_type(response), await _limited(response.content, limit, hold))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            raise Unreachable from None


def _gateway_url(to: str) -> URL:
    """RELAY-12: a server's URL and nothing else, since a name in it would be sent as a header of our own."""
    url = URL(check_url(to))
    if url.raw_user is not None or url.raw_password is not None or url.raw_query_string or url.raw_fragment:
        raise UsageError("--to takes a server's URL alone: no name, no password, nothing after a ? or #.")
    return url / GATEWAY


def _session() -> aiohttp.ClientSession:
    """Connections to the gateway, and on them no header that is not asked for (RELAY-05, RELAY-06)."""
    return aiohttp.ClientSession(
        # No limit of its own: what waits is bounded by `Room`, and a long poll must not make others wait.
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=UPSTREAM_SECONDS, sock_connect=CONNECT_SECONDS),
        headers={"Accept-Encoding": "identity"},
        skip_auto_headers=("User-Agent", "Accept"),
        auto_decompress=False,
        trust_env=False,
    )


def _is_answer(response: aiohttp.ClientResponse) -> bool:
    """RELAY-07: an answer or an error, not encoded. A redirect is neither, and is not followed."""
    plain = response.headers.get("Content-Encoding", "identity") == "identity"
    return plain and (response.status == 200 or 400 <= response.status < 600)


def _media_type(response: aiohttp.ClientResponse) -> str:
    """The type without its parameters, in which a gateway could write what it likes."""
    written = response.headers.get("Content-Type", BINARY).partition(";")[0].strip().lower()
    return written if _MEDIA_TYPE.fullmatch(written) else BINARY


async def _limited(content: aiohttp.StreamReader, limit: int, hold: Hold) -> bytes:
    """RELAY-08: all of an answer, and no more than it may be."""
    data = bytearray()
    async for chunk in content.iter_any():
        hold(len(chunk))
        data += chunk
        if len(data) > limit:
            raise Unreachable
    return bytes(data)


class KeyFile:
    """The gateway's keys: one copy, the same to all (RELAY-09), never one that has run out (RELAY-10)."""

    def __init__(self, fetch: Callable[[], Coroutine[Any, Any, bytes]], clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._kept = b""
        self._until = float("-inf")
        self._fetching: asyncio.Task[bytes] | None = None

    @property
    def seconds_left(self) -> int:
        """Until the next copy: so long this one is everybody's."""
        return max(0, math.ceil(self._until - self._clock()))

    async def get(self) -> bytes:
        """The copy, fetched where there is none; who comes meanwhile waits for the same one. Raises Unreachable."""
        if self._clock() < self._until:
            return self._kept
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._refresh())
        # Whoever started it may go away before the others have it.
        return await asyncio.shield(self._fetching)

    async def _refresh(self) -> bytes:
        try:
            kept = await self._fetch()
            self._kept, self._until = kept, self._clock() + KEY_SECONDS
            return kept
        finally:
            self._fetching = None


class Relay:
    """The relay without its sockets' beginning and end: `application` has its routes."""

    def __init__(self, to: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises UsageError when `to` is no URL of a gateway."""
        self.room = Room(MAX_HELD, MAX_IN_FLIGHT)  # RELAY-11
        self._gateway = Gateway(to)
        self._keys = KeyFile(self._gateway.key_file, clock)
        self._asking: set[asyncio.Task[Any]] = set()

    def application(self) -> web.Application:
        app = web.Application(middlewares=[_silent])
        app.cleanup_ctx.append(self._connected)
        app.on_shutdown.append(self._finish)
        app.router.add_post(PATH, self._post)
        app.router.add_get(PATH, self._get, allow_head=False)
        app.router.add_route("*", "/{rest:.*}", _nothing)
        return app

    async def _connected(self, _app: web.Application) -> AsyncIterator[None]:
        async with self._gateway.connected():
            yield

    async def _finish(self, _app: web.Application) -> None:
        """Let what is under way end, and cut what then still waits."""
        if self._asking:
            _, polls = await asyncio.wait(self._asking, timeout=CLOSE_SECONDS)
            for poll in polls:
                poll.cancel()

    async def _get(self, request: web.Request) -> web.StreamResponse:
        with self.room.place():
            body = await self._asked(self._keys.get())
            response = _response(Answer(200, BINARY, body))
            response.headers["Cache-Control"] = f"max-age={self._keys.seconds_left}"  # RELAY-13
            return await _sent(request, response)

    async def _post(self, request: web.Request) -> web.StreamResponse:
        if request.content_type != wire.OHTTP_REQUEST:
            return web.Response(status=415)  # RELAY-01; what is encoded is refused before, as at every program here
        if (request.content_length or 0) > MAX_BODY:
            return web.Response(status=413)  # RELAY-02
        with self.room.place() as place:
            async with asyncio.timeout(CLIENT_SECONDS):
                body = await _body(request, place)
            return await _sent(request, _response(await self._asked(self._gateway.post(body, place))))

    async def _asked(self, question: Coroutine[Any, Any, T]) -> T:
        """Ask in a task of its own, which a client that goes away does not cut: the gateway would see it go."""
        task = asyncio.create_task(question)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        await asyncio.wait([task])
        if task.cancelled():
            raise ServerBusy
        return task.result()


@web.middleware
async def _silent(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
    """RELAY-03, RELAY-04: whatever goes wrong is a bare status, and is written down nowhere."""
    try:
        return await handler(request)  # type: ignore[no-any-return]
    except Unreachable:
        return web.Response(status=502, headers={"Retry-After": str(RETRY_SECONDS)})
    except ServerBusy:
        return web.Response(status=503, headers={"Retry-After": str(RETRY_SECONDS)})
    except TimeoutError:
        return web.Response(status=408)
    except TooLarge:
        return web.Response(status=413)
    except (ConnectionError, web.HTTPException):
        raise
    except Exception:  # noqa: BLE001 -- the relay goes on
        return web.Response(status=500)


async def _nothing(_request: web.Request) -> web.Response:
    return web.Response(status=404)


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers={"Content-Type": answer.media_type})


async def _body(request: web.Request, place: Place) -> bytes:
    """All of a request, whose length need not have been announced (RELAY-02)."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        place.hold(len(chunk))
        body += chunk
        if len(body) > MAX_BODY:
            raise TooLarge
    return bytes(body)


async def _sent(request: web.Request, response: web.Response) -> web.Response:
    """Send while the place is still held; who does not take the answer in time loses the connection."""
    try:
        async with asyncio.timeout(CLIENT_SECONDS):
            await response.prepare(request)
            await response.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    return response


# --- running it -----------------------------------------------------------------------------------


async def relay(
    listen: str,
    to: str,
    tls: ssl.SSLContext | None = None,
    ready: Callable[[str], None] = lambda _address: None,
) -> None:
    """Relay until SIGTERM or SIGINT. Calls `ready` with HOST:PORT once requests are answered.

    to  the gateway's server: https://, or http:// on this machine

    Raises UsageError when it cannot start. Whether the gateway answers shows with the first request.
    """
    address = parse_address(listen)
    application = Relay(to).application()
    set_limits()
    stop = stop_signal()
    # What the loop would say holds addresses.
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    async with listening(runner(application), address, tls) as bound:
        ready(bound)
        await stop.wait()


def run(listen: str, to: str, **options: Any) -> None:
    """`relay`, in a process of its own: no library in it logs anything either."""
    logging.disable(logging.CRITICAL)
    run_fast(relay(listen, to, **options))
