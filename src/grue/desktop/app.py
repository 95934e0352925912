"""The application on loopback: the built page's files, the way in, and a socket that speaks `grue.rpc`."""

import hashlib
from collections.abc import Awaitable, Callable
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import WSMsgType, web

from grue.client.client import Client
from grue.desktop.guard import guard
from grue.desktop.secrets import NotLetIn, Secrets
from grue.errors import UsageError
from grue.rpc.session import MAX_FRAME, Session

BEARER_SECONDS: Final = 2.0
"""Within which a socket says who it is."""
NOT_LET_IN: Final = 4401
"""Why a socket is closed: it did not say who it is."""
MAX_KEY: Final = 256
"""Bytes of a secret, far more than one has."""

KINDS: Final = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".json": "application/json",
}
"""Of the page's files; nothing else is served."""


Serve = Callable[[web.Request], Awaitable[web.StreamResponse]]


class NoPage(UsageError):
    """The page was not built: an installation from a clone without `make setup`."""

    code = "no_window"
    message = "This installation has no window."
    fix = "In a clone of Grue, run `make setup`; the command line has everything that the window has."


class _Enter(msgspec.Struct, forbid_unknown_fields=True):
    once: str


def page() -> Path:
    """The folder of the built page. Raises NoPage."""
    folder = Path(str(resources.files("grue.desktop"))) / "page"
    if not (folder / "index.html").is_file():
        raise NoPage
    return folder


def application(client: Client, secrets: Secrets, folder: Path, host: str) -> web.Application:
    """What answers at `host`, such as `127.0.0.1:9101`, for one client."""
    app = web.Application(middlewares=[guard(host)], client_max_size=MAX_KEY)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in KINDS:
            app.router.add_get("/" + path.relative_to(folder).as_posix(), _file(path))
    app.router.add_get("/", _file(folder / "index.html"))
    app.router.add_post("/enter", _enter(secrets))
    app.router.add_get("/api", _socket(client, secrets))
    return app


def _file(path: Path) -> Serve:
    body, kind = path.read_bytes(), KINDS[path.suffix]

    async def serve(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type=kind, charset="utf-8")

    return serve


def _enter(secrets: Secrets) -> Serve:
    async def enter(request: web.Request) -> web.Response:
        """DESKTOP-04 a secret lets in once, for thirty seconds; fetching the page uses nothing up."""
        try:
            once = msgspec.json.decode(await request.read(), type=_Enter).once
            return web.json_response({"bearer": secrets.enter(once)})
        except (msgspec.DecodeError, UnicodeError, NotLetIn):
            raise web.HTTPUnauthorized from None

    return enter


def _socket(client: Client, secrets: Secrets) -> Serve:
    async def serve(request: web.Request) -> web.WebSocketResponse:
        """DESKTOP-05 the first frame is the bearer, within two seconds; then come requests."""
        socket = web.WebSocketResponse(max_msg_size=MAX_FRAME, heartbeat=20)
        await socket.prepare(request)
        try:
            secrets.check(await socket.receive_str(timeout=BEARER_SECONDS))
        except (NotLetIn, TimeoutError, TypeError, UnicodeError):
            await socket.close(code=NOT_LET_IN)
            return socket

        async def write(frame: bytes) -> None:
            await socket.send_str(frame.decode())

        async with Session(client, write) as session:
            async for frame in socket:
                if frame.type is not WSMsgType.TEXT:
                    break
                await session.receive(frame.data.encode())
        return socket

    return serve


def digest(folder: Path) -> str:
    """SHA-256 over the names and contents of a built page: what the sources build to, on every machine."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            whole.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return whole.hexdigest()
