"""A field looks a number up while somebody types it: once it is whole, and only once.

    async with me.directory.as_you_type() as field:
        field.typed("+44 7700")                 # at each change, with all that stands in the field
        field.typed("+44 7700 900123")
        async for shown in field:               # what to show, whenever that changes
            print(shown.text, shown.number, shown.route)

Nothing is asked about a number that is not whole, an emergency number or a short code. What a lookup found is kept, so
that deleting and typing again asks nothing.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from grue.client.lookup.directory import LookedUp
from grue.errors import GrueError, NotANumber
from grue.protocol.conversation.fallback import Route
from grue.protocol.directory.lookup import ANSWERED
from grue.protocol.numbers import as_typed, complete, parse

PAUSE_SECONDS: Final = 0.4
"""Without a change before a whole number is looked up: in many countries a number may be whole and go on."""

AGAIN_SECONDS: Final = 5.0
"""After a lookup that failed, until typing the number may ask again. An answer that says nothing is kept, too."""

KEPT_SECONDS: Final = 300.0
"""For which an answer stands for the same number; sending looks up anew in any case."""

Look = Callable[[str], Awaitable[LookedUp]]
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True)
class Shown:
    """What to show for the field as it is."""

    text: str
    """As it was typed, with the spaces that people of that country write."""
    number: str | None
    """E.164, once it is whole."""
    route: Route | None
    """None while it is not asked for, or not answered."""
    error: GrueError | None = None
    """Why the route is unknown."""


class AsYouType:
    """One field. `typed` at each change; iterate, or give `changed`, to hear what to show."""

    def __init__(
        self,
        look: Look,
        region: str | None,
        *,
        changed: Callable[[Shown], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """
        look     looks one E.164 number up
        region   whose numbers may lack the country code, such as "GB"
        changed  called in the event loop with what to show, also from within `typed`
        """
        self._look = look
        self._region = region
        self._changed = changed
        self._clock = clock
        self._sleep = sleep
        self._shown = Shown("", None, None)
        self._told = self._shown
        self._answers: dict[str, tuple[float, LookedUp | GrueError]] = {}
        self._pausing: asyncio.Task[None] | None = None
        self._looking: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def typed(self, text: str, *, done: bool = False) -> Shown:
        """The field holds this now; returns what is known at once.

        done  the person has said that this is the number (Return, or leaving the field): it need not be one that a
              numbering plan lists, only possible, and is looked up without a pause
        """
        number = self._number(text, done=done)
        self._cancel_pause()
        answer = self._answer(number) if number is not None else None
        self._show(_shown(as_typed(text, self._region), number, answer))
        if number is not None and answer is None and number not in self._looking and not self._closed:
            self._pausing = asyncio.ensure_future(self._ask(number, 0 if done else PAUSE_SECONDS))
        return self._shown

    def __aiter__(self) -> AsyncIterator[Shown]:
        return self._changes()

    async def _changes(self) -> AsyncIterator[Shown]:
        """What to show, whenever that changes; what was overtaken meanwhile is left out. Ends with `close`."""
        while True:
            self._wake.clear()
            if self._told != self._shown:
                self._told = self._shown
                yield self._shown
            elif self._closed:
                return
            else:
                await self._wake.wait()

    async def close(self) -> None:
        """Ask nothing more, and end the iteration."""
        self._closed = True
        self._cancel_pause()
        for task in self._looking.values():
            task.cancel()
        await asyncio.gather(*self._looking.values(), return_exceptions=True)
        self._wake.set()

    def _number(self, text: str, *, done: bool) -> str | None:
        whole = complete(text, self._region)
        if whole is not None:
            return whole
        try:
            possible = parse(text, self._region)
        except NotANumber:
            return None
        return possible if done or possible in self._answers or possible in self._looking else None

    def _answer(self, number: str) -> LookedUp | GrueError | None:
        """What is known of the number and still stands."""
        at, answer = self._answers.get(number, (0.0, None))
        if answer is None:
            return None
        failed = isinstance(answer, GrueError) or (answer.error is not None and not isinstance(answer.error, ANSWERED))
        return answer if self._clock() - at < (AGAIN_SECONDS if failed else KEPT_SECONDS) else None

    def _cancel_pause(self) -> None:
        if self._pausing is not None:
            self._pausing.cancel()
            self._pausing = None

    async def _ask(self, number: str, pause: float) -> None:
        if pause:
            await self._sleep(pause)
        # A lookup that has begun is not broken off: it has its price by now, and its answer is kept for whoever comes
        # back to the number.
        self._looking[number] = asyncio.ensure_future(self._look_up(number))

    async def _look_up(self, number: str) -> None:
        answer: LookedUp | GrueError
        try:
            answer = await self._look(number)
        except GrueError as error:
            answer = error
        finally:
            self._looking.pop(number, None)
        self._answers[number] = self._clock(), answer
        if self._shown.number == number:
            self._show(_shown(self._shown.text, number, answer))

    def _show(self, shown: Shown) -> None:
        if shown != self._shown:
            self._shown = shown
            self._wake.set()
            if self._changed is not None:
                self._changed(shown)


def _shown(text: str, number: str | None, answer: LookedUp | GrueError | None) -> Shown:
    match answer:
        case None:
            return Shown(text, number, None)
        case LookedUp():
            return Shown(text, number, answer.route, answer.error)
        case _:
            return Shown(text, number, Route.UNKNOWN, answer)
