"""A replica as what hands out public files: which, from where, and what it notes and keeps (REPLICA-10, -11)."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from grue.protocol.directory.directory import PRIVATE_FILES
from grue.protocol.directory.record import RECORD_BYTES
from grue.server.directory import pir_table
from tests.server import test_replica
from tests.server.replicakit import Host, Site, replicating


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with Host(tmp_path / "server").served() as host:
        yield host


@pytest.fixture
async def site(host: Host, tmp_path: Path) -> AsyncIterator[Site]:
    """A replica that has the present epoch."""
    async with replicating(host, tmp_path / "replica") as site:
        await site.look()
        host.asked.clear()
        yield site


async def test_replica_10_what_never_changes_comes_from_here(site: Site) -> None:
    for name in ("manifest", "base", *PRIVATE_FILES):
        path = f"{site.host.epoch}/{name}"
        async with site.session.get(f"{site.url}/2/directory/{path}") as response:
            assert response.headers["Cache-Control"].endswith("immutable")
            assert await response.read() == site.host.directory.file(path)
        async with site.session.get(f"{site.url}/2/directory/{path}", headers={"Range": "bytes=3-9"}) as response:
            whole = site.host.directory.file(path)
            assert whole is not None
            assert (response.status, await response.read()) == (206, whole[3:10])
    assert site.host.asked == []


async def test_replica_10_head_and_overlay_are_the_servers_as_they_are_now(site: Site) -> None:
    await site.host.directory.put(os.urandom(RECORD_BYTES))
    for path in ("head", f"{site.host.epoch}/overlay/1"):
        async with site.session.get(f"{site.url}/2/directory/{path}") as response:
            assert (response.status, await response.read()) == (200, site.host.directory.file(path))
    # And so is an epoch that is not here yet.
    site.host.directory.renew()
    path = f"{site.host.epoch}/hint"
    async with site.session.get(f"{site.url}/2/directory/{path}", headers={"Range": "bytes=3-9"}) as response:
        whole = site.host.directory.file(path)
        assert whole is not None
        assert (response.status, await response.read()) == (206, whole[3:10])


async def test_replica_10_nothing_of_who_asks_for_a_file_goes_to_the_server(site: Site) -> None:
    odd = {"User-Agent": "somebody", "Cookie": "who=me", "X-Forwarded-For": "192.0.2.7", "Accept-Language": "en"}
    async with site.session.get(f"{site.url}/2/directory/head?who=me", headers=odd) as response:
        assert response.status == 200
    ((path, headers),) = site.host.asked
    assert path == "head"
    assert set(headers) == {"Host", "Accept-Encoding"}


@pytest.mark.parametrize(
    "path", ["7/packed", "1/packed", "../replica.lock", "%2e%2e/replica.lock", "1/../../replica.lock", "1/base/x", "x"]
)
async def test_replica_10_nothing_else_is_a_file(site: Site, path: str) -> None:
    async with site.session.get(f"{site.url}/2/directory/{path}") as response:
        assert response.status == 404
    assert site.host.asked == []


async def test_a_file_that_breaks_off_at_the_server_is_not_taken_for_whole(site: Site) -> None:
    site.host.directory.renew()
    site.host.whole = False
    with pytest.raises(aiohttp.ClientPayloadError):
        async with site.session.get(f"{site.url}/2/directory/{site.host.epoch}/base") as response:
            await response.read()


async def test_replica_11_nothing_is_logged_or_printed(
    site: Site, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    await test_replica.test_replica_08_other_epochs_lengths_and_messages_are_refused(site)
    await test_replica.test_replica_07_who_has_not_the_key_is_not_answered(site)
    for path in ("/", "/2/anonymous", "/2/directory/head", "/2/query", "/grue"):
        async with site.session.get(site.url + path) as response:
            assert "Python" not in response.headers["Server"]
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


async def test_replica_11_a_fault_of_ours_is_told_by_type_and_place(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_body: bytes) -> None:
        raise RuntimeError("+447700900001")

    monkeypatch.setattr(site.replica, "answer", broken)
    assert await site.ask(b"") == 500
    (record,) = caplog.records
    assert record.getMessage().startswith("RuntimeError at test_replica_files.py:")


def test_a_replica_loads_no_store_and_no_role_that_knows_accounts() -> None:
    code = "import sys, grue.server.replica.replica; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    ours = {name.removeprefix("grue.server.") for name in loaded if name.startswith("grue.server.")}
    allowed = {
        "directory.base",
        "directory.pir_table",
        "directory.queryqueue",
        "keys.keyfile",
        "listening",
        "replica.mirror",
        "replica.origin",
        "replica.replica",
        "reporting",
        "store.disk",
    }
    assert ours - {"directory", "keys", "replica", "store"} == allowed
    assert loaded & {"apsw", "sqlite3", "grue.client", "grue.protocol.tokens"} == set()


def test_what_a_replica_keeps_is_public_files_and_the_table_of_them(tmp_path: Path) -> None:
    # The names, so that a new one has to be thought about; their bytes are the server's public ones (above).
    async def kept() -> set[str]:
        async with Host(tmp_path / "server").served() as host, replicating(host, tmp_path / "replica") as site:
            await site.look()
        return {path.name for path in (tmp_path / "replica").rglob("*") if path.is_file()}

    assert asyncio.run(kept()) == {"manifest", "head", "base", pir_table.PACKED, *PRIVATE_FILES}
