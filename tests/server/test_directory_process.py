"""The directory's files in a process of their own that is killed while a table is built: nothing answered is lost."""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from grue.protocol.directory.record import RECORD_BYTES
from grue.server.directory import inspection
from grue.server.directory.directory import Directory
from grue.server.keys.keys import open_keys
from grue.server.store.files import locked

pytestmark = pytest.mark.whole

RECORDS = 30_000

SAYING = """
import threading

turn = threading.Lock()

def say(*words):
    with turn:
        print(*words, flush=True)
"""

BUILD = f"""{SAYING}
import sys
from pathlib import Path
from grue.server.directory import inspection
inspection.build(Path(sys.argv[1]), None, say)
say("done")
"""

CHANGE = f"""{SAYING}
import asyncio, os, sys
from pathlib import Path
from grue.server.directory.directory import Directory
from grue.server.keys.keys import open_keys
data = Path(sys.argv[1])

async def change():
    directory = Directory(data, open_keys(data), tell=say)
    while directory.manifest.epoch < 9:
        entries = [os.urandom(128) for _ in range(100)]
        await asyncio.gather(*map(directory.put, entries))
        say("put", *(entry.hex() for entry in entries))
    await directory.close()

asyncio.run(change())
"""


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a table for private queries, that nobody has opened."""
    data = tmp_path_factory.mktemp("before") / "data"
    Directory(data, open_keys(data)).put_many(os.urandom(RECORD_BYTES) for _ in range(RECORDS))
    return data


@contextmanager
def running(code: str, data: Path) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """The code as a process, which is gone at the end, and what it prints."""
    with subprocess.Popen([sys.executable, "-c", code, str(data)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout
        finally:
            process.kill()


def copy(before: Path, tmp_path: Path) -> Path:
    data = tmp_path / "data"
    subprocess.run(["cp", "-r", str(before), str(data)], check=True)
    return data


def check(data: Path) -> None:
    """Every root and hash, made again from the files."""
    assert [one.file for one in inspection.verify(data) if one.fault is not None] == []


@pytest.fixture(scope="module")
def whole(before: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What a build that nobody kills says."""
    with running(BUILD, copy(before, tmp_path_factory.mktemp("whole"))) as (_, lines):
        return list(lines)


@pytest.mark.parametrize("seed", range(6))
def test_a_build_that_is_killed_anywhere_leaves_what_was_there(
    before: Path, whole: list[str], tmp_path: Path, seed: int
) -> None:
    assert whole[-1] == "done\n"
    data = copy(before, tmp_path)
    with running(BUILD, data) as (process, told):
        for _ in range(random.Random(seed).randrange(len(whole))):
            told.readline()
        process.kill()
    with locked(data):
        opened = Directory(data, open_keys(data))
        assert opened.manifest.epoch in (2, 3)
        assert opened.manifest.count == RECORDS
    assert not list((data / "directory").glob(".new-*"))
    check(data)


@pytest.mark.parametrize("seed", range(5))
def test_a_server_that_is_killed_while_it_makes_a_base_loses_nothing_answered(
    before: Path, tmp_path: Path, seed: int
) -> None:
    data = copy(before, tmp_path)
    dice = random.Random(seed)
    phase = ("merging", "packing", "hint")[seed % 3]
    answered: list[bytes] = []
    left = dice.randrange(1, 4)
    with running(CHANGE, data) as (process, told):
        # The first base is checked when it starts; then changes and what is made of them go on side by side.
        for line in told:
            name, *words = line.split()
            if name == "put":
                answered += map(bytes.fromhex, words)
            left -= name == phase
            if not left:
                break
        process.kill()
        assert not left
        # What it printed before the kill counts too.
        for line in told:
            if line.startswith("put") and line.endswith("\n"):
                answered += map(bytes.fromhex, line.split()[1:])
    check(data)
    opened = Directory(data, open_keys(data))
    assert answered
    assert all(opened.find(entry[:16]) == entry for entry in answered)
    entry = os.urandom(RECORD_BYTES)
    asyncio.run(opened.put(entry))
    assert opened.find(entry[:16]) == entry
    check(data)
