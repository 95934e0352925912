"""A life is played through a classic directory, the carrier and Grue, with a fast clock; what each was given is kept.

Grue is played twice, `direct` and `oblivious`: what the server is given differs, the life does not.
"""

import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from grue.exposure.lives import DAY, Event, Kind, Life, Person
from grue.exposure.records import CallDetail, Delivered, Dialled, Heard, Held, Names, Passed, Return
from grue.exposure.scanner.rest import Table, tables
from grue.exposure.scanner.snapshot import databases_in
from grue.lab.classic import KEPT_DAYS, ClassicDirectory
from grue.lab.inline_store import open_inline
from grue.lab.light_client import LightClient
from grue.lab.taps import Tapes
from grue.lab.telephone import SMS, Telephones
from grue.server.chores import sweep
from grue.server.directory.directory import record_key
from grue.server.keys.keys import open_keys
from grue.server.sms.gateway import Sms
from grue.testing import Carrier, World

REGISTERED_BEFORE: Final = 7 * DAY
"""Seconds before the life begins at which everybody registers."""

STEP_DAYS: Final = 30
"""Days between two snapshots, of either directory, unless it is said otherwise: an order and its extensions."""

SWEEP_DAYS: Final = 7
"""Days between two sweeps of the server; the real one sweeps every six hours."""

ROUND_DAYS: Final = 28
"""Days between two daily rounds of everybody but the subject, so that their key packages do not run out."""

CHECK_IN_DAYS: Final = 6 * ROUND_DAYS
"""Days between two check-ins of everybody but the subject, whose accounts would go after a year otherwise."""

HOUR: Final = 3600.0
"""Seconds; as often a handset says that it is there."""

SEALED_BYTES: Final = 200
"""Bytes from which on a value of a row is written down as its length: a sealed envelope, or public keys."""


@dataclass(frozen=True, repr=False)
class GrueTapes:
    """What one way through Grue left."""

    tapes: Tapes
    rest: list[Held]
    names: Names
    submitted: list[CallDetail]
    """What the server handed to its SMS gateway, codes for registrations included."""
    telephones: "TelephoneTapes"
    """What the server submitted, the calls, and the SMS that do not go through it."""
    told: list[Delivered]
    """What the closest contact's client was delivered, and opened."""


@dataclass(frozen=True)
class TelephoneTapes:
    """What the telephone network left."""

    records: list[CallDetail]
    dialled: list[Dialled]
    heard: list[Heard]


@contextmanager
def memory_folder() -> Iterator[Path]:
    """A folder in memory where the system has one: a year of fsyncs takes no time there."""
    memory = Path("/dev/shm")  # noqa: S108 -- its own directory is made in it
    with tempfile.TemporaryDirectory(prefix="grue-life-", dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


# --- the classic directory ------------------------------------------------------------------------


@dataclass(frozen=True)
class ClassicTapes:
    """What orders got from the classic directory."""

    returned: Return
    """About the subject."""
    chained: list[Return]
    """About each number that the subject was seen to ask for, from when it was."""


def play_classic(life: Life, path: Path | None = None, *, kept_days: int = KEPT_DAYS) -> ClassicTapes:
    """Everybody's lookups, a sweep a day, an order about the subject, and one about each number in its log.

    Orders are extended until the life ends. Some 100 us a lookup.
    """
    now = life.begun
    registered = {one.number for one in life.people if one.grue}
    where = _addresses(life)
    directory = ClassicDirectory(path, registered, kept_days=kept_days, clock=lambda: now)
    orders: dict[str, _Order] = {}
    try:
        orders[life.subject] = _Order(directory.order(life.subject, life.begun, STEP_DAYS), now + STEP_DAYS * DAY)
        swept = life.begun
        for event in life.events:
            now = max(now, event.at)
            if now - swept > DAY:
                swept = now
                _extend(directory, orders.values(), now)
                directory.sweep()
            if event.kind is not Kind.LOOKUP:
                continue
            directory.ask(event.who, where(event.who, now), event.whom)
            if event.who == life.subject and event.whom not in orders:
                number = directory.order(event.whom, max(life.begun, now - kept_days * DAY), STEP_DAYS)
                orders[event.whom] = _Order(number, now + STEP_DAYS * DAY)
        now = max(now, life.ended)
        _extend(directory, orders.values(), now)
        first, *others = (directory.produce(order.number) for order in orders.values())
        return ClassicTapes(first, others)
    finally:
        directory.close()


@dataclass
class _Order:
    number: int
    until: float


def _extend(directory: ClassicDirectory, orders: Iterable[_Order], now: float) -> None:
    """Before they run out."""
    for order in orders:
        while order.until < now:
            order.until = directory.extend(order.number, STEP_DAYS)


def _addresses(life: Life) -> Callable[[str, float], str]:
    """From which network address somebody asks: the subject moves, everybody else is at home."""
    homes = {one.number: one.address for one in life.people}
    begins = [stay.begun for stay in life.stays]

    def address(number: str, at: float) -> str:
        if number != life.subject or not begins:
            return homes[number]
        return life.stays[max(bisect_right(begins, at) - 1, 0)].address

    return address


# --- telephones -----------------------------------------------------------------------------------


class _Line:
    """The telephone network of a life, with a recorder on the subject's line and a receiver near its home."""

    def __init__(self, life: Life, clock: Callable[[], float]) -> None:
        self._subject, self._home = life.subject, life.people[0].address
        where = _addresses(life)
        near = lambda: where(self._subject, clock()) == self._home  # noqa: E731 -- of a line, and used once
        self.network = Telephones(clock, line=self._subject, near=near)

    def carry(self, event: Event) -> None:
        """A call, or an SMS from telephone to telephone."""
        if event.kind is Kind.CALL:
            self.network.call(event.who, event.whom, event.seconds)
        else:
            self.network.sms(event.who, event.whom, event.text)

    def tapes(self, passed: Iterable[Passed]) -> TelephoneTapes:
        """What is left at the end. `passed` is the network's tape: the receiver hears what of it is the handset's."""
        network = self.network
        network.sweep()
        tls = [
            Heard(one.at, "tls", self._subject, size=one.size, up=one.up) for one in passed if one.address == self._home
        ]
        heard = sorted([*network.heard, *tls], key=lambda one: one.at)
        return TelephoneTapes(network.records, network.dialled, heard)


def play_telephone(life: Life) -> TelephoneTapes:
    """Calls and SMS as they would be without a Grue server that sends any. Some 2 us an event."""
    now = life.begun
    line = _Line(life, lambda: now)
    grue = {one.number for one in life.people if one.grue}
    for event in life.events:
        now = event.at
        if event.kind is Kind.CALL or (event.kind is Kind.TEXT and not {event.who, event.whom} <= grue):
            line.carry(event)
    now = max(now, life.ended)
    return line.tapes([])


# --- Grue -----------------------------------------------------------------------------------------


class _Gateway(Carrier):
    """The server's SMS gateway: what it submits, the carrier carries."""

    def __init__(self, network: Telephones, clock: Callable[[], float]) -> None:
        super().__init__()
        self.submitted: list[CallDetail] = []
        self._network = network
        self._clock = clock

    async def submit(self, sms: Sms) -> str:
        sender = sms.sender or "Grue"
        self.submitted.append(CallDetail(self._clock(), SMS, sender, sms.to, text=sms.text))
        self._network.sms(sender, sms.to, sms.text)
        return await super().submit(sms)


class GruePlayer:
    """One way of playing a life through Grue."""

    def __init__(self, life: Life, folder: Path, *, oblivious: bool, snapshot_days: int = STEP_DAYS) -> None:
        self._life = life
        self._oblivious = oblivious
        self._snapshot_days = snapshot_days
        self._folder = folder
        self._where = _addresses(life)
        self._tapes = Tapes()
        self._rest: list[Held] = []
        self._clients: dict[str, LightClient] = {}
        self._to_refill: dict[str, float] = {}
        self._hours = 0
        """Since the life began."""
        self._told: list[Delivered] = []
        self._line = _Line(life, lambda: self._world.clock())
        self._gateway = _Gateway(self._line.network, lambda: self._world.clock())
        begun = life.begun - REGISTERED_BEFORE
        self._world = World(folder, now=begun, carrier=self._gateway, open_store=open_inline)

    async def play(self) -> GrueTapes:
        """Some 1 ms an event."""
        life = self._life
        async with self._world as world:
            for person in life.people:
                if person.grue:
                    await self._register(person)
            for event in life.events:
                await self._pass_hours(event.at)
                self._until(event.at)
                await self._happen(event)
            await self._pass_hours(life.ended)
            keys = open_keys(world.data)
        clients = self._clients.items()
        names = Names(
            {record_key(keys, number).tag.hex(): number for number in self._clients},
            {client.intro.hex(): number for number, client in clients},
            {client.account.hex(): number for number, client in clients},
        )
        tapes = self._tapes.by_time()
        telephones = self._line.tapes(tapes.network)
        return GrueTapes(tapes, self._rest, names, self._gateway.submitted, telephones, self._told)

    async def _register(self, person: Person) -> None:
        client = self._clients[person.number] = LightClient(
            self._world,
            person.number,
            lambda: self._where(person.number, self._world.clock()),
            self._tapes,
            self._oblivious,
            draws=person.number == self._life.subject,
            told=self._told if person.number == self._life.closest else None,
        )
        await client.register(self._gateway.code)

    def _until(self, at: float) -> None:
        self._world.clock.now = max(self._world.clock.now, at)

    async def _pass_hours(self, until: float) -> None:
        """Let the hours pass: the handset says that it is there, and at midnight a day begins."""
        while (at := self._life.begun + self._hours * HOUR) <= until:
            if self._hours % 24 == 0:
                await self._day(at)
            self._until(at)
            self._line.network.present()
            self._hours += 1

    async def _day(self, day: float) -> None:
        """What is done daily, weekly and monthly; the subject's round at an hour of the phone's own."""
        world, life = self._world, self._life
        self._until(day)
        number = round((day - life.begun) / DAY)
        if number % self._snapshot_days == 0 or day >= life.ended:
            # Acknowledgements, which nobody waits for.
            await world.server.store.flush()
            self._rest += snapshot(world.data, world.clock())
        if number % SWEEP_DAYS == 0:
            await world.server.directory.tend()
            await sweep(world.server)
        due = {who for who, at in self._to_refill.items() if at <= day}
        due |= {who for n, who in enumerate(self._clients) if (n + number) % ROUND_DAYS == 0}
        for who in sorted(due - {life.subject}):
            self._to_refill.pop(who, None)
            await self._clients[who].daily_round()
            if number % CHECK_IN_DAYS < ROUND_DAYS:
                await self._clients[who].check_in()
        subject = self._clients[life.subject]
        await subject.daily_round()
        if number % 7 == 0:
            await subject.check_in()

    async def _happen(self, event: Event) -> None:
        who, whom = self._clients.get(event.who), self._clients.get(event.whom)
        if event.kind is Kind.CALL or (event.kind is Kind.TEXT and who is None):
            self._line.carry(event)
        if who is None or event.kind is Kind.CALL:
            return
        await who.connect()
        if whom is not None:
            await whom.connect()
        if event.kind is Kind.LOOKUP:
            await who.look_up(event.whom)
        elif whom is None:
            await who.look_up(event.whom)
            await self._sms(who, event)
        elif event.whom in who.conversations:
            await who.text(whom, event.text)
        else:
            await who.look_up(event.whom)
            await who.first_contact(whom, event.text)
            self._to_refill[event.whom] = self._world.clock() + DAY

    async def _sms(self, who: LightClient, event: Event) -> None:
        """To who is not on Grue: the subject's go through its server, others' are written on their telephones."""
        if event.who == self._life.subject:
            await who.sms(event.whom, event.text)
        else:
            self._line.carry(event)


async def play_grue(life: Life, *, oblivious: bool, snapshot_days: int = STEP_DAYS) -> GrueTapes:
    """A life through Grue, on a server of its own, whose disk is looked at every so many days and at the end."""
    with memory_folder() as folder:
        return await GruePlayer(life, folder, oblivious=oblivious, snapshot_days=snapshot_days).play()


def snapshot(data: Path, at: float) -> list[Held]:
    """What lies in a server's databases; the server may be running."""
    files = {
        path.name: path.read_bytes() for path in sorted(data.iterdir()) if path.is_file() and path.suffix != ".key"
    }
    return [held for taken in databases_in(files) for table in tables(taken) for held in _rows(table, at)]


def _rows(table: Table, at: float) -> Iterator[Held]:
    for row in table.rows:
        values = (_value(value) for value in row)
        yield Held(at, table.name, dict(zip(table.heads, values, strict=True)))


def _value(value: object) -> str | int | None:
    if isinstance(value, bytes):
        return value.hex() if len(value) <= SEALED_BYTES else f"{len(value)} bytes"
    return value if value is None or isinstance(value, int) else str(value)
