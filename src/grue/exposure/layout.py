"""The layout of a contact graph is computed once, so that each person stands in the same place in every view.

The target is in the middle. Contacts stand around it in sectors by what they are, the nearer the more often the view
that has most of them sees them. Outside of them stand those whom only a contact knows.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from grue.exposure.lives import Role

SIZE: Final = 720
"""Units of the drawing on each side."""

MIDDLE: Final = SIZE / 2
NEAREST: Final = 84.0
FARTHEST: Final = 262.0
OUTSIDE: Final = 316.0
"""Distances from the middle."""

SECTORS: Final = (Role.FAMILY, Role.FRIEND, Role.WORK, Role.SERVICE, Role.DOCTOR, Role.LAWYER, Role.SOURCE)
LEAST_SECTOR: Final = 0.18
"""Radians that a sector has if only one person stands in it."""

TURN: Final = (math.sqrt(5) - 1) / 2
"""Of a sector from one person to the next: no two stand on one line."""

Point = tuple[int, int]


def chosen(counts: Mapping[str, Sequence[int]], most: int, always: Collection[str] = ()) -> dict[str, list[bool]]:
    """Who is drawn, by step: the `most` who were seen most often by then, and of `always` whoever was seen at all.

    counts  by number, sightings by step; those first who stand first where it is equal
    """
    found: defaultdict[str, list[bool]] = defaultdict(list)
    steps = len(next(iter(counts.values()), ()))
    for step in range(steps):
        seen = [number for number in counts if counts[number][step]]
        best = set(sorted(seen, key=lambda number: -counts[number][step])[:most]).union(always)
        for number in counts:
            found[number].append(number in best and counts[number][step] > 0)
    return {number: there for number, there in found.items() if any(there)}


def around(contacts: Sequence[tuple[str, Role]]) -> dict[str, Point]:
    """Places of contacts, the closest first."""
    sectors: defaultdict[Role, list[str]] = defaultdict(list)
    for number, role in contacts:
        sectors[role if role in SECTORS else Role.SERVICE].append(number)
    rank = {number: n for n, (number, _) in enumerate(contacts)}
    places: dict[str, Point] = {}
    free = math.tau - LEAST_SECTOR * len(sectors)
    at = -math.pi / 2
    for role in SECTORS:
        if not (people := sectors.get(role)):
            continue
        width = LEAST_SECTOR + free * len(people) / len(contacts)
        for n, number in enumerate(people):
            turned = at + width * (0.08 + 0.84 * ((n * TURN + 0.5) % 1))
            places[number] = _point(turned, _distance(rank[number], len(contacts)))
        at += width
    return places


def outside(reached: Iterable[tuple[str, str]], places: Mapping[str, Point]) -> dict[str, Point]:
    """Places of people beyond: `reached` are numbers, each with the contact who leads there."""
    wanted = {number: _angle(places[via]) for number, via in reached if via in places and number not in places}
    if not wanted:
        return {}
    # Evenly spread in the order of their contacts, on two rings: beside each other, and not on each other.
    spread = sorted(wanted, key=lambda number: (wanted[number], number))
    begin = wanted[spread[0]]
    return {
        number: _point(begin + math.tau * n / len(spread), OUTSIDE + 24 * (n % 2)) for n, number in enumerate(spread)
    }


def _distance(rank: int, count: int) -> float:
    # By the root, since a ring has the more room the farther out it is.
    return NEAREST + (FARTHEST - NEAREST) * math.sqrt(rank / max(count - 1, 1))


def _point(angle: float, distance: float) -> Point:
    return round(MIDDLE + distance * math.cos(angle)), round(MIDDLE + distance * math.sin(angle))


def _angle(point: Point) -> float:
    return math.atan2(point[1] - MIDDLE, point[0] - MIDDLE)
