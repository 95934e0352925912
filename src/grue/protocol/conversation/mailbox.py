"""A mailbox as its reader sees it: a log with a cursor, a hash over all of it, and an incarnation.

Every reader computes the same hash over the same log. Members send each other theirs inside the encryption, so a
server that shows two orders is noticed (check MAILBOX-20).
"""

import hashlib
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from grue.protocol.states import Table, advance
from grue.protocol.wire import Delivery

LOG_CONTEXT: Final = b"grue log v1"
UNKNOWN_HASH: Final = b""
"""The hash of a log of which a part was never seen (it expired unread): it is neither sent nor checked."""


MOVED_CONTEXT: Final = b"grue moved mailbox v1"


def moved_mailbox(write_hash: bytes, slots: Sequence[bytes]) -> bytes:
    """The id of a mailbox that any member may create: it names all that the creation holds.

    MAILBOX-11 so that whoever is first cannot create it with other readers. Nobody outside can know it, since the write
    key comes from the members' secrets.
    """
    return hashlib.sha256(b"".join([MOVED_CONTEXT, write_hash, *slots])).digest()


class ReaderState(StrEnum):
    SLOT = "slot"
    """The slot's secret is known, and not exchanged for a read key yet."""
    READING = "reading"


class ReaderEvent(StrEnum):
    EXCHANGED = "exchanged"
    DELIVERED = "delivered"
    RESTORED = "restored"


TABLE: Final[Table[ReaderState, ReaderEvent]] = {
    ReaderState.SLOT: {
        ReaderEvent.EXCHANGED: ReaderState.READING,
    },
    ReaderState.READING: {
        ReaderEvent.EXCHANGED: ReaderState.READING,
        ReaderEvent.DELIVERED: ReaderState.READING,
        ReaderEvent.RESTORED: ReaderState.READING,
    },
}


class Log(Struct, array_like=True, frozen=True):
    """How far one reader is in one mailbox."""

    mailbox: bytes
    state: ReaderState
    cursor: int
    hash: bytes
    incarnation: bytes = b""


def empty_log(mailbox: bytes, state: ReaderState) -> Log:
    """A log of which nothing has been read, from its beginning."""
    return Log(mailbox, state, 0, hashlib.sha256(LOG_CONTEXT + mailbox).digest())


def exchanged(log: Log, cursor: int) -> Log:
    """The slot became a reader. When it starts elsewhere than expected, the hash is unknown."""
    same = cursor == log.cursor
    return replace(
        log,
        state=advance(TABLE, log.state, ReaderEvent.EXCHANGED),
        cursor=cursor,
        hash=log.hash if same else UNKNOWN_HASH,
    )


def delivered(log: Log, delivery: Delivery) -> Log:
    """The log with one more envelope. A gap in seq makes the hash unknown: part of the log was never seen."""
    state = advance(TABLE, log.state, ReaderEvent.DELIVERED)
    whole = delivery.seq == log.cursor + 1 and log.hash != UNKNOWN_HASH
    return replace(
        log, state=state, cursor=delivery.seq, hash=_next_hash(log.hash, delivery) if whole else UNKNOWN_HASH
    )


def skipped(log: Log, head: int) -> Log:
    """The log at its head, of which what was left to read is not there any more."""
    return replace(log, state=advance(TABLE, log.state, ReaderEvent.DELIVERED), cursor=head, hash=UNKNOWN_HASH)


def met(log: Log, incarnation: bytes) -> Log:
    """The incarnation that the server states. A new one means a restored backup: read again from the start."""
    if not log.incarnation or log.incarnation == incarnation:
        return replace(log, incarnation=incarnation)
    state = advance(TABLE, log.state, ReaderEvent.RESTORED)
    return replace(log, state=state, cursor=0, hash=UNKNOWN_HASH, incarnation=incarnation)


def _next_hash(before: bytes, delivery: Delivery) -> bytes:
    digest = hashlib.sha256(before)
    digest.update(delivery.seq.to_bytes(8, "big"))
    digest.update(delivery.envelope)
    digest.update(hashlib.sha256(delivery.blob).digest())
    return digest.digest()
