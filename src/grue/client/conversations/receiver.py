"""The receiver keeps one stream open for the intro mailbox and others for conversations, and opens them again.

The intro mailbox belongs to the account; on a socket with conversations it would tell whose they are. Whatever goes
wrong in one of the tasks, it is tried again; what stays wrong and is not the network's fault is raised by `check`.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from functools import partial
from typing import Final

from grue.client.context import load_account
from grue.client.conversations import tables
from grue.client.conversations.apart import PATIENCE, Turns, pause
from grue.client.conversations.once import Parts
from grue.client.store.engine import Db
from grue.client.transport.transport import Stream
from grue.errors import (
    BY_CODE,
    GrueError,
    NetworkError,
    NoSuchMailbox,
    NotPermitted,
    Refused,
    Unreachable,
    VerificationFailed,
)
from grue.protocol import wire
from grue.protocol.conversation.conversation import ConversationState
from grue.protocol.conversation.mailbox import ReaderState

log: Final = logging.getLogger("grue.client")

ROOM: Final = 256
"""Envelopes that may wait here, 16 MiB at most; all of one mailbox go into one transaction, with one fsync."""

RECEIPT_SECONDS: Final = 0.3
"""How long receipts are gathered: nobody needs to know sooner, and a burst costs one of them. Through a relay each is
written when its conversation has its turn."""

OTHERS_SECONDS: Final = 0.5
"""How often to look whether another process of this home has stored something."""

REFUSED_SECONDS: Final = 5.0
"""At most, until a mailbox is asked for again that the server could not read just now."""

CHORES_SECONDS: Final = 60.0
"""Between two looks at what is nobody's event: receipts of SMS, resyncs without an answer."""

FIRST_RETRY: Final = 0.2
LAST_RETRY: Final = 15.0
"""Seconds between attempts to connect, doubling from the first to the last; with chance in them, so that a server that
comes back is not met by everybody at once."""


class Receiver:
    """Keeps the store up to date until closed. `arrived` is set whenever something was stored."""

    def __init__(self, parts: Parts, daily_round: Callable[[], Awaitable[None]]) -> None:
        """`daily_round` does what is due once a day; it is called every minute."""
        self._parts = parts
        self._context = parts.context
        self._inbox = parts.inbox
        self._daily_round = daily_round
        self._turns = Turns(self._context.transport.spread, self._keeps_failing)
        """Through a relay each conversation sends by itself."""
        self._tasks: list[asyncio.Task[None]] = []
        self._to_send = asyncio.Event()
        self._asked = asyncio.Event()
        """Something came to the intro mailbox: perhaps somebody asks us for something."""
        self._streams: list[Pushes] = []
        self._followed: dict[bytes, Pushes] = {}
        """By mailbox, the stream that reads it."""
        self._wanted = 1
        """How many streams there are to be: each reads `wire.MAX_SUBSCRIPTIONS`."""
        self._known_opened = 0
        """Of the mailboxes that the outbox has opened, how many the streams know of."""
        self._opened: int | None = None
        """The chat that somebody looks at, or has written in last, in whatever process."""
        self._failures: dict[str, Exception] = {}
        self.unreached: NetworkError | None = None
        """Why the account's own stream is not open; None while it is, and before that was tried."""
        self.arrived = asyncio.Event()

    def start(self) -> None:
        """Begin, unless begun."""
        if not self._tasks:
            runs = (
                self._send,
                self._intro,
                self._conversations,
                self._confirm,
                self._others,
                self._chores,
                self._answer,
            )
            self._tasks = [asyncio.create_task(self._again(run)) for run in runs]

    def wake(self) -> None:
        """There may be something to send, or a new conversation to read."""
        self._to_send.set()

    async def opened(self, chat: int) -> None:
        """Somebody looks at this chat: it is read before others, where not all are read at once."""
        self._opened = chat
        for conversation in await self._context.store.read(tables.conversations_of, chat):
            for pushes in self._streams:
                pushes.stream.first(conversation.log.mailbox)

    def check(self) -> None:
        """Raise what keeps going wrong in a task, such as a full disk: once, and again should it go wrong again."""
        if self._failures:
            raise self._failures.popitem()[1]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._turns.close()

    async def _again(self, run: Callable[[], Awaitable[None]]) -> None:
        """Run for ever, with growing pauses while it fails."""
        wait, failed, name = FIRST_RETRY, 0, getattr(run, "__name__", "")
        while True:
            started = asyncio.get_running_loop().time()
            try:
                await run()
            except NetworkError as error:
                failed = 0
                if run == self._intro:
                    self.unreached = error
            except Exception as error:  # noqa: BLE001 -- the task goes on, and `check` tells
                failed += 1
                log.warning("%s failed: %s", name, type(error).__name__)
                if failed >= PATIENCE:
                    self._keeps_failing(error, name)
            lasted = asyncio.get_running_loop().time() - started
            wait = FIRST_RETRY if lasted > LAST_RETRY else min(2 * wait, LAST_RETRY)
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 -- spreads load, hides nothing

    def _keeps_failing(self, error: Exception, name: str = "turns") -> None:
        self._failures[name] = error
        self.arrived.set()

    # --- going out --------------------------------------------------------------------------------

    async def _send(self) -> None:
        while True:
            self._to_send.clear()
            if self._context.transport.spread:
                await self._give_turns()
            else:
                await self._parts.send()
            # By `Client.send`, too.
            self._read_opened()
            await self._to_send.wait()

    async def _confirm(self) -> None:
        while True:
            await asyncio.sleep(RECEIPT_SECONDS)
            if self._context.transport.spread:
                for conversation in await self._inbox.unconfirmed():
                    self._turns.give(conversation, partial(self._turn, conversation))
            elif await self._inbox.confirm():
                self.wake()

    async def _give_turns(self) -> None:
        """Whatever is to go out goes in its conversation's turn, first of all and after whatever went wrong."""
        for chat in await self._parts.messenger.chats_to_write_in():
            self._turns.give(b"chat %d" % chat, partial(self._write, chat))
        for queued in await self._context.store.read(tables.queued):
            self._turns.give(queued.conversation, partial(self._turn, queued.conversation))

    async def _write(self, chat: int) -> None:
        await self._parts.messenger.resume(chat)
        self._read_opened()

    async def _turn(self, conversation: bytes) -> None:
        await self._parts.turn(conversation)
        self._read_opened()

    def _read_opened(self) -> None:
        """A mailbox that was made or joined meanwhile is read."""
        if self._parts.outbox.opened != self._known_opened and self._streams:
            self._known_opened = self._parts.outbox.opened
            self.nudge()

    async def _others(self) -> None:
        """Another process of this home may have made a conversation to read, or left something to send."""
        seen = await self._context.store.version()
        written = await self._context.store.read(tables.last_written)
        while True:
            await asyncio.sleep(OTHERS_SECONDS)
            if (now := await self._context.store.version()) != seen:
                seen = now
                self.wake()
                self.nudge()
                before, written = written, await self._context.store.read(tables.last_written)
                if written is not None and written != before:
                    await self.opened(written.chat)

    async def _chores(self) -> None:
        while True:
            if await self._inbox.ask_again():
                self.wake()
            await self._parts.messenger.ask_sms()
            await self._daily_round()
            await self._parts.look_after()
            await self._parts.messenger.expire()
            await self._context.directory.prepare()
            await asyncio.sleep(CHORES_SECONDS)

    async def _answer(self) -> None:
        while True:
            self._asked.clear()
            await self._parts.answer()
            self.wake()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), CHORES_SECONDS)

    # --- coming in --------------------------------------------------------------------------------

    async def _intro(self) -> None:
        # By chance, as the polls begin: on the account's connection, it would tell whose those are that begin with it.
        await pause(self._context.transport.spread)
        account = await self._context.store.read(load_account)
        mailbox, read_key = account.intro_mailbox, account.intro_read_key
        async with aclosing(Pushes(await self._context.transport.intro_stream())) as pushes:
            await pushes.stream.send(wire.Subscribe(mailbox, read_key, account.intro_cursor))
            self.unreached = None
            while True:
                for pushed, deliveries in await pushes.batch():
                    if pushed == mailbox:
                        cursor = await self._inbox.intro(pushes.incarnations.get(mailbox, b""), deliveries)
                        # From the start, when the store was restored from a backup.
                        again = wire.Ack if cursor else wire.Subscribe
                        await pushes.stream.send(again(mailbox, read_key, cursor))
                        self._asked.set()
                        self._stored()
                if mailbox in pushes.refused:
                    refused = pushes.refused[mailbox]
                    # Our own: it has gone with the account.
                    raise NotPermitted if isinstance(refused, NoSuchMailbox) else refused

    async def _conversations(self) -> None:
        async with aclosing(Pushes(await self._context.transport.stream())) as pushes:
            self._streams.append(pushes)
            try:
                await self._follow(pushes)
            finally:
                self._streams.remove(pushes)
                self._followed = {mailbox: by for mailbox, by in self._followed.items() if by is not pushes}

    async def _follow(self, pushes: "Pushes") -> None:
        subscribed: dict[bytes, bytes] = {}
        if self._opened is None and (written := await self._context.store.read(tables.last_written)) is not None:
            self._opened = written.chat
        await self._subscribe(pushes, subscribed)
        while True:
            for mailbox, deliveries in await pushes.batch():
                if mailbox in subscribed and not await self._read(pushes, mailbox, subscribed[mailbox], deliveries):
                    # Of whoever is blocked now, and read again, from where it was, should that end.
                    del subscribed[mailbox]
                    self._followed.pop(mailbox, None)
            await self._refused(pushes, subscribed)
            if pushes.take_nudge():
                await self._subscribe(pushes, subscribed)

    async def _subscribe(self, pushes: "Pushes", subscribed: dict[bytes, bytes]) -> None:
        """Read what no other stream reads, as far as this one may; when all are full there is to be another."""
        reading = await self._context.store.read(tables.reading_conversations)
        for reader, chat in ((reader, chat) for conversation, chat in reading for reader in conversation.readers):
            log_ = reader.log
            by = self._followed.get(log_.mailbox, pushes)
            if by is not pushes or log_.state is not ReaderState.READING:
                continue
            if log_.mailbox not in subscribed and len(subscribed) >= wire.MAX_SUBSCRIPTIONS:
                self._another()
            elif subscribed.get(log_.mailbox) != reader.read_key:
                subscribed[log_.mailbox], self._followed[log_.mailbox] = reader.read_key, pushes
                await pushes.stream.send(wire.Subscribe(log_.mailbox, reader.read_key, log_.cursor))
                if chat == self._opened:
                    pushes.stream.first(log_.mailbox)

    def _another(self) -> None:
        if len(self._followed) >= self._wanted * wire.MAX_SUBSCRIPTIONS:
            self._wanted += 1
            self._tasks.append(asyncio.create_task(self._again(self._conversations)))

    def nudge(self) -> None:
        """There may be a conversation to read that was not read before."""
        for pushes in self._streams:
            pushes.nudge()

    async def _read(self, pushes: "Pushes", mailbox: bytes, read_key: bytes, deliveries: list[wire.Delivery]) -> bool:
        """Store what was pushed, and acknowledge it; False when this mailbox is not read any more."""
        incarnation = pushes.incarnations.get(mailbox, b"")
        after = await self._inbox.conversation(mailbox, incarnation, deliveries, acknowledge=False)
        if after is None:
            return False
        self._inbox.fresh(mailbox)
        self._stored()
        # From the start, when the store was restored from a backup.
        again = wire.Ack if after.log.cursor else wire.Subscribe
        await pushes.stream.send(again(mailbox, read_key, after.log.cursor))
        return True

    async def _refused(self, pushes: "Pushes", subscribed: dict[bytes, bytes]) -> None:
        """A mailbox that is gone is given up. One that another process is only making, or that the server could not
        page just now, is asked for again.
        """
        for mailbox, error in list(pushes.refused.items()):
            del pushes.refused[mailbox]
            read_key = subscribed.pop(mailbox, None)
            if read_key is None:
                continue
            self._followed.pop(mailbox, None)
            if await self._context.store.read(_is_being_made, mailbox):
                asyncio.get_running_loop().call_later(OTHERS_SECONDS, pushes.nudge)
            elif isinstance(error, (NoSuchMailbox, NotPermitted)):
                await self._context.store.transact(self._inbox.give_up_mailbox, mailbox)
                self.wake()
            else:
                # Alone, and not at once: the others go on, and a server whose disk fails is not asked without end.
                asyncio.get_running_loop().call_later(REFUSED_SECONDS * random.uniform(0.5, 1.0), pushes.nudge)  # noqa: S311

    def _stored(self) -> None:
        self.arrived.set()
        self.wake()


def _is_being_made(db: Db, mailbox: bytes) -> bool:
    found = tables.conversation_by_mailbox(db, mailbox)
    return found is not None and found[0].state is ConversationState.STARTED


class Pushes:
    """Gathers what one stream pushes into batches, each of one mailbox."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.incarnations: dict[bytes, bytes] = {}
        self.refused: dict[bytes, GrueError] = {}
        self._deliveries: list[wire.Delivery] = []
        self._room = asyncio.Semaphore(ROOM)
        self._something = asyncio.Event()
        self._nudged = False
        self._ended = False
        self._failure: VerificationFailed | None = None
        self._reading = asyncio.create_task(self._read())

    async def batch(self) -> list[tuple[bytes, list[wire.Delivery]]]:
        """What waits now; empty after a nudge or a refusal. Raises Unreachable when the stream has ended, or the check
        that failed and ended it.
        """
        await self._something.wait()
        if not self._ended:
            # Else the next call waits for ever, where the last deliveries and the end came together.
            self._something.clear()
        taken, self._deliveries = self._deliveries, []
        if not taken and self._ended:
            raise self._failure or Unreachable
        batches: dict[bytes, list[wire.Delivery]] = {}
        for delivery in taken:
            self._room.release()
            batches.setdefault(delivery.mailbox, []).append(delivery)
        return list(batches.items())

    def nudge(self) -> None:
        """Let `batch` return, for there is something new to subscribe to."""
        self._nudged = True
        self._something.set()

    def take_nudge(self) -> bool:
        nudged, self._nudged = self._nudged, False
        return nudged

    async def aclose(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self.stream.close()

    async def _read(self) -> None:
        try:
            async for push in self.stream.pushes():
                await self._pushed(push)
        except VerificationFailed as error:
            self._failure = error
        finally:
            self._ended = True
            self._something.set()

    async def _pushed(self, push: wire.StreamPush) -> None:
        match push:
            case wire.Subscribed():
                self.incarnations[push.mailbox] = push.incarnation
            case wire.Delivery():
                await self._room.acquire()
                self._deliveries.append(push)
                self._something.set()
            case wire.NotSubscribed():
                self.refused[push.mailbox] = BY_CODE.get(push.code, Refused)()
                self._something.set()
