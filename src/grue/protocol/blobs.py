"""Attachments: sealed chunk by chunk under a fresh key, and cut into parts that the server cannot put together.

The sealed bytes are a sequence of chunks, each ChaCha20-Poly1305 with its place and whether it is the last one in the
nonce, and the attachment's length in the associated data (after STREAM, eprint 2015/189): none can be left out, moved,
changed or added. Parts of four chunks lie on the server under ids that only the key gives. `docs/protocol/blobs.md` has
the rules; BLOB-nn are their checks.
"""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from grue.errors import BadAttachment, TooLarge
from grue.protocol.wire import PART_BUCKETS

CHUNK_BYTES: Final = 64 * 1024
"""Bytes of a sealed chunk: what has to be in memory before anything of it may be used."""

TAG_BYTES: Final = 16

CHUNK_ROOM: Final = CHUNK_BYTES - TAG_BYTES
"""Bytes of contents in a chunk."""

PART_BYTES: Final = PART_BUCKETS[-1]
"""Bytes of every part but the last: four chunks, and with what goes around it a request within the sizes of the
oblivious transport, 256 KiB and 512 bytes."""

PART_ROOM: Final = PART_BYTES // CHUNK_BYTES * CHUNK_ROOM
"""Bytes of contents in a part."""

MAX_ATTACHMENT: Final = 100 << 20
"""Bytes: 408 parts. A week's 1,000 `post` tokens are 250 MB in all: two such, and 184 new contacts."""

KEY_LABEL: Final = b"grue attachment key v1"
PART_LABEL: Final = b"grue attachment part v1"
CHUNK_CONTEXT: Final = b"grue attachment v1"


def padme(length: int) -> int:
    """The length that a length is padded to: at most 12 % more, and few enough values to say little.

    Its floating-point form has no more significant bits than its exponent has. Source: PURBs (PoPETs 2019), Padme.
    """
    if length < 2:
        return length
    exponent = length.bit_length() - 1
    zeros = (1 << (exponent - exponent.bit_length())) - 1
    return (length + zeros) & ~zeros


def sealed_bytes(length: int) -> int:
    """What an attachment takes on the server: sealed, padded by Padme, and the last part filled up to its bucket."""
    chunks = max(1, -(-length // CHUNK_ROOM))
    whole, rest = divmod(padme(length + chunks * TAG_BYTES), PART_BYTES)
    return whole * PART_BYTES + (next(bucket for bucket in PART_BUCKETS if rest <= bucket) if rest else 0)


class Sealing:
    """One attachment's parts, by their numbers from 0. A key is for one attachment, whose bytes never change."""

    def __init__(self, key: bytes, length: int) -> None:
        """`length` is in bytes, without padding. Raises TooLarge (BLOB-01)."""
        if not 0 <= length <= MAX_ATTACHMENT:
            raise TooLarge("(attachments have up to 100 MiB)")
        self._key = key
        self._cipher = ChaCha20Poly1305(_derived(key, KEY_LABEL))
        self._context = CHUNK_CONTEXT + length.to_bytes(8, "big")
        self.length = length
        self.size = sealed_bytes(length)

    @property
    def parts(self) -> int:
        return -(-self.size // PART_BYTES)

    def part_id(self, n: int) -> bytes:
        """Under what the server keeps a part. Without the key, ids of one attachment look like any others."""
        return _derived(self._key, PART_LABEL + n.to_bytes(4, "big"))

    def part_bytes(self, n: int) -> int:
        return min(PART_BYTES, self.size - n * PART_BYTES)

    def room(self, n: int) -> int:
        """How many of the attachment's bytes are in a part; 0 in one that is all padding."""
        return max(0, min(PART_ROOM, self.length - n * PART_ROOM))

    def seal(self, n: int, contents: bytes) -> bytes:
        """Seal a part. `contents` are the attachment's next `room(n)` bytes; fewer or more raise ValueError."""
        if len(contents) != self.room(n):
            raise ValueError("not the contents of that part")
        sealed, at = [], 0
        for chunk, size in self._chunks(n):
            room = size - TAG_BYTES
            plain = contents[at : at + room].ljust(room, b"\0")
            sealed.append(self._cipher.encrypt(self._nonce(chunk), plain, self._context))
            at += room
        return b"".join(sealed)

    def unseal(self, n: int, sealed: bytes) -> bytes:
        """The attachment's bytes in a part. Raises BadAttachment.

        BLOB-02 the part has the size that the attachment's length gives it.
        BLOB-03 each chunk opens at its place, as the last one or not, and for this length.
        BLOB-04 what follows the attachment's last byte is zeros.
        """
        if len(sealed) != self.part_bytes(n):
            raise BadAttachment("(a part's size)")
        plain, at = [], 0
        for chunk, size in self._chunks(n):
            try:
                plain.append(self._cipher.decrypt(self._nonce(chunk), sealed[at : at + size], self._context))
            except InvalidTag:
                raise BadAttachment("(a chunk)") from None
            at += size
        contents, room = b"".join(plain), self.room(n)
        if any(contents[room:]):
            raise BadAttachment("(its padding)")
        return contents[:room]

    def _chunks(self, n: int) -> list[tuple[int, int]]:
        """Number, from the attachment's beginning, and sealed size of each chunk in a part."""
        first, size = n * (PART_BYTES // CHUNK_BYTES), self.part_bytes(n)
        starts = range(0, size, CHUNK_BYTES)
        return [(first + place, min(CHUNK_BYTES, size - start)) for place, start in enumerate(starts)]

    def _nonce(self, chunk: int) -> bytes:
        """Eleven bytes of the chunk's number and one that says whether it is the last."""
        last = (chunk + 1) * CHUNK_BYTES >= self.size
        return chunk.to_bytes(11, "big") + bytes([last])


def _derived(key: bytes, label: bytes) -> bytes:
    return HKDFExpand(SHA256(), 32, label).derive(key)
