"""A wiretapped server: its operator writes down what its gateway opens, for the report on the live server.

It is the real server with one thing more, and belongs to demonstrations: `grue serve` has no such option.
"""

import itertools
import time
from pathlib import Path
from typing import Any, BinaryIO

from grue.exposure.captures import RELAYED, Event, event_line
from grue.server.app import Server
from grue.server.run import run


class Wiretap(Server):
    """Writes every request that came by a relay, and its answer, as an `Event` a line; each is its own connection."""

    def __init__(self, record: BinaryIO, *parts: Any, **roles: Any) -> None:
        super().__init__(*parts, **roles)
        self._record = record
        self._numbers = itertools.count()

    async def relayed(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        where, connection = f"{method} {path.partition('?')[0]}", f"{RELAYED} {next(self._numbers)}"
        self._note(connection, True, where, body)
        status, answer = await super().relayed(method, path, body)
        self._note(connection, False, where, answer)
        return status, answer

    def _note(self, connection: str, up: bool, where: str, data: bytes) -> None:
        self._record.write(event_line(Event(time.time(), RELAYED, connection, up, where, data)))
        self._record.flush()


def run_wiretapped(data: Path, listen: str, record: Path, **options: Any) -> None:
    """`grue.server.run.run`, with such a server. Raises as that does."""
    with record.open("ab") as file:
        run(data, listen, make=lambda *parts, **roles: Wiretap(file, *parts, **roles), **options)
