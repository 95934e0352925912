"""`contacts sync` as a process that is killed in the middle: what reached the home is neither lost nor asked for again.

What a server answered and the home did not get yet is asked for once more, since lookups are blinded anew: at most one
request a kill.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import pytest

from grue.lab.fill import fictional_numbers, fill
from grue.protocol.directory.addressbook import BATCH, padded
from grue.server.store.files import DATABASE
from tests.cli.play import PASSPHRASE, PATIENCE, Service, Stage

pytestmark = pytest.mark.whole

LISTED = 150
BOOK = 2 * BATCH + 10
"""Numbers of an address book: two whole batches and one of 16 that is filled up."""

DYING = """
import functools, inspect, itertools, os, pkgutil, signal, sys
from grue.cli.main import main

where, time, when = sys.argv.pop(1), int(sys.argv.pop(1)), sys.argv.pop(1)
module, _, name = where.rpartition(".")
module = pkgutil.resolve_name(module)
real, calls = getattr(module, name), itertools.count(1)

def die():
    os.kill(os.getpid(), signal.SIGKILL)

@functools.wraps(real)
def dying(*arguments):
    if next(calls) < time:
        return real(*arguments)
    if when == "before":
        die()
    answer = real(*arguments)
    if not inspect.isawaitable(answer):
        die()
    return then_die(answer)

async def then_die(answer):
    await answer
    die()

setattr(module, name, dying)
main()
"""
"""The program itself, which kills itself before or after a certain call of one of its functions."""


@dataclass(frozen=True)
class Point:
    """Where a sync is killed, and what is in the home by then."""

    where: str
    time: int
    when: str
    evaluated: int
    answered: int = 0
    """Private queries; in tier 2 only."""

    def __str__(self) -> str:
        return f"{self.when} {self.where.removeprefix('grue.client.')} {self.time}"


TIER_1 = [
    Point("grue.client.people.contactsync.remember", 1, "after", 0),
    Point("grue.client.people.contactsync._evaluate", 2, "after", BATCH),
    Point("grue.client.people.contactsync.remember", 2, "after", BATCH),
    Point("grue.client.people.contactsync._check_some", 1, "after", BOOK),
    Point("grue.client.people.tables.take_news", 1, "after", BOOK),
]
TIER_2 = [
    Point("grue.client.people.contactsync._evaluate", 2, "after", BATCH),
    Point("grue.client.lookup.pir._keep", 3, "after", BOOK, 16),
    Point("grue.client.people.contactsync._check_some", 1, "after", BOOK, BOOK),
]


class Home:
    """Somebody with an address book, on a stage whose directory lists every third of its numbers."""

    def __init__(self, stage: Stage, listed: list[str], n: int) -> None:
        self._stage, self._name, self._data = stage, f"home{n}", stage.path / "server" / DATABASE
        found, others = set(listed), (number for number in fictional_numbers() if number not in listed)
        missed = iter(others)
        book = [listed[at // 3] if at % 3 == 0 else next(missed) for at in range(BOOK)]
        self.routes = {number: "encrypted" if number in found else "sms" for number in book}
        number = f"+4477009004{n:02}"
        self.grue("register", number, "--server", stage.url)
        self.grue("verify", stage.code(number))
        (stage.path / f"{self._name}.csv").write_text("Name,Phone\n" + "".join(f"P,{one}\n" for one in book))
        self.grue("contacts", "import", f"{self._name}.csv")

    def grue(self, *arguments: str) -> list[dict[str, object]]:
        outcome = self._stage.grue("--home", self._name, "--json", *arguments)
        assert outcome.code == 0, outcome
        return [json.loads(line) for line in outcome.stdout]

    def sync(self) -> tuple[object, int]:
        """Numbers that it evaluated, and tokens that the server took for it."""
        before = self.spent()
        (done,) = [line for line in self.grue("contacts", "sync") if "evaluated" in line]
        assert (done["left"], done["unknown"]) == (0, 0)
        assert {str(line["number"]): line["route"] for line in self.grue("contacts")} == self.routes
        return done["evaluated"], self.spent() - before

    def spent(self) -> int:
        with sqlite3.connect(f"file:{self._data}?mode=ro", uri=True) as db:
            return int(db.execute("SELECT count(*) FROM token_spent").fetchone()[0])

    @property
    def environment(self) -> dict[str, str]:
        return {"GRUE_HOME": str(self._stage.path / self._name), "GRUE_PASSPHRASE": PASSPHRASE}

    def killed_at(self, point: Point) -> None:
        command = [sys.executable, "-c", DYING, point.where, str(point.time), point.when, "--json", "contacts", "sync"]
        env = {**os.environ, **self.environment}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=2 * PATIENCE)
        assert done.returncode == -signal.SIGKILL, done


@pytest.fixture(scope="module", params=[1, 2], ids=["tier 1", "tier 2"])
def tier(request: pytest.FixtureRequest) -> Iterator[int]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRUE_DIRECTORY_TIER", str(request.param))
        yield request.param


@pytest.fixture(scope="module")
def stage(tier: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, list[str]]]:
    stage = Stage(tmp_path_factory.mktemp(f"killed{tier}"))
    listed = fill(stage.path / "server", LISTED)
    stage.open()
    yield stage, listed
    stage.close()


NEXT = count()


@pytest.fixture
def home(stage: tuple[Stage, list[str]]) -> Home:
    return Home(*stage, next(NEXT))


def cost(tier: int, point: Point) -> int:
    """Tokens for all that is not in the home yet."""
    evaluations = [padded(min(BATCH, BOOK - at)) for at in range(point.evaluated, BOOK, BATCH)]
    return sum(evaluations) + (BOOK - point.answered if tier == 2 else 0)


@pytest.mark.parametrize("tier", [1], ids=["tier 1"], indirect=True)
@pytest.mark.parametrize("point", TIER_1, ids=str)
def test_what_is_evaluated_is_kept_wherever_it_is_killed(tier: int, home: Home, point: Point) -> None:
    killed_and_resumed(tier, home, point)


@pytest.mark.parametrize("tier", [2], ids=["tier 2"], indirect=True)
@pytest.mark.parametrize("point", TIER_2, ids=str)
def test_what_was_retrieved_is_kept_wherever_it_is_killed(tier: int, home: Home, point: Point) -> None:
    killed_and_resumed(tier, home, point)


def killed_and_resumed(tier: int, home: Home, point: Point) -> None:
    home.killed_at(point)
    assert home.sync() == (BOOK - point.evaluated, cost(tier, point))
    assert home.sync() == (0, 0)


def test_killed_from_outside_again_and_again_it_gets_on(tier: int, home: Home) -> None:
    """Each run is killed once it has told that a batch is in, and so is at another place."""
    before, kills = home.spent(), 2
    for _ in range(kills):
        syncing = Service("--json", "contacts", "sync", env=home.environment)
        syncing.first(lambda line: line.get("progress") == BATCH or "evaluated" in line)
        # 0 if it was faster than the signal.
        assert syncing.stop(signal.SIGKILL) in (-signal.SIGKILL, 0)
    evaluated, _ = home.sync()
    # In tier 2 the second run asks for what the first has evaluated, before it evaluates more.
    batches = kills if tier == 1 else 1
    assert evaluated in range(BOOK - batches * BATCH + 1)
    assert home.sync() == (0, 0)
    once = cost(tier, Point("", 0, "", 0))
    assert once <= home.spent() - before <= once + kills * BATCH
