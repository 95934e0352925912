"""Reports: what a home has of a chat, in a file for its owner, and nowhere else."""

import json
import stat
from pathlib import Path

import pytest

from grue.errors import NoSuchChat, UsageError
from grue.testing import World
from tests.world.memory import ALICE, BOB, CAROL, take
from tests.world.test_groups import hike
from tests.world.test_messages import acquainted
from tests.world.test_people import person


async def test_a_report_has_who_when_and_what_and_says_what_it_proves(world: World, tmp_path: Path) -> None:
    alice, bob = await acquainted(world)
    await bob.people.set_profile(name="Bob")
    await bob.send(ALICE, "a threat \u202e with tricks\n\x1b[2J")
    await take(alice)
    before, file = len(world.network.seen), tmp_path / "report.json"
    count = await alice.people.report(BOB, file)
    assert len(world.network.seen) == before, "it goes nowhere"
    found = json.loads(file.read_text())
    assert (found["about"]["number"], found["about"]["person"], found["about"]["profile"]) == (BOB, person(bob), "Bob")
    assert found["about"]["identity_key"] == bob.context.account.identity_public.hex()
    assert (len(found["messages"]), found["messages"][-1]["text"]) == (count, "a threat \u202e with tricks\n\x1b[2J")
    assert (found["messages"][-1]["from"], found["messages"][-1]["incoming"]) == (BOB, True)
    assert [len(log["hash"]) for log in found["logs"]] == [64]
    assert "proves nothing to somebody who does not believe its owner" in found["proves"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_report_of_a_group_names_who_said_what(world: World, tmp_path: Path) -> None:
    (alice, bob, carol), group = await hike(world, ALICE, BOB, CAROL)
    await bob.send("Hike", "from bob")
    await take(carol)
    await carol.people.report("Hike", tmp_path / "report.json")
    found = json.loads((tmp_path / "report.json").read_text())
    assert (found["about"], found["messages"][-1]["from"]) == ({"group": group.id, "name": "Hike"}, person(bob))
    assert BOB not in (tmp_path / "report.json").read_text()
    assert alice.number == ALICE


async def test_a_report_writes_over_nothing_and_of_nobody(world: World, tmp_path: Path) -> None:
    alice, _bob = await acquainted(world)
    there = tmp_path / "there"
    there.write_text("mine")
    for file in (there, tmp_path / "no" / "folder", tmp_path):
        with pytest.raises(UsageError):
            await alice.people.report(BOB, file)
    assert there.read_text() == "mine"
    for who in (CAROL, "Nobody", "person:0123456789abcdef"):
        with pytest.raises(NoSuchChat):
            await alice.people.report(who, tmp_path / "new")
    assert not (tmp_path / "new").exists()
