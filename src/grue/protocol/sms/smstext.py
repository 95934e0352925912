"""Text as SMS carries it: alphabets, parts, and joining parts again.

Source: 3GPP TS 23.038 (alphabets), TS 23.040 9.2.3.24 (concatenation), SMPP 3.4 5.2.19 (`data_coding`). Septets are
carried one to an octet, as SMPP does. Time is passed in. Whatever comes from a carrier decodes to something:
what cannot be read becomes U+FFFD.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from grue.errors import TooLarge

GSM: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
# The default alphabet, by code.

ESCAPE: Final = 0x1B
"""Stands for no character in the default alphabet, but for one of `EXTENSION` with the code after it."""
EXTENSION: Final[Mapping[int, str]] = {
    0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|", 0x65: "€",
}  # fmt: skip

GSM_CODES: Final[Mapping[str, bytes]] = {
    **{character: bytes([code]) for code, character in enumerate(GSM) if code != ESCAPE},
    **{character: bytes([ESCAPE, code]) for code, character in EXTENSION.items()},
}
UNREADABLE: Final = "\N{REPLACEMENT CHARACTER}"

DEFAULT_ALPHABET: Final = 0x00
BINARY: Final = frozenset({0x02, 0x04})
UCS2: Final = 0x08
CODECS: Final[Mapping[int, str]] = {
    0x01: "ascii", 0x03: "latin-1", 0x05: "shift_jis", 0x06: "iso8859-5", 0x07: "iso8859-8", 0x08: "utf-16-be",
    0x0A: "iso2022_jp", 0x0D: "shift_jisx0213", 0x0E: "euc_kr",
}  # fmt: skip
"""Python's names of the other alphabets of SMPP 3.4 5.2.19."""

MAX_OCTETS: Final = 140
"""Octets of one SMS on the radio: 70 UCS-2 characters."""

MAX_SEPTETS: Final = 160
"""Characters of the default alphabet in as many octets; an extended one counts as two."""

UDH_OCTETS: Final = 6
"""User data header of a part with an 8-bit reference: 7 septets."""
PART_SEPTETS: Final = 153
"""Septets left beside it."""

PART_OCTETS: Final = MAX_OCTETS - UDH_OCTETS
"""Octets left beside it: 67 UCS-2 characters."""

MAX_PARTS: Final = 10
"""Parts of an SMS that we send: more are not joined by every carrier and handset."""

CONCATENATION_8: Final = 0x00
"""The information element that says which part this is; ours have this one."""

CONCATENATION_16: Final = 0x08
"""The same with a reference of two octets; other senders use it."""


# --- alphabets ------------------------------------------------------------------------------------


def alphabet_of(data_coding: int) -> int | None:
    """Reduce a `data_coding` to one of `DEFAULT_ALPHABET`, `CODECS` or, for what is not text, None.

    0x10-0x3F and 0xF0-0xFF are GSM message classes (SMPP 3.4 5.2.19, TS 23.038 section 4): their alphabet is in
    two bits, or one.
    """
    if data_coding & 0xF0 == 0xF0:
        return None if data_coding & 0x04 else DEFAULT_ALPHABET
    if 0x10 <= data_coding <= 0x3F:
        return (DEFAULT_ALPHABET, None, UCS2, DEFAULT_ALPHABET)[(data_coding >> 2) & 3]
    if data_coding in BINARY:
        return None
    return data_coding if data_coding in CODECS else DEFAULT_ALPHABET


def decode(data: bytes, alphabet: int) -> str:
    """Read octets in one of the alphabets; total."""
    if alphabet in CODECS:
        return data.decode(CODECS[alphabet], "replace")
    characters = []
    codes = iter(data)
    for code in codes:
        if code == ESCAPE:
            # Where there is no extension the code counts for itself, and a second escape is a space (6.2.1.1).
            code = next(codes, ESCAPE)
            characters.append(EXTENSION.get(code) or _basic(code, " "))
        else:
            characters.append(_basic(code, UNREADABLE))
    return "".join(characters)


def _basic(code: int, otherwise: str) -> str:
    return GSM[code] if code < len(GSM) and code != ESCAPE else otherwise


# --- out: text to parts ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """One `short_message` as it goes into a PDU."""

    data: bytes
    data_coding: int
    has_udh: bool


def split(text: str, reference: int) -> list[Part]:
    """Cut a text into the parts that go out, in order; a short one is a single part without a header.

    The default alphabet when it has every character, else UCS-2 (as UTF-16, which handsets read). Neither an
    escape nor a surrogate pair is torn. SMS-03: raises TooLarge for more than `MAX_PARTS`.
    """
    units = [GSM_CODES.get(character, b"") for character in text]
    if all(units):
        coding, whole, room = DEFAULT_ALPHABET, MAX_SEPTETS, PART_SEPTETS
    else:
        units = [character.encode("utf-16-be", "replace") for character in text]
        coding, whole, room = UCS2, MAX_OCTETS, PART_OCTETS
    if sum(map(len, units)) <= whole:
        return [Part(b"".join(units), coding, has_udh=False)]
    bodies = _fill(units, room)
    if len(bodies) > MAX_PARTS:
        raise TooLarge(f"(it takes {len(bodies)} SMS parts; {MAX_PARTS} are joined again)")
    header = bytes([UDH_OCTETS - 1, CONCATENATION_8, 3, reference & 0xFF, len(bodies)])
    return [Part(header + bytes([n]) + body, coding, has_udh=True) for n, body in enumerate(bodies, start=1)]


def _fill(units: list[bytes], room: int) -> list[bytes]:
    """Pack whole characters into bodies of at most `room` octets."""
    bodies: list[bytearray] = [bytearray()]
    for unit in units:
        if len(bodies[-1]) + len(unit) > room:
            bodies.append(bytearray())
        bodies[-1] += unit
    return [bytes(body) for body in bodies]


# --- in: parts to text ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Concatenation:
    """Which part of which message: `index` counts from 1."""

    reference: int
    total: int
    index: int

    @property
    def sane(self) -> bool:
        return 1 <= self.index <= self.total and self.total > 1


def read_udh(data: bytes) -> tuple[Concatenation | None, bytes]:
    """Take a user data header off; total. A header that makes no sense is skipped as far as it says it goes."""
    end = 1 + data[0] if data else 0
    header, body = data[1:end], data[end:]
    found = None
    while len(header) >= 2:
        element, length = header[0], header[1]
        value, header = header[2 : 2 + length], header[2 + length :]
        if element == CONCATENATION_8 and len(value) == 3:
            found = Concatenation(value[0], value[1], value[2])
        elif element == CONCATENATION_16 and len(value) == 4:
            found = Concatenation(int.from_bytes(value[:2], "big"), value[2], value[3])
    return (found if found and found.sane else None), body


JOIN_SECONDS: Final = 600
"""Parts that lack a companion for so long are given out as they are: carriers send parts together."""

MAX_PART: Final = 254
"""Octets of a part, as `short_message` has them; what is longer is no part."""

MAX_JOINING: Final = 256
"""Messages whose parts are kept in memory, 255 of `MAX_PART` each at most; then the oldest goes out unfinished."""

MAX_UNSETTLED: Final = 256
"""Messages given out and not stored yet; then new ones have to wait at the carrier."""

MAX_JOINED: Final = 256
"""Finished messages remembered, so that a part sent again after a lost acknowledgement is no new message."""

MISSING: Final = "[…]"
"""Stands where a part did not come."""

Key = tuple[str, str, int, int]
"""Sender, destination, reference, total. References come round again: the parts themselves decide what is the same."""

Fragment = tuple[bytes, int]
"""A part's octets, and their alphabet."""


@dataclass
class _Joining:
    since: float
    parts: dict[int, Fragment] = field(default_factory=dict)


@dataclass(frozen=True)
class _Joined:
    at: float
    parts: Mapping[int, int]
    """Hashes, keyed anew in every process: the text is not kept."""


@dataclass(frozen=True)
class Joined:
    """A text that is whole, or as whole as it will get. `Joiner.settle` it."""

    sender: str = field(repr=False)
    to: str = field(repr=False)
    text: str = field(repr=False)
    key: Key = field(repr=False)


class Held(Enum):
    TAKEN = "taken"
    """The part is kept, or was before: the carrier may forget it."""
    BUSY = "busy"
    """It is not: the carrier has to bring it again."""


class Joiner:
    """Puts parts together again, whatever their order, in bounded memory.

    A message that is given out is kept until `settle` says whether it is stored: if not, its last part comes again.
    """

    def __init__(self, *, patience: float = JOIN_SECONDS) -> None:
        self._patience = patience
        self._joining: dict[Key, _Joining] = {}
        self._given: dict[Key, _Joining] = {}
        self._joined: OrderedDict[Key, _Joined] = OrderedDict()

    def add(self, sender: str, to: str, part: Concatenation, data: bytes, alphabet: int, now: float) -> Joined | Held:
        """Take one part; the whole message when this completes it."""
        key, fragment = (sender, to, part.reference, part.total), (data, alphabet)
        if self._is_repeated(key, part.index, fragment, now):
            return Held.TAKEN
        if key in self._given or len(self._given) >= MAX_UNSETTLED:
            return Held.BUSY
        joining = self._joining.setdefault(key, _Joining(now))
        joining.parts[part.index] = fragment
        return self._give(key) if len(joining.parts) == part.total else Held.TAKEN

    def settle(self, message: Joined, stored: bool, now: float) -> None:
        """Stored: forget the parts, and know them when they come again. Not stored: keep them."""
        given = self._given.pop(message.key)
        if not stored:
            self._joining[message.key] = given
            return
        self._joined.pop(message.key, None)
        self._joined[message.key] = _Joined(now, {index: hash(part) for index, part in given.parts.items()})
        if len(self._joined) > MAX_JOINED:
            self._joined.popitem(last=False)

    def overdue(self, now: float) -> list[Joined]:
        """What has waited too long, or is too much, with a mark for what is missing. Ask after every `add`."""
        surplus = len(self._joining) - MAX_JOINING
        late = [
            key
            for place, (key, joining) in enumerate(self._joining.items())
            if place < surplus or now - joining.since >= self._patience
        ]
        return [self._give(key) for key in late]

    def _is_repeated(self, key: Key, index: int, fragment: Fragment, now: float) -> bool:
        done = self._joined.get(key)
        return bool(done and now - done.at < self._patience and done.parts.get(index) == hash(fragment))

    def _give(self, key: Key) -> Joined:
        joining = self._given[key] = self._joining.pop(key)
        sender, to, _, total = key
        return Joined(sender, to, _text(joining.parts, total), key)


def _text(parts: Mapping[int, Fragment], total: int) -> str:
    alphabets = {alphabet for _, alphabet in parts.values()}
    if len(parts) == total and len(alphabets) == 1:
        # Joined before decoding: other senders do tear escapes and surrogate pairs.
        return decode(b"".join(parts[index][0] for index in range(1, total + 1)), alphabets.pop())
    return "".join(decode(*parts[index]) if index in parts else MISSING for index in range(1, total + 1))
