"""A gateway that writes down every byte it is sent and answers what a test wants, and a relay in front of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

REQ, RES = "message/ohttp-req", "message/ohttp-res"
PATH = "/2/relay"

Answer = Callable[[bytes], Awaitable[bytes]]


def http(body: bytes = b"", *, status: str = "200 OK", media_type: str = RES, more: str = "") -> bytes:
    """An answer as it goes over the line."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def always(answer: bytes) -> Answer:
    async def say(_request: bytes) -> bytes:
        return answer

    return say


async def echo(request: bytes) -> bytes:
    return http(b"echo of " + request.partition(b"\r\n\r\n")[2])


@dataclass
class Target:
    """What the relay forwards to. `answer` may be exchanged at any time."""

    answer: Answer = echo
    requests: list[bytes] = field(default_factory=list)
    """Each whole, from its first byte to its last."""
    connections: int = 0
    open: int = 0
    port: int = 0
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def asked(self, count: int) -> None:
        """Wait until so many requests have come."""
        async with asyncio.timeout(10), self.news:
            await self.news.wait_for(lambda: len(self.requests) >= count)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while await self._answered(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection stays."""
        request = await _one(reader)
        async with self.news:
            self.requests.append(request)
            self.news.notify_all()
        answer = await self.answer(request)
        writer.write(answer)
        await writer.drain()
        return b"Connection: close" not in answer and answer.startswith(b"HTTP")


async def _one(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return head + (await reader.readexactly(int(lengths[0].partition(b":")[2])) if lengths else b"")


@contextlib.asynccontextmanager
async def running(target: Target) -> AsyncIterator[Target]:
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(target.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=4 << 20)
    target.port = server.sockets[0].getsockname()[1]
    try:
        yield target
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def request(body: bytes = b"sealed", *, media_type: str = REQ, more: str = "", method: str = "POST") -> bytes:
    """A client's request as it goes over the line."""
    head = f"{method} {PATH} HTTP/1.1\r\nHost: relay.example\r\n{more}"
    if method == "GET":
        return f"{head}\r\n".encode()
    return f"{head}Content-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@dataclass
class Said:
    """An answer of the relay's, read from the line."""

    status: int
    headers: dict[str, str]
    body: bytes


async def read(reader: asyncio.StreamReader) -> Said:
    head, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    body = await reader.readexactly(int(headers.get("Content-Length", 0)))
    return Said(int(head.split()[1]), headers, body)


async def ask(port: int, raw: bytes, *, address: str = "127.0.0.1") -> Said:
    """One request on a connection of its own, from an address of this machine."""
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4 << 20, local_addr=(address, 0))
        try:
            writer.write(raw)
            return await read(reader)
        finally:
            writer.close()
