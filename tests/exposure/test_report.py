"""The table is made from what was captured: whoever begins to leak changes it, in the cell where they leak."""

import hashlib
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import apsw
import pytest

from grue.client.conversations.messenger import Messenger
from grue.client.lookup.directory import Directory
from grue.errors import GrueError
from grue.exposure.captures import CARRIER, CONTACT, NETWORK, SERVER_AT_REST, SERVER_LIVE
from grue.exposure.facts import FACTS, Verdict
from grue.exposure.report import as_markdown, as_objects
from grue.protocol import wire
from grue.protocol.directory.lookup import Found
from tests.exposure.tapped import ADDRESSES, ALICE, BOB, DAVE, Mutant, Run, TappedTransport, TappedWorld, played

pytestmark = pytest.mark.whole

YES, GUESS, SIZE, NO = Verdict.LEARNED, Verdict.GUESSED, Verdict.SIZE_ONLY, Verdict.NOT

OBSERVERS = (SERVER_LIVE, SERVER_AT_REST, CARRIER, NETWORK, CONTACT)
TABLE = {
    "registered": (YES, NO, YES, NO, YES),
    "looked_up": (NO, NO, NO, NO, NO),
    "whether_found": (NO, NO, NO, NO, NO),
    "whose_request": (NO, NO, NO, NO, NO),
    "who_wrote": (YES, NO, NO, GUESS, YES),
    "message_text": (SIZE, SIZE, NO, SIZE, YES),
    "when": (YES, NO, NO, YES, YES),
    "address": (YES, NO, NO, YES, NO),
    "sms_numbers": (YES, NO, YES, NO, NO),
    "sms_text": (YES, NO, YES, NO, NO),
}
"""What is promised and admitted."""


def test_the_table_is_what_is_promised_and_admitted(run: Run) -> None:
    assert {fact.id for fact in FACTS} == TABLE.keys()
    cells = {fact: tuple(run.finding(fact, observer).verdict for observer in OBSERVERS) for fact in TABLE}
    assert cells == TABLE


def test_what_is_learned_says_where_and_how_often(run: Run) -> None:
    finding = run.finding("registered", SERVER_LIVE)
    assert finding.instances == finding.of == 3
    assert {"RegisterStart", "RegisterFinish"} <= set(finding.where)
    assert finding.times >= 6


def test_the_table_can_be_put_into_a_document(run: Run) -> None:
    lines = as_markdown(run.rows).splitlines()
    assert lines[0].count("|") == len(OBSERVERS) + 2
    assert "| Numbers that were looked up | no | no | no | no | no |" in lines
    assert len(as_objects(run.rows)) == len(FACTS) * len(OBSERVERS)


# --- leaks on purpose -----------------------------------------------------------------------------


def at_rest(sql: str, value: Callable[[wire.Message], tuple[Any, ...] | None], *, pragma: str = "") -> Mutant:
    """A server that writes something of each request into its database."""

    def spoil(world: TappedWorld) -> None:
        account, anonymous = world.server.account, world.server.anonymous
        database = world.data / "server.db"
        with closing(apsw.Connection(str(database))) as connection:
            connection.execute("CREATE TABLE leak (a, b, c)")

        def keep(request: wire.Message) -> None:
            row = value(request)
            if row is not None:
                with closing(apsw.Connection(str(database))) as connection:
                    connection.set_busy_timeout(5000)
                    connection.execute(pragma or "SELECT 1")
                    connection.execute(sql, row)

        async def kept_account(body: bytes) -> bytes:
            request = wire.ACCOUNT_REQUEST.decode(body)
            keep(wire.SIGNED_REQUEST.decode(request.body) if isinstance(request, wire.Signed) else request)
            return await account(body)

        async def kept_anonymous(body: bytes) -> bytes:
            keep(wire.ANONYMOUS_REQUEST.decode(body))
            return await anonymous(body)

        world.server.account = kept_account  # type: ignore[method-assign]
        world.server.anonymous = kept_anonymous  # type: ignore[method-assign]

    return spoil


INSERT = "INSERT INTO leak VALUES (?, ?, ?)"


def registering(form: Callable[[str], object]) -> Callable[[wire.Message], tuple[Any, ...] | None]:
    return lambda request: (form(request.number), 0, 0) if isinstance(request, wire.RegisterStart) else None


def posting(row: Callable[[wire.Post | wire.PostIntro], tuple[Any, ...]]) -> Callable[[wire.Message], Any]:
    return lambda request: row(request) if isinstance(request, wire.Post | wire.PostIntro) else None


def bcd(number: str) -> bytes:
    return bytes.fromhex(number.lstrip("+"))


def swapped(number: str) -> bytes:
    digits = number.lstrip("+")
    return bytes.fromhex("".join(digits[at + 1] + digits[at] for at in range(0, len(digits), 2)))


def clocked(scale: int) -> Mutant:
    def spoil(world: TappedWorld) -> None:
        at_rest(INSERT, posting(lambda _: (int(world.clock() * scale), 0, 0)))(world)

    return spoil


def sender_beside_mailbox(world: TappedWorld) -> None:
    """Whoever posts is written beside the mailbox, and so is whoever reads it: a table of who writes to whom."""
    from grue.exposure.views import identifiers

    def row(request: wire.Message) -> tuple[Any, ...] | None:
        if not isinstance(request, wire.Post | wire.Fetch):
            return None
        who = next(number for number, address in ADDRESSES.items() if address == world.events[-1].address)
        return identifiers(world.events)[who][0], request.mailbox, 0

    at_rest(INSERT, row)(world)


def into_a_file(world: TappedWorld) -> None:
    (world.data / "directory" / "numbers").write_text(f"{ALICE}\n{BOB}\n{DAVE}\n")


AT_REST: list[tuple[str, Mutant, str]] = [
    ("a number as text", at_rest(INSERT, registering(str)), "registered"),
    ("a number as an integer", at_rest(INSERT, registering(lambda number: int(number[1:]))), "registered"),
    ("a number packed, two digits a byte", at_rest(INSERT, registering(bcd)), "registered"),
    ("a number as the radio has it", at_rest(INSERT, registering(swapped)), "registered"),
    ("a hash of a number", at_rest(INSERT, registering(lambda n: hashlib.sha256(n.encode()).digest())), "registered"),
    ("a number in UTF-16", at_rest(INSERT, registering(lambda number: number.encode("utf-16-le"))), "registered"),
    ("numbers in a file of the directory", into_a_file, "registered"),
    ("an address", at_rest(INSERT, posting(lambda _: (ADDRESSES[ALICE], 0, 0))), "address"),
    ("a time in seconds", clocked(1), "when"),
    ("a time in microseconds", clocked(1_000_000), "when"),
    ("the sender beside the mailbox", sender_beside_mailbox, "who_wrote"),
    (
        "an SMS",
        at_rest(INSERT, lambda r: (r.sender, r.to, r.text) if isinstance(r, wire.SendSms) else None),
        "sms_text",
    ),
    (
        "the numbers of an SMS",
        at_rest(INSERT, lambda r: (r.sender, r.to, 0) if isinstance(r, wire.SendSms) else None),
        "sms_numbers",
    ),
]


@pytest.mark.parametrize(("mutant", "fact"), [row[1:] for row in AT_REST], ids=[row[0] for row in AT_REST])
async def test_a_server_that_keeps_something_changes_the_table(
    tmp_path: Path, run: Run, mutant: Mutant, fact: str
) -> None:
    leaky = await played(tmp_path, mutant)
    assert run.finding(fact, SERVER_AT_REST).verdict is NO
    assert leaky.finding(fact, SERVER_AT_REST).verdict is YES


async def test_a_number_that_was_deleted_is_still_found_in_the_bytes(tmp_path: Path) -> None:
    def spoil(world: TappedWorld) -> None:
        with closing(apsw.Connection(str(world.data / "server.db"))) as connection:
            connection.execute("PRAGMA secure_delete = OFF")
            connection.execute("CREATE TABLE leak (number)")
            connection.execute("INSERT INTO leak VALUES (?)", (ALICE,))
            connection.execute("DELETE FROM leak")

    finding = (await played(tmp_path, spoil)).finding("registered", SERVER_AT_REST)
    assert finding.verdict is YES
    assert all("bytes" in where for where in finding.where)


# --- clients that say too much --------------------------------------------------------------------


async def tell(context: Any, said: bytes) -> None:
    """Say 32 bytes to the server that it does not need."""
    with suppress(GrueError):
        await context.anonymous(wire.Claim(said.ljust(32, b"\0")[:32]))


def number_with_the_lookup(form: Callable[[str], bytes]) -> Callable[[pytest.MonkeyPatch], None]:
    def spoil(patch: pytest.MonkeyPatch) -> None:
        lookup = Directory.lookup

        async def telling(self: Directory, numbers: Any) -> Any:
            for number in numbers:
                await tell(self._transport, form(number))
            return await lookup(self, numbers)

        patch.setattr(Directory, "lookup", telling)

    return spoil


def more_requests_for_a_hit(patch: pytest.MonkeyPatch) -> None:
    lookup = Directory.lookup

    async def telling(self: Directory, numbers: Any) -> Any:
        results = await lookup(self, numbers)
        for one in results:
            if isinstance(one.result, Found):
                await tell(self._transport, one.result.record.intro_mailbox)
        return results

    patch.setattr(Directory, "lookup", telling)


def text_beside_the_envelope(patch: pytest.MonkeyPatch) -> None:
    send = Messenger.send

    async def telling(self: Messenger, to: str, text: str, **options: Any) -> Any:
        await tell(self._context.transport, text.encode())
        return await send(self, to, text, **options)

    patch.setattr(Messenger, "send", telling)


def own_mailbox_where_one_posts(patch: pytest.MonkeyPatch) -> None:
    async def telling(self: Any, request: wire.Fetch | wire.Ack) -> Any:
        return await self.anonymous(request)

    patch.setattr(TappedTransport, "intro", telling)


CLIENTS = [
    ("the own mailbox on the socket that posts", own_mailbox_where_one_posts, "whose_request"),
    ("the number beside the lookup", number_with_the_lookup(str.encode), "looked_up"),
    (
        "its hash beside the lookup",
        number_with_the_lookup(lambda number: hashlib.sha256(number.encode()).digest()),
        "looked_up",
    ),
    ("one request more for a hit", more_requests_for_a_hit, "whether_found"),
    ("the text beside the envelope", text_beside_the_envelope, "message_text"),
]


@pytest.mark.parametrize(("spoil", "fact"), [row[1:] for row in CLIENTS], ids=[row[0] for row in CLIENTS])
async def test_a_client_that_says_too_much_changes_the_table(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[pytest.MonkeyPatch], None], fact: str
) -> None:
    spoil(monkeypatch)
    leaky = await played(tmp_path)
    assert run.finding(fact, SERVER_LIVE).verdict is not YES
    assert leaky.finding(fact, SERVER_LIVE).verdict is YES


async def test_one_request_more_for_a_hit_shows_through_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more_requests_for_a_hit(monkeypatch)
    assert (await played(tmp_path)).finding("whether_found", NETWORK).verdict is YES


async def test_a_carrier_that_is_given_an_encrypted_message_changes_the_table(tmp_path: Path) -> None:
    def spoil(world: TappedWorld) -> None:
        say = world._say

        async def both_ways(speaker: Any, listener: Any, sender: str, to: str, text: str) -> Any:
            from grue.server.sms.gateway import Sms

            await world.carrier.submit(Sms(sender, to, text))
            return await say(speaker, listener, sender, to, text)

        world._say = both_ways  # type: ignore[method-assign]

    leaky = await played(tmp_path, spoil)
    assert leaky.finding("message_text", CARRIER).verdict is YES
    assert leaky.finding("who_wrote", CARRIER).verdict is YES
