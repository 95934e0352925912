"""How a client reaches its server: one interface, and `direct`, which goes straight there.

Three kinds of connection never share a socket, a session or an identifier: the account's requests, anonymous
requests, and streams (the intro mailbox's stream belongs to the account's side and is a socket of its own).
"""

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

import aiohttp

from grue.errors import (
    BY_CODE,
    BadCertificate,
    BadRequest,
    GrueError,
    NotAGrueServer,
    OtherVersion,
    Refused,
    ServerBusy,
    TimedOut,
    Unreachable,
    UsageError,
)
from grue.protocol import wire

log: Final = logging.getLogger("grue.client")

REQUEST_SECONDS: Final = 20.0
"""After this an answer counts as lost. An SMS gateway may take ten; a fetch of 4 MiB on a slow line as well."""

CONNECT_SECONDS: Final = 5.0
HEARTBEAT_SECONDS: Final = 30.0
"""Pings on streams: a dead line is noticed, and address translators keep the path open."""

MAX_FILE: Final = 64 << 20
"""Bytes of one directory file taken in one answer: 500,000 records, five times what tier 1 is for."""


T = TypeVar("T", wire.AccountAnswer, wire.AnonymousAnswer)


@dataclass
class Usage:
    """What a transport has carried; payload bytes, without HTTP's own."""

    requests: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    """Requests by the name of their message, for the client's own account of whom it gave what."""

    def sent(self, kind: str, size: int) -> None:
        self.requests += 1
        self.bytes_up += size
        self.kinds[kind] += 1

    def snapshot(self) -> "Usage":
        return Usage(self.requests, self.bytes_up, self.bytes_down)

    def since(self, before: "Usage") -> "Usage":
        return Usage(
            self.requests - before.requests, self.bytes_up - before.bytes_up, self.bytes_down - before.bytes_down
        )


class Stream(Protocol):
    """A socket that pushes what is appended to mailboxes."""

    async def send(self, request: wire.StreamRequest) -> None: ...
    def pushes(self) -> AsyncIterator[wire.StreamPush]:
        """What the server pushes, until the connection ends."""
        ...

    async def close(self) -> None: ...


class Transport(Protocol):
    """Requests in, answers out. Refusals are raised as the errors that they name; no answer as NetworkError."""

    usage: Usage

    async def hello(self) -> wire.ServerHello: ...
    async def account(self, request: wire.AccountRequest) -> wire.AccountAnswer: ...
    async def anonymous(self, request: wire.AnonymousRequest) -> wire.AnonymousAnswer: ...
    async def intro(self, request: wire.Fetch | wire.Ack) -> wire.AnonymousAnswer:
        """Read the own intro mailbox: with the account's connection, since beside a post it would name who posts."""
        ...

    async def file(self, path: str, start: int = 0) -> bytes:
        """A public file of the directory from byte `start`, fetched anonymously."""
        ...

    async def stream(self) -> Stream: ...
    async def close(self) -> None: ...


class Challenge(GrueError):
    """The server wants the request signed over this challenge; handled inside the library."""

    code = "challenge"

    def __init__(self, challenge: bytes) -> None:
        super().__init__()
        self.challenge = challenge


def refusal(answer: wire.Refusal) -> GrueError:
    """The error that a refusal names; an unknown code is a plain `Refused`."""
    if answer.code == Challenge.code:
        return Challenge(answer.detail)
    kind = BY_CODE.get(answer.code, Refused)
    return kind(retry_after=answer.retry_after)


def check_url(url: str) -> str:
    """A server's URL without its trailing slash. Raises UsageError, also for plain HTTP to another machine."""
    from yarl import URL

    try:
        parsed = URL(url.rstrip("/"))
    except ValueError:
        raise UsageError("That is no URL.") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise UsageError("A server's URL begins with https:// (or http:// on this machine).")
    if parsed.scheme == "http" and not _is_this_machine(parsed.host):
        raise UsageError("Plain http:// would show everything to the network; use https://.")
    return str(parsed)


def _is_this_machine(host: str) -> bool:
    """Whether a host is a loopback address, or the one name that always means one."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        # A name that merely looks like an address, such as 127.example.org, is whoever owns it.
        return host == "localhost"


class DirectTransport:
    """Straight to the server over HTTP and WebSocket. The server sees this machine's address."""

    def __init__(self, url: str) -> None:
        self.usage = Usage()
        self._url = check_url(url)
        self._base = f"{self._url}/{wire.PROTOCOL}"
        self._account: aiohttp.ClientSession | None = None
        self._anonymous: aiohttp.ClientSession | None = None
        self._streams: list[aiohttp.ClientSession] = []
        self._requests: _Requests | None = None
        self._opening = asyncio.Lock()

    async def hello(self) -> wire.ServerHello:
        self.usage.kinds["hello"] += 1
        async with _session() as session:
            body = await _get(session, f"{self._url}/grue")
        try:
            hello = wire.SERVER_HELLO.decode(body)
        except BadRequest:
            raise NotAGrueServer from None
        if wire.PROTOCOL not in hello.protocols:
            raise OtherVersion
        return hello

    async def account(self, request: wire.AccountRequest) -> wire.AccountAnswer:
        self._account = self._account or _session()
        sent = self._count(request)
        return _answer(wire.ACCOUNT_ANSWER, self._received(await _post(self._account, f"{self._base}/account", sent)))

    async def anonymous(self, request: wire.AnonymousRequest) -> wire.AnonymousAnswer:
        requests = await self._anonymous_socket()
        return _answer(wire.ANONYMOUS_ANSWER, self._received(await requests.ask(self._count(request))))

    async def intro(self, request: wire.Fetch | wire.Ack) -> wire.AnonymousAnswer:
        self._account = self._account or _session()
        sent = self._count(request)
        answer = self._received(await _post(self._account, f"{self._base}/anonymous", sent))
        return _answer(wire.ANONYMOUS_ANSWER, answer)

    async def file(self, path: str, start: int = 0) -> bytes:
        self._anonymous = self._anonymous or _session()
        headers = {"Range": f"bytes={start}-"} if start else {}
        self.usage.sent("file", 0)
        return self._received(await _get(self._anonymous, f"{self._base}/directory/{path}", headers))

    async def stream(self) -> Stream:
        session = _session()
        self._streams.append(session)
        return _DirectStream(session, await _connect(session, f"{self._base}/stream"), self.usage.kinds)

    async def close(self) -> None:
        if self._requests is not None:
            await self._requests.close()
        for session in (self._account, self._anonymous, *self._streams):
            if session is not None:
                await session.close()

    def _count(self, request: wire.Message) -> bytes:
        data = wire.encode(request)
        self.usage.sent(_kind(request), len(data))
        return data

    def _received(self, data: bytes) -> bytes:
        self.usage.bytes_down += len(data)
        return data

    async def _anonymous_socket(self) -> "_Requests":
        async with self._opening:
            if self._requests is None or self._requests.ended:
                self._anonymous = self._anonymous or _session()
                self._requests = _Requests(await _connect(self._anonymous, f"{self._base}/anonymous"))
            return self._requests

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class _Requests:
    """Anonymous requests on one socket, several in flight; answers find their request by number."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[bytes | None]] = {}
        self._ended = False
        self._reader = asyncio.create_task(self._read())

    @property
    def ended(self) -> bool:
        """No request can be written any more."""
        return self._ended or self._socket.closed

    async def ask(self, body: bytes) -> bytes:
        """The answer to one request. Raises Unreachable when it was not written, TimedOut when that is not sure."""
        if self.ended:
            raise Unreachable
        n = next(self._numbers)
        waiting: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._waiting[n] = waiting
        try:
            # Writing too: it waits while the other side takes nothing.
            async with asyncio.timeout(REQUEST_SECONDS):
                await self._socket.send_bytes(wire.encode(wire.Framed(n, body)))
                answer = await waiting
        except (TimeoutError, aiohttp.ClientError, ConnectionError):
            raise TimedOut from None
        finally:
            self._waiting.pop(n, None)
        if answer is None:
            raise TimedOut
        return answer

    async def close(self) -> None:
        await self._socket.close()
        await self._reader

    async def _read(self) -> None:
        try:
            async for message in self._socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    self._deliver(message.data)
        except Exception as error:  # noqa: BLE001 -- whatever ended it, the next request opens another
            log.info("the socket for requests ended: %s", type(error).__name__)
        finally:
            # Before the socket is closed, which waits for the other side.
            self._ended = True
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_result(None)
        await self._socket.close()

    def _deliver(self, frame: bytes) -> None:
        framed = wire.FRAMED.decode(frame)
        answer = self._waiting.pop(framed.n, None)
        if answer is not None and not answer.done():
            answer.set_result(framed.body)


class _DirectStream:
    def __init__(
        self, session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse, kinds: Counter[str]
    ) -> None:
        self._session = session
        self._socket = socket
        self._kinds = kinds

    async def send(self, request: wire.StreamRequest) -> None:
        self._kinds[_kind(request)] += 1
        try:
            await self._socket.send_bytes(wire.encode(request))
        except (aiohttp.ClientError, ConnectionError):
            raise Unreachable from None

    async def pushes(self) -> AsyncIterator[wire.StreamPush]:
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                yield wire.STREAM_PUSH.decode(message.data)

    async def close(self) -> None:
        await self._socket.close()
        await self._session.close()


def _kind(request: wire.Message) -> str:
    """The name of a request; of a signed one the name of what is signed, once it goes with its challenge."""
    if isinstance(request, wire.Spend):
        return type(wire.PRICED.decode(request.body)).__name__
    if not isinstance(request, wire.Signed):
        return type(request).__name__
    return type(wire.SIGNED_REQUEST.decode(request.body)).__name__ if request.challenge else "challenge"


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS),
        skip_auto_headers=("User-Agent",),
        auto_decompress=False,
        trust_env=False,
        middlewares=(_not_elsewhere,),
    )


async def _not_elsewhere(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Follow no redirect, which `ws_connect` cannot be told: a server may not send its clients to another machine."""
    response = await handler(request)
    if 300 <= response.status < 400:
        response.close()
        raise NotAGrueServer
    return response


async def _connect(session: aiohttp.ClientSession, url: str) -> aiohttp.ClientWebSocketResponse:
    try:
        return await session.ws_connect(url, compress=0, heartbeat=HEARTBEAT_SECONDS, max_msg_size=2 * wire.MAX_REQUEST)
    except aiohttp.WSServerHandshakeError as error:
        raise _status_error(error.status, error.headers or {}, asked=False) from None
    except aiohttp.ClientConnectorCertificateError:
        raise BadCertificate from None
    except (aiohttp.ClientError, TimeoutError, OSError):
        raise Unreachable from None


async def _post(session: aiohttp.ClientSession, url: str, body: bytes) -> bytes:
    return await _request(session, "POST", url, body, {})


async def _get(session: aiohttp.ClientSession, url: str, headers: dict[str, str] | None = None) -> bytes:
    return await _request(session, "GET", url, None, headers or {})


async def _request(
    session: aiohttp.ClientSession, method: str, url: str, body: bytes | None, headers: dict[str, str]
) -> bytes:
    try:
        async with session.request(method, url, data=body, headers=headers) as response:
            if response.status == 416:
                return b""
            if response.status not in (200, 206):
                raise _status_error(response.status, response.headers, asked=method == "POST")
            return await _limited(response.content)
    except aiohttp.ClientConnectorCertificateError:
        raise BadCertificate from None
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise Unreachable from None
    except (aiohttp.ClientError, TimeoutError, OSError):
        raise TimedOut from None


async def _limited(content: aiohttp.StreamReader) -> bytes:
    data = bytearray()
    async for chunk in content.iter_any():
        data += chunk
        if len(data) > MAX_FILE:
            raise NotAGrueServer
    return bytes(data)


MAYBE_LATER: Final = frozenset({408, 425, 429})
"""Statuses below 500 that say nothing about what answers, only that it does not now."""


def _status_error(status: int, headers: Mapping[str, str], *, asked: bool) -> GrueError:
    """What an HTTP status means; `asked` when the request would change something.

    A proxy before the server answers with these too, and may do so after the server has done what it was asked.
    """
    if status == 426:
        return OtherVersion()
    if status < 500 and status not in MAYBE_LATER:
        return NotAGrueServer()
    if status in (429, 503) and "Retry-After" in headers:
        return ServerBusy(retry_after=_seconds(headers["Retry-After"]))
    return TimedOut() if asked else Unreachable()


def _seconds(retry_after: str) -> int:
    """The seconds of a `Retry-After`; 0 for a date, or what is nothing."""
    return int(retry_after) if retry_after.isdecimal() and len(retry_after) < 6 else 0


def _answer(codec: wire.Codec[T], body: bytes) -> T:
    try:
        answer = codec.decode(body)
    except BadRequest:
        raise NotAGrueServer from None
    if isinstance(answer, wire.Refusal):
        raise refusal(answer)
    return answer


TransportFactory = Callable[[str], Transport]
"""Makes the transport for a server's URL: what a client is given instead of a network."""
