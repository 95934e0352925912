"""Data of the exposure lab: a life as it was, what observers sighted of it, and what an analyst answers.

Everything here is JSON on disk (`docs/exposure-lab.md` has the files), and the report is made from it.
"""

import gzip
from collections.abc import Iterable, Iterator
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

import msgspec

DAY: Final = 86_400
"""Seconds."""

UNKNOWN: Final = ""
"""Somebody who takes part, and whom the observer cannot name."""


class View(StrEnum):
    """What somebody holds who asks who a person is in touch with."""

    CLASSIC = "classic"
    """The return of an order: the log of a directory that is asked number by number."""
    CARRIER = "carrier"
    REST = "grue, at rest"
    DIRECT = "grue, live, direct"
    OBLIVIOUS = "grue, live, oblivious"
    RELAY = "relay"
    COLLUDING = "two servers colluding"
    NETWORK_DIRECT = "network near the target, direct"
    NETWORK_OBLIVIOUS = "network near the target, oblivious"
    CONTACT = "contact"
    RECORDER = "dial-number recorder"
    RADIO = "radio interceptor"
    DIRECTORY = "directory"
    GATEWAY = "gateway"
    TOKENS = "token issuer"
    REST_DAILY = "grue, at rest, looked at daily"
    """Over many lives only: a year of days would be a capture that is larger than all others."""


WHOLE: Final = (
    View.CLASSIC,
    View.CARRIER,
    View.REST,
    View.DIRECT,
    View.OBLIVIOUS,
    View.RELAY,
    View.COLLUDING,
)
"""Views that a report shows with their records, graphs and hours; the others stand beside them in what compares all."""


class Role(StrEnum):
    """What somebody is to the person whose life it is."""

    SUBJECT = "subject"
    FAMILY = "family"
    FRIEND = "friend"
    WORK = "work"
    DOCTOR = "doctor"
    LAWYER = "lawyer"
    SOURCE = "source"
    SERVICE = "service"
    STRANGER = "stranger"


class Kind(StrEnum):
    """What happened, or was sighted."""

    LOOKUP = "lookup"
    """A complete number was typed, whether or not anything followed."""
    TEXT = "text"
    """A message, which goes encrypted to who has Grue and by SMS to everybody else."""
    CALL = "call"
    """By telephone, in every world: Grue carries no calls."""
    ACTIVE = "active"
    """Sighted only: somebody did something, with whom is not seen."""


class Person(msgspec.Struct, frozen=True):
    """Somebody in the life, or near it."""

    number: str
    name: str
    role: Role
    grue: bool
    """Whether the number is registered."""
    address: str
    """The network address at home."""


class Event(msgspec.Struct, frozen=True):
    """One thing that somebody did."""

    at: float
    """Unix seconds."""
    kind: Kind
    who: str
    whom: str
    """Numbers."""
    seconds: int = 0
    """Length of a call."""
    text: str = ""


class Stay(msgspec.Struct, frozen=True):
    """Where the subject was, and so from which network address."""

    begun: float
    ended: float
    place: str
    address: str


class Life(msgspec.Struct, frozen=True):
    """The truth of one seed."""

    seed: int
    begun: float
    """Unix seconds of the first midnight, UTC, which is local time here."""
    days: int
    subject: str
    people: list[Person]
    """The subject first. Strangers are in touch among themselves, and never with the subject."""
    events: list[Event]
    """By time."""
    stays: list[Stay]
    """By time, without gaps."""
    asleep: float
    """The hour, 0 to 24, in the middle of the subject's nights."""
    closest: str
    doctor: str
    source: str
    """Numbers; empty in a life without events."""

    @property
    def ended(self) -> float:
        return self.begun + self.days * DAY

    def contacts(self) -> list[str]:
        """Numbers of everybody with whom the subject was in touch."""
        found = {one.whom if one.who == self.subject else one.who for one in self.events if self._touches(one)}
        return sorted(found)

    def source_first(self) -> float | None:
        """When the source first called or wrote."""
        return next((one.at for one in self.events if self._touches(one) and self.source in (one.who, one.whom)), None)

    def _touches(self, one: Event) -> bool:
        return self.subject in (one.who, one.whom)


class Sighting(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one record of a capture says to who reads it: the same shape for every observer."""

    at: float
    """Unix seconds."""
    kind: Kind
    who: str = UNKNOWN
    whom: str = UNKNOWN
    """Numbers; `UNKNOWN` where the record does not name them."""
    spread: float = 0.0
    """Seconds after `at` in which it may have been."""


class Brief(msgspec.Struct, frozen=True):
    """What every analyst is told, whatever they hold."""

    target: str
    known: list[str]
    """Numbers of everybody who may be a contact; half of them are."""
    doctors: list[str]
    source: str
    """The number that is suspected."""
    begun: float
    days: int


class Question(StrEnum):
    """What is asked of a capture."""

    CONTACTS = "who are the contacts"
    CLOSEST = "who is the closest"
    ASLEEP = "when asleep"
    DOCTOR = "which doctor"
    SOURCE = "when did the source first call"


class Answer(msgspec.Struct, frozen=True):
    """What an analyst says, and how right it was."""

    view: View
    question: Question
    said: list[str]
    """Numbers; an hour of the day; a date."""
    why: str
    right: int
    of: int
    """For contacts one for each known person, otherwise 1."""
    choices: float
    """Equally likely answers before anything was seen: one in so many is right by chance."""


class Score(msgspec.Struct, frozen=True):
    """One view's answers to one question over many seeds; the interval is of 95 %."""

    view: View
    question: Question
    seeds: int
    share: float
    low: float
    high: float
    chance: float
    bits: float
    bits_low: float
    bits_high: float
    """Bits learned by an answer; of `log2(choices)` that there are."""


class Hop(msgspec.Struct, frozen=True):
    """Two people who were sighted together, neither of them the target, and one of them sighted with the target."""

    who: str
    whom: str
    """Numbers, in their order; whoever began."""
    days: list[int]
    """One for each time that they were sighted together, in order: the day of the life on which it could be known."""


class Shown(msgspec.Struct, frozen=True):
    """One view of one life, as the report shows it."""

    view: View
    records: int
    """In the capture, whoever they are about."""
    sightings: list[Sighting]
    """By time, of the days that are asked about: the target's, and those that leave a side open, which may be."""
    answers: list[Answer]
    hops: list[Hop] = []
    """The second hop of the contact graph."""


class Answers(msgspec.Struct, frozen=True):
    """`answers.json`: everything that a report needs beside `life.json`."""

    brief: Brief
    views: list[Shown]
    scores: list[Score] = []
    """Over more seeds; empty unless they were played."""


# --- files ----------------------------------------------------------------------------------------

Record = TypeVar("Record", bound=msgspec.Struct)

BLOCK: Final = 512
"""Lines that are packed at a time: each time costs as much as packing several."""


def save(path: Path, one: msgspec.Struct) -> None:
    path.write_bytes(msgspec.json.encode(one) + b"\n")


def load(path: Path, kind: type[Record]) -> Record:
    """Raises msgspec.DecodeError."""
    return msgspec.json.decode(path.read_bytes(), type=kind)


def save_lines(path: Path, records: Iterable[msgspec.Struct]) -> None:
    """One record a line, packed."""
    encode = msgspec.json.Encoder().encode
    lines = (encode(record) + b"\n" for record in records)
    with gzip.open(path, "wb", compresslevel=1) as file:
        while block := b"".join(islice(lines, BLOCK)):
            file.write(block)


def load_lines(path: Path, kind: type[Record]) -> Iterator[Record]:
    """What `save_lines` wrote, as far as it goes: of a file that was cut short, every whole line."""
    decoder = msgspec.json.Decoder(kind)
    with gzip.open(path, "rb") as file:
        while True:
            try:
                line = file.readline()
                if not line.endswith(b"\n"):
                    return
                record = decoder.decode(line)
            except (EOFError, OSError, msgspec.DecodeError):
                return
            yield record
