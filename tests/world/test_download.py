"""Files of the directory that are larger than one part: what has come stays, and a download goes on where it was."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from grue.client.client import Client
from grue.client.lookup import directory as own_directory
from grue.errors import BadDirectory, Unreachable
from grue.protocol.conversation.fallback import Route
from grue.protocol.directory.record import RECORD_BYTES
from grue.testing import World
from tests.world.memory import ALICE, NOBODY

PART = 2 * RECORD_BYTES


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A world of tier 1 in which two records are as large as a part gets."""
    monkeypatch.setenv("GRUE_DIRECTORY_TIER", "1")
    monkeypatch.setattr(own_directory, "PART", PART)
    async with World(tmp_path) as world:
        yield world


async def grown(world: World, records: int = 6) -> None:
    for _ in range(records):
        await world.server.directory.put(os.urandom(RECORD_BYTES))


async def an_overlay(world: World, _client: Client) -> str:
    await grown(world)
    return "1/overlay/7"


async def a_base(world: World, client: Client) -> str:
    await grown(world)
    world.server.directory.renew()
    await client.directory.start_over()
    return "2/base"


async def an_ended_overlay(world: World, _client: Client) -> str:
    await grown(world)
    world.server.directory.renew()
    return "1/overlay/7"


FILES = pytest.mark.parametrize("prepare", [an_overlay, a_base, an_ended_overlay])


@FILES
async def test_a_file_that_breaks_off_goes_on_where_it_was(
    world: World, prepare: Callable[[World, Client], Awaitable[str]]
) -> None:
    alice = await world.person(ALICE)
    path = await prepare(world, alice)
    shares: list[float | None] = []

    def breaking(asked: str, file: bytes) -> bytes:
        if asked == path:
            shares.append(alice.directory.fetched)
            if len(shares) == 2:
                raise Unreachable
        return file

    world.network.change_file = breaking
    world.network.trace.clear()
    (looked_up,) = await alice.lookup(NOBODY)
    assert isinstance(looked_up.error, Unreachable)
    assert (await alice.lookup(NOBODY))[0].route is Route.SMS
    # One part came, the second broke off, and the second to the last came later.
    starts = [0, PART, PART, 2 * PART, 3 * PART]
    ends = [PART, 2 * PART, 2 * PART, 3 * PART, 7 * RECORD_BYTES]
    asked = [name for name, _ in world.network.trace if name.startswith(path)]
    assert asked == [f"{path}[{start}:{end}]" for start, end in zip(starts, ends, strict=True)]
    assert shares == [start / (7 * RECORD_BYTES) for start in starts]
    assert alice.directory.fetched is None
    assert await alice.context.store.read(lambda db: db.rows("SELECT 1 FROM part")) == []


async def test_the_end_of_an_epoch_and_the_next_base_do_not_throw_each_other_away(world: World) -> None:
    alice = await world.person(ALICE)
    await grown(world)
    world.server.directory.renew()
    broken = [False]

    def breaking(asked: str, file: bytes) -> bytes:
        if asked == "2/base" and not broken[0] and alice.directory.fetched:
            broken[0] = True
            raise Unreachable
        return file

    world.network.change_file = breaking
    world.network.trace.clear()
    for route in (Route.UNKNOWN, Route.SMS):
        assert (await alice.lookup(NOBODY))[0].route is route
    asked = [name for name, _ in world.network.trace]
    assert len([name for name in asked if name.startswith("1/overlay/")]) == 4
    assert [name for name in asked if name.startswith("2/base[0:")] == [f"2/base[0:{PART}]"]


@FILES
async def test_a_part_of_another_length_is_refused_and_not_gone_on_with(
    world: World, prepare: Callable[[World, Client], Awaitable[str]]
) -> None:
    # The client would ask for what follows, and so be known again by the length that it alone was given.
    alice = await world.person(ALICE)
    path = await prepare(world, alice)
    world.network.change_file = lambda asked, file: file[: PART + 5] if asked == path else file
    world.network.trace.clear()
    (looked_up,) = await alice.lookup(NOBODY)
    assert isinstance(looked_up.error, BadDirectory)
    assert [name for name, _ in world.network.trace if name.startswith(path)] == [
        f"{path}[0:{PART}]",
        f"{path}[{PART}:{2 * PART}]",
    ]
    world.network.change_file = lambda _path, file: file
    assert (await alice.lookup(NOBODY))[0].route is Route.SMS


async def test_parts_of_an_overlay_that_has_grown_since_are_thrown_away(world: World) -> None:
    alice = await world.person(ALICE)
    await grown(world)
    asked: list[str] = []

    def breaking(path: str, file: bytes) -> bytes:
        asked.append(path)
        if asked.count("1/overlay/7") == 3 or asked.count("1/overlay/8") == 2:
            asked.clear()
            raise Unreachable
        return file

    world.network.change_file = breaking
    for more in (0, 1):
        await grown(world, more)
        assert (await alice.lookup(NOBODY))[0].route is Route.UNKNOWN
    kept = await alice.context.store.read(lambda db: db.rows("SELECT path, count(*) FROM part GROUP BY path"))
    assert kept == [("1/overlay/8", 1)]


async def test_the_rest_of_a_file_may_come_at_once(world: World) -> None:
    # As from a cache that knows no parts: what has come before is not put in front of the whole.
    alice = await world.person(ALICE)
    await grown(world)
    broken = [False]

    def breaking(path: str, file: bytes) -> bytes:
        if path == "1/overlay/7" and alice.directory.fetched and not broken[0]:
            broken[0] = world.network.whole = True
            raise Unreachable
        return file

    world.network.change_file = breaking
    assert (await alice.lookup(NOBODY))[0].route is Route.UNKNOWN
    assert (await alice.lookup(NOBODY))[0].route is Route.SMS
    assert alice.directory.fetched is None
