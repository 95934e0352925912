"""A device that lost track asks to be readmitted: by what it comes back, and what that may cost the other side."""

import os

import pytest
from msgspec.structs import replace

from grue._core import MlsError
from grue.errors import BadEnvelope, BadKeyPackage
from grue.protocol import wire
from grue.protocol.conversation.contents import ResyncRequest
from grue.protocol.conversation.conversation import ConversationEvent, Purpose, Step, become, post
from grue.protocol.conversation.follow import ASK_AGAIN_MS, DAY_MS, READMISSIONS_A_DAY
from grue.protocol.conversation.stored import Asked, Member
from tests.protocol.people import TOOLS, Mailbox, Person, acquainted, exchange
from tests.protocol.test_conversation import forget_path_secrets


def _lost_and_readmitted(drop_first: bool = False) -> tuple[Person, Person, Mailbox, bytes]:
    """Bob has lost track, asked, and was readmitted by Alice; the last is the Welcome that he has to come back by."""
    alice, bob, mailbox = acquainted()
    forget_path_secrets(bob.device)
    mailbox.take(alice.device.update())
    exchange(mailbox, alice.device)
    bob.device.follow(mailbox.after(bob.device))
    mailbox.take(bob.device.ask_resync())
    exchange(mailbox, alice.device)
    if drop_first:
        # As `ASK_AGAIN_MS` later.
        alice.device.readmitted.clear()
        mailbox.take(bob.device.ask_resync())
        exchange(mailbox, alice.device)
    return alice, bob, mailbox, _welcomes(alice, bob)[-1]


def _welcomes(alice: Person, bob: Person) -> list[bytes]:
    return [
        o.request.blob
        for step in alice.device.steps
        for o in step.outgoing
        if isinstance(o.request, wire.PostIntro) and o.request.mailbox == bob.intro
    ]


def test_conversation_14_no_welcome_but_the_answer_to_the_own_request_leads_back_into_a_lost_group() -> None:
    alice, bob, _, welcome = _lost_and_readmitted()
    lost = bob.device.conversation
    # The same Welcome, when it was to a package that was made for something else.
    for asked in (None, Asked(os.urandom(len(lost.asked.reference)) if lost.asked else b"", b"")):
        entries = dict(bob.device.entries)
        with pytest.raises(BadKeyPackage):
            bob.device.invited(welcome, [replace(lost, asked=asked)])
        bob.device.entries = entries
    # Lost again later, the Welcome of the first time is of no use, and a new request names another package.
    bob.device.invited(welcome, [lost])
    again = replace(become(lost, ConversationEvent.REJOINED), asked=None)
    with pytest.raises((MlsError, BadKeyPackage)):
        bob.device.invited(welcome, [become(again, ConversationEvent.LOST_TRACK)])
    assert lost.others == {alice.public}


def test_conversation_14_an_epoch_that_is_not_later_is_not_joined() -> None:
    _, bob, _, welcome = _lost_and_readmitted()
    lost, entries = bob.device.conversation, dict(bob.device.entries)
    bob.device.invited(welcome, [lost])
    later = {key: value for key, value in bob.device.entries.items() if key.startswith(b"g")}
    bob.device.entries = {**entries, **later}
    with pytest.raises(BadEnvelope):
        bob.device.invited(welcome, [lost])


def test_a_second_request_names_the_same_key_package_and_either_answer_will_do() -> None:
    alice, bob, mailbox, welcome = _lost_and_readmitted(drop_first=True)
    assert bob.device.invited(welcome, [bob.device.conversation]).again
    bob.device.accept()
    assert bob.device.conversation.asked is None
    mailbox.take(alice.device.say("welcome back"))
    exchange(mailbox, alice.device, bob.device)
    assert bob.device.texts[-1] == "welcome back"


def _asks(bob: Person, mailbox: Mailbox, intro: bytes) -> None:
    """Bob, who has lost nothing, asks to be readmitted at this intro mailbox."""
    session = bob.device.session()
    package = session.key_package(bob.device.credential, last_resort=False)
    request = ResyncRequest(os.urandom(16), package, intro)
    outgoing = post(session, bob.device.conversation, request, Purpose.RESYNC, TOOLS)
    bob.device.keep(session)
    mailbox.take(bob.device.apply(Step(bob.device.conversation, [outgoing])))


def test_conversation_15_a_welcome_goes_to_the_intro_mailbox_of_the_device_list_and_no_other() -> None:
    alice, bob, mailbox = acquainted()
    for intro in (os.urandom(32), alice.intro):
        _asks(bob, mailbox, intro)
        assert alice.device.follow(mailbox.after(alice.device)) == []
        assert alice.device.steps[-1].skipped == 1
    _asks(bob, mailbox, bob.intro)
    assert [o.purpose for o in alice.device.follow(mailbox.after(alice.device))] == [Purpose.COMMIT]


def test_conversation_15_a_home_of_before_learns_the_intro_mailbox_and_keeps_to_it() -> None:
    alice, bob, mailbox = acquainted()
    alice.device.conversation = replace(alice.device.conversation, members=[Member(bob.public)])
    _asks(bob, mailbox, bob.intro)
    alice.device.follow(mailbox.after(alice.device))
    assert alice.device.conversation.members[0].intro_mailbox == bob.intro


def test_conversation_16_requests_are_answered_so_many_a_day_and_not_at_once() -> None:
    alice, bob, mailbox = acquainted()
    now = TOOLS.now_ms
    for lately, answered in (
        ([], True),
        ([now - ASK_AGAIN_MS + 1], False),
        ([now - ASK_AGAIN_MS], True),
        ([now - DAY_MS + 1] * READMISSIONS_A_DAY, False),
        ([now - DAY_MS] * READMISSIONS_A_DAY, True),
        # A clock that was years ahead locks nobody out.
        ([now + 1] * READMISSIONS_A_DAY, True),
    ):
        before, entries = alice.device.conversation, dict(alice.device.entries)
        alice.device.readmitted = {bob.public: list(lately)}
        _asks(bob, mailbox, bob.intro)
        assert bool(alice.device.follow(mailbox.after(alice.device)[-1:])) == answered
        alice.device.conversation, alice.device.entries = before, entries
