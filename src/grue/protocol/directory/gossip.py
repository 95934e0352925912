"""Gossip: a client compares heads that contacts were shown with its own copy, and catches a server with two faces.

A message carries the head that its sender stood on at its last daily round, not the newest: that one would tell a
contact when somebody was looked up. Since a copy only ever continues (DIRECTORY-06, -14, -18), what a client was
shown in between is in the next one that it passes on.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from grue.errors import VerificationFailed
from grue.protocol.directory.directory import Head, UnverifiedHead, chain, chain_start, entries

LINK_BYTES: Final = 32

MAX_WAITING: Final = 256
"""Heads of contacts that may wait for the own copy to reach them. Anybody can send them, so beyond it those of whom
most wait lose one."""

KEPT_ENDED: Final = 2
"""Ended epochs whose links are kept to compare with: 0.3 MB each at a million records."""


class Verdict(StrEnum):
    """What a contact's head says about the own copy."""

    AGREES = "agrees"
    AHEAD = "ahead"
    """It cannot be told before the own copy is as far."""
    CONTRADICTS = "contradicts"
    """The server signed both, and only one can be true."""
    UNKNOWN = "unknown"
    """It is of an epoch of which too little is held."""


@dataclass(frozen=True)
class History:
    """What is held of the directory's past: for each epoch the chain hashes after 0, 1, 2, ... entries."""

    links: dict[int, bytes]
    """By epoch; the hashes stand one after the other, `LINK_BYTES` each."""

    @property
    def newest(self) -> int:
        return max(self.links)

    def compare(self, theirs: Head) -> Verdict:
        """Compare with one contact's head.

        GOSSIP-02 of the same epoch: it is of the same manifest, and its chain is ours at its length.
        """
        head = theirs.contents
        links = self.links.get(head.epoch)
        if links is None:
            return Verdict.AHEAD if head.epoch > self.newest else Verdict.UNKNOWN
        if links[:LINK_BYTES] != chain_start(head.manifest_hash):
            return Verdict.CONTRADICTS
        link = links[head.length * LINK_BYTES : (head.length + 1) * LINK_BYTES]
        if not link:
            return Verdict.AHEAD if head.epoch == self.newest else Verdict.UNKNOWN
        return Verdict.AGREES if link == head.chain else Verdict.CONTRADICTS


def links_of(manifest_hash: bytes, overlay: bytes) -> bytes:
    """The chain hashes after each prefix of an overlay, 32 bytes each; about 1 ms for 1,000 entries."""
    link = chain_start(manifest_hash)
    links = [link]
    for entry in entries(overlay):
        link = chain(link, entry)
        links.append(link)
    return b"".join(links)


def read_head(file: bytes, server_public: bytes) -> Head | None:
    """GOSSIP-01 a contact's head is one that the server's key signed; anything else is passed over (None)."""
    try:
        return UnverifiedHead(file).verify(server_public)
    except VerificationFailed:
        return None
