"""The server's clock: it is the machine's, as long as that can be right.

A server whose clock is years ahead would take everything for expired, and sign heads beside which every client refuses
the true ones later; one whose clock is years behind would date what comes as expired already. So the start compares
it with what was signed last, and a server that runs counts on by itself when the clock jumps.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

from grue.errors import ClockImplausible
from grue.protocol.dates import date

log: Final = logging.getLogger("grue.server")

DAY: Final = 86_400

MAX_AHEAD: Final = 400 * DAY
"""Seconds that the clock may be ahead of what was signed last. A server that stood still for longer would sweep all
that it has: a mailbox outlives its last use by 395 days, an account its last check-in by 52 weeks."""

MAX_BEHIND: Final = DAY
"""Seconds that it may be behind. Clocks are set back by minutes, or by hours where somebody took local time for UTC;
what expires is counted in days, so nothing that is kept depends on so little."""


def check_clock(now: float, known: float) -> None:
    """Compare a clock with an instant that was before it; both in Unix seconds. Raises ClockImplausible."""
    if not -MAX_BEHIND <= now - known <= MAX_AHEAD:
        raise ClockImplausible(f"(It says {date(now)}; by its own records it is {date(known)}, or somewhat later.)")


class SteadyClock:
    """Unix seconds by the machine's clock, and by counting on from what it said while it says what cannot be.

    wall    Unix seconds, which somebody may set
    steady  seconds that only ever pass; they stand still while the machine sleeps, hence the same wide limits
    """

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._steady = steady
        self._anchor = wall(), steady()
        """What both said when the clock was last believed; replaced whole, since threads ask too."""
        self._doubted = False

    def __call__(self) -> float:
        wall, steady = self._wall(), self._steady()
        believed, at = self._anchor
        counted = believed + steady - at
        try:
            check_clock(wall, counted)
        except ClockImplausible as error:
            self._doubt(error)
            return counted
        self._doubted = False
        self._anchor = wall, steady
        return wall

    def _doubt(self, error: ClockImplausible) -> None:
        """Said once, not with every request. Both times are everybody's, so they may stand in the log."""
        if not self._doubted:
            log.error("%s This server counts on by itself. %s", error, error.fix)
            self._doubted = True
