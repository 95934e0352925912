"""The forms in which a number, an address, a text or an instant may lie in bytes, for who searches them.

What is encrypted is not among them. What is tagged under a key is only for who gives the keys: see `keyed`.
"""

import base64
import hashlib
import hmac
import ipaddress
import struct
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Final, TypeAlias

Forms: TypeAlias = dict[bytes, str]
"""What to search for, and the name of the form that it is."""

Named: TypeAlias = Iterator[tuple[str, bytes]]

HASHES: Final = ("md5", "sha1", "sha256", "sha512", "blake2b")
KEYED_HASHES: Final = ("sha256", "sha1", "sha512")
DIGEST_BYTES: Final = 8
"""A digest is found by its first bytes, however it was cut."""

PART_BYTES: Final = 16
"""Long enough that no other text has it by chance."""

MIN_NEEDLE: Final = 5
"""Bytes: a shorter needle is found in random data now and then."""


@cache
def of_number(number: str) -> frozenset[bytes]:
    """An E.164 number in the forms that software and telephone networks give it."""
    return frozenset(number_forms(number))


@cache
def of_text(text: str) -> frozenset[bytes]:
    """A message's text, whole and in parts, of which one survives being cut."""
    return frozenset(text_forms(text))


def of_bytes(data: bytes) -> frozenset[bytes]:
    """An identifier or key."""
    return frozenset(identifier_forms(data))


def of_address(address: str) -> frozenset[bytes]:
    """An IP address in words."""
    return frozenset(_long(_of_text(address)))


# --- the same with the names of the forms ---------------------------------------------------------


def number_forms(number: str) -> Forms:
    """What `of_number` searches for."""
    digits = number.lstrip("+")
    return _long(
        _of_text(digits[-9:]),
        _labelled("backwards", _of_text(digits[-9:][::-1])),
        _packed(digits),
        _integers(int(digits)),
        *(_hashes(written) for written in number_as_hashed(number)),
    )


def text_forms(text: str) -> Forms:
    """What `of_text` searches for."""
    plain = text.encode()
    longest = max(text.split(), key=len)
    starts = range(0, max(len(plain) - PART_BYTES, 0) + 1, PART_BYTES // 2)
    return _long(
        _of_text(text),
        _of_text(longest),
        _hashes(plain),
        iter([("seven bits a character", _septets(text)), ("seven bits a character", _septets(longest))]),
        (("a part", plain[at : at + PART_BYTES]) for at in starts),
    )


def identifier_forms(data: bytes) -> Forms:
    """What `of_bytes` searches for."""
    return _long(_written("bytes", data), iter([("bytes backwards", data[::-1])]))


def address_forms(address: str) -> Forms:
    """An IP address in words and in bytes; not the four bytes of IPv4, which chance makes: see `address_values`."""
    ip = ipaddress.ip_address(address)
    packed = ip.packed if ip.version == 6 else b"\xff\xff" + ip.packed
    return _long(
        *(_of_text(words) for words in {str(ip), ip.exploded, ip.reverse_pointer.rsplit(".", 2)[0]}),
        _of_text(str(int(ip))),
        _labelled("packed", _written("bytes", packed)),
        iter([("packed, hexadecimal", ip.packed.hex().encode()), ("packed backwards", packed[::-1])]),
        *(_hashes(data) for data in address_as_hashed(address)),
    )


def address_values(address: str) -> tuple[frozenset[bytes], frozenset[int]]:
    """The short forms of an address, for who compares whole values: packed, and as an integer."""
    ip = ipaddress.ip_address(address)
    swapped = int.from_bytes(ip.packed, "little")
    return frozenset({ip.packed, ip.packed[::-1]}), frozenset({int(ip), swapped, swapped - (swapped >> 31 << 32)})


SCALES: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""Parts of a second that clocks count in."""


def instant_forms(at: float) -> Forms:
    """A moment, in Unix seconds: as text to the second, as an integer of either order, as a floating-point number."""
    moment = datetime.fromtimestamp(at, UTC)
    dates = (
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%d %H:%M:%S",
        "%d/%b/%Y:%H:%M:%S",
        "%d %b %Y %H:%M:%S",
        "%Y%m%d%H%M%S",
        "%b %d %H:%M:%S",
    )
    return _long(
        _labelled("a time", _of_text(str(int(at)))),
        *(_labelled("a date", _of_text(moment.strftime(date))) for date in dates),
        *(_labelled(f"a time in {unit}", _wide_integers(int(at * scale))) for unit, scale in SCALES.items()),
        *(_labelled("a time", _floats(value)) for value in (at, float(int(at)), at * 1000)),
    )


def keyed(inputs: Iterable[bytes], keys: dict[str, bytes]) -> Forms:
    """Tags of the inputs under each key, by the key's name: HMAC with three hashes, and BLAKE2b with a key."""
    inputs = list(inputs)
    return _long(*(_tags(name, key, data) for name, key in keys.items() for data in inputs))


def number_as_hashed(number: str) -> tuple[bytes, ...]:
    """What software hashes when it hashes a number."""
    digits = number.lstrip("+")
    value = int(digits)
    texts = (number, digits, "00" + digits, f"tel:{number}")
    return (*(text.encode() for text in texts), value.to_bytes(8, "big"), value.to_bytes(8, "little"))


def address_as_hashed(address: str) -> tuple[bytes, ...]:
    """The same of an address."""
    return address.encode(), ipaddress.ip_address(address).packed


def hash_forms(data: bytes) -> Forms:
    """Plain hashes."""
    return _long(_hashes(data))


def digest_forms(label: str, digest: bytes) -> Forms:
    """A digest, tag or key that is found by its first bytes, however it was cut."""
    return _long(_digest(label, digest))


# --- parts ----------------------------------------------------------------------------------------


def _of_text(text: str) -> Named:
    plain = text.encode()
    yield "text", plain
    yield "UTF-16 LE", text.encode("utf-16-le")
    yield "UTF-16 BE", text.encode("utf-16-be")
    yield from _encoded(plain)


def _written(label: str, data: bytes) -> Named:
    yield label, data
    yield from _encoded(data)


def _encoded(data: bytes) -> Named:
    yield "hexadecimal", data.hex().encode()
    yield "hexadecimal", data.hex().upper().encode()
    yield from (("base64", form) for form in _base64(data))


def _base64(data: bytes) -> Iterator[bytes]:
    """Base64 at the three places where the data can begin, without the characters that its neighbours share."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + data)
        first = -(-before * 8 // 6)
        whole = (before + len(data)) * 8 // 6
        yield encoded[first:whole]
        yield encoded[first:whole].translate(bytes.maketrans(b"+/", b"-_"))


def _packed(digits: str) -> Named:
    """Two digits in a byte, in either order (TBCD and the address fields of SMS swap them), at either beginning."""
    for start in (0, 1):
        even = digits[start:][: len(digits[start:]) // 2 * 2]
        yield "packed digits", bytes.fromhex(even)
        yield "packed digits, swapped", bytes.fromhex("".join(even[at + 1] + even[at] for at in range(0, len(even), 2)))


def _integers(value: int) -> Named:
    size = (value.bit_length() + 7) // 8
    yield "integer BE", value.to_bytes(size, "big")
    yield "integer LE", value.to_bytes(size, "little")
    yield "varint", _varint(value)
    yield "varint", _varint(2 * value)
    yield "varint BE", _varint_high_first(value)
    yield from _floats(float(value))


def _wide_integers(value: int) -> Named:
    """In the eight bytes that clocks use where fewer would be found by chance."""
    size = max((value.bit_length() + 7) // 8, MIN_NEEDLE)
    size = 8 if size == MIN_NEEDLE else size
    yield "integer BE", value.to_bytes(size, "big")
    yield "integer LE", value.to_bytes(size, "little")
    yield "varint", _varint(value)
    yield "varint BE", _varint_high_first(value)


def _floats(value: float) -> Named:
    yield "float", struct.pack(">d", value)
    yield "float", struct.pack("<d", value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _varint_high_first(value: int) -> bytes:
    """Seven bits a byte, the highest first, as SQLite and ASN.1 write them."""
    out = [value & 0x7F]
    while value := value >> 7:
        out.append(value & 0x7F | 0x80)
    return bytes(reversed(out))


def _hashes(data: bytes) -> Named:
    for name in HASHES:
        yield from _digest(name, hashlib.new(name, data, usedforsecurity=False).digest())


def _digest(label: str, digest: bytes) -> Named:
    digest = digest[:DIGEST_BYTES]
    yield label, digest
    yield f"{label}, hexadecimal", digest.hex().encode()
    yield f"{label}, hexadecimal", digest.hex().upper().encode()
    yield f"{label}, base64", base64.b64encode(digest)[:-2]
    yield f"{label}, base64", base64.urlsafe_b64encode(digest)[:-2]


def _tags(name: str, key: bytes, data: bytes) -> Named:
    for algorithm in KEYED_HASHES:
        yield from _digest(f"HMAC-{algorithm} under {name}", hmac.digest(key, data, algorithm))
    for size in (16, 32, 64):
        tag = hashlib.blake2b(data, key=key[:64], digest_size=size).digest()
        yield from _digest(f"BLAKE2b under {name}", tag)
    for algorithm in ("sha256", "sha1"):
        for joined in (key + data, data + key):
            yield from _digest(
                f"{algorithm} with {name}", hashlib.new(algorithm, joined, usedforsecurity=False).digest()
            )


def _labelled(label: str, forms: Named) -> Named:
    for name, form in forms:
        yield f"{label}, {name}", form


def _septets(text: str) -> bytes:
    """ASCII as the radio carries it: seven bits a character (3GPP TS 23.038, section 6.1.2.1)."""
    bits = sum((ord(char) & 0x7F) << 7 * at for at, char in enumerate(text))
    # The last byte may hold bits of what follows.
    return bits.to_bytes(7 * len(text) // 8 + 1, "little")[: 7 * len(text) // 8]


def _long(*groups: Iterable[tuple[str, bytes]]) -> Forms:
    """What chance does not make, by the first name that it has."""
    forms: Forms = {}
    for name, form in (named for group in groups for named in group):
        if len(form) >= MIN_NEEDLE:
            forms.setdefault(form, name)
    return forms
