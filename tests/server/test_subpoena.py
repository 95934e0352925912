"""What `grue subpoena` finds about a number in a server's files: all of it, nobody else's, and without a trace."""

import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import apsw
import pytest

from grue.errors import CorruptDatabase, ForeignDatabase, UsageError
from grue.server.accounts.codes import number_name
from grue.server.demands.subpoena import NOT_DESCRIBED, Answer, gather
from grue.server.directory.directory import record_key
from grue.server.keys.keys import open_keys
from grue.server.store.files import LOCK, locked
from grue.server.store.schema import TABLES
from grue.testing import World
from tests.world.memory import ALICE, BOB, CAROL, NOBODY, take

DESCRIBED = {(table.name, column.name): column.says for table in TABLES for column in table.columns}


@asynccontextmanager
async def people(path: Path) -> AsyncIterator[World]:
    """Alice and Bob, who talk and have unread messages, and Carol, whose first message waits at Alice's."""
    world = World(path)
    await world.start()
    try:
        alice, bob, carol = [await world.person(number) for number in (ALICE, BOB, CAROL)]
        await alice.send(BOB, "Hello")
        assert await take(bob) == ["Hello"]
        await bob.send(ALICE, "Yes?")
        assert await take(alice) == ["Yes?"]
        await alice.send(BOB, "Nothing, I was looking for somebody else.")
        await carol.send(ALICE, "Hello")
        yield world
    finally:
        await world.close()


@pytest.fixture(scope="module")
async def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a server with these people, stopped."""
    path = tmp_path_factory.mktemp("people")
    async with people(path):
        pass
    return path / "server"


@pytest.fixture
def data(stopped: Path, tmp_path: Path) -> Path:
    """The same for one test, which may change them."""
    return shutil.copytree(stopped, tmp_path / "server")


def said(answer: Answer) -> str:
    """Everything that is listed, as one text."""
    return json.dumps([asdict(row) for row in answer.held])


def tables(answer: Answer) -> set[str]:
    return {row.table for row in answer.held}


def rows(answer: Answer, table: str) -> list[dict[str, Any]]:
    return [{column.name: column.value for column in row.columns} for row in answer.held if row.table == table]


def sql(data: Path, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(apsw.Connection(str(data / "server.db"))) as connection:
        return cast("list[tuple[Any, ...]]", connection.execute(statement, values).fetchall())


def tag(data: Path, number: str) -> bytes:
    return record_key(open_keys(data), number).tag


def of_account(data: Path, number: str) -> list[str]:
    """What is of this number alone, in hex."""
    columns = "account, phone_tag, identity_pub, intro_mailbox"
    found = sql(data, f"SELECT {columns} FROM account WHERE phone_tag = ?", tag(data, number))[0]  # noqa: S608
    devices = sql(data, "SELECT device_pub FROM device WHERE account = ?", found[0])
    return [value.hex() for value in (*found, *(device for (device,) in devices))]


def snapshot(data: Path) -> dict[str, tuple[bytes, int]]:
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in data.rglob("*") if path.is_file()}


# --- what is found --------------------------------------------------------------------------------


async def test_everything_of_an_account_is_listed_with_what_each_column_says(data: Path) -> None:
    answer = gather(data, ALICE)
    assert answer.registered
    assert tables(answer) >= {"account", "device", "key_package", "mailbox", "reader", "envelope"}
    for row in answer.held:
        if not row.table.startswith("directory/"):
            assert [column.says for column in row.columns] == [DESCRIBED[row.table, c.name] for c in row.columns]
    counted = sql(
        data, "SELECT count(*) FROM key_package WHERE device_pub = ?", bytes.fromhex(of_account(data, ALICE)[4])
    )
    assert len(rows(answer, "key_package")) == counted[0][0]


async def test_what_is_noted_of_a_numbers_codes_is_listed_registered_or_not(data: Path) -> None:
    for number in (ALICE, NOBODY):
        name = number_name(open_keys(data), number)
        sql(data, "INSERT INTO code_lock VALUES (?, 2, 0, 0, 30000)", name)
        sql(data, "INSERT INTO code_sent VALUES (?, 3100000, ?, 6, 1, 2, 0)", os.urandom(16), name)
        answer = gather(data, number)
        assert tables(answer) >= {"code_sent", "code_lock"}
        (sent,) = [row for row in answer.held if row.table == "code_sent" and row.columns[1].value == 3_100_000]
        assert sent.columns[1].means == "sent in the ten minutes from 2028-12-09 18:20 UTC"
        assert all(column.says != NOT_DESCRIBED for row in answer.held for column in row.columns)


async def test_who_claims_a_number_is_listed_with_the_day_in_the_calendar(data: Path) -> None:
    tag = bytes.fromhex(rows(gather(data, ALICE), "account")[0]["phone_tag"])
    sql(data, "INSERT INTO claim VALUES (?, ?, ?, 20000, 1)", tag, os.urandom(32), os.urandom(200))
    (claim,) = [row for row in gather(data, ALICE).held if row.table == "claim"]
    by_name = {column.name: column for column in claim.columns}
    assert by_name.keys() == {"phone_tag", "identity_pub", "device_list", "until_day", "objected"}
    assert "2024-10-04" in str(by_name["until_day"].date)
    assert all(column.says != NOT_DESCRIBED for column in claim.columns)


async def test_the_directorys_record_is_listed_and_opened(data: Path) -> None:
    answer = gather(data, ALICE)
    account, (record,) = rows(answer, "account")[0], rows(answer, "directory/1/overlay")
    assert (record["tag"], record["intro_mailbox"]) == (account["phone_tag"], account["intro_mailbox"])
    assert (record["identity_pub"], record["state"]) == (account["identity_pub"], "stands")


async def test_a_date_of_expiry_says_the_two_days_from_which_it_was_counted(data: Path) -> None:
    columns = [column for row in gather(data, ALICE).held if row.table == "envelope" for column in row.columns]
    (day,) = [column for column in columns if column.name == "expires_day"]
    # It came on the 15th; which of the two days it was is not stored.
    expected = [
        ("2027-02-14", "came 2027-01-14 to 2027-01-15"),
        ("2027-02-15", "came 2027-01-15 to 2027-01-16"),
    ]
    assert (day.date, day.means) in expected


async def test_a_conversations_mailbox_cannot_be_reached_from_an_account(data: Path) -> None:
    answer = gather(data, ALICE)
    conversations = sql(data, "SELECT mailbox FROM mailbox WHERE write_hash IS NOT NULL")
    readers = sql(data, "SELECT read_hash FROM reader JOIN mailbox USING (mailbox) WHERE write_hash IS NOT NULL")
    envelopes = sql(data, "SELECT id FROM envelope JOIN mailbox USING (mailbox) WHERE write_hash IS NOT NULL")
    assert all((conversations, readers, envelopes))
    for (value,) in (*conversations, *readers, *envelopes):
        assert value.hex() not in said(answer)
    assert any("conversation" in one.question for one in answer.cannot)


async def test_nothing_of_other_people_is_listed(data: Path) -> None:
    answer = said(gather(data, ALICE))
    assert all(value in answer for value in of_account(data, ALICE))
    assert not [value for number in (BOB, CAROL) for value in of_account(data, number) if value in answer]


async def test_what_all_mailboxes_share_after_a_restore_leads_nowhere(data: Path) -> None:
    sql(data, "UPDATE mailbox SET incarnation = ?", bytes(range(16)))
    answer = gather(data, ALICE)
    assert len(rows(answer, "mailbox")) == 1
    (shared,) = [c for row in answer.held if row.table == "mailbox" for c in row.columns if c.name == "incarnation"]
    assert shared.others == sql(data, "SELECT count(*) FROM mailbox")[0][0] - 1


async def test_a_stranger_cannot_lead_the_answer_to_somebody_else(data: Path) -> None:
    """Whoever looks Bob up knows his tag, and may choose it as the id of an envelope for Alice."""
    intro = sql(data, "SELECT intro_mailbox FROM account WHERE phone_tag = ?", tag(data, ALICE))[0][0]
    sql(data, "INSERT INTO envelope VALUES (?, 99, ?, 20863, ?)", intro, tag(data, BOB), bytes(1024))
    answer = gather(data, ALICE)
    assert tag(data, BOB).hex() in [row["id"] for row in rows(answer, "envelope")]
    assert [len(rows(answer, table)) for table in ("account", "device", "mailbox")] == [1, 1, 1]


# --- what is added later --------------------------------------------------------------------------


async def test_a_table_and_a_column_that_are_added_show_up_by_themselves(data: Path) -> None:
    account = bytes.fromhex(of_account(data, ALICE)[0])
    sql(data, "ALTER TABLE account ADD COLUMN nickname TEXT")
    sql(data, "UPDATE account SET nickname = '<b>Al</b>' WHERE account = ?", account)
    sql(data, "CREATE TABLE session (owner BLOB, session BLOB)")
    sql(data, "CREATE TABLE visit (session BLOB, address TEXT)")
    for owner, session, address in ((account, b"s" * 16, "192.0.2.1"), (os.urandom(16), b"t" * 16, "192.0.2.2")):
        sql(data, "INSERT INTO session VALUES (?, ?)", owner, session)
        sql(data, "INSERT INTO visit VALUES (?, ?)", session, address)
    answer = gather(data, ALICE)
    assert [row["address"] for row in rows(answer, "visit")] == ["192.0.2.1"]
    assert rows(answer, "account")[0]["nickname"] == "<b>Al</b>"
    added = [c for row in answer.held for c in row.columns if c.name in ("nickname", "session", "address", "owner")]
    assert {column.says for column in added} == {NOT_DESCRIBED}
    assert len(added) == 5


async def test_a_row_that_names_somebody_else_too_is_listed_and_leads_no_further(data: Path) -> None:
    alice, bob = (bytes.fromhex(of_account(data, number)[0]) for number in (ALICE, BOB))
    sql(data, "CREATE TABLE block (account BLOB, blocked BLOB, PRIMARY KEY (account, blocked))")
    sql(data, "INSERT INTO block VALUES (?, ?)", bob, alice)
    answer = gather(data, ALICE)
    assert rows(answer, "block") == [{"account": bob.hex(), "blocked": alice.hex()}]
    assert len(rows(answer, "account")) == len(rows(answer, "device")) == 1


# --- numbers that are not registered --------------------------------------------------------------


async def test_about_a_number_that_was_never_here_nothing_is_held(data: Path) -> None:
    answer = gather(data, NOBODY)
    assert (answer.registered, answer.held) == (False, ())
    assert answer.live
    assert answer.cannot


async def test_of_a_deleted_account_what_is_left_is_listed(tmp_path: Path) -> None:
    data = tmp_path / "server"
    async with people(tmp_path) as world:
        await world.server.registration.delete_account(bytes.fromhex(of_account(data, ALICE)[0]))
    sql(data, "CREATE TABLE quota (phone_tag BLOB PRIMARY KEY, used INTEGER)")
    sql(data, "INSERT INTO quota VALUES (?, 50)", tag(data, ALICE))
    answer = gather(data, ALICE)
    assert not answer.registered
    assert tables(answer) - {"token_quota", "code_sent", "code_count"} == {"quota", "directory/1/overlay"}
    assert [row["state"] for row in rows(answer, "directory/1/overlay")] == ["stands", "taken away"]


# --- without a trace ------------------------------------------------------------------------------


async def test_a_stopped_servers_files_stay_as_they_are(data: Path) -> None:
    (data / LOCK).touch()
    before = snapshot(data)
    assert not gather(data, ALICE).served
    assert snapshot(data) == before


async def test_what_a_crash_left_in_the_log_is_read_and_stays_as_it_is(tmp_path: Path) -> None:
    async with people(tmp_path):
        shutil.copytree(tmp_path / "server", tmp_path / "crashed")
    crashed = tmp_path / "crashed"
    assert (crashed / "server.db-wal").stat().st_size
    before = snapshot(crashed)
    answer = gather(crashed, ALICE)
    assert snapshot(crashed) == before
    assert [row.columns for row in answer.held] == [row.columns for row in gather(tmp_path / "server", ALICE).held]


async def test_beside_a_running_server_what_was_just_committed_is_seen(tmp_path: Path) -> None:
    async with people(tmp_path) as world:
        with locked(tmp_path / "server"):
            await world.person(NOBODY)
            answer = gather(tmp_path / "server", NOBODY)
            # The server goes on writing.
            await world.person("+447700900998")
    assert answer.served
    assert answer.registered


# --- refusals -------------------------------------------------------------------------------------


def test_a_directory_that_is_not_there_or_not_a_servers_is_refused_and_not_made(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(UsageError):
            gather(path, ALICE)
    assert list(tmp_path.iterdir()) == []


async def test_a_log_that_cannot_be_read_without_writing_is_refused(tmp_path: Path) -> None:
    async with people(tmp_path):
        shutil.copytree(tmp_path / "server", tmp_path / "copied", ignore=shutil.ignore_patterns("*-shm"))
    with pytest.raises(UsageError):
        gather(tmp_path / "copied", ALICE)


async def test_another_programs_database_is_refused(data: Path) -> None:
    (data / "server.db").write_bytes(b"SQLite format 3\0" + bytes(200))
    with pytest.raises(ForeignDatabase):
        gather(data, ALICE)


async def test_a_damaged_database_is_refused(data: Path) -> None:
    file = (data / "server.db").read_bytes()
    (data / "server.db").write_bytes(file[:100] + b"\xff" * (len(file) - 100))
    with pytest.raises(CorruptDatabase):
        gather(data, ALICE)


async def test_a_directory_key_that_is_missing_or_another_is_refused(data: Path, tmp_path: Path) -> None:
    open_keys(tmp_path / "others")
    with pytest.raises(UsageError, match="another directory key"):
        gather(data, ALICE, tmp_path / "others" / "directory.key")
    (data / "directory.key").rename(tmp_path / "away.key")
    with pytest.raises(UsageError, match="missing"):
        gather(data, ALICE)
    assert not (data / "directory.key").exists()
    assert gather(data, ALICE, tmp_path / "away.key").registered
