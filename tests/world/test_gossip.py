"""Head gossip: a server that shows two people two directories is caught by what they write to each other."""

import asyncio
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from grue.client import chats
from grue.client.client import Client
from grue.client.lookup import gossip
from grue.client.lookup.tables import told_head
from grue.client.store.engine import Db
from grue.client.store.entries import drop_meta, get_meta, put_meta
from grue.errors import ServerBusy, ShrunkDirectory, SplitDirectory
from grue.protocol import wire
from grue.protocol.conversation.conversation import Notice
from grue.protocol.conversation.fallback import Route
from grue.protocol.directory.directory import HEAD_PATH, UnverifiedHead, sign_head
from grue.protocol.directory.directory_sync import Current
from grue.protocol.directory.record import RECORD_BYTES
from grue.server.directory.directory import Directory, tag_of
from grue.testing import World
from tests.damage import flipped
from tests.world.memory import ALICE, BOB, CAROL, NOBODY, take
from tests.world.test_messages import acquainted


def other_face(world: World, name: str = "other") -> Directory:
    """The directory as it is now, to be gone on with apart, under the same keys."""
    data = world.path / name
    shutil.copytree(world.path / "server" / "directory", data / "directory")
    return Directory(data, world.server.keys, world.clock)


def show(client: Client, face: Directory) -> None:
    """From now on this client is shown that directory."""

    async def file(path: str, start: int = 0, most: int | None = None) -> bytes:
        shown = face.file(path)
        assert shown is not None, path
        return shown[start : None if most is None else start + most]

    client.context.transport.file = file  # type: ignore[method-assign]


async def a_day(world: World, *clients: Client, face: Directory | None = None) -> None:
    """A day passes, and everybody makes the daily round."""
    await world.pass_days(1)
    if face is not None:
        await face.tend()
    for client in clients:
        await client.account.daily_round()


async def round_of(client: Client) -> None:
    """This client's daily round, while nobody else's is due."""
    await client.context.store.transact(drop_meta, "tended")
    await client.account.daily_round()


async def route(client: Client, number: str) -> Route:
    return (await client.lookup(number))[0].route


async def lied_to(world: World) -> tuple[Client, Client, Directory]:
    """Alice is shown a directory in which Carol is not; everybody else the one where she is."""
    alice, bob = await acquainted(world)
    await world.person(CAROL)
    face = other_face(world)
    await face.remove(tag_of(world.server.keys, CAROL))
    show(alice, face)
    await world.server.directory.put(os.urandom(RECORD_BYTES))
    assert await route(alice, CAROL) is Route.SMS
    assert await route(bob, CAROL) is Route.ENCRYPTED
    await a_day(world, alice, bob, face=face)
    await alice.notices(), await bob.notices()
    return alice, bob, face


async def test_everybody_who_is_shown_the_same_agrees(world: World) -> None:
    alice, bob = await acquainted(world)
    for n in range(3):
        await world.server.directory.put(os.urandom(RECORD_BYTES))
        await a_day(world, alice)
        await alice.send(BOB, f"hello {n}")
        assert await take(bob) == [f"hello {n}"]
        await a_day(world, bob)
        await bob.send(ALICE, f"yes {n}")
        assert await take(alice) == [f"yes {n}"]
    for client in (alice, bob):
        assert await client.notices() == []
        heads = await client.directory.heads()
        assert (heads.waiting, heads.split) == (0, None)


async def test_gossip_02_two_faces_are_caught_by_the_next_message(world: World) -> None:
    alice, bob, _ = await lied_to(world)
    await alice.send(BOB, "hello again")
    assert await take(bob) == ["hello again"]
    assert await bob.notices() == [(ALICE, Notice.SPLIT)]
    heads = await bob.directory.heads()
    assert heads.split is not None
    assert heads.contact == ALICE
    # Whoever has the server's key can check that it signed both.
    ours, theirs = (
        UnverifiedHead(file).verify(world.server.keys.server_public).contents
        for file in (heads.split.ours, heads.split.theirs)
    )
    assert ours.manifest_hash == theirs.manifest_hash
    assert ours.chain != theirs.chain
    # And Alice, by what Bob's answer carries.
    await bob.send(ALICE, "hello to you")
    assert await take(alice) == ["hello to you"]
    assert await alice.notices() == [(BOB, Notice.SPLIT)]


async def test_after_two_faces_no_number_is_looked_up_and_no_sms_goes(world: World) -> None:
    alice, bob, _ = await lied_to(world)
    await alice.send(BOB, "hello again")
    assert await take(bob) == ["hello again"]
    (looked_up,) = await bob.lookup(NOBODY)
    assert (looked_up.route, looked_up.registered) == (Route.UNKNOWN, None)
    assert isinstance(looked_up.error, SplitDirectory)
    with pytest.raises(SplitDirectory):
        await bob.send(NOBODY, "hello", sms=True)
    assert world.texts(NOBODY) == []
    # It is said once, and what there is of conversations goes on.
    await alice.send(BOB, "and again")
    assert await take(bob) == ["and again"]
    assert await bob.notices() == [(ALICE, Notice.SPLIT)]
    await bob.send(ALICE, "still here")
    assert await take(alice) == ["still here"]


async def test_after_two_faces_the_account_lives_on(world: World) -> None:
    """The server drops an account that has not checked in for a year."""
    alice, bob, _ = await lied_to(world)
    await alice.send(BOB, "hello again")
    await take(bob)
    before = await bob.context.store.read(get_meta, "checked_in", int)
    await world.pass_days(8)
    await bob.account.daily_round()
    after = await bob.context.store.read(get_meta, "checked_in", int)
    assert before is not None
    assert after == int(world.clock()) != before


async def test_whoever_starts_over_looks_up_again(world: World) -> None:
    alice, bob, _ = await lied_to(world)
    await alice.send(BOB, "hello again")
    await take(bob)
    await bob.directory.start_over()
    assert (await bob.directory.heads()).split is None
    assert await route(bob, CAROL) is Route.ENCRYPTED
    assert await route(bob, NOBODY) is Route.SMS


async def test_a_first_contact_carries_a_head_too(world: World) -> None:
    alice, _, face = await lied_to(world)
    dave = await world.person("+447700900004")
    await face.put(os.urandom(RECORD_BYTES))
    await dave.lookup(NOBODY)
    record = world.server.directory.file("1/overlay/5")
    assert record is not None
    await face.put(record[-RECORD_BYTES:])
    await alice.send("+447700900004", "do you know Carol?")
    await take(dave)
    assert [notice for _, notice in await dave.notices()] == [Notice.SPLIT]


async def test_gossip_02_a_face_of_an_epoch_that_has_ended_is_caught(world: World) -> None:
    alice, bob, _ = await lied_to(world)
    await alice.send(BOB, "sent before the base was cut")
    world.server.directory.renew()
    assert await route(bob, CAROL) is Route.ENCRYPTED
    assert (await bob.directory.heads()).own is not None
    await take(bob)
    assert await bob.notices() == [(ALICE, Notice.SPLIT)]
    found = (await bob.directory.heads()).split
    assert found is not None
    assert UnverifiedHead(found.ours).verify(world.server.keys.server_public).contents.epoch == 1


async def test_gossip_03_a_server_that_holds_back_what_a_contact_saw_is_not_believed(world: World) -> None:
    alice, bob = await acquainted(world)
    await a_day(world, bob)
    behind = other_face(world)
    await world.server.directory.put(os.urandom(RECORD_BYTES))
    await round_of(alice)
    await alice.send(BOB, "hello again")
    await take(bob)
    assert (await bob.directory.heads()).waiting == 1
    # Fresh, rightly signed, and what Bob saw before; only not what Alice was shown.
    show(bob, behind)
    await behind.tend()
    (looked_up,) = await bob.lookup(NOBODY)
    assert looked_up.route is Route.UNKNOWN
    assert isinstance(looked_up.error, ShrunkDirectory)
    show(bob, world.server.directory)
    assert await route(bob, NOBODY) is Route.SMS
    assert ((await bob.directory.heads()).waiting, await bob.notices()) == (0, [])


async def test_a_later_head_of_another_face_is_caught_when_the_own_copy_gets_there(world: World) -> None:
    alice, bob = await acquainted(world)
    await a_day(world, bob)
    face = other_face(world)
    await face.put(os.urandom(RECORD_BYTES))
    show(alice, face)
    await round_of(alice)
    await alice.send(BOB, "hello again")
    await take(bob)
    assert (await bob.notices(), (await bob.directory.heads()).waiting) == ([], 1)
    await world.server.directory.put(os.urandom(RECORD_BYTES))
    (looked_up,) = await bob.lookup(NOBODY)
    assert isinstance(looked_up.error, SplitDirectory)
    assert await bob.notices() == [(ALICE, Notice.SPLIT)]


async def test_gossip_01_what_the_server_did_not_sign_proves_nothing(world: World) -> None:
    alice, bob = await acquainted(world)
    await a_day(world, alice, bob)
    own = (await bob.directory.heads()).own
    assert own is not None
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from msgspec.structs import replace

    other = replace(own.contents, chain=bytes(32))
    for forged in (b"nonsense", sign_head(other, Ed25519PrivateKey.generate()), flipped(own.file)):
        await alice.context.store.transact(put_meta, "told", forged)
        await alice.send(BOB, "look at this")
        assert await take(bob) == ["look at this"]
    assert (await bob.notices(), (await bob.directory.heads()).split, (await bob.directory.heads()).waiting) == (
        [],
        None,
        0,
    )


async def test_a_message_does_not_tell_when_somebody_was_looked_up(world: World) -> None:
    alice, _ = await acquainted(world)
    await a_day(world, alice)
    told = await alice.context.store.read(told_head)
    await world.server.directory.put(os.urandom(RECORD_BYTES))
    await alice.lookup(NOBODY)
    newest = (await alice.directory.heads()).own
    assert newest is not None
    assert newest.file != told == await alice.context.store.read(told_head)


async def test_a_few_heads_may_wait_and_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip, "MAX_WAITING", 3)
    alice, bob = await acquainted(world)
    await a_day(world, bob)
    for n in range(5):
        await world.server.directory.put(os.urandom(RECORD_BYTES))
        await round_of(alice)
        await alice.send(BOB, f"{n}")
    await take(bob)
    assert (await bob.directory.heads()).waiting == 3
    assert await route(bob, NOBODY) is Route.SMS
    assert (await bob.directory.heads()).waiting == 0


async def test_a_process_that_was_overtaken_does_not_set_the_copy_back(world: World) -> None:
    """Two processes of one home fetch at a time: what the slower one has found is not taken for what follows."""
    alice, bob = await acquainted(world)
    other = await world.open(ALICE)
    await a_day(world, alice, bob)
    slow, fetched = asyncio.Event(), asyncio.Event()
    honest = alice.context.transport.file

    async def slowly(path: str, start: int = 0, most: int | None = None) -> bytes:
        file = await honest(path, start, most)
        if path.endswith("manifest") and not fetched.is_set():
            fetched.set()
            await slow.wait()
        return file

    alice.context.transport.file = slowly  # type: ignore[method-assign]
    await world.server.directory.put(os.urandom(RECORD_BYTES))
    world.server.directory.renew()
    looking = asyncio.create_task(alice.lookup(NOBODY))
    await fetched.wait()
    await world.server.directory.put(os.urandom(RECORD_BYTES))
    world.server.directory.renew()
    assert await route(other, NOBODY) is Route.SMS
    slow.set()
    assert (await looking)[0].route is Route.SMS
    own = (await alice.directory.heads()).own
    assert own is not None
    assert own.contents.epoch == 3
    # What is kept of the epochs that ended is what a contact was shown of them.
    await bob.send(ALICE, "all the same")
    assert await take(alice) == ["all the same"]
    assert (await alice.notices(), (await alice.directory.heads()).split) == ([], None)


async def test_a_flood_of_one_does_not_drop_the_head_of_another(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip, "MAX_WAITING", 3)
    alice, bob = await acquainted(world)
    mallory = await world.person("+447700900006")
    await mallory.send(BOB, "do you know me?")
    await take(bob)
    await bob.send("+447700900006", "no")
    await take(mallory)
    await a_day(world, alice, bob, mallory)
    face, behind = other_face(world), other_face(world, "behind")
    await face.put(os.urandom(RECORD_BYTES))
    for n in range(5):
        await world.server.directory.put(os.urandom(RECORD_BYTES))
        await round_of(mallory)
        await mallory.send(BOB, f"{n}")
    show(bob, behind)
    await take(bob)
    assert (await bob.directory.heads()).waiting == 3
    show(alice, face)
    await round_of(alice)
    await alice.send(BOB, "hello again")
    await take(bob)
    show(bob, world.server.directory)
    assert isinstance((await bob.lookup(NOBODY))[0].error, SplitDirectory)


async def test_a_chat_that_becomes_part_of_another_one_takes_its_heads_along(world: World) -> None:
    """Somebody whose number could not be verified at first, and whom we then look up."""
    alice, bob = await acquainted(world)
    await a_day(world, alice, bob)
    await world.server.directory.put(os.urandom(RECORD_BYTES))
    await round_of(alice)
    await alice.send(BOB, "hello again")
    await take(bob)
    assert (await bob.directory.heads()).waiting == 1

    def apart_and_together(db: Db) -> list[object]:
        chat = chats.of_number(db, ALICE)
        assert chat is not None
        db.execute("UPDATE chat SET number = NULL WHERE id = ?", chat.id)
        chats.for_number(db, ALICE)
        whole = chats.bind(db, ALICE, chat.identity)
        return [chat.id, whole.id, *(row[0] for row in db.rows("SELECT chat FROM gossip"))]

    before, after, of_head = await bob.context.store.transact(apart_and_together)
    assert before != after == of_head


async def test_a_contact_who_showed_another_face_keeps_the_name_when_chats_become_one(world: World) -> None:
    alice, bob, _ = await lied_to(world)
    await alice.send(BOB, "hello again")
    await take(bob)

    def apart_and_together(db: Db) -> None:
        chat = chats.of_number(db, ALICE)
        assert chat is not None
        db.execute("UPDATE chat SET number = NULL WHERE id = ?", chat.id)
        chats.for_number(db, ALICE)
        chats.bind(db, ALICE, chat.identity)

    await bob.context.store.transact(apart_and_together)
    assert (await bob.directory.heads()).contact == ALICE


async def test_a_server_that_refuses_an_account_its_chores_does_not_keep_its_head_from_contacts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await acquainted(world)
    await a_day(world, alice, bob)
    told = await alice.context.store.read(told_head)

    async def refused(_request: wire.AccountRequest) -> wire.AccountAnswer:
        raise ServerBusy

    monkeypatch.setattr(alice.context.transport, "account", refused)
    with pytest.raises(ServerBusy):
        await a_day(world, alice)
    assert told != await alice.context.store.read(told_head)


async def test_what_a_contact_was_shown_while_a_head_was_fetched_is_not_held_against_it(world: World) -> None:
    alice, bob = await acquainted(world)
    await a_day(world, alice, bob)
    await world.server.directory.put(os.urandom(RECORD_BYTES))
    other = await world.open(BOB)
    honest, began, go_on = bob.context.transport.file, asyncio.Event(), asyncio.Event()

    async def slowly(path: str, start: int = 0, most: int | None = None) -> bytes:
        file = await honest(path, start, most)
        if path != HEAD_PATH:
            began.set()
            await go_on.wait()
        return file

    bob.context.transport.file = slowly  # type: ignore[method-assign]
    looking = asyncio.create_task(route(bob, NOBODY))
    await began.wait()
    await world.server.directory.put(os.urandom(RECORD_BYTES))
    await round_of(alice)
    await alice.send(BOB, "hello again")
    await take(other)
    assert (await bob.directory.heads()).waiting == 1
    go_on.set()
    assert await looking is Route.SMS
    assert (await bob.directory.heads()).waiting == 1
    assert await route(bob, NOBODY) is Route.SMS
    assert (await bob.directory.heads()).waiting == 0


async def test_two_faces_that_show_while_a_number_is_looked_up_end_the_lookup(world: World) -> None:
    alice, bob, _ = await lied_to(world)
    await alice.send(BOB, "hello again")
    other, retrieve = await world.open(BOB), bob.context.directory.retrieve

    async def meanwhile(current: Current, tags: Sequence[bytes]) -> None:
        await retrieve(current, tags)
        await take(other)

    bob.context.directory.retrieve = meanwhile  # type: ignore[method-assign]
    (looked_up,) = await bob.lookup(NOBODY)
    assert isinstance(looked_up.error, SplitDirectory)


async def test_after_starting_over_what_was_signed_before_is_held_against_nobody(world: World) -> None:
    """A server that was set back: contacts tell the head from before until they have started over as well."""
    alice, bob, face = await lied_to(world)
    await alice.send(BOB, "hello again")
    await take(bob)
    await bob.directory.start_over()
    assert await route(bob, NOBODY) is Route.SMS
    await alice.send(BOB, "still the old one")
    await take(bob)
    assert (await bob.directory.heads()).split is None
    # Who goes on to show another face is caught all the same.
    await a_day(world, alice, bob, face=face)
    await alice.send(BOB, "a day later")
    await take(bob)
    assert (await bob.directory.heads()).split is not None


# --- the own record, at each head -----------------------------------------------------------------


async def test_a_server_that_hides_a_number_is_noticed_by_its_owner_at_the_next_head(world: World) -> None:
    alice, bob = await acquainted(world)
    await a_day(world, alice, bob)
    await world.server.directory.remove(tag_of(world.server.keys, ALICE))
    for _ in range(2):
        # Any lookup brings the head, and with it the own record.
        await alice.lookup(NOBODY)
    await bob.lookup(NOBODY)
    assert await alice.notices() == [(ALICE, Notice.NUMBER_MISSING)]
    assert await bob.notices() == []


async def test_a_server_that_hides_a_number_behind_a_record_that_does_not_open_is_noticed(world: World) -> None:
    alice, _ = await acquainted(world)
    await a_day(world, alice)
    tag = tag_of(world.server.keys, ALICE)
    await world.server.directory.put(tag + os.urandom(RECORD_BYTES - len(tag)))
    for _ in range(2):
        await alice.lookup(NOBODY)
    assert await alice.notices() == [(ALICE, Notice.NUMBER_MISSING)]


async def test_a_server_that_lists_another_identity_is_noticed_at_the_next_head(world: World) -> None:
    from grue.protocol.directory.record import Record, seal
    from grue.server.directory.directory import record_key

    alice, _ = await acquainted(world)
    await a_day(world, alice)
    false = Record(os.urandom(32), os.urandom(32), bytes(16))
    await world.server.directory.put(seal(false, record_key(world.server.keys, ALICE), os.urandom(12)))
    for _ in range(2):
        await alice.lookup(NOBODY)
    assert await alice.notices() == [(ALICE, Notice.NUMBER_TAKEN)]


async def test_in_tier_2_the_own_record_costs_one_query_an_epoch(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GRUE_DIRECTORY_TIER", "2")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    await world.restart()
    alice = await world.person(ALICE)
    await alice.account.daily_round()
    await alice.notices()
    for missing in (False, True):
        if missing:
            await world.server.directory.remove(tag_of(world.server.keys, ALICE))
        world.server.directory.renew()
        world.network.seen.clear()
        for _ in range(2):
            await alice.context.directory.current()
        assert [type(request) for request in world.network.seen] == [wire.Query]
        assert await alice.notices() == ([(ALICE, Notice.NUMBER_MISSING)] if missing else [])


async def test_the_head_is_the_only_file_that_gossip_needs(world: World) -> None:
    alice, bob = await acquainted(world)
    await a_day(world, alice, bob)
    asked: list[str] = []

    def watched(path: str, file: bytes) -> bytes:
        asked.append(path)
        return file

    world.network.change_file = watched
    await alice.send(BOB, "hello again")
    await take(bob)
    assert set(asked) <= {HEAD_PATH}


async def test_starting_over_does_not_forget_that_the_own_number_was_listed(world: World) -> None:
    alice, bob = await acquainted(world)
    await a_day(world, alice, bob)
    await alice.notices()
    await alice.directory.start_over()
    await world.server.directory.remove(tag_of(world.server.keys, ALICE))
    await a_day(world, alice)
    assert await alice.notices() == [(ALICE, Notice.NUMBER_MISSING)]
