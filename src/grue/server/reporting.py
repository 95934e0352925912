"""The server's log: it has the type and place of our own faults, and never what was asked, by whom or for whom."""

import logging
import os
from typing import Final

log: Final = logging.getLogger("grue.server")


def report(error: BaseException) -> None:
    """Log an unexpected error without its text, which may hold what was asked."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}" if trace else "?"
    log.error("%s at %s", type(error).__name__, place)
