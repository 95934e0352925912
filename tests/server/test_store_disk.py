"""A disk that is really full: a small file system in memory. Needs root to mount it; skipped elsewhere."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from grue.errors import DiskFull
from grue.protocol.directory.record import RECORD_BYTES
from grue.server.directory.directory import Directory
from grue.server.keys.keys import open_keys
from grue.server.store.interface import Tx
from grue.server.store.sqlite import SqliteStore, open_store
from tests.protocol.directories import NOW


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "grue-test", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    yield place
    # Lazily: a test that failed may have left a file open, and the mount must not outlive it.
    subprocess.run(["umount", "--lazy", str(place)], check=True)


async def add(tx: Tx, seq: int) -> int:
    await tx.run(
        "INSERT INTO envelope (mailbox, seq, id, expires_day, blob) VALUES ($1, $2, $1, 0, $3)",
        b"m" * 32, seq, os.urandom(4000),
    )  # fmt: skip
    return seq


async def fill(store: SqliteStore, acknowledged: list[int]) -> None:
    while True:
        acknowledged.append(await store.transact(add, len(acknowledged)))


async def seqs(tx: Tx) -> list[object]:
    return [row[0] for row in await tx.rows("SELECT seq FROM envelope ORDER BY seq")]


async def test_a_full_disk_is_said_and_what_was_acknowledged_is_still_there(small_disk: Path) -> None:
    store = await open_store(small_disk / "server.db")
    acknowledged: list[int] = []
    with pytest.raises(DiskFull):
        await fill(store, acknowledged)
    assert acknowledged
    assert await store.read(seqs) == acknowledged
    await store.close()
    store = await open_store(small_disk / "server.db")
    assert await store.read(seqs) == acknowledged
    await store.close()


async def test_a_disk_that_was_full_serves_again_when_there_is_room(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    store = await open_store(small_disk / "server.db")
    assert await store.transact(add, 0) == 0
    ballast.write_bytes(bytes(4096 * (os.statvfs(small_disk).f_bavail)))
    with pytest.raises(DiskFull):
        await fill(store, [0])
    ballast.unlink()
    assert await store.transact(add, 1000) == 1000
    await store.close()


async def test_no_room_for_a_new_database_is_said(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(4096 * os.statvfs(small_disk).f_bavail))
    with pytest.raises(DiskFull):
        await open_store(small_disk / "server.db")


def test_a_table_that_finds_no_room_says_so_and_leaves_it_to_the_rest(small_disk: Path) -> None:
    data = small_disk / "data"
    keys = open_keys(data)

    def opened() -> Directory:
        return Directory(data, keys, lambda: NOW, environment={"GRUE_DIRECTORY_TIER": "2"})

    before = opened()
    free = os.statvfs(small_disk).f_bavail
    with pytest.raises(DiskFull):
        before.put_many(os.urandom(RECORD_BYTES) for _ in range(1000))
    assert os.statvfs(small_disk).f_bavail == free
    after = opened()
    assert after.manifest.count == before.manifest.count == 0
    assert after.private_base(after.manifest.epoch) is not None
