"""The world in memory: a real server on a database file, a carrier and a network that obey the test, one clock.

Clients are the real library; only the bytes between them and the server take a short cut, where the test can lose,
delay or change them.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from grue.client.client import Client
from grue.client.transport.transport import Stream, Usage, kind_of, refusal
from grue.errors import GrueError, NotAGrueServer, TimedOut, Unreachable
from grue.protocol import wire
from grue.server.app import Server
from grue.server.directory.directory import Directory
from grue.server.keys.keys import open_keys
from grue.server.mailboxes.blobs import Blobs
from grue.server.mailboxes.streams import memory_sink
from grue.server.sms.gateway import Event, Inbound, Receipt, Sms
from grue.server.sms.sms import SmsRole
from grue.server.store.sqlite import open_store

PASSPHRASE = "correct horse battery staple"  # noqa: S105
ALICE, BOB, CAROL, NOBODY = "+447700900001", "+447700900002", "+447700900003", "+447700900999"


class Clock:
    """Unix seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += seconds


class MemoryCarrier:
    """An `SmsGateway` that keeps what it was given, and fails as it is told to."""

    description = "a carrier in memory"
    health = "bound"

    def __init__(self) -> None:
        self.delivered: list[Sms] = []
        self.failure: GrueError | None = None
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()

    async def start(self) -> None: ...

    async def close(self) -> None:
        self._events.put_nowait(None)

    async def submit(self, sms: Sms) -> str:
        if self.failure is not None:
            raise self.failure
        self.delivered.append(sms)
        return str(len(self.delivered))

    async def events(self) -> AsyncIterator[Event]:
        while (event := await self._events.get()) is not None:
            yield event

    def receipt(self, n: int, state: str) -> None:
        self._events.put_nowait(Receipt(str(n), state))

    async def inject(self, sender: str, to: str, text: str) -> None:
        """Bring an SMS to one of our numbers, and wait until the server has it."""
        settled: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._events.put_nowait(Inbound(sender, to, text, settled.set_result))
        assert await settled


class Network:
    """What the network does to requests and answers."""

    def __init__(self) -> None:
        self.down = False
        self.lose: Callable[[wire.Message], bool] = lambda _request: False
        """The request is done, and its answer lost."""
        self.change: Callable[[wire.Message, wire.Message], wire.Message] = lambda _request, answer: answer
        """What a dishonest server answers."""
        self.change_file: Callable[[str, bytes], bytes] = lambda _path, file: file
        self.whole = False
        """Whether a file comes whole from where it is asked for, as through a cache that knows no parts."""
        self.meanwhile: Callable[[wire.Message], Awaitable[None]] = _nothing
        """What else happens before the answer to a request is there."""
        self.seen: list[wire.Message] = []
        """Every request, in order."""
        self.trace: list[tuple[str, int]] = []
        """Every request by its name and bytes, and every file by its path, part and bytes, in order: what whoever
        looks on can tell."""

    def requests(self) -> list[str]:
        return [type(request).__name__ for request in self.seen]


async def _nothing(_request: wire.Message) -> None: ...


class MemoryTransport:
    """A `Transport` that calls the server of its world."""

    def __init__(self, world: "MemoryWorld") -> None:
        self.usage = Usage()
        self._world = world
        self._streams: list[MemoryStream] = []

    async def hello(self) -> wire.ServerHello:
        self._check_up()
        return self._world.server.hello()

    async def account(self, request: wire.AccountRequest) -> wire.AccountAnswer:
        answer = wire.ACCOUNT_ANSWER.decode(await self._ask(request, self._world.server.account))
        if isinstance(answer, wire.Refusal):
            raise refusal(answer)
        return answer

    async def anonymous(self, request: wire.AnonymousRequest) -> wire.AnonymousAnswer:
        honest = wire.ANONYMOUS_ANSWER.decode(await self._ask(request, self._world.server.anonymous))
        answer = self._world.network.change(inner(request), honest)
        if isinstance(answer, wire.Refusal):
            raise refusal(answer)
        return cast("wire.AnonymousAnswer", answer)

    async def intro(self, request: wire.Fetch | wire.Ack) -> wire.AnonymousAnswer:
        return await self.anonymous(request)

    async def file(self, path: str, start: int = 0, most: int | None = None) -> bytes:
        self._check_up()
        self.usage.sent("file", 0)
        end = None if most is None else start + most
        file = self._world.server.directory.file(path)
        self._world.network.trace.append((f"{path}[{start}:{end}]", 0))
        if file is None:
            raise NotAGrueServer
        part = self._world.network.change_file(path, file)[start : None if self._world.network.whole else end]
        self.usage.bytes_down += len(part)
        return part

    async def stream(self) -> Stream:
        self._check_up()
        stream = MemoryStream(self._world.server)
        self._streams.append(stream)
        return stream

    async def intro_stream(self) -> Stream:
        return await self.stream()

    async def close(self) -> None:
        for stream in self._streams:
            await stream.close()

    async def _ask(self, request: wire.Message, role: Callable[[bytes], Awaitable[bytes]]) -> bytes:
        self._check_up()
        data = wire.encode(request)
        self.usage.sent(type(inner(request)).__name__, len(data))
        self._world.network.seen.append(inner(request))
        self._world.network.trace.append((kind_of(request), len(data)))
        answer = await role(data)
        if self._world.network.lose(inner(request)):
            raise TimedOut
        await self._world.network.meanwhile(inner(request))
        self.usage.bytes_down += len(answer)
        return answer

    def _check_up(self) -> None:
        if self._world.network.down:
            raise Unreachable


def inner(request: wire.Message) -> wire.Message:
    """What is paid for, where something is."""
    return wire.PRICED.decode(request.body) if isinstance(request, wire.Spend) else request


class MemoryStream:
    def __init__(self, server: Server) -> None:
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._stream = server.stream(memory_sink(self._frames.put_nowait))

    async def send(self, request: wire.StreamRequest) -> None:
        await self._stream.received(wire.encode(request))

    async def pushes(self) -> AsyncIterator[wire.StreamPush]:
        while (frame := await self._frames.get()) is not None:
            yield wire.STREAM_PUSH.decode(frame)

    async def close(self) -> None:
        self._stream.close()
        self._frames.put_nowait(None)


class MemoryWorld:
    """One server and its clients. `restart` ends the server as a crash does: only what is on disk is left."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Clock()
        self.network = Network()
        self.carrier = MemoryCarrier()
        self.server: Server
        self._clients: list[Client] = []

    async def start(self, folder: str = "server") -> None:
        data = self.path / folder
        data.mkdir(exist_ok=True)
        keys = open_keys(data)
        store = await open_store(data / "server.db")
        role = self.role = SmsRole(self.carrier)
        directory = Directory(data, keys, self.clock)
        blobs = Blobs(data / "blobs")
        self.server = Server(store, keys=keys, directory=directory, blobs=blobs, sms=role, clock=self.clock)
        await role.start(self.server.context, self.server.mailboxes)

    async def stop(self) -> None:
        await self.role.close()
        await self.server.store.close()

    async def restart(self) -> None:
        await self.stop()
        self.carrier = MemoryCarrier()
        await self.start()

    async def pass_days(self, days: float) -> None:
        """Let time pass, with the chores that a server does meanwhile."""
        self.clock.pass_seconds(days * 86_400)
        await self.server.directory.tend()

    async def close(self) -> None:
        for client in self._clients:
            await client.close()
        await self.server.directory.close()
        await self.stop()

    async def open(self, name: str) -> Client:
        """A client of the home with this name; several may be open on one home."""
        return await self.open_mistimed(name, 0)

    async def open_mistimed(self, name: str, off: float) -> Client:
        """One whose clock is so many seconds ahead."""
        client = Client(
            self.path / name,
            passphrase=PASSPHRASE,
            transport=lambda _url: MemoryTransport(self),
            clock=lambda: self.clock() + off,
        )
        await client.__aenter__()
        self._clients.append(client)
        return client

    async def person(self, number: str, name: str | None = None) -> Client:
        """A client with this number, registered by the code that the carrier delivered."""
        client = await self.open(name or number)
        await client.register(number, "http://localhost")
        await client.verify(self.code(number))
        return client

    def code(self, number: str) -> str:
        texts = [sms.text for sms in self.carrier.delivered if sms.to == number]
        return str(re.findall(r"\d{6}", texts[-1])[0])

    def texts(self, number: str) -> list[str]:
        """The SMS that this number's telephone has shown, codes left out."""
        return [sms.text for sms in self.carrier.delivered if sms.to == number and "Grue code" not in sms.text]


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[MemoryWorld]:
    """A world that is there for as long as it is needed."""
    world = MemoryWorld(path)
    await world.start()
    try:
        yield world
    finally:
        await world.close()


async def take(client: Client) -> list[str]:
    """Fetch what waits and show it."""
    await client.poll()
    return [message.text for message in await client.unshown()]
