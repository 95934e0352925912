"""What is wrong with a server: said once when it comes and once when it goes, and nothing of anybody in it."""

import datetime
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from grue.client.health import server_conditions
from grue.errors import DiskFull
from grue.server import conditions as module
from grue.server import http
from grue.server.conditions import FIXES, Condition, Conditions
from grue.server.store.interface import Tx
from grue.server.store.sqlite import open_store
from tests.server.kit import serving

NOW = 1_800_000_000.0


class Told(list[dict[str, Any]]):
    def codes(self) -> list[str]:
        return [str(next(iter(line.items()))) for line in self]


def of(folder: Path, told: Told, *, health: str = "bound", full: bool = False, certificate: Path | None = None) -> Any:
    store = SimpleNamespace(disk_full=full)
    gateway = SimpleNamespace(health=health)
    return Conditions(folder, cast("Any", store), cast("Any", gateway), certificate, lambda: NOW, told.append)


def certificate_until(folder: Path, ends: float, days: float = 90) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    until = datetime.datetime.fromtimestamp(ends, datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(until - datetime.timedelta(days=days))
        .not_valid_after(until)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize(
    "health", ["bind refused (0x0000000E)", "no connection (SSLCertVerificationError)", "connection lost"]
)
async def test_an_sms_gateway_that_is_not_bound_is_said_once_and_so_is_its_return(tmp_path: Path, health: str) -> None:
    told = Told()
    one = of(tmp_path, told, health=health)
    for _ in range(3):
        await one.look()
    assert told == [{"wrong": "sms_gateway", "message": f"The SMS gateway: {health}.", "fix": FIXES[Condition.SMS]}]
    one._gateway.health = "bound"
    for _ in range(3):
        await one.look()
    assert told[1:] == [{"mended": "sms_gateway"}]
    assert one.now == {}


async def test_a_server_without_sms_misses_none(tmp_path: Path) -> None:
    told = Told()
    one = Conditions(tmp_path, cast("Any", SimpleNamespace(disk_full=False)), None, None, lambda: NOW, told.append)
    await one.look()
    assert (told, one.now) == ([], {})


async def test_a_disk_with_little_room_is_said_before_anything_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    one = of(tmp_path, told)
    await one.look()
    monkeypatch.setattr(module, "LITTLE_DISK", 1 << 60)
    await one.look()
    monkeypatch.undo()
    await one.look()
    assert told.codes() == ["('wrong', 'disk_full')", "('mended', 'disk_full')"]
    assert "The disk has less than" in told[0]["message"]
    assert "Nothing more is taken" not in told[0]["fix"], "there is room for much of it still"


async def test_a_write_that_found_no_room_is_said_until_one_finds_some(tmp_path: Path) -> None:
    """Where the room is bounded otherwise than the file system says, as by a quota."""

    async def nothing(tx: Tx) -> None:
        await tx.row("SELECT 1")

    async def full(_tx: Tx) -> None:
        raise DiskFull

    store = await open_store(tmp_path / "server.db")
    told = Told()
    one = Conditions(tmp_path, store, None, None, lambda: NOW, told.append)
    for work in (nothing, full, nothing):
        if work is full:
            with pytest.raises(DiskFull):
                await store.transact(work)
        else:
            await store.transact(work)
        await one.look()
    await store.close()
    assert told.codes() == ["('wrong', 'disk_full')", "('mended', 'disk_full')"]


DAY = 86_400


@pytest.mark.parametrize(
    ("days", "left", "said"),
    [
        (90, 30 * DAY, ""),
        (90, 6 * DAY, "ends on 2027-01-21 at 08:00 UTC"),
        (90, -1, "has ended"),
        (6, 3 * DAY, ""),
        (6, 1.9 * DAY, "ends on 2027-01-17 at 05:36 UTC"),
        (0.25, 0.1 * DAY, ""),
        (0.25, 0.08 * DAY, "ends on 2027-01-15 at 09:55 UTC"),
        (90, None, "cannot be read"),
    ],
)
async def test_a_certificate_that_ends_is_said_a_week_before_or_a_third_of_its_life(
    tmp_path: Path, days: float, left: float | None, said: str
) -> None:
    told = Told()
    path = tmp_path / "certificate.pem"
    if left is None:
        path.write_bytes(os.urandom(100))
    else:
        certificate_until(tmp_path, NOW + left, days)
    one = of(tmp_path, told, certificate=path)
    for _ in range(2):
        await one.look()
        one._clock = lambda: NOW + 1
    assert [line["wrong"] for line in told] == (["certificate"] if said else [])
    assert not told or said in told[0]["message"]


def test_every_condition_has_its_fix() -> None:
    assert FIXES.keys() == set(Condition)


@asynccontextmanager
async def site(one: Conditions | None) -> AsyncIterator[str]:
    async with serving() as server:
        runner = http.runner(server, one)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        await runner.cleanup()


async def test_the_health_answer_has_codes_and_nothing_else(tmp_path: Path) -> None:
    one = of(tmp_path, Told(), health="bind refused (0x0000000E)", full=True)
    await one.look()
    async with site(one) as url, aiohttp.ClientSession() as session, session.get(f"{url}/health") as response:
        assert (response.status, await response.json()) == (200, {"wrong": ["disk_full", "sms_gateway"]})
        assert await server_conditions(url) == ["disk_full", "sms_gateway"]


async def test_a_server_that_knows_of_nothing_wrong_says_so() -> None:
    async with site(None) as url:
        assert await server_conditions(url) == []
