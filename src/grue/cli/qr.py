"""QR codes in a terminal: two modules stand above each other in one character, white on black whatever the theme is."""

from typing import Final

import segno
from rich.text import Text

QUIET: Final = 4
"""Light modules around a code: by ISO/IEC 18004 a reader needs four to find it."""

STYLE: Final = "#ffffff on #000000"
"""The light modules are what is drawn, so that on a dark terminal it is right without colour as well."""

HALVES: Final = {(False, False): "\u2588", (False, True): "\u2580", (True, False): "\u2584", (True, True): " "}
"""A character for each pair of modules, upper and lower; True is dark."""


def drawn(contents: str) -> Text:
    """The QR code of a text, with 15 % of it to spare (level M) or more."""
    rows = [list(map(bool, row)) for row in segno.make_qr(contents, error="M").matrix_iter(border=QUIET)]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    pairs = zip(rows[::2], rows[1::2], strict=True)
    lines = ["".join(HALVES[pair] for pair in zip(upper, lower, strict=True)) for upper, lower in pairs]
    return Text("\n", no_wrap=True, overflow="crop").join(Text(line, style=STYLE) for line in lines)
