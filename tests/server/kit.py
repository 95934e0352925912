"""A server in memory or on a file, with a clock that stands still, and short ways to talk to it."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from grue.lab.mint import mint, paid
from grue.protocol import wire
from grue.protocol.tokens import Purpose, epoch_of, spend
from grue.server import chores
from grue.server.app import Server
from grue.server.clock import DAY
from grue.server.keys.keys import Keys
from grue.server.mailboxes.blobs import Blobs
from grue.server.mailboxes.streams import Stream
from grue.server.store.interface import Store
from grue.server.store.sqlite import open_store

BLOB = b"e" * 1024


def key_hash(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


class Clock:
    def __init__(self) -> None:
        self.now = 20_000.0 * DAY

    def __call__(self) -> float:
        return self.now

    def days(self, days: float) -> None:
        self.now += days * DAY


class _NoBlobs(Blobs):
    """No attachments, and no directory for them."""

    def __init__(self) -> None:
        pass

    async def names(self) -> list[bytes]:
        return []


class TestServer(Server):
    """A server whose clock can be set, and whose requests are messages."""

    __test__ = False
    clock: Clock

    def __init__(self, store: Store, clock: Clock | None = None, **roles: Any) -> None:
        nobody = {"keys": Keys.generate(), "directory": cast("Any", None), "blobs": _NoBlobs()}
        self.clock = clock or Clock()
        super().__init__(store, clock=self.clock, **(nobody | roles))
        # Today, so that tests can count days; the real one has a test of its own.
        self.context.blurred_day = lambda: self.context.today  # type: ignore[method-assign]

    @property
    def today(self) -> int:
        return self.context.today

    @property
    def week(self) -> int:
        return self.context.week

    async def sweep(self) -> None:
        await chores.sweep(self)

    async def after_restore(self) -> None:
        await chores.after_restore(self)

    async def ask(self, request: wire.Message) -> Any:
        """The answer to an anonymous request, with tokens for what it costs."""
        return wire.ANONYMOUS_ANSWER.decode(await self.anonymous(wire.encode(self.paid(request))))

    def paid(self, request: wire.Message) -> wire.Message:
        """The request with fresh tokens, if it has a price."""
        return paid(self.keys, request, self.clock())

    async def code(self, request: wire.Message) -> str:
        """The code of a refusal that is expected."""
        answer = await self.ask(request)
        assert isinstance(answer, wire.Refusal), answer
        return answer.code

    async def account_ask(self, request: wire.Message) -> Any:
        return wire.ACCOUNT_ANSWER.decode(await self.account(wire.encode(request)))


def paid_post(server: TestServer, request: wire.Post) -> wire.Spend:
    """A post with a fresh token, which it needs where the mailbox is nearly full."""
    return spend(request, [mint(server.keys, Purpose.POST, epoch_of(server.week))])


@asynccontextmanager
async def serving(path: Path | None = None, **options: Any) -> AsyncIterator[TestServer]:
    store = await open_store(path)
    try:
        yield TestServer(store, **options)
    finally:
        await store.close()


class Box:
    """One conversation's mailbox, with its keys."""

    def __init__(self, server: TestServer) -> None:
        self.server = server
        self.id, self.write_key, self.read_key = os.urandom(32), os.urandom(32), os.urandom(32)

    @classmethod
    async def create(cls, server: TestServer, slots: list[bytes] | None = None) -> "Box":
        box = cls(server)
        assert await server.ask(box.creation(slots)) == wire.Done()
        return box

    def creation(self, slots: list[bytes] | None = None) -> wire.CreateMailbox:
        hashes = [key_hash(slot) for slot in slots or []]
        return wire.CreateMailbox(self.id, key_hash(self.write_key), key_hash(self.read_key), hashes)

    def posting(self, envelope: bytes | None = None, blob: bytes = BLOB, slots: list[bytes] | None = None) -> wire.Post:
        hashes = [key_hash(slot) for slot in slots or []]
        return wire.Post(self.id, self.write_key, envelope or os.urandom(16), blob, hashes)

    async def post(self, envelope: bytes | None = None, blob: bytes = BLOB, slots: list[bytes] | None = None) -> int:
        answer = await self.server.ask(self.posting(envelope, blob, slots))
        assert isinstance(answer, wire.Posted), answer
        return answer.seq

    async def join(self, slot: bytes) -> bytes:
        """Exchange a slot; the new read key."""
        read_key = os.urandom(32)
        answer = await self.server.ask(wire.ExchangeSlot(self.id, slot, key_hash(read_key)))
        assert isinstance(answer, wire.Reading), answer
        return read_key

    async def fetch(self, read_key: bytes | None = None, after: int = 0, limit: int = wire.MAX_FETCH) -> wire.Fetched:
        answer = await self.server.ask(wire.Fetch(self.id, read_key or self.read_key, after, limit))
        assert isinstance(answer, wire.Fetched), answer
        return answer

    async def seqs(self, read_key: bytes | None = None, after: int = 0) -> list[int]:
        return [envelope.seq for envelope in (await self.fetch(read_key, after)).envelopes]

    async def ack(self, seq: int, read_key: bytes | None = None) -> None:
        """Acknowledge, and wait until it is done."""
        assert await self.server.ask(wire.Ack(self.id, read_key or self.read_key, seq)) == wire.Done()
        await self.server.store.flush()


class Reader:
    """A client's end of a stream in memory, which can be made slow."""

    def __init__(self, server: TestServer) -> None:
        self.pushes: list[Any] = []
        self.full = False
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.stream: Stream = server.stream(self)

    def push(self, frame: bytes) -> bool:
        if self.full:
            return False
        self._take(frame)
        return True

    async def send(self, frame: bytes) -> None:
        """Like a socket: what is written is on its way, and the writer waits until there is room again."""
        self._take(frame)
        await self._room.wait()

    def slow(self) -> None:
        self.full = True
        self._room.clear()

    def fast(self) -> None:
        self.full = False
        self._room.set()

    async def subscribe(self, box: Box, after: int = 0, read_key: bytes | None = None) -> None:
        await self.stream.received(wire.encode(wire.Subscribe(box.id, read_key or box.read_key, after)))

    def seqs(self, box: Box) -> list[int]:
        return [p.seq for p in self.pushes if isinstance(p, wire.Delivery) and p.mailbox == box.id]

    async def until(self, count: int) -> None:
        """Wait until that many things were pushed."""
        async with asyncio.timeout(5):
            while len(self.pushes) < count:
                self._arrived.clear()
                await self._arrived.wait()

    async def live(self) -> None:
        """Wait until every backlog is through, and what is posted comes at once."""
        async with asyncio.timeout(5):
            while (pump := self.stream._pump) is not None:
                await asyncio.wait([pump])

    def _take(self, frame: bytes) -> None:
        self.pushes.append(wire.STREAM_PUSH.decode(frame))
        self._arrived.set()
