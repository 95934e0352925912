"""Nobody who was read is told otherwise, and nothing that waits ends a receiver: cases that a review found."""

import errno
import fcntl
import os
import resource

import pytest

from grue.client import health
from grue.client.conversations import requests
from grue.client.store.entries import put_meta
from grue.errors import DiskFull
from grue.testing import World
from tests.world.memory import ALICE, BOB, CAROL, take
from tests.world.test_messages import acquainted
from tests.world.test_unheard import pass_days, states

DAVE = "+447700900004"


@pytest.mark.parametrize("_again", range(3))
async def test_whoever_was_declined_and_is_written_to_is_heard_from_then_on(world: World, _again: int) -> None:
    """Which of two groups has the lower id is chance, so it is tried more than once."""
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "one")
    assert await take(bob) == ["one"]
    await bob.requests.decline(ALICE)
    await bob.send(ALICE, "on second thought")
    assert await take(alice) == ["on second thought"]
    await alice.send(BOB, "reply")
    assert await take(bob) == ["reply"]


@pytest.mark.parametrize("_again", range(3))
async def test_whoever_gave_way_to_a_flood_and_is_written_to_is_heard_from_then_on(
    world: World, monkeypatch: pytest.MonkeyPatch, _again: int
) -> None:
    monkeypatch.setattr(requests, "MAX_REQUESTS", 1)
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "one")
    await bob.poll()
    for stranger in (CAROL, DAVE):
        await (await world.person(stranger)).send(BOB, "flood")
        await bob.poll()
    await bob.send(ALICE, "hello")
    await take(alice)
    await alice.send(BOB, "reply")
    assert "reply" in await take(bob)


async def test_first_messages_of_both_at_once_are_confirmed_like_any_other(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "a")
    await bob.send(ALICE, "b")
    assert (await take(bob), await take(alice)) == (["a"], ["b"])
    for _ in range(2):
        await alice.send(BOB, "more")
        await take(bob)
        await bob.send(ALICE, "more")
        await take(alice)
    for client in (alice, bob):
        await client.poll()
    await pass_days(world, 31.1)
    for client in (alice, bob):
        await client.poll()
    assert {*await states(alice, BOB), *await states(bob, ALICE)} == {"delivered"}


async def test_a_receipt_that_a_process_did_not_come_to_is_sent_by_the_next(world: World) -> None:
    alice, bob = await acquainted(world)
    await alice.send(BOB, "last")
    await bob._parts.inbox.poll_conversations()
    await bob.close()
    bob = await world.open(BOB)
    await bob.poll()
    await alice.poll()
    assert (await states(alice, BOB))[-1] == "delivered"


async def test_a_wrong_clock_and_an_unconfirmed_text_do_not_end_a_receiver(world: World) -> None:
    alice, bob = await acquainted(world)
    await alice.send(BOB, "a moment ago")
    await alice.close()
    alice = await world.open(ALICE, ahead=3652 * 86_400)
    await bob.send(ALICE, "hello")
    assert "hello" in [message.text async for message in alice.receive(idle=3)]


async def test_more_messages_than_files_may_be_open_are_shown_together(world: World) -> None:
    alice, bob = await acquainted(world)
    for n in range(150):
        await alice.send(BOB, f"{n}")
    await bob.poll()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Less than half of what as many files would take, beside those that other tests of this process left open.
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 64, hard))
    try:
        shown = await bob.unshown()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(shown) == 150


async def test_where_files_cannot_be_locked_messages_are_shown_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_arguments: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "no locks here")

    alice, bob = await acquainted(world)
    await alice.send(BOB, "hello")
    monkeypatch.setattr(fcntl, "flock", flock)
    assert await take(bob) == ["hello"]


async def test_a_client_closes_although_the_disk_is_full(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_arguments: object) -> None:
        raise DiskFull

    alice, bob = await acquainted(world)
    await alice.send(BOB, "hello")
    await bob.poll()
    assert (await anext(bob.receive())).text == "hello"
    receiver = bob._receiver
    assert receiver is not None
    monkeypatch.setattr(bob._opened.store, "note", full)
    with pytest.raises(DiskFull):
        await bob.close()
    assert receiver._tasks == []
    assert not bob._opened.is_open


async def test_a_home_that_registered_anew_is_no_copy_any_more(world: World) -> None:
    alice = await world.person(ALICE)
    await alice.context.store.transact(put_meta, "copied", alice.context.now_ms)
    await alice.account.delete()
    await alice.register(ALICE, world.url)
    await alice.verify(world.code(ALICE))
    assert await health.copied(alice.context) is None
