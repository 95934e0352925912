"""`grue demo`: a server, a relay, a carrier and two clients on this machine, and at the end who learned what.

With `direct` there is no relay, and the clients go straight to the server, as they do by default. Every part is a
process of its own, speaks over real sockets, and is driven by the command line. Between them stand recording
proxies, which record what each party is given; the table at the end is made from that.
"""

import asyncio
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from grue.client.store.home import make_key
from grue.client.transport.oblivious import START_VARIABLE
from grue.exposure.captures import (
    CARRIER,
    CONTACT,
    RELAY,
    SERVER_LIVE,
    Capture,
    Event,
    Piece,
    load_events,
    network_view,
    save_events,
)
from grue.exposure.report import Row, as_markdown, report
from grue.exposure.scanner.rest import at_any_time, at_rest
from grue.exposure.truth import LookedUp, Person, Said, Truth
from grue.exposure.views import identifiers
from grue.lab.carrier import inject
from grue.lab.processes import Done, Group, ProcessFailed, Running
from grue.lab.recording_proxy import HttpProxy, SmppProxy

ALICE, BOB, CAROL = "+447700900111", "+447700900222", "+447700900333"
"""Numbers that Ofcom keeps for drama. Carol is not on Grue."""

ADDRESSES: Final = {ALICE: "127.83.17.11", BOB: "127.83.17.22"}
"""Where Alice and Bob connect from; all of 127.0.0.0/8 is this machine."""

HOMES: Final = {ALICE: "alice", BOB: "bob"}
OTHER: Final = "other"
"""The home of somebody who reads Bob's SMS."""

OTHERS_ADDRESS: Final = "127.83.17.33"

RELAYS_ADDRESS: Final = "127.83.17.99"
"""Where the relay connects to the server from."""

PASSPHRASE: Final = "passphrase"  # noqa: S105 -- a file's name
"""The file beside the homes that `--keep` writes their passphrase into; only its owner reads it."""

MEMBERS: Final = 1000
"""Numbers that are in the directory beside them."""

GATEWAY: Final = "Example Mobile"
HELLO: Final = "Is the blue-footed wombat still awake?"
ANSWER: Final = "Wide awake, and nobody else can tell."
GREEN: Final = "Carol, can you hear me through the greenery?"
GREEN_ANSWER: Final = "Loud and clear, and so can everybody."


@dataclass(frozen=True)
class Step:
    """One step of the story."""

    name: str
    title: str
    commands: Sequence[str]
    """As somebody would type them."""
    results: Sequence[dict[str, Any]]
    """What they printed."""
    seconds: float
    rows: Sequence[Row] = ()
    """Who learned what, in the last step."""


Tell = Callable[[Step], None]


class Demo:
    """One run. `tell` hears of every step when it is done.

    direct  the clients use no relay
    """

    def __init__(self, tell: Tell, keep: Path | None = None, *, direct: bool = False) -> None:
        self._tell = tell
        self._keep = keep
        self._direct = direct
        self._events: list[Event] = []
        self._to_relay: list[Event] = []
        self._smpp: list[Event] = []
        self._began = time.perf_counter()
        self._passphrase = secrets.token_hex(16)
        self._messages: list[Said] = []
        self._sms: list[Said] = []
        self._lookups: list[LookedUp] = []
        self._names: dict[str, list[bytes]] = {}
        self._rows: list[Row] = []

    async def run(self) -> None:
        """Raises ProcessFailed, after everything is stopped and removed."""
        with tempfile.TemporaryDirectory(prefix="grue-demo-") as where:
            self._where = Path(where)
            async with AsyncExitStack() as stack:
                self._group = await stack.enter_async_context(Group(self._where))
                self._make_homes()
                await self._start(stack)
                await self._register()
                await self._look_up()
                await self._write_blue()
                await self._ask_consent()
                await self._write_green()
                await self._claim()
                self._say_who_learned_what()
            if self._keep is not None:
                self._save(self._keep)

    # --- the steps --------------------------------------------------------------------------------

    async def _start(self, stack: AsyncExitStack) -> None:
        smpp = SmppProxy(self._smpp.append)
        proxies = {number: HttpProxy(address, self._events.append) for number, address in ADDRESSES.items()}
        smpp_address = await smpp.start()
        stack.push_async_callback(smpp.close)
        for proxy in proxies.values():
            stack.push_async_callback(proxy.close)
        self._urls = {number: await proxy.start() for number, proxy in proxies.items()}
        proxies[OTHER] = HttpProxy(OTHERS_ADDRESS, self._events.append)
        stack.push_async_callback(proxies[OTHER].close)
        self._urls[OTHER] = await proxies[OTHER].start()
        data = str(self._data)
        filled, self._carrier = await asyncio.gather(
            self._group.run("lab", "fill", "--data", data, "--count", str(MEMBERS)),
            self._group.start("carrier", "carrier", "--listen", "127.0.0.1:0", "--record", str(self._record)),
        )
        self._member = str(filled.objects[0]["example"])
        self._carrier_address = await self._carrier.listening()
        smpp.connect(self._carrier_address)
        gateway = f"smpp://grue:demo@{smpp_address}?name={GATEWAY.replace(' ', '%20')}"
        server = await self._group.start(
            "server", "lab", "wiretap", "--data", data, "--record", str(self._opened), "--sms", gateway
        )
        address = await server.listening()
        for proxy in proxies.values():
            proxy.connect(f"http://{address}")
        relays = [] if self._direct else [await self._start_relay(stack, address)]
        there = [("the carrier", self._carrier_address), ("the server", address)]
        there += [("the relay", one) for one in relays]
        self._step(
            "start",
            f"A carrier, a server with {MEMBERS:,} numbers in its directory"
            + ("" if self._direct else ", and somebody else's relay"),
            [
                "carrier --listen 127.0.0.1:0 --record carrier.jsonl",
                f"lab fill --data server --count {MEMBERS}",
                f"lab wiretap --data server --record opened.jsonl --sms {gateway}",
                *(f"relay --listen 127.0.0.1:0 --to http://{address}" for _ in relays),
            ],
            [*filled.objects, *({"listening": one, "what": what} for what, one in there)],
        )

    async def _start_relay(self, stack: AsyncExitStack, server: str) -> str:
        """A relay between recording proxies; returns where it listens."""
        # Nothing is recorded of what the relay and the server tell each other: it is what clients gave the relay.
        behind = HttpProxy(RELAYS_ADDRESS, lambda _event: None)
        proxies = {number: HttpProxy(address, self._to_relay.append) for number, address in ADDRESSES.items()}
        for proxy in (behind, *proxies.values()):
            stack.push_async_callback(proxy.close)
        relay = await self._group.start("relay", "relay", "--listen", "127.0.0.1:0", "--to", await behind.start())
        self._relay_urls = {number: await proxy.start() for number, proxy in proxies.items()}
        behind.connect(f"http://{server}")
        address = await relay.listening()
        for proxy in proxies.values():
            proxy.connect(f"http://{address}")
        return address

    def _make_homes(self) -> None:
        """The passphrase is random, so it needs no stretching each time a command runs."""
        for who in (*ADDRESSES, OTHER):
            make_key(self._home(who), self._passphrase, passes=1, memory_kib=1024)

    async def _register(self) -> None:
        relays = {who: [] if self._direct else ["--relay", self._relay_urls[who]] for who in ADDRESSES}
        asked = await asyncio.gather(
            *(self._as(who, "register", who, "--server", self._urls[who], *relays[who]) for who in ADDRESSES)
        )
        self._step(
            "register",
            "Two people ask for a code",
            [_typed(who, "register", who, "--server", self._urls[who], *relays[who]) for who in ADDRESSES],
            [done.objects[0] for done in asked],
        )
        codes = self._codes = {who: _code(await self._delivered(who)) for who in ADDRESSES}
        verified = await asyncio.gather(*(self._as(who, "verify", code) for who, code in codes.items()))
        self._step(
            "verify",
            "The carrier delivers the codes; they hand them in",
            [_typed(who, "verify", code) for who, code in codes.items()],
            [done.objects[0] for done in verified],
        )
        self._names = identifiers(self._events)

    async def _look_up(self) -> None:
        numbers = (BOB, self._member, CAROL)
        # One after the other, so that each one's requests are known for those of this lookup.
        looked = [await self._as(ALICE, "lookup", number) for number in numbers]
        found = [done.objects[0] for done in looked]
        routes = [one["route"] for one in found]
        _expect(routes == ["encrypted", "encrypted", "sms"], f"lookups gave {routes}")
        self._lookups = [_looked_up(done) for done in looked]
        commands = [_typed(ALICE, "lookup", number) for number in numbers]
        self._step("lookup", "Alice looks three numbers up", commands, found)

    async def _write_blue(self) -> None:
        begun = time.time()
        sent = await self._as(ALICE, "send", BOB, HELLO)
        self._waiting = at_rest(self._data)
        # Only now does Bob come online: until then the message has been waiting on the server.
        self._bob, self._alice = await asyncio.gather(self._follow(BOB), self._follow(ALICE))
        got = await _message(self._bob, HELLO)
        self._messages.append(Said(ALICE, BOB, HELLO, begun, time.time()))
        self._step(
            "send", "Alice writes to Bob: it goes encrypted", [_typed(ALICE, "send", BOB, HELLO)], [*sent.objects, got]
        )
        begun = time.time()
        self._answering = asyncio.create_task(self._as(BOB, "send", ALICE, ANSWER))
        self._answer_begun = begun

    async def _ask_consent(self) -> None:
        refused, answered = await asyncio.gather(self._as(ALICE, "send", CAROL, GREEN, expect=3), self._answering)
        got = await _message(self._alice, ANSWER)
        self._messages.append(Said(BOB, ALICE, ANSWER, self._answer_begun, time.time()))
        self._step("reply", "Bob answers", [_typed(BOB, "send", ALICE, ANSWER)], [*answered.objects, got])
        self._step(
            "consent",
            "Alice writes to Carol, who is not on Grue",
            [_typed(ALICE, "send", CAROL, GREEN)],
            [refused.error],
        )

    async def _write_green(self) -> None:
        begun = time.time()
        sent = await self._as(ALICE, "send", CAROL, GREEN, "--sms")
        seen = await self._delivered(CAROL)
        self._sms.append(Said(ALICE, CAROL, GREEN, begun, time.time()))
        self._step("sms", "Alice agrees to SMS", [_typed(ALICE, "send", CAROL, GREEN, "--sms")], [*sent.objects, seen])
        begun = time.time()
        await inject(self._carrier_address, CAROL, ALICE, GREEN_ANSWER)
        got = await _message(self._alice, GREEN_ANSWER)
        self._sms.append(Said(CAROL, ALICE, GREEN_ANSWER, begun, time.time()))
        command = f'carrier sms --from {CAROL} --to {ALICE} "{GREEN_ANSWER}" --carrier {self._carrier_address}'
        self._step("sms_reply", "Carol answers by SMS; the server seals it to Alice", [command], [got])

    async def _claim(self) -> None:
        """Somebody who reads Bob's SMS wants his number: it is held, and Bob, who uses it, objects."""
        asking = ("register", BOB, "--server", self._urls[OTHER])
        asked = await self._as(OTHER, *asking)
        code = _code(await self._delivered(BOB, but=self._codes[BOB]))
        held = await self._as(OTHER, "verify", code, expect=3)
        _expect(held.error["error"] == "held", "a number in use was not held")
        self._step(
            "claim",
            "Somebody who reads Bob's SMS registers his number: it is held for a week",
            [_typed(OTHER, *asking), _typed(OTHER, "verify", code)],
            [*asked.objects, held.error],
        )
        told = [await self._as(BOB, "account", verb) for verb in ("claims", "object")]
        looked = await self._as(ALICE, "lookup", BOB)
        _expect(looked.objects[0]["route"] == "encrypted", "Alice no longer finds Bob")
        self._lookups.append(_looked_up(looked))
        self._step(
            "object",
            "Bob's own device is told, and objects; Alice finds Bob as before",
            [_typed(BOB, "account", "claims"), _typed(BOB, "account", "object"), _typed(ALICE, "lookup", BOB)],
            [one for done in (*told, looked) for one in done.objects],
        )

    # --- who learned what -------------------------------------------------------------------------

    def _say_who_learned_what(self) -> None:
        rows = self._rows = report(self._captures(), self._truth())
        self._step("exposure", "Who learned what, from what each party was given in this run", [], [], rows)

    def _captures(self) -> list[Capture]:
        live = [*self._events, *load_events(self._opened), *self._smpp]
        told = [Piece("SMS record", line, _time_of(line)) for line in self._record.read_bytes().splitlines()]
        return [
            Capture(SERVER_LIVE, events=live),
            at_any_time([self._waiting, at_rest(self._data)]),
            *([] if self._direct else [Capture(RELAY, events=self._to_relay)]),
            Capture(CARRIER, told, self._smpp),
            network_view([*self._events, *self._to_relay]),
            Capture(CONTACT, self._shown()),
        ]

    def _shown(self) -> list[Piece]:
        """What Bob, who is Alice's contact, was shown."""
        return [Piece("a message", msgspec.json.encode(line), at) for at, line in self._bob.lines if "text" in line]

    def _truth(self) -> Truth:
        people = [Person(number, address) for number, address in ADDRESSES.items()]
        return Truth(people, self._lookups, self._messages, self._sms, self._names)

    def _save(self, keep: Path) -> None:
        keep.mkdir(parents=True, exist_ok=True)
        save_events(keep / "server-live.jsonl", [*self._events, *load_events(self._opened)])
        save_events(keep / "relay.jsonl", self._to_relay)
        save_events(keep / "smpp.jsonl", self._smpp)
        save_events(keep / "network.jsonl", network_view([*self._events, *self._to_relay]).events)
        (keep / "contact.jsonl").write_bytes(b"".join(piece.data + b"\n" for piece in self._shown()))
        (keep / "who-learned-what.md").write_text(as_markdown(self._rows))
        (keep / "truth.json").write_bytes(msgspec.json.encode(self._truth()))
        shutil.copytree(self._where, keep / "run", dirs_exist_ok=True)
        self._save_passphrase(keep / "run" / PASSPHRASE)

    def _save_passphrase(self, path: Path) -> None:
        """Without it the homes that are kept cannot be opened by anybody."""
        path.unlink(missing_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(file, "w", encoding="ascii") as written:
            written.write(self._passphrase + "\n")

    # --- parts ------------------------------------------------------------------------------------

    @property
    def _data(self) -> Path:
        return self._where / "server"

    @property
    def _record(self) -> Path:
        return self._where / "carrier.jsonl"

    @property
    def _opened(self) -> Path:
        """What the server's gateway opened."""
        return self._where / "opened.jsonl"

    def _env(self, who: str) -> dict[str, str]:
        # Nobody waits a minute for a demo in which two people are all there are.
        return {"GRUE_HOME": str(self._home(who)), "GRUE_PASSPHRASE": self._passphrase, START_VARIABLE: "0"}

    def _home(self, who: str) -> Path:
        return self._where / HOMES.get(who, OTHER)

    async def _as(self, who: str, *arguments: str, expect: int = 0) -> Done:
        return await self._group.run(*arguments, env=self._env(who), expect=expect)

    async def _follow(self, who: str) -> Running:
        running = await self._group.start(f"receive{who}", "receive", "--follow", env=self._env(who))
        await running.first(lambda line: "receiving" in line)
        return running

    async def _delivered(self, to: str, but: str = "\0") -> dict[str, Any]:
        """What the carrier brings to a number, and `but` is not in it."""
        return await self._carrier.first(lambda line: line.get("to") == to and but not in line["text"])

    def _step(
        self,
        name: str,
        title: str,
        commands: Sequence[str],
        results: Sequence[dict[str, Any]],
        rows: Sequence[Row] = (),
    ) -> None:
        now = time.perf_counter()
        self._tell(Step(name, title, [f"grue {command}" for command in commands], results, now - self._began, rows))
        self._began = now


def _typed(who: str, *words: str) -> str:
    """A command as somebody types it in the folder in which everything of the demo is."""
    return " ".join(["--home", HOMES.get(who, OTHER), *(f'"{word}"' if " " in word else word for word in words)])


def _looked_up(done: Done) -> LookedUp:
    (one,) = done.objects
    return LookedUp(one["number"], one["registered"], ADDRESSES[ALICE], done.began, done.ended)


def _code(sms: dict[str, Any]) -> str:
    found = re.search(r"\b[\d-]{6,}\b", sms["text"])
    _expect(found is not None, "the carrier's SMS holds no code")
    assert found is not None
    return found[0]


async def _message(running: Running, text: str) -> dict[str, Any]:
    return await running.first(lambda line: line.get("text") == text)


def _time_of(line: bytes) -> float:
    return float(msgspec.json.decode(line)["time"]) / 1000


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ProcessFailed(otherwise)
