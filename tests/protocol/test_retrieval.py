"""Tier 2 without a network: which tier is taken, the checks on its files, and what retrieving does with an answer."""

import random
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from grue._core import PirBase, PirError, PirLayout, pir_build
from grue.errors import BadDirectory, BadManifest, NotAGrueServer, ProtocolViolation, UsageError, VerificationFailed
from grue.protocol import wire
from grue.protocol.directory import directory as files
from grue.protocol.directory.directory import UnverifiedManifest
from grue.protocol.directory.directory_sync import Fetch, RecordTable, Sync, Synced
from grue.protocol.directory.pir import (
    REQUEST_BYTES,
    Outcome,
    PrivateFiles,
    PrivateTable,
    Retrieval,
    RetrievalState,
    Retrieved,
    Spoilt,
    check_private_file,
    taken,
    tier_of,
    tier_wanted,
)
from tests.damage import flipped
from tests.protocol.directories import ALICE, BOB, CAROL, NOBODY, NOW, FakeDirectory, a_record

NUMBERS = (ALICE, BOB, CAROL)
DAVE = "+447700900004"
TOP = 1024
"""Hashes at most of a table's top."""


class Published:
    """A directory with a table for private queries, and what answers them."""

    def __init__(self, folder: Path, numbers: tuple[str, ...] = NUMBERS) -> None:
        self.fake = FakeDirectory().with_base({number: a_record() for number in numbers})
        (folder / "base").write_bytes(self.fake.base)
        built = pir_build(folder / "base", folder, bytes(16), 1)
        self.fake.manifest_changes = {
            "pir": built.layout.to_bytes(),
            "hint_hash": built.hint,
            "fences_hash": built.fences,
            "top_hash": built.top,
        }
        self.base = PirBase.open(folder / "packed")
        self.private = {name: (folder / name).read_bytes() for name in files.PRIVATE_FILES}

    @property
    def files(self) -> dict[str, bytes]:
        private = {files.private_path(self.fake.epoch, name): file for name, file in self.private.items()}
        return self.fake.files | private

    def sync(self) -> Synced:
        sync = Sync(self.fake.public, NOW, None, lambda manifest: tier_of(manifest, 2))
        effect: Fetch | Synced = sync.start()
        while isinstance(effect, Fetch):
            effect = sync.fetched(self.files[effect.path])
        return effect

    def table(self) -> PrivateTable:
        return PrivateTable(self.fake.manifest, PrivateFiles(**self.private))

    def tag(self, number: str) -> bytes:
        return self.fake.key(number).tag

    def answer(self, request: wire.Query) -> wire.Answers:
        return wire.Answers(self.base.answer(request.queries, 1))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return Published(tmp_path_factory.mktemp("table"))


def asked(table: PrivateTable, retrieval: Retrieval) -> wire.Query:
    materials = [table.material() for _ in range(retrieval.wanted)]
    return retrieval.ask([material for material in materials if material is not None])


# --- which tier -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "wanted"), [("", None), ("1", 1), ("2", 2)])
def test_the_environment_may_say_the_tier(value: str, wanted: int | None) -> None:
    assert tier_wanted({"GRUE_DIRECTORY_TIER": value}) == wanted
    assert tier_wanted({}) is None


def test_what_is_no_tier_is_said_so() -> None:
    with pytest.raises(UsageError):
        tier_wanted({"GRUE_DIRECTORY_TIER": "3"})


def test_a_directory_without_a_table_for_queries_is_downloaded(published: Published) -> None:
    assert tier_of(FakeDirectory().manifest, 2) == 1
    assert (tier_of(published.fake.manifest, 1), tier_of(published.fake.manifest, 2)) == (1, 2)


def layout_of(count: int, slots: int, columns: int) -> bytes:
    """The layout of a table that is too large to be built here; the Merkle path is as long as it says."""
    path = next(levels for levels in range(32) if columns <= TOP << levels)
    shape = struct.pack("<7I", 1, 1, 1280, 128 * slots + 32 * path, columns, slots, columns)
    return b"GRUEPIRL" + shape + bytes([64, 0, 0, 0]) + struct.pack("<Q", count) + bytes(16 + 32 + 32)


@pytest.mark.parametrize("wanted", [None, 2])
def test_a_directory_too_large_to_be_downloaded_whole_is_asked_by_private_queries(wanted: int | None) -> None:
    large = replace(FakeDirectory().manifest, count=1_000_000, pir=layout_of(1_000_000, 20, 52_672))
    assert tier_of(large, wanted) == 2


def test_who_forces_the_download_of_a_directory_that_is_too_large_is_told_what_to_do() -> None:
    count = files.MAX_RECORDS + 1
    large = replace(FakeDirectory().manifest, count=count, pir=b"a table")
    with pytest.raises(UsageError, match="unset it, or say 2"):
        tier_of(large, 1)
    assert tier_of(replace(large, count=count - 1), 1) == 1


def test_the_query_of_the_largest_table_fits_into_one_request() -> None:
    layout = PirLayout.from_bytes(layout_of(21_712_896, 93, 245_760))
    assert layout.query_bytes == REQUEST_BYTES <= wire.MAX_QUERY
    with pytest.raises(PirError):
        PirLayout.from_bytes(layout_of(21_712_897, 93, 245_824))


@pytest.mark.parametrize(("count", "tier"), [(3, 1), (5_000, 1), (40_000, 2)])
def test_the_tier_that_costs_less_is_taken(tmp_path: Path, count: int, tier: int) -> None:
    dice = random.Random(1)
    (tmp_path / "base").write_bytes(b"".join(sorted(dice.randbytes(128) for _ in range(count))))
    built = pir_build(tmp_path / "base", tmp_path, bytes(16), 2)
    manifest = replace(FakeDirectory().manifest, count=count, pir=built.layout.to_bytes())
    assert tier_of(manifest) == tier


# --- files ----------------------------------------------------------------------------------------


def test_a_client_of_tier_2_never_fetches_the_base(published: Published) -> None:
    synced = published.sync()
    assert synced.base is None
    assert synced.private == PrivateFiles(**published.private)
    assert synced.current.tier == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"pir": b""},
        {"pir": bytes(128)},
        {"hint_hash": b""},
        {"fences_hash": bytes(31)},
        {"top_hash": b""},
        {"count": len(NUMBERS) + 1},
    ],
    ids=str,
)
def test_directory_15_a_manifest_that_contradicts_its_table_is_refused(
    published: Published, changes: dict[str, Any]
) -> None:
    file = files.sign_manifest(replace(published.fake.manifest, **changes), published.fake.server)
    with pytest.raises(BadManifest):
        UnverifiedManifest(file).verify(published.fake.public)


@pytest.mark.parametrize("name", files.PRIVATE_FILES)
def test_directory_16_every_changed_byte_of_a_file_is_refused(published: Published, name: str) -> None:
    file, dice = published.private[name], random.Random(2)
    for at in [0, len(file) - 1, *(dice.randrange(len(file)) for _ in range(200))]:
        changed = bytearray(file)
        changed[at] ^= 1 << dice.randrange(8)
        with pytest.raises(BadDirectory):
            check_private_file(name, bytes(changed), published.fake.manifest)
    for other in (file[:-1], file + b"\0", b""):
        with pytest.raises(BadDirectory):
            check_private_file(name, other, published.fake.manifest)


@pytest.mark.parametrize("name", files.PRIVATE_FILES)
def test_directory_17_files_that_do_not_fit_the_layout_are_refused(published: Published, name: str) -> None:
    # Their hashes may well be the manifest's: it is a manifest of somebody who lies.
    changed = published.private | {name: published.private[name][:-1]}
    with pytest.raises(BadDirectory):
        PrivateTable(published.fake.manifest, PrivateFiles(**changed))


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """One with a record in the overlay as well."""
    published = Published(tmp_path_factory.mktemp("grown"))
    published.fake.put(DAVE, a_record(4))
    return published


def listed(published: Published, change: Callable[[str, bytes], bytes]) -> list[bool]:
    """Which numbers a client says are listed, who gets `change` of every file and answer. Raises what it refuses."""
    sync = Sync(published.fake.public, NOW, None, lambda manifest: tier_of(manifest, 2))
    effect: Fetch | Synced = sync.start()
    while isinstance(effect, Fetch):
        effect = sync.fetched(change(effect.path.removeprefix("1/"), published.files[effect.path]))
    assert effect.private is not None
    assert effect.overlay is not None
    overlay = RecordTable(b"", effect.overlay)
    table = PrivateTable(effect.current.manifest.contents, effect.private)
    tags = [published.tag(number) for number in (*NUMBERS, DAVE, NOBODY)]
    retrieval = Retrieval(table, tags)
    answers = published.answer(asked(table, retrieval)).answers
    base = retrieval.answered(wire.Answers([change("answer", one) for one in answers]))
    return [(overlay.find(tag) or taken(base[tag])) is not None for tag in tags]


def test_a_client_that_gets_everything_as_it_is_finds_who_is_listed(grown: Published) -> None:
    assert listed(grown, lambda _name, data: data) == [True, True, True, True, False]


@given(
    st.sampled_from(["head", "manifest", "overlay/1", *files.PRIVATE_FILES, "answer"]),
    st.integers(0, 1 << 20),
    st.integers(1, 255),
)
def test_no_changed_byte_of_anything_that_comes_makes_a_listed_number_absent(
    grown: Published, spoilt: str, at: int, change: int
) -> None:
    def changed(name: str, data: bytes) -> bytes:
        place = at % len(data)
        return flipped(data, place, change) if name == spoilt else data

    with suppress(VerificationFailed):
        found = listed(grown, changed)
        # Of an answer the lower bits are noise: all else is refused at any byte.
        assert (spoilt, found) == ("answer", [True, True, True, True, False])


# --- retrieving -----------------------------------------------------------------------------------


def outcomes(published: Published, *numbers: str) -> list[Outcome]:
    table = published.table()
    retrieval = Retrieval(table, [published.tag(number) for number in numbers])
    found: dict[bytes, Outcome] = {}
    while retrieval.wanted:
        found |= retrieval.answered(published.answer(asked(table, retrieval)))
    assert retrieval.state is RetrievalState.DONE
    return [found[published.tag(number)] for number in numbers]


def test_hits_give_their_records_and_misses_a_proof(published: Published) -> None:
    *hits, miss = outcomes(published, *NUMBERS, NOBODY)
    assert [taken(hit) for hit in hits] == [
        files.find_in_base(published.fake.base, published.tag(number)) for number in NUMBERS
    ]
    assert taken(miss) is None


@pytest.mark.parametrize("count", [0, 1, 2])
def test_the_smallest_tables_can_be_asked(tmp_path: Path, count: int) -> None:
    published = Published(tmp_path, NUMBERS[:count])
    found = [taken(one) is not None for one in outcomes(published, *NUMBERS)]
    assert found == [n < count for n in range(len(NUMBERS))]


def test_many_tags_go_in_batches_and_each_once(published: Published) -> None:
    table = published.table()
    tags = [bytes([n]) * 16 for n in range(20)]
    retrieval, sizes = Retrieval(table, tags + tags), []
    while retrieval.wanted:
        request = asked(table, retrieval)
        sizes.append(len(request.queries))
        retrieval.answered(published.answer(request))
    assert sizes == [wire.MAX_QUERIES, wire.MAX_QUERIES, 4]


def test_lookup_07_answers_of_another_number_or_length_end_it(published: Published) -> None:
    table = published.table()
    size = table.layout.answer_bytes
    for lengths in ([], [size, size], [size - 1], [size + 1]):
        retrieval = Retrieval(table, [published.tag(ALICE)])
        asked(table, retrieval)
        with pytest.raises(NotAGrueServer):
            retrieval.answered(wire.Answers([bytes(length) for length in lengths]))
        assert retrieval.state is RetrievalState.FAILED


def test_lookup_08_a_changed_answer_is_spoilt_or_the_same_and_never_an_absence(published: Published) -> None:
    table, dice, spoilt = published.table(), random.Random(3), 0
    record = files.find_in_base(published.fake.base, published.tag(ALICE))
    for _ in range(200):
        retrieval = Retrieval(table, [published.tag(ALICE)])
        (answer,) = published.answer(asked(table, retrieval)).answers
        changed = bytearray(answer)
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
        (outcome,) = retrieval.answered(wire.Answers([bytes(changed)])).values()
        assert outcome in (Spoilt(), Retrieved(record))
        spoilt += outcome == Spoilt()
    assert spoilt > 50


def test_lookup_08_another_columns_answer_is_spoilt(published: Published) -> None:
    # As a table that was packed in another order would give it.
    table = published.table()
    columns = {table.columns.column(published.tag(number)): number for number in NUMBERS}
    assert len(columns) > 1
    first, second = list(columns.values())[:2]
    retrieval = Retrieval(table, [published.tag(first)])
    ours = asked(table, retrieval)
    material = table.material()
    assert material is not None
    query, pending = table.client.query(material, table.columns.column(published.tag(second)))
    column = pending.recover(published.base.answer([query], 1)[0])
    with pytest.raises(BadDirectory):
        taken(Spoilt())
    assert table.columns.open(published.tag(second), column) is not None
    answers = published.base.answer([query, *ours.queries], 1)
    assert retrieval.answered(wire.Answers(answers[:1])) == {published.tag(first): Spoilt()}


def test_what_an_answer_holds_changes_nothing_of_what_is_asked_next(published: Published) -> None:
    traces = set()
    for spoil in (False, True):
        for number in (ALICE, NOBODY):
            table = published.table()
            retrieval = Retrieval(table, [published.tag(number), *(bytes([n]) * 16 for n in range(9))])
            trace = []
            while retrieval.wanted:
                request = asked(table, retrieval)
                trace.append((len(request.queries), len(wire.encode(request))))
                answer = published.answer(request)
                retrieval.answered(wire.Answers([bytes(len(one)) for one in answer.answers]) if spoil else answer)
            traces.add((*trace, retrieval.state))
    assert len(traces) == 1


def test_nothing_is_asked_before_the_last_answer_came(published: Published) -> None:
    table = published.table()
    retrieval = Retrieval(table, [published.tag(ALICE)])
    asked(table, retrieval)
    assert retrieval.wanted == 0
    with pytest.raises(ProtocolViolation):
        retrieval.ask([])


def test_material_of_another_table_is_not_taken(published: Published, tmp_path: Path) -> None:
    material = Published(tmp_path, (ALICE,)).table().material()
    assert material is not None
    assert published.table().material(material.to_bytes()) is None
