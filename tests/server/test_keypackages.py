"""Key packages: one for each stranger, the last resort for when there are none, and only the device's own."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from grue._core import MLS_CERTIFICATE_CONTEXT, MlsSession, mls_credential
from grue.errors import BadRequest, NoKeyPackages, TooLarge
from grue.protocol import wire
from grue.server.accounts import keypackages
from grue.server.accounts.keypackages import LAST_RESORT_WEEKS, PACKAGE_WEEKS
from grue.server.store.interface import Tx
from tests.damage import flipped
from tests.server.kit import TestServer, serving

INTRO = b"i" * 32
DEVICES = [b"1" * 32, b"2" * 32]


async def make_account(tx: Tx, devices: list[bytes]) -> None:
    await tx.run(
        "INSERT INTO account (account, phone_tag, identity_pub, hpke_pub, device_list, intro_mailbox, discoverable,"
        " lock, expires_week) VALUES ($1, $1, $1, $1, $2, $3, 1, NULL, 9999)",
        b"a" * 16, b"the list", INTRO,
    )  # fmt: skip
    for device in devices:
        await tx.run("INSERT INTO device (account, device_pub, expires_week) VALUES ($1, $2, 9999)", b"a" * 16, device)


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with serving() as server:
        await server.store.transact(make_account, DEVICES)
        yield server


async def upload(server: TestServer, device: bytes, *packages: bytes, last_resort: bytes = b"") -> int:
    request = wire.UploadKeyPackages(list(packages), last_resort)
    return await server.store.transact(keypackages.upload, request, device, server.week)


async def claim(server: TestServer) -> dict[bytes, bytes]:
    answer = await server.ask(wire.Claim(INTRO))
    assert isinstance(answer, wire.Claimed), answer
    assert answer.device_list == b"the list"
    return {claimed.device_public: claimed.package for claimed in answer.packages}


async def test_a_claim_takes_one_package_of_each_device(server: TestServer) -> None:
    for device in DEVICES:
        assert await upload(server, device, b"a" + device, b"b" + device) == 2
    first, second = await claim(server), await claim(server)
    assert first.keys() == second.keys() == set(DEVICES)
    assert all({first[device], second[device]} == {b"a" + device, b"b" + device} for device in DEVICES)
    assert await server.code(wire.Claim(INTRO)) == "no_key_packages"


async def test_the_last_resort_is_given_when_nothing_else_is_left_and_stays(server: TestServer) -> None:
    await upload(server, DEVICES[0], b"once", last_resort=b"last")
    assert [(await claim(server))[DEVICES[0]] for _ in range(3)] == [b"once", b"last", b"last"]


async def test_a_new_last_resort_replaces_the_old_and_an_empty_one_leaves_it(server: TestServer) -> None:
    await upload(server, DEVICES[0], last_resort=b"old")
    await upload(server, DEVICES[0], last_resort=b"new")
    await upload(server, DEVICES[0])
    assert (await claim(server))[DEVICES[0]] == b"new"


async def test_a_device_without_any_package_is_left_out(server: TestServer) -> None:
    await upload(server, DEVICES[1], b"one")
    assert (await claim(server)).keys() == {DEVICES[1]}


async def test_keypackage_03_claims_at_the_same_moment_never_get_the_same_package(tmp_path: Path) -> None:
    async with serving(tmp_path / "server.db") as server:
        await server.store.transact(make_account, DEVICES[:1])
        await upload(server, DEVICES[0], *(bytes([n]) * 100 for n in range(50)), last_resort=b"last")
        claimed = [claims[DEVICES[0]] for claims in await asyncio.gather(*(claim(server) for _ in range(60)))]
    assert claimed.count(b"last") == 10
    assert len(set(claimed)) == 51


async def test_an_unknown_intro_mailbox_looks_like_one_without_packages(server: TestServer) -> None:
    assert await server.code(wire.Claim(b"?" * 32)) == "no_key_packages"
    assert await server.code(wire.Claim(INTRO)) == "no_key_packages"


async def test_uploading_again_adds_nothing(server: TestServer) -> None:
    assert await upload(server, DEVICES[0], b"one", b"two") == 2
    assert await upload(server, DEVICES[0], b"one", b"two") == 2


async def test_keypackage_02_too_many_are_refused_and_none_of_them_kept(server: TestServer) -> None:
    await upload(server, DEVICES[0], *(bytes([n]) * 100 for n in range(99)))
    with pytest.raises(TooLarge):
        await upload(server, DEVICES[0], b"x", b"y")
    assert await server.store.read(keypackages.count, DEVICES[0], server.week) == 99


async def test_packages_expire_by_the_week(server: TestServer) -> None:
    await upload(server, DEVICES[0], b"one", last_resort=b"last")
    server.clock.days(7 * PACKAGE_WEEKS)
    assert await server.store.read(keypackages.count, DEVICES[0], server.week) == 0
    assert (await claim(server))[DEVICES[0]] == b"last"
    server.clock.days(7 * (LAST_RESORT_WEEKS - PACKAGE_WEEKS))
    assert await server.code(wire.Claim(INTRO)) == "no_key_packages"
    await server.store.transact(keypackages.expire, server.week)

    async def left(tx: Tx) -> object:
        return await tx.row("SELECT 1 FROM key_package")

    assert await server.store.read(left) is None


async def test_keypackage_04_what_fills_up_expires_with_the_rest(server: TestServer) -> None:
    await upload(server, DEVICES[0], b"one", b"two")
    server.clock.days(7 * 3)
    await claim(server)
    await upload(server, DEVICES[0], b"three")

    async def expiries(tx: Tx) -> list[object]:
        rows = await tx.rows("SELECT DISTINCT expires_week FROM key_package WHERE device_pub = $1", DEVICES[0])
        return [week for (week,) in rows]

    assert await server.store.read(expiries) == [server.week - 3 + PACKAGE_WEEKS]
    server.clock.days(7 * (PACKAGE_WEEKS - 3))
    await upload(server, DEVICES[0], b"four")
    assert await server.store.read(keypackages.count, DEVICES[0], server.week) == 1


async def test_a_device_that_is_gone_leaves_no_packages(server: TestServer) -> None:
    await upload(server, DEVICES[0], b"one", last_resort=b"last")
    await server.store.transact(keypackages.delete, DEVICES[0])
    with pytest.raises(NoKeyPackages):
        await server.store.transact(keypackages.claim, INTRO, server.week)


# --- whose it is ----------------------------------------------------------------------------------


def real_device() -> tuple[bytes, list[bytes]]:
    """A device's signature key, and two real key packages of its."""
    identity = Ed25519PrivateKey.generate()
    session = MlsSession({})
    device = session.new_identity()
    certificate = identity.sign(MLS_CERTIFICATE_CONTEXT + device)
    credential = mls_credential(identity.public_key().public_bytes_raw(), certificate)
    return device, [session.key_package(credential, last) for last in (False, True)]


async def test_a_devices_own_packages_are_taken() -> None:
    device, (package, last) = real_device()
    await keypackages.check(wire.UploadKeyPackages([package], last), device)


async def test_keypackage_01_another_devices_package_is_refused() -> None:
    _, (package, last) = real_device()
    for request in (wire.UploadKeyPackages([package]), wire.UploadKeyPackages([], last)):
        with pytest.raises(BadRequest):
            await keypackages.check(request, os.urandom(32))


async def test_keypackage_01_bytes_that_are_no_package_are_refused() -> None:
    device, (package, _) = real_device()
    for broken in (b"", b"nonsense", package[:-1], flipped(package, 100)):
        with pytest.raises(BadRequest):
            await keypackages.check(wire.UploadKeyPackages([package, broken]), device)
