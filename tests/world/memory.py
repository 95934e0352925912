"""What tests of the world in memory share: a few people, and `MemoryWorld` by its old name."""

from grue.testing.world import (
    ALICE,
    BOB,
    CAROL,
    NOBODY,
    PASSPHRASE,
    Clock,
    MemoryStream,
    MemoryTransport,
    MemoryWorld,
    inner,
    running,
    take,
)

__all__ = [
    "ALICE",
    "BOB",
    "CAROL",
    "NOBODY",
    "PASSPHRASE",
    "Clock",
    "MemoryStream",
    "MemoryTransport",
    "MemoryWorld",
    "inner",
    "running",
    "take",
]
