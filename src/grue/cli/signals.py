"""Signals tell a verb that goes on when to stop."""

import asyncio
import signal


def stop_on_sigterm(*, and_sigint: bool = False) -> None:
    """SIGTERM cancels the present task, as SIGINT does by itself; with `and_sigint` both end it in the same way."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT) if and_sigint else (signal.SIGTERM,):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
