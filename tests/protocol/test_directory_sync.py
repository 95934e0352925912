"""Bringing the copy up to date: what is fetched when, and that a failure changes nothing."""

import pytest

from grue.errors import BadDirectory, BadManifest, ProtocolViolation, ShrunkDirectory, StaleDirectory
from grue.protocol.directory import directory
from grue.protocol.directory.directory_sync import RecordTable, Sync, SyncState, restore
from tests.damage import flipped
from tests.protocol.directories import ALICE, BOB, CAROL, NOW, FakeDirectory, a_record, run, run_all, synced


def a_directory() -> FakeDirectory:
    fake = FakeDirectory().with_base({ALICE: a_record(1), BOB: a_record(2)})
    fake.put(CAROL, a_record(3))
    return fake


def test_a_first_sync_fetches_head_manifest_base_and_overlay() -> None:
    fake = a_directory()
    result, asked = run_all(fake.files, fake.public)
    assert asked == ["head", "1/manifest", "1/base", "1/overlay/1"]
    assert (result.base, result.overlay) == (fake.base, fake.overlay)


def test_an_unchanged_directory_costs_its_head() -> None:
    fake = a_directory()
    known, _ = synced(fake)
    result, asked = run_all(fake.files, fake.public, NOW, known.current)
    assert asked == ["head"]
    assert (result.base, result.overlay) == (None, None)


def test_a_grown_overlay_is_fetched_whole() -> None:
    # The whole, and not what is new: where a client was before would make it recognisable.
    fake = a_directory()
    known, _ = synced(fake)
    fake.remove(ALICE)
    result, asked = run_all(fake.files, fake.public, NOW, known.current)
    assert asked == ["head", "1/overlay/2"]
    assert (result.base, result.overlay) == (None, fake.overlay)


def test_a_new_base_is_fetched_by_its_epoch() -> None:
    fake = a_directory()
    known, _ = synced(fake)
    fake.cut()
    result, asked = run_all(fake.files, fake.public, NOW, known.current)
    assert asked == ["head", "2/manifest", "1/overlay/1", "2/base", "2/overlay/0"]
    assert (result.base, result.ended) == (fake.base, fake.ended[1] if fake.ended else None)


def test_directory_18_what_the_next_epoch_says_of_the_last_is_what_was_seen() -> None:
    fake = a_directory()
    known, _ = synced(fake)
    fake.remove(ALICE)
    fake.cut()
    # The epoch ended further than where this client was: the rest is fetched with it, whole.
    result, asked = run_all(fake.files, fake.public, NOW, known.current)
    assert asked[2] == "1/overlay/2"
    assert result.ended is not None
    assert result.ended.startswith(known.overlay or b"")


def test_directory_18_a_face_that_was_shown_cannot_be_taken_back_by_a_new_epoch() -> None:
    fake = a_directory()
    honest = FakeDirectory(fake.server, fake.oprf, fake.epoch, fake.base, fake.overlay)
    # Alice alone is shown that Bob has gone; then everybody is shown the same again.
    fake.remove(BOB)
    lied_to, _ = synced(fake)
    honest.put(ALICE, a_record(7))
    honest.cut()
    with pytest.raises(ShrunkDirectory):
        run(honest.files, honest.public, NOW, lied_to.current)


def test_directory_18_an_end_before_what_was_seen_or_another_file_for_it_is_refused() -> None:
    fake = a_directory()
    known, _ = synced(fake)
    fake.cut()
    assert fake.ended is not None
    path = "1/overlay/1"
    with pytest.raises(BadDirectory):
        run(fake.files | {path: b""}, fake.public, NOW, known.current)
    with pytest.raises(ShrunkDirectory):
        run(fake.files | {path: flipped(fake.ended[1])}, fake.public, NOW, known.current)
    start = directory.chain_start(fake.ended[0].manifest_hash)
    fake.manifest_changes = {"ended": start, "ended_length": 0}
    with pytest.raises(ShrunkDirectory):
        run(fake.files | {"1/overlay/0": b""}, fake.public, NOW, known.current)


def test_of_an_epoch_that_was_not_the_next_nothing_can_be_said_of_the_last() -> None:
    fake = a_directory()
    known, _ = synced(fake)
    fake.cut()
    fake.cut()
    result, asked = run_all(fake.files, fake.public, NOW, known.current)
    assert asked == ["head", "3/manifest", "3/base", "3/overlay/0"]
    assert result.ended is None


def test_a_base_that_is_cut_meanwhile_disturbs_nothing() -> None:
    fake = a_directory()
    sync = Sync(fake.public, NOW)
    before = fake.files
    sync.start()
    sync.fetched(before["head"])
    fake.cut()
    sync.fetched(before["1/manifest"])
    sync.fetched(before["1/base"])
    sync.fetched(before["1/overlay/1"])
    assert sync.state is SyncState.SYNCED


def test_what_was_stored_is_what_the_next_sync_stands_on() -> None:
    fake = a_directory()
    known, _ = synced(fake)
    restored = restore(known.current.manifest.file, known.current.head.file, fake.public)
    assert run_all(fake.files, fake.public, NOW, restored)[1] == ["head"]
    with pytest.raises(BadManifest):
        restore(known.current.manifest.file, known.current.head.file, FakeDirectory().public)


def test_the_same_head_signed_again_keeps_the_copy_fresh() -> None:
    fake = a_directory()
    known, _ = synced(fake)
    later = NOW + directory.VALID_FOR + 1
    with pytest.raises(StaleDirectory):
        run(fake.files, fake.public, later, known.current)
    fake.now = later
    assert run(fake.files, fake.public, later, known.current).current.head.contents.issued == later


def test_a_server_that_goes_back_to_an_old_base_is_refused() -> None:
    fake = a_directory()
    old = fake.files
    fake.cut()
    known, _ = synced(fake)
    with pytest.raises(ShrunkDirectory):
        run(old, fake.public, NOW, known.current)


def test_a_failed_check_ends_the_run() -> None:
    fake = a_directory()
    sync = Sync(fake.public, NOW)
    sync.start()
    with pytest.raises(BadManifest):
        sync.fetched(b"nonsense")
    assert sync.state is SyncState.FAILED
    with pytest.raises(ProtocolViolation):
        sync.start()


@pytest.mark.parametrize("path", ["head", "1/manifest", "1/base", "1/overlay/1"])
def test_a_bad_file_at_any_step_is_refused(path: str) -> None:
    fake = a_directory()
    files = fake.files | {path: flipped(fake.files[path])}
    with pytest.raises((BadManifest, BadDirectory)):
        run(files, fake.public)


def test_a_step_cannot_be_skipped_or_repeated() -> None:
    fake = a_directory()
    sync = Sync(fake.public, NOW)
    with pytest.raises(ProtocolViolation):
        sync.failed()
    sync.start()
    with pytest.raises(ProtocolViolation):
        sync.start()
    sync.failed()
    assert sync.state is SyncState.FAILED


def test_nothing_is_fetched_from_a_run_that_ended() -> None:
    fake = a_directory()
    sync = Sync(fake.public, NOW)
    with pytest.raises(ProtocolViolation):
        sync.fetched(fake.files["head"])


def test_the_overlays_newest_entry_counts() -> None:
    fake = a_directory()
    alice, bob, carol = (fake.key(number).tag for number in (ALICE, BOB, CAROL))
    fake.remove(ALICE)
    fake.remove(CAROL)
    fake.put(CAROL, a_record(9))
    fake.put(BOB, a_record(8))
    _, table = synced(fake)
    assert table.find(alice) is None
    assert table.find(bob) == fake.overlay[-128:]
    assert table.find(carol) == fake.overlay[-256:-128]
    assert table.find(bytes(16)) is None


def test_a_table_follows_the_directory_through_its_syncs() -> None:
    fake = a_directory()
    table, known = RecordTable(), None
    for step in (fake.cut, lambda: fake.remove(ALICE), fake.cut, lambda: fake.put(ALICE, a_record(5)), lambda: None):
        result = run(fake.files, fake.public, NOW, known)
        table.apply(result)
        known = result.current
        whole = RecordTable(fake.base, fake.overlay)
        for number in (ALICE, BOB, CAROL):
            assert table.find(fake.key(number).tag) == whole.find(fake.key(number).tag)
        step()
