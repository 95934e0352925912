"""A device that lost track asks to be readmitted: by what it comes back, and what that may cost the other side."""

import os

import pytest
from msgspec.structs import replace

from grue._core import MlsError
from grue.errors import BadEnvelope, BadKeyPackage
from grue.protocol import wire
from grue.protocol.conversation.answering import READMISSIONS_A_DAY
from grue.protocol.conversation.asking import open_request, post_request
from grue.protocol.conversation.contents import IntroRequest, Readmission, ResyncRequest
from grue.protocol.conversation.conversation import (
    ConversationEvent,
    ConversationState,
    Outgoing,
    Purpose,
    Tools,
    become,
)
from grue.protocol.conversation.first_contact import open_intro
from grue.protocol.conversation.groups import READMIT_CONTEXT, sign_readmission
from grue.protocol.conversation.resync import ASK_AGAIN_MS, ASK_DAILY, DAY_MS, MAX_ASKS, ask_due, ask_resync
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
    alice.device.hear(bob.device.ask_resync())
    exchange(mailbox, alice.device)
    if drop_first:
        # As `ASK_AGAIN_MS` later.
        alice.device.readmitted.clear()
        lost = bob.device.conversation
        assert lost.asked is not None
        bob.device.conversation = replace(lost, asked=replace(lost.asked, times=ASK_DAILY + 1))
        alice.device.hear(bob.device.ask_resync())
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


def _asks(alice: Person, bob: Person, intro: bytes, package: bytes | None = None, number: int = 0) -> list[Outgoing]:
    """Bob, who has lost nothing, asks to be readmitted at this intro mailbox; returns what Alice does about it."""
    session, of = bob.device.session(), bob.device.conversation.id
    package = package or session.key_package(bob.device.credential, last_resort=False)
    proof = sign_readmission(session, of, number or session.epoch(of))
    bob.device.keep(session)
    request = ResyncRequest(os.urandom(16), package, intro, proof)
    alice.device.hear([post_request(bob.device.conversation.request_keys[0], alice.intro, request, TOOLS)])
    return alice.device.follow([])


def test_conversation_15_a_welcome_goes_to_the_intro_mailbox_of_the_device_list_and_no_other() -> None:
    alice, bob, _ = acquainted()
    for intro in (os.urandom(32), alice.intro):
        assert _asks(alice, bob, intro) == []
        assert alice.device.steps[-1].skipped == 1
    assert [o.purpose for o in _asks(alice, bob, bob.intro)] == [Purpose.CHANGE]


def test_a_home_that_does_not_know_whom_to_ask_begins_anew() -> None:
    alice, bob, mailbox = acquainted()
    forget_path_secrets(bob.device)
    bob.device.conversation = replace(bob.device.conversation, members=[Member(alice.public)])
    mailbox.take(alice.device.update())
    bob.device.follow(mailbox.after(bob.device))
    assert (bob.device.conversation.state, bob.device.conversation.lost_commit) == (ConversationState.LOST, b"")


def test_a_home_of_before_is_understood_while_somebody_has_the_key_of_its_epoch() -> None:
    alice, bob, mailbox = acquainted()
    for one in (alice, bob):
        one.device.conversation = replace(one.device.conversation, request_keys=[])
    forget_path_secrets(bob.device)
    mailbox.take(alice.device.update())
    exchange(mailbox, alice.device)
    bob.device.follow(mailbox.after(bob.device))
    alice.device.hear(bob.device.ask_resync())
    assert [o.purpose for o in alice.device.follow([])] == [Purpose.CHANGE]


def test_what_is_asked_can_be_read_however_many_commits_have_passed() -> None:
    alice, bob, mailbox = acquainted()
    forget_path_secrets(bob.device)
    for _ in range(9):
        mailbox.take(alice.device.update())
        exchange(mailbox, alice.device)
    bob.device.follow(mailbox.after(bob.device))
    alice.device.hear(bob.device.ask_resync())
    exchange(mailbox, alice.device)
    assert bob.device.invited(_welcomes(alice, bob)[-1], [bob.device.conversation]).again


def test_conversation_10_a_request_that_another_device_signed_is_passed_over() -> None:
    alice, bob, _ = acquainted()
    carol = Person("+447700900003")
    assert _asks(alice, bob, bob.intro, carol.device.package()) == []
    session = carol.device.session()
    session.create(os.urandom(32), carol.device.credential)
    of = bob.device.conversation.id
    forged = Readmission(bob.device.public, session.sign(READMIT_CONTEXT + of + bytes(8)), 0)
    request = ResyncRequest(os.urandom(16), bob.device.package(), bob.intro, forged)
    alice.device.hear([post_request(alice.device.conversation.request_keys[0], alice.intro, request, TOOLS)])
    assert alice.device.follow([]) == []


def test_conversation_21_a_proof_leads_back_once_and_a_later_one_again() -> None:
    alice, bob, mailbox = acquainted()
    mailbox.take(_asks(alice, bob, bob.intro, number=5))
    exchange(mailbox, alice.device)
    for number, leads in ((5, False), (4, False), (6, True)):
        # As a day later.
        alice.device.readmitted.clear()
        assert bool(_asks(alice, bob, bob.intro, number=number)) == leads


def test_who_is_not_answered_asks_less_and_less_often_and_ends() -> None:
    alice, bob, mailbox = acquainted()
    forget_path_secrets(bob.device)
    mailbox.take(alice.device.update())
    bob.device.follow(mailbox.after(bob.device))
    pauses: list[int] = []
    lost, now = bob.device.conversation, TOOLS.now_ms
    while len(pauses) <= MAX_ASKS and ask_due(lost, now + DAY_MS):
        session = bob.device.session()
        pauses.append(next(n for n in range(1441) if ask_due(lost, now + n * 60_000)))
        now += pauses[-1] * 60_000
        lost = ask_resync(session, lost, bob.device.me, Tools(now, os.urandom)).conversation
        bob.device.keep(session)
    assert pauses[:9] == [0, 10, 20, 40, 80, 160, 320, 640, 1280]
    assert set(pauses[9:]) == {1440}
    assert len(pauses) == MAX_ASKS


def test_no_bytes_in_an_intro_mailbox_are_a_request_without_the_key() -> None:
    alice, bob, _ = acquainted()
    key, (request,) = alice.device.conversation.request_keys[0], [_request(bob)]
    posted = post_request(key, alice.intro, request, TOOLS).request
    assert isinstance(posted, wire.PostIntro)
    payload = open_intro(posted.blob, alice.secret)
    assert isinstance(payload, IntroRequest)
    assert open_request([key], alice.intro, posted.envelope, payload) == request
    assert open_request([os.urandom(32)], alice.intro, posted.envelope, payload) is None
    assert open_request([key], alice.intro, os.urandom(16), payload) is None, "under another envelope's id"
    flipped = payload.sealed[:-1] + bytes([payload.sealed[-1] ^ 1])
    for changed in (replace(payload, sealed=flipped), replace(payload, sealed=b"")):
        with pytest.raises(BadEnvelope):
            open_request([key], alice.intro, posted.envelope, changed)
    with pytest.raises(BadEnvelope):
        open_request([key], bob.intro, posted.envelope, payload)


def _request(bob: Person) -> ResyncRequest:
    session = bob.device.session()
    proof = sign_readmission(session, bob.device.conversation.id, 1)
    return ResyncRequest(os.urandom(16), bob.device.package(), bob.intro, proof)


def test_conversation_16_requests_are_answered_so_many_a_day_and_not_at_once() -> None:
    alice, bob, _ = acquainted()
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
        assert bool(_asks(alice, bob, bob.intro)) == answered
        alice.device.conversation, alice.device.entries = before, entries
