"""Two accounts in one conversation: texts, receipts, commits that race, lost members, and a dishonest order."""

import os

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from grue._core import MlsSession
from grue.errors import NotPermitted, TooLarge
from grue.protocol import wire
from grue.protocol.conversation import envelope
from grue.protocol.conversation.commits import update_due
from grue.protocol.conversation.contents import MAX_TEXT, Receipt, Text
from grue.protocol.conversation.conversation import (
    KEPT_EPOCH_KEYS,
    ConversationEvent,
    ConversationState,
    Notice,
    Outgoing,
    Purpose,
    Read,
    Step,
    become,
    permit_commit,
    post,
    preferred,
    say,
    seal_post,
    supersede,
)
from grue.protocol.conversation.follow import refused_commit
from grue.protocol.conversation.mailbox import UNKNOWN_HASH, ReaderState, delivered, empty_log, met
from grue.protocol.conversation.stored import Member, PendingCommit
from tests.often import LONGER
from tests.protocol.people import TOOLS, Device, Person, acquainted, exchange


def test_texts_arrive_in_order_and_once() -> None:
    alice, bob, mailbox = acquainted()
    for n in range(5):
        mailbox.take(alice.device.say(str(n)))
    exchange(mailbox, alice.device, bob.device)
    bob.device.follow(mailbox.log)
    assert bob.device.texts == [str(n) for n in range(5)]
    assert alice.device.texts == []


def test_all_devices_of_the_other_account_read_the_same() -> None:
    alice, bob, mailbox = acquainted(devices=2)
    mailbox.take(alice.device.say("hello"))
    mailbox.take(bob.devices[0].say("from the first"))
    exchange(mailbox, alice.device, *bob.devices)
    assert alice.device.texts == ["from the first"]
    assert bob.devices[1].texts == ["hello", "from the first"]
    assert {d.conversation.log.hash for d in (alice.device, *bob.devices)} == {alice.device.conversation.log.hash}


def test_a_receipt_says_how_far_the_other_side_has_read() -> None:
    alice, bob, mailbox = acquainted()
    mailbox.take(alice.device.say("hello"))
    bob.device.follow(mailbox.after(bob.device))
    mailbox.take(bob.device.confirm())
    alice.device.follow(mailbox.after(alice.device))
    assert alice.device.steps[-1].read == [Read(bob.public, 0, 1)]


# --- commits --------------------------------------------------------------------------------------


def test_an_own_commit_wins_when_it_is_met_in_the_log() -> None:
    alice, bob, mailbox = acquainted()
    mailbox.take(alice.device.update())
    exchange(mailbox, bob.device)
    before = alice.device.conversation
    alice.device.follow(mailbox.after(alice.device))
    assert (before.pending is None, alice.device.conversation.pending) == (False, None)
    assert alice.device.conversation.epoch_keys[0] == bob.device.conversation.epoch_keys[0]


def test_of_two_commits_for_one_epoch_the_first_in_the_log_wins_for_both() -> None:
    alice, bob, mailbox = acquainted()
    from_alice, from_bob = alice.device.update(), bob.device.update()
    mailbox.take(from_bob)
    mailbox.take(from_alice)
    mailbox.take(alice.device.say("written while mine was pending"))
    exchange(mailbox, alice.device, bob.device)
    assert bob.device.texts == ["written while mine was pending"]
    assert alice.device.conversation.pending is bob.device.conversation.pending is None
    assert alice.device.conversation.epoch_keys == bob.device.conversation.epoch_keys


def test_two_past_epochs_stay_readable_and_a_third_does_not() -> None:
    alice, bob, mailbox = acquainted()
    late = []
    for text in ("three epochs ago", "two epochs ago", "one epoch ago"):
        late.append(alice.device.say(text))
        mailbox.take(bob.device.update())
        exchange(mailbox, bob.device, alice.device)
    for outgoing in late:
        mailbox.take(outgoing)
    exchange(mailbox, bob.device, alice.device)
    assert bob.device.texts == ["two epochs ago", "one epoch ago"]
    assert sum(step.skipped for step in bob.device.steps) == 1


def test_a_commit_that_the_server_refused_is_forgotten() -> None:
    alice, bob, mailbox = acquainted()
    alice.device.update()
    session = alice.device.session()
    step = refused_commit(session, alice.device.conversation)
    alice.device.keep(session)
    alice.device.apply(step)
    mailbox.take(alice.device.update())
    exchange(mailbox, alice.device, bob.device)
    assert alice.device.conversation.epoch_keys[0] == bob.device.conversation.epoch_keys[0]


def _insider_commit(by: Device, add: list[bytes], remove: list[int]) -> list[Outgoing]:
    """A commit that our own code would never make."""
    session = by.session()
    commit = session.commit(by.conversation.id, add, remove, b"")
    by.keep(session)
    envelope_id = os.urandom(16)
    by.conversation = replace(by.conversation, pending=PendingCommit(envelope_id))
    return [seal_post(by.conversation, commit.message, Purpose.COMMIT, envelope_id)]


def test_conversation_05_a_commit_that_adds_a_third_account_is_passed_over() -> None:
    alice, bob, mailbox = acquainted()
    carol = Person("+447700900003")
    mailbox.take(_insider_commit(alice.device, [carol.device.package()], []))
    bob.device.follow(mailbox.after(bob.device))
    assert bob.device.steps[-1].skipped == 1
    mailbox.take(bob.device.say("still here"))
    assert len(MlsSession(bob.device.entries).members(bob.device.conversation.id)) == 2


def test_conversation_06_a_commit_that_removes_the_other_side_is_passed_over() -> None:
    alice, bob, mailbox = acquainted(devices=2)
    members = alice.device.session().members(alice.device.conversation.id)
    victim = next(m.leaf for m in members if m.signature_key == bob.devices[1].public)
    mailbox.take(_insider_commit(alice.device, [], [victim]))
    for device in bob.devices:
        device.follow(mailbox.after(device))
        assert device.steps[-1].skipped == 1
        assert len(device.session().members(device.conversation.id)) == 3


def test_conversation_06_an_account_may_remove_its_own_device() -> None:
    alice, bob, mailbox = acquainted(devices=2)
    members = bob.device.session().members(bob.device.conversation.id)
    old = next(m.leaf for m in members if m.signature_key == bob.devices[1].public)
    mailbox.take(_insider_commit(bob.device, [], [old]))
    exchange(mailbox, alice.device, bob.device)
    assert len(alice.device.session().members(alice.device.conversation.id)) == 2


# --- losing track ---------------------------------------------------------------------------------


def forget_path_secrets(device: Device) -> None:
    prefix = b"g" + device.conversation.id + b"h"
    for key in [key for key in device.entries if key.startswith(prefix)]:
        del device.entries[key]


def test_who_cannot_follow_a_commit_is_lost_and_comes_back_by_a_resync() -> None:
    alice, bob, mailbox = acquainted()
    forget_path_secrets(bob.device)
    mailbox.take(alice.device.say("before"))
    mailbox.take(alice.device.update())
    mailbox.take(alice.device.say("after"))
    bob.device.follow(mailbox.after(bob.device))
    assert bob.device.texts == ["before"]
    assert bob.device.conversation.state is ConversationState.LOST
    assert bob.device.steps[-1].notices == [Notice.LOST]
    assert bob.device.conversation.lost_commit
    alice.device.hear(bob.device.ask_resync())
    exchange(mailbox, alice.device)
    welcome = next(
        o.request.blob
        for step in alice.device.steps
        for o in step.outgoing
        if o.purpose is Purpose.INTRODUCE and isinstance(o.request, wire.PostIntro) and o.request.mailbox == bob.intro
        if step.conversation.log.cursor
    )
    assert bob.device.invited(welcome, [bob.device.conversation]).again
    bob.device.accept()
    mailbox.take(alice.device.say("welcome back"))
    exchange(mailbox, alice.device, bob.device)
    assert bob.device.texts[-1] == "welcome back"
    assert bob.device.conversation.log.hash == alice.device.conversation.log.hash


def test_an_own_message_that_we_do_not_know_means_that_our_state_went_back() -> None:
    alice, bob, mailbox = acquainted()
    entries, conversation = dict(bob.device.entries), bob.device.conversation
    mailbox.take(bob.device.say("forgotten by bob"))
    bob.device.entries, bob.device.conversation = entries, conversation
    bob.device.posted.clear()
    bob.device.digests.clear()
    mailbox.take(alice.device.say("still read"))
    bob.device.follow(mailbox.after(bob.device))
    assert bob.device.conversation.state is ConversationState.RESTORED
    assert bob.device.texts == ["still read"]
    with pytest.raises(NotPermitted):
        bob.device.say("must not go out: its key was used already")
    exchange(mailbox, alice.device)
    assert alice.device.texts == ["forgotten by bob"]


def test_an_own_message_that_somebody_sealed_anew_changes_nothing() -> None:
    alice, bob, mailbox = acquainted()
    (outgoing,) = bob.device.say("once")
    mailbox.take([outgoing])
    key, address = bob.device.conversation.epoch_keys[0], bob.device.conversation.log.mailbox
    delivery = mailbox.log[0]
    message = envelope.unseal([key], address, delivery.envelope, delivery.blob)
    again = envelope.seal(key, address, b"a" * 16, message)
    mailbox.log.append(wire.Delivery(address, 2, b"a" * 16, again))
    exchange(mailbox, alice.device, bob.device)
    assert bob.device.conversation.state is ConversationState.ACTIVE
    assert alice.device.texts == ["once"]


def test_an_own_commit_that_was_forgotten_and_won_is_lost_and_not_passed_over() -> None:
    alice, bob, mailbox = acquainted()
    mailbox.take(alice.device.update())
    session = alice.device.session()
    step = refused_commit(session, alice.device.conversation)
    alice.device.keep(session)
    alice.device.apply(step)
    exchange(mailbox, bob.device)
    alice.device.follow(mailbox.after(alice.device))
    assert alice.device.conversation.state is ConversationState.LOST
    assert alice.device.conversation.lost_commit == mailbox.log[0].envelope


def test_a_late_text_of_a_device_that_was_removed_is_its_accounts_and_harms_nobody() -> None:
    alice, bob, mailbox = acquainted(devices=2)
    late = bob.devices[1].say("late")
    members = bob.device.session().members(bob.device.conversation.id)
    old = next(m.leaf for m in members if m.signature_key == bob.devices[1].public)
    mailbox.take(_insider_commit(bob.device, [], [old]))
    mailbox.take(late)
    exchange(mailbox, alice.device, bob.device)
    assert [(i.sender, i.text.text) for i in alice.device.incoming] == [(bob.public, "late")]


def test_a_hole_in_the_log_and_then_nothing_that_opens_is_lost() -> None:
    alice, bob, mailbox = acquainted()
    for _ in range(3):
        mailbox.take(bob.device.update())
        exchange(mailbox, bob.device)
    mailbox.take(bob.device.say("of an epoch that alice has no key for"))
    alice.device.follow(mailbox.log[-1:])
    assert alice.device.conversation.state is ConversationState.LOST
    assert alice.device.conversation.lost_commit == b""
    assert alice.device.steps[-1].notices == [Notice.GAP, Notice.LOST]


def test_after_a_hole_the_hash_of_who_has_read_as_far_is_taken_up() -> None:
    alice, bob, mailbox = acquainted()
    mailbox.take(alice.device.say("expired"))
    mailbox.take(alice.device.say("kept"))
    exchange(mailbox, alice.device)
    bob.device.follow(mailbox.log[1:])
    assert bob.device.conversation.log.hash == UNKNOWN_HASH
    mailbox.take(alice.device.say("with alice's hash"))
    exchange(mailbox, alice.device, bob.device)
    assert bob.device.conversation.log.hash == alice.device.conversation.log.hash


def test_a_fork_does_not_end_reading_and_junk_does_not_end_a_fork() -> None:
    alice, bob, mailbox = acquainted()
    (outgoing,) = alice.device.say("mine")
    mailbox.take([outgoing])
    session = bob.device.session()
    wrong = post(session, bob.device.conversation, Receipt(1, bytes(32)), Purpose.RECEIPT, TOOLS)
    bob.device.keep(session)
    mailbox.take(bob.device.apply(Step(bob.device.conversation, [wrong])))
    key, address = bob.device.conversation.epoch_keys[0], bob.device.conversation.log.mailbox
    message = envelope.unseal([key], address, mailbox.log[0].envelope, mailbox.log[0].blob)
    again = envelope.seal(key, address, b"a" * 16, message)
    mailbox.log.append(wire.Delivery(address, 3, b"a" * 16, again))
    alice.device.digests.clear()
    alice.device.follow(mailbox.after(alice.device))
    assert alice.device.conversation.state is ConversationState.RESTORED
    assert alice.device.conversation.log.cursor == 3


# --- what the server may do -----------------------------------------------------------------------


def test_mailbox_20_another_order_of_the_log_is_noticed_by_whoever_can_still_read() -> None:
    alice, bob, mailbox = acquainted()
    mailbox.take(alice.device.say("one"))
    mailbox.take(alice.device.say("two"))
    one, two = mailbox.log
    swapped = [replace(two, seq=1), replace(one, seq=2)]
    bob.device.follow(swapped)
    assert bob.device.texts == ["two", "one"]
    mailbox.take(bob.device.say("an answer, with bob's hash of the log"))
    alice.device.follow(mailbox.after(alice.device))
    step = alice.device.steps[-1]
    assert (step.notices, step.read) == ([Notice.DISAGREES], [])
    mailbox.take(bob.device.say("another one"))
    alice.device.follow(mailbox.after(alice.device))
    assert alice.device.steps[-1].notices == []


def test_mailbox_20_what_one_contact_states_of_the_log_stops_nothing() -> None:
    alice, bob, mailbox = acquainted()
    mailbox.take(alice.device.say("one"))
    bob.device.follow(mailbox.after(bob.device))
    log = bob.device.conversation.log
    bob.device.conversation = replace(bob.device.conversation, log=replace(log, hash=b"a lie".ljust(32)))
    mailbox.take(bob.device.say("an answer, with a false hash"))
    alice.device.follow(mailbox.after(alice.device))
    assert alice.device.texts == ["an answer, with a false hash"]
    assert alice.device.conversation.state is ConversationState.ACTIVE
    mailbox.take(alice.device.say("goes out"))


def test_mailbox_20_what_an_own_device_states_of_the_log_is_a_fork() -> None:
    alice, bob, mailbox = acquainted()
    mailbox.take(alice.device.say("one"))
    bob.device.follow(mailbox.after(bob.device))
    log = bob.device.conversation.log
    bob.device.conversation = replace(bob.device.conversation, log=replace(log, hash=b"another".ljust(32)))
    mailbox.take(bob.device.say("what an own device says"))
    # To alice bob is a device of her own: the conversation is with somebody else.
    alice.device.conversation = replace(alice.device.conversation, members=[Member(bytes(32))])
    alice.device.follow(mailbox.after(alice.device))
    assert alice.device.conversation.state is ConversationState.FORKED
    assert alice.device.steps[-1].notices == [Notice.FORKED]
    with pytest.raises(NotPermitted):
        alice.device.say("nothing goes out")


def test_a_hole_in_the_log_makes_its_hash_unknown_and_accuses_nobody() -> None:
    alice, bob, mailbox = acquainted()
    mailbox.take(alice.device.say("expired"))
    mailbox.take(alice.device.say("kept"))
    bob.device.follow(mailbox.log[1:])
    assert bob.device.conversation.log.hash == UNKNOWN_HASH
    mailbox.take(bob.device.say("an answer"))
    exchange(mailbox, alice.device)
    assert alice.device.conversation.state is ConversationState.ACTIVE
    assert bob.device.confirm() == []


def test_a_new_incarnation_reads_again_from_the_start_with_an_unknown_hash() -> None:
    log = met(empty_log(b"m" * 32, ReaderState.READING), b"1" * 16)
    read = delivered(log, wire.Delivery(b"m" * 32, 1, b"e" * 16, b""))
    assert met(read, b"1" * 16) == read
    again = met(read, b"2" * 16)
    assert (again.cursor, again.hash, again.incarnation) == (0, UNKNOWN_HASH, b"2" * 16)


def test_a_message_moved_to_another_mailbox_does_not_open() -> None:
    key, message = os.urandom(32), b"hello"
    blob = envelope.seal(key, b"m" * 32, b"e" * 16, message)
    assert envelope.unseal([os.urandom(32), key], b"m" * 32, b"e" * 16, blob) == message
    for mailbox, envelope_id in ((b"n" * 32, b"e" * 16), (b"m" * 32, b"f" * 16)):
        with pytest.raises(Exception, match="wrong size or does not open"):
            envelope.unseal([key], mailbox, envelope_id, blob)


# --- rules of sending -----------------------------------------------------------------------------


def test_conversation_08_both_sides_prefer_the_same_of_two_groups() -> None:
    alice, bob, _ = acquainted()
    low = replace(alice.device.conversation, id=b"\0" * 32)
    high = replace(bob.device.conversation, id=b"\xff" * 32)
    assert preferred([high, low]) == preferred([low, high]) == low
    assert preferred([supersede(low, TOOLS), high]) == high
    assert preferred([supersede(low, TOOLS)]) is None


@pytest.mark.parametrize("state", [s for s in ConversationState if s.value not in ("founded", "active")])
def test_conversation_09_other_states_do_not_send(state: ConversationState) -> None:
    alice, _, _ = acquainted()
    conversation = replace(alice.device.conversation, state=state)
    with pytest.raises(NotPermitted):
        say(alice.device.session(), conversation, Text(os.urandom(16), "no", 0), TOOLS)


def test_a_text_over_the_limit_is_refused() -> None:
    alice, _, _ = acquainted()
    with pytest.raises(TooLarge):
        alice.device.say("x" * (MAX_TEXT + 1))


def test_a_leaf_is_due_for_renewal_after_a_week_and_only_once() -> None:
    alice, _, _ = acquainted()
    conversation = alice.device.conversation
    later = conversation.since + 8 * 24 * 3600 * 1000
    assert not update_due(conversation, conversation.since)
    assert update_due(conversation, later)
    assert not update_due(replace(conversation, pending=PendingCommit(b"e" * 16)), later)
    assert not update_due(become(conversation, ConversationEvent.LOST_TRACK), later)


def test_permission_needs_every_removed_member_to_be_the_committers_or_readmitted() -> None:
    alice, bob, _ = acquainted()
    members = alice.device.session().members(alice.device.conversation.id)
    by_key = {m.signature_key: m for m in members}

    class Staged:
        leaf = by_key[alice.device.public].leaf
        added: list[object] = []  # noqa: RUF012
        removed = [by_key[bob.device.public]]  # noqa: RUF012

    with pytest.raises(NotPermitted):
        permit_commit(alice.device.conversation, Staged(), members, 1)  # type: ignore[arg-type]
    Staged.added = [by_key[bob.device.public]]
    permit_commit(alice.device.conversation, Staged(), members, 1)  # type: ignore[arg-type]


def test_conversation_13_a_text_that_commits_overtook_goes_out_again() -> None:
    for overtaking in (2, 3):
        alice, bob, mailbox = acquainted()
        for _ in range(overtaking):
            mailbox.take(alice.device.update())
            alice.device.follow(mailbox.log)
        mailbox.take(bob.device.say("late"))
        exchange(mailbox, alice.device, bob.device)
        unread = overtaking == KEPT_EPOCH_KEYS
        assert alice.device.texts == ([] if unread else ["late"])
        assert any(step.resend for step in bob.device.steps) is unread


# --- a model --------------------------------------------------------------------------------------


class TwoClientsAndAMailbox(RuleBasedStateMachine):
    """Whatever the two do, and however they read: every text arrives once, in the log's order, and the two agree.

    The model is the list of texts that were appended, by sender.
    """

    def __init__(self) -> None:
        super().__init__()
        self.alice, self.bob, self.mailbox = acquainted()
        self.said: dict[str, list[str]] = {"alice": [], "bob": []}
        self.count = 0
        self.commits: list[int] = []

    def _device(self, name: str) -> Device:
        return (self.alice if name == "alice" else self.bob).device

    @rule(name=st.sampled_from(["alice", "bob"]), length=st.sampled_from([1, 900, 4000]))
    def say(self, name: str, length: int) -> None:
        device = self._device(name)
        if sum(seq > device.conversation.log.cursor for seq in self.commits) >= KEPT_EPOCH_KEYS:
            # Nobody could open it: CONVERSATION-13 has a test of its own.
            return
        self.count += 1
        text = f"{self.count} " + "x" * length
        self.mailbox.take(device.say(text))
        self.said[name].append(text)

    @rule(name=st.sampled_from(["alice", "bob"]))
    def commit(self, name: str) -> None:
        device = self._device(name)
        if device.conversation.pending is None:
            self.mailbox.take(device.update())
            self.commits.append(len(self.mailbox.log))

    @rule(name=st.sampled_from(["alice", "bob"]), most=st.integers(1, 5))
    def read_some(self, name: str, most: int) -> None:
        device = self._device(name)
        self.mailbox.take(device.follow(self.mailbox.after(device)[:most]))

    @rule(name=st.sampled_from(["alice", "bob"]))
    def read_again(self, name: str) -> None:
        self._device(name).follow(self.mailbox.log)

    @rule(name=st.sampled_from(["alice", "bob"]))
    def confirm(self, name: str) -> None:
        self.mailbox.take(self._device(name).confirm())

    @rule(junk=st.binary(min_size=16, max_size=16))
    def junk(self, junk: bytes) -> None:
        seq = len(self.mailbox.log) + 1
        mailbox = self.alice.device.conversation.log.mailbox
        self.mailbox.log.append(wire.Delivery(mailbox, seq, junk, junk * 64))

    @invariant()
    def what_was_read_is_what_was_said(self) -> None:
        for name, other in (("alice", "bob"), ("bob", "alice")):
            read = self._device(name).texts
            assert read == self.said[other][: len(read)]

    def teardown(self) -> None:
        exchange(self.mailbox, self.alice.device, self.bob.device)
        assert self.alice.device.texts == self.said["bob"]
        assert self.bob.device.texts == self.said["alice"]
        assert self.alice.device.conversation.log.hash == self.bob.device.conversation.log.hash
        assert self.alice.device.conversation.epoch_keys[0] == self.bob.device.conversation.epoch_keys[0]


TestTwoClientsAndAMailbox = TwoClientsAndAMailbox.TestCase
TestTwoClientsAndAMailbox.settings = settings(max_examples=25 * LONGER, stateful_step_count=25, deadline=None)
