"""Pictures of people: told by how they begin, and freed of places, times and comments."""

import random
import struct
import zlib
from contextlib import suppress

import pytest

from grue.errors import UsageError
from grue.protocol.pictures import MAX_PICTURE, bare

SECRET = b"51.5007N 0.1246W"


def segment(marker: int, contents: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(contents) + 2) + contents


def chunk(kind: bytes, contents: bytes) -> bytes:
    return struct.pack(">I", len(contents)) + kind + contents + struct.pack(">I", zlib.crc32(kind + contents))


def riff(kind: bytes, contents: bytes) -> bytes:
    return kind + struct.pack("<I", len(contents)) + contents + bytes(len(contents) % 2)


def webp(*parts: bytes) -> bytes:
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


TABLE, FRAME = segment(0xDB, bytes(65)), segment(0xC0, bytes(15))
SCAN = segment(0xDA, bytes(10)) + b"picture\xff\x00\xff\xd9"
JFIF = segment(0xE0, b"JFIF\x00\x01\x02")
JPEG = b"\xff\xd8" + JFIF + segment(0xE1, b"Exif\x00\x00" + SECRET) + segment(0xFE, SECRET) + TABLE + FRAME + SCAN
HEADER, PIXELS = chunk(b"IHDR", bytes(13)), chunk(b"IDAT", b"picture")
PNG_SIGN = b"\x89PNG\r\n\x1a\n"
PNG = PNG_SIGN + HEADER + chunk(b"tEXt", SECRET) + chunk(b"eXIf", SECRET) + PIXELS + chunk(b"IEND", b"")
WEBP = webp(riff(b"VP8X", b"\x3c" + bytes(9)), riff(b"VP8 ", b"picture"), riff(b"EXIF", SECRET), riff(b"XMP ", SECRET))


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (JPEG, b"\xff\xd8" + JFIF + TABLE + FRAME + SCAN),
        (PNG, PNG_SIGN + HEADER + PIXELS + chunk(b"IEND", b"")),
        (WEBP, webp(riff(b"VP8X", b"\x10" + bytes(9)), riff(b"VP8 ", b"picture"))),
    ],
)
def test_people_03_what_is_no_picture_is_taken_out(picture: bytes, expected: bytes) -> None:
    assert SECRET in picture
    assert bare(picture) == expected
    assert bare(expected) == expected, "and again nothing"


@pytest.mark.parametrize("picture", [JPEG, PNG, WEBP])
def test_people_03_what_follows_a_picture_is_left_behind(picture: bytes) -> None:
    behind = picture + (b"" if picture is WEBP else SECRET)
    assert bare(behind) == bare(picture)


@pytest.mark.parametrize(
    "picture",
    [
        b"", b"x", b"GIF89a" + bytes(40), b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\xff\xd8", PNG_SIGN,
        webp(), webp(riff(b"ALPH", b"x")), webp(riff(b"VP8 ", b"a"), riff(b"VP8 ", b"b")), b"MZ" + JPEG,
    ],
)  # fmt: skip
def test_people_03_anything_else_is_refused(picture: bytes) -> None:
    with pytest.raises(UsageError):
        bare(picture)


def test_people_03_what_was_cut_off_or_changed_is_a_picture_or_refused() -> None:
    chance = random.Random(1)
    for picture in (JPEG, PNG, WEBP):
        for _ in range(2000):
            changed = bytearray(picture[: chance.randint(0, len(picture))])
            if changed:
                changed[chance.randrange(len(changed))] = chance.randrange(256)
            with suppress(UsageError):
                assert bare(bytes(changed)).startswith((b"\xff\xd8", PNG_SIGN, b"RIFF"))


def test_people_03_a_picture_has_a_size() -> None:
    largest = PNG_SIGN + HEADER + chunk(b"IDAT", bytes(MAX_PICTURE - 57)) + chunk(b"IEND", b"")
    assert len(bare(largest)) == MAX_PICTURE
    larger = PNG_SIGN + HEADER + chunk(b"IDAT", bytes(MAX_PICTURE - 56)) + chunk(b"IEND", b"")
    with pytest.raises(UsageError, match="40,960"):
        bare(larger)
