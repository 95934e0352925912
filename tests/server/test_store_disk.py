"""A disk that is really full: a small file system in memory. Needs root to mount it; skipped elsewhere."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from grue.errors import DiskFull
from grue.protocol.directory.record import RECORD_BYTES
from grue.server.directory.directory import Directory
from grue.server.keys.keys import open_keys
from grue.server.store import wal
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


@pytest.fixture
def image(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """An ext4 file system in a file, and where it is mounted."""
    image, place = tmp_path / "disk.img", tmp_path / "disk"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(96 << 20)
    mount = ["mount", "-o", "loop", str(image), str(place)]
    if os.geteuid() != 0 or subprocess.run(["mkfs.ext4", "-q", str(image)], check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    yield image, place
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


async def test_no_room_for_the_log_of_a_database_that_is_there_keeps_nobody_from_reading(small_disk: Path) -> None:
    store = await open_store(small_disk / "server.db")
    await store.transact(add, 7)
    await store.close()
    (small_disk / "server.db-wal").unlink()
    ballast = small_disk / "ballast"
    # Room for the log's beginning and its index, and not for the whole.
    ballast.write_bytes(bytes(4096 * (os.statvfs(small_disk).f_bavail - 60)))
    store = await open_store(small_disk / "server.db")
    assert await store.read(seqs) == [7]
    ballast.unlink()
    assert await store.transact(add, 8) == 8
    await store.close()


async def test_a_log_that_lacks_its_end_keeps_nobody_from_reading_on_a_full_disk(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So little is missing that a buffer takes it, and finds no room only when it is emptied."""
    monkeypatch.setattr(wal, "LOG_PAGES", 20)
    store = await open_store(small_disk / "server.db")
    await store.transact(add, 7)
    await store.close()
    log = small_disk / "server.db-wal"
    whole = log.stat().st_size
    os.truncate(log, whole - 4096)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(4096 * os.statvfs(small_disk).f_bavail))
    store = await open_store(small_disk / "server.db")
    assert await store.read(seqs) == [7]
    assert log.stat().st_size == whole - 4096
    await store.close()
    ballast.unlink()
    store = await open_store(small_disk / "server.db")
    assert log.stat().st_size == whole
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


# --- what is left in the blocks of a disk ---------------------------------------------------------


async def put_text(tx: Tx, seq: int, text: bytes) -> None:
    await tx.run(
        "INSERT INTO envelope (mailbox, seq, id, expires_day, blob) VALUES ($1, $2, $1, 0, $3)",
        os.urandom(32), seq, text,
    )  # fmt: skip


async def drop(tx: Tx, least: int) -> None:
    await tx.run("DELETE FROM envelope WHERE seq >= $1", least)


async def test_no_deleted_row_is_in_any_block_of_the_disk(
    image: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows come, go, are written back and tidied, over two starts: no block has them, whether it belongs to a file."""
    monkeypatch.setattr("grue.server.store.sqlite.CHECKPOINT_EVERY", 0.05)
    disk, place = image
    texts = [b"row %06d " % n + os.urandom(24).hex().encode() for n in range(530)]
    for part in (texts[:265], texts[265:]):
        store = await open_store(place / "server.db")
        for start in range(0, len(part), 53):
            group = part[start : start + 53]
            await asyncio.gather(*(store.transact(put_text, n, text + bytes(1000)) for n, text in enumerate(group)))
            await asyncio.sleep(0.1)
            await store.transact(drop, 10)
        await store.tidy()
        await store.transact(drop, 0)
        await store.tidy()
        await store.close()
        os.sync()
    raw = disk.read_bytes()
    assert sum(text[:24] in raw for text in texts) == 0
