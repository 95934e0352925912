"""The forms that are searched for: each is found where it lies, and nothing is found that was never there."""

import base64
import hashlib
import os
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grue.exposure.scanner import encodings
from grue.exposure.scanner.text_encodings import views

NUMBER = "+447700900123"
TEXT = "the wombat walks at midnight"

FORMS = {
    "as it is": b"+447700900123",
    "without its plus": b"447700900123",
    "in a national form": b"07700 900123".replace(b" ", b""),
    "UTF-16": NUMBER.encode("utf-16-le"),
    "UTF-32": NUMBER.encode("utf-32-le"),
    "written with spaces": b"+44 7700 900123",
    "written with hyphens": b"tel:+44-7700-900123",
    "SHA-256 of the national form": hashlib.sha256(b"07700900123").digest(),
    "SHA-256 of the national form with a space": hashlib.sha256(b"07700 900123").digest(),
    "packed, in base64": base64.b64encode(bytes.fromhex("447700900123")),
    "an integer in base64": base64.b64encode((447700900123).to_bytes(8, "little")),
    "hexadecimal": NUMBER.encode().hex().encode(),
    "packed": bytes.fromhex("447700900123"),
    "swapped": bytes.fromhex("447700091032"),
    "an odd digit before": bytes.fromhex("9447700900123f"),
    "big-endian": (447700900123).to_bytes(8, "big"),
    "little-endian": (447700900123).to_bytes(8, "little"),
    "MessagePack": b"\xcf" + (447700900123).to_bytes(8, "big"),
    "a varint": encodings._varint(447700900123),
    "SHA-256": hashlib.sha256(NUMBER.encode()).digest(),
    "MD5 of the digits, in hexadecimal": hashlib.md5(NUMBER[1:].encode(), usedforsecurity=False).hexdigest().encode(),
    "JSON": b'{"to": "+447700900123"}',
    "a URL": b"/lookup?number=%2B447700900123",
}


def found(forms: frozenset[bytes], data: bytes) -> bool:
    return any(form in data for form in forms)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_a_number_is_found_in_every_form(form: bytes) -> None:
    assert found(encodings.of_number(NUMBER), os.urandom(64) + form + os.urandom(64))


@given(before=st.binary(max_size=8), after=st.binary(max_size=8))
def test_a_number_is_found_in_base64_wherever_it_begins(before: bytes, after: bytes) -> None:
    assert found(encodings.of_number(NUMBER), base64.b64encode(before + NUMBER.encode() + after))
    assert found(encodings.of_number(NUMBER), base64.urlsafe_b64encode(before + NUMBER.encode() + after))


@given(st.binary(max_size=32), st.binary(max_size=32))
def test_a_key_is_found_in_every_form(before: bytes, after: bytes) -> None:
    key = hashlib.sha256(b"a key").digest()
    for form in (key, key[::-1], key.hex().encode(), base64.b64encode(key)):
        assert found(encodings.of_bytes(key), before + form + after)


@pytest.mark.parametrize(
    "form",
    [
        TEXT.encode(),
        TEXT.encode("utf-16-be"),
        TEXT.encode().hex().encode(),
        TEXT[:20].encode(),
        encodings._septets(TEXT),
        hashlib.sha1(TEXT.encode(), usedforsecurity=False).digest(),
    ],
    ids=["UTF-8", "UTF-16", "hexadecimal", "cut short", "seven bits a character", "SHA-1"],
)
def test_a_text_is_found_in_every_form(form: bytes) -> None:
    assert found(encodings.of_text(TEXT), os.urandom(64) + form + os.urandom(64))


@given(before=st.binary(max_size=20), after=st.binary(max_size=20), shift=st.text("x=+ ", max_size=9))
def test_what_is_encoded_is_read_wherever_it_begins(before: bytes, after: bytes, shift: str) -> None:
    sought = b"\x00sought\xff\xfe"
    for encode, read in ENCODED:
        encoded = encode(before + sought + after)
        data = shift.encode() + encoded + b" "
        places = [view.place(view.data.index(sought)) for view in views(data) if sought in view.data]
        begins = len(shift) + len(before) * read
        assert any(abs(place - begins) <= BLOCK for place in places), (encoded, places, begins)


ENCODED: Final[list[tuple[Callable[[bytes], bytes], float]]] = [
    (lambda data: data.hex().encode(), 2),
    (base64.b64encode, 4 / 3),
    (lambda data: base64.urlsafe_b64encode(data).rstrip(b"="), 4 / 3),
    (base64.b32encode, 8 / 5),
    (lambda data: base64.b32encode(data).lower(), 8 / 5),
    (base64.b32hexencode, 8 / 5),
]
"""Each with its characters for a byte."""

BLOCK = 8
"""Characters at most that stand together for some bytes."""


def test_septets_are_packed_as_the_standard_shows() -> None:
    # 3GPP TS 23.038, 6.1.2.1: seven bits of each character, the first in the lowest bits.
    assert encodings._septets("hellohello") == bytes.fromhex("E8329BFD4697D9EC37")[: 7 * 10 // 8]


def test_nothing_is_found_that_was_never_there() -> None:
    noise = hashlib.shake_128(b"noise").digest(1 << 20)
    decoys = [encodings.of_number(f"+4477009009{n:02}") for n in range(20)]
    assert not [forms for forms in decoys if found(forms, noise)]
    assert not found(encodings.of_text("a sentence that nobody wrote"), noise)


def test_no_form_is_so_short_that_chance_makes_it() -> None:
    forms = encodings.of_number(NUMBER) | encodings.of_text(TEXT) | encodings.of_address("127.0.0.1")
    assert min(map(len, forms)) >= encodings.MIN_NEEDLE
