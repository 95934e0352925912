"""Makes the homes that `test_before_groups.py` opens, with the code of the last commit before there were groups.

    git worktree add ../before 09955010cf2d62609aa2d60ded01e6ea7214be93      # and build the core there
    PYTHONPATH=../before/src python -m tests.world.before_groups FOLDER

It writes `homes_before_groups.tar.xz`, which has to be made again for no change of today's code.
"""

import asyncio
import sys
import tarfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import apsw

from grue.client.client import Client
from grue.client.conversations.tables import reading_conversations
from grue.client.store.engine import Db
from grue.client.store.home import unlock
from grue.errors import TimedOut
from grue.protocol import wire
from grue.testing import World
from grue.testing.world import BEGUN, PASSPHRASE

MADE_BY: Final = "09955010cf2d62609aa2d60ded01e6ea7214be93"
"""The last commit whose conversations have one peer."""

ARCHIVE: Final = Path(__file__).with_name("homes_before_groups.tar.xz")

ALICE, BOB, CAROL, DAVE = "+447700900001", "+447700900002", "+447700900003", "+447700900004"

HOMES: Final = (ALICE, BOB, CAROL, DAVE)

A_WEEK: Final = 7.1
"""Days, after which a device renews its leaf with what it sends."""

LEFT_AT: Final = BEGUN + A_WEEK * 86_400
"""Unix seconds that the clock showed."""


async def make(folder: Path) -> None:
    """Leave a server and four homes: with Bob all is well, Carol is being readmitted, and Dave has lost track."""
    async with World(folder) as world:
        alice, bob, carol, dave = [await world.person(number) for number in HOMES]
        for other in (bob, carol, dave):
            await alice.send(other.number, "hello")
            await other.poll()
            await other.send(ALICE, "hello")
            await alice.poll()
            await other.poll()
        for lost in (carol, dave):
            await _forget_private_keys(lost)
        await world.pass_days(A_WEEK)
        for lost in (carol, dave):
            await alice.send(lost.number, "a commit comes after this")
        await carol.poll()
        # The commit that readmits Carol is at the server, and Alice does not know it.
        world.network.lose = lambda request: isinstance(request, wire.Post) and bool(request.slots)
        with suppress(TimedOut):
            await alice.poll()
        await dave.poll()
        await bob.send(ALICE, "written before, read after")
    pack(folder, ARCHIVE, HOMES)


def pack(folder: Path, made: Path, homes: Sequence[str]) -> None:
    """The server and the homes, in an archive."""
    for path in [folder / "server" / "server.db", *(folder / number / "grue.db" for number in homes)]:
        _make_small(path)
    with tarfile.open(made, "w:xz") as archive:
        archive.add(folder, ".")


def opened(path: Path) -> apsw.Connection:
    """A database of this folder; a home's by its key."""
    connection = apsw.Connection(str(path))
    if path.name == "grue.db":
        connection.pragma("key", f"raw:{unlock(path.parent, PASSPHRASE).hex()}")
    return connection


def _make_small(path: Path) -> None:
    """Without encryption, which nothing compresses."""
    connection = opened(path)
    connection.pragma("journal_mode", "delete")
    if path.name == "grue.db":
        connection.pragma("rekey", "")
    connection.execute("VACUUM")
    connection.close()


def unpack(folder: Path, made: Path = ARCHIVE, homes: Sequence[str] = HOMES) -> None:
    """The server and the homes as they were, the homes encrypted again."""
    with tarfile.open(made) as archive:
        archive.extractall(folder, filter="data")
    for number in homes:
        path = folder / number / "grue.db"
        connection = apsw.Connection(str(path))
        connection.pragma("rekey", f"raw:{unlock(path.parent, PASSPHRASE).hex()}")
        connection.close()


async def _forget_private_keys(client: Client) -> None:
    """Drop the key pairs that open the path of somebody else's commit."""
    store = client.context.store
    for conversation, _ in await store.read(reading_conversations):
        await store.transact(_drop, b"g" + conversation.id + b"h")


def _drop(db: Db, prefix: bytes) -> None:
    assert db.execute("DELETE FROM mls WHERE key >= ? AND key < ?", prefix, prefix + b"\xff" * 64)


if __name__ == "__main__":
    asyncio.run(make(Path(sys.argv[1])))
