"""`lab classic` and `lab life` as they are typed."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grue.cli.run import run
from tests.cli.play import Service

ALICE, BOB = "+447700900111", "+447700900222"

pytestmark = [pytest.mark.whole, pytest.mark.timeout(120)]


@pytest.fixture
def server() -> Iterator[str]:
    service = Service("lab", "classic", "--listen", "127.0.0.1:0", "--registered", BOB)
    yield f"http://{service.listening()}"
    service.stop()


def typed(server: str, number: str) -> str:
    body = json.dumps({"account": ALICE, "number": number}).encode()
    with urllib.request.urlopen(f"{server}/lookup", body) as answer:  # noqa: S310 -- a loopback server of ours
        return str(json.load(answer)["route"])


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    assert run(["--json", "lab", *arguments]) == code
    out, err = capsys.readouterr()
    return [json.loads(line) for line in (out if code == 0 else err).splitlines()]


def test_an_order_and_its_extension(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(server, BOB) == "encrypted"
    *records, last = printed(capsys, "classic", "order", ALICE, "--start", "2020-01-01", "--server", server)
    assert [(one["account"], one["number"], one["devices"]) for one in records] == [(ALICE, BOB, 1)]
    assert (last["order"], last["snapshots"], last["records"]) == (1, [1], 1)
    assert typed(server, "+447700900333") == "sms"
    *records, later = printed(capsys, "classic", "extend", "1", "--days", "60", "--server", server)
    assert [one["number"] for one in records] == [BOB, "+447700900333"]
    assert later["until"] == last["until"] + 60 * 86_400


def test_a_number_is_typed_and_days_pass_and_the_extension_gets_what_the_log_has_lost(
    server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (asked,) = printed(capsys, "classic", "ask", BOB, "--as", ALICE, "--server", server)
    assert asked == {"account": ALICE, "number": BOB, "route": "encrypted"}
    printed(capsys, "classic", "order", ALICE, "--start", "2020-01-01", "--server", server)
    printed(capsys, "classic", "clock", "29", "--server", server)
    printed(capsys, "classic", "ask", "+447700900333", "--as", ALICE, "--server", server)
    printed(capsys, "classic", "extend", "1", "--days", "60", "--server", server)
    printed(capsys, "classic", "clock", "40", "--server", server)
    *_, second = printed(capsys, "classic", "order", ALICE, "--start", "2020-01-01", "--server", server)
    assert (second["order"], second["records"]) == (2, 0)
    *records, last = printed(capsys, "classic", "extend", "1", "--days", "30", "--server", server)
    assert ([one["number"] for one in records], last["snapshots"]) == ([BOB, "+447700900333"], [2, 0])
    listed = printed(capsys, "classic", "orders", "--server", server)
    assert [(one["order"], one["target"]) for one in listed] == [(1, ALICE), (2, ALICE)]
    assert listed[0]["until"] == last["until"]


def test_an_order_says_how_far_the_log_goes_back_and_each_record_is_one_line(
    server: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    typed(server, BOB)
    assert run(["lab", "classic", "order", ALICE, "--start", "0001-01-01", "--server", server]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("from 0001-01-01 00:00:00" in line for line in lines)
    assert any(line.startswith("The log goes back to 2") for line in lines)
    (row,) = [line for line in lines if "127.0.0.1" in line]
    assert ALICE in row
    assert BOB in row
    assert row.split()[-1] == "1"


@pytest.mark.parametrize("days", ["0", "-1", "4000"])
def test_a_clock_is_turned_on_and_not_back(server: str, capsys: pytest.CaptureFixture[str], days: str) -> None:
    (error,) = printed(capsys, "classic", "clock", days, "--server", server, code=2)
    assert "1 to 3660 days" in error["message"]


def test_an_order_for_people_is_a_page(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    typed(server, BOB)
    assert run(["lab", "classic", "order", ALICE, "--start", "2020-01-01", "--server", server]) == 0
    page = capsys.readouterr().out
    assert "number asked for" in page
    assert BOB in page
    assert run(["lab", "classic", "order", BOB, "--start", "2020-01-01", "--server", server]) == 0
    assert "Nothing is held about this number." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("order", ALICE, "--start", "2999-01-01"), "now or earlier"),
        (("order", ALICE, "--start", "yesterday"), "YYYY-MM-DD"),
        (("order", ALICE, "--start", "2020-01-01", "--days", "7"), "30 or 60"),
        (("extend", "1", "--days", "0"), "30 or 60"),
        (("extend", "1", "--days", "-30"), "30 or 60"),
        (("extend", "9"), "no order 9"),
    ],
)
def test_an_order_that_cannot_be_is_refused_in_words(
    server: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    (error,) = printed(capsys, "classic", *arguments, "--server", server, code=2)
    assert words in error["message"]


def test_a_pen_register_prints_what_is_typed(server: str) -> None:
    pen = Service("--json", "lab", "classic", "pen-register", ALICE, "--server", server)
    while not pen.lines:
        typed(server, BOB)
    assert {line["number"] for line in pen.lines} == {BOB}
    pen.stop()


def test_a_life_is_played_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shape = ["--days", "2", "--contacts", "8", "--events", "80"]
    *answers, last = printed(capsys, "life", "--out", str(tmp_path / "life"), "--seed", "3", *shape)
    assert last == {"life": str(tmp_path / "life"), "seed": 3, "views": 15}
    assert len(answers) == 15 * 5
    (contacts,) = [one for one in answers if (one["view"], one["question"]) == ("classic", "who are the contacts")]
    assert (contacts["right"], contacts["of"]) == (16, 16)


def test_a_life_that_cannot_be_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (error,) = printed(capsys, "life", "--out", str(tmp_path), "--contacts", "2", code=2)
    assert "8 contacts" in error["message"]
    (error,) = printed(capsys, "life", "--out", str(tmp_path), "--kept-days", "0", code=2)
    assert "a day at least" in error["message"]
