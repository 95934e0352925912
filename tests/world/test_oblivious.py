"""Whole clients over a relay: what reaches the server without one, and what stands in what the relay carries."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from grue.client import health
from grue.client.client import Client
from grue.client.context import Account
from grue.client.transport.oblivious import ObliviousTransport
from grue.errors import NetworkError, ServerBusy
from grue.protocol import wire
from grue.protocol.conversation.fallback import Route
from grue.server.mailboxes.streams import Stream
from grue.server.oblivious.ohttp_gateway import OhttpKeys
from grue.testing import World
from grue.testing.network import inner
from grue.testing.world import PASSPHRASE
from tests.client.relays import Relay, always, recorded, relaying
from tests.world.memory import ALICE, BOB, CAROL, NOBODY, take
from tests.world.processes import until

WINDOW = 12
"""Bytes that two requests have in common by chance never."""


class Seen:
    """What a server was given: straight, and through the relay."""

    def __init__(self, straight: list[tuple[str, bytes]]) -> None:
        self.straight = straight
        self.streamed: list[wire.StreamRequest] = []
        self.relayed: list[bytes] = []

    def requests(self) -> list[wire.Message]:
        return [inner(wire.ANONYMOUS_REQUEST.decode(body)) for body in self.relayed if body]


class Relayed:
    """A world whose clients reach the server through a relay."""

    def __init__(self, world: World, url: str, relay: Relay, seen: Seen) -> None:
        self.world = world
        self.url = url
        self.relay = relay
        self.seen = seen
        self.clients: list[Client] = []

    async def person(self, number: str) -> Client:
        client = Client(
            self.world.path / number,
            passphrase=PASSPHRASE,
            create=True,
            transport=lambda endpoint: ObliviousTransport(endpoint, self.world.clock),
            clock=self.world.clock,
        )
        await client.__aenter__()
        self.clients.append(client)
        await client.register(number, self.url, relay=self.relay.url)
        await client.verify(self.world.code(number))
        return client


@pytest.fixture
async def relayed(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Relayed]:
    monkeypatch.setattr("grue.client.transport.oblivious.WAIT_SECONDS", (1, 1))
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        url, straight = await stack.enter_async_context(recorded(world.server))
        relay = await stack.enter_async_context(relaying(f"{url}/2/gateway", session))
        seen = Seen(straight)
        _watch(world, seen, monkeypatch)
        relayed = Relayed(world, url, relay, seen)
        yield relayed
        for client in relayed.clients:
            await client.close()


def _watch(world: World, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    through, received = world.server.relayed, Stream.received

    async def noted(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        seen.relayed.append(body)
        return await through(method, path, body)

    async def noted_frame(stream: Stream, frame: bytes) -> None:
        seen.streamed.append(wire.STREAM_REQUEST.decode(frame))
        await received(stream, frame)

    monkeypatch.setattr(world.server, "relayed", noted)
    monkeypatch.setattr(Stream, "received", noted_frame)


async def live(relayed: Relayed, folder: Path) -> list[Account]:
    """All that a client does: register, look up, send, receive, attach, save, tend, be examined. Returns who did it."""
    alice, bob = [await relayed.person(number) for number in (ALICE, BOB)]
    await alice.lookup(BOB, NOBODY)
    (folder / "photo").write_bytes(b"f" * 100_000)
    await alice.send(BOB, "first")
    assert await take(bob) == ["first"]
    await bob.send(ALICE, "second")
    assert await take(alice) == ["second"]
    sent = await alice.send(BOB, "third", file=folder / "photo")
    assert sent.state
    await bob.poll()
    (message,) = await bob.unshown()
    await bob.save(message.id, folder / "saved")
    assert (folder / "saved").read_bytes() == b"f" * 100_000
    received: list[str] = []
    following = asyncio.create_task(_follow(alice, received))
    await bob.send(ALICE, "fourth")
    await until(lambda: received == ["fourth"])
    following.cancel()
    await asyncio.wait([following])
    for look in (health.check_transport, health.check_server, health.clock_ahead, health.check_directory):
        await look(alice.context)
    await health.check_own_record(alice.context)
    await relayed.world.pass_days(1.5)
    await alice.poll()
    await bob.account.daily_round()
    return [client.context.account for client in (alice, bob)]


async def test_nothing_anonymous_reaches_the_server_but_through_the_relay(relayed: Relayed, tmp_path: Path) -> None:
    accounts = await live(relayed, tmp_path)
    own = {account.intro_mailbox for account in accounts}
    kinds = {type(request).__name__ for request in relayed.seen.requests()}
    expected = {"Ack", "Claim", "CreateMailbox", "Evaluate", "ExchangeSlot", "Fetch", "GetBlob", "Post", "PostIntro"}
    assert expected | {"PutBlob"} <= kinds
    assert b"" in relayed.seen.relayed, "no file of the directory was fetched"
    straight = [(path, body) for path, body in relayed.seen.straight if path != "/2/gateway"]
    assert {path for path, _ in straight} == {"/grue", "/2/account", "/2/anonymous", "/2/stream"}
    for path, body in straight:
        if path == "/2/anonymous":
            request = wire.ANONYMOUS_REQUEST.decode(body)
            assert isinstance(request, (wire.Fetch, wire.Ack))
            assert request.mailbox in own
    assert {request.mailbox for request in relayed.seen.streamed} <= own


async def test_no_request_that_the_relay_carries_names_who_makes_it_or_is_like_another(
    relayed: Relayed, tmp_path: Path
) -> None:
    accounts = await live(relayed, tmp_path)
    secrets = [
        part
        for account in accounts
        for part in (account.id, account.device_public, account.identity_public, account.number.encode())
    ]
    windows: dict[bytes, tuple[str, bytes]] = {}
    for body in filter(None, relayed.seen.relayed):
        assert not any(secret in body for secret in secrets)
        request = inner(wire.ANONYMOUS_REQUEST.decode(body))
        subject = _subject(request) or body
        for at in range(len(body) - WINDOW + 1):
            window = body[at : at + WINDOW]
            name, known = windows.setdefault(window, (type(request).__name__, subject))
            assert known == subject, f"{type(request).__name__} and {name} have {window.hex()} in common"


def _subject(request: Any) -> bytes:
    """What a request is about by its nature: a mailbox, or a part of an attachment."""
    for field in ("mailbox", "intro_mailbox", "id"):
        if hasattr(request, field):
            return bytes(getattr(request, field))
    return b""


async def test_without_the_relay_nothing_is_asked_and_a_lookup_is_unknown(relayed: Relayed) -> None:
    alice, _ = [await relayed.person(number) for number in (ALICE, BOB)]
    await alice.send(BOB, "before")
    before = len([path for path, _ in relayed.seen.straight if path != "/2/gateway"])
    relayed.relay.post = always(502)
    (looked_up,) = await alice.lookup(NOBODY)
    assert looked_up.registered is None
    with pytest.raises(NetworkError):
        await alice.poll()
    straight = [one for one in relayed.seen.straight if one[0] != "/2/gateway"][before:]
    assert {path for path, _ in straight} <= {"/2/anonymous"}
    own = alice.context.account.intro_mailbox
    asked = [wire.ANONYMOUS_REQUEST.decode(body) for _, body in straight]
    assert all(isinstance(request, wire.Fetch) and request.mailbox == own for request in asked)


@pytest.fixture(params=[1, 2])
def tier(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> int:
    """Of the directory and the clients; to be there before the world is."""
    monkeypatch.setenv("GRUE_DIRECTORY_TIER", str(request.param))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return int(request.param)


async def test_hits_and_misses_have_the_same_sizes(tier: int, relayed: Relayed) -> None:
    """What passes a relay for a number that is there, in the base or in the overlay, and for one that is not."""
    alice, _ = [await relayed.person(number) for number in (ALICE, BOB)]
    relayed.world.server.directory.renew()
    await relayed.person(CAROL)
    await alice.lookup("+447700900777")
    passed: list[tuple[int, int]] = []

    async def measured(sealed: bytes) -> web.Response:
        response = await relayed.relay.hand_on(sealed)
        assert isinstance(response.body, bytes)
        passed.append((len(sealed), len(response.body)))
        return response

    relayed.relay.post = measured
    routes, traces = [], []
    for number in (BOB, CAROL, NOBODY):
        passed.clear()
        (looked_up,) = await alice.lookup(number)
        assert looked_up.tier == tier
        routes.append(looked_up.route)
        traces.append(list(passed))
    assert routes == [Route.ENCRYPTED, Route.ENCRYPTED, Route.SMS]
    assert len(traces[0]) > tier, "a head at least, an evaluation, and a query"
    assert traces[1:] == traces[:1] * 2


async def test_receiving_goes_on_by_itself_after_the_gateway_was_started_anew(
    relayed: Relayed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For two minutes the relay has the old key; whoever receives and sends meanwhile is told of no fault."""
    monkeypatch.setattr("grue.client.conversations.receiver.FIRST_RETRY", 0.01)
    monkeypatch.setattr("grue.client.conversations.receiver.LAST_RETRY", 0.01)
    # Every key is one whose two minutes are over.
    relayed.relay.common = 0
    alice, bob = [await relayed.person(number) for number in (ALICE, BOB)]
    await alice.send(BOB, "before")
    assert await take(bob) == ["before"]
    old = relayed.world.server.ohttp_keys.key_file()

    async def old_key() -> web.Response:
        return relayed.relay.key_response(old)

    relayed.relay.key = old_key
    relayed.world.server.ohttp_keys = OhttpKeys(relayed.world.server.keys.signing, relayed.world.clock)
    received: list[str] = []
    following = asyncio.create_task(_follow(bob, received))
    await bob.send(ALICE, "an answer")
    with pytest.raises(ServerBusy):
        await bob.flush()
    asked = len(relayed.relay.taken)
    await until(lambda: len(relayed.relay.taken) > asked + 50)
    assert not following.done()
    relayed.relay.key = relayed.relay.hand_out
    await alice.send(BOB, "after")
    await until(lambda: received == ["after"])
    following.cancel()
    await asyncio.wait([following])
    assert await take(alice) == ["an answer"]


async def _follow(client: Client, received: list[str]) -> None:
    async for message in client.receive():
        received.append(message.text)  # noqa: PERF401 -- as they come
