"""Queries for the home's copy of the directory, to be used inside a transaction."""

from collections.abc import Iterator

from grue.client.store.engine import Db, as_bytes, as_int
from grue.client.store.entries import get_meta
from grue.protocol.directory.directory import parse_path
from grue.protocol.directory.record import RECORD_BYTES, TAG_BYTES


def overlay(db: Db) -> bytes:
    """All entries of the directory's overlay, in order."""
    return b"".join(as_bytes(row[0]) for row in db.rows("SELECT entry FROM overlay ORDER BY seq"))


def overlay_length(db: Db) -> int:
    """How many entries the overlay has."""
    row = db.row("SELECT coalesce(max(seq) + 1, 0) FROM overlay")
    assert row is not None
    return as_int(row[0])


def overlay_entry(db: Db, tag: bytes) -> bytes | None:
    """The newest entry under a tag, which may be a tombstone."""
    row = db.row("SELECT entry FROM overlay WHERE tag = ? ORDER BY seq DESC LIMIT 1", tag)
    return None if row is None else as_bytes(row[0])


def base_record(db: Db, tag: bytes) -> bytes | None:
    """What the base's table has under a tag, in tier 1."""
    row = db.row("SELECT record FROM record WHERE tag = ?", tag)
    return None if row is None else as_bytes(row[0])


def replace_base(db: Db, file: bytes) -> None:
    """Hold this base's records and no others; of an empty file none, as in tier 2."""
    db.execute("DELETE FROM record")
    db.many("INSERT INTO record VALUES (?, ?)", ((entry[:TAG_BYTES], entry) for entry in _entries(file)))


def replace_overlay(db: Db, file: bytes) -> None:
    """Hold this overlay and no other."""
    db.execute("DELETE FROM overlay")
    numbered = enumerate(_entries(file))
    db.many("INSERT INTO overlay VALUES (?, ?, ?)", ((seq, entry[:TAG_BYTES], entry) for seq, entry in numbered))


def _entries(file: bytes) -> Iterator[bytes]:
    return (file[at : at + RECORD_BYTES] for at in range(0, len(file), RECORD_BYTES))


def output_of(db: Db, oprf_epoch: int, number: str) -> bytes | None:
    """What a number was evaluated to under the key of this OPRF epoch; None when it was not."""
    row = db.row("SELECT output FROM evaluation WHERE number = ? AND oprf_epoch = ?", number, oprf_epoch)
    return None if row is None else as_bytes(row[0])


def told_head(db: Db) -> bytes:
    """The head of the directory that messages carry; empty before the first daily round."""
    return get_meta(db, "told", bytes) or b""


def own_head(db: Db) -> bytes | None:
    """The newest head that this home was shown, a `SignedFile`."""
    return get_meta(db, "head", bytes)


# --- a download that goes on after a stop ---------------------------------------------------------


def parts(db: Db, path: str) -> bytes:
    """What has come of a file so far."""
    found = db.rows("SELECT data FROM part WHERE path = ? ORDER BY start", path)
    return b"".join(data for (data,) in found if isinstance(data, bytes))


def add_part(db: Db, path: str, start: int, data: bytes) -> None:
    """Keep another part; those of files that this one shows to be of no use any more go."""
    for (other,) in db.rows("SELECT DISTINCT path FROM part WHERE path != ?", path):
        if _replaces(path, str(other)):
            db.execute("DELETE FROM part WHERE path = ?", other)
    db.execute("INSERT OR REPLACE INTO part VALUES (?, ?, ?)", path, start, data)


def _replaces(path: str, other: str) -> bool:
    """One run fetches the end of an epoch's overlay and files of the next one; of an epoch's overlays only one."""
    one, two = parse_path(path), parse_path(other)
    if one is None or two is None or abs(one[0] - two[0]) > 1:
        return True
    return one[0] == two[0] and one[1].startswith("overlay/") and two[1].startswith("overlay/")


def drop_parts(db: Db) -> None:
    """Begin every download anew."""
    db.execute("DELETE FROM part")
