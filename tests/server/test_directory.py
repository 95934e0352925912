"""The directory role: what it shows, what it keeps, and that a crash at any point loses nothing answered."""

import asyncio
import errno
import os
import shutil
import tracemalloc
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from grue._core import OprfBlind, OprfKey, oprf_finalize
from grue.errors import BadRequest, CorruptDatabase, DiskFull, ServerBusy, UsageError
from grue.protocol import wire
from grue.protocol.directory import directory as files
from grue.protocol.directory.directory_sync import Known, RecordTable, Synced
from grue.protocol.directory.record import RECORD_BYTES
from grue.server.directory import cutting
from grue.server.directory import directory as role
from grue.server.directory.directory import Directory
from grue.server.keys.keys import Keys, open_keys
from grue.server.store.interface import Tx
from grue.server.store.schema import TABLES
from tests.damage import flipped
from tests.protocol.directories import NOW
from tests.protocol.directories import run as download
from tests.server.kit import serving


class Host:
    """A directory on disk, its keys, a clock, and a client that follows it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.keys = open_keys(data)
        self.now = NOW
        self.directory = self.open()
        self.known: Known | None = None
        self.table = RecordTable()

    def open(self) -> Directory:
        self.directory = Directory(self.data, self.keys, lambda: self.now)
        return self.directory

    async def put(self, entry: bytes) -> None:
        """Put, and wait until a new base is cut if one is due."""
        await self.directory.put(entry)
        await self.directory.settled()

    def sync(self) -> Synced:
        result = download(Served(self.directory), self.keys.server_public, self.now, self.known)
        self.table.apply(result)
        self.known = result.current
        return result


class Served(dict[str, bytes]):
    """The directory's files as a mapping."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def __getitem__(self, path: str) -> bytes:
        file = self._directory.file(path)
        assert file is not None, path
        return file


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "data")


def record() -> bytes:
    return os.urandom(RECORD_BYTES)


# --- what it shows --------------------------------------------------------------------------------


def test_a_new_directory_is_empty_and_provable(host: Host) -> None:
    result = host.sync()
    assert (result.base, result.overlay) == (b"", b"")
    assert result.current.manifest.contents.oprf_public == host.keys.oprf.public


async def test_a_client_sees_what_was_put_and_removed(host: Host) -> None:
    first, second = record(), record()
    await host.directory.put(first)
    await host.directory.put(second)
    host.sync()
    assert host.table.find(first[:16]) == first
    await host.directory.remove(first[:16])
    replaced = second[:16] + os.urandom(112)
    await host.directory.put(replaced)
    host.sync()
    assert host.table.find(first[:16]) is None
    assert host.table.find(second[:16]) == replaced == host.directory.find(second[:16])


async def test_removing_what_is_not_there_changes_nothing(host: Host) -> None:
    await host.directory.remove(os.urandom(16))
    assert host.directory.head.length == 0


async def test_a_removal_right_behind_a_put_comes_second(host: Host) -> None:
    entry = record()
    await asyncio.gather(host.directory.put(entry), host.directory.remove(entry[:16]))
    assert host.directory.find(entry[:16]) is None
    assert host.directory.head.length == 2


async def test_many_changes_at_once_share_their_writes(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = 0
    real = os.fsync

    def counting(descriptor: int) -> None:
        nonlocal syncs
        syncs += 1
        real(descriptor)

    monkeypatch.setattr(os, "fsync", counting)
    entries = [record() for _ in range(100)]
    await asyncio.gather(*(host.directory.put(entry) for entry in entries))
    host.sync()
    assert all(host.table.find(entry[:16]) == entry for entry in entries)
    assert syncs < 12


@pytest.mark.parametrize(
    "path", ["", "head/", "9/base", "1/overlay/1", "1/other", "../server.key", "1/../../server.key"]
)
def test_there_are_no_other_files(host: Host, path: str) -> None:
    assert host.directory.file(path) is None


async def test_an_overlay_of_a_given_length_never_changes(host: Host) -> None:
    await host.directory.put(record())
    one = host.directory.file("1/overlay/1")
    await host.directory.put(record())
    assert host.directory.file("1/overlay/1") == one
    assert host.directory.file("1/overlay/0") == b""


async def test_everybody_gets_the_same_files(host: Host) -> None:
    await host.directory.put(record())
    for path in ("head", "1/manifest", "1/base", "1/overlay/1"):
        assert host.directory.file(path, "query=1") == host.directory.file(path) is not None


# --- heads ----------------------------------------------------------------------------------------


async def test_the_head_is_signed_again_when_it_is_due_and_not_before(host: Host) -> None:
    first = host.directory.file("head")
    issued = host.directory.head.issued
    host.now = issued + role.RESIGN_AFTER - 1
    await host.directory.tend()
    assert host.directory.file("head") == first
    host.now += 1
    await host.directory.tend()
    assert host.directory.head.issued == issued + role.RESIGN_AFTER
    assert host.directory.head.valid_until == host.now + files.VALID_FOR
    host.sync()


async def test_the_head_does_not_say_when_in_its_period_somebody_came(host: Host) -> None:
    host.now = host.directory.head.issued + role.RESIGN_AFTER
    await host.directory.tend()
    untouched = host.directory.head
    host.now += 4321
    await host.directory.put(record())
    changed = host.directory.head
    assert (changed.issued, changed.valid_until) == (untouched.issued, untouched.valid_until)
    assert changed.issued % role.RESIGN_AFTER == 0
    assert changed.length == untouched.length + 1


async def test_a_head_that_is_tended_never_runs_out(host: Host) -> None:
    for _ in range(20):
        host.now += role.RESIGN_AFTER - 1
        host.sync()
        await host.directory.tend()


async def test_a_clock_that_is_set_back_does_not_look_like_a_shrunk_directory(host: Host) -> None:
    host.sync()
    host.now -= 100
    await host.directory.put(record())
    host.sync()
    host.open()
    host.sync()


# --- new bases ------------------------------------------------------------------------------------


async def test_a_new_base_is_cut_when_the_overlay_has_grown(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "MIN_CUT", 10)
    entries = [record() for _ in range(25)]
    for entry in entries:
        await host.put(entry)
        host.sync()
        assert host.table.find(entry[:16]) == entry
    assert host.directory.manifest.epoch == 3
    assert all(host.table.find(entry[:16]) == entry for entry in entries)


async def test_a_new_base_says_how_the_epoch_before_ended(host: Host) -> None:
    await host.put(record())
    host.directory.renew()
    await host.put(record())
    ended = host.directory.file("head")
    host.directory.renew()
    assert ended is not None
    head = files.UnverifiedHead(ended).verify(host.keys.server_public).contents
    manifest = host.directory.manifest
    assert (manifest.epoch, manifest.ended, manifest.ended_length) == (head.epoch + 1, head.chain, 1)


def as_before_ends_were_named(host: Host) -> None:
    """Write the manifest on disk as it was signed when it said nothing of the epoch before."""
    fields = msgspec.msgpack.decode(wire.encode(host.directory.manifest))[:-2]
    body = msgspec.msgpack.encode(fields)
    signature = host.keys.signing.sign(files.MANIFEST_CONTEXT + body)
    start = files.chain_start(sha256(body).digest())
    head = replace(host.directory.head, manifest_hash=sha256(body).digest(), length=0, chain=start)
    folder = host.data / "directory"
    (folder / f"{head.epoch}" / "manifest").write_bytes(wire.encode(wire.SignedFile(body, signature)))
    (folder / "head").write_bytes(files.sign_head(head, host.keys.signing))
    (folder / f"{head.epoch}" / "overlay").write_bytes(b"")


def test_a_manifest_of_an_earlier_version_stays_the_one_that_heads_name(host: Host) -> None:
    as_before_ends_were_named(host)
    host.open()
    host.sync()
    assert host.directory.manifest.epoch == 1


async def test_who_has_the_epoch_before_an_end_was_named_is_not_told_of_a_lie(host: Host) -> None:
    await host.put(record())
    host.sync()
    host.directory.renew()
    as_before_ends_were_named(host)
    host.open()
    assert host.sync().current.manifest.contents.epoch == 3


async def test_a_larger_base_takes_a_larger_overlay(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "MIN_CUT", 10)
    host.directory.put_many(record() for _ in range(1_000))
    due = cutting.cut_at(host.directory.manifest)
    assert due > 40
    for _ in range(due - 1):
        await host.directory.put(record())
    assert host.directory.manifest.epoch == 2
    await host.put(record())
    assert host.directory.manifest.epoch == 3


def short_overlays(monkeypatch: pytest.MonkeyPatch, longest: int) -> None:
    """As if clients read so many entries; a base is due with half of them."""
    monkeypatch.setattr(files, "MAX_OVERLAY", longest)
    monkeypatch.setattr(cutting, "MAX_CUT", longest // 2)
    monkeypatch.setattr(cutting, "MIN_CUT", 1)


async def test_a_base_is_cut_before_the_overlay_is_longer_than_clients_read(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_overlays(monkeypatch, 40)
    # The formula alone would let it grow to 44.
    host.directory.put_many(record() for _ in range(1_000))
    for n in range(60):
        entry = record()
        await host.put(entry)
        host.sync()
        assert host.table.find(entry[:16]) == entry
        assert host.directory.head.length < 20, n
    host.open()
    host.sync()


async def test_an_overlay_without_room_takes_no_more_until_a_base_is_made(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_overlays(monkeypatch, 12)

    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    entries = [record() for _ in range(20)]
    with monkeypatch.context() as patched:
        patched.setattr(Directory, "_store_epoch", full)
        results = await asyncio.gather(*map(host.directory.put, entries), return_exceptions=True)
        await host.directory.settled()
        refused = [result for result in results if result is not None]
        assert len(refused) == 8
        assert all(isinstance(one, ServerBusy) and one.retry_after == role.FULL_SECONDS for one in refused)
        with pytest.raises(ServerBusy):
            await host.directory.remove(entries[0][:16])
        await host.directory.settled()
        host.sync()
        host.open()
    host.sync()
    taken = [entry for entry, result in zip(entries, results, strict=True) if result is None]
    assert all(host.table.find(entry[:16]) == entry for entry in taken)
    # Nobody has to come first: it is made when it can be.
    await host.directory.tend()
    assert (host.directory.manifest.epoch, host.directory.head.length) == (2, 0)
    await host.put(record())
    host.sync()


async def test_who_is_in_the_middle_of_a_download_finishes_it(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "MIN_CUT", 4)
    for _ in range(3):
        await host.put(record())
    paths = ("1/manifest", "1/base", "1/overlay/3")
    before = [host.directory.file(path) for path in paths]
    for _ in range(2):
        await host.put(record())
    assert host.directory.manifest.epoch == 2
    assert [host.directory.file(path) for path in paths] == before
    for _ in range(8):
        await host.put(record())
    assert host.directory.file("1/base") is None


def test_no_base_is_in_memory_while_it_is_checked_or_the_next_one_made(host: Host) -> None:
    host.directory.put_many(record() for _ in range(60_000))
    base = 60_000 * RECORD_BYTES
    tracemalloc.start()
    try:
        host.open()
        host.directory.renew()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert host.directory.manifest.epoch == 3
    # Three pieces of a MiB, what is made of one, and the hint.
    assert peak < base * 0.8


async def test_removed_records_are_gone_from_the_next_base(host: Host) -> None:
    entry, kept = record(), record()
    await host.directory.put(entry)
    await host.directory.put(kept)
    await host.directory.remove(entry[:16])
    host.directory.put_many([])
    assert host.sync().base == kept


# --- restarts and crashes -------------------------------------------------------------------------


async def test_a_restart_keeps_everything(host: Host) -> None:
    first, second = record(), record()
    host.directory.put_many([first])
    await host.directory.put(second)
    await host.directory.remove(first[:16])
    host.sync()
    host.open()
    host.sync()
    assert host.directory.find(second[:16]) == second
    assert host.directory.find(first[:16]) is None


class Crash(Exception):
    """The machine stops here."""


def crashing(after: int, real: Callable[..., Any]) -> Callable[..., Any]:
    """Do it so many times, then stop."""
    left = after

    def instead(*arguments: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise Crash
        return real(*arguments)

    return instead


@pytest.mark.parametrize(
    ("place", "after"), [("fsync", after) for after in range(40)] + [("rename", after) for after in range(12)]
)
async def test_a_crash_at_any_point_loses_nothing_that_was_answered(
    host: Host, monkeypatch: pytest.MonkeyPatch, place: str, after: int
) -> None:
    monkeypatch.setattr(cutting, "MIN_CUT", 3)
    answered: dict[bytes, bytes | None] = {}
    with monkeypatch.context() as patched:
        if place == "fsync":
            patched.setattr(os, "fsync", crashing(after, os.fsync))
        else:
            patched.setattr(Path, "rename", crashing(after, Path.rename))
        for n in range(8):
            entry = bytes([n % 3]) * 16 + os.urandom(112)
            try:
                if n % 4 == 3:
                    await host.directory.remove(entry[:16])
                    answered[entry[:16]] = None
                else:
                    await host.put(entry)
                    answered[entry[:16]] = entry
            except Crash:
                # Whether this one took effect is open; what came before is not.
                answered.pop(entry[:16], None)
                break
            host.sync()
    host.open()
    host.sync()
    for tag, expected in answered.items():
        assert host.table.find(tag) == host.directory.find(tag) == expected
    await host.directory.put(record())
    host.sync()


async def test_bytes_behind_the_head_were_never_answered_and_are_cut_off(host: Host) -> None:
    kept = record()
    await host.directory.put(kept)
    with (host.data / "directory" / "1" / "overlay").open("ab") as file:
        file.write(os.urandom(200))
    host.open()
    after = record()
    await host.directory.put(after)
    host.open()
    result = host.sync()
    assert result.overlay == kept + after


async def test_a_base_whose_head_was_lost_in_a_crash_was_never_shown(host: Host) -> None:
    entry = record()
    await host.directory.put(entry)
    head = (host.data / "directory" / "head").read_bytes()
    host.directory.put_many([])
    (host.data / "directory" / "head").write_bytes(head)
    host.open()
    assert host.directory.manifest.epoch == 1
    assert host.directory.find(entry[:16]) == entry
    host.sync()
    host.directory.put_many([])
    assert host.sync().base == entry


def test_half_made_epochs_are_swept_away(host: Host) -> None:
    (host.data / "directory" / ".new-2").mkdir()
    host.open()
    assert not (host.data / "directory" / ".new-2").exists()


async def test_a_full_disk_is_said_so_and_loses_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = record()
    await host.directory.put(kept)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        results = await asyncio.gather(*(host.directory.put(record()) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(result, DiskFull) for result in results)
    assert host.sync().overlay == kept
    await host.directory.put(record())
    assert host.directory.head.length == 2
    host.open()
    assert host.directory.head.length == 2


async def test_a_base_that_cannot_be_cut_costs_nobody_their_record(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "MIN_CUT", 2)

    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Directory, "_store_epoch", full)
        entries = [record() for _ in range(3)]
        for entry in entries:
            await host.put(entry)
    host.sync()
    assert all(host.table.find(entry[:16]) == entry for entry in entries)
    await host.put(record())
    assert host.directory.manifest.epoch == 2


async def test_who_gives_up_waiting_spoils_nothing(host: Host) -> None:
    entry, other = record(), record()
    waiting = asyncio.create_task(host.directory.put(entry))
    await asyncio.sleep(0)
    waiting.cancel()
    await host.directory.put(other)
    assert host.directory.find(entry[:16]) == entry
    assert host.directory.find(other[:16]) == other


@pytest.mark.parametrize("name", ["manifest", "base", "overlay"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone"])
async def test_a_damaged_file_stops_the_start(host: Host, name: str, damage: str) -> None:
    host.directory.put_many([record() for _ in range(3)])
    await host.directory.put(record())
    path = host.data / "directory" / "2" / name
    contents = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(contents[:-1] if damage == "cut" else flipped(contents))
    with pytest.raises(CorruptDatabase):
        host.open()


async def test_a_base_older_than_the_head_stops_the_start(host: Host) -> None:
    # Part of a backup put over the rest: going on would show clients a shrunk directory.
    host.directory.put_many([record()])
    shutil.rmtree(host.data / "directory" / "2")
    with pytest.raises(CorruptDatabase):
        host.open()


def test_another_directory_key_stops_the_start(host: Host) -> None:
    with pytest.raises(UsageError, match="--directory-key"):
        Directory(host.data, Keys(host.keys.signing, host.keys.code_key, OprfKey.generate()))


# --- evaluation -----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, role.INLINE_EVALUATIONS, role.INLINE_EVALUATIONS + 1, wire.MAX_EVALUATIONS])
async def test_numbers_are_evaluated_blindly_and_provably(host: Host, count: int) -> None:
    inputs = [f"+4477009{n:05}".encode() for n in range(count)]
    blinds = [OprfBlind.blind(one) for one in inputs]
    async with serving(keys=host.keys, directory=host.directory) as server:
        answer = await server.ask(wire.Evaluate(role.OPRF_EPOCH, [blind.element for blind in blinds]))
    outputs = oprf_finalize(blinds, answer.elements, answer.proof, host.keys.oprf.public)
    assert outputs == host.keys.oprf.output(inputs)
    assert outputs == role.outputs(host.keys, [one.decode() for one in inputs])


async def test_evaluate_01_another_lookup_key_is_not_at_hand(host: Host) -> None:
    async with serving(keys=host.keys, directory=host.directory) as server:
        request = wire.Evaluate(role.OPRF_EPOCH + 1, [OprfBlind.blind(b"x").element])
        assert await server.code(request) == ServerBusy.code


@pytest.mark.parametrize("element", [bytes(32), b"\xff" * 32, b"\x01" + bytes(31)])
async def test_evaluate_02_what_is_no_element_is_refused(host: Host, element: bytes) -> None:
    async with serving(keys=host.keys, directory=host.directory) as server:
        for blinded in ([element], [OprfBlind.blind(b"x").element] * 5 + [element]):
            assert await server.code(wire.Evaluate(role.OPRF_EPOCH, blinded)) == BadRequest.code


async def test_a_lookup_leaves_nothing_behind_but_spent_tokens(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    store = host.data / "server.db"
    caplog.set_level(0)
    async with serving(store, keys=host.keys, directory=host.directory) as server:
        await server.store.flush()
        before = everything(host.data)
        elements: list[bytes] = []
        for count in (1, 10):
            blinds = [OprfBlind.blind(os.urandom(12)) for _ in range(count)]
            elements += [blind.element for blind in blinds]
            answer = await server.ask(wire.Evaluate(role.OPRF_EPOCH, [blind.element for blind in blinds]))
            assert isinstance(answer, wire.Evaluated)
        await server.store.flush()
        after = everything(host.data)
        changed = {path for path, contents in after.items() if contents != before[path]}
        assert changed == {f"{store}-wal"}
        rows = {table.name: await server.store.read(_count, table.name) for table in TABLES}
        assert {name: count for name, count in rows.items() if count} == {"token_spent": 11}
        assert not any(element in contents for element in elements for contents in after.values())
    assert caplog.records == []


async def _count(tx: Tx, table: str) -> int:
    row = await tx.row(f"SELECT count(*) FROM {table}")  # noqa: S608 -- our own names
    assert row is not None
    return int(row[0])  # type: ignore[arg-type]


def everything(data: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in data.rglob("*") if path.is_file() and path.suffix != ".db-shm"}


def test_nothing_on_disk_names_a_number(host: Host) -> None:
    number = "+447700900123"
    host.directory.put_many([role.record_key(host.keys, number).tag + os.urandom(112)])
    for path in (host.data / "directory").rglob("*"):
        if path.is_file():
            assert number.encode() not in path.read_bytes()
            assert number[1:].encode() not in path.read_bytes()
