"""The world in which a schedule is played: whole clients, a server, and disks and a network that fail when told to.

Nothing waits for a thread or a disk here, and tokens are blinded by nothing, so that a schedule takes a fraction of a
second.
"""

import asyncio
import hmac
import random
import selectors
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, Self, TypeVar, cast
from unittest.mock import patch

from grue.client import account
from grue.client import client as client_module
from grue.client.client import Client
from grue.client.store.engine import Db, Store
from grue.client.store.home import make_key
from grue.client.transport import tokens as client_tokens
from grue.errors import DiskFull, NotRegistered
from grue.lab.inline_store import InlineStore, open_inline
from grue.protocol import tokens
from grue.protocol.tokens import Purpose
from grue.protocol.wire import Message
from grue.server.accounts import claims, keypackages
from grue.server.keys.keys import Keys
from grue.server.mailboxes import mailboxes
from grue.server.store.interface import Tx
from grue.testing import World

T = TypeVar("T")
P = ParamSpec("P")


LITTLE_STOCK: Final = {Purpose.LOOKUP: 32, Purpose.POST: 32}
"""Tokens kept ready, in place of hundreds, which would take most of the time."""

FEW_PACKAGES: Final = 3
"""Key packages kept ready, in place of twenty: the last resort serves more often, and a round makes fewer."""


class Killed(BaseException):
    """The process of a client ends here: nothing of it goes on, and what is committed stays."""


class Loop(asyncio.SelectorEventLoop):
    """An event loop in which nothing waits for a thread, or looks at sockets while there is something to do."""

    def __init__(self) -> None:
        super().__init__(_Selector())

    def run_in_executor(self, _executor: object, func: Callable[..., T], *args: object) -> asyncio.Future[T]:
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 -- whoever awaits it raises it
            done.set_exception(error)
        return done


class _Selector(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return [] if timeout == 0 else super().select(timeout)


class _TokenKey:
    """A token key whose function is an HMAC: who draws how many, and which are spent, is as ever; nobody is hidden."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.public = hmac.digest(secret, b"public", "sha256")

    def evaluate(self, blinded: Sequence[bytes]) -> tuple[list[bytes], bytes]:
        return self.output(blinded), bytes(64)

    def output(self, nonces: Sequence[bytes]) -> list[bytes]:
        return [hmac.digest(self._secret, nonce, "sha256") for nonce in nonces]


def _token_key(keys: Keys, purpose: str, epoch: int) -> _TokenKey:
    return _TokenKey(hmac.digest(keys.code_key, f"{purpose} {epoch}".encode(), "sha256"))


@dataclass(frozen=True)
class _Blinding:
    element: bytes

    @classmethod
    def blind(cls, nonce: bytes) -> Self:
        return cls(nonce)


@contextmanager
def cheaper() -> Iterator[None]:
    """What takes most of the time, and decides about no text, is less here: tokens' arithmetic, and stocks."""
    with ExitStack() as patches:
        for where, name, what in (
            (account, "KEY_PACKAGES", FEW_PACKAGES),
            (client_tokens, "STOCK", LITTLE_STOCK),
            (tokens, "OprfBlind", _Blinding),
            (tokens, "oprf_finalize", lambda _blinds, evaluated, _proof, _public: evaluated),
            (Keys, "token_key", _token_key),
        ):
            patches.enter_context(patch.object(where, name, what))
        yield


@dataclass
class Faults:
    """What fails from now on, for whoever acts: one client does at a time."""

    client_full: bool = False
    server_full: bool = False
    answers: int | None = None
    """So many answers arrive; the next is lost, and then nothing reaches the server. None: all do."""
    commits: int | None = None
    """So many transactions of the client are committed, and before the next one it is killed. None: it is not."""

    def mend(self) -> None:
        """Whoever acted is through: the network is there again, and nobody is killed. Disks stay as they are."""
        self.answers = self.commits = None

    def lose(self, _request: Message) -> bool:
        if self.answers is None:
            return False
        self.answers -= 1
        return self.answers < 0

    def commit(self) -> None:
        """Raises Killed, DiskFull."""
        if self.commits is not None:
            self.commits -= 1
            if self.commits < 0:
                raise Killed
        if self.client_full:
            raise DiskFull


class _ServerStore(InlineStore):
    """The server's database, on a disk that is full when told so."""

    faults = Faults()

    async def transact(self, f: Callable[..., Awaitable[T]], *args: object) -> T:
        if self.faults.server_full:
            raise DiskFull
        return await super().transact(f, *args)

    async def flush(self) -> None:
        if not self.faults.server_full:
            await super().flush()

    def crash(self) -> None:
        """What nobody waited for is lost."""
        self._later = []


class _ClientStore(Store):
    """A client's database, which works where it is called."""

    faults = Faults()

    async def note(self, f: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        self.faults.commit()
        return await super().note(f, *args, **kwargs)

    async def transact(self, f: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        self.faults.commit()
        return await super().transact(f, *args, **kwargs)

    async def _run(self, work: Callable[[], T]) -> T:
        return work()


class Trial(World):
    """A world of one schedule. `chosen` decides everything that is random but what the server and MLS draw."""

    def __init__(self, path: Path, chosen: random.Random) -> None:
        self.faults = Faults()

        async def open_store(database: Path) -> _ServerStore:
            if not database.exists():
                await (await open_inline(database)).close()
            store = _ServerStore(database)
            store.faults = self.faults
            return store

        super().__init__(path, open_store=open_store)
        self._bytes: dict[str, random.Random] = {}
        self._seed = chosen.random()
        self.network.lose = self._lose

    def _lose(self, request: Message) -> bool:
        lost = self.faults.lose(request)
        self.network.down = self.network.down or lost
        return lost

    async def open(self, name: str, *, ahead: float = 0) -> Client:
        home = self.path / name
        make_key(home, self.passphrase, passes=1, memory_kib=64)
        client = Client(
            home,
            passphrase=self.passphrase,
            transport=lambda _endpoint: self.transport(name),
            clock=lambda: self.clock() + ahead,
            random=self._bytes.setdefault(name, random.Random(f"{self._seed} {name}")).randbytes,
        )
        with patch.object(client_module, "Store", _ClientStore):
            await client.__aenter__()
        cast("_ClientStore", client._opened.store).faults = self.faults
        self._clients.append(client)
        return client

    async def crash(self) -> None:
        """The server ends, with what nobody waited for, and is started again."""
        cast("_ServerStore", self.server.store).crash()
        await self.restart()

    async def pass_days(self, days: float) -> None:
        """As a world's, and the server sweeps; no client takes what it read before for fresh."""
        await super().pass_days(days)
        await self._sweep()
        for client in self._clients:
            if client._conversing is not None:
                client._conversing.inbox._read_at.clear()
                with suppress(NotRegistered, RuntimeError):
                    client.context.directory._tried = float("-inf")

    async def _sweep(self) -> None:
        """What a server's sweep does to messages and accounts, in one transaction for each table."""
        if self.faults.server_full:
            return
        context, store = self.server.context, self.server.store
        await store.transact(mailboxes.expire, b"", context.today)
        await store.transact(_forget_posted, context.today)
        await store.transact(keypackages.expire, context.week)
        await store.transact(claims.expire, context.today)
        await self.server.registration.expire()


async def _forget_posted(tx: Tx, today: int) -> None:
    for first_byte in range(256):
        await mailboxes.forget_posted(tx, first_byte, today)
