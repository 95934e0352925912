"""`schedules_unheard`: texts of which neither their reader nor their sender is told, over many seeded schedules.

`python -m bench.schedules 20000 1` runs so many from that seed, in as many processes as there are cores, and prints
which failed; `python -m bench.schedules --show SEED` plays one, and prints what everybody did and was told. Set
`PYTHONHASHSEED=0` for both: what a seed says then happens again, but for keys that MLS and the server draw.
"""

import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Coroutine
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar
from unittest.mock import patch

from bench import _steps
from bench._schedule import FLOOD, NUMBERS, STEPS, STRANGERS, Schedule
from bench._trial import Loop, Trial, cheaper
from grue.client.client import Client
from grue.client.conversations import requests

T = TypeVar("T")

SCHEDULES: Final = 20_000
SEED: Final = 1
MEMORY: Final = Path("/dev/shm")
"""Where there is no disk to wait for."""


async def prepare(path: Path, *, acquainted: bool) -> None:
    """Register everybody once, for all schedules: keys cost more than a schedule. Takes some 2 s."""
    async with Trial(path, random.Random(acquainted)) as trial:
        people = [await trial.person(number) for number in (*NUMBERS, *STRANGERS)][: len(NUMBERS)]
        if acquainted:
            for n, one in enumerate(people):
                for other in people[n + 1 :]:
                    await _greet(one, other)
        for client in people:
            await client.poll()


async def _greet(one: Client, other: Client) -> None:
    await one.send(other.number, "hello")
    await other.poll()
    await other.send(one.number, "hello yourself")
    await one.poll()
    await other.poll()
    for client in (one, other):
        await client.unshown()


async def play(templates: list[Path], seed: int) -> Schedule:
    """Play the schedule of one seed in a copy of a prepared world."""
    chosen = random.Random(seed)
    with tempfile.TemporaryDirectory(dir=templates[0].parent) as folder:
        path = Path(folder) / "world"
        shutil.copytree(chosen.choice(templates), path)
        async with Trial(path, chosen) as trial:
            schedule = Schedule(trial, chosen)
            await schedule.begin()
            await _steps.play(schedule, STEPS)
            return schedule


class Player:
    """Plays schedules, with worlds that it has prepared. `with` removes them."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self._templates = [Path(self._folder.name) / kind for kind in ("strangers", "acquainted")]

    def __enter__(self) -> "Player":
        for template in self._templates:
            self._run(prepare(template, acquainted=template.name == "acquainted"))
        return self

    def __exit__(self, *_error: object) -> None:
        self._folder.cleanup()

    def play(self, seed: int) -> Schedule:
        with patch.object(requests, "MAX_REQUESTS", FLOOD):
            return self._run(play(self._templates, seed))

    def _run(self, work: Coroutine[object, None, T]) -> T:
        with cheaper(), asyncio.Runner(loop_factory=Loop) as runner:
            return runner.run(work)


def _some(seeds: list[int]) -> list[tuple[int, list[str]]]:
    failed = []
    with Player() as player:
        for seed in seeds:
            try:
                faults = player.play(seed).faults()
            except Exception as error:  # noqa: BLE001 -- a schedule that breaks off has failed
                faults = [f"broke off: {type(error).__name__}: {error}"]
            if faults:
                failed.append((seed, faults))
    return failed


def run(count: int, first: int, processes: int | None = None) -> list[tuple[int, list[str]]]:
    """Play the schedules of so many seeds from one on; returns those that failed, with what was wrong."""
    processes = processes or os.cpu_count() or 1
    seeds = list(range(first, first + count))
    shares = [seeds[n::processes] for n in range(processes)]
    if processes == 1:
        return _some(seeds)
    with ProcessPoolExecutor(processes) as pool:
        return sorted(one for share in pool.map(_some, shares) for one in share)


def show(seed: int) -> None:
    with Player() as player:
        schedule = player.play(seed)
    for line in schedule.transcript:
        print(line)
    print(*schedule.faults() or ["nothing is wrong"], sep="\n")


def measure() -> list[dict[str, Any]]:
    """In a process of its own, in which the order of sets is the same every time, so that a seed says what happens."""
    import subprocess

    command = [sys.executable, "-m", "bench.schedules", str(SCHEDULES), str(SEED)]
    played = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONHASHSEED": "0"}
    )
    failed = len(json.loads(played.stdout))
    return [{"id": "schedules_unheard", "value": failed, "unit": f"of {SCHEDULES:,} schedules", "reach": 0}]


if __name__ == "__main__":
    if sys.argv[1] == "--show":
        show(int(sys.argv[2]))
    else:
        begun = time.monotonic()
        failed = run(*map(int, sys.argv[1:]))
        for seed, faults in failed:
            sys.stderr.write(f"{seed}: {'; '.join(faults)[:300]}\n")
        print(json.dumps([seed for seed, _ in failed]))
        sys.stderr.write(f"{time.monotonic() - begun:.1f} s\n")
