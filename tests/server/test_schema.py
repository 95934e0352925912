"""The steps of the server's store: a file of any former version ends as a new one begins, or stays as it was."""

import struct
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import apsw
import pytest

from grue.errors import ForeignDatabase, OldData
from grue.server.store import schema
from grue.server.store.schema import FIRST_VERSION, SCHEMA_VERSION, STEPS
from grue.server.store.sqlite import APPLICATION_ID, TABLE_SUFFIX, open_store

FIRST: Final = (
    "CREATE TABLE account (account BLOB NOT NULL, phone_tag BLOB NOT NULL, identity_pub BLOB NOT NULL,"
    " hpke_pub BLOB NOT NULL, device_list BLOB NOT NULL, intro_mailbox BLOB NOT NULL, discoverable INTEGER NOT NULL,"
    " lock BLOB, expires_week INTEGER NOT NULL, PRIMARY KEY (account), UNIQUE (phone_tag), UNIQUE (intro_mailbox))",
    "CREATE TABLE device (account BLOB NOT NULL, device_pub BLOB NOT NULL, expires_week INTEGER NOT NULL,"
    " PRIMARY KEY (account, device_pub), UNIQUE (device_pub))",
    "CREATE TABLE key_package (device_pub BLOB NOT NULL, ref BLOB NOT NULL, last_resort INTEGER NOT NULL,"
    " expires_week INTEGER NOT NULL, blob BLOB NOT NULL, PRIMARY KEY (device_pub, ref))",
    "CREATE TABLE mailbox (mailbox BLOB NOT NULL, write_hash BLOB, created BLOB NOT NULL, incarnation BLOB NOT NULL,"
    " seq INTEGER NOT NULL, held INTEGER NOT NULL, expires_day INTEGER NOT NULL, PRIMARY KEY (mailbox))",
    "CREATE TABLE reader (mailbox BLOB NOT NULL, read_hash BLOB NOT NULL, slot INTEGER NOT NULL,"
    " cursor INTEGER NOT NULL, PRIMARY KEY (mailbox, read_hash))",
    "CREATE TABLE envelope (mailbox BLOB NOT NULL, seq INTEGER NOT NULL, id BLOB NOT NULL,"
    " expires_day INTEGER NOT NULL, blob BLOB NOT NULL, PRIMARY KEY (mailbox, seq))",
    "CREATE TABLE posted (key BLOB NOT NULL, seq INTEGER NOT NULL, contents BLOB NOT NULL,"
    " expires_day INTEGER NOT NULL, PRIMARY KEY (key))",
    "CREATE TABLE token_spent (key BLOB NOT NULL, use BLOB NOT NULL, epoch INTEGER NOT NULL, PRIMARY KEY (key))",
    "CREATE TABLE token_quota (phone_tag BLOB NOT NULL, week INTEGER NOT NULL, first INTEGER NOT NULL,"
    " lookups INTEGER NOT NULL, posts INTEGER NOT NULL, PRIMARY KEY (phone_tag))",
    "CREATE TABLE blob (id BLOB NOT NULL, bucket INTEGER NOT NULL, expires_day INTEGER NOT NULL, PRIMARY KEY (id))",
)
"""The tables of `FIRST_VERSION`, which no step makes."""

ENVELOPE: Final = (b"m" * 32, 7, b"i" * 16, 20_000, b"sealed")


def made(path: Path, version: int) -> None:
    """A file of a former version, with an envelope in it, as that version's server left it."""
    steps = [statement for number in range(FIRST_VERSION + 1, version + 1) for statement in STEPS[number]]
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        for statement in (*FIRST, *steps):
            connection.execute(f"{statement} {TABLE_SUFFIX}" if statement.startswith("CREATE TABLE") else statement)
        connection.execute("INSERT INTO envelope VALUES (?, ?, ?, ?, ?)", ENVELOPE)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={version}")


def shape(path: Path) -> dict[str, object]:
    """Each table with its columns, its indices with theirs, and whether it is strict and without a row number."""
    found: dict[str, object] = {}
    with closing(apsw.Connection(str(path))) as connection:
        listed = connection.execute("SELECT name, wr, strict FROM pragma_table_list WHERE type = 'table'").fetchall()
        for name, *kind in listed:
            columns = connection.execute("SELECT * FROM pragma_table_xinfo(?)", (name,)).fetchall()
            indices = connection.execute('SELECT name, "unique", origin FROM pragma_index_list(?)', (name,)).fetchall()
            parts = [
                (rest, connection.execute("SELECT name FROM pragma_index_info(?)", (index,)).fetchall())
                for index, *rest in indices
            ]
            found[str(name)] = (kind, columns, sorted(map(repr, parts)))
    return found


def version_of(path: Path) -> int:
    with path.open("rb") as file:
        return int(struct.unpack(">I", file.read(64)[60:])[0])


def envelopes(path: Path) -> list[tuple[object, ...]]:
    with closing(apsw.Connection(str(path))) as connection:
        return [*connection.execute("SELECT * FROM envelope")]


async def opened_once(path: Path) -> None:
    await (await open_store(path)).close()


async def test_the_steps_are_numbered_without_a_gap() -> None:
    assert list(STEPS) == list(range(FIRST_VERSION + 1, SCHEMA_VERSION + 1))


@pytest.mark.parametrize("version", range(1, FIRST_VERSION))
async def test_a_file_of_protocol_1_is_refused_and_stays_as_it_is(tmp_path: Path, version: int) -> None:
    path = tmp_path / "server.db"
    made(path, version)
    before = path.read_bytes()
    with pytest.raises(OldData) as caught:
        await open_store(path)
    assert (caught.value.exit_code, caught.value.code) == (2, "old_data")
    assert "empty folder" in caught.value.fix
    assert path.read_bytes() == before
    # The log, which is never cut, stays beside it.
    assert {file.name for file in tmp_path.iterdir()} <= {"server.db", "server.db-wal", "server.db-shm"}


@pytest.mark.parametrize("version", range(FIRST_VERSION, SCHEMA_VERSION + 1))
async def test_a_file_of_each_former_version_ends_as_a_new_one_begins(tmp_path: Path, version: int) -> None:
    made(tmp_path / "former.db", version)
    await opened_once(tmp_path / "former.db")
    await opened_once(tmp_path / "new.db")
    assert shape(tmp_path / "former.db") == shape(tmp_path / "new.db")
    assert version_of(tmp_path / "former.db") == SCHEMA_VERSION
    assert envelopes(tmp_path / "former.db") == [ENVELOPE]


async def test_a_column_that_a_step_adds_is_there_afterwards_with_what_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path / "server.db", SCHEMA_VERSION)
    with_a_step(monkeypatch, {SCHEMA_VERSION + 1: ("ALTER TABLE envelope ADD COLUMN more INTEGER NOT NULL DEFAULT 4",)})
    for _ in range(2):
        await opened_once(tmp_path / "server.db")
        assert envelopes(tmp_path / "server.db") == [(*ENVELOPE, 4)]
        assert version_of(tmp_path / "server.db") == SCHEMA_VERSION + 1


async def test_a_step_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "server.db"
    made(path, FIRST_VERSION)
    before = path.read_bytes()
    with_a_step(
        monkeypatch,
        {
            SCHEMA_VERSION + 1: ("DELETE FROM envelope", "ALTER TABLE nowhere ADD COLUMN more"),
        },
    )
    with pytest.raises(apsw.SQLError, match="nowhere"):
        await open_store(path)
    assert path.read_bytes() == before
    # The log, which is never cut, stays beside it.
    assert {file.name for file in tmp_path.iterdir()} <= {"server.db", "server.db-wal", "server.db-shm"}


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1])
async def test_a_version_that_this_grue_does_not_know_is_refused_and_the_refusal_says_so(
    tmp_path: Path, version: int
) -> None:
    path = tmp_path / "server.db"
    made(path, SCHEMA_VERSION)
    contents = bytearray(path.read_bytes())
    contents[60:64] = struct.pack(">I", version)
    path.write_bytes(contents)
    with pytest.raises(ForeignDatabase, match=f"version {version}; this Grue knows 1 to {SCHEMA_VERSION}"):
        await open_store(path)
    assert path.read_bytes() == contents


def with_a_step(monkeypatch: pytest.MonkeyPatch, more: Mapping[int, Sequence[str]]) -> None:
    monkeypatch.setattr(schema, "STEPS", {**STEPS, **more})
    monkeypatch.setattr(schema, "SCHEMA_VERSION", max(more))
