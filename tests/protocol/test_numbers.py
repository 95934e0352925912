"""Numbers as people type them."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grue.errors import NotANumber, NumberTooShort
from grue.protocol import numbers

OFCOM_FICTION = "+447700900123"


@pytest.mark.parametrize(
    "typed",
    [
        "+447700900123",
        "+44 7700 900123",
        "+44 (7700) 900-123",
        "+44-7700-900-123",
        "+44.7700.900.123",
        "+44/7700/900/123",
        "  +44\u00a07700\u202f900123 ",
        "0044 7700 900123",
        "(0044) 7700 900123",
        "+44 (0)7700 900123",
        "\uff0b44７７００９００１２３",
        "٠٠٤٤٧٧٠٠٩٠٠١٢٣",
    ],
)
def test_a_number_is_read_as_people_type_it(typed: str) -> None:
    assert numbers.parse(typed) == OFCOM_FICTION


@pytest.mark.parametrize("typed", ["07700 900123", "7700 900123", "0044 7700 900123", "+44 7700 900123"])
def test_the_region_stands_in_for_a_country_code(typed: str) -> None:
    assert numbers.parse(typed, "GB") == OFCOM_FICTION


def test_a_leading_zero_that_belongs_to_the_number_stays() -> None:
    assert numbers.parse("+39 02 1234 5678") == "+390212345678"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        " ",
        "+",
        "hello",
        "1-800-FLOWERS",
        "+44 7700 900abc",
        "tel:+447700900123",
        "+447700900123 x5",
        "+447700900123;ext=5",
        "+44+7700900123",
        "+999 123456789",
        "+4477009001234567890",
        "+44 7700 900123\n+44",
        "1" * 500,
        "+44 7700 900①23",
        "07700 900123",
        "0000000000",
        "+0447700900123",
    ],
)
def test_what_is_no_number_is_refused(typed: str) -> None:
    with pytest.raises(NotANumber) as caught:
        numbers.parse(typed)
    assert type(caught.value) is NotANumber


@pytest.mark.parametrize(
    "typed", ["112", "999", "+44112", "+1911", "+49112", "+49 116117", "0044 7700", "12345", "+44 1", "1"]
)
def test_short_codes_and_emergency_numbers_are_too_short(typed: str) -> None:
    with pytest.raises(NumberTooShort):
        numbers.parse(typed)


@pytest.mark.parametrize(
    ("typed", "region"),
    [("112", "DE"), ("110", "DE"), ("116 117", "DE"), ("999", "GB"), ("101", "GB"), ("911", "US"), ("555 0100", "US")],
)
def test_short_codes_of_the_own_region_are_too_short(typed: str, region: str) -> None:
    with pytest.raises(NumberTooShort):
        numbers.parse(typed, region)


def test_a_whole_number_of_a_small_island_is_not_too_short() -> None:
    assert numbers.parse("4000", "NU") == "+6834000"


def test_the_region_of_a_fictional_number_is_known() -> None:
    assert numbers.region_of(OFCOM_FICTION) == "GB"
    assert numbers.region_of("+80012345678") is None


@given(st.text(max_size=60))
def test_any_text_is_a_number_or_refused(text: str) -> None:
    for region in (None, "GB", "US"):
        try:
            number = numbers.parse(text, region)
        except NotANumber:
            continue
        assert numbers.parse(number) == number


def test_the_number_plans_are_loaded_on_first_use_only() -> None:
    code = "import sys; import grue.protocol.numbers; sys.exit('phonenumbers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
