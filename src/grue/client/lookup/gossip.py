"""Gossip compares the directory heads that contacts were shown with the own copy: two faces of a server are noticed.

A contradiction is kept as evidence, and while it is there no number is looked up: what the directory says can no longer
be trusted with the decision to send an SMS. Conversations that exist go on.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

import msgspec

from grue.client import chats
from grue.client.lookup.tables import overlay, own_head
from grue.client.store.engine import Db, as_bytes, as_int
from grue.client.store.entries import drop_meta, get_meta, put_meta
from grue.errors import ShrunkDirectory, SplitDirectory
from grue.protocol.conversation.conversation import Notice
from grue.protocol.directory.directory import Head
from grue.protocol.directory.gossip import KEPT_ENDED, MAX_WAITING, History, Verdict, links_of, read_head


class Split(msgspec.Struct, array_like=True, frozen=True):
    """Two heads that the server's key signed and that cannot both be true."""

    ours: bytes
    """Our newest of that epoch, as a `SignedFile`."""
    theirs: bytes
    identity: bytes
    """The contact who was shown it; a chat may become part of another one."""
    found: int
    """Unix seconds."""


@dataclass(frozen=True)
class Heads:
    """What is known of the directory's heads."""

    own: Head | None
    """The newest that this home was shown; None before the first."""
    waiting: int
    """Heads of contacts that are later than ours: they are compared when ours is as far."""
    split: Split | None
    contact: str
    """Who was shown the other face: a number, or the chat's name."""


class Gossip:
    """Compares heads for one home. Remembers the hashes of the own overlay, and which heads were compared already."""

    def __init__(self, server_public: bytes) -> None:
        self._server_public = server_public
        self._links: tuple[bytes, bytes] = b"", b""
        self._agreed: tuple[bytes, set[bytes]] = b"", set()

    def heads(self, db: Db) -> Heads:
        """What there is to show."""
        own, found = own_head(db), split(db)
        chat = chats.of_identity(db, found.identity) if found is not None else None
        head = None if own is None else read_head(own, self._server_public)
        return Heads(head, len(_waiting(db)), found, chat.name if chat is not None else "")

    def heard(self, db: Db, chat: int, files: Iterable[bytes], now: int) -> None:
        """Hold what a contact's messages brought against the own copy; some 0.2 ms for a head that is new.

        GOSSIP-01 one that the server's key did not sign is passed over. GOSSIP-02 one that contradicts the own copy is
        kept as evidence, and told.
        """
        own = own_head(db)
        if own is None:
            return
        for file in dict.fromkeys(files):
            if file != own and not self._agrees(own, file):
                self._compare(db, own, file, chat, now)

    def settle(self, db: Db, before: Set[bytes], now: int) -> None:
        """Hold what waits against the copy that has just been brought up to date.

        before  what waited when its head was asked for; the copy need not reach what came meanwhile

        GOSSIP-03 the server shows us no less than it has shown a contact. Raises ShrunkDirectory.
        """
        all_waiting = _waiting(db)
        if not all_waiting:
            return
        history, ahead = self._history(db), False
        for file, chat in all_waiting:
            head = read_head(file, self._server_public)
            verdict = Verdict.UNKNOWN if head is None else history.compare(head)
            if head is not None and verdict is Verdict.CONTRADICTS:
                _keep_split(db, head, chat, now)
            if verdict is Verdict.AHEAD:
                ahead = ahead or file in before
            else:
                db.execute("DELETE FROM gossip WHERE head = ?", file)
        if ahead and split(db) is None:
            raise ShrunkDirectory("(A contact was shown a later one.)")

    def _compare(self, db: Db, own: bytes, file: bytes, chat: int, now: int) -> None:
        head = read_head(file, self._server_public)
        if head is None or _is_over(db, head, now):
            return
        verdict = self._history(db).compare(head)
        if verdict is Verdict.CONTRADICTS:
            _keep_split(db, head, chat, now)
        elif verdict is Verdict.AHEAD:
            _wait(db, file, chat)
        elif verdict is Verdict.AGREES:
            more = self._agreed[0] == own and len(self._agreed[1]) < MAX_WAITING
            self._agreed = own, self._agreed[1] | {file} if more else {file}

    def _agrees(self, own: bytes, file: bytes) -> bool:
        """Whether this very head was found to agree with this state of the own copy."""
        return self._agreed[0] == own and file in self._agreed[1]

    def _history(self, db: Db) -> History:
        own = own_head(db)
        assert own is not None
        head = read_head(own, self._server_public)
        assert head is not None
        if self._links[0] != own:
            self._links = own, links_of(head.contents.manifest_hash, overlay(db))
        ended = {as_int(epoch): as_bytes(links) for epoch, links in db.rows("SELECT epoch, links FROM ended")}
        return History(ended | {head.contents.epoch: self._links[1]})


def check_whole(db: Db) -> None:
    """No two faces of the directory were seen. Raises SplitDirectory."""
    if split(db) is not None:
        raise SplitDirectory


def split(db: Db) -> Split | None:
    return get_meta(db, "split", Split)


def waiting(db: Db) -> frozenset[bytes]:
    """The heads of contacts that wait for the own copy to reach them."""
    return frozenset(file for file, _ in _waiting(db))


def tell(db: Db) -> None:
    """From now on messages carry the head as it is; once a day, so that it says nothing of lookups in between."""
    own = own_head(db)
    if own is not None:
        put_meta(db, "told", own)


def keep_ended(db: Db, head: Head, overlay: bytes) -> None:
    """An epoch has ended: its links stay for a while, to compare with."""
    epoch = head.contents.epoch
    links = links_of(head.contents.manifest_hash, overlay)
    db.execute("INSERT OR REPLACE INTO ended VALUES (?, ?, ?)", epoch, head.file, links)
    db.execute("DELETE FROM ended WHERE epoch <= ?", epoch - KEPT_ENDED)


def forget(db: Db) -> None:
    """Nothing is known of any directory any more."""
    for key in ("split", "told", "started_over"):
        drop_meta(db, key)
    for table in ("gossip", "ended"):
        db.execute(f"DELETE FROM {table}")  # noqa: S608 -- names of ours


def start_over(db: Db, now: int) -> None:
    """The user knows why heads disagreed: those that were signed before `now`, Unix seconds, prove nothing new.

    Contacts go on to tell them until they have started over as well, and messages that were sent before hold them.
    """
    put_meta(db, "started_over", now)


def _is_over(db: Db, head: Head, now: int) -> bool:
    # Not when the clock was ahead then: that would end all comparing.
    return head.contents.issued < (get_meta(db, "started_over", int) or 0) <= now


def _waiting(db: Db) -> Sequence[tuple[bytes, int]]:
    waiting = db.rows("SELECT head, chat FROM gossip ORDER BY chat, head")
    return [(as_bytes(head), as_int(chat)) for head, chat in waiting]


def _wait(db: Db, file: bytes, chat: int) -> None:
    """Where there is no more room, another one of those of whom most are here gives way: no stranger's flood drops a
    contact's."""
    db.execute("INSERT OR IGNORE INTO gossip VALUES (?, ?)", file, chat)
    if len(_waiting(db)) > MAX_WAITING:
        db.execute(
            "DELETE FROM gossip WHERE head = (SELECT head FROM gossip WHERE head != ?1 AND chat ="
            " (SELECT chat FROM gossip WHERE head != ?1 GROUP BY chat ORDER BY count(*) DESC LIMIT 1) LIMIT 1)",
            file,
        )


def _keep_split(db: Db, theirs: Head, chat: int, now: int) -> None:
    """The first contradiction stays; more of them prove no more."""
    if split(db) is None:
        row = db.row("SELECT head FROM ended WHERE epoch = ?", theirs.contents.epoch)
        ours = as_bytes(row[0]) if row is not None else own_head(db)
        assert ours is not None
        found = chats.by_id(db, chat)
        assert found is not None
        put_meta(db, "split", Split(ours, theirs.file, found.identity, now))
        chats.notify(db, chat, [Notice.SPLIT])
