"""`oblivious_linked`: what a gateway that refuses, cuts, holds up and restarts learns of whose a mailbox is.

Several readers with six mailboxes each receive through a relay for an hour, on a clock that is simulated: it is the
client's own `Receiver`, its stream of polls and its `Outbox`, over a gateway that is a function. The readers write now
and then, and confirm what they read. The observer there sees the time and the mailbox of each anonymous request and
does to any of them what it likes. It chooses one mailbox, disturbs it again and again, and every other once in a while,
restarts for all, and then names the five that it takes for the same reader's. The figure is the share of them that are,
over a hundred seeds; by chance it is five of the 29 others.

Each reader also changes its network now and then, which the observer does not do and only sees.
"""

import asyncio
import math
import random
import selectors
import statistics
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, cast
from unittest.mock import patch

from grue.client.conversations import apart, once, outbox, tables
from grue.client.conversations import receiver as receiving
from grue.client.conversations.once import Parts
from grue.client.conversations.outbox import Outbox
from grue.client.conversations.receiver import Receiver
from grue.client.transport import oblivious
from grue.errors import GrueError, NotAGrueServer, RelayUnreachable, ServerBusy, TimedOut
from grue.protocol import wire
from grue.protocol.conversation.conversation import ConversationState, Purpose
from grue.protocol.conversation.mailbox import ReaderState

SEEDS: Final = range(100)

READERS: Final = 5
MAILBOXES: Final = 6
"""Of each reader, as in the trial that found how one refusal showed all."""

WARM: Final = 200.0
"""Seconds before the observer begins: all readers have been there for minutes."""

SECONDS: Final = 3_600.0

EVERY: Final = 75.0
"""Seconds between two disturbances."""

NETWORK_EVERY: Final = 1_200.0
"""Seconds between two changes of a reader's network, on average."""

AWAY: Final = 3.0
"""Seconds without a network then, and seconds that the gateway takes to start anew."""

MESSAGE_EVERY: Final = 600.0
"""Seconds between two messages in a mailbox, on average."""

WRITE_EVERY: Final = 300.0
"""Seconds between two texts that a reader writes, on average, each into one of its mailboxes."""

DENIED: Final = 60.0
"""Seconds for which the observer refuses whatever is posted to its mailbox: what its client has for others waits."""

MOMENT: Final = 0.3
"""Seconds: posts to two mailboxes in one moment may be one client's."""

LATENCY: Final = (0.01, 0.2)
"""Seconds from a reader to the gateway: its own, and always about the same, by which it can be known."""


# --- a simulated clock ----------------------------------------------------------------------------


class _Waits(selectors.SelectSelector):
    """Waits for nothing: the time passes at once."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("nothing would ever happen again")
        self.now += timeout
        return []


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._waits = _Waits()
        super().__init__(self._waits)

    def time(self) -> float:
        return self._waits.now


# --- the gateway, and who watches there -----------------------------------------------------------


Request = wire.Fetch | wire.Ack | wire.Post

THEIRS: Final = bytes(16)
"""The id of every envelope of other people's; a reader's own have others."""


class Seen(NamedTuple):
    """One request at the gateway."""

    at: float
    mailbox: int
    posted: bool = False


class _Open:
    """A poll that waits at the gateway, and how it will end: with what is there, or as the observer likes."""

    def __init__(self, mailbox: int) -> None:
        self.mailbox = mailbox
        self.end: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def ends(self, how: Exception | None) -> None:
        if not self.end.done():
            self.end.set_result(how)


class Gateway:
    """Answers fetches, acknowledgements and posts, notes them, and does as the observer says."""

    def __init__(self, mailboxes: int) -> None:
        self.seen: list[Seen] = []
        self.overtaken: list[Seen] = []
        """Polls that began while an earlier one of the same mailbox was open: its client has given that one up."""
        self.open: dict[int, _Open] = {}
        self.acks: dict[int, Exception] = {}
        """Refused once: the next acknowledgement of a mailbox."""
        self.held: dict[int, float] = {}
        """Seconds for which the next request of a mailbox is held up."""
        self.denied: dict[int, float] = {}
        """Until when posts to a mailbox are refused."""
        self.down_until = -1.0
        self._logs: list[list[bytes]] = [[] for _ in range(mailboxes)]
        """Of each mailbox the ids of its envelopes."""

    async def ask(self, request: Request) -> wire.AnonymousAnswer:
        now, mailbox = asyncio.get_running_loop().time(), number(request.mailbox)
        if now < self.down_until:
            raise TimedOut
        self.seen.append(Seen(now, mailbox, isinstance(request, wire.Post)))
        await asyncio.sleep(self.held.pop(mailbox, 0.0))
        if isinstance(request, wire.Post):
            return self._posted(request, mailbox)
        if isinstance(request, wire.Ack):
            if mailbox in self.acks:
                raise self.acks.pop(mailbox)
            return wire.Done()
        return await self._fetched(request, mailbox)

    def _posted(self, request: wire.Post, mailbox: int) -> wire.Posted:
        if asyncio.get_running_loop().time() < self.denied.get(mailbox, -1.0):
            raise ServerBusy(retry_after=1)
        if request.envelope not in self._logs[mailbox]:
            self.appended(mailbox, request.envelope)
        return wire.Posted(len(self._logs[mailbox]))

    async def _fetched(self, request: wire.Fetch, mailbox: int) -> wire.Fetched:
        if mailbox in self.open:
            self.overtaken.append(self.seen[-1])
        waits = self.open[mailbox] = _Open(mailbox)
        try:
            if request.after >= len(self._logs[mailbox]):
                async with asyncio.timeout(request.wait):
                    if (error := await waits.end) is not None:
                        raise error
        except TimeoutError:
            pass
        finally:
            if self.open.get(mailbox) is waits:
                del self.open[mailbox]
        ids = self._logs[mailbox]
        new = [wire.Delivery(request.mailbox, n + 1, ids[n], b"") for n in range(request.after, len(ids))]
        return wire.Fetched(bytes(16), len(ids), new)

    def appended(self, mailbox: int, envelope: bytes = THEIRS) -> None:
        self._logs[mailbox].append(envelope)
        if mailbox in self.open:
            self.open[mailbox].ends(None)

    def restart(self) -> None:
        """Everything that waits is cut, and for some seconds nothing is answered."""
        self.down_until = asyncio.get_running_loop().time() + AWAY
        for one in list(self.open.values()):
            one.ends(TimedOut())


def number(mailbox: bytes) -> int:
    return int.from_bytes(mailbox, "big")


def name(mailbox: int) -> bytes:
    return mailbox.to_bytes(32, "big")


class Observer:
    """Disturbs one mailbox above all, notes when, and says in the end which belong with it.

    What counts for another mailbox, each time that the chosen one was disturbed or everything was restarted: that its
    poll was given up at that moment, that it asked within a moment of it, or of when the chosen one asked again; and
    over the whole time, how often the two ask at the same moment, for how often they ask at all, and how often
    something is posted to both.
    """

    def __init__(self, gateway: Gateway, mailboxes: int, chance: random.Random) -> None:
        self.gateway = gateway
        self.chance = chance
        self.target = chance.randrange(mailboxes)
        self.mailboxes = mailboxes
        self.disturbed: list[float] = []

    async def disturb(self, until: float) -> None:
        loop = asyncio.get_running_loop()
        ways = [self._refuse, self._cut, self._garble, self._refuse_ack, self._hold, self._deny, self.gateway.restart]
        while loop.time() < until:
            way = self.chance.choice(ways)
            way()
            self.disturbed.append(loop.time())
            await asyncio.sleep(EVERY * self.chance.uniform(0.8, 1.2))

    def _end(self, how: Exception) -> None:
        if self.target in self.gateway.open:
            self.gateway.open[self.target].ends(how)

    def _refuse(self) -> None:
        self._end(ServerBusy(retry_after=1))

    def _cut(self) -> None:
        self._end(TimedOut())

    def _garble(self) -> None:
        self._end(NotAGrueServer())

    def _refuse_ack(self) -> None:
        self.gateway.acks[self.target] = ServerBusy(retry_after=1)
        self.gateway.appended(self.target)

    def _hold(self) -> None:
        """Hold up what the client says to a message, and see what waits for that."""
        self.gateway.appended(self.target)
        self.gateway.held[self.target] = 15.0

    def _deny(self) -> None:
        """Refuse the receipt of a message, again and again, and see what is posted with each attempt."""
        self.gateway.appended(self.target)
        self.gateway.denied[self.target] = asyncio.get_running_loop().time() + DENIED

    def named(self, count: int) -> list[int]:
        """The mailboxes that are most likely the same reader's."""
        scores = self._after() + self._together() + self._posted_together()
        total: defaultdict[int, float] = defaultdict(float)
        for mailbox, score in scores:
            total[mailbox] += score
        others = [n for n in range(self.mailboxes) if n != self.target]
        # Those of whom nothing is known in an order by chance.
        self.chance.shuffle(others)
        return sorted(others, key=lambda n: -total[n])[:count]

    def _after(self) -> list[tuple[int, float]]:
        """How close to each disturbance a mailbox gave a poll up, or asked, or asked with the chosen one."""
        scores = []
        times = self._times()
        for at in self.disturbed:
            back = next((t for t in times[self.target] if t > at), math.inf)
            for mailbox in range(self.mailboxes):
                first = next((t for t in times[mailbox] if t > at), at + SECONDS)
                scores.append((mailbox, math.exp(at - first) + math.exp(-abs(first - back))))
            scores += [(seen.mailbox, 3.0) for seen in self.gateway.overtaken if at < seen.at < at + 20]
        return scores

    def _together(self) -> list[tuple[int, float]]:
        """How often each asks within a tenth of a second of the chosen one, by how often it asks at all."""
        times = self._times()
        scores = []
        for mailbox in range(self.mailboxes):
            near = sum(1 for t in times[mailbox] if any(abs(t - other) < 0.1 for other in times[self.target]))
            scores.append((mailbox, 20 * near / max(1, len(times[mailbox]))))
        return scores

    def _posted_together(self) -> list[tuple[int, float]]:
        """For each moment in which something was posted to the chosen one, what else was posted to in it."""
        posts = [seen for seen in self.gateway.seen if seen.posted]
        own = [seen.at for seen in posts if seen.mailbox == self.target]
        return [
            (seen.mailbox, 2.0)
            for seen in posts
            if seen.mailbox != self.target and any(abs(seen.at - at) < MOMENT for at in own)
        ]

    def _times(self) -> dict[int, list[float]]:
        times: defaultdict[int, list[float]] = defaultdict(list)
        for seen in self.gateway.seen:
            if seen.at >= WARM:
                times[seen.mailbox].append(seen.at)
        return times


# --- who reads ------------------------------------------------------------------------------------


class Reader:
    """The client's receiver and outbox over its polled stream; what it stores is made up.

    spread  seconds within which the client sends for each conversation by itself; 0: for all of them together
    """

    def __init__(self, gateway: Gateway, mailboxes: list[int], chance: random.Random, spread: float) -> None:
        self._gateway = gateway
        self._latency = chance.uniform(*LATENCY)
        self._chance = chance
        self._cursors = dict.fromkeys(mailboxes, 0)
        self._network = asyncio.Event()
        self._network.set()
        self._cut = asyncio.Event()
        self._queue: dict[int, tables.Queued] = {}
        self._count = 0
        self._unconfirmed: set[bytes] = set()
        transport = SimpleNamespace(stream=self._stream, spread=spread)
        store = SimpleNamespace(read=self._read, note=self._settle, transact=_nothing)
        context = cast(
            "Any", SimpleNamespace(transport=transport, store=store, tokens=SimpleNamespace(ask=self._ask), now_ms=0)
        )
        self.outbox = Outbox(context, cast("Any", None))
        messenger = SimpleNamespace(resume=_nothing, chats_to_write_in=_no_chats)
        own = cast("Any", SimpleNamespace(tell=_nothing))
        parts = Parts(context, cast("Any", self._inbox()), self.outbox, cast("Any", messenger), cast("Any", None), own)
        self.receiver = Receiver(parts, _nothing)

    def _inbox(self) -> Any:
        return SimpleNamespace(
            conversation=self._conversation,
            fresh=lambda _mailbox: None,
            unconfirmed=self._to_confirm,
            confirm=self._confirm,
        )

    async def run(self) -> None:
        runs = (self.receiver._conversations, self.receiver._send, self.receiver._confirm)
        await asyncio.gather(*(self.receiver._again(run) for run in runs))

    async def write(self) -> None:
        """Write a text now and then, as `Client.send` does: it goes at once, or stays queued."""
        while True:
            await asyncio.sleep(self._chance.expovariate(1 / WRITE_EVERY))
            mailbox = name(self._chance.choice(list(self._cursors)))
            self._post(mailbox)
            with suppress(GrueError):
                await self.outbox.flush(mailbox)
            self.receiver.wake()

    def _post(self, mailbox: bytes) -> None:
        self._count += 1
        envelope = self._count.to_bytes(8, "big") + mailbox[-8:]
        request = wire.encode(wire.Post(mailbox, bytes(32), envelope, bytes(1024)))
        self._queue[self._count] = tables.Queued(
            self._count, mailbox, Purpose.SAY, tables.Kind.POST, request, envelope, b""
        )

    async def _settle(
        self, _settle: object, pairs: list[tuple[tables.Queued, object]], lane: bytes | None, _message: bytes
    ) -> tuple[list[tables.Queued], set[bytes], None]:
        for queued, outcome in pairs:
            if not isinstance(outcome, Exception):
                self._queue.pop(queued.n, None)
        return self._waiting(lane), set(), None

    def _waiting(self, lane: bytes | None = None) -> list[tables.Queued]:
        return [queued for queued in self._queue.values() if lane in (None, queued.conversation)]

    async def _to_confirm(self) -> list[bytes]:
        # In an order that is the same in every run.
        return sorted(self._unconfirmed)

    async def _confirm(self, only: bytes | None = None) -> bool:
        chosen = set(self._unconfirmed) if only is None else self._unconfirmed & {only}
        self._unconfirmed -= chosen
        for mailbox in sorted(chosen):
            self._post(mailbox)
        return bool(chosen)

    async def move(self) -> None:
        """Change the network now and then: what is under way is lost, though the relay has handed it on."""
        while True:
            await asyncio.sleep(self._chance.expovariate(1 / NETWORK_EVERY))
            self._network.clear()
            self._cut.set()
            self._cut = asyncio.Event()
            await asyncio.sleep(AWAY)
            self._network.set()

    async def _ask(self, request: wire.AnonymousRequest) -> wire.AnonymousAnswer:
        if not self._network.is_set():
            raise RelayUnreachable
        # What the relay has is asked, whoever goes away meanwhile.
        asked = asyncio.ensure_future(self._asked(cast("Request", request)))
        asked.add_done_callback(lambda one: one.cancelled() or one.exception())
        cut = asyncio.ensure_future(self._cut.wait())
        try:
            await asyncio.wait([asked, cut], return_when=asyncio.FIRST_COMPLETED)
        finally:
            cut.cancel()
        if not asked.done():
            raise TimedOut
        return asked.result()

    async def _asked(self, request: Request) -> wire.AnonymousAnswer:
        await asyncio.sleep(self._latency * self._chance.uniform(1, 1.1))
        return await self._gateway.ask(request)

    async def _stream(self) -> Any:
        return oblivious._PolledStream(self._ask, self._ready, lambda _stream: None, oblivious.START_SECONDS)

    async def _ready(self) -> bool:
        return True

    async def _read(self, question: object, *about: object) -> Any:
        if question is tables.last_written:
            return None
        if question is tables.queued:
            return self._waiting(*cast("tuple[bytes | None, ...]", about))
        if question is once._waits:
            return bool(self._queue)
        if question is outbox._waiting:
            return self._waiting(*cast("tuple[bytes | None, bytes]", about)[:1]), set(), None
        # Of one mailbox only whether it is being made, of none all that are read.
        return False if about else [(self._conversation_of(mailbox), 0) for mailbox in self._cursors]

    def _conversation_of(self, mailbox: int) -> Any:
        log = SimpleNamespace(mailbox=name(mailbox), state=ReaderState.READING, cursor=self._cursors[mailbox])
        reader = SimpleNamespace(log=log, read_key=bytes(32))
        return SimpleNamespace(log=log, readers=[reader], state=ConversationState.ACTIVE)

    async def _conversation(self, mailbox: bytes, _incarnation: bytes, deliveries: Any, acknowledge: bool) -> Any:
        assert not acknowledge
        if deliveries:
            self._cursors[number(mailbox)] = deliveries[-1].seq
            if any(delivery.envelope == THEIRS for delivery in deliveries):
                self._unconfirmed.add(mailbox)
        return self._conversation_of(number(mailbox))


async def _nothing(*_arguments: object) -> None: ...


async def _no_chats() -> set[int]:
    return set()


async def _messages(gateway: Gateway, mailboxes: int, chance: random.Random) -> None:
    while True:
        await asyncio.sleep(chance.expovariate(mailboxes / MESSAGE_EVERY))
        gateway.appended(chance.randrange(mailboxes))


async def _end_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _watched(chance: random.Random, readers: int, mailboxes: int, seconds: float, spread: float) -> float:
    count = readers * mailboxes
    gateway, numbers = Gateway(count), list(range(count))
    chance.shuffle(numbers)
    owned = [numbers[n * mailboxes : (n + 1) * mailboxes] for n in range(readers)]
    people = [Reader(gateway, mine, chance, spread) for mine in owned]
    works = [work() for one in people for work in (one.run, one.move, one.write)]
    tasks = [asyncio.ensure_future(work) for work in [*works, _messages(gateway, count, chance)]]
    await asyncio.sleep(WARM)
    assert not any(task.done() for task in tasks)
    observer = Observer(gateway, count, chance)
    await observer.disturb(WARM + seconds)
    await asyncio.sleep(EVERY)
    for one in people:
        one.receiver.check()
    named = set(observer.named(mailboxes - 1))
    await _end_all()
    own = next(set(mine) for mine in owned if observer.target in mine)
    return len(named & own) / (mailboxes - 1)


def linked(
    seed: int,
    readers: int = READERS,
    mailboxes: int = MAILBOXES,
    seconds: float = SECONDS,
    spread: float = oblivious.START_SECONDS,
) -> float:
    """The share of a reader's other mailboxes that the observer names, from 0 to 1; some 1 s of one core.

    spread  0 is a client that posts for all its conversations together, as without a relay
    """
    chance = random.Random(seed)
    loop = _Loop()
    with ExitStack() as stack:
        stack.callback(loop.close)
        for one in _by_chance(chance):
            stack.enter_context(one)
        return loop.run_until_complete(_watched(chance, readers, mailboxes, seconds, spread))


def _by_chance(chance: random.Random) -> Iterator[Any]:
    """What the client decides by chance, from the seed."""
    for module in (oblivious, apart):
        yield patch.object(module, "secrets", SimpleNamespace(randbelow=chance.randrange))
    yield patch.object(receiving, "random", chance)


def by_chance(readers: int = READERS, mailboxes: int = MAILBOXES) -> float:
    """The share that who knows nothing names."""
    return (mailboxes - 1) / (readers * mailboxes - 1)


def measure() -> list[dict[str, Any]]:
    """Two minutes."""
    shares = [linked(seed) for seed in SEEDS]
    mean, error = statistics.mean(shares), statistics.stdev(shares) / math.sqrt(len(shares))
    unit = f"of a reader's mailboxes named, ± {1.96 * error:.3f}"
    return [
        {
            "id": "oblivious_linked",
            "value": round(mean, 3),
            "unit": unit,
            "reach": round(by_chance(), 3),
            "peers": {"by chance": round(by_chance(), 3)},
        }
    ]
