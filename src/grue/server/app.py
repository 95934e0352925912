"""The server without its sockets: it takes the bytes of a request, has a role answer it, and returns bytes.

`http.py` puts it on the network; tests call it directly. It keeps nothing about who asks.
"""

import os
import time
from collections.abc import Awaitable, Callable, Coroutine

from grue.errors import GrueError, NetworkError, Refused, TokenNeeded, TokenSpent
from grue.protocol import wire
from grue.server.accounts import claims, keypackages, signed
from grue.server.accounts.codes import DEFAULT_CAPS, Caps
from grue.server.accounts.registration import Registration
from grue.server.accounts.signed import Challenges
from grue.server.context import Context
from grue.server.directory import directory
from grue.server.directory.directory import Directory
from grue.server.directory.queries import QueryRole
from grue.server.keys.keys import Keys
from grue.server.mailboxes import blobs
from grue.server.mailboxes.blobs import Blobs
from grue.server.mailboxes.requests import MailboxRole
from grue.server.mailboxes.streams import Sink, Stream
from grue.server.oblivious import ohttp_gateway
from grue.server.oblivious.ohttp_gateway import OhttpKeys
from grue.server.reporting import report
from grue.server.sms import sms
from grue.server.sms.sms import SmsRole
from grue.server.store.interface import Store, Tx
from grue.server.tokens import tokens


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
        caps: Caps = DEFAULT_CAPS,
    ) -> None:
        """`caps` is how many codes go out an hour."""
        self.store = store
        self.keys = keys
        self.directory = directory
        self.blobs = blobs
        self.sms = sms
        self.context = Context(store, keys, clock, random)
        self.registration = Registration(self.context, directory, sms, caps)
        self.challenges = Challenges(self.context)
        self.mailboxes = MailboxRole(self.context)
        self.streams = self.mailboxes.streams
        self.queries = QueryRole(self.context, directory)
        self.ohttp_keys = OhttpKeys(keys.signing, clock, random)
        self.spending: set[bytes] = set()
        """Nonces of tokens that are being checked and spent now."""

    def hello(self) -> wire.ServerHello:
        """What a client has to know before anything else."""
        carrier = self.sms.description if self.sms is not None else ""
        return wire.ServerHello([wire.PROTOCOL], self.keys.server_public, carrier)

    def account(self, body: bytes) -> Coroutine[object, None, bytes]:
        """Answer one request of an account's connection: a `wire.AccountAnswer`, whatever the bytes are."""
        return _answered(self._account(body))

    def anonymous(self, body: bytes) -> Coroutine[object, None, bytes]:
        """Answer one anonymous request: a `wire.AnonymousAnswer`, whatever the bytes are."""
        return _answered(self._anonymous(body))

    async def relayed(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Answer what a sealed request held: status and body, whatever the bytes are."""
        return await ohttp_gateway.relayed(self.anonymous, self.directory, method, path, body)

    def stream(self, sink: Sink) -> Stream:
        """A stream for one client, whose frames go to `sink`."""
        return Stream(self.streams, sink)

    async def _account(self, body: bytes) -> wire.AccountAnswer:
        match wire.ACCOUNT_REQUEST.decode(body):
            case wire.RegisterStart() as request:
                return await self.registration.start(request)
            case wire.RegisterFinish() as request:
                return await self.registration.finish(request)
            case wire.Signed() as request:
                return await self._signed(request)

    async def _signed(self, request: wire.Signed) -> wire.AccountAnswer:
        if not self.challenges.holds(request.challenge):
            return self.challenges.refusal()
        await signed.check(self.context, request)
        account, device = request.account, request.device_public
        match wire.SIGNED_REQUEST.decode(request.body):
            case wire.UploadKeyPackages() as inner:
                await keypackages.check(inner, device)
                left = await self.store.transact(keypackages.upload, inner, device, self.context.week)
                return wire.KeyPackageCount(left)
            case wire.CountKeyPackages():
                left = await self.store.read(keypackages.count, device, self.context.week)
                return wire.KeyPackageCount(left, await self.store.read(claims.held, account, self.context.today))
            case wire.AnswerClaim() as inner:
                today = self.context.today
                await self.store.transact(claims.answer, account, inner.claim, inner.release, today)
                return wire.Done()
            case wire.CheckIn() as inner:
                return await self.registration.check_in(account, inner)
            case wire.DeleteAccount():
                return await self.registration.delete_account(account)
            case wire.SendSms() as inner:
                return await sms.send(self.context, self.sms, account, inner)
            case wire.AskSms() as inner:
                return await sms.ask(self.sms, account, inner)
            case wire.DrawTokens() as inner:
                return await tokens.draw(self.context, account, inner)

    async def _anonymous(self, body: bytes) -> wire.AnonymousAnswer:
        match wire.ANONYMOUS_REQUEST.decode(body):
            case wire.Post() as request:
                return await self.mailboxes.post(request)
            case wire.Spend() as request:
                with tokens.one_at_a_time(self.spending, request):
                    return await self._paid(*await tokens.check(self.context, request))
            case wire.Ack() as request:
                await self.mailboxes.ack(request)
                return wire.Done()
            case wire.Fetch() as request:
                return await self.mailboxes.fetch(request)
            case wire.GetBlob() as request:
                return await blobs.get(self.context, self.blobs, request)
            case wire.ExchangeSlot() as request:
                return await self.mailboxes.exchange(request)
            case wire.RemoveReader() as request:
                return await self.mailboxes.remove_reader(request)
            case _:
                raise TokenNeeded

    async def _paid(self, request: wire.Priced, paid: list[tokens.Spent]) -> wire.AnonymousAnswer:
        """Do what was paid for. Spending and effect are one transaction.

        The same request again costs nothing more, and changes nothing; a lookup, which is all work, is refused then.
        """
        match request:
            case wire.Evaluate():
                return await directory.evaluate(self.context, self.directory, request, paid)
            case wire.Query():
                return await self.queries.answer(request, paid)
            case wire.Post() | wire.PostIntro():
                return await self.mailboxes.post_paid(request, paid)
            case wire.CreateMailbox():
                return await self.mailboxes.create_paid(request, paid)
            case wire.PutBlob():
                return await blobs.put(self.context, self.blobs, request, paid)
            case wire.Claim():
                return await self.store.transact(_paid_claim, paid, request, self.context.week)


async def _answered(answer: Awaitable[wire.Message]) -> bytes:
    try:
        return wire.encode(await answer)
    except (Refused, NetworkError) as error:
        return wire.encode(wire.Refusal(error.code, error.retry_after))
    except Exception as error:  # noqa: BLE001 -- the server goes on, whatever happened
        report(error)
        return wire.encode(wire.Refusal(error.code if isinstance(error, GrueError) else GrueError.code))


async def _paid_claim(tx: Tx, paid: list[tokens.Spent], request: wire.Claim, week: int) -> wire.Claimed:
    """A repetition is refused: it would take another package, which the first answer did not hold."""
    if await tokens.take(tx, paid):
        raise TokenSpent
    return await keypackages.claim(tx, request.intro_mailbox, week)
