"""Makes the homes that `test_before_pieces.py` opens, with the code of the last commit that stored trees whole.

    git worktree add ../before 96a91cc5     # and build the core there
    PYTHONPATH=../before/src python -m tests.world.before_pieces FOLDER

It writes `homes_before_pieces.tar.xz`, which has to be made again for no change of today's code.
"""

import asyncio
import sys
from pathlib import Path
from typing import Final

from grue.testing import World
from grue.testing.world import BEGUN
from tests.world.before_groups import pack

MADE_BY: Final = "96a91cc1b52cc4cccfe4f2e68d6d4275a3be2e2e"
"""The last commit that stored a group's tree and its message secrets whole."""

ARCHIVE: Final = Path(__file__).with_name("homes_before_pieces.tar.xz")

HOMES: Final = ("+447700900001", "+447700900002", "+447700900003")

A_WEEK: Final = 7.1
"""Days, after which a device renews its leaf with what it sends."""

LEFT_AT: Final = BEGUN + A_WEEK * 86_400
"""Unix seconds that the clock showed."""


async def make(folder: Path) -> None:
    """Leave a group of three that is some epochs old, with a commit and texts that Bob has not read."""
    async with World(folder) as world:
        alice, bob, carol = [await world.person(number) for number in HOMES]
        for other in (bob, carol):
            await alice.send(other.number, "hello")
            await other.poll()
            await other.send(alice.number, "hello")
            await alice.poll()
        group = (await alice.groups.create("Hike", bob.number, carol.number)).id
        for description in ("one", "two", "three"):
            for member in (bob, carol, alice):
                await member.poll()
            await carol.send(group, f"before {description}")
            await alice.groups.describe(group, description)
        for member in (bob, carol, alice, bob):
            await member.poll()
        await world.pass_days(A_WEEK)
        await alice.send(group, "a commit comes after this")
        await carol.poll()
        await carol.send(group, "written before, read after")
    pack(folder, ARCHIVE, HOMES)


if __name__ == "__main__":
    asyncio.run(make(Path(sys.argv[1])))
