"""The library's face: open a home, look numbers up, send, receive.

async with grue.open() as me:
    async for message in me.receive():
        await me.send(message.chat, f"You wrote: {message.text}")
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from grue.client import account as accounts
from grue.client import chats
from grue.client.chats import Chat
from grue.client.context import Account, Clock, Context, Random, load_account
from grue.client.conversations import attachments, tables
from grue.client.conversations.inbox import Inbox
from grue.client.conversations.messenger import Messenger, Sent, chat_named
from grue.client.conversations.outbox import Outbox
from grue.client.conversations.receiver import Receiver
from grue.client.conversations.tables import StoredMessage
from grue.client.daily_round import daily_round
from grue.client.lookup import directory as own_directory
from grue.client.lookup.asyoutype import AsYouType, Shown
from grue.client.lookup.directory import Directory, LookedUp
from grue.client.lookup.gossip import Heads
from grue.client.lookup.own_record import Own
from grue.client.people import contacts, contactsync
from grue.client.people import tables as people_tables
from grue.client.people.contacts import Imported
from grue.client.people.contactsync import Progress, Synced
from grue.client.people.tables import Contact
from grue.client.signing import signed
from grue.client.store.engine import Db, Store
from grue.client.store.entries import get_meta, put_meta
from grue.client.store.home import DATABASE, default_home, unlock
from grue.client.transport import tables as transport_tables
from grue.client.transport.http import check_proxy
from grue.client.transport.oblivious import open_transport
from grue.client.transport.tokens import Purse
from grue.client.transport.transport import Endpoint, Transport, TransportFactory, TransportSettings
from grue.errors import GrueError, NotRegistered, UsageError
from grue.protocol import wire
from grue.protocol.conversation.conversation import ConversationState, Notice
from grue.protocol.conversation.delivery import MessageState
from grue.protocol.conversation.fallback import Route
from grue.protocol.numbers import parse, region_of
from grue.protocol.urls import check_url

LOOK_AGAIN_SECONDS: Final = 0.5
"""How often a receiver looks whether another process of this home has stored something."""


@dataclass(frozen=True)
class File:
    """What came with a message and can be saved, as its sender says."""

    name: str
    bytes: int


@dataclass(frozen=True)
class Message:
    """One message, as it is shown."""

    id: str
    chat: str
    """What to send an answer to: the number when it is verified, else the chat's name."""
    sender: str
    """The sender's number when it is verified, else the chat's name."""
    claimed: str
    """The number that an unverified sender claims; empty for a verified one."""
    to: str
    text: str
    route: Route
    sent: float
    """Unix seconds by the sender's clock."""
    incoming: bool
    state: MessageState
    request: bool = False
    """From somebody we have not accepted: nothing was acknowledged to them, and an answer accepts."""
    row: int = 0
    """Where it lies in this home's store."""
    file: File | None = None


@dataclass(frozen=True)
class ChatInfo:
    """One line of the list of chats."""

    chat: str
    claimed: str
    encrypted: bool
    request: bool
    messages: int
    last: str


class Client:
    """A client of one home: `async with` opens and closes it. One instance a home and process is enough."""

    def __init__(
        self,
        home: Path | None = None,
        *,
        passphrase: str | None = None,
        transport: TransportFactory = open_transport,
        clock: Clock = time.time,
        random: Random = os.urandom,
    ) -> None:
        self._home = home or default_home()
        self._passphrase = passphrase
        self._factory = transport
        self._clock = clock
        self._random = random
        self._store: Store | None = None
        self._context: Context | None = None
        self._transport: Transport | None = None
        self._endpoint: Endpoint | None = None
        self._receiver: Receiver | None = None

    async def __aenter__(self) -> Self:
        key = await asyncio.to_thread(unlock, self._home, self._passphrase)
        self._store = await Store.open(self._home / DATABASE, key)
        try:
            account = await self._store.read(_registered)
            if account is not None:
                await self._assemble(account)
        except BaseException:
            await self._store.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop receiving and close everything. What is queued stays queued."""
        if self._receiver is not None:
            await self._receiver.close()
        if self._transport is not None:
            await self._note_exposure()
            await self._transport.close()
        if self._store is not None:
            await self._store.close()
            self._store = None

    # --- the account ------------------------------------------------------------------------------

    async def register(self, number: str, server: str, *, relay: str = "", proxy: str = "") -> str:
        """Have a code sent to this number; returns it as E.164. Raises AlreadyRegistered, Refused, NetworkError.

        relay, proxy  how the server is reached from now on; see `set_transport`
        """
        number, server = parse(number), check_url(server)
        if relay or proxy:
            await self.set_transport(relay=relay, proxy=proxy)
        await self._connect(server, b"")
        assert self._transport is not None
        account = await accounts.begin(self._opened, self._transport, server, number, self._random)
        return account.number

    async def verify(self, code: str) -> str:
        """Hand the code in; returns the account's id. Raises CodeWrong, CodeExpired, TooManyGuesses, NetworkError."""
        account = await self._opened.read(load_account)
        await self._connect(account.server, account.server_public)
        assert self._transport is not None
        account = await accounts.finish(self._opened, self._transport, code)
        await self._assemble(account)
        with suppress(GrueError):
            # Registered all the same; the next connection does what is missing, or says what is wrong.
            await self.upkeep()
        return account.id.hex()

    async def delete_account(self) -> None:
        """Leave: the server forgets the account, and its record goes. The history here stays. Raises NetworkError."""
        context = self._ready
        await signed(context, wire.DeleteAccount(), wire.Done)
        await context.store.transact(accounts.forget)
        self._context = None

    async def transport_settings(self) -> TransportSettings:
        """How the server is reached."""
        return await self._opened.read(_settings)

    async def set_transport(self, *, relay: str = "", proxy: str = "") -> TransportSettings:
        """Reach the server another way from the next opening on: straight, or as given. Raises UsageError.

        relay  the URL of a relay, which anonymous requests go through, sealed
        proxy  a SOCKS5 proxy for every connection, for example Tor's: socks5://127.0.0.1:9050
        """
        settings = TransportSettings(check_url(relay) if relay else "", check_proxy(proxy) if proxy else "")
        await self._opened.transact(put_meta, "transport", settings)
        return settings

    @property
    def number(self) -> str:
        return self._ready.account.number

    @property
    def server(self) -> str:
        return self._ready.account.server

    @property
    def context(self) -> Context:
        """What the parts of this client share, for who looks inside. Raises NotRegistered."""
        return self._ready

    async def server_hello(self) -> wire.ServerHello:
        """What the server says of itself, who carries its SMS included. Raises NetworkError, NotAGrueServer, ..."""
        return await self._ready.transport.hello()

    async def upkeep(self) -> None:
        """Refill key packages, look the own number up, check in, leave what has expired: once a day, if it is due.

        `poll` and `receive` do so by themselves. Raises NetworkError; see `notices` for what it found.
        """
        await daily_round(self._ready)

    # --- lookups ----------------------------------------------------------------------------------

    async def lookup(self, *numbers: str) -> list[LookedUp]:
        """Look numbers up, in order, without any server learning which. Raises NotANumber; see `LookedUp.error`."""
        region = region_of(self.number)
        return await self._ready.directory.lookup([parse(number, region) for number in numbers])

    @property
    def directory_fetched(self) -> float | None:
        """How much of the directory's large file has come, from 0 to 1; None while it is not being fetched."""
        return self._ready.directory.fetched

    def as_you_type(self, changed: Callable[[Shown], None] | None = None) -> AsYouType:
        """A field that a number is typed into: looked up once it is whole. See `grue.client.lookup.asyoutype`."""
        directory = self._ready.directory

        async def look(number: str) -> LookedUp:
            return (await directory.lookup([number]))[0]

        return AsYouType(look, region_of(self.number), changed=changed)

    # --- the address book -------------------------------------------------------------------------

    async def import_contacts(self, file: Path | BinaryIO) -> Imported:
        """Bring in names and numbers, vCard or CSV, and ask no server. Raises NotAnAddressBook; see `Imported`."""
        if isinstance(file, Path):
            with file.open("rb") as opened:
                return await self.import_contacts(opened)
        return await contacts.take_in(self._opened, file, region_of(self.number))

    async def contacts(self) -> list[Contact]:
        """The address book by name, with the routes as they were when they were checked."""
        return await self._opened.read(people_tables.everybody)

    async def sync_contacts(self, progress: Progress | None = None) -> Synced:
        """Look the address book up; the server learns about how many numbers are new, and no more.

        What a limit or the network leaves over goes on by itself, once a day. See `contactsync.sync`.
        """
        return await contactsync.sync(self._ready, progress)

    async def forget_contact(self, number: str) -> None:
        """Drop a number, and what a lookup of it left here. Raises NoSuchContact, NotANumber."""
        await self._opened.transact(people_tables.forget, parse(number, region_of(self.number)))

    async def forget_contacts(self) -> int:
        """Drop the whole address book, and look nothing up by itself any more; returns how many there were."""
        return await self._opened.transact(people_tables.forget_all)

    # --- messages ---------------------------------------------------------------------------------

    async def send(
        self, to: str, text: str, *, file: Path | None = None, sms: bool = False, accept_key: bool = False
    ) -> Sent:
        """Send one text, with a file or without; see `Messenger.send`, and `attachments.put` for the file's upload.

        What broke an upload off leaves nothing sent; the same again goes on with it.
        """
        messenger, attachment = self._messenger, None
        if file is not None:
            await messenger.check_takes_files(to)
            attachment = await attachments.put(self._ready, file)
        sent = await messenger.send(to, text, attachment=attachment, sms=sms, accept_key=accept_key)
        if self._receiver is not None:
            self._receiver.wake()
        return sent

    async def flush(self) -> None:
        """Send what is queued. Raises NetworkError; what could not go stays."""
        _ = self._ready
        await self._messenger.resume()
        await self._outbox.flush()

    async def poll(self) -> None:
        """Send what is queued and fetch what waits, once. Raises NetworkError."""
        await self.flush()
        await self._inbox.poll_intro()
        # What came may have been accepted by itself, and can be read once that is said.
        await self.flush()
        await self._inbox.poll_conversations()
        await self._inbox.confirm()
        await self._inbox.ask_again()
        await self.flush()
        await self._messenger.ask_sms()
        await self.upkeep()

    async def receive(self, idle: float | None = None) -> AsyncIterator[Message]:
        """Messages as they arrive, each once even with several receivers; ends after `idle` seconds without one.

        Works without a network: it connects when there is one.
        """
        receiver = self._start()
        idle_since = time.monotonic()
        while True:
            receiver.arrived.clear()
            receiver.check()
            message = await self.take()
            if message is not None:
                yield message
                idle_since = time.monotonic()
            elif idle is not None and time.monotonic() - idle_since >= idle:
                return
            else:
                await _wait(receiver.arrived, _remaining(idle, idle_since))

    async def take(self) -> Message | None:
        """The oldest message that is stored and was not shown yet, marked as shown, without asking the server.

        Whoever is cancelled here has not taken it. A power cut just now may show it again, which is better than never.
        """
        # Looking first keeps an idle receiver from taking the write lock.
        if not await self._opened.read(_unshown):
            return None
        taking = asyncio.ensure_future(self._opened.note(_take, self.number))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            taken = await taking
            if taken is not None:
                await self.put_back(taken)
            raise

    async def put_back(self, message: Message) -> None:
        """A message that was taken could not be shown after all: whoever takes next gets it."""
        await self._opened.transact(tables.unshow, message.row)

    async def unshown(self) -> list[Message]:
        """Take everything that is stored and was not shown yet, without asking the server."""
        messages = []
        while (message := await self.take()) is not None:
            messages.append(message)
        return messages

    async def notices(self) -> list[tuple[str, Notice]]:
        """What a person should know and is no message, each once: (chat, notice)."""
        taken = await self._opened.transact(chats.take_notices)
        return [(chat.name, notice) for chat, notice in taken]

    async def heads(self) -> Heads:
        """What is known of the directory's heads: the own, and what contacts were shown."""
        return await self._opened.read(self._ready.directory.gossip.heads)

    async def forget_directory(self) -> None:
        """Begin the copy of the directory anew, as for the first time: what was seen before is not held against it.

        For after two heads have disagreed, and it is known why. Contacts and messages stay.
        """
        await self._opened.transact(_start_over, int(self._clock()))

    async def chats(self) -> list[ChatInfo]:
        """All chats, the latest first."""
        return await self._opened.read(_chats)

    async def history(self, chat: str) -> list[Message]:
        """All messages of a chat, oldest first. Raises NoSuchChat, NotANumber."""
        return await self._opened.read(_history, self.number, chat)

    async def save(self, message: str, into: Path) -> File:
        """Download a message's file to a path where nothing is yet; see `attachments.get`."""
        try:
            attachment = await self._opened.read(tables.attached_to, bytes.fromhex(message))
        except ValueError:
            attachment = None
        if attachment is None:
            raise UsageError("There is no message of that id with a file.")
        await attachments.get(self._ready, attachment, into)
        return File(attachment.name, attachment.length)

    async def exposure(self, since: date | None = None) -> list[tuple[str, str, int]]:
        """What this client has given to whom, from a day on (by UTC) or so far: (party, fact, count)."""
        await self._note_exposure()
        return await self._opened.read(transport_tables.exposure, _day(since))

    async def exposure_days(self, since: date | None = None) -> list[tuple[int, int]]:
        """The same by day: (days since 1970 by UTC, how many requests)."""
        await self._note_exposure()
        return await self._opened.read(transport_tables.exposure_days, _day(since))

    # --- inside -----------------------------------------------------------------------------------

    @property
    def _opened(self) -> Store:
        if self._store is None:
            raise RuntimeError("use `async with` to open the client")
        return self._store

    @property
    def _ready(self) -> Context:
        if self._context is None:
            raise NotRegistered
        return self._context

    async def _connect(self, server: str, server_public: bytes) -> None:
        """Make the transport, unless there is one that knows as much."""
        endpoint = Endpoint(server, server_public, await self.transport_settings())
        if self._transport is not None and self._endpoint == endpoint:
            return
        if self._transport is not None:
            await self._note_exposure()
            await self._transport.close()
        self._transport = self._factory(endpoint)
        self._endpoint = endpoint

    async def _assemble(self, account: Account) -> Context:
        await self._connect(account.server, account.server_public)
        assert self._transport is not None

        async def draw(request: wire.DrawTokens) -> wire.Drawn:
            return await signed(self._ready, request, wire.Drawn)

        async def token_keys(fresh: bool) -> list[wire.TokenKey]:
            known = (None if fresh else await directory.known()) or await directory.current()
            return known.manifest.contents.token_keys

        purse = Purse(self._opened, self._transport, draw, token_keys, self._random)
        own = Own(account.number, account.identity_public)
        directory = Directory(self._opened, self._transport, account.server_public, self._clock, purse.ask, own)
        self._context = Context(self._opened, self._transport, directory, purse, account, self._clock, self._random)
        self._inbox = Inbox(self._context)
        self._outbox = Outbox(self._context, self._inbox.give_up)
        self._messenger = Messenger(self._context, self._inbox, self._outbox)
        return self._context

    def _start(self) -> Receiver:
        if self._receiver is None:
            self._receiver = Receiver(self._ready, self._inbox, self._outbox, self._messenger, self.upkeep)
            self._receiver.start()
        return self._receiver

    async def _note_exposure(self) -> None:
        if self._transport is None:
            return
        usage = self._transport.usage
        counts = {("server", kind): count for kind, count in usage.kinds.items()}
        counts |= {("relayed", kind): count for kind, count in usage.relayed.items()}
        if usage.relayed:
            counts["relay", "sealed"] = usage.relayed.total()
        usage.kinds.clear()
        usage.relayed.clear()
        if counts:
            await self._opened.transact(transport_tables.count_exposure, int(self._clock()) // 86_400, counts)


def open(home: str | Path | None = None, *, passphrase: str | None = None) -> Client:
    """A client of this home (default: `GRUE_HOME`), to be used with `async with`."""
    return Client(Path(home) if home is not None else None, passphrase=passphrase)


def _day(one: date | None) -> int:
    """Days since 1970; of none the first there could be."""
    return 0 if one is None else (one - date(1970, 1, 1)).days


def _settings(db: Db) -> TransportSettings:
    return get_meta(db, "transport", TransportSettings) or TransportSettings()


def _registered(db: Db) -> Account | None:
    account = get_meta(db, "account", Account)
    return account if account is not None and account.id else None


def _unshown(db: Db) -> bool:
    return db.row("SELECT 1 FROM message WHERE incoming = 1 AND shown = 0 LIMIT 1") is not None


def _take(db: Db, own: str) -> Message | None:
    taken = tables.take_unshown(db)
    return None if taken is None else _public(db, own, *taken)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _remaining(idle: float | None, idle_since: float) -> float:
    if idle is None:
        return LOOK_AGAIN_SECONDS
    return max(0.0, min(LOOK_AGAIN_SECONDS, idle - (time.monotonic() - idle_since)))


def _is_request(db: Db, chat: Chat) -> bool:
    states = {conversation.state for conversation in tables.conversations_of(db, chat.id)}
    return states == {ConversationState.REQUESTED}


def _public(db: Db, own: str, message: StoredMessage, chat: Chat) -> Message:
    other, attachment = chat.name, tables.attached(db, message.n)
    return Message(
        id=message.id.hex(),
        chat=other,
        sender=other if message.incoming else own,
        claimed="" if chat.number else chat.claimed,
        to=own if message.incoming else other,
        text=message.text,
        route=message.route,
        sent=message.sent / 1000,
        incoming=message.incoming,
        state=message.state,
        request=message.incoming and message.route is Route.ENCRYPTED and _is_request(db, chat),
        row=message.n,
        file=None if attachment is None else File(attachment.name, attachment.length),
    )


def _last(db: Db, message: StoredMessage) -> str:
    """What the list of chats shows of a message: its text, or else its file's name."""
    attachment = None if message.text else tables.attached(db, message.n)
    return message.text if attachment is None else attachment.name


def _start_over(db: Db, now: int) -> None:
    own_directory.start_over(db, now)
    people_tables.know_nothing(db)


def _chats(db: Db) -> list[ChatInfo]:
    return [_chat_info(db, chat) for chat in chats.all_chats(db)]


def _chat_info(db: Db, chat: Chat) -> ChatInfo:
    messages = tables.history(db, chat.id)
    return ChatInfo(
        chat=chat.name,
        claimed="" if chat.number else chat.claimed,
        encrypted=chat.encrypted,
        request=_is_request(db, chat),
        messages=len(messages),
        last=_last(db, messages[-1]) if messages else "",
    )


def _history(db: Db, own: str, name: str) -> list[Message]:
    chat = chat_named(db, name, own)
    return [_public(db, own, message, chat) for message in tables.history(db, chat.id)]
