"""What MLS has decoded of a group is kept from one transaction to the next: the next message need not read the tree.

What is kept counts only for the very entries that it was made of. A random stamp beside them tells: it changes with
every write, by whichever process, and goes back with a transaction that is rolled back.
"""

from typing import Final

from grue._core import MlsSession
from grue.client.store.engine import Db, as_bytes
from grue.client.store.entries import group_prefix, mls_entries, save_mls, stamp_key

MAX_KEPT: Final = 32
"""Groups that are kept decoded, those that were used last: 50 KB each of two members, and 10 MB of 1,000."""

Entries = dict[bytes, bytes]


class Sessions:
    """The sessions of one home. Used in transactions, so by one thread."""

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[tuple[bytes, Entries], MlsSession]] = {}

    def open(self, db: Db, group: bytes) -> MlsSession:
        """A session over b"s" and a group, whose changes go through `save`, or are thrown away with it."""
        kept = self._kept.pop(group, None)
        if kept is not None and kept[0] == _made_of(db, group):
            return kept[1]
        return MlsSession(mls_entries(db, b"s", group_prefix(group)))

    def save(self, db: Db, group: bytes, session: MlsSession) -> None:
        """Write what a session changed, and keep it for the next transaction."""
        save_mls(db, session.changes())
        session.saved()
        made_of = _made_of(db, group)
        self._kept.pop(group, None)
        if made_of is not None:
            self._kept[group] = made_of, session
        while len(self._kept) > MAX_KEPT:
            del self._kept[next(iter(self._kept))]


def _made_of(db: Db, group: bytes) -> tuple[bytes, Entries] | None:
    """The group's stamp and the device's key; None without a stamp, as of a group that is gone."""
    row = db.row("SELECT value FROM mls WHERE key = ?", stamp_key(group))
    return None if row is None else (as_bytes(row[0]), mls_entries(db, b"s"))
