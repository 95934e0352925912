"""First contact: found a conversation, be invited to one, accept it, and be added again after a resync.

Founding makes a group of all devices of two accounts, its mailbox, and one Welcome with an invitation in it that
goes to the other's intro mailbox. The invited side touches nothing until it accepts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from grue._core import MlsApplication, MlsError, MlsMember, MlsSession, mls_key_package_member
from grue.errors import BadEnvelope, BadKeyPackage, BadRequest, TooLarge
from grue.protocol.contents import (
    APPLICATION,
    INTRO_PAYLOAD,
    IntroSms,
    IntroWelcome,
    Invitation,
    Slot,
    Text,
    Transcript,
)
from grue.protocol.conversation import (
    TABLE,
    Conversation,
    ConversationEvent,
    ConversationState,
    Incoming,
    Newcomer,
    Outgoing,
    Purpose,
    Step,
    Tools,
    become,
    epoch_key,
    hashed,
    supersede,
    with_epoch_key,
)
from grue.protocol.devices import device_list_hash, identity_of, verify_device_list
from grue.protocol.mailbox import Log, ReaderState, empty_log, exchanged
from grue.protocol.padding import pad, unpad
from grue.protocol.wire import Claimed, CreateMailbox, DeviceList, ExchangeSlot, PostIntro, encode

ADDRESS_LABEL: Final = "grue address v1"
"""MLS exporter label of a conversation's mailbox id and write key, 32 bytes each."""


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
    again: bool
    """We were added again to a conversation that we had lost."""
    superseded: Conversation | None
    """An older conversation with the same account that the sender has given up."""


def check_claimed(claimed: Claimed, identity_public: bytes, list_hash: bytes, known_number: int) -> Peer:
    """Check what the server handed out against the directory record. Raises BadKeyPackage.

    CONVERSATION-01 the device list is signed by the record's identity key (DEVICES-01, -02), its hash is the record's,
    and its number is not below one seen before. CONVERSATION-02 there is exactly one valid key package per device on
    the list, with that device's key and a certificate of that identity.
    """
    devices = verify_device_list(claimed.device_list, identity_public)
    if device_list_hash(claimed.device_list) != list_hash or devices.number < known_number:
        raise BadKeyPackage("(the device list is not the record's)")
    packages = {claim.device_public: claim.package for claim in claimed.packages}
    if packages.keys() != set(devices.devices) or len(packages) != len(claimed.packages):
        raise BadKeyPackage("(not one for each device)")
    for device_public, package in packages.items():
        _check_package(package, identity_public, device_public)
    return Peer(devices, list(packages.values()))


def found(
    session: MlsSession,
    me: Me,
    peer: Peer,
    text: Text,
    tools: Tools,
    own_packages: Sequence[bytes] = (),
    replaces: bytes = b"",
) -> Step:
    """Make the group, its address and the invitation. Costs an X-Wing encapsulation or two for each device.

    own_packages  key packages of the own other devices
    replaces      a conversation of ours whose own state went back
    Raises TooLarge when the text does not fit beside the Welcome.
    """
    group = tools.random(32)
    session.create(group, me.credential)
    commit = session.commit(group, [*peer.packages, *own_packages], [], b"")
    session.accepted(group)
    if commit.welcome is None:
        raise BadKeyPackage("(nobody to invite)")
    conversation = _founded(session, group, peer.devices.identity_public, tools)
    slots = _slots(session, group, tools)
    invitation = _invitation(conversation, me, slots, text, replaces)
    blob = _intro_blob(session, group, commit.welcome, invitation)
    create = CreateMailbox(
        conversation.log.mailbox,
        hashed(conversation.write_key),
        hashed(conversation.read_key),
        [hashed(slot.secret) for slot in slots],
    )
    introduced = [peer.devices.intro_mailbox, *([me.intro_mailbox] if own_packages else [])]
    return Step(conversation, [Outgoing(Purpose.FOUND, create), *_introduce(introduced, blob, text.id, tools)])


def invited(session: MlsSession, me: Me, payload: IntroWelcome, known: Sequence[Conversation], tools: Tools) -> Invited:
    """Join the group of a Welcome from the intro mailbox; the conversation waits as a request.

    CONVERSATION-03 exactly two accounts, ours and one other. CONVERSATION-04 every leaf is on its account's signed
    device list. CONVERSATION-07 a group that we are in already is joined anew only while it is lost.
    Raises BadKeyPackage, BadEnvelope or an MlsError; the session's changes are void then.
    """
    old = _forget_lost(session, payload, known)
    staged = session.stage_welcome(payload.welcome)
    before = next((c for c in known if c.id == staged.group_id), None)
    if before is not None and before is not old:
        raise BadEnvelope("(a group that we are in)")
    session.accept_welcome(staged)
    invitation, sender = _open_invitation(session, staged.group_id, payload.invitation)
    devices = _check_members(session.members(staged.group_id), me, invitation, sender)
    conversation = _requested(session, staged.group_id, staged.own_leaf, invitation, devices, tools)
    if old is not None:
        conversation = replace(conversation, state=old.state)
    step = Step(conversation)
    if invitation.text is not None:
        step.incoming.append(Incoming(devices.identity_public, invitation.text, invitation.start_seq))
    superseded = _superseded(known, invitation, devices, tools)
    return Invited(step, invitation.number, invitation.transcript, devices, old is not None, superseded)


def accept(conversation: Conversation, tools: Tools) -> Step:
    """Accept a request, or come back after a resync: exchange the slot for a read key of our own."""
    again = conversation.state is ConversationState.LOST
    event = ConversationEvent.REJOINED if again else ConversationEvent.ACCEPTED
    accepted = replace(become(conversation, event), read_key=tools.random(32))
    request = ExchangeSlot(accepted.log.mailbox, accepted.slot_secret, hashed(accepted.read_key))
    return Step(accepted, [Outgoing(Purpose.EXCHANGE, request)])


def slot_exchanged(conversation: Conversation, cursor: int) -> Conversation:
    """The server made us a reader that starts after `cursor`; the slot's secret is spent."""
    return replace(conversation, log=exchanged(conversation.log, cursor), slot_secret=b"")


def welcome_newcomer(
    session: MlsSession, conversation: Conversation, me: Me, newcomer: Newcomer, tools: Tools
) -> Outgoing:
    """After a commit that added somebody has won: the Welcome and an invitation in the new epoch."""
    leaf = next(m.leaf for m in session.members(conversation.id) if m.signature_key == newcomer.signature_key)
    slots = [Slot(leaf, newcomer.slot_secret)]
    invitation = _invitation(conversation, me, slots, None)
    blob = _intro_blob(session, conversation.id, newcomer.welcome, invitation)
    return _introduce([newcomer.intro_mailbox], blob, b"", tools)[0]


def open_intro(blob: bytes) -> IntroWelcome | IntroSms:
    """What lies in an intro mailbox. Raises BadEnvelope for bytes that nobody honest put there."""
    try:
        return INTRO_PAYLOAD.decode(unpad(blob))
    except BadRequest:
        raise BadEnvelope from None


def _check_package(package: bytes, identity_public: bytes, device_public: bytes) -> None:
    try:
        member = mls_key_package_member(package)
    except MlsError:
        raise BadKeyPackage from None
    if identity_of(member.credential) != identity_public or member.signature_key != device_public:
        raise BadKeyPackage


def _founded(session: MlsSession, group: bytes, peer: bytes, tools: Tools) -> Conversation:
    address = session.exporter(group, ADDRESS_LABEL, b"", 64)
    return Conversation(
        id=group,
        state=ConversationState.FOUNDED,
        peer=peer,
        write_key=address[32:],
        read_key=tools.random(32),
        slot_secret=b"",
        log=empty_log(address[:32], ReaderState.READING),
        epoch_keys=[epoch_key(session, group)],
        since=tools.now_ms,
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
    )


def _intro_blob(session: MlsSession, group: bytes, welcome: bytes, invitation: Invitation) -> bytes:
    sealed = session.encrypt(group, encode(invitation), b"")
    try:
        return pad(encode(IntroWelcome(welcome, sealed)))
    except TooLarge:
        raise TooLarge("Make the first one shorter; the next may be longer.") from None


def _introduce(mailboxes: Sequence[bytes], blob: bytes, about: bytes, tools: Tools) -> list[Outgoing]:
    outgoing = []
    for mailbox in mailboxes:
        envelope_id = tools.random(16)
        outgoing.append(Outgoing(Purpose.INTRODUCE, PostIntro(mailbox, envelope_id, blob), envelope_id, about))
    return outgoing


def _forget_lost(session: MlsSession, payload: IntroWelcome, known: Sequence[Conversation]) -> Conversation | None:
    # The group id of a Welcome is encrypted, but the invitation's framing names it in the clear.
    for conversation in known:
        if conversation.state is ConversationState.LOST and conversation.id in payload.invitation[:64]:
            session.delete(conversation.id)
            return conversation
    return None


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
    by_leaf = {member.leaf: member for member in members}
    inviter = identity_of(by_leaf[sender].credential)
    accounts = {identity_of(member.credential) for member in members}
    if accounts != {me.identity_public, inviter} or len(accounts) != 2:
        raise BadKeyPackage("(the invitation is not from one other account)")
    theirs = verify_device_list(invitation.device_list, inviter)
    allowed = {inviter: theirs, me.identity_public: verify_device_list(me.device_list, me.identity_public)}
    for member in members:
        if member.signature_key not in allowed[identity_of(member.credential)].devices:
            raise BadKeyPackage("(a device that is not on its account's list)")
    return theirs


def _superseded(
    known: Sequence[Conversation], invitation: Invitation, devices: DeviceList, tools: Tools
) -> Conversation | None:
    for conversation in known:
        theirs = conversation.id == invitation.replaces and conversation.peer == devices.identity_public
        if theirs and ConversationEvent.SUPERSEDED in TABLE[conversation.state]:
            return supersede(conversation, tools)
    return None


def _requested(
    session: MlsSession, group: bytes, own_leaf: int, invitation: Invitation, devices: DeviceList, tools: Tools
) -> Conversation:
    secret = next((slot.secret for slot in invitation.slots if slot.leaf == own_leaf), b"")
    if not secret:
        raise BadEnvelope("(an invitation without a slot for us)")
    conversation = Conversation(
        id=group,
        state=ConversationState.REQUESTED,
        peer=devices.identity_public,
        write_key=invitation.write_key,
        read_key=b"",
        slot_secret=secret,
        log=Log(invitation.mailbox, ReaderState.SLOT, invitation.start_seq, invitation.log_hash),
        epoch_keys=[],
        since=tools.now_ms,
    )
    return with_epoch_key(conversation, epoch_key(session, group))
