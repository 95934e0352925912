"""`grue relay` as a process of its own: how it starts, what it prints, and how it ends."""

import asyncio
import contextlib
import json
import signal
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from grue.cli.run import run
from grue.protocol import wire
from tests.cli.play import Service
from tests.cli.test_tls import make_certificate
from tests.server.relaykit import PATH, REQ, Target, always, ask, http, read, request, running
from tests.server.test_http_process import core_limit
from tests.server.test_relay import ODD, Gate

pytestmark = pytest.mark.whole


class Process:
    """A relay, the port it is at, and how it ended."""

    def __init__(self, target: Target, *options: str) -> None:
        self.service = Service("relay", "--listen", "127.0.0.1:0", "--to", target.url, *options)
        self.port = int(self.service.listening().rpartition(":")[2])

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        return await asyncio.to_thread(self.service.stop, number)


@contextlib.asynccontextmanager
async def relaying(target: Target, *options: str) -> AsyncIterator[Process]:
    process = await asyncio.to_thread(Process, target, *options)
    try:
        yield process
    finally:
        if process.service.process.poll() is None:
            process.service.process.kill()
            await process.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_relay_04_a_relay_says_where_it_listens_and_nothing_else(number: signal.Signals) -> None:
    async with running(Target()) as target, relaying(target, "--json") as relay:
        for raw in ODD * 2:
            await ask(relay.port, raw, address="127.83.17.11")
        target.answer = always(b"nonsense")
        assert (await ask(relay.port, request())).status == 502
        _, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        writer.write(request()[:-3])
        await writer.drain()
        writer.transport.abort()
        assert await relay.stop(number) == 0
    assert relay.service.lines == [{"listening": f"127.0.0.1:{relay.port}"}]
    assert relay.service.errors == []


async def test_a_relay_leaves_no_core_dump() -> None:
    async with running(Target()) as target, relaying(target) as relay:
        core = core_limit(relay.service.process.pid)
        assert core in (None, ["0", "0"])
        assert await relay.stop() == 0


async def test_a_person_is_told_that_it_hides_nothing_from_who_runs_both() -> None:
    async with running(Target()) as target, relaying(target) as relay:
        assert await relay.stop() == 0
    assert "hides nothing" in " ".join("".join(relay.service.errors).split())


def test_the_help_says_so_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["relay", "--help"]) == 0
    assert "to your own it would hide nothing" in " ".join(capsys.readouterr().out.split())


async def test_what_is_under_way_when_a_relay_stops_is_answered() -> None:
    gate = Gate(http(b"done"))
    async with running(Target(gate)) as target, relaying(target) as relay:
        asking = asyncio.create_task(ask(relay.port, request()))
        await target.asked(1)
        stopping = asyncio.create_task(relay.stop())
        await _refused(relay.port)
        gate.opened.set()
        said = await asking
        assert (said.status, said.body, await stopping) == (200, b"done", 0)


async def test_a_long_poll_is_cut_when_a_relay_stops() -> None:
    async with running(Target(Gate(b""))) as target, relaying(target) as relay:
        polls = [asyncio.create_task(ask(relay.port, raw)) for raw in (request(), request(method="GET"))]
        await target.asked(2)
        assert await relay.stop() == 0
        for poll in polls:
            said = await poll
            assert (said.status, said.body, said.headers["Retry-After"]) == (503, b"", "5")


async def _refused(port: int) -> None:
    """Wait until nobody listens there any more."""
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                return
            writer.close()
            await asyncio.sleep(0.01)


async def test_a_relay_speaks_tls_by_itself(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    tls = ssl.create_default_context(cafile=str(certificate))
    options = ("--json", "--tls-cert", str(certificate), "--tls-key", str(key))
    async with running(Target()) as target, relaying(target, *options) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port, ssl=tls, server_hostname="localhost")
        writer.write(request(b"sealed"))
        assert (await read(reader)).body == b"echo of sealed"
        writer.close()
        # Plain HTTP, and a handshake that comes to nothing: neither leaves a word.
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await ask(relay.port, request())
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            await asyncio.open_connection("127.0.0.1", relay.port, ssl=ssl.create_default_context())
        assert await relay.stop() == 0
    assert relay.service.errors == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--to", "http://grue.example"), "Plain http:// would show everything to the network; use https://."),
        (("--to", "https://name:secret@grue.example"), "--to takes a server's URL alone"),
        (("--to", "https://grue.example", "--listen", "nowhere"), "--listen takes HOST:PORT"),
        (("--to", "https://grue.example", "--tls-key", "key.pem"), "--tls-key needs --tls-cert beside it."),
    ],
    ids=["plain http", "a password", "no address", "half of TLS"],
)
def test_relay_12_what_cannot_be_relayed_is_a_usage_error(options: tuple[str, ...], said: str) -> None:
    service = Service("--json", "relay", *options)
    service.process.wait(20)
    assert service.stop() == 2
    error = json.loads(service.errors[0])
    assert (error["error"], said in error["message"], service.lines) == ("usage", True, [])


async def test_an_address_in_use_is_a_usage_error() -> None:
    async with running(Target()) as target:
        service = Service("--json", "relay", "--listen", f"127.0.0.1:{target.port}", "--to", target.url)
        await asyncio.to_thread(service.process.wait, 20)
        assert service.stop() == 2
        assert json.loads(service.errors[0])["error"] == "usage"


def test_the_request_that_these_tests_send_is_of_the_relays_path_and_type() -> None:
    from grue.server.oblivious import relay

    assert (relay.PATH, wire.OHTTP_REQUEST) == (PATH, REQ)
