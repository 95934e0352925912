"""A carrier, a gateway bound to it, and a peer that says what a test wants, all on loopback."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("smpp34")
pytest.importorskip("aiosmpplib")

from grue.lab.carrier import carrier
from grue.lab.smsc import Behaviour, Mode
from grue.server.sms.gateway import Event, Inbound, Receipt, Sms
from grue.server.sms.smpp import Config, SmppGateway
from grue.server.sms.smppsession import Timing

ANN, BEN, CAT = "+447700900001", "+447700900002", "+447700900003"
PATIENT = Timing(answer=10, bind=10, start=10, back_off=0.01, back_off_max=0.02, window=10, stop=5, unbind=0.05)
"""For tests whose outcome does not depend on how busy the machine is."""


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until it holds: ten seconds at most, and no longer than it takes."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 -- what is waited for has no event
            await asyncio.sleep(0.002)


class Company:
    """A running carrier."""

    def __init__(self, task: asyncio.Task[None], address: str, seen: list[dict[str, object]]) -> None:
        self.task = task
        self.address = address
        self.seen = seen

    @property
    def texts(self) -> list[object]:
        return [sms["text"] for sms in self.seen]


@asynccontextmanager
async def company(
    rules: dict[str, Mode] | None = None,
    listen: str = "127.0.0.1:0",
    record: Path | None = None,
    credentials: tuple[str, str] | None = None,
) -> AsyncIterator[Company]:
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    seen: list[dict[str, object]] = []
    behaviour = Behaviour(rules or {}, slow=0.05, retry=0.01, answer=5)
    running = carrier(
        listen, record, lambda event: seen.append(dict(event)), behaviour, address.set_result, credentials
    )
    task = asyncio.create_task(running)
    waited: list[asyncio.Future[Any]] = [task, address]
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield Company(task, await address, seen)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Gateway(SmppGateway):
    """Keeps what came in, and stores it, or not."""

    def __init__(self, config: Config, timing: Timing) -> None:
        super().__init__(config, timing)
        self.came: list[Event] = []
        self.stores = True

    async def take(self) -> None:
        async for event in self.events():
            self.came.append(event)
            if isinstance(event, Inbound):
                event.settle(self.stores)

    @property
    def inbound(self) -> list[tuple[str, str, str]]:
        return [(event.sender, event.to, event.text) for event in self.came if isinstance(event, Inbound)]

    @property
    def receipts(self) -> dict[str, str]:
        return {event.id: event.state for event in self.came if isinstance(event, Receipt)}

    async def bound(self) -> None:
        await eventually(lambda: self.health == "bound")

    async def text(self, to: str = BEN, text: str = "hello") -> str:
        return await self.submit(Sms(ANN, to, text))


@asynccontextmanager
async def gateway(address: str, timing: Timing = PATIENT, **config: Any) -> AsyncIterator[Gateway]:
    host, port = address.rsplit(":", 1)
    made = Gateway(Config(host, int(port), **config), timing)
    await made.start()
    taking = asyncio.create_task(made.take())
    try:
        yield made
    finally:
        await made.close()
        await taking


def impatient(**seconds: Any) -> Timing:
    return replace(PATIENT, **seconds)


# --- a peer that says anything --------------------------------------------------------------------


def pdu(command: int, status: int, sequence: int, body: bytes = b"") -> bytes:
    return struct.pack("!IIII", 16 + len(body), command, status, sequence) + body


class Peer:
    """The other end of one connection. Binds whoever comes; the rest is the test's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def say(self, command: int, status: int, sequence: int, body: bytes = b"") -> None:
        self.writer.write(pdu(command, status, sequence, body))

    async def hear(self) -> tuple[int, int, int, bytes]:
        """Command, status, sequence and body of the next PDU."""
        async with asyncio.timeout(10):
            length, *rest = struct.unpack("!IIII", await self.reader.readexactly(16))
            command, status, sequence = rest
            return command, status, sequence, await self.reader.readexactly(length - 16)

    async def hears_nothing_more(self) -> None:
        async with asyncio.timeout(10):
            assert await self.reader.read() == b""


@asynccontextmanager
async def peer(bind_status: int = 0) -> AsyncIterator[tuple[str, "asyncio.Queue[Peer]"]]:
    """An address, and the peers of the connections to it, bound."""
    peers: asyncio.Queue[Peer] = asyncio.Queue()
    writers = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        other = Peer(reader, writer)
        _, _, sequence, _ = await other.hear()
        other.say(0x80000009, bind_status, sequence, b"peer\0")
        peers.put_nowait(other)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", peers
    finally:
        server.close()
        for writer in writers:
            writer.close()


def deliver_sm(message: bytes, *, esm: int = 0, coding: int = 0, options: bytes = b"") -> bytes:
    """The body of a `deliver_sm` from BEN to ANN."""
    return (
        b"\0\x01\x01447700900002\0\x01\x01447700900001\0" + bytes([esm, 0, 0]) + b"\0\0"
        + bytes([0, 0, coding, 0, len(message)]) + message + options
    )  # fmt: skip
