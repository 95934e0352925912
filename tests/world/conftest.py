from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.world.memory import MemoryWorld


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[MemoryWorld]:
    """A world in memory."""
    world = MemoryWorld(tmp_path)
    await world.start()
    yield world
    await world.close()
