"""The scanner finds nothing that a server keeps, and everything that a server that leaks keeps."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import pytest

from grue.exposure.scanner.scan import NUMBER, Canary, Hit
from tests.exposure import scanned
from tests.exposure.leaks import BEGUN, CODE, LINK, Mutant
from tests.exposure.mutants import MUTANTS
from tests.exposure.scanned import DECOYS, ScannedWorld, few_key_packages, logged


@asynccontextmanager
async def running(path: Path, mutant: Mutant | None = None) -> AsyncIterator[ScannedWorld]:
    world = ScannedWorld(path)
    with logged(world.logs / "server.log"), few_key_packages(), mutant.applied(world) if mutant else nullcontext():
        await world.start()
        try:
            yield world
        finally:
            await world.close()


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


@pytest.mark.whole
@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
async def test_a_server_that_leaks_is_caught_where_it_does(tmp_path: Path, mutant: Mutant) -> None:
    async with running(tmp_path, mutant) as world:
        await (world.registrations() if mutant.at_registration else world.story())
        await world.log_cut()
        hits = world.scanned()
    assert [hit for hit in hits if is_the_leak(hit, mutant, world)], hits


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
