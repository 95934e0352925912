"""The forms in which a number or a text may lie in bytes, for who searches them.

What is encrypted or hashed under a key is not among them: that is not learned by reading.
"""

import base64
import hashlib
from collections.abc import Iterator
from functools import cache
from typing import Final

HASHES: Final = ("md5", "sha1", "sha256", "sha512", "blake2b")
DIGEST_BYTES: Final = 8
"""A digest is found by its first bytes, however it was cut."""

PART_BYTES: Final = 16
"""Long enough that no other text has it by chance."""

MIN_NEEDLE: Final = 5
"""Bytes: a shorter needle is found in random data now and then."""


@cache
def of_number(number: str) -> frozenset[bytes]:
    """An E.164 number in the forms that software and telephone networks give it."""
    digits = number.lstrip("+")
    forms = {*_of_text(digits[-9:]), *_packed(digits), *_integers(int(digits))}
    for written in (number, digits):
        forms.update(_hashes(written.encode()))
    return _long(forms)


@cache
def of_text(text: str) -> frozenset[bytes]:
    """A message's text, whole and in parts, of which one survives being cut."""
    plain = text.encode()
    parts = {plain[at : at + PART_BYTES] for at in range(0, max(len(plain) - PART_BYTES, 0) + 1, PART_BYTES // 2)}
    longest = max(text.split(), key=len)
    forms = {*_of_text(text), *_of_text(longest), *_hashes(plain), _septets(text), _septets(longest)}
    return _long(forms | parts)


def of_bytes(data: bytes) -> frozenset[bytes]:
    """An identifier or key."""
    return _long({data, data[::-1], data.hex().encode(), data.hex().upper().encode(), *_base64(data)})


def of_address(address: str) -> frozenset[bytes]:
    """An IP address in words."""
    return _long(set(_of_text(address)))


def _of_text(text: str) -> Iterator[bytes]:
    plain = text.encode()
    yield plain
    yield text.encode("utf-16-le")
    yield text.encode("utf-16-be")
    yield plain.hex().encode()
    yield plain.hex().upper().encode()
    yield from _base64(plain)


def _base64(data: bytes) -> Iterator[bytes]:
    """Base64 at the three places where the data can begin, without the characters that its neighbours share."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + data)
        first = -(-before * 8 // 6)
        whole = (before + len(data)) * 8 // 6
        yield encoded[first:whole]
        yield encoded[first:whole].translate(bytes.maketrans(b"+/", b"-_"))


def _packed(digits: str) -> Iterator[bytes]:
    """Two digits in a byte, in either order (TBCD and the address fields of SMS swap them), at either beginning."""
    for start in (0, 1):
        even = digits[start:][: len(digits[start:]) // 2 * 2]
        yield bytes.fromhex(even)
        yield bytes.fromhex("".join(even[at + 1] + even[at] for at in range(0, len(even), 2)))


def _integers(value: int) -> Iterator[bytes]:
    size = (value.bit_length() + 7) // 8
    yield value.to_bytes(size, "big")
    yield value.to_bytes(size, "little")
    yield _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _hashes(data: bytes) -> Iterator[bytes]:
    for name in HASHES:
        digest = hashlib.new(name, data, usedforsecurity=False).digest()[:DIGEST_BYTES]
        yield digest
        yield digest.hex().encode()
        yield base64.b64encode(digest)[:-2]


def _septets(text: str) -> bytes:
    """ASCII as the radio carries it: seven bits a character (3GPP TS 23.038, section 6.1.2.1)."""
    bits = sum((ord(char) & 0x7F) << 7 * at for at, char in enumerate(text))
    # The last byte may hold bits of what follows.
    return bits.to_bytes(7 * len(text) // 8 + 1, "little")[: 7 * len(text) // 8]


def _long(forms: set[bytes]) -> frozenset[bytes]:
    return frozenset(form for form in forms if len(form) >= MIN_NEEDLE)
