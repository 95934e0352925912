"""Receiving as it happens: one stream for the intro mailbox, one for the conversations, and back again when they end.

The intro mailbox belongs to the account; on a socket with conversations it would tell whose they are.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Final

from grue.client import rows
from grue.client.context import Context, load_account
from grue.client.inbox import Inbox
from grue.client.outbox import Outbox
from grue.client.transport import Stream
from grue.errors import BadRequest, NetworkError, Unreachable
from grue.protocol import wire
from grue.protocol.mailbox import ReaderState

ROOM: Final = 256
"""Envelopes that may wait here, 16 MiB at most; all of one mailbox go into one transaction, with one fsync."""

RECEIPT_SECONDS: Final = 0.3
"""How long receipts are gathered: nobody needs to know sooner, and a burst costs one of them."""

OTHERS_SECONDS: Final = 0.5
"""How often to look whether another process of this home has stored something."""

RETRY_MAILBOX_SECONDS: Final = 300.0
"""Between attempts to read a mailbox that the server does not know, doubling up to this."""

FIRST_RETRY: Final = 0.2
LAST_RETRY: Final = 15.0
"""Seconds between attempts to connect, doubling from the first to the last; with chance in them, so that a server that
comes back is not met by everybody at once."""


class Receiver:
    """Keeps the store up to date until closed. `arrived` is set whenever something was stored."""

    def __init__(self, context: Context, inbox: Inbox, outbox: Outbox) -> None:
        self._context = context
        self._inbox = inbox
        self._outbox = outbox
        self._tasks: list[asyncio.Task[None]] = []
        self._to_send = asyncio.Event()
        self._pushes: Pushes | None = None
        self.arrived = asyncio.Event()

    def start(self) -> None:
        """Begin, unless begun."""
        if not self._tasks:
            runs = (self._send, self._intro, self._conversations, self._confirm, self._others)
            self._tasks = [asyncio.create_task(_again(run)) for run in runs]

    def wake(self) -> None:
        """There may be something to send, or a new conversation to read."""
        self._to_send.set()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _send(self) -> None:
        while True:
            self._to_send.clear()
            await self._outbox.flush()
            if self._outbox.opened and self._pushes is not None:
                self._outbox.opened = False
                self._pushes.nudge()
            await self._to_send.wait()

    async def _confirm(self) -> None:
        while True:
            await asyncio.sleep(RECEIPT_SECONDS)
            if await self._inbox.confirm():
                self.wake()

    async def _others(self) -> None:
        """Another process of this home may have made a conversation to read, or left something to send."""
        seen = await self._context.store.version()
        while True:
            await asyncio.sleep(OTHERS_SECONDS)
            if (now := await self._context.store.version()) != seen:
                seen = now
                self.wake()
                if self._pushes is not None:
                    self._pushes.nudge()

    async def _intro(self) -> None:
        account = await self._context.store.read(load_account)
        mailbox, read_key = account.intro_mailbox, account.intro_read_key
        async with aclosing(Pushes(await self._context.transport.stream())) as pushes:
            await pushes.stream.send(wire.Subscribe(mailbox, read_key, account.intro_cursor))
            while True:
                for _, deliveries in await pushes.batch():
                    cursor = await self._inbox.intro(pushes.incarnations[mailbox], deliveries, acknowledge=False)
                    await pushes.stream.send(wire.Ack(mailbox, read_key, cursor))
                self._stored()

    async def _conversations(self) -> None:
        async with aclosing(Pushes(await self._context.transport.stream())) as pushes:
            self._pushes = pushes
            subscribed: dict[bytes, bytes] = {}
            await self._subscribe(pushes.stream, subscribed)
            while True:
                for mailbox, deliveries in await pushes.batch():
                    await self._read(pushes, mailbox, subscribed[mailbox], deliveries)
                    self._stored()
                if pushes.nudged:
                    pushes.nudged = False
                    for mailbox in pushes.take_refused():
                        subscribed.pop(mailbox, None)
                    await self._subscribe(pushes.stream, subscribed)

    async def _subscribe(self, stream: Stream, subscribed: dict[bytes, bytes]) -> None:
        for conversation, _ in await self._context.store.read(rows.reading_conversations):
            log = conversation.log
            if log.state is ReaderState.READING and subscribed.get(log.mailbox) != conversation.read_key:
                subscribed[log.mailbox] = conversation.read_key
                await stream.send(wire.Subscribe(log.mailbox, conversation.read_key, log.cursor))

    async def _read(self, pushes: "Pushes", mailbox: bytes, read_key: bytes, deliveries: list[wire.Delivery]) -> None:
        after = await self._inbox.conversation(mailbox, pushes.incarnations[mailbox], deliveries, acknowledge=False)
        if after is not None:
            await pushes.stream.send(wire.Ack(mailbox, read_key, after.log.cursor))

    def _stored(self) -> None:
        self.arrived.set()
        self.wake()


class Pushes:
    """Gathers what one stream pushes into batches, each of one mailbox."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.incarnations: dict[bytes, bytes] = {}
        self.nudged = False
        self._refused: set[bytes] = set()
        self._refusals: Counter[bytes] = Counter()
        self._deliveries: list[wire.Delivery] = []
        self._room = asyncio.Semaphore(ROOM)
        self._something = asyncio.Event()
        self._ended = False
        self._reading = asyncio.create_task(self._read())

    async def batch(self) -> list[tuple[bytes, list[wire.Delivery]]]:
        """What waits now; may be empty after a nudge. Raises Unreachable when the stream has ended."""
        await self._something.wait()
        self._something.clear()
        taken, self._deliveries = self._deliveries, []
        if not taken and self._ended:
            raise Unreachable
        batches: dict[bytes, list[wire.Delivery]] = {}
        for delivery in taken:
            self._room.release()
            batches.setdefault(delivery.mailbox, []).append(delivery)
        return list(batches.items())

    def nudge(self) -> None:
        """Let `batch` return, for there may be other work."""
        self.nudged = True
        self._something.set()

    def take_refused(self) -> set[bytes]:
        """Mailboxes that the server did not know: those that another process is only making are tried again."""
        taken, self._refused = self._refused, set()
        return taken

    async def aclose(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self.stream.close()

    async def _read(self) -> None:
        try:
            async for push in self.stream.pushes():
                if isinstance(push, wire.Subscribed):
                    self.incarnations[push.mailbox] = push.incarnation
                elif isinstance(push, wire.Delivery):
                    await self._room.acquire()
                    self._deliveries.append(push)
                    self._something.set()
                elif isinstance(push, wire.NotSubscribed):
                    self._not_subscribed(push.mailbox)
        finally:
            self._ended = True
            self._something.set()

    def _not_subscribed(self, mailbox: bytes) -> None:
        self._refused.add(mailbox)
        self._refusals[mailbox] += 1
        pause = min(OTHERS_SECONDS * 2 ** min(self._refusals[mailbox] - 1, 10), RETRY_MAILBOX_SECONDS)
        asyncio.get_running_loop().call_later(pause, self.nudge)


async def _again(run: Callable[[], Awaitable[None]]) -> None:
    """Run for ever, with growing pauses while the network fails."""
    wait = FIRST_RETRY
    while True:
        started = asyncio.get_running_loop().time()
        with suppress(NetworkError, BadRequest):
            await run()
        lasted = asyncio.get_running_loop().time() - started
        wait = FIRST_RETRY if lasted > LAST_RETRY else min(2 * wait, LAST_RETRY)
        await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 -- spreads load, hides nothing
