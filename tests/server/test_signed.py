"""Requests that a device signs: over our challenge, for its account, and no other way."""

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from grue.protocol import wire
from grue.server.accounts.signed import CHALLENGE_SECONDS
from grue.server.clock import DAY
from grue.server.store.interface import Tx
from tests.server.kit import TestServer, serving

ACCOUNT = b"a" * 16


class Device:
    """A device of the account, which signs what it asks."""

    def __init__(self, server: TestServer, key: Ed25519PrivateKey) -> None:
        self.server = server
        self.key = key
        self.public = key.public_key().public_bytes_raw()
        self.challenge = b""

    async def refreshed(self) -> "Device":
        answer = await self.server.account_ask(self.signed(wire.CountKeyPackages()))
        assert answer.code == "challenge"
        self.challenge = answer.detail
        return self

    def signed(self, request: wire.Message, account: bytes = ACCOUNT) -> wire.Signed:
        body = wire.encode(request)
        signature = self.key.sign(wire.signed_bytes(account, self.challenge, body))
        return wire.Signed(account, self.public, self.challenge, body, signature)

    async def ask(self, request: wire.Message) -> Any:
        return await self.server.account_ask(self.signed(request))


async def add_device(tx: Tx, account: bytes, device: bytes) -> None:
    await tx.run("INSERT INTO device (account, device_pub, expires_week) VALUES ($1, $2, 9999)", account, device)


async def move_device(tx: Tx, account: bytes, device: bytes) -> None:
    """As when a number is registered anew: a device belongs to one account at a time."""
    await tx.run("UPDATE device SET account = $1 WHERE device_pub = $2", account, device)


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with serving() as server:
        yield server


@pytest.fixture
async def device(server: TestServer) -> Device:
    device = Device(server, Ed25519PrivateKey.generate())
    await server.store.transact(add_device, ACCOUNT, device.public)
    return await device.refreshed()


async def test_a_device_of_the_account_is_answered(device: Device) -> None:
    assert await device.ask(wire.CountKeyPackages()) == wire.KeyPackageCount(0)


async def test_signed_01_a_device_of_nobody_or_of_another_account_is_refused(
    server: TestServer, device: Device
) -> None:
    stranger = await Device(server, Ed25519PrivateKey.generate()).refreshed()
    assert await stranger.ask(wire.CountKeyPackages()) == wire.Refusal("not_permitted")
    await server.store.transact(add_device, b"b" * 16, stranger.public)
    assert await stranger.ask(wire.CountKeyPackages()) == wire.Refusal("not_permitted")
    assert await device.ask(wire.CountKeyPackages()) == wire.KeyPackageCount(0)


@pytest.mark.parametrize("field", ["body", "signature", "device_public"])
async def test_signed_02_a_request_that_was_changed_is_refused(server: TestServer, device: Device, field: str) -> None:
    other = Device(server, Ed25519PrivateKey.generate())
    await server.store.transact(add_device, ACCOUNT, other.public)
    changed = {"body": wire.encode(wire.DeleteAccount()), "signature": os.urandom(64), "device_public": other.public}
    request = replace(device.signed(wire.CountKeyPackages()), **{field: changed[field]})
    assert await server.account_ask(request) == wire.Refusal("not_permitted")


async def test_signed_02_a_signature_for_one_account_is_none_for_another(server: TestServer, device: Device) -> None:
    before = device.signed(wire.CountKeyPackages())
    await server.store.transact(move_device, b"b" * 16, device.public)
    assert await server.account_ask(replace(before, account=b"b" * 16)) == wire.Refusal("not_permitted")
    after = device.signed(wire.CountKeyPackages(), b"b" * 16)
    assert await server.account_ask(after) == wire.KeyPackageCount(0)


async def test_signed_02_challenge_and_body_cannot_run_into_each_other() -> None:
    assert wire.signed_bytes(ACCOUNT, b"ab", b"c") != wire.signed_bytes(ACCOUNT, b"a", b"bc")


async def test_signed_03_a_challenge_holds_for_its_window_and_the_next(server: TestServer, device: Device) -> None:
    server.clock.days((CHALLENGE_SECONDS - 1) / DAY)
    assert await device.ask(wire.CountKeyPackages()) == wire.KeyPackageCount(0)
    server.clock.days(CHALLENGE_SECONDS / DAY)
    assert await device.ask(wire.CountKeyPackages()) == wire.KeyPackageCount(0)
    server.clock.days(CHALLENGE_SECONDS / DAY)
    answer = await device.ask(wire.CountKeyPackages())
    assert answer.code == "challenge"
    assert answer.detail != device.challenge


async def test_signed_03_a_challenge_of_another_server_or_of_none_is_answered_with_ours(device: Device) -> None:
    ours = device.challenge
    for challenge in (b"", b"x", os.urandom(32), ours[:-1]):
        device.challenge = challenge
        assert await device.ask(wire.CountKeyPackages()) == wire.Refusal("challenge", detail=ours)


async def test_a_body_that_is_no_request_is_refused(server: TestServer, device: Device) -> None:
    for body in (b"", b"\xc1", wire.encode(wire.Claim(b"m" * 32))):
        signature = device.key.sign(wire.signed_bytes(ACCOUNT, device.challenge, body))
        request = wire.Signed(ACCOUNT, device.public, device.challenge, body, signature)
        assert await server.account_ask(request) == wire.Refusal("bad_request")


async def test_a_device_key_that_is_no_point_is_refused(server: TestServer, device: Device) -> None:
    nonsense = b"\xff" * 32
    await server.store.transact(add_device, ACCOUNT, nonsense)
    request = replace(device.signed(wire.CountKeyPackages()), device_public=nonsense)
    assert await server.account_ask(request) == wire.Refusal("not_permitted")
