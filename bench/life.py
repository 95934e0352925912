"""`life_30k_s`: a year of 30,000 events through all three systems, read and answered; and what each observer knows.

The answers are of 100 lives of four weeks, seeds 0 to 99: for each question the share that the classic directory
answers rightly, beside the other observers'. All shares with their intervals and bits go to `bench/life.json`;
`docs/exposure-lab.md` has them as a table.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import msgspec

from grue.exposure.analyst import by_view
from grue.exposure.lives import Question, Score, View
from grue.lab.life import YEAR, Shape
from grue.lab.seen import make, over_seeds

SEEDS: Final = range(100)
MONTH: Final = Shape(days=28, contacts=40, events=1600)
SCORES: Final = Path(__file__).with_name("life.json")

IDS: Final = {
    Question.CONTACTS: "life_contacts",
    Question.CLOSEST: "life_closest",
    Question.ASLEEP: "life_asleep",
    Question.DOCTOR: "life_doctor",
    Question.SOURCE: "life_source",
}


def measure() -> list[dict[str, Any]]:
    """Some minutes, on two processes."""
    with tempfile.TemporaryDirectory() as folder:
        began = perf_counter()
        make(1, Path(folder) / "life", YEAR)
        seconds = perf_counter() - began
    found = over_seeds(list(SEEDS), MONTH)
    SCORES.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    table = by_view(found)
    year = {"id": "life_30k_s", "value": round(seconds, 1), "unit": "s", "reach": 60}
    return [year, *(_figure(question, table[question]) for question in Question)]


def _figure(question: Question, views: Mapping[View, Score]) -> dict[str, Any]:
    classic = views[View.CLASSIC]
    return {
        "id": IDS[question],
        "value": round(classic.share, 3),
        "unit": f"right, of which by chance {classic.chance:.3f}, 95 % in [{classic.low:.3f}, {classic.high:.3f}]",
        "reach": 1,
        "peers": {view: round(score.share, 3) for view, score in views.items() if view is not View.CLASSIC},
    }
