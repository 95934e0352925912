"""Adversaries of the swap game learn from worlds whose secret they are told, and guess the secret of others.

The adversary that guessed best while it learned is the one that counts. It is measured on worlds that neither learning
nor choosing has seen.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias

from grue.exposure.swap import Features

Z_95: Final = 1.959964
"""Standard deviations of an interval that holds the truth 95 times in 100."""

EVERYTHING: Final = "everything"


class Trial(NamedTuple):
    """One world, and its secret."""

    features: Features
    bit: bool


Guess: TypeAlias = Callable[[Features], float]
"""Above 0 for a secret of 1."""


@dataclass(frozen=True)
class Adversary:
    """One that has learned."""

    name: str
    guess: Guess

    def right(self, trials: Sequence[Trial]) -> int:
        """How many secrets it finds; undecided is half of one in the long run, and counts as a guess of 0."""
        return sum((self.guess(trial.features) > 0) is trial.bit for trial in trials)


class Advantage(NamedTuple):
    """How much better than a coin an adversary guesses: 0 is not at all, 1 always right."""

    value: float
    low: float
    high: float
    trials: int
    adversary: str

    @property
    def holds_zero(self) -> bool:
        return self.low <= 0 <= self.high


def advantage(adversary: Adversary, trials: Sequence[Trial], z: float = Z_95) -> Advantage:
    """2 P(right) - 1, with Wilson's interval of the proportion, stretched likewise."""
    right, count = adversary.right(trials), len(trials)
    low, high = wilson(right, count, z)
    return Advantage(2 * right / count - 1, 2 * low - 1, 2 * high - 1, count, adversary.name)


def wilson(right: int, count: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson's interval of a proportion (1927), which is sound for small counts and at both ends."""
    share, square = right / count, z * z / count
    middle = (share + square / 2) / (1 + square)
    reach = z / (1 + square) * math.sqrt(share * (1 - share) / count + square / count / 4)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def best(trials: Sequence[Trial]) -> Adversary:
    """Of all adversaries the one that learns best: from one half, chosen by the other, then taught both."""
    half = len(trials) // 2
    learned = _learned(trials[:half])
    if not learned:
        return Adversary("a coin: all worlds look the same", lambda _: -1.0)
    scores = {name: adversary.right(trials[half:]) for name, adversary in learned.items()}
    chosen = max(scores, key=lambda name: scores[name])
    return _learned(trials).get(chosen, learned[chosen])


def _learned(trials: Sequence[Trial]) -> dict[str, Adversary]:
    """Every adversary, by group and kind."""
    columns = _varying(trials)
    groups: dict[str, dict[str, list[float]]] = {EVERYTHING: columns} if columns else {}
    for name, values in columns.items():
        groups.setdefault(name.partition(":")[0], {})[name] = values
    bits = [trial.bit for trial in trials]
    learned = {}
    for group, mine in groups.items():
        learned[f"one number, {group}"] = _one_number(mine, bits)
        learned[f"nearest centre, {group}"] = _nearest_centre(group, mine, bits)
    return learned


def _varying(trials: Sequence[Trial]) -> dict[str, list[float]]:
    """Features that are not the same in all worlds."""
    names = sorted({name for trial in trials for name in trial.features})
    columns = {name: [trial.features.get(name, 0.0) for trial in trials] for name in names}
    return {name: values for name, values in columns.items() if min(values) != max(values)}


def _one_number(columns: Mapping[str, Sequence[float]], bits: Sequence[bool]) -> Adversary:
    """The one feature, threshold and direction that part the two kinds of worlds best."""
    name, cut = max(((name, _cut(values, bits)) for name, values in columns.items()), key=lambda one: one[1].right)
    sign = 1.0 if cut.above else -1.0
    return Adversary(f"one number: {name}", lambda found: sign * (found.get(name, 0.0) - cut.at))


class _Cut(NamedTuple):
    right: int
    at: float
    above: bool
    """Whether a secret of 1 lies above."""


def _cut(values: Sequence[float], bits: Sequence[bool]) -> _Cut:
    pairs = sorted(zip(values, bits, strict=True))
    ones = sum(bits)
    found = _Cut(-1, 0.0, above=True)
    ones_below = 0
    for below, ((value, bit), (following, _)) in enumerate(pairwise(pairs), 1):
        ones_below += bit
        if value != following:
            # Those of 1 above and those of 0 below are right, or else the others.
            right = ones - ones_below + below - ones_below
            found = max(
                found,
                _Cut(right, (value + following) / 2, True),
                _Cut(len(bits) - right, (value + following) / 2, False),
            )
    return found


def _nearest_centre(group: str, columns: Mapping[str, Sequence[float]], bits: Sequence[bool]) -> Adversary:
    """Which of the two means is nearer, each feature weighed by how little it varies within a kind of world."""
    weights: dict[str, tuple[float, float]] = {}
    for name, values in columns.items():
        sides = [[value for value, bit in zip(values, bits, strict=True) if bit is side] for side in (False, True)]
        if all(sides):
            zero, one = (sum(side) / len(side) for side in sides)
            variance = sum(
                (value - (one if bit else zero)) ** 2 for value, bit in zip(values, bits, strict=True)
            ) / len(bits)
            weights[name] = ((one - zero) / (variance + 1e-9), (one + zero) / 2)
    return Adversary(
        f"nearest centre, {group}",
        lambda found: sum(weight * (found.get(name, 0.0) - middle) for name, (weight, middle) in weights.items()),
    )
