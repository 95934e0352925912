"""Bytes that are surely not those they were.

A byte that is *set* to something is now and then what it was before: one time in 256 for what is random,
and a test that damages so fails as often.
"""

__all__ = ["flipped"]


def flipped(data: bytes, at: int = -1, change: int = 1) -> bytes:
    """`data` with the bits of `change` (not 0) turned in the byte at `at`."""
    at %= len(data)
    return data[:at] + bytes([data[at] ^ change]) + data[at + 1 :]
