"""The server's side of replicas: it passes private queries on to them, and takes their answers back.

A replica is sent the epoch and the queries, and nothing of who asked or what paid. What it answers is not believed here
but by the client, for the manifest; here only its size is looked at. Whatever a replica does not do, the server does.
See `docs/protocol/replica.md`, whose checks are named here.
"""

import asyncio
import io
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import aiohttp
from yarl import URL

from grue._core import PirLayout
from grue.errors import BadRequest, EpochEnded, UsageError
from grue.protocol import wire
from grue.protocol.directory.replica import QUERY_PATH, ReplicaKey
from grue.protocol.urls import check_url

log: Final = logging.getLogger("grue.server")

TRIES: Final = 2
"""Replicas that one request is offered to, before the server answers it."""

ANSWER_SECONDS: Final = 8.0
"""Seconds that they have for it, both together. A client waits 20 for its answer, and the server's own queue may need
some of them."""

CONNECT_SECONDS: Final = 2.0
"""Seconds for a connection to a replica, where none is free."""

PASSED_ON_BYTES: Final = 256 << 20
"""Bytes of queries under way to replicas: some 1,200 at a million records. If all replicas go at once, that many are
the server's to answer, in some 6 s of two cores."""

REST_SECONDS: Final = 10.0
"""Seconds for which a replica that failed is not asked, unless it says when to come back."""

EPOCH_REST_SECONDS: Final = 2.0
"""Seconds for which a replica that does not have an epoch yet is not asked in it: it is fetching it."""

MAX_ANSWER: Final = wire.MAX_REQUEST
"""Bytes of one answer; eight at a million records have 44 kB."""


class _Failed(Exception):
    """A replica gave no answer; says for how long it rests, and why."""

    def __init__(self, why: str, rest: float = REST_SECONDS) -> None:
        super().__init__(why)
        self.rest = rest


class _Replica:
    """One URL: of a replica, or of what balances load among some."""

    def __init__(self, n: int, url: str) -> None:
        self.n = n
        self.url = _query_url(url)
        self.bytes = 0
        """Of queries under way to it."""
        self.answers = True
        """Whether it did, the last time: what is logged is the change."""
        self._rests_until = 0.0
        self._lacks: tuple[int, float] = (0, 0.0)

    def is_open(self, epoch: int, now: float) -> bool:
        lacking, until = self._lacks
        return now >= self._rests_until and (epoch != lacking or now >= until)

    def rest(self, until: float) -> None:
        self._rests_until = until

    def lack(self, epoch: int, until: float) -> None:
        self._lacks = epoch, until


class Replicas:
    """All of them. Call within the event loop that serves the server."""

    def __init__(self, urls: Sequence[str], key: ReplicaKey, clock: Callable[[], float] = time.monotonic) -> None:
        """REPLICA-12: each is under an `https://` URL, or `http://` on this machine. Raises UsageError."""
        self._replicas = [_Replica(n, url) for n, url in enumerate(urls, 1)]
        self._authorization = key.authorization
        self._clock = clock
        self._bytes = 0
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        async with _session(self._authorization) as self._session:
            yield

    @contextmanager
    def room(self, request: wire.Query) -> Iterator[bool]:
        """Take a place among those under way; False when no replica is to be asked, or too much is under way."""
        size = _size(request)
        if not self._open(request.epoch) or self._bytes + size > PASSED_ON_BYTES:
            yield False
            return
        self._bytes += size
        try:
            yield True
        finally:
            self._bytes -= size

    async def answer(self, request: wire.Query, layout: PirLayout) -> list[bytes] | None:
        """What a replica answered, or None; for who has `room`.

        REPLICA-15 at most `TRIES` are asked, the least busy first, in `ANSWER_SECONDS` together.
        """
        tried: set[int] = set()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while len(tried) < TRIES and (
                    open_ := [one for one in self._open(request.epoch) if one.n not in tried]
                ):
                    replica = min(open_, key=lambda one: one.bytes)
                    tried.add(replica.n)
                    answers = await self._asked(replica, request, layout)
                    if answers is not None:
                        return answers
        except TimeoutError:
            pass
        return None

    def _open(self, epoch: int) -> list[_Replica]:
        now = self._clock()
        return [replica for replica in self._replicas if replica.is_open(epoch, now)]

    async def _asked(self, replica: _Replica, request: wire.Query, layout: PirLayout) -> list[bytes] | None:
        size = _size(request)
        replica.bytes += size
        try:
            answers = await self._answers(replica, request, layout)
        except EpochEnded:
            replica.lack(request.epoch, self._clock() + EPOCH_REST_SECONDS)
            return None
        except _Failed as failed:
            self._failed(replica, failed)
            return None
        except asyncio.CancelledError:
            # By our own limit, most likely: whoever keeps a request for so long is not asked again at once.
            self._failed(replica, _Failed("it takes too long"))
            raise
        finally:
            replica.bytes -= size
        if not replica.answers:
            replica.answers = True
            log.warning("replica %d answers again", replica.n)
        return answers

    def _failed(self, replica: _Replica, failed: _Failed) -> None:
        replica.rest(self._clock() + failed.rest)
        if replica.answers:
            replica.answers = False
            log.warning("replica %d gives no answer: %s", replica.n, failed)

    async def _answers(self, replica: _Replica, request: wire.Query, layout: PirLayout) -> list[bytes]:
        """REPLICA-14 as many as there are queries, each of the layout's length. Raises EpochEnded, _Failed."""
        match await self._posted(replica.url, wire.encode(request)):
            case wire.Answers(answers=answers):
                if [len(one) for one in answers] != [layout.answer_bytes] * len(request.queries):
                    raise _Failed("what it answers is none")
                return answers
            case wire.Refusal(code=EpochEnded.code):
                raise EpochEnded
            case wire.Refusal(code=code, retry_after=seconds):
                raise _Failed(f"it says {_known(code)}", min(float(seconds or REST_SECONDS), REST_SECONDS))
            case _:
                raise _Failed("what it answers is none")

    async def _posted(self, url: URL, body: bytes) -> wire.AnonymousAnswer:
        """REPLICA-13: nothing is sent but the message, under the key. Raises _Failed."""
        assert self._session is not None
        try:
            # As a file, because aiohttp warns of larger bytes than 1 MiB.
            async with self._session.post(url, data=io.BytesIO(body), allow_redirects=False) as response:
                if response.status != 200:
                    raise _Failed(f"status {response.status}")
                return wire.ANONYMOUS_ANSWER.decode(await _limited(response.content))
        except BadRequest:
            raise _Failed("what it answers is none") from None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _Failed(type(error).__name__) from None


def _query_url(url: str) -> URL:
    checked = URL(check_url(url))
    if checked.raw_user is not None or checked.raw_password is not None or checked.raw_query_string:
        raise UsageError("--replicas takes URLs alone: no name, no password, nothing after a ?.")
    return checked / QUERY_PATH


def _session(authorization: str) -> aiohttp.ClientSession:
    """Connections to the replicas, shared by all whose queries they carry; no header that is not asked for."""
    return aiohttp.ClientSession(
        # What is under way is bounded by `PASSED_ON_BYTES`.
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=CONNECT_SECONDS),
        headers={
            "Accept-Encoding": "identity",
            "Authorization": authorization,
            "Content-Type": "application/octet-stream",
        },
        skip_auto_headers=("User-Agent", "Accept"),
        auto_decompress=False,
        trust_env=False,
    )


async def _limited(content: aiohttp.StreamReader) -> bytes:
    data = bytearray()
    async for chunk in content.iter_any():
        data += chunk
        if len(data) > MAX_ANSWER:
            raise BadRequest
    return bytes(data)


def _size(request: wire.Query) -> int:
    return sum(map(len, request.queries))


def _known(code: str) -> str:
    """A code as it may stand in a log: a replica could write what it likes there."""
    return code if code.isascii() and code.isidentifier() and len(code) <= 32 else "something else"
