"""A replica: what it takes for the directory and what not, whom it answers what, and what it keeps over a crash."""

import asyncio
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from grue._core import PirError
from grue.errors import (
    BadDirectory,
    BadManifest,
    BadRequest,
    DiskFull,
    EpochEnded,
    NotAGrueServer,
    ServerBusy,
    ShrunkDirectory,
    StaleDirectory,
    TimedOut,
    Unreachable,
    UsageError,
)
from grue.protocol import wire
from grue.protocol.directory import directory
from grue.protocol.directory.directory import PRIVATE_FILES
from grue.protocol.directory.record import RECORD_BYTES
from grue.protocol.directory.replica import KEY_MAGIC, READY_PATH, ReplicaKey
from grue.server.directory import pir_table, queryqueue
from grue.server.keys.keys import Keys, open_keys, open_replica_key
from grue.server.replica import origin
from grue.server.replica import replica as replicas
from grue.server.replica.mirror import Mirror
from grue.server.replica.replica import open_key
from tests.damage import flipped
from tests.server.replicakit import Host, Site, replicating


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with Host(tmp_path / "server").served() as host:
        yield host


@pytest.fixture
async def site(host: Host, tmp_path: Path) -> AsyncIterator[Site]:
    """A replica that has the present epoch."""
    async with replicating(host, tmp_path / "replica") as site:
        await site.look()
        host.asked.clear()
        yield site


async def answered(site: Site, epoch: int | None = None) -> bool:
    """Whether it answers a query for an epoch, and rightly."""
    made = site.host.query(epoch=epoch)
    answer = await site.ask(wire.Query(epoch or site.host.epoch, [made.query]))
    return isinstance(answer, wire.Answers) and made.found(answer) == site.host.records[0]


async def test_a_replica_answers_as_the_server_does(site: Site) -> None:
    made = [site.host.query(n) for n in range(3)]
    answer = await site.ask(wire.Query(site.host.epoch, [one.query for one in made]))
    assert isinstance(answer, wire.Answers)
    found = [one.found(wire.Answers([part])) for one, part in zip(made, answer.answers, strict=True)]
    assert found == site.host.records[:3]


async def test_its_table_is_the_servers_byte_for_byte(site: Site, tmp_path: Path) -> None:
    for name in ("base", pir_table.PACKED, *PRIVATE_FILES):
        theirs, ours = (tmp_path / who / "directory" / str(site.host.epoch) / name for who in ("server", "replica"))
        assert theirs.read_bytes() == ours.read_bytes()


# --- REPLICA-01: the key --------------------------------------------------------------------------


def test_replica_01_the_servers_file_is_the_key_and_is_made_once(tmp_path: Path) -> None:
    keys = open_keys(tmp_path)
    made = open_replica_key(tmp_path, keys)
    assert made.server_public == keys.server_public
    assert open_replica_key(tmp_path, keys) == made == open_key(tmp_path / "replica.key")
    assert repr(made) == "ReplicaKey()"


def test_replica_01_a_key_that_others_can_read_or_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "replica.key"
    with pytest.raises(UsageError):
        open_key(path)
    whole = KEY_MAGIC + bytes(64)
    for contents in (b"", whole[:-1], whole + b"\0", b"grue server key v1\n" + bytes(64)):
        path.write_bytes(contents)
        path.chmod(0o600)
        with pytest.raises(UsageError):
            open_key(path)
    path.write_bytes(whole)
    assert open_key(path) == ReplicaKey(bytes(32), bytes(32))
    path.chmod(0o640)
    with pytest.raises(UsageError):
        open_key(path)


def test_replica_01_a_key_of_another_server_is_none_of_ours(tmp_path: Path) -> None:
    open_replica_key(tmp_path, Keys.generate())
    with pytest.raises(UsageError):
        open_replica_key(tmp_path, Keys.generate())


# --- REPLICA-02: head and manifest ----------------------------------------------------------------


def resigned(host: Host, keys: Keys, **changes: Any) -> Callable[[str, bytes], bytes]:
    """The directory with a changed manifest, and a head that names it; signed by `keys`."""
    manifest = replace(host.directory.manifest, **changes)
    head = replace(host.directory.head, epoch=manifest.epoch, manifest_hash=directory.manifest_hash(manifest))

    def change(path: str, file: bytes) -> bytes:
        if path == "head":
            return directory.sign_head(head, keys.signing)
        return directory.sign_manifest(manifest, keys.signing) if path.endswith("/manifest") else file

    return change


def spoilt(name: str, change: Callable[[bytes], bytes]) -> Callable[[str, bytes], bytes]:
    return lambda path, file: change(file) if path.endswith(name) else file


@pytest.mark.parametrize("name", ["head", "manifest"])
@pytest.mark.parametrize("damage", [flipped, lambda file: file[:-1], lambda _file: b""], ids=["flip", "cut", "empty"])
async def test_replica_02_a_damaged_head_or_manifest_leaves_what_is_here(
    site: Site, name: str, damage: Callable[[bytes], bytes]
) -> None:
    before = site.host.epoch
    site.host.directory.renew()
    site.host.change = spoilt(name, damage)
    with pytest.raises(BadManifest):
        await site.look()
    assert await answered(site, before)
    assert site.mirror.private_base(site.host.epoch) is None


async def test_replica_02_what_another_key_signed_is_refused(host: Host, tmp_path: Path) -> None:
    host.change = resigned(host, Keys.generate())
    async with replicating(host, tmp_path / "replica") as site:
        with pytest.raises(BadManifest):
            await site.look()
        assert site.mirror.present is None


async def test_replica_02_a_directory_that_goes_back_is_refused(site: Site) -> None:
    site.host.change = resigned(site.host, site.host.keys, epoch=site.host.epoch - 1)
    with pytest.raises(ShrunkDirectory):
        await site.look()
    assert await answered(site)


async def test_replica_02_a_head_that_has_run_out_is_refused_and_the_epoch_goes_on_being_answered(site: Site) -> None:
    site.replica._clock = lambda: site.host.directory.head.valid_until + 1
    with pytest.raises(StaleDirectory):
        await site.look()
    assert await answered(site)


async def test_replica_02_what_is_no_server_of_ours_is_refused(host: Host, tmp_path: Path) -> None:
    host.change = lambda _path, _file: bytes(origin.SMALL_BYTES + 1)
    async with replicating(host, tmp_path / "replica") as site:
        with pytest.raises(NotAGrueServer):
            await site.look()


# --- REPLICA-03, -04: the base, and the table made of it ------------------------------------------


def swapped(file: bytes) -> bytes:
    return file[RECORD_BYTES : 2 * RECORD_BYTES] + file[:RECORD_BYTES] + file[2 * RECORD_BYTES :]


@pytest.mark.parametrize(
    "damage",
    [flipped, lambda file: file[:-1], lambda file: file + b"\0", lambda _file: b"", swapped],
    ids=["flip", "cut", "long", "empty", "swapped"],
)
async def test_replica_03_a_base_that_is_not_the_manifests_is_dropped_and_fetched_anew(
    site: Site, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    before = site.host.epoch
    site.host.directory.renew()
    site.host.change = spoilt("base", damage)
    with pytest.raises(BadDirectory):
        await site.look()
    assert await answered(site, before)
    assert sorted(path.name for path in (tmp_path / "replica" / "directory").iterdir()) == [str(before)]
    site.host.change = lambda _path, file: file
    await site.look()
    assert await answered(site)


@pytest.mark.parametrize("name", ["hint_hash", "fences_hash", "top_hash"])
async def test_replica_04_a_table_that_differs_from_its_base_is_refused(site: Site, name: str) -> None:
    before = site.host.epoch
    site.host.directory.renew()
    site.host.change = resigned(site.host, site.host.keys, **{name: bytes(32)})
    with pytest.raises(BadDirectory):
        await site.look()
    assert await answered(site, before)
    assert site.mirror.private_base(site.host.epoch) is None


async def test_replica_04_a_table_of_other_records_is_refused(host: Host, tmp_path: Path) -> None:
    honest = host.directory.manifest
    host.directory.put_many([os.urandom(RECORD_BYTES)])
    other = host.directory.manifest
    # The table of one base, signed with the other base.
    mixed = resigned(host, host.keys, merkle_root=honest.merkle_root, count=honest.count, pir=honest.pir)
    base = host.directory.file(f"{honest.epoch}/base")
    assert base is not None
    host.change = lambda path, file: base if path.endswith("/base") else mixed(path, file)
    async with replicating(host, tmp_path / "replica") as site:
        with pytest.raises(BadDirectory):
            await site.look()
        assert site.mirror.private_base(other.epoch) is None


async def test_a_download_that_breaks_off_goes_on_where_it_was(host: Host, tmp_path: Path) -> None:
    host.whole = False
    path = f"{host.epoch}/base"
    async with replicating(host, tmp_path / "replica") as site:
        with pytest.raises(TimedOut):
            await site.look()
    host.whole = True
    # Another process, as after a kill.
    async with replicating(host, tmp_path / "replica") as site:
        await site.look()
        assert await answered(site)
    ranges = [headers.get("Range", "") for asked, headers in host.asked if asked == path]
    assert ranges[0] == ""
    assert ranges[1] not in ("", "bytes=0-")


@pytest.mark.parametrize("extra", [0, RECORD_BYTES])
async def test_what_came_before_and_is_wrong_is_dropped(host: Host, tmp_path: Path, extra: int) -> None:
    async with replicating(host, tmp_path / "replica") as site:
        begun = site.mirror.incoming(host.epoch)
        begun.write_bytes(bytes(RECORD_BYTES * (2 if not extra else 5) + extra))
        if not extra:
            with pytest.raises(BadDirectory):
                await site.look()
        await site.look()
        assert await answered(site)


async def test_a_server_without_a_table_gives_a_replica_files_and_no_queries(tmp_path: Path) -> None:
    small = Host(tmp_path / "server", {"GRUE_DIRECTORY_TIER": "1"})
    async with small.served() as host, replicating(host, tmp_path / "replica") as site:
        await site.look()
        assert site.mirror.file(f"{host.epoch}/base") is not None
        assert await site.code(wire.Query(host.epoch, [bytes(256)])) == EpochEnded.code


# --- faults of this side --------------------------------------------------------------------------


async def test_a_full_disk_leaves_what_is_here_and_gives_the_room_back(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = site.host.epoch
    site.host.directory.renew()

    def full(*_: object) -> int:
        raise DiskFull

    with monkeypatch.context() as patched:
        patched.setattr(origin, "_write", full)
        with pytest.raises(DiskFull):
            await site.look()
    assert await answered(site, before)
    assert sorted(path.name for path in (tmp_path / "replica" / "directory").iterdir()) == [str(before)]
    await site.look()
    assert await answered(site)


async def test_a_build_that_fails_leaves_what_is_here(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = site.host.epoch
    site.host.directory.renew()

    def broken(*_: object) -> None:
        raise PirError("no room")

    monkeypatch.setattr(pir_table, "build", broken)
    with pytest.raises(PirError):
        await site.look()
    assert await answered(site, before)
    assert not list((tmp_path / "replica" / "directory").glob(".new-*"))


async def test_a_server_that_is_away_leaves_what_is_here(site: Site) -> None:
    site.replica._origin = origin.Origin("http://127.0.0.1:1")
    async with site.replica._origin.connected():
        with pytest.raises(Unreachable):
            await site.look()
    assert await answered(site)


async def test_following_tells_what_is_wrong_once_and_goes_on(host: Host, tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    waits: list[float] = []
    host.change = spoilt("head", flipped)

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 8:
            host.change = lambda _path, file: file
        if len(waits) == 10:
            raise asyncio.CancelledError

    async with replicating(host, tmp_path / "replica", told.append) as site:
        site.replica._sleep = sleep
        with pytest.raises(asyncio.CancelledError):
            await site.replica.follow()
    assert told == [{"behind": BadManifest.code}, {"epoch": host.epoch, "records": 5}]
    assert waits[:3] == [10, 20, 40]
    assert max(waits) == replicas.MAX_FOLLOW_SECONDS
    assert waits[-1] == replicas.FOLLOW_SECONDS


# --- REPLICA-05, -06: epochs ----------------------------------------------------------------------


async def test_replica_05_an_epoch_and_the_one_before_are_answered_and_no_other(site: Site, tmp_path: Path) -> None:
    first = site.host.epoch
    site.host.directory.renew()
    await site.look()
    assert await answered(site)
    assert await answered(site, first)
    site.host.directory.renew()
    await site.look()
    assert await answered(site)
    assert await site.code(wire.Query(first, [bytes(256)])) == EpochEnded.code
    kept = sorted(path.name for path in (tmp_path / "replica" / "directory").iterdir())
    assert kept == [str(first + 1), str(first + 2)]


async def test_replica_05_the_one_before_is_answered_while_the_next_is_built(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = site.host.epoch
    site.host.directory.renew()
    building, go = threading.Event(), threading.Event()
    build = pir_table.build

    def slow(*arguments: Any) -> Any:
        building.set()
        assert go.wait(30)
        return build(*arguments)

    monkeypatch.setattr(pir_table, "build", slow)
    looking = asyncio.ensure_future(site.look())
    await asyncio.to_thread(building.wait, 30)
    assert await answered(site, before)
    query = site.host.query().query
    assert await site.code(wire.Query(site.host.epoch, [query])) == EpochEnded.code
    go.set()
    await looking
    assert await answered(site)
    assert await answered(site, before)


async def test_a_table_is_not_begun_once_the_replica_is_to_stop(site: Site) -> None:
    before = site.host.epoch
    site.host.directory.renew()
    # While the base is fetched or checked, say.
    site.mirror.stop()
    with pytest.raises(PirError):
        await site.look()
    assert await answered(site, before)
    assert site.mirror.private_base(site.host.epoch) is None


async def test_replica_06_after_a_restart_it_answers_what_it_has_without_the_server(host: Host, tmp_path: Path) -> None:
    async with replicating(host, tmp_path / "replica") as site:
        await site.look()
        host.directory.renew()
        await site.look()
    host.asked.clear()
    async with replicating(host, tmp_path / "replica") as site:
        assert await answered(site)
        assert await answered(site, host.epoch - 1)
    assert host.asked == []


@pytest.mark.parametrize("name", ["manifest", "head", "base", pir_table.PACKED, *PRIVATE_FILES])
@pytest.mark.parametrize("damage", ["cut", "gone", "empty"])
async def test_replica_06_a_damaged_file_has_the_epoch_fetched_anew(
    host: Host, tmp_path: Path, name: str, damage: str
) -> None:
    async with replicating(host, tmp_path / "replica") as site:
        await site.look()
    path = tmp_path / "replica" / "directory" / str(host.epoch) / name
    whole = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(whole[:-1] if damage == "cut" else b"")
    async with replicating(host, tmp_path / "replica") as site:
        assert site.mirror.present is None
        await site.look()
        assert await answered(site)


async def test_replica_06_a_crash_before_the_rename_leaves_nothing_that_counts(host: Host, tmp_path: Path) -> None:
    async with replicating(host, tmp_path / "replica") as site:
        await site.look()
    folder = tmp_path / "replica" / "directory"
    # All files but one are there, and the folder has no number yet.
    (folder / str(host.epoch)).rename(folder / f".new-{host.epoch}")
    (folder / f".new-{host.epoch}" / "head").unlink()
    async with replicating(host, tmp_path / "replica") as site:
        assert site.mirror.present is None
        await site.look()
        assert await answered(site)


def test_a_mirror_of_another_server_begins_anew(tmp_path: Path) -> None:
    one, other = Host(tmp_path / "one"), Keys.generate()
    shutil.copytree(tmp_path / "one" / "directory", tmp_path / "replica" / "directory")
    shutil.copy(tmp_path / "one" / "directory" / "head", tmp_path / "replica" / "directory" / str(one.epoch) / "head")
    assert Mirror(tmp_path / "replica", one.keys.server_public).present is not None
    assert Mirror(tmp_path / "replica", other.server_public).present is None


# --- REPLICA-07 to -09: whom it answers -----------------------------------------------------------


async def test_replica_07_who_has_not_the_key_is_not_answered(site: Site) -> None:
    query = wire.Query(site.host.epoch, [site.host.query().query])
    assert await site.ask(query, ReplicaKey(site.host.keys.server_public, os.urandom(32))) == 401
    async with site.session.post(f"{site.url}/2/query", data=wire.encode(query)) as response:
        assert (response.status, await response.read()) == (401, b"")


async def test_replica_07_the_key_is_looked_at_before_anything_is_read(site: Site) -> None:
    host, _, port = site.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    # Not a byte of the body follows.
    writer.write(b"POST /2/query HTTP/1.1\r\nHost: replica\r\nContent-Length: 1000000\r\n\r\n")
    assert b" 401 " in await reader.readline()
    writer.close()


async def test_replica_08_other_epochs_lengths_and_messages_are_refused(site: Site) -> None:
    query, epoch = site.host.query().query, site.host.epoch
    for other in (0, epoch - 1, epoch + 1, 10**9):
        assert await site.code(wire.Query(other, [query])) == EpochEnded.code
    for wrong in (query[:-1], query + b"\0", b""):
        assert await site.code(wire.Query(epoch, [query, wrong])) == BadRequest.code
    whole = wire.encode(wire.Query(epoch, [query]))
    for body in (b"", b"\xc1", whole[:-1], whole + b"\0", wire.encode(wire.Fetch(bytes(32), bytes(32), 0))):
        assert await site.code(body) == BadRequest.code
    assert await site.code(bytes(wire.MAX_REQUEST + 65)) == BadRequest.code


@pytest.mark.parametrize("byte", [0, 128, 255])
async def test_any_bytes_of_the_right_length_are_answered(site: Site, byte: int) -> None:
    query = bytes([byte]) * len(site.host.query().query)
    assert isinstance(await site.ask(wire.Query(site.host.epoch, [query])), wire.Answers)


async def test_replica_09_a_full_queue_and_too_many_requests_are_busy(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = site.host.query().query
    with monkeypatch.context() as patched:
        patched.setattr(queryqueue, "QUEUE_BYTES", len(query))
        with site.replica.queries.room([query]):
            assert await site.code(wire.Query(site.host.epoch, [query])) == ServerBusy.code
    with monkeypatch.context() as patched:
        patched.setattr(replicas, "MAX_UNDER_WAY", 0)
        assert await site.code(wire.Query(site.host.epoch, [query])) == ServerBusy.code
    assert await answered(site)


async def test_a_load_balancer_is_told_when_there_is_a_directory(host: Host, tmp_path: Path) -> None:
    async with replicating(host, tmp_path / "replica") as site:
        for expected in (503, 200):
            async with site.session.get(f"{site.url}/{READY_PATH}") as response:
                assert (response.status, await response.read()) == (expected, b"")
            await site.look()
