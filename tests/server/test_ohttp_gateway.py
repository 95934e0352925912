"""The gateway: what a relay hands on is opened once, answered as any anonymous request, and padded."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from grue._core import OhttpGateway, OhttpRequest, OprfBlind
from grue.errors import BadGatewayKey, NotAGrueServer, ServerBusy, TooLarge
from grue.protocol import oblivious, wire
from grue.protocol.directory.directory import HEAD_PATH
from grue.protocol.oblivious import check_key, open_response, seal_file, seal_request, sign_key
from grue.server.directory.directory import Directory
from grue.server.keys.keys import open_keys
from grue.server.listening import Room
from grue.server.mailboxes import streams
from grue.server.oblivious import ohttp_gateway
from grue.server.oblivious.ohttp_gateway import KEY_REQUESTS, KEY_SECONDS, OhttpKeys, Replays, Reply
from tests.server.kit import BLOB, TestServer, key_hash, serving

MAILBOX, READ, WRITE = b"m" * 32, b"r" * 32, b"w" * 32
SEALING = 1_143
"""Bytes that sealing adds to a request."""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[TestServer]:
    keys = open_keys(tmp_path)
    async with serving(tmp_path / "server.db", keys=keys, directory=Directory(tmp_path, keys)) as server:
        await server.ask(wire.CreateMailbox(MAILBOX, key_hash(WRITE), key_hash(READ), []))
        yield server


def config(server: TestServer) -> bytes:
    return check_key(server.ohttp_keys.key_file(), server.keys.server_public, int(server.clock())).config


async def answered(server: TestServer, sealed: bytes) -> Reply:
    with Room(1 << 30).place() as place:
        return await ohttp_gateway.answer(server.ohttp_keys, server.relayed, sealed, place)


async def through(server: TestServer, request: wire.Message) -> wire.AnonymousAnswer:
    sealed = seal_request(config(server), wire.encode(request))
    reply = await answered(server, sealed.data)
    assert (reply.status, reply.media) == (200, "message/ohttp-res")
    status, body = open_response(sealed.request, reply.body)
    assert status == 200
    return wire.ANONYMOUS_ANSWER.decode(body)


async def held(server: TestServer) -> int:
    """Envelopes in the mailbox."""
    fetched = await server.ask(wire.Fetch(MAILBOX, READ, 0))
    return len(fetched.envelopes)


def post(n: int = 1) -> wire.Post:
    return wire.Post(MAILBOX, WRITE, n.to_bytes(16, "big"), BLOB)


def is_refused(reply: Reply) -> bool:
    """Refused in the open, in the words of RFC 9458, section 6.3, and with nothing of the request in them."""
    return reply.status == 400 and reply.media == "application/problem+json" and len(reply.body) < 100


# --- answers --------------------------------------------------------------------------------------


async def test_a_sealed_request_is_answered_as_an_open_one(server: TestServer) -> None:
    assert isinstance(await through(server, post()), wire.Posted)
    fetched = await through(server, wire.Fetch(MAILBOX, READ, 0))
    assert fetched == await server.ask(wire.Fetch(MAILBOX, READ, 0))
    assert isinstance(fetched, wire.Fetched)
    assert [delivery.blob for delivery in fetched.envelopes] == [BLOB]


async def test_what_is_paid_for_is_paid_for_through_the_gateway_too(server: TestServer) -> None:
    create = wire.CreateMailbox(b"n" * 32, key_hash(WRITE), key_hash(READ), [])
    refused = await through(server, create)
    assert isinstance(refused, wire.Refusal)
    assert refused.code == "token_needed"
    assert await through(server, server.paid(create)) == wire.Done()


async def test_files_come_in_parts(server: TestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = server.directory.file(HEAD_PATH)
    assert whole is not None
    monkeypatch.setattr(oblivious, "CHUNK", 50)
    got = b""
    statuses: list[int] = []
    while not statuses or statuses[-1] == oblivious.MORE:
        sealed = seal_file(config(server), HEAD_PATH, len(got))
        status, part = open_response(sealed.request, (await answered(server, sealed.data)).body)
        statuses.append(status)
        got += part
    assert got == whole
    assert statuses == [oblivious.MORE] * ((len(whole) - 1) // 50) + [oblivious.OK]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/2/directory/999/base?from=0", 404),
        ("GET", "/2/directory/../server.key?from=0", 404),
        ("GET", "/2/directory/head", 400),
        ("GET", "/2/directory/head?from=-1", 400),
        ("GET", "/2/anonymous", 400),
        ("POST", "/2/directory/head?from=0", 400),
        ("POST", "/2/account", 400),
        ("POST", "/2/stream", 400),
        ("POST", "/", 400),
    ],
)
async def test_only_anonymous_requests_and_files_come_through(
    server: TestServer, method: str, path: str, status: int
) -> None:
    request, data = OhttpRequest.seal(config(server), method, path, b"", 1_536)
    assert open_response(request, (await answered(server, data)).body) == (status, b"")


async def test_without_room_only_what_reads_goes_unanswered(server: TestServer) -> None:
    """What was paid for is answered: its tokens are spent."""
    for n in range(2):
        await server.ask(wire.Post(MAILBOX, WRITE, n.to_bytes(16, "big"), bytes(65_536)))
    elements = [OprfBlind.blind(str(n).encode()).element for n in range(wire.MAX_EVALUATIONS)]
    evaluate = server.paid(wire.Evaluate(server.directory.manifest.oprf_epoch, elements))
    room = Room(ohttp_gateway.RESERVED)
    for request, status in ((wire.Fetch(MAILBOX, READ, 0), None), (post(3), 200), (evaluate, 200)):
        sealed = seal_request(config(server), wire.encode(request))
        with room.place() as place:
            if status is None:
                with pytest.raises(ServerBusy):
                    await ohttp_gateway.answer(server.ohttp_keys, server.relayed, sealed.data, place)
            else:
                assert (
                    await ohttp_gateway.answer(server.ohttp_keys, server.relayed, sealed.data, place)
                ).status == status
        assert room.bytes == 0


# --- sizes ----------------------------------------------------------------------------------------

GATEWAY = OhttpGateway.from_seed(bytes(32), 1)


@given(st.sampled_from(oblivious.REQUEST_SIZES), st.integers(-200, 0))
def test_a_request_has_one_of_seven_sizes(size: int, less: int) -> None:
    room = size - oblivious.FRAMING - len(oblivious.ANONYMOUS_PATH)
    sealed = seal_request(GATEWAY.config, bytes(room + less))
    assert len(sealed.data) == size + SEALING
    assert len(sealed.data) <= wire.MAX_REQUEST


@given(st.sampled_from(oblivious.RESPONSE_SIZES), st.integers(-200, 0))
def test_a_response_has_one_of_six_sizes(size: int, less: int) -> None:
    sealed = seal_request(GATEWAY.config, b"")
    exchange, _, _, _ = GATEWAY.open(sealed.data)
    body = os.urandom(max(0, size - oblivious.FRAMING + less))
    response = oblivious.seal_response(exchange, 200, body)
    assert len(response) == size + 48
    assert open_response(sealed.request, response) == (200, body)


def test_what_fits_no_size_is_refused() -> None:
    with pytest.raises(TooLarge):
        seal_request(GATEWAY.config, bytes(oblivious.REQUEST_SIZES[-1]))
    exchange, _, _, _ = GATEWAY.open(seal_request(GATEWAY.config, b"").data)
    with pytest.raises(TooLarge):
        oblivious.seal_response(exchange, 200, bytes(oblivious.RESPONSE_SIZES[-1]))


async def test_a_whole_page_of_a_mailbox_fits_a_response(server: TestServer) -> None:
    for n in range(16):
        await server.ask(wire.Post(MAILBOX, WRITE, n.to_bytes(16, "big"), bytes(65_536)))
    fetched = await through(server, wire.Fetch(MAILBOX, READ, 0))
    assert isinstance(fetched, wire.Fetched)
    assert len(fetched.envelopes) == 15


# --- what is refused ------------------------------------------------------------------------------


async def test_gateway_06_a_request_opens_once(server: TestServer) -> None:
    sealed = seal_request(config(server), wire.encode(post()))
    assert (await answered(server, sealed.data)).status == 200
    assert is_refused(await answered(server, sealed.data))
    assert await held(server) == 1


async def test_gateway_06_a_poll_cannot_be_repeated_to_see_whether_something_came(server: TestServer) -> None:
    sealed = seal_request(config(server), wire.encode(wire.Fetch(MAILBOX, READ, 0)))
    first = await answered(server, sealed.data)
    for n in range(3):
        await server.ask(post(n))
    again = await answered(server, sealed.data)
    assert first.status == 200
    assert is_refused(again)


@pytest.mark.parametrize("change", ["short", "long", "empty", "one byte", "first", "last", "middle"])
async def test_gateway_05_what_was_changed_on_the_way_does_nothing(server: TestServer, change: str) -> None:
    data = bytearray(seal_request(config(server), wire.encode(post())).data)
    match change:
        case "short":
            data = data[:-1]
        case "long":
            data.append(0)
        case "empty":
            data.clear()
        case "one byte":
            data = data[:1]
        case "first":
            data[1] ^= 1
        case "last":
            data[-1] ^= 1
        case "middle":
            data[700] ^= 1
    assert is_refused(await answered(server, bytes(data)))
    assert await held(server) == 0


@given(st.binary(max_size=2000))
def test_gateway_05_any_bytes_are_refused(data: bytes) -> None:
    assert isinstance(ALONE.open(data), Reply)


async def test_gateway_04_another_key_or_a_wrong_key_id_is_refused(server: TestServer) -> None:
    right = seal_request(config(server), wire.encode(post())).data
    wrong = bytes([right[0] ^ 1]) + right[1:]
    stranger = seal_request(OhttpGateway.from_seed(b"s" * 32, right[0]).config, wire.encode(post())).data
    for data in (wrong, stranger):
        assert is_refused(await answered(server, data))
    assert await held(server) == 0


async def test_gateway_03_a_response_of_somebody_else_does_not_open(server: TestServer) -> None:
    one, other = (seal_request(config(server), wire.encode(post(n))) for n in (1, 2))
    answer = (await answered(server, one.data)).body
    with pytest.raises(NotAGrueServer):
        open_response(other.request, answer)


async def test_gateway_05_a_large_request_is_opened_where_it_holds_nobody_up(server: TestServer) -> None:
    threads = []

    class Noting:
        """Opens as the key does."""

        def open(self, request: bytes) -> Any:
            threads.append(threading.current_thread() is threading.main_thread())
            return real.open(request)

    key = server.ohttp_keys._keys[-1]
    real, key.gateway = key.gateway, cast("OhttpGateway", Noting())
    for blob in (BLOB, bytes(65_536)):
        sealed = seal_request(real.config, wire.encode(wire.Post(MAILBOX, WRITE, os.urandom(16), blob))).data
        assert (await answered(server, sealed)).status == 200
        assert is_refused(await answered(server, sealed)), "it opens once, wherever it is opened"
    assert threads == [True, True, False, False]
    assert await held(server) == 2


# --- keys -----------------------------------------------------------------------------------------

SIGNING = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC = SIGNING.public_key().public_bytes_raw()
ALONE = OhttpKeys(SIGNING, lambda: 1_800_000_000.0)


class Time:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def sealed_now(own: OhttpKeys, now: float) -> bytes:
    return seal_request(check_key(own.key_file(), PUBLIC, int(now)).config, b"x").data


def test_a_key_opens_for_an_hour_after_it_was_handed_out_and_then_for_nobody() -> None:
    time = Time()
    own = OhttpKeys(SIGNING, time)
    first_file = own.key_file()
    early, later, late = (sealed_now(own, time.now) for _ in range(3))
    time.now += KEY_SECONDS - 1
    assert own.key_file() == first_file
    assert not isinstance(own.open(early), Reply)
    time.now += 1
    assert own.key_file() != first_file
    time.now += KEY_SECONDS - 1
    assert not isinstance(own.open(later), Reply)
    time.now += 1
    assert isinstance(own.open(late), Reply)
    with pytest.raises(BadGatewayKey):
        check_key(first_file, PUBLIC, int(time.now))


def test_the_key_is_handed_out_again_when_the_clock_is_set_back() -> None:
    time = Time()
    own = OhttpKeys(SIGNING, time)
    before = own.key_file()
    time.now -= 10 * 365 * 86_400
    assert own.key_file() != before
    assert not isinstance(own.open(sealed_now(own, time.now)), Reply)


def test_a_key_that_has_opened_all_its_filter_holds_is_replaced() -> None:
    own = OhttpKeys(SIGNING, Time())
    before = own.key_file()
    own._keys[-1].replays.count = KEY_REQUESTS
    assert own.key_file() != before


def test_nothing_of_a_key_is_there_after_a_start(tmp_path: Path) -> None:
    """The keys are in memory only, so nobody who finds the disk opens what was recorded."""
    keys = open_keys(tmp_path)
    one, two = (OhttpKeys(keys.signing, Time()) for _ in range(2))
    key = check_key(one.key_file(), keys.server_public, 1_800_000_000)
    assert key.config != check_key(two.key_file(), keys.server_public, 1_800_000_000).config
    assert isinstance(two.open(seal_request(key.config, b"x").data), Reply)


@given(st.integers(0, 2_000), st.integers(1, 255))
def test_gateway_01_a_key_file_with_any_change_is_refused(place: int, change: int) -> None:
    file = bytearray(ALONE.key_file())
    file[place % len(file)] ^= change
    with pytest.raises(BadGatewayKey):
        check_key(bytes(file), PUBLIC, 1_800_000_000)


def test_gateway_01_a_signature_for_something_else_is_none() -> None:
    body = wire.encode(wire.GatewayKey(GATEWAY.config, 2**40))
    file = wire.encode(wire.SignedFile(body, SIGNING.sign(b"grue manifest v1" + body)))
    with pytest.raises(BadGatewayKey):
        check_key(file, PUBLIC, 0)


def test_gateway_02_a_key_past_its_time_is_refused() -> None:
    file = sign_key(wire.GatewayKey(GATEWAY.config, 1_000), SIGNING)
    assert check_key(file, PUBLIC, 999).config == GATEWAY.config
    with pytest.raises(BadGatewayKey):
        check_key(file, PUBLIC, 1_000)


def test_a_signed_key_that_is_no_key_is_refused_when_it_is_used() -> None:
    with pytest.raises(BadGatewayKey):
        seal_request(b"no configuration", b"")


@given(st.sets(st.binary(max_size=40), max_size=50))
def test_the_filter_knows_every_request_again(requests: set[bytes]) -> None:
    seen = Replays()
    for request in requests:
        seen.add(request)
    assert not any(seen.add(request) for request in requests)


def test_the_filter_takes_few_new_requests_for_repeated_ones() -> None:
    seen = Replays()
    taken_for_new = sum(seen.add(n.to_bytes(4, "big")) for n in range(20_000))
    assert taken_for_new > 19_990


# --- long polls -----------------------------------------------------------------------------------


def poll(after: int = 0, wait: int = 30) -> wire.Fetch:
    return wire.Fetch(MAILBOX, READ, after, wait=wait)


async def waiting(server: TestServer) -> None:
    """Until a poll waits."""
    while not server.streams._polling:  # noqa: ASYNC110 -- there is no event of it
        await asyncio.sleep(0)


async def test_a_poll_returns_when_something_comes(server: TestServer) -> None:
    asked = asyncio.create_task(server.ask(poll()))
    await waiting(server)
    await server.ask(post())
    fetched = await asked
    assert [delivery.seq for delivery in fetched.envelopes] == [1]
    assert server.streams._polls == {}


async def test_a_poll_with_something_there_does_not_wait(server: TestServer) -> None:
    await server.ask(post())
    fetched = await server.ask(poll())
    assert len(fetched.envelopes) == 1


async def test_a_poll_ends_empty_after_its_time(server: TestServer) -> None:
    fetched = await server.ask(poll(wait=1))
    assert fetched.envelopes == []
    assert server.streams._polling == 0


async def test_a_poll_hears_that_its_mailbox_is_gone(server: TestServer) -> None:
    asked = asyncio.create_task(server.ask(poll()))
    await waiting(server)
    await server.ask(wire.RemoveReader(MAILBOX, READ))
    assert (await asked).code == "no_such_mailbox"


async def test_no_poll_waits_for_longer_than_the_server_runs(server: TestServer) -> None:
    asked = asyncio.create_task(server.ask(poll()))
    await waiting(server)
    async with asyncio.timeout(poll().wait / 2):
        server.streams.let_go()
        assert (await asked).envelopes == []
        assert (await server.ask(poll())).envelopes == []
    assert server.streams._polling == 0


async def test_polls_beyond_the_limit_are_answered_at_once(server: TestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_POLLS", 0)
    assert (await server.ask(poll())).envelopes == []


async def test_a_poll_takes_no_stranger_in(server: TestServer) -> None:
    assert await server.code(wire.Fetch(MAILBOX, b"x" * 32, 0, wait=30)) == "not_permitted"


# --- files of an epoch that has ended -------------------------------------------------------------


async def test_a_download_goes_on_after_a_new_base_was_cut(server: TestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.directory.put_many(os.urandom(128) for _ in range(5))
    epoch = server.directory.manifest.epoch
    base = server.directory.file(f"{epoch}/base")
    assert base is not None
    server.directory.put_many(os.urandom(128) for _ in range(5))
    assert server.directory.manifest.epoch != epoch
    monkeypatch.setattr(oblivious, "CHUNK", 200)
    got = b""
    for status in (206, 206, 206, 200):
        sealed = seal_file(config(server), f"{epoch}/base", len(got))
        said, part = open_response(sealed.request, (await answered(server, sealed.data)).body)
        assert said == status
        got += part
    assert got == base
    assert server.directory.part(f"{epoch}/base", 10_000, 200) == (b"", False)
    assert server.directory.part(f"{epoch - 7}/base", 0, 200) is None
