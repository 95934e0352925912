"""The swap game: two worlds that differ in one secret, and adversaries who guess it from the server's disk.

The real client plays against the real server, in one process. From one start, which is three clients and a server's
data, every world goes on with a secret of its own; a snapshot of the data is taken at each moment that matters.
"""

import asyncio
import random
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import apsw

from grue.client.client import Client
from grue.exposure.guessing import Advantage, Trial, advantage, best
from grue.exposure.scanner.scan import NUMBER, Canary, Scanner
from grue.exposure.scanner.surfaces import DATABASE, of_directory
from grue.exposure.swap import SEARCH, Features, features, snapshot
from grue.lab.scan import secrets_of
from grue.server.chores import sweep
from grue.server.directory.directory import record_key
from grue.server.keys.keys import open_keys
from grue.server.store.files import DATABASE as SERVER_DATABASE
from grue.testing import World

A, B, C = "A", "B", "C"
NUMBERS: Final = {A: "+447700900801", B: "+447700900802", C: "+447700900803"}
"""Kept by Ofcom for drama; these have accounts."""

X = "X"
ABSENT: Final = {X: "+447700900804"}
"""Likewise, and nobody has it."""

BEGUN: Final = 1_800_000_000.0
"""Unix seconds of the registrations."""

SETTLED_DAYS: Final = 9
"""Days from the registrations to the game: into another week, so that what is new can be told from what is old."""

TRIALS_A_START: Final = 20
"""Worlds that go on from one start: registering three people takes longer than a trial."""

TAUGHT: Final = 0.15
"""Worlds that adversaries learn from, for each that is measured."""

MIN_TAUGHT: Final = 60
"""Worlds: fewer teach little, as there are two thousand numbers to look at."""


class Moment(StrEnum):
    """When the snapshot is taken."""

    IN_FLIGHT = "in flight"
    """Done, and not fetched yet. A lookup is never in flight."""
    DONE = "done"
    """Fetched, answered, and acknowledged by everybody; the write-ahead log holds the last minute."""
    DAY = "a day later"
    """Everybody has been online again, and the server has done its chores; the log is empty."""


class Question(StrEnum):
    """What is guessed."""

    FIRST = "who, first contact"
    TEXT = "who, acquainted"
    NUMBER = "number"
    HIT = "hit"


class Result(NamedTuple):
    """How well one question was answered at one moment."""

    question: Question
    moment: Moment
    advantage: Advantage


@dataclass(frozen=True)
class Start:
    """What the worlds of one seed have in common; adversaries know all of it but the clients' homes."""

    folder: Path
    now: float
    people: Mapping[str, Sequence[bytes]]
    scanner: Scanner = field(repr=False)
    """Looks for the numbers that may have been looked up or written to."""


Clients: TypeAlias = Mapping[str, Client]

Course: TypeAlias = AsyncGenerator[Moment, None]
"""What happens in a world; it stands still at each moment that matters."""


# --- starts ---------------------------------------------------------------------------------------


async def make_start(folder: Path) -> Start:
    """Three people register, and are online again in another week."""
    async with World(folder, now=BEGUN) as world:
        clients = {name: await world.person(number, name) for name, number in NUMBERS.items()}
        await _online(clients)
        await world.pass_days(SETTLED_DAYS)
        await _online(clients)
        await _chores(world)
        now = world.clock()
    keys, secrets = open_keys(folder / "server"), secrets_of(folder / "server")
    numbers = NUMBERS | ABSENT
    people = {name: [record_key(keys, number).tag] for name, number in numbers.items()}
    scanner = Scanner([Canary(NUMBER, number) for name, number in numbers.items() if name != A], secrets)
    return Start(folder, now, people, scanner)


async def _answer(a: Client, other: Client) -> None:
    await other.poll()
    await other.unshown()
    await other.send(NUMBERS[A], "an answer")
    for client in (a, other, a):
        await client.poll()
        await client.unshown()


async def _online(clients: Clients) -> None:
    for client in clients.values():
        await client.poll()
        await client.unshown()


# --- worlds ---------------------------------------------------------------------------------------


async def _write(world: World, clients: Clients, to: str) -> Course:
    """A writes to one, who answers; everybody is online."""
    await clients[A].send(NUMBERS[to], "a text")
    yield Moment.IN_FLIGHT
    await _answer(clients[A], clients[to])
    await _online(clients)
    await _log_written(world)
    yield Moment.DONE
    await _day_later(world, clients)
    yield Moment.DAY


async def _day_later(world: World, clients: Clients) -> None:
    await world.pass_days(1)
    await _online(clients)
    await _chores(world)


async def _write_more(world: World, clients: Clients, to: str) -> Course:
    """A has written with both, with B first; a day later A writes to one of them again."""
    for name in (B, C):
        await clients[A].send(NUMBERS[name], "a text")
        await _answer(clients[A], clients[name])
    await _day_later(world, clients)
    async with aclosing(_write(world, clients, to)) as course:
        async for moment in course:
            yield moment


async def _look_up(world: World, clients: Clients, number: str) -> Course:
    (looked_up,) = await clients[A].lookup(number)
    if looked_up.error is not None:
        raise looked_up.error
    await _log_written(world)
    yield Moment.DONE


async def _chores(world: World) -> None:
    """Six hours later, at most: the server has swept, and its log is empty."""
    await sweep(world.server)
    await _log_written(world)
    await asyncio.to_thread(_cut_log, world.data)


async def _log_written(world: World) -> None:
    """A moment later: acknowledgements, which nobody waits for, are on disk."""
    await world.server.store.flush()
    await world.server.store.flush()


def _cut_log(data: Path) -> None:
    """A minute later: the write-ahead log was written back and is empty."""
    connection = apsw.Connection(str(data / SERVER_DATABASE), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    finally:
        connection.close()


class _Game(NamedTuple):
    play: Callable[[World, Clients, str], Course]
    choices: tuple[str, str]
    """What a secret of 0 and of 1 means."""
    players: tuple[str, ...]
    """Whose rows adversaries compare."""
    online: tuple[str, ...]


GAMES: Final = {
    Question.FIRST: _Game(_write, (B, C), players=(A, B, C), online=(A, B, C)),
    Question.TEXT: _Game(_write_more, (B, C), players=(A, B, C), online=(A, B, C)),
    Question.NUMBER: _Game(_look_up, (NUMBERS[B], NUMBERS[C]), players=(A, B, C), online=(A,)),
    Question.HIT: _Game(_look_up, (NUMBERS[B], ABSENT[X]), players=(A, B, X), online=(A,)),
}


async def play(
    start: Start, question: Question, bit: bool, moments: Collection[Moment] = tuple(Moment)
) -> dict[Moment, Features]:
    """One world from a start, up to the last moment that is wanted, and what can be counted on the disk at each."""
    game = GAMES[question]
    found: dict[Moment, Features] = {}
    async with _world(start) as world:
        clients = {name: await world.open(name) for name in game.online}
        async with aclosing(game.play(world, clients, game.choices[bit])) as course:
            async for moment in course:
                if moment in moments:
                    found[moment] = _seen(start, game, world.data)
                if len(found) == len(moments):
                    break
    return found


def _seen(start: Start, game: _Game, data: Path) -> Features:
    found = features(snapshot(data), {name: start.people[name] for name in game.players})
    return found | _searched(start.scanner, data) if game.play is _look_up else found


@asynccontextmanager
async def _world(start: Start) -> AsyncIterator[World]:
    with tempfile.TemporaryDirectory(prefix="grue-swap-") as scratch:
        folder = Path(scratch) / "world"
        shutil.copytree(start.folder, folder)
        async with World(folder, now=start.now) as world:
            yield world


def _searched(scanner: Scanner, data: Path) -> Features:
    """How often each number is found, in rows, files and the log, which holds all that was written since the start."""
    hits = scanner.scan(surface for surface in of_directory(data) if surface.kind != DATABASE)
    return {f"{SEARCH}: finds of {number}": count for number, count in Counter(hit.canary for hit in hits).items()}


# --- the game -------------------------------------------------------------------------------------


async def collect(question: Question, trials: int, scratch: Path, coin: random.Random) -> dict[Moment, list[Trial]]:
    """Worlds of one question, each with a secret of its own."""
    worlds: defaultdict[Moment, list[Trial]] = defaultdict(list)
    for share in _shares(trials):
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            start = await make_start(Path(folder) / "start")
            for moment, played in (await play_on(start, question, share, coin)).items():
                worlds[moment] += played
    return dict(worlds)


async def play_on(
    start: Start, question: Question, trials: int, coin: random.Random, moments: Collection[Moment] = tuple(Moment)
) -> dict[Moment, list[Trial]]:
    """Worlds of one question that go on from one start."""
    worlds: defaultdict[Moment, list[Trial]] = defaultdict(list)
    for _ in range(trials):
        bit = coin.random() < 0.5
        for moment, found in (await play(start, question, bit, moments)).items():
            worlds[moment].append(Trial(found, bit))
    return dict(worlds)


def _shares(trials: int) -> Iterator[int]:
    whole, rest = divmod(trials, TRIALS_A_START)
    yield from [TRIALS_A_START] * whole + ([rest] if rest else [])


async def run(question: Question, trials: int, seed: int = 0) -> list[Result]:
    """Let adversaries learn, and measure the best of them on `trials` worlds. Some 0.2 s a world."""
    coin = random.Random(f"{seed} {question}")  # noqa: S311 -- who guesses does not know it
    with tempfile.TemporaryDirectory(prefix="grue-swap-") as scratch:
        taught = await collect(question, max(MIN_TAUGHT, int(trials * TAUGHT)), Path(scratch), coin)
        fresh = await collect(question, trials, Path(scratch), coin)
    return [Result(question, moment, advantage(best(taught[moment]), fresh[moment])) for moment in fresh]


def run_all(trials: int, seed: int = 0) -> Iterator[Result]:
    """Every question, all at once: most of the time goes into waiting for the disk."""
    with ProcessPoolExecutor(len(Question), mp_context=get_context("spawn")) as pool:
        for results in pool.map(_run, Question, repeat(trials), repeat(seed)):
            yield from results


def _run(question: Question, trials: int, seed: int) -> list[Result]:
    return asyncio.run(run(question, trials, seed))
