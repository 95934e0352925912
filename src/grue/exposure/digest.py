"""A digest gives one view of a life as numbers: whom the view names, when, and what each further day adds.

Every count stands for some days from the beginning of the life: `steps` are the days, and each later one holds all of
the ones before, as the snapshots of an order that is extended do.
"""

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from msgspec.structs import replace

from grue.exposure.analyst import HOUR, answers
from grue.exposure.lives import DAY, UNKNOWN, Answer, Answers, Brief, Hop, Life, Shown, Sighting, View

STEPS: Final = (1, 25, 30, 60, 90)
"""Days. 25 and 30 are how long such logs are documented to be kept, and each further 30 is an order extended."""

MOST_BARS: Final = 61
"""Spans into which a life is cut for a time line: enough to see a week of a year."""

OFTEN: Final = 3
"""Sightings from which on two people are taken to know each other."""

HOURS: Final = 24
WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class Contact:
    """Somebody whom a view names together with the target."""

    number: str
    first: float
    """Unix seconds."""
    often: float | None
    """When they were seen together for the `OFTEN`th time."""
    times: tuple[int, ...]
    """Sightings by step."""
    true: int
    """How often they really were in touch: lookups, texts and calls of the whole life."""

    def since(self) -> int:
        """The first step in which they are seen."""
        return next(step for step, times in enumerate(self.times) if times)


@dataclass(frozen=True)
class Pair:
    """A contact, and somebody else with whom the contact was seen."""

    near: str
    away: str
    """Numbers."""
    times: tuple[int, ...]
    """Sightings by step, once the contact is known as one."""

    def since(self) -> int:
        """The first step in which they are seen."""
        return next(step for step, times in enumerate(self.times) if times)


@dataclass(frozen=True)
class Digest:
    """One view of one life."""

    view: View
    records: int
    """In the capture, whoever they are about."""
    steps: tuple[int, ...]
    """Days."""
    named: tuple[int, ...]
    """Sightings that name the target and somebody, by step."""
    unnamed: tuple[int, ...]
    """Sightings that leave one side open, by step."""
    contacts: list[Contact]
    """Most often seen first."""
    heat: list[list[list[int]]]
    """By step, weekday and hour (UTC): sightings that name the target, whose hour is known."""
    bars: list[tuple[int, ...]]
    """For each span of `span` days, by step, sightings that name the target: a step may end within a span."""
    span: int
    answers: list[list[Answer]]
    """By step."""
    pairs: list[Pair]
    """The second hop, most often seen first."""

    def reached(self, step: int) -> int:
        """How many people are named up to a step."""
        return sum(one.times[step] > 0 for one in self.contacts)


def steps_of(days: int) -> tuple[int, ...]:
    """The steps of a life so long: those that are shorter than it, and all of it."""
    return (*(step for step in STEPS if step < days), days)


def digest(shown: Shown, told: Brief, life: Life) -> Digest:
    """Some 4 us for each sighting and step."""
    steps = steps_of(told.days)
    tally = _Tally(told, steps)
    for one in sorted(shown.sightings, key=lambda one: one.at):
        tally.add(one)
    truth = _true_times(life)
    contacts = [
        Contact(number, tally.first[number], tally.often.get(number), _summed(counts), truth.get(number, 0))
        for number, counts in tally.contacts.items()
    ]
    return Digest(
        shown.view,
        shown.records,
        steps,
        _summed(tally.named),
        _summed(tally.unnamed),
        sorted(contacts, key=lambda one: (-one.times[-1], one.first, one.number)),
        tally.heat_by_step(),
        [_summed(counts) for counts in tally.bars],
        tally.span,
        [answers(shown.view, shown.sightings, replace(told, days=days), life) for days in steps],
        list(_pairs(shown.hops, {one.number: one.since() for one in contacts}, steps)),
    )


def _pairs(hops: Iterable[Hop], since: Mapping[str, int], steps: Sequence[int]) -> Iterator[Pair]:
    """Of two contacts the one stands first who is known first."""
    last = len(steps)
    for hop in hops:
        near, away = sorted((hop.who, hop.whom), key=lambda number: since.get(number, last))
        known = since.get(near, last)
        times = tuple(
            bisect_left(hop.days, days) if step >= known else 0 for step, days in enumerate((*steps[:-1], math.inf))
        )
        if times[-1]:
            yield Pair(near, away, times)


def digests(found: Answers, life: Life) -> list[Digest]:
    """Every view that was kept."""
    return [digest(shown, found.brief, life) for shown in found.views]


def span_of(days: int) -> int:
    """Days of one bar of a time line."""
    return -(-days // MOST_BARS)


def step_at(at: float, begun: float, steps: Sequence[int]) -> int:
    """The first step that holds a moment; of one after the end the last."""
    return min(bisect_left(steps, (at - begun) // DAY + 1), len(steps) - 1)


@dataclass
class _Tally:
    """Counts by the step in which each sighting is first held."""

    told: Brief
    steps: tuple[int, ...]
    named: list[int] = field(init=False)
    unnamed: list[int] = field(init=False)
    contacts: defaultdict[str, list[int]] = field(init=False)
    first: dict[str, float] = field(default_factory=dict)
    often: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.named, self.unnamed = [0] * len(self.steps), [0] * len(self.steps)
        self.contacts = defaultdict(lambda: [0] * len(self.steps))
        self._heat = [[[0] * HOURS for _ in WEEKDAYS] for _ in self.steps]
        self.span = span_of(self.told.days)
        self.bars = [[0] * len(self.steps) for _ in range(-(-self.told.days // self.span))]

    def add(self, one: Sighting) -> None:
        told = self.told
        if not told.begun <= one.at < told.begun + told.days * DAY:
            return
        step = step_at(one.at, told.begun, self.steps)
        if told.target in (one.who, one.whom):
            self.bars[int((one.at - told.begun) // DAY) // self.span][step] += 1
            if one.spread < HOUR:
                # 1 January 1970 was a Thursday.
                self._heat[step][(int(one.at // DAY) + 3) % 7][int(one.at % DAY / HOUR)] += 1
        if UNKNOWN in (one.who, one.whom):
            self.unnamed[step] += 1
            return
        self.named[step] += 1
        other = one.whom if one.who == told.target else one.who
        self.contacts[other][step] += 1
        # Sightings come by time.
        self.first.setdefault(other, one.at)
        if other not in self.often and sum(self.contacts[other]) == OFTEN:
            self.often[other] = one.at

    def heat_by_step(self) -> list[list[list[int]]]:
        """Each step with all before it."""
        columns = [[_summed(step[day][hour] for step in self._heat) for hour in range(HOURS)] for day in range(7)]
        return [[[cell[step] for cell in day] for day in columns] for step in range(len(self.steps))]


def _summed(counts: Iterable[int]) -> tuple[int, ...]:
    return tuple(accumulate(counts))


def _true_times(life: Life) -> dict[str, int]:
    """How often the subject was in touch with each."""
    found: defaultdict[str, int] = defaultdict(int)
    for one in life.events:
        if life.subject in (one.who, one.whom):
            found[one.whom if one.who == life.subject else one.who] += 1
    return dict(found)
