"""What the README and the page on using Grue show is there. The README's bot is run in tests/client/test_bot.py."""

import asyncio
import re
import sys
from pathlib import Path
from typing import Final

from grue.exposure.facts import FACTS, Finding, Verdict
from grue.exposure.report import Row, as_markdown
from tests.exposure.expected import EXPECTED, EXPECTED_DIRECT, OBSERVERS, OBSERVERS_DIRECT
from tools.demo_table import tables

ROOT: Final = Path(__file__).resolve().parent.parent
README: Final = (ROOT / "README.md").read_text()
USING: Final = (ROOT / "docs" / "using.md").read_text()
LINES: Final = 120
"""One and a half screens: who wants more than that follows a link."""


def test_the_readme_is_one_and_a_half_screens() -> None:
    assert README.count("\n") < LINES


def test_every_target_that_is_shown_is_one() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = {
        target
        for document in ("README.md", "CONTRIBUTING.md", "RELEASING.md")
        for target in re.findall(r"`?\bmake ([a-z0-9-]+)\b(?=`|  )", (ROOT / document).read_text())
    }
    assert len(shown) > 3
    assert shown <= targets


async def test_every_verb_that_is_shown_is_one() -> None:
    table = USING.split("| verb |")[1].split("\n\n")[0]
    shown = {
        verb for cell in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for verb in re.findall(r"`([a-z]+)", cell)
    }
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("grue"), "--help", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert len(shown) > 10
    assert {verb for verb in shown if not re.search(rf"\b{verb}\b", output.decode())} == set()


def test_the_tables_of_who_learns_what_are_those_that_the_demo_is_held_to() -> None:
    direct = [Row(fact, _found(OBSERVERS_DIRECT, EXPECTED_DIRECT[fact.id])) for fact in FACTS]
    relayed = [Row(fact, _found(OBSERVERS, EXPECTED[fact.id])) for fact in FACTS]
    parts = tables(as_markdown(direct), as_markdown(relayed))
    assert parts["direct"] in README
    assert parts["change"] in README
    assert parts["relayed"] in (ROOT / "docs" / "exposure.md").read_text()


def _found(observers: tuple[str, ...], verdicts: tuple[Verdict, ...]) -> dict[str, Finding]:
    return dict(zip(observers, map(Finding, verdicts), strict=True))
