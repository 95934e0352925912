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
    assert last == {"life": str(tmp_path / "life"), "seed": 3, "views": 7}
    assert len(answers) == 7 * 5
    (contacts,) = [one for one in answers if (one["view"], one["question"]) == ("classic", "who are the contacts")]
    assert (contacts["right"], contacts["of"]) == (16, 16)


def test_a_life_that_cannot_be_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (error,) = printed(capsys, "life", "--out", str(tmp_path), "--contacts", "2", code=2)
    assert "8 contacts" in error["message"]
