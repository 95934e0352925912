"""Text as it is searched."""

import pytest

from grue.client.search.folding import SNIPPET, fold, snippet


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("Zürich", "ZURICH"),
        ("Zu\u0308rich", "zürich"),
        ("Straße", "STRASSE"),
        ("Łódź", "lodz"),
        ("Ærøskøbing", "aeroskobing"),
        ("İstanbul ısı", "istanbul isi"),
        ("ΣΊΣΥΦΟΣ", "σισυφος"),
        ("Ｆｕｌｌ　ｗｉｄｔｈ", "full width"),
        ("ﾊﾞﾝﾄﾞ", "バンド"),
        ("東京タワー", "京タ"),
        ("한국어", "국"),
        ("\ud55c\uad6d", "\u1112\u1161\u11ab\u1100\u116e\u11a8"),
        ("مُحَمَّد", "محمد"),
        ("שָׁלוֹם", "שלום"),
        ("Ёлка й", "елка и"),
        ("soft\u00adhyphen and\u200b so\u200don", "softhyphen and soon"),
        ("one\ntwo", "one two"),
        ("ﬁne", "fine"),
    ],
)
def test_case_diacritics_and_width_make_no_difference(text: str, typed: str) -> None:
    assert fold(typed) in fold(text)


@pytest.mark.parametrize(("text", "typed"), [("かき", "がき"), ("hat", "hut"), ("東京", "京都")])
def test_what_is_another_word_is_not_found(text: str, typed: str) -> None:
    assert fold(typed) not in fold(text)


def test_a_snippet_shows_what_matches_as_it_was_written() -> None:
    assert snippet("Morgen in ZÜRICH,\nim Café", [fold("zurich"), fold("cafe")]) == (
        ("Morgen in ", False),
        ("ZÜRICH", True),
        (", im ", False),
        ("Café", True),
    )


def test_what_folds_to_more_or_fewer_characters_is_marked_whole() -> None:
    assert [piece for piece, match in snippet("die Straße, Zu\u0308g", ["ss", "zug"]) if match] == ["ß", "Zu\u0308g"]


def test_matches_that_overlap_are_marked_once() -> None:
    assert "".join(piece for piece, _ in snippet("banana", ["ana", "nan"])) == "banana"


def test_a_snippet_of_a_long_text_is_short_and_has_the_match() -> None:
    pieces = snippet("x" * 50_000 + "needle" + "y" * 50_000, ["needle"])
    assert ("needle", True) in pieces
    assert sum(len(piece) for piece, _ in pieces) <= SNIPPET + 2
    assert pieces[0][0] == pieces[-1][0] == "…"


def test_a_text_without_a_match_begins_at_its_beginning() -> None:
    assert snippet("hello", []) == (("hello", False),)
    assert snippet("", ["x"]) == ()
