"""A field that a number is typed into: when it asks, and when it does not."""

import asyncio

import pytest

from grue.client.lookup.asyoutype import AGAIN_SECONDS, KEPT_SECONDS, PAUSE_SECONDS, AsYouType, Shown
from grue.client.lookup.directory import LookedUp
from grue.errors import GrueError, HomeBusy, Unreachable
from grue.protocol.conversation.fallback import Route

ONE, TWO = "+12025550101", "+12025550102"


class Stand:
    """A field whose time passes, and whose lookups are answered, when a test says so."""

    def __init__(self, region: str | None = "US") -> None:
        self.now = 0.0
        self.asked: list[str] = []
        self.heard: list[Shown] = []
        self.broken = False
        self._answers: dict[str, asyncio.Future[LookedUp]] = {}
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self.field = AsYouType(self._look, region, changed=self.heard.append, clock=lambda: self.now, sleep=self._sleep)

    async def _look(self, number: str) -> LookedUp:
        if self.broken:
            raise HomeBusy
        self.asked.append(number)
        self._answers[number] = asyncio.get_running_loop().create_future()
        return await self._answers[number]

    async def _sleep(self, seconds: float) -> None:
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, sleeper))
        await sleeper

    async def pause(self, seconds: float = PAUSE_SECONDS) -> None:
        await settle()
        self.now += seconds
        for at, sleeper in self._sleepers:
            if at <= self.now and not sleeper.done():
                sleeper.set_result(None)
        await settle()

    async def answer(self, number: str, route: Route, error: GrueError | None = None) -> None:
        self._answers.pop(number).set_result(LookedUp(number, route, None, error, 1, 2, 1, 1, 1.0))
        await settle()

    async def type(self, text: str, between: float = 0.1) -> None:
        """Each character a little after the one before."""
        for at in range(1, len(text) + 1):
            self.field.typed(text[:at])
            await self.pause(between)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_number_that_is_typed_digit_by_digit_is_asked_for_once() -> None:
    stand = Stand()
    await stand.type("+1 202 555 0101")
    assert stand.asked == []
    await stand.pause()
    assert stand.asked == [ONE]
    assert stand.heard[-1] == Shown("+1 202-555-0101", ONE, None)
    await stand.answer(ONE, Route.ENCRYPTED)
    assert stand.heard[-1] == Shown("+1 202-555-0101", ONE, Route.ENCRYPTED)
    await stand.pause(60)
    assert stand.asked == [ONE]


async def test_a_slow_typist_is_asked_for_no_more_than_the_whole_number() -> None:
    stand = Stand()
    await stand.type("(202) 555-0101", between=2 * PAUSE_SECONDS)
    assert stand.asked == [ONE]


async def test_deleting_and_typing_again_asks_nothing() -> None:
    stand = Stand()
    await stand.type("2025550101")
    await stand.pause()
    stand.field.typed("202555010")
    assert stand.field.typed("2025550101") == Shown("(202) 555-0101", ONE, None)
    await stand.pause()
    await stand.answer(ONE, Route.SMS)
    assert stand.heard[-1].route is Route.SMS
    assert stand.field.typed("202555010").number is None
    assert stand.field.typed("+12025550101").route is Route.SMS
    await stand.pause()
    assert stand.asked == [ONE]


async def test_of_two_numbers_in_quick_succession_only_the_second_is_asked_for() -> None:
    stand = Stand()
    stand.field.typed(ONE)
    await stand.pause(PAUSE_SECONDS / 2)
    stand.field.typed(TWO)
    await stand.pause()
    assert stand.asked == [TWO]


async def test_an_answer_that_comes_too_late_is_not_shown_and_is_kept() -> None:
    stand = Stand()
    stand.field.typed(ONE)
    await stand.pause()
    stand.field.typed(TWO)
    await stand.pause()
    assert stand.asked == [ONE, TWO]
    await stand.answer(ONE, Route.ENCRYPTED)
    assert stand.heard[-1].number == TWO
    assert stand.heard[-1].route is None
    await stand.answer(TWO, Route.SMS)
    assert stand.field.typed(ONE).route is Route.ENCRYPTED
    await stand.pause()
    assert stand.asked == [ONE, TWO]


async def test_a_failure_is_unknown_and_is_asked_again_after_some_seconds() -> None:
    stand = Stand()
    stand.field.typed(ONE)
    await stand.pause()
    failure = Unreachable()
    await stand.answer(ONE, Route.UNKNOWN, failure)
    assert stand.heard[-1] == Shown("+1 202-555-0101", ONE, Route.UNKNOWN, failure)
    stand.field.typed(ONE)
    await stand.pause()
    assert stand.asked == [ONE]
    await stand.pause(AGAIN_SECONDS)
    assert stand.field.typed(ONE).route is None
    await stand.pause()
    assert stand.asked == [ONE, ONE]
    await stand.answer(ONE, Route.SMS)
    assert stand.heard[-1].route is Route.SMS


async def test_a_lookup_that_raises_is_unknown_too() -> None:
    stand = Stand()
    stand.broken = True
    stand.field.typed(ONE)
    await stand.pause()
    assert stand.heard[-1].route is Route.UNKNOWN
    assert isinstance(stand.heard[-1].error, HomeBusy)


async def test_an_answer_stands_for_some_minutes() -> None:
    stand = Stand()
    stand.field.typed(ONE)
    await stand.pause()
    await stand.answer(ONE, Route.SMS)
    await stand.pause(KEPT_SECONDS - 1)
    assert stand.field.typed(ONE).route is Route.SMS
    await stand.pause(1)
    stand.field.typed(ONE)
    await stand.pause()
    assert stand.asked == [ONE, ONE]


@pytest.mark.parametrize(
    ("region", "text"),
    [
        *[
            ("US", text)
            for text in ("", "+", "9", "911", "112", "1-1-2", "40404", "555 0101", "202 555 010", "+1202555010")
        ],
        *[("US", text) for text in ("1-800-FLOWERS", "Ann", "2" * 30, "+999 123 456 789")],
        *[("GB", text) for text in ("999", "101", "118 118", "0207946", "+44 7700 900123")],
        *[(None, text) for text in ("911", "2025550101", "112")],
    ],
)
async def test_what_is_no_whole_number_that_a_plan_lists_is_never_asked_for(region: str | None, text: str) -> None:
    stand = Stand(region)
    await stand.type(text)
    await stand.pause(60)
    assert stand.asked == []
    assert all(shown.number is None and shown.route is None for shown in stand.heard)


async def test_who_says_that_it_is_the_number_is_believed() -> None:
    stand = Stand("GB")
    drama = "+447700900123"
    assert stand.field.typed("07700 900123").number is None
    assert stand.field.typed("07700 900123", done=True).number == drama
    await settle()
    assert stand.asked == [drama], "without a pause"
    await stand.answer(drama, Route.ENCRYPTED)
    assert stand.field.typed("07700 900123").route is Route.ENCRYPTED
    assert stand.field.typed("999", done=True).number is None
    await stand.pause(60)
    assert stand.asked == [drama]


async def test_iterating_gives_what_to_show_and_leaves_out_what_was_overtaken() -> None:
    stand = Stand()
    shown: list[Shown] = []

    async def follow() -> None:
        async for one in stand.field:
            shown.append(one)  # noqa: PERF401 -- each as it comes

    following = asyncio.create_task(follow())
    stand.field.typed("2")
    stand.field.typed("20")
    await settle()
    stand.field.typed("2025550101")
    await stand.pause()
    await stand.answer(ONE, Route.SMS)
    await stand.field.close()
    await following
    assert [(one.text, one.route) for one in shown] == [
        ("20", None),
        ("(202) 555-0101", None),
        ("(202) 555-0101", Route.SMS),
    ]


async def test_once_closed_it_asks_nothing() -> None:
    stand = Stand()
    async with stand.field:
        stand.field.typed(ONE)
        await settle()
    await stand.pause()
    stand.field.typed(TWO)
    await stand.pause()
    assert stand.asked == []


async def test_closing_ends_a_lookup_that_is_under_way() -> None:
    stand = Stand()
    async with stand.field:
        stand.field.typed(ONE)
        await stand.pause()
        assert stand.asked == [ONE]
    assert [shown async for shown in stand.field][-1].route is None
