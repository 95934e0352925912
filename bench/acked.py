"""`acked_per_s`: durable envelopes of 1 KiB that the server acknowledges in a second.

32 writers, each on an anonymous WebSocket of its own, post to 32 mailboxes each and wait for every answer before
they post again. The server is the real one, in a process of its own on a real disk; the writers share a
second process, so that the two take one core each.
"""

import asyncio
import hashlib
import os
import struct
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bench.server import ServerProcess
from grue.protocol import wire

WRITERS: Final = 32
MAILBOXES: Final = 32
"""Mailboxes of each writer: many conversations, not one hot row."""
WARM_UP: Final = 2.0
SECONDS: Final = 10.0
BLOB: Final = 1024


class Writer(asyncio.Protocol):
    """One client socket, with as little of a WebSocket client as the server accepts."""

    def __init__(self, mailboxes: list[tuple[bytes, bytes]], path: str = "/1/anonymous") -> None:
        self._path = path
        self._mailboxes = mailboxes
        self._buffer = b""
        self._open = False
        self._n = 0
        self.acked = 0
        self.refused = 0
        self.opened = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        transport.write(  # type: ignore[attr-defined]
            f"GET {self._path} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open:
            head, found, self._buffer = self._buffer.partition(b"\r\n\r\n")
            if not found:
                self._buffer = head
                return
            assert b" 101 " in head, head
            self._open = True
            self.opened.set_result(None)
        while (payload := self._frame()) is not None:
            self.answered(payload)

    def _frame(self) -> bytes | None:
        if len(self._buffer) < 2:
            return None
        length, start = self._buffer[1], 2
        if length == 126:
            length, start = int.from_bytes(self._buffer[2:4], "big"), 4
        if len(self._buffer) < start + length:
            return None
        payload, self._buffer = self._buffer[start : start + length], self._buffer[start + length :]
        return payload

    def answered(self, payload: bytes) -> None:
        answer = wire.ANONYMOUS_ANSWER.decode(wire.FRAMED.decode(payload).body)
        if isinstance(answer, wire.Posted):
            self.acked += 1
        else:
            self.refused += 1
        self.post()

    def post(self) -> None:
        self._n += 1
        mailbox, write_key = self._mailboxes[self._n % len(self._mailboxes)]
        self.ask(wire.Post(mailbox, write_key, os.urandom(16), b"x" * BLOB))

    def ask(self, request: wire.Message) -> None:
        frame = wire.encode(wire.Framed(self._n, wire.encode(request)))
        # The mask of a frame may be zeros; the server takes it off all the same.
        self._transport.write(b"\x82\xfe" + struct.pack(">H", len(frame)) + bytes(4) + frame)

    def close(self) -> None:
        self._transport.close()


async def _create(port: int, mailboxes: list[tuple[bytes, bytes]]) -> None:
    from aiohttp import ClientSession

    async with ClientSession() as session, session.ws_connect(f"http://127.0.0.1:{port}/1/anonymous") as socket:
        for mailbox, write_key in mailboxes:
            request = wire.CreateMailbox(mailbox, hashlib.sha256(write_key).digest(), os.urandom(32), [])
            await socket.send_bytes(wire.encode(wire.Framed(0, wire.encode(request))))
        for _ in mailboxes:
            await socket.receive_bytes()


async def _drive(server: ServerProcess) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    writers = []
    for _ in range(WRITERS):
        mailboxes = [(os.urandom(32), os.urandom(32)) for _ in range(MAILBOXES)]
        await _create(server.port, mailboxes)
        _, writer = await loop.create_connection(lambda m=mailboxes: Writer(m), "127.0.0.1", server.port)  # type: ignore[misc]
        await writer.opened
        writers.append(writer)
    for writer in writers:
        writer.post()
    await asyncio.sleep(WARM_UP)
    acked, cpu, start = sum(w.acked for w in writers), server.cpu_seconds(), time.perf_counter()
    own = time.process_time()
    await asyncio.sleep(SECONDS)
    seconds = time.perf_counter() - start
    acked, cpu = sum(w.acked for w in writers) - acked, server.cpu_seconds() - cpu
    own = time.process_time() - own
    assert not sum(w.refused for w in writers)
    for writer in writers:
        writer.close()
    return {"per_s": acked / seconds, "cpu_ms": cpu / acked * 1000, "driver_cpu_ms": own / acked * 1000}


def measure() -> list[dict[str, Any]]:
    """Post for ten seconds."""
    import uvloop

    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as data, ServerProcess(Path(data)) as server:
        figures = uvloop.run(_drive(server))
    return [
        {"id": "acked_per_s", "value": round(figures["per_s"]), "unit": "1/s", "reach": 4000},
        {"id": "acked_server_cpu_ms", "value": round(figures["cpu_ms"], 3), "unit": "ms"},
        {"id": "acked_driver_cpu_ms", "value": round(figures["driver_cpu_ms"], 3), "unit": "ms"},
    ]


if __name__ == "__main__":
    for figure in measure():
        sys.stdout.write(f"{figure}\n")
