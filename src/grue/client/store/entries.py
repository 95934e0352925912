"""Every room keeps entries by key here: msgpack values in `meta`, and the state of MLS in `mls`."""

from typing import TypeVar

import msgspec

from grue.client.store.engine import Db, as_bytes

T = TypeVar("T")


def get_meta(db: Db, key: str, kind: type[T]) -> T | None:
    row = db.row("SELECT value FROM meta WHERE key = ?", key)
    return None if row is None else msgspec.msgpack.decode(as_bytes(row[0]), type=kind)


def put_meta(db: Db, key: str, value: object) -> None:
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", key, msgspec.msgpack.encode(value))


def drop_meta(db: Db, key: str) -> None:
    db.execute("DELETE FROM meta WHERE key = ?", key)


def mls_entries(db: Db, *prefixes: bytes) -> dict[bytes, bytes]:
    """All entries under these prefixes: b"s", b"k", or `group_prefix`."""
    entries: dict[bytes, bytes] = {}
    for prefix in prefixes:
        rows = db.rows("SELECT key, value FROM mls WHERE key >= ? AND key < ?", prefix, _after(prefix))
        entries.update((as_bytes(key), as_bytes(value)) for key, value in rows)
    return entries


def group_prefix(group: bytes) -> bytes:
    return b"g" + group


def stamp_key(group: bytes) -> bytes:
    """Where a group's stamp is: random bytes, others after every change of its entries."""
    return group_prefix(group) + b"@"


def save_mls(db: Db, changes: dict[bytes, bytes | None]) -> None:
    """Write what a session changed, and a fresh stamp for each group that is still there."""
    for key, value in changes.items():
        if value is None:
            db.execute("DELETE FROM mls WHERE key = ?", key)
        else:
            db.execute("INSERT OR REPLACE INTO mls VALUES (?, ?)", key, value)
    for group in {key[1:33] for key, value in changes.items() if key[:1] == b"g" and value is not None}:
        db.execute("INSERT OR REPLACE INTO mls VALUES (?, randomblob(16))", stamp_key(group))


def _after(prefix: bytes) -> bytes:
    return prefix[:-1] + bytes([prefix[-1] + 1]) if prefix[-1] < 255 else prefix + b"\xff" * 64
