"""What a dishonest server, or a stranger with a write key, can try, and what becomes of it."""

import time
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from grue.client.account import KEY_PACKAGES
from grue.client.client import Client
from grue.client.conversations import tables
from grue.client.conversations.tables import conversation_by_id, reading_conversations
from grue.client.store.engine import Db
from grue.errors import (
    BadDirectory,
    BadKeyPackage,
    BadManifest,
    BadProof,
    BadRecord,
    ForkedLog,
    NotPermitted,
    Refused,
    ServerChanged,
    ShrunkDirectory,
    StaleDirectory,
    VerificationFailed,
)
from grue.protocol import wire
from grue.protocol.conversation.conversation import (
    Conversation,
    ConversationEvent,
    ConversationState,
    Notice,
    become,
)
from grue.testing import World
from tests.world.memory import ALICE, BOB, NOBODY, take
from tests.world.test_messages import acquainted

pytestmark = pytest.mark.tiers

# --- the directory --------------------------------------------------------------------------------


async def unknown(world: World, error: type[VerificationFailed]) -> None:
    """Alice's lookup proves nothing, says why, and no SMS goes, with whatever consent."""
    alice = await world.open(ALICE)
    (looked_up,) = await alice.lookup(NOBODY)
    assert (looked_up.route.value, looked_up.registered) == ("unknown", None)
    assert isinstance(looked_up.error, error)
    with pytest.raises(error):
        await alice.send(NOBODY, "hello", sms=True)
    assert world.texts(NOBODY) == []


def flipped(file: bytes, at: int = -1) -> bytes:
    changed = bytearray(file)
    changed[at] ^= 1
    return bytes(changed)


@pytest.mark.parametrize("name", ["head", "manifest"])
async def test_a_signature_that_is_not_the_servers_makes_the_route_unknown(world: World, name: str) -> None:
    await forget_directory(await world.person(ALICE))
    world.network.change_file = lambda path, file: flipped(file) if path.endswith(name) else file
    await unknown(world, BadManifest)


async def test_an_overlay_with_a_changed_record_makes_the_route_unknown(world: World) -> None:
    await world.person(ALICE)
    await world.person(BOB)
    world.network.change_file = lambda path, file: flipped(file) if "overlay" in path and file else file
    await unknown(world, BadDirectory)


# Where the base is fetched.
@pytest.mark.usefixtures("tier_1")
async def test_a_base_with_a_changed_record_makes_the_route_unknown(world: World) -> None:
    await forget_directory(await world.person(ALICE))
    cut = world.server.directory._cut
    records = world.server.directory.file("1/overlay/1")
    assert records
    world.server.directory._view = cut([records], 2)
    world.network.change_file = lambda path, file: flipped(file) if path.endswith("base") else file
    await unknown(world, BadDirectory)


async def test_an_old_head_makes_the_route_unknown(world: World) -> None:
    await world.person(ALICE)
    old = world.server.directory.file("head")
    assert old is not None
    await world.pass_days(2)
    world.network.change_file = lambda path, file: old if path == "head" else file
    await unknown(world, StaleDirectory)


async def test_a_directory_that_shrank_makes_the_route_unknown(world: World) -> None:
    alice = await world.person(ALICE)
    old = world.server.directory.file("head")
    assert old is not None
    await world.person(BOB)
    await alice.lookup(NOBODY)
    world.network.change_file = lambda path, file: old if path == "head" else file
    await unknown(world, ShrunkDirectory)


async def test_a_clock_that_is_years_off_makes_the_route_unknown(world: World) -> None:
    await world.person(ALICE)
    served = world.server.directory.file("head")
    assert served is not None
    world.network.change_file = lambda path, file: served if path == "head" else file
    for years in (10, -20):
        await world.pass_days(years * 365)
        await unknown(world, StaleDirectory)


async def test_an_evaluation_with_another_key_makes_the_route_unknown(world: World) -> None:
    await world.person(ALICE)

    def other_key(request: wire.Message, answer: wire.Message) -> wire.Message:
        if isinstance(request, wire.Evaluate):
            from grue._core import OprfKey

            return wire.Evaluated(*OprfKey.generate().evaluate(request.blinded))
        return answer

    world.network.change = other_key
    await unknown(world, BadProof)


async def test_a_refused_evaluation_makes_the_route_unknown(world: World) -> None:
    alice = await world.person(ALICE)
    world.network.change = lambda request, answer: (
        wire.Refusal("refused") if isinstance(request, wire.Evaluate) else answer
    )
    (looked_up,) = await alice.lookup(NOBODY)
    assert looked_up.route.value == "unknown"
    with pytest.raises(Refused):
        await alice.send(NOBODY, "hello", sms=True)
    assert world.texts(NOBODY) == []


async def test_a_record_that_does_not_open_is_no_absence(world: World) -> None:
    await world.person(ALICE)
    from grue.server.directory.directory import tag_of

    await world.server.directory.put(tag_of(world.server.keys, NOBODY) + bytes(111) + b"\1")
    await unknown(world, BadRecord)


async def test_a_server_with_another_key_is_noticed(world: World) -> None:
    alice = await world.open(ALICE)
    await alice.register(ALICE, "http://localhost")
    code = world.code(ALICE)
    await world.stop()
    await world.start("another server")
    with pytest.raises(ServerChanged):
        await alice.verify(code)


# --- keys -----------------------------------------------------------------------------------------


async def test_a_device_list_that_is_not_the_records_is_refused(world: World) -> None:
    alice, _bob = await world.person(ALICE), await world.person(BOB)
    mallory = await world.person("+447700900066")
    claimed = await mallory.context.tokens.ask(wire.Claim(mallory.context.account.intro_mailbox))
    world.network.change = lambda request, answer: claimed if isinstance(request, wire.Claim) else answer
    with pytest.raises(BadKeyPackage):
        await alice.send(BOB, "hello")
    assert [m.state.value for m in await alice.history(BOB)] == ["refused"]


async def test_a_key_package_of_another_device_is_refused(world: World) -> None:
    alice, _bob = await world.person(ALICE), await world.person(BOB)
    mallory = await world.person("+447700900066")
    claimed = await mallory.context.tokens.ask(wire.Claim(mallory.context.account.intro_mailbox))
    assert isinstance(claimed, wire.Claimed)

    def swapped(request: wire.Message, answer: wire.Message) -> wire.Message:
        if isinstance(answer, wire.Claimed) and isinstance(request, wire.Claim):
            theirs = [replace(package, package=claimed.packages[0].package) for package in answer.packages]
            return replace(answer, packages=theirs)
        return answer

    world.network.change = swapped
    with pytest.raises(BadKeyPackage):
        await alice.send(BOB, "hello")


# --- envelopes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["cut", "long", "flipped", "empty"])
async def test_a_damaged_envelope_is_passed_over_and_the_next_one_is_read(world: World, damage: str) -> None:
    alice, bob = await acquainted(world)
    await alice.send(BOB, "one")
    await alice.send(BOB, "two")

    def damaged(_request: wire.Message, answer: wire.Message) -> wire.Message:
        if not isinstance(answer, wire.Fetched) or len(answer.envelopes) < 2:
            return answer
        blob = answer.envelopes[0].blob
        blobs = {"cut": blob[:512], "long": blob + bytes(9), "flipped": flipped(blob), "empty": b""}
        first = replace(answer.envelopes[0], blob=blobs[damage])
        return replace(answer, envelopes=[first, *answer.envelopes[1:]])

    world.network.change = damaged
    assert await take(bob) == ["two"]


async def test_a_replayed_envelope_is_shown_once(world: World) -> None:
    alice, bob = await acquainted(world)
    await alice.send(BOB, "once")

    def replayed(_request: wire.Message, answer: wire.Message) -> wire.Message:
        if not isinstance(answer, wire.Fetched) or not answer.envelopes:
            return answer
        newest = answer.envelopes[-1]
        again = replace(newest, seq=newest.seq + 1, envelope=newest.envelope)
        return replace(answer, envelopes=[*answer.envelopes, again], head=again.seq)

    world.network.change = replayed
    assert await take(bob) == ["once"]
    assert [m.text for m in await bob.history(ALICE)].count("once") == 1


async def test_envelopes_out_of_order_are_read_as_far_as_they_are_in_order(world: World) -> None:
    alice, bob = await acquainted(world)
    for text in ("one", "two", "three"):
        await alice.send(BOB, text)

    def backwards(_request: wire.Message, answer: wire.Message) -> wire.Message:
        return replace(answer, envelopes=answer.envelopes[::-1]) if isinstance(answer, wire.Fetched) else answer

    world.network.change = backwards
    shown = await take(bob)
    world.network.change = lambda _request, answer: answer
    shown += await take(bob)
    assert sorted(set(shown)) == sorted(shown)
    assert "three" in shown


async def test_a_stranger_with_the_write_key_cannot_forge_a_message(world: World) -> None:
    alice, bob = await acquainted(world)
    ((conversation, _),) = await alice.context.store.read(reading_conversations)
    forged = wire.Post(conversation.log.mailbox, conversation.write_key, b"f" * 16, b"forged".ljust(1024))
    await alice.context.tokens.ask(forged)
    await alice.send(BOB, "real")
    assert await take(bob) == ["real"]


async def test_a_stranger_without_the_write_key_cannot_post(world: World) -> None:
    alice, _bob = await acquainted(world)
    ((conversation, _),) = await alice.context.store.read(reading_conversations)
    with pytest.raises(NotPermitted):
        await alice.context.tokens.ask(wire.Post(conversation.log.mailbox, bytes(32), b"f" * 16, b"forged".ljust(1024)))


async def test_junk_in_an_intro_mailbox_is_passed_over(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    mailbox = bob.context.account.intro_mailbox
    for n, junk in enumerate((bytes(1024), b"\xff" * 4096, (5).to_bytes(4, "big").ljust(1024, b"\xc1"))):
        await alice.context.tokens.ask(wire.PostIntro(mailbox, bytes([n]) * 16, junk))
    await alice.send(BOB, "hello")
    assert await take(bob) == ["hello"]


async def test_conversation_12_two_histories_of_the_own_devices_stop_sending(world: World) -> None:
    alice, _bob = await acquainted(world)

    def fork(db: Db) -> None:
        for conversation, chat in tables.reading_conversations(db):
            tables.save_conversation(db, become(conversation, ConversationEvent.FORK_SEEN), chat)

    await alice.context.store.transact(fork)
    with pytest.raises(ForkedLog):
        await alice.send(BOB, "three")
    await alice.send(BOB, "three", accept_key=True)


async def test_two_histories_are_noticed_and_nothing_that_was_hidden_counts_as_read(world: World) -> None:
    alice, bob = await acquainted(world)
    await alice.send(BOB, "one")
    await alice.send(BOB, "two")
    withheld: list[bytes] = []

    def hide_one(_request: wire.Message, answer: wire.Message) -> wire.Message:
        # Bob is shown another envelope in the place of the first one.
        if isinstance(answer, wire.Fetched) and len(answer.envelopes) >= 2:
            withheld.append(answer.envelopes[0].envelope)
            other = replace(answer.envelopes[0], envelope=b"x" * 16, blob=bytes(1024))
            return replace(answer, envelopes=[other, *answer.envelopes[1:]])
        return answer

    world.network.change = hide_one
    assert await take(bob) == ["two"]
    world.network.change = lambda _request, answer: answer
    assert withheld
    await alice.poll()
    assert [notice for _, notice in await alice.notices()] == [Notice.DISAGREES]
    assert [m.state.value for m in await alice.history(BOB) if m.text in ("one", "two")] == ["sent", "sent"]
    await alice.send(BOB, "three")
    assert await take(bob) == ["three"]


async def test_an_sms_that_the_server_did_not_seal_is_passed_over(world: World) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from grue.protocol.accountkey import public_of
    from grue.protocol.conversation.contents import ReceivedSms
    from grue.protocol.sms.smsseal import seal_sms

    alice = await world.person(ALICE)
    account = alice.context.account
    forged = ReceivedSms(NOBODY, ALICE, "forged", int(time.time()))
    blob = seal_sms(public_of(account.sms_secret), forged, Ed25519PrivateKey.generate().sign)
    await alice.context.tokens.ask(wire.PostIntro(account.intro_mailbox, b"f" * 16, blob))
    assert await take(alice) == []


async def test_conversation_14_the_first_welcome_played_again_does_not_rewind_a_conversation(world: World) -> None:
    alice, bob, welcome = await acquainted_by_the_last_resort(world)
    await world.pass_days(7.1)
    await alice.send(BOB, "and a commit")
    assert await take(bob) == ["and a commit"]
    ((before, _),) = await bob.context.store.read(reading_conversations)
    world.network.change = make_lost(before.log.mailbox)
    await bob.poll()
    world.network.change = lambda _request, answer: answer
    assert (await conversation(bob, before.id)).state is ConversationState.LOST
    await alice.context.tokens.ask(wire.PostIntro(bob.context.account.intro_mailbox, b"again" + bytes(11), welcome))
    await bob.poll()
    after = await conversation(bob, before.id)
    assert (after.state, after.epoch_keys) == (ConversationState.LOST, before.epoch_keys)
    await bob.send(ALICE, "in another one")
    assert await take(alice) == ["in another one"]
    await alice.send(BOB, "which both use")
    assert await take(bob) == ["which both use"]


async def acquainted_by_the_last_resort(world: World) -> tuple[Client, Client, bytes]:
    """Alice, Bob, and the blob of her first Welcome, to the last resort, since all other key packages are taken."""
    alice, bob = await world.person(ALICE), await world.person(BOB)
    for _ in range(KEY_PACKAGES):
        await alice.context.tokens.ask(wire.Claim(bob.context.account.intro_mailbox))
    await alice.send(BOB, "hello")
    assert await take(bob) == ["hello"]
    await bob.send(ALICE, "hello yourself")
    assert await take(alice) == ["hello yourself"]
    await bob.poll()
    (welcome,) = [request.blob for request in world.network.seen if isinstance(request, wire.PostIntro)]
    return alice, bob, welcome


def make_lost(mailbox: bytes) -> Callable[[wire.Message, wire.Message], wire.Message]:
    """A server that withholds part of a log and shows what nobody can open after it."""

    def change(request: wire.Message, answer: wire.Message) -> wire.Message:
        if isinstance(request, wire.Fetch) and isinstance(answer, wire.Fetched) and request.mailbox == mailbox:
            at = request.after + 5
            junk = wire.Delivery(mailbox, at, b"j" * 16, bytes(1024))
            return replace(answer, envelopes=[junk], head=at)
        return answer

    return change


async def conversation(client: Client, group: bytes) -> Conversation:
    found = await client.context.store.read(conversation_by_id, group)
    assert found is not None
    return found[0]


async def forget_directory(client: Client) -> None:
    """Make the next sync a whole one."""
    await client.context.store.transact(lambda db: db.execute("DELETE FROM meta WHERE key IN ('manifest', 'head')"))
