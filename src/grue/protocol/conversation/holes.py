"""What of a log was never seen here, since it expired or was withheld, and what others are to be told for that."""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from grue.protocol.conversation.conversation import (
    MAX_OWED,
    READING,
    Conversation,
    ConversationEvent,
    Notice,
    Step,
    Tools,
    become,
)
from grue.protocol.conversation.mailbox import skipped
from grue.protocol.conversation.stored import PendingCommit

UNKNOWN_COMMIT: Final = bytes(16)
"""In place of the commit that lost us, when that was never seen."""


def miss_all(conversation: Conversation, head: int, tools: Tools) -> Step:
    """Nothing that followed what was read is at the server any more: go on after its head."""
    step = Step(conversation)
    miss(step, head, tools)
    step.conversation = replace(step.conversation, log=skipped(step.conversation.log, head), own=[])
    if conversation.group is not None and step.conversation.state in READING:
        # GROUP-14 It may have moved by a commit that expired: nobody reads here then, whatever we write.
        lose(step, UNKNOWN_COMMIT)
    return step


def miss(step: Step, until: int, tools: Tools) -> None:
    """The log up to this seq was never seen: it expired, or the server withheld it."""
    conversation = step.conversation
    step.holes.append((conversation.log.cursor + 1, until))
    own, newest = set(conversation.own), until
    while newest in own:
        newest -= 1
    step.conversation = replace(conversation, gap=True, hole=until)
    if newest > conversation.log.cursor:
        step.conversation = replace(step.conversation, unseen=tools.now_ms, unseen_seq=newest)
        step.notices += [] if conversation.gap else [Notice.GAP]
    if conversation.pending is not None and conversation.log.cursor < conversation.pending.seq <= until:
        _miss_own_commit(step, conversation.log.cursor, conversation.pending)


def _miss_own_commit(step: Step, cursor: int, pending: PendingCommit) -> None:
    """CONVERSATION-23 an own commit lies where the log was never seen after `cursor`.

    With nothing but own posts before it there it has won, unless nobody has met it: it is merged when the other side
    writes in its epoch, or asks to be readmitted, and gives way to a commit of who has missed it as well.
    Another one may have beaten it otherwise: then we do not know which epoch the others are in, and must not wait for
    it, since who waits commits to nothing and readmits nobody.
    """
    own = step.conversation.own
    if all(seq in own for seq in range(cursor + 1, pending.seq)):
        step.conversation = replace(step.conversation, pending=replace(pending, unseen=True))
    else:
        lose(step, b"" if step.conversation.group is None else pending.envelope)


def won_unseen(step: Step) -> PendingCommit | None:
    """An own commit that has won where the log was never seen, unless nobody else has met it there either."""
    pending = step.conversation.pending
    return pending if pending is not None and pending.unseen else None


def lose(step: Step, commit: bytes) -> None:
    """We cannot follow any more: by this commit, from which a resync leads back, or for good."""
    lost = become(step.conversation, ConversationEvent.LOST_TRACK)
    step.notices.append(Notice.LOST)
    step.conversation = replace(lost, lost_commit=lost_by(lost, commit), asked=None)


def lost_by(conversation: Conversation, commit: bytes) -> bytes:
    """The commit to be added again after; empty where nobody is to be asked: the next message then starts anew.

    In a group there is no other conversation to go on in, so we ask whatever it was that lost us.
    """
    if not all(member.intro_mailbox for member in conversation.members):
        return b""
    return commit if conversation.group is None else commit or UNKNOWN_COMMIT


def owe(conversation: Conversation, texts: Sequence[bytes]) -> Conversation:
    """Texts of the contact's were read, and it is to be told."""
    new = [text for text in texts if text not in conversation.owed[-64:]]
    return replace(conversation, owed=[*conversation.owed, *new][-MAX_OWED:])
