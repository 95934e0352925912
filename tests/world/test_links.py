"""Links into groups: who has one asks to be let in, and who had one gets in no more."""

import pytest

from grue.client.conversations import requests, tables
from grue.client.store.engine import Db
from grue.errors import BadLink, LinkElsewhere, NotInGroup, OnlyAdmins, OtherLink, UsageError
from grue.protocol.conversation.contents import JoinLink, Role
from grue.protocol.conversation.conversation import Conversation, Notice
from grue.protocol.conversation.joining import make_join_link
from grue.protocol.links import LinkKind, make_link, read_link
from grue.protocol.wire import encode
from grue.testing import World
from tests.world.memory import ALICE, BOB, CAROL, take
from tests.world.test_groups import DAVE, hike, names, settle
from tests.world.test_unheard import pass_days


async def test_who_has_a_link_asks_and_is_let_in_by_the_first_admins_client(world: World) -> None:
    (alice, bob), group = await hike(world, ALICE, BOB)
    carol, dave = await world.person(CAROL), await world.person(DAVE)
    made = await alice.groups.link("Hike")
    assert (made.ask, await alice.groups.link("Hike")) == (False, made), "shown again, it is the same"
    for newcomer in (carol, dave):
        await newcomer.groups.join(made.link)
    await settle(alice, bob, carol, dave)
    assert (group.id, Notice.ADDED) in await carol.notices(), "whoever has asked need not accept"
    assert len(await names(bob, group)) == 4
    await carol.send("Hike", "Nine?")
    await settle(alice, bob, carol, dave)
    assert (await take(dave), await take(alice)) == (["Nine?"], ["Nine?"])
    members = {member.number for member in (await alice.groups.show("Hike")).members}
    assert members == {ALICE, BOB, ""}, "by a link nobody shows a number"
    with pytest.raises(UsageError, match="already"):
        await carol.groups.join(made.link)


async def test_an_admin_decides_where_the_link_asks_first(world: World) -> None:
    (alice, bob), group = await hike(world, ALICE, BOB)
    carol, dave = await world.person(CAROL), await world.person(DAVE)
    link = (await alice.groups.link("Hike", ask=True)).link
    await carol.groups.join(link, show_number=True)
    await dave.groups.join(link)
    await settle(alice, carol, dave)
    asking = await alice.requests.list()
    assert {(one.group, one.joins) for one in asking} == {("Hike", True)}
    (unnamed,) = [one.chat for one in asking if one.chat != CAROL]
    assert len(await names(alice, group)) == 2
    await alice.requests.accept(CAROL)
    await alice.requests.decline(unnamed)
    await settle(alice, bob, carol, dave)
    assert (await names(alice, group), await alice.requests.list()) == ({ALICE, BOB, CAROL}, [])
    assert [one.name for one in await carol.groups.list()] == ["Hike"]
    assert await dave.groups.list() == []


async def test_group_16_a_removed_member_does_not_come_back_by_a_link_that_it_kept(world: World) -> None:
    (alice, bob, carol), group = await hike(world, ALICE, BOB, CAROL)
    kept = (await alice.groups.link("Hike")).link
    await alice.groups.remove("Hike", BOB)
    await settle(alice, bob, carol)
    await bob.groups.join(kept)
    await settle(alice, bob, carol)
    assert BOB not in await names(alice, group)
    with pytest.raises(NotInGroup):
        await bob.groups.show(group.id)
    assert (await alice.groups.link("Hike")).link != kept


async def test_a_link_that_was_reset_or_taken_away_lets_nobody_in(world: World) -> None:
    (alice, bob), group = await hike(world, ALICE, BOB)
    carol = await world.person(CAROL)
    old = (await alice.groups.link("Hike")).link
    assert (await alice.groups.link("Hike", reset=True)).link != old
    await carol.groups.join(old)
    await settle(alice, bob, carol)
    new = (await alice.groups.link("Hike")).link
    assert (await alice.groups.link("Hike", off=True)).link == ""
    await carol.groups.join(new)
    await settle(alice, bob, carol)
    assert await names(alice, group) == {ALICE, BOB}


async def test_group_15_only_admins_make_a_link_and_only_who_made_it_shows_it(world: World) -> None:
    (alice, bob), _ = await hike(world, ALICE, BOB)
    await alice.groups.link("Hike")
    await settle(bob)
    with pytest.raises(OnlyAdmins):
        await bob.groups.link("Hike")
    await alice.groups.set_role("Hike", BOB, Role.ADMIN)
    await settle(bob)
    with pytest.raises(UsageError, match="Another admin"):
        await bob.groups.link("Hike")
    assert (await bob.groups.link("Hike", reset=True)).link


async def test_two_admins_who_read_it_at_once_let_somebody_in_once(world: World) -> None:
    (alice, bob), group = await hike(world, ALICE, BOB)
    await alice.groups.set_role("Hike", BOB, Role.ADMIN)
    await settle(bob)
    link = (await alice.groups.link("Hike")).link
    await settle(bob)
    carol = await world.person(CAROL)
    await carol.groups.join(link)
    await bob.poll()
    await settle(alice, bob, carol)
    assert len(await names(alice, group)) == 3
    await carol.send("Hike", "hello")
    await settle(alice, bob)
    assert (await take(alice), await take(bob)) == (["hello"], ["hello"])


async def test_a_link_that_cannot_be_used_is_said_to_be_what_it_is(world: World) -> None:
    (alice, _), _ = await hike(world, ALICE, BOB)
    carol = await world.person(CAROL)
    link = (await alice.groups.link("Hike")).link
    with pytest.raises(BadLink):
        await carol.groups.join(link[:-3])
    with pytest.raises(BadLink):
        await carol.groups.join(make_link(LinkKind.GROUP, b"no join link"))
    with pytest.raises(OtherLink):
        await carol.groups.join(make_link(LinkKind.PERSON, b"x"))
    elsewhere = JoinLink(bytes(32), bytes(16), [bytes(32)], "https://other.example", bytes(16))
    with pytest.raises(LinkElsewhere, match=r"other\.example"):
        await carol.groups.join(make_link(LinkKind.GROUP, encode(elsewhere)))
    assert len(read_link(LinkKind.GROUP, link)) < 400, "a camera reads its code"


async def test_group_17_who_asks_without_the_secret_is_no_admins_business(world: World) -> None:
    (alice, bob), group = await hike(world, ALICE, BOB)
    carol = await world.person(CAROL)
    link = (await alice.groups.link("Hike")).link
    account, (conversation,) = alice.context.account, await alice.context.store.read(_groups)
    assert conversation.group is not None
    guessed = make_join_link(
        conversation.id, conversation.group, account.me, bytes(16), account.server, account.server_public
    )
    assert guessed != link
    await carol.groups.join(guessed)
    await settle(alice, bob, carol)
    assert await names(alice, group) == {ALICE, BOB}


async def test_no_more_are_let_in_a_day_than_the_budget(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "ADMISSIONS_A_DAY", 1)
    (alice, _), group = await hike(world, ALICE, BOB)
    link = (await alice.groups.link("Hike")).link
    for number in (CAROL, DAVE):
        await (await world.person(number)).groups.join(link)
    await settle(alice)
    await settle(alice)
    assert len(await names(alice, group)) == 3
    await pass_days(world, 1.1)
    await settle(alice)
    assert len(await names(alice, group)) == 4


async def test_somebody_who_is_blocked_asks_in_vain(world: World) -> None:
    (alice, bob), group = await hike(world, ALICE, BOB)
    carol = await world.person(CAROL)
    link = (await alice.groups.link("Hike")).link
    await alice.requests.block(CAROL)
    await carol.groups.join(link, show_number=True)
    await settle(alice, bob)
    assert await names(alice, group) == {ALICE, BOB}


def _groups(db: Db) -> list[Conversation]:
    return [conversation for conversation, _ in tables.reading_conversations(db) if conversation.group is not None]
