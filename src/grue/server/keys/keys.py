"""The server's secrets: two files that only their owner reads, made on the first start.

DATA/server.key signs manifests, overlay heads and inbound SMS, and makes registration codes. The directory's key
turns tags into phone numbers by trial; it has a file of its own, so that it can lie elsewhere, and no backup of
DATA has to hold it. DATA/replica.key is made when there are replicas, who have a copy of it.
"""

import hmac
import os
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from grue._core import OprfError, OprfKey
from grue.errors import UsageError
from grue.protocol.directory.replica import KEY_MAGIC, PUBLIC_BYTES, SECRET_BYTES, ReplicaKey
from grue.server.keys.keyfile import create_key_file, foreign, read_key_file

SERVER_KEY: Final = "server.key"
DIRECTORY_KEY: Final = "directory.key"
REPLICA_KEY: Final = "replica.key"
DIRECTORY: Final = "directory"
"""Where the directory's files are; once it is there, a missing key is a loss and not a first start."""

_SERVER_MAGIC: Final = b"grue server key v1\n"
_DIRECTORY_MAGIC: Final = b"grue directory key v1\n"
_KEY_BYTES: Final = 32


class Keys:
    """What the server holds in memory. It has no `repr` of its contents."""

    def __init__(self, signing: Ed25519PrivateKey, code_key: bytes, oprf: OprfKey) -> None:
        self.signing = signing
        self.code_key = code_key
        """32 bytes; registration codes are HMACs under it."""
        self.oprf = oprf
        self.server_public = signing.public_key().public_bytes_raw()
        self.token_generation = 0
        """Of the token epochs in use. The directory sets it, whose manifest says it."""
        self._token_keys: dict[tuple[str, int], OprfKey] = {}

    def token_key(self, purpose: str, epoch: int) -> OprfKey:
        """The key that tokens of a purpose and epoch are made with; derived, so that it is stored nowhere."""
        key = self._token_keys.get((purpose, epoch))
        if key is None:
            info = b"grue token key v1\0" + purpose.encode() + b"\0" + epoch.to_bytes(8, "big")
            scalar = bytearray(hmac.digest(self.code_key, info, "sha256"))
            # Below 2^252 and so below the group's order; uniform but for a part in 2^124.
            scalar[31] &= 0x0F
            key = self._token_keys[purpose, epoch] = OprfKey.from_bytes(bytes(scalar))
        return key

    @classmethod
    def generate(cls) -> "Keys":
        """Fresh keys, in memory only."""
        return cls(Ed25519PrivateKey.generate(), os.urandom(_KEY_BYTES), OprfKey.generate())


def open_keys(data: Path, directory_key: Path | None = None) -> Keys:
    """Read the keys, or make them on the first start in an empty `data`.

    Raises UsageError when a key is missing from a directory in use, readable by others, or no key file.
    """
    first_start = not (data / DIRECTORY).exists()
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    oprf_path = directory_key or data / DIRECTORY_KEY
    server = _read(data / SERVER_KEY, _SERVER_MAGIC, 2 * _KEY_BYTES, first_start)
    oprf = _read(oprf_path, _DIRECTORY_MAGIC, _KEY_BYTES, first_start)
    try:
        oprf_key = OprfKey.from_bytes(oprf)
    except OprfError:
        raise foreign(oprf_path) from None
    return Keys(Ed25519PrivateKey.from_private_bytes(server[:_KEY_BYTES]), server[_KEY_BYTES:], oprf_key)


def open_replica_key(data: Path, keys: Keys) -> ReplicaKey:
    """Read what is shared with the replicas, or make it. Raises UsageError, also for that of another server."""
    path = data / REPLICA_KEY
    if not path.exists():
        made = ReplicaKey(keys.server_public, os.urandom(SECRET_BYTES))
        create_key_file(path, KEY_MAGIC + made.to_bytes())
    key = ReplicaKey.from_bytes(read_key_file(path, KEY_MAGIC, PUBLIC_BYTES + SECRET_BYTES))
    if key.server_public != keys.server_public:
        raise UsageError(f"{path} was made for another server. Remove it, and give the replicas the one that is made.")
    return key


def _read(path: Path, magic: bytes, length: int, may_create: bool) -> bytes:
    if not path.exists():
        if not may_create:
            raise UsageError(f"The key file {path} is missing, and this directory was made with it. Restore it.")
        made = OprfKey.generate().to_bytes() if length == _KEY_BYTES else os.urandom(length)
        create_key_file(path, magic + made)
    return read_key_file(path, magic, length)
