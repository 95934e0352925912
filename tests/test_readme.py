"""What the README shows is there. Its bot is run in tests/client/test_bot.py."""

import asyncio
import re
import sys
from pathlib import Path
from typing import Final

from grue.exposure.facts import FACTS, Finding
from grue.exposure.report import Row, as_markdown
from tests.exposure.expected import EXPECTED, OBSERVERS

ROOT: Final = Path(__file__).resolve().parent.parent
README: Final = (ROOT / "README.md").read_text()


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


def test_the_table_of_who_learns_what_is_the_one_that_the_demo_is_held_to() -> None:
    rows = [Row(fact, dict(zip(OBSERVERS, map(Finding, EXPECTED[fact.id]), strict=True))) for fact in FACTS]
    assert as_markdown(rows) in README
