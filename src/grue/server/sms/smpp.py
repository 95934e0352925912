"""The `smpp://` SMS gateway: it binds one transceiver to a carrier, and binds again whenever that ends."""

import asyncio
import contextlib
import itertools
import math
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from random import Random, SystemRandom
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from grue.errors import SmsGatewayDown, SmsMayHaveGone, SmsRejected, SmsThrottled, UsageError
from grue.protocol.sms import smpp, smstext
from grue.protocol.sms.smpp import BadPdu, Command, Deliver, Status, Tag
from grue.protocol.sms.smstext import Concatenation, Held, Joined, Joiner, Part
from grue.server.sms.gateway import Event, Inbound, Receipt, Sms
from grue.server.sms.smppsession import Session, Timing, submit_sm

DEFAULT_PORT: Final = 2775
"""Registered for SMPP."""

DEFAULT_PORT_TLS: Final = 3550
"""Registered for SMPP in TLS."""

MAX_SYSTEM_ID: Final = 15
"""Characters of our name at the carrier; SMPP 3.4 has no room for more (5.2.1)."""

MAX_PASSWORD: Final = 8
"""Characters, likewise (5.2.2)."""

MAX_SYSTEM_TYPE: Final = 12
"""Characters, likewise (5.2.3)."""

SERVICE: Final = "Grue"
"""Sender of codes where the URL's `from` names none."""

SAR: Final = (Tag.SAR_REFERENCE, Tag.SAR_TOTAL, Tag.SAR_INDEX)

MAX_UNSTORED: Final = 100
"""Inbound SMS that wait to be stored; the carrier keeps the next ones."""

MAX_EVENTS: Final = 10_000
"""Events that wait for the server role; the carrier keeps the next ones."""


# --- what the URL says ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Config:
    host: str
    port: int
    system_id: str = ""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None
    system_type: str = ""
    name: str = ""
    """Who carries the SMS, in words for people."""
    service: str = SERVICE
    window: int = 10
    """Submits without an answer at a time: what SMPP 3.4 (2.9) suggests."""


_OPTIONS: Final[Mapping[str, re.Pattern[str]]] = {
    "name": re.compile(r"[^\0-\x1f]{1,80}"),
    "from": re.compile(r"\+[1-9][0-9]{4,14}|[0-9]{3,15}|[A-Za-z0-9 ]{1,11}"),
    "system_type": re.compile(rf"[!-~]{{0,{MAX_SYSTEM_TYPE}}}"),
    "window": re.compile(r"[1-9][0-9]{0,2}"),
    "ca": re.compile(r"[^\0]+"),
}
"""What may follow the `?` of the URL."""


def from_url(url: str) -> "SmppGateway":
    """`smpp[s]://NAME:PASSWORD@HOST[:PORT][?name=...&from=...&system_type=...&window=...&ca=FILE]`.

    Connects nothing yet. Raises UsageError.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UsageError("The SMS gateway's URL is not one: smpp://NAME:PASSWORD@HOST:PORT.") from None
    if not parts.hostname:
        raise UsageError("The SMS gateway's URL names no host: smpp://NAME:PASSWORD@HOST:PORT.")
    secure = parts.scheme == "smpps"
    options = _options(parts.query)
    config = Config(
        host=parts.hostname,
        port=port or (DEFAULT_PORT_TLS if secure else DEFAULT_PORT),
        system_id=_credential(parts.username, MAX_SYSTEM_ID),
        password=_credential(parts.password, MAX_PASSWORD),
        tls=_tls(options.get("ca")) if secure else None,
        system_type=options.get("system_type", ""),
        name=options.get("name", ""),
        service=options.get("from", SERVICE),
        window=int(options.get("window", "10")),
    )
    return SmppGateway(config)


def _options(query: str) -> dict[str, str]:
    # A plus sign is one: it begins numbers, and the names of files and people can do without spaces as plus signs.
    options = {key: values[-1] for key, values in parse_qs(query.replace("+", "%2B")).items()}
    for key, value in options.items():
        if key not in _OPTIONS or not _OPTIONS[key].fullmatch(value):
            raise UsageError(f"The SMS gateway's URL has an option that is not understood: {key}.")
    return options


def _credential(quoted: str | None, limit: int) -> str:
    word = unquote(quoted or "")
    if len(word) > limit or not word.isascii() or "\0" in word:
        raise UsageError(f"SMPP takes {MAX_SYSTEM_ID} characters of name and {MAX_PASSWORD} of password, in ASCII.")
    return word


def _tls(ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError:
        raise UsageError("The SMS gateway's `ca` is not a readable PEM file.") from None


# --- the gateway ----------------------------------------------------------------------------------


class SmppGateway:
    """`SmsGateway` over SMPP 3.4."""

    def __init__(self, config: Config, timing: Timing | None = None, random: Random | None = None) -> None:
        self._config = config
        self._timing = timing or Timing()
        self._random = random or SystemRandom()
        self._session: Session | None = None
        self._health = "not started"
        self._tasks: list[asyncio.Task[None]] = []
        self._attempted = asyncio.Event()
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._window = asyncio.Semaphore(config.window)
        # Each in turn, so that no two messages near each other share one; shuffled, so that it counts nothing.
        self._references = itertools.cycle(self._random.sample(range(256), 256))
        self._unstored = 0
        self._all_stored = asyncio.Event()
        self._all_stored.set()
        self._closing = False
        self._joiner = Joiner(patience=self._timing.join)
        self._receipts = smpp.Receipts()

    @property
    def description(self) -> str:
        return self._config.name or f"the carrier behind {self._config.host}"

    @property
    def health(self) -> str:
        return self._health

    async def start(self) -> None:
        self._tasks = [asyncio.create_task(self._keep_bound()), asyncio.create_task(self._look_for_overdue())]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timing.start):
                await self._attempted.wait()

    async def close(self) -> None:
        """Take nothing new, wait until what came is stored, and unbind. The reader of `events` has to go on."""
        self._closing = True
        self._give_overdue(math.inf)
        self._events.put_nowait(None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timing.stop):
                await self._all_stored.wait()
        if self._session:
            await self._session.unbind()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._health = "closed"

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
        try:
            async with asyncio.timeout(self._timing.bind):
                session = await self._open()
        except (OSError, EOFError, TimeoutError, BadPdu, ValueError) as error:  # ValueError: a host that is no name
            self._health = f"no connection ({type(error).__name__})"
            return False
        if session is None:
            return False
        await self._stay(session)
        return True

    async def _open(self) -> Session | None:
        config = self._config
        reader, writer = await asyncio.open_connection(config.host, config.port, ssl=config.tls)
        session = Session(reader, writer, self._timing, self._deliver)
        try:
            status = await session.bind(config.system_id, config.password, config.system_type)
        except BaseException:
            writer.close()
            raise
        if status == Status.OK:
            return session
        writer.close()
        self._health = f"bind refused (0x{status:08X})"
        return None

    async def _stay(self, session: Session) -> None:
        self._session, self._health = session, "bound"
        self._attempted.set()
        try:
            await session.run()
        finally:
            self._session, self._health = None, "connection lost"

    # -- out

    async def submit(self, sms: Sms) -> str:
        parts = smstext.split(sms.text, next(self._references))
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
            header, body = await self._session.request(submit_sm(sms.sender or self._config.service, sms.to, part))
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

    def _refusal(self, status: int) -> SmsGatewayDown | SmsThrottled | SmsRejected:
        if status in (Status.THROTTLED, Status.QUEUE_FULL):
            return SmsThrottled(retry_after=self._timing.throttle)
        if status in (Status.NOT_BOUND, Status.SYSTEM_ERROR, Status.TEMPORARY):
            return SmsGatewayDown()
        return SmsRejected(f"(status 0x{status:08X})")

    # -- in

    def _deliver(self, session: Session, sequence: int, deliver: Deliver) -> Status | None:
        """Take a `deliver_sm`: the status to answer now, or None when it is answered once it is stored."""
        if self._closing or self._events.qsize() >= MAX_EVENTS:
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
        self._give_overdue(self._now())
        if isinstance(joined, Held):
            return Status.OK if joined is Held.TAKEN else Status.TEMPORARY
        self._give_joined(joined, acknowledge)
        return None

    def _give_joined(self, joined: Joined, acknowledge: Callable[[bool], None]) -> None:
        def settle(stored: bool) -> None:
            self._joiner.settle(joined, stored, self._now())
            acknowledge(stored)

        self._give(Inbound(joined.sender, joined.to, joined.text, settle))

    def _give_overdue(self, now: float) -> None:
        """Give out what will not become whole; its parts are acknowledged, and live nowhere else."""
        for joined in self._joiner.overdue(now):
            self._give_joined(joined, lambda _stored: None)

    def _give(self, inbound: Inbound) -> None:
        self._unstored += 1
        self._all_stored.clear()

        def settle(stored: bool) -> None:
            self._unstored -= 1
            if not self._unstored:
                self._all_stored.set()
            inbound.settle(stored)

        self._events.put_nowait(Inbound(inbound.sender, inbound.to, inbound.text, settle))

    async def _look_for_overdue(self) -> None:
        while True:
            await asyncio.sleep(self._timing.join / 10)
            self._give_overdue(self._now())

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _part_of(deliver: Deliver) -> tuple[Concatenation | None, bytes]:
    """Which part it is, by user data header or by SAR parameters, and what is left to read."""
    if deliver.has_udh:
        part, data = smstext.read_udh(deliver.message)
    else:
        part, data = Concatenation(*map(deliver.number_in, SAR)), deliver.message
    return (part if part and part.sane and len(data) <= smstext.MAX_PART else None), data
