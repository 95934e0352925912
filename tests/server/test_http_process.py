"""The real server as a process: killed between any two acknowledgements, stopped politely, started twice."""

import asyncio
import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, Any

import aiohttp
import pytest

from grue.lab.mint import paid
from grue.protocol import wire
from grue.server.keys.keys import open_keys
from tests.server.kit import key_hash

pytestmark = pytest.mark.whole

SERVE = """
import sys
from pathlib import Path
from grue.errors import GrueError
from grue.server.run import run
try:
    run(Path(sys.argv[1]), sys.argv[2], ready=lambda address: print(address, flush=True))
except GrueError as error:
    print(error.code, error, flush=True)
    sys.exit(error.exit_code)
"""


class Process:
    def __init__(self, process: asyncio.subprocess.Process, first_line: str) -> None:
        self.process = process
        self.first_line = first_line
        self.url = f"http://{first_line}"

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> bytes:
        """End it politely; what it printed to its end."""
        self.process.send_signal(signal.SIGTERM)
        output, errors = await self.process.communicate()
        assert self.process.returncode == 0, errors
        return output + errors


async def start(data: Path, listen: str = "127.0.0.1:0") -> Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVE, str(data), listen, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    line = await process.stdout.readline()
    return Process(process, line.decode().strip())


@asynccontextmanager
async def running(data: Path) -> AsyncIterator[Process]:
    server = await start(data)
    try:
        yield server
    finally:
        if server.process.returncode is None:
            await server.kill()
        server.process._transport.close()  # type: ignore[attr-defined]


@asynccontextmanager
async def socket(server: Process, path: str = "/2/anonymous") -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with aiohttp.ClientSession() as session, session.ws_connect(server.url + path) as websocket:
        yield websocket


async def ask(websocket: aiohttp.ClientWebSocketResponse, request: wire.Message) -> Any:
    await websocket.send_bytes(wire.encode(wire.Framed(0, wire.encode(request))))
    return wire.ANONYMOUS_ANSWER.decode(wire.FRAMED.decode(await websocket.receive_bytes()).body)


class Box:
    def __init__(self) -> None:
        self.id, self.write_key, self.read_key = os.urandom(32), os.urandom(32), os.urandom(32)
        self.acknowledged: dict[int, bytes] = {}

    def creation(self) -> wire.CreateMailbox:
        return wire.CreateMailbox(self.id, key_hash(self.write_key), key_hash(self.read_key), [])

    def posting(self, envelope: bytes) -> wire.Post:
        return wire.Post(self.id, self.write_key, envelope, envelope * 64, [])

    async def write(self, server: Process) -> None:
        """Post until the server is gone, and keep what it acknowledged."""
        try:
            async with socket(server) as websocket:
                while True:
                    envelope = os.urandom(16)
                    answer = await ask(websocket, self.posting(envelope))
                    assert isinstance(answer, wire.Posted)
                    self.acknowledged[answer.seq] = envelope
        except (aiohttp.ClientError, TypeError, ConnectionError):
            return

    async def check(self, server: Process) -> None:
        """Everything acknowledged is there, under its seq, and posting it again changes nothing."""
        found: dict[int, bytes] = {}
        async with socket(server) as websocket:
            for envelope in random.sample(list(self.acknowledged.items()), min(20, len(self.acknowledged))):
                assert await ask(websocket, self.posting(envelope[1])) == wire.Posted(envelope[0])
            after = 0
            while page := (await ask(websocket, wire.Fetch(self.id, self.read_key, after))).envelopes:
                found |= {delivery.seq: delivery.envelope for delivery in page}
                after = page[-1].seq
        assert self.acknowledged.items() <= found.items()
        assert sorted(found) == list(range(1, len(found) + 1)), "no seq is missing or used twice"


@pytest.mark.parametrize("seconds", [0.05, 0.3, 0.7])
async def test_killed_between_acknowledgements_it_loses_nothing_acknowledged(tmp_path: Path, seconds: float) -> None:
    boxes = [Box() for _ in range(8)]
    async with running(tmp_path) as server, socket(server) as websocket:
        for box in boxes:
            assert await ask(websocket, paid(open_keys(tmp_path), box.creation())) == wire.Done()
    for _ in range(2):
        async with running(tmp_path) as server:
            writers = [asyncio.create_task(box.write(server)) for box in boxes]
            await asyncio.sleep(seconds)
            await server.kill()
            await asyncio.gather(*writers)
        async with running(tmp_path) as server:
            for box in boxes:
                await box.check(server)
    assert any(box.acknowledged for box in boxes)


async def test_stopped_politely_it_says_goodbye_and_leaves_one_tidy_file(tmp_path: Path) -> None:
    box = Box()
    async with running(tmp_path) as server, socket(server) as websocket, socket(server, "/2/stream") as stream:
        assert await ask(websocket, paid(open_keys(tmp_path), box.creation())) == wire.Done()
        await stream.send_bytes(wire.encode(wire.Subscribe(box.id, box.read_key, 0)))
        await stream.receive_bytes()
        writer = asyncio.create_task(box.write(server))
        await asyncio.sleep(0.2)
        stopping = asyncio.create_task(server.stop())
        async with asyncio.timeout(10):
            while (message := await stream.receive()).type is aiohttp.WSMsgType.BINARY:
                pass
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING)
        assert stream.close_code == 1001
        await writer
        assert await stopping == b"", "it prints nothing by itself"
    assert not any((tmp_path / "server.db-wal").read_bytes()), "nothing is left to be written back"
    async with running(tmp_path) as server:
        await box.check(server)


async def test_what_was_posted_as_it_stopped_is_acknowledged_or_was_not_stored(tmp_path: Path) -> None:
    box = Box()
    envelopes = [os.urandom(16) for _ in range(60)]
    async with running(tmp_path) as server, socket(server) as websocket:
        await ask(websocket, paid(open_keys(tmp_path), box.creation()))
        for n, envelope in enumerate(envelopes):
            await websocket.send_bytes(wire.encode(wire.Framed(n, wire.encode(box.posting(envelope)))))
        stopping = asyncio.create_task(server.stop())
        while (message := await websocket.receive()).type is aiohttp.WSMsgType.BINARY:
            framed = wire.FRAMED.decode(message.data)
            answer = wire.ANONYMOUS_ANSWER.decode(framed.body)
            assert isinstance(answer, wire.Posted)
            box.acknowledged[answer.seq] = envelopes[framed.n]
        await stopping
    async with running(tmp_path) as server:
        await box.check(server)


async def test_a_second_server_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path), running(tmp_path) as second:
        assert second.first_line.startswith("usage")
        assert await second.process.wait() == 2


async def test_an_address_in_use_is_refused_and_nothing_is_left_running(tmp_path: Path) -> None:
    async with running(tmp_path / "one") as first:
        second = await start(tmp_path / "two", first.first_line)
        assert second.first_line.startswith("usage")
        assert await second.process.wait() == 2
        second.process._transport.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("listen", ["8080", "localhost", ":80", "127.0.0.1:99999", "127.0.0.1:x"])
async def test_an_address_that_is_none_is_refused(tmp_path: Path, listen: str) -> None:
    server = await start(tmp_path, listen)
    assert server.first_line.startswith("usage")
    assert await server.process.wait() == 2
    server.process._transport.close()  # type: ignore[attr-defined]


async def test_a_foreign_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "server.db").write_bytes(b"not ours" * 1000)
    server = await start(tmp_path)
    assert server.first_line.startswith("foreign_database")
    assert await server.process.wait() == 2
    server.process._transport.close()  # type: ignore[attr-defined]
    assert (tmp_path / "server.db").read_bytes() == b"not ours" * 1000


async def test_the_data_of_a_server_of_protocol_1_are_refused_and_left_alone(tmp_path: Path) -> None:
    async with running(tmp_path):
        pass
    database = tmp_path / "server.db"
    former = bytearray(database.read_bytes())
    former[60:64] = (3).to_bytes(4, "big")
    database.write_bytes(former)
    server = await start(tmp_path)
    assert server.first_line.startswith("old_data")
    assert await server.process.wait() == 2
    server.process._transport.close()  # type: ignore[attr-defined]
    assert database.read_bytes() == former


async def test_it_leaves_no_core_dump_and_nothing_that_others_can_read(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with running(data) as server:
        if (core := core_limit(server.process.pid)) is not None:
            assert core == ["0", "0"]
        modes = modes_of(data)
        assert {name: mode & 0o077 for name, mode in modes.items()} == dict.fromkeys(modes, 0)


@pytest.mark.parametrize("fault", [signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_leaves_no_core_image(tmp_path: Path, fault: signal.Signals) -> None:
    """Where images are allowed without end, and wherever the system puts them: it says whether it made one."""
    data = tmp_path / "data"
    command = [sys.executable, "-m", "grue", "--json", "serve", "--data", str(data), "--listen", "127.0.0.1:0"]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, preexec_fn=allow_core_images)
    with killed_at_the_end(server) as printed:
        assert printed.readline().startswith(b'{"listening"')
        if (core := core_limit(server.pid)) is not None:
            assert core == ["0", "0"]
        before = {path.name for path in [*tmp_path.iterdir(), *data.iterdir()]}
        os.kill(server.pid, fault)
        _, status = os.waitpid(server.pid, 0)
        server.returncode = -os.WTERMSIG(status)
    assert os.WTERMSIG(status) == fault
    assert not os.WCOREDUMP(status)
    assert {path.name for path in [*tmp_path.iterdir(), *data.iterdir()]} <= before


@pytest.mark.skipif(sys.platform != "linux", reason="what `core_pattern` may name is Linux's")
def test_a_core_image_cannot_be_piped_to_a_program_either(tmp_path: Path) -> None:
    """The limit does not count there. That the process is not dumpable does: 3 asks for it."""
    asking = SERVE.replace("print(address", "print(__import__('ctypes').CDLL(None).prctl(3, 0, 0, 0, 0)")
    command = [sys.executable, "-c", asking, str(tmp_path), "127.0.0.1:0"]
    with killed_at_the_end(subprocess.Popen(command, stdout=subprocess.PIPE)) as printed:
        assert printed.readline().strip() == b"0"


@contextmanager
def killed_at_the_end(server: subprocess.Popen[bytes]) -> Iterator[IO[bytes]]:
    """What a server prints; whatever comes of the test, it runs no longer."""
    assert server.stdout is not None
    try:
        with server.stdout as printed:
            yield printed
    finally:
        if server.returncode is None:
            server.kill()
            server.wait()


def allow_core_images() -> None:
    """In a child that is about to become the server: as large as whoever runs this may make them."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))


def core_limit(pid: int) -> list[str] | None:
    """The soft and hard limit of a core dump, where the system tells."""
    limits = Path(f"/proc/{pid}/limits")
    lines = limits.read_text().splitlines() if limits.exists() else []
    return next((line.split()[4:6] for line in lines if line.startswith("Max core file size")), None)


def modes_of(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode for path in [directory, *directory.iterdir()]}
