"""The carrier's message centre: services and telephones connect to it, and it passes SMS between them.

It speaks SMPP 3.4 over TCP; its PDUs are smpp34's, so that the two ends of a test do not share one reading of the
standard. smpp34's own server is not used: it neither says its port nor sees a password, and cannot misbehave
(`docs/decisions/smpp.md`). Whoever binds as `handset` is all telephones: what it submits goes to whoever else is bound.
"""

import asyncio
import itertools
import json
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import IO, Any, Final

import smpp34
from smpp34 import Tlv

from grue.errors import UsageError
from grue.protocol.sms import smstext
from grue.protocol.sms.smpp import RECEIPT_TYPE, RESPONSE, UDH_INDICATOR, Command, Status, Tag, Ton
from grue.protocol.sms.smstext import Concatenation, Held, Joiner

HANDSET: Final = "handset"
"""The `system_id` under which telephones bind; everything else is a service (an ESME)."""

HEADER: Final = struct.Struct("!IIII")
MAX_PDU: Final = 1 << 17

INVALID_DESTINATION: Final = 0x0B
NO_ANSWER: Final = -1

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


_REFUSALS: Final[Mapping[Mode, int]] = {
    Mode.THROTTLE: Status.THROTTLED, Mode.FULL: Status.QUEUE_FULL, Mode.REJECT: INVALID_DESTINATION
}  # fmt: skip


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
    return "+" + digits if ton == Ton.INTERNATIONAL and not digits.startswith("+") else digits


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
    def is_handset(self) -> bool:
        return self.system_id == HANDSET

    @property
    def is_receiver(self) -> bool:
        """A service that takes what telephones send."""
        return self.bound in (Command.BIND_RECEIVER, Command.BIND_TRANSCEIVER) and not self.is_handset

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

    def answer(self, pdu: Pdu, status: int = Status.OK, body: bytes = b"") -> None:
        self._write(_pdu(pdu.command | RESPONSE, status, pdu.sequence, body))

    def _write(self, pdu: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(pdu)

    async def deliver(self, fields: Mapping[str, Any]) -> int:
        """Send one `deliver_sm`; the status of the answer."""
        sequence = next(self._sequence)
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._answers[sequence] = answer
        self._write(smpp34.DeliverSm(**fields, sequence_number=sequence).encode())
        try:
            async with asyncio.timeout(self._centre.behaviour.answer):
                return await answer
        except TimeoutError:
            return NO_ANSWER
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
            case Command.BIND_RECEIVER | Command.BIND_TRANSMITTER | Command.BIND_TRANSCEIVER:
                self._bind(pdu)
            case Command.SUBMIT_SM if self.bound:
                self._centre.take_submit(self, pdu)
            case Command.SUBMIT_SM:
                self.answer(pdu, Status.NOT_BOUND)
            case Command.ENQUIRE_LINK:
                self.answer(pdu)
            case Command.UNBIND:
                self.answer(pdu)
                raise EOFError
            case _:
                self._write(_pdu(Command.GENERIC_NACK, Status.INVALID_COMMAND, pdu.sequence))

    def _bind(self, pdu: Pdu) -> None:
        system_id, password = pdu.data[HEADER.size :].split(b"\0")[:2]
        wanted = self._centre.credentials
        self.system_id = system_id.decode("latin-1")
        if wanted and not self.is_handset and (self.system_id, password.decode("latin-1")) != wanted:
            self.answer(pdu, Status.WRONG_PASSWORD, b"\0")
            return
        self.bound = pdu.command
        self.answer(pdu, Status.OK, b"carrier\0")
        self._centre.bound()


# --- the centre -----------------------------------------------------------------------------------


@dataclass
class Passing:
    """An SMS on its way, as the carrier sees and records it."""

    sender: str
    to: str
    connection: Connection
    pdus: list[dict[str, object]] = field(default_factory=list)

    @property
    def facts(self) -> dict[str, object]:
        """What a telephone company keeps beside numbers and text."""
        return {
            "time": self.pdus[0]["time"],
            "direction": "from handset" if self.connection.is_handset else "to handset",
            "system_id": self.connection.system_id,
            "peer": self.connection.peer,
            "pdus": self.pdus,
        }


class Centre:
    """The store and the forwarding."""

    def __init__(self, behaviour: Behaviour, out: Out, record: IO[str] | None, credentials: tuple[str, str] | None):
        self.behaviour = behaviour
        self.credentials = credentials
        self._out = out
        self._record = record
        self._ids = itertools.count(1)
        self._joiner = Joiner()
        self._passing: dict[tuple[str, str, int | None], Passing] = {}
        self._connections: dict[Connection, asyncio.Task[None] | None] = {}
        self._bound = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self, reader, writer)
        self._connections[connection] = asyncio.current_task()
        try:
            # Whoever ends the process cancels this task, which Python 3.11 would print as a fault of the handler.
            with suppress(asyncio.CancelledError):
                await connection.run()
        finally:
            del self._connections[connection]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        serving = [task for task in self._connections.values() if task is not None]
        for connection in self._connections:
            connection.end()
        await asyncio.gather(*self._tasks, *serving, return_exceptions=True)

    def bound(self) -> None:
        self._bound.set()

    # -- taking

    def take_submit(self, connection: Connection, pdu: Pdu) -> None:
        submit = smpp34.decode(pdu.data)
        assert isinstance(submit, smpp34.SubmitSm)
        mode = Mode.DELIVER if connection.is_handset else self.behaviour.mode(_destination(submit))
        if mode is Mode.CLOSE:
            connection.abort()
            return
        if mode in _REFUSALS:
            connection.answer(pdu, _REFUSALS[mode])
            return
        message_id = f"{next(self._ids):08x}"
        self._see(connection, submit, len(pdu.data), message_id)
        if connection.is_handset:
            self._later(self._forward(_mobile_originated(submit), ""))
        if mode is not Mode.SILENT:
            self._later(self._accept(connection, submit, pdu, message_id, mode))

    async def _accept(
        self, connection: Connection, submit: smpp34.SubmitSm, pdu: Pdu, message_id: str, mode: Mode
    ) -> None:
        if mode is Mode.SLOW:
            await asyncio.sleep(self.behaviour.slow)
        connection.answer(pdu, Status.OK, message_id.encode() + b"\0")
        if not connection.is_handset and submit.registered_delivery & WANTS_RECEIPT:
            outcome = UNDELIVERABLE if mode is Mode.FAIL else DELIVERED
            await self._forward(_receipt(submit, message_id, outcome), connection.system_id)

    # -- seeing

    def _see(self, connection: Connection, submit: smpp34.SubmitSm, length: int, message_id: str) -> None:
        """See one part go by; the SMS is told and recorded with its last part."""
        part, data = _part(submit)
        sender, to = _source(submit), _destination(submit)
        key = sender, to, part.reference if part else None
        passing = self._passing.setdefault(key, Passing(sender, to, connection))
        passing.pdus.append(
            {
                "time": time.time_ns() // 1_000_000,
                "bytes": length,
                "data_coding": submit.data_coding,
                "message_id": message_id,
            }
        )
        text = self._whole(sender, to, part, data, smstext.alphabet_of(submit.data_coding))
        if text is not None:
            self._tell(self._passing.pop(key), text)

    def _whole(self, sender: str, to: str, part: Concatenation | None, data: bytes, alphabet: int | None) -> str | None:
        """The text, once all parts have passed. What is not text shows as hexadecimal."""
        if alphabet is None:
            return data.hex()
        if part is None:
            return smstext.decode(data, alphabet)
        joined = self._joiner.add(sender, to, part, data, alphabet, time.monotonic())
        if isinstance(joined, Held):
            return None
        self._joiner.settle(joined, stored=True, now=time.monotonic())
        return joined.text

    def _tell(self, passing: Passing, text: str) -> None:
        sms = {"from": passing.sender, "to": passing.to, "text": text}
        if self._record:
            json.dump({**sms, "length": len(text), **passing.facts}, self._record, ensure_ascii=False)
            self._record.write("\n")
            self._record.flush()
        self._out(sms)

    # -- forwarding

    def _later(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(self, fields: Mapping[str, Any], system_id: str) -> None:
        """Give one `deliver_sm` to a bound service, again and again until one takes it, or wants it never again."""
        wait = self.behaviour.retry
        while True:
            service = await self._a_service(system_id)
            if await service.deliver(fields) in (Status.OK, Status.PERMANENT):
                return
            await asyncio.sleep(wait)
            wait = min(2 * wait, 60.0)

    async def _a_service(self, system_id: str) -> Connection:
        while True:
            for connection in self._connections:
                if connection.is_receiver and system_id in ("", connection.system_id):
                    return connection
            self._bound.clear()
            await self._bound.wait()


def _source(submit: smpp34.SubmitSm) -> str:
    return _number(submit.source_addr_ton, submit.source_addr)


def _destination(submit: smpp34.SubmitSm) -> str:
    return _number(submit.dest_addr_ton, submit.destination_addr)


def _part(submit: smpp34.SubmitSm) -> tuple[Concatenation | None, bytes]:
    payload = [tlv.value for tlv in submit.tlvs if tlv.tag == Tag.MESSAGE_PAYLOAD]
    data = payload[0] if payload else submit.short_message
    return smstext.read_udh(data) if submit.esm_class & UDH_INDICATOR else (None, data)


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
        "esm_class": RECEIPT_TYPE,
        "short_message": text.encode(),
        "tlvs": [
            Tlv(Tag.RECEIPTED_MESSAGE_ID, message_id.encode() + b"\0"),
            Tlv(Tag.MESSAGE_STATE, state),
        ],
    }
