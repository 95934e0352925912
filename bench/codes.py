"""`takeover_per_restart`: how many numbers one attacker takes over by guessing right after a server starts.

The attacker has the server's answers and no SMS. Simulated: a server is started five times, and handed what would
be the right codes of some numbers, of this window and the last, which nobody was sent. Computed: the share of them that
is taken, times the guesses that the attacker has time for, a millionth of which is right.
"""

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any, Final

from grue.protocol.registration import CODE_DIGITS, CODE_WINDOW
from grue.server.accounts import codes
from grue.server.clock import DAY
from grue.server.keys.keys import open_keys
from grue.server.store.sqlite import open_store

NUMBERS: Final = 500

GUESSES: Final = 700_000
"""What one client hands in within the 20 minutes after a start, some 600 a second, of as many numbers as it takes."""

NOW: Final = 3_000_000 * CODE_WINDOW


def measure() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="grue-bench-") as scratch:
        taken = asyncio.run(_taken(Path(scratch)))
    share = taken / (2 * NUMBERS)
    expected = GUESSES * share / 10**CODE_DIGITS
    return [{"id": "takeover_per_restart", "value": round(expected, 3), "unit": "", "reach": 0}]


async def _taken(data: Path) -> int:
    """How many right codes that were never sent are taken by a server that has just started."""
    keys, taken = open_keys(data), 0
    for start in range(0, NUMBERS, NUMBERS // 5):
        store = await open_store(data / "server.db")
        for n in range(start, start + NUMBERS // 5):
            number, identity = f"+4477009{n:05}", os.urandom(32)
            for window in (NOW // CODE_WINDOW, NOW // CODE_WINDOW - 1):
                code = codes.make_code(keys, number, identity, window)
                typed = codes.read(keys, number, identity, code, NOW)
                taken += await store.transact(codes.check, typed, NOW // CODE_WINDOW, NOW // DAY)
        await store.close()
    return taken
