"""Scanning by hand: what is exempt and where, what only lives in memory, and a disk below its file system."""

import asyncio
import gzip
import hmac
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path

import aiohttp
import apsw
import pytest

from grue._core import OprfKey
from grue.client.client import Client
from grue.client.conversations.attachments import put
from grue.client.transport.oblivious import ObliviousTransport, open_transport
from grue.errors import CorruptDatabase
from grue.exposure import swap
from grue.exposure.scanner import surfaces
from grue.exposure.scanner.rest import at_rest
from grue.exposure.scanner.scan import ADDRESS, INSTANT, NUMBER, TEXT, Canary, Hit, Scanner, canary
from grue.exposure.scanner.surfaces import TAG
from grue.lab.fill import filled
from grue.lab.scan import scan, secrets_of
from grue.protocol.directory.record import derive
from grue.server.http import runner
from grue.testing.world import PASSPHRASE
from tests.client.relays import relaying
from tests.exposure.scanned import (
    ALICE,
    BOB,
    CAROL,
    DECOYS,
    GREEN,
    HELLO,
    PHOTOGRAPH,
    ScannedWorld,
    few_key_packages,
    logged,
)

NUMBERS = [Canary(NUMBER, ALICE)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Nothing but keys."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "directory.key").write_bytes(b"magic\n" + OprfKey.generate().to_bytes())
    return folder


def tag(data: Path) -> bytes:
    return secrets_of(data).derive(ALICE)[TAG]


def found(data: Path, canaries: list[Canary] | None = None) -> list[Hit]:
    return scan([data], canaries or NUMBERS, secrets_of(data))


def database(path: Path, table: str, column: str, value: object) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute(f"CREATE TABLE {table} ({column} PRIMARY KEY) WITHOUT ROWID")
        connection.execute(f"INSERT INTO {table} VALUES (?)", (value,))  # noqa: S608 -- our own


# --- the one tag that may be there ----------------------------------------------------------------


@pytest.mark.parametrize("table", ["account", "token_quota", "claim"])
def test_the_tag_may_stand_in_its_columns(data: Path, table: str) -> None:
    database(data / "server.db", table, "phone_tag", tag(data))
    assert found(data) == []


@pytest.mark.parametrize(
    ("table", "column"), [("account", "lock"), ("token_quota", "week"), ("reader", "phone_tag"), ("token_spent", "key")]
)
def test_the_tag_may_stand_in_no_other_column(data: Path, table: str, column: str) -> None:
    database(data / "server.db", table, column, tag(data))
    assert (surfaces.ROW, f"server.db, {table}.{column}") in {(hit.surface, hit.where) for hit in found(data)}


@pytest.mark.parametrize(
    ("table", "column", "hits"),
    [("code_sent", "number", 0), ("code_count", "name", 0), ("code_lock", "name", 0), ("code_sent", "name", 1)],
)
def test_the_name_that_codes_are_counted_under_may_stand_in_its_columns(
    data: Path, table: str, column: str, hits: int
) -> None:
    (data / "server.key").write_bytes(b"magic\n" + bytes(range(64)))
    database(data / "server.db", table, column, secrets_of(data).derive(ALICE)[surfaces.COUNTED])
    assert len({hit.form for hit in found(data) if hit.surface == surfaces.ROW}) == hits


def test_in_its_column_it_stands_as_the_bytes_that_it_is(data: Path) -> None:
    database(data / "server.db", "account", "phone_tag", tag(data).hex())
    assert {hit.surface for hit in found(data)} == {surfaces.ROW, surfaces.DATABASE}


def test_a_number_may_not_stand_where_its_tag_may(data: Path) -> None:
    database(data / "server.db", "account", "phone_tag", ALICE)
    assert {hit.surface for hit in found(data)} == {surfaces.ROW, surfaces.DATABASE}


@pytest.mark.parametrize("name", ["base", "overlay"])
def test_the_tag_may_begin_a_record_of_the_directory(data: Path, name: str) -> None:
    file = data / "directory" / "7" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(128) + tag(data) + bytes(112))
    assert found(data) == []
    file.write_bytes(bytes(127) + tag(data) + bytes(113))
    assert [hit.surface for hit in found(data)] == [surfaces.DIRECTORY_FILE]


async def test_of_many_numbers_that_are_registered_none_is_found(tmp_path: Path) -> None:
    numbers = await filled(tmp_path / "data", 300)
    assert scan([tmp_path], [Canary(NUMBER, number) for number in numbers[:8]], secrets_of(tmp_path / "data")) == []


@pytest.mark.parametrize("form", ["HMAC", "output", "tag"])
def test_what_is_made_with_a_key_that_is_stored_nowhere_is_found(data: Path, form: str) -> None:
    key = OprfKey.generate()
    (output,) = key.output([ALICE.encode()])
    leak = {"HMAC": hmac.digest(key.to_bytes(), ALICE.encode(), "sha256"), "output": output, "tag": derive(output).tag}
    (data / "leak").write_bytes(leak[form])
    assert found(data) == []
    (hit,) = scan([data], NUMBERS, secrets_of(data, {"the token key": key.to_bytes()}))
    assert form in hit.form
    assert "the token key" in hit.form


# --- how it searches ------------------------------------------------------------------------------


@pytest.mark.parametrize("before", range(9))
@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_number_is_found_wherever_it_stands(before: int, after: int) -> None:
    surface = surfaces.Surface(surfaces.FILE, "a file", b"x" * before + ALICE.encode() + b"x" * after)
    assert [hit.form for hit in Scanner(NUMBERS).scan([surface])] == ["text"]


def test_nothing_is_cut_apart_between_two_chunks(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surfaces, "CHUNK", 64)
    monkeypatch.setattr(surfaces, "OVERLAP", 16)
    for before in range(40, 140):
        (data / "file").write_bytes(b"x" * before + ALICE.encode() + b"x" * 40)
        assert {hit.where for hit in Scanner(NUMBERS).scan(surfaces.of_directory(data))} == {"file"}


def test_two_numbers_are_a_pair_only_near_each_other() -> None:
    def pairs(between: int) -> list[str]:
        data = ALICE.encode() + b"x" * between + BOB.encode()
        hits = Scanner([*NUMBERS, Canary(NUMBER, BOB)]).scan([surfaces.Surface(surfaces.FILE, "a file", data)])
        return [hit.canary for hit in hits if hit.form == "together"]

    assert pairs(40) == [f"{ALICE} and {BOB}"]
    assert pairs(4000) == []


def test_a_database_that_cannot_be_read_is_no_clean_one(data: Path) -> None:
    database(data / "server.db", "account", "phone_tag", b"x" * 20_000)
    whole = (data / "server.db").read_bytes()
    (data / "server.db").write_bytes(whole[:4096] + os.urandom(len(whole) - 4096))
    with pytest.raises(CorruptDatabase):
        found(data)


# --- what is typed --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("+447700900811", NUMBER),
        ("127.0.0.1", ADDRESS),
        ("2001:db8::1", ADDRESS),
        ("@1812345678.5", INSTANT),
        ("2027-06-06T12:00:00+00:00", INSTANT),
        ("a text", TEXT),
        ("514901", TEXT),
    ],
)
def test_a_canary_is_what_it_looks_like(written: str, kind: str) -> None:
    assert canary(written).kind == kind


def test_nothing_is_written_while_a_server_is_scanned(data: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with closing(apsw.Connection(str(data / "server.db"))) as server:
        # What it wrote last is in the log only.
        server.execute("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0").fetchall()
        server.execute("CREATE TABLE leak (a); INSERT INTO leak VALUES (?)", (ALICE,)).fetchall()
        before = times_of(data, scratch)
        run = [str(Path(sys.executable).with_name("grue")), "--json", "lab", "scan", str(data), "--data", str(data)]
        env = {**os.environ, "TMPDIR": str(scratch), "SQLITE_TMPDIR": str(scratch)}
        scanned = subprocess.run([*run, "--canary", ALICE], capture_output=True, text=True, check=False, env=env)
        assert times_of(data, scratch) == before
    assert '"surface": "database row", "where": "server.db, leak.a"' in scanned.stdout, scanned.stderr


def test_nothing_is_written_while_what_is_at_rest_is_captured(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database(data / "server.db", "leak", "a", ALICE)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    before = times_of(data, scratch)
    assert (ALICE,) in at_rest(data).rows
    assert swap.snapshot(data).tables[0].rows == [(ALICE,)]
    assert times_of(data, scratch) == before


def times_of(*folders: Path) -> dict[Path, int]:
    """When each folder, and each file in it, was last written to: a file that came and went shows in its folder's."""
    return {path: path.stat().st_mtime_ns for folder in folders for path in (folder, *folder.rglob("*"))}


def test_the_verb_lists_what_it_finds_and_ends_with_5(data: Path) -> None:
    (data / "access.log").write_text(f"{ALICE}\n")
    run = [str(Path(sys.executable).with_name("grue")), "--json", "lab", "scan", str(data), "--data", str(data)]
    leaking = subprocess.run([*run, "--canary", ALICE], capture_output=True, text=True, check=False)
    assert leaking.returncode == 5, leaking.stderr
    assert '"surface": "log", "where": "access.log"' in leaking.stdout
    clean = subprocess.run([*run, "--canary", DECOYS[0]], capture_output=True, text=True, check=False)
    assert clean.returncode == 0, clean.stderr
    assert '"at_rest": 0' in clean.stdout


# --- packed streams -------------------------------------------------------------------------------


def test_a_stream_that_was_cut_short_is_read_as_far_as_it_goes(data: Path) -> None:
    packed = gzip.compress(f"{ALICE} ".encode() * 50 + os.urandom(20_000))
    (data / "old").write_bytes(os.urandom(99) + packed[:10_000])
    assert "old, gzip stream" in {hit.where for hit in found(data)}


def test_a_stream_has_an_end_of_zeros(data: Path) -> None:
    (data / "bomb.gz").write_bytes(gzip.compress(bytes(64 << 20)))
    inner = [one for one in surfaces.of_directory(data) for one in surfaces.unpacked(one)]
    assert [len(one.data) <= surfaces.MAX_UNPACKED + (1 << 20) for one in inner] == [True]


def test_zstandard_is_unpacked(data: Path) -> None:
    try:
        compress = importlib.import_module("compression.zstd").compress
    except ImportError:
        compress = importlib.import_module("zstandard").compress
    (data / "old.zst").write_bytes(compress(ALICE.encode()))
    assert "old.zst, zstd stream" in {hit.where for hit in found(data)}


def test_a_zstandard_stream_that_cannot_be_opened_is_said(data: Path) -> None:
    (data / "old.zst").write_bytes(b"\x28\xb5\x2f\xfd" + os.urandom(40))
    without = "import sys; sys.modules['zstandard'] = sys.modules['compression.zstd'] = None"
    program = [sys.executable, "-c", f"{without}\nfrom grue.cli.main import main; main()"]
    run = ["lab", "scan", str(data), "--canary", ALICE]
    told = subprocess.run([*program, "--json", *run], capture_output=True, text=True, check=False)
    assert json.loads(told.stdout.splitlines()[-1])["unopened"] == ["old.zst, zstd stream"]
    said = subprocess.run([*program, *run], capture_output=True, text=True, check=False)
    assert "zstd streams were not opened" in said.stderr
    assert (told.returncode, said.returncode) == (0, 0)


# --- a server on the network ----------------------------------------------------------------------


CLIENTS = "127.83.17.11"
"""An address of this machine that everything comes to the server from, and that nothing else has."""


@asynccontextmanager
async def from_afar(port: int) -> AsyncIterator[int]:
    """A port whose connections go on to the server's, from `CLIENTS`."""
    tasks: set[asyncio.Task[None]] = set()

    async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        there, to = await asyncio.open_connection("127.0.0.1", port, local_addr=(CLIENTS, 0))
        await asyncio.gather(copied(reader, to), copied(there, writer))

    server = await asyncio.start_server(passed_on, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


async def copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
    finally:
        writer.close()


async def first(client: Client) -> str:
    return (await anext(aiter(client.receive()))).text


async def person(world: ScannedWorld, url: str, number: str, relay: str = "") -> Client:
    client = Client(
        world.path / number,
        passphrase=PASSPHRASE,
        create=True,
        transport=lambda endpoint: open_transport(endpoint) if not relay else ObliviousTransport(endpoint, world.clock),
        clock=world.clock,
    )
    await client.__aenter__()
    world._clients.append(client)
    await client.register(number, url, relay=relay)
    await client.verify(world.code(number))
    return client


async def story(world: ScannedWorld, url: str) -> None:
    """Register, look up, write, attach, and receive by streams and by polls; one directly, one relayed."""
    async with aiohttp.ClientSession() as session, relaying(f"{url}/2/gateway", session) as relay:
        alice = await person(world, url, ALICE, relay.url)
        bob = await person(world, url, BOB)
        for writes, reads, number in ((alice, bob, BOB), (bob, alice, ALICE)):
            received = asyncio.create_task(first(reads))
            await writes.lookup(number, CAROL)
            await writes.send(number, HELLO)
            assert await received == HELLO
            await put(writes.context, PHOTOGRAPH.encode() * 100)
        await alice.send(CAROL, GREEN, sms=True)
        assert world.network.seen == [], "the world's short cut is not taken"
        assert len(relay.taken) > 10
        for client in world._clients:
            await client.close()
        world._clients.clear()


async def test_a_server_on_sockets_keeps_and_logs_no_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Everything that clients do, from an address of their own, and everything that makes a server complain."""
    world = ScannedWorld(tmp_path)
    temporary = world.host / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with logged(world.logs / "server.log"), few_key_packages():
        await world.start()
        web = runner(world.server)
        await web.setup()
        try:
            await aiohttp.web.TCPSite(web, "127.0.0.1", 0).start()
            port = web.addresses[0][1]
            async with from_afar(port) as near:
                await story(world, f"http://127.0.0.1:{near}")
            await ask(CLIENTS, port)
            # What is deleted is still in the files now.
            assert found_address(world) == []
        finally:
            await web.cleanup()
            await world.close()
    for name, said in zip(("stdout", "stderr"), capfd.readouterr(), strict=True):
        (world.logs / name).write_text(said)
    assert found_address(world) == []


def found_address(world: ScannedWorld) -> list[Hit]:
    return scan([world.host], [Canary(ADDRESS, CLIENTS)], secrets_of(world.data))


async def ask(client: str, port: int) -> None:
    """Everything that is served, and what makes a server complain."""
    connector = aiohttp.TCPConnector(local_addr=(client, 0))
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", connector=connector) as session:
        for path in ("/", "/2/hello", "/2/directory/head", "/nothing", "/2/directory/../../server.key"):
            await (await session.get(path)).read()
        for path in ("/2/account", "/2/anonymous", "/2/nothing"):
            await (await session.post(path, data=b"\xff" * 40)).read()
        for path in ("/2/anonymous", "/2/stream"):
            try:
                async with session.ws_connect(path) as socket:
                    await socket.send_bytes(b"\xff" * 40)
                    await socket.receive(timeout=5)
            except (aiohttp.ClientError, TimeoutError):
                pass
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(client, 0))
    writer.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
    await reader.read(1000)
    writer.close()


# --- memory and disks -----------------------------------------------------------------------------


def test_what_a_process_holds_is_live_memory_and_not_at_rest(data: Path) -> None:
    code = "import sys; held = '+4477009' + '00811'; print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        try:
            hits = scan([data], [*NUMBERS, Canary(NUMBER, DECOYS[0])], secrets_of(data), process=process.pid)
        except PermissionError as error:
            pytest.skip(f"one may not look into another process here: {error}")
        finally:
            process.stdin.close()
    assert {hit.canary for hit in hits} == {ALICE}
    assert {hit.surface for hit in hits} == {surfaces.MEMORY}
    assert not any(hit.at_rest for hit in hits)


@contextmanager
def mounted(image: Path, at: Path) -> Iterator[None]:
    """An ext4 file system of its own on a loop device; skips where there can be none."""
    with image.open("wb") as file:
        file.truncate(64 << 20)
    try:
        subprocess.run(["mkfs.ext4", "-q", str(image)], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", str(image), str(at)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(at)], check=True, capture_output=True)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root may mount a file system")
async def test_nothing_is_in_the_blocks_of_the_disk(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    world = ScannedWorld(tmp_path / "world")
    with mounted(image, world.host):
        world.data.mkdir()
        world.logs.mkdir()
        with logged(world.logs / "server.log"), few_key_packages():
            await world.start()
            await world.story()
            await world.acknowledged()
            await world.day_later()
            await world.close()
        secrets, everything = secrets_of(world.data), world.everything()
        deleted = world.host / "deleted"
        deleted.write_text(BOB)
        os.sync()
        deleted.unlink()
    hits = scan([image], everything, secrets, together=world.together)
    # The text of a deleted file shows that blocks are read that belong to nothing.
    assert {(hit.canary, hit.surface) for hit in hits} == {(BOB, surfaces.IMAGE)}
