"""The record of a number in the directory, under a tag and a key that only the PRF of the number gives.

A record is 128 bytes: tag 16, nonce 12, then ChaCha20-Poly1305 over 84 bytes (version 1, flags 1, intro mailbox 32,
identity key 32, hash of the device list 16, zeros 2) and its 16 bytes of authenticator. Without the PRF's output
it is random bytes.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from grue.errors import BadRecord

RECORD_BYTES: Final = 128
"""Bytes of a record, so that all are alike."""

TAG_BYTES: Final = 16
"""Bytes: among 10^7 numbers two tags meet with probability 2^-82."""

NONCE_BYTES: Final = 12
"""Bytes. Fresh on every write: the key is the same for every record that a number ever has."""

VERSION: Final = 1
"""Version of a record's contents; a client refuses others, so a new one needs a new protocol version."""

_INFO: Final = b"grue record v1"
_SEALED: Final = TAG_BYTES + NONCE_BYTES
_MAILBOX: Final = slice(2, 34)
_IDENTITY: Final = slice(34, 66)
_LIST_HASH: Final = slice(66, 82)
_ZEROS: Final = bytes(2)


class RecordKey(NamedTuple):
    """Where a number's record lies and what opens it."""

    tag: bytes
    key: bytes


@dataclass(frozen=True)
class Record:
    """What an opened record says about an account."""

    intro_mailbox: bytes
    identity_public: bytes
    device_list_hash: bytes
    """16 bytes, see `grue.protocol.conversation.devices`."""
    flags: int = 0
    """None is defined yet; a reader ignores what it does not know."""


def derive(output: bytes) -> RecordKey:
    """Tag and record key by HKDF-SHA256 from the PRF's 64-byte output for a number. Costs some 5 us."""
    derived = HKDF(SHA256(), TAG_BYTES + 32, salt=None, info=_INFO).derive(output)
    return RecordKey(derived[:TAG_BYTES], derived[TAG_BYTES:])


def seal(record: Record, key: RecordKey, nonce: bytes) -> bytes:
    """The 128 bytes that go into the directory. `nonce` is 12 random bytes, never used before."""
    contents = bytes((VERSION, record.flags)) + record.intro_mailbox + record.identity_public
    sealed = ChaCha20Poly1305(key.key).encrypt(nonce, contents + record.device_list_hash + _ZEROS, key.tag)
    return key.tag + nonce + sealed


def open_record(sealed: bytes, key: RecordKey) -> Record:
    """Open a record found under `key.tag`.

    RECORD-01 it has 128 bytes and the tag that was looked for. RECORD-02 it opens under the number's key, with
    its tag as associated data. RECORD-03 its version is 1 and its padding is zeros. Raises BadRecord.
    """
    if len(sealed) != RECORD_BYTES or sealed[:TAG_BYTES] != key.tag:
        raise BadRecord
    try:
        contents = ChaCha20Poly1305(key.key).decrypt(sealed[TAG_BYTES:_SEALED], sealed[_SEALED:], key.tag)
    except InvalidTag:
        raise BadRecord from None
    if contents[0] != VERSION or contents[_LIST_HASH.stop :] != _ZEROS:
        raise BadRecord
    return Record(contents[_MAILBOX], contents[_IDENTITY], contents[_LIST_HASH], contents[1])
