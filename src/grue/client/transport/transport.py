"""A transport reaches the server: one interface, and `direct`, which goes straight there or through a SOCKS proxy.

Three kinds of connection never share a socket, a session or an identifier: the account's requests, anonymous
requests, and streams (the intro mailbox's stream belongs to the account's side and is a socket of its own).
"""

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

import aiohttp
import msgspec

from grue.client.transport.http import REQUEST_SECONDS, connect_socket, get, get_part, new_session, post
from grue.errors import (
    BY_CODE,
    BadCertificate,
    BadGatewayKey,
    BadRequest,
    GrueError,
    NotAGrueServer,
    NotARelay,
    OtherVersion,
    Refused,
    TimedOut,
    Unreachable,
)
from grue.protocol import wire
from grue.protocol.urls import check_url

log: Final = logging.getLogger("grue.client")

T = TypeVar("T", wire.AccountAnswer, wire.AnonymousAnswer)


@dataclass
class Usage:
    """What a transport has carried; payload bytes, without HTTP's own."""

    requests: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    """Requests by the name of their message, for the client's own account of whom it gave what."""
    relayed: Counter[str] = field(default_factory=Counter)
    """Likewise those that went through a relay."""

    def sent(self, kind: str, size: int, *, relayed: bool = False) -> None:
        self.requests += 1
        self.bytes_up += size
        (self.relayed if relayed else self.kinds)[kind] += 1

    def snapshot(self) -> "Usage":
        return Usage(self.requests, self.bytes_up, self.bytes_down)

    def since(self, before: "Usage") -> "Usage":
        return Usage(
            self.requests - before.requests, self.bytes_up - before.bytes_up, self.bytes_down - before.bytes_down
        )


class TransportSettings(msgspec.Struct, array_like=True, frozen=True):
    """How the server is to be reached, as a person chose it; kept in the home."""

    relay: str = ""
    """The URL of the relay that anonymous requests go through; empty: straight to the server."""
    proxy: str = ""
    """The SOCKS5 proxy that everything goes through, as `http.check_proxy` gives it; empty: none."""

    @property
    def name(self) -> str:
        """`direct` or `oblivious`."""
        return "oblivious" if self.relay else "direct"


@dataclass(frozen=True)
class Endpoint:
    """A server, and the way to it."""

    url: str
    server_public: bytes
    """The key that this account was registered with; nothing before there is an account."""
    settings: TransportSettings


class Stream(Protocol):
    """A socket that pushes what is appended to mailboxes."""

    async def send(self, request: wire.StreamRequest) -> None: ...
    def first(self, mailbox: bytes) -> None:
        """Read this mailbox before others, where they are not all read at once: somebody looks at it."""
        ...

    def pushes(self) -> AsyncIterator[wire.StreamPush]:
        """What the server pushes, until the connection ends."""
        ...

    async def close(self) -> None: ...


class Transport(Protocol):
    """Requests in, answers out. Refusals are raised as the errors that they name; no answer as NetworkError."""

    usage: Usage
    spread: float
    """Seconds within which the first requests for a client's mailboxes go out, each when chance says; 0 where the
    server sees one connection in any case."""

    async def hello(self) -> wire.ServerHello: ...
    async def account(self, request: wire.AccountRequest) -> wire.AccountAnswer: ...
    async def anonymous(self, request: wire.AnonymousRequest) -> wire.AnonymousAnswer: ...
    async def intro(self, request: wire.Fetch | wire.Ack) -> wire.AnonymousAnswer:
        """Read the own intro mailbox: with the account's connection, since beside a post it would name who posts."""
        ...

    async def file(self, path: str, start: int = 0, most: int | None = None) -> bytes:
        """A public file of the directory from byte `start`, at most `most` bytes of it, fetched anonymously.

        All of the rest where what answers knows no parts.
        """
        ...

    async def stream(self) -> Stream:
        """A stream for conversations' mailboxes, which is anonymous."""
        ...

    async def intro_stream(self) -> Stream:
        """A stream for the own intro mailbox, which is the account's."""
        ...

    async def close(self) -> None: ...


UNASKED: Final = (Unreachable, BadCertificate, NotARelay, BadGatewayKey)
"""What a transport raises of an anonymous request only when nothing of it was written, so that nobody has seen it."""


class Challenge(GrueError):
    """The server wants the request signed over this challenge; handled inside the library."""

    code = "challenge"
    message = "The server wants this request signed over a challenge of its own."
    fix = "Nothing: the library signs the request and sends it again."

    def __init__(self, challenge: bytes) -> None:
        super().__init__()
        self.challenge = challenge


def refusal(answer: wire.Refusal) -> GrueError:
    """The error that a refusal names; an unknown code is a plain `Refused`."""
    if answer.code == Challenge.code:
        return Challenge(answer.detail)
    kind = BY_CODE.get(answer.code, Refused)
    return kind(retry_after=answer.retry_after)


class DirectTransport:
    """Straight to the server over HTTP and WebSocket. The server sees this machine's address, or the proxy's."""

    spread = 0.0

    def __init__(self, url: str, proxy: str = "") -> None:
        self.usage = Usage()
        self._proxy = proxy
        self._url = check_url(url)
        self._base = f"{self._url}/{wire.PROTOCOL}"
        self._account: aiohttp.ClientSession | None = None
        self._anonymous: aiohttp.ClientSession | None = None
        self._streams: list[aiohttp.ClientSession] = []
        self._requests: _Requests | None = None
        self._opening = asyncio.Lock()

    async def hello(self) -> wire.ServerHello:
        self.usage.kinds["hello"] += 1
        async with new_session(self._proxy) as session:
            body = await get(session, f"{self._url}/grue")
        try:
            hello = wire.SERVER_HELLO.decode(body)
        except BadRequest:
            raise NotAGrueServer from None
        if wire.PROTOCOL not in hello.protocols:
            raise OtherVersion
        return hello

    async def account(self, request: wire.AccountRequest) -> wire.AccountAnswer:
        self._account = self._account or new_session(self._proxy)
        sent = self._count(request)
        return decoded(wire.ACCOUNT_ANSWER, self._received(await post(self._account, f"{self._base}/account", sent)))

    async def anonymous(self, request: wire.AnonymousRequest) -> wire.AnonymousAnswer:
        requests = await self._anonymous_socket()
        return decoded(wire.ANONYMOUS_ANSWER, self._received(await requests.ask(self._count(request))))

    async def intro(self, request: wire.Fetch | wire.Ack) -> wire.AnonymousAnswer:
        self._account = self._account or new_session(self._proxy)
        sent = self._count(request)
        answer = self._received(await post(self._account, f"{self._base}/anonymous", sent))
        return decoded(wire.ANONYMOUS_ANSWER, answer)

    async def file(self, path: str, start: int = 0, most: int | None = None) -> bytes:
        self._anonymous = self._anonymous or new_session(self._proxy)
        url = f"{self._base}/directory/{path}"
        self.usage.sent("file", 0)
        if start or most is not None:
            return self._received(await get_part(self._anonymous, url, start, most))
        return self._received(await get(self._anonymous, url))

    async def stream(self) -> Stream:
        session = new_session(self._proxy)
        self._streams.append(session)
        return _DirectStream(session, await connect_socket(session, f"{self._base}/stream"), self.usage.kinds)

    async def intro_stream(self) -> Stream:
        return await self.stream()

    async def close(self) -> None:
        if self._requests is not None:
            await self._requests.close()
        for session in (self._account, self._anonymous, *self._streams):
            if session is not None:
                await session.close()

    def _count(self, request: wire.Message) -> bytes:
        data = wire.encode(request)
        self.usage.sent(kind_of(request), len(data))
        return data

    def _received(self, data: bytes) -> bytes:
        self.usage.bytes_down += len(data)
        return data

    async def _anonymous_socket(self) -> "_Requests":
        async with self._opening:
            if self._requests is None or self._requests.ended:
                self._anonymous = self._anonymous or new_session(self._proxy)
                self._requests = _Requests(await connect_socket(self._anonymous, f"{self._base}/anonymous"))
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
        self._kinds[kind_of(request)] += 1
        try:
            await self._socket.send_bytes(wire.encode(request))
        except (aiohttp.ClientError, ConnectionError):
            raise Unreachable from None

    def first(self, mailbox: bytes) -> None:
        """All are read at once."""

    async def pushes(self) -> AsyncIterator[wire.StreamPush]:
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                yield wire.STREAM_PUSH.decode(message.data)

    async def close(self) -> None:
        await self._socket.close()
        await self._session.close()


def kind_of(request: wire.Message) -> str:
    """The name of a request; of a signed one the name of what is signed, once it goes with its challenge."""
    if isinstance(request, wire.Spend):
        return type(wire.PRICED.decode(request.body)).__name__
    if not isinstance(request, wire.Signed):
        return type(request).__name__
    return type(wire.SIGNED_REQUEST.decode(request.body)).__name__ if request.challenge else "challenge"


def decoded(codec: wire.Codec[T], body: bytes) -> T:
    """An answer. Raises what a refusal names, NotAGrueServer for what is no answer."""
    try:
        answer = codec.decode(body)
    except BadRequest:
        raise NotAGrueServer from None
    if isinstance(answer, wire.Refusal):
        raise refusal(answer)
    return answer


TransportFactory = Callable[[Endpoint], Transport]
"""Makes the transport to a server: what a client is given instead of a network."""
