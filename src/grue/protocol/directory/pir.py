"""Private queries (tier 2), sans-I/O: the choice of a tier, the files of the table, and retrieving a record from it.

The core (`rust/pir`, `docs/protocol/pir.md`) makes queries and reads answers. Here is what stands around it: which
query goes out with which, and that a client does the same whatever an answer holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Final, TypeAlias

from grue._core import PirClient, PirColumns, PirError, PirLayout, PirMaterial, PirPending
from grue.errors import BadDirectory, NotAGrueServer, SpoiltAnswer, UsageError
from grue.protocol import wire
from grue.protocol.directory.directory import MAX_RECORDS
from grue.protocol.directory.record import RECORD_BYTES
from grue.protocol.states import Machine, Table

TABLE_TIER: Final = 1
"""The client downloads the whole table and searches it at home."""

PRIVATE_TIER: Final = 2
"""The client downloads a hint, and retrieves one column of the table for each number, by a private query."""

TIER_VARIABLE: Final = "GRUE_DIRECTORY_TIER"
"""In the environment: 1 or 2 overrides what client and server choose by cost."""

PRIVATE_FROM: Final = 20_000
"""Records from which on a server builds the table for private queries: about where `tier_of` begins to take it."""

EPOCH_LOOKUPS: Final = 42
"""Queries that a client is reckoned to make while a base is in use: three a day for two weeks, which is how long one is
where the choice is close (`grue.server.directory.cutting`)."""

HINT_ROW_BYTES: Final = 2560
"""Bytes of the hint for each row of the table: 1,280 words of 16 bits."""

HEADER_BYTES: Final = 128
"""Bytes of the layout, which each of the table's files begins with."""

REQUEST_BYTES: Final = (1 << 20) - (1 << 16)
"""Bytes of queries in one request: the rest of `wire.MAX_REQUEST` is for tokens and, with a relay, for sealing. The
core takes no table whose query is longer (`MAX_COLUMNS`)."""


def tier_wanted(environment: Mapping[str, str]) -> int | None:
    """The tier that `GRUE_DIRECTORY_TIER` forces, or None. Raises UsageError for what is no tier."""
    value = environment.get(TIER_VARIABLE, "")
    if value not in ("", "1", "2"):
        raise UsageError(f"{TIER_VARIABLE} is 1 or 2.")
    return int(value) if value else None


def tier_of(manifest: wire.Manifest, wanted: int | None = None) -> int:
    """Which tier costs a client less to download and upload in one epoch; `wanted` where the server has it.

    Depends on what is public and nothing else, so it says nothing of who looks up how much. The overlay costs the same
    in both. Above `MAX_RECORDS` it is the private query; raises UsageError where the table is wanted all the same.
    """
    if not manifest.pir:
        return TABLE_TIER
    if manifest.count > MAX_RECORDS:
        if wanted == TABLE_TIER:
            raise UsageError(
                f"{TIER_VARIABLE} is 1, but {manifest.count:,} records are too many to download: unset it, or say 2"
                f" (1 is for up to {MAX_RECORDS:,})."
            )
        return PRIVATE_TIER
    if wanted is not None:
        return wanted
    layout = PirLayout.from_bytes(manifest.pir)
    query = layout.query_bytes + layout.answer_bytes
    private = hint_bytes(layout) + EPOCH_LOOKUPS * query
    return PRIVATE_TIER if private < manifest.count * RECORD_BYTES else TABLE_TIER


def hint_bytes(layout: PirLayout) -> int:
    """Bytes of the hint's file."""
    return HEADER_BYTES + layout.rows * HINT_ROW_BYTES


@dataclass(frozen=True)
class PrivateFiles:
    """The public files of a table for private queries, each the manifest's."""

    hint: bytes
    fences: bytes
    top: bytes


class PrivateTable:
    """What a client holds of one epoch's table; some 5 ms to make at a million records."""

    def __init__(self, manifest: wire.Manifest, files: PrivateFiles) -> None:
        """DIRECTORY-17 the files fit the manifest's layout, and the top hashes its root. Raises BadDirectory."""
        try:
            self.layout = PirLayout.from_bytes(manifest.pir)
            self.client = PirClient(self.layout, files.hint)
            self.columns = PirColumns(self.layout, files.fences, files.top)
        except PirError:
            raise BadDirectory("(a table that does not fit its layout)") from None
        self.epoch = manifest.epoch

    @property
    def batch(self) -> int:
        """Queries that go into one request."""
        return max(1, min(wire.MAX_QUERIES, REQUEST_BYTES // self.layout.query_bytes))

    def material(self, stored: bytes | None = None, threads: int = 1) -> PirMaterial | None:
        """Fresh material, or what was stored of one; None when that was made for another table.

        Fresh takes 40 ms of a core at a million records.
        """
        if stored is None:
            return self.client.material(threads)
        try:
            return self.client.material_from_bytes(stored)
        except PirError:
            return None


def check_private_file(name: str, file: bytes, manifest: wire.Manifest) -> bytes:
    """DIRECTORY-16 the file has the hash that the manifest gives for it. Raises BadDirectory.

    A wrong hint would turn queries into ones that tell what they are for, so none is made before this.
    """
    expected = {"hint": manifest.hint_hash, "fences": manifest.fences_hash, "top": manifest.top_hash}[name]
    if sha256(file).digest() != expected:
        raise BadDirectory(f"({name}: another hash)")
    return file


# --- retrieving -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Retrieved:
    """What the base says of one tag: its record, or None for a proof that there is none."""

    record: bytes | None


@dataclass(frozen=True)
class Spoilt:
    """The answer for a tag was no column of this table. It proves nothing, and stays what it is for the epoch."""


Outcome: TypeAlias = Retrieved | Spoilt


class RetrievalState(StrEnum):
    IDLE = "idle"
    ASKING = "asking"
    ASKED = "asked"
    DONE = "done"
    FAILED = "failed"


class RetrievalEvent(StrEnum):
    START = "start"
    NOTHING = "nothing"
    ASK = "ask"
    MORE = "more"
    ANSWERED = "answered"
    FAIL = "fail"


TABLE: Final[Table[RetrievalState, RetrievalEvent]] = {
    RetrievalState.IDLE: {
        RetrievalEvent.START: RetrievalState.ASKING,
        RetrievalEvent.NOTHING: RetrievalState.DONE,
    },
    RetrievalState.ASKING: {RetrievalEvent.ASK: RetrievalState.ASKED, RetrievalEvent.FAIL: RetrievalState.FAILED},
    RetrievalState.ASKED: {
        RetrievalEvent.MORE: RetrievalState.ASKING,
        RetrievalEvent.ANSWERED: RetrievalState.DONE,
        RetrievalEvent.FAIL: RetrievalState.FAILED,
    },
    RetrievalState.DONE: {},
    RetrievalState.FAILED: {},
}


class Retrieval:
    """One query for each tag: while `wanted`, `ask`, then `answered`.

    What an answer holds changes nothing of what is asked next: there is no event for a record, an absence or a spoilt
    column. Only a request that failed as a whole ends it.
    """

    def __init__(self, table: PrivateTable, tags: Sequence[bytes]) -> None:
        self._table = table
        self._tags = list(dict.fromkeys(tags))
        self._asked: list[tuple[bytes, PirPending]] = []
        self._machine = Machine(TABLE, RetrievalState.IDLE)
        self._machine.fire(RetrievalEvent.START if self._tags else RetrievalEvent.NOTHING)

    @property
    def state(self) -> RetrievalState:
        return self._machine.state

    @property
    def wanted(self) -> int:
        """Queries of the next request, each of which takes fresh material; 0 when all are answered."""
        return min(self._table.batch, len(self._tags)) if self.state is RetrievalState.ASKING else 0

    def ask(self, materials: Sequence[PirMaterial]) -> wire.Query:
        """The next request. Spends the materials, which must be in no store any more."""
        self._machine.fire(RetrievalEvent.ASK)
        now, self._tags = self._tags[: len(materials)], self._tags[len(materials) :]
        client, columns = self._table.client, self._table.columns
        made = [client.query(material, columns.column(tag)) for tag, material in zip(now, materials, strict=True)]
        self._asked = [(tag, pending) for tag, (_, pending) in zip(now, made, strict=True)]
        return wire.Query(self._table.epoch, [query for query, _ in made])

    def answered(self, answer: wire.Answers) -> dict[bytes, Outcome]:
        """What the answers say of the tags that were asked for.

        LOOKUP-07 there is one answer for each query, of the layout's length. Raises NotAGrueServer.
        LOOKUP-08 each gives the very column that its tag belongs in, under the manifest's root; else it is `Spoilt`.
        """
        size = self._table.layout.answer_bytes
        if len(answer.answers) != len(self._asked) or any(len(one) != size for one in answer.answers):
            self.failed()
            raise NotAGrueServer
        outcomes = {
            tag: self._outcome(tag, pending, one)
            for (tag, pending), one in zip(self._asked, answer.answers, strict=True)
        }
        self._machine.fire(RetrievalEvent.MORE if self._tags else RetrievalEvent.ANSWERED)
        return outcomes

    def failed(self) -> None:
        """An answer did not come, or was a refusal: there will be no more outcomes."""
        self._machine.fire(RetrievalEvent.FAIL)

    def _outcome(self, tag: bytes, pending: PirPending, answer: bytes) -> Outcome:
        try:
            return Retrieved(self._table.columns.open(tag, pending.recover(answer)))
        except PirError:
            return Spoilt()


def taken(outcome: Outcome) -> bytes | None:
    """The record, or None for a proved absence. Raises SpoiltAnswer for what proves neither."""
    if isinstance(outcome, Spoilt):
        raise SpoiltAnswer
    return outcome.record
