"""What a lookup costs against the size of the directory, as an SVG drawn from the results: ours and the peers'.

No time and no chance goes into it, so the same results give the same bytes. It has a ground of its own, and colours for
light and dark, since it is shown on pages of either kind.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

PICTURE: Final = Path(__file__).resolve().parent.parent / "docs" / "images" / "lookup-cost.svg"

Figure = dict[str, Any]
Point = tuple[float, float]

SIZES: Final = {"10k": 10**4, "100k": 10**5, "1m": 10**6, "10m": 10**7}
PEERS: Final = {
    "chalametpir": "ChalametPIR",
    "openmined_psi": "OpenMined PSI",
    "simplepir_rs": "crate simplepir",
    "download": "plain download",
}

WIDTH: Final = 960
HEIGHT: Final = 380
TOP: Final = 92
BOTTOM: Final = 326
SIDE: Final = 250
"""Units that a panel is wide, its numbers aside."""
STEP: Final = 318
FIRST: Final = 58

STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 14px }
.ground { fill: #ffffff }
.grid { stroke: #d1d9e0; stroke-width: 1 }
.line { fill: none; stroke-width: 2 }
.s0 { stroke: #0969da; fill: #0969da } .s1 { stroke: #bc4c00; fill: #bc4c00 }
.s2 { stroke: #1a7f37; fill: #1a7f37 } .s3 { stroke: #bf3989; fill: #bf3989 } .s4 { stroke: #6e40c9; fill: #6e40c9 }
.line.s0 { stroke-width: 3 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.ground { fill: #0d1117 }
.grid { stroke: #3d444d }
.s0 { stroke: #58a6ff; fill: #58a6ff } .s1 { stroke: #f0883e; fill: #f0883e }
.s2 { stroke: #3fb950; fill: #3fb950 } .s3 { stroke: #f778ba; fill: #f778ba } .s4 { stroke: #bc8cff; fill: #bc8cff }
}
.line { fill: none !important }
"""


@dataclass(frozen=True)
class Panel:
    """One kind of cost: for each program its points, records and cost."""

    title: str
    lines: Sequence[Sequence[Point]]

    @property
    def decades(self) -> tuple[int, int]:
        """The powers of ten between which every cost lies."""
        costs = [cost for line in self.lines for _, cost in line] or [1.0]
        low, high = math.floor(math.log10(min(costs))), math.ceil(math.log10(max(costs)))
        return low, max(high, low + 1)


def write(results: Sequence[Figure]) -> None:
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(draw(results))


def draw(results: Sequence[Figure]) -> str:
    """The whole picture. What was not measured is not in it, and neither is a cost of nothing."""
    return "\n".join(_svg(panels(results))) + "\n"


def panels(results: Sequence[Figure]) -> list[Panel]:
    values = {str(one["id"]): float(one["value"]) for one in results}
    told = {str(one["id"]): one.get("peers", {}) for one in results}
    titles = ("Server, ms a lookup", "kB a lookup, up and down", "MB before the first lookup")
    ours = [_own(values, names) for names in (("server_ms",), ("up_kb", "down_kb"), ("cold_mb",))]
    theirs = [
        [_line({size: told.get(f"vs_{peer}_{size}", {}) for size in SIZES}, names) for peer in PEERS]
        for names in (("server ms",), ("up kB", "down kB"), ("cold MB",))
    ]
    return [Panel(title, [own, *others]) for title, own, others in zip(titles, ours, theirs, strict=True)]


def _own(values: dict[str, float], names: Sequence[str]) -> list[Point]:
    """Our line. An evaluation takes the same at every size, and counts: others have nothing beside their query."""
    found = {size: {name: values.get(f"lookup_{size}_{name}", 0.0) for name in names} for size in SIZES}
    evaluation = values.get("oprf_evaluate_one_us", 0.0) / 1e3 if "server_ms" in names else 0.0
    return [(records, cost + evaluation) for records, cost in _line(found, names)]


def _line(costs: dict[str, dict[str, float]], names: Sequence[str]) -> list[Point]:
    sums = {size: sum(cost.get(name, 0.0) for name in names) for size, cost in costs.items()}
    return [(SIZES[size], cost) for size, cost in sums.items() if cost > 0]


# --- drawing --------------------------------------------------------------------------------------


def _svg(every: Sequence[Panel]) -> Iterator[str]:
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="t d">'
    yield '<title id="t">What a lookup costs against the size of the directory</title>'
    yield f'<desc id="d">{escape(_said(every))}</desc>'
    yield f"<style>{STYLE}</style>"
    yield f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
    yield from _legend()
    for at, panel in enumerate(every):
        yield from _panel(panel, FIRST + at * STEP)
    yield "</svg>"


def _said(every: Sequence[Panel]) -> str:
    """Our costs in words, for who cannot see the picture."""
    costs = (
        f"{panel.title}: " + ", ".join(f"{cost:,.3g} at {records:,.0f} records" for records, cost in panel.lines[0])
        for panel in every
    )
    return "Grue. " + "; ".join(costs) + "."


def _legend() -> Iterator[str]:
    x = FIRST
    for at, name in enumerate(("Grue", *PEERS.values())):
        yield f'<path class="line s{at}" d="M{x} 30H{x + 28}"/>' + _mark(at, (x + 14, 30))
        yield f'<text x="{x + 36}" y="34.5">{escape(name)}</text>'
        x += 66 + 8 * len(name)


def _panel(panel: Panel, left: float) -> Iterator[str]:
    low, high = panel.decades
    yield f'<text class="title" x="{left}" y="{TOP - 20}">{escape(panel.title)}</text>'
    for power in range(low, high + 1):
        y = _y(10.0**power, low, high)
        yield f'<path class="grid" d="M{left} {y:.1f}H{left + SIDE}"/>'
        yield f'<text x="{left - 8}" y="{y + 4.5:.1f}" text-anchor="end">{10.0**power:,.10g}</text>'
    for size, records in SIZES.items():
        x = _x(records, left)
        yield f'<path class="grid" d="M{x:.1f} {TOP}V{BOTTOM}"/>'
        yield f'<text x="{x:.1f}" y="{BOTTOM + 20}" text-anchor="middle">{size}</text>'
    yield f'<text x="{left + SIDE / 2}" y="{BOTTOM + 40}" text-anchor="middle">records</text>'
    # Ours last, so that it lies above the others.
    for at, line in reversed(list(enumerate(panel.lines))):
        places = [(_x(records, left), _y(cost, low, high)) for records, cost in line]
        if len(places) > 1:
            yield f'<path class="line s{at}" d="M' + "L".join(f"{x:.1f} {y:.1f}" for x, y in places) + '"/>'
        yield from (_mark(at, place) for place in places)


def _x(records: float, left: float) -> float:
    return left + 14 + (math.log10(records) - 4) / 3 * (SIDE - 28)


def _y(cost: float, low: int, high: int) -> float:
    return BOTTOM - (math.log10(cost) - low) / (high - low) * (BOTTOM - TOP)


def _mark(at: int, place: Point) -> str:
    """A mark of its own for each program, so that nobody needs the colours."""
    x, y = place
    shapes = (
        f'<circle class="s{at}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>',
        f'<rect class="s{at}" x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>',
        f'<path class="s{at}" d="M{x:.1f} {y - 5:.1f}l5 9h-10z"/>',
        f'<path class="s{at}" d="M{x:.1f} {y + 5:.1f}l5 -9h-10z"/>',
        f'<path class="s{at}" d="M{x:.1f} {y - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z"/>',
    )
    return shapes[at]
