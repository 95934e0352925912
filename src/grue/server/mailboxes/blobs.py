"""Parts of attachments: each is a sealed file, named by a hash, and a row that says when it goes.

A file is on disk before its row is, and the row before the answer. A file that goes is gone before its row. So whatever
a crash leaves is found again: a row whose day has come, or a file without a row.
"""

import asyncio
import hmac
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Final, cast

from grue.errors import BadRequest, BlobConflict, DiskFull, NoSuchBlob, TokenSpent
from grue.protocol import wire
from grue.server.clock import DAY
from grue.server.context import Context
from grue.server.store.disk import sync_directory, writing
from grue.server.store.interface import Tx
from grue.server.tokens import tokens

MAX_BLOB_BYTES: Final = 32 << 30
"""Bytes of all parts together, unless `serve --blob-limit` says otherwise: 60 people who use up their tokens for two
weeks. Tokens bound one account; this bounds all, so that attachments never take the disk that envelopes need."""

UNFINISHED: Final = ".new"

NAME_BYTES: Final = 32

_NAME_LABEL: Final = b"grue blob v1"


class Blobs:
    """The files, and how many bytes they take. One process may use a directory; `alone` keeps requests apart."""

    def __init__(self, path: Path, limit: int = MAX_BLOB_BYTES) -> None:
        """Make the directory if there is none, remove what was half written, and count: some 2 us a file."""
        path.mkdir(mode=0o700, exist_ok=True)
        self._path = path
        self._limit = limit
        self._held = 0
        self._busy: dict[bytes, asyncio.Event] = {}
        for entry in list(os.scandir(path)):
            if entry.name.endswith(UNFINISHED):
                Path(entry.path).unlink()
            elif _named(entry.name) is not None:
                self._held += entry.stat().st_size

    @asynccontextmanager
    async def alone(self, name: bytes) -> AsyncIterator[None]:
        """Keep everybody else from this part, or this token, meanwhile."""
        while (other := self._busy.get(name)) is not None:
            await other.wait()
        done = self._busy[name] = asyncio.Event()
        try:
            yield
        finally:
            del self._busy[name]
            done.set()

    async def read(self, name: bytes) -> bytes | None:
        """The bytes; None when there is no file."""
        return await asyncio.to_thread(self._read, name)

    async def write(self, name: bytes, blob: bytes, day: int) -> None:
        """Put a new file on disk. Raises DiskFull; there is none then.

        Its time is the beginning of `day`: whatever copies files keeps that and no finer one.
        """
        if self._held + len(blob) > self._limit:
            raise DiskFull
        self._held += len(blob)
        try:
            await asyncio.to_thread(self._write, name, blob, day)
        except BaseException:
            self._held -= len(blob)
            raise

    async def erase(self, name: bytes) -> None:
        """Overwrite a file and remove it. No file is fine."""
        self._held -= await asyncio.to_thread(self._erase, name)

    async def names(self) -> list[bytes]:
        """Every part there is a file for."""
        return await asyncio.to_thread(self._names)

    # --- in threads -------------------------------------------------------------------------------

    def _place(self, name: bytes) -> Path:
        return self._path / name.hex()

    def _read(self, name: bytes) -> bytes | None:
        with suppress(FileNotFoundError):
            return self._place(name).read_bytes()
        return None

    def _write(self, name: bytes, blob: bytes, day: int) -> None:
        place = self._place(name)
        unfinished = place.with_name(place.name + UNFINISHED)
        with writing(), _removed_on_failure(unfinished, place):
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(blob)
                file.flush()
                os.utime(file.fileno(), (day * DAY, day * DAY))
                os.fsync(file.fileno())
            unfinished.rename(place)
            sync_directory(self._path)

    def _erase(self, name: bytes) -> int:
        """Returns the bytes that there were."""
        place = self._place(name)
        size = _size(place)
        with suppress(FileNotFoundError):
            with place.open("r+b") as file:
                file.write(bytes(size))
                file.flush()
                os.fsync(file.fileno())
            place.unlink()
            sync_directory(self._path)
        return size

    def _names(self) -> list[bytes]:
        return [name for entry in os.scandir(self._path) if (name := _named(entry.name)) is not None]


def blob_name(id: bytes) -> bytes:
    """Under what a part lies: nothing that a client chose stands in a file's name or in a row."""
    return sha256(_NAME_LABEL + id).digest()


# --- requests -------------------------------------------------------------------------------------


async def put(context: Context, blobs: Blobs, request: wire.PutBlob, paid: Sequence[tokens.Spent]) -> wire.Done:
    """Keep a part; returns when file and row are on disk, and the tokens spent. Raises DiskFull, TokenSpent.

    BLOB-05 the part has exactly the size of a bucket (BadRequest).
    BLOB-06 an id that is in use comes with the same bytes (BlobConflict).
    BLOB-08 nothing is written for tokens that were spent on something else, or are just being spent (TokenSpent).
    """
    if len(request.blob) not in wire.PART_BUCKETS:
        raise BadRequest
    name, day = blob_name(request.id), context.blurred_day()
    # Tokens before the part, and in order, so that no two requests wait for each other.
    async with _all_alone(blobs, [*sorted(token.key for token in paid), name]):
        if await context.store.read(_is_due, name, context.today):
            # The sweep was not here yet. What is put now is to stay as long as any other.
            await _remove(context, blobs, name)
        known = await blobs.read(name) if await context.store.read(_is_kept, name) else None
        if known is not None and not hmac.compare_digest(known, request.blob):
            raise BlobConflict
        if known is None:
            # They are spent with the row, when the file is on disk. Until then nobody else has these tokens.
            await context.store.read(_check_unspent, paid, name)
            # What lies there without a row was never acknowledged.
            await blobs.erase(name)
            await blobs.write(name, request.blob, day)
        try:
            await context.store.transact(_keep, paid, name, len(request.blob), day + request.days)
        except Exception:
            if known is None:
                await blobs.erase(name)
            raise
    return wire.Done()


@asynccontextmanager
async def _all_alone(blobs: Blobs, names: Sequence[bytes]) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for name in names:
            await stack.enter_async_context(blobs.alone(name))
        yield


async def get(context: Context, blobs: Blobs, request: wire.GetBlob) -> wire.BlobPart:
    """A part. BLOB-07 it is there, and its day has not come (NoSuchBlob): knowing the id is the permission."""
    name = blob_name(request.id)
    async with blobs.alone(name):
        expires_day = await context.store.read(_expiry, name)
        blob = await blobs.read(name) if expires_day is not None and expires_day > context.today else None
    if blob is None:
        raise NoSuchBlob
    return wire.BlobPart(blob)


async def expire(context: Context, blobs: Blobs) -> None:
    """Remove the parts whose day has come, and files that a crash left without a row."""
    for first_byte in range(256):
        for name in await context.store.read(_due, first_byte, context.today):
            async with blobs.alone(name):
                await _remove(context, blobs, name)
    for name in await blobs.names():
        async with blobs.alone(name):
            if not await context.store.read(_is_kept, name):
                await blobs.erase(name)


async def _remove(context: Context, blobs: Blobs, name: bytes) -> None:
    await blobs.erase(name)
    await context.store.transact(_drop, name)


# --- in transactions ------------------------------------------------------------------------------


async def _keep(tx: Tx, paid: Sequence[tokens.Spent], name: bytes, bucket: int, expires_day: int) -> None:
    repeated = await tokens.take(tx, paid)
    new = await tx.run(
        "INSERT INTO blob (id, bucket, expires_day) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        name, bucket, expires_day,
    )  # fmt: skip
    if repeated and new:
        # A replay from long ago, whose part is gone and whose token is not forgotten.
        raise TokenSpent


async def _check_unspent(tx: Tx, paid: Sequence[tokens.Spent], name: bytes) -> None:
    """What `_keep` would refuse, without a change. Raises TokenSpent."""
    repeated = 0
    for token in paid:
        row = await tx.row("SELECT use FROM token_spent WHERE key = $1", token.key)
        if row is not None:
            if not hmac.compare_digest(cast("bytes", row[0]), token.use):
                raise TokenSpent
            repeated += 1
    if repeated == len(paid) and not await _is_kept(tx, name):
        raise TokenSpent


async def _is_kept(tx: Tx, name: bytes) -> bool:
    return await _expiry(tx, name) is not None


async def _is_due(tx: Tx, name: bytes, today: int) -> bool:
    expires_day = await _expiry(tx, name)
    return expires_day is not None and expires_day <= today


async def _expiry(tx: Tx, name: bytes) -> int | None:
    row = await tx.row("SELECT expires_day FROM blob WHERE id = $1", name)
    return None if row is None else cast("int", row[0])


async def _due(tx: Tx, first_byte: int, today: int) -> list[bytes]:
    """A slice of what is due, so that no step is long."""
    low, high = bytes([first_byte]), bytes([first_byte, *b"\xff" * 32])
    rows = await tx.rows("SELECT id FROM blob WHERE id >= $1 AND id <= $2 AND expires_day <= $3", low, high, today)
    return [cast("bytes", row[0]) for row in rows]


async def _drop(tx: Tx, name: bytes) -> None:
    await tx.run("DELETE FROM blob WHERE id = $1", name)


# --- files ----------------------------------------------------------------------------------------


@contextmanager
def _removed_on_failure(*paths: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        for path in paths:
            with suppress(OSError):
                path.unlink()
        raise


def _named(file: str) -> bytes | None:
    """The part that a file holds; None for what is none of ours."""
    with suppress(ValueError):
        name = bytes.fromhex(file)
        return name if len(name) == NAME_BYTES else None
    return None


def _size(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0
