"""The real server as a process of its own, and the least of a client that it accepts, for benches."""

import hashlib
import os
import platform
import resource
import struct
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import aiohttp
import psutil  # type: ignore[import-untyped]

from grue.lab.mint import paid
from grue.protocol import wire
from grue.server.keys.keys import open_keys

_SERVE: Final = """
import sys
from pathlib import Path
from grue.server.run import run
run(Path(sys.argv[1]), "127.0.0.1:0", ready=lambda address: print(address, flush=True))
"""


class Program:
    """Python code in a process of its own, which first prints HOST:PORT or a port."""

    def __init__(self, code: str, *arguments: str) -> None:
        self._process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline().rpartition(":")[2])
        self.url = f"http://127.0.0.1:{self.port}"
        self._seen = psutil.Process(self._process.pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    def cpu_seconds(self) -> float:
        times = self._seen.cpu_times()
        return float(times.user + times.system)

    def rss_kib(self) -> float:
        return float(self._seen.memory_info().rss) / 1024

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(30)


class ServerProcess(Program):
    def __init__(self, data: Path, code: str = _SERVE) -> None:
        super().__init__(code, str(data))
        self.data = data


def machine() -> str:
    """What a figure was measured on, in a line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    system = f"{platform.system()} {platform.machine()}"
    return f"{os.cpu_count()} cores, {memory} GiB, {system}, Python {platform.python_version()}"


class Box:
    """A mailbox to be."""

    def __init__(self) -> None:
        self.id, self.write_key, self.read_key = os.urandom(32), os.urandom(32), os.urandom(32)

    def creation(self) -> wire.CreateMailbox:
        write_hash, read_hash = (hashlib.sha256(key).digest() for key in (self.write_key, self.read_key))
        return wire.CreateMailbox(self.id, write_hash, read_hash, [])


async def create_mailboxes(server: ServerProcess, boxes: list[Box]) -> None:
    keys = open_keys(server.data)
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{server.port}/2/anonymous") as socket,
    ):
        for box in boxes:
            await socket.send_bytes(wire.encode(wire.Framed(0, wire.encode(paid(keys, box.creation())))))
        for _ in boxes:
            answer = wire.FRAMED.decode(await socket.receive_bytes())
            assert wire.ANONYMOUS_ANSWER.decode(answer.body) == wire.Done()


def websocket_request(path: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def client_frame(payload: bytes) -> bytes:
    """A client's frame. Its mask may be zeros; the server takes it off all the same."""
    length = len(payload)
    head = bytes([0x80 | length]) if length < 126 else b"\xfe" + struct.pack(">H", length)
    return b"\x82" + head + bytes(4) + payload


def allow_many_files() -> None:
    """As many sockets as the system lets this process have; the server does so for itself."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
