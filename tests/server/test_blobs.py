"""Parts of attachments on the server: paid, kept whole or not at all, given to who knows the id, and gone in time."""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from grue.errors import DiskFull
from grue.lab.mint import mint, paid
from grue.protocol import wire
from grue.protocol.tokens import Purpose, epoch_of, spend
from grue.protocol.wire import BLOB_DAYS
from grue.server.clock import DAY
from grue.server.context import Context
from grue.server.keys.keys import open_keys
from grue.server.mailboxes import blobs
from grue.server.mailboxes.blobs import Blobs, blob_name
from grue.server.store.interface import Tx
from tests.server.kit import TestServer, serving
from tests.server.test_http_process import Process, ask, running, socket

SMALL, LARGE = wire.PART_BUCKETS[0], wire.PART_BUCKETS[-1]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[TestServer]:
    async with serving(tmp_path / "server.db", blobs=Blobs(tmp_path / "blobs")) as server:
        yield server


def putting(size: int = SMALL) -> wire.PutBlob:
    return wire.PutBlob(os.urandom(32), os.urandom(size))


def files(path: Path) -> list[str]:
    return sorted(file.name for file in (path / "blobs").iterdir())


def file_of(path: Path, request: wire.PutBlob) -> Path:
    return path / "blobs" / blob_name(request.id).hex()


async def _rows(tx: Tx) -> list[tuple[Any, ...]]:
    return await tx.rows("SELECT id, bucket, expires_day FROM blob")


async def _spent(tx: Tx) -> int:
    return len(await tx.rows("SELECT key FROM token_spent"))


async def got(server: TestServer, request: wire.PutBlob) -> bool:
    """Whether exactly these bytes are there; False when none are."""
    answer = await server.ask(wire.GetBlob(request.id))
    if isinstance(answer, wire.Refusal):
        assert answer.code == "no_such_blob"
        return False
    assert answer == wire.BlobPart(request.blob)
    return True


# --- what is kept ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", wire.PART_BUCKETS)
async def test_a_part_is_given_to_who_knows_its_id(server: TestServer, size: int) -> None:
    request = putting(size)
    assert await server.ask(request) == wire.Done()
    assert await got(server, request)
    assert await server.code(wire.GetBlob(os.urandom(32))) == "no_such_blob"


async def test_what_is_kept_of_a_part_is_a_file_for_its_owner_and_a_row(server: TestServer, tmp_path: Path) -> None:
    request = putting()
    await server.ask(request)
    name = blob_name(request.id)
    assert await server.store.read(_rows) == [(name, SMALL, server.today + BLOB_DAYS)]
    assert files(tmp_path) == [name.hex()]
    status = file_of(tmp_path, request).stat()
    assert (status.st_mode & 0o777, (tmp_path / "blobs").stat().st_mode & 0o777) == (0o600, 0o700)
    assert request.id.hex() not in name.hex()


async def test_the_files_own_time_is_the_beginning_of_a_day(server: TestServer, tmp_path: Path) -> None:
    server.clock.now += 12_345.6
    request = putting()
    await server.ask(request)
    assert file_of(tmp_path, request).stat().st_mtime == server.today * DAY


@pytest.mark.parametrize("length", [SMALL + 1, SMALL * 2, LARGE - 1])
async def test_blob_05_only_the_sizes_of_buckets_are_taken(server: TestServer, tmp_path: Path, length: int) -> None:
    assert await server.code(wire.PutBlob(os.urandom(32), os.urandom(length))) == "bad_request"
    assert (files(tmp_path), await server.store.read(_spent)) == ([], 0)


@pytest.mark.parametrize("length", [0, SMALL - 1, LARGE + 1])
async def test_blob_05_larger_and_smaller_ones_are_not_even_read(server: TestServer, length: int) -> None:
    assert await server.code(wire.PutBlob(os.urandom(32), bytes(length))) == "bad_request"


async def test_blob_06_the_same_again_is_done_and_other_bytes_are_refused(server: TestServer, tmp_path: Path) -> None:
    request = putting()
    spend = server.paid(request)
    for again in (spend, spend, server.paid(request)):
        assert wire.ANONYMOUS_ANSWER.decode(await server.anonymous(wire.encode(again))) == wire.Done()
    assert await server.code(wire.PutBlob(request.id, os.urandom(SMALL))) == "blob_conflict"
    assert await server.code(wire.PutBlob(request.id, os.urandom(LARGE))) == "blob_conflict"
    assert await got(server, request)
    assert len(await server.store.read(_rows)) == len(files(tmp_path)) == 1
    # The conflicts cost nothing; the second token was for a part that is there.
    assert await server.store.read(_spent) == 2


async def test_blob_06_of_two_at_once_under_one_id_one_is_kept(server: TestServer) -> None:
    id = os.urandom(32)
    requests = [wire.PutBlob(id, os.urandom(SMALL)) for _ in range(8)]
    answers = await asyncio.gather(*(server.ask(request) for request in requests))
    assert answers.count(wire.Done()) == 1
    assert await got(server, requests[answers.index(wire.Done())])


async def test_a_part_takes_a_token_of_its_own_and_fetching_it_none(server: TestServer, tmp_path: Path) -> None:
    request, other = putting(), putting()
    answer = wire.ANONYMOUS_ANSWER.decode(await server.anonymous(wire.encode(request)))
    assert answer == wire.Refusal("token_needed")
    spend = server.paid(request)
    assert isinstance(spend, wire.Spend)
    moved = wire.encode(wire.Spend(spend.tokens, wire.encode(other)))
    assert wire.ANONYMOUS_ANSWER.decode(await server.anonymous(moved)) == wire.Refusal("bad_token")
    assert (files(tmp_path), await server.store.read(_rows)) == ([], [])


class Counted(Blobs):
    """Counts what is written."""

    written = 0

    async def write(self, name: bytes, blob: bytes, day: int) -> None:
        self.written += 1
        await super().write(name, blob, day)


@pytest.mark.parametrize("together", [False, True])
async def test_blob_08_a_token_has_one_part_written_and_no_more_however_often_it_is_spent(
    tmp_path: Path, together: bool
) -> None:
    kept = Counted(tmp_path / "blobs")
    async with serving(tmp_path / "server.db", blobs=kept) as server:
        token = mint(server.keys, Purpose.POST, epoch_of(server.week))
        asks = [server.anonymous(wire.encode(spend(putting(), [token]))) for _ in range(10)]
        answers = await asyncio.gather(*asks) if together else [await ask for ask in asks]
        decoded = [wire.ANONYMOUS_ANSWER.decode(answer) for answer in answers]
        assert decoded.count(wire.Done()) == 1
        assert decoded.count(wire.Refusal("token_spent")) == 9
        assert kept.written == len(files(tmp_path)) == 1


async def test_a_replay_after_the_part_is_gone_brings_nothing_back(server: TestServer, tmp_path: Path) -> None:
    request = putting()
    spend = wire.encode(server.paid(request))
    assert wire.ANONYMOUS_ANSWER.decode(await server.anonymous(spend)) == wire.Done()
    server.clock.days(BLOB_DAYS)
    await server.sweep()
    assert wire.ANONYMOUS_ANSWER.decode(await server.anonymous(spend)) == wire.Refusal("token_spent")
    assert files(tmp_path) == []


# --- what goes ------------------------------------------------------------------------------------


async def test_blob_07_a_part_is_there_for_two_weeks_and_not_longer(server: TestServer, tmp_path: Path) -> None:
    request = putting()
    await server.ask(request)
    server.clock.days(BLOB_DAYS - 1)
    await server.sweep()
    assert await got(server, request)
    server.clock.days(1)
    # Also before the sweep has come by.
    assert not await got(server, request)
    await server.sweep()
    assert (files(tmp_path), await server.store.read(_rows)) == ([], [])


async def test_what_is_put_again_after_its_day_stays_as_long_as_any_other(server: TestServer) -> None:
    """Before the sweep has come by too: it must not be acknowledged and be gone."""
    request = putting()
    await server.ask(request)
    server.clock.days(BLOB_DAYS)
    assert await server.ask(request) == wire.Done()
    assert await got(server, request)
    server.clock.days(BLOB_DAYS - 1)
    await server.sweep()
    assert await got(server, request)


async def test_the_day_of_expiry_is_one_of_two_by_chance(server: TestServer) -> None:
    server.context.blurred_day = lambda: Context.blurred_day(server.context)  # type: ignore[method-assign]
    for _ in range(40):
        await server.ask(putting())
    days = {row[2] - server.today for row in await server.store.read(_rows)}
    assert days == {BLOB_DAYS, BLOB_DAYS + 1}


async def test_a_sweep_that_was_missed_is_made_up_for_after_a_start(tmp_path: Path) -> None:
    requests = [putting() for _ in range(3)]
    async with serving(tmp_path / "server.db", blobs=Blobs(tmp_path / "blobs")) as server:
        for request in requests:
            await server.ask(request)
    async with serving(tmp_path / "server.db", blobs=Blobs(tmp_path / "blobs")) as server:
        server.clock.days(10 * BLOB_DAYS)
        await server.sweep()
        assert (files(tmp_path), await server.store.read(_rows)) == ([], [])


async def test_what_is_removed_is_overwritten_first(server: TestServer, tmp_path: Path) -> None:
    request = putting()
    await server.ask(request)
    # A second name of the same file shows what becomes of its blocks.
    kept = tmp_path / "kept"
    kept.hardlink_to(file_of(tmp_path, request))
    server.clock.days(BLOB_DAYS)
    await server.sweep()
    assert kept.read_bytes() == bytes(SMALL)


# --- what a crash leaves --------------------------------------------------------------------------


class Crash(BaseException):
    """Nothing after it happens."""


def crash(*_arguments: object) -> None:
    raise Crash


@pytest.mark.parametrize("where", ["utime", "fsync", "rename"])
async def test_a_crash_while_a_file_is_written_leaves_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    request = putting()
    async with serving(tmp_path / "server.db", blobs=Blobs(tmp_path / "blobs")) as server:
        with monkeypatch.context() as patch:
            patch.setattr(Path if where == "rename" else os, where, crash)
            # What is cleaned up when a request fails is not when the process ends.
            patch.setattr(blobs, "_removed_on_failure", lambda *_: nullcontext())
            with pytest.raises(Crash):
                await server.anonymous(wire.encode(server.paid(request)))
    assert [name.endswith(".new") for name in files(tmp_path)] == [True]
    async with serving(tmp_path / "server.db", blobs=Blobs(tmp_path / "blobs")) as server:
        assert files(tmp_path) == []
        assert not await got(server, request)
        assert await server.ask(request) == wire.Done()


async def test_a_crash_between_file_and_row_leaves_a_file_that_the_sweep_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, other = putting(), putting()
    async with serving(tmp_path / "server.db", blobs=Blobs(tmp_path / "blobs")) as server:
        for one in (request, other):
            spend = server.paid(one)
            with monkeypatch.context() as patch:
                patch.setattr(server.store, "transact", crash)
                with pytest.raises(Crash):
                    await server.anonymous(wire.encode(spend))
    assert len(files(tmp_path)) == 2
    async with serving(tmp_path / "server.db", blobs=Blobs(tmp_path / "blobs")) as server:
        assert not await got(server, request)
        # Sent again it is kept, whatever lay there; and what nobody sent again goes.
        again = wire.PutBlob(request.id, os.urandom(LARGE))
        assert await server.ask(again) == wire.Done()
        await server.sweep()
        assert files(tmp_path) == [blob_name(request.id).hex()]
        assert await got(server, again)


async def test_a_crash_between_the_end_of_a_file_and_of_its_row_leaves_a_row_that_the_sweep_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = putting()
    async with serving(tmp_path / "server.db", blobs=Blobs(tmp_path / "blobs")) as server:
        await server.ask(request)
        server.clock.days(BLOB_DAYS)
        with monkeypatch.context() as patch:
            patch.setattr(server.store, "transact", crash)
            with pytest.raises(Crash):
                await blobs.expire(server.context, server.blobs)
        assert files(tmp_path) == []
        assert len(await server.store.read(_rows)) == 1
        await server.sweep()
        assert await server.store.read(_rows) == []


async def test_a_row_whose_file_is_lost_refuses_and_takes_the_part_again(server: TestServer, tmp_path: Path) -> None:
    request = putting()
    await server.ask(request)
    file_of(tmp_path, request).unlink()
    assert not await got(server, request)
    assert await server.ask(request) == wire.Done()
    assert await got(server, request)


async def test_a_sweep_meanwhile_removes_nothing_that_is_being_put(server: TestServer) -> None:
    requests = [putting() for _ in range(20)]
    _, *answers = await asyncio.gather(
        blobs.expire(server.context, server.blobs),
        *(server.ask(request) for request in requests),
        blobs.expire(server.context, server.blobs),
    )
    assert answers[:-1] == [wire.Done()] * 20
    for request in requests:
        assert await got(server, request)


async def upload(server: Process, data: Path, done: list[wire.PutBlob]) -> None:
    """Put parts until the server is gone, and keep those that it acknowledged."""
    keys = open_keys(data)
    try:
        async with socket(server) as websocket:
            while True:
                request = putting(random.choice(wire.PART_BUCKETS))
                assert await ask(websocket, paid(keys, request)) == wire.Done()
                done.append(request)
    except (aiohttp.ClientError, TypeError, ConnectionError):
        return


@pytest.mark.parametrize("seconds", [0.15, 0.4])
async def test_killed_while_parts_are_put_it_has_all_that_it_acknowledged_and_no_file_more(
    tmp_path: Path, seconds: float
) -> None:
    done: list[wire.PutBlob] = []
    async with running(tmp_path) as server:
        writers = [asyncio.create_task(upload(server, tmp_path, done)) for _ in range(4)]
        while not done:  # noqa: ASYNC110 -- another process sets no event
            await asyncio.sleep(0.01)
        await asyncio.sleep(seconds)
        await server.kill()
        await asyncio.gather(*writers)
    async with running(tmp_path) as server, socket(server) as websocket:
        for request in done:
            assert await ask(websocket, wire.GetBlob(request.id)) == wire.BlobPart(request.blob)
    async with serving(tmp_path / "server.db", blobs=Blobs(tmp_path / "blobs")) as here:
        await blobs.expire(here.context, here.blobs)
        kept = {row[0].hex() for row in await here.store.read(_rows)}
    assert set(files(tmp_path)) == kept >= {blob_name(request.id).hex() for request in done}


# --- no room --------------------------------------------------------------------------------------


async def test_all_parts_together_have_a_limit_and_room_comes_back_when_some_go(tmp_path: Path) -> None:
    limit = 3 * SMALL
    async with serving(tmp_path / "server.db", blobs=Blobs(tmp_path / "blobs", limit)) as server:
        requests = [putting() for _ in range(3)]
        for request in [*requests, *requests]:
            assert await server.ask(request) == wire.Done()
        assert await server.code(putting()) == "disk_full"
        assert await server.store.read(_spent) == 6
    async with serving(tmp_path / "server.db", blobs=Blobs(tmp_path / "blobs", limit)) as server:
        assert await server.code(putting()) == "disk_full"
        server.clock.days(BLOB_DAYS)
        await server.sweep()
        for _ in range(3):
            assert await server.ask(putting()) == wire.Done()
        assert await server.code(putting()) == "disk_full"


@pytest.mark.parametrize("where", ["write", "fsync"])
async def test_a_full_disk_refuses_and_leaves_neither_file_nor_row_nor_spent_token(
    server: TestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    request = putting()
    with monkeypatch.context() as patch:
        patch.setattr(os, "utime" if where == "write" else "fsync", full)
        spend = wire.encode(server.paid(request))
        assert wire.ANONYMOUS_ANSWER.decode(await server.anonymous(spend)) == wire.Refusal(DiskFull.code)
    assert (files(tmp_path), await server.store.read(_rows), await server.store.read(_spent)) == ([], [], 0)
    assert wire.ANONYMOUS_ANSWER.decode(await server.anonymous(spend)) == wire.Done()


async def test_a_database_that_is_full_leaves_no_file(
    server: TestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_arguments: object) -> None:
        raise DiskFull

    with monkeypatch.context() as patch:
        patch.setattr(server.store, "transact", full)
        assert await server.code(putting()) == "disk_full"
    assert files(tmp_path) == []


async def test_what_is_none_of_ours_stays_in_the_directory(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "README").write_text("put here by the operator")
    async with serving(tmp_path / "server.db", blobs=Blobs(tmp_path / "blobs")) as server:
        await server.sweep()
    assert files(tmp_path) == ["README"]
