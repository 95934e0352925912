"""The picture of what a lookup costs is drawn from the measurements, and shows what is in them and nothing else."""

import json
import xml.etree.ElementTree as ElementTree
from typing import Any

from bench import picture
from bench.__main__ import RESULTS


def ours(size: str, **costs: float) -> list[dict[str, Any]]:
    return [{"id": f"lookup_{size}_{name}", "value": value} for name, value in costs.items()]


def test_the_picture_in_the_documents_is_that_of_the_last_measurements() -> None:
    assert picture.PICTURE.read_text() == picture.draw(json.loads(RESULTS.read_text()))


def test_up_and_down_are_one_cost_of_a_lookup() -> None:
    _, carried, _ = picture.panels(ours("1m", up_kb=200, down_kb=6))
    assert carried.lines[0] == [(10**6, 206)]


def test_a_lookup_takes_the_server_an_evaluation_and_a_query() -> None:
    at_server, _, _ = picture.panels([*ours("1m", server_ms=5), {"id": "oprf_evaluate_one_us", "value": 500}])
    assert at_server.lines[0] == [(10**6, 5.5)]


def test_a_cost_of_nothing_has_no_place_on_a_scale_of_powers() -> None:
    told = {"server ms": 0, "up kB": 0, "down kB": 0, "cold MB": 128}
    figures = [{"id": "vs_download_1m", "value": 1, "peers": told}]
    lines = [panel.lines[1 + list(picture.PEERS).index("download")] for panel in picture.panels(figures)]
    assert lines == [[], [], [(10**6, 128)]]


def test_every_mark_lies_within_the_picture() -> None:
    figures = [one for size in picture.SIZES for one in ours(size, server_ms=0.003, up_kb=1, down_kb=1, cold_mb=4000)]
    root = ElementTree.fromstring(picture.draw(figures))  # noqa: S314 -- drawn here
    marks = [(float(mark.attrib["cx"]), float(mark.attrib["cy"])) for mark in root.iter(f"{root.tag[:-3]}circle")]
    assert len(marks) == 3 * len(picture.SIZES) + 1, "one more in the legend"
    assert all(0 < x < picture.WIDTH and 0 < y < picture.HEIGHT for x, y in marks)


def test_our_costs_stand_in_words_too() -> None:
    text = picture.draw(ours("10m", server_ms=82.7))
    assert "Server, ms a lookup: 82.7 at 10,000,000 records" in text
