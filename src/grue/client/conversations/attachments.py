"""Attachments go up and come down in parts, each upload part paid by itself, with one part in memory at a time.

An upload that was broken off goes on with the part that it was at. What is kept for that is 100 bytes in the store, and
the digest of that part: a part is sealed again after a crash, and goes out again only when the same bytes came of it.
So a file that changed meanwhile never has two versions of it sealed under one key.
"""

import asyncio
import errno
import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from grue.client.context import Context
from grue.client.store.engine import Db
from grue.client.store.entries import drop_meta, get_meta, put_meta
from grue.errors import DiskFailed, DiskFull, NoSuchBlob, NotAGrueServer, UsageError, VerificationFailed
from grue.protocol import wire
from grue.protocol.blobs import PART_ROOM, Sealing
from grue.protocol.conversation.contents import MAX_NAME, Attachment

UPLOAD_DAYS: Final = 7
"""Days after which an upload is begun anew, so that its first parts stay for a week after its last."""

KEY_BYTES: Final = 32
DAY_MS: Final = 86_400_000

CHANGED: Final = "The file changed while it was sent, or is sent by another process too. Try again."

_UPLOADS: Final = "upload "


class Upload(msgspec.Struct, array_like=True, frozen=True):
    """How far an upload is. Holds the attachment's key: never printed."""

    name: str
    """Under what it is kept; empty for bytes, which go up in one try or not at all."""
    key: bytes
    length: int
    modified: int
    """The file's time, in nanoseconds."""
    begun: int
    """Unix milliseconds."""
    part: int = 0
    """The one that is under way; all before it are there."""
    digest: bytes = b""
    """Of that part, sealed; empty when it was not sealed yet."""

    def __repr__(self) -> str:
        return "Upload()"


async def put(context: Context, source: Path | bytes) -> Attachment:
    """Seal a file or bytes and upload it; for a file, an upload that was broken off goes on. A file keeps its name.

    A `post` token for every 256 KiB. Raises LimitReached and NetworkError (the same again goes on), TooLarge,
    DiskFull (the server's), UsageError for a file that cannot be read or changes meanwhile.
    """
    with _opened(source) as file:
        upload = await _upload(context, source, file)
        sealing = Sealing(upload.key, upload.length)
        for n in range(upload.part, sealing.parts):
            await _put_part(context, upload, sealing, file, n)
        same = _state(file) == (upload.length, upload.modified)
    await context.store.transact(drop_meta, upload.name)
    if not same:
        raise UsageError(CHANGED)
    return Attachment(upload.key, upload.length, "" if isinstance(source, bytes) else _called(source))


async def _upload(context: Context, source: Path | bytes, file: BinaryIO) -> Upload:
    """The upload to go on with, or a fresh one. Raises TooLarge before anything is kept."""
    fresh = Upload(_name(source), context.random(KEY_BYTES), *_state(file), context.now_ms)
    Sealing(fresh.key, fresh.length)
    return await context.store.transact(_begun, fresh) if fresh.name else fresh


async def _put_part(context: Context, upload: Upload, sealing: Sealing, file: BinaryIO, n: int) -> None:
    sealed = await asyncio.to_thread(_sealed, file, sealing, n)
    digest = hashlib.sha256(sealed).digest()
    # On disk before it goes out, so that nothing else ever goes out in its place.
    if upload.name and not await context.store.transact(_under_way, upload, n, digest):
        raise UsageError(CHANGED)
    answer = await context.tokens.ask(wire.PutBlob(sealing.part_id(n), sealed))
    if not isinstance(answer, wire.Done):
        raise NotAGrueServer


async def get(context: Context, attachment: Attachment, into: Path) -> None:
    """Download into a file that does not exist yet; it is there whole and verified, or not at all.

    A download that was broken off goes on. Raises NoSuchBlob, NetworkError, BadAttachment, TooLarge, DiskFull,
    DiskFailed, UsageError.
    """
    sealing = Sealing(attachment.key, attachment.length)
    # One for each place, so that two downloads at once do not write to the same.
    place = hashlib.sha256(sealing.part_id(0) + os.fsencode(into.name)).hexdigest()
    partial = into.with_name(f".{place[:32]}.part")
    with _writing(partial, into) as file:
        try:
            # All bytes that are there were verified by an earlier try.
            for n in range(file.seek(0, os.SEEK_END) // PART_ROOM, sealing.parts):
                await _get_part(context, sealing, file, n)
        except (VerificationFailed, NoSuchBlob):
            partial.unlink(missing_ok=True)
            raise
        await asyncio.to_thread(_finished, file, attachment.length)
        _check_free(into)
        with _disk():
            partial.rename(into)


async def _get_part(context: Context, sealing: Sealing, file: BinaryIO, n: int) -> None:
    answer = await context.transport.anonymous(wire.GetBlob(sealing.part_id(n)))
    if not isinstance(answer, wire.BlobPart):
        raise NotAGrueServer
    contents = await asyncio.to_thread(sealing.unseal, n, answer.blob)
    await asyncio.to_thread(_written, file, n, contents)


# --- the file that goes up ------------------------------------------------------------------------


@contextmanager
def _opened(source: Path | bytes) -> Iterator[BinaryIO]:
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    try:
        file = source.open("rb")
    except OSError as error:
        raise UsageError(f"The file cannot be read: {os.strerror(error.errno or 0)}.") from None
    with file:
        yield file


def _name(source: Path | bytes) -> str:
    if isinstance(source, bytes):
        return ""
    return _UPLOADS + hashlib.sha256(os.fsencode(source.resolve())).hexdigest()


def _called(source: Path) -> str:
    """The file's name, which need not be text."""
    return os.fsencode(source.name).decode(errors="replace")[:MAX_NAME]


def _state(file: BinaryIO) -> tuple[int, int]:
    """Length in bytes, and time of the last change in nanoseconds."""
    if isinstance(file, io.BytesIO):
        return len(file.getbuffer()), 0
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _sealed(file: BinaryIO, sealing: Sealing, n: int) -> bytes:
    file.seek(n * PART_ROOM)
    contents = file.read(sealing.room(n))
    if len(contents) != sealing.room(n):
        raise UsageError(CHANGED)
    return sealing.seal(n, contents)


# --- the file that comes down ---------------------------------------------------------------------


@contextmanager
def _writing(partial: Path, into: Path) -> Iterator[BinaryIO]:
    _check_free(into)
    try:
        file = os.fdopen(os.open(partial, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
    except OSError as error:
        raise UsageError(f"The file cannot be written there: {os.strerror(error.errno or 0)}.") from None
    with file:
        yield file


def _check_free(into: Path) -> None:
    if into.exists():
        raise UsageError("There is a file of that name already.")


def _written(file: BinaryIO, n: int, contents: bytes) -> None:
    """On disk, since a later try goes by the file's length: after a power cut that may be ahead of what was written."""
    with _disk():
        file.seek(n * PART_ROOM)
        file.write(contents)
        file.flush()
        os.fsync(file.fileno())


def _finished(file: BinaryIO, length: int) -> None:
    with _disk():
        file.truncate(length)
        os.fsync(file.fileno())


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise (DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else DiskFailed) from None


# --- in transactions ------------------------------------------------------------------------------


def _begun(db: Db, fresh: Upload) -> Upload:
    """The upload of this file that was broken off, if the file and the server still have what was there then."""
    _forget_old(db, fresh.begun)
    known = get_meta(db, fresh.name, Upload)
    if known is not None and (known.length, known.modified) == (fresh.length, fresh.modified):
        return known
    put_meta(db, fresh.name, fresh)
    return fresh


def _forget_old(db: Db, now_ms: int) -> None:
    for (name,) in db.rows("SELECT key FROM meta WHERE key > ? AND key < ?", _UPLOADS, _UPLOADS + "g"):
        known = get_meta(db, str(name), Upload)
        if known is None or not 0 <= now_ms - known.begun < UPLOAD_DAYS * DAY_MS:
            drop_meta(db, str(name))


def _under_way(db: Db, upload: Upload, n: int, digest: bytes) -> bool:
    """Note what goes out next; False when something else went out in its place before."""
    known = get_meta(db, upload.name, Upload)
    if known is None or known.key != upload.key or known.part not in (n - 1, n):
        return False
    if known.part == n and known.digest not in (b"", digest):
        drop_meta(db, upload.name)
        return False
    put_meta(db, upload.name, msgspec.structs.replace(known, part=n, digest=digest))
    return True
