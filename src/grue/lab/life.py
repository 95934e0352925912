"""A synthetic person's year is made from a seed: with whom, when, and from where. Observers are to find that out.

Nobody lives it, and its numbers belong to nobody. This module alone says what a life is like: nights at any hour (so
that knowing people tells nothing of this one), a partner who is closest, one of twelve doctors, a lawyer, a source who
calls one day, work, journeys; and as many strangers as contacts, in touch among themselves.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from grue.errors import UsageError
from grue.exposure.lives import DAY, Event, Kind, Life, Person, Role, Stay
from grue.lab.fill import numbers

BEGUN: Final = 1_799_884_800.0
"""Unix seconds: a midnight, and the beginning of a week as the server counts them."""

HOUR: Final = 3600.0
NIGHT_HOURS: Final = 8.0
DOCTORS: Final = 12
"""In the town; one is the subject's."""
LEAST_CONTACTS: Final = 8
"""Partner, doctor, lawyer and source among them."""

TALK_EVENTS: Final = 4.75
"""Events of a talk, on average: a lookup, and texts, or a call."""
OWN_SHARE: Final = 0.75
"""Of all events that are the subject's; the rest are other people's among themselves."""
GRUE_SHARE: Final = 0.6
"""Of ordinary people who have Grue. Partner, doctors, lawyer and source have it, so that it is about them that Grue's
observers are asked."""

TEXTS: Final = (
    "On my way.", "Call me when you can.", "Thursday at four?", "Did it arrive?", "Yes.", "Not today.", "Thank you!",
    "The same as last time.", "Let us talk tonight.", "I have the papers.", "Please keep this to yourself.",
)  # fmt: skip
"""What they say does not matter here: nobody reads it but who is meant, and an SMS's carriers."""

NAMES: Final = {Role.FAMILY: "Relative", Role.FRIEND: "Friend", Role.WORK: "Colleague", Role.SERVICE: "Shop"}


@dataclass(frozen=True)
class Shape:
    """How large a life is."""

    days: int = 365
    contacts: int = 300
    events: int = 30_000
    """About; 0 gives a life in which nothing happens."""

    def check(self) -> None:
        """Raises UsageError."""
        if self.days < 1 or self.events < 0 or self.contacts < LEAST_CONTACTS:
            raise UsageError(f"A life has a day and {LEAST_CONTACTS} contacts at least, and no fewer events than none.")


YEAR: Final = Shape()
WEEK: Final = Shape(days=7, contacts=12, events=400)


def generate(seed: int, shape: Shape = YEAR) -> Life:
    """The life of a seed: the same seed and shape, the same life. Some 10 us an event. Raises UsageError."""
    shape.check()
    coin = random.Random(f"{seed} life")  # noqa: S311 -- it is to be the same for the same seed
    people = _people(seed, shape, coin)
    asleep = round(coin.uniform(0, 24), 2)
    stays = list(_stays(people[0].address, asleep, shape.days, coin))
    if not shape.events:
        return Life(seed, BEGUN, shape.days, people[0].number, people, [], stays, asleep, "", "", "")
    writer = _Writer(people, asleep, shape, coin)
    events = sorted(writer.events(), key=lambda event: event.at)
    partner, doctor, source = (one.number for one in (writer.partner, writer.doctor, writer.source))
    return Life(seed, BEGUN, shape.days, people[0].number, people, events, stays, asleep, partner, doctor, source)


# --- people ---------------------------------------------------------------------------------------


def _people(seed: int, shape: Shape, coin: random.Random) -> list[Person]:
    """The subject, its contacts, and as many strangers, of whom some are the other doctors."""
    roles = [Role.SUBJECT, Role.FAMILY, Role.DOCTOR, Role.LAWYER, Role.SOURCE]
    ordinary = shape.contacts - len(roles) + 1
    roles += coin.choices((Role.FAMILY, Role.WORK, Role.FRIEND, Role.SERVICE), (5, 30, 45, 20), k=ordinary)
    strangers = max(shape.contacts, DOCTORS)
    roles += [Role.DOCTOR] * (DOCTORS - 1) + [Role.STRANGER] * (strangers - DOCTORS + 1)
    taken = numbers(len(roles), seed)
    return [
        Person(number, _name(role, n), role, _has_grue(role, n, coin), _address(n))
        for n, (number, role) in enumerate(zip(taken, roles, strict=True))
    ]


def _name(role: Role, n: int) -> str:
    if n == 1:
        return "Partner"
    return f"{NAMES.get(role, role.value.capitalize())} {n}" if n else "The subject"


def _has_grue(role: Role, n: int, coin: random.Random) -> bool:
    return n < 2 or role in (Role.DOCTOR, Role.LAWYER, Role.SOURCE) or coin.random() < GRUE_SHARE


def _address(n: int, place: int = 0) -> str:
    """Of the range that is kept for documents (RFC 3849)."""
    return f"2001:db8:{place:x}:{n:x}::1"


# --- places ---------------------------------------------------------------------------------------


def _stays(home: str, asleep: float, days: int, coin: random.Random) -> Iterator[Stay]:
    """At home, at work on five days in seven, and away on some journeys."""
    wakes = (asleep + NIGHT_HOURS / 2) * HOUR
    away: dict[int, int] = {}
    for journey in range(1, days // 90 + 2):
        first = coin.randrange(days)
        away |= dict.fromkeys(range(first, min(first + coin.randint(2, 8), days)), journey)
    at = BEGUN
    for day in range(days):
        ends = BEGUN + (day + 1) * DAY
        leaves, returns = (BEGUN + day * DAY + (wakes + hours * HOUR) % DAY for hours in (1.5, 10))
        if day in away:
            yield Stay(at, ends, f"abroad {away[day]}", _address(away[day], 0xA0))
        elif day % 7 < 5 and leaves < returns:
            yield Stay(at, leaves, "home", home)
            yield Stay(leaves, returns, "work", _address(0, 0xB0))
            yield Stay(returns, ends, "home", home)
        else:
            yield Stay(at, ends, "home", home)
        at = ends


# --- what happens ---------------------------------------------------------------------------------


class _Writer:
    """Writes the events of one life, talk by talk."""

    def __init__(self, people: Sequence[Person], asleep: float, shape: Shape, coin: random.Random) -> None:
        self._subject, self.partner, self.doctor, self.lawyer, self.source = people[:5]
        self._coin = coin
        self._asleep = asleep
        self._days = shape.days
        self._events = shape.events
        self._contacts = people[1 : shape.contacts + 1]
        self._others = people[shape.contacts + 1 :]
        self.source_day = coin.randrange(int(0.3 * shape.days), max(int(0.9 * shape.days), 1))

    def events(self) -> Iterator[Event]:
        yield from self._source_appears()
        yield from self._own()
        yield from self._among_others()

    def _own(self) -> Iterator[Event]:
        ordinary = [one for one in self._contacts if one not in (self.source, self.lawyer)]
        # A quarter is the partner's; the rest falls off, as it does with people.
        weights = [0.0 if one is self.partner else 1 / (rank + 3) for rank, one in enumerate(ordinary)]
        weights[0] = sum(weights) / 3
        talks = max(int(self._events * OWN_SHARE / TALK_EVENTS) - len(ordinary), 0)
        chosen = [*ordinary, self.doctor, *self._coin.choices(ordinary, weights, k=talks)]
        for n, other in enumerate(chosen):
            # Each contact is written to once at least; later it is anybody's turn.
            yield from self._talk_of_ours(other, self._coin.randrange(self._days), n < len(ordinary))

    def _source_appears(self) -> Iterator[Event]:
        """The source calls; the subject looks the number up, writes, and asks a lawyer some days later."""
        at = self._awake(self.source_day)
        yield Event(at, Kind.CALL, self.source.number, self._subject.number, self._coin.randrange(40, 900))
        yield from self._talk(self._subject, self.source, at + 1200)
        for day in range(self.source_day + 1, self._days, max(self._days // 60, 1)):
            yield from self._talk_of_ours(self.source, day, self._coin.random() < 0.5)
        for day in range(min(self.source_day + 2, self._days - 1), self._days, max(self._days // 12, 1)):
            yield from self._talk_of_ours(self.lawyer, day, True)

    def _talk_of_ours(self, other: Person, day: int, begins: bool) -> Iterator[Event]:
        if begins or self._coin.random() < 0.6:
            at = self._awake(day)
            if self._coin.random() < 0.15:
                yield self._call(self._subject, other, at)
            yield from self._talk(self._subject, other, at + 60)
            return
        at = self._at(day, self._coin.uniform(0, 24))
        if self._is_night(at):
            # It is answered when the subject has slept.
            yield Event(at, Kind.LOOKUP, other.number, self._subject.number)
            yield self._text(other, self._subject, at + 9)
        elif self._coin.random() < 0.15:
            yield self._call(other, self._subject, at)
        else:
            yield from self._talk(other, self._subject, at)

    def _talk(self, begins: Person, answers: Person, at: float) -> Iterator[Event]:
        """Somebody types a number; mostly texts go to and fro then, and sometimes nothing follows."""
        yield Event(at, Kind.LOOKUP, begins.number, answers.number)
        if self._coin.random() < 0.05:
            return
        writer, reader = begins, answers
        for _ in range(self._coin.randint(2, 7)):
            at += self._coin.uniform(8, 120)
            yield self._text(writer, reader, at)
            if self._coin.random() < 0.7:
                writer, reader = reader, writer

    def _among_others(self) -> Iterator[Event]:
        """Contacts and strangers among themselves: a second hop, other people's patients, and a crowd."""
        everybody = [*self._contacts, *self._others]
        doctors = [one for one in everybody if one.role is Role.DOCTOR]
        pairs = [(self._coin.choice(self._others), doctor) for doctor in doctors for _ in range(2)]
        pairs += [(one, self._coin.choice(everybody)) for one in everybody]
        pairs = [(a, b) for a, b in pairs if a is not b]
        talks = int(self._events * (1 - OWN_SHARE) / TALK_EVENTS)
        weights = [1 / (rank + 3) for rank in range(len(pairs))]
        self._coin.shuffle(pairs)
        for a, b in [*pairs, *self._coin.choices(pairs, weights, k=max(talks - len(pairs), 0))][: max(talks, 1)]:
            at = self._at(self._coin.randrange(self._days), self._coin.uniform(0, 23.5))
            yield from self._talk(a, b, at) if self._coin.random() < 0.9 else [self._call(a, b, at)]

    def _text(self, who: Person, whom: Person, at: float) -> Event:
        return Event(at, Kind.TEXT, who.number, whom.number, text=self._coin.choice(TEXTS))

    def _call(self, who: Person, whom: Person, at: float) -> Event:
        return Event(at, Kind.CALL, who.number, whom.number, int(self._coin.expovariate(1 / 240)) + 5)

    # --- hours ------------------------------------------------------------------------------------

    def _at(self, day: int, hour: float) -> float:
        return round(BEGUN + day * DAY + hour * HOUR, 3)

    def _awake(self, day: int) -> float:
        """A moment of that day at which the subject is awake, for a talk that ends before the night."""
        while True:
            at = self._at(day, self._coin.uniform(0, 23.2))
            if not self._is_night(at) and not self._is_night(at + HOUR):
                return at

    def _is_night(self, at: float) -> bool:
        hour = (at - BEGUN) % DAY / HOUR
        return min((hour - self._asleep) % 24, (self._asleep - hour) % 24) < NIGHT_HOURS / 2
