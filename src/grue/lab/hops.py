"""The second hop: who else is in touch with whom, read from what each observer was given."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from grue.exposure.captures import Event
from grue.exposure.digest import Hop, Hops
from grue.exposure.lives import UNKNOWN, Kind, Life, Sighting, View, load, load_lines, save
from grue.exposure.records import CallDetail, Passed
from grue.exposure.views import from_both, from_carrier, from_relay, from_server
from grue.lab.seen import CAPTURES

Record = TypeVar("Record", bound=msgspec.Struct)

FILE: Final = "hops.json"

KEPT: Final = 2000
"""Pairs that are kept of each view."""


def hops(folder: Path, life: Life, *, anew: bool = False) -> Hops:
    """From the file of an earlier call, or from the captures; that takes some seconds for a year, and is kept then.

    The classic directory's second hop is what orders about each contact would return, one by one.
    """
    if anew:
        return _read(folder / CAPTURES, life)
    try:
        return load(folder / FILE, Hops)
    except (OSError, msgspec.DecodeError):
        found = _read(folder / CAPTURES, life)
    try:
        save(folder / FILE, found)
    except OSError:
        # A folder that may only be read is read anew each time.
        return found
    return found


def _read(where: Path, life: Life) -> Hops:
    def lines(name: str, kind: type[Record]) -> list[Record]:
        path = where / f"{name}.jsonl.gz"
        return list(load_lines(path, kind)) if path.exists() else []

    relayed = lines("live-oblivious", Event)
    passed = lines("relay", Passed)
    seen: dict[View, Iterable[Sighting]] = {
        View.CLASSIC: asked(life),
        View.CARRIER: from_carrier(lines("carrier", CallDetail)),
        View.DIRECT: from_server(lines("live-direct", Event)),
        View.OBLIVIOUS: from_server(relayed),
        View.RELAY: from_relay(passed, {one.address: one.number for one in life.people}),
        View.COLLUDING: from_both(relayed, passed),
    }
    return Hops({view: pairs(sightings, life.subject) for view, sightings in seen.items()})


def asked(life: Life) -> list[Sighting]:
    """What orders about everybody would return."""
    return [Sighting(one.at, Kind.LOOKUP, one.who, one.whom) for one in life.events if one.kind is Kind.LOOKUP]


def pairs(sightings: Iterable[Sighting], target: str) -> list[Hop]:
    """Who was seen with whom, but for the target; the pairs seen most often first."""
    seen = Counter(
        (min(one.who, one.whom), max(one.who, one.whom))
        for one in sightings
        if UNKNOWN not in (one.who, one.whom) and target not in (one.who, one.whom) and one.who != one.whom
    )
    ordered = sorted(seen.items(), key=lambda one: (-one[1], one[0]))
    return [Hop(*pair, times) for pair, times in ordered[:KEPT]]
