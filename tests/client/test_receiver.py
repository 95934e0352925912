"""Several processes on one home: what one begins, another that receives takes part in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import pytest

from grue.client.conversations.receiver import Pushes
from grue.errors import DiskFull, NoSuchMailbox, Unreachable
from grue.protocol import wire
from grue.testing import World
from grue.testing.network import inner
from tests.world.memory import ALICE, BOB, take
from tests.world.processes import until


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path) as world:
        yield world


async def test_a_mailbox_that_another_process_is_only_making_is_read_when_it_is_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, bob = await world.person(ALICE), await world.person(BOB)
    made, anonymous = asyncio.Event(), world.server.anonymous
    refused, page = asyncio.Event(), world.server.streams.mailboxes.page

    async def slowly(body: bytes) -> bytes:
        if isinstance(inner(wire.ANONYMOUS_REQUEST.decode(body)), wire.CreateMailbox):
            await made.wait()
        return await anonymous(body)

    async def watched(*arguments: Any) -> Any:
        try:
            return await page(*arguments)
        except NoSuchMailbox:
            refused.set()
            raise

    monkeypatch.setattr(world.server, "anonymous", slowly)
    monkeypatch.setattr(world.server.streams.mailboxes, "page", watched)
    following = await world.open(ALICE)
    received: list[str] = []

    async def follow() -> None:
        async for message in following.receive():
            received.append(message.text)  # noqa: PERF401 -- as they come

    task = asyncio.create_task(follow())
    # The follower's stream is there before the conversation is.
    await until(lambda: following._receiver is not None and following._receiver._streams)
    sending = asyncio.create_task(writing.send(BOB, "we have not met"))
    await refused.wait()
    made.set()
    await sending
    assert await take(bob) == ["we have not met"]
    await bob.send(ALICE, "now we have")
    await until(lambda: received == ["now we have"])
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_what_went_wrong_is_told_once_and_not_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever begins to receive again after a fault that is mended goes on."""
    alice, bob = await world.person(ALICE), await world.person(BOB)
    inbox, broken = bob._parts.inbox, True
    conversation = inbox.intro

    async def intro(*arguments: Any) -> Any:
        if broken:
            raise DiskFull
        return await conversation(*arguments)

    monkeypatch.setattr(inbox, "intro", intro)
    await alice.send(BOB, "hello")
    with pytest.raises(DiskFull):
        async with asyncio.timeout(30):
            await anext(bob.receive())
    broken = False
    async with asyncio.timeout(30):
        assert (await anext(bob.receive())).text == "hello"


@pytest.mark.parametrize("before", [True, False])
async def test_more_conversations_than_one_stream_reads_are_all_followed(
    world: World, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    """Whether they are there when receiving begins, or come while it goes on."""
    monkeypatch.setattr(wire, "MAX_SUBSCRIPTIONS", 2)
    alice, others = await world.person(ALICE), [await world.person(f"+44770090010{n}") for n in range(5)]
    received: list[str] = []

    async def follow() -> None:
        async for message in alice.receive():
            received.append(message.text)  # noqa: PERF401 -- as they come

    if before:
        for other in others:
            await other.send(ALICE, f"hello from {other.number}")
        await alice.poll()
        for other in others:
            await alice.send(other.number, "hello")
    task = asyncio.create_task(follow())
    if not before:
        for other in others:
            await other.send(ALICE, f"hello from {other.number}")
        await until(lambda: len(received) == 5)
        for other in others:
            await alice.send(other.number, "hello")
    for other in others:
        await other.poll()
        await other.send(ALICE, f"and again from {other.number}")
    await until(lambda: len(received) == 10)
    assert sorted(received) == sorted(
        f"{what} from {other.number}" for other in others for what in ("hello", "and again")
    )
    assert alice._receiver is not None
    assert len(alice._receiver._streams) == 3
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


class _Ending:
    """A stream that brings one delivery and its end at once."""

    async def send(self, request: wire.StreamRequest) -> None: ...

    def first(self, mailbox: bytes) -> None: ...

    async def close(self) -> None: ...

    async def pushes(self) -> AsyncIterator[wire.StreamPush]:
        yield wire.Delivery(bytes(32), 1, bytes(16), b"")


async def test_what_came_last_is_taken_and_then_the_end_is_told() -> None:
    async with aclosing(Pushes(_Ending())) as pushes:
        await asyncio.sleep(0)
        ((mailbox, deliveries),) = await pushes.batch()
        assert (mailbox, len(deliveries)) == (bytes(32), 1)
        with pytest.raises(Unreachable):
            await pushes.batch()
