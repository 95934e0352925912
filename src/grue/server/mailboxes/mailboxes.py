"""Mailboxes: queues that only grow at their end; they know keys by hashes and nobody by name.

Each function is one transaction. `docs/protocol/mailbox.md` has the rules; MAILBOX-nn are its checks.
"""

from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest
from typing import Final, NamedTuple, cast

from grue.errors import BadRequest, MailboxConflict, MailboxFull, NoSuchMailbox, NotPermitted, TokenNeeded, TooLarge
from grue.protocol import wire
from grue.protocol.conversation.mailbox import moved_mailbox
from grue.server.store.interface import Tx

MAILBOX_DAYS: Final = 365
"""Days that a mailbox outlives its last use: a quiet friendship lasts a year."""

MAILBOX_STEP: Final = 30
"""Days. A mailbox's expiry is rounded up to these, so that it does not say when it was used."""

MAX_BACKLOG_KIB: Final = 32 * 1024
"""KiB waiting in a conversation's mailbox: a thousand messages a day for a month, at 1 KiB."""

RESERVED_SHARE: Final = 10
"""One part in so many of a conversation's mailbox takes only posts that spend a token: who may write can fill the rest
for nothing, and a removal fits all the same."""

MAX_INTRO_BACKLOG_KIB: Final = 8 * 1024
"""KiB waiting in an intro mailbox, which strangers fill: a thousand first contacts of 8 KiB."""

INTRO_BEGIN_BITS: Final = 31
"""Bits of the number after which an intro mailbox begins to count, by chance: so its seq does not tell how many people
have written to an account. A conversation's begins at 0, since its mailbox leads to nobody."""

MAX_READERS: Final = 1100
"""Readers and slots of one mailbox: a group's 1,000 devices, and some that were removed or are being added."""

MAX_PAGE: Final = 960 * 1024
"""Bytes of envelopes in one answer, so that it fits a frame of `wire.MAX_REQUEST`."""


class Page(NamedTuple):
    """A reader's view of its mailbox: what follows a seq, as far as fits one answer."""

    incarnation: bytes
    head: int
    expires_day: int
    envelopes: list[wire.Delivery]


class Room(NamedTuple):
    """How much a mailbox takes, in KiB, and how much of it not from this post."""

    limit: int
    kept: int

    def check(self, held: int) -> None:
        """MAILBOX-05: nothing beyond the limit. MAILBOX-10: in what is kept, only what spends a token.

        Raises MailboxFull, TokenNeeded.
        """
        if held > self.limit:
            raise MailboxFull
        if held > self.limit - self.kept:
            raise TokenNeeded


def key_hash(key: bytes) -> bytes:
    """How the server knows a read key, a write key or a slot's secret."""
    return sha256(key).digest()


def mailbox_expiry(today: int) -> int:
    """The day on which a mailbox used today goes away."""
    return -(-(today + MAILBOX_DAYS) // MAILBOX_STEP) * MAILBOX_STEP


_BY_ANY: Final = b"any member"
"""In the hash over a creation that names no reader, where others have theirs."""


# --- creating -------------------------------------------------------------------------------------


async def create(tx: Tx, request: wire.CreateMailbox, incarnation: bytes, today: int) -> bool:
    """Create a conversation's mailbox; the same again changes nothing. Returns whether it is new.

    Raises MailboxConflict (MAILBOX-01) when the id is in use with other contents.
    """
    readers = [request.read_hash] if request.read_hash is not None else []
    if not readers and request.mailbox != moved_mailbox(request.write_hash, request.slots):
        # MAILBOX-11
        raise BadRequest
    created = sha256(b"".join([request.write_hash, *(readers or [_BY_ANY]), *request.slots])).digest()
    _check_distinct([*readers, *request.slots])
    if not await _insert_mailbox(tx, request.mailbox, request.write_hash, created, incarnation, today, 0):
        return False
    for reader in readers:
        await _insert_reader(tx, request.mailbox, reader, 0, 0)
    for slot in request.slots:
        await _insert_reader(tx, request.mailbox, slot, 1, 0)
    return True


async def create_intro(
    tx: Tx, mailbox: bytes, read_hash: bytes, incarnation: bytes, today: int, begin: int = 0
) -> None:
    """Create an account's intro mailbox, which anybody may post to; the same again changes nothing.

    Its first envelope gets the seq after `begin`, which nobody is to know: see `INTRO_BEGIN_BITS`.
    """
    created = sha256(b"intro" + read_hash).digest()
    if await _insert_mailbox(tx, mailbox, None, created, incarnation, today, begin):
        await _insert_reader(tx, mailbox, read_hash, 0, begin)


async def set_readers(tx: Tx, mailbox: bytes, hashes: list[bytes]) -> None:
    """Have an intro mailbox read by exactly these: who comes reads what follows, and who is not named reads no more.

    MAILBOX-12. Nothing when it is so already.
    """
    rows = await tx.rows("SELECT read_hash FROM reader WHERE mailbox = $1", mailbox)
    present = {cast("bytes", row[0]) for row in rows}
    head = await tx.row("SELECT seq FROM mailbox WHERE mailbox = $1", mailbox)
    if head is None or present == set(hashes):
        return
    for read_hash in set(hashes) - present:
        await _insert_reader(tx, mailbox, read_hash, 0, cast("int", head[0]))
    for read_hash in present - set(hashes):
        await remove_reader(tx, mailbox, read_hash)


async def delete(tx: Tx, mailbox: bytes) -> None:
    """Remove a mailbox with everything in it."""
    await tx.run("DELETE FROM envelope WHERE mailbox = $1", mailbox)
    await tx.run("DELETE FROM reader WHERE mailbox = $1", mailbox)
    await tx.run("DELETE FROM mailbox WHERE mailbox = $1", mailbox)


async def keep(tx: Tx, mailbox: bytes, today: int) -> None:
    """Put a mailbox's expiry off, because somebody still reads it."""
    await tx.run("UPDATE mailbox SET expires_day = $2 WHERE mailbox = $1", mailbox, mailbox_expiry(today))


async def renew_incarnation(tx: Tx, incarnation: bytes) -> None:
    """After a restore from a backup: tell every reader to read again from the start."""
    await tx.run("UPDATE mailbox SET incarnation = $1", incarnation)


async def _insert_mailbox(
    tx: Tx, mailbox: bytes, write_hash: bytes | None, created: bytes, incarnation: bytes, today: int, begin: int
) -> bool:
    """True when it is new; False when the same one is there already."""
    inserted = await tx.run(
        "INSERT INTO mailbox (mailbox, write_hash, created, incarnation, seq, held, expires_day)"
        " VALUES ($1, $2, $3, $4, $5, 0, $6) ON CONFLICT DO NOTHING",
        mailbox, write_hash, created, incarnation, begin, mailbox_expiry(today),
    )  # fmt: skip
    if inserted:
        return True
    row = await tx.row("SELECT created FROM mailbox WHERE mailbox = $1", mailbox)
    if row is None or not compare_digest(cast("bytes", row[0]), created):
        raise MailboxConflict
    return False


async def _insert_reader(tx: Tx, mailbox: bytes, read_hash: bytes, slot: int, cursor: int) -> None:
    inserted = await tx.run(
        "INSERT INTO reader (mailbox, read_hash, slot, cursor) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        mailbox, read_hash, slot, cursor,
    )  # fmt: skip
    if not inserted:
        raise MailboxConflict


def _check_distinct(hashes: list[bytes]) -> None:
    if len(set(hashes)) != len(hashes):
        raise BadRequest


# --- posting --------------------------------------------------------------------------------------


async def post(tx: Tx, request: wire.Post, today: int, paid: bool = False) -> tuple[int, bool]:
    """Append an envelope, and reserve slots from it on. Returns its seq, and whether it is new.

    paid  a token is spent on it in the same transaction

    Raises BadEnvelope's cause as TooLarge or BadRequest (MAILBOX-02), NoSuchMailbox, NotPermitted (MAILBOX-03),
    MailboxConflict (MAILBOX-04), MailboxFull (MAILBOX-05), TokenNeeded (MAILBOX-10).
    """
    write_hash = key_hash(request.write_key)
    room = Room(MAX_BACKLOG_KIB, 0 if paid else MAX_BACKLOG_KIB // RESERVED_SHARE)
    seq, new = await _append(tx, request, write_hash, room, today, request.slots)
    if new and request.slots:
        await _reserve(tx, request.mailbox, request.slots, seq)
    return seq, new


async def post_intro(tx: Tx, request: wire.PostIntro, today: int) -> tuple[int, bool]:
    """Append an envelope to an intro mailbox. As `post`, without a write key."""
    return await _append(tx, request, None, Room(MAX_INTRO_BACKLOG_KIB, 0), today, ())


async def _append(
    tx: Tx,
    request: wire.Post | wire.PostIntro,
    write_hash: bytes | None,
    room: Room,
    today: int,
    slots: Iterable[bytes],
) -> tuple[int, bool]:
    kib = _bucket_kib(request.blob)
    row = await tx.row(
        "UPDATE mailbox SET seq = seq + 1, held = held + $2,"
        " expires_day = CASE WHEN expires_day < $3 THEN $3 ELSE expires_day END"
        " WHERE mailbox = $1 RETURNING write_hash, seq, held",
        request.mailbox, kib, mailbox_expiry(today),
    )  # fmt: skip
    if row is None:
        raise NoSuchMailbox
    known_hash, seq, held = cast("tuple[bytes | None, int, int]", row)
    _check_write(known_hash, write_hash)
    expires = today + wire.ENVELOPE_DAYS
    before = await _remember(tx, request, seq, slots, expires)
    if before is not None:
        await tx.run("UPDATE mailbox SET seq = seq - 1, held = held - $2 WHERE mailbox = $1", request.mailbox, kib)
        return before, False
    room.check(held)
    await tx.run(
        "INSERT INTO envelope (mailbox, seq, id, expires_day, blob) VALUES ($1, $2, $3, $4, $5)",
        request.mailbox, seq, request.envelope, expires, request.blob,
    )  # fmt: skip
    return seq, True


def _bucket_kib(blob: bytes) -> int:
    """MAILBOX-02: an envelope has exactly a bucket's size."""
    if len(blob) not in wire.ENVELOPE_BUCKETS:
        raise BadRequest
    return len(blob) >> 10


def _check_write(known: bytes | None, shown: bytes | None) -> None:
    """MAILBOX-03: a conversation takes its write key, an intro mailbox takes none."""
    if known is None or shown is None:
        if known is not shown:
            raise NotPermitted
    elif not compare_digest(known, shown):
        raise NotPermitted


async def _remember(
    tx: Tx, request: wire.Post | wire.PostIntro, seq: int, slots: Iterable[bytes], expires: int
) -> int | None:
    """Note that this envelope id was used, or return the seq it got when it was (MAILBOX-04).

    The note outlives the envelope. It is filed under a hash of mailbox and id, and its seq is masked with the
    rest of that hash: to who knows neither, it tells only that one envelope came on that day.
    """
    name = sha256(request.mailbox + request.envelope).digest()
    mask = int.from_bytes(name[16:23], "big")
    contents = sha256(b"".join([request.blob, *slots])).digest()[:16]
    new = await tx.run(
        "INSERT INTO posted (key, seq, contents, expires_day) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        name[:16], seq ^ mask, contents, expires,
    )  # fmt: skip
    if new:
        return None
    row = await tx.row("SELECT seq, contents FROM posted WHERE key = $1", name[:16])
    masked, known = cast("tuple[int, bytes]", row)
    if not compare_digest(known, contents):
        raise MailboxConflict
    return masked ^ mask


async def _reserve(tx: Tx, mailbox: bytes, slots: list[bytes], seq: int) -> None:
    """Slots join with the envelope that announces them: they read what comes after it."""
    _check_distinct(slots)
    row = await tx.row("SELECT count(*) FROM reader WHERE mailbox = $1", mailbox)
    if row is None or cast("int", row[0]) + len(slots) > MAX_READERS:
        raise TooLarge
    for slot in slots:
        await _insert_reader(tx, mailbox, slot, 1, seq)


# --- reading --------------------------------------------------------------------------------------


async def exchange(tx: Tx, request: wire.ExchangeSlot) -> int:
    """Turn a slot into a reader; the same again changes nothing. Returns the reader's cursor.

    Raises NoSuchMailbox, NotPermitted (MAILBOX-06) when the slot is unknown or was exchanged for another key.
    """
    row = await tx.row(
        "SELECT slot, cursor FROM reader WHERE mailbox = $1 AND read_hash = $2", request.mailbox, request.read_hash
    )
    if row is not None:
        if row[0]:
            raise MailboxConflict
        return cast("int", row[1])
    row = await tx.row(
        "UPDATE reader SET read_hash = $3, slot = 0 WHERE mailbox = $1 AND read_hash = $2 AND slot = 1"
        " RETURNING cursor",
        request.mailbox, key_hash(request.slot_secret), request.read_hash,
    )  # fmt: skip
    if row is None:
        await _check_exists(tx, request.mailbox)
        raise NotPermitted
    return cast("int", row[0])


async def page(
    tx: Tx, mailbox: bytes, read_hash: bytes, after: int, limit: int, today: int, slots: bool = False
) -> Page:
    """What follows `after`, in order. Raises NoSuchMailbox, NotPermitted (MAILBOX-07).

    MAILBOX-12 what has expired is not in it, though a full disk or a server that stood still may have kept it from the
    sweep: its sender was told by then that nobody gets it.

    slots  whether a slot's secret will do, for who looks and never acknowledges
    """
    row = await tx.row(
        "SELECT incarnation, seq, expires_day FROM mailbox WHERE mailbox = $1 AND EXISTS"
        " (SELECT 1 FROM reader WHERE mailbox = $1 AND read_hash = $2 AND slot <= $3)",
        mailbox, read_hash, int(slots),
    )  # fmt: skip
    if row is None:
        await _check_exists(tx, mailbox)
        raise NotPermitted
    incarnation, head, expires_day = cast("tuple[bytes, int, int]", row)
    envelopes = await _envelopes(tx, mailbox, after, limit, today) if limit and after < head else []
    return Page(incarnation, head, expires_day, envelopes)


async def _envelopes(tx: Tx, mailbox: bytes, after: int, limit: int, today: int) -> list[wire.Delivery]:
    found: list[wire.Delivery] = []
    size = 0
    step = MAX_PAGE // wire.ENVELOPE_BUCKETS[-1]
    while True:
        wanted = min(step, limit - len(found))
        rows = await tx.rows(
            "SELECT seq, id, blob FROM envelope WHERE mailbox = $1 AND seq > $2 AND expires_day > $4"
            " ORDER BY seq LIMIT $3",
            mailbox, after, wanted, today,
        )  # fmt: skip
        for seq, id_, blob in cast("list[tuple[int, bytes, bytes]]", rows):
            size += len(blob)
            if size > MAX_PAGE:
                return found
            found.append(wire.Delivery(mailbox, seq, id_, blob))
            after = seq
        if len(rows) < wanted or len(found) == limit:
            return found


async def ack(tx: Tx, mailbox: bytes, read_hash: bytes, seq: int) -> None:
    """Move a reader's cursor forward, and let go of what every reader has acknowledged.

    MAILBOX-08: never beyond the head, or the cursor would swallow envelopes that are yet to come.
    """
    moved = await tx.run(
        "UPDATE reader SET cursor = $3 WHERE mailbox = $1 AND read_hash = $2 AND slot = 0 AND cursor < $3"
        " AND $3 <= (SELECT seq FROM mailbox WHERE mailbox = $1)",
        mailbox, read_hash, seq,
    )  # fmt: skip
    if moved:
        await _let_go(tx, mailbox)


async def remove_reader(tx: Tx, mailbox: bytes, read_hash: bytes) -> bool:
    """Forget a reader, or a slot by its secret; a mailbox without either goes too. Returns whether the mailbox went.

    A reader or mailbox that is not there is what was asked for.
    """
    removed = await tx.run("DELETE FROM reader WHERE mailbox = $1 AND read_hash = $2", mailbox, read_hash)
    if not removed:
        return False
    if await tx.row("SELECT 1 FROM reader WHERE mailbox = $1 LIMIT 1", mailbox) is None:
        await delete(tx, mailbox)
        return True
    await _let_go(tx, mailbox)
    return False


async def _let_go(tx: Tx, mailbox: bytes) -> None:
    """MAILBOX-09: an envelope leaves when every reader, slots included, is past it."""
    rows = await tx.rows(
        "DELETE FROM envelope WHERE mailbox = $1"
        " AND seq <= (SELECT min(cursor) FROM reader WHERE mailbox = $1) RETURNING length(blob)",
        mailbox,
    )  # fmt: skip
    await _free(tx, mailbox, rows)


async def _free(tx: Tx, mailbox: bytes, gone: list[tuple[bytes | str | int | float | None, ...]]) -> None:
    if gone:
        kib = sum(cast("int", row[0]) for row in gone) >> 10
        await tx.run("UPDATE mailbox SET held = held - $2 WHERE mailbox = $1", mailbox, kib)


async def _check_exists(tx: Tx, mailbox: bytes) -> None:
    if await tx.row("SELECT 1 FROM mailbox WHERE mailbox = $1", mailbox) is None:
        raise NoSuchMailbox


# --- expiry ---------------------------------------------------------------------------------------

SWEEP: Final = 200
"""Mailboxes looked at in one step of the sweep, some milliseconds, so that nobody waits for it."""


async def expire(tx: Tx, above: bytes, today: int) -> tuple[bytes | None, list[bytes]]:
    """One step of the sweep, over the mailboxes with an id above `above`.

    Returns where the next step begins, None at the end, and the mailboxes that went altogether.
    """
    rows = await tx.rows(
        "SELECT mailbox, held, expires_day FROM mailbox WHERE mailbox > $1 ORDER BY mailbox LIMIT $2", above, SWEEP
    )
    gone = []
    for mailbox, held, expires_day in cast("list[tuple[bytes, int, int]]", rows):
        if expires_day <= today:
            await delete(tx, mailbox)
            gone.append(mailbox)
        elif held:
            left = await tx.rows(
                "DELETE FROM envelope WHERE mailbox = $1 AND expires_day <= $2 RETURNING length(blob)", mailbox, today
            )
            await _free(tx, mailbox, left)
    return (cast("bytes", rows[-1][0]) if len(rows) == SWEEP else None), gone


async def forget_posted(tx: Tx, first_byte: int, today: int) -> None:
    """One of the 256 steps that forget the envelope ids whose envelopes would have expired."""
    low, high = bytes([first_byte]), bytes([first_byte, *b"\xff" * 16])
    await tx.run("DELETE FROM posted WHERE key >= $1 AND key <= $2 AND expires_day <= $3", low, high, today)
