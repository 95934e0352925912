"""Where the mark of query material may lie: in memory, or nowhere."""

import os
from pathlib import Path

import pytest

from grue.client.lookup import query_material

MOUNTS = r"""
overlay / overlay rw,relatime 0 0
tmpfs /dev tmpfs rw,nosuid,mode=755 0 0
devpts /dev/pts devpts rw 0 0
shm /dev/shm tmpfs rw,nosuid,nodev,noexec,size=65536k 0 0
/dev/sda1 /srv/with\040blank ext4 rw 0 0
tmpfs /srv/with\040blank/memory tmpfs rw 0 0
tmpfs /over tmpfs rw 0 0
/dev/sda2 /over ext4 rw 0 0
/dev/sda3 /under ext4 rw 0 0
tmpfs /under tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("place", "memory"),
    [
        ("/tmp", False),
        ("/dev/shm", True),
        ("/dev/shmother", True),
        ("/dev/pts/1", False),
        ("/srv/with blank/x", False),
        ("/srv/with blank/memory/x", True),
        ("/over", False),
        ("/under", True),
    ],
)
def test_a_folder_is_in_memory_by_the_innermost_mount(place: str, memory: bool) -> None:
    assert query_material.is_in_memory(Path(place), MOUNTS) is memory


def test_without_mounts_no_folder_is_taken_for_one_in_memory() -> None:
    assert not query_material.is_in_memory(Path("/dev/shm"), "")


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_temporary_files_on_a_disk_hold_no_mark(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As in a container: its disk, home and temporary files, can be set back while the machine runs on.
    mounts = tmp_path / "mounts"
    mounts.write_text(f"overlay / {kind} rw 0 0\n")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(query_material, "_MOUNTS", mounts)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    expected = tmp_path.resolve() / f"grue-{os.getuid()}" if kind == "tmpfs" else None
    assert query_material.runtime_folder() == expected


def test_where_mounts_cannot_be_read_there_is_no_place_for_a_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(query_material, "_MOUNTS", Path("/nowhere"))
    assert query_material.runtime_folder() is None
