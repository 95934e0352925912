"""Anonymous tokens: a client draws them as an account and spends them as nobody, and no token links the two.

A token is a random nonce with its PRF output under the key of one purpose and epoch (RFC 9497, VOPRF). The server
evaluates it blinded, so it never sees the nonce before it is spent; the proof shows that everybody draws under the same
key, which the manifest publishes. `docs/protocol/tokens.md` has the rules; TOKEN-nn are their checks.
"""

import hmac
from collections.abc import Callable, Sequence
from enum import StrEnum
from hashlib import sha256
from typing import Final

import msgspec

from grue._core import OprfBlind, OprfError, oprf_finalize
from grue.errors import BadProof
from grue.protocol import wire

EPOCH_WEEKS: Final = 4
"""Weeks of one token key. A token is good in its epoch and the next, so four weeks at least."""

EPOCH_BITS: Final = 16
"""Of an epoch's number, those that count time, for 5,000 years. Above them is the generation, which a restore from a
backup begins: no epoch from before it is in use any more."""

NONCE_BYTES: Final = 32

_USE: Final = b"grue token use v1"
_SPENT: Final = b"grue token spent v1"


class Purpose(StrEnum):
    LOOKUP = "lookup"
    POST = "post"


class StoredToken(msgspec.Struct, array_like=True, frozen=True):
    """A token that was not spent yet. Whoever has it can spend it: never printed."""

    epoch: int
    nonce: bytes
    output: bytes

    def __repr__(self) -> str:
        return "StoredToken()"


def epoch_of(week: int, generation: int = 0) -> int:
    """The token epoch of a week since 1970, in a generation of the server's keys."""
    return generation << EPOCH_BITS | week // EPOCH_WEEKS


def generation_of(epoch: int) -> int:
    """0, or another number since a restore; a later one is greater."""
    return epoch >> EPOCH_BITS


def first_second(epoch: int) -> int:
    """When a token epoch begins, in Unix seconds."""
    return (epoch & (1 << EPOCH_BITS) - 1) * EPOCH_WEEKS * 7 * 86_400


def price(request: wire.Message) -> tuple[Purpose, int] | None:
    """What a request costs; None when it is free, as a `Post` is while there is room.

    Lookups cost one token for each number evaluated and for each query, so that no endpoint lists the directory. What
    makes the server keep something, or hands out a key package, costs one `post` token.
    """
    match request:
        case wire.Evaluate(blinded=blinded):
            return Purpose.LOOKUP, len(blinded)
        case wire.Query(queries=queries):
            return Purpose.LOOKUP, len(queries)
        case wire.Claim() | wire.CreateMailbox() | wire.PostIntro() | wire.PutBlob():
            return Purpose.POST, 1
    return None


def fare(request: wire.Priced) -> tuple[Purpose, int]:
    """What a `Spend` holds: the request's price, or for a `Post`, whose mailbox is nearly full, one `post` token."""
    return price(request) or (Purpose.POST, 1)


class Draw:
    """One batch: `request`, then `drawn`."""

    def __init__(self, purpose: Purpose, keys: Sequence[wire.TokenKey], random: Callable[[int], bytes]) -> None:
        """`keys` are the manifest's. Raises BadProof (TOKEN-01) when it has none for this purpose."""
        fitting = [key for key in keys if key.purpose == purpose]
        if not fitting:
            raise BadProof("(no token key in the manifest)")
        self._key = max(fitting, key=lambda key: key.epoch)
        self._nonces = [random(NONCE_BYTES) for _ in range(wire.TOKEN_BATCH)]
        self._blinds = [OprfBlind.blind(nonce) for nonce in self._nonces]

    def request(self) -> wire.DrawTokens:
        elements = [blind.element for blind in self._blinds]
        return wire.DrawTokens(self._key.purpose, self._key.epoch, elements)

    def drawn(self, answer: wire.Drawn) -> list[StoredToken]:
        """TOKEN-02 they were made with the manifest's key. Raises BadProof. Some 150 us a token."""
        try:
            outputs = oprf_finalize(self._blinds, answer.elements, answer.proof, self._key.public)
        except OprfError:
            raise BadProof("(a token key of our own)") from None
        return [StoredToken(self._key.epoch, n, output) for n, output in zip(self._nonces, outputs, strict=True)]


def spend(request: wire.Priced, tokens: Sequence[StoredToken]) -> wire.Spend:
    """The request with what pays for it."""
    body = wire.encode(request)
    return wire.Spend([wire.Token(token.epoch, token.nonce, use_of(token.output, body)) for token in tokens], body)


def use_of(output: bytes, body: bytes) -> bytes:
    """What ties a token to a request: who sees one pass cannot spend it on another."""
    return hmac.digest(output, _USE + sha256(body).digest(), "sha256")


def spent_key(nonce: bytes) -> bytes:
    """Under what a spent token is remembered; it says nothing to who does not know the nonce."""
    return sha256(_SPENT + nonce).digest()[:16]
