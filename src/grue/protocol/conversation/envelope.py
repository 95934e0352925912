"""Envelopes: a mailbox holds them, and the server sees a random id and one of four sizes.

An envelope is sealed under the epoch key of its conversation (from the MLS exporter), so that the MLS
framing inside, with its group id and epoch, is hidden from the server too.
"""

from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from grue.errors import BadEnvelope
from grue.protocol.conversation.padding import pad, unpad
from grue.protocol.wire import ENVELOPE_BUCKETS

TAG_BYTES: Final = 16

NONCE: Final = bytes(12)
"""Constant: the key is used for one envelope only, since it is derived from the envelope's random id."""

EPOCH_KEY_LABEL: Final = "grue envelope v1"
"""MLS exporter label of the key that a conversation's envelopes are sealed under in one epoch."""


def _cipher(epoch_key: bytes, envelope_id: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(HKDF(SHA256(), 32, salt=envelope_id, info=b"grue envelope key v1").derive(epoch_key))


def seal(epoch_key: bytes, mailbox: bytes, envelope_id: bytes, message: bytes) -> bytes:
    """Seal an MLS message for one mailbox; the result has one of the bucket sizes. Raises TooLarge."""
    padded = pad(message, overhead=TAG_BYTES)
    return _cipher(epoch_key, envelope_id).encrypt(NONCE, padded, mailbox)


def unseal(epoch_keys: Sequence[bytes], mailbox: bytes, envelope_id: bytes, blob: bytes) -> bytes:
    """Open with the first of `epoch_keys` (newest first) that fits. Raises BadEnvelope when none does."""
    return unseal_by(epoch_keys, mailbox, envelope_id, blob)[0]


def unseal_by(epoch_keys: Sequence[bytes], mailbox: bytes, envelope_id: bytes, blob: bytes) -> tuple[bytes, int]:
    """As `unseal`, and which of the keys it was."""
    if len(blob) not in ENVELOPE_BUCKETS:
        raise BadEnvelope("(its size is not one of ours)")
    for which, epoch_key in enumerate(epoch_keys):
        try:
            return unpad(_cipher(epoch_key, envelope_id).decrypt(NONCE, blob, mailbox)), which
        except InvalidTag:
            continue
    raise BadEnvelope
