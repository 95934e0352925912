"""The page of `exposure --html`: a home's own record, and nothing that would run or fetch anything."""

import re
from pathlib import Path
from typing import Final

import pytest

from grue.exposure.own import own_exposure, sights
from grue.pages.charts import LEFT, WIDTH
from grue.pages.own_page import page
from tests.cli.browser import needs_browser, tab
from tests.cli.pages import Reader

EVIL: Final = "<script>alert(1)</script>\"'"
COUNTS: Final = [("server", "Evaluate", 4), ("relay", "sealed", 9), ("relayed", "Post", 3), ("server", EVIL, 1)]


def a_page() -> str:
    rows = own_exposure(COUNTS)
    return page(rows, sights(relay=True, proxy=False), [("2027-01-14", 12), ("2027-01-15", 5)])


def test_the_record_stands_first_and_is_what_the_client_counted() -> None:
    read = Reader(a_page())
    assert next(iter(read.tables)).startswith("What was given")
    given = {(row[0], row[1]): row[2] for row in read.files["given.csv"][1:]}
    assert given["server", "blinded numbers, which could be any"] == "4"
    assert given["server", EVIL] == "1"
    assert read.table("Times that each party") == [["relay", "9"], ["server", "5"], ["server, by relay", "3"]]
    assert read.files["days.csv"] == [["Day", "Requests"], ["2027-01-14", "12"], ["2027-01-15", "5"]]


def test_what_is_in_it_stays_data_and_nothing_is_fetched() -> None:
    text = a_page()
    assert "script" not in Reader(text).tags
    assert not re.search(r"https?://|url\(|@import", text)
    assert "default-src 'none'" in text
    assert "script-src" not in text


def test_a_home_that_gave_nothing() -> None:
    assert "Nothing was given to anybody since this home was made." in page([], sights(relay=False, proxy=False), [])


@pytest.mark.whole
@needs_browser
async def test_in_a_browser_it_is_drawn_and_asks_for_nothing(tmp_path: Path) -> None:
    html = tmp_path / "own.html"
    html.write_text(a_page())
    async with tab(tmp_path / "profile") as opened:
        await opened.open(html)
        assert await opened.value("document.querySelector('svg rect').getBoundingClientRect().width") > 100
        # The style is let in: it is by its hash that the policy knows it.
        assert await opened.value("getComputedStyle(document.querySelector('.scroll')).overflowX") == "auto"
        assert opened.asked == [html.as_uri()]
        assert opened.complaints == []


def test_each_party_stands_once_above_what_it_was_given() -> None:
    rows = Reader(a_page()).table("What was given")
    assert [row[0] for row in rows if len(row) == 1] == ["server", "relay", "server, by relay"]
    assert ["blinded numbers, which could be any", "4"] in [row[:2] for row in rows]


def test_days_have_a_chart_with_those_on_which_nothing_was_asked() -> None:
    text = page([], [], [("2027-01-14", 40), ("2027-01-17", 5)])
    drawing = Reader(text.split('aria-labelledby="course-t course-d"')[1].split("</svg>")[0])
    bars = [(float(values["x"]), float(values["height"])) for tag, values in drawing.shapes if tag == "rect"]
    assert len(bars) == 2
    wide = (WIDTH - LEFT) / 4
    assert bars[1][0] - bars[0][0] == pytest.approx(3 * wide, abs=0.2)
    assert bars[0][1] == pytest.approx(8 * bars[1][1], rel=0.01)
    assert "45 requests from 2027-01-14 to 2027-01-17; most on 2027-01-14: 40." in text


@pytest.mark.whole
@needs_browser
async def test_in_a_browser_on_a_small_screen_nothing_is_off_it(tmp_path: Path) -> None:
    html = tmp_path / "own.html"
    html.write_text(a_page())
    async with tab(tmp_path / "profile") as opened:
        await opened.call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
        await opened.open(html)
        ends = await opened.value(
            "[...document.querySelectorAll('th, td, svg')].map(one => one.getBoundingClientRect().right)"
        )
        assert len(ends) > 20
        assert max(ends) <= 390
