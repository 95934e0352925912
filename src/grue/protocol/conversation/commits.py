"""Commits that no envelope takes go out in parts, and a device renews its leaf by a rule that large groups can bear.

A commit encrypts to every node whose subtree has no key in common: in a group that has hardly written, a kilobyte for
each device. Its parts are application messages, so that nobody can mix into another's; it counts where its last
part lies, for everybody alike.
"""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from grue._core import MlsSession
from grue.errors import TooLarge
from grue.protocol.conversation.contents import MAX_PARTS, CommitPart
from grue.protocol.conversation.conversation import (
    Conversation,
    ConversationState,
    Outgoing,
    Purpose,
    Step,
    Tools,
    seal_post,
    with_epoch_key,
)
from grue.protocol.conversation.mailbox import ReaderState
from grue.protocol.conversation.stored import PendingCommit
from grue.protocol.wire import ENVELOPE_BUCKETS, encode

PART_BYTES: Final = 65_000
"""Bytes of a commit in one part: what is left of the largest envelope is for MLS, the seal and what says which part."""

COMMIT_ROOM: Final = ENVELOPE_BUCKETS[-1] - 20
"""Bytes of a commit that goes out in one envelope, beside its seal and its length."""

UPDATE_AFTER_MS: Final = 7 * 24 * 3600 * 1000
"""A device renews its leaf when it sends and its last commit is a week old: what a thief of its state can read ends."""

RENEWALS_A_DAY: Final = 8
"""Commits of a group on one day after which nobody renews a leaf: in a group of 1,000 a commit is 26 KB to 1.2 MB that
everybody reads, and one a device and week would be 4.7 GB a week. So it is at most 10 MB a day at first, and 0.2 MB
once all have written; a device that sends each day is renewed every 125 days."""

DAY_MS: Final = 24 * 3600 * 1000

PUBLIC_MESSAGE: Final = b"\x00\x01\x00\x01"
"""What a commit begins with (RFC 9420, section 6): version 1.0, and the wire format of an MLS PublicMessage."""


def seal_commit(
    session: MlsSession,
    conversation: Conversation,
    message: bytes,
    purpose: Purpose,
    envelope_id: bytes,
    tools: Tools,
    slots: Sequence[bytes] = (),
) -> list[Outgoing]:
    """A commit in an envelope, or in several of which the last is `envelope_id`. Raises TooLarge."""
    if len(message) <= COMMIT_ROOM:
        return [seal_post(conversation, message, purpose, envelope_id, slots=slots)]
    pieces = [message[at : at + PART_BYTES] for at in range(0, len(message), PART_BYTES)]
    if len(pieces) > MAX_PARTS:
        raise TooLarge
    parts = [CommitPart(envelope_id, n, len(pieces), piece) for n, piece in enumerate(pieces)]
    *first, last = [session.encrypt(conversation.id, encode(part), b"") for part in parts]
    sealed = [seal_post(conversation, part, Purpose.PART, tools.random(16)) for part in first]
    return [*sealed, seal_post(conversation, last, purpose, envelope_id, slots=slots)]


def gathered(step: Step, leaf: int, part: CommitPart, kept: Callable[[int], Sequence[CommitPart]]) -> bytes | None:
    """Take a part; the whole commit with its last one.

    GROUP-31 the parts of a commit are messages of one leaf in one epoch, under its newest key, and come in their order;
    its last one has the envelope id that the others name. What breaks this is passed over by all, with what came of it.

    kept  the parts of a leaf that came in this epoch before this step
    """
    before = step.parts[leaf] if leaf in step.parts else [] if step.new_epoch else list(kept(leaf))
    before = before if part.number else []
    of_one = all((other.commit, other.of) == (part.commit, part.of) for other in before)
    fits = of_one and part.number == len(before) and part.number < part.of
    step.parts[leaf] = [*before, part] if fits else []
    if not fits or part.number + 1 < part.of:
        return None
    whole = b"".join(one.piece for one in step.parts[leaf])
    step.parts[leaf] = []
    return whole if whole.startswith(PUBLIC_MESSAGE) else None


def next_epoch(step: Step, conversation: Conversation, key: bytes, now_ms: int) -> Conversation:
    """The conversation after a commit: sealed under another key, and without parts of other commits."""
    step.parts.clear()
    step.new_epoch = True
    day, count = conversation.commits
    today = now_ms // DAY_MS
    return replace(with_epoch_key(conversation, key), commits=(today, count + 1 if day == today else 1))


def update(session: MlsSession, conversation: Conversation, tools: Tools) -> Step:
    """Renew the own leaf: a self-update commit, pending until it is met in the log."""
    commit = session.commit(conversation.id, [], [], b"")
    envelope_id = tools.random(16)
    outgoing = seal_commit(session, conversation, commit.message, Purpose.COMMIT, envelope_id, tools)
    return Step(replace(conversation, pending=PendingCommit(envelope_id)), outgoing)


def update_due(conversation: Conversation, now_ms: int) -> bool:
    """Whether to renew the own leaf with what is sent: by `UPDATE_AFTER_MS` and `RENEWALS_A_DAY`."""
    day, count = conversation.commits
    return (
        conversation.state is ConversationState.ACTIVE
        and conversation.pending is None
        and conversation.log.state is ReaderState.READING
        and now_ms - conversation.since > UPDATE_AFTER_MS
        and not (day == now_ms // DAY_MS and count >= RENEWALS_A_DAY)
    )
