"""Receiving through a relay: a stream made of polls, while relay, server and mailboxes do what they may."""

import asyncio
from typing import Any, cast

import pytest

from grue.client.transport import oblivious as client_side
from grue.client.transport.transport import Stream
from grue.errors import BadGatewayKey
from grue.protocol import wire
from tests.client.relays import Way, always, strangers_key
from tests.server.kit import BLOB, Box


@pytest.fixture
async def stream(to: Way) -> Stream:
    return await to.transport.stream()


async def some(stream: Stream, count: int) -> list[wire.StreamPush]:
    """So many pushes."""
    pushes = stream.pushes()
    async with asyncio.timeout(10):
        return [await anext(pushes) for _ in range(count)]


async def test_what_waits_and_what_comes_is_pushed_in_order_and_once(box: Box, stream: Stream) -> None:
    for _ in range(3):
        await box.post()
    await stream.send(wire.Subscribe(box.id, box.read_key, 1))
    first = await some(stream, 3)
    assert isinstance(first[0], wire.Subscribed)
    await box.post()
    pushed = [*first[1:], *await some(stream, 1)]
    assert [push.seq for push in pushed if isinstance(push, wire.Delivery)] == [2, 3, 4]


async def test_a_mailbox_that_goes_while_it_is_polled_is_said(to: Way, box: Box, stream: Stream) -> None:
    await stream.send(wire.Subscribe(box.id, box.read_key, 0))
    await some(stream, 1)
    async with asyncio.timeout(10):
        while not to.server.streams._polls:  # noqa: ASYNC110 -- the poll is under way in the relay
            await asyncio.sleep(0.01)
        await to.server.ask(wire.RemoveReader(box.id, box.read_key))
    assert await some(stream, 1) == [wire.NotSubscribed(box.id, "no_such_mailbox")]
    assert to.server.streams._polls == {}


async def test_a_subscription_that_is_made_again_starts_over_and_leaves_no_second_poll(
    box: Box, stream: Stream
) -> None:
    await box.post()
    await stream.send(wire.Subscribe(box.id, box.read_key, 0))
    await some(stream, 2)
    await stream.send(wire.Subscribe(box.id, box.read_key, 0))
    again = await some(stream, 2)
    assert [type(push) for push in again] == [wire.Subscribed, wire.Delivery]
    await box.post()
    (delivery,) = await some(stream, 1)
    assert isinstance(delivery, wire.Delivery)
    assert delivery.seq == 2
    pushes = cast("Any", stream)._pushes
    assert pushes.empty()


async def test_an_acknowledgement_that_is_refused_waits_for_nobody(to: Way, box: Box, stream: Stream) -> None:
    """Who sends it may be who takes the pushes, of which no more fit in."""
    for _ in range(client_side.PUSHES + 2):
        await box.post(blob=BLOB)
    await stream.send(wire.Subscribe(box.id, box.read_key, 0))
    pushes = cast("Any", stream)._pushes
    async with asyncio.timeout(10):
        while not pushes.full():  # noqa: ASYNC110 -- there is no event of it
            await asyncio.sleep(0.01)
        await stream.send(wire.Ack(bytes(32), bytes(32), 1))
    assert pushes.full()
    assert len(to.relay.taken) == 2


async def test_a_network_that_fails_ends_the_stream(to: Way, box: Box, stream: Stream) -> None:
    to.relay.post = always(502)
    await stream.send(wire.Subscribe(box.id, box.read_key, 0))
    async with asyncio.timeout(10):
        assert [push async for push in stream.pushes()] == []


async def test_gateway_01_a_bad_key_does_not_end_receiving_in_silence(to: Way, box: Box, stream: Stream) -> None:
    to.relay.key = strangers_key(to)
    await stream.send(wire.Subscribe(box.id, box.read_key, 0))
    async with asyncio.timeout(10):
        with pytest.raises(BadGatewayKey):
            _ = [push async for push in stream.pushes()]
    # What has failed does not stand in the way of the end.
    await to.transport.close()


async def test_a_server_that_has_no_room_for_polls_is_not_asked_again_at_once(
    to: Way, box: Box, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grue.server.mailboxes.streams.MAX_POLLS", 0)
    pauses: list[float] = []
    paused = asyncio.Event()

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            paused.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(client_side, "_pause", pause)
    await stream.send(wire.Subscribe(box.id, box.read_key, 0))
    async with asyncio.timeout(10):
        await paused.wait()
    assert len(to.relay.taken) == 2
    least, most = client_side.WAIT_SECONDS
    assert least / 2 < pauses[1] <= most + client_side.SPREAD_SECONDS


async def test_polls_of_one_client_keep_no_fraction_of_a_second_in_common(
    box: Box, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A poll waits whole seconds; without chance between them each mailbox would be asked for at the same fraction."""
    assert len({client_side._chance() for _ in range(50)}) > 40
    assert all(0 <= client_side._chance() < client_side.SPREAD_SECONDS for _ in range(50))
    pauses: list[float] = []
    paused = asyncio.Event()

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            paused.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(client_side, "WAIT_SECONDS", (1, 1))
    monkeypatch.setattr(client_side, "_chance", lambda: 0.25)
    monkeypatch.setattr(client_side, "_pause", pause)
    await stream.send(wire.Subscribe(box.id, box.read_key, 0))
    async with asyncio.timeout(20):
        await paused.wait()
    assert pauses == [0.25] * 3


async def test_a_closed_stream_leaves_no_task_and_is_forgotten(to: Way, box: Box, stream: Stream) -> None:
    before = asyncio.all_tasks()
    for other in [box, *[await Box.create(to.server) for _ in range(30)]]:
        await stream.send(wire.Subscribe(other.id, other.read_key, 0))
    await some(stream, 31)
    await stream.close()
    left = [task for task in asyncio.all_tasks() - before if "_poll" in repr(task.get_coro())]
    assert left == []
    assert to.transport._streams == set()


async def test_polls_of_one_client_wait_for_different_times(stream: Stream) -> None:
    waits = {cast("Any", stream)._wait() for _ in range(200)}
    least, most = client_side.WAIT_SECONDS
    assert min(waits) >= least
    assert max(waits) <= most
    assert len(waits) > 5


async def test_more_mailboxes_than_polls_are_all_read(to: Way, stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = [await Box.create(to.server) for _ in range(client_side.POLLS + 6)]
    for box in boxes:
        await stream.send(wire.Subscribe(box.id, box.read_key, 0))
    await some(stream, len(boxes))
    for box in boxes:
        await box.post()
    monkeypatch.setattr(client_side, "WAIT_SECONDS", (1, 1))
    delivered = {push.mailbox for push in await some(stream, len(boxes)) if isinstance(push, wire.Delivery)}
    assert delivered == {box.id for box in boxes}
