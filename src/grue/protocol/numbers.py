"""Phone numbers: people type them in many ways, and each becomes E.164 with its plus sign.

`phonenumbers` takes 20 ms to import, which most commands do not need, so it is imported on first use.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from grue.errors import NotANumber, NumberTooShort

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

MAX_TYPED: Final = 40
"""Characters: fifteen digits with generous spacing; more is not a number."""

MIN_DIGITS: Final = 7
"""Digits with country code: the shortest real ones are +683 4000 (Niue) and its like."""

MAX_DIGITS: Final = 15
"""Digits with country code, by E.164."""

_PUNCTUATION: Final = frozenset(" \t\u00a0\u202f\u2009()[]-\u2010\u2011\u2012\u2013./")


def parse(text: str, region_hint: str | None = None) -> str:
    """Return the E.164 form of a number as people type it.

    Takes spaces, brackets, dashes, dots and a leading 00. Without a country code it needs `region_hint`,
    such as "GB". A number need not be in use, only possible: number plans change faster than software.
    Raises NumberTooShort for short codes and emergency numbers, NotANumber for everything else.
    """
    digits = _digits(text)
    if not digits.startswith("+") and (region_hint is None or len(digits) < MIN_DIGITS):
        return _without_country_code(digits, region_hint)
    return _format(_possible(digits, region_hint))


@lru_cache(maxsize=64)
def region_of(number: str) -> str | None:
    """The region, such as "GB", whose people may leave out the country code of this E.164 number."""
    import phonenumbers

    parsed = phonenumbers.parse(number)
    region = phonenumbers.region_code_for_number(parsed)
    if region is None and parsed.country_code is not None:
        # A number that no plan lists, such as one reserved for fiction, still has a country code.
        region = phonenumbers.region_code_for_country_code(parsed.country_code)
    return None if region in (None, "001", "ZZ") else region


def complete(text: str, region_hint: str | None = None) -> str | None:
    """The E.164 form of a number that a numbering plan lists; None for one that is not whole yet, or never will be.

    Stricter than `parse`, for numbers that nobody has said are whole. Never a short code or an emergency number.
    """
    import phonenumbers

    try:
        number = parse(text, region_hint)
    except NotANumber:
        return None
    return number if phonenumbers.is_valid_number(phonenumbers.parse(number)) else None


def as_typed(text: str, region_hint: str | None = None) -> str:
    """What was typed so far, grouped as people of that country write it; unchanged where that is not known."""
    from phonenumbers import AsYouTypeFormatter

    try:
        digits = _digits(text)
    except NotANumber:
        return text
    formatter, grouped = AsYouTypeFormatter(region_hint or "ZZ"), text
    for digit in digits:
        grouped = formatter.input_digit(digit)
    return grouped


def reads_as_number(text: str) -> bool:
    """Whether this is written as numbers are, whole or not."""
    try:
        return bool(_digits(text))
    except NotANumber:
        return False


def _digits(text: str) -> str:
    """Drop the punctuation. Raises NotANumber for anything else that is neither digit nor leading plus."""
    text = text.strip()
    bare = "".join(char for char in text if char not in _PUNCTUATION)
    plus, rest = (True, bare[1:]) if bare[:1] in ("+", "\uff0b") else (False, bare)
    if len(text) > MAX_TYPED or not rest.isdecimal():
        raise NotANumber
    rest = "".join(str(int(char)) for char in rest)
    # 00 is what ITU-T E.123 has people dial where a plus stands; no national number starts with it.
    if not plus and rest.startswith("00"):
        plus, rest = True, rest[2:]
    return f"+{rest}" if plus else rest


def _without_country_code(digits: str, region_hint: str | None) -> str:
    if len(digits) < MIN_DIGITS and not _is_subscriber(digits, region_hint):
        raise NumberTooShort
    if region_hint is None:
        raise NotANumber("It has no country code.")
    return _format(_possible(digits, region_hint))


def _is_subscriber(digits: str, region_hint: str | None) -> bool:
    """Say whether so few digits are a whole number in that region's plan, as on small islands."""
    import phonenumbers

    if region_hint is None or len(digits) < 2:
        return False
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(digits, region_hint))
    except phonenumbers.NumberParseException:
        return False


def _possible(digits: str, region_hint: str | None) -> "PhoneNumber":
    import phonenumbers
    from phonenumbers import ValidationResult

    try:
        number = phonenumbers.parse(digits, region_hint)
    except phonenumbers.NumberParseException as error:
        short = phonenumbers.NumberParseException.TOO_SHORT_NSN, phonenumbers.NumberParseException.TOO_SHORT_AFTER_IDD
        raise (NumberTooShort if error.error_type in short else NotANumber) from None
    length = phonenumbers.is_possible_number_with_reason(number)
    if length in (ValidationResult.TOO_SHORT, ValidationResult.IS_POSSIBLE_LOCAL_ONLY) or _is_short_code(number):
        raise NumberTooShort
    if length != ValidationResult.IS_POSSIBLE:
        raise NotANumber
    return number


def _is_short_code(number: "PhoneNumber") -> bool:
    import phonenumbers

    # In this order, since hardly a number is as short, and the other question takes fifteen times as long.
    return phonenumbers.is_valid_short_number(number) and not phonenumbers.is_valid_number(number)


def _format(number: "PhoneNumber") -> str:
    import phonenumbers

    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if len(e164) - 1 > MAX_DIGITS:
        raise NotANumber
    if len(e164) - 1 < MIN_DIGITS:
        raise NumberTooShort
    return e164
