"""A server as a process, and what it does by itself: at its start, and across a crash."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from grue._core import OprfBlind
from grue.errors import TokenSpent
from grue.lab.mint import WEEK, mint
from grue.protocol import wire
from grue.protocol.tokens import Purpose, StoredToken, epoch_of, spend
from grue.server.keys.keys import open_keys
from grue.server.store.interface import Tx
from grue.server.store.sqlite import open_store, opened_to_read
from tests.server.kit import key_hash
from tests.server.smskit import eventually
from tests.server.test_http_process import ask, running, socket

pytestmark = pytest.mark.whole


async def changed(data: Path, change: Callable[[Tx], Any]) -> None:
    """Change a server's database while no server runs on it."""
    store = await open_store(data / "server.db")
    await store.transact(change)
    await store.close()


def counted(data: Path, table: str) -> int:
    with opened_to_read(data / "server.db", served=True) as connection:
        return len(connection.execute(f"SELECT 1 FROM {table}").fetchall())  # noqa: S608 -- our own names


async def test_what_fell_due_while_a_server_was_down_goes_when_it_starts(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        await server.stop()

    async def add(tx: Tx) -> None:
        await tx.run("INSERT INTO token_spent VALUES ($1, $1, 1)", bytes(16))
        await tx.run("INSERT INTO token_quota VALUES ($1, 1, 0, 50, 0)", bytes(16))
        await tx.run("INSERT INTO posted VALUES ($1, 1, $1, 1)", bytes(16))
        await tx.run("INSERT INTO account VALUES ($1, $1, $2, $2, $2, $2, 0, NULL, 1)", bytes(16), bytes(32))

    await changed(tmp_path, add)
    tables = ("token_spent", "token_quota", "posted", "account")
    assert [counted(tmp_path, table) for table in tables] == [1, 1, 1, 1]
    async with running(tmp_path):
        await eventually(lambda: all(counted(tmp_path, table) == 0 for table in tables))


@pytest.mark.parametrize("purpose", list(Purpose))
async def test_token_09_what_was_spent_stays_spent_after_a_crash(tmp_path: Path, purpose: Purpose) -> None:
    """Killed the moment the answer is there. What it had written is with the system then, so this does not show that
    the disk has it when the power goes: that is SQLite's `synchronous=FULL`, which `test_store` reads.
    """
    token = None
    for attempt in range(4):
        async with running(tmp_path) as server, socket(server) as websocket:
            token = token or drawn(tmp_path, purpose)
            answer = await ask(websocket, spend(priced(purpose), [token]))
            await server.kill()
        if attempt == 0:
            assert not isinstance(answer, wire.Refusal), answer
        else:
            assert isinstance(answer, wire.Refusal)
            assert answer.code == TokenSpent.code


def drawn(data: Path, purpose: Purpose) -> StoredToken:
    return mint(open_keys(data), purpose, epoch_of(int(time.time()) // WEEK))


def priced(purpose: Purpose) -> wire.Priced:
    """A request that was never made before."""
    if purpose is Purpose.LOOKUP:
        return wire.Evaluate(1, [OprfBlind.blind(os.urandom(8)).element])
    return wire.CreateMailbox(os.urandom(32), key_hash(os.urandom(32)), key_hash(os.urandom(32)), [])
