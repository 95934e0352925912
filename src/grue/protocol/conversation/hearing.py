"""What the others say to have read, and that they were shown the log that we were."""

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from grue.protocol.conversation.contents import Receipt, Text
from grue.protocol.conversation.conversation import TABLE, Conversation, ConversationEvent, Notice, Read, Step, become
from grue.protocol.conversation.mailbox import UNKNOWN_HASH
from grue.protocol.wire import Delivery

CONFIRMED_AT_ONCE: Final = 128
"""Accounts of a group up to which each confirms what it reads within a second. A receipt is read by everybody: of a
thousand that would be a million deliveries for one text."""

CONFIRM_EVERY_MS: Final = 60 * 60 * 1000
"""The pause between two receipts of one member in a larger group. Of 1,000 that is 1 MB and 2 s of a core an hour at
each member, at most; a text is `delivered` so much later."""


def receipt_due(conversation: Conversation, now_ms: int) -> bool:
    """Whether to say now what was read."""
    small = conversation.group is None or len(conversation.group.members) <= CONFIRMED_AT_ONCE
    return small or not 0 <= now_ms - conversation.confirmed < CONFIRM_EVERY_MS


def hear(
    step: Step, sender: bytes, content: Text | Receipt, delivery: Delivery, hash_at: Callable[[int], bytes | None]
) -> None:
    """MAILBOX-20 the other's hash of the log is ours, as far as both have read.

    A contact may state what it likes, so its word alone accuses nobody and stops nothing: the user is told, once,
    and it confirms no text. A device of our own has no reason to, so its word is a fork.

    After a hole we take up the hash of somebody who has read exactly as far as we have.

    CONVERSATION-18 what the other side says to have read is what it has seen: nothing in a hole of its log.

    CONVERSATION-24 of many somebody may write who has not met a commit in our hole yet: only who has read past it,
    and is in our epoch, shows that there is none.
    """
    log, seq, log_hash = step.conversation.log, content.read_seq, content.log_hash
    if isinstance(content, Receipt) and content.texts and sender in step.conversation.others:
        step.read.append(Read(sender, texts=content.texts))
    if delivery.mailbox != log.mailbox:
        # What it says of a log is of the one that the conversation has moved from.
        return
    if log_hash and log.hash == UNKNOWN_HASH and seq == log.cursor:
        step.conversation = replace(step.conversation, log=replace(log, hash=log_hash))
    if content.after < step.conversation.hole <= seq and sender in step.conversation.others:
        step.conversation = replace(step.conversation, gap=False)
    ours = step.hashes.get(seq) or hash_at(seq)
    if seq and log_hash and ours and ours != log_hash:
        _disagree(step, sender)
    elif sender in step.conversation.others:
        step.read.append(Read(sender, content.after, seq))


def _disagree(step: Step, sender: bytes) -> None:
    conversation = step.conversation
    if sender in conversation.others:
        if not conversation.disagrees:
            step.conversation = replace(conversation, disagrees=True)
            step.notices.append(Notice.DISAGREES)
    elif ConversationEvent.FORK_SEEN in TABLE[conversation.state]:
        step.conversation = become(conversation, ConversationEvent.FORK_SEEN)
        step.notices.append(Notice.FORKED)
