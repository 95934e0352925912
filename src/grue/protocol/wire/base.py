"""The base of every message, the sizes and named types of its fields, and the one way into bytes and out of them."""

from typing import Annotated, Any, Final, Generic, TypeVar, cast

import msgspec
from msgspec import Meta, Struct

from grue.errors import BadRequest

PROTOCOL: Final = 2
"""Version of everything in this package, the MLS suite included; part of every path."""

OHTTP_REQUEST: Final = "message/ohttp-req"
OHTTP_RESPONSE: Final = "message/ohttp-res"
"""Media types of sealed messages (RFC 9458, section 9): here for the relay, which has no other part of the protocol."""

# --- sizes ----------------------------------------------------------------------------------------

ENVELOPE_BUCKETS: Final = (1024, 4096, 16384, 65536)
"""Bytes. An envelope's blob has exactly one of these sizes, so that its length says little."""

PART_BUCKETS: Final = (4096, 16384, 65536, 131072, 196608, 262144)
"""Bytes. A part of an attachment has exactly one of these sizes: all the largest, but for the last part."""

ENVELOPE_DAYS: Final = 30
"""Days until an envelope leaves unread: as long as a silent device stays a member."""

BLOB_DAYS: Final = 14
"""Days until a part of an attachment leaves: long enough for a device that is read once a week."""

MAX_BLOB_DAYS: Final = ENVELOPE_DAYS + 1
"""Days until the tree of a large group leaves: not before the Welcome that it belongs to."""

MAX_REQUEST: Final = 1 << 20
"""Bytes of one request or frame: ten key packages of 2.8 KB and a full envelope fit many times over."""

MAX_EVALUATIONS: Final = 256
"""Elements of one `Evaluate`: 25 ms of a core, so that one request cannot hold the server up."""

MAX_QUERIES: Final = 8
"""Queries of one `Query`: what the server answers in one pass over its table."""

MAX_QUERY: Final = 1 << 20
"""Bytes of one query; some 660 KB at ten million records."""

MAX_DEVICES: Final = 10
"""Devices of an account: a Welcome for two such accounts still fits one envelope."""

CLAIM_NAME_BYTES: Final = 8
"""Bytes of a claim's name: who would have another's name for a claim of their own makes 2^64 keys within its week."""

MAX_CLAIMS: Final = 8
"""Claims of a number that its device is told of at once; those to which it has not objected come first."""

MAX_SLOTS: Final = 1000
"""Slots that one request reserves, 33 KB: as many devices as a group has, for when its mailbox moves."""

MAX_KEY_PACKAGES: Final = 100
"""Key packages a device may keep at the server: new people in one offline stretch."""

MAX_FETCH: Final = 64
"""Envelopes in one `Fetch`: 4 MiB at the largest bucket."""

MAX_SUBSCRIPTIONS: Final = 1000
"""Mailboxes that one stream reads; a client with more conversations opens another."""

MAX_WAIT: Final = 30
"""Seconds that a `Fetch` may wait: less than what proxies on the way allow."""

TOKEN_BATCH: Final = 50
"""Tokens of one draw, always: who draws more makes more requests, so that a batch's size says nothing."""

MAX_SMS: Final = 1530
"""Characters of one SMS: ten parts of 153, which carriers still join."""


def seen(by: str) -> Meta:
    """Say who can read a field, for the documents."""
    return Meta(extra={"seen": by})


def sized(length: int) -> Meta:
    return Meta(min_length=length, max_length=length)


SERVER: Final = seen("server")
EVERYONE: Final = seen("everyone")

Key = Annotated[bytes, sized(32)]
"""A public key, a hash, a mailbox id or a secret of 32 bytes."""
Id = Annotated[bytes, sized(16)]
Signature = Annotated[bytes, sized(64)]
ClaimName = Annotated[bytes, sized(CLAIM_NAME_BYTES)]
"""By what a claim of a number is told from others, on the device that makes it and on the one that is asked."""
Number = Annotated[str, Meta(min_length=5, max_length=16, pattern=r"^\+[1-9][0-9]+\Z")]
"""E.164 with its plus sign."""
Blob = Annotated[bytes, Meta(min_length=1024, max_length=65536)]
"""An envelope's contents; exactly one of `ENVELOPE_BUCKETS`, which the server checks."""
Part = Annotated[bytes, Meta(min_length=4096, max_length=262144)]
"""A part of a sealed attachment; exactly one of `PART_BUCKETS`, which the server checks."""
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Message(Struct, array_like=True, frozen=True):
    """The base of everything on the wire."""

    def __repr__(self) -> str:
        """The type alone: fields hold keys, numbers and text, which no log and no traceback may show."""
        return f"{type(self).__name__}()"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Likewise for rich, whose tracebacks show local variables."""
        return []


# --- answers to any request ------------------------------------------------------------------------


class Refusal(Message, tag=2):
    """The answer to a request that was not done. `code` is one of `grue.errors.BY_CODE`, or `challenge`."""

    code: Annotated[str, Meta(max_length=40), SERVER]
    retry_after: Annotated[Count, SERVER] = 0
    """Seconds."""
    detail: Annotated[bytes, Meta(max_length=64), SERVER] = b""
    """For `challenge`: the challenge to sign."""


class Done(Message, tag=3):
    """The request took effect, now or when it was first made."""


# --- bytes -----------------------------------------------------------------------------------------

_ENCODER: Final = msgspec.msgpack.Encoder()


T = TypeVar("T")


class Codec(Generic[T]):
    """Decode one union, totally: a value of `T`, or `BadRequest`."""

    def __init__(self, kind: object) -> None:
        self._decoder = cast("msgspec.msgpack.Decoder[T]", msgspec.msgpack.Decoder(kind))

    def decode(self, data: bytes | memoryview) -> T:
        try:
            return self._decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # The library's message quotes the input, so it must not travel on.
            raise BadRequest from None


def encode(message: Message) -> bytes:
    """One message as MessagePack."""
    return _ENCODER.encode(message)
