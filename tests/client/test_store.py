"""The client's database: encrypted, shared by processes, and clear about what is wrong with it."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import apsw
import msgspec
import pytest

from grue.client import chats
from grue.client.conversations.tables import Kind, queued
from grue.client.store import engine as stores_of_clients
from grue.client.store import schema
from grue.client.store.engine import Db, Store
from grue.client.store.entries import get_meta, put_meta
from grue.client.store.home import unlock
from grue.errors import (
    CorruptDatabase,
    DiskFailed,
    DiskFull,
    ForeignDatabase,
    GrueError,
    HomeBusy,
    NoPassphrase,
    WrongPassphrase,
)
from grue.protocol import wire
from grue.protocol.conversation.conversation import Purpose

KEY = bytes(range(32))


def put(db: Db, value: str) -> None:
    put_meta(db, "test", value)


def get(db: Db) -> str | None:
    return get_meta(db, "test", str)


async def stored(path: Path, value: str) -> None:
    store = await Store.open(path, KEY)
    await store.transact(put, value)
    await store.close()


async def test_what_was_stored_is_there_again(tmp_path: Path) -> None:
    await stored(tmp_path / "grue.db", "kept")
    store = await Store.open(tmp_path / "grue.db", KEY)
    assert await store.read(get) == "kept"
    await store.close()


async def test_nothing_that_was_stored_can_be_read_in_the_files(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "grue.db", KEY)
    await store.transact(put, "a secret that nobody finds")
    # Both before and after the write-ahead log is folded in.
    live = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    await store.close()
    closed = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for contents in (live, closed):
        assert b"a secret" not in contents
        assert b"CREATE TABLE" not in contents


async def test_an_error_in_a_transaction_undoes_all_of_it(tmp_path: Path) -> None:
    await stored(tmp_path / "grue.db", "before")
    store = await Store.open(tmp_path / "grue.db", KEY)

    def half(db: Db) -> None:
        put(db, "half")
        raise LookupError

    with pytest.raises(LookupError):
        await store.transact(half)
    with pytest.raises(LookupError):
        await store.note(half)
    assert await store.read(get) == "before"
    await store.transact(put, "and it goes on")
    await store.close()


async def test_a_cancelled_caller_does_not_tear_a_transaction(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "grue.db", KEY)
    writing = asyncio.create_task(store.transact(put, "finished"))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    assert await store.read(get) in ("finished", None)
    await store.close()


async def test_another_key_is_told_from_the_file_being_damaged(tmp_path: Path) -> None:
    unlock(tmp_path, "right")
    with pytest.raises(WrongPassphrase):
        unlock(tmp_path, "wrong")
    assert unlock(tmp_path, "right") == unlock(tmp_path, "right")


def test_without_a_passphrase_or_a_keyring_a_home_stays_closed(tmp_path: Path) -> None:
    with pytest.raises(NoPassphrase):
        unlock(tmp_path / "new")
    unlock(tmp_path / "old", "right")
    with pytest.raises(NoPassphrase):
        unlock(tmp_path / "old")


@pytest.mark.parametrize("contents", [b"", b"{}", b"no json", b'{"kdf":"rot13","salt":"00","check":""}', b"\xff" * 40])
def test_a_key_file_that_is_none_is_refused(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / "key.json").write_bytes(contents)
    with pytest.raises(ForeignDatabase):
        unlock(tmp_path, "right")
    assert (tmp_path / "key.json").read_bytes() == contents


def test_the_home_is_for_its_owner_only(tmp_path: Path) -> None:
    unlock(tmp_path / "home", "right")
    assert (tmp_path / "home").stat().st_mode & 0o077 == 0


async def test_a_plain_sqlite_file_is_foreign_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "grue.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE other (x)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(ForeignDatabase):
        await Store.open(path, KEY)
    assert path.read_bytes() == before


async def test_another_programs_encrypted_file_is_foreign(tmp_path: Path) -> None:
    path = tmp_path / "grue.db"
    connection = apsw.Connection(str(path))
    connection.pragma("key", f"raw:{KEY.hex()}")
    connection.execute("CREATE TABLE other (x)")
    connection.close()
    with pytest.raises(ForeignDatabase):
        await Store.open(path, KEY)


async def test_a_newer_schema_is_foreign(tmp_path: Path) -> None:
    path = tmp_path / "grue.db"
    await stored(path, "kept")
    connection = apsw.Connection(str(path))
    connection.pragma("key", f"raw:{KEY.hex()}")
    connection.pragma("user_version", 99)
    connection.close()
    with pytest.raises(ForeignDatabase):
        await Store.open(path, KEY)


def home_of_version(path: Path, version: int) -> apsw.Connection:
    """A home as a former version left it, still open."""
    connection = apsw.Connection(str(path))
    connection.pragma("key", f"raw:{KEY.hex()}")
    connection.execute(schema.VERSION_1)
    for part in chain.from_iterable(schema.STEPS[: version - 1]):
        if isinstance(part, str):
            connection.execute(part)
    connection.pragma("application_id", schema.APPLICATION_ID)
    connection.pragma("user_version", version)
    connection.execute("INSERT INTO meta VALUES ('test', ?)", (msgspec.msgpack.encode("kept"),))
    return connection


def tables_of(db: Db) -> list[object]:
    return [row[0] for row in db.rows("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")]


@pytest.mark.parametrize("version", range(1, schema.SCHEMA_VERSION))
async def test_a_home_of_an_earlier_version_is_given_what_it_lacks(tmp_path: Path, version: int) -> None:
    home_of_version(tmp_path / "grue.db", version).close()
    fresh = await Store.open(tmp_path / "fresh.db", KEY)
    for _ in range(2):
        store = await Store.open(tmp_path / "grue.db", KEY)
        assert await store.read(tables_of) == await fresh.read(tables_of)
        assert await store.read(get) == "kept"
        await store.close()
    await fresh.close()


async def test_what_waits_in_the_outbox_of_an_earlier_version_is_given_its_kind(tmp_path: Path) -> None:
    post = wire.Post(bytes(32), bytes(32), bytes(16), bytes(1024))
    requests = {
        wire.encode(post): Kind.POST,
        wire.encode(msgspec.structs.replace(post, slots=[bytes(32)])): Kind.READMISSION,
        wire.encode(wire.PostIntro(bytes(32), bytes(16), bytes(1024))): Kind.OTHER,
        wire.encode(wire.RemoveReader(bytes(32), bytes(32))): Kind.OTHER,
        b"what nobody wrote": Kind.OTHER,
    }
    old = home_of_version(tmp_path / "grue.db", 7)
    for request in requests:
        sql = "INSERT INTO outbox (conversation, purpose, request, envelope, message) VALUES ('', 'commit', ?, '', '')"
        old.execute(sql.replace("''", "x''"), (request,))
    old.close()
    store = await Store.open(tmp_path / "grue.db", KEY)
    waiting = await store.read(queued)
    assert {one.request: one.kind for one in waiting} == requests
    assert [one.purpose for one in waiting] == [Purpose.COMMIT] * len(requests)
    await store.close()


async def test_a_step_that_fails_leaves_a_home_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home_of_version(tmp_path / "grue.db", 6).close()

    def fail(_connection: apsw.Connection) -> None:
        raise LookupError

    steps = schema.STEPS
    monkeypatch.setattr(schema, "STEPS", (*steps[:-1], (*steps[-1], fail)))
    with pytest.raises(LookupError):
        await Store.open(tmp_path / "grue.db", KEY)
    monkeypatch.setattr(schema, "STEPS", steps)
    store = await Store.open(tmp_path / "grue.db", KEY)
    assert await store.read(get) == "kept"
    await store.close()


@pytest.mark.parametrize("at", [0, 20, 100, 5000])
async def test_a_damaged_file_says_so_and_is_left_as_it_is(tmp_path: Path, at: int) -> None:
    path = tmp_path / "grue.db"
    store = await Store.open(path, KEY)
    await store.transact(
        lambda db: db.many("INSERT INTO mls VALUES (?, ?)", ((os.urandom(8), b"x") for _ in range(999)))
    )
    await store.close()
    damaged = bytearray(path.read_bytes())
    damaged[at : at + 64] = os.urandom(64)
    path.write_bytes(damaged)

    async def use() -> None:
        store = await Store.open(path, KEY)
        try:
            await store.read(lambda db: db.rows("SELECT * FROM mls"))
            await store.read(lambda db: db.rows("PRAGMA integrity_check"))
        finally:
            await store.close()

    with pytest.raises(CorruptDatabase):
        await use()


async def test_a_full_disk_says_so_and_what_was_there_stays(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if not small_disk(disk):
        pytest.skip("needs the right to mount a small disk")
    try:
        store = await Store.open(disk / "grue.db", KEY)
        await store.transact(put, "before")
        with pytest.raises(DiskFull):
            await store.transact(put, "x" * (2 << 20))
        assert await store.read(get) == "before"
        await store.transact(put, "after")
        await store.close()
    finally:
        unmount(disk)


def small_disk(path: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)]
    return subprocess.run(command, check=False).returncode == 0


def unmount(path: Path) -> None:
    subprocess.run(["umount", str(path)], check=True)


def failing(code: int) -> apsw.Error:
    """What apsw raises for a result code of SQLite, extended or not."""
    error = apsw.exception_for(code)
    assert isinstance(error, apsw.Error)
    return error


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (apsw.SQLITE_FULL, DiskFull),
        (apsw.SQLITE_IOERR_SHMSIZE, DiskFull),
        (apsw.SQLITE_IOERR, DiskFailed),
        (apsw.SQLITE_IOERR_WRITE, DiskFailed),
        (apsw.SQLITE_CANTOPEN, DiskFailed),
        (apsw.SQLITE_READONLY, DiskFailed),
        (apsw.SQLITE_BUSY, HomeBusy),
        (apsw.SQLITE_LOCKED, HomeBusy),
        (apsw.SQLITE_CORRUPT, CorruptDatabase),
        (apsw.SQLITE_NOTADB, CorruptDatabase),
    ],
)
async def test_each_error_of_sqlite_says_what_is_wrong(tmp_path: Path, code: int, kind: type[GrueError]) -> None:
    store = await Store.open(tmp_path / "grue.db", KEY)

    def fail(_db: Db) -> None:
        raise failing(code)

    for work in (store.transact, store.note, store.read):
        with pytest.raises(GrueError) as raised:
            await work(fail)
        assert type(raised.value) is kind
    await store.close()


async def test_a_disk_without_room_is_full_whatever_sqlite_calls_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await Store.open(tmp_path / "grue.db", KEY)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=0))

    def fail(_db: Db) -> None:
        raise failing(apsw.SQLITE_IOERR_WRITE)

    with pytest.raises(DiskFull):
        await store.transact(fail)
    await store.close()


async def test_what_cannot_be_opened_is_no_full_disk(tmp_path: Path) -> None:
    with pytest.raises(DiskFailed):
        await Store.open(tmp_path / "missing" / "grue.db", KEY)


async def test_a_home_that_another_process_holds_for_long_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores_of_clients, "BUSY_MS", 10)
    store = await Store.open(tmp_path / "grue.db", KEY)
    other = apsw.Connection(str(tmp_path / "grue.db"))
    other.pragma("key", f"raw:{KEY.hex()}")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(HomeBusy):
        await store.transact(put, "waits")
    with pytest.raises(HomeBusy):
        # Closed again, and nothing of it left.
        await Store.open(tmp_path / "grue.db", KEY)
    other.execute("ROLLBACK")
    await store.transact(put, "and it goes on")
    other.close()
    await store.close()


async def test_a_transaction_that_ends_in_stop_iteration_hangs_nobody(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "grue.db", KEY)

    def stop(db: Db) -> None:
        put(db, "half")
        next(iter(()))

    for work in (store.transact, store.note, store.read):
        async with asyncio.timeout(5):
            with pytest.raises(GrueError) as raised:
                await work(stop)
        assert type(raised.value) is GrueError
    assert await store.read(get) is None
    await store.close()


async def test_two_stores_on_one_file_see_each_others_commits(tmp_path: Path) -> None:
    one = await Store.open(tmp_path / "grue.db", KEY)
    two = await Store.open(tmp_path / "grue.db", KEY)
    await asyncio.gather(*(store.transact(_count) for store in (one, two) for _ in range(20)))
    assert await one.read(get) == await two.read(get) == "40"
    await one.close()
    await two.close()


def _count(db: Db) -> None:
    put(db, str(int(get(db) or 0) + 1))


async def test_a_copy_of_a_home_opens_with_the_same_passphrase(tmp_path: Path) -> None:
    home = tmp_path / "home"
    await stored_with(home, "kept")
    shutil.copytree(home, tmp_path / "copy")
    store = await Store.open(tmp_path / "copy" / "grue.db", unlock(tmp_path / "copy", "right"))
    assert await store.read(get) == "kept"
    await store.close()


async def stored_with(home: Path, value: str) -> None:
    store = await Store.open(home / "grue.db", unlock(home, "right"))
    await store.transact(put, value)
    await store.close()


async def test_chats_of_an_earlier_version_are_in_the_list_and_not_muted(tmp_path: Path) -> None:
    old = home_of_version(tmp_path / "grue.db", 16)
    old.execute("INSERT INTO chat (number, title) VALUES ('+447700900222', '')")
    old.close()
    store = await Store.open(tmp_path / "grue.db", KEY)
    (chat,) = await store.read(chats.all_chats)
    assert (chat.number, chat.pinned, chat.muted, chat.archived, chat.draft) == ("+447700900222", False, 0, 0, "")
    await store.close()
