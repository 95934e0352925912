"""The queue of private queries: one thread answers several in each pass over the table.

Requests take turns: each has one of its queries in a pass before any has its second. What waits is bounded; who comes
when it is full is told to come back. A server and a replica have one each.
"""

import asyncio
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import perf_counter
from typing import Final

from grue._core import PirBase
from grue.errors import ServerBusy

PASS: Final = 8
"""Queries of one pass over the table: the most that the core takes."""

QUEUE_BYTES: Final = 64 << 20
"""Bytes of queries that may wait: some 300 at a million records, 1.5 s of two cores; 100 at ten million, 4 s."""


class Queries:
    """The queue, and the thread behind it. Call within the event loop that serves it."""

    def __init__(self, threads: int | None = None) -> None:
        """`threads` share one pass; as many as there are processors if it is not said."""
        self._threads = threads or os.cpu_count() or 1
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="grue-queries")
        self._waiting: deque[_Asked] = deque()
        self._bytes = 0
        self._running: asyncio.Task[None] | None = None
        self._seconds = 0.0

    @contextmanager
    def room(self, queries: Sequence[bytes], *, paid: bool = False) -> Iterator[None]:
        """Take a place in the queue. QUERY-04: there is one (ServerBusy, with the time that it needs to empty).

        paid  what they cost is spent already, so they have a place in any case: a replica was to answer, and did not
        """
        size = sum(map(len, queries))
        if self._bytes and self._bytes + size > QUEUE_BYTES and not paid:
            passes = sum(len(asked.left) for asked in self._waiting) / PASS
            raise ServerBusy("(too many queries wait)", retry_after=1 + int(passes * self._seconds))
        self._bytes += size
        try:
            yield
        finally:
            self._bytes -= size

    async def answer(self, base: PirBase, queries: Sequence[bytes]) -> list[bytes]:
        """The answers, in order; for who has `room`. Raises what the core does."""
        asked = _Asked(base, queries)
        self._waiting.append(asked)
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await asked.done

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._pass()
        finally:
            self._running = None

    async def _pass(self) -> None:
        """Answer up to `PASS` queries for one table."""
        batch = self._batch()
        if not batch:
            return
        base, queries = batch[0][0].base, [query for _, _, query in batch]
        start = perf_counter()
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(self._worker, base.answer, queries, self._threads)
        except Exception as error:  # noqa: BLE001 -- those who asked get it, and the next pass is made
            for asked, _, _ in batch:
                asked.failed(error)
            return
        self._seconds = perf_counter() - start
        for (asked, n, _), answer in zip(batch, answers, strict=True):
            asked.answered(n, answer)

    def _batch(self) -> "list[tuple[_Asked, int, bytes]]":
        """One query of each request in turn, and again, as long as they are for the first one's table."""
        batch: list[tuple[_Asked, int, bytes]] = []
        others: list[_Asked] = []
        base: PirBase | None = None
        while self._waiting and len(batch) < PASS:
            asked = self._waiting.popleft()
            if asked.done.done():
                # Nobody waits for it any more.
                continue
            base = base or asked.base
            if asked.base is not base:
                others.append(asked)
                continue
            n, query = asked.left.popleft()
            batch.append((asked, n, query))
            if asked.left:
                self._waiting.append(asked)
        self._waiting.extendleft(reversed(others))
        return batch


class _Asked:
    """One request's queries, as far as they are not answered."""

    def __init__(self, base: PirBase, queries: Sequence[bytes]) -> None:
        self.base = base
        self.left = deque(enumerate(queries))
        self.done: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
        self._answers: dict[int, bytes] = {}
        self._count = len(queries)

    def answered(self, n: int, answer: bytes) -> None:
        self._answers[n] = answer
        if len(self._answers) == self._count and not self.done.done():
            self.done.set_result([self._answers[n] for n in range(self._count)])

    def failed(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)
