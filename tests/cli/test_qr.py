"""The QR code in a terminal is the one that segno makes, module for module, with the margin that readers need."""

import pytest
import segno

from grue.cli.qr import HALVES, QUIET, drawn

DIGITS = "088203830134743070309470980189886421259087134412077841325351"

PAIRS = {character: pair for pair, character in HALVES.items()}


def modules(text: str) -> list[list[bool]]:
    """What is dark, read back from the characters."""
    rows = []
    for line in text.split("\n"):
        pairs = [PAIRS[character] for character in line]
        rows += [[upper for upper, _ in pairs], [lower for _, lower in pairs]]
    return rows


@pytest.mark.parametrize("contents", [DIGITS, "grue:person/0123456789abcdef", "0" * 60])
def test_every_module_is_where_segno_has_it(contents: str) -> None:
    expected = [
        [bool(module) for module in row] for row in segno.make_qr(contents, error="M").matrix_iter(border=QUIET)
    ]
    shown = modules(drawn(contents).plain)
    assert shown[: len(expected)] == expected
    assert not any(any(row) for row in shown[len(expected) :])


def test_sixty_digits_are_digits_in_the_code_and_fit_into_half_a_terminal() -> None:
    made = segno.make_qr(DIGITS, error="M")
    assert (made.mode, made.version, made.error) == ("numeric", 2, "M")
    lines = drawn(DIGITS).plain.split("\n")
    assert ({len(line) for line in lines}, len(lines)) == ({33}, 17)


def test_dark_is_dark_whatever_colours_the_terminal_has() -> None:
    """What is drawn is light, on a background that is said as well."""
    assert {str(span.style) for span in drawn(DIGITS).spans} == {"#ffffff on #000000"}


def test_a_narrow_terminal_does_not_break_its_lines() -> None:
    assert drawn(DIGITS).no_wrap
