"""A text that a dishonest server has acknowledged and never kept: its sender is not told that it was read."""

import shutil

import pytest

from grue.client.client import Client
from grue.client.conversations.tables import reading_conversations
from grue.protocol import wire
from grue.server import chores
from grue.testing import World
from tests.world.memory import ALICE, BOB, take
from tests.world.test_messages import acquainted
from tests.world.test_unheard import pass_days

pytestmark = pytest.mark.tiers


async def states(client: Client, *texts: str) -> list[str]:
    return [message.state.value for message in await client.history(BOB) if message.text in texts]


async def dropped(world: World, alice: Client, text: str, ahead: int = 1) -> None:
    """Alice sends a text that the server drops; it says that it has it, at the seq of the next one or further on."""
    post = world.server.mailboxes.post
    ((conversation, _),) = await alice.context.store.read(reading_conversations)
    fetch = wire.Fetch(conversation.log.mailbox, conversation.read_key, 0)

    async def pretend(_request: wire.Post) -> wire.Posted:
        fetched = await alice.context.transport.anonymous(fetch)
        assert isinstance(fetched, wire.Fetched)
        return wire.Posted(max(0, fetched.head + ahead))

    world.server.mailboxes.post = pretend  # type: ignore[method-assign, assignment]
    assert (await alice.send(BOB, text)).state.value == "sent"
    world.server.mailboxes.post = post  # type: ignore[method-assign]


@pytest.mark.parametrize("ahead", [1, 0, -100])
async def test_conversation_20_a_text_that_was_acknowledged_and_never_kept_goes_out_again(
    world: World, ahead: int
) -> None:
    alice, bob = await acquainted(world)
    await dropped(world, alice, "one", ahead)
    await alice.send(BOB, "two")
    await alice.poll()
    assert sorted(await take(bob)) == ["one", "two"]
    await alice.poll()
    assert await states(alice, "one", "two") == ["delivered", "delivered"]


async def test_conversation_20_what_was_never_kept_is_not_confirmed_by_who_has_read_further(world: World) -> None:
    alice, bob = await acquainted(world)
    await dropped(world, alice, "one", 1_000)
    for n in range(2):
        await bob.send(ALICE, "and you?")
        await take(alice)
        await alice.send(BOB, f"{n}")
        await take(bob)
    await alice.poll()
    assert await states(alice, "one", "0") == ["sent", "delivered"]
    await pass_days(world, 31.1)
    await alice.poll()
    assert await states(alice, "one") == ["expired"]


async def test_what_a_restored_server_may_have_lost_goes_out_again_and_is_shown_once(world: World) -> None:
    alice, bob = await acquainted(world)
    await world.stop()
    shutil.copytree(world.path / "server", world.path / "backup")
    await world.start()
    await alice.send(BOB, "after the backup")
    await alice.poll()
    await world.stop()
    for left in ("server.db", "server.db-wal", "server.db-shm"):
        (world.path / "server" / left).unlink(missing_ok=True)
    shutil.copy(world.path / "backup" / "server.db", world.path / "server" / "server.db")
    await world.start()
    await chores.after_restore(world.server)
    for _ in range(2):
        await alice.poll()
    assert await take(bob) == ["after the backup"]
