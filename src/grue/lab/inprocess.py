"""A server and its clients in one process: the real code of both, with calls in place of sockets."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final, cast

import apsw

from grue.client.client import Client
from grue.client.store.home import make_key
from grue.client.transport.transport import Stream, Usage, kind_of, refusal
from grue.errors import NotAGrueServer, UsageError
from grue.protocol import wire
from grue.server.app import Server
from grue.server.chores import sweep
from grue.server.directory.directory import Directory
from grue.server.keys.keys import open_keys
from grue.server.mailboxes.blobs import Blobs
from grue.server.sms.gateway import Event, Sms
from grue.server.sms.sms import SmsRole
from grue.server.store.files import BLOBS, DATABASE
from grue.server.store.interface import Store
from grue.server.store.sqlite import open_store

PASSPHRASE: Final = "of a home that lasts seconds"  # noqa: S105
URL: Final = "http://localhost"


class Codes:
    """An `SmsGateway` that keeps the last text for each number."""

    description = "this process"
    health = "bound"

    def __init__(self) -> None:
        self.last: dict[str, str] = {}

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def submit(self, sms: Sms) -> str:
        self.last[sms.to] = sms.text
        return sms.to

    async def events(self) -> AsyncIterator[Event]:
        for event in cast("list[Event]", []):
            yield event

    def code(self, number: str) -> str:
        """The registration code that this number was sent."""
        return str(re.findall(r"\d{6}", self.last[number])[0])


class CallingTransport:
    """A `Transport` that calls the server."""

    def __init__(self, server: Server) -> None:
        self.usage = Usage()
        self._server = server

    async def hello(self) -> wire.ServerHello:
        return self._server.hello()

    async def account(self, request: wire.AccountRequest) -> wire.AccountAnswer:
        answer = wire.ACCOUNT_ANSWER.decode(await self._ask(request, self._server.account))
        if isinstance(answer, wire.Refusal):
            raise refusal(answer)
        return answer

    async def anonymous(self, request: wire.AnonymousRequest) -> wire.AnonymousAnswer:
        answer = wire.ANONYMOUS_ANSWER.decode(await self._ask(request, self._server.anonymous))
        if isinstance(answer, wire.Refusal):
            raise refusal(answer)
        return answer

    async def intro(self, request: wire.Fetch | wire.Ack) -> wire.AnonymousAnswer:
        return await self.anonymous(request)

    async def file(self, path: str, start: int = 0, most: int | None = None) -> bytes:
        file = self._server.directory.file(path)
        if file is None:
            raise NotAGrueServer
        return file[start:] if most is None else file[start : start + most]

    async def stream(self) -> Stream:
        """Nobody listens here: clients poll."""
        raise UsageError("There are no streams within one process.")

    async def intro_stream(self) -> Stream:
        return await self.stream()

    async def close(self) -> None: ...

    async def _ask(self, request: wire.Message, role: Callable[[bytes], Awaitable[bytes]]) -> bytes:
        data = wire.encode(request)
        self.usage.sent(kind_of(request), len(data))
        answer = await role(data)
        self.usage.bytes_down += len(answer)
        return answer


class World:
    """One server on `folder`/server and clients with homes beside it. `async with` closes them."""

    def __init__(self, folder: Path, now: float) -> None:
        """`now` is Unix seconds; time stands still but for `pass_days`."""
        self.data = folder / "server"
        self.now = now
        self.server: Server
        self._store: Store
        self._folder = folder
        self._codes = Codes()
        self._clients: list[Client] = []

    async def __aenter__(self) -> "World":
        keys = open_keys(self.data)
        self._store = await self._open_store(self.data / DATABASE)
        directory = Directory(self.data, keys, self._clock)
        self.server = Server(
            self._store,
            keys=keys,
            directory=directory,
            blobs=Blobs(self.data / BLOBS),
            sms=SmsRole(self._codes),
            clock=self._clock,
        )
        return self

    async def _open_store(self, path: Path) -> Store:
        return await open_store(path)

    async def __aexit__(self, *_error: object) -> None:
        for client in self._clients:
            await client.close()
        await self.server.directory.close()
        await self._store.close()

    async def open(self, name: str) -> Client:
        """The client of a home, which is made when there is none."""
        home = self._folder / name
        if not home.exists():
            make_key(home, PASSPHRASE, passes=1, memory_kib=64)
        client = Client(
            home, passphrase=PASSPHRASE, transport=lambda _url: CallingTransport(self.server), clock=self._clock
        )
        await client.__aenter__()
        self._clients.append(client)
        return client

    async def person(self, name: str, number: str) -> Client:
        """A client that has just registered."""
        client = await self.open(name)
        await client.register(number, URL)
        await client.verify(self._codes.code(number))
        return client

    async def pass_days(self, days: float) -> None:
        """Let time pass, and the directory be signed anew."""
        self.now += days * 86_400
        await self.server.directory.tend()

    async def chores(self) -> None:
        """Six hours later, at most: the server has swept, and its log is empty."""
        await sweep(self.server)
        await self.log_cut()

    async def log_written(self) -> None:
        """A moment later: acknowledgements, which nobody waits for, are on disk."""
        await self._store.flush()
        await self._store.flush()

    async def log_cut(self) -> None:
        """A minute later: the write-ahead log was written back and is empty."""
        await self.log_written()
        await asyncio.to_thread(self._cut)

    def _cut(self) -> None:
        connection = apsw.Connection(str(self.data / DATABASE), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        finally:
            connection.close()

    def _clock(self) -> float:
        return self.now
