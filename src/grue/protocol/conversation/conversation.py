"""A conversation: what a client keeps of it, its states, and how it speaks. Two accounts are in it, or a group.

Nothing here does I/O. Each function takes the stored conversation and an `MlsSession` over its stored entries,
and returns a `Step`: everything that one client transaction has to commit, all of it or none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from grue._core import MlsMember, MlsSession, MlsStagedCommit
from grue.errors import NotPermitted, TooLarge
from grue.protocol.conversation import envelope, groups
from grue.protocol.conversation.contents import (
    MAX_NAMED,
    MAX_TEXT,
    Application,
    CommitPart,
    Departure,
    GroupState,
    Profile,
    Receipt,
    Register,
    ResyncRequest,
    Text,
)
from grue.protocol.conversation.devices import identity_of
from grue.protocol.conversation.mailbox import UNKNOWN_HASH, Log
from grue.protocol.conversation.stored import Asked, Drain, Member, PendingCommit, Reader
from grue.protocol.states import Table, advance
from grue.protocol.wire import AnonymousRequest, Post, encode

KEPT_EPOCH_KEYS: Final = 3
"""The current epoch and two past ones: posts cross a commit on their way."""

MAX_OWN: Final = 256
"""Own posts that are known by their seq until they are met in the log: more than one catches up with at a time."""

MAX_OWED: Final = 4096
"""Texts without a receipt that are remembered, 64 KiB: four days of a thousand a day."""

SUPERSEDED_FOR_MS: Final = 30 * 24 * 3600 * 1000
"""How long the other of two groups for one pair is still read: as long as an envelope lives."""


KEY_PACKAGES: Final = b"k"
"""Prefix of a session's entries that are own key packages; the reference follows. One that was used is deleted."""


class ConversationState(StrEnum):
    STARTED = "founded"
    """Ours, and not with the other side yet."""
    REQUESTED = "requested"
    """Theirs, and not accepted yet: nothing is read, acknowledged or sent."""
    DECLINED = "declined"
    """Theirs, and turned down, blocked, or of a flood: to its sender and the server it is one that still waits."""
    ACTIVE = "active"
    LOST = "lost"
    """A commit could not be followed, or the mailbox is gone: nothing is read or sent until a resync or a new one."""
    RESTORED = "restored"
    """Our own state went back to an older one: it is read as far as it can be, and never written with."""
    SUPERSEDED = "superseded"
    """Another group of the same two accounts is used; this one is only read."""
    FORKED = "forked"
    """The server showed the own devices two histories: read on, send nothing."""
    UNHEARD = "unheard"
    """What we sent expired unconfirmed, so the other side may never have joined: read on, send receipts alone."""
    GONE = "gone"


class ConversationEvent(StrEnum):
    POSTED = "posted"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    LOST_TRACK = "lost_track"
    WENT_BACK = "went_back"
    REJOINED = "rejoined"
    SUPERSEDED = "superseded"
    FORK_SEEN = "fork_seen"
    UNCONFIRMED = "unconfirmed"
    HEARD = "heard"
    EXPIRED = "expired"
    LEFT = "left"
    """We have left the group, or were removed."""


TABLE: Final[Table[ConversationState, ConversationEvent]] = {
    ConversationState.STARTED: {
        ConversationEvent.POSTED: ConversationState.ACTIVE,
        ConversationEvent.LOST_TRACK: ConversationState.LOST,
        ConversationEvent.WENT_BACK: ConversationState.RESTORED,
        ConversationEvent.SUPERSEDED: ConversationState.SUPERSEDED,
        ConversationEvent.FORK_SEEN: ConversationState.FORKED,
        ConversationEvent.LEFT: ConversationState.GONE,
    },
    ConversationState.REQUESTED: {
        ConversationEvent.ACCEPTED: ConversationState.ACTIVE,
        ConversationEvent.DECLINED: ConversationState.DECLINED,
    },
    ConversationState.DECLINED: {
        ConversationEvent.ACCEPTED: ConversationState.ACTIVE,
        ConversationEvent.EXPIRED: ConversationState.GONE,
    },
    ConversationState.ACTIVE: {
        ConversationEvent.LOST_TRACK: ConversationState.LOST,
        ConversationEvent.WENT_BACK: ConversationState.RESTORED,
        ConversationEvent.SUPERSEDED: ConversationState.SUPERSEDED,
        ConversationEvent.FORK_SEEN: ConversationState.FORKED,
        ConversationEvent.UNCONFIRMED: ConversationState.UNHEARD,
        ConversationEvent.LEFT: ConversationState.GONE,
    },
    ConversationState.LOST: {
        ConversationEvent.REJOINED: ConversationState.ACTIVE,
        ConversationEvent.SUPERSEDED: ConversationState.GONE,
        ConversationEvent.LEFT: ConversationState.GONE,
    },
    ConversationState.RESTORED: {
        ConversationEvent.LOST_TRACK: ConversationState.LOST,
        ConversationEvent.SUPERSEDED: ConversationState.SUPERSEDED,
        ConversationEvent.LEFT: ConversationState.GONE,
    },
    ConversationState.SUPERSEDED: {
        ConversationEvent.LOST_TRACK: ConversationState.GONE,
        ConversationEvent.EXPIRED: ConversationState.GONE,
    },
    ConversationState.FORKED: {
        ConversationEvent.LOST_TRACK: ConversationState.LOST,
        ConversationEvent.WENT_BACK: ConversationState.RESTORED,
        ConversationEvent.SUPERSEDED: ConversationState.SUPERSEDED,
        ConversationEvent.LEFT: ConversationState.GONE,
    },
    ConversationState.UNHEARD: {
        ConversationEvent.HEARD: ConversationState.ACTIVE,
        ConversationEvent.LOST_TRACK: ConversationState.LOST,
        ConversationEvent.WENT_BACK: ConversationState.RESTORED,
        ConversationEvent.SUPERSEDED: ConversationState.SUPERSEDED,
        ConversationEvent.FORK_SEEN: ConversationState.FORKED,
        ConversationEvent.LEFT: ConversationState.GONE,
    },
    ConversationState.GONE: {},
}

SENDING: Final = frozenset({ConversationState.STARTED, ConversationState.ACTIVE})
READ_ONLY: Final = frozenset(
    {ConversationState.SUPERSEDED, ConversationState.FORKED, ConversationState.RESTORED, ConversationState.UNHEARD}
)
READING: Final = SENDING | READ_ONLY

# In one of these the next message starts a conversation that replaces it.
GIVEN_UP: Final = frozenset(
    {ConversationState.LOST, ConversationState.RESTORED, ConversationState.FORKED, ConversationState.UNHEARD}
)


class Conversation(Struct, array_like=True, frozen=True):
    """What a client stores of one conversation, beside the MLS entries. Holds secrets: never printed."""

    id: bytes
    state: ConversationState
    members: list[Member]
    """The other accounts: one, unless it is a group."""
    write_key: bytes
    read_key: bytes
    slot_secret: bytes
    log: Log
    epoch_keys: list[bytes]
    """Newest first, at most `KEPT_EPOCH_KEYS`."""
    since: int
    """Unix milliseconds of the own last commit or join; of the supersession, once superseded."""
    pending: PendingCommit | None = None
    lost_commit: bytes = b""
    """The envelope of the commit that could not be followed; empty when there is none to be added again after."""
    beaten: list[bytes] = []
    """Envelopes of own commits that lost and may still be met in the log."""
    heard: bool = False
    """The other side has said something in this conversation."""
    gap: bool = False
    """Part of the log was never seen, and nothing has been opened since."""
    asked: Asked | None = None
    """Of the resync that was asked for, while it is lost; every request of one loss has the same."""
    disagrees: bool = False
    """The contact has stated another hash of the log than ours: the user was told."""
    owed: list[bytes] = []
    """Ids of the contact's texts that were read, and no receipt of which has been queued yet."""
    hole: int = 0
    """The newest seq that was never seen here: it expired, or the server withheld it. 0: all were."""
    own: list[int] = []
    """Seqs of own posts that were not met in the log yet, at most `MAX_OWN`."""
    unseen: int = 0
    """Unix milliseconds when it was last found that something of the contact's was never seen here ..."""
    unseen_seq: int = 0
    """... and the newest seq of it."""
    answered: tuple[bytes, int] = (b"", 0)
    """Means nothing any more: a home of before kept here which resync it had answered."""
    founded: int = 0
    """Unix milliseconds when we founded it; 0: the other side did."""
    mute: bool = False
    """Our own state went back, or it forked: not even a receipt is written with it."""
    group: GroupState | None = None
    """What the members agree on; None in a conversation of two accounts."""
    drains: list[Drain] = []
    departing: list[Departure] = []
    """Of accounts that ask to be removed, and are to be by us when nothing is pending."""
    left_in: int = -1
    """The epoch in which we left, or were removed; only a later one leads back."""
    inviter: bytes = b""
    """The identity of who invited us to a group."""
    request_keys: list[bytes] = []
    """What requests of who has lost track are sealed under, the newest first, at most `MAX_REQUEST_KEYS`."""
    asking: list[ResyncRequest] = []
    """Of devices that have lost track, and are to be readmitted by us when nothing is pending."""
    back: list[tuple[bytes, int]] = []
    """In a conversation of two: the devices that were readmitted, and by which number of their `Readmission`."""
    commits: tuple[int, int] = (0, 0)
    """A day, counted since 1970, and how many commits were merged on it."""
    confirmed: int = 0
    """Unix milliseconds of our newest receipt in it."""

    @property
    def others(self) -> set[bytes]:
        """The other accounts' identity keys."""
        return {member.identity for member in self.members}

    @property
    def readers(self) -> list[Reader]:
        """What is read of it: its mailbox, and those that are drained."""
        drained = [Reader(drain.log, drain.read_key) for drain in self.drains]
        return [*drained, Reader(self.log, self.read_key)]

    def reader(self, mailbox: bytes) -> Reader | None:
        """How far we are in one of its mailboxes."""
        return next((reader for reader in self.readers if reader.log.mailbox == mailbox), None)

    def member(self, identity: bytes) -> Member | None:
        """The other account with this identity."""
        return next((member for member in self.members if member.identity == identity), None)

    def __repr__(self) -> str:
        return f"Conversation(state={self.state.value}, cursor={self.log.cursor})"

    @property
    def confirms(self) -> bool:
        """Whether a receipt of what was read in it can go out in it, where the other side is to be found."""
        given_up = self.state in (ConversationState.SUPERSEDED, ConversationState.UNHEARD) and not self.mute
        return given_up or self.state is ConversationState.ACTIVE

    @property
    def is_whole(self) -> bool:
        """Whether how far the log was read says what was read: all of it was seen."""
        return not self.hole and self.log.hash != UNKNOWN_HASH


class Purpose(StrEnum):
    """What an outgoing request is for: decides what its acknowledgement means."""

    START = "found"
    INTRODUCE = "introduce"
    SAY = "say"
    COMMIT = "commit"
    EXCHANGE = "exchange"
    RECEIPT = "receipt"
    RESYNC = "resync"
    LEAVE = "leave"
    CHANGE = "change"
    """A commit that changes the group: unlike others it spends a token where the mailbox is full."""
    PART = "part"
    """Of a commit that no envelope takes: all parts but the last."""
    MOVE = "move"
    """The mailbox that the conversation moves to is made."""
    TREE = "tree"
    """A part of the tree of a large group, which a Welcome does not hold."""
    PROFILE = "profile"
    """What we call ourselves."""
    JOIN = "join"
    """We ask to be let into a group that we have a link to."""
    FAREWELL = "farewell"
    """We ask to be removed."""
    SYNC = "sync"
    """For the own other devices."""


COMMITS: Final = frozenset({Purpose.COMMIT, Purpose.CHANGE})


@dataclass(frozen=True)
class Outgoing:
    """Final bytes for the outbox: a retry sends the same ones."""

    purpose: Purpose
    request: AnonymousRequest
    envelope: bytes = b""
    message: bytes = b""
    """The message whose state follows this request's."""
    digest: bytes = b""
    """SHA-256 of the MLS message inside: our own is known by it under any envelope."""

    def __repr__(self) -> str:
        return f"Outgoing(purpose={self.purpose.value})"


@dataclass(frozen=True)
class Incoming:
    """One text that arrived, to be shown once."""

    sender: bytes
    """The sender's identity key."""
    text: Text
    seq: int


class Notice(StrEnum):
    """What a person should know that is no message."""

    LOST = "lost"
    RESTORED = "restored"
    FORKED = "forked"
    DISAGREES = "disagrees"
    """The contact states another history than ours: the server showed two, or the contact's client is wrong."""
    NUMBER_TAKEN = "number_taken"
    """The directory lists another account under our own number."""
    NUMBER_MISSING = "number_missing"
    """The directory listed our number, and does so no more."""
    NUMBER_CLAIMED = "number_claimed"
    """Somebody with our number's SMS wants it on another device, and gets it in a week."""
    COPIED = "copied"
    """Another copy of this home has read what is not here."""
    SPLIT = "split"
    """The server showed us and this contact two directories that cannot both be true."""
    UNHEARD = "unheard"
    """What we sent expired, and nobody had confirmed it."""
    GAP = "gap"
    """Part of what the other side sent was never seen: it expired, or the server withheld it."""
    INVITED = "invited"
    """Somebody wants to add us to this group."""
    ADDED = "added"
    """Somebody whom we have agreed to hear from has added us to this group."""
    REMOVED = "removed"
    """We were removed from the group."""
    UNLINKED = "unlinked"
    """Another device of ours has removed this one."""
    NOT_CHANGED = "not_changed"
    """A change that we wanted in the group was not allowed any more when its turn came."""
    VERIFIED_CHANGED = "verified_changed"
    """The directory lists another identity under the number of a contact who was verified."""
    TURNED_AWAY = "turned_away"
    """So many requests came that the oldest gave way."""


@dataclass(frozen=True)
class Read:
    """What one of the others has read of ours, as it says: either texts that it names, or what follows `after` in the
    log up to `until`, and whatever went ahead of the log as an invitation.
    """

    reader: bytes
    """Its identity."""
    after: int = 0
    until: int = 0
    texts: Sequence[bytes] = ()


@dataclass
class Step:
    """One client transaction: the conversation as it is now, what goes out, what came in."""

    conversation: Conversation
    outgoing: list[Outgoing] = field(default_factory=list)
    incoming: list[Incoming] = field(default_factory=list)
    read: list[Read] = field(default_factory=list)
    """What others have read, as they say."""
    echoes: dict[bytes, int] = field(default_factory=dict)
    """Own envelopes with texts that were met in the log, and where."""
    holes: list[tuple[int, int]] = field(default_factory=list)
    """First and last seq of each part of the log that was not there to be read."""
    read_by_all: int | None = None
    """Every other account has read up to this seq, and the invitation before it; None when nothing new was heard."""
    notices: list[Notice] = field(default_factory=list)
    skipped: int = 0
    """Envelopes that nobody in the conversation could have meant."""
    hashes: dict[int, bytes] = field(default_factory=dict)
    """The log's hash after each seq that was read."""
    parts: dict[int, list[CommitPart]] = field(default_factory=dict)
    """Of the commit that a leaf is sending, as far as it has come in this epoch; of leaves of which some came now."""
    new_epoch: bool = False
    """A commit was merged: parts that came before are of no use."""
    heads: list[bytes] = field(default_factory=list)
    """Heads of the directory that others were shown, as their messages say; nothing is checked yet."""
    resend: bool = False
    """Own texts that nobody has confirmed go out again, under their ids: not everybody can have read them."""
    readmitted: list[bytes] = field(default_factory=list)
    """Accounts a device of which was readmitted, to be counted."""
    moved: bool = False
    """The mailbox moved: seqs begin anew, and what nobody has confirmed goes out again."""
    changes: list[GroupState] = field(default_factory=list)
    """What the group became, state after state."""
    profiles: list[tuple[bytes, Profile]] = field(default_factory=list)
    """What others call themselves, each with the identity key of who says so."""
    unintroduced: bool = False
    """Our profile met commits on its way, so that nobody can open it."""
    registers: list[Register] = field(default_factory=list)
    """What other devices of our own account say."""
    devices: bool = False
    """Devices came or went: which of the own ones are there is to be looked at."""


@dataclass(frozen=True)
class Tools:
    """Time and randomness, passed in."""

    now_ms: int
    random: Callable[[int], bytes]


def become(conversation: Conversation, event: ConversationEvent) -> Conversation:
    return replace(conversation, state=advance(TABLE, conversation.state, event))


def become_if(conversation: Conversation, event: ConversationEvent) -> Conversation:
    """Take the step if the table has it, for what a message can bring about in any state."""
    return become(conversation, event) if event in TABLE[conversation.state] else conversation


def members_of(state: GroupState, me: bytes, before: Sequence[Member]) -> list[Member]:
    """The other accounts of a group, with what is known of those that were there before."""
    known = {member.identity: member for member in before}
    others = [member for member in state.members if member.identity != me]
    return [known.get(one.identity) or Member(one.identity, one.intro_mailbox) for one in others]


def supersede(conversation: Conversation, tools: Tools) -> Conversation:
    """Another group of the same pair is used from now on; this one is read for `SUPERSEDED_FOR_MS` more."""
    mute = conversation.state in (ConversationState.RESTORED, ConversationState.FORKED)
    return replace(become(conversation, ConversationEvent.SUPERSEDED), since=tools.now_ms, mute=mute)


def with_log(conversation: Conversation, log: Log) -> Conversation:
    """The conversation that is this far in one of its mailboxes; no other when it has no such mailbox."""
    if log.mailbox == conversation.log.mailbox:
        return replace(conversation, log=log)
    drains = [replace(drain, log=log) if drain.log.mailbox == log.mailbox else drain for drain in conversation.drains]
    return replace(conversation, drains=drains)


def epoch_key(session: MlsSession, group: bytes, state: GroupState | None) -> bytes:
    """What envelopes of this epoch are sealed under: who was told another state of the group opens none.

    GROUP-13 A newcomer learns the state from who adds it, and must not follow a group that others do not see.
    """
    return session.exporter(group, envelope.EPOCH_KEY_LABEL, state_context(group, state), 32)


def state_context(group: bytes, state: GroupState | None) -> bytes:
    """What exported secrets are bound to; empty in a conversation of two."""
    return b"" if state is None else groups.state_hash(group, state)


def with_epoch_key(conversation: Conversation, key: bytes) -> Conversation:
    return replace(conversation, epoch_keys=[key, *conversation.epoch_keys][:KEPT_EPOCH_KEYS])


def preferred(conversations: Sequence[Conversation]) -> Conversation | None:
    """CONVERSATION-08 Of several groups for one pair, both sides send to the one with the lowest id."""
    return min((c for c in conversations if c.state in SENDING), key=lambda c: c.id, default=None)


def permit_commit(
    conversation: Conversation, staged: MlsStagedCommit, members: Sequence[MlsMember], epoch: int
) -> GroupState | None:
    """Check what every member can check of a commit; returns the group's state after it. Raises NotPermitted.

    In a group GROUP-01 to GROUP-07 hold. In a conversation of two CONVERSATION-05 who is added belongs to one of the
    two accounts, and CONVERSATION-06 a device that is removed belongs to the committer's, or is itself added again.
    """
    identities = {member.leaf: identity_of(member.credential) for member in members}
    committer = identities[staged.leaf]
    if conversation.group is not None:
        data = staged.authenticated_data
        commit = groups.Committed(committer, members, staged.added, staged.removed, data, epoch + 1)
        return groups.changed(conversation.id, conversation.group, commit)
    removed = {member.signature_key for member in staged.removed}
    if staged.added and removed - {member.signature_key for member in staged.added}:
        # The mailbox moves, and who is added has been told another one.
        raise NotPermitted
    accounts = set(identities.values()) | conversation.others
    if not {identity_of(member.credential) for member in staged.added} <= accounts:
        raise NotPermitted
    readmitted = {member.signature_key for member in staged.added}
    for member in staged.removed:
        own = identity_of(member.credential) == committer
        if not own and member.signature_key not in readmitted:
            raise NotPermitted
    return None


def post(
    session: MlsSession, conversation: Conversation, application: Application, purpose: Purpose, tools: Tools
) -> Outgoing:
    """Encrypt and seal one application message under a fresh envelope id."""
    message = session.encrypt(conversation.id, encode(application), b"")
    about = application.id if isinstance(application, Text) else b""
    return seal_post(conversation, message, purpose, tools.random(16), about)


def seal_post(
    conversation: Conversation,
    message: bytes,
    purpose: Purpose,
    envelope_id: bytes,
    about: bytes = b"",
    slots: Sequence[bytes] = (),
) -> Outgoing:
    mailbox = conversation.log.mailbox
    blob = envelope.seal(conversation.epoch_keys[0], mailbox, envelope_id, message)
    request = Post(mailbox, conversation.write_key, envelope_id, blob, [hashed(secret) for secret in slots])
    return Outgoing(purpose, request, envelope_id, about, sha256(message).digest())


def hashed(secret: bytes) -> bytes:
    """What the server is told of a write key, read key or slot secret."""
    return sha256(secret).digest()


def say(session: MlsSession, conversation: Conversation, text: Text, tools: Tools) -> Step:
    """Send one text; how far we have read is added. Raises TooLarge, or NotPermitted in a state that does not send.

    CONVERSATION-09 only a started or active conversation sends.
    """
    if conversation.state not in SENDING:
        raise NotPermitted(f"(this conversation is {conversation.state.value})")
    if len(text.text.encode()) > MAX_TEXT:
        raise TooLarge
    log = conversation.log
    known = log.cursor and log.hash != UNKNOWN_HASH
    said = replace(
        text,
        read_seq=log.cursor if known else 0,
        log_hash=log.hash if known else b"",
        after=conversation.hole if known else 0,
    )
    return Step(conversation, [post(session, conversation, said, Purpose.SAY, tools)])


def confirm(
    session: MlsSession, conversation: Conversation, texts: Sequence[bytes], tools: Tools, head: bytes = b""
) -> list[Outgoing]:
    """Receipts for what has been read, with the directory's head; none without anything to say, or anybody to.

    CONVERSATION-18 `texts` are named: those that how far the log was read does not cover, as it was not seen whole, or
    they came by an invitation or in another conversation of the same two.
    """
    log = conversation.log
    known = log.cursor and log.hash != UNKNOWN_HASH
    if not conversation.confirms or not (texts or known):
        return []
    seq, digest, after = (log.cursor, log.hash, conversation.hole) if known else (0, b"", 0)
    named = [list(texts[n : n + MAX_NAMED]) for n in range(0, len(texts), MAX_NAMED)] or [[]]
    receipts = [Receipt(seq, digest, head, after, some) for some in named]
    return [post(session, conversation, receipt, Purpose.RECEIPT, tools) for receipt in receipts]


def introduce_oneself(
    session: MlsSession, conversation: Conversation, profile: Profile, tools: Tools
) -> list[Outgoing]:
    """Say what we call ourselves. Raises NotPermitted in a state that does not send."""
    if conversation.state not in SENDING:
        raise NotPermitted(f"(this conversation is {conversation.state.value})")
    return [post(session, conversation, profile, Purpose.PROFILE, tools)]


def announce(session: MlsSession, conversation: Conversation, tools: Tools) -> list[Outgoing]:
    """Tell a group that we have joined it, as a receipt for nothing: from now on texts wait for our word."""
    if conversation.group is None or conversation.drains or not conversation.confirms:
        return []
    return [post(session, conversation, Receipt(0, b""), Purpose.RECEIPT, tools)]
