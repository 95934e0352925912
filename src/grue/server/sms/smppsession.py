"""One connection to a carrier over SMPP 3.4, from bind to end.

PDUs that we send are aiosmpplib's, those that come in are read by `grue.protocol.sms.smpp`; the session is ours,
because aiosmpplib's can neither leave a `deliver_sm` unacknowledged nor say that an answer was lost
(`docs/decisions/smpp.md`). Nothing here logs: a log of SMS is a list of who wrote to whom.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import aiosmpplib as lib  # type: ignore[import-untyped]

from grue.errors import SmsGatewayDown, SmsMayHaveGone
from grue.protocol.sms import smpp, smstext
from grue.protocol.sms.smpp import BadPdu, Command, Deliver, Header, Status
from grue.protocol.sms.smstext import Part

SEQUENCE_END: Final = 0x7FFFFFFF


@dataclass(frozen=True)
class Timing:
    """Seconds. Tests shorten them."""

    answer: float = 15.0
    """Carriers answer in milliseconds; longer than most of them wait for us, shorter than a person does."""
    bind: float = 15.0
    """Connecting and binding, TLS included."""
    start: float = 2.0
    """How long `start` waits for the first bind, so that a server comes up while its carrier is down."""
    idle: float = 30.0
    """Silence after which we ask whether the carrier is there."""
    back_off: float = 0.5
    back_off_max: float = 30.0
    """First and longest wait between two attempts to bind."""
    stop: float = 5.0
    """How long `close` waits until what came in is stored; the carrier keeps the rest."""
    unbind: float = 1.0
    """How long a carrier has to answer our goodbye."""
    window: float = 5.0
    """Longest wait for a place in the window, before the caller is told to slow down."""
    join: float = smstext.JOIN_SECONDS
    throttle: int = 5
    """What a throttled caller is told to wait: carriers count in seconds, and do not say how many."""


class Session:
    """One TCP connection to the carrier, bound. Ends once; everything unanswered then may have gone."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        timing: Timing,
        deliver: Callable[["Session", int, Deliver], Status | None],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._timing = timing
        self._deliver = deliver
        self._sequence = 0
        self._answers: dict[int, asyncio.Future[tuple[Header, bytes]]] = {}
        self.over = False

    async def bind(self, system_id: str, password: str, system_type: str) -> int:
        """Bind as transceiver; the answer's status."""
        request = lib.BindTransceiver(system_id=system_id, password=password, system_type=system_type)
        request.sequence_num = self._next()
        self._write(request)
        header, _ = await self._read_pdu()
        if header.command not in (Command.BIND_TRANSCEIVER_RESP, Command.GENERIC_NACK):
            raise BadPdu
        return header.status

    async def run(self) -> None:
        """Read until the connection ends, or is not worth keeping."""
        try:
            while not self.over:
                self._take(*await self._read_pdu())
        except (OSError, EOFError, TimeoutError, BadPdu):
            pass  # However it ended, what follows is the same.
        finally:
            self._end()

    async def request(self, message: Any) -> tuple[Header, bytes]:
        """Send, and wait for the answer. Raises SmsGatewayDown (not sent), SmsMayHaveGone (no answer)."""
        if self.over or self._writer.is_closing():
            raise SmsGatewayDown
        sequence = message.sequence_num = self._next()
        answer: asyncio.Future[tuple[Header, bytes]] = asyncio.get_running_loop().create_future()
        self._answers[sequence] = answer
        try:
            self._write(message)
            async with asyncio.timeout(self._timing.answer):
                return await answer
        except TimeoutError:
            raise SmsMayHaveGone from None
        finally:
            del self._answers[sequence]

    def acknowledge(self, sequence: int, status: Status) -> None:
        """Answer a `deliver_sm`. Without effect once the connection is gone: the carrier then tries again."""
        if not self.over:
            self._write(lib.DeliverSmResp(sequence_num=sequence, command_status=lib.SmppCommandStatus(status)))

    async def unbind(self) -> None:
        """Leave politely, and in any case."""
        with contextlib.suppress(SmsGatewayDown, SmsMayHaveGone, TimeoutError):
            async with asyncio.timeout(self._timing.unbind):
                await self.request(lib.Unbind())
        self._end()

    def _next(self) -> int:
        self._sequence = self._sequence % SEQUENCE_END + 1
        return self._sequence

    def _write(self, message: Any) -> None:
        # Not drained: the window and MAX_UNSTORED bound what can wait here.
        self._writer.write(message.pdu())

    async def _read_pdu(self) -> tuple[Header, bytes]:
        header = smpp.read_header(await self._read(smpp.HEADER_BYTES))
        return header, await self._read(header.body_bytes)

    async def _read(self, count: int) -> bytes:
        # A read that is cut off by a time-out loses nothing: StreamReader keeps what it has.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timing.idle):
                return await self._reader.readexactly(count)
        self._write(lib.EnquireLink(sequence_num=self._next()))
        async with asyncio.timeout(self._timing.answer):
            return await self._reader.readexactly(count)

    def _take(self, header: Header, body: bytes) -> None:
        match header.command:
            case Command.DELIVER_SM:
                self._take_deliver(header, body)
            case Command.ENQUIRE_LINK:
                self._write(lib.protocol.EnquireLinkResp(sequence_num=header.sequence))
            case Command.UNBIND:
                self._write(lib.protocol.UnbindResp(sequence_num=header.sequence))
                self.over = True
            case command if command & smpp.RESPONSE:
                answer = self._answers.get(header.sequence)
                if answer and not answer.done():
                    answer.set_result((header, body))
            case _:
                nack = lib.GenericNack(sequence_num=header.sequence)
                nack.command_status = lib.SmppCommandStatus(Status.INVALID_COMMAND)
                self._write(nack)

    def _take_deliver(self, header: Header, body: bytes) -> None:
        try:
            status = self._deliver(self, header.sequence, smpp.read_deliver(body))
        except BadPdu:
            status = Status.PERMANENT  # Again would be no better.
        if status is not None:
            self.acknowledge(header.sequence, status)

    def _end(self) -> None:
        self.over = True
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(SmsMayHaveGone())
        self._writer.close()


def submit_sm(sender: str, to: str, part: Part) -> Any:
    """One part as aiosmpplib's `SubmitSm`, with a receipt asked for."""
    message = lib.SubmitSm(
        short_message="-",  # aiosmpplib wants a text; the encoded one goes out
        source=_address(sender),
        destination=_address(to),
        esm_class=smpp.UDH_INDICATOR if part.has_udh else 0,
        registered_delivery=1,
        encoding="ucs2" if part.data_coding == smstext.UCS2 else None,
    )
    message.set_encoded_message(part.data)
    return message


def _address(number: str) -> Any:
    if number.startswith("+"):
        return lib.PhoneNumber(number[1:], lib.TON.INTERNATIONAL, lib.NPI.ISDN)
    if number.isdecimal():
        return lib.PhoneNumber(number, lib.TON.UNKNOWN, lib.NPI.ISDN)
    return lib.PhoneNumber(number, lib.TON.ALPHANUMERIC, lib.NPI.UNKNOWN)
