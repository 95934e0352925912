"""The key that things are sealed to which lie in an account's intro mailbox: inbound SMS, and invitations.

HPKE (RFC 9180), base mode, MLKEM768-X25519, HKDF-SHA256, ChaCha20-Poly1305. All devices of an account have the secret,
and the account's signed device list has the public key.
"""

from typing import Final

from cryptography.exceptions import InvalidTag
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

from grue.errors import BadEnvelope, BadKeyPackage, BadRequest

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


def public_key_of(public: bytes) -> MLKEM768X25519PublicKey:
    """The key that HPKE seals to. Raises ValueError."""
    return MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(public[:MLKEM_PUBLIC]),
        X25519PublicKey.from_public_bytes(public[MLKEM_PUBLIC:]),
    )


def private_of(secret: bytes) -> MLKEM768X25519PrivateKey:
    """The key that opens what was sealed to `public_of` the same secret."""
    return MLKEM768X25519PrivateKey(*_halves(secret))


def seal(public: bytes, plaintext: bytes, context: bytes) -> bytes:
    """HPKE to an account, 1,136 bytes longer; 0.2 ms. `context` is HPKE's `info`. Raises BadRequest for no such key."""
    try:
        return SUITE.encrypt(plaintext, public_key_of(public), info=context)
    except ValueError:
        # The length is wrong, or it is a point of the curve with which no secret can be agreed.
        raise BadRequest("(that is no key to seal to)") from None


def check_key(public: bytes) -> None:
    """Nothing, when an invitation can be sealed to this key; 0.2 ms. Raises BadKeyPackage."""
    try:
        seal(public, b"", b"")
    except BadRequest:
        raise BadKeyPackage("(no key to seal an invitation to)") from None


def unseal(secret: bytes, sealed: bytes, context: bytes) -> bytes:
    """Open what was sealed to `public_of` this secret. Raises BadEnvelope."""
    try:
        return SUITE.decrypt(sealed, private_of(secret), info=context)
    except (InvalidTag, ValueError):
        raise BadEnvelope("(not sealed to us)") from None
