"""Through a relay a client does for each conversation by itself what it does for several, and when chance says.

Nothing in two requests says that one client made them; made in one moment they would say it by that, and made again in
one moment after somebody has refused them both as well. Without a relay the server sees one client's requests together
anyhow: there the spread is 0, and nothing waits.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from grue.errors import NetworkError

log: Final = logging.getLogger("grue.client")

PATIENCE: Final = 3
"""Failures in a row, other than the network's, before whoever receives is told."""

Run = Callable[[], Awaitable[object]]


async def pause(spread: float) -> None:
    """Wait until chance says, for `spread` seconds at most."""
    await asyncio.sleep(spread * secrets.randbelow(1_000_000) / 1_000_000)


async def each(spread: float, runs: Sequence[Run]) -> None:
    """Do each of these by itself, some time within the spread. Raises what failed when all were tried, and of several
    failures one that is not the network's.
    """
    outcomes = await asyncio.gather(*(_later(spread, run) for run in runs), return_exceptions=True)
    failures = [one for one in outcomes if isinstance(one, BaseException)]
    if failures:
        raise next((one for one in failures if not isinstance(one, NetworkError)), failures[0])


async def _later(spread: float, run: Run) -> None:
    await pause(spread)
    await run()


class Turns:
    """Conversations with something to do, each of which gets a turn when chance says, and another until it succeeds.

    tell  is given what keeps going wrong and is not the network's fault
    """

    def __init__(self, spread: float, tell: Callable[[Exception], None]) -> None:
        self._spread = spread
        self._tell = tell
        self._tasks: dict[bytes, asyncio.Task[None]] = {}
        self._more: set[bytes] = set()

    def give(self, whose: bytes, run: Run) -> None:
        """There is something to do: `run` does all of it. While a turn is coming already, that one does it."""
        self._more.add(whose)
        if whose not in self._tasks:
            self._tasks[whose] = asyncio.create_task(self._turns(whose, run))

    async def close(self) -> None:
        """No more turns; what was not done is left."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _turns(self, whose: bytes, run: Run) -> None:
        failed = 0
        try:
            while whose in self._more:
                await pause(self._spread)
                self._more.discard(whose)
                try:
                    await run()
                except Exception as error:  # noqa: BLE001 -- it gets another turn, and `tell` tells
                    self._more.add(whose)
                    failed = 0 if isinstance(error, NetworkError) else failed + 1
                    log.info("a turn failed: %s", type(error).__name__)
                    if failed >= PATIENCE:
                        self._tell(error)
        finally:
            del self._tasks[whose]
