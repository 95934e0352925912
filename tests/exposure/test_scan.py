"""The scanner finds nothing that a server keeps, and everything that a server that leaks keeps."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from grue.exposure.scanner.scan import NUMBER, Canary, Hit
from tests.exposure import scanned
from tests.exposure.leaks import BEGUN, CODE, LINK, Mutant
from tests.exposure.mutants import MUTANTS
from tests.exposure.scanned import DECOYS, ScannedWorld, few_key_packages, logged
from tests.often import WEEKLY


@asynccontextmanager
async def running(path: Path, *mutants: Mutant) -> AsyncIterator[ScannedWorld]:
    world = ScannedWorld(path)
    with ExitStack() as stack:
        stack.enter_context(logged(world.logs / "server.log"))
        stack.enter_context(few_key_packages())
        for mutant in mutants:
            stack.enter_context(mutant.applied(world))
        async with world:
            yield world


@pytest.mark.whole
async def test_nothing_is_at_rest_at_any_time(tmp_path: Path) -> None:
    """Numbers, codes, texts and times. This server is given no address: `tests/lab/test_scan.py` has one that is."""
    found: dict[str, list[Hit]] = {}
    async with running(tmp_path) as world:
        await world.story()
        found["in flight"] = world.scanned()
        await world.acknowledged()
        found["acknowledged"] = world.scanned()
        await world.day_later()
        found["a day later"] = world.scanned()
    found["the process has ended"] = world.scanned()
    assert {when: hits for when, hits in found.items() if hits} == {}
    assert world.scanned([Canary(NUMBER, decoy) for decoy in DECOYS]) == []


# --- leaks on purpose -----------------------------------------------------------------------------


ALONE: Final = {
    "number in an exception's text",
    "number in an account's id",
    "sender of an envelope",
    "time of an envelope",
    "attachment in the clear",
    "row deleted without wiping",
    "page freed without wiping",
    "log never cut",
}
"""Leaks that change what the server does, or a table of its own. The others only add, and do not see each other."""

SHADOWED: Final = {
    "number as an integer LE",
    "MD5 of a number, cut",
    "SHA-3 of the national form",
    "HMAC of both numbers",
}
"""Leaks whose hits could be another's too, by the name of their form; they are among themselves."""


def worlds() -> list[list[Mutant]]:
    """Which leaks share a world, since a world takes longer than a leak; in `.ci/weekly` each has its own."""
    groups: list[list[Mutant]] = []
    for mutant in MUTANTS:
        fitting = (group for group in groups if all(can_share(mutant, other) for other in group))
        group = None if WEEKLY else next(fitting, None)
        if group is None:
            groups.append([mutant])
        else:
            group.append(mutant)
    return groups


def can_share(one: Mutant, other: Mutant) -> bool:
    """Whether each of two leaks is found where the other is not, and neither keeps the other from leaking."""
    if {one.name, other.name} & ALONE or (one.name in SHADOWED) != (other.name in SHADOWED):
        return False
    return one.at_registration == other.at_registration and one[2:] != other[2:]


@pytest.mark.whole
@pytest.mark.parametrize("mutants", worlds(), ids=lambda mutants: f"{mutants[0].name} {len(mutants)}")
async def test_a_server_that_leaks_is_caught_where_it_does(tmp_path: Path, mutants: list[Mutant]) -> None:
    async with running(tmp_path, *mutants) as world:
        await (world.registrations() if mutants[0].at_registration else world.story())
        await world.log_cut()
        hits = world.scanned()
    caught = {leak.name for hit in hits for leak in leaks_of(hit, mutants, world)}
    assert [mutant.name for mutant in mutants if mutant.name not in caught] == [], hits


def leaks_of(hit: Hit, mutants: list[Mutant], world: ScannedWorld) -> list[Mutant]:
    """Which leak made a hit: the one that is described most closely, as a text in base64 is a text as well."""
    fitting = [mutant for mutant in mutants if is_the_leak(hit, mutant, world)]
    return sorted(fitting, key=lambda mutant: len(mutant.where + mutant.form))[-1:]


def is_the_leak(hit: Hit, mutant: Mutant, world: ScannedWorld) -> bool:
    sought = {
        CODE: world.codes,
        LINK: [str(pair) for pair in world.together],
        BEGUN: [repr(scanned.BEGUN)],
    }.get(mutant.canary, [mutant.canary])
    return (
        hit.canary in sought
        and hit.surface == mutant.surface
        and mutant.where in hit.where
        and mutant.form in hit.form
        and hit.at_rest
    )


def test_the_mutants_are_many_and_none_is_there_twice() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 30
