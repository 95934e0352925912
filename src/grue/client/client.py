"""`Client` is the library's face: it opens a home, looks numbers up, sends, and receives.

async with grue.open() as me:
    async for message in me.receive():
        print(message.chat, message.text)
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from grue.client import account as accounts
from grue.client import chats
from grue.client.api.account import OwnAccount
from grue.client.api.chats import Chats
from grue.client.api.contacts import Contacts
from grue.client.api.devices import Devices
from grue.client.api.directory import DirectoryCopy
from grue.client.api.exposure import Exposure
from grue.client.api.groups import Groups
from grue.client.api.messages import LOOK_AT, File, Message, claiming, history_of, see
from grue.client.api.people import People
from grue.client.api.requests import Requests
from grue.client.api.search import PAGE, Found, search
from grue.client.context import Account, Clock, Context, Opened, Random, load_account
from grue.client.conversations import attachments, naming, tables
from grue.client.conversations.groups import GroupChanges
from grue.client.conversations.inbox import Inbox
from grue.client.conversations.messenger import Messenger, Sent
from grue.client.conversations.once import Parts
from grue.client.conversations.outbox import Outbox
from grue.client.conversations.own_devices import OwnDevices
from grue.client.conversations.receiver import Receiver
from grue.client.conversations.showing import Showing
from grue.client.devices.link import Linking
from grue.client.lookup.directory import Directory, LookedUp
from grue.client.lookup.own_record import OwnIdentity
from grue.client.signing import signed
from grue.client.store.engine import Store
from grue.client.store.home import DATABASE, default_home, is_home, unlock
from grue.client.transport.oblivious import open_transport
from grue.client.transport.tables import count_exposure
from grue.client.transport.tokens import Tokens
from grue.client.transport.transport import Endpoint, Transport, TransportFactory
from grue.errors import (
    GrueError,
    NetworkError,
    NoSuchHome,
    NotRegistered,
    Refused,
    UsageError,
    VerificationFailed,
)
from grue.protocol import wire
from grue.protocol.conversation.conversation import Notice
from grue.protocol.numbers import parse, region_of
from grue.protocol.urls import check_url

LOOK_AGAIN_SECONDS: Final = 0.5
"""How often a receiver looks whether another process of this home has stored something."""


class Client:
    """A client of one home: `async with` opens and closes it. One instance a home and process is enough.

    Whatever needs an account raises NotRegistered before `verify`, and RuntimeError outside of `async with`.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        passphrase: str | None = None,
        create: bool = False,
        transport: TransportFactory = open_transport,
        clock: Clock = time.time,
        random: Random = os.urandom,
    ) -> None:
        """
        home        its folder; None: `GRUE_HOME`, or the platform's usual place
        passphrase  None: `GRUE_PASSPHRASE`, or a key in the system's keyring
        create      a home that is not there is made, for `register`; else a mistyped one raises NoSuchHome
        """
        self._create = create
        self._home = home or default_home()
        self._passphrase = passphrase
        self._factory = transport
        self._clock = clock
        self._random = random
        self._opened = Opened()
        self._transport: Transport | None = None
        self._endpoint: Endpoint | None = None
        self._conversing: Parts | None = None
        self._receiver: Receiver | None = None
        self._showing = Showing(self._home)
        self._given: set[int] = set()
        """Rows of messages that `receive` has handed out, and that are not noted as shown yet."""
        self._left: set[int] = set()
        """Those of them whose iterator has ended: they are noted when the next message is asked for."""
        self.account = OwnAccount(self._opened)
        self.chats = Chats(self._opened, clock, self._wake)
        self.contacts = Contacts(self._opened)
        self.directory = DirectoryCopy(self._opened, clock)
        self.requests = Requests(self._opened, self._fetch_intro, self._go_out)
        self.groups = Groups(self._opened, lambda: self._parts.groups)
        self.people = People(self._opened, self._send_waiting)
        self.devices = Devices(self._opened, lambda: self._parts, self._connect, self._linked, random)
        self.exposure = Exposure(self._opened, self._note_exposure)

    async def __aenter__(self) -> Self:
        if not self._create and not is_home(self._home):
            raise NoSuchHome
        key = await asyncio.to_thread(unlock, self._home, self._passphrase)
        store = await Store.open(self._home / DATABASE, key)
        self._opened.open(store)
        try:
            account = await store.read(load_account)
            if account.id:
                await self._assemble(account)
        except NotRegistered as none:
            self._opened.leave(type(none))
        except BaseException:
            self._opened.close()
            await store.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            # Whoever had these may not have come to the end with them: they come again.
            self._given.clear()
        await self.close()

    async def close(self) -> None:
        """Stop receiving and close everything. What is queued stays queued. Closing twice does no harm."""
        try:
            if self._opened.is_open and self._given:
                await self._note_shown(set(self._given))
        finally:
            # A disk that is full keeps nothing open; what was not noted comes again.
            await self._close()

    async def _close(self) -> None:
        self._showing.close()
        if self._receiver is not None:
            await self._receiver.close()
        if self._transport is not None and self._opened.is_open:
            await self._note_exposure()
            await self._transport.close()
        if self._opened.is_open:
            store = self._opened.store
            self._opened.close()
            await store.close()

    # --- the account ------------------------------------------------------------------------------

    async def register(
        self, number: str, server: str, *, relay: str = "", proxy: str = "", discoverable: bool = True
    ) -> str:
        """Have the server send a code to this number by SMS; returns the number as E.164. `verify` takes the code.

        server        its URL: https://, or http:// on this machine
        relay, proxy  how the server is reached from now on; see `client.account.set_transport`
        discoverable  False: nobody finds the number in the directory; see `client.account.set_discoverable`
        Raises NotANumber, UsageError, AlreadyRegistered, Refused, NetworkError.
        """
        number, server = parse(number), check_url(server)
        if relay or proxy:
            await self.account.set_transport(relay=relay, proxy=proxy)
        transport = await self._connect(server, b"")
        store, hidden = self._opened.store, not discoverable
        account = await accounts.begin(store, transport, server, number, self._random, hidden=hidden)
        # An account of an earlier protocol is gone now.
        self._opened.leave()
        return account.number

    async def verify(self, code: str) -> str:
        """Hand in the code from the SMS; returns the account's id.

        Raises NotRegistered before `register`, CodeWrong, CodeExpired, TooManyGuesses, NetworkError.
        """
        account = await self._opened.store.read(load_account)
        transport = await self._connect(account.server, account.server_public)
        account = await accounts.finish(self._opened.store, transport, code)
        await self._assemble(account)
        with suppress(GrueError):
            # Registered all the same; the next connection does what is missing, or says what is wrong.
            await self.account.daily_round()
        return account.id.hex()

    async def _linked(self, account: Account, linking: Linking) -> None:
        """This home is a device of the account now."""
        await self._assemble(account)
        with suppress(GrueError):
            # Key packages and tokens; the next connection does what is missing.
            await self.account.daily_round()
        await linking.joined(self._opened.ready)
        with suppress(GrueError):
            await self.poll()

    @property
    def number(self) -> str:
        """The own number, as E.164."""
        return self._opened.ready.account.number

    @property
    def server(self) -> str:
        """The URL of the server that the account is at."""
        return self._opened.ready.account.server

    @property
    def context(self) -> Context:
        """The context that the parts of this client share, for code that looks inside."""
        return self._opened.ready

    # --- lookups ----------------------------------------------------------------------------------

    async def lookup(self, *numbers: str) -> list[LookedUp]:
        """Look numbers up, without any server learning which; returns an answer for each, in order. Raises NotANumber.

        What the network or the server does wrong is no exception here: it is the `error` of each answer.
        """
        region = region_of(self.number)
        return await self._opened.ready.directory.lookup([parse(number, region) for number in numbers])

    # --- messages ---------------------------------------------------------------------------------

    async def send(
        self, to: str, text: str, *, file: Path | None = None, sms: bool = False, accept_key: bool = False
    ) -> Sent:
        """Send one message; returns when it is stored here, and sent if the server answers.

        to          a number, an id, a name that only one contact or group has, or `me` for a note
        file        goes along sealed, up to 100 MiB; where its upload breaks off, the same call again goes on with it
        sms         the sender agrees to SMS, should it be proved that the number is not on Grue, or not to be found
        accept_key  the sender has checked with the contact, and goes on with a new key, no record, or after a fork
        What is stored goes out, though the caller was cancelled since, as by a time-out: `history` shows it, and who
        sends it again sends it twice. Cancelled before, nothing is stored or sent; of an SMS that is not certain.
        Raises ConsentNeeded and other Refused, NetworkError (nothing was stored), VerificationFailed, UsageError.
        """
        messenger, attachment = self._parts.messenger, None
        if file is not None:
            await messenger.check_takes_files(to)
            attachment = await attachments.put(self._opened.ready, file)
        sent = await messenger.send(to, text, attachment=attachment, sms=sms, accept_key=accept_key)
        with suppress(GrueError):
            # It is stored, and the own other devices hear of it with the next connection at the latest.
            await self._parts.tell()
        if self._receiver is not None:
            self._receiver.wake()
            with suppress(UsageError):
                # Of an SMS to a number without a chat there is none.
                await self.opened(to)
        return sent

    async def opened(self, chat: str) -> None:
        """Somebody looks at this chat, or writes in it: through a relay its messages come first. Raises NoSuchChat.

        While `receive` runs; before, it does nothing.
        """
        context = self._opened.ready
        if self._receiver is not None:
            await self._receiver.opened((await context.store.read(naming.chat, chat, context.account.number)).id)

    async def flush(self) -> None:
        """Send what is queued: up to a minute through a relay. Raises NetworkError; what could not go stays."""
        await self._parts.send()

    async def poll(self) -> None:
        """Send what is queued and fetch what waits, once: up to a minute through a relay. Raises NetworkError."""
        parts = self._parts
        await parts.fetch()
        await parts.messenger.ask_sms()
        await self.account.daily_round()
        with suppress(VerificationFailed):
            # A clock that does not fit the directory's is said at the next lookup.
            await parts.messenger.expire()

    async def receive(self, idle: float | None = None) -> AsyncGenerator[Message, None]:
        """Iterate over messages as they arrive, each once even with several receivers.

        idle  end after so many seconds without a message, through a relay only when each chat was asked for, which
              takes up to a minute; None: go on until the client is closed

        A message counts as shown when the next one is asked for, or the client is closed: not before the body of the
        loop has had it. Should the process be killed in it, or an exception end the client, the message comes again
        under the same `id`. Who leaves the loop early and goes on closes it, as by `contextlib.aclosing`. A network is
        not needed to begin: the client connects when there is one.
        """
        receiver = self._start()
        all_asked = time.monotonic() + self._opened.ready.transport.spread
        idle_since = all_asked
        shown: set[int] = set()
        while True:
            receiver.arrived.clear()
            seen = (shown | self._left) & self._given
            waits = not seen or bool(await self._note_shown(seen))
            receiver.check()
            message, shown = await self._take() if waits else None, set()
            if message is not None:
                self._given.add(message.row)
                try:
                    yield message
                except GeneratorExit:
                    self._left.add(message.row)
                    raise
                shown = {message.row}
                idle_since = max(all_asked, time.monotonic())
            elif idle is not None and time.monotonic() - idle_since >= idle:
                return
            else:
                await _wait(receiver.arrived, _remaining(idle, idle_since))

    async def take(self) -> Message | None:
        """Return the oldest message that nobody has shown and nobody is showing now. Asks no server.

        It stays with this client until `shown` says that it was shown, or `put_back` that it was not; should the
        process end before, the next one shows it, under the same `id`. Raises DiskFull, DiskFailed.
        """
        return await self._take()

    async def shown(self, message: Message) -> None:
        """Note that a message which was taken has been shown: nobody shows it again."""
        _ = self._opened.ready
        await self._note_shown({message.row})

    async def put_back(self, message: Message) -> None:
        """Give back a message that could not be shown after all: whoever takes next gets it."""
        _ = self._opened.ready
        self._given.discard(message.row)
        self._showing.release(message.row)

    async def unshown(self) -> list[Message]:
        """Take every message that was not shown yet, all of them noted as shown. Asks no server.

        For who can lose some: they come once, even if the process is killed before it has made use of them.
        """
        messages: list[Message] = []
        rows: set[int] = set()
        while (message := await self.take()) is not None:
            messages.append(message)
            rows.add(message.row)
            if len(rows) == LOOK_AT:
                # Each of them holds a file open.
                await self._note_shown(rows)
                rows = set()
        await self._note_shown(rows)
        return messages

    async def notices(self) -> list[tuple[str, Notice]]:
        """Return what a person should know and is no message, each once: (chat, notice)."""
        taken = await self._opened.store.transact(chats.take_notices)
        return [(chat.name, notice) for chat, notice in taken]

    async def search(
        self, words: str, *, chat: str | None = None, before: int | None = None, limit: int = PAGE
    ) -> Found:
        """Search texts, names of files and, unless in one chat, what chats are called; asks no server.

        words   each has to stand in it, as a part of a word too, whatever its case, diacritics and width; a row of
                words in double quotes as it is
        chat    in this one alone
        before  messages before this row: the next page
        Cost: some 100 ms at 100,000 messages; what came since the last search is made ready first, 20 us a message.
        Raises NoSuchChat, NotANumber, and UsageError of more than 16 words or 1,000 characters.
        """
        return await search(self._opened.store, words, chat, before, limit, self._clock())

    async def history(
        self,
        chat: str,
        *,
        since: int = 0,
        before: int | None = None,
        limit: int | None = None,
        oldest: bool = False,
    ) -> list[Message]:
        """Return messages of a chat, oldest first, and note none as shown. Raises NoSuchChat, NotANumber.

        since   from this row on
        before  the row that comes after the last of them; None: to the newest
        limit   as many of them at most, those that came last
        oldest  those that came first
        """
        return await self._opened.store.read(history_of, chat, since, before, limit, oldest=oldest)

    async def seen(self, chat: str, row: int) -> None:
        """Somebody has seen this chat up to a row: nothing of that is shown again. Raises NoSuchChat, NotANumber."""
        await self._opened.store.note(see, chat, row)

    @property
    def unreached(self) -> NetworkError | None:
        """Why the server is not reached, while `receive` or `changes` runs; None when it is, or was not tried yet."""
        _ = self._opened.store
        return None if self._receiver is None else self._receiver.unreached

    async def changes(self) -> AsyncGenerator[None, None]:
        """Iterate: once at first, and whenever something in this home may have changed, by this process or another.

        It sends and fetches as `receive` does once there is an account, and shows nothing: `seen` notes what somebody
        saw. Changes that come while the last one is looked at are one. Raises what keeps going wrong, such as DiskFull;
        iterate again to go on.
        """
        store = self._opened.store
        version = await store.version()
        with store.watch() as changed:
            while True:
                with suppress(NotRegistered):
                    self._start().check()
                changed.clear()
                unreached = self.unreached
                yield
                while not changed.is_set() and await store.version() == version and self.unreached is unreached:
                    await _wait(changed, LOOK_AGAIN_SECONDS)
                version = await store.version()

    async def save(self, message: str, into: Path) -> File:
        """Download the file of the message with this id to a path where nothing is yet: all of it is there, or nothing.

        A download that broke off goes on. Raises NoSuchBlob, NetworkError, VerificationFailed, DiskFull, UsageError.
        """
        context = self._opened.ready
        try:
            attachment = await context.store.read(tables.attached_to, bytes.fromhex(message))
        except ValueError:
            attachment = None
        if attachment is None:
            raise UsageError("There is no message of that id with a file.")
        await attachments.get(context, attachment, into)
        return File(attachment.name, attachment.length)

    # --- inside -----------------------------------------------------------------------------------

    @property
    def _parts(self) -> Parts:
        _ = self._opened.ready
        assert self._conversing is not None
        return self._conversing

    async def _fetch_intro(self) -> None:
        await self._parts.inbox.poll_intro()

    def _wake(self) -> None:
        """Something is to be told: whoever receives does so, or else the next connection."""
        if self._receiver is not None:
            self._receiver.wake()

    async def _send_waiting(self) -> None:
        """Send all that waits, if the server answers; while `receive` runs, it does."""
        if self._receiver is not None:
            self._receiver.wake()
            return
        with suppress(NetworkError, Refused):
            await self._parts.send()

    async def _go_out(self, name: str) -> None:
        """Send what is queued in this chat, if there is one and the server answers."""
        context = self._opened.ready
        with suppress(NetworkError, Refused, UsageError):
            chat = await context.store.read(naming.chat, name, context.account.number)
            await self._parts.send_of(chat.id)
            await self._parts.groups.admit()
        if self._receiver is not None:
            self._receiver.wake()
            self._receiver.nudge()

    async def _take(self) -> Message | None:
        """The oldest message that nobody has shown and nobody is showing."""
        context, message, after = self._opened.ready, None, 0
        while message is None:
            looking = asyncio.ensure_future(
                context.store.read_each(*claiming(self._showing, context.account.number, after))
            )
            try:
                after, message = await asyncio.shield(looking)
            except asyncio.CancelledError:
                _, message = await looking
                if message is not None:
                    self._showing.release(message.row)
                raise
            if not after:
                return None
        return message

    async def _note_shown(self, rows: set[int]) -> list[tuple[int, bytes]]:
        """To the end, even when the caller is cancelled: they were shown. Returns what waits next."""
        noting = asyncio.ensure_future(self._opened.store.note(tables.mark_shown, rows, LOOK_AT))
        try:
            return await asyncio.shield(noting)
        except asyncio.CancelledError:
            await noting
            raise
        finally:
            self._given -= rows
            self._left -= rows
            for row in rows:
                self._showing.release(row)

    async def _note_exposure(self) -> None:
        """Store what the transport has counted since the last time."""
        store = self._opened.store
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
            await store.transact(count_exposure, int(self._clock()) // 86_400, counts)

    async def _connect(self, server: str, server_public: bytes) -> Transport:
        """Make the transport, unless there is one that knows as much."""
        endpoint = Endpoint(server, server_public, await self.account.transport_settings())
        if self._transport is not None and self._endpoint == endpoint:
            return self._transport
        if self._transport is not None:
            await self._note_exposure()
            await self._transport.close()
        self._transport, self._endpoint = self._factory(endpoint), endpoint
        return self._transport

    async def _assemble(self, account: Account) -> None:
        transport, store = await self._connect(account.server, account.server_public), self._opened.store

        async def draw(request: wire.DrawTokens) -> wire.Drawn:
            return await signed(self._opened.ready, request, wire.Drawn)

        async def token_keys(fresh: bool) -> list[wire.TokenKey]:
            known = (None if fresh else await directory.known()) or await directory.current()
            return known.manifest.contents.token_keys

        tokens = Tokens(store, transport, draw, token_keys, self._random)
        own = OwnIdentity(account.number, account.identity_public)
        directory = Directory(store, transport, account.server_public, self._clock, tokens.ask, own)
        context = Context(store, transport, directory, tokens, account, self._clock, self._random)
        inbox = Inbox(context)
        outbox = Outbox(context, inbox.give_up)
        devices = OwnDevices(context, inbox, outbox)
        messenger, groups = Messenger(context, inbox, outbox), GroupChanges(context, inbox, outbox)
        self._conversing = Parts(context, inbox, outbox, messenger, groups, devices)
        self._opened.registered(context)

    def _start(self) -> Receiver:
        if self._receiver is None:
            self._receiver = Receiver(self._parts, self.account.daily_round)
            self._receiver.start()
        return self._receiver


def open(home: str | Path | None = None, *, passphrase: str | None = None, create: bool = False) -> Client:
    """A client of this home, to be used with `async with`.

    home    its folder; None: the one that `GRUE_HOME` names, or else `grue` in `XDG_DATA_HOME` (~/.local/share)
    create  a home that is not there is made, for `register`; else opening it raises NoSuchHome
    """
    return Client(Path(home) if home is not None else None, passphrase=passphrase, create=create)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _remaining(idle: float | None, idle_since: float) -> float:
    if idle is None:
        return LOOK_AGAIN_SECONDS
    return max(0.0, min(LOOK_AGAIN_SECONDS, idle - (time.monotonic() - idle_since)))
