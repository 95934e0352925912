"""First contact: a client starts a conversation, is invited to one and accepts it, or is added again after a resync.

Starting one makes a group of all devices of two accounts, its mailbox, and one Welcome with an invitation in it that
goes to the other's intro mailbox. The invited side touches nothing until it accepts.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from grue._core import (
    MlsApplication,
    MlsCommit,
    MlsError,
    MlsMember,
    MlsSession,
    mls_key_package_member,
    mls_welcome_for,
)
from grue.errors import BadEnvelope, BadKeyPackage, BadRequest, TooLarge
from grue.protocol.accountkey import check_key, seal, unseal
from grue.protocol.conversation.asking import request_key
from grue.protocol.conversation.contents import (
    APPLICATION,
    INTRO_PAYLOAD,
    INTRO_WELCOME,
    GroupMember,
    GroupState,
    IntroRequest,
    IntroSealed,
    IntroSms,
    IntroWelcome,
    Invitation,
    LargeGroup,
    Role,
    Slot,
    Text,
    Transcript,
)
from grue.protocol.conversation.conversation import (
    GIVEN_UP,
    KEY_PACKAGES,
    SENDING,
    TABLE,
    Conversation,
    ConversationEvent,
    ConversationState,
    Incoming,
    Outgoing,
    Purpose,
    Step,
    Tools,
    become,
    epoch_key,
    hashed,
    members_of,
    state_context,
    supersede,
    with_epoch_key,
)
from grue.protocol.conversation.delivery import EXPIRED_AFTER_MS
from grue.protocol.conversation.devices import device_list_hash, hpke_public_of, identity_of, verify_device_list
from grue.protocol.conversation.mailbox import Log, ReaderState, empty_log, exchanged
from grue.protocol.conversation.padding import pad, unpad
from grue.protocol.conversation.stored import Member, Newcomer, PendingCommit
from grue.protocol.conversation.trees import Apart, put_apart
from grue.protocol.wire import (
    MAX_SLOTS,
    Claimed,
    CreateMailbox,
    DeviceList,
    ExchangeSlot,
    PostIntro,
    RemoveReader,
    encode,
)

ADDRESS_LABEL: Final = "grue address v1"
"""MLS exporter label of a conversation's mailbox id and write key, 32 bytes each."""


INTRO_LABEL: Final = b"grue invitation v1"
"""HPKE's `info` of a Welcome and its invitation."""

AGREED: Final = SENDING | GIVEN_UP | {ConversationState.SUPERSEDED}
"""With a conversation in one of these we have agreed to hear from the other side: a new one needs no request."""

Known = Callable[[bytes], Conversation | None]


@dataclass(frozen=True)
class Me:
    """The own account, as far as a conversation needs it."""

    identity_public: bytes
    number: str
    credential: bytes
    device_list: bytes
    """The signed list."""
    intro_mailbox: bytes
    transcript: Transcript | None

    @property
    def unnumbered(self) -> "Me":
        """Without a number, for who is not to learn it."""
        return dataclasses.replace(self, number="", transcript=None)


@dataclass(frozen=True)
class Peer:
    """Another account whose claimed keys match its directory record."""

    devices: DeviceList
    packages: list[bytes]


@dataclass(frozen=True)
class Invited:
    """What a Welcome led to, and who says to be behind it."""

    step: Step
    number: str
    """The claimed number, to be checked with `transcript` before it is believed."""
    transcript: Transcript | None
    device_list: DeviceList
    replaces: bytes
    """The id of an older conversation that the sender has given up."""
    again: Conversation | None
    """The conversation that we had lost and were added to again, as it was."""
    ticket: bytes = b""
    """From the link that the sender has; empty without one."""


def check_claimed(claimed: Claimed, identity_public: bytes, list_hash: bytes | None, known_version: int) -> Peer:
    """Check what the server handed out against what is known of the account. Raises BadKeyPackage.

    list_hash  as the directory record has it; None without a record

    CONVERSATION-01 the device list is signed by the record's identity key (DEVICES-01, -02), its hash is the record's,
    and its version is not below one seen before. CONVERSATION-02 each key package is valid, with the key of a device
    on the list and a certificate of that identity; there is one at least, and one a device at most. A device that has
    left none yet is added by the account's others. CONVERSATION-25 the list has a key that an invitation is sealed to.
    PEOPLE-01 without a record, all of that but the hash.
    """
    devices = verify_device_list(claimed.device_list, identity_public)
    listed = list_hash is None or device_list_hash(claimed.device_list) == list_hash
    if not listed or devices.version < known_version:
        raise BadKeyPackage("(the device list is not the record's)")
    check_key(devices.hpke_public)
    packages = {claim.device_public: claim.package for claim in claimed.packages}
    if not packages or not packages.keys() <= set(devices.devices) or len(packages) != len(claimed.packages):
        raise BadKeyPackage("(not one for each device)")
    for device_public, package in packages.items():
        _check_package(package, identity_public, device_public)
    return Peer(devices, list(packages.values()))


def start_group(session: MlsSession, me: Me, peers: Sequence[Peer], name: str, description: str, tools: Tools) -> Step:
    """Make a group of several accounts, with us as its admin; an invitation goes to each. Raises TooLarge.

    Each gets a Welcome and slots for the own devices alone.
    """
    group = tools.random(32)
    packages = [package for peer in peers for package in peer.packages]
    if len(packages) + 1 > MAX_SLOTS:
        raise TooLarge
    session.create(group, me.credential)
    commit = session.commit(group, packages, [], b"")
    session.accepted(group)
    if commit.welcome is None:
        raise BadKeyPackage("(nobody to invite)")
    invited_ones = [GroupMember(peer.devices.identity_public, peer.devices.intro_mailbox) for peer in peers]
    founder = GroupMember(me.identity_public, me.intro_mailbox, Role.ADMIN)
    state = GroupState(name, [founder, *invited_ones], description)
    conversation = _started(session, group, [peer.devices for peer in peers], tools, state)
    slots = _slots(session, group, tools)
    secret, inviter = commit.tree_secret, me.intro_mailbox
    apart = put_apart(session, conversation, inviter, secret, tools) if secret else None
    step = Step(conversation, [_create(conversation, slots), *(apart.outgoing if apart else [])])
    accounts = {member.leaf: identity_of(member.credential) for member in session.members(group)}
    for member, peer in zip(invited_ones, peers, strict=True):
        theirs = [slot for slot in slots if accounts[slot.leaf] == member.identity]
        welcome = mls_welcome_for(commit.welcome, peer.packages)
        blob = _intro_blob(
            session, group, welcome, _invitation(conversation, me, theirs, None), peer.devices.hpke_public, apart
        )
        step.outgoing += _introduce([member.intro_mailbox], blob, b"", tools)
    return step


def started_alone(session: MlsSession, me: Me, state: GroupState, tools: Tools) -> Step:
    """Make a group with this device alone in it; others are added by commits."""
    group = tools.random(32)
    session.create(group, me.credential)
    conversation = _started(session, group, [], tools, state)
    return Step(conversation, [_create(conversation, [])])


def start_conversation(
    session: MlsSession,
    me: Me,
    peer: Peer,
    text: Text,
    tools: Tools,
    own_packages: Sequence[bytes] = (),
    replaces: bytes = b"",
    ticket: bytes = b"",
) -> Step:
    """Make the group, its address and the invitation. Costs an X-Wing encapsulation or two for each device.

    own_packages  key packages of the own other devices
    replaces      a conversation of ours whose own state went back
    ticket        from the other side's link
    Raises TooLarge when the text does not fit beside the Welcome.
    """
    group = tools.random(32)
    session.create(group, me.credential)
    commit = session.commit(group, [*peer.packages, *own_packages], [], b"")
    session.accepted(group)
    if commit.welcome is None:
        raise BadKeyPackage("(nobody to invite)")
    conversation = _started(session, group, [peer.devices], tools)
    slots = _slots(session, group, tools)
    invitation = replace(_invitation(conversation, me, slots, text, replaces), ticket=ticket)
    blob = _intro_blob(session, group, commit.welcome, invitation, peer.devices.hpke_public)
    step = Step(conversation, [_create(conversation, slots)])
    step.outgoing += _introduce([peer.devices.intro_mailbox], blob, text.id, tools)
    if own_packages:
        invitation = _to_own(conversation, _invitation(conversation, me, slots, text, replaces))
        blob = _intro_blob(session, group, commit.welcome, invitation, hpke_public_of(me.device_list))
        step.outgoing += _introduce([me.intro_mailbox], blob, b"", tools)
    return step


def invited(
    session: MlsSession,
    me: Me,
    payload: IntroWelcome,
    known: Known,
    list_version: Callable[[bytes], int],
    tools: Tools,
    large: LargeGroup | None = None,
) -> Invited:
    """Join the group of a Welcome from the intro mailbox; the conversation waits as a request.

    known         the conversation with this id, if we have one
    list_version  of the newest device list seen of an account; 0 when none was
    large         what the Welcome leaves out, where `place_of` says that it does

    CONVERSATION-03 exactly two accounts, ours and one other; in a group GROUP-09 those that its state names, and no
    others. CONVERSATION-04 every leaf of the inviter is on its account's signed device list, and that is not older than
    one seen before. CONVERSATION-07 a group that we are in is joined anew only while it is lost, and
    only by an account that is in it. CONVERSATION-14 then the Welcome is to the key package of our own resync request,
    and leads into a later epoch than the one that was lost. GROUP-10 a group that we have left is joined in a later
    epoch only, and so is one that was lost and in which nobody has answered, or that still asks us; then we are asked.
    Raises BadKeyPackage, BadEnvelope or an MlsError; the session's changes are void then.
    """
    old = known(group_of(payload))
    before = old
    if old is not None and old.state is ConversationState.GONE and old.group is not None:
        old = None
    waiting = old is not None and old.state is ConversationState.REQUESTED and old.group is not None
    if old is not None and old.state is not ConversationState.LOST and not waiting:
        raise BadEnvelope("(a group that we are in)")
    lost_in = session.epoch(old.id) if old is not None else -1
    if old is not None:
        session.delete(old.id)
    invitation, sender, own_leaf = _join(session, payload, large)
    group = group_of(payload)
    left_in = max(lost_in, before.left_in if before is not None else -1)
    if session.epoch(group) <= left_in:
        raise BadEnvelope("(an epoch that has passed)")
    devices = _check_members(session.members(group), me, invitation, sender)
    if devices.version < list_version(devices.identity_public):
        raise BadKeyPackage("(an older device list)")
    if old is not None and (old.group is None or waiting) and devices.identity_public not in old.others:
        raise BadKeyPackage("(somebody else's conversation)")
    if old is not None and not _is_asked_for(session, old):
        if old.group is None:
            raise BadKeyPackage("(not the key package that we have asked by)")
        # Nobody answered; whoever is added to a group by others can always be added again, and is asked.
        old = None
    conversation = replace(
        _requested(session, me, own_leaf, invitation, devices, group, tools), left_in=left_in if before else -1
    )
    if old is not None:
        # What was said between the loss and this was never seen, and will not be.
        conversation = replace(
            conversation,
            state=old.state,
            heard=old.heard,
            owed=old.owed,
            founded=old.founded,
            hole=conversation.log.cursor,
            unseen=tools.now_ms,
            unseen_seq=conversation.log.cursor,
        )
    step = Step(conversation)
    if invitation.text is not None:
        step.incoming.append(Incoming(devices.identity_public, invitation.text, invitation.start_seq))
        step.heads += [invitation.text.head] if invitation.text.head else []
    return Invited(step, invitation.number, invitation.transcript, devices, invitation.replaces, old, invitation.ticket)


def settle(
    result: Invited, same: Sequence[Conversation], tools: Tools, *, agreed: bool = False
) -> tuple[Step, list[Conversation]]:
    """What an invitation means beside the conversations that we have with the same account, which may change too.

    agreed  it was accepted already, as by another device of ours
    With one that we started or accepted there is nothing to ask: the new one is accepted. CONVERSATION-08 of two groups
    in which neither side has heard the other, both keep the one with the lower id; otherwise the newest is used.
    """
    others = [c for c in same if c.id != result.step.conversation.id and c.state in AGREED]
    if result.again is None and not others and not agreed:
        return result.step, []
    step = accept_invited(result, tools)
    kept = [c for c in others if _at_once(c, result, tools) and c.id < step.conversation.id]
    if kept:
        step.conversation = supersede(step.conversation, tools)
    left = [c for c in others if c not in kept and ConversationEvent.SUPERSEDED in TABLE[c.state]]
    return step, [supersede(c, tools) for c in left]


def accept_invited(result: Invited, tools: Tools) -> Step:
    """Accept at once, and leave the place that we had in the same conversation before."""
    step = result.step
    accepted = accept(step.conversation, tools)
    step.conversation, step.outgoing = accepted.conversation, accepted.outgoing
    if result.again is not None:
        leaving = RemoveReader(result.again.log.mailbox, result.again.read_key)
        step.outgoing.append(Outgoing(Purpose.LEAVE, leaving))
    return step


def accept_all(requests: Sequence[Conversation], tools: Tools) -> list[Step]:
    """Accept every request of one account, the oldest first; the last step's conversation is the one to use."""
    in_order = sorted(requests, key=lambda c: (c.since, c.id))
    steps = [accept(request, tools) for request in in_order]
    for step in steps[:-1]:
        step.conversation = supersede(step.conversation, tools)
    return steps


def accept(conversation: Conversation, tools: Tools) -> Step:
    """Accept a request, or come back after a resync: exchange the slot for a read key of our own."""
    again = conversation.state is ConversationState.LOST
    event = ConversationEvent.REJOINED if again else ConversationEvent.ACCEPTED
    accepted = replace(become(conversation, event), read_key=tools.random(32))
    request = ExchangeSlot(accepted.log.mailbox, accepted.slot_secret, hashed(accepted.read_key))
    return Step(accepted, [Outgoing(Purpose.EXCHANGE, request)])


def slot_exchanged(conversation: Conversation, cursor: int) -> Conversation:
    """The server made us a reader that starts after `cursor`; the slot's secret is spent."""
    hole = conversation.hole if cursor == conversation.log.cursor else cursor
    return replace(conversation, log=exchanged(conversation.log, cursor), slot_secret=b"", hole=hole)


def welcome_newcomers(
    session: MlsSession, conversation: Conversation, me: Me, pending: PendingCommit, tools: Tools
) -> list[Outgoing]:
    """After a commit that added somebody has won: the Welcome, and to each account an invitation in the new epoch."""
    secret, inviter = pending.tree_secret, me.intro_mailbox
    leaves = {member.signature_key: member.leaf for member in session.members(conversation.id)}
    apart = put_apart(session, conversation, inviter, secret, tools) if secret and conversation.group else None
    outgoing: list[Outgoing] = list(apart.outgoing) if apart else []
    for newcomer in pending.newcomers:
        slots = [Slot(leaves[device.signature_key], device.slot_secret) for device in newcomer.devices]
        invitation = _invitation(conversation, me, slots, None)
        if pending.own:
            invitation = _to_own(conversation, invitation)
        welcome = newcomer.welcome or pending.welcome
        blob = _intro_blob(session, conversation.id, welcome, invitation, newcomer.hpke_public, apart)
        outgoing += _introduce([newcomer.intro_mailbox], blob, b"", tools)
    return outgoing


def welcomed(newcomers: Sequence[Newcomer], commit: MlsCommit, packages: Sequence[bytes]) -> list[Newcomer]:
    """The newcomers of a commit, each with the Welcome for its devices."""
    by_key = {mls_key_package_member(package).signature_key: package for package in packages}
    theirs = [[by_key[device.signature_key] for device in newcomer.devices] for newcomer in newcomers]
    whole = commit.welcome or b""
    return [replace(one, welcome=mls_welcome_for(whole, own)) for one, own in zip(newcomers, theirs, strict=True)]


def open_intro(blob: bytes, secret: bytes) -> IntroWelcome | IntroSms | IntroRequest:
    """What lies in an intro mailbox. Raises BadEnvelope for bytes that nobody honest put there.

    secret  of the account's `hpke_public`; a Welcome of before they were sealed is read as well
    """
    try:
        payload = INTRO_PAYLOAD.decode(unpad(blob))
        if not isinstance(payload, IntroSealed):
            return payload
        return INTRO_WELCOME.decode(unseal(secret, payload.sealed, INTRO_LABEL))
    except BadRequest:
        raise BadEnvelope from None


def _check_package(package: bytes, identity_public: bytes, device_public: bytes) -> None:
    try:
        member = mls_key_package_member(package)
    except MlsError:
        raise BadKeyPackage from None
    if identity_of(member.credential) != identity_public or member.signature_key != device_public:
        raise BadKeyPackage


def _create(conversation: Conversation, slots: Sequence[Slot]) -> Outgoing:
    log, secrets = conversation.log, [hashed(slot.secret) for slot in slots]
    create = CreateMailbox(log.mailbox, hashed(conversation.write_key), hashed(conversation.read_key), secrets)
    return Outgoing(Purpose.START, create)


def _started(
    session: MlsSession, group: bytes, peers: Sequence[DeviceList], tools: Tools, state: GroupState | None = None
) -> Conversation:
    address = session.exporter(group, ADDRESS_LABEL, state_context(group, state), 64)
    return Conversation(
        id=group,
        state=ConversationState.STARTED,
        members=[Member(peer.identity_public, peer.intro_mailbox) for peer in peers],
        write_key=address[32:],
        read_key=tools.random(32),
        slot_secret=b"",
        log=empty_log(address[:32], ReaderState.READING),
        epoch_keys=[epoch_key(session, group, state)],
        request_keys=[request_key(session, group, state)],
        group=state,
        since=tools.now_ms,
        founded=tools.now_ms,
    )


def _slots(session: MlsSession, group: bytes, tools: Tools) -> list[Slot]:
    own = session.own_leaf(group)
    return [Slot(member.leaf, tools.random(32)) for member in session.members(group) if member.leaf != own]


def _invitation(
    conversation: Conversation, me: Me, slots: list[Slot], text: Text | None, replaces: bytes = b""
) -> Invitation:
    return Invitation(
        mailbox=conversation.log.mailbox,
        write_key=conversation.write_key,
        slots=slots,
        start_seq=conversation.log.cursor,
        log_hash=conversation.log.hash,
        number=me.number,
        transcript=me.transcript,
        device_list=me.device_list,
        text=text,
        replaces=replaces,
        group=conversation.group,
        request_key=conversation.request_keys[0] if conversation.request_keys else b"",
    )


def _to_own(conversation: Conversation, invitation: Invitation) -> Invitation:
    """For another device of our own: with whom the conversation is, which it cannot see."""
    if conversation.group is not None:
        return invitation
    other = conversation.members[0]
    return replace(invitation, peer=GroupMember(other.identity, other.intro_mailbox))


def _intro_blob(
    session: MlsSession, group: bytes, welcome: bytes, invitation: Invitation, public: bytes, apart: Apart | None = None
) -> bytes:
    invitation = replace(invitation, group=None) if apart else invitation
    sealed = session.encrypt(group, encode(invitation), b"")
    payload = encode(IntroWelcome(welcome, sealed, apart.place if apart else b""))
    try:
        return pad(encode(IntroSealed(seal(public, payload, INTRO_LABEL))) if public else payload)
    except TooLarge:
        raise TooLarge("Make the first one shorter; the next may be longer.") from None


def _introduce(mailboxes: Sequence[bytes], blob: bytes, about: bytes, tools: Tools) -> list[Outgoing]:
    outgoing = []
    for mailbox in mailboxes:
        envelope_id = tools.random(16)
        outgoing.append(Outgoing(Purpose.INTRODUCE, PostIntro(mailbox, envelope_id, blob), envelope_id, about))
    return outgoing


def group_of(payload: IntroWelcome) -> bytes:
    """The group id, which the Welcome has encrypted and the invitation's framing in the clear.

    PrivateMessage, RFC 9420 section 6: version 2 bytes, wire format 2, length of the group id 1, group id.
    """
    return payload.invitation[5:37]


def _join(session: MlsSession, payload: IntroWelcome, large: LargeGroup | None) -> tuple[Invitation, int, int]:
    staged = session.stage_welcome(payload.welcome, None if large is None else large.tree)
    if staged.group_id != group_of(payload):
        raise BadEnvelope("(an invitation to another group)")
    session.accept_welcome(staged)
    invitation, sender = _open_invitation(session, staged.group_id, payload.invitation)
    if large is not None:
        invitation = replace(invitation, group=large.group)
    return invitation, sender, staged.own_leaf


def _is_asked_for(session: MlsSession, old: Conversation) -> bool:
    """CONVERSATION-14 whether the Welcome was to the key package of our own resync request, which has gone by that.

    One that anybody kept, such as the first one, was to another.
    """
    asked = None if old.asked is None else KEY_PACKAGES + old.asked.reference
    return asked is not None and session.changes().get(asked, b"") is None


def _at_once(other: Conversation, result: Invited, tools: Tools) -> bool:
    """Both sides have started one, and this one was not started because the sender had lost the other one.

    Who starts one when the other's invitation has expired has read it long ago, and left it, or never will.
    """
    lately = tools.now_ms - other.founded <= EXPIRED_AFTER_MS
    return lately and other.state in SENDING and not other.heard and other.id != result.replaces


def _open_invitation(session: MlsSession, group: bytes, sealed: bytes) -> tuple[Invitation, int]:
    opened = session.process(group, sealed)
    if not isinstance(opened, MlsApplication):
        raise BadEnvelope("(no invitation)")
    try:
        invitation = APPLICATION.decode(opened.plaintext)
    except BadRequest:
        raise BadEnvelope("(no invitation)") from None
    if not isinstance(invitation, Invitation):
        raise BadEnvelope("(no invitation)")
    return invitation, opened.leaf


def _check_members(members: Sequence[MlsMember], me: Me, invitation: Invitation, sender: int) -> DeviceList:
    """CONVERSATION-03, CONVERSATION-04 and GROUP-09; returns the inviter's device list."""
    inviter = next(identity_of(member.credential) for member in members if member.leaf == sender)
    accounts = {identity_of(member.credential) for member in members}
    if invitation.group is None:
        expected = {me.identity_public, inviter}
    else:
        named = {member.identity: member.intro_mailbox for member in invitation.group.members}
        expected = set(named)
        if len(expected) != len(invitation.group.members) or named.get(me.identity_public) != me.intro_mailbox:
            raise BadKeyPackage("(a member twice, or another intro mailbox than ours)")
    if inviter == me.identity_public:
        # DEVICES-07 with one other account, and the one that it says; a group is as GROUP-09 has it.
        expected |= {invitation.peer.identity} if invitation.peer is not None else set()
        if invitation.group is None and (invitation.peer is None or len(expected) != 2):
            raise BadKeyPackage("(from an own device, and it does not say with whom)")
    if accounts != expected or me.identity_public not in expected:
        raise BadKeyPackage("(the invitation names other accounts than are there)")
    theirs = verify_device_list(invitation.device_list, inviter)
    for member in members:
        # Of ours the list here may be the older one: what the certificates do not say, `own` looks after.
        if identity_of(member.credential) == inviter and member.signature_key not in theirs.devices:
            raise BadKeyPackage("(a device that is not on its account's list)")
    return theirs


def _others(me: Me, invitation: Invitation, devices: DeviceList) -> list[Member]:
    if invitation.group is None and invitation.peer is not None and devices.identity_public == me.identity_public:
        return [Member(invitation.peer.identity, invitation.peer.intro_mailbox)]
    if invitation.group is None:
        return [Member(devices.identity_public, devices.intro_mailbox)]
    return members_of(invitation.group, me.identity_public, [])


def _requested(
    session: MlsSession, me: Me, own_leaf: int, invitation: Invitation, devices: DeviceList, group: bytes, tools: Tools
) -> Conversation:
    secret = next((slot.secret for slot in invitation.slots if slot.leaf == own_leaf), b"")
    if not secret:
        raise BadEnvelope("(an invitation without a slot for us)")
    conversation = Conversation(
        id=group,
        state=ConversationState.REQUESTED,
        members=_others(me, invitation, devices),
        write_key=invitation.write_key,
        read_key=b"",
        slot_secret=secret,
        log=Log(invitation.mailbox, ReaderState.SLOT, invitation.start_seq, invitation.log_hash),
        epoch_keys=[],
        since=tools.now_ms,
        group=invitation.group,
        inviter=devices.identity_public,
        request_keys=[invitation.request_key] if invitation.request_key else [],
    )
    return with_epoch_key(conversation, epoch_key(session, group, invitation.group))
