"""Text as it is searched: without case, diacritics and width, in all writings alike.

Each character is folded by itself, so that a place in the folded text is a place in the original.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final

SNIPPET: Final = 120
"""Characters that are shown of a long text: two lines of a list."""

BEFORE_MATCH: Final = 40
"""Characters of them before the first match."""

_VOICED: Final = "\u3099\u309a"
"""Marks that make another sound of a kana: they count, so that GA is not KA."""

_LETTERS: Final = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "ı": "i", "ŧ": "t", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th"}
)
"""Letters that are written with a stroke or as two in one, and that Unicode does not take apart."""


class _Folded(dict[int, str]):
    """By code point, what is searched; made when it is met first."""

    def __missing__(self, point: int) -> str:
        character = chr(point)
        category = unicodedata.category(character)
        if character.isspace() or category == "Cc":
            folded = " "
        elif category == "Cf":
            # Soft hyphens, joiners, marks of direction: nobody types them.
            folded = ""
        else:
            parts = unicodedata.normalize("NFKD", character).casefold().translate(_LETTERS)
            parts = unicodedata.normalize("NFKD", parts)
            folded = "".join(one for one in parts if not unicodedata.combining(one) or one in _VOICED)
        self[point] = folded
        return folded


_FOLDED: Final = _Folded()


def fold(text: str) -> str:
    """The text as it is searched. 1 us a line of ASCII, some 5 us of another writing."""
    return text.translate(_FOLDED)


def snippet(text: str, words: Sequence[str]) -> tuple[tuple[str, bool], ...]:
    """A part of the text around what matches, in one line: pieces, and whether each is a match.

    words  folded
    """
    places = [place for place, character in enumerate(text) for _ in _FOLDED[ord(character)]]
    found = sorted(_found(fold(text), words, places))
    first = found[0][0] if found else 0
    begin = max(0, min(first - BEFORE_MATCH, len(text) - SNIPPET))
    end = min(len(text), begin + SNIPPET)
    pieces = [("…", False)] if begin else []
    at = begin
    for start, stop in found:
        start, stop = max(start, at), min(stop, end)
        if start < stop:
            pieces += [(text[at:start], False), (text[start:stop], True)]
            at = stop
    pieces += [(text[at:end], False), ("…" if end < len(text) else "", False)]
    return tuple((_one_line(piece), match) for piece, match in pieces if piece)


def _found(folded: str, words: Sequence[str], places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Where the words stand in the original: from, and up to."""
    for word in words:
        at = folded.find(word)
        while at >= 0:
            yield places[at], places[at + len(word) - 1] + 1
            at = folded.find(word, at + len(word))


def _one_line(text: str) -> str:
    return "".join(" " if character.isspace() else character for character in text)
