"""What of a log was never seen here, since it expired or was withheld, and what others are to be told for that."""

from collections.abc import Sequence

from msgspec.structs import replace

from grue.protocol.conversation.conversation import MAX_OWED, Conversation, Notice, Step, Tools
from grue.protocol.conversation.mailbox import skipped


def miss_all(conversation: Conversation, head: int, tools: Tools) -> Step:
    """Nothing that followed what was read is at the server any more: go on after its head."""
    step = Step(conversation)
    miss(step, head, tools)
    step.conversation = replace(step.conversation, log=skipped(step.conversation.log, head), own=[])
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


def owe(conversation: Conversation, texts: Sequence[bytes]) -> Conversation:
    """Texts of the contact's were read, and it is to be told."""
    new = [text for text in texts if text not in conversation.owed[-64:]]
    return replace(conversation, owed=[*conversation.owed, *new][-MAX_OWED:])
