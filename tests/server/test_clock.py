"""A clock that is ten years off, either way: nothing expires by it, and nothing is signed by it."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from grue.errors import ClockImplausible
from grue.protocol import wire
from grue.protocol.directory.record import RECORD_BYTES
from grue.protocol.tokens import EPOCH_WEEKS
from grue.server import clock as clocks
from grue.server.clock import DAY, SteadyClock, check_clock
from grue.server.directory.directory import RESIGN_AFTER, Directory
from grue.server.keys.keys import open_keys
from tests.server.kit import Box, TestServer, serving
from tests.server.test_directory import Host
from tests.server.test_http_process import start

YEARS = 3652 * DAY
OFF = [YEARS, -YEARS]
EITHER_WAY = pytest.mark.parametrize("off", OFF, ids=["ahead", "behind"])


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "data")


def files(data: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in (data / "directory").rglob("*") if path.is_file()}


def opened(host: Host, **options: Any) -> Directory:
    host.directory = Directory(host.data, host.keys, lambda: host.now, **options)
    return host.directory


# --- the start ------------------------------------------------------------------------------------


@EITHER_WAY
async def test_a_clock_ten_years_off_stops_the_start_before_anything_is_signed(host: Host, off: int) -> None:
    host.directory.put_many([os.urandom(RECORD_BYTES)])
    await host.directory.put(os.urandom(RECORD_BYTES))
    (host.data / "directory" / ".new-9").mkdir()
    before = files(host.data)
    host.now += off
    with pytest.raises(ClockImplausible) as refused:
        host.open()
    assert files(host.data) == before
    assert (host.data / "directory" / ".new-9").exists()
    now, signed = refused.value.detail.split(";")
    assert ("2037-01-14" if off > 0 else "2017-01-15") in now
    assert "2027-01-15" in signed
    assert "--clock-is-right" in refused.value.fix
    host.now -= off
    host.open()
    host.sync()


@pytest.mark.parametrize("off", [-3600, -clocks.MAX_BEHIND + RESIGN_AFTER, 30 * DAY, clocks.MAX_AHEAD - RESIGN_AFTER])
async def test_a_clock_set_back_by_an_hour_and_a_year_without_the_server_stop_nothing(host: Host, off: int) -> None:
    await host.directory.put(os.urandom(RECORD_BYTES))
    issued = host.directory.head.issued
    host.now += off
    host.open()
    assert host.directory.head.issued >= issued


@EITHER_WAY
async def test_a_head_that_was_lost_leaves_the_token_keys_to_compare_with(host: Host, off: int) -> None:
    (host.data / "directory" / "head").unlink()
    host.now += off
    with pytest.raises(ClockImplausible):
        host.open()


async def test_who_says_that_the_clock_is_right_after_years_of_rest_goes_on(host: Host) -> None:
    entry = os.urandom(RECORD_BYTES)
    await host.directory.put(entry)
    host.sync()
    host.now += YEARS
    opened(host, clock_is_right=True)
    host.sync()
    assert host.table.find(entry[:16]) == entry
    host.open()


async def test_who_says_that_the_clock_is_right_after_it_was_ahead_is_believed_by_all(host: Host) -> None:
    """Clients whose clock is right refused the heads of the future; one that took them for true goes on too."""
    entry = os.urandom(RECORD_BYTES)
    await host.directory.put(entry)
    host.now += YEARS
    opened(host, clock_is_right=True)
    host.sync()
    host.now -= YEARS
    opened(host, clock_is_right=True)
    host.sync()
    assert host.directory.head.issued <= host.now
    assert host.table.find(entry[:16]) == entry
    host.open()
    host.sync()


async def test_the_verb_refuses_with_both_dates_and_takes_the_word_for_it(tmp_path: Path) -> None:
    keys = open_keys(tmp_path)
    Directory(tmp_path, keys, lambda: 1_000_000_000.0)
    refused = await start(tmp_path)
    assert refused.first_line.startswith("clock_implausible"), refused.first_line
    assert "2001-09-09" in refused.first_line
    assert await refused.process.wait() == 2
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "grue", "--json", "serve", "--data", str(tmp_path), "--listen", "127.0.0.1:0",
        "--clock-is-right", stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert (await process.stdout.readline()).startswith(b'{"listening"')
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0


# --- while it runs --------------------------------------------------------------------------------


class Machine:
    """A machine's two clocks, one of which somebody sets."""

    def __init__(self) -> None:
        # Some days into a token epoch, so that a month does not end by chance.
        self.wall, self.steady = (520 * EPOCH_WEEKS * 7 + 3) * DAY + 5.0, 77.0
        self.clock = SteadyClock(lambda: self.wall, lambda: self.steady)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


class Running:
    def __init__(self, server: TestServer, machine: Machine) -> None:
        self.server = server
        self.machine = machine


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    machine, keys = Machine(), open_keys(tmp_path)
    directory = Directory(tmp_path, keys, machine.clock)
    async with serving(tmp_path / "server.db", keys=keys, directory=directory, clock=machine.clock) as server:
        yield Running(server, machine)


@EITHER_WAY
async def test_a_clock_that_jumps_while_the_server_runs_expires_and_signs_nothing(running: Running, off: int) -> None:
    server, machine = running.server, running.machine
    box = await Box.create(server)
    await box.post()
    files_before = server.directory.file("head"), server.directory.manifest
    machine.wall += off
    await server.sweep()
    await server.directory.tend()
    assert await box.seqs() == [1]
    assert (server.directory.file("head"), server.directory.manifest) == files_before
    await server.directory.put(os.urandom(RECORD_BYTES))
    assert abs(server.directory.head.issued - (machine.wall - off)) <= RESIGN_AFTER


@EITHER_WAY
async def test_what_comes_while_the_clock_is_off_is_dated_as_if_it_were_not(running: Running, off: int) -> None:
    server, machine = running.server, running.machine
    box = await Box.create(server)
    machine.wall += off
    machine.passes(2 * DAY)
    await box.post()
    assert isinstance(await server.ask(Box(server).creation()), wire.Done), "with tokens of today"
    machine.wall -= off
    await server.sweep()
    assert await box.seqs() == [1]
    machine.passes(31 * DAY)
    await server.sweep()
    assert await box.seqs() == []


async def test_while_the_clock_is_off_heads_are_signed_by_the_time_that_passes(running: Running) -> None:
    machine = running.machine
    issued = running.server.directory.head.issued
    machine.wall += YEARS
    machine.passes(RESIGN_AFTER)
    await running.server.directory.tend()
    assert running.server.directory.head.issued == issued + RESIGN_AFTER


@EITHER_WAY
async def test_a_clock_that_jumps_is_logged_once_each_time(caplog: pytest.LogCaptureFixture, off: int) -> None:
    machine = Machine()
    with caplog.at_level(logging.ERROR, "grue.server"):
        for times in (1, 2):
            machine.wall += off
            for _ in range(3):
                machine.passes(300)
                assert machine.clock() == machine.wall - off
            assert len(caplog.records) == times
            machine.wall -= off
            assert machine.clock() == machine.wall
    assert "--clock-is-right" in caplog.text


def test_a_clock_that_is_set_by_an_hour_is_believed() -> None:
    machine = Machine()
    for off in (-3600, 3600, -1800, 60 * DAY):
        machine.wall += off
        assert machine.clock() == machine.wall


def test_a_clock_beyond_all_dates_is_refused_like_any_other() -> None:
    for now in (float(2**62), -float(2**62)):
        with pytest.raises(ClockImplausible):
            check_clock(now, 1_700_000_000)
