"""What goes over the wire: MessagePack arrays, tag first, fields only ever appended.

A message's tag is its first element and is never used again for another message. A new field goes to the
end with a default, so that both sides read the other's older form. Every field says who can read it
(`seen`): the tables in `docs/protocol/` are rendered from here.

Decoding is total: any bytes give a message of the expected union, or `BadRequest`.
"""

from typing import Annotated, Any, Final, Generic, TypeVar, cast

import msgspec
from msgspec import Meta, Struct

from grue.errors import BadRequest

PROTOCOL: Final = 1
"""Version of everything in this package, the MLS suite included; part of every path."""

OHTTP_REQUEST: Final = "message/ohttp-req"
OHTTP_RESPONSE: Final = "message/ohttp-res"
"""Media types of sealed messages (RFC 9458, section 9): here for the relay, which has no other part of the protocol."""

# --- sizes ----------------------------------------------------------------------------------------

ENVELOPE_BUCKETS: Final = (1024, 4096, 16384, 65536)
"""Bytes. An envelope's blob has exactly one of these sizes, so that its length says little."""

PART_BUCKETS: Final = (4096, 16384, 65536, 131072, 196608, 262144)
"""Bytes. A part of an attachment has exactly one of these sizes: all the largest, but for the last part."""

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


# --- about the server -----------------------------------------------------------------------------


class ServerHello(Message, tag=1):
    """`GET /grue`: what a client has to know before anything else."""

    protocols: Annotated[list[int], EVERYONE]
    server_public: Annotated[Key, EVERYONE]
    """Signs manifests, overlay heads and inbound SMS; a client pins it at registration."""
    sms: Annotated[str, EVERYONE] = ""
    """Who carries SMS for this server, in words for people; empty when nobody does."""


class Refusal(Message, tag=2):
    """The answer to a request that was not done. `code` is one of `grue.errors.BY_CODE`, or `challenge`."""

    code: Annotated[str, Meta(max_length=40), SERVER]
    retry_after: Annotated[Count, SERVER] = 0
    """Seconds."""
    detail: Annotated[bytes, Meta(max_length=64), SERVER] = b""
    """For `challenge`: the challenge to sign."""


class Done(Message, tag=3):
    """The request took effect, now or when it was first made."""


# --- account connection ---------------------------------------------------------------------------


class RegisterStart(Message, tag=10):
    """Send a code by SMS to this number. The code is bound to the identity key."""

    number: Annotated[Number, SERVER]
    identity_public: Annotated[Key, SERVER]


class CodeSent(Message, tag=11):
    valid_for: Annotated[Count, SERVER]
    """Seconds."""


class RegisterFinish(Message, tag=12):
    """Create (or find again) the account of whoever received the code."""

    number: Annotated[Number, SERVER]
    code: Annotated[str, Meta(min_length=1, max_length=12), SERVER]
    device_list: Annotated[bytes, Meta(max_length=4096), SERVER]
    """A `SignedDeviceList`: identity key, HPKE key, intro mailbox and devices."""
    intro_read_hash: Annotated[Key, SERVER]
    discoverable: Annotated[bool, SERVER] = True


class Registered(Message, tag=13):
    account: Annotated[Id, SERVER]


class Signed(Message, tag=14):
    """An account's request, signed by one of its devices over the server's challenge."""

    account: Annotated[Id, SERVER]
    device_public: Annotated[Key, SERVER]
    challenge: Annotated[bytes, Meta(max_length=64), SERVER]
    body: Annotated[bytes, Meta(max_length=MAX_REQUEST), SERVER]
    signature: Annotated[Signature, SERVER]


SIGNED_CONTEXT: Final = b"grue signed request v1"


def signed_bytes(account: bytes, challenge: bytes, body: bytes) -> bytes:
    """What `Signed.signature` is made over. The length keeps challenge and body from running into each other."""
    return b"".join([SIGNED_CONTEXT, account, bytes([len(challenge)]), challenge, body])


class UploadKeyPackages(Message, tag=20):
    packages: Annotated[list[Annotated[bytes, Meta(max_length=8192)]], Meta(max_length=MAX_KEY_PACKAGES), SERVER]
    last_resort: Annotated[bytes, Meta(max_length=8192), SERVER] = b""
    """Replaces the last-resort package of this device; empty leaves it."""


class CountKeyPackages(Message, tag=21):
    pass


class KeyPackageCount(Message, tag=22):
    left: Annotated[Count, SERVER]


class CheckIn(Message, tag=23):
    """Hand in the own number again (nobody else has it), with the present device list."""

    number: Annotated[Number, SERVER]
    device_list: Annotated[bytes, Meta(max_length=4096), SERVER]
    discoverable: Annotated[bool, SERVER] = True


class DeleteAccount(Message, tag=24):
    pass


class SendSms(Message, tag=25):
    """Hand one SMS to the server's SMS gateway. Never retried by itself."""

    id: Annotated[Id, SERVER]
    sender: Annotated[Number, seen("server, SMS gateway, carriers, anyone near the handset")]
    to: Annotated[Number, seen("server, SMS gateway, carriers, anyone near the handset")]
    text: Annotated[
        str, Meta(min_length=1, max_length=MAX_SMS), seen("server, SMS gateway, carriers, anyone near the handset")
    ]


class SmsState(Message, tag=26):
    """`state` is one of `submitted`, `delivered`, `failed`, `unknown`."""

    id: Annotated[Id, SERVER]
    state: Annotated[str, Meta(max_length=16), SERVER]


class AskSms(Message, tag=27):
    """What became of SMS sent earlier; the server knows until it restarts."""

    ids: Annotated[list[Id], Meta(max_length=64), SERVER]


class SmsStates(Message, tag=28):
    states: Annotated[list[SmsState], SERVER]


class DrawTokens(Message, tag=29):
    """Draw a batch of anonymous tokens on the account's allowance; see `docs/protocol/tokens.md`."""

    purpose: Annotated[str, Meta(max_length=16), SERVER]
    """`lookup` or `post`."""
    epoch: Annotated[Count, SERVER]
    """Of the token keys, as the manifest names them."""
    blinded: Annotated[list[Key], Meta(min_length=TOKEN_BATCH, max_length=TOKEN_BATCH), SERVER]
    """Uniform group elements: they say nothing about the tokens that come of them."""


# --- anonymous requests ---------------------------------------------------------------------------


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
    read_hash: Annotated[Key, SERVER]
    """SHA-256 of the creator's read key."""
    slots: Annotated[list[Key], Meta(max_length=2 * MAX_DEVICES), SERVER]
    """SHA-256 of each slot secret; those readers start at the mailbox's beginning."""


class Post(Message, tag=36):
    """Append an envelope. The same id again is a no-op and gives the same seq."""

    mailbox: Annotated[Key, SERVER]
    write_key: Annotated[Key, SERVER]
    envelope: Annotated[Id, SERVER]
    blob: Annotated[Blob, seen("server sees the size bucket; contents: members of the conversation")]
    slots: Annotated[list[Key], Meta(max_length=2 * MAX_DEVICES), SERVER] = []
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


class Drawn(Message, tag=48):
    """The evaluated batch. The proof shows that the key is the manifest's, so nobody can be given one of their own."""

    elements: Annotated[list[Key], Meta(max_length=TOKEN_BATCH), SERVER]
    proof: Annotated[Signature, SERVER]


class PutBlob(Message, tag=54):
    """Keep one part of an attachment for two weeks. The same again is a no-op, other bytes a conflict."""

    id: Annotated[Key, SERVER]
    """Uniform; whoever knows it may fetch the part."""
    blob: Annotated[Part, seen("server sees the size bucket; contents: who has the attachment's key")]


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


# --- streams --------------------------------------------------------------------------------------


class Subscribe(Message, tag=50):
    """Push what comes after `after`, then what is appended, until the stream ends."""

    mailbox: Annotated[Key, SERVER]
    read_key: Annotated[Key, SERVER]
    after: Annotated[Count, SERVER]


class Subscribed(Message, tag=51):
    """Sent once, before the first `Delivery` of this mailbox."""

    mailbox: Annotated[Key, SERVER]
    incarnation: Annotated[Id, SERVER]
    head: Annotated[Count, SERVER]


class NotSubscribed(Message, tag=52):
    """This mailbox is gone, or does not know the read key; the stream goes on for the others."""

    mailbox: Annotated[Key, SERVER]
    code: Annotated[str, Meta(max_length=40), SERVER]


class Framed(Message, tag=53):
    """One request or answer on the anonymous request socket; answers carry the request's `n`."""

    n: Annotated[Count, SERVER]
    body: Annotated[bytes, Meta(max_length=MAX_REQUEST), SERVER]


# --- the directory's public files -----------------------------------------------------------------


class TokenKey(Message, tag=65):
    """A key that tokens of one purpose and epoch are made with."""

    purpose: Annotated[str, Meta(max_length=16), EVERYONE]
    epoch: Annotated[Count, EVERYONE]
    public: Annotated[Key, EVERYONE]


class Manifest(Message, tag=60):
    """What one base snapshot of the directory is; everybody gets the same one."""

    epoch: Annotated[Count, EVERYONE]
    oprf_epoch: Annotated[Count, EVERYONE]
    oprf_public: Annotated[Key, EVERYONE]
    count: Annotated[Count, EVERYONE]
    """Records in the base: the number of discoverable accounts when it was cut."""
    merkle_root: Annotated[Key, EVERYONE]
    layout: Annotated[str, Meta(max_length=16), EVERYONE]
    """`table`: the base is `count` records of 128 bytes, sorted by tag."""
    token_keys: Annotated[list[TokenKey], Meta(max_length=8), EVERYONE] = []
    """Those that are in use: of this token epoch and the one before."""
    pir: Annotated[bytes, Meta(max_length=128), EVERYONE] = b""
    """The layout of the table for private queries (`docs/protocol/pir.md`); empty when there is none."""
    hint_hash: Annotated[bytes, Meta(max_length=32), EVERYONE] = b""
    """SHA-256 of the file of this name, as the next two; empty when there is no such table."""
    fences_hash: Annotated[bytes, Meta(max_length=32), EVERYONE] = b""
    top_hash: Annotated[bytes, Meta(max_length=32), EVERYONE] = b""
    ended: Annotated[bytes, Meta(max_length=32), EVERYONE] = b""
    """The chain hash that the epoch before ended with, so that nothing of it can be unsaid; empty in the first."""
    ended_length: Annotated[Count, EVERYONE] = 0
    """Entries of the overlay of the epoch before, when it ended."""


class OverlayHead(Message, tag=61):
    """How far the overlay goes; monotone, and valid for hours."""

    epoch: Annotated[Count, EVERYONE]
    manifest_hash: Annotated[Key, EVERYONE]
    length: Annotated[Count, EVERYONE]
    """Entries of 128 bytes."""
    chain: Annotated[Key, EVERYONE]
    """The chain hash after the last entry."""
    issued: Annotated[Count, EVERYONE]
    """Unix seconds; the beginning of a period, not the moment of a change."""
    valid_until: Annotated[Count, EVERYONE]
    """Unix seconds; after it, absence is `unknown`."""


class GatewayKey(Message, tag=66):
    """The key that oblivious requests are sealed to; everybody gets the same one."""

    config: Annotated[bytes, Meta(max_length=2048), EVERYONE]
    """One key configuration (RFC 9458, section 3)."""
    valid_until: Annotated[Count, EVERYONE]
    """Unix seconds; the gateway opens nothing with it afterwards."""


class SignedFile(Message, tag=62):
    """A manifest, an overlay head or a gateway's key, signed by the server's key over its context and `body`."""

    body: Annotated[bytes, Meta(max_length=65536), EVERYONE]
    signature: Annotated[Signature, EVERYONE]


class DeviceList(Message, tag=63):
    """An account's devices, signed by its identity key; contacts refuse a lower number."""

    number: Annotated[Count, SERVER]
    identity_public: Annotated[Key, SERVER]
    hpke_public: Annotated[bytes, Meta(max_length=2048), SERVER]
    """MLKEM768-X25519; what inbound SMS is sealed to."""
    intro_mailbox: Annotated[Key, SERVER]
    devices: Annotated[list[Key], Meta(min_length=1, max_length=MAX_DEVICES), SERVER]
    """Each device's MLS signature key."""


class SignedDeviceList(Message, tag=64):
    body: Annotated[bytes, Meta(max_length=4096), SERVER]
    signature: Annotated[Signature, SERVER]


AccountRequest = RegisterStart | RegisterFinish | Signed
SignedRequest = UploadKeyPackages | CountKeyPackages | CheckIn | DeleteAccount | SendSms | AskSms | DrawTokens
AccountAnswer = CodeSent | Registered | KeyPackageCount | SmsState | SmsStates | Drawn | Done | Refusal

Priced = Evaluate | Query | Claim | CreateMailbox | PostIntro | Post | PutBlob
"""What tokens are spent on; all but a `Post` always take them. See `grue.protocol.tokens`."""
AnonymousRequest = Priced | Spend | ExchangeSlot | Fetch | Ack | RemoveReader | GetBlob
AnonymousAnswer = Evaluated | Answers | Claimed | Posted | Reading | Fetched | BlobPart | Done | Refusal

StreamRequest = Subscribe | Ack
StreamPush = Subscribed | NotSubscribed | Delivery

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


ACCOUNT_REQUEST: Final = Codec[AccountRequest](AccountRequest)
SIGNED_REQUEST: Final = Codec[SignedRequest](SignedRequest)
ACCOUNT_ANSWER: Final = Codec[AccountAnswer](AccountAnswer)
ANONYMOUS_REQUEST: Final = Codec[AnonymousRequest](AnonymousRequest)
ANONYMOUS_ANSWER: Final = Codec[AnonymousAnswer](AnonymousAnswer)
PRICED: Final = Codec[Priced](Priced)
STREAM_REQUEST: Final = Codec[StreamRequest](StreamRequest)
STREAM_PUSH: Final = Codec[StreamPush](StreamPush)
FRAMED: Final = Codec[Framed](Framed)
SERVER_HELLO: Final = Codec[ServerHello](ServerHello)
SIGNED_FILE: Final = Codec[SignedFile](SignedFile)
MANIFEST: Final = Codec[Manifest](Manifest)
OVERLAY_HEAD: Final = Codec[OverlayHead](OverlayHead)
GATEWAY_KEY: Final = Codec[GatewayKey](GatewayKey)
SIGNED_DEVICE_LIST: Final = Codec[SignedDeviceList](SignedDeviceList)
DEVICE_LIST: Final = Codec[DeviceList](DeviceList)
