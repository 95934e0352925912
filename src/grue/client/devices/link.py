"""Linking: a new device shows a link and waits; one that manages the account's devices meets it, and takes it in.

They meet in a mailbox of the server that the link names, and that the account's device makes, since it has the tokens.
What they say there is in `grue.protocol.devices.link`.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from msgspec.structs import replace

from grue._core import MlsSession
from grue.client import chats
from grue.client.account import check_in
from grue.client.context import Account, Context, Random, load_account, note_left, save_account
from grue.client.conversations import own_devices, sync, tables
from grue.client.conversations.once import Parts
from grue.client.store.engine import Db, Store
from grue.client.store.entries import drop_meta, get_meta, put_meta, save_mls
from grue.client.transport.transport import Transport
from grue.errors import (
    AlreadyRegistered,
    CannotManage,
    FalseLink,
    GrueError,
    LinkDeclined,
    LinkExpired,
    LinkUsed,
    MailboxConflict,
    NetworkError,
    NoSuchMailbox,
    NotAGrueServer,
    NotPermitted,
    Refused,
    TooManyDevices,
    UsageError,
)
from grue.protocol import wire
from grue.protocol.accountkey import SECRET_BYTES, public_of
from grue.protocol.conversation.contents import (
    Kind,
    LinkAccount,
    LinkHello,
    LinkJoined,
    LinkMessage,
    LinkOffer,
    LinkRefused,
)
from grue.protocol.conversation.devices import certify, sign_device_list, verify_device_list
from grue.protocol.devices.link import (
    ANSWER_SECONDS,
    LINK_SECONDS,
    Link,
    Meeting,
    check_hello,
    code_of,
    link_to,
    meeting,
    open_account,
    read,
    seal_account,
    written,
)
from grue.protocol.devices.link import SECRET_BYTES as LINK_SECRET_BYTES

LOOK_AGAIN: Final = 0.5
"""Seconds between two looks whether the other side has come."""

WAIT: Final = 5
"""Seconds that the server may hold a request back until something comes."""


class Talk:
    """One side's talk with the other, in the mailbox that they meet in."""

    def __init__(self, transport: Transport, place: Meeting, random: Random) -> None:
        self.transport = transport
        self._place = place
        self._random = random
        self.read_key = random(32)
        self._after = 0
        self._own: set[bytes] = set()

    async def come(self) -> bool:
        """Take the slot that is there for the new device; False while nobody has made the mailbox. Raises LinkUsed."""
        try:
            await self.transport.anonymous(self._place.come(self.read_key))
        except NoSuchMailbox:
            return False
        except NotPermitted:
            raise LinkUsed from None
        return True

    async def say(self, message: LinkMessage) -> None:
        post = self._place.post(message, self._random(16))
        self._own.add(post.envelope)
        try:
            await self.transport.anonymous(post)
        except NoSuchMailbox:
            # The other side has left.
            raise LinkExpired from None

    async def hear(self, seconds: float) -> LinkMessage:
        """The other side's next message. Raises LinkExpired when none comes, LinkDeclined, FalseLink."""
        until = asyncio.get_running_loop().time() + seconds
        while (left := until - asyncio.get_running_loop().time()) > 0:
            fetch = wire.Fetch(self._place.mailbox, self.read_key, self._after, wait=min(WAIT, int(left)))
            try:
                answer = await self.transport.anonymous(fetch)
            except (NoSuchMailbox, NotPermitted):
                raise LinkExpired from None
            if not isinstance(answer, wire.Fetched):
                raise NotAGrueServer
            for delivery in answer.envelopes:
                self._after = delivery.seq
                if delivery.envelope not in self._own:
                    message = self._place.opened(delivery)
                    if isinstance(message, LinkRefused):
                        raise LinkDeclined
                    return message
            if not answer.envelopes:
                await asyncio.sleep(LOOK_AGAIN / 5)
        raise LinkExpired

    async def leave(self) -> None:
        """The mailbox goes when both have left it, or after 30 days."""
        with suppress(Refused, NetworkError):
            await self.transport.anonymous(wire.RemoveReader(self._place.mailbox, self.read_key))


# --- the new device -------------------------------------------------------------------------------


class Linking:
    """A home without an account, while it waits to be linked."""

    def __init__(
        self, store: Store, transport: Transport, server: str, name: str, manages: bool, random: Random
    ) -> None:
        self._store = store
        self._transport = transport
        self._random = random
        self._server = server
        session = MlsSession({})
        device_public = session.new_identity()
        self._entries = session.changes()
        self._seal_secret, self._intro_read_key = random(SECRET_BYTES), random(32)
        self._hello = LinkHello(
            device_public,
            public_of(self._seal_secret),
            sha256(self._intro_read_key).digest(),
            random(32),
            name,
            manages,
        )
        self._link = link_to(self._hello, server, random(LINK_SECRET_BYTES))
        self._talk = Talk(transport, meeting(self._link), random)
        self._offer: LinkOffer | None = None

    @property
    def link(self) -> str:
        """What the account's device is given: by a camera, or typed."""
        return written(self._link)

    @property
    def number(self) -> str:
        """Whose account it would be, once `meet` has returned: what the other side says."""
        return "" if self._offer is None else self._offer.number

    async def meet(self) -> str:
        """Wait for the account's device; returns the six digits that both have to show.

        DEVICES-04 the hello goes out after the offer has come, and not before. Raises LinkExpired, LinkUsed, FalseLink.
        """
        for _ in range(int(LINK_SECONDS / LOOK_AGAIN)):
            if await self._talk.come():
                break
            await asyncio.sleep(LOOK_AGAIN)
        else:
            raise LinkExpired
        offer = await self._talk.hear(ANSWER_SECONDS)
        if not isinstance(offer, LinkOffer):
            raise FalseLink
        self._offer = offer
        await self._talk.say(self._hello)
        return code_of(self._hello, offer)

    async def account(self) -> Account:
        """Wait until the other side has said yes, and keep the account. Raises LinkDeclined, LinkExpired, FalseLink."""
        assert self._offer is not None
        sealed = await self._talk.hear(LINK_SECONDS)
        given = open_account(self._seal_secret, self._hello, self._offer, sealed)
        hello = await self._transport.hello()
        account = Account(
            server=self._server,
            server_public=hello.server_public,
            number=given.number,
            identity_secret=given.identity_secret,
            identity_public=self._offer.identity_public,
            sms_secret=given.sms_secret,
            device_public=self._hello.device_public,
            credential=given.credential,
            device_list=given.device_list,
            intro_mailbox=verify_device_list(given.device_list, self._offer.identity_public).intro_mailbox,
            intro_read_key=self._intro_read_key,
            id=given.account,
            protocol=wire.PROTOCOL,
            hidden=given.hidden,
        )
        await self._store.transact(self._keep, account)
        return account

    def _keep(self, db: Db, account: Account) -> None:
        """DEVICES-10 a home has one account: whoever was first. Raises AlreadyRegistered."""
        check_no_account(db)
        note_left(db)
        save_mls(db, self._entries)
        save_account(db, account)

    async def joined(self, context: Context) -> None:
        """Say how this device is added to conversations: from now on the others do it."""
        package = await context.store.transact(_introduce, context, self._hello)
        # Since the server's key is known the way to it is another one.
        self._talk.transport = context.transport
        await self._talk.say(LinkJoined(package))
        await self._talk.leave()

    async def refuse(self) -> None:
        """The digits differ, or somebody said no here."""
        with suppress(Refused, NetworkError):
            await self._talk.say(LinkRefused())
        await self._talk.leave()


def check_no_account(db: Db) -> None:
    """Raises AlreadyRegistered for a home that has, or waits for, an account."""
    if get_meta(db, "account", Account) is not None:
        raise AlreadyRegistered


def _introduce(db: Db, context: Context, hello: LinkHello) -> bytes:
    sync.put(db, Kind.NAME, hello.device_public, hello.name.encode(), context.now_ms)
    sync.put(db, Kind.DAY, hello.device_public, _today(context), context.now_ms)
    own_devices.wait_for_others(db, context.now_ms)
    drop_meta(db, "registration")
    return own_devices.make_package(db, context)


# --- the account's device -------------------------------------------------------------------------


@dataclass(frozen=True)
class Met:
    """A device that wants to be linked, and has shown that it is the one of the link."""

    talk: Talk
    hello: LinkHello
    offer: LinkOffer

    @property
    def code(self) -> str:
        return code_of(self.hello, self.offer)


async def meet(context: Context, text: str) -> Met:
    """Meet the device that shows this link. A `post` token.

    Raises UsageError, CannotManage, TooManyDevices, LinkUsed (DEVICES-05), LinkExpired, FalseLink (DEVICES-04).
    """
    link, account = read(text), await context.store.read(load_account)
    _check_may_link(account, link)
    place = meeting(link)
    talk = Talk(context.transport, place, context.random)
    try:
        await context.tokens.ask(place.create(talk.read_key))
    except MailboxConflict:
        raise LinkUsed from None
    offer = LinkOffer(context.random(32), account.identity_public, account.number)
    try:
        await talk.say(offer)
        hello = check_hello(link, await talk.hear(ANSWER_SECONDS))
    except BaseException:
        await talk.leave()
        raise
    return Met(talk, hello, offer)


def _check_may_link(account: Account, link: Link) -> None:
    if not account.manages:
        raise CannotManage
    if link.server != account.server:
        raise UsageError("That device is at another server than this one.")
    if len(verify_device_list(account.device_list).devices) >= wire.MAX_DEVICES:
        raise TooManyDevices


async def take_in(context: Context, parts: Parts, met: Met) -> None:
    """The digits are the same, and the owner has said yes: put the device on the list, and into the conversations.

    The list is signed and published before the device learns anything. Raises NetworkError, NotPermitted (the device is
    another account's), LinkExpired.
    """
    before = await context.store.read(load_account)
    after = await context.store.transact(_listed, context, met.hello)
    try:
        await publish(context)
    except Refused:
        await context.store.transact(save_account, before)
        context.account = before
        raise
    certified = certify(after.identity_secret, met.hello.device_public)
    secret = after.identity_secret if met.hello.manages else b""
    given = LinkAccount(after.id, after.number, certified, after.device_list, after.sms_secret, secret, after.hidden)
    await met.talk.say(seal_account(met.hello, met.offer, given))
    try:
        joined = await met.talk.hear(ANSWER_SECONDS)
        if not isinstance(joined, LinkJoined):
            raise FalseLink
    except GrueError:
        # It has what belongs to a device, and nobody knows whether it is one: it is none.
        await context.store.transact(unlist, context, met.hello.device_public)
        await publish(context)
        raise
    finally:
        await met.talk.leave()
    await context.store.transact(_named, context, met.hello, joined.package)
    own = await parts.own.found()
    await parts.own.bring(own)
    await context.store.transact(sync.touch_all)
    await parts.own.tell()
    await parts.send()
    await parts.look_after()


async def publish(context: Context) -> None:
    """Have the server take the device list as it is here now; its record in the directory follows."""
    await check_in(context)
    await context.store.transact(drop_meta, own_devices.UNPUBLISHED)


def _listed(db: Db, context: Context, hello: LinkHello) -> Account:
    account = load_account(db)
    devices = verify_device_list(account.device_list)
    readers = devices.intro_readers or [sha256(account.intro_read_key).digest()]
    changed = replace(
        devices,
        version=devices.version + 1,
        devices=[*devices.devices, hello.device_public],
        intro_readers=[*readers, hello.intro_read_hash],
    )
    return keep_list(db, context, changed)


def keep_list(db: Db, context: Context, devices: wire.DeviceList) -> Account:
    """Sign a new device list and keep it; the others are told of it."""
    account = load_account(db)
    after = replace(account, device_list=sign_device_list(devices, account.identity_secret))
    save_account(db, after)
    sync.put(db, Kind.LIST, b"", after.device_list, context.now_ms)
    own_devices.do_now(db)
    put_meta(db, own_devices.UNPUBLISHED, True)
    context.account = after
    return after


def unlist(db: Db, context: Context, device: bytes) -> None:
    """Sign a list without this device; what was agreed on about it goes."""
    listed = verify_device_list(load_account(db).device_list)
    pairs = zip(listed.devices, listed.intro_readers, strict=True)
    stay = [(key, reader) for key, reader in pairs if key != device]
    changed = replace(
        listed,
        version=listed.version + 1,
        devices=[key for key, _ in stay],
        intro_readers=[reader for _, reader in stay],
    )
    keep_list(db, context, changed)
    sync.forget_device(db, device)


def _named(db: Db, context: Context, hello: LinkHello, package: bytes) -> None:
    account, now_ms = context.account, context.now_ms
    sync.put(db, Kind.NAME, hello.device_public, hello.name.encode(), now_ms)
    sync.put(db, Kind.PACKAGE, hello.device_public, package, now_ms)
    sync.put(db, Kind.HOLDER, account.device_public, b"1", now_ms)
    for device in (account.device_public, hello.device_public):
        sync.put(db, Kind.DAY, device, _today(context), now_ms)
    if hello.manages:
        sync.put(db, Kind.HOLDER, hello.device_public, b"1", now_ms)
    if not sync.value_of(db, Kind.PACKAGE, account.device_public):
        own_devices.make_package(db, context)
    chats.bind(db, account.number, account.identity_public)


def _today(context: Context) -> bytes:
    return str(context.now_ms // tables.DAY_MS).encode()
