"""The copy of a directory is forgotten, or another one taken up, while something is looked up in it.

What is not in that copy proves nothing: whoever looked begins again, and nothing goes as SMS to who is on Grue.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from grue._core import OprfKey
from grue.client.client import Client
from grue.client.lookup.directory import copy_of
from grue.errors import EpochEnded
from grue.protocol import wire
from grue.protocol.conversation.conversation import Notice
from grue.protocol.conversation.fallback import Route
from grue.protocol.directory.record import NONCE_BYTES, Record, derive, seal
from grue.server.directory import directory as directories
from grue.testing import World
from tests.world.memory import ALICE, BOB, NOBODY
from tests.world.test_contacts import book, routes

Happening = Callable[[], Awaitable[object]]
LAST = {1: wire.Evaluate, 2: wire.Query}
"""The last request before the search, by tier."""


@pytest.fixture(params=[1, 2])
def tier(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tier: int) -> AsyncIterator[World]:
    monkeypatch.setenv("GRUE_DIRECTORY_TIER", str(tier))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    async with World(tmp_path) as world:
        yield world


async def acquaintance(world: World, *, in_base: bool = True) -> tuple[Client, Client, Client]:
    """Alice, another process of her home, and Bob."""
    alice = await world.person(ALICE)
    bob = await world.person(BOB)
    if in_base:
        world.server.directory.renew()
    await alice.lookup(NOBODY)
    return alice, await world.open(ALICE), bob


def once_after(world: World, kind: type[wire.Message], happening: Happening) -> list[bool]:
    """Have something happen while the first request of this kind is answered; returns what tells whether it did."""
    happened: list[bool] = []

    async def meanwhile(request: wire.Message) -> None:
        if isinstance(request, kind) and not happened:
            happened.append(True)
            await happening()

    world.network.delay = meanwhile
    return happened


@pytest.mark.parametrize("in_base", [True, False])
async def test_a_copy_that_is_forgotten_while_a_number_is_looked_up_is_no_proof_of_absence(
    world: World, tier: int, in_base: bool
) -> None:
    alice, other, _ = await acquaintance(world, in_base=in_base)
    happened = once_after(world, LAST[tier], other.directory.start_over)
    (looked_up,) = await alice.lookup(BOB)
    assert happened
    assert looked_up.route is Route.ENCRYPTED


async def test_who_is_on_grue_gets_no_sms_when_the_copy_is_forgotten_meanwhile(world: World, tier: int) -> None:
    alice, other, bob = await acquaintance(world)
    happened = once_after(world, LAST[tier], other.directory.start_over)
    sent = await alice.send(BOB, "secret", sms=True)
    assert happened
    assert (sent.route, world.texts(BOB)) == (Route.ENCRYPTED, [])
    await bob.poll()
    assert [message.text for message in await bob.unshown()] == ["secret"]


async def test_an_account_that_is_left_while_a_number_is_looked_up_proves_no_absence(world: World, tier: int) -> None:
    alice, other, _ = await acquaintance(world)
    happened = once_after(world, LAST[tier], other.account.delete)
    (looked_up,) = await alice.lookup(BOB)
    assert happened
    assert looked_up.route is not Route.SMS


async def test_an_address_book_that_is_looked_up_meanwhile_lists_nobody_as_absent(world: World, tier: int) -> None:
    alice, other, _ = await acquaintance(world)
    await alice.contacts.import_file(book([BOB]))
    happened = once_after(world, LAST[tier], other.directory.start_over)
    await alice.contacts.sync()
    assert happened
    assert (await routes(alice))[BOB] is not Route.SMS
    # What was evaluated is forgotten too, so in tier 2 the number may be left for the next time.
    await alice.contacts.sync()
    assert await routes(alice) == {BOB: Route.ENCRYPTED}


async def test_the_own_number_is_not_missing_in_a_copy_that_is_gone(world: World, tier: int) -> None:
    alice, other, _ = await acquaintance(world)
    await alice.account.daily_round()
    await alice.notices()
    await world.pass_days(1.1)
    happened = once_after(world, LAST[tier], other.directory.start_over)
    world.server.directory.renew()
    await alice.account.daily_round()
    assert happened
    assert Notice.NUMBER_MISSING not in [notice for _, notice in await alice.notices()]


async def test_lookup_09_only_the_copy_that_a_lookup_stands_on_is_searched(world: World) -> None:
    alice, other, _ = await acquaintance(world)
    await alice.lookup(BOB)
    store, current = alice.context.store, await alice.context.directory.current()
    (output,) = directories.outputs(world.server.keys, [BOB])
    tag = derive(output).tag
    assert await store.read(lambda db: copy_of(db, current).find(tag)) is not None
    # It goes on in its epoch, which is all right; then there is another base; and then nothing at all.
    await world.server.directory.put(os.urandom(128))
    await other.lookup(NOBODY)
    assert await store.read(lambda db: copy_of(db, current).find(tag)) is not None
    later = await alice.context.directory.current()
    world.server.directory.renew()
    await other.lookup(NOBODY)
    for known in (current, later):
        with pytest.raises(EpochEnded):
            await store.read(copy_of, known)
    newest = await alice.context.directory.current()
    await other.directory.start_over()
    with pytest.raises(EpochEnded):
        await store.read(copy_of, newest)


async def test_a_lookup_key_that_is_replaced_meanwhile_proves_no_absence(
    world: World, tier: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, other, bob = await acquaintance(world)

    async def replaced() -> None:
        account, directory = bob.context.account, world.server.directory
        await directory.remove(directories.tag_of(world.server.keys, BOB))
        monkeypatch.setattr(directories, "OPRF_EPOCH", 2)
        world.server.keys.oprf = OprfKey.from_bytes(bytes([7]) + bytes(31))
        record = Record(account.intro_mailbox, account.identity_public, bytes(16))
        key = directories.record_key(world.server.keys, BOB)
        await directory.put(seal(record, key, os.urandom(NONCE_BYTES)))
        directory.renew()
        await other.lookup(NOBODY)

    happened = once_after(world, LAST[tier], replaced)
    (looked_up,) = await alice.lookup(BOB)
    assert happened
    assert looked_up.route is Route.ENCRYPTED
