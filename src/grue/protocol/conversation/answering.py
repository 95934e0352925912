"""What members ask of each other is done here: to be readmitted, as they have lost track, or to be removed.

A commit of ours that is pending comes first. Then one commit does what has gathered meanwhile.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from msgspec.structs import replace

from grue._core import MlsError, MlsMember, MlsRefused, MlsSession, mls_key_package_member
from grue.errors import NotPermitted, TooLarge
from grue.protocol.conversation.changing import NO_HASH, Readmitting, carry_out, readmit
from grue.protocol.conversation.contents import GroupChange, Leave, Readmission, ResyncRequest, Role
from grue.protocol.conversation.conversation import (
    SENDING,
    Conversation,
    ConversationEvent,
    ConversationState,
    Notice,
    Step,
    Tools,
    become_if,
)
from grue.protocol.conversation.devices import identity_of
from grue.protocol.conversation.first_contact import Me
from grue.protocol.conversation.groups import is_signed, picked, proved
from grue.protocol.conversation.mailbox import ReaderState
from grue.protocol.conversation.resync import ASK_AGAIN_MS, DAY_MS
from grue.protocol.conversation.stored import Plan

READMISSIONS_A_DAY: Final = 3
"""Resyncs of one account that are answered: each costs a commit, a Welcome and a `post` token. Who loses track more
often has lost more than that, and founds another conversation with the next message."""

MAX_ASKING: Final = 32
"""Requests to be readmitted that wait for us: one commit answers all that fit, and who was left out asks again."""

MAX_DEPARTING: Final = 16
"""Departures that wait for us to commit them: one commit takes all, and who was left out asks again."""

ANSWERING: Final = SENDING | {ConversationState.UNHEARD}
"""The states in which we readmit others."""

Lately = Callable[[bytes], Sequence[int]]
"""When devices of an account were readmitted, as far as it may matter: Unix milliseconds."""


# --- readmission ----------------------------------------------------------------------------------


def ask_us(conversation: Conversation, request: ResyncRequest) -> Conversation:
    """Somebody asks to be readmitted, by our intro mailbox: it waits until nothing of ours is pending."""
    if request.proof is None:
        return conversation
    key = request.proof.signature_key
    others = [one for one in conversation.asking if one.proof is not None and one.proof.signature_key != key]
    return replace(conversation, asking=[*others, request][-MAX_ASKING:])


def is_asked(session: MlsSession, conversation: Conversation, me: Me) -> bool:
    """Whether a member who has lost track is asking."""
    for request in conversation.asking:
        with suppress(NotPermitted, MlsError):
            _check(session, conversation, me, request)
            return True
    return False


def readmit_all(session: MlsSession, step: Step, me: Me, tools: Tools, lately: Lately) -> None:
    """Remove the devices that have lost track, and add them again, in one commit at the head of the log.

    At most `READMISSIONS_A_DAY` of one account are answered (CONVERSATION-16). Two who answer at once do no harm: one
    commit wins, and by it the other's proof counts no more.
    """
    conversation = step.conversation
    reads = conversation.state in ANSWERING and conversation.log.state is ReaderState.READING
    if not conversation.asking or conversation.pending is not None or not reads:
        return
    step.conversation = replace(conversation, asking=[])
    devices: list[Readmitting] = []
    for request in conversation.asking:
        account_taken = {identity_of(one.before.credential) for one in devices}
        try:
            asked = _check(session, conversation, me, request)
        except (NotPermitted, MlsError):
            step.skipped += 1
            continue
        account = identity_of(asked.before.credential)
        if account in account_taken or _may_readmit(step, account, tools, lately):
            devices.append(asked)
        else:
            step.skipped += 1
    if devices:
        # Whoever asks us has joined, and is there.
        step.conversation = become_if(step.conversation, ConversationEvent.HEARD)
    if devices and not _readmitted(session, step, me, devices, tools):
        # One of them may be what fits no envelope, or what MLS refuses.
        _readmitted(session, step, me, devices[:1], tools)


def _readmitted(session: MlsSession, step: Step, me: Me, devices: Sequence[Readmitting], tools: Tools) -> bool:
    try:
        again = readmit(session, step.conversation, me, devices, tools)
    except (NotPermitted, TooLarge, MlsRefused):
        step.skipped += 1
        return False
    step.conversation = again.conversation
    step.outgoing += again.outgoing
    step.readmitted += sorted({identity_of(one.before.credential) for one in devices})
    return True


def _check(session: MlsSession, conversation: Conversation, me: Me, request: ResyncRequest) -> Readmitting:
    """CONVERSATION-10 a member's device has signed the request, and the key package is its own. CONVERSATION-15 the
    Welcome goes to the intro mailbox on its account's device list. CONVERSATION-21 it has not come back by this proof,
    or a newer one, before. Raises NotPermitted, MlsError.
    """
    proof, members = request.proof, session.members(conversation.id)
    if proof is None:
        raise NotPermitted
    before = next((member for member in members if member.signature_key == proof.signature_key), None)
    again = mls_key_package_member(request.key_package)
    if before is None or again.signature_key != before.signature_key or again.credential != before.credential:
        raise NotPermitted
    if not _counts(conversation, members, proof) or request.intro_mailbox != _listed(conversation, me, before):
        raise NotPermitted
    return Readmitting(proof, request.key_package, request.intro_mailbox, before, again)


def _counts(conversation: Conversation, members: Sequence[MlsMember], proof: Readmission) -> bool:
    if conversation.group is not None:
        return bool(proved(conversation.id, conversation.group, members, [proof]))
    return proof.number > dict(conversation.back).get(proof.signature_key, -1) and is_signed(conversation.id, proof)


def _listed(conversation: Conversation, me: Me, device: MlsMember) -> bytes:
    account = identity_of(device.credential)
    known = conversation.member(account)
    return known.intro_mailbox if known is not None else me.intro_mailbox


def _may_readmit(step: Step, account: bytes, tools: Tools, lately: Lately) -> bool:
    """CONVERSATION-16."""
    if account in step.readmitted:
        return False
    ages = [tools.now_ms - time for time in lately(account)]
    within_a_day = [age for age in ages if 0 <= age < DAY_MS]
    return len(within_a_day) < READMISSIONS_A_DAY and all(age >= ASK_AGAIN_MS for age in within_a_day)


# --- leaving ----------------------------------------------------------------------------------------


def let_go(step: Step, leave: Leave) -> None:
    """An account has asked to be removed: it is once nothing of ours is pending."""
    departing = [*step.conversation.departing, leave.departure][-MAX_DEPARTING:]
    step.conversation = replace(step.conversation, departing=departing)


def let_all_go(session: MlsSession, step: Step, me: Me, tools: Tools) -> None:
    """Remove who has asked for it. An admin does so; where no other is left, whoever the departure picks."""
    conversation = step.conversation
    waits = conversation.pending is not None or conversation.state not in SENDING
    if conversation.group is None or not conversation.departing or waits:
        return
    step.conversation = replace(conversation, departing=[])
    members = session.members(conversation.id)
    who = proved(conversation.id, conversation.group, members, conversation.departing)
    leaving = set(who.values()) - {me.identity_public}
    departed = [one for one in conversation.departing if who.get(one.signature_key) in leaving]
    if leaving and _lets_go(conversation, me, leaving, departed[0].signature):
        plan = Plan(GroupChange(NO_HASH, departed=departed), remove=sorted(leaving))
        plan_again(session, step, me, plan, tools)


def _lets_go(conversation: Conversation, me: Me, leaving: set[bytes], asked_in: bytes) -> bool:
    assert conversation.group is not None
    admins = {one.identity for one in conversation.group.members if one.role is Role.ADMIN} - leaving
    if admins:
        return me.identity_public in admins
    everybody = conversation.others | {me.identity_public}
    return any(me.identity_public in picked(everybody, one, asked_in) for one in leaving)


def plan_again(session: MlsSession, step: Step, me: Me, plan: Plan, tools: Tools) -> None:
    """Another commit was first: ours goes out anew, if it is still allowed and means something."""
    again = None
    if step.conversation.state in SENDING:
        with suppress(NotPermitted, TooLarge, MlsRefused):
            again = carry_out(session, step.conversation, me, plan, tools)
    if again is None:
        step.notices.append(Notice.NOT_CHANGED)
        return
    step.conversation = again.conversation
    step.outgoing += again.outgoing
