"""Streams: they push what is appended to a mailbox to all who read it, at once and in order.

A subscription knows the last seq it sent. Seqs of a mailbox follow each other without a gap, so an envelope that
was just committed is pushed when it is exactly the next one; otherwise, and whenever a client reads too slowly,
the subscription is `behind` and is paged from the store. So no queue in memory grows with a slow client, and
nothing is sent twice or left out where backlog and live meet. All of it runs in one event loop.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from hmac import compare_digest
from typing import Final, Protocol

from grue.errors import BadRequest, GrueError, NoSuchMailbox, NotPermitted, Refused
from grue.protocol import wire
from grue.server.mailboxes.mailboxes import Page, key_hash
from grue.server.reporting import report

MAX_POLLS: Final = 20_000
"""Requests that may wait for an envelope at once: some 100 MB with the connections that they hold."""

PAGE: Final = 16
"""Envelopes read from the store at a time for a stream that is behind: what one client can hold up in memory."""


class Sink(Protocol):
    """The outgoing half of one client's connection."""

    def push(self, frame: bytes) -> bool:
        """Send without waiting, or do nothing and return False while the client is not keeping up."""

    async def send(self, frame: bytes) -> None:
        """Send, waiting until the client keeps up. Raises ConnectionError when it is gone."""


class Mailboxes(Protocol):
    """What streams need of the server."""

    def page(self, mailbox: bytes, read_hash: bytes, after: int, limit: int) -> Awaitable[Page]: ...
    def ack_later(self, mailbox: bytes, read_hash: bytes, seq: int) -> None: ...
    async def ack(self, request: wire.Ack) -> None: ...


class Subscription:
    __slots__ = ("behind", "last", "mailbox", "newest", "read_hash", "stream")

    def __init__(self, stream: "Stream", mailbox: bytes, read_hash: bytes, last: int) -> None:
        self.stream = stream
        self.mailbox = mailbox
        self.read_hash = read_hash
        self.last = last
        """The newest seq that was sent, or is known not to be there."""
        self.newest = last
        """The newest seq that was published."""
        self.behind = True


class Hub:
    """Which streams read which mailbox, and which polls wait for it."""

    def __init__(self, mailboxes: Mailboxes) -> None:
        self.mailboxes = mailboxes
        self._readers: dict[bytes, list[Subscription]] = {}
        self._polls: dict[bytes, set[asyncio.Event]] = {}
        self._polling = 0
        self._waits = True

    def __len__(self) -> int:
        return sum(map(len, self._readers.values()))

    def add(self, subscription: Subscription) -> None:
        self._readers.setdefault(subscription.mailbox, []).append(subscription)

    def drop(self, subscription: Subscription) -> None:
        readers = self._readers.get(subscription.mailbox, [])
        if subscription in readers:
            readers.remove(subscription)
        if not readers:
            self._readers.pop(subscription.mailbox, None)

    @contextmanager
    def watching(self, mailbox: bytes) -> Iterator[Callable[[float], Awaitable[bool]]]:
        """Gives what waits, so many seconds at most, until something has happened to a mailbox since it was entered.

        With `MAX_POLLS` that wait already it does not wait: a client asks again.
        """
        event = asyncio.Event()
        self._polls.setdefault(mailbox, set()).add(event)
        try:
            yield lambda seconds: self._happened(event, seconds)
        finally:
            polls = self._polls[mailbox]
            polls.discard(event)
            if not polls:
                del self._polls[mailbox]

    async def _happened(self, event: asyncio.Event, seconds: float) -> bool:
        if self._polling >= MAX_POLLS or not self._waits:
            return False
        self._polling += 1
        try:
            async with asyncio.timeout(seconds):
                return await event.wait()
        except TimeoutError:
            return False
        finally:
            self._polling -= 1

    def let_go(self) -> None:
        """The server stops: polls are answered with what is there, now and from now on."""
        self._waits = False
        for mailbox in list(self._polls):
            self._wake(mailbox)

    def _wake(self, mailbox: bytes) -> None:
        for event in self._polls.get(mailbox, ()):
            event.set()

    def published(self, delivery: wire.Delivery) -> None:
        """Hand on an envelope whose commit has just been acknowledged by the disk."""
        self._wake(delivery.mailbox)
        readers = self._readers.get(delivery.mailbox)
        if readers:
            frame = wire.encode(delivery)
            for subscription in readers:
                subscription.stream.published(subscription, delivery.seq, frame)

    def gone(self, mailbox: bytes, read_hash: bytes | None = None) -> None:
        """A mailbox was deleted, or one of its readers removed: end those subscriptions."""
        self._wake(mailbox)
        error = NoSuchMailbox if read_hash is None else NotPermitted
        for subscription in list(self._readers.get(mailbox, ())):
            if read_hash is None or compare_digest(subscription.read_hash, read_hash):
                subscription.stream.refused(subscription, error.code)


class Stream:
    """One client's stream. `received` takes its frames, `close` ends it."""

    __slots__ = ("_behind", "_hub", "_pump", "_sink", "_subscriptions")

    def __init__(self, hub: Hub, sink: Sink) -> None:
        self._hub = hub
        self._sink = sink
        self._subscriptions: dict[bytes, Subscription] = {}
        self._behind: dict[bytes, Subscription] = {}
        self._pump: asyncio.Task[None] | None = None

    async def received(self, frame: bytes) -> None:
        """Act on one frame of the client. Raises BadRequest, after which the stream should end."""
        match wire.STREAM_REQUEST.decode(frame):
            case wire.Subscribe() as request:
                await self._subscribe(request)
            case wire.Ack() as request:
                await self._ack(request)

    def close(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
        for subscription in self._subscriptions.values():
            self._hub.drop(subscription)
        self._subscriptions = {}
        self._behind = {}

    async def _subscribe(self, request: wire.Subscribe) -> None:
        self._forget(request.mailbox)
        if len(self._subscriptions) >= wire.MAX_SUBSCRIPTIONS:
            raise BadRequest
        read_hash = key_hash(request.read_key)
        subscription = Subscription(self, request.mailbox, read_hash, 0)
        # Before the page is read: so nothing that is published after it goes unnoticed.
        self._subscriptions[request.mailbox] = subscription
        self._hub.add(subscription)
        try:
            page = await self._hub.mailboxes.page(request.mailbox, read_hash, 0, 0)
        except GrueError as error:
            if self._current(subscription):
                self._forget(request.mailbox)
                await self._sink.send(wire.encode(wire.NotSubscribed(request.mailbox, error.code)))
            return
        if self._current(subscription):
            await self._sink.send(wire.encode(wire.Subscribed(request.mailbox, page.incarnation, page.head)))
        if self._current(subscription):
            self._begin(subscription, request.after, page.head)

    def _begin(self, subscription: Subscription, after: int, head: int) -> None:
        """Live at once when there is nothing to catch up on, as for most mailboxes of a client that comes back."""
        # A cursor beyond the head is from before a restore; it must not make the subscription wait for ever.
        subscription.last = min(after, head)
        if subscription.last >= max(head, subscription.newest):
            subscription.newest = subscription.last
            subscription.behind = False
        else:
            self._fall_behind(subscription)

    async def _ack(self, request: wire.Ack) -> None:
        subscription = self._subscriptions.get(request.mailbox)
        read_hash = key_hash(request.read_key)
        if subscription is not None and compare_digest(subscription.read_hash, read_hash):
            self._hub.mailboxes.ack_later(subscription.mailbox, read_hash, request.seq)
            return
        try:
            await self._hub.mailboxes.ack(request)
        except Refused as error:
            await self._sink.send(wire.encode(wire.NotSubscribed(request.mailbox, error.code)))

    # --- sending ----------------------------------------------------------------------------------

    def published(self, subscription: Subscription, seq: int, frame: bytes) -> None:
        """Push an envelope when it is the next one and the client keeps up; otherwise page it later."""
        if seq > subscription.newest:
            subscription.newest = seq
        if subscription.behind:
            return
        if seq == subscription.last + 1 and self._sink.push(frame):
            subscription.last = seq
        elif seq > subscription.last:
            self._fall_behind(subscription)

    def refused(self, subscription: Subscription, code: str) -> None:
        self._forget(subscription.mailbox)
        # A client that is not keeping up learns it when it subscribes again.
        self._sink.push(wire.encode(wire.NotSubscribed(subscription.mailbox, code)))

    def _forget(self, mailbox: bytes) -> None:
        self._behind.pop(mailbox, None)
        subscription = self._subscriptions.pop(mailbox, None)
        if subscription is not None:
            self._hub.drop(subscription)

    def _fall_behind(self, subscription: Subscription) -> None:
        subscription.behind = True
        self._behind[subscription.mailbox] = subscription
        if self._pump is None:
            self._pump = asyncio.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        """Page every subscription that is behind, in turns, until none is."""
        try:
            while self._behind:
                for subscription in list(self._behind.values()):
                    await self._page(subscription)
        except ConnectionError:
            self._behind = {}
        finally:
            self._pump = None

    async def _page(self, subscription: Subscription) -> None:
        try:
            page = await self._hub.mailboxes.page(subscription.mailbox, subscription.read_hash, subscription.last, PAGE)
        except Exception as error:  # noqa: BLE001 -- said to the client, who would wait for ever
            await self._give_up(subscription, error)
            return
        for delivery in page.envelopes:
            if not self._current(subscription):
                return
            subscription.last = delivery.seq
            await self._sink.send(wire.encode(delivery))
        if self._current(subscription):
            self._settle(subscription, page)

    async def _give_up(self, subscription: Subscription, error: Exception) -> None:
        if not isinstance(error, GrueError):
            report(error)
        if self._current(subscription):
            self._forget(subscription.mailbox)
            code = error.code if isinstance(error, GrueError) else GrueError.code
            await self._sink.send(wire.encode(wire.NotSubscribed(subscription.mailbox, code)))

    def _settle(self, subscription: Subscription, page: Page) -> None:
        """Live again when nothing was published beyond what the page saw; no await comes between."""
        if not page.envelopes:
            # What is missing up to the head has expired.
            subscription.last = max(subscription.last, page.head)
        if subscription.last >= subscription.newest and subscription.last >= page.head:
            subscription.behind = False
            del self._behind[subscription.mailbox]

    def _current(self, subscription: Subscription) -> bool:
        return self._subscriptions.get(subscription.mailbox) is subscription


def memory_sink(put: Callable[[bytes], None]) -> Sink:
    """A sink that always keeps up, for a world in memory."""
    return _MemorySink(put)


class _MemorySink:
    def __init__(self, put: Callable[[bytes], None]) -> None:
        self._put = put

    def push(self, frame: bytes) -> bool:
        self._put(frame)
        return True

    async def send(self, frame: bytes) -> None:
        self._put(frame)
