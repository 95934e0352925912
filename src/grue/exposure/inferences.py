"""Inferences are what an analyst concludes from one view, each with its reason and with whether it is true.

The rules are few and plain, the same for every view, and follow from what a view names alone. Beside the capture, the
analyst has what anybody has: which numbers are a doctor's or a lawyer's, and, for addresses, their order in a log.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import groupby
from typing import Final

from grue.exposure.digest import OFTEN, Contact, Digest
from grue.exposure.lives import DAY, Answer, Life, Person, Question, Role
from grue.exposure.records import Return

SOON_DAYS: Final = 14
"""Days after the source's first call in which a lawyer is asked because of it."""

LEAST_AWAY: Final = 2
"""Days on end at a strange address that make a journey."""


class Rule(StrEnum):
    """By what an inference is made."""

    FIRST = "first seen in touch"
    CLIENT = "is a patient or client"
    ADVICE = "asked a lawyer because of the source"
    CLOSEST = "is the closest"
    ASLEEP = "sleeps then"
    AWAY = "was on a journey"


@dataclass(frozen=True)
class Inference:
    """One thing that an analyst would say."""

    at: float
    """Unix seconds: from when on it could be said, or the day it is about."""
    rule: Rule
    says: str
    why: str
    right: bool


def inferences(found: Digest, life: Life, returned: Return | None = None) -> list[Inference]:
    """By time. `returned` is the log of a view that holds addresses; none in a life without events."""
    if not life.events:
        return []
    reader = _Reader(found, life)
    every = [*reader.firsts(), *reader.clients(), *reader.advice(), *reader.overall()]
    if returned is not None:
        every += _journeys(returned, life)
    return sorted(every, key=lambda one: one.at)


def by_rule(found: Iterable[Inference]) -> list[tuple[Rule, int, int]]:
    """How often each rule was right, of how often it was used."""
    made: Counter[Rule] = Counter()
    right: Counter[Rule] = Counter()
    for one in found:
        made[one.rule] += 1
        right[one.rule] += one.right
    return [(rule, right[rule], made[rule]) for rule in Rule if made[rule]]


class _Reader:
    """Applies the rules to one view."""

    def __init__(self, found: Digest, life: Life) -> None:
        self._found, self._life = found, life
        self._seen = {one.number: one for one in found.contacts}
        self._people = {one.number: one for one in life.people}
        self._true_first: dict[str, float] = {}
        for event in life.events:
            if life.subject in (event.who, event.whom):
                self._true_first.setdefault(event.whom if event.who == life.subject else event.who, event.at)

    def firsts(self) -> Iterator[Inference]:
        """When the target and somebody whose number says something were first in touch."""
        for person, seen in self._listed(Role.DOCTOR, Role.LAWYER, Role.SOURCE):
            truth = self._true_first.get(person.number)
            right = truth is not None and truth // DAY == seen.first // DAY
            says = f"first in touch with {self._article(person)} {person.number}"
            yield Inference(seen.first, Rule.FIRST, says, "nothing before this names them both", right)

    def clients(self) -> Iterator[Inference]:
        for person, seen in self._listed(Role.DOCTOR, Role.LAWYER):
            if seen.often is not None:
                word = "patient" if person.role is Role.DOCTOR else "client"
                says = f"is a {word} of {person.number}"
                why = f"seen {OFTEN} times with that {person.role}'s listed number, in the end {seen.times[-1]} times"
                yield Inference(seen.often, Rule.CLIENT, says, why, person.number in self._true_first)

    def advice(self) -> Iterator[Inference]:
        """A lawyer, soon after the source."""
        source = self._seen.get(self._life.source)
        for person, seen in self._listed(Role.LAWYER) if source else ():
            assert source is not None
            if 0 <= seen.first - source.first <= SOON_DAYS * DAY:
                days = round((seen.first - source.first) / DAY)
                says = f"asked the lawyer {person.number} because of {source.number}"
                yield Inference(
                    seen.first, Rule.ADVICE, says, f"{days} days after the first call", self._advised(person)
                )

    def overall(self) -> Iterator[Inference]:
        """What all of the capture together says; nothing where it would be a guess."""
        for one in self._found.answers[-1]:
            sure = not one.why.startswith(("a guess", "perhaps"))
            if one.question is Question.CLOSEST and sure:
                yield Inference(
                    self._life.ended, Rule.CLOSEST, f"is closest to {one.said[0]}", one.why, bool(one.right)
                )
            elif one.question is Question.ASLEEP and sure:
                says = f"sleeps around {clock(one.said[0])} UTC"
                yield Inference(self._life.ended, Rule.ASLEEP, says, one.why, bool(one.right))

    def _listed(self, *roles: Role) -> Iterator[tuple[Person, Contact]]:
        for number, seen in self._seen.items():
            person = self._people.get(number)
            if person is not None and person.role in roles:
                yield person, seen

    @staticmethod
    def _article(person: Person) -> str:
        return "the suspected source" if person.role is Role.SOURCE else f"a {person.role},"

    def _advised(self, lawyer: Person) -> bool:
        source, asked = self._true_first.get(self._life.source), self._true_first.get(lawyer.number)
        return source is not None and asked is not None and 0 <= asked - source <= SOON_DAYS * DAY


def guessed(one: Answer) -> bool:
    """Whether nothing was seen that the answer could be from."""
    return one.why.startswith(("a guess", "0 were seen with the target, 0 perhaps"))


def graded(one: Answer) -> str:
    """`right`, or how many are; of a guess that it is one."""
    grade = f"{one.right} of {one.of}" if one.of > 1 else "right" if one.right else "wrong"
    return f"{grade} (guess)" if guessed(one) else grade


def clock(hour: str) -> str:
    """`18.8` as 18:48."""
    minutes = round(float(hour) * 60) % (24 * 60)
    return f"{minutes // 60:02}:{minutes % 60:02}"


# --- addresses ------------------------------------------------------------------------------------


def _journeys(returned: Return, life: Life) -> Iterator[Inference]:
    """Days on end whose every question came from an address that is neither of the two usual ones."""
    records = returned.records()
    usual = {address for address, _ in Counter(one.address for one in records).most_common(2)}
    of_day: dict[int, set[str]] = {}
    for one in records:
        of_day.setdefault(int(one.at // DAY), set()).add(one.address)
    strange = [day for day, addresses in sorted(of_day.items()) if not addresses & usual]
    for run in _runs(strange):
        if run[-1] - run[0] + 1 >= LEAST_AWAY:
            # Noon, so that a day's first or last hour at home does not count.
            away = [_abroad(life, day * DAY + DAY / 2) for day in run]
            why = f"asked on {len(run)} days, never from one of the two usual addresses"
            says = f"was away from {_date(run[0])} to {_date(run[-1])}"
            yield Inference(run[0] * DAY, Rule.AWAY, says, why, all(away))


def _runs(days: Sequence[int]) -> Iterator[list[int]]:
    """Days that follow on each other."""
    for _, run in groupby(enumerate(days), key=lambda one: one[1] - one[0]):
        yield [day for _, day in run]


def _abroad(life: Life, at: float) -> bool:
    return any(stay.begun <= at < stay.ended and stay.place.startswith("abroad") for stay in life.stays)


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * DAY, UTC).date().isoformat()
