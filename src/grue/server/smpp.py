"""The `smpp://` SMS gateway: one transceiver bound to a carrier, bound again whenever that ends.

PDUs that we send are aiosmpplib's, those that come in are read by `grue.protocol.smpp`; the session is ours,
because aiosmpplib's can neither leave a `deliver_sm` unacknowledged nor say that an answer was lost
(`docs/decisions/smpp.md`). Nothing here logs: a log of SMS is a list of who wrote to whom.
"""

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from random import Random, SystemRandom
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from grue.errors import SmsGatewayDown, SmsMayHaveGone, SmsRejected, SmsThrottled, UsageError
from grue.protocol import smpp, smstext
from grue.protocol.smpp import BadPdu, Command, Deliver, Header, Status, Tag
from grue.protocol.smstext import Concatenation, Joined, Joiner, Part
from grue.server.sms import Event, Inbound, Receipt, Sms

try:
    import aiosmpplib as lib  # type: ignore[import-untyped]
except ImportError:
    raise UsageError("An smpp:// gateway needs the extra `smpp`: pip install 'grue[smpp]'.") from None

DEFAULT_PORT: Final = 2775
DEFAULT_PORT_TLS: Final = 3550

MAX_SYSTEM_ID: Final = 15
MAX_PASSWORD: Final = 8
"""Characters; SMPP 3.4 has no room for more (5.2.1, 5.2.2)."""

MAX_SYSTEM_TYPE: Final = 12

SERVICE: Final = "Grue"
"""Sender of codes, where the URL's `from` names no number: eleven letters or digits at most."""

_SENDER: Final = re.compile(r"\+[1-9][0-9]{4,14}|[0-9]{3,15}|[A-Za-z0-9 ]{1,11}")

MAX_UNSTORED: Final = 100
"""Inbound SMS that wait to be stored; the carrier keeps the next ones."""

MAX_EVENTS: Final = 10_000
"""Events that wait for the server role; receipts beyond are refused, and come again."""

SEQUENCE_END: Final = 0x7FFFFFFF


@dataclass(frozen=True)
class Timing:
    """Seconds. Tests shorten them."""

    answer: float = 15.0
    """Carriers answer in milliseconds; longer than most of them wait for us, shorter than a person does."""
    start: float = 2.0
    """How long `start` waits for the first bind, so that a server comes up while its carrier is down."""
    idle: float = 30.0
    """Silence after which we ask whether the carrier is there."""
    back_off: float = 0.5
    back_off_max: float = 30.0
    """First and longest wait between two attempts to bind."""
    window: float = 5.0
    """Longest wait for a place in the window, before the caller is told to slow down."""
    join: float = smstext.JOIN_SECONDS
    throttle: int = 5
    """What a throttled caller is told to wait: carriers count in seconds, and do not say how many."""


@dataclass(frozen=True)
class Config:
    host: str
    port: int
    system_id: str = ""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None
    system_type: str = ""
    name: str = ""
    service: str = SERVICE
    window: int = 10
    """Submits without an answer at a time: what SMPP 3.4 (2.9) suggests."""


def from_url(url: str) -> "SmppGateway":
    """`smpp[s]://NAME:PASSWORD@HOST[:PORT]?name=...&from=...&system_type=...&window=...&ca=FILE`. Raises UsageError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UsageError("The SMS gateway's port is not a number.") from None
    secure = parts.scheme == "smpps"
    options = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    unknown = sorted(options.keys() - {"name", "from", "system_type", "window", "ca"})
    system_id, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not parts.hostname:
        raise UsageError("The SMS gateway's URL names no host: smpp://NAME:PASSWORD@HOST:PORT.")
    if unknown:
        raise UsageError(f"The SMS gateway's URL has an unknown option: {unknown[0]}.")
    if not _fits(system_id, MAX_SYSTEM_ID) or not _fits(password, MAX_PASSWORD):
        raise UsageError(f"SMPP takes {MAX_SYSTEM_ID} characters of name and {MAX_PASSWORD} of password, in ASCII.")
    if not _fits(options.get("system_type", ""), MAX_SYSTEM_TYPE):
        raise UsageError(f"SMPP takes {MAX_SYSTEM_TYPE} characters of system type, in ASCII.")
    if not _SENDER.fullmatch(options.get("from", SERVICE)):
        raise UsageError("The SMS gateway's `from` is a number with its plus sign, or up to eleven letters and digits.")
    window = options.get("window", "10")
    if not window.isdecimal() or not 1 <= int(window) <= 1000:
        raise UsageError("The SMS gateway's window is a number from 1 to 1000.")
    config = Config(
        host=parts.hostname,
        port=port or (DEFAULT_PORT_TLS if secure else DEFAULT_PORT),
        system_id=system_id,
        password=password,
        tls=_tls(options.get("ca")) if secure else None,
        system_type=options.get("system_type", ""),
        name=options.get("name", ""),
        service=options.get("from", SERVICE),
        window=int(window),
    )
    return SmppGateway(config)


def _fits(word: str, characters: int) -> bool:
    return len(word) <= characters and word.isascii() and "\0" not in word


def _tls(ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError:
        raise UsageError("The SMS gateway's `ca` is not a readable PEM file.") from None


# --- one connection -------------------------------------------------------------------------------


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

    async def bind(self, config: Config) -> int:
        """Bind as transceiver; the answer's status."""
        request = lib.BindTransceiver(
            system_id=config.system_id, password=config.password, system_type=config.system_type
        )
        sequence = self._next()
        request.sequence_num = sequence
        self._write(request)
        async with asyncio.timeout(self._timing.answer):
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
            async with asyncio.timeout(1):
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


# --- the gateway ----------------------------------------------------------------------------------


class SmppGateway:
    """`SmsGateway` over SMPP 3.4."""

    def __init__(self, config: Config, timing: Timing | None = None, random: Random | None = None) -> None:
        self._config = config
        self._timing = timing or Timing()
        self._random = random or SystemRandom()
        self._session: Session | None = None
        self._condition = "not started"
        self._tasks: list[asyncio.Task[None]] = []
        self._attempted = asyncio.Event()
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._window = asyncio.Semaphore(config.window)
        self._unstored = 0
        self._joiner = Joiner(patience=self._timing.join)
        self._receipts = smpp.Receipts()

    @property
    def description(self) -> str:
        return self._config.name or f"the carrier behind {self._config.host}"

    @property
    def condition(self) -> str:
        return self._condition

    async def start(self) -> None:
        self._tasks = [asyncio.create_task(self._keep_bound()), asyncio.create_task(self._give_up_joining())]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timing.start):
                await self._attempted.wait()

    async def close(self) -> None:
        if self._session:
            await self._session.unbind()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._condition = "closed"
        self._events.put_nowait(None)

    async def events(self) -> AsyncIterator[Event]:
        while (event := await self._events.get()) is not None:
            yield event

    # -- binding

    async def _keep_bound(self) -> None:
        wait = self._timing.back_off
        while True:
            if await self._connect():
                wait = self._timing.back_off
            self._attempted.set()
            # Spread, so that many servers do not come back to a carrier at once.
            await asyncio.sleep(wait * self._random.uniform(0.5, 1))
            wait = min(2 * wait, self._timing.back_off_max)

    async def _connect(self) -> bool:
        """Connect, bind, and stay until it ends; whether it was bound."""
        writer = None
        try:
            async with asyncio.timeout(self._timing.answer):
                reader, writer = await asyncio.open_connection(
                    self._config.host, self._config.port, ssl=self._config.tls
                )
            session = Session(reader, writer, self._timing, self._deliver)
            status = await session.bind(self._config)
            if status != Status.OK:
                self._condition = f"bind refused (0x{status:08X})"
                return False
            await self._stay(session)
        except (OSError, EOFError, TimeoutError, BadPdu) as error:
            self._condition = f"no connection ({type(error).__name__})"
            return False
        else:
            return True
        finally:
            if writer:
                writer.close()

    async def _stay(self, session: Session) -> None:
        self._session, self._condition = session, "bound"
        self._attempted.set()
        try:
            await session.run()
        finally:
            self._session, self._condition = None, "connection lost"

    # -- out

    async def submit(self, sms: Sms) -> str:
        parts = smstext.split(sms.text, self._random.randrange(256))
        ids: list[str] = []
        for part in parts:
            try:
                ids.append(await self._submit_part(sms, part))
            except (SmsGatewayDown, SmsThrottled, SmsRejected):
                if ids:
                    raise SmsMayHaveGone("(only its beginning was taken)") from None
                raise
        message_id, outcome = self._receipts.expect(ids)
        if outcome:
            self._events.put_nowait(Receipt(message_id, outcome))
        return message_id

    async def _submit_part(self, sms: Sms, part: Part) -> str:
        async with self._place_in_window():
            if not self._session:
                raise SmsGatewayDown
            header, body = await self._session.request(self._submit_sm(sms, part))
        if header.status != Status.OK or header.command != Command.SUBMIT_SM_RESP:
            raise self._refusal(header.status)
        return smpp.read_c_string(body) or f"#{header.sequence}"

    @contextlib.asynccontextmanager
    async def _place_in_window(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timing.window):
                await self._window.acquire()
        except TimeoutError:
            raise SmsThrottled(retry_after=self._timing.throttle) from None
        try:
            yield
        finally:
            self._window.release()

    def _submit_sm(self, sms: Sms, part: Part) -> Any:
        message = lib.SubmitSm(
            short_message="-",  # aiosmpplib wants a text; the encoded one goes out
            source=_address(sms.sender or self._config.service),
            destination=_address(sms.to),
            esm_class=smpp.UDH_INDICATOR if part.has_udh else 0,
            registered_delivery=1,
            encoding="ucs2" if part.data_coding == smstext.UCS2 else None,
        )
        message.set_encoded_message(part.data)
        return message

    def _refusal(self, status: int) -> SmsGatewayDown | SmsThrottled | SmsRejected:
        if status in (Status.THROTTLED, Status.QUEUE_FULL):
            return SmsThrottled(retry_after=self._timing.throttle)
        if status in (Status.NOT_BOUND, Status.SYSTEM_ERROR, Status.TEMPORARY):
            return SmsGatewayDown()
        return SmsRejected(f"(status 0x{status:08X})")

    # -- in

    def _deliver(self, session: Session, sequence: int, deliver: Deliver) -> Status | None:
        """Take a `deliver_sm`: the status to answer now, or None when it is answered once it is stored."""
        if self._events.qsize() >= MAX_EVENTS:
            return Status.TEMPORARY
        if deliver.is_receipt:
            self._take_receipt(deliver)
            return Status.OK
        return self._take_sms(session, sequence, deliver)

    def _take_receipt(self, deliver: Deliver) -> None:
        part_id, outcome = smpp.read_receipt(deliver)
        decided = self._receipts.receive(part_id, outcome) if part_id and outcome else None
        if decided:
            self._events.put_nowait(Receipt(*decided))

    def _take_sms(self, session: Session, sequence: int, deliver: Deliver) -> Status | None:
        alphabet = smstext.alphabet_of(deliver.data_coding)
        if alphabet is None:
            return Status.OK  # Settings and pictures for handsets: no text, nobody here to take it.
        if self._unstored >= MAX_UNSTORED:
            return Status.TEMPORARY
        part, data = _part_of(deliver)
        sender, to = deliver.source.number, deliver.destination.number

        def acknowledge(stored: bool) -> None:
            session.acknowledge(sequence, Status.OK if stored else Status.TEMPORARY)

        if part is None:
            self._give(Inbound(sender, to, smstext.decode(data, alphabet), acknowledge))
            return None
        joined = self._joiner.add(sender, to, part, data, alphabet, self._now())
        if joined is None:
            return Status.OK
        self._give_joined(joined, acknowledge)
        return None

    def _give_joined(self, joined: Joined, acknowledge: Callable[[bool], None]) -> None:
        def settle(stored: bool) -> None:
            if stored:
                self._joiner.settle(joined, self._now())
            acknowledge(stored)

        self._give(Inbound(joined.sender, joined.to, joined.text, settle))

    def _give(self, inbound: Inbound) -> None:
        self._unstored += 1

        def settle(stored: bool) -> None:
            self._unstored -= 1
            inbound.settle(stored)

        self._events.put_nowait(Inbound(inbound.sender, inbound.to, inbound.text, settle))

    async def _give_up_joining(self) -> None:
        """Give out what will not become whole; what could not be stored comes up again next time."""
        while True:
            await asyncio.sleep(self._timing.join / 10)
            for joined in self._joiner.overdue(self._now()):
                self._give_joined(joined, lambda _stored: None)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _part_of(deliver: Deliver) -> tuple[Concatenation | None, bytes]:
    """Which part it is, by user data header or by SAR parameters, and what is left to read."""
    if deliver.has_udh:
        return smstext.read_udh(deliver.message)
    reference, total, index = (
        int.from_bytes(deliver.options.get(tag, b""), "big")
        for tag in (Tag.SAR_REFERENCE, Tag.SAR_TOTAL, Tag.SAR_INDEX)
    )
    part = Concatenation(reference, total, index)
    return (part if part.sane else None), deliver.message


def _address(number: str) -> Any:
    if number.startswith("+"):
        return lib.PhoneNumber(number[1:], lib.TON.INTERNATIONAL, lib.NPI.ISDN)
    if number.isdecimal():
        return lib.PhoneNumber(number, lib.TON.UNKNOWN, lib.NPI.ISDN)
    return lib.PhoneNumber(number, lib.TON.ALPHANUMERIC, lib.NPI.UNKNOWN)
