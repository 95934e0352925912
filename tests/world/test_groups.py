"""Groups across real clients and a real server: made, changed, written to, left, and moved."""

from contextlib import suppress

import pytest

from grue.client.api.groups import Group
from grue.client.client import Client
from grue.client.conversations import tables
from grue.client.conversations.groups import checked_name
from grue.errors import NetworkError, NoSuchChat, NoSuchMember, NotInGroup, NotOnGrue, OnlyAdmins, UsageError
from grue.protocol.conversation.contents import Role
from grue.protocol.conversation.conversation import Notice
from grue.testing import World
from grue.testing.network import MemoryTransport
from tests.world.memory import ALICE, BOB, CAROL, NOBODY, take
from tests.world.test_unheard import pass_days

DAVE = "+447700900004"


async def friends(world: World, *numbers: str) -> list[Client]:
    """People of whom the first has written with each of the others, and been answered."""
    first, *others = [await world.person(number) for number in numbers]
    for other in others:
        await first.send(other.number, "hello")
        await take(other)
        await other.send(first.number, "hello")
    await take(first)
    for other in others:
        await take(other)
    return [first, *others]


async def hike(world: World, *numbers: str) -> tuple[list[Client], Group]:
    """A group of friends that everybody is in."""
    people = await friends(world, *numbers)
    group = await people[0].groups.create("Hike", *numbers[1:])
    await settle(*people)
    return people, group


async def settle(*clients: Client) -> None:
    for _ in range(3):
        for client in clients:
            await client.poll()


async def names(client: Client, group: Group) -> set[str]:
    return {member.number or member.person for member in (await client.groups.show(group.id)).members}


async def test_what_one_writes_everybody_reads_under_the_writers_name(world: World) -> None:
    (alice, bob, carol), group = await hike(world, ALICE, BOB, CAROL)
    await alice.send(group.id, "Nine at the station")
    for client in (bob, carol):
        await client.poll()
        (message,) = await client.unshown()
        assert (message.text, message.chat, message.group, message.sender) == (
            "Nine at the station", group.id, "Hike", ALICE,
        )  # fmt: skip
    await bob.send("Hike", "I am late")
    await carol.poll()
    (message,) = await carol.unshown()
    assert message.sender.startswith("person:"), "carol has never had to do with bob's number"
    assert (await take(alice), message.claimed) == (["I am late"], "")


async def test_a_text_in_a_group_is_delivered_when_all_have_read_it(world: World) -> None:
    (alice, bob, carol), group = await hike(world, ALICE, BOB, CAROL)
    await alice.send(group.id, "hello")
    await bob.poll()
    await alice.poll()
    assert [m.state.value for m in await alice.history(group.id)] == ["sent"]
    await carol.poll()
    await alice.poll()
    assert [m.state.value for m in await alice.history(group.id)] == ["delivered"]


async def test_when_one_number_is_not_on_grue_nothing_is_made(world: World) -> None:
    alice, bob = await friends(world, ALICE, BOB)
    before = len(world.network.seen)
    with pytest.raises(NotOnGrue) as error:
        await alice.groups.create("Hike", BOB, NOBODY)
    assert NOBODY in str(error.value)
    assert (await alice.groups.list(), await take(bob)) == ([], [])
    assert "CreateMailbox" not in world.network.requests()[before:]


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("", [BOB]),
        (" ", [BOB]),
        ("\u200d\u2060", [BOB]),
        ("\u3164", [BOB]),
        ("x" * 10_000, [BOB]),
        ("ecalp \u202elast", [BOB]),
        ("me", [BOB]),
        ("+44 7700 900222", [BOB]),
        ("group:0123456789abcdef", [BOB]),
        ("Hike", []),
        ("Hike", [BOB, "+44 7700 900002"]),
        ("Hike", [ALICE]),
    ],
)
async def test_what_makes_no_group_is_said_before_anybody_is_asked(world: World, name: str, numbers: list[str]) -> None:
    alice, _ = await friends(world, ALICE, BOB)
    before = len(world.network.seen)
    with pytest.raises(UsageError):
        await alice.groups.create(name, *numbers)
    assert world.network.requests()[before:] == []


def test_names_that_people_write_are_taken_as_they_are() -> None:
    for name in ("Samstag", "می‌خواهم", "👨‍👩‍👧", "שבת", "3 friends"):
        assert checked_name(name) == name


async def test_a_newcomer_reads_what_comes_after_and_nothing_from_before(world: World) -> None:
    (alice, bob), group = await hike(world, ALICE, BOB)
    carol = await world.person(CAROL)
    await alice.send(group.id, "before")
    after = await alice.groups.add("Hike", CAROL)
    assert {member.number for member in after.members} == {ALICE, BOB, CAROL}
    await carol.poll()
    assert [request.group for request in await carol.requests.list()] == ["Hike"], "they have not met before"
    await carol.requests.accept("Hike")
    await settle(alice, bob, carol)
    await bob.send(group.id, "after")
    await settle(alice, bob, carol)
    assert [message.text for message in await carol.history(group.id)] == ["after"]


async def test_who_is_removed_is_told_and_reads_nothing_more(world: World) -> None:
    (alice, bob, carol), group = await hike(world, ALICE, BOB, CAROL)
    await alice.groups.remove(group.id, BOB)
    await settle(alice, bob, carol)
    assert (group.id, Notice.REMOVED) in await bob.notices()
    assert await bob.groups.list() == []
    await carol.send(group.id, "without bob")
    await settle(alice, bob, carol)
    assert await take(alice) == ["without bob"]
    assert [m.text for m in await bob.history(group.id)] == []
    with pytest.raises(NotInGroup):
        await bob.send(group.id, "still here?")


async def test_what_was_written_while_the_mailbox_moved_is_read_once(world: World) -> None:
    (alice, _, carol, dave), group = await hike(world, ALICE, BOB, CAROL, DAVE)
    await carol.send(group.id, "one")
    await alice.groups.remove(group.id, BOB)
    await dave.send(group.id, "two")
    await settle(alice, carol, dave)
    assert sorted(await take(alice)) == ["one", "two"]
    assert await take(carol) == ["two"]
    for client in (carol, dave):
        await client.poll()
    await alice.poll()
    assert [m.state.value for m in await carol.history(group.id) if not m.incoming] == ["delivered"]


async def test_the_mailbox_that_was_left_is_read_for_two_days(world: World) -> None:
    (alice, _, carol), group = await hike(world, ALICE, BOB, CAROL)
    await alice.groups.remove(group.id, BOB)
    await settle(alice, carol)
    (conversation,) = [c for c, _ in await alice.context.store.read(tables.reading_conversations) if c.group]
    assert len(conversation.drains) == 1
    await pass_days(world, 3)
    await settle(alice, carol)
    (conversation,) = [c for c, _ in await alice.context.store.read(tables.reading_conversations) if c.group]
    assert conversation.drains == []
    await alice.send(group.id, "later")
    await settle(carol)
    assert await take(carol) == ["later"]


async def test_who_leaves_is_gone_for_all_and_may_come_back(world: World) -> None:
    (alice, bob, carol), group = await hike(world, ALICE, BOB, CAROL)
    await bob.groups.leave("Hike")
    with pytest.raises(NotInGroup):
        await bob.groups.show(group.id)
    await settle(alice, carol)
    assert BOB not in await names(alice, group)
    await alice.groups.add(group.id, BOB)
    await bob.poll()
    assert [request.group for request in await bob.requests.list()] == ["Hike"], "who has left is asked"
    await bob.requests.accept(group.id)
    await settle(alice, bob, carol)
    await alice.send(group.id, "there you are")
    await settle(alice, bob, carol)
    assert await take(bob) == ["there you are"]


async def test_the_only_admin_names_another_before_it_leaves(world: World) -> None:
    (alice, bob), group = await hike(world, ALICE, BOB)
    with pytest.raises(UsageError, match="only admin"):
        await alice.groups.leave(group.id)
    await alice.groups.set_role(group.id, BOB, Role.ADMIN)
    await alice.groups.leave(group.id)
    await settle(bob)
    assert await names(bob, group) == {BOB}


async def test_two_who_change_a_group_at_once_both_get_what_they_wanted(world: World) -> None:
    (alice, bob, carol), group = await hike(world, ALICE, BOB, CAROL)
    await alice.groups.set_role(group.id, BOB, Role.ADMIN)
    await settle(bob)
    await alice.groups.rename(group.id, "Sunday hike")
    await bob.groups.describe(group.id, "Boots!")
    await settle(alice, bob, carol)
    for client in (alice, bob, carol):
        shown = await client.groups.show("Sunday hike")
        assert (shown.name, shown.description) == ("Sunday hike", "Boots!")


async def test_a_member_changes_nothing_and_in_a_group_for_announcements_writes_nothing(world: World) -> None:
    (alice, bob), group = await hike(world, ALICE, BOB)
    with pytest.raises(OnlyAdmins):
        await bob.groups.rename(group.id, "Mine")
    with pytest.raises(OnlyAdmins):
        await bob.groups.remove(group.id, ALICE)
    await alice.groups.allow(group.id, write=Role.ADMIN)
    await settle(bob)
    with pytest.raises(OnlyAdmins):
        await bob.send(group.id, "psst")


async def test_somebody_twice_or_somebody_else_is_named(world: World) -> None:
    (alice, bob), group = await hike(world, ALICE, BOB)
    with pytest.raises(UsageError, match="already"):
        await alice.groups.add(group.id, BOB)
    for who in (CAROL, "person:0123456789abcdef", "nobody"):
        with pytest.raises(NoSuchMember):
            await alice.groups.remove(group.id, who)
    assert await names(bob, group) == {ALICE, BOB}


async def test_a_member_that_is_blocked_is_not_heard_in_a_group_either(world: World) -> None:
    (alice, bob, carol), group = await hike(world, ALICE, BOB, CAROL)
    await alice.requests.block(BOB)
    await bob.send(group.id, "spam")
    await carol.send(group.id, "hello")
    await settle(alice)
    assert await take(alice) == ["hello"]


async def test_what_was_written_before_somebody_came_is_not_sent_again_to_it(world: World) -> None:
    (alice, bob, carol), group = await hike(world, ALICE, BOB, CAROL)
    dave = await world.person(DAVE)
    await alice.send(group.id, "before dave")
    await alice.groups.add(group.id, DAVE)
    await dave.poll()
    await dave.requests.accept("Hike")
    await alice.groups.remove(group.id, BOB)
    await settle(alice, carol, dave)
    assert [message.text for message in await dave.history(group.id)] == []
    assert [message.text for message in await carol.history(group.id)] == ["before dave"]
    assert (await bob.history(group.id)) == []


async def test_a_strangers_group_of_the_same_name_catches_nothing(world: World) -> None:
    (alice, bob), group = await hike(world, ALICE, BOB)
    eve = await world.person(CAROL)
    await eve.groups.create("Hike", ALICE)
    await eve.groups.create("Family", ALICE)
    await alice.poll()
    await alice.send("Hike", "ours")
    with pytest.raises(NoSuchChat):
        await alice.send("Family", "private")
    await settle(bob, eve)
    assert [message.text for message in await bob.history(group.id)] == ["ours"]
    assert {request.group for request in await alice.requests.list()} == {"Family", "Hike"}


async def test_group_14_who_was_away_while_the_group_moved_is_told_and_comes_back_by_itself(world: World) -> None:
    (alice, _, carol), group = await hike(world, ALICE, BOB, CAROL)
    await alice.groups.remove(group.id, BOB)
    await settle(alice)
    await pass_days(world, 32)
    await settle(carol)
    assert (group.id, Notice.LOST) in await carol.notices()
    with pytest.raises(UsageError, match="leave"):
        await carol.groups.rename(group.id, "Mine")
    assert (await carol.send(group.id, "is anybody there?")).state.value == "queued"
    await settle(alice, carol)
    await alice.send(group.id, "there you are")
    await settle(carol, alice)
    assert "there you are" in await take(carol)
    assert "is anybody there?" in await take(alice)


async def test_who_is_not_readmitted_leaves_and_is_added_again(world: World) -> None:
    (alice, _, carol), group = await hike(world, ALICE, BOB, CAROL)
    await alice.groups.remove(group.id, BOB)
    await settle(alice)
    await pass_days(world, 32)
    await settle(carol)
    await carol.groups.leave(group.id)
    await alice.groups.remove(group.id, CAROL)
    await alice.groups.add(group.id, CAROL)
    await settle(carol)
    await carol.requests.accept(group.id)
    await settle(alice, carol)
    await alice.send(group.id, "there you are")
    await settle(carol)
    assert "there you are" in await take(carol)


async def test_a_change_sends_nothing_of_other_chats_through_a_relay(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (alice, bob, carol), group = await hike(world, ALICE, BOB, CAROL)
    world.network.down = True
    with suppress(NetworkError):
        await alice.send(BOB, "waits")
    world.network.down = False
    monkeypatch.setattr(MemoryTransport, "spread", 0.001)
    await alice.groups.rename(group.id, "Sunday hike")
    await settle(carol)
    assert (await carol.groups.show(group.id)).name == "Sunday hike"
    assert await take(bob) == []
