"""A directory in memory whose files can be made wrong in any way: what an honest and a lying server would show."""

import os
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from grue._core import OprfKey
from grue.protocol import wire
from grue.protocol.directory import directory
from grue.protocol.directory.directory_sync import Fetch, Known, RecordTable, Sync, Synced
from grue.protocol.directory.lookup import Lookup, Result
from grue.protocol.directory.record import RECORD_BYTES, Record, RecordKey, derive, seal

NOW = 1_800_000_000
ALICE, BOB, CAROL, NOBODY = "+447700900001", "+447700900002", "+447700900003", "+447700900999"


def a_record(seed: int = 1) -> Record:
    return Record(bytes([seed]) * 32, bytes([seed + 1]) * 32, bytes([seed + 2]) * 16)


@dataclass
class FakeDirectory:
    """Change `base`, `overlay` and `now`, then look at `files`; or change the files themselves."""

    server: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    oprf: OprfKey = field(default_factory=OprfKey.generate)
    epoch: int = 1
    base: bytes = b""
    overlay: bytes = b""
    now: int = NOW
    ended: tuple[wire.OverlayHead, bytes] | None = None
    """The epoch before, as it was left."""
    manifest_changes: dict[str, Any] = field(default_factory=dict)
    head_changes: dict[str, Any] = field(default_factory=dict)

    @property
    def public(self) -> bytes:
        return self.server.public_key().public_bytes_raw()

    def key(self, number: str) -> RecordKey:
        return derive(self.oprf.output([number.encode()])[0])

    def sealed(self, number: str, record: Record) -> bytes:
        return seal(record, self.key(number), os.urandom(12))

    def with_base(self, records: dict[str, Record]) -> "FakeDirectory":
        self.base = b"".join(sorted(self.sealed(number, record) for number, record in records.items()))
        return self

    def put(self, number: str, record: Record) -> None:
        self.overlay += self.sealed(number, record)

    def remove(self, number: str) -> None:
        self.overlay += directory.tombstone(self.key(number).tag)

    def cut(self) -> None:
        self.ended = (self.head, self.overlay)
        self.base, self.overlay, self.epoch = directory.merge(self.base, self.overlay), b"", self.epoch + 1

    @property
    def manifest(self) -> wire.Manifest:
        manifest = wire.Manifest(
            epoch=self.epoch,
            oprf_epoch=1,
            oprf_public=self.oprf.public,
            count=len(self.base) // RECORD_BYTES,
            merkle_root=directory.merkle_root(list(directory.entries(self.base))),
            layout=directory.LAYOUT,
        )
        if self.ended is not None:
            manifest = replace(manifest, ended=self.ended[0].chain, ended_length=self.ended[0].length)
        return replace(manifest, **self.manifest_changes)

    @property
    def head(self) -> wire.OverlayHead:
        manifest_hash = directory.manifest_hash(self.manifest)
        head = wire.OverlayHead(
            epoch=self.epoch,
            manifest_hash=manifest_hash,
            length=len(self.overlay) // RECORD_BYTES,
            chain=directory.chain(directory.chain_start(manifest_hash), self.overlay),
            issued=self.now,
            valid_until=self.now + directory.VALID_FOR,
        )
        return replace(head, **self.head_changes)

    @property
    def files(self) -> dict[str, bytes]:
        head = self.head
        ended = {}
        if self.ended is not None:
            ended = {directory.overlay_path(self.ended[0].epoch, self.ended[0].length): self.ended[1]}
        return ended | {
            directory.HEAD_PATH: directory.sign_head(head, self.server),
            directory.manifest_path(head.epoch): directory.sign_manifest(self.manifest, self.server),
            directory.base_path(head.epoch): self.base,
            directory.overlay_path(head.epoch, head.length): self.overlay,
        }

    def evaluate(self, request: wire.Evaluate) -> wire.Evaluated:
        return wire.Evaluated(*self.oprf.evaluate(request.blinded))


def run(files: dict[str, bytes], server_public: bytes, now: int = NOW, known: Known | None = None) -> Synced:
    """Download as a client does."""
    return run_all(files, server_public, now, known)[0]


def run_all(
    files: dict[str, bytes], server_public: bytes, now: int = NOW, known: Known | None = None
) -> tuple[Synced, list[str]]:
    """Download, and say which files were asked for."""
    sync = Sync(server_public, now, known)
    asked = []
    effect: Fetch | Synced = sync.start()
    while isinstance(effect, Fetch):
        asked.append(effect.path)
        effect = sync.fetched(files[effect.path])
    return effect, asked


def synced(fake: FakeDirectory, now: int = NOW, known: Known | None = None) -> tuple[Synced, RecordTable]:
    """An up-to-date copy of the directory, made from nothing."""
    result = run(fake.files, fake.public, now, known)
    table = RecordTable()
    table.apply(result)
    return result, table


def looked_up(fake: FakeDirectory, *numbers: str, now: int = NOW) -> dict[str, Result]:
    """A whole lookup against this directory."""
    result, table = synced(fake, now)
    lookup = Lookup(result.current, numbers)
    request = lookup.start()
    while request is not None:
        request = lookup.evaluated(fake.evaluate(request))
    return lookup.search(table.find, now)
