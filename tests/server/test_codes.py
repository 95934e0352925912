"""Registration codes, what is noted of them, their guesses and their SMS."""

import os
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from grue.errors import CodeExpired, CodesUsedUp, CodeWrong, GrueError, TooManyCodes, TooManyGuesses
from grue.protocol.registration import CODE_WINDOW, LONG_CODE_DIGITS
from grue.server.accounts import codes
from grue.server.accounts.codes import DEFAULT_CAPS, Caps, Names, make_code, names_of
from grue.server.keys.keys import Keys
from grue.server.store.interface import Store, Tx
from grue.server.store.sqlite import open_store

NUMBER, OTHER = "+447700900123", "+12125550100"
ALICE, MALLORY = b"a" * 32, b"m" * 32
NOW = 3_000_000 * CODE_WINDOW
WINDOW = NOW // CODE_WINDOW
DAY = 86_400


class Desk:
    """Where codes are asked for and handed in, as the registration role does it."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self.store, self.keys = store, keys
        self.now = NOW

    def names(self, identity: bytes = ALICE, number: str = NUMBER) -> Names:
        return names_of(self.keys, number, identity)

    async def ask(self, identity: bytes = ALICE, number: str = NUMBER, caps: Caps = DEFAULT_CAPS) -> str:
        """Have a code sent; returns it."""
        digits = await self.store.transact(codes.take, self.names(identity, number), caps, self.now)
        return make_code(self.keys, number, identity, self.now // CODE_WINDOW, digits)

    async def give_back(self, identity: bytes = ALICE, number: str = NUMBER) -> None:
        await self.store.transact(codes.give_back, self.names(identity, number), self.now // CODE_WINDOW)

    async def check(self, code: str, identity: bytes = ALICE, number: str = NUMBER) -> codes.Typed:
        typed = codes.read(self.keys, number, identity, code, self.now)
        if not await self.store.transact(codes.check, typed, self.now // CODE_WINDOW, self.now // DAY):
            raise CodeWrong
        return typed

    async def use(self, code: str, identity: bytes = ALICE, number: str = NUMBER) -> bool:
        return await self.store.transact(codes.use, await self.check(code, identity, number))

    async def error(self, code: str, identity: bytes = ALICE, number: str = NUMBER) -> type[GrueError]:
        with pytest.raises(GrueError) as refused:
            await self.check(code, identity, number)
        return refused.type

    async def guess_until_locked(self, identity: bytes = ALICE, number: str = NUMBER) -> None:
        await self.ask(identity, number)
        for _ in range(codes.MAX_GUESSES):
            assert await self.error(wrong(self.keys, number, identity, self.now), identity, number) is CodeWrong

    async def rows(self, table: str) -> list[Any]:
        async def select(tx: Tx) -> list[Any]:
            return list(await tx.rows(f"SELECT * FROM {table}"))  # noqa: S608 -- our own

        return await self.store.read(select)

    async def sweep(self) -> None:
        await self.store.transact(codes.expire, self.now // CODE_WINDOW, self.now // DAY)

    async def locked_for(self, number: str = NUMBER) -> int:
        """Windows until a number's lock ends."""
        name = self.names(number=number).number
        until: int = next(row[3] for row in await self.rows("code_lock") if row[0] == name)
        return until - self.now // CODE_WINDOW


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    store = await open_store(None)
    try:
        yield Desk(store, Keys.generate())
    finally:
        await store.close()


def wrong(keys: Keys, number: str = NUMBER, identity: bytes = ALICE, now: int = NOW) -> str:
    """A code that is right in no window that counts."""
    window = now // CODE_WINDOW
    right = {make_code(keys, number, identity, window - ago) for ago in range(-2, codes.EXPIRED_WINDOWS + 2)}
    return next(code for n in range(1_000_000) if (code := f"{n:06}") not in right)


# --- codes ----------------------------------------------------------------------------------------


def test_a_code_has_six_digits_and_a_locked_numbers_twelve() -> None:
    for digits in (6, LONG_CODE_DIGITS):
        for _ in range(50):
            code = make_code(Keys.generate(), NUMBER, ALICE, WINDOW, digits)
            assert len(code) == digits
            assert code.isdecimal()


def test_codes_are_spread_evenly() -> None:
    keys = Keys.generate()
    first = Counter(make_code(keys, NUMBER, ALICE, window)[0] for window in range(5000))
    assert len(first) == 10
    assert max(first.values()) < 620


def test_a_code_is_bound_to_number_identity_window_and_server() -> None:
    keys = Keys.generate()
    code = make_code(keys, NUMBER, ALICE, WINDOW)
    # One in a million meets by chance, so a few of each are compared.
    for others in (
        [make_code(keys, f"+4477009001{n:02}", ALICE, WINDOW) for n in range(30) if n != 23],
        [make_code(keys, NUMBER, os.urandom(32), WINDOW) for _ in range(30)],
        [make_code(keys, NUMBER, ALICE, WINDOW + n) for n in range(1, 30)],
        [make_code(Keys.generate(), NUMBER, ALICE, WINDOW) for _ in range(30)],
    ):
        assert others.count(code) < len(others) // 4


# --- which code is right --------------------------------------------------------------------------


async def test_registration_06_a_code_holds_in_its_window_and_the_next(desk: Desk) -> None:
    code = await desk.ask()
    for desk.now in (NOW, NOW + CODE_WINDOW - 1, NOW + 2 * CODE_WINDOW - 1):
        await desk.sweep()
        assert (await desk.check(code)).window == WINDOW
    desk.now = NOW + 2 * CODE_WINDOW
    assert await desk.error(code) is CodeExpired


async def test_registration_06_an_expired_code_is_told_apart_and_costs_no_guess(desk: Desk) -> None:
    await desk.ask()
    for _ in range(2 * codes.MAX_GUESSES):
        assert await desk.error(make_code(desk.keys, NUMBER, ALICE, WINDOW - 5)) is CodeExpired
    assert await desk.rows("code_lock") == []


async def test_registration_06_another_identitys_code_is_wrong(desk: Desk) -> None:
    # Whoever reads somebody's SMS but does not hold the key of the registration that asked for it gets nowhere.
    await desk.ask(MALLORY)
    assert await desk.error(await desk.ask(), MALLORY) is CodeWrong


async def test_registration_06_the_sixth_guess_is_not_looked_at(desk: Desk) -> None:
    code = await desk.ask()
    await desk.guess_until_locked()
    assert await desk.error(code) is TooManyGuesses


async def test_registration_06_a_code_that_was_never_sent_is_wrong(desk: Desk) -> None:
    # It could be guessed; then its owner should at least have had an SMS. That a server has just started is no excuse.
    for window in (WINDOW - 1, WINDOW):
        assert await desk.error(make_code(desk.keys, NUMBER, ALICE, window)) is CodeWrong
    await desk.ask(MALLORY)
    assert await desk.error(make_code(desk.keys, NUMBER, ALICE, WINDOW)) is CodeWrong
    assert (await desk.check(await desk.ask())).window == WINDOW


async def test_a_code_that_could_not_be_sent_is_wrong(desk: Desk) -> None:
    code, other = await desk.ask(), await desk.ask(MALLORY)
    await desk.give_back()
    assert (await desk.check(other, MALLORY)).window == WINDOW
    assert await desk.error(code) is CodeWrong


async def test_a_code_of_which_one_sms_went_is_right_although_another_could_not_be_sent(desk: Desk) -> None:
    code = await desk.ask()
    assert await desk.ask() == code
    await desk.give_back()
    assert (await desk.check(code)).window == WINDOW


async def test_a_used_code_is_remembered_for_as_long_as_it_could_serve(desk: Desk) -> None:
    code, other = await desk.ask(), await desk.ask(MALLORY)
    assert not await desk.use(code)
    desk.now += CODE_WINDOW
    await desk.sweep()
    assert await desk.use(code)
    assert not await desk.use(other, MALLORY)


# --- guessing -------------------------------------------------------------------------------------


async def test_guesses_with_many_identities_count_together(desk: Desk) -> None:
    for n in range(codes.MAX_GUESSES):
        identity = bytes([n]) * 32
        await desk.ask(identity)
        assert await desk.error(wrong(desk.keys, identity=identity), identity) is CodeWrong
    assert await desk.error("000000", identity) is TooManyGuesses


async def test_nobody_locks_a_number_without_an_sms_that_its_owner_sees(desk: Desk) -> None:
    for _ in range(3 * codes.MAX_GUESSES):
        assert await desk.error(wrong(desk.keys, identity=MALLORY), MALLORY) is CodeWrong
    assert await desk.rows("code_lock") == []
    await desk.check(await desk.ask())


async def test_a_locked_numbers_owner_is_let_in_by_the_long_code_of_the_next_sms(desk: Desk) -> None:
    await desk.guess_until_locked(MALLORY)
    code = await desk.ask()
    assert len(code) == LONG_CODE_DIGITS
    assert not await desk.use(code)
    # Which lifts the lock.
    assert await desk.rows("code_lock") == []
    assert len(await desk.ask(b"b" * 32)) == 6


async def test_a_guesser_gains_nothing_by_the_long_code_of_a_locked_number(desk: Desk) -> None:
    await desk.guess_until_locked(MALLORY)
    before = await desk.rows("code_lock")
    owners, own = await desk.ask(), await desk.ask(MALLORY)
    # Neither the owner's code nor six digits of the own one, nor a sixth guess at twelve.
    assert await desk.error(owners, MALLORY) is CodeWrong
    assert await desk.error(make_code(desk.keys, NUMBER, MALLORY, WINDOW), MALLORY) is TooManyGuesses
    for _ in range(codes.MAX_GUESSES - 1):
        assert await desk.error(f"{int(own) ^ 1:012}", MALLORY) is CodeWrong
    assert await desk.error(own, MALLORY) is TooManyGuesses
    assert await desk.rows("code_lock") == before
    await desk.check(owners)


async def test_a_long_code_outlives_the_lock(desk: Desk) -> None:
    await desk.guess_until_locked(MALLORY)
    desk.now += CODE_WINDOW
    code = await desk.ask()
    desk.now += CODE_WINDOW
    await desk.check(code)
    assert await desk.error(make_code(desk.keys, NUMBER, ALICE, WINDOW + 1)) is CodeWrong


async def test_another_number_is_not_locked(desk: Desk) -> None:
    await desk.guess_until_locked()
    await desk.check(await desk.ask(number=OTHER), number=OTHER)


async def test_a_lock_is_not_forgotten_for_other_numbers(desk: Desk) -> None:
    await desk.guess_until_locked()
    caps = Caps(10**9, 10**9)
    for n in range(300):
        await desk.ask(MALLORY, f"+4477009{n:05}", caps)
    assert await desk.locked_for() == codes.FIRST_LOCK


async def test_every_further_lock_is_twice_as_long_up_to_a_day(desk: Desk) -> None:
    locks = []
    for _ in range(10):
        await desk.guess_until_locked()
        locks.append(await desk.locked_for())
        desk.now += locks[-1] * CODE_WINDOW
    assert locks[:4] == [2, 4, 8, 16]
    assert locks[-1] == codes.MAX_LOCK


async def test_locks_start_short_again_after_a_quiet_week(desk: Desk) -> None:
    for _ in range(2):
        await desk.guess_until_locked()
        desk.now += DAY
    desk.now += 7 * DAY
    await desk.guess_until_locked()
    assert await desk.locked_for() == codes.FIRST_LOCK


async def test_a_code_that_served_forgives_the_guesses_before_it(desk: Desk) -> None:
    for _ in range(3):
        code = await desk.ask()
        for _ in range(codes.MAX_GUESSES - 1):
            assert await desk.error(wrong(desk.keys)) is CodeWrong
        await desk.use(code)


# --- how many go out ------------------------------------------------------------------------------


async def test_registration_04_codes_per_number_are_limited(desk: Desk) -> None:
    for n in range(codes.MAX_CODES):
        desk.now = NOW + n * CODE_WINDOW
        await desk.ask(os.urandom(32))
    with pytest.raises(TooManyCodes) as refused:
        await desk.ask()
    wait = refused.value.retry_after
    assert desk.now + wait == NOW + codes.COUNTED_WINDOWS * CODE_WINDOW
    desk.now += wait
    await desk.ask()
    with pytest.raises(TooManyCodes):
        await desk.ask()


@pytest.mark.parametrize(("caps", "same_prefix"), [(Caps(200, 3), True), (Caps(3, 200), False)])
async def test_registration_04_codes_are_limited_in_all_and_for_a_prefix(
    desk: Desk, caps: Caps, same_prefix: bool
) -> None:
    def number(n: int) -> str:
        return f"+4477009001{n:02}" if same_prefix else f"+44{n}7009001{n:02}"

    for n in range(3):
        await desk.ask(number=number(n), caps=caps)
    with pytest.raises(CodesUsedUp) as refused:
        await desk.ask(number=number(3), caps=caps)
    assert refused.value.retry_after == codes.COUNTED_WINDOWS * CODE_WINDOW
    if same_prefix:
        await desk.ask(number=OTHER, caps=caps)
    desk.now += refused.value.retry_after
    await desk.ask(number=number(3), caps=caps)


async def test_who_is_refused_uses_nothing_up(desk: Desk) -> None:
    caps = Caps(2, 2)
    await desk.ask(caps=caps)
    await desk.ask(caps=caps)
    before = await desk.rows("code_count"), await desk.rows("code_sent")
    for _ in range(5):
        with pytest.raises(CodesUsedUp):
            await desk.ask(MALLORY, caps=caps)
    assert (await desk.rows("code_count"), await desk.rows("code_sent")) == before


async def test_a_code_that_was_not_sent_was_nobodys_turn(desk: Desk) -> None:
    for _ in range(3 * codes.MAX_CODES):
        await desk.ask()
        await desk.give_back()
    assert [await desk.rows(table) for table in ("code_sent", "code_count")] == [[], []]


# --- what is at rest ------------------------------------------------------------------------------


async def test_what_is_noted_of_codes_names_no_number_and_is_gone_when_it_no_longer_counts(desk: Desk) -> None:
    await desk.guess_until_locked()
    names = [row[0] for table in ("code_sent", "code_count", "code_lock") for row in await desk.rows(table)]
    assert all(len(name) == codes.NAME_BYTES and NUMBER.encode() not in name for name in names)
    for later, left in (
        (CODE_WINDOW, ["code_sent", "code_count", "code_lock"]),
        (codes.CODE_WINDOWS * CODE_WINDOW, ["code_count", "code_lock"]),
        (codes.COUNTED_WINDOWS * CODE_WINDOW, ["code_lock"]),
        (codes.FORGET_AFTER * DAY, []),
    ):
        desk.now = NOW + later
        await desk.sweep()
        assert [table for table in ("code_sent", "code_count", "code_lock") if await desk.rows(table)] == left
