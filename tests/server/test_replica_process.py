"""`grue replica` as a process of its own: how it starts, what it prints, how it ends, and what a kill leaves."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from grue.protocol.directory.replica import KEY_MAGIC
from grue.server.directory import pir_table
from grue.server.replica.mirror import Mirror
from tests.cli.play import Service
from tests.server.replicakit import Host
from tests.server.test_http_process import core_limit

pytestmark = pytest.mark.whole


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with Host(tmp_path / "server", clock=time.time, records=2_000).served() as host:
        path = tmp_path / "replica.key"
        path.touch(mode=0o600)
        path.write_bytes(KEY_MAGIC + host.key.to_bytes())
        yield host


class Process:
    """A replica, and what it has printed."""

    def __init__(self, tmp_path: Path, of: str, *options: str) -> None:
        key, data = str(tmp_path / "replica.key"), str(tmp_path / "replica")
        listen = ("--listen", "127.0.0.1:0")
        self.service = Service("replica", "--of", of, "--key", key, "--data", data, *listen, *options)

    async def line(self, name: str) -> dict[str, Any]:
        return await asyncio.to_thread(self.service.first, lambda line: name in line)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        return await asyncio.to_thread(self.service.stop, number)


@asynccontextmanager
async def running(tmp_path: Path, of: str, *options: str) -> AsyncIterator[Process]:
    process = await asyncio.to_thread(Process, tmp_path, of, *options)
    try:
        await process.line("listening")
        yield process
    finally:
        if process.service.process.poll() is None:
            process.service.process.kill()
            await process.stop(signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_replica_11_a_replica_says_where_it_listens_and_which_base_it_has(
    host: Host, tmp_path: Path, number: signal.Signals
) -> None:
    async with running(tmp_path, host.url, "--json") as replica:
        assert await replica.line("epoch") == {"epoch": host.epoch, "records": 2_000}
        assert core_limit(replica.service.process.pid) in (None, ["0", "0"])
        assert await replica.stop(number) == 0
    assert [list(line) for line in replica.service.lines] == [["listening"], ["epoch", "records"]]
    assert replica.service.errors == []


async def test_a_replica_without_its_server_says_so_and_waits(host: Host, tmp_path: Path) -> None:
    async with running(tmp_path, "http://127.0.0.1:1", "--json") as replica:
        assert await replica.line("behind") == {"behind": "unreachable"}
        assert await replica.stop() == 0
    async with running(tmp_path, host.url, "--json") as replica:
        assert (await replica.line("epoch"))["epoch"] == host.epoch


async def test_a_kill_at_any_time_leaves_what_goes_on_at_the_next_start(host: Host, tmp_path: Path) -> None:
    for pause in (0.0, 0.02, 0.05, 0.1, 0.2, 0.3):
        async with running(tmp_path, host.url) as replica:
            await asyncio.sleep(pause)
            await replica.stop(signal.SIGKILL)
    async with running(tmp_path, host.url) as replica:
        await replica.line("epoch")
        await replica.stop(signal.SIGKILL)
    present = Mirror(tmp_path / "replica", host.keys.server_public).present
    assert present is not None
    assert present.manifest.contents == host.directory.manifest
    ours, theirs = (tmp_path / who / "directory" / str(host.epoch) / pir_table.PACKED for who in ("replica", "server"))
    assert ours.read_bytes() == theirs.read_bytes()
    # And after a kill nothing has to be fetched.
    host.asked.clear()
    async with running(tmp_path, host.url) as replica:
        await replica.line("epoch")
        await replica.stop(signal.SIGKILL)
    assert {path for path, _ in host.asked} <= {"head"}


async def test_a_replica_that_is_stopped_while_it_builds_ends_at_once(host: Host, tmp_path: Path) -> None:
    async with running(tmp_path, host.url) as replica:
        assert await replica.stop() == 0


def failed(tmp_path: Path, *options: str) -> dict[str, str]:
    service = Service("--json", "replica", "--data", str(tmp_path / "replica"), *options)
    service.process.wait(20)
    assert service.stop() == 2
    error: dict[str, str] = json.loads(service.errors[0])
    assert error["error"] == "usage"
    return error


async def test_replica_12_what_cannot_be_followed_is_a_usage_error(host: Host, tmp_path: Path) -> None:
    key = ("--key", str(tmp_path / "replica.key"))
    plain = await asyncio.to_thread(failed, tmp_path, "--of", "http://grue.example", *key)
    assert "Plain http:// would show everything" in plain["message"]
    named = await asyncio.to_thread(failed, tmp_path, "--of", "https://a:b@grue.example", *key)
    assert "--of takes a server's URL alone" in named["message"]
    missing = await asyncio.to_thread(failed, tmp_path, "--of", host.url, "--key", str(tmp_path / "none"))
    assert "cannot be read" in missing["message"]


async def test_two_replicas_do_not_share_a_folder(host: Host, tmp_path: Path) -> None:
    async with running(tmp_path, host.url):
        key = ("--key", str(tmp_path / "replica.key"), "--listen", "127.0.0.1:0")
        error = await asyncio.to_thread(failed, tmp_path, "--of", host.url, *key)
        assert "Another replica is running" in error["message"]
