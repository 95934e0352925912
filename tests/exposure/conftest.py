import asyncio

import pytest

from tests.exposure.tapped import Run, played


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run of a world that does not leak, and what was captured in it."""
    return asyncio.run(played(tmp_path_factory.mktemp("run")))
