"""What a server that leaks does, each as a patch of the real one; `mutants.py` has where it has to be found."""

import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeAlias, cast

import pytest

from grue.exposure.scanner import surfaces
from grue.exposure.scanner.encodings import _septets
from grue.protocol import wire
from grue.protocol.blobs import Sealing
from grue.protocol.registration import CODE_WINDOW
from grue.server import app
from grue.server.accounts.codes import code_input
from grue.server.accounts.registration import Registration
from grue.server.directory.directory import record_key
from grue.server.mailboxes import mailboxes
from grue.server.sms import sms
from grue.server.sms.gateway import Inbound
from grue.server.store import sqlite
from grue.server.store.interface import Tx, Value
from tests.exposure.scanned import (
    ADDRESS_4,
    ALICE,
    BOB,
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


def registering(then: Callable[[ScannedWorld, str], Awaitable[object]]) -> Spoil:
    """For each number that asks for a code."""

    async def with_number(world: ScannedWorld, _role: Registration, request: wire.RegisterStart) -> None:
        await then(world, request.number)

    spoil = after(Registration, "start", with_number)
    _AT_REGISTRATION.add(spoil)
    return spoil


def sending(then: Callable[[ScannedWorld, wire.SendSms], Awaitable[object]]) -> Spoil:
    """For each SMS that an account sends."""

    async def with_request(
        world: ScannedWorld, _context: object, _role: object, _account: bytes, request: wire.SendSms
    ) -> None:
        await then(world, request)

    return after(sms, "send", with_request)


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

    async def then(world: ScannedWorld, number: str) -> None:
        await world.server.store.transact(insert, value(world, number))

    return registering(then)


def row_posted(value: Callable[[ScannedWorld], Value]) -> Spoil:
    """A table that gets a row for each envelope."""

    async def then(world: ScannedWorld, tx: Tx, _request: wire.Post | wire.PostIntro) -> None:
        await insert(tx, value(world))

    return posting(then)


def line_of(line: Callable[[ScannedWorld, str], str]) -> Spoil:
    """A log that gets a line for each number that registers."""

    async def then(world: ScannedWorld, number: str) -> None:
        log.warning("%s", line(world, number))

    return registering(then)


def file_of(path: str, contents: Callable[[ScannedWorld, str], bytes]) -> Spoil:
    """A file on the server's machine, appended to for each number; the path is a pattern for the number."""

    async def then(world: ScannedWorld, number: str) -> None:
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
    return f'{ADDRESS_4} - - "POST /2/account HTTP/1.1" 200 48'


def iso(world: ScannedWorld, _number: str) -> str:
    return datetime.fromtimestamp(world.clock(), UTC).isoformat()


def text_of_exceptions(world: ScannedWorld, patch: pytest.MonkeyPatch) -> None:
    """An error's text is logged, and one has a number in it."""

    async def fails(number: str) -> wire.Message:
        raise ValueError(f"no route to {number}")

    async def then(_world: ScannedWorld, number: str) -> None:
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


async def lookups(world: ScannedWorld, *_rest: object) -> None:
    await world.server.store.transact(insert, ALICE, "lookup")


async def intro_beside_conversation(_world: ScannedWorld, tx: Tx, request: wire.CreateMailbox, *_rest: object) -> None:
    for (intro,) in await tx.rows("SELECT intro_mailbox FROM account"):
        await insert(tx, intro, request.mailbox)


async def mac_of_code_kept(world: ScannedWorld, _role: Registration, request: wire.RegisterFinish) -> None:
    """All 16 bytes from which a code's six digits are made."""

    async def keep(tx: Tx) -> None:
        row = await tx.row("SELECT identity_pub FROM account WHERE phone_tag = $1", tag(world, request.number))
        assert row is not None
        message = code_input(request.number, cast("bytes", row[0]), int(world.clock()) // CODE_WINDOW)
        await insert(tx, hmac.digest(server_key(world), message, "sha256")[:16])

    await world.server.store.transact(keep)


async def sms_kept(world: ScannedWorld, request: wire.SendSms) -> None:
    await world.server.store.transact(insert, request.id, "sent", request.text)


async def sms_numbers_kept(world: ScannedWorld, request: wire.SendSms) -> None:
    await world.server.store.transact(insert, request.sender, request.to)


async def inbound_kept(world: ScannedWorld, _context: object, _mailboxes: object, inbound: Inbound) -> None:
    await world.server.store.transact(insert, inbound.text)


async def sms_as_the_radio_has_it(world: ScannedWorld, request: wire.SendSms) -> None:
    (world.host / "pdu.dat").write_bytes(_septets(request.text))


def kept_code(form: Callable[[str], Value]) -> Spoil:
    async def then(world: ScannedWorld, _role: object, _number: str, text: str) -> None:
        await world.server.store.transact(insert, form(text[:6]))

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
    async def then(world: ScannedWorld, number: str) -> None:
        await world.server.store.transact(deleted_row, number)

    careless(patch)
    registering(then)(world, patch)


def page_freed(world: ScannedWorld, patch: pytest.MonkeyPatch) -> None:
    async def then(world: ScannedWorld, request: wire.SendSms) -> None:
        await world.server.store.transact(dropped_table, request.sender)

    careless(patch)
    sending(then)(world, patch)


def log_never_cut(world: ScannedWorld, patch: pytest.MonkeyPatch) -> None:
    """A number passes through a table, as it may; but the log keeps it."""

    async def then(world: ScannedWorld, number: str) -> None:
        await world.server.store.transact(insert, number)
        await world.server.store.transact(deleted_row, number)

    patch.setattr(sqlite._Worker, "_checkpoint", lambda _self: None)
    registering(then)(world, patch)


async def table_named_after(world: ScannedWorld, number: str) -> None:
    async def create(tx: Tx) -> None:
        await tx.run(f"CREATE TABLE IF NOT EXISTS of{number.lstrip('+')} (a)")

    await world.server.store.transact(create)


def attachment_opened(_world: ScannedWorld, patch: pytest.MonkeyPatch) -> None:
    """As a sender would that does not seal, and a server that takes it."""
    patch.setattr(Sealing, "seal", lambda self, n, contents: contents.ljust(self.part_bytes(n), b"\0"))


async def mailbox_named_after(world: ScannedWorld, number: str) -> None:
    mailbox = number.encode().ljust(32, b"=")
    await world.server.store.transact(mailboxes.create_intro, mailbox, bytes(32), bytes(16), world.server.context.today)


def account_named_after(world: ScannedWorld, patch: pytest.MonkeyPatch) -> None:
    finish = Registration.finish

    async def telling(role: Registration, request: wire.RegisterFinish) -> wire.Registered | wire.Held | wire.Refusal:
        context = world.server.context
        random = context.random
        context.random = lambda length: request.number.encode().ljust(16, b"=") if length == 16 else random(length)
        try:
            return await finish(role, request)
        finally:
            context.random = random

    patch.setattr(Registration, "finish", telling)


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
