"""Signed requests: a device signs for its account, over a challenge that the server gave out."""

import hmac
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from grue.errors import NotPermitted
from grue.protocol import wire
from grue.server.context import Context
from grue.server.store.interface import Tx

CHALLENGE_SECONDS: Final = 600
"""A signed request is good for the window of its challenge and the next: slow networks, but no old recording."""

CHALLENGE: Final = "challenge"
"""The refusal code that carries a challenge to sign."""


class Challenges:
    """The challenges of one server process: computed from the time, so that none has to be kept."""

    def __init__(self, context: Context) -> None:
        self._clock = context.clock
        self._key = context.random(32)

    def refusal(self) -> wire.Refusal:
        """What tells a client which challenge to sign."""
        return wire.Refusal(CHALLENGE, detail=self._challenge(0))

    def holds(self, challenge: bytes) -> bool:
        """SIGNED-03: the challenge is ours, of this window or the last one."""
        return any(hmac.compare_digest(challenge, self._challenge(ago)) for ago in (0, 1))

    def _challenge(self, windows_ago: int) -> bytes:
        window = int(self._clock()) // CHALLENGE_SECONDS - windows_ago
        return hmac.digest(self._key, window.to_bytes(8, "big"), "sha256")


async def check(context: Context, signed: wire.Signed) -> None:
    """Check who signed a request whose challenge holds. Raises NotPermitted.

    SIGNED-01 the key is a device's of this account.
    SIGNED-02 the device signed this body, for this account, over our challenge.
    """
    await context.store.read(_check_device, signed.account, signed.device_public)
    over = wire.signed_bytes(signed.account, signed.challenge, signed.body)
    try:
        Ed25519PublicKey.from_public_bytes(signed.device_public).verify(signed.signature, over)
    except (InvalidSignature, ValueError):
        raise NotPermitted from None


async def _check_device(tx: Tx, account: bytes, device: bytes) -> None:
    if await tx.row("SELECT 1 FROM device WHERE account = $1 AND device_pub = $2", account, device) is None:
        raise NotPermitted
