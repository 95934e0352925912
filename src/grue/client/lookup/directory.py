"""The client keeps a checked copy of the directory, and looks numbers up in it.

The copy lies in the encrypted store, checked when it came. Every lookup asks for the newest head, whatever is
looked up, evaluates new numbers blindly, and searches here: the overlay always, and the base in tier 1. In tier 2 what
the base says is retrieved by private queries (`grue.client.lookup.pir`), for hits and misses alike.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from time import monotonic, perf_counter
from typing import Final, TypeVar

from grue.client import verified
from grue.client.lookup import gossip, own_record, pir, tables, watch
from grue.client.lookup.gossip import Gossip
from grue.client.lookup.own_record import OwnIdentity
from grue.client.lookup.pir import Private
from grue.client.lookup.query_material import QueryMaterial, runtime_folder
from grue.client.store.engine import Db, Store
from grue.client.store.entries import drop_meta, get_meta, put_meta
from grue.client.transport.transport import Transport
from grue.errors import BadDirectory, EpochEnded, GrueError, NotAGrueServer, ServerBusy, VerificationFailed
from grue.protocol import wire
from grue.protocol.conversation.contents import Transcript
from grue.protocol.conversation.fallback import Route
from grue.protocol.directory.directory import is_tombstone
from grue.protocol.directory.directory_sync import Current, Effect, Fetch, Known, Sync, Synced, restore
from grue.protocol.directory.lookup import ANSWERED, Found, Lookup, Result, SelfLookup
from grue.protocol.directory.pir import PRIVATE_TIER, TABLE_TIER, tier_of, tier_wanted
from grue.protocol.directory.record import Record, derive, open_record
from grue.protocol.oblivious import CHUNK

T = TypeVar("T")

RESTARTS: Final = 3
"""Times that a lookup, or bringing the copy up to date, is begun when bases are cut while it runs."""

FRESH_SECONDS: Final = 60.0
"""How long the copy counts as fresh for a message to somebody known: who registers anew is written to from then on."""

PART: Final = CHUNK
"""Bytes of a large file that are fetched at once, and are safe then: what one sealed response holds."""

Ask = Callable[[wire.Evaluate | wire.Query], Awaitable[wire.AnonymousAnswer]]


@dataclass(frozen=True)
class LookedUp:
    """The answer for one number. With `error` the route is unknown, and nothing may go as SMS."""

    number: str
    route: Route
    result: Result | None
    error: GrueError | None
    tier: int
    """1: the table is here, and was searched. 2: the base's record was retrieved by a private query."""
    requests: int
    bytes_up: int
    bytes_down: int
    ms: float
    """The four costs are those of the whole call, which may have been for several numbers."""

    @property
    def registered(self) -> bool | None:
        """None when it is not known."""
        return None if self.route is Route.UNKNOWN else self.route is Route.ENCRYPTED


class Directory:
    """Lookups for one client. `clock` gives Unix seconds."""

    def __init__(
        self,
        store: Store,
        transport: Transport,
        server_public: bytes,
        clock: Callable[[], float],
        ask: Ask,
        own: OwnIdentity | None = None,
    ) -> None:
        """
        ask  makes a request and pays for it
        own  whose record is looked at in each new head; None: nobody's
        """
        self._store = store
        self._transport = transport
        self._ask = ask
        self._server_public = server_public
        self._own = own
        self.gossip = Gossip(server_public)
        self._clock = clock
        self._wanted = tier_wanted(os.environ)
        self._material = QueryMaterial(runtime_folder())
        self._private = Private(store, self._material, ask)
        self._one_sync = asyncio.Lock()
        self._tried = -FRESH_SECONDS
        self.fetched: float | None = None
        """How much of a large file has come, from 0 to 1; None while none is being fetched."""

    async def current(self) -> Current:
        """The directory as it is now. Costs one small file, and more when it has changed.

        At each head that is new, the own record is looked at in it; in tier 2 that is one query an epoch.
        Raises NetworkError or VerificationFailed.
        """
        self._tried = monotonic()
        async with self._one_sync:
            await self._store.read(gossip.check_whole)
            known, current = await self._synced()
        if self._own is not None and (known is None or current.head.file != known.head.file):
            await self._look_at(self._own, current)
        return current

    async def freshen(self) -> None:
        """Bring the copy up to date, unless that was tried a moment ago. Raises NetworkError or VerificationFailed."""
        if not self.is_fresh:
            await self.current()

    @property
    def is_fresh(self) -> bool:
        """Whether it was tried a moment ago to bring the copy up to date."""
        return monotonic() - self._tried < FRESH_SECONDS

    async def known(self) -> Known | None:
        """The copy as it is, however old."""
        return await self._store.read(_known, self._server_public)

    async def lookup(self, numbers: Sequence[str]) -> list[LookedUp]:
        """Look E.164 numbers up, in order. Never raises for what the network or the server does."""
        before, start = self._transport.usage.snapshot(), perf_counter()
        results: dict[str, Result] = {}
        failure: GrueError | None = None
        try:
            results = await self._started_again(lambda: self._lookup(numbers))
        except GrueError as error:
            failure = error
        tier = await self._store.read(_tier)
        used, ms = self._transport.usage.since(before), (perf_counter() - start) * 1000
        return [
            LookedUp(
                number=number,
                route=results[number].route if number in results else Route.UNKNOWN,
                result=results.get(number),
                error=failure,
                tier=tier,
                requests=used.requests,
                bytes_up=used.bytes_up,
                bytes_down=used.bytes_down,
                ms=ms,
            )
            for number in numbers
        ]

    async def look_self_up(self, number: str) -> tuple[Result | GrueError, Transcript]:
        """Look the own number up alone; returns the result, or why the answer says nothing, and the transcript for
        contacts, which is right in any case."""
        return await self._started_again(lambda: self._look_self_up(number))

    async def retrieve(self, current: Current, tags: Sequence[bytes]) -> None:
        """Have at hand what `find` needs for these tags; in tier 1 that is so in any case.

        Raises EpochEnded, LimitReached, and what the transport does.
        """
        if current.tier == PRIVATE_TIER:
            await self._private.retrieve(current, tags)

    async def prepare(self) -> None:
        """Make ahead of time what lookups will need; for when there is nothing else to do. Asks nobody."""
        # What is wrong with the copy is said when something is looked up.
        with suppress(EpochEnded, VerificationFailed):
            known = await self.known()
            if known is not None and known.tier == PRIVATE_TIER:
                await self._private.prepare(known)

    async def _started_again(self, look: Callable[[], Awaitable[T]]) -> T:
        """Again from the head on, when the base that was asked is there no more."""
        for _ in range(RESTARTS - 1):
            with suppress(EpochEnded):
                return await look()
        return await look()

    async def _look_self_up(self, number: str) -> tuple[Result | GrueError, Transcript]:
        current = await self.current()
        own = SelfLookup(current, number)
        transcript, output = own.transcript(await self._evaluate(own.request()))
        await self._store.note(remember, current, {number: output})
        lookup = Lookup(current, [number], {number: output})
        lookup.start()
        await self.retrieve(current, lookup.tags())
        result: Result | GrueError
        try:
            result = (await self._search(current, lookup))[number]
        except ANSWERED as error:
            result = error
        if self._own is not None:
            await self._store.transact(_note_records, current, self._own)
        return result, transcript

    async def _look_at(self, own: OwnIdentity, current: Current) -> None:
        """Hold the own record in this copy against the account; what cannot be told now is told at the next head."""
        tag = await self._store.read(own_record.own_tag, current, own)
        with suppress(GrueError):
            await self.retrieve(current, [tag] if tag is not None else [])
        with suppress(EpochEnded):
            await self._store.transact(_note_records, current, own)

    async def _lookup(self, numbers: Sequence[str]) -> dict[str, Result]:
        current = await self.current()
        lookup = Lookup(current, numbers, await self._store.read(_outputs, current, numbers))
        request = lookup.start()
        while request is not None:
            request = lookup.evaluated(await self._evaluate(request))
        if lookup.learned:
            await self._store.note(remember, current, lookup.learned)
        await self.retrieve(current, lookup.tags())
        return await self._search(current, lookup)

    async def _search(self, current: Current, lookup: Lookup) -> dict[str, Result]:
        now = int(self._clock())
        results, news = await self._store.read(_search, current, lookup, now)
        if news:
            await self._store.transact(_tell, news)
        return results

    async def _evaluate(self, request: wire.Evaluate) -> wire.Evaluated:
        answer = await self._ask(request)
        if not isinstance(answer, wire.Evaluated):
            raise NotAGrueServer
        return answer

    async def _synced(self) -> tuple[Known | None, Current]:
        """What was known before, and the directory as it is now, which is in the store."""
        for _ in range(RESTARTS):
            known, waiting = await self._store.read(self._before)
            synced = await self._fetched(known)
            changed = known is None or synced.current.head.file != known.head.file or synced.current.tier != known.tier
            if not changed and not waiting:
                return known, synced.current
            if await self._store.transact(self._take_up, known, synced, waiting):
                await self._store.read(gossip.check_whole)
                return known, synced.current
        raise ServerBusy("(another process of this home was faster)")

    async def _fetched(self, known: Known | None) -> Synced:
        for _ in range(RESTARTS):
            try:
                return await self._run(Sync(self._server_public, int(self._clock()), known, self._tier))
            except NotAGrueServer:
                # A new base was cut between two files; the next head names the new one.
                continue
            except VerificationFailed:
                # Parts that were kept may be what is wrong.
                await self._store.note(tables.drop_parts)
                raise
        raise ServerBusy

    def _before(self, db: Db) -> tuple[Known | None, frozenset[bytes]]:
        """What is known before a head is asked for, and the contacts' heads which that one has to reach."""
        return _known(db, self._server_public), gossip.waiting(db)

    def _take_up(self, db: Db, known: Known | None, synced: Synced, waiting: frozenset[bytes]) -> bool:
        """Store what is new, and hold it against what contacts were shown. Raises ShrunkDirectory, storing nothing.

        False, and nothing is stored, when another process has brought the copy further meanwhile: it has to stay one
        that only goes on.
        """
        before = None if known is None else (known.head.file, known.tier)
        head = get_meta(db, "head", bytes)
        if (None if head is None else (head, _tier(db))) != before:
            return False
        if before != (synced.current.head.file, synced.current.tier):
            _keep_ended(db, known, synced)
            _save(db, self._material, synced)
        self.gossip.settle(db, waiting, int(self._clock()))
        return True

    async def _run(self, sync: Sync) -> Synced:
        effect: Effect = sync.start()
        while isinstance(effect, Fetch):
            file = await (self._resumed(effect) if effect.size > PART else self._transport.file(effect.path))
            effect = await asyncio.get_running_loop().run_in_executor(None, sync.fetched, file)
        return effect

    async def _resumed(self, fetch: Fetch) -> bytes:
        """A file of more than one part; what has come stays when it breaks off, until the copy is up to date."""
        file = bytearray(await self._store.read(tables.parts, fetch.path))
        try:
            while len(file) < fetch.size:
                self.fetched = len(file) / fetch.size
                wanted, start = min(PART, fetch.size - len(file)), len(file)
                part = await self._transport.file(fetch.path, start, wanted)
                file += part
                if len(part) != wanted:
                    # All the rest at once; or too little, which is for the check of the whole to refuse. It is not gone
                    # on with from there: by where that is, a server would know this client again.
                    break
                await self._store.note(tables.add_part, fetch.path, start, part)
        finally:
            self.fetched = None
        return bytes(file)

    def _tier(self, manifest: wire.Manifest) -> int:
        return tier_of(manifest, self._wanted)


@dataclass(frozen=True)
class Copy:
    """The copy of a directory, within the transaction that has found it in the store: `copy_of` makes one."""

    db: Db
    current: Current

    def find(self, tag: bytes) -> bytes | None:
        """The record under a tag: the overlay's newest entry, or else what the base says.

        In tier 2 that has to be retrieved before; raises EpochEnded if it was not, SpoiltAnswer if it was spoilt.
        """
        return _find(self.db, self.current.manifest.contents.epoch, self.current.tier, tag)


def copy_of(db: Db, current: Current) -> Copy:
    """What the store holds, once it is found to be this directory, or to have gone on in its epoch.

    Since it was brought up to date, another process of this home may have taken up another base, with another lookup
    key, or have forgotten all; what is not found in that proves nothing.

    LOOKUP-09 the copy has this very manifest, of this tier, and no fewer overlay entries. Raises EpochEnded.
    """
    same = get_meta(db, "manifest", bytes) == current.manifest.file and _tier(db) == current.tier
    if not same or tables.overlay_length(db) < current.head.contents.length:
        raise EpochEnded
    return Copy(db, current)


class Gone(Enum):
    """There is no record where one was looked for."""

    GONE = "gone"


def record_before(db: Db, number: str) -> Record | Gone | None:
    """A number's record in the copy as it is, however old, if the number was looked up in it. None proves nothing.

    Gone, if the copy has none: one who had a record has left, or chosen not to be found, or is hidden by the server.
    Raises BadRecord.
    """
    file = get_meta(db, "manifest", bytes)
    if file is None:
        return None
    manifest = _contents(file)
    output = tables.output_of(db, manifest.oprf_epoch, number)
    if output is None:
        return None
    key = derive(output)
    try:
        sealed = _find(db, manifest.epoch, _tier(db), key.tag)
    except (EpochEnded, BadDirectory):
        return None
    return Gone.GONE if sealed is None else open_record(sealed, key)


def names_another(db: Db, number: str, identity: bytes) -> bool:
    """Whether the copy as it is has a record of this number with another identity. Raises BadRecord."""
    record = record_before(db, number)
    return isinstance(record, Record) and record.identity_public != identity


def _find(db: Db, epoch: int, tier: int, tag: bytes) -> bytes | None:
    entry = tables.overlay_entry(db, tag)
    if entry is not None:
        return None if is_tombstone(entry) else entry
    return pir.find(db, epoch, tag) if tier == PRIVATE_TIER else tables.base_record(db, tag)


def _search(db: Db, current: Current, lookup: Lookup, now: int) -> tuple[dict[str, Result], dict[str, bytes]]:
    """What was found, and which numbers lead to another identity than the one that was verified."""
    # A message that was read since the head came may have shown another one.
    gossip.check_whole(db)
    results = lookup.search(copy_of(db, current).find, now)
    found = {number: one.record.identity_public for number, one in results.items() if isinstance(one, Found)}
    return results, {number: identity for number, identity in found.items() if verified.is_news(db, number, identity)}


def _tell(db: Db, news: dict[str, bytes]) -> None:
    for number, identity in news.items():
        watch.tell(db, number, identity)


def _note_records(db: Db, current: Current, own: OwnIdentity) -> None:
    """What the copy has under the own number, and under those of verified contacts."""
    copy = copy_of(db, current)
    own_record.note(db, current, own, copy.find)
    watch.note(db, current, copy.find)


def _known(db: Db, server_public: bytes) -> Known | None:
    manifest, head = get_meta(db, "manifest", bytes), get_meta(db, "head", bytes)
    return None if manifest is None or head is None else restore(manifest, head, server_public, _tier(db))


def _tier(db: Db) -> int:
    """The tier of the copy that is held; 1 before there is one."""
    return get_meta(db, "tier", int) or TABLE_TIER


def _save(db: Db, material: QueryMaterial, synced: Synced) -> None:
    tables.drop_parts(db)
    if synced.base is not None or synced.private is not None:
        tables.replace_base(db, synced.base or b"")
        pir.save(db, material, synced.private)
        put_meta(db, "tier", synced.current.tier)
    if synced.overlay is not None:
        tables.replace_overlay(db, synced.overlay)
    put_meta(db, "manifest", synced.current.manifest.file)
    put_meta(db, "head", synced.current.head.file)


def _keep_ended(db: Db, known: Known | None, synced: Synced) -> None:
    if known is not None and known.head.contents.epoch != synced.current.head.contents.epoch:
        gossip.keep_ended(db, known.head, tables.overlay(db) if synced.ended is None else synced.ended)


def forget(db: Db) -> None:
    """Nothing is known of the directory any more; what was evaluated neither, since its key may be another."""
    for key in ("manifest", "head", "tier"):
        drop_meta(db, key)
    for table in ("evaluation", "record", "overlay", "private", "part", "retrieved", "material"):
        db.execute(f"DELETE FROM {table}")  # noqa: S608 -- names of our own
    gossip.forget(db)


def start_over(db: Db, now: int) -> None:
    """As for the first time, except that it is known whether the own number was listed.

    What contacts were shown before this moment, Unix seconds, is held against nothing any more.
    """
    forget(db)
    gossip.start_over(db, now)


def _outputs(db: Db, current: Current, numbers: Sequence[str]) -> dict[str, bytes]:
    epoch = current.manifest.contents.oprf_epoch
    return {number: output for number in numbers if (output := tables.output_of(db, epoch, number)) is not None}


def remember(db: Db, current: Current, outputs: dict[str, bytes]) -> None:
    """Keep PRF outputs for this OPRF epoch: with them a lookup asks nobody.

    Raises EpochEnded when the copy is of another lookup key by now, or gone: each server counts its keys from one.
    """
    file, contents = get_meta(db, "manifest", bytes), current.manifest.contents
    held = None if file is None else _contents(file)
    if held is None or (held.oprf_epoch, held.oprf_public) != (contents.oprf_epoch, contents.oprf_public):
        raise EpochEnded
    for number, output in outputs.items():
        db.execute("INSERT OR REPLACE INTO evaluation VALUES (?, ?, ?)", number, contents.oprf_epoch, output)


def _contents(manifest: bytes) -> wire.Manifest:
    """What a manifest says that was checked when it came."""
    return wire.MANIFEST.decode(wire.SIGNED_FILE.decode(manifest).body)
