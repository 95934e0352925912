"""A server that cannot write what its start writes: a sentence says whose disk it is, for each of the files."""

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from grue.errors import DiskFailed, DiskFull
from grue.server import run
from grue.server.keys.keys import open_keys, open_replica_key
from grue.server.replica.replica import _opened
from grue.server.store import wal

WHAT_A_START_MAKES = 12
"""Files and folders at least: DATA, its lock, two keys, the database with log and index, and the directory's."""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "set_limits", lambda: None)
    monkeypatch.setattr(wal, "LOG_PAGES", 20)


@contextmanager
def disk(place: Path, option: str) -> Iterator[Path]:
    place.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", option, "grue-test", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        yield place
    finally:
        # Lazily: a start that failed may have left a file open, and the mount must not outlive it.
        subprocess.run(["umount", "--lazy", str(place)], check=True)


async def start(data: Path, directory_key: Path | None = None) -> None:
    """Start a server, and stop it again when it serves."""
    await run.serve(
        data, "127.0.0.1:0", directory_key=directory_key, ready=lambda _address: os.kill(os.getpid(), signal.SIGTERM)
    )


async def refusals(place: Path, remount: str, step: int = 1) -> list[str]:
    """What is said with so much room, and more, until a server starts."""
    data, said = place / "data", []
    for room in range(1, 200, step):
        shutil.rmtree(data, ignore_errors=True)
        option = remount.format(room)
        subprocess.run(["mount", "-o", f"remount,{option}", str(place)], check=True)  # noqa: ASYNC221
        try:
            await start(data)
        except DiskFull as error:
            said.append(str(error))
        else:
            return said
    raise AssertionError("no server started")


async def test_no_room_for_any_file_of_a_start_names_the_disk(tmp_path: Path) -> None:
    """With one more file each time, so that each of them is once the one that finds no room."""
    with disk(tmp_path / "disk", "size=4m,nr_inodes=1") as place:
        said = await refusals(place, "nr_inodes={}")
        assert len(said) >= WHAT_A_START_MAKES
        assert set(said) == {f"{DiskFull.message} It is the disk of {place / 'data'}."}


async def test_no_room_for_what_a_start_writes_names_the_disk(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", "size=4k") as place:
        said = await refusals(place, "size={}0k", 4)
        assert len(said) >= 8
        assert set(said) == {f"{DiskFull.message} It is the disk of {place / 'data'}."}


async def test_no_room_for_a_key_on_another_disk_names_that_one(tmp_path: Path) -> None:
    with disk(tmp_path / "keys", "size=4k,nr_inodes=1") as place:
        with pytest.raises(DiskFull, match=f"the disk of {place}"):
            await start(tmp_path / "data", place / "directory.key")
        assert list(place.iterdir()) == []
    await start(tmp_path / "data", tmp_path / "directory.key")


async def test_no_room_for_the_head_of_a_later_start_names_the_disk(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", "size=4m") as place:
        data = place / "data"
        await start(data)
        shutil.rmtree(data / "directory")
        ballast = place / "ballast"
        ballast.write_bytes(bytes(4096 * os.statvfs(place).f_bavail))
        with pytest.raises(DiskFull, match=f"the disk of {data}"):
            await start(data)
        ballast.unlink()
        await start(data)


async def test_no_room_for_a_replicas_folder_names_the_disk(tmp_path: Path) -> None:
    keys = open_keys(tmp_path / "server")
    key = open_replica_key(tmp_path / "server", keys)
    with (
        disk(tmp_path / "disk", "size=4k,nr_inodes=2") as place,
        pytest.raises(DiskFull, match=f"the disk of {place / 'data'}"),
    ):
        async with _opened(place / "data", "http://127.0.0.1:1", key, lambda _line: None):
            pass


@pytest.mark.parametrize("most", [0, 100, 4_096, 50_000])
async def test_a_limit_on_files_is_said_and_is_no_fault_of_ours(tmp_path: Path, most: int) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        with pytest.raises(DiskFailed, match=str(tmp_path)):
            await start(tmp_path / "data")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with suppress(FileNotFoundError):
        shutil.rmtree(tmp_path / "data")
    await start(tmp_path / "data")


async def test_a_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"")
    with pytest.raises(DiskFailed, match=str(tmp_path / "data")):
        await start(tmp_path / "data")
