"""Hexadecimal, base32 and base64 that stand in some bytes are read as the bytes that they encode.

So a search finds everything in these encodings too, without a needle for each.
"""

import base64
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

SLICE: Final = 1 << 20
"""Bytes that are read at once: a text of that size has some ten thousands of runs."""

OVERLAP: Final = 1024
"""Bytes that two slices share, so that no run that says something is cut apart between them."""


@dataclass(frozen=True)
class TextEncoding:
    """One way to write bytes in characters."""

    name: str
    run: re.Pattern[bytes]
    """Characters that may be such an encoding, and enough of them to hold something."""
    block: tuple[int, int]
    """So many characters stand for so many bytes."""
    zero: bytes
    """The character for bits that are all 0."""
    decode: Callable[[bytes], bytes]
    """Of whole blocks."""


def _base32(alphabet: bytes) -> Callable[[bytes], bytes]:
    """Python reads a number with 32 digits in one go, which `base64.b32decode` does not."""
    table = bytes.maketrans(alphabet + alphabet.lower(), b"0123456789abcdefghijklmnopqrstuv" * 2)
    return lambda text: int(text.translate(table), 32).to_bytes(len(text) // 8 * 5, "big")


_URL: Final = bytes.maketrans(b"-_", b"+/")

TEXT_ENCODINGS: Final = (
    TextEncoding(
        "hexadecimal", re.compile(rb"[0-9A-Fa-f]{10,}"), (2, 1), b"0", lambda text: bytes.fromhex(text.decode())
    ),
    TextEncoding(
        "base64", re.compile(rb"[0-9A-Za-z+/_-]{7,}"), (4, 3), b"A", lambda text: base64.b64decode(text.translate(_URL))
    ),
    TextEncoding(
        "base32",
        re.compile(rb"[A-Z2-7]{13,}|[a-z2-7]{13,}"),
        (8, 5),
        b"A",
        _base32(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
    ),
    TextEncoding(
        "base32hex",
        re.compile(rb"[0-9A-V]{13,}|[0-9a-v]{13,}"),
        (8, 5),
        b"0",
        _base32(b"0123456789ABCDEFGHIJKLMNOPQRSTUV"),
    ),
)
"""Of base32 in runs that hold eight bytes, since any word could be one; of the others five, the shortest needle."""


_ANY: Final = re.compile(rb"[0-9A-Za-z+/_-]{7,}")
"""Every run of any encoding lies in one of these: bytes that are no text are passed over once and not four times."""


@dataclass(frozen=True)
class View:
    """All runs of one encoding in one slice, read as if they began at one place in a block."""

    encoding: str
    data: bytes
    _block: tuple[int, int]
    _lead: int
    _joined: list[int]
    """Where each run begins among all characters that were read."""
    _starts: list[int]
    """Where each run begins in the surface."""

    def place(self, at: int) -> int:
        """Where that stands in the surface which is at an offset of `data`."""
        characters, size = self._block
        character = at * characters // size
        run = bisect_right(self._joined, character) - 1
        return self._starts[run] + max(character - self._joined[run] - self._lead, 0)


def views(data: bytes) -> Iterator[View]:
    """Every reading of what may be an encoding; as many for each encoding as a block has characters."""
    for at in range(0, len(data), SLICE):
        part = data[at : at + SLICE + OVERLAP]
        texts = [match.span() for match in _ANY.finditer(part)]
        for encoding in TEXT_ENCODINGS:
            found = (match for text in texts for match in encoding.run.finditer(part, *text))
            runs = [(at + match.start(), match.group()) for match in found]
            if runs:
                yield from _read(encoding, runs)


def _read(encoding: TextEncoding, runs: list[tuple[int, bytes]]) -> Iterator[View]:
    characters, _ = encoding.block
    starts = [start for start, _ in runs]
    for lead in range(characters):
        parts, joined, length = [], [], 0
        for _, run in runs:
            # A block of zeros after each, so that what is found is in one run.
            filled = -(-(lead + len(run)) // characters) * characters + characters
            parts.append((encoding.zero * lead + run).ljust(filled, encoding.zero))
            joined.append(length)
            length += filled
        yield View(encoding.name, encoding.decode(b"".join(parts)), encoding.block, lead, joined, starts)
