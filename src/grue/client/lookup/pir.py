"""A client of tier 2 retrieves records by private queries, where one of tier 1 searches its own table.

Each tag is asked for once in an epoch, and what came is kept: a record, an absence, and a spoilt answer likewise. So
what is asked later does not depend on what an answer held. A request that was refused as busy got no answer: its tags
are asked for again, with fresh material and fresh tokens.
"""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from grue._core import PirMaterial
from grue.client.lookup.query_material import QueryMaterial
from grue.client.store.engine import Db, Store
from grue.client.store.entries import get_meta
from grue.errors import EpochEnded, NotAGrueServer, ServerBusy
from grue.protocol import wire
from grue.protocol.directory.directory import PRIVATE_FILES
from grue.protocol.directory.directory_sync import Known
from grue.protocol.directory.pir import Outcome, PrivateFiles, PrivateTable, Retrieval, Retrieved, Spoilt, taken

BUSY_TRIES: Final = 3
"""Times that a lookup's queries are begun, when the server is busy: each costs tokens, and gives it more to do."""

BUSY_SECONDS: Final = 10
"""The longest that is waited before one of them. A full queue of a server empties in less; who is told to come back
later than that is told so."""

Ask = Callable[[wire.Query], Awaitable[wire.AnonymousAnswer]]
Sleep = Callable[[float], Awaitable[None]]


class Private:
    """Private queries of one client."""

    def __init__(self, store: Store, material: QueryMaterial, ask: Ask, sleep: Sleep = asyncio.sleep) -> None:
        """`ask` makes a request and pays for it."""
        self._store = store
        self._material = material
        self._ask = ask
        self._sleep = sleep
        self._table: tuple[bytes, PrivateTable] | None = None

    async def retrieve(self, known: Known, tags: Sequence[bytes]) -> None:
        """Have in the store what the base says of each tag: one query for each that was not asked for in this epoch.

        Waits where the server is busy, as long as it says, and asks again for what was not answered. Raises EpochEnded
        when another base is to be asked, ServerBusy, and what else the network and the server do. What was answered
        until then stays.
        """
        table = await self._opened(known)
        for _ in range(BUSY_TRIES - 1):
            try:
                await self._retrieve(known, table, tags)
            except ServerBusy as busy:
                if busy.retry_after > BUSY_SECONDS:
                    raise
                # Not all at the same moment, or the queue is full again.
                wait = max(1, busy.retry_after) * random.uniform(1.0, 1.5)  # noqa: S311 -- spreads load, hides nothing
            else:
                return
            await self._sleep(wait)
        await self._retrieve(known, table, tags)

    async def _retrieve(self, known: Known, table: PrivateTable, tags: Sequence[bytes]) -> None:
        retrieval = Retrieval(table, await self._store.read(missing, table.epoch, tags))
        while retrieval.wanted:
            materials = await self._materials(table, retrieval.wanted)
            answer = await self._ask(retrieval.ask(materials))
            if not isinstance(answer, wire.Answers):
                raise NotAGrueServer
            outcomes = await asyncio.to_thread(retrieval.answered, answer)
            await self._store.note(_keep, known, outcomes)

    async def prepare(self, known: Known) -> None:
        """Make what is missing of the query material, once half of it is gone; some 40 ms each at a million records."""
        missing = await self._store.read(self._material.missing)
        if 2 * missing <= await self._store.read(self._material.count):
            return
        table = await self._opened(known)
        for _ in range(missing):
            material = await asyncio.to_thread(table.material)
            assert material is not None
            await self._store.note(self._put, known, material.to_bytes())

    async def _materials(self, table: PrivateTable, count: int) -> list[PirMaterial]:
        """Material for so many queries, which is in no store any more."""
        stored = await self._store.transact(self._material.take, count)
        return await asyncio.to_thread(_materials, table, stored, count)

    async def _opened(self, known: Known) -> PrivateTable:
        if self._table is None or self._table[0] != known.manifest.hash:
            files = await self._store.read(_files, known)
            opened = await asyncio.to_thread(PrivateTable, known.manifest.contents, files)
            self._table = known.manifest.hash, opened
        return self._table[1]

    def _put(self, db: Db, known: Known, material: bytes) -> None:
        if _is_held(db, known):
            self._material.put(db, material)


def _materials(table: PrivateTable, stored: list[bytes], count: int) -> list[PirMaterial]:
    read = [material for one in stored if (material := table.material(one)) is not None]
    while len(read) < count:
        fresh = table.material(threads=os.cpu_count() or 1)
        assert fresh is not None
        read.append(fresh)
    return read


# --- in transactions ------------------------------------------------------------------------------


def save(db: Db, material: QueryMaterial, files: PrivateFiles | None) -> None:
    """Replace what is held for queries by another epoch's files, or by nothing. What was asked before goes."""
    material.drop(db)
    for table in ("private", "part", "retrieved"):
        db.execute(f"DELETE FROM {table}")  # noqa: S608 -- names of ours
    if files is not None:
        for name in PRIVATE_FILES:
            db.execute("INSERT INTO private VALUES (?, ?)", name, getattr(files, name))


def find(db: Db, epoch: int, tag: bytes) -> bytes | None:
    """The record under a tag in this epoch's base, as it was retrieved.

    Raises SpoiltAnswer for a spoilt answer, EpochEnded for what was not asked for in this epoch.
    """
    row = db.row("SELECT spoilt, record FROM retrieved WHERE tag = ? AND epoch = ?", tag, epoch)
    if row is None:
        raise EpochEnded
    spoilt, record = row
    return taken(Spoilt() if spoilt else Retrieved(record if isinstance(record, bytes) else None))


def _is_held(db: Db, known: Known) -> bool:
    """Whether the store holds this very base; another process may have gone on to a later one, or have begun anew."""
    return get_meta(db, "manifest", bytes) == known.manifest.file


def missing(db: Db, epoch: int, tags: Sequence[bytes]) -> list[bytes]:
    """The tags that were not asked for in this epoch."""
    sql = "SELECT 1 FROM retrieved WHERE tag = ? AND epoch = ?"
    return [tag for tag in tags if db.row(sql, tag, epoch) is None]


def _keep(db: Db, known: Known, outcomes: dict[bytes, Outcome]) -> None:
    if not _is_held(db, known):
        return
    epoch = known.manifest.contents.epoch
    for tag, outcome in outcomes.items():
        spoilt, record = isinstance(outcome, Spoilt), outcome.record if isinstance(outcome, Retrieved) else None
        db.execute("INSERT OR REPLACE INTO retrieved VALUES (?, ?, ?, ?)", tag, epoch, int(spoilt), record)


def _files(db: Db, known: Known) -> PrivateFiles:
    held = {str(name): data for name, data in db.rows("SELECT name, data FROM private") if isinstance(data, bytes)}
    if not _is_held(db, known) or len(held) != len(PRIVATE_FILES):
        raise EpochEnded
    return PrivateFiles(**held)
