"""Every transcript in testdata, played against a server and a carrier that are processes of their own."""

import os
from pathlib import Path

import pytest

from tests.cli.play import Stage
from tests.cli.transcript import TESTDATA, Step, difference, parse, written

pytestmark = [pytest.mark.whole, pytest.mark.tiers]

TIER = os.environ.get("GRUE_DIRECTORY_TIER") or "1"
"""What the suite runs on; the transcripts are written down in tier 1."""

WRITE = os.environ.get("WRITE_TRANSCRIPTS") == "1"

TOGETHER = ["first_day", "numbers", "contacts", "files", "homes", "usage", "servers", "sms", "subpoena"]
"""One after the other on one stage: the people of the first go on in the others."""

APART = [
    "arranged",
    "codes",
    "devices",
    "groups",
    "links",
    "no_sms",
    "people",
    "requests",
    "safety",
    "search",
    "sms_a_day",
]
"""Those that need a server to themselves: one whose clock is turned, one without an SMS gateway; or people who have not
met."""


def play(stage: Stage, file: Path) -> None:
    after: list[str] = []
    text = file.read_text() if WRITE else file.read_text().replace('"tier": 1', f'"tier": {TIER}')
    for step in parse(text):
        if not isinstance(step, Step):
            after.append(step)
            continue
        outcome = stage.play(step)
        after.append(written(step, outcome))
        found = difference(step, outcome)
        assert WRITE or found is None, f"{file.name} {found}"
    if WRITE:
        file.write_text("\n".join(after) + "\n")


@pytest.mark.timeout(240)
def test_a_day_and_everything_that_can_go_wrong_in_it(shared: Stage) -> None:
    for name in TOGETHER:
        play(shared, TESTDATA / f"{name}.txt")


@pytest.mark.parametrize("name", APART)
def test_what_needs_a_server_to_itself(tmp_path: Path, name: str) -> None:
    stage = Stage(tmp_path, sms=name != "no_sms")
    stage.open()
    try:
        play(stage, TESTDATA / f"{name}.txt")
    finally:
        stage.close()


def test_every_transcript_is_played() -> None:
    assert sorted(TOGETHER + APART) == sorted(file.stem for file in TESTDATA.glob("*.txt"))
