"""First contact between accounts that meet only through a directory record and an intro mailbox."""

import itertools
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from grue._core import MlsError
from grue.errors import BadEnvelope, BadKeyPackage, GrueError, TooLarge
from grue.protocol import wire
from grue.protocol.accountkey import PUBLIC_BYTES
from grue.protocol.conversation.contents import INTRO_PAYLOAD, IntroSealed, IntroSms, IntroWelcome, Text
from grue.protocol.conversation.conversation import ConversationEvent, ConversationState, Purpose, become
from grue.protocol.conversation.devices import device_list_hash, sign_device_list, verify_device_list
from grue.protocol.conversation.first_contact import (
    check_claimed,
    invited,
    open_intro,
    settle,
    start_conversation,
    start_group,
)
from grue.protocol.conversation.padding import pad, unpad
from tests.protocol.people import TOOLS, Person, first_contact, group_of
from tests.protocol.test_groups import adding

ALICE, BOB, CAROL = "+447700900001", "+447700900002", "+447700900003"


def test_devices_01_a_list_that_its_identity_key_did_not_sign_is_refused() -> None:
    alice, mallory = Person(ALICE), Person(CAROL)
    listed = verify_device_list(alice.list)
    forged = sign_device_list(listed, mallory.identity)
    for bad in (forged, alice.list[:-1], b"", os.urandom(200)):
        with pytest.raises(BadKeyPackage):
            verify_device_list(bad)


def test_devices_02_a_list_of_another_account_is_refused() -> None:
    with pytest.raises(BadKeyPackage):
        verify_device_list(Person(ALICE).list, Person(BOB).public)


def test_conversation_01_another_or_an_older_device_list_than_the_records_is_refused() -> None:
    bob = Person(BOB)
    claimed, listed_hash = bob.claimed(), device_list_hash(bob.list)
    assert check_claimed(claimed, bob.public, listed_hash, 1).devices.version == 1
    for identity, digest, known in (
        (Person(CAROL).public, listed_hash, 0),
        (bob.public, bytes(16), 0),
        (bob.public, listed_hash, 2),
    ):
        with pytest.raises(BadKeyPackage):
            check_claimed(claimed, identity, digest, known)


def test_conversation_02_key_packages_must_be_of_listed_devices_and_one_at_most_of_each() -> None:
    bob, mallory = Person(BOB, devices=2), Person(CAROL)
    one, two = bob.claimed().packages
    theirs = mallory.claimed().packages[0]
    for packages in (
        [one, one],
        [one, two, theirs],
        [one, replace(two, package=one.package)],
        [one, replace(two, package=theirs.package)],
        [one, replace(two, package=two.package[:-1])],
        [one, replace(two, package=os.urandom(2800))],
        [],
    ):
        with pytest.raises(BadKeyPackage):
            bob.checked(wire.Claimed(bob.list, packages))
    for left in ([one, two], [one], [two]):
        assert bob.checked(wire.Claimed(bob.list, left)).packages == [claimed.package for claimed in left]


def test_founding_creates_the_mailbox_before_it_introduces() -> None:
    alice, bob = Person(ALICE), Person(BOB)
    outgoing, blob = first_contact(alice.device, bob)
    assert [o.purpose for o in outgoing] == [Purpose.START, Purpose.INTRODUCE]
    assert len(blob) in wire.ENVELOPE_BUCKETS
    assert alice.device.conversation.state is ConversationState.STARTED


def test_the_text_arrives_with_the_invitation_and_nothing_goes_out() -> None:
    alice, bob = Person(ALICE), Person(BOB)
    _, blob = first_contact(alice.device, bob, "hello")
    result = bob.device.invited(blob)
    assert (bob.device.texts, result.number, result.again) == (["hello"], ALICE, None)
    assert result.step.conversation.state is ConversationState.REQUESTED
    assert result.step.outgoing == []


def test_both_devices_of_both_accounts_can_join() -> None:
    alice, bob = Person(ALICE, devices=2), Person(BOB, devices=2)
    session = alice.device.session()
    text = Text(os.urandom(16), "hello", 0)
    step = start_conversation(session, alice.device.me, bob.checked(), text, TOOLS, [alice.devices[1].package()])
    alice.device.keep(session)
    blobs = {o.request.mailbox: o.request.blob for o in step.outgoing if isinstance(o.request, wire.PostIntro)}
    assert set(blobs) == {bob.intro, alice.intro}
    for device in bob.devices:
        device.invited(blobs[bob.intro])
        assert device.texts == ["hello"]


def test_an_invitation_is_for_the_invited_only() -> None:
    alice, bob, carol = Person(ALICE), Person(BOB), Person(CAROL)
    _, blob = first_contact(alice.device, bob)
    carol.device.package()
    with pytest.raises(BadEnvelope):
        carol.device.invited(blob)
    carol.device.secret = bob.secret
    with pytest.raises(MlsError):
        carol.device.invited(blob)


def test_conversation_03_a_group_of_more_than_two_accounts_is_no_conversation() -> None:
    alice, bob, carol = Person(ALICE), Person(BOB), Person(CAROL)
    session = alice.device.session()
    text = Text(os.urandom(16), "hello", 0)
    step = start_conversation(session, alice.device.me, bob.checked(), text, TOOLS, [carol.device.package()])
    blob = next(o.request.blob for o in step.outgoing if isinstance(o.request, wire.PostIntro))
    with pytest.raises(BadKeyPackage):
        bob.device.invited(blob)


def test_conversation_04_a_leaf_that_is_not_on_its_accounts_list_is_refused() -> None:
    alice, bob = Person(ALICE, devices=2), Person(BOB)
    session = alice.device.session()
    other = alice.devices[1].package()
    # Alice's list no longer has her second device, whose certificate is still good.
    alice.relist([alice.device.public], version=2)
    text = Text(os.urandom(16), "hello", 0)
    step = start_conversation(session, alice.device.me, bob.checked(), text, TOOLS, [other])
    blob = next(o.request.blob for o in step.outgoing if isinstance(o.request, wire.PostIntro))
    with pytest.raises(BadKeyPackage):
        bob.device.invited(blob)


def test_conversation_07_a_welcome_to_a_group_that_we_are_in_is_refused_unless_it_is_lost() -> None:
    alice, bob = Person(ALICE), Person(BOB)
    _, blob = first_contact(alice.device, bob)
    entries = dict(bob.device.entries)
    bob.device.invited(blob)
    bob.device.accept()
    active = bob.device.conversation
    bob.device.entries = entries
    with pytest.raises(BadEnvelope):
        bob.device.invited(blob, [active])
    # Nor is the first one played again to one that is lost: CONVERSATION-14.
    bob.device.entries = entries
    bob.device.invited(blob)
    with pytest.raises((BadKeyPackage, MlsError)):
        bob.device.invited(blob, [become(active, ConversationEvent.LOST_TRACK)])


def test_a_text_that_does_not_fit_beside_the_welcome_is_refused_before_anything_is_kept() -> None:
    alice, bob = Person(ALICE), Person(BOB)
    with pytest.raises(TooLarge):
        first_contact(alice.device, bob, "x" * 65_000)


def test_an_invitation_that_replaces_a_conversation_supersedes_it() -> None:
    alice, bob = Person(ALICE), Person(BOB)
    _, first = first_contact(alice.device, bob)
    bob.device.invited(first)
    bob.device.accept()
    old = bob.device.conversation
    session = alice.device.session()
    text = Text(os.urandom(16), "again", 0)
    step = start_conversation(session, alice.device.me, bob.checked(), text, TOOLS, replaces=old.id)
    blob = next(o.request.blob for o in step.outgoing if isinstance(o.request, wire.PostIntro))
    result = bob.device.invited(blob, [old])
    new, left = settle(result, [old], TOOLS)
    assert new.conversation.state is ConversationState.ACTIVE
    assert [(c.id, c.state) for c in left] == [(old.id, ConversationState.SUPERSEDED)]


@given(st.binary(max_size=2048) | st.binary(max_size=60_000).map(pad))
def test_any_bytes_in_an_intro_mailbox_are_a_payload_or_refused(blob: bytes) -> None:
    try:
        payload = open_intro(blob, bytes(32))
    except BadEnvelope:
        return
    assert isinstance(payload, IntroWelcome | IntroSms)


@given(at=st.integers(min_value=0), bit=st.integers(0, 7))
def test_any_changed_bit_of_an_invitation_is_refused_or_changes_nothing(at: int, bit: int) -> None:
    alice, bob, blob, text = _invitation()
    payload = bytearray(wire.encode(open_intro(blob, bob.secret)))
    payload[at % len(payload)] ^= 1 << bit
    session = bob.device.session()
    try:
        changed = INTRO_PAYLOAD.decode(bytes(payload))
        assert isinstance(changed, IntroWelcome)
        result = invited(session, bob.device.me, changed, lambda _group: None, lambda _identity: 0, TOOLS)
    except (GrueError, MlsError, AssertionError):
        return
    assert result.device_list.identity_public == alice.public
    assert [incoming.text.text for incoming in result.step.incoming] == [text]


_KEPT: list[tuple[Person, Person, bytes, str]] = []


def _invitation() -> tuple[Person, Person, bytes, str]:
    """One invitation for all examples; nobody joins by it."""
    if not _KEPT:
        alice, bob = Person(ALICE), Person(BOB)
        _KEPT.append((alice, bob, first_contact(alice.device, bob)[1], "hello"))
    return _KEPT[0]


def _windows(blob: bytes) -> set[bytes]:
    """All runs of 8 bytes in what a server is given, but padding."""
    payload = unpad(blob)
    return {payload[at : at + 8] for at in range(len(payload) - 7)}


@pytest.mark.parametrize("others", [3, 20])
def test_conversation_25_invitations_into_one_group_have_nothing_in_common_for_a_server(others: int) -> None:
    """Founding and adding, small and so large that the tree lies in a blob."""
    office, people = group_of(*map(str, range(others)))
    for more in (False, True):
        three = [Person(f"+44770090080{n}") for n in range(3)]
        if more:
            office.take(people[0].device, people[0].device.plan(adding(*three)))
            office.read(people[0].device)
        else:
            step = start_group(
                people[0].device.session(), people[0].device.me, [p.checked() for p in three], "Hike", "", TOOLS
            )
            office.take(people[0].device, step.outgoing)
        blobs = [office.intros[person.intro][-1] for person in three]
        assert all(isinstance(INTRO_PAYLOAD.decode(unpad(blob)), IntroSealed) for blob in blobs)
        for one, other in itertools.combinations(blobs, 2):
            assert not _windows(one) & _windows(other)


def test_conversation_25_nobody_is_invited_whose_list_has_no_key_to_seal_to() -> None:
    for key in (b"", bytes(PUBLIC_BYTES), os.urandom(PUBLIC_BYTES + 1)):
        bob = Person(BOB)
        bob.list = sign_device_list(wire.DeviceList(1, bob.public, key, bob.intro, [bob.device.public]), bob.identity)
        with pytest.raises(BadKeyPackage):
            bob.checked()


def test_an_invitation_of_before_they_were_sealed_is_read_as_before() -> None:
    alice, bob = Person(ALICE), Person(BOB)
    _, blob = first_contact(alice.device, bob)
    clear = pad(wire.encode(open_intro(blob, bob.secret)))
    assert [one.text.text for one in bob.device.invited(clear).step.incoming] == ["hello"]
