"""`life_30k_s`: a year of 30,000 events through all three systems, read and answered; and what each observer knows.

`report_s` and `report_mb` are of that year's page. The answers are of 100 lives of four weeks, seeds 0 to 99: for each
question the share that the classic directory answers rightly, beside the other observers' (`life_...`), and the share
that a server at rest does, looked at weekly (`life_rest_...`) and daily (`life_rest_daily_...`). All shares with their
intervals and bits go to `bench/life.json`; `docs/exposure-lab.md` has them as a table.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import msgspec

from grue.exposure.analyst import by_view
from grue.exposure.lives import Question, Score, View
from grue.lab.life import YEAR, Shape
from grue.lab.report import answers_of, calls_of, damages, life_of, return_of
from grue.lab.seen import make, over_seeds
from grue.pages.life_material import Material
from grue.pages.life_page import page

SEEDS: Final = range(100)
MONTH: Final = Shape(days=28, contacts=40, events=1600)
SCORES: Final = Path(__file__).with_name("life.json")

IDS: Final = {
    Question.CONTACTS: "contacts",
    Question.CLOSEST: "closest",
    Question.ASLEEP: "asleep",
    Question.DOCTOR: "doctor",
    Question.SOURCE: "source",
}

SHOWN: Final = {View.CLASSIC: "life", View.REST: "life_rest", View.REST_DAILY: "life_rest_daily"}
"""Views with figures of their own, and how these begin."""


def measure() -> list[dict[str, Any]]:
    """Some minutes, on two processes."""
    return [*_year(YEAR), *_many(SEEDS, MONTH, SCORES)]


def _year(shape: Shape) -> Iterator[dict[str, Any]]:
    """A life, and its page."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "life"
        began = perf_counter()
        make(1, folder, shape)
        yield {"id": "life_30k_s", "value": round(perf_counter() - began, 1), "unit": "s", "reach": 60}
        began = perf_counter()
        html = _page_of(folder)
        yield {"id": "report_s", "value": round(perf_counter() - began, 1), "unit": "s", "reach": 5}
        yield {"id": "report_mb", "value": round(len(html.encode()) / 1e6, 2), "unit": "MB", "reach": 2}


def _page_of(folder: Path) -> str:
    """As `grue lab report` makes it."""
    life = life_of(folder)
    notes = tuple(one.sentence(anew=False) for one in damages(folder))
    scores = SCORES if SCORES.exists() else None
    return page(Material(life, answers_of(folder, scores), return_of(folder), calls_of(folder, life.subject), notes))


def _many(seeds: Sequence[int], shape: Shape, kept: Path) -> Iterator[dict[str, Any]]:
    """Answers over many lives, which are written to `kept` as well."""
    found = over_seeds(list(seeds), shape)
    kept.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    table = by_view(found)
    for view in SHOWN:
        yield from (_figure(question, view, table[question]) for question in Question)


def _figure(question: Question, view: View, views: Mapping[View, Score]) -> dict[str, Any]:
    one = views[view]
    figure = {
        "id": f"{SHOWN[view]}_{IDS[question]}",
        "value": round(one.share, 3),
        "unit": f"right, of which by chance {one.chance:.3f}, 95 % in [{one.low:.3f}, {one.high:.3f}]",
    }
    if view is not View.CLASSIC:
        return figure
    return {**figure, "reach": 1, "peers": {view: round(s.share, 3) for view, s in views.items() if view not in SHOWN}}
