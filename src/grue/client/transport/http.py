"""All transports of the client speak HTTP alike: no request says who, no redirect is followed."""

import re
import secrets
import ssl
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from grue.errors import (
    BadCertificate,
    GrueError,
    NotAGrueServer,
    OtherVersion,
    ProxyUnreachable,
    ServerBusy,
    TimedOut,
    Unreachable,
    UsageError,
)
from grue.protocol import wire

REQUEST_SECONDS: Final = 20.0
"""After this an answer counts as lost. An SMS gateway may take ten; a fetch of 4 MiB on a slow line as well."""

CONNECT_SECONDS: Final = 5.0
PROXY_CONNECT_SECONDS: Final = 60.0
"""Through a proxy such as Tor, which may have to build a circuit first."""

HEARTBEAT_SECONDS: Final = 30.0
"""Pings on streams: a dead line is noticed, and address translators keep the path open."""

MAX_FILE: Final = 64 << 20
"""Bytes of one directory file taken in one answer: 500,000 records, five times what tier 1 is for."""


_MAX_AGE: Final = re.compile(r"(?:^|[\s,])max-age=(\d{1,6})(?=$|[\s,])")


def check_proxy(url: str) -> str:
    """A SOCKS5 proxy's URL, as `new_session` takes it. Raises UsageError."""
    try:
        parsed = urlsplit(url)
        whole = parsed.scheme in ("socks5", "socks5h") and bool(parsed.hostname) and bool(parsed.port)
    except ValueError:
        whole = False
    if not whole or parsed.path.strip("/") or parsed.query or parsed.fragment:
        raise UsageError("A proxy is given as socks5://HOST:PORT; Tor's is socks5://127.0.0.1:9050.")
    return f"socks5://{parsed.netloc}"


def new_session(proxy: str = "", seconds: float = REQUEST_SECONDS) -> aiohttp.ClientSession:
    """A session of one kind of connection; `seconds` is the limit of a request.

    Through a proxy each session has credentials of its own by chance, unless the URL has some: Tor takes connections
    with different ones through different circuits, so that they cannot be told to be one person's.
    """
    patience = PROXY_CONNECT_SECONDS if proxy else 0.0
    return aiohttp.ClientSession(
        connector=_connector(proxy) if proxy else None,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=seconds + patience, sock_connect=patience or CONNECT_SECONDS),
        skip_auto_headers=("User-Agent",),
        auto_decompress=False,
        trust_env=False,
        middlewares=(_not_elsewhere, _proxied) if proxy else (_not_elsewhere,),
    )


def _connector(proxy: str) -> aiohttp.BaseConnector:
    """Names are resolved at the proxy's end, so that no resolver here is asked."""
    from aiohttp_socks import ProxyConnector, ProxyType

    parsed = urlsplit(proxy)
    assert parsed.hostname is not None
    assert parsed.port is not None
    own = parsed.username is not None
    return ProxyConnector(
        parsed.hostname,
        parsed.port,
        proxy_type=ProxyType.SOCKS5,
        username=parsed.username if own else secrets.token_hex(8),
        password=(parsed.password or "") if own else secrets.token_hex(8),
        rdns=True,
    )


async def _proxied(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    from aiohttp_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError

    try:
        return await handler(request)
    except (ProxyConnectionError, ProxyTimeoutError, ProxyError):
        raise ProxyUnreachable from None


async def _not_elsewhere(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Follow no redirect, which `ws_connect` cannot be told: a server may not send its clients to another machine."""
    response = await handler(request)
    if 300 <= response.status < 400:
        response.close()
        raise NotAGrueServer
    return response


async def connect_socket(session: aiohttp.ClientSession, url: str) -> aiohttp.ClientWebSocketResponse:
    """A WebSocket. Raises Unreachable, BadCertificate, ProxyUnreachable, NotAGrueServer, OtherVersion, ServerBusy."""
    try:
        return await session.ws_connect(url, compress=0, heartbeat=HEARTBEAT_SECONDS, max_msg_size=2 * wire.MAX_REQUEST)
    except aiohttp.WSServerHandshakeError as error:
        raise _status_error(error.status, error.headers or {}, asked=False) from None
    except (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError):
        raise BadCertificate from None
    except (aiohttp.ClientError, TimeoutError, OSError):
        raise Unreachable from None


async def post(session: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    """The body of an answer. Raises as `connect_socket`, and TimedOut when it is not known what was done."""
    return (await _request(session, "POST", url, body, headers or {}))[0]


async def get(session: aiohttp.ClientSession, url: str) -> bytes:
    """The body of a file. Raises as `post`."""
    return (await _request(session, "GET", url, None, {}))[0]


async def get_part(session: aiohttp.ClientSession, url: str, start: int, most: int | None) -> bytes:
    """At most so many bytes of a file from `start`; all of them where what answers knows no parts, as a cache may not.

    Nothing when it ends before. Raises as `post`.
    """
    end = "" if most is None else start + most - 1
    return (await _request(session, "GET", url, None, {"Range": f"bytes={start}-{end}"}, start))[0]


async def get_aging(session: aiohttp.ClientSession, url: str) -> tuple[bytes, int | None]:
    """The body of a file, and the seconds for which it may be kept, if that is said. Raises as `post`."""
    body, headers = await _request(session, "GET", url, None, {})
    age = _MAX_AGE.search(headers.get("Cache-Control", ""))
    return body, None if age is None else int(age[1])


async def _request(
    session: aiohttp.ClientSession, method: str, url: str, body: bytes | None, headers: dict[str, str], start: int = 0
) -> tuple[bytes, Mapping[str, str]]:
    try:
        async with session.request(method, url, data=body, headers=headers) as response:
            if response.status == 416:
                return b"", response.headers
            if response.status not in (200, 206):
                raise _status_error(response.status, response.headers, asked=method == "POST")
            data = await _limited(response.content)
            # With 200 it is the whole, whatever part was asked for.
            return data if response.status == 206 else data[start:], response.headers
    except (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError):
        raise BadCertificate from None
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise Unreachable from None
    except (aiohttp.ClientError, TimeoutError, OSError):
        raise TimedOut from None


async def _limited(content: aiohttp.StreamReader) -> bytes:
    data = bytearray()
    async for chunk in content.iter_any():
        data += chunk
        if len(data) > MAX_FILE:
            raise NotAGrueServer
    return bytes(data)


MAYBE_LATER: Final = frozenset({408, 425, 429})
"""Statuses below 500 that say nothing about what answers, only that it does not now."""


def _status_error(status: int, headers: Mapping[str, str], *, asked: bool) -> GrueError:
    """What an HTTP status means; `asked` when the request would change something.

    A proxy before the server answers with these too, and may do so after the server has done what it was asked.
    """
    if status == 426:
        return OtherVersion()
    if status < 500 and status not in MAYBE_LATER:
        return NotAGrueServer()
    if status in (429, 503) and "Retry-After" in headers:
        return ServerBusy(retry_after=_seconds(headers["Retry-After"]))
    return TimedOut() if asked else Unreachable()


def _seconds(retry_after: str) -> int:
    """The seconds of a `Retry-After`; 0 for a date, or what is nothing."""
    return int(retry_after) if retry_after.isdecimal() and len(retry_after) < 6 else 0
