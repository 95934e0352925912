"""Coins: single random bits that are drawn many at a time, for what a server blurs with every envelope."""

from collections.abc import Callable
from typing import Final

DRAWN: Final = 256
"""Bytes asked for at once, which Linux gives whole. Each call lets go of the interpreter's lock, and the store's thread
takes it: a call for every post cost one post in ten."""


class Coins:
    """Tosses, each used once. `random` gives so many random bytes."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random
        self._left = bytearray()

    def toss(self) -> int:
        """0 or 1."""
        if not self._left:
            self._left += self._random(DRAWN)
        return self._left.pop() & 1
