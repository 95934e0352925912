"""A message is shown by one of several receivers, and left to the next when the one that shows it ends."""

import asyncio
import os
from pathlib import Path

import pytest

from grue.client.conversations.showing import FOLDER, Showing

ID = bytes(16)


def test_a_message_is_shown_by_one_at_a_time(tmp_path: Path) -> None:
    one, other = Showing(tmp_path), Showing(tmp_path)
    assert one.claim(1, ID)
    assert not one.claim(1, ID)
    assert not other.claim(1, ID)
    assert other.claim(2, ID)
    one.release(1)
    assert other.claim(1, ID)
    other.close()
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_what_a_process_was_showing_is_free_when_it_was_killed(tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        os._exit(0 if Showing(tmp_path).claim(1, ID) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert Showing(tmp_path).claim(1, ID)


async def test_a_lock_that_is_removed_while_it_is_waited_for_is_not_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, third = Showing(tmp_path), Showing(tmp_path), Showing(tmp_path)
    assert one.claim(1, ID)
    real, opened = os.open, list[int]()

    def open_late(path: Path, flags: int, mode: int = 0o777) -> int:
        descriptor = real(path, flags, mode)
        if not opened:
            opened.append(descriptor)
            one.release(1)
            assert third.claim(1, ID)
        return descriptor

    monkeypatch.setattr(os, "open", open_late)
    assert not await asyncio.to_thread(other.claim, 1, ID)
