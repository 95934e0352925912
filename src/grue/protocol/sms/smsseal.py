"""Sealing of inbound SMS: the server seals one to the account the moment it comes, and the device opens it.

It is HPKE to the account's key; inside it the server's signature, or anybody who knows an account's public key could
put an SMS into its intro mailbox.
"""

from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from grue.errors import BadEnvelope, BadRequest
from grue.protocol.accountkey import seal, unseal
from grue.protocol.conversation.contents import RECEIVED_SMS, SIGNED_SMS, IntroSms, ReceivedSms, SignedSms
from grue.protocol.conversation.padding import pad
from grue.protocol.wire import encode

CONTEXT: Final = b"grue inbound sms v1"
"""What the server signs under, and HPKE's `info`."""


def check_public(public: bytes) -> None:
    """Nothing, when SMS can be sealed to this key; 0.2 ms. Raises BadRequest."""
    seal(public, b"", CONTEXT)


def seal_sms(public: bytes, sms: ReceivedSms, sign: Callable[[bytes], bytes]) -> bytes:
    """The envelope for the account's intro mailbox, padded to a bucket. `sign` is the server's signing key.

    Randomness is the system's, from inside HPKE. Raises BadRequest for a key that is none.
    """
    body = encode(sms)
    signed = encode(SignedSms(body, sign(CONTEXT + body)))
    return pad(encode(IntroSms(seal(public, signed, CONTEXT))))


def open_sms(secret: bytes, server_public: bytes, number: str, sealed: bytes) -> ReceivedSms:
    """Open `IntroSms.sealed`.

    SMS-05 it was sealed to us. SMS-06 the pinned server signed it. SMS-07 it was sent to our number: whoever
    gets an SMS holds the server's signature for it, and could seal it to somebody else. Raises BadEnvelope.
    """
    try:
        signed = SIGNED_SMS.decode(unseal(secret, sealed, CONTEXT))
        Ed25519PublicKey.from_public_bytes(server_public).verify(signed.signature, CONTEXT + signed.body)
        sms = RECEIVED_SMS.decode(signed.body)
    except (BadEnvelope, InvalidSignature, BadRequest, ValueError):
        raise BadEnvelope("(an SMS that the server did not seal)") from None
    if sms.to != number:
        raise BadEnvelope("(an SMS to another number)")
    return sms
