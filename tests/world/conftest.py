from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.world.memory import MemoryWorld


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MemoryWorld]:
    """A world in memory. Its homes' keys are stretched little, for a test's passphrase is no secret."""
    monkeypatch.setattr("grue.client.home.ARGON2_MEMORY_KIB", 64)
    world = MemoryWorld(tmp_path)
    await world.start()
    yield world
    await world.close()
