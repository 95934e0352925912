"""Servers that leak on purpose, one leak each: a patch of the real one, and where the scanner has to find it."""

import base64
import bz2
import gzip
import hashlib
import hmac
import logging
import struct
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any, Final, NamedTuple, TypeAlias, cast

import pytest
import zstandard
from cryptography.hazmat.primitives.poly1305 import Poly1305

from grue.exposure import encodings, surfaces
from grue.exposure.encodings import _septets, _varint
from grue.protocol import wire
from grue.protocol.blobs import Sealing
from grue.protocol.registration import CODE_WINDOW
from grue.server import app, directory, mailboxes, registration, sms, sqlite
from grue.server.app import Server
from grue.server.codes import code_input
from grue.server.directory import record_key
from grue.server.store import Tx, Value
from tests.exposure.scanned import (
    ADDRESS_4,
    ADDRESS_6,
    ALICE,
    BOB,
    CAROL,
    GREEN,
    GREEN_ANSWER,
    PHOTOGRAPH,
    ScannedWorld,
)

log: Final = logging.getLogger("grue.server")

Spoil: TypeAlias = Callable[[ScannedWorld, pytest.MonkeyPatch], None]

PAIR: Final = f"{ALICE} and {BOB}"
CODE: Final = "a code"
LINK: Final = "a link"
BEGUN: Final = "the moment"


class Mutant(NamedTuple):
    """One leak, and the hit that it must make."""

    name: str
    spoil: Spoil
    canary: str
    """What is found: a canary as it is written, or one of `CODE`, `LINK`, `BEGUN`."""
    surface: str
    where: str
    """Part of the place's name."""
    form: str = ""
    """Part of the form's name."""

    @property
    def at_registration(self) -> bool:
        """Whether it leaks as soon as somebody asks for a code."""
        return self.spoil in _AT_REGISTRATION

    @contextmanager
    def applied(self, world: ScannedWorld) -> Iterator[None]:
        """Leak as long as this lasts."""
        with pytest.MonkeyPatch.context() as patch:
            self.spoil(world, patch)
            yield


# --- where a leak can begin -----------------------------------------------------------------------


def after(owner: Any, name: str, then: Callable[..., Awaitable[object]]) -> Spoil:
    """Let `then` follow a coroutine of the server, with its arguments."""

    def spoil(world: ScannedWorld, patch: pytest.MonkeyPatch) -> None:
        before = getattr(owner, name)

        async def both(*args: Any, **named: Any) -> Any:
            result = await before(*args, **named)
            await then(world, *args, **named)
            return result

        patch.setattr(owner, name, both)

    return spoil


def registering(then: Callable[[ScannedWorld, Server, str], Awaitable[object]]) -> Spoil:
    """For each number that asks for a code."""

    async def with_number(world: ScannedWorld, server: Server, request: wire.RegisterStart) -> None:
        await then(world, server, request.number)

    spoil = after(registration, "start", with_number)
    _AT_REGISTRATION.add(spoil)
    return spoil


_AT_REGISTRATION: Final[set[Spoil]] = set()


def posting(then: Callable[[ScannedWorld, Tx, wire.Post | wire.PostIntro], Awaitable[object]]) -> Spoil:
    """For each envelope, in its transaction."""

    async def with_request(world: ScannedWorld, tx: Tx, request: wire.Post | wire.PostIntro, _today: int) -> None:
        await then(world, tx, request)

    def spoil(world: ScannedWorld, patch: pytest.MonkeyPatch) -> None:
        for name in ("post", "post_intro"):
            after(mailboxes, name, with_request)(world, patch)

    return spoil


async def insert(tx: Tx, *values: Value) -> None:
    await tx.run("CREATE TABLE IF NOT EXISTS leak (a, b, c)")
    await tx.run("INSERT INTO leak VALUES ($1, $2, $3)", *values, *[None] * (3 - len(values)))


# --- leaks ----------------------------------------------------------------------------------------


def row_of(value: Callable[[ScannedWorld, str], Value]) -> Spoil:
    """A table that gets a row for each number that registers."""

    async def then(world: ScannedWorld, server: Server, number: str) -> None:
        await server.store.transact(insert, value(world, number))

    return registering(then)


def row_posted(value: Callable[[ScannedWorld], Value]) -> Spoil:
    """A table that gets a row for each envelope."""

    async def then(world: ScannedWorld, tx: Tx, _request: wire.Post | wire.PostIntro) -> None:
        await insert(tx, value(world))

    return posting(then)


def line_of(line: Callable[[ScannedWorld, str], str]) -> Spoil:
    """A log that gets a line for each number that registers."""

    async def then(world: ScannedWorld, _server: Server, number: str) -> None:
        log.warning("%s", line(world, number))

    return registering(then)


def file_of(path: str, contents: Callable[[ScannedWorld, str], bytes]) -> Spoil:
    """A file on the server's machine, appended to for each number; the path is a pattern for the number."""

    async def then(world: ScannedWorld, _server: Server, number: str) -> None:
        file = world.host / path.format(number.lstrip("+"))
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as out:
            out.write(contents(world, number))

    return registering(then)


def bcd(number: str) -> bytes:
    return bytes.fromhex(number.lstrip("+"))


def md5(text: str) -> Any:
    return hashlib.md5(text.encode(), usedforsecurity=False)


def swapped(number: str) -> bytes:
    digits = number.lstrip("+")
    return bytes.fromhex("".join(digits[at + 1] + digits[at] for at in range(0, len(digits), 2)))


def server_key(world: ScannedWorld) -> bytes:
    return world.server.keys.code_key


def token_key(world: ScannedWorld) -> bytes:
    """A key in use, which is derived and stored nowhere."""
    keys, published = world.server.keys, world.server.directory.manifest.token_keys
    (epoch, *_) = (key.epoch for key in published if key.purpose == "post")
    return keys.token_key("post", epoch).to_bytes()


def national(number: str) -> str:
    return f"0{number[3:7]} {number[7:]}"


def dialled(number: str) -> str:
    return f"0{number[3:]}"


def output(world: ScannedWorld, number: str) -> bytes:
    return world.server.keys.oprf.output([number.encode()])[0]


def tag(world: ScannedWorld, number: str) -> bytes:
    return record_key(world.server.keys, number).tag


def access_line(_world: ScannedWorld, _number: str) -> str:
    return f'{ADDRESS_4} - - "POST /1/account HTTP/1.1" 200 48'


def iso(world: ScannedWorld, _number: str) -> str:
    return datetime.fromtimestamp(world.clock(), UTC).isoformat()


def text_of_exceptions(world: ScannedWorld, patch: pytest.MonkeyPatch) -> None:
    """An error's text is logged, and one has a number in it."""

    async def fails(number: str) -> wire.Message:
        raise ValueError(f"no route to {number}")

    async def then(_world: ScannedWorld, _server: Server, number: str) -> None:
        await app._answered(fails(number))

    patch.setattr(app, "report", lambda error: log.error("%s: %s", type(error).__name__, error))
    registering(then)(world, patch)


def column(kind: str, value: Callable[[ScannedWorld, Tx], Awaitable[Value]]) -> Spoil:
    """One more column of the envelopes."""

    async def then(world: ScannedWorld, tx: Tx, request: wire.Post | wire.PostIntro) -> None:
        known = {str(row[0]) for row in await tx.rows("SELECT name FROM pragma_table_info('envelope')")}
        if "leak" not in known:
            await tx.run(f"ALTER TABLE envelope ADD COLUMN leak {kind}")
        await tx.run("UPDATE envelope SET leak = $2 WHERE id = $1", request.envelope, await value(world, tx))

    return posting(then)


async def sender(world: ScannedWorld, tx: Tx) -> Value:
    row = await tx.row("SELECT identity_pub FROM account WHERE phone_tag = $1", tag(world, ALICE))
    assert row is not None
    return row[0]


async def milliseconds(world: ScannedWorld, _tx: Tx) -> Value:
    return int(world.clock() * 1000)


async def lookups(_world: ScannedWorld, server: Server, _request: wire.Evaluate) -> None:
    await server.store.transact(insert, ALICE, "lookup")


async def intro_beside_conversation(_world: ScannedWorld, tx: Tx, request: wire.CreateMailbox, *_rest: object) -> None:
    for (intro,) in await tx.rows("SELECT intro_mailbox FROM account"):
        await insert(tx, intro, request.mailbox)


async def mac_of_code_kept(world: ScannedWorld, server: Server, request: wire.RegisterFinish) -> None:
    """All 16 bytes from which a code's six digits are made."""

    async def keep(tx: Tx) -> None:
        row = await tx.row("SELECT identity_pub FROM account WHERE phone_tag = $1", tag(world, request.number))
        assert row is not None
        message = code_input(request.number, cast("bytes", row[0]), int(world.clock()) // CODE_WINDOW)
        await insert(tx, hmac.digest(server_key(world), message, "sha256")[:16])

    await server.store.transact(keep)


async def sms_kept(_world: ScannedWorld, server: Server, _account: bytes, request: wire.SendSms) -> None:
    await server.store.transact(insert, request.id, "sent", request.text)


async def sms_numbers_kept(_world: ScannedWorld, server: Server, _account: bytes, request: wire.SendSms) -> None:
    await server.store.transact(insert, request.sender, request.to)


async def inbound_kept(_world: ScannedWorld, server: Server, inbound: sms.Inbound) -> None:
    await server.store.transact(insert, inbound.text)


async def sms_as_the_radio_has_it(world: ScannedWorld, _server: Server, _account: bytes, request: wire.SendSms) -> None:
    (world.host / "pdu.dat").write_bytes(_septets(request.text))


def kept_code(form: Callable[[str], Value]) -> Spoil:
    async def then(_world: ScannedWorld, server: Server, _number: str, text: str) -> None:
        await server.store.transact(insert, form(text[:6]))

    return after(sms, "send_code", then)


async def deleted_row(tx: Tx, number: str) -> None:
    await insert(tx, number)
    await tx.run("DELETE FROM leak")


async def dropped_table(tx: Tx, number: str) -> None:
    await tx.run("CREATE TABLE gone (a)")
    await tx.run("INSERT INTO gone VALUES ($1)", number * 5000)
    await tx.run("DROP TABLE gone")


def careless(patch: pytest.MonkeyPatch) -> None:
    """What is deleted stays in the file."""
    set_up = sqlite._set_up

    def without_wiping(connection: Any) -> None:
        set_up(connection)
        connection.execute("PRAGMA secure_delete=OFF")

    patch.setattr(sqlite, "_set_up", without_wiping)


def row_deleted(world: ScannedWorld, patch: pytest.MonkeyPatch) -> None:
    async def then(_world: ScannedWorld, server: Server, number: str) -> None:
        await server.store.transact(deleted_row, number)

    careless(patch)
    registering(then)(world, patch)


def page_freed(world: ScannedWorld, patch: pytest.MonkeyPatch) -> None:
    async def then(_world: ScannedWorld, server: Server, _account: bytes, request: wire.SendSms) -> None:
        await server.store.transact(dropped_table, request.sender)

    careless(patch)
    after(sms, "send", then)(world, patch)


def log_never_cut(world: ScannedWorld, patch: pytest.MonkeyPatch) -> None:
    """A number passes through a table, as it may; but the log keeps it."""

    async def then(_world: ScannedWorld, server: Server, number: str) -> None:
        await server.store.transact(insert, number)
        await server.store.transact(deleted_row, number)

    patch.setattr(sqlite._Worker, "_checkpoint", lambda _self: None)
    registering(then)(world, patch)


async def table_named_after(_world: ScannedWorld, server: Server, number: str) -> None:
    async def create(tx: Tx) -> None:
        await tx.run(f"CREATE TABLE IF NOT EXISTS of{number.lstrip('+')} (a)")

    await server.store.transact(create)


def attachment_opened(_world: ScannedWorld, patch: pytest.MonkeyPatch) -> None:
    """As a sender would that does not seal, and a server that takes it."""
    patch.setattr(Sealing, "seal", lambda self, n, contents: contents.ljust(self.part_bytes(n), b"\0"))


async def mailbox_named_after(_world: ScannedWorld, server: Server, number: str) -> None:
    mailbox = number.encode().ljust(32, b"=")
    await server.store.transact(mailboxes.create_intro, mailbox, bytes(32), bytes(16), server.today)


def account_named_after(_world: ScannedWorld, patch: pytest.MonkeyPatch) -> None:
    finish = registration.finish

    async def telling(server: Server, request: wire.RegisterFinish) -> wire.Registered | wire.Refusal:
        random = server.random
        server.random = lambda length: request.number.encode().ljust(16, b"=") if length == 16 else random(length)
        try:
            return await finish(server, request)
        finally:
            server.random = random

    patch.setattr(registration, "finish", telling)


def addresses(number: str, address: str) -> bytes:
    return f"{number} {address}\n".encode()


def core(_world: ScannedWorld, number: str) -> bytes:
    """What a crash would write, were `RLIMIT_CORE` not 0."""
    return b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x04\0\x3e\0" + bytes(4000) + number.encode("utf-16-le")


def in_row(name: str, value: Callable[[ScannedWorld, str], Value], form: str) -> Mutant:
    """A table that gets a value for each number that registers."""
    return Mutant(name, row_of(value), ALICE, surfaces.ROW, "leak.a", form)


def when_posting(name: str, value: Callable[[ScannedWorld], Value], canary: str, form: str) -> Mutant:
    """A table that gets a value for each envelope."""
    return Mutant(name, row_posted(value), canary, surfaces.ROW, "leak.a", form)


MUTANTS: Final = [
    # Logs.
    Mutant("access log", line_of(access_line), ADDRESS_4, surfaces.LOG, "logs/server.log", "text"),
    Mutant("access log, IPv6", line_of(lambda *_: f"[{ADDRESS_6}]:4711"), ADDRESS_6, surfaces.LOG, "logs/server.log"),
    Mutant("number in a log", line_of(lambda _, n: f"code for {n}"), ALICE, surfaces.LOG, "logs/server.log", "text"),
    Mutant("number in an exception's text", text_of_exceptions, ALICE, surfaces.LOG, "logs/server.log", "text"),
    Mutant(
        "packed log",
        file_of("logs/server.log.1.gz", lambda _, n: gzip.compress(n.encode())),
        ALICE,
        surfaces.LOG,
        "server.log.1.gz, gzip stream",
    ),
    Mutant(
        "log packed twice",
        file_of("logs/old.bz2", lambda _, n: bz2.compress(gzip.compress(n.encode()))),
        ALICE,
        surfaces.LOG,
        "old.bz2, bzip2 stream, gzip stream",
    ),
    Mutant(
        "log packed by zstd",
        file_of("logs/server.log.2.zst", lambda _, n: zstandard.compress(f"code for {n}\n".encode() * 9)),
        ALICE,
        surfaces.LOG,
        "server.log.2.zst, zstd stream",
    ),
    Mutant("date in a log", line_of(iso), BEGUN, surfaces.LOG, "logs/server.log", "a date"),
    Mutant("tag in a log", line_of(lambda w, n: tag(w, n).hex()), ALICE, surfaces.LOG, "logs/server.log", "tag"),
    Mutant("both numbers in a log", line_of(lambda _, n: f"{n} {CAROL}"), f"{ALICE} and {CAROL}", surfaces.LOG, "log"),
    Mutant(
        "keyed hash in a log",
        line_of(lambda w, n: hmac.new(server_key(w), n.encode(), "sha1").hexdigest()),
        ALICE,
        surfaces.LOG,
        "logs/server.log",
        "HMAC-sha1 under server.key",
    ),
    # Forms of a number in a table.
    in_row("number as text", lambda _, n: n, "text"),
    in_row("number in UTF-16", lambda _, n: n.encode("utf-16-le"), "UTF-16"),
    in_row("number in base64", lambda _, n: base64.b64encode(b"to" + n.encode()), "base64"),
    in_row("number in hexadecimal", lambda _, n: n.encode().hex(), "hexadecimal"),
    in_row("number as an integer", lambda _, n: int(n[1:]), "integer"),
    in_row("number without its country", lambda _, n: int(n[3:]), "integer"),
    in_row("number as an integer LE", lambda _, n: int(n[1:]).to_bytes(8, "little"), "LE"),
    in_row("number as a varint", lambda _, n: _varint(int(n[1:])), "varint"),
    in_row("number with swapped nibbles", lambda _, n: swapped(n), "swapped"),
    Mutant(
        "number in zlib", row_of(lambda _, n: zlib.compress(n.encode())), ALICE, surfaces.ROW, "leak.a, zlib stream"
    ),
    in_row("SHA-256 of a number", lambda _, n: hashlib.sha256(n.encode()).digest(), "sha256"),
    in_row(
        "MD5 of a number, cut", lambda _, n: hashlib.md5(n[1:].encode(), usedforsecurity=False).hexdigest()[:16], "md5"
    ),
    in_row("number in UTF-32", lambda _, n: n.encode("utf-32-be"), "UTF-32"),
    in_row("number in base32", lambda _, n: base64.b32encode(b"of" + n.encode()).decode().lower(), "base32"),
    in_row("number in base32hex", lambda _, n: base64.b32hexencode(n.encode()).decode(), "base32hex"),
    in_row("packed number in base64", lambda _, n: base64.b64encode(b"7" + swapped(n)).decode(), "swapped, base64"),
    in_row("integer in base64", lambda _, n: base64.b64encode(struct.pack("<q", int(n[1:]))), "LE, base64"),
    Mutant(
        "number as people write it",
        line_of(lambda *_: "for +44 7700 900811"),
        ALICE,
        surfaces.LOG,
        "logs/server.log",
        "with spaces",
    ),
    in_row("SHA-3 of the national form", lambda _, n: hashlib.sha3_256(national(n).encode()).hexdigest(), "sha3_256"),
    in_row("BLAKE2s of the digits as dialled", lambda _, n: hashlib.blake2s(dialled(n).encode()).digest(), "blake2s"),
    # Tags under keys.
    in_row(
        "the name that a number is counted under",
        lambda w, n: hmac.digest(server_key(w), b"grue counted v1\0" + n.encode(), "sha256")[:16],
        "HMAC-sha256 under server.key, key 2",
    ),
    Mutant(
        "MAC of a code",
        after(registration, "finish", mac_of_code_kept),
        ALICE,
        surfaces.ROW,
        "leak.a",
        "HMAC-sha256 under server.key, key 2",
    ),
    in_row(
        "AES-CMAC of a number", lambda w, n: encodings._cmac(server_key(w), n.encode()), "AES-CMAC under server.key"
    ),
    in_row(
        "Poly1305 of a number",
        lambda w, n: Poly1305.generate_tag(server_key(w), n.encode()),
        "Poly1305 under server.key",
    ),
    in_row(
        "HMAC-MD5 of the national form",
        lambda w, n: hmac.digest(server_key(w), dialled(n).encode(), "md5"),
        "HMAC-md5 under server.key",
    ),
    in_row(
        "HMAC-SHA-384", lambda w, n: hmac.digest(server_key(w), n.encode(), "sha384")[:16], "HMAC-sha384 under server"
    ),
    in_row("HMAC-SHA3", lambda w, n: hmac.digest(server_key(w), n.encode(), "sha3_256"), "HMAC-sha3_256 under server"),
    in_row(
        "HMAC under a token's key",
        lambda w, n: hmac.digest(token_key(w), n.encode(), "sha256"),
        "HMAC-sha256 under post",
    ),
    in_row(
        "HMAC of a number",
        lambda w, n: hmac.digest(server_key(w), n.encode(), "sha256"),
        "HMAC-sha256 under server.key, key 2",
    ),
    in_row(
        "HMAC under the directory's key",
        lambda w, n: hmac.digest(w.server.keys.oprf.to_bytes(), n.encode(), "sha512"),
        "HMAC-sha512 under directory.key",
    ),
    in_row(
        "BLAKE2b with a key",
        lambda w, n: hashlib.blake2b(n.encode(), key=server_key(w), digest_size=16).digest(),
        "BLAKE2b under server.key",
    ),
    in_row("salted hash", lambda w, n: hashlib.sha256(server_key(w) + n.encode()).digest(), "sha256 with server.key"),
    in_row("the tag in another table", tag, "tag"),
    in_row("hash of the tag", lambda w, n: hashlib.sha256(tag(w, n)).digest(), "sha256"),
    in_row("the lookup key's output", output, "output"),
    Mutant(
        "the record's key",
        file_of("cache.dat", lambda w, n: record_key(w.server.keys, n).key),
        ALICE,
        surfaces.FILE,
        "cache.dat",
        "record",
    ),
    when_posting(
        "HMAC of an address", lambda w: hmac.digest(server_key(w), ADDRESS_4.encode(), "sha256"), ADDRESS_4, "HMAC"
    ),
    # Who writes to whom, who looks up whom.
    Mutant("sender of an envelope", column("BLOB", sender), LINK, surfaces.ROW, "envelope", "together"),
    Mutant("table of lookups", after(directory, "evaluate", lookups), ALICE, surfaces.ROW, "leak.a", "text"),
    Mutant(
        "intro mailbox beside a conversation",
        after(mailboxes, "create", intro_beside_conversation),
        LINK,
        surfaces.ROW,
        "leak.",
        "together",
    ),
    Mutant(
        "both numbers in a row",
        after(sms, "send", sms_numbers_kept),
        f"{ALICE} and {CAROL}",
        surfaces.ROW,
        "leak.",
        "together",
    ),
    when_posting("hash of both numbers", lambda _: hashlib.sha256(f"{BOB}:{ALICE}".encode()).digest(), PAIR, "sha256"),
    when_posting(
        "HMAC of both numbers", lambda w: hmac.digest(server_key(w), f"{ALICE}|{BOB}".encode(), "sha256"), PAIR, "HMAC"
    ),
    Mutant(
        "number in a mailbox's id", registering(mailbox_named_after), ALICE, surfaces.ROW, "mailbox.mailbox", "text"
    ),
    Mutant("number in an account's id", account_named_after, ALICE, surfaces.ROW, "account.account", "text"),
    # Addresses and times.
    when_posting("address packed", lambda _: ip_address(ADDRESS_4).packed, ADDRESS_4, "packed"),
    when_posting("address as an integer", lambda _: int(ip_address(ADDRESS_4)), ADDRESS_4, "packed"),
    when_posting("IPv6 packed", lambda _: ip_address(ADDRESS_6).packed, ADDRESS_6, "packed"),
    Mutant("time of an envelope", column("INTEGER", milliseconds), BEGUN, surfaces.ROW, "envelope.leak", "ms"),
    when_posting("time in seconds", lambda w: int(w.clock()), BEGUN, "a time in s"),
    when_posting("time in microseconds LE", lambda w: struct.pack("<q", int(w.clock() * 1e6)), BEGUN, "a time in us"),
    Mutant(
        "time in nanoseconds",
        file_of("stamps.dat", lambda w, _: struct.pack(">q", int(w.clock() * 1e9))),
        BEGUN,
        surfaces.FILE,
        "stamps.dat",
        "ns",
    ),
    when_posting("time as a float", lambda w: w.clock(), BEGUN, "a time"),
    # SMS and codes.
    Mutant("text of an SMS", after(sms, "send", sms_kept), GREEN, surfaces.ROW, "leak.c", "text"),
    Mutant(
        "text of an SMS that came", after(sms, "_stored", inbound_kept), GREEN_ANSWER, surfaces.ROW, "leak.a", "text"
    ),
    Mutant(
        "SMS as the radio has it",
        after(sms, "send", sms_as_the_radio_has_it),
        GREEN,
        surfaces.FILE,
        "pdu.dat",
        "seven bits",
    ),
    Mutant("code", kept_code(str), CODE, surfaces.ROW, "leak.a", "text"),
    Mutant(
        "code as an integer",
        kept_code(lambda code: int("1" + code) - 1_000_000),
        CODE,
        surfaces.ROW,
        "leak.a",
        "integer",
    ),
    Mutant(
        "hash of a code",
        kept_code(lambda code: hashlib.sha256(code.encode()).hexdigest()),
        CODE,
        surfaces.ROW,
        "leak.a",
        "sha256",
    ),
    # Files.
    Mutant(
        "call records",
        file_of("cdr.dat", lambda _, n: b"\x91" + bcd(n) + b"\xff"),
        ALICE,
        surfaces.FILE,
        "cdr.dat",
        "packed digits",
    ),
    Mutant(
        "temporary file", file_of("server/.pending-7", lambda _, n: n.encode()), ALICE, surfaces.TEMPORARY, ".pending-7"
    ),
    Mutant("core image", file_of("server/core", core), ALICE, surfaces.CORE, "server/core", "UTF-16"),
    Mutant(
        "name of a file",
        file_of("spool/{}.sms", lambda *_: b""),
        ALICE,
        surfaces.NAME,
        "spool/447700900811.sms",
        "text",
    ),
    Mutant(
        "number in a key file", file_of("server/old.key", lambda _, n: n.encode()), ALICE, surfaces.KEY_FILE, "old.key"
    ),
    Mutant(
        "tags in another file of the directory",
        file_of("server/directory/1/index", tag),
        ALICE,
        surfaces.DIRECTORY_FILE,
        "directory/1/index",
        "tag",
    ),
    Mutant(
        "number in a file of the directory",
        file_of("server/directory/1/names", lambda _, n: n.encode()),
        ALICE,
        surfaces.DIRECTORY_FILE,
        "1/names",
    ),
    Mutant(
        "number beside the parts of attachments",
        file_of("server/blobs/owners", lambda _, n: n.encode()),
        ALICE,
        surfaces.BLOB,
        "server/blobs/owners",
    ),
    Mutant("attachment in the clear", attachment_opened, PHOTOGRAPH, surfaces.BLOB, "server/blobs/", "text"),
    # What was deleted.
    Mutant("row deleted without wiping", row_deleted, BOB, surfaces.DATABASE, "of leak", "text"),
    Mutant("page freed without wiping", page_freed, ALICE, surfaces.FREE_PAGE, "free page", "text"),
    Mutant("log never cut", log_never_cut, ALICE, surfaces.WAL, "of leak", "text"),
    Mutant("name of a table", registering(table_named_after), ALICE, surfaces.DATABASE, "of sqlite_schema", "text"),
]
