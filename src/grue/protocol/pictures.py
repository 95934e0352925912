"""Pictures of people: JPEG, PNG or WebP, told by how they begin, and freed of all that is no picture.

A camera writes into a file where it was taken, when, and by which telephone. None of that goes out.
"""

from collections.abc import Iterator
from typing import Final

from grue.errors import UsageError

MAX_PICTURE: Final = 40 * 1024
"""Bytes of a picture: fits the largest envelope beside a name. A face of 400 x 400 pixels has some 30 KiB as JPEG."""

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_WEBP_KEPT: Final = frozenset({b"VP8 ", b"VP8L", b"ALPH"})
_WEBP_EXTENDED: Final = b"VP8X"
_ALPHA: Final = 0x10
"""The flag of a WebP file that says that it has transparency; the others speak of what is taken out."""

_JPEG_KEPT: Final = frozenset(
    {0xDB, 0xC4, 0xDD, 0xEE, 0xE0, *range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xD0)}
)
"""Tables, frames, JFIF's header, and Adobe's, which says how colours are meant."""
_START_OF_SCAN: Final = 0xDA

NO_PICTURE: Final = "A picture is a JPEG, PNG or WebP file that is whole."


def bare(picture: bytes) -> bytes:
    """The picture without places, times, devices, comments and previews. Raises UsageError for what is none.

    PEOPLE-03 it begins as JPEG, PNG or WebP do, is made of whole parts, and has at most `MAX_PICTURE` bytes then.
    """
    try:
        stripped = _stripped(picture)
    except (ValueError, IndexError):
        raise UsageError(NO_PICTURE) from None
    if len(stripped) > MAX_PICTURE:
        raise UsageError(f"A picture has at most {MAX_PICTURE:,} bytes: make it smaller.")
    return stripped


def _stripped(picture: bytes) -> bytes:
    if picture.startswith(b"\xff\xd8"):
        return b"\xff\xd8" + b"".join(_jpeg(picture))
    if picture.startswith(_PNG):
        return _PNG + b"".join(_png(picture))
    if picture[:4] == b"RIFF" and picture[8:12] == b"WEBP":
        parts = b"".join(_webp(picture))
        return b"RIFF" + (4 + len(parts)).to_bytes(4, "little") + b"WEBP" + parts
    raise ValueError


def _jpeg(picture: bytes) -> Iterator[bytes]:
    at = 2
    while True:
        if picture[at] != 0xFF:
            raise ValueError
        marker, length = picture[at + 1], int.from_bytes(picture[at + 2 : at + 4], "big")
        part = picture[at : at + 2 + length]
        if length < 2 or len(part) != 2 + length:
            raise ValueError
        if marker == _START_OF_SCAN:
            end = picture.rfind(b"\xff\xd9")
            if end < at:
                raise ValueError
            yield picture[at : end + 2]
            return
        if marker in _JPEG_KEPT:
            yield part
        at += 2 + length


def _png(picture: bytes) -> Iterator[bytes]:
    at, kind = len(_PNG), b""
    while kind != b"IEND":
        length, kind = int.from_bytes(picture[at : at + 4], "big"), picture[at + 4 : at + 8]
        part = picture[at : at + 12 + length]
        if len(part) != 12 + length or len(kind) != 4:
            raise ValueError
        if kind in _PNG_KEPT:
            yield part
        at += 12 + length


def _webp(picture: bytes) -> Iterator[bytes]:
    at, images = 12, 0
    while at < len(picture):
        kind, length = picture[at : at + 4], int.from_bytes(picture[at + 4 : at + 8], "little")
        part = picture[at : at + 8 + length + length % 2]
        if len(part) != 8 + length + length % 2 or length == 0:
            raise ValueError
        if kind == _WEBP_EXTENDED:
            yield part[:8] + bytes([part[8] & _ALPHA]) + part[9:]
        elif kind in _WEBP_KEPT:
            images += kind != b"ALPH"
            yield part
        at += 8 + length + length % 2
    if images != 1:
        # None, or one that moves.
        raise ValueError
