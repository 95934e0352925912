"""The agreement of a server and its replicas: the key that both hold, and how queries are passed on under it.

The key holds the server's public key, which the replica checks the directory by, and a secret, by which it knows the
server. The secret opens nothing, and signs nothing: whoever has it can have queries answered, and no more.
"""

from dataclasses import dataclass
from typing import Final

from grue.protocol import wire

QUERY_PATH: Final = f"{wire.PROTOCOL}/query"
"""Where a replica takes queries: the body is a `Query`, the answer `Answers` or a `Refusal`."""

READY_PATH: Final = f"{wire.PROTOCOL}/replica"
"""Where a load balancer asks whether a replica has a directory: 200 when it does, else 503."""

KEY_MAGIC: Final = b"grue replica key v1\n"
PUBLIC_BYTES: Final = 32
SECRET_BYTES: Final = 32


@dataclass(frozen=True)
class ReplicaKey:
    """The contents of `replica.key`."""

    server_public: bytes
    """The server's key, as clients pin it: what a replica serves is signed by it."""
    secret: bytes

    def __repr__(self) -> str:
        return "ReplicaKey()"

    def to_bytes(self) -> bytes:
        """What stands in the file behind `KEY_MAGIC`."""
        return self.server_public + self.secret

    @classmethod
    def from_bytes(cls, contents: bytes) -> "ReplicaKey":
        """The same, read; 64 bytes."""
        return cls(contents[:PUBLIC_BYTES], contents[PUBLIC_BYTES:])

    @property
    def authorization(self) -> str:
        """The `Authorization` of a request that passes queries on."""
        return f"Bearer {self.secret.hex()}"
