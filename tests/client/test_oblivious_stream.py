"""Receiving through a relay: a stream made of polls, while relay, server and mailboxes do what they may."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from grue.client.transport import oblivious as client_side
from grue.client.transport.transport import Stream
from grue.errors import BadGatewayKey, UsageError
from grue.protocol import wire
from tests.client.relays import Way, always, strangers_key
from tests.server.kit import BLOB, Box


@pytest.fixture
async def stream(to: Way, monkeypatch: pytest.MonkeyPatch) -> Stream:
    """One whose polls begin at once, and whose every wait is short."""
    monkeypatch.setattr(client_side, "WAIT_SECONDS", (1, 1))
    to.transport.spread = 0
    return await to.transport.stream()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 -- there is no event of it
            await asyncio.sleep(0.01)


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
        await until(lambda: len(to.relay.taken) == 2)
    assert pushes.full()


async def test_a_relay_that_is_away_pauses_every_poll_and_ends_none(to: Way, box: Box, stream: Stream) -> None:
    to.relay.post = always(502)
    await box.post()
    await stream.send(wire.Subscribe(box.id, box.read_key, 0))
    await until(lambda: len(to.relay.taken) >= 2)
    to.relay.post = to.relay.hand_on
    assert [type(push) for push in await some(stream, 2)] == [wire.Subscribed, wire.Delivery]


@pytest.mark.parametrize("fault", [always(502), always(503, {"Retry-After": "1"}), always(400), always(200)])
async def test_what_fails_of_one_poll_is_not_seen_at_another(
    to: Way, box: Box, stream: Stream, fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_side, "WAIT_SECONDS", (5, 5))
    other = await Box.create(to.server)
    for one in (box, other):
        await stream.send(wire.Subscribe(one.id, one.read_key, 0))
    await until(lambda: len(to.relay.taken) == 2)
    to.relay.post, asked = fault, len(to.relay.taken)
    await other.post()
    # The poll of `other` was answered and its next one fails; nothing else is asked because of that.
    await until(lambda: len(to.relay.taken) > asked)
    await asyncio.sleep(0.3)
    assert len(to.relay.taken) - asked <= 2, "one poll, and the sealing anew of one that was refused"
    to.relay.post = to.relay.hand_on
    await box.post()
    delivered = [push.mailbox for push in await some(stream, 4) if isinstance(push, wire.Delivery)]
    assert delivered == [other.id, box.id]


async def test_an_acknowledgement_that_was_lost_is_said_again(to: Way, box: Box, stream: Stream) -> None:
    await box.post()
    await stream.send(wire.Subscribe(box.id, box.read_key, 0))
    await some(stream, 2)
    await until(lambda: len(to.relay.taken) == 2)
    to.relay.post = always(502)
    await stream.send(wire.Ack(box.id, box.read_key, 1))
    await until(lambda: len(to.relay.taken) == 3)
    to.relay.post = to.relay.hand_on
    assert await box.seqs() == [1]
    await box.post()
    await some(stream, 1)
    async with asyncio.timeout(10):
        while await box.seqs() != [2]:  # noqa: ASYNC110 -- there is no event of it
            await asyncio.sleep(0.01)


async def test_polls_begin_within_a_minute_and_the_chat_that_is_looked_at_at_once(
    to: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(client_side.START_VARIABLE)
    monkeypatch.setattr(client_side, "_chance", lambda most: most)
    transport = to.another()
    assert transport.spread == client_side.START_SECONDS == 60
    stream = await transport.stream()
    boxes = [await Box.create(to.server) for _ in range(3)]
    for one in boxes:
        await stream.send(wire.Subscribe(one.id, one.read_key, 0))
        await one.post()
    await asyncio.sleep(0.2)
    assert to.relay.taken == []
    stream.first(boxes[1].id)
    pushed = await some(stream, 2)
    assert {cast("Any", push).mailbox for push in pushed} == {boxes[1].id}
    await transport.close()


@pytest.mark.parametrize("said", ["soon", "-1", "3601", "nan", "inf"])
async def test_another_spread_is_seconds(to: Way, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv(client_side.START_VARIABLE, said)
    with pytest.raises(UsageError):
        to.another()


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
    monkeypatch.setattr(client_side, "WAIT_SECONDS", (20, 30))
    pauses: list[float] = []
    paused = asyncio.Event()

    async def pause(_poll: object, seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            paused.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(client_side._Poll, "pause", pause)
    await stream.send(wire.Subscribe(box.id, box.read_key, 0))
    async with asyncio.timeout(10):
        await paused.wait()
    assert len(to.relay.taken) == 1
    assert 10 < pauses[1] <= 30 + client_side.SPREAD_SECONDS


async def test_polls_of_one_client_keep_no_fraction_of_a_second_in_common(
    box: Box, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A poll waits whole seconds; without chance between them each mailbox would be asked for at the same fraction."""
    assert len({client_side._chance(1.0) for _ in range(50)}) > 40
    assert all(0 <= client_side._chance(1.0) < client_side.SPREAD_SECONDS for _ in range(50))
    pauses: list[float] = []
    paused = asyncio.Event()

    async def pause(_poll: object, seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            paused.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(client_side, "WAIT_SECONDS", (1, 1))
    monkeypatch.setattr(client_side, "_chance", lambda most: most / 4)
    monkeypatch.setattr(client_side._Poll, "pause", pause)
    await stream.send(wire.Subscribe(box.id, box.read_key, 0))
    async with asyncio.timeout(20):
        await paused.wait()
    assert pauses[0] == 0
    assert all(0.25 <= pause < 0.3 for pause in pauses[1:])


async def test_a_closed_stream_leaves_no_task_and_is_forgotten(to: Way, box: Box, stream: Stream) -> None:
    before = asyncio.all_tasks()
    for other in [box, *[await Box.create(to.server) for _ in range(30)]]:
        await stream.send(wire.Subscribe(other.id, other.read_key, 0))
    await some(stream, 31)
    await stream.close()
    left = [task for task in asyncio.all_tasks() - before if "_poll" in repr(task.get_coro())]
    assert left == []
    assert to.transport._streams == set()


async def test_polls_of_one_client_wait_for_different_times(to: Way) -> None:
    stream = await to.transport.stream()
    waits = {cast("Any", stream)._wait()[0] for _ in range(200)}
    least, most = client_side.WAIT_SECONDS
    assert min(waits) >= least
    assert max(waits) <= most
    assert len(waits) > 5


async def test_more_mailboxes_than_polls_are_all_read(to: Way, stream: Stream) -> None:
    boxes = [await Box.create(to.server) for _ in range(client_side.POLLS + 6)]
    for box in boxes:
        await stream.send(wire.Subscribe(box.id, box.read_key, 0))
    await some(stream, len(boxes))
    for box in boxes:
        await box.post()
    delivered = {push.mailbox for push in await some(stream, len(boxes)) if isinstance(push, wire.Delivery)}
    assert delivered == {box.id for box in boxes}
