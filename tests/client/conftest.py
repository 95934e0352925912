from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.client.relays import Way, way
from tests.server.kit import Box


@pytest.fixture
async def to(tmp_path: Path) -> AsyncIterator[Way]:
    async with way(tmp_path) as all_of_it:
        yield all_of_it


@pytest.fixture
async def box(to: Way) -> Box:
    return await Box.create(to.server)
