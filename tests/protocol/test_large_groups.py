"""Groups that no envelope takes: the tree lies in a blob, and whoever is welcomed finds it there."""

import copy
import dataclasses
import os
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from grue._core import MlsMissing, MlsRefused
from grue.errors import BadAttachment, TooLarge
from grue.protocol.blobs import Sealing
from grue.protocol.conversation.commits import DAY_MS, RENEWALS_A_DAY, UPDATE_AFTER_MS, gathered, update_due
from grue.protocol.conversation.contents import CommitPart, IntroWelcome, LargeGroup, TreePlace
from grue.protocol.conversation.conversation import ConversationState, Outgoing, Purpose, Step
from grue.protocol.conversation.first_contact import group_of as group_of_welcome
from grue.protocol.conversation.first_contact import open_intro, start_group
from grue.protocol.conversation.mailbox import ReaderState
from grue.protocol.conversation.trees import large_group, place_of
from grue.protocol.wire import ENVELOPE_BUCKETS, MAX_BLOB_DAYS, MAX_SLOTS, Post, PostIntro, PutBlob, encode
from tests.protocol.people import TOOLS, Office, Person, group_of
from tests.protocol.test_groups import adding, agree, removing, say


def numbered(count: int) -> list[str]:
    return [str(n) for n in range(count)]


def invitation_of(office: Office, person: Person) -> tuple[bytes, IntroWelcome, LargeGroup]:
    """What waits for somebody, and what it leaves out."""
    blob = office.intros[person.intro][-1]
    payload, large = open_intro(blob, person.secret), office.large(person.device, blob)
    assert isinstance(payload, IntroWelcome)
    assert large is not None
    return blob, payload, large


def added_to(count: int) -> tuple[Office, list[Person], Person]:
    """A group, and somebody who was added to it and has not joined yet."""
    office, people = group_of(*numbered(count))
    newcomer = Person("+447700900199")
    office.take(people[0].device, people[0].device.plan(adding(newcomer)))
    office.read(people[0].device)
    return office, people, newcomer


def test_group_30_a_large_group_is_founded_and_joined_by_a_tree_in_a_blob() -> None:
    office, people = group_of(*numbered(40))
    say(office, people[0], "all here?")
    office.read(people[1].device, people[39].device)
    assert people[39].device.texts == ["all here?"]
    agree(*people)


def test_group_30_a_newcomer_reads_what_comes_after_it() -> None:
    office, people, newcomer = added_to(30)
    office.join(newcomer)
    say(office, people[0], "welcome")
    office.read(newcomer.device)
    assert newcomer.device.texts == ["welcome"]
    agree(people[0], newcomer)


def test_group_30_each_gets_a_welcome_that_fits_the_third_envelope() -> None:
    founder = Person("+447700900001")
    others = [Person(f"+4477009003{n:02}") for n in range(40)]
    session = founder.device.session()
    step = start_group(session, founder.device.me, [one.checked() for one in others], "Hike", "", TOOLS)
    intros = [one.request for one in step.outgoing if isinstance(one.request, PostIntro)]
    assert {len(intro.blob) for intro in intros} == {ENVELOPE_BUCKETS[2]}
    parts = [one for one in step.outgoing if one.purpose is Purpose.TREE]
    assert all(isinstance(part.request, PutBlob) and part.request.days == MAX_BLOB_DAYS for part in parts)
    last = max(n for n, one in enumerate(step.outgoing) if one.purpose is Purpose.TREE)
    first = min(n for n, one in enumerate(step.outgoing) if one.purpose is Purpose.INTRODUCE)
    assert last < first, "nobody is welcomed before the tree is there"


def test_group_30_the_server_finds_no_place_and_no_member_in_what_it_carries() -> None:
    office, people, newcomer = added_to(30)
    blob, payload, large = invitation_of(office, newcomer)
    place = place_of(newcomer.device.session(), payload, group_of_welcome(payload))
    assert place is not None
    carried = blob + b"".join(office.blobs.values())
    assert place.key not in carried
    assert not any(member.identity in carried for member in large.group.members)
    assert len(people) == len(large.group.members) - 1


def test_group_30_a_tree_of_another_epoch_is_refused() -> None:
    office, people, newcomer = added_to(30)
    blob, _, large = invitation_of(office, newcomer)
    later = Person("+447700900198")
    office.take(people[0].device, people[0].device.plan(adding(later)))
    office.read(people[0].device)
    _, _, other = invitation_of(office, later)
    with pytest.raises(MlsRefused):
        newcomer.device.invited(blob, large=replace(large, tree=other.tree))
    newcomer.device.invited(blob, large=large)


def test_group_30_without_its_tree_a_welcome_leads_nowhere() -> None:
    office, _, newcomer = added_to(30)
    blob, _, _ = invitation_of(office, newcomer)
    with pytest.raises(MlsMissing):
        newcomer.device.invited(blob)


def test_group_30_a_place_that_was_sealed_by_somebody_else_is_refused() -> None:
    office, _, newcomer = added_to(30)
    _, payload, _ = invitation_of(office, newcomer)
    group, session = group_of_welcome(payload), newcomer.device.session
    for tree in (b"", b"x", payload.tree[:-1], os.urandom(len(payload.tree)), payload.tree[::-1]):
        with pytest.raises(BadAttachment):
            place_of(session(), replace(payload, tree=tree), group)
    with pytest.raises(BadAttachment):
        place_of(session(), payload, bytes(32))


def test_group_30_what_lies_at_the_place_and_is_no_group_is_refused() -> None:
    for junk in (b"", b"junk", encode(TreePlace(bytes(32), 1)), os.urandom(500)):
        with pytest.raises(BadAttachment):
            large_group(junk)
    sealing = Sealing(bytes(32), 10)
    with pytest.raises(BadAttachment):
        sealing.unseal(0, os.urandom(sealing.size))


def test_group_04_of_more_than_a_thousand_devices_nothing_is_made() -> None:
    founder, other = Person("+447700900001"), Person("+447700900002")
    peer = other.checked()
    crowd = dataclasses.replace(peer, packages=peer.packages * MAX_SLOTS)
    with pytest.raises(TooLarge):
        start_group(founder.device.session(), founder.device.me, [crowd], "Hike", "", TOOLS)


# --- commits in parts -----------------------------------------------------------------------------

LARGE = 64
"""So many that a commit fits no envelope as long as few have written."""


@pytest.fixture(scope="module")
def made() -> tuple[Office, list[Person]]:
    """A large group. It takes a second or two, so tests copy it."""
    return group_of(*numbered(LARGE))


@pytest.fixture
def large(made: tuple[Office, list[Person]]) -> tuple[Office, list[Person]]:
    return copy.deepcopy(made)


def posts(outgoing: Sequence[Outgoing]) -> list[Outgoing]:
    return [one for one in outgoing if isinstance(one.request, Post)]


def test_group_31_a_commit_that_fits_no_envelope_goes_out_in_parts_and_all_follow(
    large: tuple[Office, list[Person]],
) -> None:
    office, people = large
    alice, bob, carol = (person.device for person in people[:3])
    outgoing = bob.update()
    assert [one.purpose for one in posts(outgoing)] == [Purpose.PART, Purpose.COMMIT]
    assert outgoing[-1].envelope == bob.conversation.pending.envelope if bob.conversation.pending else False
    office.take(bob, outgoing)
    office.read(alice, bob, carol)
    assert bob.conversation.pending is None
    assert len({one.conversation.epoch_keys[0] for one in (alice, bob, carol)}) == 1
    say(office, people[0], "followed")
    office.read(bob, carol)
    assert [one.texts for one in (bob, carol)] == [["followed"], ["followed"]]


def test_group_31_parts_count_also_when_each_is_read_by_itself(large: tuple[Office, list[Person]]) -> None:
    office, people = large
    bob, carol = people[1].device, people[2].device
    office.take(bob, bob.update())
    for delivery in office.waiting(carol):
        carol.follow([delivery])
    office.read(bob)
    assert carol.conversation.epoch_keys[0] == bob.conversation.epoch_keys[0]


def test_group_31_of_two_in_parts_the_one_that_is_complete_first_wins(large: tuple[Office, list[Person]]) -> None:
    office, people = large
    alice, bob, carol = (person.device for person in people[:3])
    slow, fast = posts(bob.update()), posts(carol.update())
    for one in (slow[0], *fast, *slow[1:]):
        office.take(alice, [one])
    office.read(alice, bob, carol)
    assert len({one.conversation.epoch_keys[0] for one in (alice, bob, carol)}) == 1
    assert (bob.conversation.pending, carol.conversation.pending) == (None, None)
    assert carol.conversation.since == bob.conversation.since
    assert not alice.parts or not any(alice.parts.values())


def test_group_31_parts_out_of_order_or_missing_are_passed_over_by_all(large: tuple[Office, list[Person]]) -> None:
    office, people = large
    alice, bob, carol = (person.device for person in people[:3])
    first, last = posts(bob.update())
    for wrong in ([last], [last, first], [first, first]):
        for one in wrong:
            office.take(alice, [one])
        before = alice.conversation.epoch_keys
        office.read(alice, carol)
        assert alice.conversation.epoch_keys == carol.conversation.epoch_keys == before


def test_group_31_parts_of_another_leaf_complete_nothing() -> None:
    step = Step(group_of("Alice", "Bob")[1][0].device.conversation)
    piece = b"\x00\x01\x00\x01"
    parts = [CommitPart(bytes(16), n, 2, piece) for n in range(2)]
    assert gathered(step, 1, parts[0], lambda _leaf: ()) is None
    assert gathered(step, 2, parts[1], lambda _leaf: ()) is None
    assert gathered(step, 1, parts[1], lambda _leaf: ()) == piece * 2


def test_group_31_what_the_parts_make_is_a_commit_or_nothing() -> None:
    """Else somebody could have a message opened there, so that its own envelope comes too late."""
    step = Step(group_of("Alice", "Bob")[1][0].device.conversation)
    for piece in (b"\x00\x01\x00\x02", b"", b"junk"):
        parts = [CommitPart(bytes(16), n, 2, piece) for n in range(2)]
        assert [gathered(step, 1, part, lambda _leaf: ()) for part in parts] == [None, None]


def test_group_31_who_is_removed_by_a_commit_in_parts_is_out(large: tuple[Office, list[Person]]) -> None:
    office, people = large
    alice, bob, carol = people[:3]
    outgoing = alice.device.plan(removing(bob))
    assert [one.purpose for one in posts(outgoing)] == [Purpose.PART, Purpose.CHANGE]
    office.take(alice.device, outgoing)
    office.read(alice.device, bob.device, carol.device)
    assert bob.device.conversation.state is ConversationState.GONE
    assert alice.device.conversation.log.mailbox == carol.device.conversation.log.mailbox
    say(office, carol, "moved")
    office.read(alice.device)
    assert alice.device.texts[-1] == "moved"


def test_after_eight_commits_on_a_day_nobody_renews() -> None:
    conversation = group_of("Alice", "Bob")[1][1].device.conversation
    later = conversation.since + UPDATE_AFTER_MS + 1
    active = replace(
        conversation, state=ConversationState.ACTIVE, log=replace(conversation.log, state=ReaderState.READING)
    )
    assert update_due(active, later)
    today = later // DAY_MS
    assert not update_due(replace(active, commits=(today, RENEWALS_A_DAY)), later)
    assert update_due(replace(active, commits=(today, RENEWALS_A_DAY - 1)), later)
    assert update_due(replace(active, commits=(today - 1, RENEWALS_A_DAY)), later)
