"""The bot in the README is run as it stands there, as a process of its own, and answers."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import DEVNULL
from pathlib import Path

import pytest

from grue.testing import PASSPHRASE
from tests.world.memory import ALICE, BOB
from tests.world.processes import ProcessWorld, eventually

pytestmark = pytest.mark.whole

README = Path(__file__).parents[2] / "README.md"


def bot() -> str:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    return str(code)


def test_the_bot_has_about_ten_lines() -> None:
    assert len([line for line in bot().splitlines() if line.strip()]) <= 10


async def test_the_bot_of_the_readme_answers(tmp_path: Path) -> None:
    world = ProcessWorld(tmp_path)
    await world.start()
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await bob.close()
    environment = {**os.environ, "GRUE_HOME": str(tmp_path / BOB), "GRUE_PASSPHRASE": PASSPHRASE}
    running = await asyncio.create_subprocess_exec(sys.executable, "-c", bot(), env=environment, stderr=DEVNULL)
    try:
        await alice.send(BOB, "hello bot")
        assert await eventually(alice, ["You wrote: hello bot"]) == ["You wrote: hello bot"]
        await alice.send(BOB, "and again")
        assert await eventually(alice, ["You wrote: and again"]) == ["You wrote: and again"]
    finally:
        running.terminate()
        await running.wait()
        await world.close()
