"""Safety numbers: the same from both sides, another for another key, and digits as people type them."""

from hashlib import sha512

import pytest

from grue.errors import SafetyNumberDiffers, UsageError
from grue.protocol.conversation.safety import DIGITS, compare, fingerprint, grouped, read, safety_number

ALICE, BOB, EVE = (bytes([n]) * 32 for n in (1, 2, 3))
NUMBER = safety_number(ALICE, BOB)


def test_both_sides_have_the_same_number() -> None:
    assert safety_number(BOB, ALICE) == NUMBER


def test_it_has_sixty_digits_in_twelve_groups_of_five() -> None:
    assert len(NUMBER) == DIGITS == 60
    assert NUMBER.isdigit()
    groups = grouped(NUMBER)
    assert ([len(group) for group in groups], "".join(groups)) == ([5] * 12, NUMBER)


def test_it_is_made_as_the_document_says() -> None:
    """Once more, by hand: 5,200 hashes, six times five bytes, the smaller side first."""

    def side(key: bytes) -> str:
        digest = sha512(b"grue safety number v1" + key).digest()
        for _ in range(5199):
            digest = sha512(digest + key).digest()
        return "".join(str(int(digest[n : n + 5].hex(), 16) % 100_000).rjust(5, "0") for n in (0, 5, 10, 15, 20, 25))

    assert min(side(ALICE), side(BOB)) + max(side(ALICE), side(BOB)) == NUMBER


def test_a_key_in_between_changes_the_number_on_both_sides() -> None:
    assert len({NUMBER, safety_number(ALICE, EVE), safety_number(EVE, BOB)}) == 3


def test_a_groups_leading_zeros_are_kept() -> None:
    zeros = next(key for n in range(256) if "00" in grouped(fingerprint(key := bytes([n]) * 32))[0][:2])
    assert len(fingerprint(zeros)) == 30


@pytest.mark.parametrize("typed", [NUMBER, " ".join(grouped(NUMBER)), "\n".join(grouped(NUMBER)) + "\n", f" {NUMBER}"])
def test_safety_01_blanks_do_not_count(typed: str) -> None:
    assert read(typed) == NUMBER


@pytest.mark.parametrize(
    "typed", ["", "1", NUMBER[:-1], NUMBER + "0", NUMBER[:-1] + "x", NUMBER[:-1] + "²", NUMBER[:-1] + "٣", "-" + NUMBER]
)
def test_safety_01_what_is_no_safety_number_is_not_compared(typed: str) -> None:
    with pytest.raises(UsageError, match="safety number has"):
        read(typed)


def test_safety_02_equal_digits_are_equal() -> None:
    compare(NUMBER, " ".join(grouped(NUMBER)))


@pytest.mark.parametrize("at", [0, 29, 30, 59])
def test_safety_02_one_wrong_digit_is_another_number(at: int) -> None:
    wrong = NUMBER[:at] + str(9 - int(NUMBER[at])) + NUMBER[at + 1 :]
    with pytest.raises(SafetyNumberDiffers):
        compare(NUMBER, wrong)
