"""The keys that let a window in."""

import pytest

from grue.desktop.secrets import MAX_BEARERS, MAX_ONCE, ONCE_SECONDS, NotLetIn, Secrets


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_desktop_04_a_one_use_key_lets_in_once() -> None:
    secrets = Secrets()
    once = secrets.once()
    secrets.check(secrets.enter(once))
    with pytest.raises(NotLetIn):
        secrets.enter(once)


def test_desktop_04_a_one_use_key_is_good_for_thirty_seconds() -> None:
    clock = Clock()
    secrets = Secrets(clock)
    once = secrets.once()
    clock.now = ONCE_SECONDS + 0.1
    with pytest.raises(NotLetIn):
        secrets.enter(once)


@pytest.mark.parametrize("guess", ["", "x", "ä", "\0" * 43])
def test_what_was_never_given_out_lets_nobody_in(guess: str) -> None:
    secrets = Secrets()
    secrets.once()
    with pytest.raises(NotLetIn):
        secrets.enter(guess)
    with pytest.raises(NotLetIn):
        secrets.check(guess)


def test_old_keys_give_way() -> None:
    secrets = Secrets()
    first, *_ = [secrets.once() for _ in range(MAX_ONCE + 1)]
    with pytest.raises(NotLetIn):
        secrets.enter(first)
    bearer, *_ = [secrets.enter(secrets.once()) for _ in range(MAX_BEARERS + 1)]
    with pytest.raises(NotLetIn):
        secrets.check(bearer)


def test_the_keys_are_not_printed() -> None:
    secrets = Secrets()
    assert secrets.once() not in repr(secrets)
