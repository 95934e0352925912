"""What comes to a server and is not whole, or not as it is: bounded over all connections, refused before it is read."""

import asyncio
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from grue.protocol import wire
from grue.server import arriving, http, listening
from grue.server.arriving import Arrivals, Arriving
from grue.server.directory.directory import Directory
from grue.server.keys.keys import Keys
from grue.server.listening import NOT_ENCODED
from tests.server.kit import Box, Clock, TestServer, serving

SOURCE = Path(listening.__file__).parent.parent


class Site:
    def __init__(self, server: TestServer, runner: web.AppRunner, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.app = runner.app
        self.session = session
        self.port: int = runner.addresses[0][1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def arrivals(self) -> Arrivals:
        return self.app[http.SOCKETS].arrivals

    @asynccontextmanager
    async def socket(
        self, path: str = "/2/anonymous"
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A WebSocket of which every byte is ours."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    keys, clock = Keys.generate(), Clock()
    async with serving(keys=keys, directory=Directory(tmp_path, keys, clock), clock=clock) as server:
        runner = http.runner(server)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession() as session:
            yield Site(server, runner, session)
        await runner.cleanup()


def frame(payload: bytes, first: int = 0x82, announced: int | None = None) -> bytes:
    """As a client sends it, masked with zeros; or the beginning of a longer one."""
    length = len(payload) if announced is None else announced
    if length < 126:
        head = bytes([first, 0x80 | length])
    elif length < 1 << 16:
        head = bytes([first, 0x80 | 126]) + length.to_bytes(2, "big")
    else:
        head = bytes([first, 0x80 | 127]) + length.to_bytes(8, "big")
    return head + bytes(4) + payload


async def until(holds: Any) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 -- there is no event of it
            await asyncio.sleep(0.01)


# --- encoded bodies -------------------------------------------------------------------------------

PATHS = ["/grue", "/2/account", "/2/anonymous", "/2/gateway", "/2/query", "/2/relay", "/1/anything", "/nowhere"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip", "GZIP"])
async def test_what_is_encoded_is_refused_before_it_is_unpacked(site: Site, path: str, encoding: str) -> None:
    """A MiB of it would be a GiB, in the event loop, while everybody else waits.

    The loop's own thread is looked at: what other threads of this process do meanwhile is no work on the body.
    """
    bomb = zlib.compress(bytes(200 << 20), 1, 31)[: 1 << 20]
    headers = {"Content-Encoding": encoding, "Content-Type": wire.OHTTP_REQUEST}
    began = time.thread_time()
    async with site.session.post(site.url + path, data=bomb, headers=headers) as response:
        assert (response.status, await response.text()) == (415, NOT_ENCODED)
    assert time.thread_time() - began < 0.2


def test_nothing_listens_without_that() -> None:
    """Every program of ours is started by `listening.runner`; the lab's tap and the window unpack nothing."""
    others = {path.name: path.read_text() for path in SOURCE.rglob("*.py") if "AppRunner(" in path.read_text()}
    assert sorted(others) == ["listening.py", "recording_proxy.py", "run.py"]
    assert "auto_decompress=False" in others["run.py"]


# --- frames that are not whole --------------------------------------------------------------------


async def test_a_frame_that_does_not_come_ends_its_socket(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arriving.Socket.__init__, "__defaults__", (0.2,))
    begun = [
        frame(bytes(70_000), announced=1 << 20),
        frame(bytes(9), first=0x02),
        frame(b"", first=0x02),
        frame(b"")[:1],
        frame(bytes(9), first=0x02) + frame(b"", first=0x89),
    ]
    for path in ("/2/anonymous", "/2/stream"):
        for bytes_ in begun:
            async with site.socket(path) as (reader, writer):
                writer.write(bytes_)
                async with asyncio.timeout(5):
                    with suppress(ConnectionError):
                        assert (await reader.read()).startswith((b"", b"\x8a"))
    await until(lambda: not site.arrivals.sockets)
    assert site.arrivals.bytes == 0


async def test_who_sends_slowly_but_whole_messages_stays(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arriving.Socket.__init__, "__defaults__", (0.5,))
    box = await Box.create(site.server)
    request = frame(wire.encode(wire.Framed(1, wire.encode(box.posting()))))
    async with site.socket() as (reader, writer):
        for _ in range(3):
            for start in range(0, len(request), 500):
                writer.write(request[start : start + 500])
                await asyncio.sleep(0.01)
            async with asyncio.timeout(5):
                assert await reader.readexactly(2)
            await asyncio.sleep(0.2)
        assert site.arrivals.bytes == 0


async def test_over_all_sockets_only_so_much_is_kept_and_no_small_request_goes(site: Site) -> None:
    site.arrivals._most = 1 << 20
    async with AsyncExitStack() as stack:
        small_reader, small = await stack.enter_async_context(site.socket())
        small.write(frame(b"x" * 100, announced=1_000))
        await until(lambda: site.arrivals.bytes > 0)
        larges = []
        for _ in range(8):
            reader, large = await stack.enter_async_context(site.socket())
            larges.append(reader)
            large.write(frame(bytes(300_000), announced=1 << 20))
            await asyncio.sleep(0.05)
            assert site.arrivals.bytes <= 1 << 20
        assert len(site.arrivals.sockets) < 6
        assert small_reader.exception() is None
        assert not small_reader.at_eof()
        # Which of those that hold as much is chosen is left open.
        await until(lambda: sum(bool(reader.at_eof() or reader.exception()) for reader in larges) >= 3)
    await until(lambda: not site.arrivals.sockets)
    assert site.arrivals.bytes == 0


@pytest.mark.parametrize("each", [10_000, 60_000, 1_000_000])
async def test_an_upload_survives_many_messages_that_are_never_finished(site: Site, each: int) -> None:
    """It holds more than each of them, or comes a little at a time; and they leave no room, and more come all along."""
    site.arrivals._most = 4 << 20
    part = wire.encode(wire.PutBlob(bytes(32), bytes(256 << 10)))
    upload = frame(wire.encode(wire.Framed(7, part)))
    async with AsyncExitStack() as stack:
        attackers: list[asyncio.StreamReader] = []

        async def attack(bytes_: int) -> None:
            for _ in range(bytes_ // each + 1):
                reader, writer = await stack.enter_async_context(site.socket())
                writer.write(frame(bytes(each), announced=1 << 20))
                attackers.append(reader)

        await attack(5 << 20)
        await until(lambda: site.arrivals.bytes > 3 << 20)
        reader, writer = await stack.enter_async_context(site.socket())
        for start in range(0, len(upload), 25_000):
            writer.write(upload[start : start + 25_000])
            await attack(400_000)
            await asyncio.sleep(0.01)
        async with asyncio.timeout(10):
            assert (await reader.readexactly(1)) == b"\x82"
        assert site.arrivals.bytes <= 4 << 20
        await until(lambda: sum(bool(one.at_eof() or one.exception()) for one in attackers) * each > 4 << 20)


async def test_messages_that_wait_for_their_turn_are_closed_before_an_upload_that_goes_on() -> None:
    """Small whole ones are no sign of life: they cost their sender nothing."""

    class Reader:
        def feed_data(self, data: bytes) -> tuple[bool, bytes]:
            return False, data

    class Transport:
        def abort(self) -> None: ...

    every = Arrivals(400_000)
    waiting, upload = (Arriving(every, Reader(), Transport(), 30.0) for _ in range(2))  # type: ignore[arg-type]
    waiting.feed_data(frame(bytes(200_000)))
    for _ in range(5):
        await asyncio.sleep(0.01)
        upload.feed_data(frame(bytes(40_000), announced=1 << 20) if not upload.held else bytes(40_000))
        waiting.feed_data(frame(b"x"))
    upload.feed_data(bytes(10_000))
    assert every.sockets == {upload}
    upload.forget()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10**6])
def test_frames_are_followed_however_they_are_cut(size: int) -> None:
    """Whole ones, fragments with a ping between, and none; the rest is as much as has come of the last."""

    class Reader:
        def feed_data(self, data: bytes) -> tuple[bool, bytes]:
            return False, data

        def feed_eof(self) -> None: ...

    sent = (
        frame(b"a" * 10)
        + frame(b"")
        + frame(b"b" * 200, first=0x02)
        + frame(b"ping", first=0x89)
        + frame(b"c" * 70_000, first=0x00)
        + frame(b"d" * 5, first=0x80)
        + frame(b"e" * 30, announced=90)
    )

    async def fed() -> None:
        every = Arrivals()
        one = Arriving(every, Reader(), None, 30.0)  # type: ignore[arg-type]
        for start in range(0, len(sent), size):
            one.feed_data(sent[start : start + size])
        assert one.held - one._overhead == 10 + 200 + 70_000 + 5 + 30
        for taken in (b"a" * 10, b"", b"b" * 70_205):
            one.taken(taken)
        assert one.held - one._overhead == 30
        one.feed_data(b"e" * 60)
        assert one.held == 90, "and nothing for what is not whole"
        one.forget()
        assert every.bytes == 0

    asyncio.run(fed())
