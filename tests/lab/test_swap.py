"""The swap game: servers that leak on purpose lose it, and the real one does not, a day later."""

import hashlib
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import pytest

from grue.client.client import Client
from grue.client.lookup.directory import Directory
from grue.exposure.guessing import Advantage, Trial, advantage, best, wilson
from grue.lab.swap import Moment, Question, Start, make_start, play_on
from grue.protocol import wire
from grue.server.accounts import keypackages
from grue.server.app import Server
from grue.server.directory import directory
from grue.server.mailboxes import mailboxes
from grue.server.store.interface import Tx, Value

pytestmark = [pytest.mark.whole, pytest.mark.timeout(300)]


class Round(NamedTuple):
    """How many worlds adversaries learn from, and how many the best of them is measured on."""

    taught: int
    fresh: int


FIRST, SECOND = Round(16, 12), Round(32, 24)
"""Played one after the other where the first does not give what is expected, so that no test fails by chance: a coin is
taken for an adversary in both once in two million times."""

FOUND = 0.75
"""The least advantage that counts: 11 of 12 worlds, 21 of 24."""


class Board(NamedTuple):
    """Where worlds begin. Adversaries learn from those of `taught`, in turn."""

    taught: Sequence[Start]
    fresh: Start


@pytest.fixture(scope="module")
async def starts(tmp_path_factory: pytest.TempPathFactory) -> list[Start]:
    return [await make_start(tmp_path_factory.mktemp("start") / "start") for _ in range(3)]


@pytest.fixture
def one_start(starts: list[Start]) -> Board:
    """What is the same in all worlds, such as who is in which row of a table, adversaries know by heart."""
    return Board(starts[:1], starts[0])


@pytest.fixture
def new_start(starts: list[Start]) -> Board:
    """Of a first contact, what can be seen against a snapshot from before is not in question."""
    return Board(starts[1:], starts[0])


async def measured_at(board: Board, question: Question, of: Round, *moments: Moment) -> dict[Moment, Advantage]:
    coin = random.Random(3)
    taught: dict[Moment, list[Trial]] = {moment: [] for moment in moments}
    for number in range(of.taught):
        start = board.taught[number % len(board.taught)]
        for moment, trials in (await play_on(start, question, 1, coin, moments)).items():
            taught[moment] += trials
    fresh = await play_on(board.fresh, question, of.fresh, coin, moments)
    return {moment: advantage(best(taught[moment]), fresh[moment]) for moment in moments}


async def found(board: Board, question: Question, moment: Moment, of: Round) -> bool:
    return (await measured_at(board, question, of, moment))[moment].value >= FOUND


async def found_twice(board: Board, question: Question, moment: Moment) -> bool:
    """What a server that does not leak never comes to."""
    return await found(board, question, moment, FIRST) and await found(board, question, moment, SECOND)


async def found_at_last(board: Board, question: Question, moment: Moment) -> bool:
    """What one that leaks comes to: in the second round adversaries know twice as many worlds."""
    return await found(board, question, moment, FIRST) or await found(board, question, moment, SECOND)


def after(patch: pytest.MonkeyPatch, owner: Any, name: str, then: Callable[..., Awaitable[object]]) -> None:
    """Let `then` follow a coroutine, with its arguments."""
    before = getattr(owner, name)

    async def both(*args: Any, **named: Any) -> Any:
        result = await before(*args, **named)
        await then(*args, **named)
        return result

    patch.setattr(owner, name, both)


async def insert(tx: Tx, *values: Value) -> None:
    await tx.run("CREATE TABLE IF NOT EXISTS leak (n INTEGER PRIMARY KEY AUTOINCREMENT, a, b)")
    await tx.run("INSERT INTO leak (a, b) VALUES ($1, $2)", *values, *[None] * (2 - len(values)))


# --- the real server ------------------------------------------------------------------------------


async def test_a_first_contact_shows_in_flight_and_no_more_a_day_later(new_start: Board) -> None:
    shown = await measured_at(new_start, Question.FIRST, FIRST, Moment.IN_FLIGHT, Moment.DAY)
    assert shown[Moment.IN_FLIGHT].value >= FOUND
    assert shown[Moment.DAY].value < FOUND or not await found(new_start, Question.FIRST, Moment.DAY, SECOND)


async def test_who_is_written_to_among_acquaintances_does_not_show_a_day_later(one_start: Board) -> None:
    assert not await found_twice(one_start, Question.TEXT, Moment.DAY)


@pytest.mark.parametrize("question", [Question.NUMBER, Question.HIT])
async def test_a_lookup_shows_neither_number_nor_hit(one_start: Board, question: Question) -> None:
    assert not await found_twice(one_start, question, Moment.DONE)


# --- servers that leak ----------------------------------------------------------------------------


async def test_a_hash_of_the_number_looked_up_is_found(one_start: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    lookup = Directory.lookup

    async def telling(self: Directory, numbers: Any) -> Any:
        asked[:] = numbers
        return await lookup(self, numbers)

    async def kept(server: Server, *_rest: object) -> None:
        if asked:
            await server.store.transact(insert, hashlib.sha256(asked.pop().encode()).digest())

    monkeypatch.setattr(Directory, "lookup", telling)
    after(monkeypatch, directory, "evaluate", kept)
    assert await found_at_last(one_start, Question.NUMBER, Moment.DONE)


@pytest.mark.weekly
async def test_a_row_number_that_tells_the_order_is_found(one_start: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    async def kept(tx: Tx, request: wire.Post, _today: int) -> None:
        await insert(tx, request.mailbox)

    after(monkeypatch, mailboxes, "post", kept)
    assert await found_at_last(one_start, Question.TEXT, Moment.DONE)


async def test_a_column_that_names_the_sender_is_found(one_start: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    sender: list[bytes] = []
    send = Client.send

    async def telling(self: Client, *args: Any, **named: Any) -> Any:
        sender[:] = [self.context.account.identity_public]
        return await send(self, *args, **named)

    async def kept(tx: Tx, _request: wire.Post, _today: int) -> None:
        if sender:
            await insert(tx, sender.pop())

    monkeypatch.setattr(Client, "send", telling)
    after(monkeypatch, mailboxes, "post", kept)
    assert await found_at_last(one_start, Question.TEXT, Moment.DONE)


@pytest.mark.weekly
async def test_a_note_of_who_was_claimed_is_found(new_start: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    async def kept(tx: Tx, intro_mailbox: bytes, _week: int) -> None:
        await insert(tx, intro_mailbox)

    after(monkeypatch, keypackages, "claim", kept)
    assert await found_at_last(new_start, Question.FIRST, Moment.DAY)


# --- guessing -------------------------------------------------------------------------------------

ONE_IN_A_MILLION = 4.9
"""Standard deviations: wide enough that a test does not fail by chance."""


def trials(count: int, feature: Callable[[bool, float], float]) -> list[Trial]:
    chance = random.Random(5)
    made = []
    for _ in range(count):
        bit, noise = chance.random() < 0.5, chance.random()
        made.append(Trial({"rows: noise": chance.random(), "rows: seen": feature(bit, noise)}, bit))
    return made


def measured(feature: Callable[[bool, float], float]) -> Advantage:
    made = trials(600, feature)
    return advantage(best(made[:200]), made[200:], ONE_IN_A_MILLION)


def test_noise_brings_nothing() -> None:
    assert measured(lambda _bit, noise: noise).holds_zero


def test_a_feature_that_is_the_secret_is_always_right() -> None:
    assert measured(lambda bit, _noise: 3.0 if bit else 4.0).value == 1.0


def test_a_feature_that_tells_it_in_three_of_four_brings_a_half() -> None:
    found = measured(lambda bit, noise: float(bit is (noise < 0.75)))
    assert found.low <= 0.5 <= found.high
    assert not found.holds_zero


def test_where_nothing_differs_there_is_nothing_to_guess_by() -> None:
    same = [Trial({"rows: same": 1.0}, bit) for bit in (True, False) * 20]
    found = advantage(best(same), same)
    assert (found.value, found.holds_zero) == (0.0, True)


def test_the_interval_is_wilsons() -> None:
    low, high = wilson(8, 10)
    assert math.isclose(low, 0.4902, abs_tol=1e-4)
    assert math.isclose(high, 0.9433, abs_tol=1e-4)
    assert wilson(0, 10)[0] == 0
    assert math.isclose(wilson(10, 10)[1], 1)
