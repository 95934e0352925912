"""The SMS role: it sends and receives SMS for accounts, and keeps what it knows of them in memory only."""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from hmac import compare_digest
from typing import Final, TypeVar, cast

from grue.errors import (
    BadRequest,
    DiskFull,
    LimitReached,
    MailboxFull,
    NetworkError,
    NoSuchMailbox,
    NotPermitted,
    SmsGatewayDown,
    SmsMayHaveGone,
    SmsRejected,
    SmsThrottled,
    SmsUnavailable,
    TooLarge,
    UsageError,
)
from grue.protocol.conversation.contents import RECEIVED_SMS, ReceivedSms
from grue.protocol.conversation.delivery import TABLE, MessageEvent, MessageState
from grue.protocol.sms import smsseal
from grue.protocol.sms.smstext import split
from grue.protocol.states import Machine
from grue.protocol.wire import MAX_SMS, AskSms, PostIntro, SendSms, SmsState, SmsStates, encode
from grue.server.clock import DAY
from grue.server.context import Context
from grue.server.directory.directory import tag_of
from grue.server.mailboxes.requests import MailboxRole
from grue.server.reporting import report
from grue.server.sms.gateway import Inbound, Receipt, Sms, SmsGateway
from grue.server.store.interface import Row, Tx

K = TypeVar("K")
V = TypeVar("V")


def open_gateway(url: str) -> SmsGateway:
    """The adapter for a URL; connects nothing yet. Raises UsageError."""
    if url.startswith(("smpp://", "smpps://")):
        from grue.server.sms import smpp  # here, so that a server without SMS does not load it

        return smpp.from_url(url)
    raise UsageError("There is no SMS gateway of that kind. Use smpp://NAME:PASSWORD@HOST:PORT (smpps:// for TLS).")


# --- the role: SMS for our accounts ---------------------------------------------------------------

MAX_REMEMBERED: Final = 20_000
"""SMS whose state is known, a few hundred bytes each; the oldest is forgotten, and answered as `unknown`."""

SMS_A_DAY: Final = 100
"""SMS of one number a day, unless `serve --sms-a-day` says otherwise; a long text is several, as carriers count. More
than a person writes to people who are not on Grue; each costs the operator money."""

CLOSE_SECONDS: Final = 20.0
"""How long a stop waits for answers that are under way: longer than the SMS gateway itself waits."""

_RECEIPT: Final = {"delivered": MessageEvent.RECEIPT_DELIVERED, "failed": MessageEvent.RECEIPT_FAILED}
_TOLD: Final = frozenset({MessageState.SUBMITTED, MessageState.DELIVERED, MessageState.FAILED})

_Key = tuple[bytes, bytes]
"""Account and the client's id."""


class _Daily:
    """How many SMS each number sent today: in memory only, so a restart begins anew."""

    def __init__(self, a_day: int) -> None:
        self._a_day = a_day
        self._day = 0
        self._counts: dict[bytes, int] = {}

    def take(self, tag: bytes, parts: int, now: int) -> None:
        """Count an SMS. Raises LimitReached, with the seconds until the next day."""
        if now // DAY > self._day:
            # Not when a clock is set back: the day that comes again goes on.
            self._day, self._counts = now // DAY, {}
        if self._counts.get(tag, 0) + parts > self._a_day:
            raise LimitReached(retry_after=(self._day + 1) * DAY - now)
        self._counts[tag] = self._counts.get(tag, 0) + parts

    def give_back(self, tag: bytes, parts: int) -> None:
        """It was not sent; perhaps it was counted yesterday."""
        self._counts[tag] = max(0, self._counts.get(tag, 0) - parts)


class _Sent:
    """One SMS of an account: what became of it, in memory only."""

    def __init__(self, digest: bytes) -> None:
        self.digest = digest
        self.machine = Machine(TABLE, MessageState.SUBMITTING)
        self.task: asyncio.Task[None] | None = None

    @property
    def state(self) -> str:
        return str(self.machine.state) if self.machine.state in _TOLD else str(MessageState.UNKNOWN)


class SmsRole:
    """`Server.sms`: an SMS gateway, and what is known of the SMS that went through it."""

    def __init__(self, gateway: SmsGateway, a_day: int = SMS_A_DAY) -> None:
        """`a_day` is how many SMS an account sends; with 0 there are codes, and what comes in."""
        self.gateway = gateway
        self.sends = a_day > 0
        self._daily = _Daily(a_day)
        self._under_way: dict[_Key, _Sent] = {}
        self._sent: OrderedDict[_Key, _Sent] = OrderedDict()
        self._by_message: OrderedDict[str, _Sent] = OrderedDict()
        self._early: OrderedDict[str, MessageEvent] = OrderedDict()
        self._inbound: asyncio.Task[None] | None = None

    @property
    def description(self) -> str:
        """Who carries the SMS that accounts send; nobody, when they send none."""
        return self.gateway.description if self.sends else ""

    async def start(self, context: Context, mailboxes: MailboxRole) -> None:
        """Connect, and take what comes in, until `close`."""
        await self.gateway.start()
        self._inbound = asyncio.create_task(run_inbound(context, self, mailboxes))

    async def close(self) -> None:
        """Wait for the answers under way, then leave. What is not stored stays at the carrier."""
        running = [sent.task for sent in self._under_way.values() if sent.task]
        if running:
            await asyncio.wait(running, timeout=CLOSE_SECONDS)
        await self.gateway.close()
        if self._inbound:
            await self._inbound

    async def send(self, account: bytes, tag: bytes, request: SendSms, now: int) -> str:
        """SMS-02: submit once, however often it is asked; the state. Raises what `SmsGateway.submit` raises
        for what was definitely not sent, and forgets it then. SMS-08: raises LimitReached beyond the number's day.
        """
        key, digest = (account, request.id), sha256(encode(request)).digest()
        sent = self._known(key)
        if sent is None:
            sent = self._begun(key, digest, tag, request, now)
        elif sent.digest != digest:
            raise BadRequest("(that id was another SMS)")
        if sent.task:
            # Shielded: a client that goes away must not leave it open whether its SMS went.
            await asyncio.shield(sent.task)
        return sent.state

    def _begun(self, key: _Key, digest: bytes, tag: bytes, request: SendSms, now: int) -> _Sent:
        parts = len(split(request.text, 0))
        self._daily.take(tag, parts, now)
        sent = self._under_way[key] = _Sent(digest)
        sms = Sms(request.sender, request.to, request.text)
        sent.task = asyncio.create_task(self._submit(key, sent, sms, lambda: self._daily.give_back(tag, parts)))
        return sent

    def _known(self, key: _Key) -> _Sent | None:
        return self._under_way.get(key) or self._sent.get(key)

    def state(self, account: bytes, sms_id: bytes) -> str:
        sent = self._known((account, sms_id))
        return sent.state if sent else str(MessageState.UNKNOWN)

    def receive(self, receipt: Receipt) -> None:
        """A receipt came; before the answer to its submit, with some carriers."""
        event = _RECEIPT[receipt.state]
        sent = self._by_message.get(receipt.id)
        if sent is None:
            self._early[receipt.id] = event
            _trim(self._early)
        elif sent.machine.allows(event):
            sent.machine.fire(event)

    async def _submit(self, key: _Key, sent: _Sent, sms: Sms, give_back: Callable[[], None]) -> None:
        try:
            self._submitted(sent, await self.gateway.submit(sms))
        except (SmsGatewayDown, SmsThrottled, SmsRejected, TooLarge):
            give_back()
            raise
        except BaseException as error:
            # Anything else leaves open whether it went, our own faults and a stop of the server included.
            sent.machine.fire(MessageEvent.ANSWER_LOST)
            self._remember(key, sent)
            if not isinstance(error, SmsMayHaveGone):
                raise
        else:
            self._remember(key, sent)
        finally:
            sent.task = None
            del self._under_way[key]

    def _submitted(self, sent: _Sent, message_id: str) -> None:
        sent.machine.fire(MessageEvent.SUBMITTED)
        self._by_message[message_id] = sent
        _trim(self._by_message)
        if message_id in self._early:
            sent.machine.fire(self._early.pop(message_id))

    def _remember(self, key: _Key, sent: _Sent) -> None:
        self._sent[key] = sent
        _trim(self._sent)


def _trim(memory: OrderedDict[K, V]) -> None:
    if len(memory) > MAX_REMEMBERED:
        memory.popitem(last=False)


# --- out ------------------------------------------------------------------------------------------


async def send(context: Context, role: SmsRole | None, account: bytes, request: SendSms) -> SmsState:
    """Hand one SMS of an account to the SMS gateway, once.

    Raises SmsUnavailable, NotPermitted (SMS-01), BadRequest (another SMS under the same id), TooLarge (SMS-03),
    LimitReached (SMS-08), SmsGatewayDown, SmsThrottled, SmsRejected: not sent. A lost answer is no error but the state
    `unknown`.
    """
    if role is None:
        raise SmsUnavailable
    if not role.sends:
        raise SmsUnavailable("(it sends none for accounts)")
    tag = await _check_sender(context, account, request.sender)
    return SmsState(request.id, await role.send(account, tag, request, int(context.clock())))


async def ask(role: SmsRole | None, account: bytes, request: AskSms) -> SmsStates:
    """What became of SMS of this account, as far as this process knows. Raises SmsUnavailable."""
    if role is None:
        raise SmsUnavailable
    return SmsStates([SmsState(sms_id, role.state(account, sms_id)) for sms_id in request.ids])


async def send_code(role: SmsRole | None, number: str, text: str) -> None:
    """Send a registration code. Raises SmsUnavailable, SmsGatewayDown, SmsThrottled, SmsRejected: not sent.

    That an answer was lost is not passed on: the code may arrive, and another can be asked for.
    """
    if role is None:
        raise SmsUnavailable
    with contextlib.suppress(SmsMayHaveGone):
        await role.gateway.submit(Sms(None, number, text))


async def _check_sender(context: Context, account: bytes, number: str) -> bytes:
    """SMS-01: an account sends from its own number only. Its tag."""
    row, tag = await context.store.read(_phone_tag, account), tag_of(context.keys, number)
    if row is None or not compare_digest(cast("bytes", row[0]), tag):
        raise NotPermitted
    return tag


async def _phone_tag(tx: Tx, account: bytes) -> Row | None:
    return await tx.row("SELECT phone_tag FROM account WHERE account = $1", account)


# --- in -------------------------------------------------------------------------------------------


async def run_inbound(context: Context, role: SmsRole, mailboxes: MailboxRole) -> None:
    """Take what the SMS gateway brings, in order, until it is closed."""
    async for event in role.gateway.events():
        match event:
            case Receipt():
                role.receive(event)
            case Inbound():
                event.settle(await _stored(context, mailboxes, event))


async def _stored(context: Context, mailboxes: MailboxRole, inbound: Inbound) -> bool:
    """SMS-04: whether it is on disk, or nobody's. Otherwise it stays with the carrier, who tries again."""
    try:
        await _store(context, mailboxes, inbound)
    except (NoSuchMailbox, BadRequest):
        return True  # The account went just now, or gave a key that is none: nobody could ever read it.
    except (MailboxFull, DiskFull, NetworkError):
        return False
    except Exception as error:  # noqa: BLE001 -- the task goes on, whatever happened to one SMS
        report(error)
        return False
    return True


async def _store(context: Context, mailboxes: MailboxRole, inbound: Inbound) -> None:
    """Seal it to the account with that number. A number that is not hosted here leaves no trace at all."""
    found = await context.store.read(_account_with, tag_of(context.keys, inbound.to))
    if found is None:
        return
    hpke_public, intro_mailbox = cast("tuple[bytes, bytes]", found)
    for start in range(0, max(len(inbound.text), 1), MAX_SMS):
        text = inbound.text[start : start + MAX_SMS]
        sms = ReceivedSms(inbound.sender, inbound.to, text, int(context.clock() * 1000))
        if not _can_be_read(sms):
            return
        blob = await asyncio.to_thread(smsseal.seal_sms, hpke_public, sms, context.keys.signing.sign)
        await mailboxes.post_intro(PostIntro(intro_mailbox, context.random(16), blob))


async def _account_with(tx: Tx, tag: bytes) -> Row | None:
    return await tx.row("SELECT hpke_pub, intro_mailbox FROM account WHERE phone_tag = $1", tag)


def _can_be_read(sms: ReceivedSms) -> bool:
    """Whether a client's decoder takes it: what it refuses would stand in the mailbox's way for good."""
    try:
        RECEIVED_SMS.decode(encode(sms))
    except BadRequest:
        return False
    return True
