"""The directory's files: each numbered check, then that no changed byte gets through."""

import hashlib
import os
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from grue.errors import BadDirectory, BadManifest, ShrunkDirectory, StaleDirectory, VerificationFailed
from grue.protocol import wire
from grue.protocol.directory import directory
from grue.protocol.directory.directory import Head, Manifest, UnverifiedHead, UnverifiedManifest
from grue.protocol.directory.record import RECORD_BYTES
from tests.damage import flipped
from tests.protocol.directories import ALICE, BOB, CAROL, NOW, FakeDirectory, a_record, run, synced

FAKE = FakeDirectory().with_base({ALICE: a_record(1), BOB: a_record(2)})
FAKE.put(CAROL, a_record(3))
FAKE.remove(BOB)


def manifest_of(fake: FakeDirectory) -> Manifest:
    return UnverifiedManifest(directory.sign_manifest(fake.manifest, fake.server)).verify(fake.public)


def head_of(fake: FakeDirectory) -> Head:
    return UnverifiedHead(directory.sign_head(fake.head, fake.server)).verify(fake.public)


def copy(fake: FakeDirectory, **changes: object) -> FakeDirectory:
    return FakeDirectory(**(vars(fake) | {"manifest_changes": {}, "head_changes": {}} | changes))


# --- the checks -----------------------------------------------------------------------------------


def test_an_honest_directory_passes() -> None:
    manifest, head = manifest_of(FAKE), head_of(FAKE)
    assert directory.check_manifest(manifest, head.fresh(NOW)) is manifest
    assert directory.check_base(FAKE.base, manifest) == FAKE.base
    assert directory.check_overlay(FAKE.overlay, head) == FAKE.overlay


def test_directory_01_a_manifest_of_another_signer_is_refused() -> None:
    file = directory.sign_manifest(FAKE.manifest, Ed25519PrivateKey.generate())
    with pytest.raises(BadManifest):
        UnverifiedManifest(file).verify(FAKE.public)


def test_directory_01_a_head_is_no_manifest() -> None:
    # Same key, same kind of file, other context.
    signed = wire.SIGNED_FILE.decode(directory.sign_manifest(FAKE.manifest, FAKE.server))
    body = signed.body
    signature = FAKE.server.sign(directory.HEAD_CONTEXT + body)
    with pytest.raises(BadManifest):
        UnverifiedManifest(wire.encode(wire.SignedFile(body, signature))).verify(FAKE.public)


@pytest.mark.parametrize(
    "changes",
    [
        {"layout": "columns"},
        {"count": directory.MAX_RECORDS + 1},
        {"ended": bytes(32), "ended_length": directory.MAX_OVERLAY + 1},
        {"ended": bytes(31)},
    ],
)
def test_directory_02_a_layout_or_size_that_we_cannot_read_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(BadManifest):
        manifest_of(copy(FAKE, manifest_changes=changes))


def test_directory_03_a_head_of_another_signer_is_refused() -> None:
    file = directory.sign_head(FAKE.head, Ed25519PrivateKey.generate())
    with pytest.raises(BadManifest):
        UnverifiedHead(file).verify(FAKE.public)


@pytest.mark.parametrize(
    "changes",
    [
        {"valid_until": NOW},
        {"valid_until": NOW - 1},
        {"valid_until": NOW + directory.MAX_VALID_FOR + 1},
        {"length": directory.MAX_OVERLAY + 1},
    ],
)
def test_directory_04_impossible_times_and_lengths_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(BadManifest):
        head_of(copy(FAKE, head_changes=changes))


def test_directory_05_a_head_is_valid_from_its_issue_to_its_end() -> None:
    head = head_of(FAKE)
    for now in (NOW - directory.CLOCK_SKEW, NOW, NOW + directory.VALID_FOR):
        assert head.fresh(now).contents == head.contents
    for now in (NOW - directory.CLOCK_SKEW - 1, NOW + directory.VALID_FOR + 1, 0, 2**62):
        with pytest.raises(StaleDirectory):
            head.fresh(now)


def test_directory_06_a_head_behind_the_one_known_is_refused() -> None:
    known = head_of(FAKE)
    behind = {
        "an earlier epoch": copy(FAKE, epoch=0),
        "a shorter overlay": copy(FAKE, overlay=FAKE.overlay[:RECORD_BYTES]),
        "an earlier issue": copy(FAKE, now=NOW - 1),
        "another overlay of the same length": copy(FAKE, overlay=flipped(FAKE.overlay)),
        "another manifest of the same epoch": copy(FAKE, base=b""),
    }
    for fake in behind.values():
        with pytest.raises(ShrunkDirectory):
            head_of(fake).fresh(NOW, known)


def test_directory_06_a_head_that_is_the_same_longer_or_later_is_taken() -> None:
    known = head_of(FAKE)
    ahead = [
        FAKE,
        copy(FAKE, now=NOW + 1),
        copy(FAKE, overlay=FAKE.overlay + os.urandom(RECORD_BYTES)),
        copy(FAKE, epoch=2, overlay=b""),
    ]
    for fake in ahead:
        assert head_of(fake).fresh(NOW + 1, known).contents == fake.head


def test_directory_07_a_manifest_that_the_head_does_not_name_is_refused() -> None:
    head = head_of(FAKE).fresh(NOW)
    for other in (copy(FAKE, base=b""), copy(FAKE, epoch=2)):
        with pytest.raises(BadManifest):
            directory.check_manifest(manifest_of(other), head)


def test_directory_08_epochs_do_not_go_back_or_fork() -> None:
    known = manifest_of(copy(FAKE, epoch=2, manifest_changes={"oprf_epoch": 2}))
    another_key = {"oprf_epoch": 2, "oprf_public": bytes(32)}
    for fake in (
        copy(FAKE, epoch=1, manifest_changes={"oprf_epoch": 2}),
        copy(FAKE, epoch=3, manifest_changes={"oprf_epoch": 1}),
        copy(FAKE, epoch=2, base=b"", manifest_changes={"oprf_epoch": 2}),
        copy(FAKE, epoch=3, manifest_changes=another_key),
    ):
        with pytest.raises(ShrunkDirectory):
            directory.check_manifest(manifest_of(fake), head_of(fake).fresh(NOW), known)
    newer = copy(FAKE, epoch=3, manifest_changes={"oprf_epoch": 3, "oprf_public": bytes(32)})
    directory.check_manifest(manifest_of(newer), head_of(newer).fresh(NOW), known)


def test_directory_09_a_base_of_another_length_is_refused() -> None:
    manifest = manifest_of(FAKE)
    for base in (b"", FAKE.base[:-1], FAKE.base[:-RECORD_BYTES], FAKE.base + b"\0", FAKE.base + bytes(RECORD_BYTES)):
        with pytest.raises(BadDirectory, match="length"):
            directory.check_base(base, manifest)


def test_directory_10_a_base_out_of_order_or_with_a_tag_twice_is_refused() -> None:
    first, second = directory.entries(FAKE.base)
    # The manifest is made for the bad base, so that only its order is wrong.
    for base in (second + first, first + first, first + first[:16] + bytes(112)):
        with pytest.raises(BadDirectory, match="sorted"):
            directory.check_base(base, manifest_of(copy(FAKE, base=base)))


def test_directory_11_a_base_with_another_root_is_refused() -> None:
    with pytest.raises(BadDirectory, match="root"):
        directory.check_base(flipped(FAKE.base), manifest_of(FAKE))


def test_directory_12_an_overlay_of_another_length_is_refused() -> None:
    head = head_of(FAKE)
    for overlay in (b"", FAKE.overlay[:-1], FAKE.overlay[:-RECORD_BYTES], FAKE.overlay + bytes(RECORD_BYTES)):
        with pytest.raises(BadDirectory, match="length"):
            directory.check_overlay(overlay, head)


def test_directory_13_an_overlay_with_another_chain_is_refused() -> None:
    first, second = directory.entries(FAKE.overlay)
    for overlay in (second + first, first + first, flipped(FAKE.overlay)):
        with pytest.raises(BadDirectory, match="chain"):
            directory.check_overlay(overlay, head_of(FAKE))


def test_directory_13_an_overlay_belongs_to_one_base() -> None:
    other = copy(FAKE, base=b"")
    with pytest.raises(BadDirectory, match="chain"):
        directory.check_overlay(FAKE.overlay, head_of(copy(other, head_changes={"chain": FAKE.head.chain})))


def test_directory_14_an_overlay_that_changed_what_was_seen_is_refused() -> None:
    known, _ = synced(FAKE)
    forked = copy(FAKE, overlay=os.urandom(3 * RECORD_BYTES))
    with pytest.raises(ShrunkDirectory):
        run(forked.files, FAKE.public, NOW, known.current)


# --- no changed byte gets through -----------------------------------------------------------------

FILES: dict[str, tuple[str, Callable[[bytes], object]]] = {
    "head": (directory.HEAD_PATH, lambda file: UnverifiedHead(file).verify(FAKE.public)),
    "manifest": ("1/manifest", lambda file: UnverifiedManifest(file).verify(FAKE.public)),
    "base": ("1/base", lambda file: directory.check_base(file, manifest_of(FAKE))),
    "overlay": ("1/overlay/2", lambda file: directory.check_overlay(file, head_of(FAKE))),
}


@pytest.mark.parametrize("name", FILES)
def test_every_single_changed_byte_is_refused(name: str) -> None:
    path, check = FILES[name]
    file = FAKE.files[path]
    for at in range(len(file)):
        for change in (0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFF):
            changed = bytearray(file)
            changed[at] ^= change
            with pytest.raises(VerificationFailed):
                check(bytes(changed))


@pytest.mark.parametrize("name", FILES)
def test_every_truncation_and_any_appended_byte_is_refused(name: str) -> None:
    path, check = FILES[name]
    file = FAKE.files[path]
    for length in range(len(file)):
        with pytest.raises(VerificationFailed):
            check(file[:length])
    with pytest.raises(VerificationFailed):
        check(file + b"\0")


@given(st.sampled_from(sorted(FILES)), st.binary(max_size=600))
def test_any_bytes_are_refused(name: str, data: bytes) -> None:
    with pytest.raises(VerificationFailed):
        FILES[name][1](data)


# --- building blocks ------------------------------------------------------------------------------


def slow_root(leaves: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.1, word for word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + slow_root(leaves[:split]) + slow_root(leaves[split:])).digest()


@pytest.mark.parametrize("count", [*range(20), 31, 32, 33, 100, 1_023, 1_024, 1_025, 2_048, 3_000, 5_121, 7_168])
def test_the_root_is_that_of_rfc_9162(count: int) -> None:
    leaves = [os.urandom(RECORD_BYTES) for _ in range(count)]
    assert directory.merkle_root(leaves) == slow_root(leaves)


def test_the_root_of_certificate_transparencys_own_vectors() -> None:
    # google/certificate-transparency, cpp/merkletree/merkle_tree_test.cc: its eight inputs and their roots.
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    roots = {
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
    for count, root in roots.items():
        assert directory.merkle_root([bytes.fromhex(leaf) for leaf in inputs[:count]]).hex() == root


def test_a_chain_goes_on_where_it_was() -> None:
    start = directory.chain_start(b"h" * 32)
    overlay = os.urandom(5 * RECORD_BYTES)
    split = 2 * RECORD_BYTES
    assert directory.chain(directory.chain(start, overlay[:split]), overlay[split:]) == directory.chain(start, overlay)


@given(st.lists(st.binary(min_size=16, max_size=16), unique=True, max_size=20), st.data())
def test_find_in_base_finds_what_is_there_and_nothing_else(tags: list[bytes], data: st.DataObject) -> None:
    base = b"".join(tag + b"r" * 112 for tag in sorted(tags))
    for tag in tags:
        assert directory.find_in_base(base, tag) == tag + b"r" * 112
    other = data.draw(st.binary(min_size=16, max_size=16).filter(lambda tag: tag not in tags))
    assert directory.find_in_base(base, other) is None


@given(st.data())
def test_merging_is_what_a_dictionary_would_do(data: st.DataObject) -> None:
    tags = [bytes([n]) * 16 for n in range(6)]
    model = {tag: tag + b"b" * 112 for tag in data.draw(st.lists(st.sampled_from(tags), unique=True))}
    base = b"".join(model[tag] for tag in sorted(model))
    overlay = b""
    for tag, body in data.draw(st.lists(st.tuples(st.sampled_from(tags), st.sampled_from([None, b"1", b"2"])))):
        overlay += tag + body * 112 if body else directory.tombstone(tag)
        model.pop(tag, None)
        if body:
            model[tag] = tag + body * 112
    after = b"".join(model[tag] for tag in sorted(model))
    assert directory.merge(base, overlay) == after
    # And in pieces, wherever they are cut.
    size = RECORD_BYTES * data.draw(st.integers(1, 4))
    pieces = [base[at : at + size] for at in range(0, len(base), size)]
    assert b"".join(directory.merged(pieces, overlay)) == after


@pytest.mark.parametrize("cut", [1, 2, 5, 6])
def test_directory_10_a_base_in_pieces_is_in_order_across_them_too(cut: int) -> None:
    records = sorted(os.urandom(RECORD_BYTES) for _ in range(6))
    whole = b"".join(records)
    at = cut * RECORD_BYTES
    manifest = manifest_of(copy(FAKE, base=whole))
    directory.check_records([whole[:at], whole[at:]], len(whole), manifest)
    for wrong in ([whole[at:], whole[:at]] if cut < 6 else [whole[:-1]], [whole, records[-1]]):
        with pytest.raises(BadDirectory):
            directory.check_records(wrong, len(whole), manifest)


@pytest.mark.parametrize(
    ("path", "parsed"),
    [
        ("1/manifest", (1, "manifest")),
        ("12/base", (12, "base")),
        ("0/overlay/7", (0, "overlay/7")),
        ("head", None),
        ("01/base", None),
        ("1/base/", None),
        ("1/overlay", None),
        ("1/../head", None),
        ("../server.key", None),
        ("1/base\n", None),
        ("１/base", None),
        ("", None),
    ],
)
def test_only_our_paths_are_paths(path: str, parsed: tuple[int, str] | None) -> None:
    assert directory.parse_path(path) == parsed
