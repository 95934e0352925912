"""A replica: it holds a directory's public files and the table built of them, and answers private queries in a server's
place.

It has no account, no store, no log of requests, and no key but one that lets the server have queries answered. See
`docs/protocol/replica.md`, whose checks are named here.
"""

import asyncio
import hmac
import logging
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from grue._core import PirError
from grue.errors import BadRequest, EpochEnded, GrueError, NetworkError, ServerBusy
from grue.protocol import wire
from grue.protocol.directory.replica import KEY_MAGIC, PUBLIC_BYTES, QUERY_PATH, READY_PATH, SECRET_BYTES, ReplicaKey
from grue.server.directory.queryqueue import Queries
from grue.server.keys.keyfile import read_key_file
from grue.server.listening import listening, parse_address, run_fast, runner, set_limits, stop_signal
from grue.server.replica.mirror import Epoch, Mirror
from grue.server.replica.origin import Origin, passed_through
from grue.server.reporting import report
from grue.server.store.disk import locked, starting

LOCK: Final = "replica.lock"
BINARY: Final = "application/octet-stream"
IMMUTABLE_CACHE: Final = "public, max-age=31536000, immutable"

FOLLOW_SECONDS: Final = 5.0
"""Seconds between two looks at the server's head: for so long after a new base, the server answers for it alone."""

MAX_FOLLOW_SECONDS: Final = 320.0
"""Seconds at most after failures, each of which doubles them: a base that does not check is not fetched every time."""

MAX_UNDER_WAY: Final = 128
"""Requests with queries at once: with a MiB each twice what the queue holds. The server is told to ask elsewhere."""

MAX_PASSING: Final = 64
"""Files that are passed on from the server at once."""

SEND_SECONDS: Final = 10.0
"""Seconds in which the server has to have sent a request; it gives up waiting for the answer before that."""

RETRY_SECONDS: Final = 5
"""What `Retry-After` says to a load balancer while there is no directory yet, and to who comes when it is full."""

Told = Callable[[dict[str, Any]], None]


class Replica:
    """The replica without its sockets' beginning and end: `application` has its routes."""

    def __init__(
        self,
        mirror: Mirror,
        origin: Origin,
        key: ReplicaKey,
        told: Told = lambda _line: None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`told` hears of each new epoch, and of why there is none."""
        self.queries = Queries()
        self._mirror = mirror
        self._origin = origin
        self._authorization = key.authorization.encode()
        self._server_public = key.server_public
        self._told = told
        self._clock = clock
        self._sleep = sleep
        self._under_way = 0
        self._passing = 0

    def application(self) -> web.Application:
        # A message, and a few bytes around it.
        app = web.Application(client_max_size=wire.MAX_REQUEST + 64, middlewares=[_reported])
        app.cleanup_ctx.append(self._connected)
        app.router.add_post(f"/{QUERY_PATH}", self._query)
        app.router.add_get(f"/{READY_PATH}", self._ready)
        app.router.add_get(f"/{wire.PROTOCOL}/directory/{{path:.+}}", self._file)
        return app

    async def _connected(self, _app: web.Application) -> AsyncIterator[None]:
        async with self._origin.connected():
            yield

    # --- following the server ---------------------------------------------------------------------

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Follow the server meanwhile. A table that is being built at the end is given up."""
        following = asyncio.create_task(self.follow())
        try:
            yield
        finally:
            self._mirror.stop()
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following

    async def follow(self) -> None:
        """Look at the head, again and again; whatever goes wrong leaves what is here as it is."""
        failures, said = 0, ""
        if (present := self._mirror.present) is not None:
            self._tell(present)
        while True:
            try:
                await self.look()
                failures, said = 0, ""
            except (GrueError, PirError, OSError) as error:
                failures += 1
                code = error.code if isinstance(error, GrueError) else type(error).__name__
                if code != said:
                    said = code
                    self._told({"behind": code})
            except Exception as error:  # noqa: BLE001 -- the replica goes on
                failures += 1
                report(error)
            await self._sleep(min(FOLLOW_SECONDS * 2**failures, MAX_FOLLOW_SECONDS) if failures else FOLLOW_SECONDS)

    async def look(self) -> None:
        """Fetch the head, and the epoch that it names, if that is another than the one that is here.

        REPLICA-02 head and manifest pass a client's checks: DIRECTORY-01 to -08, and -15.

        Raises NetworkError, NotAGrueServer, VerificationFailed, PirError, DiskFull, OSError.
        """
        present = self._mirror.present
        known = None if present is None else present.manifest
        named = await self._origin.named(self._server_public, int(self._clock()), known)
        if named is None:
            return
        head, manifest = named
        try:
            await self._origin.base(manifest, self._mirror.incoming(manifest.contents.epoch))
            adding = asyncio.ensure_future(asyncio.to_thread(self._mirror.add, manifest, head))
            # A thread cannot be cut: when the replica stops, it waits until this has been given up.
            self._tell(await _finished(adding))
        except NetworkError:
            # What came so far is gone on with.
            raise
        except (GrueError, PirError, OSError):
            await asyncio.to_thread(self._mirror.drop_incoming)
            raise

    def _tell(self, epoch: Epoch) -> None:
        self._told({"epoch": epoch.manifest.contents.epoch, "records": epoch.manifest.contents.count})

    # --- answering --------------------------------------------------------------------------------

    async def _query(self, request: web.Request) -> web.Response:
        """REPLICA-07: who asks has the key; looked at before anything is read."""
        given = request.headers.get("Authorization", "").encode(errors="replace")
        if not hmac.compare_digest(given, self._authorization):
            return web.Response(status=401)
        try:
            return _binary(wire.encode(await self._answered(request)))
        except (GrueError, PirError) as error:
            refused = error if isinstance(error, GrueError) else BadRequest()
            return _binary(wire.encode(wire.Refusal(refused.code, refused.retry_after)))

    async def _answered(self, request: web.Request) -> wire.Answers:
        """REPLICA-09: there is room for it. Raises ServerBusy, and what `answer` does."""
        if self._under_way >= MAX_UNDER_WAY:
            raise ServerBusy(retry_after=1)
        self._under_way += 1
        try:
            async with asyncio.timeout(SEND_SECONDS):
                body = await request.read()
            return await self.answer(body)
        except (TimeoutError, web.HTTPRequestEntityTooLarge):
            raise BadRequest from None
        finally:
            self._under_way -= 1

    async def answer(self, body: bytes) -> wire.Answers:
        """Answer a `Query`. REPLICA-08: its epoch is here, and its queries have the layout's length.

        Raises BadRequest, EpochEnded, ServerBusy.
        """
        request = wire.ANONYMOUS_REQUEST.decode(body)
        if not isinstance(request, wire.Query):
            raise BadRequest
        base = self._mirror.private_base(request.epoch)
        if base is None:
            raise EpochEnded
        if any(len(query) != base.layout.query_bytes for query in request.queries):
            raise BadRequest
        with self.queries.room(request.queries):
            return wire.Answers(await self.queries.answer(base, request.queries))

    async def _ready(self, _request: web.Request) -> web.Response:
        if self._mirror.present is None:
            return web.Response(status=503, headers={"Retry-After": str(RETRY_SECONDS)})
        return web.Response(headers={"Cache-Control": "no-store"})

    # --- public files -----------------------------------------------------------------------------

    async def _file(self, request: web.Request) -> web.StreamResponse:
        """REPLICA-10: what is here and never changes comes from here, and all else straight from the server."""
        path = request.match_info["path"]
        file = self._mirror.file(path)
        if file is not None:
            headers = {"Content-Type": BINARY, "Cache-Control": IMMUTABLE_CACHE}
            return web.FileResponse(file, headers=headers)
        if self._passing >= MAX_PASSING:
            return web.Response(status=503, headers={"Retry-After": str(RETRY_SECONDS)})
        self._passing += 1
        try:
            return await passed_through(self._origin, request, path)
        finally:
            self._passing -= 1


async def _finished(adding: "asyncio.Future[Epoch]") -> Epoch:
    try:
        return await asyncio.shield(adding)
    except asyncio.CancelledError:
        with suppress(Exception):
            await adding
        raise


@web.middleware
async def _reported(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
    """REPLICA-11: whatever goes wrong is a bare status; only a fault of ours is told, by type and place."""
    try:
        return await handler(request)  # type: ignore[no-any-return]
    except NetworkError:
        return web.Response(status=502, headers={"Retry-After": str(RETRY_SECONDS)})
    except (ConnectionError, web.HTTPException):
        raise
    except Exception as error:  # noqa: BLE001 -- the replica goes on
        report(error)
        return web.Response(status=500)


def _binary(body: bytes) -> web.Response:
    return web.Response(body=body, headers={"Content-Type": BINARY})


# --- running it -----------------------------------------------------------------------------------


def open_key(path: Path) -> ReplicaKey:
    """REPLICA-01: the copy of the server's `replica.key`, which others cannot read. Raises UsageError."""
    return ReplicaKey.from_bytes(read_key_file(path, KEY_MAGIC, PUBLIC_BYTES + SECRET_BYTES))


@asynccontextmanager
async def _opened(data: Path, of: str, key: ReplicaKey, told: Told) -> AsyncIterator[Replica]:
    with ExitStack() as stack:
        with starting(data):
            stack.enter_context(locked(data, LOCK, "replica"))
            mirror = await asyncio.to_thread(Mirror, data, key.server_public)
        yield Replica(mirror, Origin(of), key, told)


async def replica(
    data: Path,
    listen: str,
    of: str,
    key: Path,
    tls: ssl.SSLContext | None = None,
    ready: Callable[[str], None] = lambda _address: None,
    told: Told = lambda _line: None,
) -> None:
    """Be a replica until SIGTERM or SIGINT. Calls `ready` with HOST:PORT once requests are answered.

    of    the server's URL: https://, or http:// on this machine
    key   a copy of the server's `replica.key`
    told  hears {"epoch", "records"} of each epoch that is here, and {"behind": code} when none comes

    Raises UsageError, DiskFull, DiskFailed, when it cannot start. Whether the server answers shows by what is told.
    """
    address, opened = parse_address(listen), open_key(key)
    set_limits()
    stop = stop_signal()
    # What the loop would say holds addresses.
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    async with _opened(data, of, opened, told) as one, listening(runner(one.application()), address, tls) as bound:
        ready(bound)
        async with one.following():
            await stop.wait()


def run(data: Path, listen: str, of: str, key: Path, **options: Any) -> None:
    """`replica`, on the fastest event loop there is; no library in it logs anything."""
    for name in ("aiohttp", "asyncio"):
        logging.getLogger(name).disabled = True
    run_fast(replica(data, listen, of, key, **options))
