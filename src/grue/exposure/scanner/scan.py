"""The scanner searches what a server keeps for what it must not keep: canaries, in every form, on every surface.

A canary is something that was given to the server and that nothing else has: a number, an address, a text, a moment.
The scanner is given the server's keys, so it finds what is tagged under them too. It lets only the directory's tag of a
number pass, and the names under which codes are counted, and only in the places that docs/exposure.md lists.
"""

import ipaddress
import itertools
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias

from grue.exposure.scanner import encodings
from grue.exposure.scanner.encodings import SCALES, Forms
from grue.exposure.scanner.needles import start_of, starts_in
from grue.exposure.scanner.surfaces import MEMORY, Surface, unopened, unpacked
from grue.exposure.scanner.text_encodings import views

NUMBER: Final = "number"
ADDRESS: Final = "address"
TEXT: Final = "text"
INSTANT: Final = "instant"
NAME: Final = "name"
"""Bytes that name an account or a mailbox: no leak by themselves, but two of them together may be."""

NEAR: Final = 256
"""Bytes within which two canaries stand together, where there are no rows."""

SEPARATORS: Final = ("", " ", ",", ":", "|", "->")
"""Between two numbers that are hashed as one."""

MAX_PLACES: Final = 1000
"""Places of one needle on one surface that are looked at."""

THE_SAME: Final = frozenset({("hexadecimal", "packed digits")})
"""Encodings of a form that are another form: digits, two in a byte, are in hexadecimal the number's text."""

MIN_CODE: Final = 5
"""Digits: shorter integers are days and counts."""


class Canary(NamedTuple):
    """One thing to look for."""

    kind: str
    value: str
    """For an instant, Unix seconds; for a name, hexadecimal."""

    def __str__(self) -> str:
        return self.value


def canary(written: str) -> Canary:
    """What somebody typed: +NUMBER, an address, an instant as ISO 8601 or @SECONDS, or else a text."""
    if written.startswith("+") and written[1:].isdecimal():
        return Canary(NUMBER, written)
    try:
        return Canary(ADDRESS, str(ipaddress.ip_address(written)))
    except ValueError:
        pass
    try:
        moment = float(written[1:]) if written.startswith("@") else datetime.fromisoformat(written).timestamp()
        return Canary(INSTANT, repr(moment))
    except ValueError:
        return Canary(TEXT, written)


def name(data: bytes) -> Canary:
    """An identifier, of which pairs are looked for."""
    return Canary(NAME, data.hex())


class Together(NamedTuple):
    """Two canaries that must not stand together."""

    one: Canary
    other: Canary
    rows_only: bool = False
    """Not where there are no rows: both are keys of one table, so that neighbours say nothing."""

    def __str__(self) -> str:
        return f"{self.one} and {self.other}"


Derive: TypeAlias = Callable[[str], dict[str, bytes]]
"""What the server's keys make of a text, each under its name; `TAG`, `COUNTED` and `ASKED` among them."""

Label: TypeAlias = Callable[[str], list[bytes]]
"""What the server makes MACs of for a text, with what it puts before and after it."""


@dataclass(frozen=True)
class Secrets:
    """What the server holds and makes tags with."""

    keys: dict[str, bytes] = field(default_factory=dict, repr=False)
    """By their names."""
    derive: Derive = field(default=lambda _: {}, repr=False)
    label: Label = field(default=lambda _: [], repr=False)


class Hit(NamedTuple):
    """Something was found."""

    canary: str
    form: str
    surface: str
    """What kind of place it is: one of `surfaces`."""
    where: str

    @property
    def at_rest(self) -> bool:
        return self.surface != MEMORY


class _Mark(NamedTuple):
    canary: Canary
    form: str


class _Found(NamedTuple):
    mark: _Mark
    offset: int


class Scanner:
    """Made once for some canaries; scans any number of surfaces."""

    def __init__(
        self, canaries: Iterable[Canary], secrets: Secrets | None = None, together: Iterable[Together] = ()
    ) -> None:
        """Every two of the numbers are a pair; `together` are further ones."""
        self._secrets = secrets or Secrets()
        alone = list(dict.fromkeys(canaries))
        numbers = [one for one in alone if one.kind == NUMBER]
        pairs = [Together(one, other) for one, other in itertools.combinations(numbers, 2)]
        self._pairs = [*pairs, *together]
        self._by_start: dict[int, list[tuple[bytes, _Mark]]] = {}
        for one in dict.fromkeys([*alone, *(one for pair in self._pairs for one in (pair.one, pair.other))]):
            self._add(one, self._forms(one))
        for pair in pairs:
            self._add(Canary("pair", str(pair)), self._pair_forms(pair))
        self._values = _exact_values(alone)
        self.unopened: dict[str, None] = {}
        """Packed streams that were met and could not be opened, by their places."""
        self._instants = [(int(float(one.value)), one) for one in alone if one.kind == INSTANT]

    def scan(self, surfaces: Iterable[Surface]) -> list[Hit]:
        """Everything that is found on the surfaces, and in what is packed there; what is alike once."""
        hits: dict[Hit, None] = {}
        for outer in surfaces:
            for surface in itertools.chain([outer], unpacked(outer)):
                self.unopened.update(dict.fromkeys(unopened(surface)))
                hits.update(dict.fromkeys(self._on(surface)))
        return list(hits)

    # --- what is searched for ---------------------------------------------------------------------

    def _add(self, one: Canary, forms: Forms) -> None:
        marks = {form: _Mark(one, form) for form in forms.values()}
        for needle, form in forms.items():
            self._by_start.setdefault(start_of(needle), []).append((needle, marks[form]))

    def _forms(self, one: Canary) -> Forms:
        match one.kind:
            case "number":
                return encodings.number_forms(one.value) | self._keyed(encodings.number_as_hashed(one.value), one.value)
            case "address":
                inputs = encodings.address_as_hashed(one.value)
                return encodings.address_forms(one.value) | self._keyed(inputs, one.value)
            case "instant":
                return encodings.instant_forms(float(one.value))
            case "name":
                return encodings.identifier_forms(bytes.fromhex(one.value))
            case _:
                return encodings.text_forms(one.value) | self._keyed([one.value.encode()], one.value)

    def _keyed(self, inputs: Iterable[bytes], text: str) -> Forms:
        """Tags under the server's keys; what its directory's key makes of it, and hashes and tags of that."""
        forms = encodings.keyed([*inputs, *self._secrets.label(text)], self._secrets.keys)
        for label, value in self._secrets.derive(text).items():
            forms |= encodings.keyed([value], self._secrets.keys)
            forms |= encodings.hash_forms(value)
            forms |= encodings.digest_forms(label, value)
        return forms

    def _pair_forms(self, pair: Together) -> Forms:
        """Hashes and tags of two numbers in one."""
        joined = [
            between.join(form(number) for number in order).encode()
            for order in ((pair.one.value, pair.other.value), (pair.other.value, pair.one.value))
            for between in SEPARATORS
            for form in (str, lambda number: number.lstrip("+"))
        ]
        forms = encodings.keyed(joined, self._secrets.keys)
        for data in joined:
            forms |= encodings.hash_forms(data)
        return forms

    # --- searching --------------------------------------------------------------------------------

    def _on(self, surface: Surface) -> Iterator[Hit]:
        found = list(self._search(surface.data))
        for mark, offset in found:
            part = surface.part(offset)
            # A tag is let pass as the bytes that it is, where it belongs, and in no other dress.
            if mark.canary.kind != NAME and mark.form not in part.holds:
                yield Hit(str(mark.canary), mark.form, part.kind or surface.kind, part.where)
        yield from self._pairs_in(surface, found)
        yield from self._values_in(surface)

    def _search(self, data: bytes) -> Iterator[_Found]:
        yield from self._search_bytes(data)
        for view in views(data):
            for mark, at in self._search_bytes(view.data):
                if (view.encoding, mark.form) not in THE_SAME:
                    yield _Found(_Mark(mark.canary, f"{mark.form}, {view.encoding}"), view.place(at))

    def _search_bytes(self, data: bytes) -> Iterator[_Found]:
        for start in starts_in(data, self._by_start.keys()):
            for needle, mark in self._by_start[start]:
                at = data.find(needle)
                for _ in range(MAX_PLACES):
                    if at < 0:
                        break
                    yield _Found(mark, at)
                    at = data.find(needle, at + 1)

    def _pairs_in(self, surface: Surface, found: Sequence[_Found]) -> Iterator[Hit]:
        places: defaultdict[Canary, list[int]] = defaultdict(list)
        for mark, offset in found:
            if mark.form not in surface.part(offset).holds:
                places[mark.canary].append(offset)
        for pair in self._pairs:
            if surface.rows or not pair.rows_only:
                met = _meeting(surface, places.get(pair.one, ()), places.get(pair.other, ()))
                if met is not None:
                    part = surface.part(met)
                    yield Hit(str(pair), "together", part.kind or surface.kind, part.where)

    def _values_in(self, surface: Surface) -> Iterator[Hit]:
        """What is too short to be searched for in bytes, where it is all of a value."""
        for offset, value in surface.values:
            for one, form in [*self._values.get(value, ()), *self._clock(value)]:
                part = surface.part(offset)
                yield Hit(str(one), form, part.kind or surface.kind, part.where)

    def _clock(self, value: object) -> Iterator[tuple[Canary, str]]:
        if isinstance(value, int | float):
            for seconds, one in self._instants:
                yield from (
                    (one, f"a time in {unit}, value") for unit, scale in SCALES.items() if value // scale == seconds
                )


def _meeting(surface: Surface, some: Iterable[int], others: Iterable[int]) -> int | None:
    """Where one of the first stands together with one of the second, if anywhere."""
    others = sorted(others)
    if surface.rows:
        groups = {surface.part(at).group for at in others}
        return next((at for at in some if surface.part(at).group in groups), None)
    for at in some:
        near = others[bisect_left(others, at - NEAR) : bisect_right(others, at + NEAR)]
        if any(surface.part(other).group == surface.part(at).group for other in near):
            return at
    return None


def _exact_values(canaries: Iterable[Canary]) -> dict[object, list[tuple[Canary, str]]]:
    values: defaultdict[object, list[tuple[Canary, str]]] = defaultdict(list)
    for one in canaries:
        digits = one.value.lstrip("+")
        match one.kind:
            case "number":
                for length in (len(digits), 10, 9):
                    values[int(digits[-length:])].append((one, "integer, value"))
            case "address":
                packed, integers = encodings.address_values(one.value)
                for value in (*packed, *integers):
                    values[value].append((one, "packed, value"))
            case "text" if digits.isdecimal() and len(digits) > MIN_CODE:
                values[int(digits)].append((one, "integer, value"))
    return dict(values)
