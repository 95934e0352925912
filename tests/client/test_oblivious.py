"""The oblivious transport against a relay that misbehaves in every way it can, and a proxy that is not there."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web

from grue.client.client import Client
from grue.client.store.engine import Store
from grue.client.transport import oblivious as client_side
from grue.client.transport.oblivious import ObliviousTransport, open_transport
from grue.client.transport.tokens import Tokens
from grue.client.transport.transport import Endpoint, Transport, TransportSettings
from grue.errors import (
    BadGatewayKey,
    GrueError,
    NetworkError,
    NotAGrueServer,
    NotARelay,
    ProxyUnreachable,
    RelayUnreachable,
    ServerBusy,
    TimedOut,
    Unreachable,
)
from grue.protocol import oblivious, wire
from grue.protocol.directory.directory import HEAD_PATH
from grue.protocol.tokens import Purpose, epoch_of
from grue.server.oblivious.ohttp_gateway import OhttpKeys
from tests.client.relays import Socks, Way, always, strangers_key
from tests.server.kit import BLOB, Box

SEALED = {size + 1_143 for size in oblivious.REQUEST_SIZES}


def once(first: Any, then: Any) -> Any:
    """Do one thing with the first request, and another with those that follow."""
    ways = iter([first])
    return lambda sealed: next(ways, then)(sealed)


def paid(to: Way, request: wire.CreateMailbox) -> wire.Spend:
    return cast("wire.Spend", to.server.paid(request))


def padded(to: Way) -> bool:
    """All that the relay was given has one of the sizes."""
    return all(len(sealed) in SEALED for sealed in to.relay.taken)


# --- a relay that does its work -------------------------------------------------------------------


async def test_requests_and_files_go_through_the_relay_in_one_of_seven_sizes(to: Way, box: Box) -> None:
    assert await to.transport.anonymous(box.posting()) == wire.Posted(1)
    fetched = await to.transport.anonymous(wire.Fetch(box.id, box.read_key, 0))
    assert isinstance(fetched, wire.Fetched)
    assert [delivery.blob for delivery in fetched.envelopes] == [BLOB]
    assert await to.transport.file(HEAD_PATH) == to.server.directory.file(HEAD_PATH)
    assert len(to.relay.taken) == 3
    assert padded(to)


async def test_no_two_requests_share_what_seals_them(to: Way, box: Box) -> None:
    """Nothing of one sealed request stands in another but the name of the key and of the suite."""
    request = wire.Fetch(box.id, box.read_key, 0)
    for _ in range(4):
        await to.transport.anonymous(request)
    bodies = [sealed[7:] for sealed in to.relay.taken]
    windows = [{body[at : at + 8] for at in range(len(body) - 7)} for body in bodies]
    assert all(not one & other for n, one in enumerate(windows) for other in windows[n + 1 :])


# --- a relay that repeats, swaps, drops, changes --------------------------------------------------


async def test_a_relay_that_carries_every_request_twice_changes_nothing(to: Way, box: Box) -> None:
    async def twice(sealed: bytes) -> web.Response:
        answer = await to.relay.hand_on(sealed)
        again = await to.relay.hand_on(sealed)
        assert again.status == 400
        return answer

    to.relay.post = twice
    assert await to.transport.anonymous(box.posting()) == wire.Posted(1)
    assert await to.transport.anonymous(paid(to, Box(to.server).creation())) == wire.Done()
    assert await box.seqs() == [1]


async def test_a_relay_that_gives_the_refusal_of_a_repetition_leaves_one_effect(to: Way, box: Box) -> None:
    """What the client is given is the second answer, so it asks once more: sealed anew, and done once all the same."""

    async def second(sealed: bytes) -> web.Response:
        await to.relay.hand_on(sealed)
        return await to.relay.hand_on(sealed)

    to.relay.post = once(second, to.relay.hand_on)
    assert await to.transport.anonymous(box.posting()) == wire.Posted(1)
    assert await box.seqs() == [1]


async def test_gateway_03_a_relay_that_swaps_two_answers_is_caught_by_both(to: Way, box: Box) -> None:
    await to.transport.file(HEAD_PATH)
    answers: list[asyncio.Future[web.Response]] = [asyncio.get_running_loop().create_future() for _ in range(2)]
    taken = iter(range(2))

    async def swapped(sealed: bytes) -> web.Response:
        n = next(taken)
        answers[n].set_result(await to.relay.hand_on(sealed))
        other = await answers[1 - n]
        return web.Response(status=other.status, body=other.body, content_type=other.content_type)

    to.relay.post = swapped
    results = await asyncio.gather(*(to.transport.anonymous(box.posting()) for _ in range(2)), return_exceptions=True)
    assert [type(result) for result in results] == [NotAGrueServer] * 2
    assert await box.seqs() == [1, 2]


async def test_gateway_03_an_old_answer_is_not_taken_for_the_new_one(to: Way, box: Box) -> None:
    old = await _answer_of(to, box)

    async def replayed(_sealed: bytes) -> web.Response:
        return web.Response(body=old, content_type=wire.OHTTP_RESPONSE)

    to.relay.post = replayed
    with pytest.raises(NotAGrueServer):
        await to.transport.anonymous(wire.Fetch(box.id, box.read_key, 0))


async def _answer_of(to: Way, box: Box) -> bytes:
    kept: list[bytes] = []

    async def keep(sealed: bytes) -> web.Response:
        answer = await to.relay.hand_on(sealed)
        kept.append(bytes(cast("bytes", answer.body)))
        return answer

    to.relay.post = keep
    await to.transport.anonymous(wire.Fetch(box.id, box.read_key, 0))
    return kept[0]


@pytest.mark.parametrize("change", ["short", "long", "empty", "flipped", "plain"])
async def test_gateway_03_an_answer_that_was_changed_is_none(to: Way, box: Box, change: str) -> None:
    async def changed(sealed: bytes) -> web.Response:
        body = bytearray(cast("bytes", (await to.relay.hand_on(sealed)).body))
        body[-1] ^= change == "flipped"
        bodies = {"short": body[:-1], "long": body + b"\0", "empty": b"", "plain": wire.encode(wire.Done())}
        return web.Response(body=bytes(bodies.get(change, body)), content_type=wire.OHTTP_RESPONSE)

    to.relay.post = changed
    with pytest.raises(NotAGrueServer):
        await to.transport.anonymous(wire.Ack(box.id, box.read_key, 0))


@pytest.mark.parametrize("change", ["short", "long", "empty", "key id", "suite", "high bit", "flipped"])
async def test_gateway_04_05_a_request_that_was_changed_is_sealed_anew_once(to: Way, box: Box, change: str) -> None:
    """`high bit` is the one of X25519's point that the curve ignores: it must not open as another request either."""

    async def changed(sealed: bytes) -> web.Response:
        data = bytearray(sealed)
        places = {"key id": 0, "suite": 2, "high bit": 7 + 1_088 + 31, "flipped": 1_200}
        if change in places:
            data[places[change]] ^= 0x80
        cut = {"short": data[:-1], "long": data + b"\0", "empty": bytearray()}.get(change, data)
        answer = await to.relay.hand_on(bytes(cut))
        assert answer.status == 400
        return answer

    to.relay.post = once(changed, to.relay.hand_on)
    assert await to.transport.anonymous(box.posting()) == wire.Posted(1)
    assert len(to.relay.taken) == 2
    assert len(set(to.relay.taken)) == 2
    assert await box.seqs() == [1]


class Passed:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("started_anew", [False, True])
async def test_gateway_07_who_is_refused_gets_another_key_when_everybody_does(
    to: Way, box: Box, started_anew: bool
) -> None:
    """A gateway that refuses one client alone, and has another key from then on, would else know it by that key."""
    passed = Passed()
    endpoint = Endpoint(to.url, to.server.keys.server_public, TransportSettings(relay=to.relay.url))
    one, other = (ObliviousTransport(endpoint, to.server.clock, passed) for _ in range(2))
    to.relay.common, to.relay.copy = 50, to.server.ohttp_keys.key_file()
    for transport in (one, other):
        await transport.file(HEAD_PATH)
    old, to.server.ohttp_keys = to.server.ohttp_keys, OhttpKeys(to.server.keys.signing, to.server.clock)
    with pytest.raises(ServerBusy) as caught:
        await one.anonymous(box.posting())
    assert (caught.value.retry_after, to.relay.keys_given) == (50, 3), "it asks the relay, which has the same for it"
    passed.now = 49.9
    if not started_anew:
        to.server.ohttp_keys, cheated = old, to.server.ohttp_keys
        for transport in (one, other):
            await transport.anonymous(box.posting())
        to.server.ohttp_keys = cheated
    assert to.relay.keys_given == 3
    passed.now, to.relay.copy = 50, to.server.ohttp_keys.key_file()
    for transport in (one, other):
        await transport.anonymous(box.posting())
    assert to.relay.keys_given == 5, "both seal to the new key, whoever it was made for"
    for transport in (one, other):
        await transport.close()


async def test_gateway_07_a_key_is_used_for_two_minutes_at_most_whatever_the_relay_says(to: Way) -> None:
    for said in (10**5, -1):
        passed, given = Passed(), to.relay.keys_given
        endpoint = Endpoint(to.url, to.server.keys.server_public, TransportSettings(relay=to.relay.url))
        transport = ObliviousTransport(endpoint, to.server.clock, passed)
        to.relay.common = said
        for now, asked in ((0, 1), (119, 1), (120, 2)):
            passed.now = now
            await transport.file(HEAD_PATH)
            assert to.relay.keys_given - given == asked
        await transport.close()


async def test_answers_that_come_in_another_order_find_their_requests(to: Way, box: Box) -> None:
    await to.transport.file(HEAD_PATH)
    await box.post()
    first_waits, taken = asyncio.Event(), iter(range(2))

    async def reordered(sealed: bytes) -> web.Response:
        n = next(taken)
        answer = await to.relay.hand_on(sealed)
        if n == 0:
            await first_waits.wait()
        else:
            first_waits.set()
        return answer

    to.relay.post = reordered
    fetched, head = await asyncio.gather(
        to.transport.anonymous(wire.Fetch(box.id, box.read_key, 0)), to.transport.file(HEAD_PATH)
    )
    assert isinstance(fetched, wire.Fetched)
    assert head == to.server.directory.file(HEAD_PATH)


async def test_a_relay_that_drops_the_answer_leaves_open_what_was_done(to: Way, box: Box) -> None:
    async def dropped(sealed: bytes) -> web.Response:
        await to.relay.hand_on(sealed)
        raise ConnectionResetError

    to.relay.post = dropped
    with pytest.raises(TimedOut):
        await to.transport.anonymous(box.posting())
    assert await box.seqs() == [1]
    assert len(to.relay.taken) == 1


async def test_a_file_without_an_end_is_given_up(to: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that cheats could fill its clients' memory, a MiB at a time."""

    async def more(*_request: object) -> tuple[int, bytes]:
        return oblivious.MORE, bytes(100)

    monkeypatch.setattr(to.server, "relayed", more)
    monkeypatch.setattr(client_side, "MAX_FILE", 1_000)
    with pytest.raises(NotAGrueServer):
        await to.transport.file(HEAD_PATH)
    assert len(to.relay.taken) == 11


# --- a relay that is away, or is none -------------------------------------------------------------

STATUSES: list[tuple[int, dict[str, str], type[GrueError]]] = [
    (502, {"Retry-After": "5"}, TimedOut),
    (503, {"Retry-After": "5"}, ServerBusy),
    (408, {}, TimedOut),
    (500, {}, TimedOut),
    (400, {}, ServerBusy),
]


@pytest.mark.parametrize(("status", "headers", "expected"), STATUSES)
async def test_whatever_a_relay_answers_is_a_failure_of_the_network_and_goes_no_other_way(
    to: Way, box: Box, status: int, headers: dict[str, str], expected: type[GrueError]
) -> None:
    to.relay.post = always(status, headers)
    with pytest.raises(expected) as caught:
        await to.transport.anonymous(box.posting())
    assert isinstance(caught.value, NetworkError)
    # It is no promise that nothing was done, which `Unreachable` is.
    assert not isinstance(caught.value, Unreachable)
    assert await box.seqs() == []


async def test_a_relay_that_is_away_is_unreachable(to: Way, box: Box) -> None:
    transport = to.another(relay="http://127.0.0.1:1")
    for ask in (transport.anonymous(box.posting()), transport.file(HEAD_PATH)):
        with pytest.raises(RelayUnreachable):
            await ask
    assert await box.seqs() == []
    await transport.close()


async def test_what_is_no_relay_is_named_as_such(to: Way) -> None:
    transport = to.another(relay=to.url)
    with pytest.raises(NotARelay):
        await transport.file(HEAD_PATH)
    await transport.close()


@pytest.mark.parametrize("status", [502, 503, 408, 500])
async def test_a_key_that_is_not_given_is_a_relay_that_is_away_and_nothing_was_asked(to: Way, status: int) -> None:
    async def no_key() -> web.Response:
        return web.Response(status=status, headers={"Retry-After": "5"})

    to.relay.key = no_key
    with pytest.raises(RelayUnreachable):
        await to.transport.file(HEAD_PATH)
    assert to.relay.taken == []


async def test_gateway_01_a_key_of_somebody_else_is_refused_and_nothing_is_sealed_to_it(to: Way) -> None:
    to.relay.key = strangers_key(to)
    with pytest.raises(BadGatewayKey):
        await to.transport.file(HEAD_PATH)
    assert to.relay.taken == []


# --- tokens ---------------------------------------------------------------------------------------


@pytest.fixture
async def tokens(to: Way, tmp_path: Path) -> AsyncIterator[Tokens]:
    """One that draws from the server's keys, of which it is not told when it does."""
    store = await Store.open(tmp_path / "client.db", bytes(32))

    async def signed(request: wire.DrawTokens) -> wire.Drawn:
        key = to.server.keys.token_key(Purpose(request.purpose), request.epoch)
        elements, proof = key.evaluate(request.blinded)
        return wire.Drawn(elements, proof)

    async def keys(_fresh: bool) -> list[wire.TokenKey]:
        epoch = epoch_of(to.server.week)
        return [
            wire.TokenKey(purpose.value, epoch, to.server.keys.token_key(purpose, epoch).public) for purpose in Purpose
        ]

    yield Tokens(store, to.transport, signed, keys, os.urandom)
    await store.close()


async def stock(tokens: Tokens) -> int:
    return len(await tokens._store.read(lambda db: db.rows("SELECT nonce FROM token WHERE purpose = 'post'")))


async def ready(tokens: Tokens) -> int:
    await tokens._draw(Purpose.POST)
    return await stock(tokens)


@pytest.mark.parametrize("fault", ["away", "no relay", "bad key", "busy"])
async def test_no_token_is_lost_while_nothing_was_asked(to: Way, tokens: Tokens, fault: str) -> None:
    before, request = await ready(tokens), Box(to.server).creation()

    async def no_key() -> web.Response:
        return web.Response(status={"away": 502, "no relay": 404, "busy": 503}[fault], headers={"Retry-After": "1"})

    to.relay.key = strangers_key(to) if fault == "bad key" else no_key
    for _ in range(3):
        with pytest.raises((RelayUnreachable, NotARelay, BadGatewayKey)):
            await tokens.ask(request)
    assert await stock(tokens) == before
    to.relay.key = to.relay.hand_out
    assert await tokens.ask(request) == wire.Done()
    assert await stock(tokens) == before - 1


@pytest.mark.parametrize("fault", ["lost", "502", "503", "400", "garbled"])
@pytest.mark.parametrize("done", [True, False])
async def test_a_request_that_is_made_again_costs_its_token_once(
    to: Way, tokens: Tokens, fault: str, done: bool
) -> None:
    before, request = await ready(tokens), Box(to.server).creation()

    async def faulty(sealed: bytes) -> web.Response:
        if done:
            await to.relay.hand_on(sealed)
        if fault == "lost":
            raise ConnectionResetError
        status = 200 if fault == "garbled" else int(fault)
        return web.Response(status=status, headers={"Retry-After": "1"})

    to.relay.post = faulty
    for _ in range(3):
        with pytest.raises((NetworkError, NotAGrueServer)):
            await tokens.ask(request)
    to.relay.post = to.relay.hand_on
    assert await tokens.ask(request) == wire.Done()
    assert await stock(tokens) == before - 1


async def test_a_token_that_was_seen_pays_for_nothing_else(to: Way, tokens: Tokens) -> None:
    """Else the server would see one token under two requests, and know that one person made them.

    The relay hands the request on, says that it was refused, and then has no key to give.
    """
    await ready(tokens)
    seen: list[bytes] = []
    anonymous = to.server.anonymous

    async def watched(body: bytes) -> bytes:
        request = wire.ANONYMOUS_REQUEST.decode(body)
        assert isinstance(request, wire.Spend)
        seen.extend(token.nonce for token in request.tokens)
        return await anonymous(body)

    to.server.anonymous = watched  # type: ignore[method-assign]

    async def refused(sealed: bytes) -> web.Response:
        await to.relay.hand_on(sealed)
        to.relay.key = no_key
        return web.Response(status=400)

    async def no_key() -> web.Response:
        return web.Response(status=502)

    to.relay.common = 0
    await to.transport.file(HEAD_PATH)
    to.relay.post = refused
    with pytest.raises(TimedOut):
        await tokens.ask(Box(to.server).creation())
    to.relay.post, to.relay.key = to.relay.hand_on, to.relay.hand_out
    assert await tokens.ask(Box(to.server).creation()) == wire.Done()
    assert len(seen) == len(set(seen)) == 2


# --- through a proxy ------------------------------------------------------------------------------


async def test_names_are_resolved_by_the_proxy_and_each_kind_of_connection_is_a_stranger_to_the_others(
    to: Way, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Socks().running() as socks:
        port = to.relay.url.rpartition(":")[2]
        transport = to.another(relay=f"http://relay.invalid:{port}", proxy=socks.url)
        loop = asyncio.get_running_loop()
        numeric = loop.getaddrinfo

        async def only_addresses(host: Any, *args: Any, **more: Any) -> Any:
            socket.inet_pton(socket.AF_INET, host)
            return await numeric(host, *args, **more)

        monkeypatch.setattr(loop, "getaddrinfo", only_addresses)
        await transport.file(HEAD_PATH)
        relayed = socks.connects[-1]
        assert (relayed.kind, relayed.host) == (3, b"relay.invalid")
        await transport.hello()
        await transport.intro(wire.Fetch(box.id, box.read_key, 0))
        await (await transport.intro_stream()).close()
        await transport.close()
    assert len(socks.connects) == 4
    assert len({connect.user for connect in socks.connects}) == 4


async def test_a_proxy_that_is_away_is_named_and_nothing_goes_without_it(to: Way, box: Box) -> None:
    transport = to.another(proxy="socks5://127.0.0.1:1")
    fetch = wire.Fetch(box.id, box.read_key, 0)
    asks: list[Callable[[], Awaitable[object]]] = [
        lambda: transport.hello(),
        lambda: transport.account(wire.RegisterStart("+447700900123", bytes(32))),
        lambda: transport.anonymous(fetch),
        lambda: transport.intro(fetch),
        lambda: transport.file(HEAD_PATH),
        lambda: transport.intro_stream(),
    ]
    for ask in asks:
        with pytest.raises(ProxyUnreachable):
            await ask()
    await transport.close()
    assert to.relay.keys_given == 0
    assert to.relay.taken == []


# --- the settings ---------------------------------------------------------------------------------


async def test_another_try_to_register_goes_the_way_that_it_is_told(tmp_path: Path) -> None:
    """Else somebody who adds a proxy after a first failure would be seen without it."""
    ways: list[str] = []

    def transport(endpoint: Endpoint) -> Transport:
        ways.append(endpoint.settings.proxy)
        return open_transport(endpoint)

    async with Client(tmp_path / "home", passphrase="of a test", create=True, transport=transport) as client:
        for proxy in ("", "socks5://127.0.0.1:1"):
            with pytest.raises(ProxyUnreachable if proxy else Unreachable):
                await client.register("+447700900001", "http://127.0.0.1:1", proxy=proxy)
    assert ways == ["", "socks5://127.0.0.1:1"]
