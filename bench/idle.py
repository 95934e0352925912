"""`idle_device_kib`: memory of the server for each device that is connected and quiet.

5,000 streams, each subscribed to one mailbox of its own, without TLS (which a proxy in front does). The growth of the
server's resident memory from before the first of them to after the last, when all has been quiet for a while.
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Any, Final, cast

import uvloop

from bench.server import Box, ServerProcess, allow_many_files, client_frame, create_mailboxes, websocket_request
from grue.protocol import wire

DEVICES: Final = 5000
AT_ONCE: Final = 100
SETTLE: Final = 5.0


class Device(asyncio.Protocol):
    """The client's end of a stream, as small as it can be, for there are thousands in one process."""

    __slots__ = ("_subscribe", "subscribed", "transport")

    def __init__(self, mailbox: bytes, read_key: bytes) -> None:
        self._subscribe = client_frame(wire.encode(wire.Subscribe(mailbox, read_key, 0)))
        self.subscribed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of it.
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(websocket_request("/2/stream"))

    def data_received(self, data: bytes) -> None:
        if self._subscribe:
            assert b" 101 " in data
            self.transport.write(self._subscribe)
            self._subscribe = b""
        elif not self.subscribed.done():
            assert isinstance(wire.STREAM_PUSH.decode(data[2:]), wire.Subscribed)
            self.subscribed.set_result(None)


async def _connect(port: int, box: Box) -> Device:
    loop = asyncio.get_running_loop()
    _, device = await loop.create_connection(lambda: Device(box.id, box.read_key), "127.0.0.1", port)
    await device.subscribed
    return device


async def _grow(server: ServerProcess) -> float:
    """KiB for each device."""
    boxes = [Box() for _ in range(DEVICES + AT_ONCE)]
    await create_mailboxes(server, boxes)
    # What is imported and cached with the first connections is not the price of one more.
    devices = list(await asyncio.gather(*(_connect(server.port, box) for box in boxes[:AT_ONCE])))
    await asyncio.sleep(SETTLE)
    before = server.rss_kib()
    for at in range(AT_ONCE, len(boxes), AT_ONCE):
        devices += await asyncio.gather(*(_connect(server.port, box) for box in boxes[at : at + AT_ONCE]))
    await asyncio.sleep(SETTLE)
    grown = (server.rss_kib() - before) / DEVICES
    for device in devices:
        device.transport.close()
    return grown


def measure() -> list[dict[str, Any]]:
    """Connect 5,000 devices and wait. Needs as many open files twice."""
    allow_many_files()
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as data, ServerProcess(Path(data)) as server:
        value = uvloop.run(_grow(server))
    return [{"id": "idle_device_kib", "value": round(value, 1), "unit": "KiB", "reach": 20}]
