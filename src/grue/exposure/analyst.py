"""The analyst turns each observer's sightings into answers, in the same way for all, and counts how many are right.

The analyst is told what `Brief` says, guesses where nothing was seen, and is never told the truth.
"""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from grue.exposure.guessing import Z_95, wilson
from grue.exposure.lives import (
    DAY,
    UNKNOWN,
    Answer,
    Brief,
    Hop,
    Life,
    Question,
    Role,
    Score,
    Sighting,
    View,
)

HOUR: Final = 3600.0
NIGHT_HOURS: Final = 8
"""Hours that a night is taken to last."""
CLOSE_HOURS: Final = 1.5
"""Hours by which an answer may be off the middle of the night: one answer in eight is right by chance."""


def brief(life: Life) -> Brief:
    """What analysts of this life are told: as many strangers as contacts are among the known."""
    contacts = set(life.contacts())
    others = [one.number for one in life.people if one.number not in contacts | {life.subject}]
    coin = random.Random(f"{life.seed} brief")  # noqa: S311 -- which strangers does not matter
    strangers = coin.sample(others, min(len(others), len(contacts)))
    known = sorted([*contacts, *strangers])
    doctors = [one.number for one in life.people if one.role is Role.DOCTOR]
    return Brief(life.subject, known, doctors, life.source, life.begun, life.days)


# --- answers --------------------------------------------------------------------------------------


def answers(view: View, sightings: Sequence[Sighting], told: Brief, life: Life) -> list[Answer]:
    """Every question of one view, answered from its sightings and graded by the life. None in a life without events."""
    if not life.events:
        return []
    analyst = _Analyst(view, sightings, told)
    return [
        _contacts(view, analyst, life),
        _one(view, Question.CLOSEST, analyst.most(told.known), life.closest, len(told.known)),
        _asleep(view, analyst, life),
        _one(view, Question.DOCTOR, analyst.most(told.doctors), life.doctor, len(told.doctors)),
        _source(view, analyst, life),
    ]


class _Analyst:
    """Counts and compares; ties are broken by a coin."""

    def __init__(self, view: View, sightings: Sequence[Sighting], told: Brief) -> None:
        self.told = told
        # The same for the same view of the same life, and another for another.
        self._coin = random.Random(f"{view} {told.target} {told.begun}")  # noqa: S311
        self._sightings = [one for one in sightings if _asked_about(one, told)]
        # Where one side is not named, it is as likely anybody else as the target.
        unsure = 1 / max(len(told.known), 1)
        self._weights: defaultdict[str, float] = defaultdict(float)
        self._named: Counter[str] = Counter()
        for one in self._sightings:
            other = self.other(one)
            if other is not None:
                named = UNKNOWN not in (one.who, one.whom)
                self._weights[other] += 1.0 if named else unsure
                self._named[other] += named

    def other(self, one: Sighting) -> str | None:
        """Whom the target may have been in touch with here."""
        target = self.told.target
        if target == one.who:
            return one.whom or None
        if target == one.whom:
            return one.who or None
        return (one.whom or one.who or None) if UNKNOWN in (one.who, one.whom) else None

    def ranked(self, among: Iterable[str]) -> list[str]:
        """The most likely first."""
        return sorted(among, key=lambda number: (-self._weights[number], self._coin.random()))

    def most(self, among: Sequence[str]) -> tuple[list[str], str]:
        """Who is most likely, and why."""
        chosen = self.ranked(among)[:1]
        return chosen, self._why(chosen[0]) if chosen else "nobody is known"

    def contacts(self) -> tuple[list[str], str]:
        """The likelier half of those who are known."""
        half = self.ranked(self.told.known)[: len(self.told.known) // 2]
        named = sum(self._named[number] > 0 for number in half)
        guessed = sum(self._weights[number] == 0 for number in half)
        return half, f"{named} were seen with the target, {len(half) - named - guessed} perhaps, {guessed} are guesses"

    def asleep(self) -> tuple[float, str]:
        """The middle of the hours in which the target does least, and why."""
        slots = Counter(
            int(one.at % DAY / HOUR * 2) for one in self._sightings if one.who == self.told.target and one.spread < HOUR
        )
        if not slots:
            return self._coin.uniform(0, 24), "a guess: the target was never seen to do anything"
        span = NIGHT_HOURS * 2
        quiet = {at: sum(slots[(at + n) % 48] for n in range(span)) for at in range(48)}
        least = min(quiet.values())
        begins = [at for at in quiet if quiet[at] == least]
        middle = (_circular_mean(begins) + span / 2) / 2 % 24
        return middle, f"{least} of {slots.total()} doings of the target fall into those {NIGHT_HOURS} hours"

    def first(self, other: str) -> tuple[float, str]:
        """When the target and somebody were first seen together, and why."""
        seen = [one for one in self._sightings if self.other(one) == other]
        named = [one for one in seen if UNKNOWN not in (one.who, one.whom)]
        for found, sure in ((named, ""), (seen, ", perhaps with somebody else")):
            if found:
                one = min(found, key=lambda one: one.at)
                return one.at, f"the first {one.kind} of theirs that was seen{sure}"
        return self.told.begun + self._coin.random() * self.told.days * DAY, "a guess: they were never seen together"

    def _why(self, number: str) -> str:
        if self._named[number]:
            return f"seen with the target {self._named[number]} times"
        return "perhaps seen with the target" if self._weights[number] else "a guess"


def _circular_mean(slots: Sequence[int]) -> float:
    """The middle of some half-hours of the day."""
    x = sum(math.cos(slot / 48 * math.tau) for slot in slots)
    y = sum(math.sin(slot / 48 * math.tau) for slot in slots)
    return math.atan2(y, x) / math.tau * 48 % 48


# --- grades ---------------------------------------------------------------------------------------


def _one(view: View, question: Question, said: tuple[list[str], str], truth: str, choices: int) -> Answer:
    names, why = said
    return Answer(view, question, names, why, int(names == [truth]), 1, choices)


def _contacts(view: View, analyst: _Analyst, life: Life) -> Answer:
    said, why = analyst.contacts()
    chosen, truth, known = set(said), set(life.contacts()), analyst.told.known
    right = sum((number in truth) == (number in chosen) for number in known)
    return Answer(view, Question.CONTACTS, sorted(said), why, right, len(known), 2)


def _asleep(view: View, analyst: _Analyst, life: Life) -> Answer:
    hour, why = analyst.asleep()
    off = min((hour - life.asleep) % 24, (life.asleep - hour) % 24)
    return Answer(view, Question.ASLEEP, [f"{hour:.1f}"], why, int(off <= CLOSE_HOURS), 1, 24 / (2 * CLOSE_HOURS))


def _source(view: View, analyst: _Analyst, life: Life) -> Answer:
    at, why = analyst.first(life.source)
    truth = life.source_first()
    right = truth is not None and at // DAY == truth // DAY
    day = datetime.fromtimestamp(at, UTC).date().isoformat()
    return Answer(view, Question.SOURCE, [day], why, int(right), 1, life.days)


# --- over many lives ------------------------------------------------------------------------------


def scores(lives: Iterable[Sequence[Answer]]) -> list[Score]:
    """The share of right answers for each view and question, with intervals of 95 %, and the bits that they are."""
    grouped: dict[tuple[View, Question], list[Answer]] = {}
    for answered in lives:
        for answer in answered:
            grouped.setdefault((answer.view, answer.question), []).append(answer)
    return [_score(view, question, found) for (view, question), found in grouped.items()]


def _score(view: View, question: Question, found: Sequence[Answer]) -> Score:
    shares = [answer.right / answer.of for answer in found]
    share = sum(shares) / len(shares)
    low, high = _of_shares(shares) if question is Question.CONTACTS else wilson(round(sum(shares)), len(shares))
    choices = sum(answer.choices for answer in found) / len(found)
    return Score(
        view,
        question,
        len(found),
        share,
        low,
        high,
        1 / choices,
        bits(share, choices),
        bits(max(low, 1 / choices), choices),
        bits(max(high, 1 / choices), choices),
    )


def bits(share: float, choices: float) -> float:
    """What an answer says that is right so often, of so many that were equally likely, and is otherwise wrong in no way
    rather than another: `log2 choices` when always right, 0 at chance and below.
    """
    if choices <= 1 or share <= 1 / choices:
        return 0.0
    wrong = 1 - share
    unsure = -sum(p * math.log2(p) for p in (share, wrong) if p > 0)
    return math.log2(choices) - unsure - (wrong * math.log2(choices - 1) if wrong else 0.0)


def _of_shares(shares: Sequence[float]) -> tuple[float, float]:
    """Of shares that many people make in each life: lives count, not people, who are not independent."""
    n = len(shares)
    if n < 2:
        return 0.0, 1.0
    mean = sum(shares) / n
    half = Z_95 * math.sqrt(sum((share - mean) ** 2 for share in shares) / (n - 1) / n)
    return max(0.0, mean - half), min(1.0, mean + half)


def by_view(found: Iterable[Score]) -> Mapping[Question, dict[View, Score]]:
    """The same as a table."""
    table: defaultdict[Question, dict[View, Score]] = defaultdict(dict)
    for one in found:
        table[one.question][one.view] = one
    return table


def hops(sightings: Iterable[Sighting], told: Brief, others: Iterable[Sighting] = ()) -> list[Hop]:
    """Whom those were sighted with who were seen with the target, in the days that are asked about.

    others  sightings from elsewhere, each had of the one who did something, and so from when they were seen with the
            target: a return of an order about them
    """
    sightings = [one for one in sightings if _asked_about(one, told)]
    first: dict[str, int] = {}
    for one in sorted(sightings, key=lambda one: one.at):
        if told.target in (one.who, one.whom):
            first.setdefault(one.whom if one.who == told.target else one.who, _day(one, told))
    pairs: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for one in sightings:
        pairs[min(one.who, one.whom), max(one.who, one.whom)].append(_day(one, told))
    for one in others:
        if _asked_about(one, told):
            day = max(_day(one, told), first.get(one.who, told.days))
            pairs[min(one.who, one.whom), max(one.who, one.whom)].append(day)
    found = [
        Hop(*pair, sorted(days))
        for pair, days in pairs.items()
        if not {told.target, UNKNOWN} & set(pair) and first.keys() & set(pair)
    ]
    return sorted(found, key=lambda one: (-len(one.days), one.who, one.whom))


def _day(one: Sighting, told: Brief) -> int:
    return int((one.at - told.begun) // DAY)


def of_target(sightings: Iterable[Sighting], told: Brief) -> list[Sighting]:
    """Those of the days that are asked about that are the target's, or that leave a side open, which may be."""
    return [
        one
        for one in sightings
        if _asked_about(one, told) and (told.target in (one.who, one.whom) or UNKNOWN in (one.who, one.whom))
    ]


def _asked_about(one: Sighting, told: Brief) -> bool:
    return told.begun <= one.at < told.begun + told.days * DAY
