"""Safety numbers: sixty digits over the identity keys of two accounts, for two people to compare by another way.

Each side's key gives thirty digits, and the smaller part stands first, so both people see the same number. It is made
as Signal makes its own (libsignal, `Fingerprint`): SHA-512, iterated, with the key in each round, and five digits from
every five bytes.
"""

from hashlib import sha512
from hmac import compare_digest
from typing import Final

from grue.errors import SafetyNumberDiffers, UsageError

CONTEXT: Final = b"grue safety number v1"
"""Hashed before the key, so that no other hash over a key is a safety number."""

ROUNDS: Final = 5200
"""SHA-512 for each key that is tried; Signal's count. A search gets 2^12.3 times as dear, and we take milliseconds."""

SIDE_DIGITS: Final = 30
"""Of each account: 99.7 bits. With the rounds, another key with the same thirty is 2^112 hashes away."""

DIGITS: Final = 2 * SIDE_DIGITS
"""Of a whole safety number."""

GROUP_DIGITS: Final = 5
"""Digits that are read out together; each five come of five bytes."""


def safety_number(one: bytes, other: bytes) -> str:
    """The sixty digits of two identity keys, the same in either order."""
    return "".join(sorted((fingerprint(one), fingerprint(other))))


def fingerprint(identity_public: bytes) -> str:
    """The thirty digits of one identity key (32 bytes)."""
    digest = CONTEXT
    for _ in range(ROUNDS):
        digest = sha512(digest + identity_public).digest()
    numbers = (int.from_bytes(digest[at : at + 5]) for at in range(0, SIDE_DIGITS, GROUP_DIGITS))
    return "".join(f"{number % 10**GROUP_DIGITS:0{GROUP_DIGITS}}" for number in numbers)


def grouped(digits: str) -> list[str]:
    """The twelve groups in which a safety number is shown and read out."""
    return [digits[at : at + GROUP_DIGITS] for at in range(0, len(digits), GROUP_DIGITS)]


def read(typed: str) -> str:
    """The digits as somebody typed or pasted them, with blanks anywhere.

    SAFETY-01 there are sixty, and nothing but digits. Raises UsageError.
    """
    digits = "".join(typed.split())
    if not (digits.isascii() and digits.isdigit()):
        raise UsageError("A safety number has digits only, and blanks between them.")
    if len(digits) != DIGITS:
        raise UsageError(f"A safety number has {DIGITS} digits, and these are {len(digits)}.")
    return digits


def compare(ours: str, typed: str) -> None:
    """Hold the other side's number against ours, in a time that does not depend on where they differ.

    SAFETY-02 all sixty digits are equal. Raises SafetyNumberDiffers, UsageError.
    """
    if not compare_digest(ours, read(typed)):
        raise SafetyNumberDiffers
