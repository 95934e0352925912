"""`Store` on SQLite: what is acknowledged is on disk, and a transaction harms no other."""

import asyncio
import os
import sqlite3
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import pytest

from grue.errors import CorruptDatabase, DiskFull, ForeignDatabase, NotPermitted, ServerBusy
from grue.server.store import sqlite
from grue.server.store.interface import LATER_WITHIN, Tx
from grue.server.store.schema import SCHEMA_VERSION, TABLES
from grue.server.store.sqlite import SqliteStore, open_store

KEY = b"k" * 16


def contents_of(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


async def put(tx: Tx, key: bytes, seq: int) -> int:
    await tx.run("INSERT INTO posted (key, seq, contents, expires_day) VALUES ($1, $2, $3, $4)", key, seq, b"", 0)
    return seq


async def get(tx: Tx, key: bytes) -> object:
    row = await tx.row("SELECT seq FROM posted WHERE key = $1", key)
    return row and row[0]


async def count(tx: Tx) -> object:
    row = await tx.row("SELECT count(*) FROM posted")
    return row and row[0]


async def put_and_fail(tx: Tx, key: bytes) -> None:
    await put(tx, key, 1)
    raise NotPermitted


@asynccontextmanager
async def opened(path: Path | None) -> AsyncIterator[SqliteStore]:
    store = await open_store(path)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture(params=["file", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with opened(tmp_path / "server.db" if request.param == "file" else None) as store:
        yield store


async def test_a_transaction_returns_its_result_and_is_seen_by_the_next_read(store: SqliteStore) -> None:
    assert await store.transact(put, KEY, 7) == 7
    assert await store.read(get, KEY) == 7


async def test_an_error_undoes_its_transaction(store: SqliteStore) -> None:
    with pytest.raises(NotPermitted):
        await store.transact(put_and_fail, KEY)
    assert await store.read(get, KEY) is None


async def test_one_failing_transaction_in_a_group_harms_no_other(store: SqliteStore) -> None:
    keys = [os.urandom(16) for _ in range(60)]
    results = await asyncio.gather(
        *(store.transact(put_and_fail if n % 3 == 0 else put_one, key) for n, key in enumerate(keys)),
        return_exceptions=True,
    )
    assert [isinstance(result, NotPermitted) for result in results] == [n % 3 == 0 for n in range(60)]
    assert await store.read(count) == 40


async def put_one(tx: Tx, key: bytes) -> None:
    await put(tx, key, 1)


async def test_a_violated_constraint_fails_alone(store: SqliteStore) -> None:
    results = await asyncio.gather(
        store.transact(put, KEY, 1), store.transact(put, KEY, 2), store.transact(put, b"l" * 16, 3),
        return_exceptions=True,
    )  # fmt: skip
    assert results[0] == 1
    assert isinstance(results[1], apsw.ConstraintError)
    assert results[2] == 3


async def test_a_transaction_that_waits_for_anything_else_is_a_fault_and_changes_nothing(store: SqliteStore) -> None:
    async def sleeps(tx: Tx) -> None:
        await put(tx, KEY, 1)
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="other than its tx"):
        await store.transact(sleeps)
    assert await store.read(get, KEY) is None


async def test_many_share_one_commit(tmp_path: Path) -> None:
    async with opened(tmp_path / "server.db") as store:
        commits = 0

        def committed() -> bool:
            nonlocal commits
            commits += 1
            return False

        store._writer._connection.set_commit_hook(committed)
        await asyncio.gather(*(store.transact(put, os.urandom(16), n) for n in range(200)))
        store._writer._connection.set_commit_hook(None)
        assert commits < 20


async def test_later_rides_with_the_next_commit(store: SqliteStore) -> None:
    store.later(put, KEY, 5)
    await store.transact(put, b"l" * 16, 6)
    assert await store.read(get, KEY) == 5


async def test_later_is_written_by_itself_within_its_interval(store: SqliteStore) -> None:
    store.later(put, KEY, 5)
    await asyncio.sleep(2 * LATER_WITHIN)
    assert await store.read(get, KEY) == 5


async def test_later_is_written_when_the_store_closes(tmp_path: Path) -> None:
    async with opened(tmp_path / "server.db") as store:
        store.later(put, KEY, 5)
    async with opened(tmp_path / "server.db") as store:
        assert await store.read(get, KEY) == 5


async def test_later_that_fails_harms_nobody(store: SqliteStore) -> None:
    store.later(put_and_fail, KEY)
    assert await store.transact(put, b"l" * 16, 6) == 6
    assert await store.read(get, KEY) is None


async def test_closing_finishes_what_is_queued_and_leaves_nothing_in_the_log(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "server.db")
    waiting = [asyncio.ensure_future(store.transact(put, os.urandom(16), n)) for n in range(500)]
    await store.close()
    assert [await w for w in waiting] == list(range(500))
    left = contents_of(tmp_path)
    assert left.keys() == {"server.db", "server.db-wal", "server.db-shm"}
    assert not any(left["server.db-wal"])


async def test_a_reader_sees_one_moment(store: SqliteStore) -> None:
    async def two_counts(tx: Tx) -> tuple[object, object]:
        return await count(tx), await count(tx)

    writes = [asyncio.ensure_future(store.transact(put, os.urandom(16), n)) for n in range(50)]
    for first, second in [await store.read(two_counts) for _ in range(50)]:
        assert first == second
    await asyncio.gather(*writes)


async def test_too_much_queued_is_refused_as_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "MAX_QUEUED", 10)
    async with opened(tmp_path / "server.db") as store:
        waiting = [asyncio.ensure_future(offer(store, n)) for n in range(1000)]
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert any(isinstance(result, ServerBusy) for result in results)
        assert await store.read(count) == sum(isinstance(result, int) for result in results)


async def offer(store: SqliteStore, n: int) -> int:
    return await store.transact(put, os.urandom(16), n)


# --- the file -------------------------------------------------------------------------------------


async def test_the_file_is_marked_as_ours_and_set_up_for_durability(tmp_path: Path) -> None:
    async with opened(tmp_path / "server.db") as store:
        pragmas = {
            name: store._writer._connection.execute(f"PRAGMA {name}").get
            for name in ("journal_mode", "synchronous", "secure_delete", "temp_store", "user_version")
        }
    assert pragmas == {
        "journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "temp_store": 2, "user_version": SCHEMA_VERSION,
    }  # fmt: skip
    assert struct.unpack(">I", (tmp_path / "server.db").read_bytes()[68:72])[0] == sqlite.APPLICATION_ID


async def test_the_tables_are_exactly_those_that_are_documented(tmp_path: Path) -> None:
    async with opened(tmp_path / "server.db"):
        pass
    connection = sqlite3.connect(tmp_path / "server.db")
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    found = {name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")] for name in tables}
    connection.close()
    assert found == {table.name: [column.name for column in table.columns] for table in TABLES}
    assert all(column.says for table in TABLES for column in table.columns)


async def test_no_table_has_a_row_number_that_would_tell_the_order(tmp_path: Path) -> None:
    async with opened(tmp_path / "server.db"):
        pass
    connection = sqlite3.connect(tmp_path / "server.db")
    for table in TABLES:
        with pytest.raises(sqlite3.OperationalError, match="no such column: rowid"):
            connection.execute(f"SELECT rowid FROM {table.name}")  # noqa: S608
    connection.close()


async def test_a_deleted_envelope_is_gone_from_the_disk(tmp_path: Path) -> None:
    secret = os.urandom(4000)
    path = tmp_path / "server.db"

    async def write(tx: Tx) -> None:
        sql = "INSERT INTO envelope (mailbox, seq, id, expires_day, blob) VALUES ($1, 1, $1, 0, $2)"
        await tx.run(sql, KEY, secret)

    async def erase(tx: Tx) -> None:
        await tx.run("DELETE FROM envelope")

    async with opened(path) as store:
        await store.transact(write)
        assert secret[:64] in path.with_name("server.db-wal").read_bytes()
        await store.transact(erase)
    files = b"".join(contents_of(tmp_path).values())
    assert not any(secret[at : at + 32] in files for at in range(0, 4000, 32))


async def test_something_that_is_no_database_is_foreign_and_stays_as_it_is(tmp_path: Path) -> None:
    for contents in (b"a letter to my aunt" * 100, b"x", b"\0" * 4096):
        (tmp_path / "server.db").write_bytes(contents)
        with pytest.raises(ForeignDatabase):
            await open_store(tmp_path / "server.db")
        assert list(contents_of(tmp_path)) == ["server.db"]
        assert (tmp_path / "server.db").read_bytes() == contents


async def test_another_programs_database_is_foreign_and_stays_as_it_is(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "server.db")
    connection.execute("CREATE TABLE recipes (title)")
    connection.commit()
    connection.close()
    before = (tmp_path / "server.db").read_bytes()
    with pytest.raises(ForeignDatabase):
        await open_store(tmp_path / "server.db")
    assert (tmp_path / "server.db").read_bytes() == before
    assert list(contents_of(tmp_path)) == ["server.db"]


@pytest.mark.parametrize("damage", ["cut", "scribbled"])
async def test_a_damaged_file_is_corrupt_and_stays_as_it_is(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "server.db"
    async with opened(path) as store:
        await asyncio.gather(*(store.transact(put, os.urandom(16), n) for n in range(2000)))
    contents = bytearray(path.read_bytes())
    if damage == "cut":
        contents = contents[: len(contents) // 2]
    else:
        contents[4096 : len(contents)] = b"\xa5" * (len(contents) - 4096)
    path.write_bytes(contents)
    with pytest.raises(CorruptDatabase):
        await open_store(path)
    assert path.read_bytes() == contents


async def test_damage_met_while_running_is_corrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "CHECKED_AT_START", 0)
    path = tmp_path / "server.db"
    async with opened(path) as store:
        await asyncio.gather(*(store.transact(put, os.urandom(16), n) for n in range(2000)))
    contents = path.read_bytes()
    path.write_bytes(contents[:4096] + b"\xa5" * (len(contents) - 4096))
    with pytest.raises(CorruptDatabase):
        async with opened(path) as store:
            await store.transact(put, KEY, 1)


async def test_a_half_made_file_of_a_broken_start_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "server.db.new").write_bytes(b"half")
    async with opened(tmp_path / "server.db") as store:
        assert await store.transact(put, KEY, 1) == 1


# --- a full disk ----------------------------------------------------------------------------------


async def test_a_full_file_refuses_and_keeps_what_was_there(tmp_path: Path) -> None:
    async with opened(tmp_path / "server.db") as store:
        await store.transact(put, KEY, 7)
        store._writer._connection.execute("PRAGMA max_page_count=40")
        with pytest.raises(DiskFull):
            await store.transact(fill, 100)
        assert await store.read(get, KEY) == 7
        store._writer._connection.execute("PRAGMA max_page_count=100000")
        await store.transact(fill, 100)


async def test_a_transaction_too_large_for_the_disk_harms_none_in_its_group(tmp_path: Path) -> None:
    async with opened(tmp_path / "server.db") as store:
        store._writer._connection.execute("PRAGMA max_page_count=60")
        results = await asyncio.gather(
            store.transact(put, KEY, 7), store.transact(fill, 100), store.transact(put, b"l" * 16, 8),
            return_exceptions=True,
        )  # fmt: skip
        assert results[0] == 7
        assert isinstance(results[1], DiskFull)
        assert results[2] == 8
        assert await store.read(count) == 2


async def fill(tx: Tx, pages: int) -> None:
    for seq in range(pages):
        await tx.run(
            "INSERT INTO envelope (mailbox, seq, id, expires_day, blob) VALUES ($1, $2, $1, 0, $3)",
            KEY, seq, bytes(4000),
        )  # fmt: skip


async def test_the_log_is_overwritten_when_nothing_happens_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "CHECKPOINT_EVERY", 0.1)
    async with opened(tmp_path / "server.db") as store:
        await store.transact(put, KEY, 7)
        await asyncio.sleep(0.5)
        assert not any((tmp_path / "server.db-wal").read_bytes())
        assert await store.read(get, KEY) == 7
        await store.transact(put, bytes(16), 8)
        assert await store.read(get, KEY) == 7
    async with opened(tmp_path / "server.db") as store:
        assert await store.read(count) == 2


async def test_the_log_has_one_size_from_the_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It neither grows with commits nor is cut, not even by an end and a start; and it is ever the same file."""
    monkeypatch.setattr(sqlite, "CHECKPOINT_EVERY", 0.05)
    monkeypatch.setattr("grue.server.store.wal.LOG_PAGES", 1_100)
    log, seen = tmp_path / "server.db-wal", set()

    def look() -> None:
        seen.add((log.stat().st_size, log.stat().st_ino))

    for _ in range(2):
        async with opened(tmp_path / "server.db") as store:
            look()
            for n in range(30):
                await asyncio.gather(*(store.transact(put, os.urandom(16), n) for n in range(20)))
                look()
                await asyncio.sleep(0.01 * (n % 3))
            await asyncio.sleep(0.2)
            look()
            await store.tidy()
        look()
    assert len(seen) == 1


async def test_what_a_crash_left_in_the_log_is_read_and_then_overwritten(tmp_path: Path) -> None:
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    async with opened(tmp_path / "server.db") as store:
        for n in range(30):
            await store.transact(put, os.urandom(16), n)
        for name in ("server.db", "server.db-wal"):
            (crashed / name).write_bytes((tmp_path / name).read_bytes())
    assert any((crashed / "server.db-wal").read_bytes())
    async with opened(crashed / "server.db") as store:
        assert await store.read(count) == 30
    assert not any((crashed / "server.db-wal").read_bytes())


async def test_a_log_that_an_older_server_left_or_none_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "server.db"
    async with opened(path) as store:
        await store.transact(put, KEY, 7)
    for left in (b"", bytes(100), None):
        log = path.with_name("server.db-wal")
        log.unlink()
        if left is not None:
            log.write_bytes(left)
        async with opened(path) as store:
            assert await store.read(get, KEY) == 7
            await store.transact(put, os.urandom(16), 8)
        assert not any(log.read_bytes())


async def test_after_tidying_rows_lie_in_the_order_of_their_keys_and_nothing_is_free(tmp_path: Path) -> None:
    path = tmp_path / "server.db"
    async with opened(path) as store:
        keys = [os.urandom(16) for _ in range(40)]
        for key in keys:
            await store.transact(put, key, 1)
        order = sorted(keys, reverse=True)
        await store.flush()
        await store.tidy()
        data = path.read_bytes()
        assert sorted(keys, key=data.find) == order
        assert await store.read(count) == 40
        await store.transact(put, b"a" * 16, 2)
        assert await store.read(get, b"a" * 16) == 2


async def test_a_large_file_is_not_tidied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "TIDIED_UP_TO", 0)
    async with opened(tmp_path / "server.db") as store:
        before = (tmp_path / "server.db").stat().st_ino, (tmp_path / "server.db").read_bytes()
        await store.transact(put, KEY, 1)
        await store.tidy()
        assert ((tmp_path / "server.db").stat().st_ino, (tmp_path / "server.db").read_bytes()) == before
