"""vCards 2.1, 3.0 and 4.0 are read for names and numbers, in the forms that telephones and mail programs write.

Any bytes get an answer, and none an exception. Only the properties that are wanted are put
together, so that photographs cost no memory. RFC 6350, RFC 2426, and "vCard, version 2.1" for quoted-printable.
"""

import quopri
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

MAX_VALUE: Final = 4096
"""Bytes of one property with its continuations; a name or a number needs no more."""

MAX_NUMBERS: Final = 100
"""Numbers of one card; people have fewer."""

_WANTED: Final = re.compile(rb"\s*(?:[\w-]+\.)?(BEGIN|END|FN|N|NICKNAME|ORG|TEL)\s*[;:]", re.IGNORECASE)
_FRAME: Final = re.compile(rb"\s*(?:BEGIN|END)\s*:\s*VCARD\s*", re.IGNORECASE)
_QUOTED_PRINTABLE: Final = re.compile(rb"[^:]*;\s*(?:ENCODING\s*=\s*)?QUOTED-PRINTABLE\s*[;:]", re.IGNORECASE)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_FAX: Final = frozenset({"FAX", "PAGER", "MODEM", "BBS", "TEXTPHONE"})


@dataclass
class Card:
    """One card."""

    name: str = ""
    numbers: list[str] = field(default_factory=list)
    faxes: int = 0
    """Numbers of fax machines and pagers, which no message reaches."""
    dropped: int = 0
    """Numbers above `MAX_NUMBERS`."""
    whole: bool = True
    """False when it has no end: the last number of such a card may be half of one."""


@dataclass
class _Property:
    name: str
    parameters: list[str]
    """In capitals: `TYPE=CELL`, or `CELL` alone as in 2.1."""
    value: str


def cards(lines: Iterable[bytes | None]) -> Iterator[Card]:
    """The cards in some lines without their line ends; None stands for a line that was too long to read."""
    card: Card | None = None
    names: dict[str, str] = {}
    for line in _logical(lines):
        if _FRAME.fullmatch(line):
            if card is not None:
                card.whole = b"END" in line.upper()
                yield _named(card, names)
            card, names = (None if b"END" in line.upper() else Card()), {}
        elif card is not None and (read := _property(line)) is not None:
            _put(card, names, read)
    if card is not None:
        card.whole = False
        yield _named(card, names)


def decode(data: bytes, charset: str = "utf-8") -> str:
    """Text in the charset that is named, or in UTF-8, or else in what Windows writes."""
    for name in (charset, "utf-8"):
        try:
            return data.decode(name)
        except (UnicodeError, LookupError, ValueError):
            continue
    return data.decode("cp1252", "replace")


def _logical(lines: Iterable[bytes | None]) -> Iterator[bytes]:
    """Put folded lines and those with a soft break together, of the properties that are wanted."""
    held, wanted, soft = b"", False, False
    for line in lines:
        if line is None:
            line = b""
        elif line[:1] in (b" ", b"\t") and held:
            held, soft = _joined(held, line[1:], wanted), soft and line.endswith(b"=")
            continue
        elif soft and not _FRAME.fullmatch(line):
            held, soft = _joined(held.removesuffix(b"="), line, wanted), line.endswith(b"=")
            continue
        if wanted:
            yield held
        held, wanted = line, _WANTED.match(line) is not None
        soft = line.endswith(b"=") and _QUOTED_PRINTABLE.match(line) is not None
        if not wanted:
            held = line[:1]
    if wanted:
        yield held


def _joined(held: bytes, more: bytes, wanted: bool) -> bytes:
    return held + more if wanted and len(held) + len(more) <= MAX_VALUE else held


def _property(line: bytes) -> _Property | None:
    at = _outside_quotes(line, b":")
    if not at:
        return None
    head, raw = line[: at[0]], line[at[0] + 1 :]
    cuts = [-1, *_outside_quotes(head, b";"), len(head)]
    words = [head[a + 1 : b].decode("latin-1").strip().upper() for a, b in pairwise(cuts)]
    name, parameters = words[0].rpartition(".")[2].strip(), words[1:]
    if any(word.removeprefix("ENCODING=").strip() == "QUOTED-PRINTABLE" for word in parameters):
        raw = quopri.decodestring(raw)
    charset = next(
        (word.removeprefix("CHARSET=").strip('" ') for word in parameters if word.startswith("CHARSET=")), ""
    )
    return _Property(name, parameters, decode(raw, charset or "utf-8"))


def _outside_quotes(data: bytes, mark: bytes) -> list[int]:
    """Where a mark stands that is in no quoted parameter."""
    if b'"' not in data:
        return [match.start() for match in re.finditer(re.escape(mark), data)]
    found, quoted = [], False
    for at, byte in enumerate(data):
        if byte == ord('"'):
            quoted = not quoted
        elif byte == mark[0] and not quoted:
            found.append(at)
    return found


def _put(card: Card, names: dict[str, str], read: _Property) -> None:
    if read.name != "TEL":
        names.setdefault(read.name, read.value)
    elif _FAX & _types(read.parameters) and not {"CELL", "VOICE"} & _types(read.parameters):
        card.faxes += 1
    elif len(card.numbers) >= MAX_NUMBERS:
        card.dropped += 1
    else:
        card.numbers.append(_unescaped(read.value).strip())


def _types(parameters: list[str]) -> set[str]:
    return {kind.strip('" ') for word in parameters for kind in word.removeprefix("TYPE=").split(",")}


def _named(card: Card, names: dict[str, str]) -> Card:
    """The name as it is shown; of the parts of `N`, the given ones first, as most of the world's exports have them."""
    family, given, middle, *_ = [_unescaped(part) for part in _parts(names.get("N", ""))] + [""] * 3
    choices = (
        _unescaped(names.get("FN", "")),
        " ".join(part for part in (given, middle, family) if part.strip()),
        _unescaped(names.get("NICKNAME", "")),
        " ".join(_unescaped(part) for part in _parts(names.get("ORG", ""))),
    )
    card.name = next((name for name in choices if name.strip()), "")
    return card


def _parts(value: str) -> list[str]:
    """The components of a structured value: what stands between semicolons that are not escaped."""
    return re.split(r"(?<!\\);", value)


def _unescaped(value: str) -> str:
    return _ESCAPED.sub(lambda match: " " if match[1] in "nN" else match[1], value)
