from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.world.memory import MemoryWorld, running


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[MemoryWorld]:
    """A world in memory."""
    async with running(tmp_path) as world:
        yield world
