"""The server without its sockets: bytes of a request in, bytes of an answer out.

`http.py` puts it on the network; tests call it directly. It keeps nothing about who asks.
"""

import hmac
import os
import time
from collections.abc import Awaitable, Callable
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from grue.errors import BadRequest, GrueError, NetworkError, NotPermitted, Refused, TokenNeeded, TokenSpent
from grue.protocol import wire
from grue.protocol.tokens import epoch_of
from grue.server.accounts import keypackages, registration
from grue.server.directory import directory, queries
from grue.server.directory.directory import Directory
from grue.server.directory.queryqueue import Queries
from grue.server.keys.keys import Keys
from grue.server.mailboxes import blobs, mailboxes
from grue.server.mailboxes.blobs import Blobs
from grue.server.mailboxes.mailboxes import key_hash
from grue.server.mailboxes.streams import Hub, Sink, Stream
from grue.server.oblivious import ohttp_gateway
from grue.server.oblivious.ohttp_gateway import Gateway
from grue.server.replica.replicas import Replicas
from grue.server.reporting import report as report
from grue.server.sms import sms
from grue.server.sms.sms import SmsRole
from grue.server.store.interface import Store, Tx
from grue.server.tokens import tokens

DAY: Final = 86_400
"""Seconds; the finest time that is ever stored."""

CHALLENGE_SECONDS: Final = 600
"""A signed request is good for the window of its challenge and the next: slow networks, but no old recording."""

CHALLENGE: Final = "challenge"
"""The refusal code that carries a challenge to sign."""


class Server:
    """All roles over one store. Call within the event loop that serves it."""

    def __init__(
        self,
        store: Store,
        *,
        keys: Keys,
        directory: Directory,
        blobs: Blobs,
        sms: SmsRole | None = None,
        clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.store = store
        self.keys = keys
        self.directory = directory
        self.blobs = blobs
        self.sms = sms
        self.clock = clock
        self.random = random
        self.gateway = Gateway(keys.signing, clock, random)
        self.queries = Queries()
        self.replicas: Replicas | None = None
        """Those who answer private queries in this server's place, if there are any."""
        self.streams = Hub(_StreamAccess(self))
        self.spending: set[bytes] = set()
        """Nonces of tokens that are being checked and spent now."""
        self._challenge_key = random(32)

    @property
    def today(self) -> int:
        """Days since 1970."""
        return int(self.clock()) // DAY

    @property
    def week(self) -> int:
        return self.today // 7

    @property
    def token_epoch(self) -> int:
        """The epoch of the tokens that are drawn now; they are good in the next one too."""
        return epoch_of(self.week, self.keys.token_generation)

    def blurred_day(self) -> int:
        """Today or tomorrow, by chance: what expires by it does not tell on which of two days it was stored."""
        return self.today + (self.random(1)[0] & 1)

    def hello(self) -> wire.ServerHello:
        """What a client has to know before anything else."""
        carrier = self.sms.description if self.sms is not None else ""
        return wire.ServerHello([wire.PROTOCOL], self.keys.server_public, carrier)

    # --- requests ---------------------------------------------------------------------------------

    async def account(self, body: bytes) -> bytes:
        """Answer one request of an account's connection: a `wire.AccountAnswer`, whatever the bytes are."""
        return await _answered(self._account(body))

    async def anonymous(self, body: bytes) -> bytes:
        """Answer one anonymous request: a `wire.AnonymousAnswer`, whatever the bytes are."""
        return await _answered(self._anonymous(body))

    async def relayed(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Answer what a sealed request held: status and body, whatever the bytes are."""
        return await ohttp_gateway.relayed(self, method, path, body)

    def stream(self, sink: Sink) -> Stream:
        """A stream for one client, whose frames go to `sink`."""
        return Stream(self.streams, sink)

    async def _account(self, body: bytes) -> wire.AccountAnswer:
        match wire.ACCOUNT_REQUEST.decode(body):
            case wire.RegisterStart() as request:
                return await registration.start(self, request)
            case wire.RegisterFinish() as request:
                return await registration.finish(self, request)
            case wire.Signed() as request:
                return await self._signed(request)

    async def _signed(self, signed: wire.Signed) -> wire.AccountAnswer:
        if not self._challenge_holds(signed.challenge):
            return wire.Refusal(CHALLENGE, detail=self._challenge(0))
        await self.store.read(_check_device, signed.account, signed.device_public)
        _check_signature(signed)
        match wire.SIGNED_REQUEST.decode(signed.body):
            case wire.UploadKeyPackages() as request:
                return await self._upload(signed.device_public, request)
            case wire.CountKeyPackages():
                left = await self.store.read(keypackages.count, signed.device_public, self.week)
                return wire.KeyPackageCount(left)
            case wire.CheckIn() as request:
                return await registration.check_in(self, signed.account, request)
            case wire.DeleteAccount():
                return await registration.delete_account(self, signed.account)
            case wire.SendSms() as request:
                return await sms.send(self, signed.account, request)
            case wire.AskSms() as request:
                return await sms.ask(self, signed.account, request)
            case wire.DrawTokens() as request:
                return await tokens.draw(self, signed.account, request)

    async def _upload(self, device: bytes, request: wire.UploadKeyPackages) -> wire.AccountAnswer:
        await keypackages.check(request, device)
        return wire.KeyPackageCount(await self.store.transact(keypackages.upload, request, device, self.week))

    async def _anonymous(self, body: bytes) -> wire.AnonymousAnswer:
        match wire.ANONYMOUS_REQUEST.decode(body):
            case wire.Post() as request:
                seq, new = await self.store.transact(mailboxes.post, request, self.blurred_day())
                return self._posted(request, seq, new)
            case wire.Spend() as request:
                with tokens.one_at_a_time(self, request):
                    return await self._paid(*await tokens.check(self, request))
            case wire.Ack() as request:
                await self.ack(request)
                return wire.Done()
            case wire.Fetch() as request:
                return await self._fetch(request)
            case wire.GetBlob() as request:
                return await blobs.get(self, request)
            case wire.ExchangeSlot() as request:
                return wire.Reading(await self.store.transact(mailboxes.exchange, request))
            case wire.RemoveReader() as request:
                return await self._remove_reader(request)
            case _:
                raise TokenNeeded

    async def _paid(self, request: wire.Priced, paid: list[tokens.Spent]) -> wire.AnonymousAnswer:
        """Do what was paid for. Spending and effect are one transaction.

        The same request again costs nothing more, and changes nothing; a lookup, which is all work, is refused then.
        """
        match request:
            case wire.Evaluate():
                return await directory.evaluate(self, request, paid)
            case wire.Query():
                return await queries.answer(self, request, paid)
            case wire.Post() | wire.PostIntro():
                seq, new = await self.store.transact(_paid_post, paid, request, self.blurred_day())
                return self._posted(request, seq, new)
            case wire.CreateMailbox():
                await self.store.transact(_paid_creation, paid, request, self.random(16), self.blurred_day())
                return wire.Done()
            case wire.PutBlob():
                return await blobs.put(self, request, paid)
            case wire.Claim():
                return await self.store.transact(_paid_claim, paid, request, self.week)

    # --- mailboxes --------------------------------------------------------------------------------

    async def post_intro(self, request: wire.PostIntro) -> wire.Posted:
        """Append to an intro mailbox and tell its streams; also how inbound SMS gets there."""
        seq, new = await self.store.transact(mailboxes.post_intro, request, self.blurred_day())
        return self._posted(request, seq, new)

    def _posted(self, request: wire.Post | wire.PostIntro, seq: int, new: bool) -> wire.Posted:
        if new:
            self.streams.published(wire.Delivery(request.mailbox, seq, request.envelope, request.blob))
        return wire.Posted(seq)

    async def page(self, mailbox: bytes, read_hash: bytes, after: int, limit: int) -> mailboxes.Page:
        """A reader's view of its mailbox, which also shows that the mailbox is in use."""
        page = await self.store.read(mailboxes.page, mailbox, read_hash, after, limit)
        if page.expires_day < mailboxes.mailbox_expiry(self.today):
            self.store.later(mailboxes.keep, mailbox, self.today)
        return page

    async def ack(self, request: wire.Ack) -> None:
        """Check who acknowledges, and note it with the next group commit. Raises as `mailboxes.page`.

        MAILBOX-08: what was never there is not acknowledged. Raises BadRequest.
        """
        read_hash = key_hash(request.read_key)
        page = await self.page(request.mailbox, read_hash, 0, 0)
        if request.seq > page.head:
            raise BadRequest
        self.ack_later(request.mailbox, read_hash, request.seq)

    def ack_later(self, mailbox: bytes, read_hash: bytes, seq: int) -> None:
        """Note an acknowledgement of a reader that is known to be one."""
        self.store.later(mailboxes.ack, mailbox, read_hash, seq)

    async def _fetch(self, request: wire.Fetch) -> wire.Fetched:
        """What waits after a seq; when nothing does, what comes within the time that the request may wait."""
        read_hash = key_hash(request.read_key)
        page = await self.page(request.mailbox, read_hash, request.after, request.limit)
        if request.wait and not page.envelopes:
            with self.streams.watching(request.mailbox) as something:
                # Again, for what came in between.
                page = await self.page(request.mailbox, read_hash, request.after, request.limit)
                if not page.envelopes and await something(request.wait):
                    page = await self.page(request.mailbox, read_hash, request.after, request.limit)
        return wire.Fetched(page.incarnation, page.head, page.envelopes)

    async def _remove_reader(self, request: wire.RemoveReader) -> wire.Done:
        read_hash = key_hash(request.read_key)
        gone = await self.store.transact(mailboxes.remove_reader, request.mailbox, read_hash)
        self.streams.gone(request.mailbox, None if gone else read_hash)
        return wire.Done()

    async def after_restore(self) -> None:
        """The store comes from a backup: what happened since is not in it, and everybody has to know.

        To be called before anybody is served. What tokens were spent on since is not known either, so none is good now.
        """
        await self.directory.void_tokens()
        await self.store.transact(mailboxes.renew_incarnation, self.random(16))
        await self.store.transact(keypackages.after_restore)

    async def sweep(self) -> None:
        """Remove what has expired, a little at a time, so that nobody waits for it. Once a day is enough."""
        above: bytes | None = b""
        while above is not None:
            above, gone = await self.store.transact(mailboxes.expire, above, self.today)
            for mailbox in gone:
                self.streams.gone(mailbox)
        for first_byte in range(256):
            await self.store.transact(mailboxes.forget_posted, first_byte, self.today)
            await self.store.transact(tokens.expire, first_byte, self.week, self.keys.token_generation)
        await self.store.transact(keypackages.expire, self.week)
        await registration.expire(self)
        await blobs.expire(self)
        await self.store.tidy()

    # --- challenges -------------------------------------------------------------------------------

    def _challenge(self, windows_ago: int) -> bytes:
        window = int(self.clock()) // CHALLENGE_SECONDS - windows_ago
        return hmac.digest(self._challenge_key, window.to_bytes(8, "big"), "sha256")

    def _challenge_holds(self, challenge: bytes) -> bool:
        """SIGNED-03: the challenge is ours, of this window or the last one."""
        return any(hmac.compare_digest(challenge, self._challenge(ago)) for ago in (0, 1))


class _StreamAccess:
    """`streams.Mailboxes` of a server."""

    def __init__(self, server: Server) -> None:
        self.page = server.page
        self.ack = server.ack
        self.ack_later = server.ack_later


async def _answered(answer: Awaitable[wire.Message]) -> bytes:
    try:
        return wire.encode(await answer)
    except (Refused, NetworkError) as error:
        return wire.encode(wire.Refusal(error.code, error.retry_after))
    except Exception as error:  # noqa: BLE001 -- the server goes on, whatever happened
        report(error)
        return wire.encode(wire.Refusal(error.code if isinstance(error, GrueError) else GrueError.code))


async def _paid_post(
    tx: Tx, paid: list[tokens.Spent], request: wire.Post | wire.PostIntro, today: int
) -> tuple[int, bool]:
    repeated = await tokens.take(tx, paid)
    if isinstance(request, wire.PostIntro):
        seq, new = await mailboxes.post_intro(tx, request, today)
    else:
        seq, new = await mailboxes.post(tx, request, today, paid=True)
    if repeated and new:
        # A replay from long ago, whose envelope is forgotten and whose token is not.
        raise TokenSpent
    return seq, new


async def _paid_creation(
    tx: Tx, paid: list[tokens.Spent], request: wire.CreateMailbox, incarnation: bytes, today: int
) -> None:
    repeated = await tokens.take(tx, paid)
    if await mailboxes.create(tx, request, incarnation, today) and repeated:
        # A replay whose mailbox was left by its last reader, or has expired.
        raise TokenSpent


async def _paid_claim(tx: Tx, paid: list[tokens.Spent], request: wire.Claim, week: int) -> wire.Claimed:
    """A repetition is refused: it would take another package, which the first answer did not hold."""
    if await tokens.take(tx, paid):
        raise TokenSpent
    return await keypackages.claim(tx, request.intro_mailbox, week)


async def _check_device(tx: Tx, account: bytes, device: bytes) -> None:
    """SIGNED-01: the key is a device's of this account."""
    if await tx.row("SELECT 1 FROM device WHERE account = $1 AND device_pub = $2", account, device) is None:
        raise NotPermitted


def _check_signature(signed: wire.Signed) -> None:
    """SIGNED-02: the device signed this body, for this account, over our challenge."""
    over = wire.signed_bytes(signed.account, signed.challenge, signed.body)
    try:
        Ed25519PublicKey.from_public_bytes(signed.device_public).verify(signed.signature, over)
    except (InvalidSignature, ValueError):
        raise NotPermitted from None
