"""A server's directory on a socket that can be made to lie, and a replica of it that looks when a test says so."""

import io
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from grue._core import PirBase, PirClient, PirColumns
from grue.protocol import wire
from grue.protocol.directory.record import RECORD_BYTES
from grue.protocol.directory.replica import QUERY_PATH, ReplicaKey
from grue.server import http
from grue.server.directory.directory import Directory
from grue.server.keys.keys import open_keys
from grue.server.listening import listening, runner
from grue.server.replica.mirror import Mirror
from grue.server.replica.origin import Origin
from grue.server.replica.replica import Replica
from grue.server.replica.replicas import Replicas
from tests.protocol.directories import NOW
from tests.server.kit import TestServer, serving

FORCED = {"GRUE_DIRECTORY_TIER": "2"}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Query:
    """One private query, and what reads its answer."""

    def __init__(self, folder: Path, base: PirBase, tag: bytes) -> None:
        client = PirClient(base.layout, (folder / "hint").read_bytes())
        self._columns = PirColumns(base.layout, (folder / "fences").read_bytes(), (folder / "top").read_bytes())
        self._tag = tag
        self.query, self._pending = client.query(client.material(1), self._columns.column(tag))

    def found(self, answers: wire.Answers) -> bytes | None:
        (answer,) = answers.answers
        return self._columns.open(self._tag, self._pending.recover(answer))


class Host:
    """A directory with a table for private queries, and the sockets that it is served on."""

    def __init__(
        self,
        data: Path,
        environment: dict[str, str] | None = None,
        clock: Callable[[], float] = lambda: NOW,
        records: int = 5,
    ) -> None:
        self.data = data
        self.keys = open_keys(data)
        self.key = ReplicaKey(self.keys.server_public, os.urandom(32))
        self.records = [os.urandom(RECORD_BYTES) for _ in range(records)]
        self.directory = Directory(data, self.keys, clock, environment=environment or FORCED)
        self.directory.put_many(self.records)
        self.url = ""
        self.change: Callable[[str, bytes], bytes] = lambda _path, file: file
        """What the directory serves for a path."""
        self.whole = True
        """Whether a file comes to its end, or breaks off in its middle."""
        self.asked: list[tuple[str, dict[str, str]]] = []
        """Every path that was asked for, with the request's headers."""

    @property
    def epoch(self) -> int:
        return self.directory.manifest.epoch

    def query(self, n: int = 0, epoch: int | None = None) -> Query:
        """For the record of that number."""
        epoch = epoch or self.epoch
        base = self.directory.private_base(epoch)
        assert base is not None
        return Query(self.data / "directory" / str(epoch), base, self.records[n][:16])

    @asynccontextmanager
    async def served(self) -> AsyncIterator["Host"]:
        app = web.Application()
        app.router.add_get("/2/directory/{path:.+}", self._file)
        async with listening(runner(app), ("127.0.0.1", 0), None) as address:
            self.url = f"http://{address}"
            yield self

    async def _file(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        self.asked.append((path, dict(request.headers)))
        file = self.directory.file(path)
        if file is None:
            return web.Response(status=404)
        file = self.change(path, file)
        if self.whole or path == "head" or path.endswith("manifest"):
            return await http._ranged(request, memoryview(file), {})
        start = request.http_range.start or 0
        headers = {"Content-Range": f"bytes {start}-{len(file) - 1}/{len(file)}"}
        half = web.StreamResponse(status=206 if start else 200, headers=headers)
        half.content_length = len(file) - start
        await half.prepare(request)
        await half.write(file[start : (start + len(file)) // 2])
        assert request.transport is not None
        # What was written is on its way; what is missing never comes.
        request.transport.close()
        return half


class Site:
    """A replica on a socket, and a session that points at it."""

    def __init__(self, host: Host, replica: Replica, mirror: Mirror, url: str, session: aiohttp.ClientSession) -> None:
        self.host = host
        self.replica = replica
        self.mirror = mirror
        self.url = url
        self.session = session

    async def look(self) -> None:
        await self.replica.look()

    async def ask(self, message: wire.Message | bytes, key: ReplicaKey | None = None) -> Any:
        """The answer to queries, or the status when there is none."""
        body = io.BytesIO(message if isinstance(message, bytes) else wire.encode(message))
        headers = {"Authorization": (key or self.host.key).authorization}
        async with self.session.post(f"{self.url}/{QUERY_PATH}", data=body, headers=headers) as response:
            if response.status != 200:
                return response.status
            return wire.ANONYMOUS_ANSWER.decode(await response.read())

    async def code(self, message: wire.Message | bytes) -> str:
        answer = await self.ask(message)
        assert isinstance(answer, wire.Refusal), answer
        return answer.code


@asynccontextmanager
async def replicating(host: Host, data: Path, told: Callable[[dict[str, Any]], None] = print) -> AsyncIterator[Site]:
    """A replica of a host that is served; it has not looked yet."""
    mirror = Mirror(data, host.keys.server_public)
    replica = Replica(mirror, Origin(host.url), host.key, told, lambda: NOW)
    async with (
        listening(runner(replica.application()), ("127.0.0.1", 0), None) as address,
        aiohttp.ClientSession() as session,
    ):
        yield Site(host, replica, mirror, f"http://{address}", session)


@asynccontextmanager
async def passing_on(host: Host, *urls: str, clock: Callable[[], float] | None = None) -> AsyncIterator[TestServer]:
    """A server that passes queries on to these replicas."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(keys=host.keys, directory=host.directory))
        server.queries.helpers = replicas = Replicas(urls, host.key, clock or (lambda: 0.0))
        await stack.enter_async_context(replicas.connected())
        yield server
