"""A server as a process, and what it does by itself: at its start, and across a crash."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from grue.server.sqlite import open_store, opened_to_read
from grue.server.store import Tx
from tests.server.smskit import eventually
from tests.server.test_http_process import running

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
