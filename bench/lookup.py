"""`lookup_table_ms`: a tier-1 lookup of a new number, with the table there, network included.

Each lookup asks for the newest head, has one number evaluated, checks the proof, keeps the result and searches
the table. The numbers are new every time, so nothing comes from the cache.
"""

import statistics
from typing import Any, Final

import uvloop

from bench.people import ALICE, processes

LOOKUPS: Final = 300


async def _run() -> list[float]:
    async with processes() as world:
        alice = await world.person(ALICE)
        numbers = [f"+4477009{n:05}" for n in range(LOOKUPS)]
        return [(await alice.lookup(number))[0].ms for number in numbers]


def measure() -> list[dict[str, Any]]:
    """The median of 300."""
    milliseconds = statistics.median(uvloop.run(_run()))
    return [{"id": "lookup_table_ms", "value": round(milliseconds, 2), "unit": "ms", "reach": 3}]
