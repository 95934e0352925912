"""The lab's report in a real browser: on screens large, small and dark, without scripts, and on paper."""

import base64
import re
from pathlib import Path
from typing import Final

import pytest

from grue.exposure.lives import (
    DAY,
    Life,
)
from grue.lab.life import generate
from grue.pages.life_page import page
from grue.pages.page_style import EDGES, ON_PAPER
from tests.cli.browser import needs_browser, tab
from tests.cli.test_life_page import DAYS, SEED, SHAPE, material, own_lookups

pytestmark = [pytest.mark.whole, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def life() -> Life:
    return generate(SEED, SHAPE)


@pytest.fixture(scope="module")
def text(life: Life) -> str:
    return page(material(life))


SHOWN: Final = (
    "[...document.querySelectorAll('.view[id^=view]')].filter(one => one.checkVisibility()).map(one => one.id).join()"
)
ROWS: Final = "[...document.querySelectorAll('#of-0 .contacts tbody tr')].filter(one => one.checkVisibility()).length"


@needs_browser
async def test_in_a_browser_the_slider_adds_and_the_switch_changes_and_nothing_is_asked_for(
    life: Life, text: str, tmp_path: Path
) -> None:
    html = tmp_path / "life.html"
    html.write_text(text)
    async with tab(tmp_path / "profile") as opened:
        await opened.open(html)
        assert await opened.value(SHOWN) == "view-0"
        for step, days in enumerate(DAYS):
            await slide(opened.value, step)
            typed = {one.whom for one in own_lookups(life) if one.at < life.begun + days * DAY}
            assert await opened.value(ROWS) == len(typed)
            told = await opened.value("document.getElementById('told').textContent")
            assert told.startswith(f"{days} day")
            heat = "[...document.querySelectorAll('#of-0 .heat')].filter(one => one.checkVisibility()).length"
            assert await opened.value(heat) == 1
        await opened.value("document.querySelectorAll('input[name=view]')[3].click()")
        assert await opened.value(SHOWN) == "view-3"
        assert opened.asked == [html.as_uri()]
        assert opened.complaints == []


async def slide(value: "object", step: int) -> None:
    assert callable(value)
    await value(f"(s => {{ s.value = {step}; s.dispatchEvent(new Event('input')) }})(document.getElementById('step'))")


@needs_browser
async def test_in_a_browser_without_scripts_everything_is_shown(text: str, tmp_path: Path) -> None:
    html = tmp_path / "life.html"
    html.write_text(text)
    async with tab(tmp_path / "profile") as opened:
        await opened.call("Emulation.setScriptExecutionDisabled", value=True)
        await opened.open(html)
        assert await opened.value(SHOWN) == ",".join(f"view-{at}" for at in range(7))
        hidden = "[...document.querySelectorAll('table')].filter(one => !one.checkVisibility()).length"
        assert await opened.value(hidden) == 0


@needs_browser
@pytest.mark.parametrize("width", [1280, 400])
async def test_in_a_browser_nothing_but_tables_is_wider_than_the_screen(text: str, tmp_path: Path, width: int) -> None:
    html = tmp_path / "life.html"
    html.write_text(text)
    async with tab(tmp_path / "profile") as opened:
        await opened.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500
        )
        await opened.open(html)
        assert await opened.value("document.documentElement.scrollWidth") <= width


VISIBLE: Final = "[...document.querySelectorAll('{}')].filter(one => one.checkVisibility()).length"


@needs_browser
async def test_in_a_browser_in_the_dark_the_page_is_dark(text: str, tmp_path: Path) -> None:
    html = tmp_path / "life.html"
    html.write_text(text)
    async with tab(tmp_path / "profile") as opened:
        await opened.open(html)
        grounds = {}
        for scheme in ("light", "dark"):
            dark = {"name": "prefers-color-scheme", "value": scheme}
            await opened.call("Emulation.setEmulatedMedia", features=[dark])
            found = await opened.value(
                "[document.body, document.querySelector('#all ~ .scroll .q4')].flatMap(one => "
                "[getComputedStyle(one).backgroundColor, getComputedStyle(one).color])"
            )
            grounds[scheme] = [brightness(one) for one in found]
        assert grounds["light"][0] > 200 > 60 > grounds["light"][1]
        assert grounds["dark"][0] < 60 < 200 < grounds["dark"][1]
        for ground, ink in (grounds["light"][2:], grounds["dark"][2:]):
            assert abs(ground - ink) > 90


def brightness(colour: str) -> float:
    """0 to 255, of `rgb(...)`."""
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


@needs_browser
async def test_in_a_browser_on_paper_long_tables_are_short_and_say_so(text: str, tmp_path: Path) -> None:
    html = tmp_path / "life.html"
    html.write_text(text)
    async with tab(tmp_path / "profile") as opened:
        await opened.open(html)
        rows, sentence = VISIBLE.format("#view-0 .record tbody tr:not(.gap)"), VISIBLE.format("#view-0 .onpaper")
        await slide(opened.value, 5)
        assert await opened.value(rows) == 400
        assert await opened.value(sentence) == 0
        await opened.call("Emulation.setEmulatedMedia", media="print")
        assert await opened.value(rows) == 2 * ON_PAPER
        assert await opened.value(sentence) == 1
        assert await opened.value(VISIBLE.format(".controls")) == 0
        assert await opened.value(VISIBLE.format(".csv")) == 0
        assert await opened.value(VISIBLE.format("#printed")) == 1
        heat = "document.querySelector('#of-0 .heat.h5')"
        assert await opened.value(f"getComputedStyle({heat}).breakInside") == "avoid"
        assert await opened.value("getComputedStyle(document.querySelector('.record')).maxHeight") == "none"
        # Of the days that are chosen, and not of the lines that are hidden.
        await slide(opened.value, 0)
        typed = await opened.value(rows)
        assert 0 < typed <= 2 * ON_PAPER
        await slide(opened.value, 5)
        await opened.call("Emulation.setEmulatedMedia", media="")
        printed = await opened.call("Page.printToPDF", preferCSSPageSize=True)
        # The root of the tree of pages has the most.
        counts = re.findall(rb"/Type /Pages\s*/Count (\d+)", base64.b64decode(printed["data"]))
        assert 4 < max(map(int, counts)) < 14


@needs_browser
async def test_in_a_browser_on_a_small_screen_letters_of_charts_can_be_read(text: str, tmp_path: Path) -> None:
    html = tmp_path / "life.html"
    html.write_text(text)
    async with tab(tmp_path / "profile") as opened:
        await opened.call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
        await opened.open(html)
        await slide(opened.value, 5)
        letters = (
            "[...document.querySelectorAll('#of-0 figure svg text')].filter(one => one.checkVisibility()).map(one => "
            "parseFloat(getComputedStyle(one).fontSize) * one.ownerSVGElement.getBoundingClientRect().width / "
            "one.ownerSVGElement.viewBox.baseVal.width)"
        )
        sizes = await opened.value(letters)
        assert len(sizes) > 10
        assert min(sizes) > 10.5
        outside = (
            "[...document.querySelectorAll('#of-0 figure svg text')].filter(one => one.checkVisibility()).filter("
            "(one, at, all, box = one.getBBox()) => box.x < -1 || "
            "box.x + box.width > one.ownerSVGElement.viewBox.baseVal.width + 1).map(one => one.textContent)"
        )
        assert await opened.value(outside) == []


@needs_browser
async def test_in_a_browser_the_thickest_line_is_of_whom_was_seen_most(text: str, tmp_path: Path) -> None:
    html = tmp_path / "life.html"
    html.write_text(text)
    async with tab(tmp_path / "profile") as opened:
        await opened.open(html)
        await slide(opened.value, 5)
        found = await opened.value(
            "[...document.querySelectorAll('#of-0 .e')].filter(one => one.checkVisibility())"
            ".map(one => parseFloat(getComputedStyle(one).strokeWidth))"
        )
        # Contacts come by how often they were seen.
        assert found == sorted(found, reverse=True)
        assert found[0] == EDGES[-1]
        assert found[-1] == EDGES[0]
