from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.play import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    stage.open()
    yield stage
    stage.close()
