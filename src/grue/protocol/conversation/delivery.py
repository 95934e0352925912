"""The delivery states of a message: one table for both routes.

Encrypted: `queued` here, `sent` when the server has it on disk, `delivered` when the other side has said so
inside the encryption, `expired` when nobody has for longer than the server keeps it. SMS: `submitting`, `submitted`
when the SMS gateway took it, then what its receipt says; `unknown` when an answer was lost, from which no retry
follows by itself.
"""

from enum import StrEnum
from typing import Final

from grue.protocol.states import Table
from grue.protocol.wire import ENVELOPE_DAYS

EXPIRED_AFTER_MS: Final = (ENVELOPE_DAYS + 1) * 24 * 3600 * 1000
"""Own text that nobody has confirmed for so long is `expired`: the server counts in days, so one more than it keeps an
envelope."""


class MessageState(StrEnum):
    """What became of a message."""

    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    REFUSED = "refused"
    EXPIRED = "expired"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    FAILED = "failed"
    UNKNOWN = "unknown"


class MessageEvent(StrEnum):
    ACKNOWLEDGED = "acknowledged"
    READ = "read"
    REFUSED = "refused"
    EXPIRED = "expired"
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
        # It was sent before, goes out again, and there is nobody any more to send it to.
        MessageEvent.EXPIRED: MessageState.EXPIRED,
    },
    MessageState.SENT: {
        MessageEvent.ACKNOWLEDGED: MessageState.SENT,
        MessageEvent.READ: MessageState.DELIVERED,
        MessageEvent.EXPIRED: MessageState.EXPIRED,
    },
    MessageState.DELIVERED: {
        MessageEvent.ACKNOWLEDGED: MessageState.DELIVERED,
        MessageEvent.READ: MessageState.DELIVERED,
    },
    MessageState.REFUSED: {},
    # For good: who comes back after a hole in the log says to have read up to an envelope behind it, too.
    MessageState.EXPIRED: {},
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
