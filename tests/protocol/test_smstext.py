"""Alphabets, parts and joining: against another library, then round trips, then what senders get wrong."""

import math
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grue.errors import TooLarge
from grue.protocol.sms import smstext
from grue.protocol.sms.smstext import DEFAULT_ALPHABET, UCS2, Concatenation, Held, Joined, Joiner, Part, read_udh, split

ANN, BEN = "+447700900001", "+447700900002"
GSM_TEXT = "".join(smstext.GSM_CODES)


def test_the_alphabet_is_the_one_that_another_library_has() -> None:
    codec = pytest.importorskip("aiosmpplib.codec")
    ours = {code: character for code, character in enumerate(smstext.GSM) if code != smstext.ESCAPE}
    assert ours == codec.GSM_BASIC_DECODE_MAP
    assert dict(smstext.EXTENSION) == codec.GSM_EXTENDED_DECODE_MAP


@pytest.mark.parametrize(
    ("text", "coding", "sizes"),
    [
        ("", DEFAULT_ALPHABET, [0]),
        ("a" * 160, DEFAULT_ALPHABET, [160]),
        ("a" * 161, DEFAULT_ALPHABET, [6 + 153, 6 + 8]),
        ("€" * 80, DEFAULT_ALPHABET, [160]),
        ("€" * 81, DEFAULT_ALPHABET, [6 + 152, 6 + 10]),
        ("a" * 1530, DEFAULT_ALPHABET, [6 + 153] * 10),
        ("я" * 70, UCS2, [140]),
        ("я" * 71, UCS2, [6 + 134, 6 + 8]),
        ("😀" * 35, UCS2, [140]),
        ("😀" * 36, UCS2, [6 + 132, 6 + 12]),
        ("a" * 69 + "😀", UCS2, [6 + 134, 6 + 8]),
    ],
)
def test_a_text_is_cut_where_a_handset_expects_it(text: str, coding: int, sizes: list[int]) -> None:
    parts = split(text, 1)
    assert [len(part.data) for part in parts] == sizes
    assert {part.data_coding for part in parts} == {coding}
    assert all(part.has_udh is (len(parts) > 1) for part in parts)


def test_the_header_of_a_part_is_as_in_the_standard() -> None:
    first, second = split("a" * 161, 0x1CC)
    assert (first.data[:6], second.data[:6]) == (bytes.fromhex("050003cc0201"), bytes.fromhex("050003cc0202"))


@pytest.mark.parametrize("text", ["a" * 1531, "€" * 761, "я" * 671, "😀" * 331])
def test_sms_03_what_takes_more_parts_than_are_joined_again_is_too_large(text: str) -> None:
    with pytest.raises(TooLarge):
        split(text, 1)


# --- round trips ----------------------------------------------------------------------------------


def join(parts: list[Part], joiner: Joiner | None = None) -> str:
    joiner = joiner or Joiner()
    given: list[Joined | Held] = []
    for part in parts:
        concatenation, data = read_udh(part.data)
        assert concatenation
        given.append(joiner.add(ANN, BEN, concatenation, data, part.data_coding, 0))
    assert given[:-1] == [Held.TAKEN] * (len(parts) - 1)
    assert isinstance(given[-1], Joined)
    return given[-1].text


@given(st.text(alphabet=GSM_TEXT, max_size=700) | st.text(max_size=330), st.randoms())
def test_parts_in_any_order_are_the_text_again(text: str, random) -> None:  # type: ignore[no-untyped-def]
    parts = split(text, 7)
    if len(parts) == 1:
        assert smstext.decode(parts[0].data, parts[0].data_coding) == text.encode("utf-16", "replace").decode("utf-16")
        return
    random.shuffle(parts)
    assert join(parts) == text.encode("utf-16", "replace").decode("utf-16")


def test_parts_in_every_order_are_the_text_again() -> None:
    parts = split("€uro " * 80, 7)
    assert {join(list(order)) for order in permutations(parts)} == {"€uro " * 80}


def test_a_message_of_more_than_nine_parts_is_in_the_order_of_numbers_not_of_digits() -> None:
    text = "".join(f"{n:03}" for n in range(500))
    assert join(list(reversed(split(text, 1)))) == text


# --- what carriers and other senders do -----------------------------------------------------------


@pytest.mark.parametrize(
    ("coding", "alphabet"),
    [
        (0x00, DEFAULT_ALPHABET), (0x08, UCS2), (0x03, 0x03), (0x01, 0x01),
        (0xF0, DEFAULT_ALPHABET), (0xF1, DEFAULT_ALPHABET), (0x10, DEFAULT_ALPHABET), (0x18, UCS2),
        (0x02, None), (0x04, None), (0xF5, None), (0x15, None),
        (0x0B, DEFAULT_ALPHABET), (0xC8, DEFAULT_ALPHABET),
    ],
)  # fmt: skip
def test_every_data_coding_is_an_alphabet_or_no_text(coding: int, alphabet: int | None) -> None:
    assert smstext.alphabet_of(coding) == alphabet


@pytest.mark.parametrize(
    ("data", "alphabet", "text"),
    [
        (b"\x1be", 0, "€"), (b"\x1bA", 0, "A"), (b"\x1b\x1b", 0, " "), (b"a\x1b", 0, "a "), (b"\xff", 0, "\ufffd"),
        (b"\xd8\x3d\xde\x00", 8, "😀"), (b"\xd8\x3d", 8, "\ufffd"), (b"\x00a\x00", 8, "a\ufffd"),
        (b"\xe9", 3, "é"), (b"\xe9", 1, "\ufffd"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_marked(data: bytes, alphabet: int, text: str) -> None:
    assert smstext.decode(data, alphabet) == text


@pytest.mark.parametrize(
    ("data", "part", "rest"),
    [
        ("050003cc020161", Concatenation(0xCC, 2, 1), b"a"),
        ("060804abcd020261", Concatenation(0xABCD, 2, 2), b"a"),
        ("0a0003cc02010503010203", Concatenation(0xCC, 2, 1), b""),
        ("0a0003cc0201250161ffff61", Concatenation(0xCC, 2, 1), b"a"),
        ("050003cc020061", None, b"a"),
        ("050003cc020361", None, b"a"),
        ("050003cc010161", None, b"a"),
        ("02700061", None, b"a"),
        ("0061", None, b"a"),
        ("ff6161", None, b""),
        ("", None, b""),
    ],
)
def test_a_user_data_header_is_read_or_skipped(data: str, part: Concatenation | None, rest: bytes) -> None:
    assert read_udh(bytes.fromhex(data)) == (part, rest)


@given(st.binary(max_size=300), st.integers(0, 255))
def test_any_bytes_in_any_coding_are_some_text(data: bytes, coding: int) -> None:
    concatenation, rest = read_udh(data)
    assert concatenation is None or concatenation.sane
    assert len(rest) <= len(data)
    alphabet = smstext.alphabet_of(coding)
    assert alphabet is None or isinstance(smstext.decode(rest, alphabet), str)


# --- joining --------------------------------------------------------------------------------------


def add(joiner: Joiner, index: int, data: bytes, *, now: float = 0, sender: str = ANN, total: int = 2) -> Joined | Held:
    return joiner.add(sender, BEN, Concatenation(1, total, index), data, 0, now)


def whole(joined: Joined | Held) -> Joined:
    assert isinstance(joined, Joined)
    return joined


def test_two_senders_with_one_reference_are_two_messages() -> None:
    joiner = Joiner()
    add(joiner, 1, b"ann ")
    assert add(joiner, 2, b"cat", sender="+447700900003") is Held.TAKEN
    assert whole(add(joiner, 2, b"ann")).text == "ann ann"


def test_a_torn_surrogate_pair_is_whole_again() -> None:
    joiner = Joiner()
    joiner.add(ANN, BEN, Concatenation(1, 2, 2), b"\xde\x00", UCS2, 0)
    assert whole(joiner.add(ANN, BEN, Concatenation(1, 2, 1), b"\xd8\x3d", UCS2, 0)).text == "😀"


def test_parts_in_two_alphabets_are_read_each_in_its_own() -> None:
    joiner = Joiner()
    joiner.add(ANN, BEN, Concatenation(1, 2, 1), b"a", 0, 0)
    assert whole(joiner.add(ANN, BEN, Concatenation(1, 2, 2), b"\x04\x4f", UCS2, 0)).text == "aя"


def test_the_last_part_comes_again_when_storing_failed() -> None:
    joiner = Joiner()
    add(joiner, 1, b"one ")
    joiner.settle(whole(add(joiner, 2, b"two")), stored=False, now=0)
    assert whole(add(joiner, 2, b"two")).text == "one two"


def test_a_part_that_comes_again_after_all_is_stored_is_no_new_message() -> None:
    joiner = Joiner(patience=60)
    add(joiner, 1, b"one ")
    joiner.settle(whole(add(joiner, 2, b"two")), stored=True, now=0)
    assert add(joiner, 2, b"two", now=1) is Held.TAKEN
    assert joiner.overdue(math.inf) == []


def test_a_part_that_comes_again_while_it_is_being_stored_has_to_wait() -> None:
    joiner = Joiner()
    add(joiner, 1, b"one ")
    joined = whole(add(joiner, 2, b"two"))
    assert add(joiner, 2, b"two") is Held.BUSY
    joiner.settle(joined, stored=True, now=0)
    assert add(joiner, 2, b"two") is Held.TAKEN


def test_another_message_under_a_used_reference_is_a_new_one() -> None:
    joiner = Joiner()
    add(joiner, 1, b"one ")
    joiner.settle(whole(add(joiner, 2, b"two")), stored=True, now=0)
    add(joiner, 1, b"three ")
    assert whole(add(joiner, 2, b"four")).text == "three four"


def test_what_lacks_a_part_for_too_long_comes_with_a_mark() -> None:
    joiner = Joiner(patience=60)
    add(joiner, 1, b"one ", total=3)
    add(joiner, 3, b" three", total=3, now=30)
    assert joiner.overdue(59) == []
    (late,) = joiner.overdue(60)
    assert late.text == "one […] three"


def test_what_is_late_and_could_not_be_stored_is_given_again() -> None:
    joiner = Joiner(patience=60)
    add(joiner, 1, b"one")
    (late,) = joiner.overdue(60)
    assert joiner.overdue(61) == []
    joiner.settle(late, stored=False, now=62)
    assert [again.text for again in joiner.overdue(62)] == [late.text]


def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    joiner = Joiner()
    for n in range(smstext.MAX_JOINING + 1):
        add(joiner, 1, str(n).encode(), sender=f"+4477009{n:05}")
    assert [late.text for late in joiner.overdue(0)] == ["0[…]"]


def test_while_nothing_can_be_stored_new_parts_stay_with_the_carrier() -> None:
    joiner = Joiner()
    for n in range(smstext.MAX_UNSETTLED):
        add(joiner, 1, b"x", sender=f"+4477009{n:05}")
        add(joiner, 2, b"x", sender=f"+4477009{n:05}")
    assert add(joiner, 1, b"x", sender="+447711") is Held.BUSY


def test_no_text_and_no_number_shows_in_a_repr() -> None:
    joiner = Joiner()
    add(joiner, 1, b"secret")
    assert repr(whole(add(joiner, 2, b"secret"))) == "Joined()"
