"""`grue exposure`: this week's part of a home's own record, or more of it; as text, for machines, and as a page."""

import json
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from grue.cli.shell import Shell
from grue.cli.verbs.exposed import exposure, first_day
from grue.errors import UsageError
from grue.testing import World
from grue.testing.world import PASSPHRASE
from tests.cli.pages import Reader

ALICE: Final = "+447700900111"
TODAY: Final = date(2027, 1, 15)
DAY: Final = 86_400
BEFORE, LATELY = 30, 3
"""Days ago on which the home registered, and on which it looked a number up."""


@pytest.fixture
async def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRUE_PASSPHRASE", PASSPHRASE)
    async with World(tmp_path, now=time.time() - BEFORE * DAY) as world:
        await world.person(ALICE, "alice")
    async with World(tmp_path, now=time.time() - LATELY * DAY) as world:
        await (await world.open("alice")).lookup("+447700900222")
    return tmp_path / "alice"


def ago(days: int) -> date:
    return datetime.now(UTC).date() - timedelta(days=days)


async def shown(home: Path, capsys: pytest.CaptureFixture[str], **options: Any) -> list[dict[str, Any]]:
    await exposure(shell=Shell(home=home, as_json=True), **options)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


async def test_what_nobody_says_otherwise_is_this_week(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = await shown(home, capsys)
    kinds = {line["kind"] for line in lines}
    assert "Evaluate" in kinds
    assert "RegisterFinish" not in kinds
    assert {line["since"] for line in lines} == {ago(6).isoformat()}


async def test_more_days_are_asked_for_by_their_number_their_first_or_all(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    everything = await shown(home, capsys, everything=True)
    assert {"Evaluate", "RegisterFinish"} <= {line["kind"] for line in everything}
    assert {line["since"] for line in everything} == {None}
    for options in ({"days": BEFORE + 2}, {"since": ago(BEFORE + 1).isoformat()}):
        assert [line | {"since": None} for line in await shown(home, capsys, **options)] == everything
    assert await shown(home, capsys, days=1) == []


async def test_the_page_is_of_the_same_days(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    week, whole = tmp_path / "week.html", tmp_path / "whole.html"
    lines = await shown(home, capsys, html=week)
    await shown(home, capsys, html=whole, everything=True)
    assert f"What was given since {ago(6).isoformat()}, by UTC." in week.read_text()
    assert "What was given since this home was made." in whole.read_text()
    assert len(Reader(week.read_text()).files["days.csv"]) == 2
    assert len(Reader(whole.read_text()).files["days.csv"]) == 3
    rows = Reader(week.read_text()).table("What was given, to whom")
    # A row with one cell says which party the rows below are of.
    assert sorted(row[0] for row in rows if len(row) > 1) == sorted(line["given"] for line in lines)


async def test_people_are_told_of_which_days(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await exposure(shell=Shell(home=home))
    assert capsys.readouterr().out.startswith(f"What was given since {ago(6).isoformat()}, by UTC:")
    await exposure(days=1, shell=Shell(home=home))
    assert capsys.readouterr().out == f"Nothing was given to anybody since {ago(0).isoformat()}, by UTC.\n"


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ({}, date(2027, 1, 9)),
        ({"days": 1}, TODAY),
        ({"days": 10**9}, date(1, 1, 1)),
        ({"since": "2027-01-15"}, TODAY),
        ({"everything": True}, None),
    ],
)
def test_the_first_day(options: dict[str, Any], first: date | None) -> None:
    assert first_day(**{"days": None, "since": None, "everything": False, **options}, today=TODAY) == first


@pytest.mark.parametrize(
    "options",
    [
        {"days": 0},
        {"days": -7},
        {"since": "last week"},
        {"since": "2027-01-16"},
        {"days": 7, "since": "2027-01-01"},
        {"days": 7, "everything": True},
    ],
)
def test_days_that_say_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        first_day(**{"days": None, "since": None, "everything": False, **options}, today=TODAY)
