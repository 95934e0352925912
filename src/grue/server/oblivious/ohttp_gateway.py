"""The OHTTP gateway (RFC 9458): it opens what a relay hands on, has it answered, and seals the answer.

Its keys are in memory only, and each goes after two hours: what somebody recorded then opens for nobody, whatever is
found on the disk. A request opens once; what a relay repeats is refused, so that it learns nothing from the answer.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from grue._core import OhttpError, OhttpExchange, OhttpGateway
from grue.errors import TooLarge
from grue.protocol import oblivious, wire
from grue.server.directory.directory import Directory
from grue.server.listening import Place
from grue.server.reporting import report

KEY_SECONDS: Final = 3_600
"""How long a key is handed out. It opens for as long again, for who fetched it late."""

KEY_REQUESTS: Final = 1 << 20
"""Requests after which a key is replaced at once: what its filter is sized for."""

FILTER_BITS: Final = 1 << 24
"""Of the filter of opened requests, 2 MiB a key. When it is full one request in 400 is taken for a replay, and its
client seals it once more."""

FILTER_HASHES: Final = 4

INLINE_BYTES: Final = 1 << 16
"""Bytes of a sealed request that are opened without a thread: 0.3 ms, of which 0.05 ms are for the bytes."""

RESERVED: Final = 4_096
"""Bytes that are held for the answer of every request before anything is done, so that one that was carried out is
never taken back for want of room. What answers with more only reads, or was paid for."""

_SPEND: Final = wire.encode(wire.Spend([], b""))[:2]
"""How a request that is paid for begins."""

_PROBLEM: Final = '{"type":"%s"}'
_UNKNOWN_KEY: Final = "https://iana.org/assignments/http-problem-types#ohttp-key"
_REPLAYED: Final = "about:blank"


Opened = tuple[OhttpExchange, str, str, bytes]
"""What seals the answer to a request, and the request's method, path and body."""

Relayed = Callable[[str, str, bytes], Awaitable[tuple[int, bytes]]]
"""Answers what a sealed request held: method, path and body in, status and body out."""


class Reply(NamedTuple):
    """What goes back to the relay, in HTTP's words."""

    status: int
    media: str
    body: bytes


class Replays:
    """Which requests were opened: a Bloom filter, so that it neither grows nor says what is in it."""

    def __init__(self) -> None:
        self._bits = bytearray(FILTER_BITS // 8)
        self.count = 0

    def add(self, request: bytes) -> bool:
        """Note a request; False when it was there already."""
        digest = sha256(request).digest()
        new = False
        for at in range(0, 4 * FILTER_HASHES, 4):
            place = int.from_bytes(digest[at : at + 4], "big") % FILTER_BITS
            byte, bit = place >> 3, 1 << (place & 7)
            new |= not self._bits[byte] & bit
            self._bits[byte] |= bit
        self.count += new
        return new


class _Key:
    def __init__(self, key_id: int, made: float, signing: Ed25519PrivateKey, random: Callable[[int], bytes]) -> None:
        self.id = key_id
        self.made = made
        self.gateway = OhttpGateway.from_seed(random(32), key_id)
        self.valid_until = int(made) + 2 * KEY_SECONDS
        self.file = oblivious.sign_key(wire.GatewayKey(self.gateway.config, self.valid_until), signing)
        self.replays = Replays()


class OhttpKeys:
    """The present key and the one before. Call within the event loop that serves it."""

    def __init__(
        self, signing: Ed25519PrivateKey, clock: Callable[[], float], random: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._signing = signing
        self._clock = clock
        self._random = random
        # By chance, so that a key from before a restart is mostly an unknown one, and not one that fails to open.
        self._keys = [_Key(random(1)[0], clock(), signing, random)]

    def key_file(self) -> bytes:
        """The signed file with the present key; `oblivious.check_key` reads it."""
        return self._present().file

    def open(self, request: bytes) -> "Opened | Reply":
        """The exchange, method, path and body of one request, or the refusal that goes back in the open.

        GATEWAY-04 its key is one of ours, and in use.
        GATEWAY-05 it opens, and is written as every client writes it.
        GATEWAY-06 it was not opened before.
        """
        key = self._key_of(request)
        return _refused(_UNKNOWN_KEY) if key is None else _once(key, request, _unsealed(key, request))

    async def open_apart(self, request: bytes) -> "Opened | Reply":
        """Likewise, but a large request is opened in a thread: others are answered meanwhile."""
        if len(request) <= INLINE_BYTES:
            return self.open(request)
        key = self._key_of(request)
        if key is None:
            return _refused(_UNKNOWN_KEY)
        return _once(key, request, await asyncio.to_thread(_unsealed, key, request))

    def _key_of(self, request: bytes) -> _Key | None:
        """The key that a sealed request names with its first byte."""
        self._present()
        return next((key for key in self._keys if request[:1] == bytes([key.id])), None)

    def _present(self) -> _Key:
        """The key to hand out: made when the last one is old, or has opened as many requests as it may."""
        now = self._clock()
        present = self._keys[-1]
        # A clock that was set back makes a new key as well: its times would be wrong for hours.
        if not 0 <= now - present.made < KEY_SECONDS or present.replays.count >= KEY_REQUESTS:
            present = _Key((present.id + 1) & 0xFF, now, self._signing, self._random)
            self._keys.append(present)
        self._keys = [key for key in self._keys[-2:] if now < key.valid_until]
        return present


def _unsealed(key: _Key, request: bytes) -> Opened | None:
    """Touches nothing that changes, and may run in a thread."""
    try:
        return key.gateway.open(request)
    except OhttpError:
        return None


def _once(key: _Key, request: bytes, opened: Opened | None) -> Opened | Reply:
    if opened is None:
        return _refused(_UNKNOWN_KEY)
    return opened if key.replays.add(request) else _refused(_REPLAYED)


def keep_answer(place: Place, request: bytes, answer: bytes) -> None:
    """Hold what an answer has beyond `RESERVED`. Raises ServerBusy for one that only read: it can be asked again.

    One that was paid for stays in any case. Tokens bound how many of those there are.
    """
    more = len(answer) - RESERVED
    if more <= 0:
        return
    if request.startswith(_SPEND):
        place.keep(more)
    else:
        place.hold(more)


async def answer(keys: OhttpKeys, relayed: Relayed, request: bytes, place: Place) -> Reply:
    """Open one sealed request, answer it with `relayed`, and seal the answer; some 220 us beside the answer itself.

    Raises ServerBusy when there is no room for the request or its answer; nothing was done then.
    """
    place.hold(RESERVED)
    opened = await keys.open_apart(request)
    if isinstance(opened, Reply):
        return opened
    exchange, method, path, body = opened
    status, inner = await relayed(method, path, body)
    keep_answer(place, body, inner)
    try:
        sealed = oblivious.seal_response(exchange, status, inner)
    except TooLarge as error:
        report(error)
        sealed = oblivious.seal_response(exchange, oblivious.BAD, b"")
    return Reply(200, wire.OHTTP_RESPONSE, sealed)


async def relayed(
    anonymous: Callable[[bytes], Awaitable[bytes]], directory: Directory, method: str, path: str, body: bytes
) -> tuple[int, bytes]:
    """Status and body for what was inside a sealed request."""
    if method == "POST" and path == oblivious.ANONYMOUS_PATH:
        return oblivious.OK, await anonymous(body)
    wanted = oblivious.parse_file_path(path)
    if method != "GET" or wanted is None:
        return oblivious.BAD, b""
    return await _file(directory, *wanted)


async def _file(directory: Directory, name: str, start: int) -> tuple[int, bytes]:
    """A part of a public file, and whether more follows. In a thread, since it may have to be read from disk."""
    found = await asyncio.to_thread(directory.part, name, start, oblivious.CHUNK)
    if found is None:
        return oblivious.NOT_FOUND, b""
    part, more = found
    return (oblivious.MORE if more else oblivious.OK), part


def _refused(kind: str) -> Reply:
    return Reply(400, oblivious.PROBLEM_MEDIA, (_PROBLEM % kind).encode())
