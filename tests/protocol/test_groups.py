"""Groups: who may change what, in which order changes count, and what those see who are removed."""

import os
from hashlib import sha256

import pytest
from msgspec import msgpack
from msgspec.structs import replace

from grue.errors import BadEnvelope, BadKeyPackage, NotPermitted
from grue.protocol.conversation import groups
from grue.protocol.conversation.changing import NO_HASH, drained
from grue.protocol.conversation.contents import GroupChange, GroupMember, GroupState, LinkRule, NewLink, NewRole, Role
from grue.protocol.conversation.conversation import (
    ConversationState,
    Notice,
    Purpose,
    Read,
    Step,
    epoch_key,
    seal_post,
)
from grue.protocol.conversation.groups import (
    RESPONDERS,
    follows,
    picked,
    proved,
    role_of,
    sign_departure,
    sign_readmission,
    state_hash,
)
from grue.protocol.conversation.stored import Adding, Plan
from grue.protocol.wire import encode
from tests.protocol.people import Device, Office, Person, group_of
from tests.protocol.test_conversation import forget_path_secrets

RENAMED = Plan(GroupChange(NO_HASH, name="Sunday hike"))


def removing(*people: Person) -> Plan:
    return Plan(GroupChange(NO_HASH), remove=[person.public for person in people])


def adding(*people: Person) -> Plan:
    peers = [person.checked() for person in people]
    new = [
        Adding(p.identity_public, p.intro_mailbox, peer.packages, p.hpke_public)
        for peer in peers
        for p in [peer.devices]
    ]
    return Plan(GroupChange(NO_HASH), new)


def promoting(person: Person, role: Role = Role.ADMIN) -> Plan:
    return Plan(GroupChange(NO_HASH, roles=[NewRole(person.public, role)]))


def state(device: Device) -> GroupState:
    assert device.conversation.group is not None
    return device.conversation.group


def agree(*people: Person) -> GroupState:
    """The one state that all of them have."""
    (one,) = {encode(state(person.device)) for person in people}
    (_,) = {person.device.conversation.log.mailbox for person in people}
    (_,) = {person.device.conversation.epoch_keys[0] for person in people}
    assert one
    return state(people[0].device)


def say(office: Office, person: Person, text: str) -> None:
    office.take(person.device, person.device.say(text))


def test_one_post_reaches_everybody() -> None:
    office, people = group_of("Alice", "Bob", "Carol", "Dave")
    say(office, people[1], "Nine at the station")
    office.read(*(person.device for person in people))
    assert [person.device.texts for person in people] == [["Nine at the station"], [], *[["Nine at the station"]] * 2]
    assert sum(map(len, office.logs.values())) == 1


def test_each_member_says_by_itself_what_it_has_read() -> None:
    office, (alice, bob, carol) = group_of("Alice", "Bob", "Carol")
    say(office, alice, "hello")
    for member in (bob, carol):
        office.read(member.device)
        office.take(member.device, member.device.confirm())
    office.read(alice.device)
    assert alice.device.steps[-1].read == [Read(bob.public, 0, 1), Read(carol.public, 0, 2)]


def test_a_newcomer_reads_what_comes_after_it_and_knows_the_group() -> None:
    office, (alice, bob) = group_of("Alice", "Bob")
    dave = Person("+447700900199")
    say(office, alice, "before")
    office.take(alice.device, alice.device.plan(adding(dave)))
    office.read(alice.device, bob.device)
    office.join(dave)
    say(office, bob, "after")
    office.read(alice.device, bob.device, dave.device)
    assert (dave.device.texts, bob.device.texts) == (["after"], ["before"])
    assert [member.identity for member in agree(alice, bob, dave).members] == [alice.public, bob.public, dave.public]


def test_a_removal_moves_the_mailbox_and_the_removed_cannot_follow() -> None:
    office, (alice, bob, carol) = group_of("Alice", "Bob", "Carol")
    before = alice.device.conversation.log.mailbox
    office.take(alice.device, alice.device.plan(removing(bob)))
    office.read(alice.device, bob.device, carol.device)
    assert bob.device.conversation.state is ConversationState.GONE
    assert bob.device.steps[-1].notices == [Notice.REMOVED]
    assert not any(key.startswith(b"g") for key in bob.device.entries)
    assert agree(alice, carol).members[-1].identity == carol.public
    assert alice.device.conversation.log.mailbox != before
    say(office, carol, "without bob")
    office.read(alice.device, carol.device)
    assert (alice.device.texts, len(office.logs[before])) == (["without bob"], 1)


def test_group_11_a_text_that_crossed_the_move_is_read_and_a_commit_there_is_not() -> None:
    office, (alice, bob, carol) = group_of("Alice", "Bob", "Carol")
    office.take(alice.device, alice.device.plan(removing(bob)))
    say(office, carol, "crossed")
    office.take(carol.device, carol.device.update())
    office.read(alice.device)
    assert (alice.device.texts, alice.device.steps[-1].skipped) == (["crossed"], 1)
    office.read(carol.device, alice.device)
    agree(alice, carol)


def test_group_11_what_the_removed_one_writes_there_is_not_read() -> None:
    office, (alice, bob, carol) = group_of("Alice", "Bob", "Carol")
    office.take(alice.device, alice.device.plan(removing(bob)))
    say(office, bob, "still here?")
    office.read(alice.device, carol.device)
    assert (alice.device.texts, carol.device.texts) == ([], [])


def test_a_drained_mailbox_is_left_after_two_days() -> None:
    office, (alice, bob, carol) = group_of("Alice", "Bob", "Carol")
    office.take(alice.device, alice.device.plan(removing(bob)))
    office.read(alice.device, carol.device)
    (drain,) = alice.device.conversation.drains
    assert drained(alice.device.conversation, drain.until - 1) is None
    step = drained(alice.device.conversation, drain.until)
    assert step is not None
    assert (step.conversation.drains, [one.purpose for one in step.outgoing]) == ([], [Purpose.LEAVE])


def test_of_two_changes_at_once_the_second_is_made_again_on_top_of_the_first() -> None:
    office, (alice, bob, carol) = group_of("Alice", "Bob", "Carol")
    dave = Person("+447700900199")
    office.take(alice.device, alice.device.plan(promoting(bob)))
    office.read(alice.device, bob.device, carol.device)
    office.take(alice.device, alice.device.plan(RENAMED))
    office.take(bob.device, bob.device.plan(adding(dave)))
    office.read(alice.device, bob.device, carol.device)
    office.join(dave)
    office.read(dave.device)
    after = agree(alice, bob, carol, dave)
    assert (after.name, len(after.members)) == ("Sunday hike", 4)


def test_the_same_account_added_by_two_at_once_is_added_once() -> None:
    office, (alice, bob) = group_of("Alice", "Bob")
    dave = Person("+447700900199")
    office.take(alice.device, alice.device.plan(promoting(bob)))
    office.read(alice.device, bob.device)
    for admin in (alice, bob):
        office.take(admin.device, admin.device.plan(adding(dave)))
    office.read(alice.device, bob.device)
    assert len(office.intros[dave.intro]) == 1
    office.join(dave)
    assert [member.identity for member in agree(alice, bob, dave).members][2:] == [dave.public]
    assert [one.conversation.pending for one in (alice.device, bob.device)] == [None, None]


def test_a_change_that_is_not_allowed_any_more_is_told_of() -> None:
    office, (alice, bob, carol) = group_of("Alice", "Bob", "Carol")
    office.take(alice.device, alice.device.plan(promoting(bob)))
    office.read(alice.device, bob.device, carol.device)
    office.take(alice.device, alice.device.plan(promoting(bob, Role.MEMBER)))
    office.take(bob.device, bob.device.plan(RENAMED))
    office.read(alice.device, bob.device, carol.device)
    assert [Notice.NOT_CHANGED] in [step.notices for step in bob.device.steps]
    assert agree(alice, bob, carol).name == "Hike"


def test_who_leaves_is_removed_by_an_admin_and_reads_no_more() -> None:
    office, (alice, bob, carol) = group_of("Alice", "Bob", "Carol")
    office.take(bob.device, bob.device.leave())
    assert bob.device.conversation.state is ConversationState.GONE
    office.read(carol.device)
    assert role_of(state(carol.device), bob.public) is Role.MEMBER
    office.read(alice.device, carol.device)
    assert [member.identity for member in agree(alice, carol).members] == [alice.public, carol.public]


def test_when_the_last_admin_leaves_who_was_here_longest_becomes_one() -> None:
    office, (alice, bob, carol) = group_of("Alice", "Bob", "Carol")
    office.take(alice.device, alice.device.plan(promoting(carol)))
    office.read(alice.device, bob.device, carol.device)
    office.take(carol.device, carol.device.plan(promoting(alice, Role.MEMBER)))
    office.read(alice.device, bob.device, carol.device)
    office.take(carol.device, carol.device.plan(promoting(carol, Role.MEMBER)))
    office.read(alice.device, bob.device, carol.device)
    assert role_of(agree(alice, bob, carol), alice.public) is Role.ADMIN


@pytest.mark.parametrize("plan", [RENAMED, Plan(GroupChange(NO_HASH, may_write=Role.ADMIN))])
def test_group_05_a_member_changes_no_name_and_no_rule(plan: Plan) -> None:
    _, (_, bob) = group_of("Alice", "Bob")
    with pytest.raises(NotPermitted):
        bob.device.plan(plan)


def test_group_02_03_05_a_member_adds_removes_and_promotes_nobody() -> None:
    _, (_, bob, carol) = group_of("Alice", "Bob", "Carol")
    for plan in (adding(Person("+447700900199")), removing(carol), promoting(bob)):
        with pytest.raises(NotPermitted):
            bob.device.plan(plan)


def forced(office: Office, person: Person, data: bytes, add: list[bytes], remove: list[int]) -> None:
    """Post a commit without asking whether it is allowed."""
    device, session = person.device, person.device.session()
    commit = session.commit(device.conversation.id, add, remove, data)
    outgoing = seal_post(device.conversation, commit.message, Purpose.CHANGE, os.urandom(16))
    office.take(device, device.apply(Step(device.conversation, [outgoing])))


@pytest.mark.parametrize("rule", ["rename", "junk", "add", "remove", "admin", "hash"])
def test_group_01_to_06_a_commit_that_is_not_allowed_is_passed_over_by_all(rule: str) -> None:
    office, (alice, bob, carol) = group_of("Alice", "Bob", "Carol")
    before = agree(alice, bob, carol)
    dave = Person("+447700900199")
    new = GroupMember(dave.public, dave.intro)
    data, add, remove = {
        "rename": (encode(GroupChange(NO_HASH, name="Mine")), [], []),
        "junk": (b"\x93\x00", [], []),
        "add": (encode(GroupChange(NO_HASH, added=[new])), dave.checked().packages, []),
        # GROUP-03
        "remove": (b"", [], [2]),
        "admin": (encode(GroupChange(NO_HASH, added=[replace(new, role=Role.ADMIN)])), dave.checked().packages, []),
        # GROUP-06
        "hash": (encode(GroupChange(NO_HASH, name="Hike")), [], []),
    }[rule]
    forced(office, alice if rule in ("admin", "hash") else bob, data, add, remove)
    office.read(carol.device)
    assert (carol.device.steps[-1].skipped, state(carol.device)) == (1, before)


def test_group_04_nobody_adds_a_device_of_somebody_else() -> None:
    office, (alice, bob, carol) = group_of("Alice", "Bob", "Carol")
    another = Device(carol.identity)
    another.me = carol.device.me
    forced(office, alice, b"", [another.package()], [])
    office.read(bob.device)
    assert bob.device.steps[-1].skipped == 1


def test_group_15_a_member_that_makes_a_link_is_passed_over() -> None:
    office, (alice, bob) = group_of("Alice", "Bob")
    change = GroupChange(NO_HASH, link=NewLink(LinkRule(os.urandom(32))))
    with pytest.raises(NotPermitted):
        bob.device.plan(Plan(change))
    after = follows(state(bob.device), change, [], {}, 2)
    data = encode(replace(change, state_hash=state_hash(bob.device.conversation.id, after)))
    forced(office, bob, data, [], [])
    office.read(alice.device)
    assert (alice.device.steps[-1].skipped, state(alice.device).link) == (1, None)


def test_group_16_the_link_goes_with_who_is_removed_and_stays_with_who_leaves() -> None:
    office, (alice, bob, carol, dave) = group_of("Alice", "Bob", "Carol", "Dave")
    rule = LinkRule(os.urandom(32), ask=True)
    office.take(alice.device, alice.device.plan(Plan(GroupChange(NO_HASH, link=NewLink(rule)))))
    office.read(alice.device, bob.device, carol.device, dave.device)
    assert agree(alice, bob, carol, dave).link == rule
    office.take(bob.device, bob.device.leave())
    office.read(alice.device, carol.device, dave.device)
    assert agree(alice, carol, dave).link == rule
    office.take(alice.device, alice.device.plan(removing(carol)))
    office.read(alice.device, dave.device)
    assert agree(alice, dave).link is None


def test_an_older_state_without_what_is_new_has_the_hash_that_it_had() -> None:
    _, (alice, _) = group_of("Alice", "Bob")
    before, group = state(alice.device), os.urandom(32)
    fields = msgpack.decode(encode(before))[: groups.FIRST_FIELDS]
    assert state_hash(group, before) == sha256(groups.STATE_CONTEXT + group + msgpack.encode(fields)).digest()
    assert state_hash(group, replace(before, link=LinkRule(bytes(32)))) != state_hash(group, before)


def test_group_07_a_commit_that_removes_one_account_and_adds_another_is_passed_over() -> None:
    office, (alice, bob, carol) = group_of("Alice", "Bob", "Carol")
    dave = Person("+447700900199")
    change = GroupChange(NO_HASH, added=[GroupMember(dave.public, dave.intro)])
    after = follows(state(alice.device), change, [bob.public], {}, 2)
    data = encode(replace(change, state_hash=state_hash(alice.device.conversation.id, after)))
    forced(office, alice, data, dave.checked().packages, [1])
    office.read(carol.device)
    assert carol.device.steps[-1].skipped == 1


def test_group_08_in_a_group_for_announcements_a_member_is_not_heard() -> None:
    office, (alice, bob, carol) = group_of("Alice", "Bob", "Carol")
    office.take(alice.device, alice.device.plan(Plan(GroupChange(NO_HASH, may_write=Role.ADMIN))))
    office.read(alice.device, bob.device, carol.device)
    say(office, bob, "psst")
    say(office, alice, "announced")
    office.read(alice.device, carol.device)
    assert (alice.device.texts, carol.device.texts) == ([], ["announced"])


def test_group_09_an_invitation_that_names_others_than_are_there_is_refused() -> None:
    office, (alice, _) = group_of("Alice", "Bob")
    dave = Person("+447700900199")
    office.take(alice.device, alice.device.plan(adding(dave)))
    lied = replace(state(alice.device), members=[*state(alice.device).members, GroupMember(os.urandom(32), dave.intro)])
    pending = alice.device.conversation.pending
    assert pending is not None
    alice.device.conversation = replace(alice.device.conversation, pending=replace(pending, after=lied))
    office.read(alice.device)
    with pytest.raises(BadKeyPackage):
        office.join(dave)


def test_group_10_who_has_left_comes_back_in_a_later_epoch_only() -> None:
    office, (alice, bob, carol) = group_of("Alice", "Bob", "Carol")
    office.take(alice.device, alice.device.plan(removing(bob)))
    office.read(alice.device, bob.device, carol.device)
    office.take(alice.device, alice.device.plan(adding(bob)))
    office.read(alice.device, carol.device)
    again = office.intros[bob.intro][-1]
    gone = bob.device.conversation
    bob.device.conversation = replace(gone, left_in=gone.left_in + 9)
    with pytest.raises(BadEnvelope):
        bob.device.invited(again, [bob.device.conversation])
    bob.device.conversation = gone
    office.join(bob)
    say(office, alice, "welcome back")
    office.read(bob.device)
    agree(alice, bob, carol)
    assert bob.device.texts == ["welcome back"]


def test_group_12_a_few_are_asked_for_a_readmission_and_others_the_next_time() -> None:
    members = [bytes([n]) * 32 for n in range(40)]
    few = [picked(members, members[0], os.urandom(16)) for _ in range(8)]
    assert {len(one) for one in few} == {RESPONDERS}
    assert members[0] not in {one for some in few for one in some}
    assert len({tuple(one) for one in few}) > 1


def test_group_03_an_old_departure_does_not_remove_who_came_back() -> None:
    office, (alice, bob, carol) = group_of("Alice", "Bob", "Carol")
    session = bob.device.session()
    departure = sign_departure(session, bob.device.conversation.id)
    office.take(bob.device, bob.device.leave())
    office.read(alice.device, carol.device)
    office.take(alice.device, alice.device.plan(adding(bob)))
    office.read(alice.device, carol.device)
    office.join(bob)
    assert departure.signature_key == bob.device.public
    with pytest.raises(NotPermitted):
        carol.device.plan(Plan(GroupChange(NO_HASH, departed=[departure]), remove=[bob.public]))


def test_group_03_nobody_is_put_out_by_a_readmission_that_it_has_not_asked_for() -> None:
    office, (alice, bob, carol) = group_of("Alice", "Bob", "Carol")
    leaf = next(
        m.leaf
        for m in bob.device.session().members(bob.device.conversation.id)
        if m.signature_key == alice.device.public
    )
    for data in (b"", encode(GroupChange(state_hash(bob.device.conversation.id, state(bob.device))))):
        forced(office, bob, data, alice.checked().packages, [leaf])
        office.read(alice.device, carol.device)
        assert (alice.device.steps[-1].skipped, carol.device.steps[-1].skipped) == (1, 1)
    assert alice.device.conversation.state is ConversationState.ACTIVE


def test_group_13_who_was_told_another_state_opens_nothing() -> None:
    _, (alice, bob) = group_of("Alice", "Bob")
    group = state(alice.device)
    lied = replace(group, name="Another name")
    session, of = bob.device.session(), bob.device.conversation.id
    assert epoch_key(session, of, group) == alice.device.conversation.epoch_keys[0]
    assert epoch_key(session, of, lied) != alice.device.conversation.epoch_keys[0]


def test_conversation_22_a_commit_under_an_older_key_is_passed_over_by_all() -> None:
    office, (alice, bob, carol) = group_of("Alice", "Bob", "Carol")
    office.take(alice.device, alice.device.update())
    office.read(alice.device, bob.device, carol.device)
    bob.device.conversation = replace(bob.device.conversation, epoch_keys=bob.device.conversation.epoch_keys[1:])
    office.take(bob.device, bob.device.update())
    office.read(alice.device, carol.device)
    assert (alice.device.steps[-1].skipped, carol.device.steps[-1].skipped) == (1, 1)


def test_conversation_22_a_commit_under_an_older_key_loses_nobody_who_cannot_follow_it() -> None:
    office, (alice, bob, carol) = group_of("Alice", "Bob", "Carol")
    office.take(alice.device, alice.device.update())
    office.read(alice.device, bob.device, carol.device)
    bob.device.conversation = replace(bob.device.conversation, epoch_keys=bob.device.conversation.epoch_keys[1:])
    office.take(bob.device, bob.device.update())
    forget_path_secrets(carol.device)
    office.read(alice.device, carol.device)
    assert [one.device.conversation.state for one in (alice, carol)] == [ConversationState.ACTIVE] * 2


def test_conversation_24_who_wrote_before_it_met_a_commit_in_our_hole_does_not_hide_that_we_missed_one() -> None:
    office, (alice, bob, carol) = group_of("Alice", "Bob", "Carol")
    office.take(alice.device, alice.device.plan(RENAMED))
    say(office, carol, "crosses the commit")
    office.read(alice.device, carol.device)
    say(office, carol, "behind it")
    bob.device.follow(office.logs[bob.device.conversation.log.mailbox][1:])
    assert (bob.device.texts, bob.device.conversation.state) == (["crosses the commit"], ConversationState.LOST)


def test_conversation_24_who_has_read_past_our_hole_shows_that_no_commit_was_in_it() -> None:
    office, (alice, bob, carol) = group_of("Alice", "Bob", "Carol")
    say(office, alice, "expires")
    office.read(alice.device, carol.device)
    say(office, carol, "has read it")
    bob.device.follow(office.logs[bob.device.conversation.log.mailbox][1:])
    assert not bob.device.conversation.gap


def test_an_own_commit_that_cannot_be_read_is_not_passed_over() -> None:
    """Others follow it, so whoever went on without it would be in an epoch of its own, and not know."""
    office, (alice, bob, _) = group_of("Alice", "Bob", "Carol")
    office.take(alice.device, alice.device.update())
    group = [key for key in alice.device.entries if key.startswith(b"g")]
    for key in group:
        alice.device.entries[key] = alice.device.entries[key][:-1] + b"?"
    office.read(bob.device)
    alice.device.follow(office.waiting(alice.device))
    assert alice.device.conversation.state is ConversationState.LOST


def test_who_lost_track_and_was_not_answered_can_leave_and_be_added_again() -> None:
    office, (alice, bob, carol) = group_of("Alice", "Bob", "Carol")
    office.take(alice.device, alice.device.update())
    forget_path_secrets(bob.device)
    office.read(bob.device)
    office.read(alice.device, carol.device)
    assert bob.device.conversation.state is ConversationState.LOST
    office.take(alice.device, alice.device.plan(removing(bob)))
    office.read(alice.device, carol.device)
    office.take(alice.device, alice.device.plan(adding(bob)))
    office.read(alice.device, carol.device)
    result = bob.device.invited(office.intros[bob.intro].pop(), [bob.device.conversation])
    assert (result.again, result.step.conversation.state) == (None, ConversationState.REQUESTED)


def test_two_admins_who_leave_at_once_are_removed_by_a_member() -> None:
    office, (alice, bob, carol) = group_of("Alice", "Bob", "Carol")
    office.take(alice.device, alice.device.plan(promoting(bob)))
    office.read(alice.device, bob.device, carol.device)
    office.take(alice.device, alice.device.leave())
    office.take(bob.device, bob.device.leave())
    office.read(carol.device)
    assert [(m.identity, m.role) for m in state(carol.device).members] == [(carol.public, Role.ADMIN)]


def test_a_member_that_lost_track_is_readmitted() -> None:
    office, (alice, bob, carol) = group_of("Alice", "Bob", "Carol")
    office.take(alice.device, alice.device.update())
    forget_path_secrets(bob.device)
    office.read(bob.device)
    assert bob.device.conversation.state is ConversationState.LOST
    office.read(alice.device, carol.device)
    office.take(bob.device, bob.device.ask_resync())
    office.read(alice.device, carol.device)
    office.join(bob)
    say(office, carol, "there you are")
    office.read(alice.device, bob.device)
    assert bob.device.texts == ["there you are"]
    agree(alice, bob, carol)


def test_two_devices_of_one_account_that_lost_track_both_come_back() -> None:
    _, (alice, bob, carol) = group_of("Alice", "Bob", "Carol")
    group, session = carol.device.conversation.id, carol.device.session()
    by_carol = sign_readmission(session, group, session.epoch(group))
    for device, number in ((bob.device, 1), (carol.device, 1)):
        assert device.session().epoch(group) == number
    after = follows(
        state(alice.device),
        GroupChange(NO_HASH, readmitted=[by_carol]),
        [],
        {carol.device.public: carol.public},
        7,
    )
    assert [member.joined for member in after.members] == [member.joined for member in state(alice.device).members]
    members = session.members(group)
    assert proved(group, after, members, [by_carol]) == {}, "by one proof a device comes back once"
    by_bob = sign_readmission(bob.device.session(), group, 1)
    assert proved(group, after, members, [by_bob]) == {bob.device.public: bob.public}


def test_a_member_that_lost_track_long_ago_across_a_move_is_readmitted() -> None:
    office, (alice, bob, carol, dave) = group_of("Alice", "Bob", "Carol", "Dave")
    forget_path_secrets(bob.device)
    office.take(alice.device, alice.device.update())
    office.read(bob.device)
    office.read(alice.device, carol.device, dave.device)
    office.take(alice.device, alice.device.plan(removing(dave)))
    office.read(alice.device, carol.device)
    for _ in range(6):
        office.take(carol.device, carol.device.update())
        office.read(alice.device, carol.device)
    office.take(bob.device, bob.device.ask_resync())
    office.read(alice.device, carol.device)
    office.join(bob)
    say(office, carol, "there you are")
    office.read(alice.device, bob.device)
    assert bob.device.texts == ["there you are"]
    agree(alice, bob, carol)


def test_a_removed_member_asks_in_vain_and_cannot_read_what_is_asked_after_it() -> None:
    office, (alice, bob, carol, dave) = group_of("Alice", "Bob", "Carol", "Dave")
    known, asked = dave.device.conversation.request_keys, dave.device
    asked.conversation = replace(asked.conversation, lost_commit=bytes(16))
    office.take(alice.device, alice.device.plan(removing(dave)))
    office.read(alice.device, bob.device, carol.device)
    office.take(asked, asked.ask_resync())
    office.read(alice.device, bob.device, carol.device)
    assert {one.device.conversation.pending for one in (alice, bob, carol)} == {None}
    assert not set(known) & {alice.device.conversation.request_keys[0]}


def test_all_who_have_lost_track_at_once_come_back_by_one_commit_of_who_has_not() -> None:
    office, people = group_of("Alice", "Bob", "Carol", "Dave", "Eve")
    alice, *others = people
    for other in others:
        forget_path_secrets(other.device)
    office.take(alice.device, alice.device.update())
    office.read(*(other.device for other in others))
    lost = others
    while lost:
        # Of those that are asked some have lost track as well.
        for other in lost:
            office.take(other.device, other.device.ask_resync())
        before = len(office.logs[alice.device.conversation.log.mailbox])
        office.read(alice.device)
        assert len(office.logs[alice.device.conversation.log.mailbox]) <= before + 1, "one commit for all"
        office.join(*(other for other in lost if office.intros.get(other.intro)))
        lost = [other for other in lost if other.device.conversation.state is ConversationState.LOST]
    say(office, alice, "there you are")
    office.read(*(person.device for person in people))
    assert [other.device.texts for other in others] == [["there you are"]] * 4
    agree(*people)
