"""Search for many needles in one pass over the data: its bytes, four at a time, say which needles can be there."""

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final

PREFIX: Final = 4
"""Bytes by which a needle is looked up: a 32-bit integer."""


def start_of(needle: bytes) -> int:
    return int.from_bytes(needle[:PREFIX], "little")


def by_start(needles: Iterable[bytes]) -> Mapping[int, list[bytes]]:
    """Needles of at least `PREFIX` bytes by their first ones."""
    found: dict[int, list[bytes]] = {}
    for needle in needles:
        found.setdefault(start_of(needle), []).append(needle)
    return found


def starts_in(data: bytes, starts: Collection[int]) -> set[int]:
    """Which of the starts stand anywhere, in one pass over the data."""
    return set().union(*(filter(starts.__contains__, some) for some in _aligned(data)))


@lru_cache(maxsize=1 << 14)
def all_starts(data: bytes) -> frozenset[int]:
    """Every four bytes that stand in the data, for who asks often; remembered, at some 60 bytes a byte."""
    return frozenset().union(*_aligned(data))


def _aligned(data: bytes) -> Iterator[Iterable[int]]:
    """The data as 32-bit integers, in each of the four alignments."""
    view = memoryview(data)
    for at in range(PREFIX):
        whole = (len(data) - at) // PREFIX * PREFIX
        if whole > 0:
            yield _little_endian(view[at : at + whole])


def _little_endian(view: memoryview) -> Iterable[int]:
    if sys.byteorder == "little":
        return view.cast("I")
    return (int.from_bytes(view[at : at + PREFIX], "little") for at in range(0, len(view), PREFIX))
