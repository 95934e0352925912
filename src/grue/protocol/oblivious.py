"""The oblivious transport (RFC 9458): sealed requests, their sizes, and the gateway's key.

A client seals each anonymous request to the gateway and hands it to a relay of another operator. The relay sees who
sends and a size; the gateway sees one request and no address. `docs/protocol/oblivious.md` has the rules.
"""

from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from grue._core import OhttpError, OhttpExchange, OhttpRequest
from grue.errors import BadGatewayKey, BadRequest, NotAGrueServer, TooLarge
from grue.protocol import wire

KEY_CONTEXT: Final = b"grue gateway key v1"

PROBLEM_MEDIA: Final = "application/problem+json"

REQUEST_SIZES: Final = (1_536, 4_608, 16_896, 66_048, 262_656, 524_800, 1_046_528)
"""Bytes of an inner request, padded: an envelope of each size or a blob's part with what is around it, and the
largest that still is a request of `wire.MAX_REQUEST` when it is sealed. The last but one halves what a private query of
two to five million records takes; those of fewer go in sizes that envelopes and parts have too."""

RESPONSE_SIZES: Final = (1_536, 4_608, 16_896, 66_048, 262_656, 1 << 20)
"""Bytes of an inner response, padded likewise; the last holds a whole page of a mailbox."""

FRAMING: Final = 64
"""Bytes of an inner message that are not its body or its path: those of RFC 9292, and no field."""

CHUNK: Final = (1 << 20) - FRAMING
"""Bytes of a directory file in one response."""

ANONYMOUS_PATH: Final = f"/{wire.PROTOCOL}/anonymous"
FILE_PREFIX: Final = f"/{wire.PROTOCOL}/directory/"

OK, MORE, NOT_FOUND, BAD = 200, 206, 404, 400
"""Statuses of inner responses: all of it, a part after which more follows, no such file, no such request."""


class Sealed(NamedTuple):
    """A request for the relay, and what opens its response."""

    request: OhttpRequest
    data: bytes


def check_key(file: bytes, server_public: bytes, now: int) -> wire.GatewayKey:
    """The gateway's key from its signed file. Raises BadGatewayKey.

    GATEWAY-01 the server's key signed it, as a gateway's key.
    GATEWAY-02 it is still in use.
    """
    try:
        signed = wire.SIGNED_FILE.decode(file)
        Ed25519PublicKey.from_public_bytes(server_public).verify(signed.signature, KEY_CONTEXT + signed.body)
        key = wire.GATEWAY_KEY.decode(signed.body)
    except (BadRequest, InvalidSignature, ValueError):
        raise BadGatewayKey from None
    if now >= key.valid_until:
        raise BadGatewayKey("(It is an old one, or this machine's clock is wrong.)")
    return key


def sign_key(key: wire.GatewayKey, signing: Ed25519PrivateKey) -> bytes:
    """The file that `check_key` reads."""
    body = wire.encode(key)
    return wire.encode(wire.SignedFile(body, signing.sign(KEY_CONTEXT + body)))


# --- the client's half ----------------------------------------------------------------------------


def seal_request(config: bytes, body: bytes) -> Sealed:
    """An anonymous request, padded and sealed; some 140 us. Raises TooLarge, BadGatewayKey."""
    return _sealed(config, "POST", ANONYMOUS_PATH, body)


def seal_file(config: bytes, path: str, start: int) -> Sealed:
    """The request for a file of the directory from byte `start` on."""
    return _sealed(config, "GET", f"{FILE_PREFIX}{path}?from={start}", b"")


def open_response(request: OhttpRequest, response: bytes) -> tuple[int, bytes]:
    """Status and body of the inner response. Raises NotAGrueServer when it does not open.

    GATEWAY-03 it was sealed by who opened this request, for this request, and has one of our sizes.
    """
    try:
        return request.open(response)
    except OhttpError:
        raise NotAGrueServer from None


def _sealed(config: bytes, method: str, path: str, body: bytes) -> Sealed:
    size = _padded(len(body) + len(path) + FRAMING, REQUEST_SIZES)
    try:
        return Sealed(*OhttpRequest.seal(config, method, path, body, size))
    except OhttpError:
        raise BadGatewayKey from None


# --- the gateway's half ---------------------------------------------------------------------------


def seal_response(exchange: OhttpExchange, status: int, body: bytes) -> bytes:
    """The answer to one opened request, padded and sealed; 5 us and 0.7 us a KiB. Raises TooLarge."""
    return exchange.seal(status, body, _padded(len(body) + FRAMING, RESPONSE_SIZES))


def parse_file_path(path: str) -> tuple[str, int] | None:
    """A directory file's path and the byte from which it is wanted, or None for what is no such path."""
    name, _, query = path.removeprefix(FILE_PREFIX).partition("?from=")
    if not path.startswith(FILE_PREFIX) or not query.isdecimal() or len(query) > 12:
        return None
    return name, int(query)


def _padded(length: int, sizes: tuple[int, ...]) -> int:
    for size in sizes:
        if length <= size:
            return size
    raise TooLarge
