"""Address books that other programs export, vCard or CSV, are read here; for all that is left out there is a reason.

A file is read line by line and never held whole. It raises only when it is no address book at all.
"""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain, islice
from typing import BinaryIO, Final
from urllib.parse import unquote

from grue.client.people.vcard import cards, decode
from grue.errors import NotAnAddressBook, NotANumber, NumberTooShort
from grue.protocol.numbers import parse

MAX_LINE: Final = 1 << 16
"""Characters of one line; photographs on one line are longer, and are passed over."""

BLOCK: Final = 1 << 16
"""Bytes that are read at a time."""

MAX_NAME: Final = 100
"""Characters of a name that are kept."""

SAMPLE: Final = 100
"""Rows of a CSV file that are looked at to find the column with the numbers, where no header names it."""

MIN_NATIONAL: Final = 7
"""Digits before something that may be an extension: fewer are no number that has one."""


class Skip(StrEnum):
    """Why a number, a card or a line was left out."""

    NO_NUMBER = "no_number"
    SHORT = "short"
    LETTERS = "letters"
    EXTENSION = "extension"
    ROUNDED = "rounded"
    NOT_A_NUMBER = "not_a_number"
    FAX = "fax"
    CUT_OFF = "cut_off"
    UNREADABLE = "unreadable"
    TOO_MANY = "too_many"


@dataclass
class Entry:
    """One person or line of a file."""

    name: str
    numbers: list[str] = field(default_factory=list)
    """E.164."""
    skipped: Counter[Skip] = field(default_factory=Counter)


def read(file: BinaryIO, region: str | None) -> Iterator[Entry]:
    """The entries of a file. Raises NotAnAddressBook when it is neither vCard nor CSV with numbers.

    region  whose numbers may lack the country code, such as "GB"
    Some 40 us a number.
    """
    found = lines(file)
    head = list(islice((line for line in found if line is None or line.strip()), 1))
    if not head or (head[0] is not None and b"\0" in head[0]):
        raise NotAnAddressBook
    rest = chain(head, found)
    if head[0] is not None and re.match(rb"\s*BEGIN\s*:\s*VCARD\s*$", head[0], re.IGNORECASE):
        return _from_cards(rest, region)
    return _from_csv(rest, region)


def lines(file: BinaryIO) -> Iterator[bytes | None]:
    """The lines of a file without their ends, in UTF-8 where it was UTF-16; None for one of more than `MAX_LINE`."""
    block = file.read(BLOCK)
    wide = block[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    # Latin-1 has a character for every byte and gives the same bytes back; the line ends are all the same then.
    charset, back = ("utf-16", "utf-8") if wide else ("latin-1", "latin-1")
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(charset)("replace"), translate=True)
    text, too_long = decoder.decode(block.removeprefix(codecs.BOM_UTF8)), False
    while block:
        *whole, text = text.split("\n")
        for line in whole:
            yield None if too_long or len(line) > MAX_LINE else line.encode(back, "replace")
            too_long = False
        if len(text) > MAX_LINE:
            text, too_long = "", True
        block = file.read(BLOCK)
        text += decoder.decode(block, final=not block)
    for line in text.removesuffix("\n").split("\n") if text else ():
        yield None if too_long or len(line) > MAX_LINE else line.encode(back, "replace")
        too_long = False
    if too_long:
        yield None


def read_number(text: str, region: str | None) -> str | Skip:
    """The E.164 form of a number as address books have it, or why there is none.

    Takes `tel:` URIs, invisible marks, and what spreadsheets put before a number to keep its plus.
    """
    text = text.translate(_INVISIBLE).strip().lstrip("'=").strip('"')
    if text[:4].lower() == "tel:":
        text = _from_uri(text[4:])
    if _is_extension(text):
        return Skip.EXTENSION
    if _ROUNDED.fullmatch(text):
        return Skip.ROUNDED
    if _LETTER.search(text):
        return Skip.LETTERS
    try:
        return parse(text, region)
    except NumberTooShort:
        return Skip.SHORT
    except NotANumber:
        return Skip.NOT_A_NUMBER


_INVISIBLE: Final = dict.fromkeys(
    map(ord, "\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff")
)
"""What telephones put around a number, so that it is shown from left to right."""
_LETTER: Final = re.compile(r"[^\W\d_]")
_ROUNDED: Final = re.compile(r"\d[.,]\d+E\+?\d+", re.IGNORECASE)
_EXTENSION: Final = re.compile(r"(?:;\s*ext=|,+|;|#|[px]|w|ext(?:ension|n)?\.?:?)\s*\d+#?$", re.IGNORECASE)


def _from_uri(text: str) -> str:
    number, *parameters = unquote(text).split(";")
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.lower() == "ext":
            return f"{number};ext={value}"
        if key.lower() == "phone-context" and value.startswith("+") and not number.startswith("+"):
            number = value + number
    return number


def _is_extension(text: str) -> bool:
    found = _EXTENSION.search(text)
    return found is not None and sum(char.isdecimal() for char in text[: found.start()]) >= MIN_NATIONAL


def _entry(name: str, numbers: Iterable[str], region: str | None) -> Entry:
    entry = Entry(" ".join(name.split())[:MAX_NAME])
    for text in numbers:
        number = read_number(text, region)
        if isinstance(number, Skip):
            entry.skipped[number] += 1
        else:
            entry.numbers.append(number)
    return entry


# --- vCard ----------------------------------------------------------------------------------------


def _from_cards(found: Iterator[bytes | None], region: str | None) -> Iterator[Entry]:
    for card in cards(found):
        if not card.whole:
            yield Entry("", skipped=Counter({Skip.CUT_OFF: 1}))
            continue
        entry = _entry(card.name, (number for number in card.numbers if number), region)
        entry.skipped += Counter({Skip.FAX: card.faxes, Skip.TOO_MANY: card.dropped})
        if not entry.numbers and not entry.skipped:
            entry.skipped[Skip.NO_NUMBER] += 1
        yield entry


# --- CSV ------------------------------------------------------------------------------------------

_NUMBER: Final = re.compile(
    r"phone|mobil|cell|handy|\btel\b|\btel[.:]|t[eé]l[eé]?(?:fon|phone|fono|foon|font|\.)|m[oó]vil|celular|fono\b|telefoon"
    r"|телефон|моб|電話|电话|手机|携帯|전화|هاتف|^(?:number|nummer|numéro|número|numero)$",
    re.IGNORECASE,
)
_NO_NUMBER: Final = re.compile(r"type|label|assistant|\btyp\b|fax|pager|telex|tty|mail|yomi|phonetic", re.IGNORECASE)
_FULL: Final = frozenset(
    {"name", "full name", "display name", "displayname", "file as", "anzeigename", "contact", "contact name"}
)
_GIVEN: Final = frozenset({"first name", "given name", "firstname", "vorname", "prénom", "nombre", "nome"})
_MIDDLE: Final = frozenset({"middle name", "additional name", "weitere vornamen"})
_FAMILY: Final = frozenset(
    {"last name", "family name", "lastname", "surname", "nachname", "nom", "apellido", "apellidos", "cognome"}
)
_COMPANY: Final = frozenset(
    {"company", "organization", "organization name", "organization 1 - name", "firma", "organisation"}
)
_LOOKS_LIKE_ONE: Final = re.compile(r"[+＋]?[\d(][\d\s()./-]{5,}\d")
_DATE: Final = re.compile(r"\d{4}-\d\d?-\d\d?|\d\d?[./-]\d\d?[./-]\d{2,4}")


@dataclass
class _Columns:
    numbers: list[int]
    names: list[list[int]]
    """Each a way to put a name together, the best first."""
    header: bool

    def name(self, row: list[str]) -> str:
        made = (" ".join(row[at].strip() for at in way if at < len(row)).strip() for way in self.names)
        return next((name for name in made if name), "")

    def cells(self, row: list[str]) -> Iterator[str]:
        """The numbers; programs put several into one field with `:::` or line ends between them."""
        for at in self.numbers:
            if at < len(row):
                yield from (part for part in re.split(r":::|[\r\n]+", row[at]) if part.strip())


def _from_csv(found: Iterator[bytes | None], region: str | None) -> Iterator[Entry]:
    rows = _rows(found)
    sample = list(islice(rows, SAMPLE))
    columns = _columns([row for row in sample if row is not None])
    return _entries(chain(sample, rows), columns, region)


def _entries(rows: Iterable[list[str] | None], columns: _Columns, region: str | None) -> Iterator[Entry]:
    header = columns.header
    for row in rows:
        if row is None:
            yield Entry("", skipped=Counter({Skip.UNREADABLE: 1}))
        elif header:
            header = False
        elif any(cell.strip() for cell in row):
            entry = _entry(columns.name(row), columns.cells(row), region)
            if not entry.numbers and not entry.skipped:
                entry.skipped[Skip.NO_NUMBER] += 1
            yield entry


def _rows(found: Iterator[bytes | None]) -> Iterator[list[str] | None]:
    """The rows; None for one that cannot be read."""
    first, begun = next(found), list[bytes | None]()
    head = "" if first is None else decode(first)
    if named := re.fullmatch(r"sep=(.)", head.strip(), re.IGNORECASE):
        delimiter = named[1]
    else:
        delimiter = max(",;\t|", key=re.sub(r'"[^"]*"?', "", head).count)
        begun = [first]
    too_long = 0

    def given() -> Iterator[str]:
        nonlocal too_long
        for line in chain(begun, found):
            if line is None:
                too_long += 1
            else:
                yield decode(line) + "\n"

    reader = csv.reader(given(), delimiter=delimiter)
    while True:
        try:
            row = next(reader, None)
        except csv.Error:
            yield None
            continue
        for _ in range(too_long):
            yield None
        too_long = 0
        if row is None:
            return
        yield row


def _columns(rows: list[list[str]]) -> _Columns:
    """Which columns hold what: by the header's words, or else by what stands in them. Raises NotAnAddressBook."""
    if not rows:
        raise NotAnAddressBook
    titles = [" ".join(cell.lower().split()) for cell in rows[0]]
    header = not any(_looks_like_a_number(cell) for cell in rows[0])
    numbers = [at for at, title in enumerate(titles) if _NUMBER.search(title) and not _NO_NUMBER.search(title)]
    if not header or not numbers:
        numbers = _by_contents(rows[1:] if header else rows)
    if not header:
        return _Columns(numbers, [[at] for at in range(len(titles)) if at not in numbers][:1], header)

    def called(names: frozenset[str]) -> list[int]:
        return [at for at, title in enumerate(titles) if title in names]

    apart = [*called(_GIVEN), *called(_MIDDLE), *called(_FAMILY)]
    return _Columns(numbers, [called(_FULL)[:1], apart, called(_COMPANY)], header)


def _by_contents(rows: list[list[str]]) -> list[int]:
    """The column of which most fields look like numbers, and at least half of those that are not empty."""
    shares: dict[int, float] = {}
    for at in range(max(map(len, rows), default=0)):
        cells = [row[at] for row in rows if at < len(row) and row[at].strip()]
        alike = sum(map(_looks_like_a_number, cells))
        if alike * 2 >= len(cells) > 0:
            shares[at] = alike
    if not shares:
        raise NotAnAddressBook
    return [max(shares, key=lambda at: shares[at])]


def _looks_like_a_number(cell: str) -> bool:
    text = cell.translate(_INVISIBLE).strip()
    return _LOOKS_LIKE_ONE.fullmatch(text) is not None and _DATE.fullmatch(text) is None
