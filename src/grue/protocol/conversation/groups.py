"""The rules of a group: who is in it, what it is called, and who may change that.

Each change is the authenticated data of a commit. The mailbox orders commits, and every check here needs only the
state before, the commit and its members: so all members see the same changes in the same order, and refuse the same
ones, whatever their contacts, clocks and networks say.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import msgpack
from msgspec.structs import replace

from grue._core import MlsMember, MlsSession
from grue.errors import BadRequest, NotPermitted
from grue.protocol.conversation.contents import (
    GROUP_CHANGE,
    MAX_MEMBERS,
    CameBack,
    Departure,
    GroupChange,
    GroupState,
    LinkRule,
    Readmission,
    Role,
)
from grue.protocol.conversation.devices import identity_of
from grue.protocol.wire import MAX_DEVICES, MAX_SLOTS, encode

STATE_CONTEXT: Final = b"grue group state v1"
FIRST_FIELDS: Final = 7
"""Elements of an encoded `GroupState`, its tag included, that are in its hash whatever they are."""

LEAVE_CONTEXT: Final = b"grue group leave v1"
"""What a device signs to be removed: this, the group's id, and the epoch. It only ever counts against who signed it."""

READMIT_CONTEXT: Final = b"grue group readmit v1"
"""What a device signs to be removed and added again, likewise."""


RESPONDERS: Final = 3
"""Members of a group that one request to be readmitted goes to: one wins, and whoever is too late has spent a commit
for nothing. Should none of them be there, the next request goes to others."""


@dataclass(frozen=True)
class Committed:
    """A commit as every member sees it.

    committer  the identity of who made it
    before     the members by leaf, before it
    data       its authenticated data
    """

    committer: bytes
    before: Sequence[MlsMember]
    added: Sequence[MlsMember]
    removed: Sequence[MlsMember]
    data: bytes
    epoch: int
    """That it leads to."""


def state_hash(group: bytes, state: GroupState) -> bytes:
    """32 bytes that two members compare their states by.

    What is empty at the end is left out: who knows of more fields has the same hash while nobody uses them.
    """
    fields = msgpack.decode(encode(state))
    while len(fields) > FIRST_FIELDS and not fields[-1]:
        del fields[-1]
    return sha256(STATE_CONTEXT + group + msgpack.encode(fields)).digest()


def role_of(state: GroupState, identity: bytes) -> Role | None:
    """None for who is no member."""
    return next((member.role for member in state.members if member.identity == identity), None)


def is_allowed(state: GroupState, identity: bytes, needed: Role) -> bool:
    """Whether this member's role is the needed one or a higher."""
    role = role_of(state, identity)
    return role is Role.ADMIN or (role is not None and needed is Role.MEMBER)


def may_write(state: GroupState | None, identity: bytes) -> bool:
    """GROUP-08 only who may write is heard; in a conversation of two that is everybody."""
    return state is None or is_allowed(state, identity, state.may_write)


def sign_departure(session: MlsSession, group: bytes) -> Departure:
    """The proof by this device that its account wants to be removed. Needs b"s", b"g"."""
    epoch = session.epoch(group)
    return Departure(own_key(session, group), session.sign(_signed(LEAVE_CONTEXT, group, epoch)), epoch)


def sign_readmission(session: MlsSession, group: bytes, number: int, own: bytes = b"") -> Readmission:
    """The proof by this device that it wants to be removed and added again. Needs b"s", b"g"; or `own`, its key."""
    key = own or own_key(session, group)
    return Readmission(key, session.sign(_signed(READMIT_CONTEXT, group, number)), number)


def own_key(session: MlsSession, group: bytes) -> bytes:
    """This device's signature key."""
    own = session.own_leaf(group)
    return next(member.signature_key for member in session.members(group) if member.leaf == own)


def proved(
    group: bytes, state: GroupState, members: Sequence[MlsMember], wishes: Sequence[Departure | Readmission]
) -> dict[bytes, bytes]:
    """Whose wishes these are, of members as they are: account by signature key.

    One that was signed before the account came, or by which its device came back already, counts no more: it was for
    another time.
    """
    accounts = {member.signature_key: identity_of(member.credential) for member in members}
    joined = {member.identity: member.joined for member in state.members}
    back = came_back(state)
    found: dict[bytes, bytes] = {}
    for wish in wishes:
        account = accounts.get(wish.signature_key)
        number = wish.epoch if isinstance(wish, Departure) else wish.number
        used = back.get(wish.signature_key, -1) if isinstance(wish, Readmission) else -1
        if account in joined and number >= joined[account] and number > used and is_signed(group, wish):
            found[wish.signature_key] = account
    return found


def came_back(state: GroupState) -> dict[bytes, int]:
    """By which number each device that was readmitted came back."""
    return {one.signature_key: one.number for one in state.back}


def is_signed(group: bytes, wish: Departure | Readmission) -> bool:
    """Whether the device that it names has signed it."""
    if isinstance(wish, Departure):
        signed = _signed(LEAVE_CONTEXT, group, wish.epoch)
    else:
        signed = _signed(READMIT_CONTEXT, group, wish.number)
    try:
        Ed25519PublicKey.from_public_bytes(wish.signature_key).verify(wish.signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def _signed(context: bytes, group: bytes, number: int) -> bytes:
    return context + group + number.to_bytes(8, "big")


def changed(group: bytes, state: GroupState, commit: Committed) -> GroupState:
    """The group's state after a commit. Raises NotPermitted for one that every member passes over.

    GROUP-01 the committer is a member, and the data is a `GroupChange` or empty. GROUP-02 exactly the accounts that had
    no device here are `added`, as members, by who may add. GROUP-03 other accounts' devices are removed by an admin, or
    with the account's signed departure, or are added again in the same commit as they have asked, signed. GROUP-04
    further devices of an account are added by itself, and none has more than `MAX_DEVICES`. GROUP-05 name and
    description are changed by who may rename, rules and roles by admins. GROUP-06 the state that follows has the hash
    that the change names. GROUP-07 who removes an account or a device adds none, since the mailbox moves.
    GROUP-15 the link is made, changed and taken away by admins.
    """
    change = _decoded(commit.data)
    if role_of(state, commit.committer) is None:
        raise NotPermitted
    _check_devices(group, state, commit, change)
    gone = _gone(commit)
    _check_added(state, commit, change, gone)
    _check_settings(state, commit.committer, change)
    after = _after(state, change, gone, _again(commit, change), commit.epoch)
    if change.state_hash != b"" and change.state_hash != state_hash(group, after):
        raise NotPermitted
    if change.state_hash == b"" and after != state:
        raise NotPermitted
    return after


def follows(
    state: GroupState, change: GroupChange, gone: Sequence[bytes], again: Mapping[bytes, bytes], epoch: int
) -> GroupState:
    """The state that a change will lead to in this epoch, for who makes it.

    again  devices that are readmitted: the account by signature key
    """
    return _after(state, change, set(gone), again, epoch)


def picked(members: Iterable[bytes], asking: bytes, asked_in: bytes) -> list[bytes]:
    """GROUP-12 the few that a member asks: those that a random id picks, others each time."""
    others = (identity for identity in members if identity != asking)
    return sorted(others, key=lambda one: sha256(asked_in + one).digest())[:RESPONDERS]


def left(before: GroupState, after: GroupState) -> set[bytes]:
    """The accounts that were in a group and are no more."""
    return {member.identity for member in before.members} - {member.identity for member in after.members}


def _decoded(data: bytes) -> GroupChange:
    if not data:
        return _NOTHING
    try:
        change = GROUP_CHANGE.decode(data)
    except BadRequest:
        raise NotPermitted from None
    return change


def _check_devices(group: bytes, state: GroupState, commit: Committed, change: GroupChange) -> None:
    """GROUP-03 and GROUP-04."""
    again = {member.signature_key for member in commit.added}
    removed = {member.signature_key for member in commit.removed}
    if again and removed - again:
        raise NotPermitted
    departed = set(proved(group, state, commit.before, change.departed).values())
    asked = again & set(proved(group, state, commit.before, change.readmitted))
    admin = role_of(state, commit.committer) is Role.ADMIN
    for member in commit.removed:
        account = identity_of(member.credential)
        if not (account == commit.committer or member.signature_key in asked or admin or account in departed):
            raise NotPermitted
    known = {member.identity for member in state.members}
    for member in commit.added:
        account = identity_of(member.credential)
        if account in known and account != commit.committer and member.signature_key not in removed:
            raise NotPermitted
    devices = Counter(identity_of(member.credential) for member in commit.before if member.signature_key not in removed)
    devices.update(identity_of(member.credential) for member in commit.added)
    if devices.total() > MAX_SLOTS or max(devices.values()) > MAX_DEVICES:
        raise NotPermitted


def _again(commit: Committed, change: GroupChange) -> dict[bytes, bytes]:
    """The devices that are removed and added again as they have asked: the account by signature key."""
    asked = {wish.signature_key for wish in change.readmitted}
    removed = {member.signature_key for member in commit.removed}
    added = {member.signature_key: identity_of(member.credential) for member in commit.added}
    return {key: account for key, account in added.items() if key in removed & asked}


def _gone(commit: Committed) -> set[bytes]:
    """The accounts that have no device here after a commit."""
    removed = {member.leaf for member in commit.removed}
    stay = {identity_of(member.credential) for member in commit.before if member.leaf not in removed}
    stay |= {identity_of(member.credential) for member in commit.added}
    return {identity_of(member.credential) for member in commit.removed} - stay


def _check_added(state: GroupState, commit: Committed, change: GroupChange, gone: set[bytes]) -> None:
    """GROUP-02 and GROUP-07."""
    known = {member.identity for member in state.members}
    new = {identity_of(member.credential) for member in commit.added} - known
    named = [member.identity for member in change.added]
    if len(named) != len(set(named)) or set(named) != new:
        raise NotPermitted
    if new and (gone or not is_allowed(state, commit.committer, state.may_add)):
        raise NotPermitted
    if any(member.role is not Role.MEMBER for member in change.added):
        raise NotPermitted


def _check_settings(state: GroupState, committer: bytes, change: GroupChange) -> None:
    """GROUP-05 and GROUP-15."""
    renames = change.name is not None or change.description is not None
    if renames and not is_allowed(state, committer, state.may_rename):
        raise NotPermitted
    rules = (change.may_add, change.may_rename, change.may_write)
    if (change.roles or any(rules) or change.link is not None) and role_of(state, committer) is not Role.ADMIN:
        raise NotPermitted


def _after(
    state: GroupState, change: GroupChange, gone: set[bytes], again: Mapping[bytes, bytes], epoch: int
) -> GroupState:
    came = {member.identity for member in change.added}
    roles: Mapping[bytes, Role] = {new.identity: new.role for new in change.roles}
    everybody = [member for member in [*state.members, *change.added] if member.identity not in gone]
    if not set(roles) <= {member.identity for member in everybody} or not 0 < len(everybody) <= MAX_MEMBERS:
        raise NotPermitted
    members = [
        replace(
            member,
            role=roles.get(member.identity, member.role),
            joined=epoch if member.identity in came else member.joined,
        )
        for member in everybody
    ]
    if all(member.role is not Role.ADMIN for member in members):
        # Nobody could add or remove any more. The order is the same for all: who has been here longest.
        members[0] = replace(members[0], role=Role.ADMIN)
    return GroupState(
        name=change.name or state.name,
        members=members,
        description=state.description if change.description is None else change.description,
        may_add=change.may_add or state.may_add,
        may_rename=change.may_rename or state.may_rename,
        may_write=change.may_write or state.may_write,
        link=_link_after(state, change, gone),
        back=_came_back(state.back, change, again, {member.identity for member in members} - came),
    )


def _link_after(state: GroupState, change: GroupChange, gone: set[bytes]) -> LinkRule | None:
    """GROUP-16 with whoever is removed without having asked for it the link goes: they may have kept it."""
    if change.link is not None:
        return change.link.rule
    return None if gone and not change.departed else state.link


def _came_back(
    before: Sequence[CameBack], change: GroupChange, again: Mapping[bytes, bytes], accounts: set[bytes]
) -> list[CameBack]:
    """Of these accounts, which devices were readmitted, and by which number last."""
    numbers = {wish.signature_key: wish.number for wish in change.readmitted}
    now = [CameBack(account, key, numbers[key]) for key, account in sorted(again.items())]
    stay = [one for one in before if one.signature_key not in again]
    return [one for one in [*stay, *now] if one.identity in accounts][-MAX_SLOTS:]


_NOTHING: Final = GroupChange(b"")
"""A commit without data: a renewed leaf, or a device that is readmitted."""
