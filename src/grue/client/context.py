"""The parts of one running client share a context: its store, transport, directory, account and clock."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from grue.client.lookup.directory import Directory
from grue.client.store.engine import Db, Store
from grue.client.store.entries import get_meta, put_meta
from grue.client.store.sessions import Sessions
from grue.client.transport.tokens import Tokens
from grue.client.transport.transport import Transport
from grue.errors import ForeignDatabase, NotRegistered, OldAccount
from grue.protocol.conversation.contents import Transcript
from grue.protocol.conversation.conversation import Tools
from grue.protocol.conversation.first_contact import Me
from grue.protocol.wire import PROTOCOL

Clock = Callable[[], float]
"""Gives Unix seconds."""
Random = Callable[[int], bytes]


class Account(msgspec.Struct, array_like=True, frozen=True):
    """The own account and device. Holds secrets: never printed."""

    server: str
    server_public: bytes
    number: str
    identity_secret: bytes
    """Empty on a linked device, unless it is to manage devices."""
    identity_public: bytes
    sms_secret: bytes
    device_public: bytes
    credential: bytes
    device_list: bytes
    """The `SignedDeviceList`."""
    intro_mailbox: bytes
    intro_read_key: bytes
    id: bytes = b""
    """Given by the server; empty until the number is verified."""
    transcript: Transcript | None = None
    """The newest self-lookup, for contacts to check our number with."""
    intro_cursor: int = 0
    intro_incarnation: bytes = b""
    protocol: int = 1
    """The `wire.PROTOCOL` that its keys and conversations were made by; homes of protocol 1 do not say it."""

    hidden: bool = False
    """The number is not in the directory, and is shown to nobody by itself."""

    def __repr__(self) -> str:
        return f"Account(verified={bool(self.id)})"

    @property
    def manages(self) -> bool:
        """Whether this device holds the identity key, and so links and removes devices."""
        return bool(self.identity_secret)

    @property
    def me(self) -> Me:
        shown = (self.number, self.transcript) if not self.hidden else ("", None)
        return Me(self.identity_public, shown[0], self.credential, self.device_list, self.intro_mailbox, shown[1])


@dataclass
class Context:
    """One client that is open."""

    store: Store
    transport: Transport
    directory: Directory
    tokens: Tokens
    account: Account
    clock: Clock
    random: Random
    sessions: Sessions = field(default_factory=Sessions)
    challenge: bytes = b""
    """The server's, that was signed last: it holds for ten minutes at least, so the next request needs no other."""

    @property
    def tools(self) -> Tools:
        return Tools(self.now_ms, self.random)

    @property
    def now_ms(self) -> int:
        return int(self.clock() * 1000)


class Opened:
    """What a client has open at the moment. Whoever needs more than there is gets an error that says so."""

    def __init__(self) -> None:
        self._store: Store | None = None
        self._context: Context | None = None
        self._why: type[NotRegistered] = NotRegistered

    @property
    def is_open(self) -> bool:
        return self._store is not None

    @property
    def store(self) -> Store:
        """The home's database. Raises RuntimeError outside of `async with`."""
        if self._store is None:
            raise RuntimeError("This client is not open. Use it inside `async with grue.open() as client:`.")
        return self._store

    @property
    def ready(self) -> Context:
        """All that a registered client needs. Raises NotRegistered before `verify`, RuntimeError as `store`."""
        _ = self.store
        if self._context is None:
            raise self._why
        return self._context

    def open(self, store: Store) -> None:
        """The home is open."""
        self._store = store

    def registered(self, context: Context) -> None:
        """There is an account, and its number is verified."""
        self._context = context

    def leave(self, why: type[NotRegistered] = NotRegistered) -> None:
        """There is no account, or none any more; `ready` raises `why`."""
        self._context, self._why = None, why

    def close(self) -> None:
        """The home is closed."""
        self._store = self._context = None


def load_account(db: Db) -> Account:
    """The account, registered or waiting for its code.

    Raises NotRegistered when there is none, OldAccount for one of an earlier protocol, ForeignDatabase of a later one.
    """
    account = get_meta(db, "account", Account)
    if account is None:
        raise NotRegistered
    if account.protocol < PROTOCOL:
        raise OldAccount
    if account.protocol > PROTOCOL:
        raise ForeignDatabase(f"(Its account is of protocol {account.protocol}; this Grue speaks {PROTOCOL}.)")
    return account


def own_number(db: Db) -> str:
    """The number of the account that is or was here, or is being registered; empty in a home that never had one."""
    account = get_meta(db, "account", Account)
    return (get_meta(db, _LEFT, str) or "") if account is None else account.number


def note_left(db: Db) -> None:
    """The account is about to go: by its number the history is still read."""
    put_meta(db, _LEFT, own_number(db))


_LEFT: Final = "left"


def save_account(db: Db, account: Account) -> None:
    put_meta(db, "account", account)
