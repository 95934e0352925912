"""What the README and the page on using Grue show is there. The README's bot is run in tests/client/test_bot.py."""

import asyncio
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from grue.cli.verbs import APPS, VERBS
from grue.exposure.facts import FACTS, Finding, Verdict
from grue.exposure.report import Row, as_markdown
from tests.exposure.expected import EXPECTED, EXPECTED_DIRECT, OBSERVERS, OBSERVERS_DIRECT
from tools.demo_table import tables
from tools.docs import changes, headlines

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


def test_every_figure_of_the_readme_is_the_last_that_was_measured() -> None:
    shown = README.split("<!-- headlines -->")[1].split("<!-- end -->")[0]
    wrong = changes(shown, headlines(""))
    assert wrong == [], "the README says  ->  bench/results.json says; `.venv/bin/python tools/docs.py` writes it"


def test_the_figures_of_a_lookup_are_those_of_the_page_that_it_links_to() -> None:
    """The same cost has been measured in another run too, and shows another number in docs/measurements.md."""
    shown = re.search(r"1,000,000 numbers took the server \*\*([\d.]+) ms", README)
    page = (ROOT / "docs" / "lookup-cost.md").read_text()
    assert shown
    assert re.search(rf"^\| 1m \| grue \| 1 \| 1 \| {re.escape(shown[1])} \|", page, re.MULTILINE)
    assert "docs/lookup-cost.md" in README


def test_every_verb_has_a_row_where_all_verbs_are_promised() -> None:
    below = {name: {child for child in _resolved(name) if not child.startswith("-")} for name in APPS}
    wanted = {*VERBS, *(f"{name} {child}" for name, children in below.items() for child in children)}
    assert {"send", "lab wiretap", "directory build", "account object"} <= wanted
    missing = {}
    for name in ("cli.md", "using.md"):
        table = (ROOT / "docs" / name).read_text().split("| verb |")[1].split("\n\n")[0]
        missing[name] = sorted(verb for verb in wanted if not re.search(rf"`{verb}\b", table))
    assert missing == {"cli.md": [], "using.md": []}


def _resolved(name: str) -> Iterator[str]:
    """The verbs below a verb such as `lab`."""
    module, _ = VERBS[name]
    group = getattr(importlib.import_module(f"grue.cli.verbs.{module}"), APPS[name])
    return iter(group)


def test_the_tables_of_who_learns_what_are_those_that_the_demo_is_held_to() -> None:
    direct = [Row(fact, _found(OBSERVERS_DIRECT, EXPECTED_DIRECT[fact.id])) for fact in FACTS]
    relayed = [Row(fact, _found(OBSERVERS, EXPECTED[fact.id])) for fact in FACTS]
    parts = tables(as_markdown(direct), as_markdown(relayed))
    assert parts["direct"] in README
    assert parts["change"] in README
    assert parts["relayed"] in (ROOT / "docs" / "exposure.md").read_text()


def _found(observers: tuple[str, ...], verdicts: tuple[Verdict, ...]) -> dict[str, Finding]:
    return dict(zip(observers, map(Finding, verdicts), strict=True))
