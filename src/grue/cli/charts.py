"""Charts as SVG, drawn once: who is in touch with whom, and when. What they show stands in a table beside each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from grue.exposure.layout import MIDDLE, SIZE, Point
from grue.exposure.lives import Role

SHAPES: Final = {Role.DOCTOR: "square", Role.LAWYER: "triangle", Role.SOURCE: "diamond"}
"""Everybody else is a circle: what somebody is can be told without colours."""

LETTER: Final = 8.5
"""Units that a letter of a name is wide on a small screen, where letters are drawn larger; fewer on others."""
TALL: Final = 15

Box = tuple[float, float, float, float]

WIDTH: Final = 720
HIGH: Final = 110
"""Units of a time line's bars."""
LANE: Final = 15
"""Units between marks that would stand on one another."""
MOST_LANES: Final = 8


@dataclass(frozen=True)
class Node:
    """Somebody in a graph."""

    name: str
    role: Role
    at: Point
    step: int
    """The first in which they are seen."""
    times: int
    labelled: bool


@dataclass(frozen=True)
class Edge:
    """Between two of whom neither is in the middle."""

    one: Point
    other: Point
    step: int


def graph(
    ident: str, title: str, says: str, nodes: Sequence[Node], edges: Iterable[Edge], far: Mapping[Point, int]
) -> Iterator[str]:
    """The target in the middle. `far` are places of people beyond, each with the first step in which they are seen."""
    yield f'<svg viewBox="0 0 {SIZE} {SIZE}" role="img" aria-labelledby="{ident}-t {ident}-d">'
    yield f'<title id="{ident}-t">{escape(title)}</title><desc id="{ident}-d">{escape(says)}</desc>'
    for edge in edges:
        (x, y), (to_x, to_y) = edge.one, edge.other
        yield f'<path class="h f{edge.step}" d="M{x} {y}L{to_x} {to_y}"/>'
    most = max((node.times for node in nodes), default=1)
    middle = round(MIDDLE)
    for node in nodes:
        wide = 0.7 + 5 * node.times / most
        x, y = node.at
        yield f'<path class="e f{node.step}" stroke-width="{wide:.1f}" d="M{middle} {middle}L{x} {y}"/>'
    for (x, y), step in far.items():
        yield f'<circle class="o f{step}" cx="{x}" cy="{y}" r="3"/>'
    for node in nodes:
        yield _node(node)
    yield f'<circle class="k" cx="{middle}" cy="{middle}" r="12"/>'
    yield f'<text x="{middle + 15}" y="{middle + 4}">the target</text>'
    # Above everything else, so that no dot hides a name.
    yield from _labels([node for node in nodes if node.labelled])
    yield "</svg>"


def _node(node: Node) -> str:
    colour = "k" if node.role in SHAPES else "n"
    title = f"<title>{escape(node.name)}: {node.times}</title>"
    return f'<g class="{colour} f{node.step}">{title}{shape(node.role, node.at)}</g>'


def _labels(nodes: Sequence[Node]) -> Iterator[str]:
    """Names beside dots: right, left, above or below, wherever none is yet; a name without room is in the table."""
    taken = [(MIDDLE - 12, MIDDLE - 12, MIDDLE + 15 + 10 * LETTER, MIDDLE + 12)]
    taken += [(x - 6, y - 6, x + 6, y + 6) for x, y in (node.at for node in nodes)]
    for node in nodes:
        x, y = node.at
        wide = LETTER * len(node.name)
        for anchor, beside, below in (("start", 9, 4), ("end", -9, 4), ("middle", 0, -9), ("middle", 0, 18)):
            left = x + beside - {"start": 0.0, "end": wide, "middle": wide / 2}[anchor]
            box = (left, y + below - TALL, left + wide, y + below + 2)
            if left >= 0 and box[2] <= SIZE and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                where = f'text-anchor="{anchor}" x="{x + beside}" y="{y + below}"'
                yield f'<text class="f{node.step}" {where}>{escape(node.name)}</text>'
                break


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def shape(role: Role, at: Point, size: int = 5) -> str:
    """What stands for somebody."""
    x, y = at
    wide = size + 3
    match SHAPES.get(role):
        case "square":
            return f'<rect x="{x - size}" y="{y - size}" width="{2 * size}" height="{2 * size}"/>'
        case "triangle":
            return f'<path d="M{x} {y - wide}L{x + wide} {y + size}L{x - wide} {y + size}Z"/>'
        case "diamond":
            return f'<path d="M{x} {y - wide}L{x + wide} {y}L{x} {y + wide}L{x - wide} {y}Z"/>'
        case _:
            return f'<circle cx="{x}" cy="{y}" r="{size}"/>'


def legend() -> Iterator[str]:
    """What the shapes of a graph mean."""
    yield '<ul class="legend">'
    for role, name in (
        (Role.DOCTOR, "doctor"),
        (Role.LAWYER, "lawyer"),
        (Role.SOURCE, "source"),
        (Role.FRIEND, "other"),
    ):
        colour = "k" if role in SHAPES else "n"
        yield f'<li>{_TINY}<g class="{colour}">{shape(role, (10, 10), 6)}</g></svg>{name}</li>'
    yield f'<li>{_TINY}<circle class="o" cx="10" cy="10" r="5"/></svg>somebody whom only contacts know</li></ul>'


_TINY: Final = '<svg viewBox="0 0 20 20" aria-hidden="true">'


# --- time lines -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mark:
    """A numbered moment."""

    number: int
    share: float
    """Of the whole span, 0 to 1."""
    step: int


def timeline(
    ident: str,
    title: str,
    says: str,
    bars: Sequence[tuple[int, int]],
    marks: Sequence[Mark],
    ticks: Sequence[tuple[float, str]],
) -> Iterator[str]:
    """Bars as (count, step), marks above them, and dates below."""
    lanes = _lanes(marks)
    top = LANE * (max(lanes, default=0) + 1) + 4 if marks else 4
    yield f'<svg viewBox="0 0 {WIDTH} {top + HIGH + 22}" role="img" aria-labelledby="{ident}-t {ident}-d">'
    yield f'<title id="{ident}-t">{escape(title)}</title><desc id="{ident}-d">{escape(says)}</desc>'
    most = max((count for count, _ in bars), default=0) or 1
    wide = WIDTH / max(len(bars), 1)
    for n, (count, step) in enumerate(bars):
        tall = HIGH * count / most
        yield (
            f'<rect class="b f{step}" x="{n * wide + 0.5:.1f}" y="{top + HIGH - tall:.1f}" '
            f'width="{max(wide - 1, 1):.1f}" height="{tall:.1f}"/>'
        )
    yield f'<path class="a" d="M0 {top + HIGH}H{WIDTH}"/>'
    for mark, lane in zip(marks, lanes, strict=True):
        x = min(max(mark.share * WIDTH, 8), WIDTH - 8)
        yield f'<g class="f{mark.step}"><path class="a" d="M{x:.0f} {LANE * (lane + 1)}V{top + HIGH}"/>'
        yield f'<text class="m" x="{x:.0f}" y="{LANE * (lane + 1) - 2}">{mark.number}</text></g>'
    for share, date in ticks:
        anchor = "start" if share < 0.1 else "end" if share > 0.9 else "middle"
        yield f'<text text-anchor="{anchor}" x="{share * WIDTH:.0f}" y="{top + HIGH + 16}">{escape(date)}</text>'
    yield "</svg>"


def _lanes(marks: Sequence[Mark]) -> list[int]:
    """A lane for each mark, the lowest number in which nothing stands beside it."""
    ends: list[float] = []
    found = []
    for mark in marks:
        x = mark.share * WIDTH
        free = next((lane for lane, end in enumerate(ends) if end <= x), None)
        if free is None:
            free = len(ends) if len(ends) < MOST_LANES else ends.index(min(ends))
            if free == len(ends):
                ends.append(0.0)
        ends[free] = x + 26
        found.append(free)
    return found


def levels(count: int, most: int) -> int:
    """0 to 4: how dark a cell is."""
    return 0 if not count else min(1 + 4 * (count - 1) // max(most, 1), 4)


# --- one bar for each of some -----------------------------------------------------------------------


def bars(ident: str, title: str, says: str, rows: Sequence[tuple[str, int]]) -> Iterator[str]:
    """Lengths with their names and numbers."""
    high = 34
    yield f'<svg viewBox="0 0 {WIDTH} {high * max(len(rows), 1)}" role="img" aria-labelledby="{ident}-t {ident}-d">'
    yield f'<title id="{ident}-t">{escape(title)}</title><desc id="{ident}-d">{escape(says)}</desc>'
    most = max((count for _, count in rows), default=0) or 1
    for n, (name, count) in enumerate(rows):
        y = n * high
        yield f'<text x="0" y="{y + 12}">{escape(name)}: {count:,}</text>'
        yield f'<rect class="b" x="0" y="{y + 17}" width="{max(WIDTH * count / most, 1):.0f}" height="10"/>'
    yield "</svg>"
