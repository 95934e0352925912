"""The directory role: it keeps bases that never change and an overlay that grows, and evaluates blinded numbers.

On disk, under DATA/directory: `<epoch>/manifest`, `<epoch>/base` and the table for private queries (`pir_table`),
which never change once the epoch's folder is renamed into place; `<epoch>/overlay`, appended to; `head`, replaced
whole. A change is answered when overlay and head are on disk, in that order. What a crash leaves behind the head was
never answered and is cut off; a base that no head names was never shown.
"""

import asyncio
import dataclasses
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from grue._core import OprfError, PirBase, PirBuilt, PirError, PirProgress
from grue.errors import (
    BadRequest,
    CorruptDatabase,
    ServerBusy,
    TokenSpent,
    UsageError,
    VerificationFailed,
)
from grue.protocol import wire
from grue.protocol.directory import directory
from grue.protocol.directory.directory import HEAD_PATH, Head, Manifest, UnverifiedHead, UnverifiedManifest
from grue.protocol.directory.directory_sync import RecordTable
from grue.protocol.directory.pir import tier_wanted
from grue.protocol.directory.record import RECORD_BYTES, TAG_BYTES, RecordKey, derive
from grue.protocol.tokens import Purpose, epoch_of, first_second, generation_of
from grue.server.clock import DAY, check_clock
from grue.server.context import Context
from grue.server.directory import base, pir_table
from grue.server.directory.base import Mapped
from grue.server.directory.cutting import cut_at
from grue.server.directory.pir_table import Private, Told
from grue.server.keys.keys import DIRECTORY, Keys
from grue.server.store.disk import sync_directory, write_file, writing
from grue.server.tokens import tokens

log: Final = logging.getLogger("grue.server")

RESIGN_AFTER: Final = directory.VALID_FOR // 2
"""Seconds: a head is always good for three more hours, so that an idle directory proves absence too."""

TEND_EVERY: Final = 300
"""Seconds between two calls of `tend`."""

FULL_SECONDS: Final = 60
"""Seconds after which somebody is to try again for whom the overlay has no room: about what a new base takes."""

KEPT_EPOCHS: Final = 2
"""Epochs on disk: a client that is in the middle of a download finishes it."""

GENERATION_CHANCE_BYTES: Final = 2
"""Of a generation of token keys: two restores of one day hit the same once in 65,536."""

INLINE_EVALUATIONS: Final = 2
"""Elements evaluated without a thread: 0.3 ms, about what handing over costs."""

OPRF_EPOCH: Final = 1
"""The number of the lookup key; grows when it is replaced."""


@dataclass(frozen=True)
class _View:
    """What everybody sees at one moment; replaced whole, so that no reader meets half a change."""

    manifest: wire.Manifest
    manifest_file: bytes
    base: Mapped
    overlay: bytes
    head: wire.OverlayHead
    head_file: bytes
    table: RecordTable
    private: Private | None

    def file(self, name: str) -> bytes | memoryview | None:
        if name == "manifest":
            return self.manifest_file
        if name in directory.PRIVATE_FILES:
            return None if self.private is None else self.private.files[name]
        # Of a file that is mapped: nothing is copied here.
        return memoryview(self.base) if name == "base" else _overlay_part(memoryview(self.overlay), name)


@dataclass(frozen=True)
class _Cut:
    """A new base, written to a folder that nobody sees yet."""

    manifest: wire.Manifest
    base: Mapped


class Directory:
    """One process's directory. `put`, `remove` and `tend` belong to one event loop."""

    def __init__(
        self,
        data: Path,
        keys: Keys,
        clock: Callable[[], float] = time.time,
        *,
        clock_is_right: bool = False,
        environment: Mapping[str, str] = os.environ,
        tell: Told | None = None,
    ) -> None:
        """Open it, or make an empty one.

        clock_is_right  somebody said so: what was signed by a clock that was ahead is superseded by a new base
        environment     where `GRUE_DIRECTORY_TIER` may say whether there is a table for private queries
        tell            hears how far it is, at what takes longer than half a second: `checking` the base that is there,
                        `merging` the next one, `packing` and `hint` of its table

        Raises UsageError, ClockImplausible, CorruptDatabase, DiskFull.
        """
        self._path = data / DIRECTORY
        self._keys = keys
        self._clock = clock
        self._clock_is_right = clock_is_right
        self._issued = 0
        self._lock = asyncio.Lock()
        self._queue: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._tier = tier_wanted(environment)
        self._tell = tell
        self.progress: PirProgress | None = None
        """Of the table that is being built now."""
        self._earlier_private: dict[int, PirBase] = {}
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        epochs = self._epochs()
        self._set_back = False
        self._view = self._load(epochs) if epochs else self._cut([], 1)
        keys.token_generation = max((generation_of(key.epoch) for key in self.manifest.token_keys), default=0)
        for half_made in self._path.glob(".new-*"):
            shutil.rmtree(half_made)
        # A new base too when the clock was set right: whoever believed a head of the future takes one of a later epoch.
        self.renewed = self._set_back or self._is_outdated()
        """Whether a new base was made at the start."""
        if self.renewed:
            self._view = self._merged(self._view)

    # --- what everybody sees ----------------------------------------------------------------------

    @property
    def manifest(self) -> wire.Manifest:
        return self._view.manifest

    @property
    def head(self) -> wire.OverlayHead:
        return self._view.head

    def file(self, path: str, query: str = "") -> bytes | None:
        """A public file, or None; a base is copied."""
        view = self.view(path, query)
        return None if view is None else bytes(view)

    def view(self, path: str, _query: str = "") -> bytes | memoryview | None:
        """The same, with nothing read or copied yet: so many may be downloaded at once, and of any size."""
        view = self._view
        if path == HEAD_PATH:
            return view.head_file
        parsed = directory.parse_path(path)
        if parsed is None:
            return None
        epoch, name = parsed
        return view.file(name) if epoch == view.manifest.epoch else self._earlier(epoch, name)

    def part(self, path: str, start: int, length: int) -> tuple[bytes, bool] | None:
        """So many bytes of a public file from `start` on, and whether more follow, or None. Only these are read."""
        file = self.view(path)
        return None if file is None else (bytes(file[start : start + length]), start + length < len(file))

    def find(self, tag: bytes) -> bytes | None:
        """The record under a tag, as a client would find it now."""
        return self._view.table.find(tag)

    def private_base(self, epoch: int) -> PirBase | None:
        """What answers queries for this epoch, or the one before, which lookups may be in the middle of."""
        if epoch == self._view.manifest.epoch:
            return None if self._view.private is None else self._view.private.base
        return self._earlier_private.get(epoch)

    # --- changes ----------------------------------------------------------------------------------

    async def put(self, record: bytes) -> None:
        """Add a record, or replace the one under its tag; on disk and signed on return.

        Raises DiskFull, and ServerBusy when the overlay is as long as clients read one: a new base has to come first.
        """
        await self._append(record)

    async def remove(self, tag: bytes) -> None:
        """Take the record under a tag away, if there is one; likewise."""
        if self.find(tag) is not None or any(entry[:TAG_BYTES] == tag for entry, _ in self._queue):
            await self._append(directory.tombstone(tag))

    async def tend(self) -> None:
        """Sign the head again when it is due, and make a base that is. To be called every `TEND_EVERY` seconds."""
        async with self._lock:
            if self._clock() >= self._view.head.issued + RESIGN_AFTER:
                self._view = await asyncio.to_thread(self._signed, self._view)
        if self._is_outdated() or self._is_due():
            await self._renewal()

    async def void_tokens(self) -> None:
        """Put every token that was ever drawn out of use: token keys of a new generation, on disk on return.

        To be called before anybody is served. Raises PirError, DiskFull.
        """
        # The day, so that it is greater than the last, and a number by chance: what is restored twice from one backup
        # must not come upon the same keys again, under which tokens were spent in between.
        chance = int.from_bytes(os.urandom(GENERATION_CHANCE_BYTES), "big")
        generation = int(self._clock()) // DAY << 8 * GENERATION_CHANCE_BYTES | chance
        self._keys.token_generation = max(generation, self._keys.token_generation + 1)
        await self.settled()
        async with self._lock:
            self._view = await asyncio.to_thread(self._merged, self._view)

    def put_many(self, records: Iterable[bytes]) -> None:
        """Add or replace many records at once, in a new base; for who has the directory to itself."""
        self._view = self._merged(self._view, b"".join(records))

    def renew(self) -> None:
        """Make a new base now; for who has the directory to itself. Raises PirError, DiskFull."""
        self._view = self._merged(self._view)

    def _is_outdated(self) -> bool:
        """Whether the manifest lacks what it should say by now."""
        manifest = self._view.manifest
        lacks_table = not manifest.pir and pir_table.is_wanted(manifest.count, self._tier)
        # One that was cut before manifests named it: who still holds the epoch before would take it for a lie.
        lacks_end = manifest.epoch > 1 and not manifest.ended
        return lacks_table or lacks_end or manifest.token_keys != self._token_keys()

    def _token_keys(self) -> list[wire.TokenKey]:
        """The keys in use: those of this token epoch, and of the one before for who has not spent theirs."""
        now = epoch_of(int(self._clock()) // 86_400 // 7, self._keys.token_generation)
        return [
            wire.TokenKey(purpose, epoch, self._keys.token_key(purpose, epoch).public)
            for epoch in (now - 1, now)
            for purpose in Purpose
        ]

    async def settled(self) -> None:
        """Return when nothing is being written or built any more."""
        while (busy := self._writer or self._renewing) is not None:
            await asyncio.shield(busy)

    async def close(self) -> None:
        """Return when nothing is being written any more, and let go of the files that are mapped.

        A table that is being built is given up.
        """
        if self.progress is not None:
            self.progress.stop()
        await self.settled()
        self._view = dataclasses.replace(self._view, private=None)
        self._earlier_private = {}

    async def _append(self, entry: bytes) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((entry, done))
        if self._writer is None:
            self._writer = asyncio.create_task(self._drain())
        await done

    async def _drain(self) -> None:
        """Group commit: what gathers while one batch is written is the next."""
        try:
            while self._queue:
                async with self._lock:
                    batch, self._queue = self._queue, []
                    await self._commit([entry for entry, _ in batch], [done for _, done in batch])
        finally:
            self._writer = None

    async def _commit(self, entries: list[bytes], waiting: "list[asyncio.Future[None]]") -> None:
        """Write those that have room, and refuse the others: an overlay that is too long could be read by nobody."""
        room = directory.MAX_OVERLAY - self._view.head.length
        _settle(waiting[room:], ServerBusy("(the directory is being made anew)", retry_after=FULL_SECONDS))
        fitting = waiting[:room]
        try:
            if fitting:
                self._view = await asyncio.to_thread(self._written, self._view, entries[:room])
        except Exception as error:  # noqa: BLE001 -- every one that waits gets it
            _settle(fitting, error)
            return
        _settle(fitting, None)
        if self._is_due():
            self._renewal()

    def _is_due(self) -> bool:
        """Whether the overlay is so long that the next base is to be made."""
        return self._view.head.length >= cut_at(self._view.manifest)

    def _renewal(self) -> asyncio.Task[None]:
        """A new base that is being made, or is begun now."""
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew())
        return self._renewing

    async def _renew(self) -> None:
        """Make a new base beside the present one; what changes meanwhile is how its overlay begins."""
        view = self._view
        try:
            cut = await asyncio.to_thread(self._prepared, self._next_base(view), _next(view))
            async with self._lock:
                rest = self._view.overlay[len(view.overlay) :]
                self._view = await asyncio.to_thread(self._switched, cut, rest, self._view)
        except Exception as error:  # noqa: BLE001 -- the next change tries again, or `tend`
            # What was put is safe where it is.
            log.warning("no new base: %s", type(error).__name__)
        finally:
            self._renewing = None

    # --- on disk ----------------------------------------------------------------------------------

    def _folder(self, epoch: int) -> Path:
        return self._path / str(epoch)

    def _epochs(self) -> list[int]:
        return sorted(int(path.name) for path in self._path.iterdir() if path.name.isdecimal())

    def _load(self, epochs: list[int]) -> _View:
        folder = self._folder(epochs[-1])
        try:
            head = self._stored_head()
            # A later base than the head's was never shown: the crash came before its first head.
            epoch = epochs[-1] if head is None else head.contents.epoch
            folder = self._folder(epoch)
            manifest, records = self._read_base(folder)
            opened = pir_table.opened(folder, manifest.contents)
            self._open_earlier([earlier for earlier in epochs if earlier < epoch])
            return self._read_overlay(folder, manifest, records, head, opened)
        except VerificationFailed as error:
            raise CorruptDatabase(f"({type(error).__name__} in {folder})") from None
        except OSError:
            raise CorruptDatabase(f"(a file of {folder} cannot be read)") from None

    def _read_base(self, folder: Path) -> tuple[Manifest, Mapped]:
        manifest = UnverifiedManifest((folder / "manifest").read_bytes()).verify(self._keys.server_public)
        if manifest.contents.oprf_public != self._keys.oprf.public:
            raise UsageError("The directory was made with another directory key. Give that one with --directory-key.")
        return manifest, base.checked(folder / "base", manifest, self._heard("checking"))

    def _open_earlier(self, epochs: list[int]) -> None:
        """The table of the epoch before, for who is in the middle of a lookup. Without it they begin again."""
        for epoch in epochs[1 - KEPT_EPOCHS :]:
            try:
                self._earlier_private[epoch] = PirBase.open(self._folder(epoch) / pir_table.PACKED)
            except PirError:
                continue

    def _read_overlay(
        self, folder: Path, manifest: Manifest, records: Mapped, head: Head | None, opened: Private | None
    ) -> _View:
        """Take the overlay as far as the head on disk says; a crash between the two left the rest."""
        self._check_clock(manifest.contents, head)
        overlay = b""
        if head is not None:
            self._issued = 0 if self._set_back else head.contents.issued
            overlay = (folder / "overlay").read_bytes()[: head.contents.length * RECORD_BYTES]
            directory.check_overlay(overlay, head)
        return self._first_view(manifest, records, overlay, opened)

    def _check_clock(self, manifest: wire.Manifest, head: Head | None) -> None:
        """The clock against all that was signed by one: the newest head, and the epoch of the newest token key.

        What is in the database is not signed, and dated by days that are yet to come. Raises ClockImplausible.
        """
        signed = max((first_second(key.epoch) for key in manifest.token_keys), default=0)
        if head is not None:
            signed = max(signed, head.contents.issued)
        if self._clock_is_right:
            self._set_back = self._clock() < signed - RESIGN_AFTER
        elif signed:
            check_clock(self._clock(), signed)

    def _stored_head(self) -> Head | None:
        try:
            file = (self._path / HEAD_PATH).read_bytes()
        except FileNotFoundError:
            return None
        return UnverifiedHead(file).verify(self._keys.server_public)

    def _first_view(self, manifest: Manifest, records: Mapped, overlay: bytes, opened: Private | None) -> _View:
        length, chain = len(overlay) // RECORD_BYTES, directory.chain(directory.chain_start(manifest.hash), overlay)
        unsigned = wire.OverlayHead(manifest.contents.epoch, manifest.hash, length, chain, 0, 0)
        table = RecordTable(records, overlay)
        return self._signed(_View(manifest.contents, manifest.file, records, overlay, unsigned, b"", table, opened))

    def _written(self, view: _View, entries: list[bytes]) -> _View:
        """Append to the overlay, then sign and store the head; nobody sees it before."""
        data = b"".join(entries)
        with writing(), (self._folder(view.manifest.epoch) / "overlay").open("r+b") as file:
            # Here and not at the end: a write that failed half-way may have left something there.
            file.seek(len(view.overlay))
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        head = replace(view.head, length=view.head.length + len(entries), chain=directory.chain(view.head.chain, data))
        table = view.table.extended(data)
        return self._signed(dataclasses.replace(view, overlay=view.overlay + data, head=head, table=table))

    def _signed(self, view: _View) -> _View:
        """The same with a head that is signed now, and on disk."""
        # The beginning of the period, so that a head does not say when in it somebody came or went. Never earlier than
        # the last one, even when the clock was set back: clients would call it shrunk.
        now = int(self._clock())
        self._issued = max(now - now % RESIGN_AFTER, self._issued)
        head = replace(view.head, issued=self._issued, valid_until=self._issued + directory.VALID_FOR)
        file = directory.sign_head(head, self._keys.signing)
        with writing():
            temporary = self._path / f".{HEAD_PATH}"
            write_file(temporary, file)
            temporary.rename(self._path / HEAD_PATH)
            sync_directory(self._path)
        return dataclasses.replace(view, head=head, head_file=file)

    def _merged(self, view: _View, more: bytes = b"") -> _View:
        cut = self._prepared(self._next_base(view, more), _next(view))
        return self._switched(cut, b"", view)

    def _cut(self, records: Iterable[bytes], epoch: int) -> _View:
        return self._switched(self._prepared(records, epoch), b"", None)

    def _next_base(self, view: _View, more: bytes = b"") -> Iterator[bytes]:
        """Read from its file, a piece at a time: what is mapped would stay in memory when it was read."""
        before = base.pieces(self._folder(view.manifest.epoch) / "base", self._heard("merging"))
        return directory.merged(before, view.overlay + more)

    def _prepared(self, records: Iterable[bytes], epoch: int) -> _Cut:
        """Write a new base, and build its table if it is to have one, where nobody sees them yet."""
        folder = self._path / f".new-{epoch}"
        with writing():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
            try:
                manifest = self._described(epoch, *base.write(folder / "base", records))
                if pir_table.is_wanted(manifest.count, self._tier):
                    manifest = pir_table.described(manifest, self._built(folder))
            except Exception:
                # On a disk that is full it would keep everything else from being written.
                shutil.rmtree(folder, ignore_errors=True)
                raise
        return _Cut(manifest, base.mapped(folder / "base"))

    def _described(self, epoch: int, count: int, root: bytes) -> wire.Manifest:
        return wire.Manifest(
            epoch=epoch,
            oprf_epoch=OPRF_EPOCH,
            oprf_public=self._keys.oprf.public,
            count=count,
            merkle_root=root,
            layout=directory.LAYOUT,
            token_keys=self._token_keys(),
        )

    def _heard(self, phase: str) -> base.Heard:
        tell = self._tell
        return base.nobody if tell is None else lambda part: tell(phase, part)

    def _built(self, folder: Path) -> PirBuilt:
        self.progress = PirProgress()
        try:
            with nullcontext() if self._tell is None else pir_table.telling(self.progress, self._tell):
                return pir_table.build(folder, self.progress, os.urandom(pir_table.SEED_BYTES))
        finally:
            self.progress = None

    def _switched(self, cut: _Cut, rest: bytes, before: _View | None) -> _View:
        """Show a new base: an epoch's folder appears whole or not at all, and then its first head names it."""
        manifest = cut.manifest
        if before is not None:
            manifest = replace(manifest, ended=before.head.chain, ended_length=before.head.length)
        file = directory.sign_manifest(manifest, self._keys.signing)
        with writing():
            self._store_epoch(manifest.epoch, {"manifest": file, "overlay": rest})
        opened = pir_table.opened(self._folder(manifest.epoch), manifest)
        signed = Manifest(manifest, directory.manifest_hash(manifest), file)
        view = self._first_view(signed, cut.base, rest, opened)
        if before is not None and before.private is not None:
            self._earlier_private = {before.manifest.epoch: before.private.base}
        for old in self._epochs()[:-KEPT_EPOCHS]:
            shutil.rmtree(self._folder(old), ignore_errors=True)
        return view

    def _store_epoch(self, epoch: int, files: dict[str, bytes]) -> None:
        folder = self._path / f".new-{epoch}"
        for name, contents in files.items():
            write_file(folder / name, contents)
        sync_directory(folder)
        # One that is there was never named by a head.
        shutil.rmtree(self._folder(epoch), ignore_errors=True)
        folder.rename(self._folder(epoch))
        sync_directory(self._path)

    def _earlier(self, epoch: int, name: str) -> bytes | memoryview | None:
        """A file of an epoch that has ended, mapped, for who is in the middle of a download."""
        try:
            contents = memoryview(base.mapped(self._folder(epoch) / name.split("/", 1)[0]))
        except OSError:
            return None
        return _overlay_part(contents, name) if name.startswith("overlay/") else contents


async def evaluate(
    context: Context, directory: Directory, request: wire.Evaluate, paid: Sequence[tokens.Spent]
) -> wire.Evaluated:
    """Evaluate blinded numbers; it is never known which. Some 75 us an element and 100 us a request.

    EVALUATE-01 the request is for the present lookup key (ServerBusy: look at the head again).
    EVALUATE-02 every element is a canonical one and not the identity (BadRequest). The tokens are spent all the same.
    EVALUATE-03 it was not evaluated before for the same tokens (TokenSpent).
    """
    if request.oprf_epoch != directory.manifest.oprf_epoch:
        raise ServerBusy("(another lookup key)", retry_after=1)
    if await context.store.transact(tokens.take, paid):
        raise TokenSpent
    key = context.keys.oprf
    try:
        if len(request.blinded) <= INLINE_EVALUATIONS:
            elements, proof = key.evaluate(request.blinded)
        else:
            elements, proof = await asyncio.to_thread(key.evaluate, request.blinded)
    except OprfError:
        raise BadRequest from None
    return wire.Evaluated(elements, proof)


def record_key(keys: Keys, number: str) -> RecordKey:
    """Where a number's record lies, for who holds the directory's key. Some 50 us."""
    return derive(keys.oprf.output([number.encode()])[0])


def tag_of(keys: Keys, number: str) -> bytes:
    """The tag under which the server knows a number; `account.phone_tag`."""
    return record_key(keys, number).tag


def outputs(keys: Keys, numbers: list[str], workers: int = 2) -> list[bytes]:
    """The PRF of many numbers, for building a directory; some 40 us each on every core given."""
    share = -(-len(numbers) // workers) or 1
    parts = [[number.encode() for number in numbers[at : at + share]] for at in range(0, len(numbers), share)]
    with ThreadPoolExecutor(workers) as pool:
        return [output for part in pool.map(keys.oprf.output, parts) for output in part]


def _next(view: _View) -> int:
    return view.manifest.epoch + 1


def _overlay_part(overlay: memoryview, name: str) -> memoryview | None:
    length = int(name.split("/", 1)[1]) * RECORD_BYTES
    return overlay[:length] if length <= len(overlay) else None


def _settle(waiting: "list[asyncio.Future[None]]", error: Exception | None) -> None:
    for done in waiting:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
