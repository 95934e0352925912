"""The bots in the README and in the examples are run as they stand there, as processes of their own, and answer."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from grue.client.client import Client
from grue.testing.world import PASSPHRASE
from tests.world.memory import ALICE, BOB, CAROL
from tests.world.processes import ProcessWorld, eventually

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]
README, EXAMPLE = ROOT / "README.md", ROOT / "examples" / "echo_bot.py"


def bot() -> str:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    return str(code)


def test_the_bot_has_about_ten_lines() -> None:
    assert len([line for line in bot().splitlines() if line.strip()]) <= 10


async def test_the_bots_of_the_readme_and_of_the_examples_answer(tmp_path: Path) -> None:
    world = ProcessWorld(tmp_path)
    await world.start()
    alice = await world.person(ALICE)
    async with (
        as_process(await world.person(BOB), tmp_path / BOB, "-c", bot()),
        as_process(await world.person(CAROL), tmp_path / CAROL, str(EXAMPLE)),
    ):
        for to in (BOB, CAROL):
            await alice.send(to, "hello bot")
            assert await eventually(alice, ["You wrote: hello bot"]) == ["You wrote: hello bot"]
            await alice.send(to, "and again")
            assert await eventually(alice, ["You wrote: and again"]) == ["You wrote: and again"]
    await world.close()


@asynccontextmanager
async def as_process(registered: Client, home: Path, *arguments: str) -> AsyncIterator[None]:
    await registered.close()
    environment = {**os.environ, "GRUE_HOME": str(home), "GRUE_PASSPHRASE": PASSPHRASE}
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, env=environment, stderr=DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        await process.wait()
