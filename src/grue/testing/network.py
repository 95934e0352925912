"""The network in memory calls the server in place of sockets; a test can lose, delay and change what passes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import cast

from grue.client.transport.transport import Stream, Usage, kind_of, refusal
from grue.errors import GrueError, NotAGrueServer, TimedOut, Unreachable
from grue.protocol import wire
from grue.server.app import Server
from grue.server.mailboxes.streams import memory_sink

Role = Callable[[bytes], Coroutine[object, None, bytes]]
"""Bytes of a request in, bytes of an answer out."""


async def _at_once(_request: wire.Message) -> None: ...


@dataclass(eq=False, repr=False)
class Network:
    """What happens to requests and answers on their way. Messages are those of `grue.protocol.wire`.

    A request that is paid for by tokens is shown as what is paid for.
    """

    server: Server | None = None
    """Who answers; None while nobody does."""
    lose: Callable[[wire.Message], bool] = field(default_factory=lambda: lambda _request: False)
    """Says of a request whether it is done and its answer lost: the client raises TimedOut."""
    delay: Callable[[wire.Message], Awaitable[None]] = field(default_factory=lambda: _at_once)
    """Awaited before the answer to a request arrives: a pause, or whatever else happens meanwhile."""
    change: Callable[[wire.Message, wire.Message], wire.Message] = field(
        default_factory=lambda: lambda _request, answer: answer
    )
    """Gives, for an anonymous request and its answer, the answer of a dishonest server."""
    change_file: Callable[[str, bytes], bytes] = field(default_factory=lambda: lambda _path, file: file)
    """Likewise for a public file of the directory, by its path."""
    whole: bool = False
    """Whether a file comes whole from where it is asked for, as through a cache that knows no parts."""
    seen: list[wire.Message] = field(default_factory=list)
    """Every request, in order."""
    trace: list[tuple[str, int]] = field(default_factory=list)
    """Every request by its name and bytes, and every file by its path, part and bytes, in order: what whoever looks on
    can tell."""

    def __post_init__(self) -> None:
        self._down = False
        self._streams: set[MemoryStream] = set()
        self._under_way: set[asyncio.Task[bytes]] = set()

    @property
    def down(self) -> bool:
        """Whether nothing reaches the server: requests raise Unreachable. Setting it breaks connections, as `cut`."""
        return self._down

    @down.setter
    def down(self, down: bool) -> None:
        self._down = down
        if down:
            self.cut()

    def cut(self) -> None:
        """Break every connection: streams end, and who waits for an answer gets TimedOut. Clients come back by
        themselves.
        """
        for stream in list(self._streams):
            stream.end()
        for answering in self._under_way:
            answering.cancel()

    def requests(self) -> list[str]:
        """The names of all requests, in order."""
        return [type(request).__name__ for request in self.seen]

    def _reached(self) -> Server:
        """The server. Raises Unreachable."""
        if self._down or self.server is None:
            raise Unreachable
        return self.server

    async def _carry(self, answer: Coroutine[object, None, bytes]) -> bytes:
        """What the server answers. Raises TimedOut when the connection breaks before."""
        answering = asyncio.create_task(answer)
        self._under_way.add(answering)
        try:
            await asyncio.wait({answering})
            if answering.cancelled():
                raise TimedOut
            return answering.result()
        finally:
            answering.cancel()
            self._under_way.discard(answering)

    def _opened(self, stream: "MemoryStream") -> None:
        self._streams.add(stream)

    def _ended(self, stream: "MemoryStream") -> None:
        self._streams.discard(stream)


class MemoryTransport:
    """A client's `Transport` over a `Network`."""

    spread = 0.0

    def __init__(self, network: Network) -> None:
        self.usage = Usage()
        self._network = network
        self._streams: list[MemoryStream] = []

    async def hello(self) -> wire.ServerHello:
        return self._network._reached().hello()

    async def account(self, request: wire.AccountRequest) -> wire.AccountAnswer:
        answer = wire.ACCOUNT_ANSWER.decode(await self._ask(request, self._network._reached().account))
        if isinstance(answer, wire.Refusal):
            raise refusal(answer)
        return answer

    async def anonymous(self, request: wire.AnonymousRequest) -> wire.AnonymousAnswer:
        honest = wire.ANONYMOUS_ANSWER.decode(await self._ask(request, self._network._reached().anonymous))
        answer = self._network.change(inner(request), honest)
        if isinstance(answer, wire.Refusal):
            raise refusal(answer)
        return cast("wire.AnonymousAnswer", answer)

    async def intro(self, request: wire.Fetch | wire.Ack) -> wire.AnonymousAnswer:
        return await self.anonymous(request)

    async def file(self, path: str, start: int = 0, most: int | None = None) -> bytes:
        server, network = self._network._reached(), self._network
        self.usage.sent("file", 0)
        end = None if most is None else start + most
        file = server.directory.file(path)
        network.trace.append((f"{path}[{start}:{end}]", 0))
        if file is None:
            raise NotAGrueServer
        part = network.change_file(path, file)[start : None if network.whole else end]
        self.usage.bytes_down += len(part)
        return part

    async def stream(self) -> Stream:
        stream = MemoryStream(self._network)
        self._streams.append(stream)
        return stream

    async def intro_stream(self) -> Stream:
        return await self.stream()

    async def close(self) -> None:
        for stream in self._streams:
            await stream.close()

    async def _ask(self, request: wire.Message, role: Role) -> bytes:
        network, asked = self._network, inner(request)
        data = wire.encode(request)
        self.usage.sent(kind_of(request), len(data))
        network.seen.append(asked)
        network.trace.append((kind_of(request), len(data)))
        answer = await network._carry(role(data))
        if network.lose(asked):
            raise TimedOut
        await network.delay(asked)
        self.usage.bytes_down += len(answer)
        return answer


def inner(request: wire.Message) -> wire.Message:
    """What is paid for, where something is."""
    return wire.PRICED.decode(request.body) if isinstance(request, wire.Spend) else request


class MemoryStream:
    """A client's `Stream` over a `Network`: in order, until either side or the network ends it."""

    def __init__(self, network: Network) -> None:
        """Raises Unreachable."""
        self._up: asyncio.Queue[bytes] = asyncio.Queue()
        self._down: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._network = network
        self._server_side = network._reached().stream(memory_sink(self._down.put_nowait))
        self._serving = asyncio.create_task(self._serve())
        network._opened(self)

    async def send(self, request: wire.StreamRequest) -> None:
        if self._serving.done():
            raise Unreachable
        self._up.put_nowait(wire.encode(request))

    def first(self, mailbox: bytes) -> None:
        """Read them all at once."""

    async def pushes(self) -> AsyncIterator[wire.StreamPush]:
        while (frame := await self._down.get()) is not None:
            yield wire.STREAM_PUSH.decode(frame)

    async def close(self) -> None:
        self.end()
        await asyncio.wait({self._serving})

    def end(self) -> None:
        """Close it, whoever asks; again does nothing more."""
        self._serving.cancel()
        self._server_side.close()
        self._down.put_nowait(None)
        self._network._ended(self)

    async def _serve(self) -> None:
        """The server acts on one frame at a time, and ends the stream of who sends nonsense."""
        try:
            while True:
                await self._server_side.received(await self._up.get())
        except GrueError:
            self.end()
