"""Light clients ask a real server what the real client asks, and keep no database.

A year of messages takes the real client minutes. Light clients make the same requests in the same order, as wire
messages through the server's own code, with real accounts, keys, tokens and mailboxes; their envelopes hold random
bytes. `tests/lab/test_light_client.py` holds them to the real client. `docs/exposure-lab.md` says what they leave out.
"""

import asyncio
import itertools
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from grue._core import MlsSession
from grue.client.transport.transport import Challenge, refusal
from grue.errors import LimitReached
from grue.exposure.records import Delivered
from grue.lab.mint import paid
from grue.lab.taps import ACCOUNT, ANONYMOUS, STREAM, Tap, Tapes
from grue.protocol import oblivious, wire
from grue.protocol.accountkey import SECRET_BYTES, public_of
from grue.protocol.conversation.devices import credential, sign_device_list
from grue.protocol.directory.lookup import blind
from grue.protocol.tokens import Draw, Purpose
from grue.server.directory.directory import OPRF_EPOCH
from grue.server.mailboxes.streams import Stream, memory_sink
from grue.testing import World

KEY_PACKAGES: Final = 4
"""Kept at the server by a light client; the real one keeps 20."""

TEXT_BYTES: Final = wire.ENVELOPE_BUCKETS[0]
"""An envelope with a short text, or a receipt."""
INVITATION_BYTES: Final = wire.ENVELOPE_BUCKETS[2]
"""An envelope with a Welcome for two and an invitation."""

HOP: Final = 0.05
"""Seconds that a request or an answer takes."""
RECEIPT: Final = 0.3
"""Seconds until a receipt goes, as in `client.conversations.receiver`."""
POLLED: Final = 20.0
"""Seconds that a poll may have waited when it is answered."""

TOKENS: Final = {Purpose.LOOKUP: 200, Purpose.POST: 100}
"""Tokens kept ready, as in `client.transport.tokens`."""

Answer = TypeVar("Answer", bound=wire.Message)

_numbers = itertools.count()


def _hash(key: bytes) -> bytes:
    return sha256(key).digest()


@dataclass
class Mailbox:
    """A conversation of two, as both know it."""

    id: bytes
    write_key: bytes
    slot: bytes
    read_keys: dict[str, bytes]
    """By number, of those who read it by now."""
    seq: int = 0


@dataclass
class LightClient:
    """One account with its connections, in place of the real client."""

    world: World
    number: str
    address: Callable[[], str]
    tapes: Tapes
    oblivious: bool
    draws: bool = False
    """Whether it draws its tokens, and does its daily round; the others' are minted."""
    account: bytes = b""
    intro: bytes = field(default_factory=lambda: os.urandom(32))
    conversations: dict[str, Mailbox] = field(default_factory=dict)
    """By the other's number."""
    known: set[str] = field(default_factory=set)
    """Numbers whose PRF it has: asked once, and kept."""
    told: list[Delivered] | None = None
    """What its client opens of what it is delivered, where that is kept."""
    letters: dict[bytes, Delivered] = field(default_factory=dict)
    """What envelopes on their way hold, by their bytes: in place of the key that opens them."""
    due: list[wire.Delivery] = field(default_factory=list)
    """Pushed, and not acknowledged yet."""

    def __post_init__(self) -> None:
        self._tap = Tap(self.tapes, self._now, self.address, f"c{next(_numbers)}")
        self._identity = Ed25519PrivateKey.generate()
        self._mls = MlsSession({})
        self._device = self._mls.new_identity()
        self._challenge = b""
        self._intro_key = os.urandom(32)
        self._tokens = dict.fromkeys(TOKENS, 0)
        self._streams: list[Stream] = []
        self._stream_of: dict[bytes, int] = {}
        """Which stream reads a mailbox: each takes `wire.MAX_SUBSCRIPTIONS`."""
        self._intro_stream: Stream | None = None
        self._streams_from = ""
        self._keys: dict[bytes, bytes] = {}

    def _now(self) -> float:
        return self.world.clock()

    def _later(self, seconds: float = HOP) -> None:
        self.world.clock.pass_seconds(seconds)

    # --- the account ------------------------------------------------------------------------------

    async def register(self, code: Callable[[str], str]) -> None:
        """As the real client: a code, the account, key packages, tokens, and the streams that stay open."""
        public = self._identity.public_key().public_bytes_raw()
        await self._account(wire.RegisterStart(self.number, public), wire.CodeSent)
        devices = wire.DeviceList(1, public, public_of(os.urandom(SECRET_BYTES)), self.intro, [self._device])
        self._list = sign_device_list(devices, self._identity)
        registered = await self._account(
            wire.RegisterFinish(self.number, code(self.number), self._list, _hash(self._intro_key)), wire.Registered
        )
        self.account = registered.account
        await self.daily_round()
        await self.connect()

    async def daily_round(self) -> None:
        """The daily round: key packages, tokens, and a look at the own record."""
        left = (await self._signed(wire.CountKeyPackages(), wire.KeyPackageCount)).left
        if left < KEY_PACKAGES:
            named = credential(self._identity, self._device)
            packages = [self._mls.key_package(named, last_resort=False) for _ in range(KEY_PACKAGES - left)]
            last = b"" if left else self._mls.key_package(named, last_resort=True)
            await self._signed(wire.UploadKeyPackages(packages, last), wire.KeyPackageCount)
        if self.draws:
            await self._fill()
            await self._evaluate(self.number)

    async def check_in(self) -> None:
        await self._signed(wire.CheckIn(self.number, self._list), wire.Done)

    async def sms(self, to: str, text: str) -> None:
        """Through the server's SMS gateway."""
        await self._signed(wire.SendSms(os.urandom(16), self.number, to, text), wire.SmsState)

    async def _fill(self) -> None:
        """As far as may be, as the real client. What is spent beyond is minted, and owed until more may be drawn."""
        keys = self.world.server.directory.manifest.token_keys
        for purpose, most in TOKENS.items():
            if self._tokens[purpose] <= most // 2:
                with suppress(LimitReached):
                    for _ in range((most - self._tokens[purpose]) // wire.TOKEN_BATCH):
                        drawn = await self._signed(Draw(purpose, keys, os.urandom).request(), wire.Drawn)
                        self._tokens[purpose] += len(drawn.elements)

    async def _account(self, request: wire.Message, expect: type[Answer]) -> Answer:
        answer = await self._ask_account(request)
        if not isinstance(answer, expect):
            raise TypeError(f"the server answered {answer!r}")
        return answer

    async def _signed(self, request: wire.Message, expect: type[Answer]) -> Answer:
        """Raises what the server refuses it for."""
        body = wire.encode(request)
        for _ in range(2):
            signature = self._mls.sign(wire.signed_bytes(self.account, self._challenge, body))
            answer = await self._ask_account(wire.Signed(self.account, self._device, self._challenge, body, signature))
            if isinstance(answer, expect):
                return answer
            if not isinstance(answer, wire.Refusal):
                break
            error = refusal(answer)
            if not isinstance(error, Challenge):
                raise error
            self._challenge = error.challenge
        raise TypeError(f"the server answered {wire.encode(answer)!r}")

    async def _ask_account(self, request: wire.Message) -> wire.Message:
        data = wire.encode(request)
        self._tap.direct("account", ACCOUNT, True, data)
        answer = await self.world.server.account(data)
        self._tap.direct("account", ACCOUNT, False, answer)
        return wire.ACCOUNT_ANSWER.decode(answer)

    # --- streams ----------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Open the streams, or open them anew from another address."""
        if self._streams_from == self.address():
            return
        self._streams_from = self.address()
        for stream in (*self._streams, *filter(None, [self._intro_stream])):
            stream.close()
        self._streams, self._stream_of = [], {}
        self._intro_stream = self.world.server.stream(memory_sink(lambda frame: self._pushed("intro", frame)))
        await self._frame("intro", self._intro_stream, wire.Subscribe(self.intro, self._intro_key, 0))
        if not self.oblivious:
            for box in self.conversations.values():
                if self.number in box.read_keys:
                    await self._subscribe(box, box.seq)
        # A task of the stream's looks for what waits; nothing else here ever lets it run.
        await asyncio.sleep(0)

    async def _subscribe(self, box: Mailbox, after: int) -> None:
        key = self._keys[box.id] = box.read_keys[self.number]
        if self.oblivious:
            return
        n = self._stream_of.setdefault(box.id, len(self._stream_of) // wire.MAX_SUBSCRIPTIONS)
        if n == len(self._streams):
            kind = _kind(n)
            self._streams.append(self.world.server.stream(memory_sink(lambda frame: self._pushed(kind, frame))))
        await self._frame(_kind(n), self._streams[n], wire.Subscribe(box.id, key, after))

    async def _frame(self, kind: str, stream: Stream, request: wire.Message) -> None:
        data = wire.encode(request)
        self._tap.direct(kind, STREAM, True, data)
        await stream.received(data)

    def _pushed(self, kind: str, frame: bytes) -> None:
        push = wire.STREAM_PUSH.decode(frame)
        self._tap.direct(kind, STREAM, False, frame, _sealed(push))
        if isinstance(push, wire.Delivery):
            self._open(push)
            self.due.append(push)

    async def acknowledge(self) -> None:
        """Whatever was pushed is on disk here."""
        due, self.due = self.due, []
        for delivery in due:
            mailbox = delivery.mailbox
            if mailbox == self.intro:
                assert self._intro_stream is not None
                await self._frame("intro", self._intro_stream, wire.Ack(mailbox, self._intro_key, delivery.seq))
            else:
                n = self._stream_of[mailbox]
                await self._frame(_kind(n), self._streams[n], wire.Ack(mailbox, self._keys[mailbox], delivery.seq))

    # --- envelopes --------------------------------------------------------------------------------

    def _seal(self, other: "LightClient", size: int, what: str, text: str = "") -> bytes:
        """Bytes in which `other`, when it is delivered them, finds what is inside; nobody else finds anything."""
        contents = os.urandom(size)
        if other.told is not None:
            other.letters[contents] = Delivered(0.0, what, self.number, text)
        return contents

    def _open(self, delivery: wire.Delivery) -> None:
        letter = self.letters.pop(delivery.blob, None)
        if letter is not None and self.told is not None:
            self.told.append(msgspec.structs.replace(letter, at=self._now()))

    # --- anonymous --------------------------------------------------------------------------------

    async def look_up(self, number: str) -> None:
        """One evaluation, the first time; after that the client knows by its own copy of the directory."""
        if number not in self.known:
            self.known.add(number)
            await self._evaluate(number)

    async def _evaluate(self, number: str) -> None:
        await self._anonymous(wire.Evaluate(OPRF_EPOCH, [blind(number).element]), wire.Evaluated)

    async def first_contact(self, other: "LightClient", text: str = "") -> None:
        """Claim a key package, found a mailbox, write to the intro mailbox; the other accepts a moment later."""
        await self._anonymous(wire.Claim(other.intro), wire.Claimed)
        self._later()
        box = Mailbox(os.urandom(32), os.urandom(32), os.urandom(32), {self.number: os.urandom(32)})
        key = box.read_keys[self.number]
        create = wire.CreateMailbox(box.id, _hash(box.write_key), _hash(key), [_hash(box.slot)])
        await self._anonymous(create, wire.Done)
        self._later()
        self.conversations[other.number] = other.conversations[self.number] = box
        await self._subscribe(box, 0)
        await asyncio.sleep(0)
        contents = self._seal(other, INVITATION_BYTES, "request", text)
        await self._anonymous(wire.PostIntro(other.intro, os.urandom(16), contents), wire.Posted)
        self._later()
        await other.acknowledge()

    async def _accept(self, box: Mailbox) -> bool:
        """Begin to read; whether something was waiting."""
        key = os.urandom(32)
        await self._anonymous(wire.ExchangeSlot(box.id, box.slot, _hash(key)), wire.Reading)
        box.read_keys[self.number] = key
        self._later()
        await self._subscribe(box, 0)
        await asyncio.sleep(0)
        if box.seq:
            await self._read(box, 0, 0)
        return box.seq > 0

    async def text(self, other: "LightClient", text: str = "") -> None:
        """A message, and the other's receipt. To answer for the first time is to accept, and to read what waited."""
        box = self.conversations[other.number]
        if self.number not in box.read_keys and await self._accept(box):
            self._later(RECEIPT)
            await self._post(other, "receipt")
        await self._post(other, "text", text)
        if other.number in box.read_keys:
            self._later(RECEIPT)
            await other._post(self, "receipt")

    async def _post(self, other: "LightClient", what: str, text: str = "") -> None:
        box = self.conversations[other.number]
        contents = self._seal(other, TEXT_BYTES, what, text)
        posted = await self._anonymous(wire.Post(box.id, box.write_key, os.urandom(16), contents), wire.Posted)
        before, box.seq = box.seq, posted.seq
        self._later()
        # The poll that has waited for it; no other chance is needed than some that differ.
        for reader in (self, other):
            if reader.number in box.read_keys:
                await reader._read(box, before, 1 + os.urandom(1)[0] / 256 * (POLLED - 1))

    async def _read(self, box: Mailbox, after: int, waited: float) -> None:
        """The poll that had waited so many seconds, or the first one of a mailbox, which does not wait.

        Only the first may bring nothing: what it comes for can have expired.
        """
        if not self.oblivious:
            await self.acknowledge()
            return
        key = box.read_keys[self.number]
        poll = wire.Fetch(box.id, key, after, wait=wire.MAX_WAIT if waited else 0)
        envelopes = (await self._anonymous(poll, wire.Fetched, earlier=waited)).envelopes
        for delivery in envelopes:
            self._open(delivery)
        if envelopes:
            await self._anonymous(wire.Ack(box.id, key, box.seq), wire.Done)

    async def _anonymous(self, request: wire.Message, expect: type[Answer], earlier: float = 0) -> Answer:
        """Ask, and pay. `earlier` is for how many seconds a poll had waited when it was answered."""
        whole = paid(self.world.server.keys, request, self.world.clock())
        if isinstance(whole, wire.Spend) and self.draws:
            self._tokens[Purpose.LOOKUP if isinstance(request, wire.Evaluate) else Purpose.POST] -= len(whole.tokens)
        data, sealed = wire.encode(whole), _sealed(request)
        if self.oblivious:
            number = next(_numbers)
            self._tap.relayed(number, True, data, sealed, earlier=earlier)
            _, answered = await self.world.server.relayed("POST", oblivious.ANONYMOUS_PATH, data)
            answer = wire.ANONYMOUS_ANSWER.decode(answered)
            self._tap.relayed(number, False, answered, _sealed(answer))
        else:
            self._tap.direct("anonymous", ANONYMOUS, True, data, sealed)
            answered = await self.world.server.anonymous(data)
            answer = wire.ANONYMOUS_ANSWER.decode(answered)
            self._tap.direct("anonymous", ANONYMOUS, False, answered, _sealed(answer))
        if not isinstance(answer, expect):
            raise TypeError(f"the server answered {answered!r}")
        return answer


def _kind(n: int) -> str:
    """How a client's streams are told apart; all but a few have one."""
    return f"stream {n + 1}" if n else "stream"


def _sealed(message: wire.Message) -> list[bytes]:
    """What in a message only the members of a conversation can read."""
    match message:
        case wire.Post(blob=blob) | wire.PostIntro(blob=blob) | wire.Delivery(blob=blob):
            return [blob]
        case wire.Fetched(envelopes=envelopes):
            return [envelope.blob for envelope in envelopes]
    return []
