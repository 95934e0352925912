"""What each way to the server shows to whom: clients, a relay and a server on real sockets, all written down."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from grue.client.client import Client
from grue.client.transport.oblivious import open_transport
from grue.client.transport.transport import Endpoint, Transport, TransportSettings
from grue.errors import GrueError, NetworkError, ProxyUnreachable, RelayUnreachable
from grue.exposure.scanner import encodings
from grue.protocol import oblivious, wire
from grue.protocol.conversation.fallback import Route
from grue.server import http, listening
from grue.server.oblivious.relay import Relay
from grue.testing import World
from grue.testing.world import PASSPHRASE
from tests.world.memory import ALICE, BOB, NOBODY, take

pytestmark = pytest.mark.tiers

SEALING = 1_143
"""Bytes that sealing adds to a request."""
HEADER = 7
"""Bytes at the front of a sealed request that say key and suite (RFC 9458, section 4.3)."""
SECRET = "the observatory at midnight"


@dataclass
class Asked:
    """One request as it came in."""

    path: str
    method: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass
class Front:
    """A site on a port of its own, with everything that it was asked."""

    runner: web.AppRunner
    url: str
    asked: list[Asked] = field(default_factory=list)


@asynccontextmanager
async def listening_at(app: web.Application, *, whole: bool) -> AsyncIterator[Front]:
    """`whole` is with the requests' bodies, for an application that does not read them bit by bit."""
    front = Front(listening.runner(app), "")

    @web.middleware
    async def noted(request: web.Request, handler: http.Handler) -> web.StreamResponse:
        body = await request.read() if whole and request.method == "POST" else b""
        front.asked.append(Asked(request.path, request.method, tuple(request.headers.items()), body))
        return await handler(request)

    app.middlewares.insert(0, noted)
    await front.runner.setup()
    await web.TCPSite(front.runner, "127.0.0.1", 0).start()
    front.url = f"http://127.0.0.1:{front.runner.addresses[0][1]}"
    try:
        yield front
    finally:
        await front.runner.cleanup()


class RelayedWorld(World):
    """The world in memory behind real sockets: `server` is asked straight or by `relay`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.front: Front
        self.relay: Front

    @property
    def straight(self) -> list[Asked]:
        """What the server was asked on other connections than the relay's."""
        return [asked for asked in self.front.asked if asked.path != "/2/gateway"]

    @property
    def sealed(self) -> list[bytes]:
        """What passed through the relay: it hands on what it is given, byte for byte."""
        return [asked.body for asked in self.front.asked if asked.path == "/2/gateway" and asked.method == "POST"]

    async def open_relayed(self, name: str) -> Client:
        client = Client(
            self.path / name, passphrase=PASSPHRASE, create=True, transport=open_transport, clock=self.clock
        )
        await client.__aenter__()
        self._clients.append(client)
        return client

    async def relayed_person(self, number: str) -> Client:
        client = await self.open_relayed(number)
        await client.register(number, self.front.url, relay=self.relay.url)
        await client.verify(self.code(number))
        return client


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[RelayedWorld]:
    # The transport checks the key's time by the machine's clock, which the world's need not be near.
    world = RelayedWorld(tmp_path)
    world.clock.now = time.time()
    await world.start()
    async with AsyncExitStack() as stack:
        world.front = await stack.enter_async_context(listening_at(http.application(world.server), whole=True))
        relay = Relay(world.front.url).application()
        world.relay = await stack.enter_async_context(listening_at(relay, whole=False))
        yield world
        await world.close()


async def talked(world: RelayedWorld) -> tuple[Client, Client]:
    """Two people who looked each other up, wrote, and answered, all through the relay."""
    alice, bob = await world.relayed_person(ALICE), await world.relayed_person(BOB)
    await alice.send(BOB, SECRET)
    assert await take(bob) == [SECRET]
    await bob.send(ALICE, "I shall be there")
    assert await take(alice) == ["I shall be there"]
    return alice, bob


# --- through a relay ------------------------------------------------------------------------------


async def test_through_a_relay_the_server_is_asked_straight_for_the_accounts_own_only(world: RelayedWorld) -> None:
    alice, bob = await talked(world)
    assert {asked.path for asked in world.straight} == {"/grue", "/2/account", "/2/anonymous"}
    own = {client.context.account.intro_mailbox for client in (alice, bob)}
    for asked in world.straight:
        if asked.path == "/2/anonymous":
            request = wire.ANONYMOUS_REQUEST.decode(asked.body)
            assert isinstance(request, wire.Fetch | wire.Ack)
            assert request.mailbox in own


async def test_a_stream_of_conversations_through_a_relay_is_polls_and_no_socket(world: RelayedWorld) -> None:
    _alice, bob = await talked(world)
    transport = bob.context.transport
    stream = await transport.stream()
    before = len(world.straight)
    await stream.send(wire.Subscribe(bytes(32), bytes(32), 0))
    async for push in stream.pushes():
        assert isinstance(push, wire.NotSubscribed)
        break
    assert len(world.straight) == before
    assert world.relay.asked[-1].method == "POST"


async def test_a_relay_is_given_requests_of_seven_sizes_and_nothing_of_what_they_ask(world: RelayedWorld) -> None:
    alice, bob = await talked(world)
    assert {len(sealed) - SEALING for sealed in world.sealed} <= set(oblivious.REQUEST_SIZES)
    names = [name for client in (alice, bob) for name in names_of(client)]
    forms = [form for name in names for form in encodings.of_bytes(name)]
    forms += [form for number in (ALICE, BOB) for form in encodings.of_number(number)]
    forms += encodings.of_text(SECRET)
    given = b"\n".join(world.sealed)
    assert len(world.sealed) > 10
    assert [form for form in forms if form in given] == []


def names_of(client: Client) -> list[bytes]:
    own = client.context.account
    return [own.id, own.identity_public, own.device_public, own.intro_mailbox]


async def test_two_clients_say_nothing_to_a_relay_that_tells_them_apart_but_their_addresses(
    world: RelayedWorld,
) -> None:
    await talked(world)
    posts = [asked for asked in world.relay.asked if asked.method == "POST"]
    assert len({tuple(item for item in asked.headers if item[0] != "Content-Length") for asked in posts}) == 1
    # The key's name and the suite are everybody's; what follows is random.
    assert len({sealed[:HEADER] for sealed in world.sealed}) == 1
    assert len({sealed[HEADER : HEADER + 16] for sealed in world.sealed}) == len(posts) > 10


async def test_without_its_relay_nothing_is_asked_in_another_way_and_no_sms_goes(world: RelayedWorld) -> None:
    alice = await world.relayed_person(ALICE)
    await world.relay.runner.cleanup()
    straight, sms = len(world.straight), len(world.carrier.delivered)
    (looked_up,) = await alice.lookup(NOBODY)
    assert (looked_up.route, type(looked_up.error)) == (Route.UNKNOWN, RelayUnreachable)
    with pytest.raises(NetworkError):
        await alice.send(NOBODY, SECRET, sms=True)
    assert len(world.straight) == straight
    assert len(world.carrier.delivered) == sms


# --- through a proxy ------------------------------------------------------------------------------


class Proxy:
    """A SOCKS5 proxy that notes where each connection should go, under which name, and connects none."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        """User name and destination."""
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            _version, methods = await reader.readexactly(2)
            await reader.readexactly(methods)
            writer.write(b"\x05\x02")
            _version, length = await reader.readexactly(2)
            user = await reader.readexactly(length)
            await reader.readexactly((await reader.readexactly(1))[0])
            writer.write(b"\x01\x00")
            *_, kind = await reader.readexactly(4)
            length = (await reader.readexactly(1))[0] if kind == 3 else 4
            name = await reader.readexactly(length)
            await reader.readexactly(2)
            self.asked.append((user.decode(), name.decode() if kind == 3 else f"resolved: {name.hex()}"))
            writer.write(b"\x05\x01\x00\x01" + bytes(6))
            await writer.drain()
        finally:
            writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    proxy = Proxy()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"socks5://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield proxy


async def ask_everything(transport: Transport) -> None:
    """One attempt on each kind of connection."""
    start = wire.RegisterStart(ALICE, bytes(32))
    poll = wire.Fetch(bytes(32), bytes(32), 0)
    for attempt in (
        transport.account(start),
        transport.anonymous(poll),
        transport.intro_stream(),
        transport.file("head"),
    ):
        with pytest.raises(GrueError) as failure:
            await attempt
        assert isinstance(failure.value, ProxyUnreachable)


@pytest.mark.parametrize("relay", ["", "https://relay.test"])
async def test_each_kind_of_connection_has_credentials_of_its_own_and_names_are_resolved_at_the_proxys_end(
    proxy: Proxy, relay: str
) -> None:
    seen: defaultdict[str, set[str]] = defaultdict(set)
    for _ in range(2):
        proxy.asked.clear()
        settings = TransportSettings(relay, proxy.url)
        transport = open_transport(Endpoint("https://grue.test", bytes(32), settings))
        await ask_everything(transport)
        await transport.close()
        # In the order asked: account, anonymous, the intro mailbox's stream, a file, which is anonymous too.
        (account, _), (anonymous, to), (stream, _), (file, _) = proxy.asked
        assert to == ("relay.test" if relay else "grue.test")
        assert {where for _, where in proxy.asked} <= {"grue.test", "relay.test"}
        assert len({account, anonymous, stream}) == 3
        assert file == anonymous
        seen["users"] |= {account, anonymous, stream}
    assert len(seen["users"]) == 6, "and others the next time"
