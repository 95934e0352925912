"""Synthetic accounts: complete, found, and nobody's."""

import fcntl
from pathlib import Path

import pytest

from grue.errors import UsageError
from grue.lab.fill import fictional_numbers, filled, numbers
from grue.protocol import numbers as typed
from grue.protocol.directory.record import open_record
from grue.server.directory.directory import Directory, record_key
from grue.server.keys.keys import open_keys
from grue.server.store.files import DATABASE, LOCK
from grue.server.store.interface import Row, Tx
from grue.server.store.sqlite import open_store


def test_the_numbers_are_distinct_and_can_be_typed() -> None:
    every = list(fictional_numbers())
    assert len(every) == len(set(every)) == 152_000
    for number in every[::1000]:
        assert typed.parse(number) == number


def test_the_same_seed_gives_the_same_numbers() -> None:
    assert numbers(10, 1) == numbers(10, 1) != numbers(10, 2)
    with pytest.raises(UsageError):
        numbers(152_001, 1)


async def test_filled_numbers_are_found_and_have_accounts(tmp_path: Path) -> None:
    chosen = await filled(tmp_path / "data", 30, 7)
    assert len(set(chosen)) == 30
    keys = open_keys(tmp_path / "data")
    directory = Directory(tmp_path / "data", keys)
    assert directory.manifest.count == 30
    found = {}
    for number in chosen:
        key = record_key(keys, number)
        sealed = directory.find(key.tag)
        assert sealed is not None
        found[key.tag] = open_record(sealed, key)

    async def accounts(tx: Tx) -> list[Row]:
        return await tx.rows("SELECT phone_tag, identity_pub, intro_mailbox FROM account")

    store = await open_store(tmp_path / "data" / DATABASE)
    stored = await store.read(accounts)
    await store.close()
    assert {row[0]: row[1:] for row in stored} == {
        tag: (record.identity_public, record.intro_mailbox) for tag, record in found.items()
    }


async def test_filling_twice_replaces_and_filling_more_adds(tmp_path: Path) -> None:
    await filled(tmp_path, 5, 1)
    await filled(tmp_path, 5, 1)
    directory = Directory(tmp_path, open_keys(tmp_path))
    assert (directory.manifest.count, directory.manifest.epoch) == (5, 3)
    await filled(tmp_path, 5, 2)
    assert Directory(tmp_path, open_keys(tmp_path)).manifest.count == 10


async def test_a_running_server_is_not_disturbed(tmp_path: Path) -> None:
    with (tmp_path / LOCK).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="running"):
            await filled(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


async def test_what_was_filled_is_for_its_owner_only(tmp_path: Path) -> None:
    await filled(tmp_path / "data", 2)
    for path in (tmp_path / "data").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
