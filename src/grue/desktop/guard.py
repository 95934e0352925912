"""Refuse whatever does not come from our own page in this person's browser, before anything is routed.

Every rule is one line of the table in `docs/desktop.md`, with the test of each.
"""

import os
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src blob:; "
        "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types svelte-trusted-html"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Permissions-Policy": "geolocation=(), usb=(), serial=(), hid=(), payment=()",
}
"""DESKTOP-06 sent with every answer, refusals included: only our own scripts run, and text becomes no markup."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TCP: Final = Path("/proc/net/tcp")
"""Where Linux says who has a socket; on other systems the bearer alone decides."""


def guard(host: str) -> Middleware:
    """A middleware for the application that listens at `host`, such as `127.0.0.1:9101`."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        status = _refusal(request, host)
        try:
            response = await handler(request) if status is None else web.Response(status=status)
        except web.HTTPException as error:
            response = web.Response(status=error.status)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    return middleware


def _refusal(request: web.Request, host: str) -> int | None:
    """DESKTOP-01 the exact Host, first of all and on every path: a rebound name has another. DESKTOP-02 whatever is no
    plain navigation has our exact Origin. DESKTOP-03 the other end of the connection is this person's.
    """
    if request.headers.getall("Host", []) != [host]:
        return 421
    changes = request.method not in ("GET", "HEAD") or "Upgrade" in request.headers
    if changes and request.headers.getall("Origin", []) != [f"http://{host}"]:
        return 403
    site = request.headers.get("Sec-Fetch-Site", "none")
    navigates = request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
    if not navigates and site not in ("same-origin", "none"):
        return 403
    return None if _is_ours(request.transport) else 403


def _is_ours(transport: object) -> bool:
    """Whether the client's socket belongs to the user that this process runs as."""
    if not sys.platform.startswith("linux"):
        return True
    get = getattr(transport, "get_extra_info", None)
    peer, own = (get("peername"), get("sockname")) if get is not None else (None, None)
    if peer is None or own is None:
        return False
    return owner(TCP.read_text(), peer, own) == os.getuid()


def owner(table: str, local: tuple[str, int], remote: tuple[str, int]) -> int | None:
    """The uid that has the socket from `local` to `remote`, by /proc/net/tcp; None when there is none.

    Addresses stand there as hexadecimal 32-bit words in the machine's own byte order (proc_net_tcp in the kernel's
    documentation).
    """
    wanted = f"{_hexadecimal(local)} {_hexadecimal(remote)} "
    for line in table.splitlines():
        found = re.match(r"\s*\d+: (\S+ \S+ )\S+ \S+ \S+ \S+\s+(\d+)", line)
        if found and found[1] == wanted:
            return int(found[2])
    return None


def _hexadecimal(address: tuple[str, int]) -> str:
    word = bytes(int(part) for part in address[0].split("."))
    return f"{int.from_bytes(word, sys.byteorder):08X}:{address[1]:04X}"
