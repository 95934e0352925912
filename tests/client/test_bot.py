"""The bots in the README and in the examples are run as they stand there, as processes of their own, and answer."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from grue.client.client import Client
from grue.protocol.conversation.contents import MAX_TEXT
from grue.testing.world import PASSPHRASE, World
from tests.world.memory import ALICE, BOB, CAROL, NOBODY
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


async def test_nobody_who_writes_can_end_a_bot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an SMS, by an answer that does not fit, or by leaving at once: the next one is answered all the same."""
    for at, code in enumerate((bot(), EXAMPLE.read_text())):
        async with World(tmp_path / str(at)) as world:
            alice, carol, me = await world.person(ALICE), await world.person(CAROL), await world.person(BOB)
            monkeypatch.setattr("grue.open", lambda me=me: me)
            names: dict[str, Any] = {"__name__": "of a test"}
            exec(code.replace("\nasyncio.run(main())\n", "\n"), names)  # noqa: S102 -- as it stands in the README
            await me.close()
            answering = asyncio.create_task(names["main"]())
            for sender in (NOBODY, "A Bank"):
                await world.carrier.inject(sender, BOB, "an SMS")
            await alice.send(BOB, "hello")
            received = alice.receive()
            assert (await anext(received)).text == "You wrote: hello"
            await alice.send(BOB, "x" * MAX_TEXT)
            await carol.send(BOB, "and gone")
            await carol.account.delete()
            await alice.send(BOB, "still there?")
            assert (await anext(received)).text == "You wrote: still there?"
            assert world.texts(NOBODY) == []
            assert not answering.done()
            answering.cancel()
            await asyncio.wait({answering})


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
