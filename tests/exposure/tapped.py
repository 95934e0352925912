"""One run of the world in memory, with everything captured that each party was given: a real server on a real disk."""

import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from grue.client.client import Client
from grue.client.transport.transport import Stream, Transport
from grue.exposure.captures import CARRIER, CONTACT, SERVER_LIVE, Capture, Event, Piece, network_view
from grue.exposure.facts import Finding
from grue.exposure.report import Row, report
from grue.exposure.scanner.rest import at_any_time, at_rest
from grue.exposure.truth import LookedUp, Person, Said, Truth
from grue.exposure.views import identifiers
from grue.protocol import wire
from grue.server.sms.gateway import Sms
from grue.server.store.interface import Tx
from grue.server.store.schema import TABLES
from grue.testing import World
from grue.testing.network import MemoryStream, MemoryTransport, Role

ALICE, BOB, CAROL, DAVE = "+447700900811", "+447700900822", "+447700900833", "+447700900844"
"""Carol is not on Grue. Dave is, and nobody writes to him: he is only looked up."""

ADDRESSES = {ALICE: "127.83.17.11", BOB: "127.83.17.22", DAVE: "127.83.17.44"}

HELLO, ANSWER = "meet me at the observatory", "bring the binoculars then"
GREEN, GREEN_ANSWER = "the greengrocer is closing", "understood and overheard"

ACCOUNT_REQUESTS = wire.RegisterStart | wire.RegisterFinish | wire.Signed


@dataclass(frozen=True)
class Run:
    """What was captured in one run, and what happened in it."""

    captures: list[Capture]
    truth: Truth
    rows: list[Row]
    quiet: bool
    """Nothing on the server's disk changed while numbers were looked up."""

    def finding(self, fact: str, observer: str) -> Finding:
        return next(row.findings[observer] for row in self.rows if row.fact.id == fact)

    def capture(self, observer: str) -> Capture:
        return next(capture for capture in self.captures if capture.observer == observer)


class TappedTransport(MemoryTransport):
    """Records what passes as a tap before the server would; each transport is a connection of each kind."""

    numbers = itertools.count()

    def __init__(self, world: "TappedWorld", address: str) -> None:
        super().__init__(world.network)
        self._tap = world
        self._address = address
        self._n = next(self.numbers)
        self._own = False

    async def _ask(self, request: wire.Message, role: Role) -> bytes:
        """Bodies on the account's connection, frames on the anonymous socket."""
        where = "WS /2/anonymous"
        if self._own or isinstance(request, ACCOUNT_REQUESTS):
            where = "POST /2/anonymous" if self._own else "POST /2/account"
        as_it_passes = _framed if where.startswith("WS") else bytes
        self._passed(True, where, as_it_passes(wire.encode(request)))
        answer = await super()._ask(request, role)
        self._passed(False, where, as_it_passes(answer))
        return answer

    async def intro(self, request: wire.Fetch | wire.Ack) -> wire.AnonymousAnswer:
        self._own = True
        try:
            return await super().intro(request)
        finally:
            self._own = False

    async def file(self, path: str, start: int = 0, most: int | None = None) -> bytes:
        where = f"GET /2/directory/{path}"
        self._passed(True, where, b"")
        file = await super().file(path, start, most)
        self._passed(False, where, file)
        return file

    async def stream(self) -> Stream:
        return TappedStream(self._tap, lambda up, data: self._passed(up, "WS /2/stream", data))

    async def intro_stream(self) -> Stream:
        return await self.stream()

    def _passed(self, up: bool, where: str, data: bytes) -> None:
        kind = "account" if where.startswith("POST") else where.split("/")[2]
        connection = f"{self._address} {kind} {self._n}"
        self._tap.events.append(Event(self._tap.clock(), self._address, connection, up, where, data))


class TappedStream(MemoryStream):
    def __init__(self, world: World, passed: Callable[[bool, bytes], None]) -> None:
        super().__init__(world.network)
        self._passed = passed

    async def send(self, request: wire.StreamRequest) -> None:
        self._passed(True, wire.encode(request))
        await super().send(request)

    async def pushes(self) -> AsyncIterator[wire.StreamPush]:
        async for push in super().pushes():
            self._passed(False, wire.encode(push))
            yield push


def _framed(body: bytes) -> bytes:
    return wire.encode(wire.Framed(0, body))


class TappedWorld(World):
    """`story` plays the same run each time: two people who write to each other, and to one who has only SMS."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.events: list[Event] = []
        self.carried: list[Piece] = []
        self.shown: list[Piece] = []
        self.rested: list[Capture] = []
        submit = self.carrier.submit

        async def carried(sms: Sms) -> str:
            self._carry(f"{sms.sender} {sms.to} {sms.text}")
            return await submit(sms)

        self.carrier.submit = carried  # type: ignore[method-assign]

    def _carry(self, sms: str) -> None:
        self.carried.append(Piece("SMS", sms.encode(), self.clock()))

    def transport(self, name: str) -> Transport:
        return TappedTransport(self, ADDRESSES[name])

    async def story(self) -> Run:
        alice, bob, _ = [await self.person(number) for number in (ALICE, BOB, DAVE)]
        self.clock.now += 60
        lookups, quiet = await self._look_up()
        messages = [await self._say(alice, bob, ALICE, BOB, HELLO), await self._say(bob, alice, BOB, ALICE, ANSWER)]
        sms = [await self._sms(alice), await self._sms_back(alice)]
        people = [Person(number, address) for number, address in ADDRESSES.items()]
        truth = Truth(people, lookups, messages, sms, identifiers(self.events))
        captures = self.captures()
        return Run(captures, truth, report(captures, truth), quiet)

    def captures(self) -> list[Capture]:
        return [
            # The server sees SMS as they pass.
            Capture(SERVER_LIVE, self.carried, self.events),
            at_any_time([*self.rested, at_rest(self.data)]),
            Capture(CARRIER, self.carried),
            network_view(self.events),
            Capture(CONTACT, self.shown),
        ]

    async def _look_up(self) -> tuple[list[LookedUp], bool]:
        """Each from a process of its own, as on the command line."""
        before, lookups = await self._disk(), []
        for number in (BOB, DAVE, CAROL):
            begun, looking = self.clock(), await self.open(ALICE)
            (found,) = await looking.lookup(number)
            assert found.registered is not None
            await looking.close()
            lookups.append(LookedUp(number, found.registered, ADDRESSES[ALICE], begun, self.clock()))
            self.clock.now += 1
        assert [one.found for one in lookups] == [True, True, False]
        self.clock.now += 60
        return lookups, before == await self._disk()

    async def _say(self, speaker: Client, listener: Client, sender: str, to: str, text: str) -> Said:
        begun = self.clock()
        await speaker.send(to, text)
        self.rested.append(at_rest(self.data))
        await listener.poll()
        shown = await listener.unshown()
        assert [message.text for message in shown] == [text]
        if to == BOB:
            told = msgspec.json.encode({"from": shown[0].sender, "to": shown[0].to, "text": shown[0].text})
            self.shown.append(Piece("a message", told, self.clock()))
        return self._said(sender, to, text, begun)

    async def _sms(self, alice: Client) -> Said:
        begun = self.clock()
        await alice.send(CAROL, GREEN, sms=True)
        return self._said(ALICE, CAROL, GREEN, begun)

    async def _sms_back(self, alice: Client) -> Said:
        begun = self.clock()
        await self.carrier.inject(CAROL, ALICE, GREEN_ANSWER)
        self._carry(f"{CAROL} {ALICE} {GREEN_ANSWER}")
        await alice.poll()
        assert [message.text for message in await alice.unshown()] == [GREEN_ANSWER]
        return self._said(CAROL, ALICE, GREEN_ANSWER, begun)

    def _said(self, sender: str, to: str, text: str, begun: float) -> Said:
        ended = self.clock()
        self.clock.now += 60
        return Said(sender, to, text, begun, ended)

    async def _disk(self) -> dict[str, object]:
        """All that the server keeps, spent tokens apart."""
        await self.server.store.flush()
        files = [path for path in self.data.rglob("*") if path.is_file() and not path.name.startswith("server.db")]
        kept = [table.name for table in TABLES if table.name != "token_spent"]
        rows = {name: await self.server.store.read(_rows, name) for name in kept}
        return {str(path): path.read_bytes() for path in files} | rows


async def _rows(tx: Tx, table: str) -> object:
    return sorted(await tx.rows(f"SELECT * FROM {table}"), key=str)  # noqa: S608 -- our own names


Mutant = Callable[[TappedWorld], None]
"""Makes a world leak on purpose."""


async def played(path: Path, mutant: Mutant | None = None) -> Run:
    """One run, in a world that a mutant may have spoiled."""
    async with TappedWorld(path) as world:
        if mutant is not None:
            mutant(world)
        return await world.story()
