"""Messages of anonymous requests: lookups, mailboxes, parts of attachments, and the tokens that pay for them."""

from typing import Annotated, Final

from msgspec import Meta, field

from grue.protocol.wire.base import (
    BLOB_DAYS,
    MAX_BLOB_DAYS,
    MAX_DEVICES,
    MAX_EVALUATIONS,
    MAX_FETCH,
    MAX_QUERIES,
    MAX_QUERY,
    MAX_REQUEST,
    MAX_SLOTS,
    MAX_WAIT,
    SERVER,
    Blob,
    Codec,
    Count,
    Done,
    Id,
    Key,
    Message,
    Part,
    Refusal,
    Signature,
    seen,
)


class Evaluate(Message, tag=30):
    """Evaluate blinded numbers under the lookup key of this OPRF epoch."""

    oprf_epoch: Annotated[Count, SERVER]
    blinded: Annotated[list[Key], Meta(min_length=1, max_length=MAX_EVALUATIONS), SERVER]
    """Uniform group elements: they say nothing about the numbers."""


class Evaluated(Message, tag=31):
    elements: Annotated[list[Key], Meta(max_length=MAX_EVALUATIONS), SERVER]
    proof: Annotated[Signature, SERVER]


class Claim(Message, tag=32):
    """Take one key package per device of the account behind an intro mailbox."""

    intro_mailbox: Annotated[Key, SERVER]


class ClaimedPackage(Message, tag=33):
    device_public: Annotated[Key, SERVER]
    package: Annotated[bytes, Meta(max_length=8192), SERVER]


class Claimed(Message, tag=34):
    device_list: Annotated[bytes, Meta(max_length=4096), SERVER]
    packages: Annotated[list[ClaimedPackage], Meta(max_length=MAX_DEVICES), SERVER]


class CreateMailbox(Message, tag=35):
    """Create a conversation's mailbox; the same again is a no-op, other contents a conflict."""

    mailbox: Annotated[Key, SERVER]
    write_hash: Annotated[Key, SERVER]
    """SHA-256 of the write key."""
    read_hash: Annotated[Key | None, SERVER]
    """SHA-256 of the creator's read key; None when any reader may create it, and each takes a slot."""
    slots: Annotated[list[Key], Meta(max_length=MAX_SLOTS), SERVER]
    """SHA-256 of each slot secret; those readers start at the mailbox's beginning."""


class Post(Message, tag=36):
    """Append an envelope. The same id again is a no-op and gives the same seq."""

    mailbox: Annotated[Key, SERVER]
    write_key: Annotated[Key, SERVER]
    envelope: Annotated[Id, SERVER]
    blob: Annotated[Blob, seen("server sees the size bucket; contents: members of the conversation")]
    slots: Annotated[list[Key], Meta(max_length=MAX_SLOTS), SERVER] = field(default_factory=list)
    """Slots to reserve in the same transaction, starting at this envelope's seq."""


class PostIntro(Message, tag=37):
    """Append an envelope to an intro mailbox, which takes no write key."""

    mailbox: Annotated[Key, SERVER]
    envelope: Annotated[Id, SERVER]
    blob: Annotated[Blob, seen("server sees the size bucket; contents: the account's devices")]


class Posted(Message, tag=38):
    seq: Annotated[Count, SERVER]


class ExchangeSlot(Message, tag=39):
    """Turn a slot, once, into a reader of our own; the same again is a no-op."""

    mailbox: Annotated[Key, SERVER]
    slot_secret: Annotated[Key, SERVER]
    read_hash: Annotated[Key, SERVER]


class Reading(Message, tag=40):
    cursor: Annotated[Count, SERVER]
    """The reader has acknowledged up to here, so the next envelope is `cursor + 1` or later."""


class Fetch(Message, tag=41):
    mailbox: Annotated[Key, SERVER]
    read_key: Annotated[Key, SERVER]
    after: Annotated[Count, SERVER]
    limit: Annotated[int, Meta(ge=1, le=MAX_FETCH), SERVER] = MAX_FETCH
    wait: Annotated[int, Meta(ge=0, le=MAX_WAIT), SERVER] = 0
    """Seconds to wait for an envelope, when there is none yet."""


class Delivery(Message, tag=42):
    """One envelope as it lies in the mailbox; also what a stream pushes."""

    mailbox: Annotated[Key, SERVER]
    seq: Annotated[Count, SERVER]
    envelope: Annotated[Id, SERVER]
    blob: Annotated[Blob, seen("server sees the size bucket; contents: members of the conversation")]


class Fetched(Message, tag=43):
    incarnation: Annotated[Id, SERVER]
    """Changes when the store was restored from a backup: read again from the start and drop what is known."""
    head: Annotated[Count, SERVER]
    """The newest seq; the answer holds all after `after` up to its last, in order."""
    envelopes: Annotated[list[Delivery], Meta(max_length=MAX_FETCH), SERVER]


class Ack(Message, tag=44):
    """Everything up to `seq` is committed here; it may be deleted once all readers say so."""

    mailbox: Annotated[Key, SERVER]
    read_key: Annotated[Key, SERVER]
    seq: Annotated[Count, SERVER]


class RemoveReader(Message, tag=45):
    """Leave a mailbox, or give back a slot that nobody will exchange; once more is a no-op."""

    mailbox: Annotated[Key, SERVER]
    read_key: Annotated[Key, SERVER]
    """Or the slot's secret."""


class Token(Message, tag=46):
    """One token, spent on one request. It says nothing about the account that drew it."""

    epoch: Annotated[Count, SERVER]
    nonce: Annotated[Key, SERVER]
    mac: Annotated[Key, SERVER]
    """HMAC-SHA-256 of the request, under the token's PRF output: good for this request and no other."""


class Spend(Message, tag=47):
    """A request that has its price, with the tokens that pay it. The same again is the same spending."""

    tokens: Annotated[list[Token], Meta(min_length=1, max_length=MAX_EVALUATIONS), SERVER]
    body: Annotated[bytes, Meta(max_length=MAX_REQUEST), SERVER]
    """An `Evaluate` or a `Query` (a `lookup` token an element or query), or what costs a `post` token: `Claim`,
    `CreateMailbox`, `PostIntro`, `PutBlob`, or a `Post`."""


class PutBlob(Message, tag=54):
    """Keep one part of an attachment for some days. The same again is a no-op, other bytes a conflict."""

    id: Annotated[Key, SERVER]
    """Uniform; whoever knows it may fetch the part."""
    blob: Annotated[Part, seen("server sees the size bucket; contents: who has the attachment's key")]
    days: Annotated[int, Meta(ge=1, le=MAX_BLOB_DAYS), SERVER] = BLOB_DAYS
    """Until it leaves: an attachment's stays for two weeks, the tree of a group as long as its Welcome."""


class Query(Message, tag=67):
    """Retrieve columns of the directory's table by private queries; see `docs/protocol/pir.md`."""

    epoch: Annotated[Count, SERVER]
    """Of the directory: the base that the queries are for."""
    queries: Annotated[
        list[Annotated[bytes, Meta(max_length=MAX_QUERY)]], Meta(min_length=1, max_length=MAX_QUERIES), SERVER
    ]
    """Encrypted: they say nothing about the columns."""


class Answers(Message, tag=68):
    answers: Annotated[
        list[Annotated[bytes, Meta(max_length=MAX_QUERY)]],
        Meta(max_length=MAX_QUERIES),
        seen("server, as what it cannot read; contents: who made the queries"),
    ]
    """One a query, in order."""


class GetBlob(Message, tag=55):
    """Fetch one part. Who knows its id may, as often as they like."""

    id: Annotated[Key, SERVER]


class BlobPart(Message, tag=56):
    blob: Annotated[Part, seen("server sees the size bucket; contents: who has the attachment's key")]


Priced = Evaluate | Query | Claim | CreateMailbox | PostIntro | Post | PutBlob
"""What tokens are spent on; all but a `Post` always take them. See `grue.protocol.tokens`."""
AnonymousRequest = Priced | Spend | ExchangeSlot | Fetch | Ack | RemoveReader | GetBlob
AnonymousAnswer = Evaluated | Answers | Claimed | Posted | Reading | Fetched | BlobPart | Done | Refusal

ANONYMOUS_REQUEST: Final = Codec[AnonymousRequest](AnonymousRequest)
ANONYMOUS_ANSWER: Final = Codec[AnonymousAnswer](AnonymousAnswer)
PRICED: Final = Codec[Priced](Priced)
