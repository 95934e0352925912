"""Synchronising the own copy of the directory, sans-I/O: it takes a file, and says which one to fetch next.

Always the overlay head first, which names the rest; then only what changed. Everything but the head lies under
its epoch, so a new base that is cut meanwhile disturbs nothing. A failed check ends the run, and the copy
that was there stays as it was.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final, TypeAlias

from grue._core import PirLayout
from grue.protocol import wire
from grue.protocol.directory.directory import (
    HEAD_PATH,
    PRIVATE_FILES,
    FreshHead,
    Head,
    Manifest,
    Records,
    UnverifiedHead,
    UnverifiedManifest,
    base_path,
    check_base,
    check_ended,
    check_manifest,
    check_overlay,
    check_overlay_continues,
    find_in_base,
    is_tombstone,
    manifest_path,
    newest,
    overlay_path,
    private_path,
)
from grue.protocol.directory.pir import (
    PRIVATE_TIER,
    TABLE_TIER,
    PrivateFiles,
    PrivateTable,
    check_private_file,
    hint_bytes,
)
from grue.protocol.directory.record import RECORD_BYTES
from grue.protocol.states import Machine, Table


class SyncState(StrEnum):
    IDLE = "idle"
    HEAD = "head"
    MANIFEST = "manifest"
    ENDED = "ended"
    BASE = "base"
    PRIVATE = "private"
    OVERLAY = "overlay"
    SYNCED = "synced"
    FAILED = "failed"


class SyncEvent(StrEnum):
    START = "start"
    NEW_EPOCH = "new_epoch"
    GROWN = "grown"
    UNCHANGED = "unchanged"
    FOLLOWS = "follows"
    CHECKED = "checked"
    CHECKED_FOR_QUERIES = "checked_for_queries"
    MORE = "more"
    FAIL = "fail"


TABLE: Final[Table[SyncState, SyncEvent]] = {
    SyncState.IDLE: {SyncEvent.START: SyncState.HEAD},
    SyncState.HEAD: {
        SyncEvent.NEW_EPOCH: SyncState.MANIFEST,
        SyncEvent.GROWN: SyncState.OVERLAY,
        SyncEvent.UNCHANGED: SyncState.SYNCED,
        SyncEvent.FAIL: SyncState.FAILED,
    },
    SyncState.MANIFEST: {
        SyncEvent.FOLLOWS: SyncState.ENDED,
        SyncEvent.CHECKED: SyncState.BASE,
        SyncEvent.CHECKED_FOR_QUERIES: SyncState.PRIVATE,
        SyncEvent.FAIL: SyncState.FAILED,
    },
    SyncState.ENDED: {
        SyncEvent.CHECKED: SyncState.BASE,
        SyncEvent.CHECKED_FOR_QUERIES: SyncState.PRIVATE,
        SyncEvent.FAIL: SyncState.FAILED,
    },
    SyncState.BASE: {SyncEvent.CHECKED: SyncState.OVERLAY, SyncEvent.FAIL: SyncState.FAILED},
    SyncState.PRIVATE: {
        SyncEvent.MORE: SyncState.PRIVATE,
        SyncEvent.CHECKED: SyncState.OVERLAY,
        SyncEvent.FAIL: SyncState.FAILED,
    },
    SyncState.OVERLAY: {SyncEvent.CHECKED: SyncState.SYNCED, SyncEvent.FAIL: SyncState.FAILED},
    SyncState.SYNCED: {},
    SyncState.FAILED: {},
}


@dataclass(frozen=True)
class Known:
    """What was seen of the directory before."""

    manifest: Manifest
    head: Head
    tier: int
    """What is held of the base: the table, or what private queries need."""


@dataclass(frozen=True)
class Current(Known):
    """What a lookup stands on: a manifest, and a head that is valid now."""

    head: FreshHead


@dataclass(frozen=True)
class Fetch:
    """Get this public file of the directory, anonymously."""

    path: str
    size: int = 0
    """Bytes that it must have, of a file that may be so large that it is to be fetched in parts, and gone on with after
    a stop; else 0. The signed head and manifest say so, to everybody alike."""


@dataclass(frozen=True)
class Synced:
    """The directory as it is now; what is None is unchanged and stays. Store all of it in one transaction."""

    current: Current
    base: bytes | None
    overlay: bytes | None
    private: PrivateFiles | None = None
    ended: bytes | None = None
    """The whole overlay of the epoch that was known, when the next one has begun."""


Effect: TypeAlias = Fetch | Synced


@lru_cache(maxsize=16)
def restore(manifest_file: bytes, head_file: bytes, server_public: bytes, tier: int = TABLE_TIER) -> Known:
    """What was stored from an earlier `Synced`. Raises BadManifest.

    Every lookup and every message reads it, so files that were checked once are not checked again: 0.3 ms.
    """
    manifest = UnverifiedManifest(manifest_file).verify(server_public)
    return Known(manifest, UnverifiedHead(head_file).verify(server_public), tier)


def _always_the_table(_manifest: wire.Manifest) -> int:
    return TABLE_TIER


class Sync:
    """One run. Give it the files it asks for until it returns `Synced`; whatever it raises ends it."""

    def __init__(
        self,
        server_public: bytes,
        now: int,
        known: Known | None = None,
        tier: Callable[[wire.Manifest], int] = _always_the_table,
    ) -> None:
        """`now` is Unix seconds; `tier` says which tier is taken by a manifest, as `pir.tier_of` does."""
        self._server_public = server_public
        self._now = now
        self._known = known
        self._machine = Machine(TABLE, SyncState.IDLE)
        self._head: FreshHead
        self._manifest: Manifest
        self._base: bytes | None = None
        self._tier = tier
        self._private: dict[str, bytes] = {}
        self._ended: bytes | None = None

    @property
    def state(self) -> SyncState:
        return self._machine.state

    def start(self) -> Fetch:
        self._machine.fire(SyncEvent.START)
        return Fetch(HEAD_PATH)

    def fetched(self, file: bytes) -> Effect:
        """Check the file asked for last. Raises BadManifest, StaleDirectory, ShrunkDirectory, BadDirectory."""
        steps = {
            SyncState.HEAD: self._on_head,
            SyncState.MANIFEST: self._on_manifest,
            SyncState.ENDED: self._on_ended,
            SyncState.BASE: self._on_base,
            SyncState.PRIVATE: self._on_private,
            SyncState.OVERLAY: self._on_overlay,
        }
        try:
            return steps[self.state](file)
        except Exception:
            self.failed()
            raise

    def failed(self) -> None:
        """The file did not come."""
        self._machine.fire(SyncEvent.FAIL)

    def _on_head(self, file: bytes) -> Effect:
        known = self._known
        head_seen = known.head if known is not None else None
        self._head = UnverifiedHead(file).verify(self._server_public).fresh(self._now, head_seen)
        head = self._head.contents
        # A table that is held does not serve queries, nor the other way round.
        if (
            known is None
            or head.epoch != known.manifest.contents.epoch
            or known.tier != self._tier(known.manifest.contents)
        ):
            self._machine.fire(SyncEvent.NEW_EPOCH)
            return Fetch(manifest_path(head.epoch))
        self._manifest = check_manifest(known.manifest, self._head)
        if head.length != known.head.contents.length:
            self._machine.fire(SyncEvent.GROWN)
            return _overlay(head.epoch, head.length)
        self._machine.fire(SyncEvent.UNCHANGED)
        return self._synced(None)

    def _on_manifest(self, file: bytes) -> Effect:
        manifest = UnverifiedManifest(file).verify(self._server_public)
        manifest_seen = self._known.manifest if self._known is not None else None
        self._manifest = check_manifest(manifest, self._head, manifest_seen)
        if self._known is not None and manifest.contents.epoch == self._known.head.contents.epoch + 1:
            self._machine.fire(SyncEvent.FOLLOWS)
            return _overlay(self._known.head.contents.epoch, manifest.contents.ended_length)
        return self._next_base()

    def _on_ended(self, file: bytes) -> Effect:
        assert self._known is not None
        self._ended = check_ended(file, self._manifest, self._known.head)
        return self._next_base()

    def _next_base(self) -> Effect:
        if self._tier(self._manifest.contents) == PRIVATE_TIER:
            self._machine.fire(SyncEvent.CHECKED_FOR_QUERIES)
            return self._next_private()
        self._machine.fire(SyncEvent.CHECKED)
        return Fetch(base_path(self._head.contents.epoch), self._manifest.contents.count * RECORD_BYTES)

    def _on_base(self, file: bytes) -> Effect:
        self._base = check_base(file, self._manifest)
        self._machine.fire(SyncEvent.CHECKED)
        return _overlay(self._head.contents.epoch, self._head.contents.length)

    def _on_private(self, file: bytes) -> Effect:
        name = PRIVATE_FILES[len(self._private)]
        self._private[name] = check_private_file(name, file, self._manifest.contents)
        if len(self._private) < len(PRIVATE_FILES):
            self._machine.fire(SyncEvent.MORE)
            return self._next_private()
        PrivateTable(self._manifest.contents, PrivateFiles(**self._private))
        self._machine.fire(SyncEvent.CHECKED)
        return _overlay(self._head.contents.epoch, self._head.contents.length)

    def _next_private(self) -> Fetch:
        name = PRIVATE_FILES[len(self._private)]
        size = hint_bytes(PirLayout.from_bytes(self._manifest.contents.pir)) if name == "hint" else 0
        return Fetch(private_path(self._head.contents.epoch, name), size)

    def _on_overlay(self, file: bytes) -> Effect:
        overlay = check_overlay(file, self._head)
        if self._known is not None and self._known.head.contents.epoch == self._head.contents.epoch:
            check_overlay_continues(overlay, self._known.head)
        self._machine.fire(SyncEvent.CHECKED)
        return self._synced(overlay)

    def _synced(self, overlay: bytes | None) -> Synced:
        private = PrivateFiles(**self._private) if self._private else None
        current = Current(self._manifest, self._head, self._tier(self._manifest.contents))
        return Synced(current, self._base, overlay, private, self._ended)


def _overlay(epoch: int, length: int) -> Fetch:
    return Fetch(overlay_path(epoch, length), length * RECORD_BYTES)


class RecordTable:
    """A copy of the directory in memory, for who keeps it there: what `lookup` finds records in."""

    def __init__(self, base: Records = b"", overlay: bytes = b"") -> None:
        self._base = base
        self._newest = newest(overlay)

    def apply(self, synced: Synced) -> None:
        if synced.base is not None:
            self._base = synced.base
        if synced.overlay is not None:
            self._newest = newest(synced.overlay)

    def extended(self, overlay: bytes) -> "RecordTable":
        """The same with more overlay entries after those that are there."""
        table = RecordTable(self._base)
        table._newest = self._newest | newest(overlay)
        return table

    def find(self, tag: bytes) -> bytes | None:
        """The record that counts: the overlay's newest entry for the tag, or else the base's."""
        entry = self._newest.get(tag)
        if entry is not None:
            return None if is_tombstone(entry) else entry
        return find_in_base(self._base, tag)
