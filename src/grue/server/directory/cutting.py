"""The moment of a directory's next base: the one at which clients download least in a day.

A client that looks in k times a day fetches the whole overlay each time, half of T entries on average, and with every
new base what it holds of one: B bytes. With D changes a day and E bytes an entry that is `k E T/2 + B D/T` bytes a day,
and smallest at `T = sqrt(2 B D / k E)`. B is the whole table in tier 1 and little more than the hint in tier 2, so
there a base is cut sooner.
"""

from math import isqrt
from typing import Final

from grue._core import PirLayout
from grue.protocol import wire
from grue.protocol.directory.directory import MAX_OVERLAY
from grue.protocol.directory.pir import PRIVATE_TIER, hint_bytes, tier_of
from grue.protocol.directory.record import RECORD_BYTES

LOOKS_A_DAY: Final = 3
"""Times a day that a client is reckoned to look in (k): as `EPOCH_LOOKUPS` has it."""

CHANGES_A_DAY: Final = 3
"""Records in a thousand that are reckoned to change in a day (D)."""

MIN_CUT: Final = 256
"""Overlay entries (32 KiB) that a small directory gathers before it cuts. With more records the formula
asks for more: an entry at least for each 0.5 ms that building the table takes."""

MAX_CUT: Final = MAX_OVERLAY // 2
"""Overlay entries, 8 MiB, with which a base is due at the latest: as many again have room while it is made."""


def cut_at(manifest: wire.Manifest) -> int:
    """Entries of this base's overlay with which the next base is due."""
    changes = manifest.count * CHANGES_A_DAY // 1000
    best = isqrt(2 * _base_bytes(manifest) * changes // (LOOKS_A_DAY * RECORD_BYTES))
    return max(MIN_CUT, min(best, MAX_CUT))


def _base_bytes(manifest: wire.Manifest) -> int:
    """What a new base costs a client, by the tier that it takes (B). Fences and top, a hundredth, are left out."""
    if tier_of(manifest) == PRIVATE_TIER:
        return hint_bytes(PirLayout.from_bytes(manifest.pir))
    return manifest.count * RECORD_BYTES
