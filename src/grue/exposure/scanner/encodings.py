"""The forms in which a number, an address, a text or an instant may lie in bytes, for whoever searches for them.

What is encrypted is not among them. `keyed` gives the forms that are tagged under a key, to those who give the keys.
The `of_` functions have hexadecimal and base64 among their forms; to find other encodings of text, a search reads them
first (`text_encodings`).
"""

import base64
import hashlib
import hmac
import ipaddress
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import Final, TypeAlias

import phonenumbers
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.poly1305 import Poly1305

Forms: TypeAlias = dict[bytes, str]
"""What to search for, and the name of the form that it is."""

Named: TypeAlias = Iterator[tuple[str, bytes]]

COMMON_HASHES: Final = ("md5", "sha1", "sha256", "sha512", "blake2b")
"""Those that a report looks for."""

HASHES: Final = (*COMMON_HASHES, "sha224", "sha384", "sha3_256", "sha3_224", "sha3_384", "sha3_512", "blake2s")
HMACS: Final = ("sha256", "sha1", "sha512", "md5", "sha224", "sha384", "sha3_256", "sha3_512", "blake2b", "blake2s")
AFFIXED: Final = ("sha256", "sha1", "sha512", "md5", "sha3_256")
"""Hashes of key and data joined, in either order."""

AES_KEYS: Final = frozenset({16, 24, 32})
"""Bytes."""

SPACES: Final = (" ", "-", ".", "/", "\N{NO-BREAK SPACE}")
"""What people write between the groups of a number."""
DIGEST_BYTES: Final = 8
"""A digest is found by its first bytes, however it was cut."""

PART_BYTES: Final = 16
"""Long enough that no other text has it by chance."""

MIN_NEEDLE: Final = 5
"""Bytes: a shorter needle is found in random data now and then."""


@cache
def of_number(number: str) -> frozenset[bytes]:
    """An E.164 number in the forms that software and telephone networks give it."""
    return frozenset(_and_encoded(number_forms(number, COMMON_HASHES)))


@cache
def of_text(text: str) -> frozenset[bytes]:
    """A message's text, whole and in parts, of which one survives being cut."""
    return frozenset(_and_encoded(text_forms(text, COMMON_HASHES)))


def of_bytes(data: bytes) -> frozenset[bytes]:
    """An identifier or key."""
    return frozenset(_and_encoded(identifier_forms(data)))


def of_address(address: str) -> frozenset[bytes]:
    """An IP address in words."""
    return frozenset(_and_encoded(_long(_of_text(address))))


# --- the same with the names of the forms ---------------------------------------------------------


def number_forms(number: str, hashes: Iterable[str] = HASHES) -> Forms:
    """As text, also as people write it; packed, as integers and floats; hashed."""
    digits = number.lstrip("+")
    return _long(
        _of_text(digits[-9:]),
        _labelled("backwards", _of_text(digits[-9:][::-1])),
        *(_labelled("with spaces", _of_text(written)) for written in _spaced(number)),
        _packed(digits),
        _integers(int(digits)),
        *(_hashes(written, hashes) for written in number_as_hashed(number)),
    )


def text_forms(text: str, hashes: Iterable[str] = HASHES) -> Forms:
    """As text and hashed, in parts, and as the radio has it."""
    plain = text.encode()
    longest = max(text.split(), key=len)
    starts = range(0, max(len(plain) - PART_BYTES, 0) + 1, PART_BYTES // 2)
    return _long(
        _of_text(text),
        _of_text(longest),
        _hashes(plain, hashes),
        iter([("seven bits a character", _septets(text)), ("seven bits a character", _septets(longest))]),
        (("a part", plain[at : at + PART_BYTES]) for at in starts),
    )


def identifier_forms(data: bytes) -> Forms:
    """Bytes of either order."""
    return _long(iter([("bytes", data), ("bytes backwards", data[::-1])]))


def address_forms(address: str) -> Forms:
    """An IP address in words and in bytes; not the four bytes of IPv4, which chance makes: see `address_values`."""
    ip = ipaddress.ip_address(address)
    packed = ip.packed if ip.version == 6 else b"\xff\xff" + ip.packed
    return _long(
        *(_of_text(words) for words in {str(ip), ip.exploded, ip.reverse_pointer.rsplit(".", 2)[0]}),
        _of_text(str(int(ip))),
        iter([("packed", packed), ("packed, hexadecimal", ip.packed.hex().encode())]),
        iter([("packed, hexadecimal", ip.packed.hex().upper().encode()), ("packed backwards", packed[::-1])]),
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
    """Tags of the inputs under each key, by the key's name; costs some 60 us a key and input."""
    inputs = list(inputs)
    return _long(*(_tags(name, key, data) for name, key in keys.items() for data in inputs))


def number_as_hashed(number: str) -> tuple[bytes, ...]:
    """What software hashes when it hashes a number."""
    digits = number.lstrip("+")
    value = int(digits)
    texts = dict.fromkeys((number, digits, "00" + digits, f"tel:{number}", *_national(number)))
    return (*(text.encode() for text in texts), value.to_bytes(8, "big"), value.to_bytes(8, "little"))


@cache
def _national(number: str) -> tuple[str, ...]:
    """As it is dialled and written in its country, and written abroad; nothing for a country that there is not."""
    with suppress(phonenumbers.NumberParseException):
        parsed = phonenumbers.parse(number)
        national = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
        abroad = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
        dialled = "".join(filter(str.isdecimal, national))
        return (dialled, phonenumbers.national_significant_number(parsed), national, abroad)
    return ()


def _spaced(number: str) -> Iterator[str]:
    """With something between the groups of its digits, of which the country is left out."""
    for _, _, national, abroad in filter(None, [_national(number)]):
        yield national
        groups = abroad.replace("-", " ").split()[1:]
        yield from (space.join(groups) for space in SPACES if len(groups) > 1)


def address_as_hashed(address: str) -> tuple[bytes, ...]:
    """The same of an address."""
    return address.encode(), ipaddress.ip_address(address).packed


def hash_forms(data: bytes) -> Forms:
    """Plain hashes."""
    return _long(_hashes(data))


def digest_forms(label: str, digest: bytes) -> Forms:
    """A digest, tag or key that is found by its first bytes, however it was cut."""
    return _long(iter([(label, _cut(digest))]))


# --- parts ----------------------------------------------------------------------------------------


def _of_text(text: str) -> Named:
    yield "text", text.encode()
    yield "UTF-16 LE", text.encode("utf-16-le")
    yield "UTF-16 BE", text.encode("utf-16-be")
    yield "UTF-32 LE", text.encode("utf-32-le")
    yield "UTF-32 BE", text.encode("utf-32-be")


def _and_encoded(forms: Forms) -> Iterator[bytes]:
    """Each form, and each in hexadecimal and base64."""
    for form in forms:
        yield form
        yield form.hex().encode()
        yield form.hex().upper().encode()
        yield from (encoded for encoded in _base64(form) if len(encoded) >= MIN_NEEDLE)


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


def _hashes(data: bytes, hashes: Iterable[str] = HASHES) -> Named:
    for name in hashes:
        yield name, _cut(hashlib.new(name, data, usedforsecurity=False).digest())


def _cut(digest: bytes) -> bytes:
    return digest[:DIGEST_BYTES]


def _tags(name: str, key: bytes, data: bytes) -> Named:
    for algorithm in HMACS:
        yield f"HMAC-{algorithm} under {name}", _cut(hmac.digest(key, data, algorithm))
    for size in (16, 32, 64):
        yield f"BLAKE2b under {name}", _cut(hashlib.blake2b(data, key=key[:64], digest_size=size).digest())
    for size in (16, 32):
        yield f"BLAKE2s under {name}", _cut(hashlib.blake2s(data, key=key[:32], digest_size=size).digest())
    for algorithm in AFFIXED:
        for joined in (key + data, data + key):
            yield f"{algorithm} with {name}", _cut(hashlib.new(algorithm, joined, usedforsecurity=False).digest())
    for info, salt in ((data, None), (b"", data)):
        yield f"HKDF under {name}", _cut(HKDF(SHA256(), 32, salt=salt, info=info).derive(key))
    if len(key) in AES_KEYS:
        yield f"AES-CMAC under {name}", _cut(_cmac(key, data))
    if len(key) == 32:
        yield f"AES-CMAC under {name}", _cut(_cmac(key[:16], data))
        yield f"Poly1305 under {name}", _cut(Poly1305.generate_tag(key, data))


def _cmac(key: bytes, data: bytes) -> bytes:
    mac = CMAC(AES(key))
    mac.update(data)
    return mac.finalize()


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
