"""Links: what was made is read again, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis.strategies import binary, integers, sampled_from, text

from grue.errors import BadLink, GrueError, OtherLink
from grue.protocol.links import MAX_LINK, LinkKind, is_link, make_link, read_link

KNOWN = "grue:join/AQABAv_i7yYw"


@given(sampled_from(LinkKind), binary(max_size=600))
def test_a_link_holds_what_was_put_in(kind: LinkKind, contents: bytes) -> None:
    link = make_link(kind, contents)
    assert read_link(kind, link) == contents
    assert is_link(link)


def test_the_form_of_a_link_does_not_change() -> None:
    assert make_link(LinkKind.GROUP, b"\x00\x01\x02\xff") == KNOWN


def test_a_link_that_was_broken_into_lines_or_has_blanks_around_it_is_read() -> None:
    assert read_link(LinkKind.GROUP, f"  {KNOWN[:14]}\r\n{KNOWN[14:]}\n") == b"\x00\x01\x02\xff"


@pytest.mark.parametrize(
    "link",
    [
        "",
        "grue:",
        "grue:join/",
        "grue:join",
        "https://example.org/join",
        "grue:other/AQABAv_i7yYw",
        KNOWN[:-1],
        KNOWN + "=",
        KNOWN + "A",
        KNOWN + "/",
        KNOWN.replace("AQAB", "AQAC"),
        KNOWN.replace("join", "JOIN"),
        KNOWN + "\x00",
        KNOWN + "ü",
        "grue:join/" + "A" * MAX_LINK,
    ],
)
def test_link_01_what_is_no_whole_link_is_refused(link: str) -> None:
    with pytest.raises(BadLink):
        read_link(LinkKind.GROUP, link)


@pytest.mark.parametrize("kind", [LinkKind.DEVICE, LinkKind.PERSON])
def test_link_02_a_link_of_another_kind_says_what_it_is_for(kind: LinkKind) -> None:
    with pytest.raises(OtherLink):
        read_link(kind, KNOWN)


def test_link_02_the_kind_is_part_of_the_checksum() -> None:
    with pytest.raises(BadLink):
        read_link(LinkKind.DEVICE, KNOWN.replace("join", "link"))


def test_link_03_a_link_of_a_later_version_is_not_misread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grue.protocol.links.VERSION", b"\x02")
    later = make_link(LinkKind.GROUP, b"more")
    monkeypatch.undo()
    with pytest.raises(OtherLink):
        read_link(LinkKind.GROUP, later)


@given(sampled_from(LinkKind), text(max_size=80))
def test_link_01_no_text_at_all_makes_more_than_a_refusal(kind: LinkKind, rest: str) -> None:
    for link in (rest, f"grue:{kind.value}/{rest}"):
        with pytest.raises(GrueError):
            read_link(kind, link)


@given(integers(min_value=0, max_value=len(KNOWN) - 1), sampled_from("AZaz09-_/:= \u00e4"))
def test_link_01_one_other_character_is_noticed(at: int, character: str) -> None:
    changed = KNOWN[:at] + character + KNOWN[at + 1 :]
    if "".join(changed.split()) == KNOWN:
        return
    with pytest.raises(GrueError):
        read_link(LinkKind.GROUP, changed)
