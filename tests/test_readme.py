"""What the README shows works as it stands there."""

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Final

from tests.world.memory import ALICE, BOB, PASSPHRASE
from tests.world.processes import PATIENCE_SECONDS, ProcessWorld

ROOT: Final = Path(__file__).resolve().parent.parent
README: Final = (ROOT / "README.md").read_text()


async def test_the_bot_answers(tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    world = ProcessWorld(tmp_path)
    await world.start()
    bob = await world.person(BOB)
    await bob.close()
    own = {"GRUE_HOME": str(tmp_path / BOB), "GRUE_PASSPHRASE": PASSPHRASE}
    bot = await asyncio.create_subprocess_exec(sys.executable, "-c", program, env={**os.environ, **own})
    alice = await world.person(ALICE)
    await alice.send(BOB, "hello")
    async with asyncio.timeout(PATIENCE_SECONDS):
        answer = await anext(aiter(alice.receive()))
    bot.terminate()
    await bot.wait()
    await world.close()
    assert (answer.sender, answer.text) == (BOB, "You wrote: hello")


def test_every_target_that_is_shown_is_one() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", README)) <= targets


async def test_every_verb_that_is_shown_is_one() -> None:
    table = README.split("| verb |")[1].split("\n\n")[0]
    shown = {
        verb for cell in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for verb in re.findall(r"`([a-z]+)", cell)
    }
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("grue"), "--help", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert {verb for verb in shown if not re.search(rf"\b{verb}\b", output.decode())} == set()
