"""Attachments sealed in chunks: nothing left out, moved, changed or added goes unnoticed, and lengths say little."""

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grue.errors import BadAttachment, TooLarge
from grue.lab.mint import paid
from grue.protocol import wire
from grue.protocol.blobs import (
    CHUNK_BYTES,
    CHUNK_ROOM,
    MAX_ATTACHMENT,
    PART_BYTES,
    PART_ROOM,
    Sealing,
    padme,
    sealed_bytes,
)
from grue.server.keys.keys import Keys

KEY = bytes(range(32))

LENGTHS = (0, 1, 4080, 4081, CHUNK_ROOM, CHUNK_ROOM + 1, PART_ROOM - 1, PART_ROOM, PART_ROOM + 1, 700_000, 9_000_000)


def contents_of(length: int) -> bytes:
    return hashlib.shake_128(b"contents").digest(length)


def sealed(length: int, key: bytes = KEY) -> tuple[Sealing, list[bytes]]:
    sealing, contents = Sealing(key, length), contents_of(length)
    rooms = [contents[n * PART_ROOM : (n + 1) * PART_ROOM] for n in range(sealing.parts)]
    return sealing, [sealing.seal(n, room) for n, room in enumerate(rooms)]


# --- lengths --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "padded"),
    [
        (0, 0), (1, 1), (8, 8), (9, 10), (15, 16), (17, 18), (100, 104), (1000, 1024), (1025, 1088),
        (10_000, 10_240), (65_537, 67_584), (1_000_000, 1_015_808), ((10 << 20) + 1, (10 << 20) + (1 << 18)),
        (100 << 20, 100 << 20), ((100 << 20) + 1, 102 << 20),
    ],
)  # fmt: skip
def test_padme_rounds_up_to_these(length: int, padded: int) -> None:
    assert padme(length) == padded


@given(st.integers(1, 1 << 40))
def test_padme_adds_at_most_12_percent_and_padding_twice_is_padding_once(length: int) -> None:
    assert length <= padme(length) <= 1.12 * length
    assert padme(padme(length)) == padme(length)


def test_all_attachments_up_to_the_limit_have_few_lengths() -> None:
    sizes = {sealed_bytes(length) for length in range(0, MAX_ATTACHMENT + 1, 1000)}
    assert len(sizes) < 250


@given(st.integers(0, MAX_ATTACHMENT))
def test_all_parts_but_the_last_are_of_one_size_and_the_last_of_one_of_six(length: int) -> None:
    sealing = Sealing(KEY, length)
    *first, last = [sealing.part_bytes(n) for n in range(sealing.parts)]
    assert set(first) <= {PART_BYTES}
    assert last in wire.PART_BUCKETS
    assert sum(sealing.room(n) for n in range(sealing.parts)) == length
    if length >= 1 << 20:
        assert sealed_bytes(length) <= 1.12 * length


def test_blob_01_what_is_too_large_is_not_sealed() -> None:
    assert Sealing(KEY, MAX_ATTACHMENT).parts == 408
    for length in (-1, MAX_ATTACHMENT + 1, 2**63 - 1):
        with pytest.raises(TooLarge):
            Sealing(KEY, length)


def test_the_request_with_a_full_part_fits_the_oblivious_transport() -> None:
    request = paid(Keys.generate(), wire.PutBlob(bytes(32), bytes(PART_BYTES)))
    assert len(wire.encode(wire.Framed(2**40, wire.encode(request)))) <= PART_BYTES + 512
    assert len(wire.encode(wire.Framed(2**40, wire.encode(wire.BlobPart(bytes(PART_BYTES)))))) <= PART_BYTES + 512


# --- sealing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", LENGTHS)
def test_what_was_sealed_comes_out(length: int) -> None:
    sealing, parts = sealed(length)
    assert [len(part) for part in parts] == [sealing.part_bytes(n) for n in range(sealing.parts)]
    assert b"".join(sealing.unseal(n, part) for n, part in enumerate(parts)) == contents_of(length)


def test_the_format_stays_as_it_is() -> None:
    sealing, (part,) = sealed(5)
    assert sealing.part_id(0).hex() == "dc7aa2b4eb658c532429de592b84f0eec64b76d67077027525b0e6c403aeff9c"
    assert hashlib.sha256(part).hexdigest() == "fbdab2f408c1a108f8295ac891b2471ad058b2d490776d624b269a3037ec1a57"


def test_contents_of_another_size_are_our_own_fault() -> None:
    with pytest.raises(ValueError, match="that part"):
        Sealing(KEY, 5).seal(0, b"four")


@given(st.data())
def test_blob_03_any_change_of_any_bit_is_refused(data: st.DataObject) -> None:
    sealing, parts = sealed(300_000)
    n = data.draw(st.integers(0, len(parts) - 1))
    changed = bytearray(parts[n])
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(BadAttachment):
        sealing.unseal(n, bytes(changed))


@given(st.binary(max_size=5000))
def test_any_bytes_in_place_of_a_part_are_refused(data: bytes) -> None:
    with pytest.raises(BadAttachment):
        Sealing(KEY, 100).unseal(0, data)


def test_blob_02_a_part_that_is_cut_or_longer_is_refused() -> None:
    sealing, (part,) = sealed(PART_ROOM)
    for other in (b"", part[:-1], part[:-CHUNK_BYTES], part + b"\0", part + part[-CHUNK_BYTES:]):
        with pytest.raises(BadAttachment, match="size"):
            sealing.unseal(0, other)


def test_blob_03_chunks_in_another_order_are_refused() -> None:
    sealing, parts = sealed(2 * PART_ROOM)
    chunks = [parts[0][at : at + CHUNK_BYTES] for at in range(0, PART_BYTES, CHUNK_BYTES)]
    for order in ([1, 0, 2, 3], [0, 0, 2, 3], [0, 1, 3, 2]):
        with pytest.raises(BadAttachment):
            sealing.unseal(0, b"".join(chunks[place] for place in order))


def test_blob_03_parts_in_another_place_are_refused() -> None:
    sealing, parts = sealed(3 * PART_ROOM)
    for n, other in ((0, 1), (1, 0), (1, 2)):
        with pytest.raises(BadAttachment):
            sealing.unseal(n, parts[other])


@pytest.mark.parametrize("length", [PART_ROOM, 3 * PART_ROOM])
def test_blob_03_a_shorter_attachment_is_not_the_beginning_of_a_longer_one(length: int) -> None:
    """As whoever holds the key would see it who was told another length than the sender's."""
    longer, parts = sealed(4 * PART_ROOM)
    with pytest.raises(BadAttachment):
        Sealing(KEY, length).unseal(0, parts[0])
    assert longer.unseal(0, parts[0]) == contents_of(PART_ROOM)


def test_blob_03_another_key_or_another_length_of_the_same_size_opens_nothing() -> None:
    _, (part,) = sealed(1000)
    assert sealed_bytes(1001) == sealed_bytes(1000)
    for other in (Sealing(KEY, 1001), Sealing(bytes(32), 1000)):
        with pytest.raises(BadAttachment):
            other.unseal(0, part)


def test_blob_04_padding_that_is_not_zeros_is_refused() -> None:
    sealing = Sealing(KEY, 1000)
    filled = sealing._cipher.encrypt(bytes(11) + b"\1", b"x" * 4080, sealing._context)
    with pytest.raises(BadAttachment, match="padding"):
        sealing.unseal(0, filled)


def test_no_two_chunks_are_sealed_with_one_nonce() -> None:
    sealing = Sealing(KEY, 9_000_000)
    nonces = [sealing._nonce(chunk) for n in range(sealing.parts) for chunk, _ in sealing._chunks(n)]
    assert len(set(nonces)) == len(nonces) == -(-sealing.size // CHUNK_BYTES)
    assert [nonce[-1] for nonce in nonces] == [0] * (len(nonces) - 1) + [1]


def test_ids_of_parts_show_neither_each_other_nor_the_key() -> None:
    ids = [Sealing(key, MAX_ATTACHMENT).part_id(n) for key in (KEY, os.urandom(32)) for n in range(408)]
    assert len(set(ids)) == 816
    assert all(len(one) == 32 and KEY not in one for one in ids)
