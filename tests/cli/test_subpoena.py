"""The page that `subpoena --html` writes, and what the words leave out."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from grue.cli.run import run
from grue.pages.page import write
from grue.pages.subpoena_page import page
from grue.pages.subpoena_words import tables
from grue.server.demands.demands import CANNOT, LIVE
from grue.server.demands.subpoena import Answer, HeldColumn, HeldRow

NUMBER = "+447700900001"
HOSTILE = '<script src="https://example.com/x.js">&"'


def an_answer(*held: HeldRow, registered: bool = True) -> Answer:
    return Answer(NUMBER, registered, held, LIVE, CANNOT, bytes(32), True, datetime(2026, 3, 1, 9, 5, tzinfo=UTC))


def a_row(table: str, value: "str | int | None", says: str = "something") -> HeldRow:
    return HeldRow(table, (HeldColumn("column", value, says),))


class Reader(HTMLParser):
    """The elements, what is in them, and that each is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: "list[tuple[str, str | None]]") -> None:
        self.elements.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_holds_all_three_parts_its_date_and_the_servers_key() -> None:
    answer = an_answer(a_row("account", "00ff"))
    text = Reader(page(answer)).text
    assert all(one in text for one in (*LIVE, *(question for question, _ in CANNOT), *(why for _, why in CANNOT)))
    assert "1 March 2026, 09:05 UTC" in text
    assert answer.fingerprint in text.replace(" ", "")
    assert f"{NUMBER} is registered on this server." in text


def test_what_stands_in_the_database_is_never_markup() -> None:
    read = Reader(page(an_answer(HeldRow(HOSTILE, (HeldColumn(HOSTILE, HOSTILE, HOSTILE),)))))
    assert read.text.count(HOSTILE) == 4
    assert "script" not in read.elements


def test_the_page_runs_nothing_and_fetches_nothing() -> None:
    text = page(an_answer(a_row("account", "00ff")))
    read = Reader(text)
    assert not {"script", "link", "img", "iframe", "object"} & set(read.elements)
    assert not {name for name in read.attributes if name.startswith("on")} | ({"src", "href"} & read.attributes)
    assert "url(" not in text
    assert not re.search(r"https?:", text)


def test_every_table_of_the_page_has_a_caption_and_heads() -> None:
    elements = Reader(page(an_answer(a_row("account", "00ff"), a_row("device", 1)))).elements
    assert elements.count("table") == elements.count("caption") == elements.count("thead") == 3


def test_many_rows_are_summed_up_and_few_are_listed() -> None:
    many = [a_row("key_package", f"{n:032x}") for n in range(5)]
    few = [a_row("device", n) for n in range(2)]
    assert list(tables(an_answer(*many, *few))) == [
        ("key_package, 5 rows", [("column", "5 values of 16 bytes", "something")]),
        ("device, row 1 of 2", [("column", "0", "something")]),
        ("device, row 2 of 2", [("column", "1", "something")]),
    ]


def test_numbers_are_summed_up_from_the_least_to_the_greatest() -> None:
    assert list(tables(an_answer(*(a_row("envelope", n) for n in (10, 9, 12, 11))))) == [
        ("envelope, 4 rows", [("column", "9 to 12", "something")])
    ]


@pytest.mark.parametrize(
    ("held", "said"), [((), "nothing is held about it"), ((a_row("token_quota", 1),), "all that is left of it")]
)
def test_a_number_that_is_not_registered_is_said_to_be_none(held: "tuple[HeldRow, ...]", said: str) -> None:
    text = Reader(page(an_answer(*held, registered=False))).text
    assert f"{NUMBER} is not registered on this server" in text
    assert said in text


def test_the_page_is_for_its_owners_eyes(tmp_path: Path) -> None:
    write(tmp_path / "page.html", page(an_answer()))
    assert (tmp_path / "page.html").stat().st_mode & 0o777 == 0o600


def test_a_page_into_the_servers_directory_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "server.key").write_text("a key")
    key = str(tmp_path / "server.key")
    assert run(["subpoena", NUMBER, "--data", str(tmp_path), "--html", key]) == 2
    assert "stays as it is" in capsys.readouterr().err
    assert Path(key).read_text() == "a key"
