"""Charts are drawn as SVG: who is in touch with whom, and when. A table beside each chart holds the same figures."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from grue.exposure.layout import MIDDLE, SIZE, Point
from grue.exposure.lives import Role
from grue.pages.page_style import EDGES

SHAPES: Final = {Role.DOCTOR: "square", Role.LAWYER: "triangle", Role.SOURCE: "diamond"}
"""Everybody else is a circle: what somebody is can be told without colours."""

LETTERS: Final = (("wide", 7.0, 12), ("narrow", 12.5, 22))
"""How wide and tall letters are on a wide screen and on a narrow one, where a drawing is half as large, in units."""
Box = tuple[float, float, float, float]

WIDTH: Final = 720
HIGH: Final = 130
"""Units of a time line's bars."""
LEFT: Final = 66
"""Units beside them, for the numbers of the scale."""
LEAST_SCALE: Final = 10
"""Records that the scale goes up to at least: one record is not drawn as tall as a thousand elsewhere."""
LANE: Final = 22
"""Units between marks that would stand on one another."""
MOST_LANES: Final = 8


Steps = Sequence[bool]
"""For each of the slider's steps whether something is there."""


@dataclass(frozen=True)
class Node:
    """Somebody in a graph."""

    name: str
    role: Role
    at: Point
    there: Steps
    times: Sequence[int]
    """How often they are seen, by step."""
    labelled: bool


@dataclass(frozen=True)
class Edge:
    """Between two of whom neither is in the middle."""

    one: Point
    other: Point
    there: Steps


def when(there: Steps) -> str:
    """Classes of what is there in some steps."""
    first = there.index(True)
    later = [f"u{step}" for step in range(first + 1, len(there)) if not there[step]]
    return " ".join([f"f{first}", *later])


def graph(
    ident: str, title: str, says: str, nodes: Sequence[Node], edges: Iterable[Edge], far: Mapping[Point, Steps]
) -> Iterator[str]:
    """The target in the middle. `far` are places of people beyond. Everything is there in one step at least."""
    yield f'<svg viewBox="0 0 {SIZE} {SIZE}" role="img" aria-labelledby="{ident}-t {ident}-d">'
    yield f'<title id="{ident}-t">{escape(title)}</title><desc id="{ident}-d">{escape(says)}</desc>'
    for edge in edges:
        (x, y), (to_x, to_y) = edge.one, edge.other
        yield f'<path class="h {when(edge.there)}" d="M{x} {y}L{to_x} {to_y}"/>'
    middle = round(MIDDLE)
    most = [max(times) for times in zip(*(node.times for node in nodes), strict=True)]
    for node in nodes:
        x, y = node.at
        yield f'<path class="e {when(node.there)}{_widths(node, most)}" d="M{middle} {middle}L{x} {y}"/>'
    for (x, y), there in far.items():
        yield f'<circle class="o {when(there)}" cx="{x}" cy="{y}" r="3"/>'
    for node in nodes:
        yield _node(node)
    yield f'<circle class="k" cx="{middle}" cy="{middle}" r="12"/>'
    yield f'<text x="{middle + 15}" y="{middle + 4}">the target</text>'
    # Above everything else, so that no dot hides a name.
    for screen, letter, tall in LETTERS:
        yield f'<g class="{screen}">'
        yield from _labels(nodes, letter, tall)
        yield "</g>"
    yield "</svg>"


def width_of(times: int, most: int) -> int:
    """Which of `EDGES` a line has."""
    return min(len(EDGES) * max(times - 1, 0) // max(most, 1), len(EDGES) - 1)


def _widths(node: Node, most: Sequence[int]) -> str:
    levels = (width_of(times, greatest) for times, greatest in zip(node.times, most, strict=True))
    return "".join(f" w{step}{level}" for step, level in enumerate(levels) if level)


def _node(node: Node) -> str:
    colour = "k" if node.role in SHAPES else "n"
    title = f"<title>{escape(node.name)}: {node.times[-1]} in the whole life</title>"
    return f'<g class="{colour} {when(node.there)}">{title}{shape(node.role, node.at)}</g>'


def _labels(nodes: Sequence[Node], letter: float, tall: int) -> Iterator[str]:
    """Names beside dots: right, left, above or below, wherever nothing is yet; one without room is in the table."""
    taken = [(MIDDLE - 12, MIDDLE - 12, MIDDLE + 15 + 10 * letter, MIDDLE + 12)]
    taken += [(x - 6, y - 6, x + 6, y + 6) for x, y in (node.at for node in nodes)]
    for node in nodes:
        if not node.labelled:
            continue
        x, y = node.at
        wide = letter * len(node.name)
        for anchor, beside, below in (("start", 9, 4), ("end", -9, 4), ("middle", 0, -9), ("middle", 0, tall + 6)):
            left = x + beside - {"start": 0.0, "end": wide, "middle": wide / 2}[anchor]
            box = (left, y + below - tall * 0.8, left + wide, y + below + 2)
            if left >= 0 and box[2] <= SIZE and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                where = f'text-anchor="{anchor}" x="{x + beside}" y="{y + below}"'
                yield f'<text class="{when(node.there)}" {where}>{escape(node.name)}</text>'
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


def legend(nodes: Sequence[Node], far: Collection[Steps]) -> Iterator[str]:
    """What the shapes of a graph mean, of those that are in it."""
    kinds: dict[Role | None, list[Steps]] = {}
    for node in nodes:
        kinds.setdefault(node.role if node.role in SHAPES else None, []).append(node.there)
    yield '<ul class="legend">'
    for role in SHAPES:
        if role in kinds:
            sign = f'<g class="k">{shape(role, (10, 10), 6)}</g>'
            yield _legend(sign, role, kinds[role])
    if None in kinds:
        yield _legend(f'<g class="n">{shape(Role.FRIEND, (10, 10), 6)}</g>', "somebody else", kinds[None])
    if far:
        yield _legend('<circle class="o" cx="10" cy="10" r="5"/>', "somebody whom only contacts know", far)
    yield "</ul>"


def _legend(sign: str, name: str, there: Iterable[Steps]) -> str:
    some = [any(each) for each in zip(*there, strict=True)]
    return f'<li class="{when(some)}">{_TINY}{sign}</svg>{name}</li>'


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
    bars: Sequence[Sequence[int]],
    marks: Sequence[Mark],
    ticks: Sequence[tuple[float, str]],
) -> Iterator[str]:
    """Bars as counts by step, on a scale with numbers; marks above them, and dates below."""
    lanes = _lanes(marks)
    top = LANE * (max(lanes, default=0) + 2) if marks else 20
    yield f'<svg viewBox="0 0 {WIDTH} {top + HIGH + 28}" role="img" aria-labelledby="{ident}-t {ident}-d">'
    yield f'<title id="{ident}-t">{escape(title)}</title><desc id="{ident}-d">{escape(says)}</desc>'
    most = scale(max((max(counts) for counts in bars), default=0))
    for count in (0, most // 2, most):
        y = top + HIGH - HIGH * count / most
        yield f'<path class="a" d="M{LEFT} {y:.0f}H{WIDTH}"/>'
        yield f'<text text-anchor="end" x="{LEFT - 5}" y="{y + 5:.0f}">{count:,}</text>'
    for n, counts in enumerate(bars):
        yield from _bar(n, counts, most, top, (WIDTH - LEFT) / len(bars))
    for mark, lane in zip(marks, lanes, strict=True):
        x = _along(mark.share)
        yield f'<g class="f{mark.step}"><path class="a" d="M{x:.0f} {LANE * (lane + 1)}V{top + HIGH}"/>'
        yield f'<text class="m" x="{min(x, WIDTH - 14):.0f}" y="{LANE * (lane + 1) - 3}">{mark.number}</text></g>'
    for n, (share, date) in enumerate(ticks):
        # There is no room for all of them where letters are large.
        screen = ' class="wide"' if n % 2 and len(ticks) > 2 else ""
        anchor = "start" if share < 0.1 else "end" if share > 0.9 else "middle"
        where = f'text-anchor="{anchor}" x="{_along(share):.0f}" y="{top + HIGH + 22}"'
        yield f"<text{screen} {where}>{escape(date)}</text>"
    yield "</svg>"


def _bar(n: int, counts: Sequence[int], most: int, top: int, wide: float) -> Iterator[str]:
    """A span's records. In a later step it is taller, and is drawn over what it was."""
    drawn = 0
    for step, count in enumerate(counts):
        if count > drawn:
            drawn, tall = count, HIGH * count / most
            yield (
                f'<rect class="b f{step}" x="{LEFT + n * wide + 0.5:.1f}" y="{top + HIGH - tall:.1f}" '
                f'width="{max(wide - 1, 1):.1f}" height="{tall:.1f}"/>'
            )


def scale(most: int) -> int:
    """Up to where a scale goes that holds `most`: 10, 20, 50, 100 ..."""
    end = LEAST_SCALE
    while end < most:
        end = end * 5 // 2 if str(end).startswith("2") else end * 2
    return end


def _along(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT)


def _lanes(marks: Sequence[Mark]) -> list[int]:
    """A lane for each mark, the lowest number in which nothing stands beside it."""
    ends: list[float] = []
    found = []
    for mark in marks:
        x = _along(mark.share)
        free = next((lane for lane, end in enumerate(ends) if end <= x), None)
        if free is None:
            free = len(ends) if len(ends) < MOST_LANES else ends.index(min(ends))
            if free == len(ends):
                ends.append(0.0)
        ends[free] = x + 32
        found.append(free)
    return found


def levels(count: int, most: int) -> int:
    """0 to 4: how strong a cell's colour is."""
    return 0 if not count else min(1 + 4 * (count - 1) // max(most, 1), 4)


# --- one bar for each of some -----------------------------------------------------------------------


def bars(ident: str, title: str, says: str, rows: Sequence[tuple[str, int]]) -> Iterator[str]:
    """Lengths with their names and numbers."""
    high = 46
    yield f'<svg viewBox="0 0 {WIDTH} {high * max(len(rows), 1)}" role="img" aria-labelledby="{ident}-t {ident}-d">'
    yield f'<title id="{ident}-t">{escape(title)}</title><desc id="{ident}-d">{escape(says)}</desc>'
    most = max((count for _, count in rows), default=0) or 1
    for n, (name, count) in enumerate(rows):
        y = n * high
        yield f'<text x="0" y="{y + 19}">{escape(name)}: {count:,}</text>'
        yield f'<rect class="b" x="0" y="{y + 26}" width="{max(WIDTH * count / most, 1):.0f}" height="12"/>'
    yield "</svg>"
