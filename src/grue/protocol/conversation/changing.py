"""How a group changes: somebody's plan becomes a commit, the mailbox moves when an account goes, and one leaves.

A plan is kept until its commit has won. Should another commit be first, the same plan is committed again on top of it,
as far as it still means something.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from grue._core import MlsMember, MlsSession, MlsStagedCommit, mls_key_package_member
from grue.errors import TooLarge
from grue.protocol.conversation.asking import MAX_REQUEST_KEYS, request_key
from grue.protocol.conversation.commits import seal_commit
from grue.protocol.conversation.contents import (
    GroupChange,
    GroupMember,
    Leave,
    Readmission,
)
from grue.protocol.conversation.conversation import (
    SENDING,
    Conversation,
    ConversationEvent,
    ConversationState,
    Outgoing,
    Purpose,
    Step,
    Tools,
    become,
    hashed,
    post,
    state_context,
)
from grue.protocol.conversation.devices import hpke_public_of, identity_of
from grue.protocol.conversation.first_contact import ADDRESS_LABEL, Me, welcomed
from grue.protocol.conversation.groups import Committed, changed, follows, own_key, sign_departure, state_hash
from grue.protocol.conversation.mailbox import ReaderState, empty_log, moved_mailbox
from grue.protocol.conversation.stored import Adding, Drain, Newcomer, NewDevice, PendingCommit, Plan
from grue.protocol.wire import ENVELOPE_BUCKETS, MAX_SLOTS, CreateMailbox, ExchangeSlot, RemoveReader, encode

SLOT_LABEL: Final = "grue slot v1"
"""MLS exporter label of the slot that a leaf has in a mailbox that a conversation moves to; the context is the leaf."""

DRAIN_MS: Final = 2 * 24 * 3600 * 1000
"""How long the mailbox that a conversation moved from is read: who writes there has not read for so long."""

INVITATION_ROOM: Final = 2304
"""Bytes of an invitation beside group state and device list: keys, a transcript, slots, what MLS and HPKE add."""

OWN_GROUP: Final = "me"
"""What the group of one account is called. People cannot call a group so."""

NO_HASH: Final = bytes(32)
"""In a plan, whose hash is computed when it is committed."""


def carry_out(session: MlsSession, conversation: Conversation, me: Me, plan: Plan, tools: Tools) -> Step:
    """Commit what somebody wants; pending until it is met in the log. Costs an X-Wing encapsulation a member.

    What is so already is left out; when nothing remains, nothing goes out.
    Raises NotPermitted for what every member would pass over, TooLarge for what no envelope takes.
    """
    members = session.members(conversation.id)
    plan = _what_remains(conversation, members, plan)
    assert conversation.group is not None
    removed = [member for member in members if identity_of(member.credential) in plan.remove]
    packages = [package for adding in plan.add for package in adding.packages]
    added = [mls_key_package_member(package) for package in packages]
    if len(members) - len(removed) + len(added) > MAX_SLOTS:
        raise TooLarge
    epoch = session.epoch(conversation.id) + 1
    after = follows(conversation.group, plan.change, plan.remove, {}, epoch)
    if after == conversation.group:
        return Step(conversation)
    data = encode(replace(plan.change, state_hash=state_hash(conversation.id, after)))
    changed(conversation.id, conversation.group, Committed(me.identity_public, members, added, removed, data, epoch))
    pending = PendingCommit(tools.random(16), [_newcomer(adding, tools) for adding in plan.add], plan=plan, after=after)
    return commit_change(session, conversation, me, pending, packages, [member.leaf for member in removed], data, tools)


@dataclass(frozen=True)
class Readmitting:
    """A device that is removed and added again, as it has asked."""

    proof: Readmission
    key_package: bytes
    intro_mailbox: bytes
    before: MlsMember
    again: MlsMember


def readmit(
    session: MlsSession, conversation: Conversation, me: Me, devices: Sequence[Readmitting], tools: Tools
) -> Step:
    """Remove devices and add them again, in one commit. Raises NotPermitted, TooLarge."""
    again = {one.again.signature_key: identity_of(one.again.credential) for one in devices}
    after, data = None, b""
    if conversation.group is not None:
        epoch = session.epoch(conversation.id) + 1
        change = GroupChange(NO_HASH, readmitted=[one.proof for one in devices])
        after = follows(conversation.group, change, [], again, epoch)
        data = encode(replace(change, state_hash=state_hash(conversation.id, after)))
        added, removed = [one.again for one in devices], [one.before for one in devices]
        members = session.members(conversation.id)
        changed(
            conversation.id, conversation.group, Committed(me.identity_public, members, added, removed, data, epoch)
        )
    newcomers = [Newcomer(one.intro_mailbox, [NewDevice(one.again.signature_key, tools.random(32))]) for one in devices]
    numbers = [(one.proof.signature_key, one.proof.number) for one in devices]
    pending = PendingCommit(tools.random(16), newcomers, after=after, back=numbers)
    packages, leaves = [one.key_package for one in devices], [one.before.leaf for one in devices]
    return commit_change(session, conversation, me, pending, packages, leaves, data, tools)


def move(session: MlsSession, conversation: Conversation, tools: Tools) -> Step:
    """Move to the mailbox that this epoch's secrets name. Each member has it made, and takes a slot of its own."""
    group, own = conversation.id, session.own_leaf(conversation.id)
    write_key = session.exporter(group, ADDRESS_LABEL, state_context(group, conversation.group), 64)[32:]
    secrets = {
        m.leaf: session.exporter(group, SLOT_LABEL, m.leaf.to_bytes(4, "big"), 32) for m in session.members(group)
    }
    slots = [hashed(secrets[leaf]) for leaf in sorted(secrets)]
    mailbox, read_key = moved_mailbox(hashed(write_key), slots), tools.random(32)
    drain = Drain(conversation.log, conversation.read_key, tools.now_ms + DRAIN_MS)
    moved = replace(
        conversation,
        write_key=write_key,
        read_key=read_key,
        request_keys=[request_key(session, group, conversation.group), *conversation.request_keys][:MAX_REQUEST_KEYS],
        slot_secret=secrets[own],
        log=empty_log(mailbox, ReaderState.SLOT),
        drains=[*conversation.drains, drain],
        own=[],
        hole=0,
        unseen=0,
        unseen_seq=0,
    )
    create = CreateMailbox(mailbox, hashed(write_key), None, slots)
    exchange = ExchangeSlot(mailbox, secrets[own], hashed(read_key))
    return Step(moved, [Outgoing(Purpose.MOVE, create), Outgoing(Purpose.EXCHANGE, exchange)])


def leave(session: MlsSession, conversation: Conversation, tools: Tools) -> Step:
    """Ask to be removed, stop reading, and forget the keys. Raises NotPermitted in a state that cannot write."""
    asking = Leave(sign_departure(session, conversation.id))
    # Whoever has lost track writes nothing that others could read.
    writes = conversation.read_key and conversation.state in SENDING
    outgoing = [post(session, conversation, asking, Purpose.FAREWELL, tools)] if writes else []
    gone = replace(
        become(conversation, ConversationEvent.LEFT), pending=None, drains=[], left_in=session.epoch(conversation.id)
    )
    session.delete(conversation.id)
    return Step(gone, [*outgoing, *stop_reading(conversation)])


def stop_reading(conversation: Conversation) -> list[Outgoing]:
    """Leave the mailboxes of a conversation, those that are only drained included."""
    readers = [(conversation.log.mailbox, conversation.read_key or conversation.slot_secret)]
    readers += [(drain.log.mailbox, drain.read_key) for drain in conversation.drains]
    return [Outgoing(Purpose.LEAVE, RemoveReader(mailbox, key)) for mailbox, key in readers]


def drained(conversation: Conversation, now_ms: int) -> Step | None:
    """Leave the mailboxes that were drained long enough; None when there is none."""
    over = [drain for drain in conversation.drains if drain.until <= now_ms]
    if not over:
        return None
    stay = [drain for drain in conversation.drains if drain.until > now_ms]
    leaving = [Outgoing(Purpose.LEAVE, RemoveReader(drain.log.mailbox, drain.read_key)) for drain in over]
    return Step(replace(conversation, drains=stay), leaving)


def release_slots(conversation: Conversation) -> list[Outgoing]:
    """Give back the slots that a beaten commit reserved: nobody will read there, so they must not hold envelopes."""
    if conversation.pending is None:
        return []
    mailbox, newcomers = conversation.log.mailbox, conversation.pending.newcomers
    secrets = [device.slot_secret for newcomer in newcomers for device in newcomer.devices]
    return [Outgoing(Purpose.LEAVE, RemoveReader(mailbox, secret)) for secret in secrets]


def _what_remains(conversation: Conversation, members: Sequence[MlsMember], plan: Plan) -> Plan:
    """The plan without what others have done meanwhile."""
    assert conversation.group is not None
    present = {member.identity for member in conversation.group.members}
    keys = {member.signature_key for member in members}
    add = [adding for adding in plan.add if adding.identity not in present]
    change = replace(
        plan.change,
        roles=[new for new in plan.change.roles if new.identity in present],
        added=[GroupMember(adding.identity, adding.intro_mailbox) for adding in add],
        departed=[departure for departure in plan.change.departed if departure.signature_key in keys],
    )
    return Plan(change, add, [identity for identity in plan.remove if identity in present])


def commit_change(
    session: MlsSession,
    conversation: Conversation,
    me: Me,
    pending: PendingCommit,
    packages: Sequence[bytes],
    leaves: Sequence[int],
    data: bytes,
    tools: Tools,
) -> Step:
    """Commit, and keep what is to be done once that has won. Raises TooLarge, and nothing is pending then."""
    commit = session.commit(conversation.id, packages, leaves, data)
    newcomers = welcomed(pending.newcomers, commit, packages)
    pending = replace(pending, newcomers=newcomers, tree_secret=commit.tree_secret or b"")
    slots = [device.slot_secret for newcomer in pending.newcomers for device in newcomer.devices]
    try:
        _check_fits(pending, len(me.device_list))
        outgoing = seal_commit(session, conversation, commit.message, Purpose.CHANGE, pending.envelope, tools, slots)
    except TooLarge:
        session.rejected(conversation.id)
        raise
    return Step(replace(conversation, pending=pending), outgoing)


def _check_fits(pending: PendingCommit, list_bytes: int) -> None:
    """Raises TooLarge now: once the commit has won, whom it adds has to get its Welcome."""
    state = b"" if pending.after is None or pending.tree_secret else encode(pending.after)
    invitation = len(state) + list_bytes + INVITATION_ROOM
    if any(len(newcomer.welcome) + invitation > ENVELOPE_BUCKETS[-1] for newcomer in pending.newcomers):
        raise TooLarge


def _newcomer(adding: Adding, tools: Tools) -> Newcomer:
    keys = [mls_key_package_member(package).signature_key for package in adding.packages]
    return Newcomer(adding.intro_mailbox, [NewDevice(key, tools.random(32)) for key in keys], b"", adding.hpke_public)


# --- the own devices ------------------------------------------------------------------------------


def is_own(conversation: Conversation, me: bytes) -> bool:
    """Whether it is the group of the own devices: made by one of them, and with nobody else in it."""
    group = conversation.group
    made = conversation.inviter in (b"", me) and group is not None and group.name == OWN_GROUP
    return made and not conversation.members


def own_leaves(session: MlsSession, conversation: Conversation, me: bytes) -> list[MlsMember]:
    """The own devices that are in a conversation. Needs b"s", b"g"."""
    return [member for member in session.members(conversation.id) if identity_of(member.credential) == me]


def is_put_out(session: MlsSession, conversation: Conversation, staged: MlsStagedCommit, me: Me) -> bool:
    """DEVICES-08 another device of our own account has removed this one, and does not add it again."""
    committer = next(m for m in session.members(conversation.id) if m.leaf == staged.leaf)
    own, again = own_key(session, conversation.id), {member.signature_key for member in staged.added}
    return identity_of(committer.credential) == me.identity_public and own not in again


def change_own_devices(
    session: MlsSession,
    conversation: Conversation,
    me: Me,
    packages: Sequence[bytes],
    remove: Sequence[bytes],
    tools: Tools,
) -> Step:
    """Commit that own devices are added by these packages, or others removed by their keys: never both at once.

    Raises NotPermitted for what every member would pass over, TooLarge for what no envelope takes.
    """
    members = session.members(conversation.id)
    removed = [member for member in members if member.signature_key in remove]
    added = [mls_key_package_member(package) for package in packages]
    data, after = b"", None
    if conversation.group is not None:
        epoch = session.epoch(conversation.id) + 1
        change = GroupChange(NO_HASH)
        after = follows(conversation.group, change, [], {}, epoch)
        data = encode(replace(change, state_hash=state_hash(conversation.id, after)))
        committed = Committed(me.identity_public, members, added, removed, data, epoch)
        changed(conversation.id, conversation.group, committed)
    new = [NewDevice(member.signature_key, tools.random(32)) for member in added]
    newcomers = [Newcomer(me.intro_mailbox, new, b"", hpke_public_of(me.device_list))] if new else []
    pending = PendingCommit(tools.random(16), newcomers, after=after, moves=bool(removed), own=True)
    if conversation.state is ConversationState.STARTED:
        conversation = become(conversation, ConversationEvent.POSTED)
    return commit_change(session, conversation, me, pending, packages, [member.leaf for member in removed], data, tools)
