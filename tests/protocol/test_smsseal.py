"""Sealing inbound SMS: a round trip, then everybody who might forge one."""

import os

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hpke import KEM
from hypothesis import given
from hypothesis import strategies as st

from grue.errors import BadEnvelope, BadRequest
from grue.protocol import accountkey
from grue.protocol.accountkey import public_of
from grue.protocol.conversation.contents import INTRO_PAYLOAD, IntroSms, ReceivedSms
from grue.protocol.conversation.padding import unpad
from grue.protocol.sms.smsseal import check_public, open_sms, seal_sms
from grue.protocol.wire import ENVELOPE_BUCKETS, MAX_SMS

SERVER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
SERVER_PUBLIC = SERVER.public_key().public_bytes_raw()
SECRET = bytes(range(accountkey.SECRET_BYTES))
PUBLIC = public_of(SECRET)
BEN = "+447700900002"
SMS = ReceivedSms("+447700900001", BEN, "See you at 5 😀", 1_700_000_000_000)


def sealed(public: bytes = PUBLIC, sms: ReceivedSms = SMS, key: Ed25519PrivateKey = SERVER) -> bytes:
    payload = INTRO_PAYLOAD.decode(unpad(seal_sms(public, sms, key.sign)))
    assert isinstance(payload, IntroSms)
    return payload.sealed


def test_what_the_server_seals_the_account_opens() -> None:
    assert open_sms(SECRET, SERVER_PUBLIC, BEN, sealed()) == SMS


def test_the_keys_have_the_sizes_of_the_standard() -> None:
    assert (len(PUBLIC), accountkey.SECRET_BYTES) == (accountkey.PUBLIC_BYTES, 32)
    assert KEM.MLKEM768_X25519.enc_length() == 1120


def test_an_envelope_says_one_of_four_sizes_and_is_never_the_same() -> None:
    one, two = seal_sms(PUBLIC, SMS, SERVER.sign), seal_sms(PUBLIC, SMS, SERVER.sign)
    assert len(one) == len(two) == 4096
    assert one != two
    long = ReceivedSms("+447700900001", BEN, "😀" * MAX_SMS, 0)
    assert len(seal_sms(PUBLIC, long, SERVER.sign)) in ENVELOPE_BUCKETS
    assert open_sms(SECRET, SERVER_PUBLIC, BEN, sealed(sms=long)) == long


def test_the_envelope_shows_neither_number_nor_text() -> None:
    blob = seal_sms(PUBLIC, SMS, SERVER.sign)
    assert not any(word.encode() in blob for word in (SMS.sender, SMS.to, "See you", "447700"))


def test_sms_05_what_is_sealed_to_somebody_else_does_not_open() -> None:
    with pytest.raises(BadEnvelope):
        open_sms(os.urandom(32), SERVER_PUBLIC, BEN, sealed())


def test_sms_06_what_anybody_but_the_server_signed_is_refused() -> None:
    with pytest.raises(BadEnvelope):
        open_sms(SECRET, SERVER_PUBLIC, BEN, sealed(key=Ed25519PrivateKey.from_private_bytes(b"x" * 32)))


def test_sms_07_an_sms_to_another_account_cannot_be_passed_on_as_ones_own() -> None:
    to_cat = ReceivedSms("+447700900001", "+447700900003", "I pay tomorrow", 0)
    with pytest.raises(BadEnvelope):
        open_sms(SECRET, SERVER_PUBLIC, BEN, sealed(sms=to_cat))


@pytest.mark.parametrize("public", [b"", PUBLIC[:-1], PUBLIC + b"x", bytes(1216), PUBLIC[:1184] + bytes(32)])
def test_a_key_that_is_none_is_refused_before_it_is_needed(public: bytes) -> None:
    with pytest.raises(BadRequest):
        check_public(public)
    with pytest.raises(BadRequest):
        seal_sms(public, SMS, SERVER.sign)


def test_a_key_that_is_one_is_accepted() -> None:
    check_public(PUBLIC)


@given(st.binary(max_size=1500))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(BadEnvelope):
        open_sms(SECRET, SERVER_PUBLIC, BEN, data)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_one_changed_byte_is_refused(place: int, difference: int) -> None:
    data = bytearray(sealed())
    data[place % len(data)] ^= difference
    with pytest.raises(BadEnvelope):
        open_sms(SECRET, SERVER_PUBLIC, BEN, bytes(data))


@given(st.integers(1, 1200))
def test_one_that_is_cut_short_is_refused(length: int) -> None:
    with pytest.raises(BadEnvelope):
        open_sms(SECRET, SERVER_PUBLIC, BEN, sealed()[:-length])
