"""Messages on an account's own connection: registration, and what a device signs for its account."""

from typing import Annotated, Final

from msgspec import Meta, field

from grue.protocol.wire.base import (
    MAX_CLAIMS,
    MAX_KEY_PACKAGES,
    MAX_REQUEST,
    MAX_SMS,
    SERVER,
    TOKEN_BATCH,
    ClaimName,
    Codec,
    Count,
    Done,
    Id,
    Key,
    Message,
    Number,
    Refusal,
    Signature,
    seen,
)


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


class Held(Message, tag=15):
    """The number is proved, and its old device still uses it: prove it again on this day, or when that lets go."""

    until_day: Annotated[Count, SERVER]
    """Days since 1970."""


class AnswerClaim(Message, tag=16):
    """Let who makes this claim of the account's number have it at once, or object to it: once."""

    claim: Annotated[ClaimName, SERVER]
    """Its name, so that the answer to one claim never meets another that was made since."""
    release: Annotated[bool, SERVER]


class NumberClaim(Message, tag=17):
    """Somebody who receives the account's SMS wants its number on another device."""

    name: Annotated[ClaimName, SERVER]
    until_day: Annotated[Count, SERVER]
    """The day since 1970 on which a second proof takes the number; when it has passed that may be at any moment."""
    objected: Annotated[bool, SERVER]
    """Whether the account has objected to it."""


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
    claims: Annotated[list[NumberClaim], Meta(max_length=MAX_CLAIMS), SERVER] = field(default_factory=list)
    """Of the account's number: first those that may still be objected to, and of each kind the earliest first."""


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


class Drawn(Message, tag=48):
    """The evaluated batch. The proof shows that the key is the manifest's, so nobody can be given one of their own."""

    elements: Annotated[list[Key], Meta(max_length=TOKEN_BATCH), SERVER]
    proof: Annotated[Signature, SERVER]


AccountRequest = RegisterStart | RegisterFinish | Signed
SignedRequest = (
    UploadKeyPackages | CountKeyPackages | CheckIn | DeleteAccount | SendSms | AskSms | DrawTokens | AnswerClaim
)
AccountAnswer = CodeSent | Registered | Held | KeyPackageCount | SmsState | SmsStates | Drawn | Done | Refusal

ACCOUNT_REQUEST: Final = Codec[AccountRequest](AccountRequest)
SIGNED_REQUEST: Final = Codec[SignedRequest](SignedRequest)
ACCOUNT_ANSWER: Final = Codec[AccountAnswer](AccountAnswer)
