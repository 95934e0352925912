"""The client's copy of the directory, and lookups in it.

The copy lies in the encrypted store, checked when it came. Every lookup asks for the newest head, whatever is
looked up, evaluates new numbers blindly, and searches here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from grue.client import rows
from grue.client.store import Db, Store
from grue.client.transport import Transport
from grue.errors import GrueError, NotAGrueServer, ServerBusy
from grue.protocol import wire
from grue.protocol.contents import Transcript
from grue.protocol.directory import is_tombstone
from grue.protocol.directory_sync import Current, Effect, Fetch, Known, Sync, Synced, restore
from grue.protocol.fallback import Route
from grue.protocol.lookup import Lookup, Result, SelfLookup
from grue.protocol.record import RECORD_BYTES, TAG_BYTES

TIER: Final = 1
"""The client downloads the whole table, and searches it here."""


Ask = Callable[[wire.Evaluate], Awaitable[wire.AnonymousAnswer]]


@dataclass(frozen=True)
class LookedUp:
    """The answer for one number. With `error` the route is unknown, and nothing may go as SMS."""

    number: str
    route: Route
    result: Result | None
    error: GrueError | None
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
        self, store: Store, transport: Transport, server_public: bytes, clock: Callable[[], float], ask: Ask
    ) -> None:
        """`ask` makes a request and pays for it."""
        self._store = store
        self._transport = transport
        self._ask = ask
        self._server_public = server_public
        self._clock = clock
        self._one_sync = asyncio.Lock()

    async def current(self) -> Current:
        """The directory as it is now. Costs one small file, and more when it has changed.

        Raises NetworkError or VerificationFailed.
        """
        async with self._one_sync:
            return await self._sync(await self.known())

    async def known(self) -> Known | None:
        """The copy as it is, however old."""
        return await self._store.read(_known, self._server_public)

    async def lookup(self, numbers: Sequence[str]) -> list[LookedUp]:
        """Look E.164 numbers up, in order. Never raises for what the network or the server does."""
        before, start = self._transport.usage.snapshot(), perf_counter()
        results: dict[str, Result] = {}
        failure: GrueError | None = None
        try:
            results = await self._lookup(numbers)
        except GrueError as error:
            failure = error
        used, ms = self._transport.usage.since(before), (perf_counter() - start) * 1000
        return [
            LookedUp(
                number=number,
                route=results[number].route if number in results else Route.UNKNOWN,
                result=results.get(number),
                error=failure,
                requests=used.requests,
                bytes_up=used.bytes_up,
                bytes_down=used.bytes_down,
                ms=ms,
            )
            for number in numbers
        ]

    async def look_self_up(self, number: str) -> tuple[Result, Transcript]:
        """Look the own number up alone; returns the result and the transcript for contacts."""
        current = await self.current()
        own = SelfLookup(current, number)
        transcript, output = own.transcript(await self._evaluate(own.request()))
        lookup = Lookup(current, [number], {number: output})
        lookup.start()
        results = await self._search(lookup)
        await self._store.note(remember, current, {number: output})
        return results[number], transcript

    async def _lookup(self, numbers: Sequence[str]) -> dict[str, Result]:
        current = await self.current()
        lookup = Lookup(current, numbers, await self._store.read(_outputs, current, numbers))
        request = lookup.start()
        while request is not None:
            request = lookup.evaluated(await self._evaluate(request))
        if lookup.learned:
            await self._store.note(remember, current, lookup.learned)
        return await self._search(lookup)

    async def _search(self, lookup: Lookup) -> dict[str, Result]:
        now = int(self._clock())
        return await self._store.read(lambda db: lookup.search(lambda tag: find(db, tag), now))

    async def _evaluate(self, request: wire.Evaluate) -> wire.Evaluated:
        answer = await self._ask(request)
        if not isinstance(answer, wire.Evaluated):
            raise NotAGrueServer
        return answer

    async def _sync(self, known: Known | None) -> Current:
        for attempt in range(3):
            try:
                synced = await self._run(Sync(self._server_public, int(self._clock()), known))
                break
            except NotAGrueServer:
                # A new base was cut between two files; the next head names the new one.
                if attempt == 2:
                    raise ServerBusy from None
        if known is None or synced.current.head.file != known.head.file:
            await self._store.note(_save, synced)
        return synced.current

    async def _run(self, sync: Sync) -> Synced:
        effect: Effect = sync.start()
        while isinstance(effect, Fetch):
            file = await self._transport.file(effect.path)
            effect = await asyncio.get_running_loop().run_in_executor(None, sync.fetched, file)
        return effect


def find(db: Db, tag: bytes) -> bytes | None:
    """The record under a tag in the stored copy: the overlay's newest entry, or else the base's."""
    entry = db.row("SELECT entry FROM overlay WHERE tag = ? ORDER BY seq DESC LIMIT 1", tag)
    if entry is not None:
        assert isinstance(entry[0], bytes)
        return None if is_tombstone(entry[0]) else entry[0]
    record = db.row("SELECT record FROM record WHERE tag = ?", tag)
    return record[0] if record is not None and isinstance(record[0], bytes) else None


def _known(db: Db, server_public: bytes) -> Known | None:
    manifest, head = rows.get_meta(db, "manifest", bytes), rows.get_meta(db, "head", bytes)
    return None if manifest is None or head is None else restore(manifest, head, server_public)


def _save(db: Db, synced: Synced) -> None:
    if synced.base is not None:
        _replace(db, "record", synced.base)
    if synced.overlay is not None:
        _replace(db, "overlay", synced.overlay)
    rows.put_meta(db, "manifest", synced.current.manifest.file)
    rows.put_meta(db, "head", synced.current.head.file)


def _replace(db: Db, table: str, data: bytes) -> None:
    entries = (data[at : at + RECORD_BYTES] for at in range(0, len(data), RECORD_BYTES))
    if table == "record":
        db.execute("DELETE FROM record")
        db.many("INSERT INTO record VALUES (?, ?)", ((entry[:TAG_BYTES], entry) for entry in entries))
    else:
        db.execute("DELETE FROM overlay")
        numbered = enumerate(entries)
        db.many("INSERT INTO overlay VALUES (?, ?, ?)", ((seq, entry[:TAG_BYTES], entry) for seq, entry in numbered))


def _outputs(db: Db, current: Current, numbers: Sequence[str]) -> dict[str, bytes]:
    epoch = current.manifest.contents.oprf_epoch
    known: dict[str, bytes] = {}
    for number in numbers:
        row = db.row("SELECT output FROM evaluation WHERE number = ? AND oprf_epoch = ?", number, epoch)
        if row is not None and isinstance(row[0], bytes):
            known[number] = row[0]
    return known


def remember(db: Db, current: Current, outputs: dict[str, bytes]) -> None:
    """Keep PRF outputs for this OPRF epoch: with them a lookup asks nobody."""
    epoch = current.manifest.contents.oprf_epoch
    for number, output in outputs.items():
        db.execute("INSERT OR REPLACE INTO evaluation VALUES (?, ?, ?)", number, epoch, output)
