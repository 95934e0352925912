"""Stopping a server: whatever it is still writing is on disk before anything is closed."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from grue.protocol.directory.record import RECORD_BYTES
from grue.server.directory.directory import Directory
from grue.server.run import _server
from grue.server.store.sqlite import SqliteStore


async def test_a_stop_lets_the_directory_finish_before_the_store_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    write, close = Directory._written, SqliteStore.close

    def slowly(self: Directory, *args: Any) -> Any:
        time.sleep(0.1)
        view = write(self, *args)
        order.append("directory")
        return view

    async def noted(self: SqliteStore) -> None:
        order.append("store")
        await close(self)

    monkeypatch.setattr(Directory, "_written", slowly)
    monkeypatch.setattr(SqliteStore, "close", noted)
    async with _server(tmp_path, None, None) as server:
        putting = asyncio.create_task(server.directory.put(os.urandom(RECORD_BYTES)))
        await asyncio.sleep(0)
    assert order == ["directory", "store"]
    await putting
