"""The origin: the server whose public files a replica fetches, as anybody would."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web
from yarl import URL

from grue.errors import BadDirectory, NotAGrueServer, TimedOut, Unreachable, UsageError
from grue.protocol import wire
from grue.protocol.directory.directory import (
    HEAD_PATH,
    Head,
    Manifest,
    UnverifiedHead,
    UnverifiedManifest,
    base_path,
    check_manifest,
    manifest_path,
    parse_path,
)
from grue.protocol.directory.record import RECORD_BYTES
from grue.protocol.urls import check_url
from grue.server.store.disk import writing

CONNECT_SECONDS: Final = 5.0
"""Seconds for a connection to the server, where none is free."""

SILENT_SECONDS: Final = 20.0
"""Seconds without a byte until the server counts as gone."""

SMALL_BYTES: Final = 1 << 17
"""Bytes of a head or a manifest, signed; the largest has half of it."""

PIECE: Final = 4 << 20
"""Bytes of a base that are written at once."""

_RANGE: Final = re.compile(r"bytes=[0-9]{1,15}-[0-9]{0,15}")
_KEPT_HEADERS: Final = ("Content-Type", "Content-Length", "Content-Range", "Cache-Control", "Accept-Ranges")


class Origin:
    """Connections to the server, with nothing on them that is not asked for."""

    def __init__(self, of: str) -> None:
        """Raises UsageError when `of` is no server's URL."""
        self._files = _directory_url(of)
        self._session: aiohttp.ClientSession | None = None
        self._newest: Head | None = None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        async with _session() as self._session:
            yield

    async def named(self, server_public: bytes, now: int, known: Manifest | None) -> tuple[Head, Manifest] | None:
        """The newest head and the manifest that it names; None when that is the one known.

        `now` is Unix seconds. Raises NetworkError, NotAGrueServer, BadManifest, StaleDirectory, ShrunkDirectory.
        """
        head = UnverifiedHead(await self._small(HEAD_PATH)).verify(server_public).fresh(now, self._newest)
        if known is not None and head.contents.epoch == known.contents.epoch:
            check_manifest(known, head)
            self._newest = head
            return None
        manifest = UnverifiedManifest(await self._small(manifest_path(head.contents.epoch))).verify(server_public)
        check_manifest(manifest, head, known)
        self._newest = head
        return head, manifest

    async def base(self, manifest: Manifest, into: Path) -> None:
        """Fetch what is missing of the base, which has to be checked then.

        Raises NetworkError (what came stays, and is gone on with), BadDirectory, DiskFull, OSError.
        """
        size = manifest.contents.count * RECORD_BYTES
        have = await asyncio.to_thread(_begun, into, size)
        if have < size:
            await self._rest(base_path(manifest.contents.epoch), into, have, size)

    async def _rest(self, path: str, into: Path, have: int, size: int) -> None:
        headers = {"Range": f"bytes={have}-"} if have else {}
        try:
            async with self.asked(path, headers) as response:
                if response.status not in (200, 206):
                    raise _status_error(response.status)
                at = have if response.status == 206 else 0
                if at and not response.headers.get("Content-Range", "").startswith(f"bytes {at}-"):
                    raise BadDirectory("(base: another part)")
                at = await _written(response.content, into, at, size)
        except (aiohttp.ClientError, TimeoutError):
            raise TimedOut from None
        if at != size:
            raise BadDirectory("(base: another length)")

    async def _small(self, path: str) -> bytes:
        try:
            async with self.asked(path, {}) as response:
                if response.status != 200:
                    raise _status_error(response.status)
                data = bytearray()
                async for chunk in response.content.iter_any():
                    data += chunk
                    if len(data) > SMALL_BYTES:
                        raise NotAGrueServer
                return bytes(data)
        except (aiohttp.ClientError, TimeoutError):
            raise TimedOut from None

    @asynccontextmanager
    async def asked(self, path: str, headers: dict[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer for a public file, which may be an error. Raises Unreachable; reading it, what aiohttp does."""
        assert self._session is not None
        try:
            response = await self._session.get(self._files / path, headers=headers, allow_redirects=False)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            raise Unreachable from None
        async with response:
            yield response


async def passed_through(origin: Origin, request: web.Request, path: str) -> web.StreamResponse:
    """A file of the server's as it is there now, for who asked us: the head, what a client could be ahead of us in.

    Nothing of who asks goes along but the part that is wanted. Raises Unreachable.
    """
    if path != HEAD_PATH and parse_path(path) is None:
        return web.Response(status=404)
    wanted = request.headers.get("Range", "")
    headers = {"Range": wanted} if _RANGE.fullmatch(wanted) else {}
    try:
        async with origin.asked(path, headers) as answer:
            if answer.status not in (200, 206, 404, 416):
                return web.Response(status=502)
            kept = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response
    except (aiohttp.ClientError, TimeoutError):
        # In the middle of a file: who asked has to see that it is not whole.
        if request.transport is not None:
            request.transport.abort()
        raise Unreachable from None


def _directory_url(of: str) -> URL:
    url = URL(check_url(of))
    if url.raw_user is not None or url.raw_password is not None or url.raw_query_string or url.raw_fragment:
        raise UsageError("--of takes a server's URL alone: no name, no password, nothing after a ? or #.")
    return url / f"{wire.PROTOCOL}/directory"


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS),
        headers={"Accept-Encoding": "identity"},
        skip_auto_headers=("User-Agent", "Accept"),
        auto_decompress=False,
        trust_env=False,
    )


def _status_error(status: int) -> Unreachable | NotAGrueServer:
    """A file that is not there may be one of an epoch that has just ended; that is no fault of a server's."""
    return Unreachable() if status in (404, 408, 425, 429) or status >= 500 else NotAGrueServer()


def _begun(path: Path, size: int) -> int:
    """How much of the file is there; nothing of one that is too long."""
    with writing():
        path.touch(mode=0o600)
    have = path.stat().st_size
    if have <= size:
        return have
    path.unlink()
    path.touch(mode=0o600)
    return 0


async def _written(content: aiohttp.StreamReader, into: Path, at: int, size: int) -> int:
    """Write what comes, from byte `at` on; returns where it ends. Raises BadDirectory for more than `size`."""
    piece = bytearray()
    try:
        async for chunk in content.iter_any():
            piece += chunk
            if at + len(piece) > size:
                raise BadDirectory("(base: another length)")
            if len(piece) >= PIECE:
                at = await asyncio.to_thread(_write, into, at, bytes(piece))
                piece.clear()
    except (aiohttp.ClientError, TimeoutError):
        await asyncio.to_thread(_write, into, at, bytes(piece))
        raise
    return await asyncio.to_thread(_write, into, at, bytes(piece))


def _write(path: Path, at: int, piece: bytes) -> int:
    with writing(), path.open("r+b") as file:
        file.truncate(at)
        file.seek(at)
        file.write(piece)
    return at + len(piece)
