"""Sealing of inbound SMS: the server seals one to the account the moment it comes, and the device opens it.

HPKE (RFC 9180), base mode, MLKEM768-X25519, HKDF-SHA256, ChaCha20-Poly1305; inside it the server's signature, or
anybody who knows an account's public key could put an SMS into its intro mailbox.
"""

from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHAKE256, Hash
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from grue.errors import BadEnvelope, BadRequest
from grue.protocol.conversation.contents import RECEIVED_SMS, SIGNED_SMS, IntroSms, ReceivedSms, SignedSms
from grue.protocol.conversation.padding import pad
from grue.protocol.wire import encode

CONTEXT: Final = b"grue inbound sms v1"
"""What the server signs under, and HPKE's `info`."""

MLKEM_SEED: Final = 64
MLKEM_PUBLIC: Final = 1184
CURVE_BYTES: Final = 32

SECRET_BYTES: Final = 32
"""Bytes of an account's secret: the seed of both halves, as libraries of this KEM have it. Any random bytes are one."""

PUBLIC_BYTES: Final = MLKEM_PUBLIC + CURVE_BYTES
"""Bytes of the public key: ML-KEM's half, then X25519's."""

SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


def public_of(secret: bytes) -> bytes:
    """The public key of a secret of `SECRET_BYTES` random bytes: what a `DeviceList` carries."""
    mlkem, curve = _halves(secret)
    return mlkem.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()


def _halves(secret: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    """The two keys that SHAKE256 makes of the seed (draft-connolly-cfrg-xwing-kem, section 5.2)."""
    digest = Hash(SHAKE256(MLKEM_SEED + CURVE_BYTES))
    digest.update(secret)
    expanded = digest.finalize()
    return (
        MLKEM768PrivateKey.from_seed_bytes(expanded[:MLKEM_SEED]),
        X25519PrivateKey.from_private_bytes(expanded[MLKEM_SEED:]),
    )


def check_public(public: bytes) -> None:
    """Nothing, when SMS can be sealed to this key; 0.2 ms. Raises BadRequest."""
    _encrypt(public, b"")


def public_key_of(public: bytes) -> MLKEM768X25519PublicKey:
    """The key that HPKE seals to. Raises ValueError."""
    return MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(public[:MLKEM_PUBLIC]),
        X25519PublicKey.from_public_bytes(public[MLKEM_PUBLIC:]),
    )


def private_of(secret: bytes) -> MLKEM768X25519PrivateKey:
    """The key that opens what was sealed to `public_of` the same secret."""
    return MLKEM768X25519PrivateKey(*_halves(secret))


def _encrypt(public: bytes, plaintext: bytes) -> bytes:
    try:
        return SUITE.encrypt(plaintext, public_key_of(public), info=CONTEXT)
    except ValueError:
        # The length is wrong, or it is a point of the curve with which no secret can be agreed.
        raise BadRequest("(that is no key to seal SMS to)") from None


def seal_sms(public: bytes, sms: ReceivedSms, sign: Callable[[bytes], bytes]) -> bytes:
    """The envelope for the account's intro mailbox, padded to a bucket. `sign` is the server's signing key.

    Randomness is the system's, from inside HPKE. Raises BadRequest for a key that is none.
    """
    body = encode(sms)
    signed = encode(SignedSms(body, sign(CONTEXT + body)))
    return pad(encode(IntroSms(_encrypt(public, signed))))


def open_sms(secret: bytes, server_public: bytes, number: str, sealed: bytes) -> ReceivedSms:
    """Open `IntroSms.sealed`.

    SMS-05 it was sealed to us. SMS-06 the pinned server signed it. SMS-07 it was sent to our number: whoever
    gets an SMS holds the server's signature for it, and could seal it to somebody else. Raises BadEnvelope.
    """
    private = private_of(secret)
    try:
        signed = SIGNED_SMS.decode(SUITE.decrypt(sealed, private, info=CONTEXT))
        Ed25519PublicKey.from_public_bytes(server_public).verify(signed.signature, CONTEXT + signed.body)
        sms = RECEIVED_SMS.decode(signed.body)
    except (InvalidTag, InvalidSignature, BadRequest, ValueError):
        raise BadEnvelope("(an SMS that the server did not seal)") from None
    if sms.to != number:
        raise BadEnvelope("(an SMS to another number)")
    return sms
