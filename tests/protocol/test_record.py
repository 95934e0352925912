"""The directory's record: 128 bytes that only a number's PRF output opens."""

import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from grue.errors import BadRecord
from grue.protocol.directory import record
from grue.protocol.directory.record import Record, RecordKey, derive, open_record, seal

KEY = derive(b"y" * 64)
RECORD = Record(b"m" * 32, b"i" * 32, b"l" * 16)
NONCE = bytes(range(12))

# Made once with this code; a change of the format would make every record in use unreadable.
GOLDEN_TAG = "f676e62eff8f744bc319cdc2a1fac0ff"
GOLDEN = (
    "f676e62eff8f744bc319cdc2a1fac0ff000102030405060708090a0b8c7be5a997d4e4e6aacec1403daf2a8d32e12cf1"
    "b3752b7af3c3bcb57da3d3e6d280ed4f5bcc518d9ae13a3fa2df9bb285f613cb667580eb151d8975063eee5a0fdb4dfc"
    "b1d72095ff14c7f71da64182b4685fa3c786d655e9d8e7720da45e58eae46270"
)


def test_a_record_survives_sealing() -> None:
    sealed = seal(RECORD, KEY, NONCE)
    assert len(sealed) == record.RECORD_BYTES
    assert sealed[:16] == KEY.tag
    assert open_record(sealed, KEY) == RECORD


def test_the_same_record_twice_looks_like_two() -> None:
    first, second = seal(RECORD, KEY, os.urandom(12)), seal(RECORD, KEY, os.urandom(12))
    assert first[:16] == second[:16]
    assert first[16:] != second[16:]


def test_tag_and_key_come_from_the_whole_output_and_differ() -> None:
    other = derive(b"y" * 63 + b"z")
    assert {len(KEY.tag), len(KEY.key)} == {16, 32}
    assert other.tag != KEY.tag
    assert other.key != KEY.key
    assert KEY.key[:16] != KEY.tag


def test_record_01_another_length_or_tag_is_refused() -> None:
    sealed = seal(RECORD, KEY, NONCE)
    for bad in (b"", sealed[:-1], sealed + b"\0", bytes(16) + sealed[16:]):
        with pytest.raises(BadRecord):
            open_record(bad, KEY)


def test_record_02_a_record_under_another_key_or_moved_to_another_tag_is_refused() -> None:
    with pytest.raises(BadRecord):
        open_record(seal(RECORD, KEY, NONCE), RecordKey(KEY.tag, bytes(32)))
    # The tag is associated data: even with the right key a record opens only where it was put.
    moved = RecordKey(bytes(16), KEY.key)
    with pytest.raises(BadRecord):
        open_record(moved.tag + seal(RECORD, KEY, NONCE)[16:], moved)


@pytest.mark.parametrize(
    "contents", [b"\2\0" + bytes(82), b"\1\0" + bytes(80) + b"\0\1", b"\1\0" + bytes(80) + b"\1\0"]
)
def test_record_03_another_version_or_padding_is_refused(contents: bytes) -> None:
    sealed = KEY.tag + NONCE + ChaCha20Poly1305(KEY.key).encrypt(NONCE, contents, KEY.tag)
    with pytest.raises(BadRecord):
        open_record(sealed, KEY)


def test_a_flag_that_is_not_known_yet_does_not_disturb() -> None:
    flagged = Record(RECORD.intro_mailbox, RECORD.identity_public, RECORD.device_list_hash, 0x80)
    assert open_record(seal(flagged, KEY, NONCE), KEY) == flagged


@given(st.integers(0, 127), st.integers(1, 255))
def test_any_changed_byte_is_refused(at: int, change: int) -> None:
    sealed = bytearray(seal(RECORD, KEY, NONCE))
    sealed[at] ^= change
    with pytest.raises(BadRecord):
        open_record(bytes(sealed), KEY)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    for sealed in (data, KEY.tag + data, (KEY.tag + data).ljust(128, b"\0")[:128]):
        with pytest.raises(BadRecord):
            open_record(sealed, KEY)


def test_a_record_does_not_show_what_it_holds() -> None:
    sealed = seal(RECORD, KEY, NONCE)
    for part in (RECORD.intro_mailbox, RECORD.identity_public, RECORD.device_list_hash, KEY.key):
        assert part not in sealed


def test_the_format_is_the_one_that_is_in_use() -> None:
    assert KEY.tag.hex() == GOLDEN_TAG
    assert seal(RECORD, KEY, NONCE).hex() == GOLDEN
