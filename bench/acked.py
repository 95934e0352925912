"""`acked_per_s`: durable envelopes of 1 KiB that the server acknowledges in a second.

32 writers, each on an anonymous WebSocket of its own, post to 32 mailboxes each and wait for every answer before
they post again. The server is the real one, in a process of its own on a real disk; the writers share a
second process, so that the two take one core each.
"""

import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final, cast

import uvloop

from bench.server import Box, ServerProcess, client_frame, create_mailboxes, websocket_request
from grue.protocol import wire

WRITERS: Final = 32
MAILBOXES: Final = 32
"""Mailboxes of each writer: many conversations, not one hot row."""
WARM_UP: Final = 2.0
SECONDS: Final = 10.0
BLOB: Final = 1024


class Writer(asyncio.Protocol):
    """One client socket, with as little of a WebSocket client as the server accepts."""

    def __init__(self, boxes: list[Box]) -> None:
        self._boxes = boxes
        self._buffer = b""
        self._n = 0
        self.acked = 0
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of it.
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(websocket_request("/2/anonymous"))

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            assert b" 101 " in data
            self.opened.set_result(None)
            return
        self._buffer += data
        # An acknowledgement is short: two bytes of header, and one answer to one request at a time.
        if len(self._buffer) >= 2 + self._buffer[1]:
            self._answered(self._buffer[2:])
            self._buffer = b""

    def _answered(self, payload: bytes) -> None:
        framed = wire.FRAMED.decode(payload)
        assert framed.n == self._n
        assert isinstance(wire.ANONYMOUS_ANSWER.decode(framed.body), wire.Posted)
        self.acked += 1
        self.post()

    def post(self) -> None:
        self._n += 1
        box = self._boxes[self._n % len(self._boxes)]
        request = wire.Post(box.id, box.write_key, os.urandom(16), b"x" * BLOB)
        self.transport.write(client_frame(wire.encode(wire.Framed(self._n, wire.encode(request)))))


async def _connect(server: ServerProcess) -> Writer:
    boxes = [Box() for _ in range(MAILBOXES)]
    await create_mailboxes(server, boxes)
    _, writer = await asyncio.get_running_loop().create_connection(lambda: Writer(boxes), "127.0.0.1", server.port)
    await writer.opened
    return writer


async def drive(server: ServerProcess) -> dict[str, float]:
    writers = [await _connect(server) for _ in range(WRITERS)]
    for writer in writers:
        writer.post()
    await asyncio.sleep(WARM_UP)
    acked, cpu, start = sum(w.acked for w in writers), server.cpu_seconds(), time.perf_counter()
    await asyncio.sleep(SECONDS)
    seconds = time.perf_counter() - start
    acked, cpu = sum(w.acked for w in writers) - acked, server.cpu_seconds() - cpu
    for writer in writers:
        writer.transport.close()
    return {"per_s": acked / seconds, "cpu_ms": cpu / acked * 1000}


def _sync_us(data: Path) -> float:
    """The median of one fdatasync of 8 KiB at the end of a file: the disk's share, which a group divides up."""
    times = []
    with (data / "sync").open("wb", buffering=0) as file:
        for _ in range(200):
            file.write(bytes(8192))
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def measure() -> list[dict[str, Any]]:
    """Post for ten seconds, after two to warm up."""
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as data, ServerProcess(Path(data)) as server:
        sync_us = _sync_us(Path(data))
        figures = uvloop.run(drive(server))
    return [
        {"id": "acked_per_s", "value": round(figures["per_s"]), "unit": "1/s", "reach": 4000},
        {"id": "acked_server_cpu_ms", "value": round(figures["cpu_ms"], 3), "unit": "ms"},
        {"id": "acked_disk_sync_us", "value": round(sync_us), "unit": "us"},
    ]
