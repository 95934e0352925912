"""A server, a replica and clients as they are: lookups go to the replica, and go on when it is killed."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from grue.client.client import Client
from grue.protocol import wire
from grue.protocol.conversation.fallback import Route
from grue.server.directory.inspection import build
from grue.server.keys.keys import open_keys, open_replica_key
from grue.server.listening import listening, runner
from tests.world.memory import ALICE, BOB, NOBODY
from tests.world.processes import ProcessWorld, Service, until

pytestmark = pytest.mark.whole


class Balancer:
    """What stands before the replicas: one address, whichever of them runs; and how often one answered."""

    def __init__(self) -> None:
        self.replica = ""
        self.answers = 0

    def application(self) -> web.Application:
        app = web.Application(client_max_size=2 * wire.MAX_REQUEST)
        app.router.add_post("/2/query", self._post)
        return app

    async def _post(self, request: web.Request) -> web.Response:
        headers = {"Authorization": request.headers["Authorization"]}
        body = await request.read()
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"http://{self.replica}/2/query", data=body, headers=headers) as response,
            ):
                answer = await response.read()
        except aiohttp.ClientError:
            return web.Response(status=502)
        self.answers += isinstance(wire.ANONYMOUS_ANSWER.decode(answer), wire.Answers)
        return web.Response(status=response.status, body=answer)


class World(ProcessWorld):
    """With a replica behind a load balancer."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.balancer = Balancer()
        self._stack = AsyncExitStack()
        self._replica: Service | None = None

    async def replicated(self) -> None:
        """Cut a base of who has registered until now, and have a replica answer for it."""
        await self.stop()
        data = self.path / "server"
        await asyncio.to_thread(build, data, None, lambda _phase, _part: None)
        open_replica_key(data, open_keys(data))
        application = self.balancer.application()
        address = await self._stack.enter_async_context(listening(runner(application), ("127.0.0.1", 0), None))
        self.options = ["--replicas", f"http://{address}"]
        await self.start()
        await self.start_replica()

    async def start_replica(self) -> None:
        key = str(self.path / "server" / "replica.key")
        options = ("--of", self.url, "--key", key, "--data", str(self.path / "replica"), "--listen", "127.0.0.1:0")
        replica = self._replica = Service("replica", *options)
        await replica.start()
        self.balancer.replica = replica.address
        await until(lambda: any("epoch" in line for line in replica.lines))

    async def kill_replica(self) -> None:
        assert self._replica is not None
        await self._replica.stop(signal.SIGKILL)
        self._replica = None

    async def close(self) -> None:
        if self._replica is not None:
            assert await self._replica.stop() == 0
        await super().close()
        await self._stack.aclose()


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr("grue.client.store.home.ARGON2_MEMORY_KIB", 64)
    monkeypatch.setenv("GRUE_DIRECTORY_TIER", "2")
    world = World(tmp_path)
    await world.start()
    yield world
    await world.close()


async def route(client: Client, number: str) -> Route:
    (looked_up,) = await client.lookup(number)
    assert (looked_up.tier, looked_up.error) == (2, None)
    return looked_up.route


async def test_lookups_go_to_a_replica_and_go_on_when_it_is_killed_and_when_it_comes_back(world: World) -> None:
    alice = await world.person(ALICE)
    await world.person(BOB)
    await world.replicated()
    assert await route(alice, BOB) is Route.ENCRYPTED
    answered = world.balancer.answers
    assert answered > 0
    await world.kill_replica()
    assert await route(alice, NOBODY) is Route.SMS
    assert world.balancer.answers == answered
    # With what it has on disk; the server is started again as well, since it lets a replica rest for ten seconds.
    await world.start_replica()
    await world.restart()
    assert await route(alice, "+447700900998") is Route.SMS
    assert world.balancer.answers == answered + 1
