"""Mailboxes: what each request does, once and again, and what it is refused for."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from grue.protocol import wire
from grue.protocol.conversation.mailbox import moved_mailbox
from grue.protocol.wire import ENVELOPE_DAYS
from grue.server.context import Context
from grue.server.mailboxes import mailboxes
from grue.server.mailboxes.mailboxes import MAILBOX_DAYS, MAILBOX_STEP
from grue.server.store.interface import Tx
from tests.server.kit import BLOB, Box, TestServer, key_hash, paid_post, serving

SLOT = b"s" * 32
OTHER = b"o" * 1024


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with serving() as server:
        yield server


async def intro(server: TestServer) -> tuple[bytes, bytes]:
    """An intro mailbox and its read key."""
    mailbox, read_key = os.urandom(32), os.urandom(32)
    await server.store.transact(mailboxes.create_intro, mailbox, key_hash(read_key), b"i" * 16, server.today)
    return mailbox, read_key


async def envelopes(tx: Tx) -> int:
    row = await tx.row("SELECT count(*) FROM envelope")
    assert row is not None
    assert isinstance(row[0], int)
    return row[0]


async def held(tx: Tx, mailbox: bytes) -> object:
    row = await tx.row("SELECT held FROM mailbox WHERE mailbox = $1", mailbox)
    return row and row[0]


# --- creating -------------------------------------------------------------------------------------


async def test_creating_twice_is_one_mailbox(server: TestServer) -> None:
    box = await Box.create(server, [SLOT])
    assert await box.post() == 1
    assert await server.ask(box.creation([SLOT])) == wire.Done()
    assert await box.seqs() == [1]


async def test_creating_again_is_a_no_op_even_after_a_slot_was_exchanged(server: TestServer) -> None:
    box = await Box.create(server, [SLOT])
    await box.join(SLOT)
    assert await server.ask(box.creation([SLOT])) == wire.Done()
    assert await server.code(wire.ExchangeSlot(box.id, SLOT, b"n" * 32)) == "not_permitted"


@pytest.mark.parametrize("change", ["write_hash", "read_hash", "slots"])
async def test_mailbox_01_creating_with_other_contents_is_a_conflict(server: TestServer, change: str) -> None:
    box = await Box.create(server, [SLOT])
    fields = {name: getattr(box.creation([SLOT]), name) for name in wire.CreateMailbox.__struct_fields__}
    fields[change] = [b"n" * 32] if change == "slots" else b"n" * 32
    assert await server.code(wire.CreateMailbox(**fields)) == "mailbox_conflict"
    assert await box.post() == 1


async def test_the_same_hash_twice_in_one_creation_is_a_bad_request(server: TestServer) -> None:
    assert await server.code(Box(server).creation([SLOT, SLOT])) == "bad_request"


async def test_an_intro_mailbox_is_created_once(server: TestServer) -> None:
    mailbox, read_key = await intro(server)
    await server.store.transact(mailboxes.create_intro, mailbox, key_hash(read_key), b"j" * 16, server.today)
    answer = await server.ask(wire.Fetch(mailbox, read_key, 0))
    assert answer.incarnation == b"i" * 16


async def test_each_mailbox_has_an_incarnation_of_its_own_and_a_restore_changes_all(server: TestServer) -> None:
    boxes = [await Box.create(server) for _ in range(2)]
    before = [(await box.fetch()).incarnation for box in boxes]
    assert before[0] != before[1]
    await server.store.transact(mailboxes.renew_incarnation, b"restored" * 2)
    assert [(await box.fetch()).incarnation for box in boxes] == [b"restored" * 2] * 2


# --- posting --------------------------------------------------------------------------------------


async def test_posts_are_numbered_from_one_without_a_gap(server: TestServer) -> None:
    box = await Box.create(server)
    assert [await box.post() for _ in range(5)] == [1, 2, 3, 4, 5]


async def test_the_same_envelope_again_has_the_same_seq(server: TestServer) -> None:
    box = await Box.create(server)
    assert [await box.post(b"1" * 16), await box.post(), await box.post(b"1" * 16)] == [1, 2, 1]
    assert await box.post() == 3
    assert await box.seqs() == [1, 2, 3]


async def test_an_envelope_posted_again_after_everybody_read_it_has_the_same_seq_and_stays_away(
    server: TestServer,
) -> None:
    box = await Box.create(server)
    await box.post(b"1" * 16)
    await box.ack(1)
    assert await server.store.read(envelopes) == 0
    assert await box.post(b"1" * 16) == 1
    assert await server.store.read(envelopes) == 0
    assert await box.post() == 2


async def test_the_same_envelope_at_the_same_moment_is_one(server: TestServer) -> None:
    box = await Box.create(server)
    answers = await asyncio.gather(*(box.post(b"1" * 16) for _ in range(20)))
    assert answers == [1] * 20
    assert await box.seqs() == [1]


async def test_one_envelope_id_in_two_mailboxes_is_two_envelopes(server: TestServer) -> None:
    first, second = await Box.create(server), await Box.create(server)
    await second.post()
    assert [await first.post(b"1" * 16), await second.post(b"1" * 16)] == [1, 2]


async def test_mailbox_04_an_envelope_id_with_other_contents_is_a_conflict(server: TestServer) -> None:
    box = await Box.create(server)
    await box.post(b"1" * 16)
    assert await server.code(box.posting(b"1" * 16, OTHER)) == "mailbox_conflict"
    assert await server.code(box.posting(b"1" * 16, slots=[SLOT])) == "mailbox_conflict"
    await box.ack(1)
    assert await server.code(box.posting(b"1" * 16, OTHER)) == "mailbox_conflict"
    assert await box.post() == 2


@pytest.mark.parametrize("size", [1023, 1025, 2048, 4095, 65535])
async def test_mailbox_02_an_envelope_of_another_size_than_a_buckets_is_refused(server: TestServer, size: int) -> None:
    box = await Box.create(server)
    assert await server.code(box.posting(blob=bytes(size))) == "bad_request"
    assert await box.post() == 1


@pytest.mark.parametrize("size", wire.ENVELOPE_BUCKETS)
async def test_each_bucket_comes_back_as_it_was(server: TestServer, size: int) -> None:
    box = await Box.create(server)
    blob = os.urandom(size)
    await box.post(blob=blob)
    assert [envelope.blob for envelope in (await box.fetch()).envelopes] == [blob]


async def test_mailbox_03_a_wrong_write_key_is_refused_and_uses_no_seq(server: TestServer) -> None:
    box = await Box.create(server)
    wrong = wire.Post(box.id, b"w" * 32, b"1" * 16, BLOB)
    assert await server.code(wrong) == "not_permitted"
    assert await box.post(b"1" * 16) == 1


async def test_mailbox_03_an_intro_mailbox_takes_no_write_key_and_a_conversation_needs_one(server: TestServer) -> None:
    mailbox, _ = await intro(server)
    box = await Box.create(server)
    assert await server.code(wire.Post(mailbox, b"w" * 32, b"1" * 16, BLOB)) == "not_permitted"
    assert await server.code(wire.PostIntro(box.id, b"1" * 16, BLOB)) == "not_permitted"
    assert await server.ask(wire.PostIntro(mailbox, b"1" * 16, BLOB)) == wire.Posted(1)
    assert await server.ask(wire.PostIntro(mailbox, b"1" * 16, BLOB)) == wire.Posted(1)


async def test_posting_to_a_mailbox_that_is_not_there_says_so(server: TestServer) -> None:
    box = Box(server)
    assert await server.code(box.posting()) == "no_such_mailbox"
    assert await server.code(wire.PostIntro(box.id, b"1" * 16, BLOB)) == "no_such_mailbox"


async def test_mailbox_05_a_full_mailbox_refuses_and_trims_nothing(
    server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailboxes, "MAX_BACKLOG_KIB", 6)
    box = await Box.create(server)
    assert await box.post(b"1" * 16) == 1
    assert await box.post(blob=bytes(4096)) == 2
    assert await server.code(box.posting(blob=bytes(4096))) == "mailbox_full"
    assert await box.seqs() == [1, 2]
    assert await box.post(b"1" * 16) == 1, "what was posted before is still acknowledged"
    assert await box.post() == 3
    assert await server.code(box.posting()) == "mailbox_full"
    await box.ack(2)
    assert await box.post(blob=bytes(4096)) == 4


@pytest.fixture
async def nearly_full(server: TestServer, monkeypatch: pytest.MonkeyPatch) -> Box:
    """A mailbox of 20 KiB that is filled as far as it can be for nothing."""
    monkeypatch.setattr(mailboxes, "MAX_BACKLOG_KIB", 20)
    box = await Box.create(server)
    for seq in range(1, 19):
        assert await box.post(bytes([seq]) * 16) == seq
    return box


async def test_mailbox_10_the_last_tenth_takes_only_posts_that_spend_a_token(nearly_full: Box) -> None:
    box, server = nearly_full, nearly_full.server
    assert await server.code(box.posting()) == "token_needed"
    assert await box.post(b"\1" * 16) == 1, "what was posted before is still acknowledged"
    assert await server.ask(paid_post(server, box.posting())) == wire.Posted(19)
    assert await server.code(box.posting()) == "token_needed"
    assert await box.seqs() == list(range(1, 20))
    await box.ack(2)
    assert await box.post() == 20, "once there is room, for nothing"


async def test_mailbox_10_a_mailbox_that_is_quite_full_refuses_what_is_paid_too_and_takes_no_token(
    nearly_full: Box,
) -> None:
    box, server = nearly_full, nearly_full.server
    for seq in (19, 20):
        assert await server.ask(paid_post(server, box.posting())) == wire.Posted(seq)
    refused = paid_post(server, box.posting())
    assert await server.code(refused) == "mailbox_full"
    assert await server.code(box.posting()) == "mailbox_full"
    await box.ack(1)
    assert await server.ask(refused) == wire.Posted(21), "its token was not spent"


async def test_mailbox_10_a_paid_post_again_has_the_same_seq_and_its_token_buys_nothing_else(nearly_full: Box) -> None:
    box, server = nearly_full, nearly_full.server
    posting = box.posting()
    paid = paid_post(server, posting)
    assert [await server.ask(paid) for _ in range(3)] == [wire.Posted(19)] * 3
    assert await server.ask(posting) == wire.Posted(19), "the same without a token is the same envelope"
    assert await server.ask(paid_post(server, posting)) == wire.Posted(19), "and with another one"
    assert await server.code(wire.Spend(paid.tokens, wire.encode(box.posting()))) == "bad_token"
    assert await box.seqs() == list(range(1, 20))


async def test_mailbox_10_a_token_opens_no_mailbox(nearly_full: Box) -> None:
    server = nearly_full.server
    wrong = wire.Post(nearly_full.id, b"w" * 32, b"n" * 16, BLOB)
    assert await server.code(paid_post(server, wrong)) == "not_permitted"
    assert await server.code(paid_post(server, Box(server).posting())) == "no_such_mailbox"


async def test_mailbox_05_an_intro_mailbox_has_its_own_limit(
    server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailboxes, "MAX_INTRO_BACKLOG_KIB", 1)
    mailbox, _ = await intro(server)
    assert await server.ask(wire.PostIntro(mailbox, b"1" * 16, BLOB)) == wire.Posted(1)
    assert await server.code(wire.PostIntro(mailbox, b"2" * 16, BLOB)) == "mailbox_full"


# --- slots ----------------------------------------------------------------------------------------


async def test_a_slot_becomes_a_reader_that_starts_at_the_beginning(server: TestServer) -> None:
    box = await Box.create(server, [SLOT])
    await box.post()
    read_key = await box.join(SLOT)
    assert await box.seqs(read_key) == [1]


async def test_a_slot_reserved_by_a_post_reads_what_comes_after_it(server: TestServer) -> None:
    box = await Box.create(server)
    await box.post()
    assert await box.post(slots=[SLOT]) == 2
    await box.post()
    read_key = os.urandom(32)
    assert await server.ask(wire.ExchangeSlot(box.id, SLOT, key_hash(read_key))) == wire.Reading(2)
    await box.ack(3)
    assert await box.seqs(read_key) == [3]


async def test_exchanging_again_for_the_same_key_is_a_no_op(server: TestServer) -> None:
    box = await Box.create(server, [SLOT])
    await box.post()
    request = wire.ExchangeSlot(box.id, SLOT, key_hash(b"n" * 32))
    assert await server.ask(request) == wire.Reading(0)
    await box.ack(1, b"n" * 32)
    assert await server.ask(request) == wire.Reading(1)


async def test_mailbox_06_a_slot_is_exchanged_once(server: TestServer) -> None:
    box = await Box.create(server, [SLOT])
    await box.join(SLOT)
    assert await server.code(wire.ExchangeSlot(box.id, SLOT, b"n" * 32)) == "not_permitted"
    assert await server.code(wire.ExchangeSlot(box.id, b"?" * 32, b"n" * 32)) == "not_permitted"
    assert await server.code(wire.ExchangeSlot(b"?" * 32, SLOT, b"n" * 32)) == "no_such_mailbox"


async def test_mailbox_06_of_many_who_exchange_a_slot_at_once_one_has_it(server: TestServer) -> None:
    box = await Box.create(server, [SLOT])
    answers = await asyncio.gather(
        *(server.ask(wire.ExchangeSlot(box.id, SLOT, key_hash(bytes([n]) * 32))) for n in range(10))
    )
    assert sum(isinstance(answer, wire.Reading) for answer in answers) == 1


async def test_mailbox_06_one_slot_cannot_be_exchanged_for_the_hash_of_another(server: TestServer) -> None:
    box = await Box.create(server, [SLOT, b"t" * 32])
    assert await server.code(wire.ExchangeSlot(box.id, SLOT, key_hash(b"t" * 32))) == "mailbox_conflict"
    await box.join(b"t" * 32)


async def test_a_slot_looks_and_does_not_acknowledge(server: TestServer) -> None:
    box = await Box.create(server, [SLOT])
    await box.post()
    looked = await server.ask(wire.Fetch(box.id, SLOT, 0))
    assert isinstance(looked, wire.Fetched)
    assert [delivery.seq for delivery in looked.envelopes] == [1]
    assert await server.code(wire.Fetch(box.id, b"x" * 32, 0)) == "not_permitted"
    assert await server.code(wire.Ack(box.id, SLOT, 1)) == "not_permitted"
    await box.ack(1)
    assert await box.seqs() == [1], "kept for whoever comes by the slot"


async def test_a_slot_that_is_taken_already_undoes_the_post(server: TestServer) -> None:
    box = await Box.create(server, [SLOT])
    assert await server.code(box.posting(b"1" * 16, slots=[SLOT])) == "mailbox_conflict"
    assert await box.post(b"1" * 16) == 1


async def test_too_many_readers_are_refused(server: TestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailboxes, "MAX_READERS", 2)
    box = await Box.create(server)
    await box.post(slots=[SLOT])
    assert await server.code(box.posting(slots=[b"t" * 32])) == "too_large"


# --- reading --------------------------------------------------------------------------------------


async def test_fetch_gives_what_follows_in_order_and_the_head(server: TestServer) -> None:
    box = await Box.create(server)
    for _ in range(5):
        await box.post()
    assert await box.seqs(after=2) == [3, 4, 5]
    page = await box.fetch(limit=2)
    assert ([envelope.seq for envelope in page.envelopes], page.head) == ([1, 2], 5)
    assert await box.seqs(after=5) == []
    assert await box.seqs(after=2**63 - 1) == []


async def test_a_fetch_of_large_envelopes_fits_one_frame(server: TestServer) -> None:
    box = await Box.create(server)
    for _ in range(20):
        await box.post(blob=bytes(65536))
    page = await box.fetch()
    assert len(wire.encode(page)) < wire.MAX_REQUEST
    assert len(page.envelopes) == mailboxes.MAX_PAGE // 65536
    assert len(await box.seqs(after=len(page.envelopes))) == 20 - len(page.envelopes)


async def test_a_fetch_of_small_envelopes_gives_as_many_as_asked_for(server: TestServer) -> None:
    box = await Box.create(server)
    await asyncio.gather(*(box.post() for _ in range(100)))
    assert await box.seqs() == list(range(1, wire.MAX_FETCH + 1))


async def test_mailbox_07_reading_takes_a_readers_key(server: TestServer) -> None:
    box = await Box.create(server)
    assert await server.code(wire.Fetch(box.id, b"?" * 32, 0)) == "not_permitted"
    assert await server.code(wire.Fetch(box.id, box.write_key, 0)) == "not_permitted"
    assert await server.code(wire.Ack(box.id, b"?" * 32, 0)) == "not_permitted"
    assert await server.code(wire.Fetch(b"?" * 32, box.read_key, 0)) == "no_such_mailbox"


async def test_mailbox_09_an_envelope_leaves_when_every_reader_has_acknowledged_it(server: TestServer) -> None:
    box = await Box.create(server, [SLOT])
    second = await box.join(SLOT)
    for _ in range(3):
        await box.post()
    await box.ack(3)
    assert await server.store.read(envelopes) == 3
    await box.ack(2, second)
    assert await box.seqs(second) == [3]
    assert await server.store.read(held, box.id) == 1
    await box.ack(3, second)
    assert await server.store.read(envelopes) == 0


async def test_an_older_acknowledgement_moves_nothing_back(server: TestServer) -> None:
    box = await Box.create(server, [SLOT])
    for _ in range(3):
        await box.post()
    await box.ack(3)
    await box.ack(1)
    second = await box.join(SLOT)
    await box.ack(3, second)
    assert await server.store.read(envelopes) == 0


async def test_mailbox_08_an_acknowledgement_beyond_the_head_swallows_nothing_that_is_to_come(
    server: TestServer,
) -> None:
    box = await Box.create(server)
    await box.post()
    assert await server.code(wire.Ack(box.id, box.read_key, 5)) == "bad_request"
    for _ in range(3):
        await box.post()
    assert await box.seqs() == [1, 2, 3, 4]


async def test_a_seq_is_never_used_again_when_the_mailbox_was_empty(tmp_path: Path) -> None:
    async with serving(tmp_path / "server.db") as server:
        box = await Box.create(server)
        assert await box.post() == 1
        await box.ack(1)
        assert await server.store.read(envelopes) == 0
    async with serving(tmp_path / "server.db") as server:
        box.server = server
        assert await box.post() == 2
        assert await box.seqs(after=1) == [2]


async def test_a_removed_reader_holds_nothing_back(server: TestServer) -> None:
    box = await Box.create(server, [SLOT])
    second = await box.join(SLOT)
    await box.post()
    await box.ack(1)
    assert await server.ask(wire.RemoveReader(box.id, second)) == wire.Done()
    assert await server.store.read(envelopes) == 0
    assert await server.code(wire.Fetch(box.id, second, 0)) == "not_permitted"
    assert await server.ask(wire.RemoveReader(box.id, second)) == wire.Done()


async def test_a_slot_that_is_given_back_holds_nothing_back(server: TestServer) -> None:
    box = await Box.create(server, [SLOT])
    await box.post()
    await box.ack(1)
    assert await server.store.read(envelopes) == 1
    for _ in range(2):
        assert await server.ask(wire.RemoveReader(box.id, SLOT)) == wire.Done()
        assert await server.store.read(envelopes) == 0
    assert await server.store.read(held, box.id) == 0
    assert await server.code(wire.ExchangeSlot(box.id, SLOT, b"n" * 32)) == "not_permitted"
    assert await box.post() == 2


async def test_the_secret_of_a_slot_that_was_exchanged_removes_nobody(server: TestServer) -> None:
    box = await Box.create(server, [SLOT])
    second = await box.join(SLOT)
    assert await server.ask(wire.RemoveReader(box.id, SLOT)) == wire.Done()
    await box.post()
    assert await box.seqs(second) == [1]


async def test_a_mailbox_goes_with_its_last_reader(server: TestServer) -> None:
    box = await Box.create(server)
    await box.post()
    assert await server.ask(wire.RemoveReader(box.id, box.read_key)) == wire.Done()
    assert await server.code(box.posting()) == "no_such_mailbox"
    assert await server.store.read(envelopes) == 0


async def test_a_mailbox_created_again_has_another_incarnation(server: TestServer) -> None:
    box = await Box.create(server)
    before = (await box.fetch()).incarnation
    await server.ask(wire.RemoveReader(box.id, box.read_key))
    assert await server.ask(box.creation()) == wire.Done()
    assert (await box.fetch()).incarnation != before


# --- expiry ---------------------------------------------------------------------------------------


async def test_an_envelope_leaves_after_its_days_and_not_before(server: TestServer) -> None:
    box = await Box.create(server)
    await box.post()
    server.clock.days(ENVELOPE_DAYS - 1)
    await box.post()
    await server.sweep()
    assert await box.seqs() == [1, 2]
    server.clock.days(1)
    await server.sweep()
    assert await box.seqs() == [2]
    assert await server.store.read(held, box.id) == 1


async def test_the_ids_of_envelopes_are_forgotten_with_them(server: TestServer) -> None:
    box = await Box.create(server)
    await box.post(b"1" * 16)
    server.clock.days(ENVELOPE_DAYS)
    await server.sweep()
    assert await server.store.read(remembered) == 0


async def remembered(tx: Tx) -> object:
    row = await tx.row("SELECT count(*) FROM posted")
    return row and row[0]


async def test_a_mailbox_that_nobody_uses_goes_after_a_year(server: TestServer) -> None:
    box = await Box.create(server)
    await box.post()
    server.clock.days(MAILBOX_DAYS + MAILBOX_STEP)
    await server.sweep()
    assert await server.code(box.posting()) == "no_such_mailbox"


@pytest.mark.parametrize("use", ["post", "fetch"])
async def test_a_mailbox_that_is_used_stays(server: TestServer, use: str) -> None:
    box = await Box.create(server)
    for _ in range(3):
        server.clock.days(MAILBOX_DAYS - 1)
        await (box.post() if use == "post" else box.fetch())
        await server.store.flush()
        await server.sweep()
    assert await box.post() == (4 if use == "post" else 1)


async def test_the_sweep_reaches_every_mailbox(server: TestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailboxes, "SWEEP", 3)
    boxes = [await Box.create(server) for _ in range(10)]
    for box in boxes:
        await box.post()
    server.clock.days(ENVELOPE_DAYS)
    await server.sweep()
    assert await server.store.read(envelopes) == 0


# --- what is there to be found --------------------------------------------------------------------


async def everything(tx: Tx) -> bytes:
    found = b""
    for table in ("mailbox", "reader", "envelope", "posted"):
        for row in await tx.rows(f"SELECT * FROM {table}"):  # noqa: S608
            found += b"|".join(value if isinstance(value, bytes) else str(value).encode() for value in row)
    return found


async def test_no_key_and_no_slot_secret_is_stored(server: TestServer) -> None:
    box = await Box.create(server, [SLOT])
    read_key = await box.join(SLOT)
    await box.post()
    await box.ack(1, read_key)
    found = await server.store.read(everything)
    assert not any(secret in found for secret in (box.write_key, box.read_key, read_key, SLOT))


async def test_after_reading_nothing_links_an_envelope_to_its_mailbox(server: TestServer) -> None:
    box = await Box.create(server)
    await box.post(b"1" * 16)
    await box.ack(1)

    async def rows(tx: Tx) -> list[bytes]:
        return [b"".join(v for v in row if isinstance(v, bytes)) for row in await tx.rows("SELECT * FROM posted")]

    (note,) = await server.store.read(rows)
    assert box.id not in note
    assert b"1" * 16 not in note
    assert (await server.store.read(everything)).count(b"1" * 16) == 0


async def test_the_day_that_is_stored_is_one_of_two_by_chance(server: TestServer) -> None:
    days = {Context.blurred_day(server.context) - server.today for _ in range(100)}
    assert days == {0, 1}


async def test_nothing_finer_than_a_day_is_stored(server: TestServer) -> None:
    server.clock.days(0.3)
    first = await Box.create(server)
    await first.post()
    server.clock.days(0.5)
    second = await Box.create(server)
    await second.post()

    async def days(tx: Tx) -> set[object]:
        return {row[0] for table in ("mailbox", "envelope", "posted") for row in await tx.rows(
            f"SELECT expires_day FROM {table}"  # noqa: S608
        )}  # fmt: skip

    assert await server.store.read(days) == {server.today + ENVELOPE_DAYS, mailboxes.mailbox_expiry(server.today)}


async def test_mailbox_11_who_is_first_at_a_mailbox_that_any_member_makes_cannot_change_its_readers(
    server: TestServer,
) -> None:
    write_hash, slots = os.urandom(32), [os.urandom(32) for _ in range(3)]
    mailbox = moved_mailbox(write_hash, slots)
    assert await server.code(wire.CreateMailbox(mailbox, write_hash, None, slots[::-1])) == "bad_request"
    assert await server.code(wire.CreateMailbox(mailbox, write_hash, None, [])) == "bad_request"
    await server.ask(wire.CreateMailbox(mailbox, write_hash, None, slots))
    await server.ask(wire.CreateMailbox(mailbox, write_hash, None, slots))
