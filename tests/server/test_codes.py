"""Registration codes, their guesses and their SMS."""

import os
from collections import Counter

import pytest

from grue.errors import CodeExpired, CodeWrong, TooManyCodes, TooManyGuesses
from grue.protocol.registration import CODE_WINDOW
from grue.server.accounts import codes
from grue.server.accounts.codes import check_code, counted_for, make_code
from grue.server.keys.keys import Keys

NUMBER, OTHER = "+447700900123", "+447700900124"
ALICE, MALLORY = b"a" * 32, b"m" * 32
NOW = 3_000_000 * CODE_WINDOW
WINDOW = NOW // CODE_WINDOW


@pytest.fixture
def keys() -> Keys:
    """Those of a server that has just started: codes of this window may have been sent before."""
    made = Keys.generate()
    counted_for(made, NUMBER, NOW)
    return made


def wrong(keys: Keys, number: str = NUMBER, identity: bytes = ALICE) -> str:
    """A code that is right in no window that counts."""
    right = {make_code(keys, number, identity, WINDOW - ago) for ago in range(-200, codes.EXPIRED_WINDOWS + 200)}
    return next(code for n in range(1_000_000) if (code := f"{n:06}") not in right)


def guess_until_locked(keys: Keys, now: int = NOW) -> None:
    for _ in range(codes.MAX_GUESSES):
        with pytest.raises(CodeWrong):
            check_code(keys, NUMBER, ALICE, wrong(keys), now)


def test_a_code_has_six_digits() -> None:
    for _ in range(50):
        code = make_code(Keys.generate(), NUMBER, ALICE, WINDOW)
        assert len(code) == 6
        assert code.isdecimal()


def test_codes_are_spread_evenly() -> None:
    keys = Keys.generate()
    first = Counter(make_code(keys, NUMBER, ALICE, window)[0] for window in range(5000))
    assert len(first) == 10
    assert max(first.values()) < 620


def test_a_code_is_bound_to_number_identity_window_and_server(keys: Keys) -> None:
    code = make_code(keys, NUMBER, ALICE, WINDOW)
    # One in a million meets by chance, so a few of each are compared.
    for others in (
        [make_code(keys, f"+4477009001{n:02}", ALICE, WINDOW) for n in range(30) if n != 23],
        [make_code(keys, NUMBER, os.urandom(32), WINDOW) for _ in range(30)],
        [make_code(keys, NUMBER, ALICE, WINDOW + n) for n in range(1, 30)],
        [make_code(Keys.generate(), NUMBER, ALICE, WINDOW) for _ in range(30)],
    ):
        assert others.count(code) < len(others) // 4


def test_registration_06_a_code_holds_in_its_window_and_the_next(keys: Keys) -> None:
    code = make_code(keys, NUMBER, ALICE, WINDOW)
    for now in (NOW, NOW + CODE_WINDOW - 1, NOW + 2 * CODE_WINDOW - 1):
        assert check_code(keys, NUMBER, ALICE, code, now) == WINDOW
    with pytest.raises(CodeExpired):
        check_code(keys, NUMBER, ALICE, code, NOW + 2 * CODE_WINDOW)


def test_registration_06_an_expired_code_is_told_apart_and_costs_no_guess(keys: Keys) -> None:
    old = make_code(keys, NUMBER, ALICE, WINDOW - 5)
    for _ in range(2 * codes.MAX_GUESSES):
        with pytest.raises(CodeExpired):
            check_code(keys, NUMBER, ALICE, old, NOW)


def test_registration_06_another_identitys_code_is_wrong(keys: Keys) -> None:
    # Whoever reads somebody's SMS but does not hold the key of the registration that asked for it gets nowhere.
    with pytest.raises(CodeWrong):
        check_code(keys, NUMBER, MALLORY, make_code(keys, NUMBER, ALICE, WINDOW), NOW)


def test_registration_06_the_sixth_guess_is_not_looked_at(keys: Keys) -> None:
    guess_until_locked(keys)
    with pytest.raises(TooManyGuesses) as refused:
        check_code(keys, NUMBER, ALICE, make_code(keys, NUMBER, ALICE, WINDOW), NOW)
    assert refused.value.retry_after == codes.FIRST_LOCK


def test_registration_06_a_code_that_was_never_sent_is_wrong(keys: Keys) -> None:
    # It could be guessed; then its owner should at least have had an SMS.
    later = NOW + CODE_WINDOW
    code = make_code(keys, NUMBER, ALICE, WINDOW + 1)
    with pytest.raises(CodeWrong):
        check_code(keys, NUMBER, ALICE, code, later)
    counted_for(keys, NUMBER, later).take_code(MALLORY, later)
    with pytest.raises(CodeWrong):
        check_code(keys, NUMBER, ALICE, code, later)
    counted_for(keys, NUMBER, later).take_code(ALICE, later)
    assert check_code(keys, NUMBER, ALICE, code, later) == WINDOW + 1


def test_a_code_that_the_process_before_sent_is_right(keys: Keys) -> None:
    sent_before = make_code(keys, NUMBER, ALICE, WINDOW - 1)
    assert check_code(keys, NUMBER, ALICE, sent_before, NOW) == WINDOW - 1


def test_a_code_that_could_not_be_sent_is_wrong(keys: Keys) -> None:
    later = NOW + CODE_WINDOW
    counted = counted_for(keys, NUMBER, later)
    counted.take_code(ALICE, later)
    counted.take_code(MALLORY, later)
    counted.give_back_code(ALICE, later)
    assert counted.may_have_sent(MALLORY, WINDOW + 1)
    with pytest.raises(CodeWrong):
        check_code(keys, NUMBER, ALICE, make_code(keys, NUMBER, ALICE, WINDOW + 1), later)


def test_guesses_with_many_identities_count_together(keys: Keys) -> None:
    for n in range(codes.MAX_GUESSES):
        identity = bytes([n]) * 32
        with pytest.raises(CodeWrong):
            check_code(keys, NUMBER, identity, wrong(keys, identity=identity), NOW)
    with pytest.raises(TooManyGuesses):
        check_code(keys, NUMBER, ALICE, "000000", NOW)


def test_another_number_is_not_locked(keys: Keys) -> None:
    guess_until_locked(keys)
    assert check_code(keys, OTHER, ALICE, make_code(keys, OTHER, ALICE, WINDOW), NOW) == WINDOW


def test_another_server_is_not_locked(keys: Keys) -> None:
    guess_until_locked(keys)
    other = Keys.generate()
    assert check_code(other, NUMBER, ALICE, make_code(other, NUMBER, ALICE, WINDOW), NOW) == WINDOW


def test_every_further_lock_is_twice_as_long_up_to_a_day(keys: Keys) -> None:
    now, locks = NOW, []
    for _ in range(10):
        guess_until_locked(keys, now)
        with pytest.raises(TooManyGuesses) as refused:
            check_code(keys, NUMBER, ALICE, "000000", now)
        locks.append(refused.value.retry_after)
        now += locks[-1]
    assert locks[:4] == [1200, 2400, 4800, 9600]
    assert locks[-1] == codes.MAX_LOCK


def test_locks_start_short_again_after_a_quiet_week(keys: Keys) -> None:
    guess_until_locked(keys)
    later = NOW + codes.FORGET_AFTER + 1
    guess_until_locked(keys, later)
    with pytest.raises(TooManyGuesses) as refused:
        check_code(keys, NUMBER, ALICE, "000000", later)
    assert refused.value.retry_after == codes.FIRST_LOCK


def test_a_code_that_served_forgives_the_guesses_before_it(keys: Keys) -> None:
    for _ in range(3):
        for _ in range(codes.MAX_GUESSES - 1):
            with pytest.raises(CodeWrong):
                check_code(keys, NUMBER, ALICE, wrong(keys), NOW)
        counted_for(keys, NUMBER, NOW).use(
            ALICE, check_code(keys, NUMBER, ALICE, make_code(keys, NUMBER, ALICE, WINDOW), NOW)
        )


def test_a_used_code_is_remembered_for_as_long_as_it_could_serve(keys: Keys) -> None:
    counted = counted_for(keys, NUMBER, NOW)
    counted.use(ALICE, WINDOW)
    assert counted.is_used(ALICE, WINDOW)
    assert not counted.is_used(MALLORY, WINDOW)
    counted.use(ALICE, WINDOW + 1)
    assert counted.is_used(ALICE, WINDOW)
    counted.use(ALICE, WINDOW + 5)
    assert not counted.is_used(ALICE, WINDOW)


def test_registration_04_codes_per_number_are_limited(keys: Keys) -> None:
    counted = counted_for(keys, NUMBER, NOW)
    for n in range(codes.MAX_CODES):
        counted.take_code(ALICE, NOW + n)
    with pytest.raises(TooManyCodes) as refused:
        counted.take_code(ALICE, NOW + 100)
    assert refused.value.retry_after == codes.CODES_WITHIN - 100
    counted.take_code(ALICE, NOW + codes.CODES_WITHIN)


def test_a_code_that_was_not_sent_was_nobodys_turn(keys: Keys) -> None:
    counted = counted_for(keys, NUMBER, NOW)
    for _ in range(3 * codes.MAX_CODES):
        counted.take_code(ALICE, NOW)
        counted.give_back_code(ALICE, NOW)


def test_what_is_counted_is_bounded_and_names_no_number(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "MAX_COUNTED", 10)
    kept = counted_for(keys, NUMBER, NOW)
    for n in range(9):
        counted_for(keys, f"+44770090020{n}", NOW)
    assert counted_for(keys, NUMBER, NOW) is kept
    for n in range(10):
        counted_for(keys, f"+44770090030{n}", NOW)
    assert counted_for(keys, NUMBER, NOW) is not kept
    names = codes._MEMORIES[keys].counted
    assert len(names) == 10
    assert all(len(name) == 16 and NUMBER.encode() not in name for name in names)
