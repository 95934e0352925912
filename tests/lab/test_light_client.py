"""Light clients against the real one: the same requests, in the same order, of the same size to the byte."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from grue.client.account import KEY_PACKAGES as REAL_KEY_PACKAGES
from grue.client.client import Client
from grue.exposure.captures import RELAYED
from grue.exposure.decode import names
from grue.lab import light_client
from grue.lab.light_client import LightClient
from grue.lab.taps import Tapes, sealed_size
from grue.protocol import oblivious, wire
from grue.server.app import Server
from grue.server.oblivious.ohttp_gateway import Reply
from grue.testing import World

ALICE, BOB = "+447700900111", "+447700900222"
NOW = 1_800_000_000.0

Asked = list[tuple[str, int]]
"""Kind and bytes of each request."""

POLLING = frozenset({"Fetch", "Ack"})
"""How often the real client asks depends on when it is told to; what it does besides does not."""


@pytest.fixture(autouse=True)
def tier_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lab's light clients have the table at home."""
    monkeypatch.setenv("GRUE_DIRECTORY_TIER", "1")


def watched(server: Server) -> Asked:
    """Every request from now on, by what is inside."""
    asked: Asked = []
    forms: dict[str, Any] = {"anonymous": wire.ANONYMOUS_REQUEST, "account": wire.ACCOUNT_REQUEST}

    def watch(role: str, answer: Callable[[bytes], Awaitable[bytes]]) -> Callable[[bytes], Awaitable[bytes]]:
        async def noting(body: bytes) -> bytes:
            message = forms[role].decode(body)
            if isinstance(message, wire.Spend):
                message = wire.PRICED.decode(message.body)
            elif isinstance(message, wire.Signed):
                message = wire.SIGNED_REQUEST.decode(message.body)
            asked.append((type(message).__name__, len(body)))
            return await answer(body)

        return noting

    for role in forms:
        setattr(server, role, watch(role, getattr(server, role)))
    return asked


def without_polls(asked: Asked) -> Asked:
    return [one for one in asked if one[0] not in POLLING]


async def online(*clients: Client) -> None:
    for client in (*clients, *clients):
        await client.poll()
        await client.unshown()


async def real(folder: Path, messages: list[tuple[str, str]]) -> Asked:
    """Two real clients; a message, and both look what there is."""
    async with World(folder, now=NOW) as world:
        clients = {ALICE: await world.person(ALICE), BOB: await world.person(BOB)}
        await online(*clients.values())
        asked = watched(world.server)
        for sender, to in messages:
            await clients[sender].send(to, "a text")
            await online(clients[to], clients[sender])
    return asked


@asynccontextmanager
async def light(folder: Path, relayed: bool) -> AsyncIterator[tuple[World, dict[str, LightClient], Tapes]]:
    async with World(folder, now=NOW) as world:
        tapes = Tapes()
        addresses = {ALICE: "2001:db8::a", BOB: "2001:db8::b"}
        people = {
            number: LightClient(world, number, lambda at=at: at, tapes, relayed, draws=True)  # type: ignore[misc]
            for number, at in addresses.items()
        }
        for client in people.values():
            await client.register(world.code)
        yield world, people, tapes


async def write(people: dict[str, LightClient], messages: list[tuple[str, str]]) -> None:
    for sender, to in messages:
        who, whom = people[sender], people[to]
        if to in who.conversations:
            await who.text(whom)
        else:
            await who.look_up(to)
            await who.first_contact(whom)


@pytest.mark.parametrize(
    "messages",
    [
        [(ALICE, BOB)],
        [(ALICE, BOB), (BOB, ALICE)],
        [(ALICE, BOB), (BOB, ALICE), (ALICE, BOB), (ALICE, BOB), (BOB, ALICE)],
    ],
    ids=["first contact", "an answer", "a talk"],
)
@pytest.mark.parametrize("relayed", [False, True], ids=["direct", "oblivious"])
async def test_a_light_client_asks_what_the_real_one_asks(
    tmp_path: Path, relayed: bool, messages: list[tuple[str, str]]
) -> None:
    expected = await real(tmp_path / "real", messages)
    async with light(tmp_path / "light", relayed) as (world, people, _):
        asked = watched(world.server)
        await write(people, messages)
    assert without_polls(asked) == without_polls(expected)


async def test_what_waits_is_read_when_a_request_is_accepted(tmp_path: Path) -> None:
    for relayed in (False, True):
        async with light(tmp_path / str(relayed), relayed) as (world, people, tapes):
            await write(people, [(ALICE, BOB), (ALICE, BOB), (ALICE, BOB), (BOB, ALICE)])
            for _ in range(2):
                # Acknowledgements, which nobody waits for, ride with a later commit.
                await world.server.store.flush()
            kinds = [names(event) for event in tapes.server]
            head = people[ALICE].conversations[BOB].seq
            rows = await world.server.store.read(_cursors, people[ALICE].conversations[BOB].id)
        assert kinds.count("ExchangeSlot") == 1
        assert rows == [(head,), (head,)]


async def _cursors(tx: Any, mailbox: bytes) -> Any:
    return await tx.rows("SELECT cursor FROM reader WHERE mailbox = $1", mailbox)


async def test_registration_differs_by_the_number_of_key_packages_and_a_check_in(tmp_path: Path) -> None:
    async with World(tmp_path / "real", now=NOW) as world:
        expected = watched(world.server)
        await world.person(ALICE)
    async with World(tmp_path / "light", now=NOW) as world:
        asked = watched(world.server)
        await LightClient(world, ALICE, lambda: "2001:db8::a", Tapes(), True, draws=True).register(world.code)
    uploads = [size for kind, size in expected if kind == "UploadKeyPackages"]
    shorter = [size for kind, size in asked if kind == "UploadKeyPackages"]
    packages = (uploads[0] - shorter[0]) / (REAL_KEY_PACKAGES - light_client.KEY_PACKAGES)
    assert packages == pytest.approx(2750, rel=0.05)
    apart = {"UploadKeyPackages", "CheckIn", *POLLING}
    assert [one for one in asked if one[0] not in apart] == [one for one in expected if one[0] not in apart]


async def test_by_a_relay_the_server_is_given_no_address_with_what_is_anonymous(tmp_path: Path) -> None:
    async with light(tmp_path, True) as (_, people, tapes):
        await write(people, [(ALICE, BOB), (BOB, ALICE)])
    anonymous = [event for event in tapes.server if event.where.endswith("/anonymous")]
    assert {event.address for event in anonymous} == {RELAYED}
    assert len({event.connection for event in anonymous}) == len(anonymous) / 2
    assert {one.address for one in tapes.relay} == {"2001:db8::a", "2001:db8::b"}


@pytest.mark.parametrize("length", [10, 1116, 1537, 16520, 200_000])
async def test_sealed_sizes_are_those_of_what_is_really_sealed(tmp_path: Path, length: int) -> None:
    async with World(tmp_path, now=NOW) as world:
        config = wire.GATEWAY_KEY.decode(wire.SIGNED_FILE.decode(world.server.ohttp_keys.key_file()).body).config
        sealed = oblivious.seal_request(config, bytes(length))
        opened = world.server.ohttp_keys.open(sealed.data)
        assert not isinstance(opened, Reply)
        answered = oblivious.seal_response(opened[0], 200, bytes(length))
    assert sealed_size(length, up=True) == len(sealed.data)
    assert sealed_size(length, up=False) == len(answered)
