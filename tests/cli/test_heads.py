"""`heads`: what is said of the directory's state, and of two that cannot both be true."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from grue.protocol import wire
from grue.protocol.directory.directory import UnverifiedHead
from grue.testing import World
from grue.testing.world import PASSPHRASE
from tests.world.memory import ALICE, BOB, take
from tests.world.test_gossip import lied_to

MAIN = "from grue.cli.main import main; main()"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path) as world:
        yield world


def heads(home: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and standard output. No server is asked."""
    command = [sys.executable, "-c", MAIN, "heads", *arguments]
    env = {**os.environ, "GRUE_HOME": str(home), "GRUE_PASSPHRASE": PASSPHRASE}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=50)
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.mark.whole
async def test_heads_shows_the_proof_and_how_to_go_on(world: World) -> None:
    alice, _, _ = await lied_to(world)
    bob = await world.open(BOB)
    code, said = heads(world.path / BOB)
    assert code == 0
    assert said.startswith("Directory: epoch 1, ")
    assert "No contact was shown another one." in said
    await alice.send(BOB, "hello again")
    assert await take(bob) == ["hello again"]

    code, said = heads(world.path / BOB)
    assert code == 5
    assert ALICE in said
    assert "grue heads --start-over" in said

    code, said = heads(world.path / BOB, "--json")
    proof = json.loads(said)["split"]
    assert (code, proof["contact"]) == (5, ALICE)
    ours, theirs = (
        UnverifiedHead(bytes.fromhex(proof[whose])).verify(world.server.keys.server_public).contents
        for whose in ("ours", "theirs")
    )
    assert isinstance(ours, wire.OverlayHead)
    assert (ours.epoch, ours.manifest_hash) == (theirs.epoch, theirs.manifest_hash)
    assert ours.chain != theirs.chain

    assert heads(world.path / BOB, "--start-over") == (0, "No directory was fetched yet.\n")
    assert json.loads(heads(world.path / BOB, "--json")[1]) == {"head": None, "waiting": 0, "split": None}
