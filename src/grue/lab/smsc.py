"""The carrier's message centre: services and telephones connect to it, and it passes SMS between them.

Speaks SMPP 3.4 over TCP; its PDUs are smpp34's, so that the two ends of a test do not share one reading of the
standard. smpp34's own server is not used: it neither says its port nor sees a password, and cannot misbehave
(`docs/decisions/smpp.md`). What is bound as `handset` is telephones: what it submits goes to whoever else is bound.
"""

import asyncio
import itertools
import json
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import IO, Any, Final

import smpp34
from smpp34 import Tlv

from grue.errors import UsageError
from grue.protocol import smstext
from grue.protocol.smstext import Concatenation, Held, Joiner

HANDSET: Final = "handset"
"""The `system_id` under which telephones bind; everything else is a service (an ESME)."""

HEADER: Final = struct.Struct("!IIII")
MAX_PDU: Final = 1 << 17

RESPONSE: Final = 0x80000000
BIND_RECEIVER, BIND_TRANSMITTER, BIND_TRANSCEIVER = 0x01, 0x02, 0x09
SUBMIT_SM, DELIVER_SM, UNBIND, ENQUIRE_LINK = 0x04, 0x05, 0x06, 0x15
GENERIC_NACK: Final = 0x80000000
WRONG_PASSWORD: Final = 0x0E
NOT_BOUND: Final = 0x04
NO_ANSWER: Final = -1

RECEIPTED_MESSAGE_ID, MESSAGE_STATE = 0x001E, 0x0427
WANTS_RECEIPT: Final = 0x01
"""The bit of `registered_delivery` that asks for a receipt in any case."""

DELIVERED, UNDELIVERABLE = (b"\x02", "DELIVRD", "000"), (b"\x05", "UNDELIV", "001")

Out = Callable[[Mapping[str, object]], None]


class Mode(StrEnum):
    """How the carrier treats an SMS to a number."""

    DELIVER = "deliver"
    THROTTLE = "throttle"
    FULL = "full"
    REJECT = "reject"
    SLOW = "slow"
    SILENT = "silent"
    """Delivers, but never answers."""
    CLOSE = "close"
    """Closes the connection instead of an answer; the SMS is lost."""
    FAIL = "fail"
    """Takes the SMS, and reports later that it cannot be delivered."""


_REFUSALS: Final[Mapping[Mode, int]] = {Mode.THROTTLE: 0x58, Mode.FULL: 0x14, Mode.REJECT: 0x0B}


@dataclass(frozen=True)
class Behaviour:
    """Which numbers are treated how: the longest prefix counts, an empty one is every number."""

    rules: Mapping[str, Mode] = field(default_factory=dict)
    slow: float = 0.5
    """Seconds until `SLOW` answers."""
    retry: float = 0.5
    """Seconds until an SMS that a service did not take is tried again; doubled each time, up to a minute."""
    answer: float = 10.0
    """Seconds that a service has to answer."""

    @classmethod
    def parse(cls, rules: list[str]) -> "Behaviour":
        """From `MODE` or `MODE:PREFIX` each. Raises UsageError."""
        parsed = {}
        for rule in rules:
            mode, _, prefix = rule.partition(":")
            if mode not in set(Mode):
                raise UsageError(f"The carrier has no mode {mode!r}: {', '.join(Mode)}.")
            parsed[prefix] = Mode(mode)
        return cls(parsed)

    def mode(self, number: str) -> Mode:
        fitting = [prefix for prefix in self.rules if number.startswith(prefix)]
        return self.rules[max(fitting, key=len)] if fitting else Mode.DELIVER


@dataclass(frozen=True)
class Pdu:
    command: int
    status: int
    sequence: int
    data: bytes
    """The whole PDU."""


def _pdu(command: int, status: int, sequence: int, body: bytes = b"") -> bytes:
    return HEADER.pack(HEADER.size + len(body), command, status, sequence) + body


def _number(ton: int, digits: str) -> str:
    return "+" + digits if ton == 1 and not digits.startswith("+") else digits


# --- one connection -------------------------------------------------------------------------------


class Connection:
    """A service, or telephones, connected to the carrier."""

    def __init__(self, centre: "Centre", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._centre = centre
        self._reader = reader
        self._writer = writer
        self._sequence = itertools.count(1)
        self._answers: dict[int, asyncio.Future[int]] = {}
        self.system_id = ""
        self.bound = 0
        peer = writer.get_extra_info("peername")
        self.peer = f"{peer[0]}:{peer[1]}" if peer else ""

    @property
    def receives(self) -> bool:
        return self.bound in (BIND_RECEIVER, BIND_TRANSCEIVER)

    async def run(self) -> None:
        try:
            while True:
                self._take(await self._read())
        except (OSError, EOFError, ValueError, smpp34.SmppError):
            pass
        finally:
            self.end()

    def end(self) -> None:
        self.bound = 0
        for answer in self._answers.values():
            if not answer.done():
                answer.set_result(NO_ANSWER)
        self._writer.close()

    def abort(self) -> None:
        self._writer.transport.abort()

    def write(self, pdu: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(pdu)

    async def deliver(self, fields: Mapping[str, Any]) -> bool:
        """Send one `deliver_sm`; whether it was taken."""
        sequence = next(self._sequence)
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._answers[sequence] = answer
        self.write(smpp34.DeliverSm(**fields, sequence_number=sequence).encode())
        try:
            async with asyncio.timeout(self._centre.behaviour.answer):
                return await answer == 0
        except TimeoutError:
            return False
        finally:
            del self._answers[sequence]

    async def _read(self) -> Pdu:
        header = await self._reader.readexactly(HEADER.size)
        length, command, status, sequence = HEADER.unpack(header)
        if not HEADER.size <= length <= MAX_PDU:
            raise ValueError
        return Pdu(command, status, sequence, header + await self._reader.readexactly(length - HEADER.size))

    def _take(self, pdu: Pdu) -> None:
        match pdu.command:
            case command if command & RESPONSE:
                answer = self._answers.get(pdu.sequence)
                if answer and not answer.done():
                    answer.set_result(pdu.status)
            case 0x01 | 0x02 | 0x09:
                self._bind(pdu)
            case 0x04 if self.bound:
                self._centre.take_submit(self, pdu)
            case 0x04:
                self.write(_pdu(SUBMIT_SM | RESPONSE, NOT_BOUND, pdu.sequence))
            case 0x15:
                self.write(_pdu(ENQUIRE_LINK | RESPONSE, 0, pdu.sequence))
            case 0x06:
                self.write(_pdu(UNBIND | RESPONSE, 0, pdu.sequence))
                raise EOFError
            case _:
                self.write(_pdu(GENERIC_NACK, 0x03, pdu.sequence))

    def _bind(self, pdu: Pdu) -> None:
        system_id, password = pdu.data[HEADER.size :].split(b"\0")[:2]
        wanted = self._centre.credentials
        self.system_id = system_id.decode("latin-1")
        handset = self.system_id == HANDSET
        if wanted and not handset and (self.system_id, password.decode("latin-1")) != wanted:
            self.write(_pdu(pdu.command | RESPONSE, WRONG_PASSWORD, pdu.sequence, b"\0"))
            return
        self.bound = pdu.command
        self.write(_pdu(pdu.command | RESPONSE, 0, pdu.sequence, b"carrier\0"))
        self._centre.bound()


# --- the centre -----------------------------------------------------------------------------------


@dataclass
class Passing:
    """An SMS on its way, as the carrier sees and records it."""

    sender: str
    to: str
    inbound: bool
    """From a telephone to a service."""
    system_id: str
    peer: str
    pdus: list[dict[str, object]] = field(default_factory=list)


class Centre:
    """The store and the forwarding."""

    def __init__(self, behaviour: Behaviour, out: Out, record: IO[str] | None, credentials: tuple[str, str] | None):
        self.behaviour = behaviour
        self.credentials = credentials
        self._out = out
        self._record = record
        self._ids = itertools.count(1)
        self._joiner = Joiner()
        self._passing: dict[tuple[str, str, int], Passing] = {}
        self._connections: set[Connection] = set()
        self._bound = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self, reader, writer)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for connection in self._connections:
            connection.end()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def bound(self) -> None:
        self._bound.set()

    # -- taking

    def take_submit(self, connection: Connection, pdu: Pdu) -> None:
        submit = smpp34.decode(pdu.data)
        assert isinstance(submit, smpp34.SubmitSm)
        to = _number(submit.dest_addr_ton, submit.destination_addr)
        mode = Mode.DELIVER if connection.system_id == HANDSET else self.behaviour.mode(to)
        if mode is Mode.CLOSE:
            connection.abort()
            return
        if mode in _REFUSALS:
            connection.write(_pdu(SUBMIT_SM | RESPONSE, _REFUSALS[mode], pdu.sequence))
            return
        message_id = f"{next(self._ids):08x}"
        self._pass(connection, submit, pdu, message_id)
        if mode is not Mode.SILENT:
            accepted = _pdu(SUBMIT_SM | RESPONSE, 0, pdu.sequence, message_id.encode() + b"\0")
            self._later(self._answer(connection, submit, accepted, message_id, mode))

    async def _answer(
        self, connection: Connection, submit: smpp34.SubmitSm, accepted: bytes, message_id: str, mode: Mode
    ) -> None:
        if mode is Mode.SLOW:
            await asyncio.sleep(self.behaviour.slow)
        connection.write(accepted)
        if connection.system_id != HANDSET and submit.registered_delivery & WANTS_RECEIPT:
            outcome = UNDELIVERABLE if mode is Mode.FAIL else DELIVERED
            await self._forward(_receipt(submit, message_id, outcome), connection.system_id)

    def _pass(self, connection: Connection, submit: smpp34.SubmitSm, pdu: Pdu, message_id: str) -> None:
        """See one part go by; the whole SMS is printed and recorded with its last part."""
        sender = _number(submit.source_addr_ton, submit.source_addr)
        to = _number(submit.dest_addr_ton, submit.destination_addr)
        inbound = connection.system_id == HANDSET
        part, data = smstext.read_udh(submit.short_message) if submit.esm_class & 0x40 else (None, submit.short_message)
        alphabet = smstext.alphabet_of(submit.data_coding)
        passing = self._passing.setdefault(
            (sender, to, part.reference if part else -1),
            Passing(sender, to, inbound, connection.system_id, connection.peer),
        )
        passing.pdus.append(
            {
                "time": _milliseconds(),
                "bytes": len(pdu.data),
                "data_coding": submit.data_coding,
                "message_id": message_id,
            }
        )
        if inbound:
            self._later(self._forward(_mobile_originated(submit), ""))
        text = self._whole(sender, to, part, data, alphabet or 0)
        if text is not None:
            del self._passing[sender, to, part.reference if part else -1]
            self._see(passing, text)

    def _whole(self, sender: str, to: str, part: Concatenation | None, data: bytes, alphabet: int) -> str | None:
        """The text, once all parts have passed."""
        if part is None:
            return smstext.decode(data, alphabet)
        joined = self._joiner.add(sender, to, part, data, alphabet, time.monotonic())
        if isinstance(joined, Held):
            return None
        self._joiner.settle(joined, stored=True, now=time.monotonic())
        return joined.text

    def _see(self, passing: Passing, text: str) -> None:
        sms = {"from": passing.sender, "to": passing.to, "text": text}
        if self._record:
            kept = {
                "time": passing.pdus[0]["time"],
                **sms,
                "length": len(text),
                "direction": "from handset" if passing.inbound else "to handset",
                "system_id": passing.system_id,
                "peer": passing.peer,
                "pdus": passing.pdus,
            }
            self._record.write(json.dumps(kept, ensure_ascii=False) + "\n")
            self._record.flush()
        self._out(sms)

    # -- forwarding

    def _later(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(self, fields: Mapping[str, Any], system_id: str) -> None:
        """Give one `deliver_sm` to a bound service, again and again until one takes it."""
        wait = self.behaviour.retry
        while True:
            service = await self._a_service(system_id)
            if await service.deliver(fields):
                return
            await asyncio.sleep(wait)
            wait = min(2 * wait, 60.0)

    async def _a_service(self, system_id: str) -> Connection:
        while True:
            for connection in self._connections:
                if connection.receives and connection.system_id != HANDSET and system_id in ("", connection.system_id):
                    return connection
            self._bound.clear()
            await self._bound.wait()


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000


def _mobile_originated(submit: smpp34.SubmitSm) -> dict[str, Any]:
    return {
        "source_addr": submit.source_addr,
        "source_addr_ton": submit.source_addr_ton,
        "source_addr_npi": submit.source_addr_npi,
        "destination_addr": submit.destination_addr,
        "dest_addr_ton": submit.dest_addr_ton,
        "dest_addr_npi": submit.dest_addr_npi,
        "esm_class": submit.esm_class,
        "data_coding": submit.data_coding,
        "short_message": submit.short_message,
        "tlvs": submit.tlvs,
    }


def _receipt(submit: smpp34.SubmitSm, message_id: str, outcome: tuple[bytes, str, str]) -> dict[str, Any]:
    """A delivery receipt (SMPP 3.4 appendix B), from the telephone's number to the service's."""
    state, word, error = outcome
    date = time.strftime("%y%m%d%H%M", time.gmtime())
    delivered = "001" if state == DELIVERED[0] else "000"
    text = (
        f"id:{message_id} sub:001 dlvrd:{delivered} submit date:{date} done date:{date} stat:{word} err:{error} text:"
    )
    return {
        "source_addr": submit.destination_addr,
        "source_addr_ton": submit.dest_addr_ton,
        "source_addr_npi": submit.dest_addr_npi,
        "destination_addr": submit.source_addr,
        "dest_addr_ton": submit.source_addr_ton,
        "dest_addr_npi": submit.source_addr_npi,
        "esm_class": 0x04,
        "short_message": text.encode(),
        "tlvs": [
            Tlv(RECEIPTED_MESSAGE_ID, message_id.encode() + b"\0"),
            Tlv(MESSAGE_STATE, state),
        ],
    }
