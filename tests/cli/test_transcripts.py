"""Every transcript in testdata, played against a server and a carrier that are processes of their own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.play import Stage
from tests.cli.transcript import Step, difference, files, parse, written

WRITE = os.environ.get("WRITE_TRANSCRIPTS") == "1"

APART = {"codes", "no_sms"}
"""Transcripts that need a server to themselves: one whose clock is turned, one without an SMS gateway."""


@pytest.fixture
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    name = request.node.callspec.params["file"].stem
    if name not in APART:
        yield request.getfixturevalue("shared")
        return
    stage = Stage(tmp_path, sms=name != "no_sms")
    stage.open()
    yield stage
    stage.close()


@pytest.mark.parametrize("file", files(), ids=lambda file: file.stem)
def test_transcript(file: Path, stage: Stage) -> None:
    after: list[str] = []
    for step in parse(file.read_text()):
        if not isinstance(step, Step):
            after.append(step)
            continue
        outcome = stage.play(step)
        after.append(written(step, outcome))
        found = difference(step, outcome)
        assert WRITE or found is None, f"{file.name} {found}"
    if WRITE:
        file.write_text("\n".join(after) + "\n")
