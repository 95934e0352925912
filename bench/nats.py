"""`acked_over_nats`: how many times as many durable messages of 1 KiB as NATS the server acknowledges in a second.

NATS is what takes messages for durable keeping elsewhere: JetStream on files, which syncs before each acknowledgement
(`sync_interval: always`), as ours does. The writers are like those of `bench.acked`: 32 connections in one process,
each with 32 subjects where ours has mailboxes, and one message under way. Ours and theirs run in turn, three times; the
figure is the median of the ratios. NATS is built here from `bench/peers/nats`, with the versions of its lock file. That
takes Go.
"""

import asyncio
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import uvloop

from bench.acked import BLOB, MAILBOXES, SECONDS, WARM_UP, WRITERS
from bench.acked import drive as drive_ours
from bench.server import ServerProcess

PROJECT: Final = Path(__file__).parent / "peers" / "nats"
SERVER: Final = PROJECT / "target" / "nats-server"
ROUNDS: Final = 3

CREATE: Final = b"$JS.API.STREAM.CREATE.boxes"
STREAM: Final = {
    "name": "boxes",
    "subjects": ["box.>"],
    "storage": "file",
    "retention": "limits",
    "num_replicas": 1,
}


class Writer(asyncio.Protocol):
    """One client socket of NATS: publishes to its subjects in turn, and waits for each acknowledgement."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._buffer = b""
        self._n = 0
        self.acked = 0
        self.last = b""
        self.answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of it.
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(b'CONNECT {"verbose":false,"pedantic":false}\r\nSUB %s 1\r\n' % self._inbox)

    @property
    def _inbox(self) -> bytes:
        return b"inbox.%d" % self._number

    def publish(self, subject: bytes, payload: bytes) -> None:
        self.transport.write(b"PUB %s %s %d\r\n%s\r\n" % (subject, self._inbox, len(payload), payload))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n" in self._buffer:
            line, _, rest = self._buffer.partition(b"\r\n")
            if line.startswith(b"MSG "):
                size = int(line.rpartition(b" ")[2])
                if len(rest) < size + 2:
                    return
                self._buffer = rest[size + 2 :]
                self._acknowledged(rest[:size])
            else:
                self._buffer = rest
                if line == b"PING":
                    self.transport.write(b"PONG\r\n")

    def _acknowledged(self, payload: bytes) -> None:
        assert b'"error"' not in payload, payload
        if not self.answered.done():
            self.answered.set_result(payload)
            return
        assert b'"seq"' in payload
        self.acked += 1
        self.post()

    def post(self) -> None:
        self._n += 1
        self.publish(b"box.%d.%d" % (self._number, self._n % MAILBOXES), b"x" * BLOB)


@contextmanager
def nats(data: Path) -> Iterator[int]:
    """A NATS server with JetStream, which syncs every message; its port."""
    ports = data / "ports"
    config = data / "nats.conf"
    ports.mkdir()
    config.write_text(
        f'host: 127.0.0.1\nport: -1\nports_file_dir: "{ports}"\n'
        f'jetstream {{ store_dir: "{data}", sync_interval: always }}\n'
    )
    with subprocess.Popen([SERVER, "-c", config], stderr=subprocess.DEVNULL) as process:
        try:
            yield _port(ports)
        finally:
            process.terminate()


def _port(folder: Path) -> int:
    """The port that the server chose, once it has written it down."""
    until = time.monotonic() + 30
    while not (files := list(folder.glob("*.ports"))) or not files[0].read_text():
        if time.monotonic() > until:
            raise TimeoutError("NATS did not start")
        time.sleep(0.05)
    (url,) = json.loads(files[0].read_text())["nats"]
    return int(url.rpartition(":")[2])


async def _drive_theirs(port: int) -> float:
    """Acknowledgements a second."""
    loop = asyncio.get_running_loop()
    writers = []
    for number in range(WRITERS):
        _, writer = await loop.create_connection(partial(Writer, number), "127.0.0.1", port)
        writers.append(writer)
    writers[0].publish(CREATE, json.dumps(STREAM).encode())
    created = json.loads(await asyncio.wait_for(writers[0].answered, 10))
    assert created["config"]["storage"] == "file", created
    for writer in writers[1:]:
        writer.answered.set_result(b"")
    for writer in writers:
        writer.post()
    await asyncio.sleep(WARM_UP)
    acked, start = sum(writer.acked for writer in writers), time.perf_counter()
    await asyncio.sleep(SECONDS)
    acked, seconds = sum(writer.acked for writer in writers) - acked, time.perf_counter() - start
    for writer in writers:
        writer.transport.close()
    return acked / seconds


def _ours() -> float:
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as data, ServerProcess(Path(data)) as server:
        return uvloop.run(drive_ours(server))["per_s"]


def _theirs() -> float:
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as data, nats(Path(data)) as port:
        return uvloop.run(_drive_theirs(port))


def measure() -> list[dict[str, Any]]:
    """Some 80 seconds, after NATS was built once."""
    command = ["go", "build", "-o", str(SERVER), "github.com/nats-io/nats-server/v2"]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    pairs = [(_ours(), _theirs()) for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    peers = {"Grue, 1/s": round(ours), "NATS, sync always, 1/s": round(theirs)}
    ratio = statistics.median(own / other for own, other in pairs)
    return [{"id": "acked_over_nats", "value": round(ratio, 2), "unit": "times", "peers": peers}]
