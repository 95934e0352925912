"""The mailbox role: it runs each request as a transaction of `mailboxes`, and tells streams what that changed."""

from grue.errors import BadRequest, TokenSpent
from grue.protocol import wire
from grue.server.context import Context
from grue.server.mailboxes import mailboxes
from grue.server.mailboxes.mailboxes import key_hash
from grue.server.mailboxes.streams import Hub
from grue.server.store.interface import Tx
from grue.server.tokens import tokens


class MailboxRole:
    """The mailboxes of one server, and the streams that read them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store
        self.streams = Hub(self)

    async def post(self, request: wire.Post) -> wire.Posted:
        """Append to a conversation's mailbox for nothing. Raises as `mailboxes.post`."""
        seq, new = await self._store.transact(mailboxes.post, request, self._context.blurred_day())
        return self._posted(request, seq, new)

    async def post_intro(self, request: wire.PostIntro) -> wire.Posted:
        """Append to an intro mailbox and tell its streams: inbound SMS, which no token pays for."""
        seq, new = await self._store.transact(mailboxes.post_intro, request, self._context.blurred_day())
        return self._posted(request, seq, new)

    async def post_paid(self, request: wire.Post | wire.PostIntro, paid: list[tokens.Spent]) -> wire.Posted:
        """Append and spend in one transaction. Raises as `mailboxes.post`, and TokenSpent."""
        seq, new = await self._store.transact(_paid_post, paid, request, self._context.blurred_day())
        return self._posted(request, seq, new)

    async def create_paid(self, request: wire.CreateMailbox, paid: list[tokens.Spent]) -> wire.Done:
        """Create a conversation's mailbox and spend in one transaction. Raises MailboxConflict, TokenSpent."""
        context = self._context
        await self._store.transact(_paid_creation, paid, request, context.random(16), context.blurred_day())
        return wire.Done()

    async def exchange(self, request: wire.ExchangeSlot) -> wire.Reading:
        """Turn a slot into a reader. Raises as `mailboxes.exchange`."""
        return wire.Reading(await self._store.transact(mailboxes.exchange, request))

    def _posted(self, request: wire.Post | wire.PostIntro, seq: int, new: bool) -> wire.Posted:
        if new:
            self.streams.published(wire.Delivery(request.mailbox, seq, request.envelope, request.blob))
        return wire.Posted(seq)

    async def page(
        self, mailbox: bytes, read_hash: bytes, after: int, limit: int, slots: bool = False
    ) -> mailboxes.Page:
        """A reader's view of its mailbox, which also shows that the mailbox is in use. As `mailboxes.page`."""
        page = await self._store.read(mailboxes.page, mailbox, read_hash, after, limit, self._context.today, slots)
        if page.expires_day < mailboxes.mailbox_expiry(self._context.today):
            self._store.later(mailboxes.keep, mailbox, self._context.today)
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
        self._store.later(mailboxes.ack, mailbox, read_hash, seq)

    async def fetch(self, request: wire.Fetch) -> wire.Fetched:
        """What waits after a seq; when nothing does, what comes within the time that the request may wait."""
        read_hash = key_hash(request.read_key)
        page = await self.page(request.mailbox, read_hash, request.after, request.limit, True)
        if request.wait and not page.envelopes:
            with self.streams.watching(request.mailbox) as something:
                # Again, for what came in between.
                page = await self.page(request.mailbox, read_hash, request.after, request.limit, True)
                if not page.envelopes and await something(request.wait):
                    page = await self.page(request.mailbox, read_hash, request.after, request.limit, True)
        return wire.Fetched(page.incarnation, page.head, page.envelopes)

    async def remove_reader(self, request: wire.RemoveReader) -> wire.Done:
        """Forget a reader or a slot, and end its subscriptions; once more changes nothing."""
        read_hash = key_hash(request.read_key)
        gone = await self._store.transact(mailboxes.remove_reader, request.mailbox, read_hash)
        self.streams.gone(request.mailbox, None if gone else read_hash)
        return wire.Done()


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
