"""Streams: everything once and in order, whatever comes between backlog and live, however slowly it is read."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from grue.errors import BadRequest
from grue.protocol import wire
from grue.server.mailboxes import streams
from grue.server.store.interface import Tx
from tests.server.kit import BLOB, Box, Reader, TestServer, serving

SLOT = b"s" * 32


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with serving() as server:
        yield server


@pytest.fixture
async def box(server: TestServer) -> Box:
    return await Box.create(server, [SLOT])


async def test_a_subscription_is_confirmed_then_gets_the_backlog_then_what_comes(server: TestServer, box: Box) -> None:
    for _ in range(3):
        await box.post()
    reader = Reader(server)
    await reader.subscribe(box)
    await reader.until(4)
    assert await box.post() == 4
    await reader.until(5)
    incarnation = (await box.fetch()).incarnation
    assert reader.pushes[0] == wire.Subscribed(box.id, incarnation, 3)
    assert reader.seqs(box) == [1, 2, 3, 4]


async def test_a_subscription_starts_after_what_is_known(server: TestServer, box: Box) -> None:
    for _ in range(5):
        await box.post()
    reader = Reader(server)
    await reader.subscribe(box, after=3)
    await reader.until(3)
    assert reader.seqs(box) == [4, 5]


async def test_what_is_pushed_is_the_envelope_as_it_was_posted(server: TestServer, box: Box) -> None:
    reader = Reader(server)
    await reader.subscribe(box)
    await reader.live()
    blob = os.urandom(4096)
    await box.post(b"1" * 16, blob)
    await reader.until(2)
    assert reader.pushes[1] == wire.Delivery(box.id, 1, b"1" * 16, blob)


async def test_a_live_push_is_not_read_back_from_the_store(server: TestServer, box: Box) -> None:
    reader = Reader(server)
    await reader.subscribe(box)
    await reader.live()
    pages = counted_pages(server)
    await asyncio.gather(*(box.post() for _ in range(50)))
    await reader.until(51)
    assert reader.seqs(box) == list(range(1, 51))
    assert pages == []


def counted_pages(server: TestServer) -> list[bytes]:
    """The mailbox of each page that streams read from now on."""
    page = server.streams.mailboxes.page
    read: list[bytes] = []

    def counted(mailbox: bytes, read_hash: bytes, after: int, limit: int) -> object:
        read.append(mailbox)
        return page(mailbox, read_hash, after, limit)

    server.streams.mailboxes.page = counted  # type: ignore[assignment,method-assign]
    return read


async def test_who_has_everything_is_live_with_one_look(server: TestServer, box: Box) -> None:
    for _ in range(3):
        await box.post()
    pages = counted_pages(server)
    reader = Reader(server)
    await reader.subscribe(box, after=3)
    assert pages == [box.id]
    await box.post()
    await reader.until(2)
    assert reader.seqs(box) == [4]
    assert pages == [box.id]


@pytest.mark.parametrize("known", [0, 2])
async def test_what_is_posted_while_a_subscription_is_confirmed_comes(server: TestServer, box: Box, known: int) -> None:
    for _ in range(2):
        await box.post()
    reader = Reader(server)
    reader.slow()
    subscribing = asyncio.create_task(reader.subscribe(box, after=known))
    await reader.until(1)
    await box.post()
    reader.fast()
    await subscribing
    await reader.until(4 - known)
    assert reader.seqs(box) == list(range(known + 1, 4))


async def test_a_mailbox_that_goes_while_a_subscription_is_confirmed_leaves_none(server: TestServer, box: Box) -> None:
    reader = Reader(server)
    reader.slow()
    subscribing = asyncio.create_task(reader.subscribe(box))
    await reader.until(1)
    server.streams.gone(box.id)
    reader.fast()
    await subscribing
    assert len(server.streams) == 0


async def test_a_stream_that_is_closed_while_it_subscribes_leaves_nothing_behind(server: TestServer, box: Box) -> None:
    reader = Reader(server)
    reader.slow()
    subscribing = asyncio.create_task(reader.subscribe(box))
    await reader.until(1)
    reader.stream.close()
    reader.fast()
    await subscribing
    assert len(server.streams) == 0


@pytest.mark.parametrize("backlog", [0, 1, 15, 16, 17, 40])
async def test_nothing_is_missing_or_doubled_where_backlog_and_live_meet(
    server: TestServer, box: Box, backlog: int
) -> None:
    await asyncio.gather(*(box.post() for _ in range(backlog)))
    readers = [Reader(server) for _ in range(5)]

    async def subscribe(reader: Reader, steps: int) -> None:
        for _ in range(steps):
            await asyncio.sleep(0)
        await reader.subscribe(box)

    await asyncio.gather(
        *(box.post() for _ in range(60)), *(subscribe(reader, 7 * n) for n, reader in enumerate(readers))
    )
    for reader in readers:
        await reader.until(1 + backlog + 60)
        assert reader.seqs(box) == list(range(1, backlog + 61))


async def test_an_envelope_posted_again_is_not_pushed_again(server: TestServer, box: Box) -> None:
    reader = Reader(server)
    await reader.subscribe(box)
    for envelope in (b"1" * 16, b"1" * 16, b"2" * 16):
        await box.post(envelope)
    await reader.until(3)
    assert reader.seqs(box) == [1, 2]


async def test_an_expired_gap_in_the_backlog_is_passed_over(server: TestServer, box: Box) -> None:
    for _ in range(3):
        await box.post()
    server.clock.days(30)
    await server.sweep()
    reader = Reader(server)
    await reader.subscribe(box)
    await reader.live()
    await box.post()
    await reader.until(2)
    assert reader.seqs(box) == [4]


async def test_mailbox_12_what_has_expired_is_given_to_nobody_before_it_is_swept_too(
    server: TestServer, box: Box
) -> None:
    await box.post()
    server.clock.days(31)
    await box.post()
    assert await box.seqs() == [2]
    reader = Reader(server)
    await reader.subscribe(box)
    await reader.until(2)
    assert reader.seqs(box) == [2]


async def test_a_cursor_beyond_the_head_does_not_wait_for_ever(server: TestServer, box: Box) -> None:
    await box.post()
    reader = Reader(server)
    await reader.subscribe(box, after=1000)
    await reader.live()
    await box.post()
    await reader.until(2)
    assert reader.seqs(box) == [2]


# --- slow clients ---------------------------------------------------------------------------------


async def test_a_slow_client_is_paged_when_it_reads_again_and_gets_everything_once(
    server: TestServer, box: Box
) -> None:
    reader, other = Reader(server), Reader(server)
    for each in (reader, other):
        await each.subscribe(box)
        await each.live()
    await box.post()
    reader.slow()
    await asyncio.gather(*(box.post() for _ in range(100)))
    await other.until(102)
    assert reader.seqs(box) in ([1], [1, 2]), "one is on its way at most"
    reader.fast()
    await reader.until(102)
    assert reader.seqs(box) == other.seqs(box) == list(range(1, 102))
    assert await box.post() == 102
    await reader.until(103)
    assert reader.seqs(box)[-1] == 102, "and it is live again"


async def test_a_slow_client_makes_nothing_grow(server: TestServer, box: Box) -> None:
    reader = Reader(server)
    await reader.subscribe(box)
    await reader.live()
    reader.slow()
    pages = 0
    page = server.streams.mailboxes.page

    def counted(*args: object) -> object:
        nonlocal pages
        pages += 1
        return page(*args)  # type: ignore[arg-type]

    server.streams.mailboxes.page = counted  # type: ignore[assignment,method-assign]
    await asyncio.gather(*(box.post() for _ in range(200)))
    await asyncio.sleep(0.05)
    assert pages <= 1, "one page waits to be sent, and no more are read"
    reader.stream.close()


async def test_one_slow_mailbox_does_not_starve_another(server: TestServer) -> None:
    first, second = await Box.create(server), await Box.create(server)
    await asyncio.gather(*(first.post() for _ in range(100)), second.post())
    reader = Reader(server)
    await reader.subscribe(first)
    await reader.subscribe(second)
    await reader.until(103)
    at = next(
        n for n, push in enumerate(reader.pushes) if isinstance(push, wire.Delivery) and push.mailbox == second.id
    )
    assert at < 3 * streams.PAGE


# --- acknowledging and ending ---------------------------------------------------------------------


async def envelopes(tx: Tx) -> object:
    row = await tx.row("SELECT count(*) FROM envelope")
    return row and row[0]


async def test_an_acknowledgement_on_the_stream_lets_go_of_envelopes(server: TestServer, box: Box) -> None:
    second = await box.join(SLOT)
    await box.post()
    readers = [(Reader(server), box.read_key), (Reader(server), second)]
    for reader, read_key in readers:
        await reader.subscribe(box, read_key=read_key)
        await reader.until(2)
        await reader.stream.received(wire.encode(wire.Ack(box.id, read_key, 1)))
    await server.store.flush()
    assert await server.store.read(envelopes) == 0


async def test_an_acknowledgement_without_a_subscription_works_with_the_right_key_only(
    server: TestServer, box: Box
) -> None:
    second = await box.join(SLOT)
    await box.post()
    reader = Reader(server)
    for read_key in (box.read_key, second):
        await reader.stream.received(wire.encode(wire.Ack(box.id, read_key, 1)))
    await reader.stream.received(wire.encode(wire.Ack(box.id, b"?" * 32, 1)))
    await server.store.flush()
    assert await server.store.read(envelopes) == 0
    assert reader.pushes == [wire.NotSubscribed(box.id, "not_permitted")]


async def test_an_unknown_mailbox_or_key_is_said_and_the_stream_goes_on(server: TestServer, box: Box) -> None:
    reader = Reader(server)
    gone = Box(server)
    await reader.subscribe(gone)
    await reader.subscribe(box, read_key=b"?" * 32)
    await reader.subscribe(box)
    await reader.until(3)
    assert reader.pushes[:2] == [
        wire.NotSubscribed(gone.id, "no_such_mailbox"),
        wire.NotSubscribed(box.id, "not_permitted"),
    ]
    assert isinstance(reader.pushes[2], wire.Subscribed)


async def test_removing_a_reader_ends_its_subscription_and_no_other(server: TestServer, box: Box) -> None:
    second = await box.join(SLOT)
    first_reader, second_reader = Reader(server), Reader(server)
    await first_reader.subscribe(box)
    await second_reader.subscribe(box, read_key=second)
    await first_reader.live()
    await second_reader.live()
    await server.ask(wire.RemoveReader(box.id, second))
    await box.post()
    await first_reader.until(2)
    assert first_reader.seqs(box) == [1]
    assert second_reader.pushes[1:] == [wire.NotSubscribed(box.id, "not_permitted")]


async def test_a_mailbox_that_goes_ends_its_subscriptions(server: TestServer, box: Box) -> None:
    reader = Reader(server)
    await reader.subscribe(box)
    await reader.live()
    server.clock.days(500)
    await server.sweep()
    assert reader.pushes[1:] == [wire.NotSubscribed(box.id, "no_such_mailbox")]
    assert len(server.streams) == 0


async def test_subscribing_again_starts_over_from_there(server: TestServer, box: Box) -> None:
    for _ in range(3):
        await box.post()
    reader = Reader(server)
    await reader.subscribe(box)
    await reader.until(4)
    await reader.subscribe(box, after=1)
    await reader.until(7)
    assert reader.seqs(box) == [1, 2, 3, 2, 3]
    await box.post()
    await reader.until(8)
    assert reader.seqs(box) == [1, 2, 3, 2, 3, 4]
    assert len(server.streams) == 1


async def test_a_closed_stream_leaves_nothing_behind(server: TestServer, box: Box) -> None:
    await box.post()
    reader = Reader(server)
    await reader.subscribe(box)
    reader.stream.close()
    assert len(server.streams) == 0
    await box.post()
    await asyncio.sleep(0.05)
    assert reader.seqs(box) in ([], [1])


async def test_bytes_that_are_no_request_are_a_bad_request(server: TestServer) -> None:
    for frame in (b"", b"\xc1", wire.encode(wire.Done()), wire.encode(wire.PostIntro(b"m" * 32, b"1" * 16, BLOB))):
        with pytest.raises(BadRequest):
            await Reader(server).stream.received(frame)


async def test_too_many_subscriptions_are_refused(server: TestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_SUBSCRIPTIONS", 2)
    reader = Reader(server)
    for _ in range(2):
        await reader.subscribe(await Box.create(server))
    with pytest.raises(BadRequest):
        await reader.subscribe(await Box.create(server))


async def test_a_fault_while_paging_is_said_and_ends_that_subscription_only(
    server: TestServer, box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    other = await Box.create(server)
    await asyncio.gather(box.post(), other.post())
    page = server.streams.mailboxes.page

    async def broken(mailbox: bytes, read_hash: bytes, after: int, limit: int) -> object:
        if mailbox == box.id and limit:
            raise ValueError("a secret")
        return await page(mailbox, read_hash, after, limit)

    server.streams.mailboxes.page = broken  # type: ignore[assignment,method-assign]
    reader = Reader(server)
    await reader.subscribe(box)
    await reader.subscribe(other)
    await reader.until(4)
    assert wire.NotSubscribed(box.id, "bug") in reader.pushes
    assert reader.seqs(other) == [1]
    assert "ValueError at test_streams.py" in caplog.text
    assert "a secret" not in caplog.text
