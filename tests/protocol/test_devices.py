"""An account's signed device list, as the server and contacts check it."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from grue.errors import BadKeyPackage
from grue.protocol import wire
from grue.protocol.conversation.devices import device_list_hash, sign_device_list, verify_device_list

IDENTITY = Ed25519PrivateKey.from_private_bytes(b"i" * 32)
PUBLIC = IDENTITY.public_key().public_bytes_raw()
DEVICES = wire.DeviceList(3, PUBLIC, b"h" * 1216, b"m" * 32, [b"d" * 32, b"e" * 32])
SIGNED = sign_device_list(DEVICES, IDENTITY)


def test_a_signed_list_is_read_by_whoever_expects_this_identity_or_none() -> None:
    assert verify_device_list(SIGNED) == verify_device_list(SIGNED, PUBLIC) == DEVICES


def test_devices_01_a_list_that_its_identity_did_not_sign_is_refused() -> None:
    other = Ed25519PrivateKey.generate()
    body = wire.SIGNED_DEVICE_LIST.decode(SIGNED).body
    for bad in (
        sign_device_list(DEVICES, other),
        # The right key over the bare body: without its context, a signature may have been made for anything.
        wire.encode(wire.SignedDeviceList(body, IDENTITY.sign(body))),
        wire.encode(wire.SignedDeviceList(body + b"\0", wire.SIGNED_DEVICE_LIST.decode(SIGNED).signature)),
        wire.encode(DEVICES),
        b"",
    ):
        with pytest.raises(BadKeyPackage):
            verify_device_list(bad)


def test_devices_02_another_accounts_list_is_refused() -> None:
    with pytest.raises(BadKeyPackage):
        verify_device_list(SIGNED, b"x" * 32)


def test_the_hash_is_over_the_signed_list() -> None:
    assert device_list_hash(SIGNED) == hashlib.sha256(SIGNED).digest()[:16]
    longer = sign_device_list(wire.DeviceList(4, PUBLIC, b"", b"m" * 32, [b"d" * 32]), IDENTITY)
    assert device_list_hash(longer) != device_list_hash(SIGNED)


@given(st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
def test_any_changed_byte_is_refused(at: int, change: int) -> None:
    changed = bytearray(SIGNED)
    changed[at] ^= change
    with pytest.raises(BadKeyPackage):
        verify_device_list(bytes(changed))


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(BadKeyPackage):
        verify_device_list(data)


def test_devices_03_a_device_twice_or_without_a_reader_is_refused() -> None:
    one, other = b"d" * 32, b"e" * 32
    good = wire.DeviceList(4, PUBLIC, b"", b"m" * 32, [one, other], [b"1" * 32, b"2" * 32])
    assert verify_device_list(sign_device_list(good, IDENTITY)) == good
    for devices, readers in (
        ([one, one], [b"1" * 32, b"2" * 32]),
        ([one, other], [b"1" * 32, b"1" * 32]),
        ([one, other], [b"1" * 32]),
        ([one], [b"1" * 32, b"2" * 32]),
    ):
        bad = wire.DeviceList(4, PUBLIC, b"", b"m" * 32, devices, readers)
        with pytest.raises(BadKeyPackage):
            verify_device_list(sign_device_list(bad, IDENTITY))
