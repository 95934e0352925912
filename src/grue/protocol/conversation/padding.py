"""Padding to the envelope buckets, so that a length says little.

Padded: 4-byte big-endian length, the payload, zeros. Unpadding is total and accepts only what `pad` makes.
"""

from typing import Final

from grue.errors import BadEnvelope, TooLarge
from grue.protocol.wire import ENVELOPE_BUCKETS

LENGTH_BYTES: Final = 4


def pad(payload: bytes, overhead: int = 0) -> bytes:
    """Pad so that the result and `overhead` more bytes fill a bucket exactly. Raises TooLarge."""
    needed = LENGTH_BYTES + len(payload) + overhead
    for bucket in ENVELOPE_BUCKETS:
        if needed <= bucket:
            framed = len(payload).to_bytes(LENGTH_BYTES, "big") + payload
            return framed.ljust(bucket - overhead, b"\0")
    raise TooLarge


def unpad(padded: bytes) -> bytes:
    """The payload. Raises BadEnvelope for a length that does not fit or a tail that is not zeros."""
    length = int.from_bytes(padded[:LENGTH_BYTES], "big")
    end = LENGTH_BYTES + length
    if len(padded) < LENGTH_BYTES or end > len(padded) or any(padded[end:]):
        raise BadEnvelope
    return padded[LENGTH_BYTES:end]
