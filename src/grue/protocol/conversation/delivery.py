"""The delivery states of a message: one table for both routes.

Encrypted: `queued` here, `sent` when the server has it on disk, `delivered` when the other side has said so
inside the encryption. SMS: `submitting`, `submitted` when the SMS gateway took it, then what its receipt says;
`unknown` when an answer was lost, from which no retry follows by itself.
"""

from enum import StrEnum
from typing import Final

from grue.protocol.states import Table


class MessageState(StrEnum):
    """What became of a message."""

    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    REFUSED = "refused"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    FAILED = "failed"
    UNKNOWN = "unknown"


class MessageEvent(StrEnum):
    ACKNOWLEDGED = "acknowledged"
    READ = "read"
    REFUSED = "refused"
    SUBMITTED = "submitted"
    RECEIPT_DELIVERED = "receipt_delivered"
    RECEIPT_FAILED = "receipt_failed"
    ANSWER_LOST = "answer_lost"


TABLE: Final[Table[MessageState, MessageEvent]] = {
    MessageState.QUEUED: {
        MessageEvent.ACKNOWLEDGED: MessageState.SENT,
        # The other side can read it before the server's answer to us arrives.
        MessageEvent.READ: MessageState.DELIVERED,
        MessageEvent.REFUSED: MessageState.REFUSED,
    },
    MessageState.SENT: {
        MessageEvent.ACKNOWLEDGED: MessageState.SENT,
        MessageEvent.READ: MessageState.DELIVERED,
    },
    MessageState.DELIVERED: {
        MessageEvent.ACKNOWLEDGED: MessageState.DELIVERED,
        MessageEvent.READ: MessageState.DELIVERED,
    },
    MessageState.REFUSED: {},
    MessageState.SUBMITTING: {
        MessageEvent.SUBMITTED: MessageState.SUBMITTED,
        MessageEvent.RECEIPT_DELIVERED: MessageState.DELIVERED,
        MessageEvent.RECEIPT_FAILED: MessageState.FAILED,
        MessageEvent.REFUSED: MessageState.FAILED,
        MessageEvent.ANSWER_LOST: MessageState.UNKNOWN,
    },
    MessageState.SUBMITTED: {
        MessageEvent.RECEIPT_DELIVERED: MessageState.DELIVERED,
        MessageEvent.RECEIPT_FAILED: MessageState.FAILED,
    },
    MessageState.FAILED: {},
    MessageState.UNKNOWN: {
        MessageEvent.SUBMITTED: MessageState.SUBMITTED,
        MessageEvent.RECEIPT_DELIVERED: MessageState.DELIVERED,
        MessageEvent.RECEIPT_FAILED: MessageState.FAILED,
    },
}
