"""What goes wrong between honest parties: lost answers, crashes, absences, state that went back. No message is lost."""

import shutil
import sqlite3
from collections.abc import Callable

import pytest

from grue.client import account as accounts
from grue.client.client import Client
from grue.client.conversations.tables import reading_conversations
from grue.client.store.engine import Db
from grue.client.store.entries import stamp_key
from grue.errors import NetworkError, Unreachable
from grue.protocol import wire
from grue.protocol.conversation.commits import UPDATE_AFTER_MS
from grue.server import chores
from grue.testing import World
from tests.world.memory import ALICE, BOB, CAROL, NOBODY, take
from tests.world.test_messages import acquainted, state_of_last

pytestmark = pytest.mark.tiers

STEPS = ["Claim", "CreateMailbox", "PostIntro", "Fetch", "Ack", "ExchangeSlot", "Post"]


def once(kind: str) -> Callable[[wire.Message], bool]:
    """Lose the answer to the first request of this kind."""
    left = [kind]
    return lambda request: type(request).__name__ == kind and bool(left and left.pop())


async def again(action: Callable[[], object]) -> None:
    """As a person: when the network fails, the same once more."""
    try:
        await action()  # type: ignore[misc]
    except NetworkError:
        await action()  # type: ignore[misc]


@pytest.mark.parametrize("kind", STEPS)
async def test_a_lost_answer_loses_and_doubles_nothing(world: World, kind: str) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    world.network.lose = once(kind)
    await alice.send(BOB, "hello")
    await again(alice.poll)
    await again(bob.poll)
    assert [m.text for m in await bob.unshown()] == ["hello"]
    await bob.send(ALICE, "hello yourself")
    await again(bob.poll)
    await again(alice.poll)
    assert [m.text for m in await alice.unshown()] == ["hello yourself"]
    await alice.send(BOB, "and so on")
    await again(alice.poll)
    await again(bob.poll)
    assert [m.text for m in await bob.unshown()] == ["and so on"]


async def test_the_server_may_be_killed_between_any_two_steps(world: World) -> None:
    alice = await world.open(ALICE)
    await alice.register(ALICE, "http://localhost")
    code = world.code(ALICE)
    await world.restart()
    await alice.verify(code)
    await world.restart()
    bob = await world.person(BOB)
    await world.restart()
    await alice.send(BOB, "hello")
    await world.restart()
    await bob.poll()
    await world.restart()
    assert [m.text for m in await bob.unshown()] == ["hello"]
    await bob.send(ALICE, "hello yourself")
    await world.restart()
    assert await take(alice) == ["hello yourself"]


async def test_what_is_written_while_the_server_is_away_goes_out_when_it_is_back(world: World) -> None:
    alice, bob = await acquainted(world)
    world.network.down = True
    for text in ("one", "two"):
        assert (await alice.send(BOB, text)).state.value == "queued"
    with pytest.raises(Unreachable):
        await alice.flush()
    world.network.down = False
    await alice.flush()
    assert await take(bob) == ["one", "two"]
    assert await state_of_last(alice, BOB) == "sent"


async def test_a_first_contact_that_was_cut_off_is_made_later(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.lookup(BOB)
    world.network.lose = lambda request: isinstance(request, wire.Claim)
    assert (await alice.send(BOB, "one")).state.value == "queued"
    assert (await alice.send(BOB, "two")).state.value == "queued"
    world.network.lose = lambda _request: False
    await alice.flush()
    assert await take(bob) == ["one"]
    await bob.send(ALICE, "yes?")
    assert await take(bob) == ["two"]


async def test_queued_messages_outlive_the_client(world: World) -> None:
    alice, bob = await acquainted(world)
    world.network.down = True
    await alice.send(BOB, "later")
    await alice.close()
    world.network.down = False
    alice = await world.open(ALICE)
    await alice.flush()
    assert await take(bob) == ["later"]


async def test_a_leaf_is_renewed_every_week_and_messages_go_on(world: World) -> None:
    alice, bob = await acquainted(world)
    await world.pass_days(UPDATE_AFTER_MS / 86_400_000 + 0.1)
    await alice.send(BOB, "before the commit")
    await bob.send(ALICE, "a commit of mine at the same time")
    assert await take(bob) == ["before the commit"]
    assert await take(alice) == ["a commit of mine at the same time"]
    await alice.send(BOB, "after it")
    assert await take(bob) == ["after it"]
    await bob.send(ALICE, "after it too")
    assert await take(alice) == ["after it too"]


async def test_a_device_whose_secrets_were_damaged_resyncs(world: World) -> None:
    alice, bob = await acquainted(world)
    await alice.send(BOB, "one")
    assert await take(bob) == ["one"]
    await forget_private_keys(bob)
    await world.pass_days(UPDATE_AFTER_MS / 86_400_000 + 0.1)
    await alice.send(BOB, "two, and a commit that bob cannot follow")
    assert await take(bob) == ["two, and a commit that bob cannot follow"]
    # Alice meets her own commit and bob's request, readmits him, and he comes back.
    await alice.poll()
    await alice.poll()
    await bob.poll()
    await alice.send(BOB, "three")
    assert await take(bob) == ["three"]
    await bob.send(ALICE, "four")
    assert await take(alice) == ["four"]


async def test_a_home_restored_from_a_backup_starts_anew_and_loses_no_new_message(world: World) -> None:
    alice, bob = await acquainted(world)
    await bob.close()
    shutil.copytree(world.path / BOB, world.path / "backup")
    bob = await world.open(BOB)
    await bob.send(ALICE, "after the backup")
    assert await take(alice) == ["after the backup"]
    await bob.close()
    shutil.rmtree(world.path / BOB)
    shutil.copytree(world.path / "backup", world.path / BOB)
    bob = await world.open(BOB)
    await bob.poll()
    await bob.send(ALICE, "from the restored home")
    assert await take(alice) == ["from the restored home"]
    await alice.send(BOB, "to the restored home")
    assert await take(bob) == ["to the restored home"]


async def test_a_server_restored_from_a_backup_makes_clients_read_again_and_show_nothing_twice(
    world: World,
) -> None:
    alice, bob = await acquainted(world)
    await alice.send(BOB, "before")
    assert await take(bob) == ["before"]
    await world.stop()
    new_incarnation(world)
    await world.start()
    await alice.send(BOB, "after")
    assert await take(bob) == ["after"]


async def test_after_a_restored_backup_new_people_are_still_reached(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await world.stop()
    shutil.copytree(world.path / "server", world.path / "old")
    await world.start()
    early = await world.person("+447700900003")
    await early.send(BOB, "its key package is in the backup too")
    assert await take(bob) == ["its key package is in the backup too"]
    await world.stop()
    # The database alone: the directory's files are on another disk.
    shutil.copy(world.path / "old" / "server.db", world.path / "server" / "server.db")
    for left in ("-wal", "-shm"):
        (world.path / "server" / f"server.db{left}").unlink(missing_ok=True)
    await world.start()
    await chores.after_restore(world.server)
    await alice.send(BOB, "after the restore")
    assert await take(bob) == ["after the restore"]
    claimed = await alice.context.tokens.ask(wire.Claim(bob.context.account.intro_mailbox))
    assert isinstance(claimed, wire.Claimed)


async def test_after_a_restored_backup_clients_draw_new_tokens_and_notice_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where a lookup costs one token.
    monkeypatch.setenv("GRUE_DIRECTORY_TIER", "1")
    alice, bob = await world.person(ALICE), await world.person(BOB)
    before = await epochs_of_tokens(alice)
    await chores.after_restore(world.server)
    assert [one.route.value for one in await alice.lookup(BOB)] == ["encrypted"]
    await alice.send(BOB, "hello")
    assert await take(bob) == ["hello"]
    assert before.isdisjoint(await epochs_of_tokens(alice))


async def epochs_of_tokens(client: Client) -> set[object]:
    return {row[0] for row in await client.context.store.read(lambda db: db.rows("SELECT epoch FROM token"))}


async def test_who_was_away_for_longer_than_envelopes_live_is_told_and_hears_again(world: World) -> None:
    alice, bob = await acquainted(world)
    for _ in range(3):
        await world.pass_days(UPDATE_AFTER_MS / 86_400_000 + 0.1)
        await alice.send(BOB, "with a commit behind it")
        await alice.poll()
    await world.pass_days(31)
    await chores.sweep(world.server)
    await bob.poll()
    await alice.send(BOB, "of an epoch that bob never saw begin")
    assert {notice.value for _, notice in await alice.notices()} == {"unheard"}
    assert await take(bob) == ["of an epoch that bob never saw begin"]
    await bob.send(ALICE, "are you there?")
    assert await take(alice) == ["are you there?"]


async def test_a_full_mailbox_holds_messages_back_and_loses_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = await acquainted(world)
    monkeypatch.setattr("grue.server.mailboxes.mailboxes.MAX_BACKLOG_KIB", 4)
    sent = [(await alice.send(BOB, str(n))).state.value for n in range(6)]
    assert (sent[0], sent[-1]) == ("sent", "queued")
    shown: list[str] = []
    for _ in range(6):
        shown += await take(bob)
        await world.server.store.transact(_nothing)
        await alice.poll()
    assert shown + await take(bob) == [str(n) for n in range(6)]


async def test_sms_does_not_go_when_the_directory_is_stale(world: World) -> None:
    alice = await world.person(ALICE)
    await alice.lookup(NOBODY)
    world.network.down = True
    await world.pass_days(2)
    (looked_up,) = await alice.lookup(NOBODY)
    assert looked_up.route.value == "unknown"
    with pytest.raises(Unreachable):
        await alice.send(NOBODY, "hello", sms=True)
    assert world.texts(NOBODY) == []


async def _nothing(_tx: object) -> None:
    """A transaction that only carries along what waits for one."""


def new_incarnation(world: World) -> None:
    with sqlite3.connect(world.path / "server" / "server.db") as database:
        database.execute("UPDATE mailbox SET incarnation = zeroblob(16)")
    database.close()


async def forget_private_keys(client: Client) -> None:
    """Damage what only the private part of a commit needs: the own leaf's encryption keys in each conversation."""
    store = client.context.store
    for conversation, _ in await store.read(reading_conversations):
        # The tag "h" of rust/mls/src/storage.rs: the key pairs that open the path of somebody else's commit.
        await store.transact(_delete_range, b"g" + conversation.id + b"h")
        # Else the group that is kept in memory is taken for what is there.
        await store.transact(_delete_range, stamp_key(conversation.id))


def _delete_range(db: Db, prefix: bytes) -> None:
    assert db.execute("DELETE FROM mls WHERE key >= ? AND key < ?", prefix, prefix + b"\xff" * 64)


@pytest.mark.parametrize("refused", [wire.Post, wire.Ack, wire.Fetch, wire.PostIntro])
@pytest.mark.parametrize("code", ["disk_full", "limit_reached", "server_busy"])
async def test_what_is_kept_and_goes_later_is_never_called_refused(
    world: World, refused: type[wire.Message], code: str
) -> None:
    alice, bob = await acquainted(world)
    carol = await world.person(CAROL)
    await alice.close()
    alice = await world.open(ALICE)
    world.network.change = lambda request, answer: wire.Refusal(code) if isinstance(request, refused) else answer
    to_bob, to_carol = await alice.send(BOB, "kept"), await alice.send(CAROL, "kept")
    assert {to_bob.state.value, to_carol.state.value} <= {"queued", "sent"}
    world.network.change = lambda _request, answer: answer
    await alice.poll()
    assert await take(bob) == await take(carol) == ["kept"]


async def test_a_challenge_is_asked_for_once_while_it_holds(world: World) -> None:
    alice = await world.person(ALICE)
    await accounts.check_in(alice.context)
    for seconds, requests in ((0, ["Signed"]), (1800, ["Signed", "Signed"])):
        world.clock.pass_seconds(seconds)
        world.network.seen.clear()
        await accounts.check_in(alice.context)
        assert world.network.requests() == requests
