"""`kills_unshown` and `kills_shown_twice`: receivers of a home are killed, one after the other, while they show.

Each receiver is a process of its own that runs `grue receive --json`, without a server, over a home in which messages
wait, and is killed by SIGKILL some moment after it began to show them, by a seeded choice; the last one ends by itself.
A message that no receiver wrote out is unshown; one that several did was shown twice, which each kill may cause once.

`python -m bench.kills 10000 7` runs so many kills from that seed.
"""

import asyncio
import contextlib
import json
import os
import random
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from grue.cli.shell import Shell
from grue.cli.verbs.messages import receive
from grue.client import chats
from grue.client.client import Client
from grue.client.conversations import tables
from grue.client.store.engine import Db
from grue.errors import GrueError
from grue.protocol.conversation.fallback import Route
from grue.testing import World

KILLS: Final = 10_000
SEED: Final = 12
WAITING: Final = 240
"""Messages that wait at first, and again after each `REFILL` kills: more than are shown meanwhile."""
REFILL: Final = 20
MOST_SHOWN: Final = 12
"""Lines after which one is killed, at most; and then a moment later, for a kill falls between two lines."""
LONGEST_MOMENT: Final = 0.003
"""Seconds: about what showing and noting one message takes."""
SENDER: Final = "+447700900002"

Work = Callable[[], Coroutine[Any, Any, None]]


class Outcome(NamedTuple):
    """What became of all messages."""

    kills: int
    messages: int
    unshown: int
    shown_twice: int
    """Times that a message was shown once more than once."""


def run(kills: int, seed: int) -> Outcome:
    """Kill so many receivers. Forks, so it is for a process without threads. Costs about 0.1 s a kill."""
    chosen, seen, added = random.Random(seed), list[str](), 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        os.environ["GRUE_PASSPHRASE"] = World.passphrase
        _forked(partial(_prepare, path))
        home = path / "home"
        for kill in range(kills):
            if not kill % REFILL:
                _forked(partial(_fill, home, added))
                added += WAITING
            seen += _received(home, chosen.randint(0, MOST_SHOWN), chosen.uniform(0, LONGEST_MOMENT))
        seen += _received(home, None, 0)
    return Outcome(kills, added, added - len(set(seen)), len(seen) - len(set(seen)))


async def _prepare(path: Path) -> None:
    async with World(path) as world:
        await world.person("+447700900001", "home")


async def _fill(home: Path, start: int) -> None:
    def fill(db: Db) -> None:
        chat = chats.for_number(db, SENDER)
        for n in range(start, start + WAITING):
            tables.add_incoming(db, chat.id, b"", n.to_bytes(16, "big"), str(n), Route.SMS, n)

    async with Client(home) as client:
        await client.context.store.transact(fill)


def _forked(work: Work) -> None:
    """Do this in a process of its own, so that no thread is ever here."""
    child = os.fork()
    if not child:
        _end(work)
    assert os.waitpid(child, 0)[1] == 0


def _end(work: Work) -> None:
    status = 1
    try:
        asyncio.run(work())
        status = 0
    finally:
        os._exit(status)


def _received(home: Path, lines: int | None, moment: float) -> list[str]:
    """The ids that a receiver wrote out until it was killed, so many lines and a moment later; None: it ends itself."""
    readable, writable = os.pipe()
    child = os.fork()
    if not child:
        os.close(readable)
        os.dup2(writable, sys.stdout.fileno())
        _end(partial(_receive, home))
    os.close(writable)
    written = b""
    while lines is None or written.count(b"\n") < lines:
        part = os.read(readable, 65536)
        if not part:
            break
        written += part
    if lines is not None:
        time.sleep(moment)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while select.select([readable], [], [], 0)[0] and (part := os.read(readable, 65536)):
        written += part
    os.close(readable)
    return [json.loads(line)["id"] for line in written.splitlines()]


async def _receive(home: Path) -> None:
    shell = Shell(home=home, as_json=True)
    # There is no server: what is here already is shown all the same.
    with contextlib.suppress(GrueError):
        await receive(shell=shell)


def measure() -> list[dict[str, Any]]:
    """In a process of its own: this one may have threads."""
    import subprocess

    command = [sys.executable, "-m", "bench.kills", str(KILLS), str(SEED)]
    outcome = Outcome(*json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    twice, kills = outcome.shown_twice, outcome.kills
    return [
        {"id": "kills_unshown", "value": outcome.unshown, "unit": f"of {outcome.messages:,} messages", "reach": 0},
        {"id": "kills_shown_twice", "value": twice, "unit": f"in {kills:,} kills", "reach": kills},
    ]


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), int(sys.argv[2]))))
