"""The scanner finds nothing that a server keeps, and everything that a server that leaks keeps."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from grue.exposure.scan import NUMBER, Canary, Hit
from tests.exposure.scanned import DECOYS, ScannedWorld, few_key_packages, logged


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[ScannedWorld]:
    world = ScannedWorld(path)
    with logged(world.logs / "server.log"), few_key_packages():
        await world.start()
        try:
            yield world
        finally:
            await world.close()


async def test_nothing_is_at_rest_at_any_time(tmp_path: Path) -> None:
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
