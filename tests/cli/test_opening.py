"""Which homes there are, and what is said of one that lacks a part."""

from pathlib import Path

import pytest

from grue.cli.opening import opened
from grue.cli.shell import Shell
from grue.errors import ForeignDatabase, NotRegistered


async def test_a_folder_without_a_home_has_no_account(tmp_path: Path) -> None:
    with pytest.raises(NotRegistered):
        async with opened(Shell(home=tmp_path)):
            pass
    assert list(tmp_path.iterdir()) == []


async def test_a_database_whose_key_file_was_lost_is_not_called_a_missing_account(tmp_path: Path) -> None:
    (tmp_path / "grue.db").write_bytes(b"x" * 4096)
    with pytest.raises(ForeignDatabase, match=r"key\.json is missing"):
        async with opened(Shell(home=tmp_path)):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["grue.db"]
