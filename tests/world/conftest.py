from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from grue.protocol.directory.pir import TIER_VARIABLE
from grue.testing import World


@pytest.fixture
def tier_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """For single tests that say something of tier 1 alone, by `usefixtures`, so that the world begins in it."""
    monkeypatch.setenv(TIER_VARIABLE, "1")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A world in memory."""
    async with World(tmp_path) as world:
        yield world
