"""One view's section of the lab's report: the record itself, the contact graph, the hours, and the time line."""

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final

from grue.exposure.digest import HOURS, WEEKDAYS, Contact, Digest, step_at
from grue.exposure.inferences import Inference, clock, graded
from grue.exposure.layout import Point
from grue.exposure.lives import DAY, Answer, Question, Role
from grue.pages.charts import SHAPES, Edge, Mark, Node, Steps, graph, legend, levels, timeline
from grue.pages.life_material import Drawn
from grue.pages.life_record import record, slug
from grue.pages.life_words import words
from grue.pages.page import Cells, Listing, Row, day, download, many

DRAWN: Final = 150
"""Contacts, and people beyond, whom a graph shows: more would be a black disc."""
HOW_DRAWN: Final = (
    "Everybody has the same place in every view: the nearer, the more often the view that has most of them sees them. "
    "How often this view has seen them, compared with the others in it, is how thick the line is."
)
NAMED: Final = 8
"""Contacts with a name beside their dot, besides doctors, lawyers and the source."""
LISTED: Final = 300
"""Lines of a table of contacts."""
LISTED_PAIRS: Final = 120
"""Lines of a table of pairs."""
DOWNLOADED: Final = 450
"""Lines of the CSV of either."""


def top(drawn: Drawn, at: int) -> Iterator[str]:
    """One view's record, which stands before everything else."""
    found = drawn.found[at]
    says = [_says(found, step) for step in range(len(found.steps))]
    yield f'<section class="view" id="view-{at}" data-view="{at}" data-says="{escape(json.dumps(says))}"'
    yield f' aria-labelledby="view-{at}-h"><h2 id="view-{at}-h">{escape(words(found.view).title)}</h2>'
    if holds := words(found.view).holds:
        yield f"<p>{escape(holds)}</p>"
    yield from record(drawn, at)
    yield "</section>"


def section(drawn: Drawn, made: Sequence[Inference], at: int) -> Iterator[str]:
    """What is made of one view's record."""
    found = drawn.found[at]
    yield f'<section class="view" id="of-{at}" data-view="{at}" aria-labelledby="of-{at}-h">'
    yield f'<h2 id="of-{at}-h">{escape(words(found.view).title)}: what the record shows</h2>'
    yield from _contacts(drawn, at)
    yield from _hours(found)
    yield from _time(drawn, found, made, at)
    yield from _answers(drawn, found)
    yield "</section>"


def _says(found: Digest, step: int) -> str:
    people = many(found.reached(step), "person").replace("persons", "people")
    nameless = f", {many(found.unnamed[step], 'record')} that name nobody or one side" if found.unnamed[step] else ""
    return f"{many(found.steps[step], 'day')}: {people} named in {many(found.named[step], 'record')}{nameless}"


# --- contacts -------------------------------------------------------------------------------------


def _contacts(drawn: Drawn, at: int) -> Iterator[str]:
    found = drawn.found[at]
    yield "<h3>Who is in touch with whom</h3>"
    if not found.contacts:
        yield "<p>Nobody is named together with the target, so there is no graph.</p>"
    else:
        yield from _graph(drawn, at)
    head = ["Number", "Name (truth)", "Is (truth)", "First seen", *(f"{days} d" for days in found.steps), "Truly"]
    rows = [Row(_contact(drawn, one), one.since()) for one in found.contacts]
    caption = f"Contacts: how often each is named together with the target by {words(found.view).phrase}"
    listed, downloaded = drawn.part(LISTED), drawn.part(DOWNLOADED)
    file = f"contacts-{slug(found.view)}"
    yield from Listing(caption, head, rows, file, listed, downloaded, "contacts").lines()
    yield from _second_hop(drawn, found)


def _contact(drawn: Drawn, one: Contact) -> Cells:
    person = drawn.people.get(one.number)
    name, role = (person.name, person.role.value) if person else ("", "")
    return [one.number, name, role, day(one.first), *map(str, one.times), str(one.true)]


def _graph(drawn: Drawn, at: int) -> Iterator[str]:
    found, near = drawn.found[at], drawn.near[at]
    seen = [one for one in found.contacts if one.number in near]
    nodes = [_node(drawn, one, near[one.number], n < NAMED) for n, one in enumerate(seen)]
    edges, far = _beyond(drawn, at)
    says = [_drawn(found, step, nodes, far) for step in range(len(found.steps))]
    yield '<figure class="graph">'
    yield from graph(f"graph-{at}", f"Contact graph: {words(found.view).title}", says[-1], nodes, edges, far)
    yield from legend(nodes, far.values())
    yield "<figcaption>"
    for step, one in enumerate(says):
        yield f'<span class="x{step}">{escape(one)}</span>'
    yield f"{HOW_DRAWN}</figcaption></figure>"


def _drawn(found: Digest, step: int, nodes: Sequence[Node], far: Mapping[Point, Steps]) -> str:
    count = sum(node.there[step] for node in nodes)
    left = found.reached(step) - count
    others = sum(there[step] for there in far.values())
    missing = f" {left:,} more contacts are not drawn, since nothing could be told apart." if left else ""
    return (
        f"{many(found.steps[step], 'day')}: {many(count, 'contact')} around the target, and {others:,} people whom "
        f"only contacts know.{missing} "
    )


def _node(drawn: Drawn, one: Contact, there: Steps, close: bool) -> Node:
    person = drawn.people.get(one.number)
    name, role = (person.name, person.role) if person else (one.number, Role.STRANGER)
    return Node(name, role, drawn.places[one.number], there, one.times, close or role in SHAPES)


def _beyond(drawn: Drawn, at: int) -> tuple[list[Edge], dict[Point, Steps]]:
    """Edges from contacts, to each other and beyond, and the people beyond: there once their contact is."""
    near, beyond = drawn.near[at], drawn.beyond[at]
    edges: list[Edge] = []
    far: dict[Point, Steps] = {}
    for pair in drawn.found[at].pairs:
        one, other = near.get(pair.near), near.get(pair.away) or beyond.get(pair.away)
        if one is None or other is None:
            continue
        there = [all(each) for each in zip(one, other, pair.times, strict=True)]
        if not any(there):
            continue
        place = drawn.place(pair.away)
        edges.append(Edge(drawn.places[pair.near], place, there))
        if pair.away not in near:
            far[place] = [any(each) for each in zip(there, far.get(place, there), strict=True)]
    return edges, far


def _second_hop(drawn: Drawn, found: Digest) -> Iterator[str]:
    contacts = {one.number for one in found.contacts}
    rows = []
    for pair in found.pairs:
        known = "also a contact" if pair.away in contacts else "beyond"
        names = [pair.near, _name(drawn, pair.near), pair.away, _name(drawn, pair.away), known]
        rows.append(Row([*names, *map(str, pair.times)], pair.since()))
    head = ["Contact", "Name (truth)", "In touch with", "Name (truth)", "Who is"]
    head += [f"{days} d" for days in found.steps]
    caption = f"Second hop: with whom those contacts are in touch, by the records of {words(found.view).phrase}"
    listed, downloaded = drawn.part(LISTED_PAIRS), drawn.part(DOWNLOADED)
    file = f"second-hop-{slug(found.view)}"
    yield from Listing(caption, head, rows, file, listed, downloaded, "hops").lines()


def _name(drawn: Drawn, number: str) -> str:
    person = drawn.people.get(number)
    return person.name if person else ""


# --- hours ----------------------------------------------------------------------------------------


def _hours(found: Digest) -> Iterator[str]:
    yield "<h3>At which hours</h3>"
    if not any(map(any, found.heat[-1])):
        yield "<p>No record names the target with an hour: there is nothing to draw.</p>"
        return
    yield '<p class="quiet">Hours down, days of the week across; records, the stronger the colour the more.</p>'
    for step, days in enumerate(found.steps):
        yield from _heat(found, step, days)


def _heat(found: Digest, step: int, days: int) -> Iterator[str]:
    heat = found.heat[step]
    most = max(map(max, heat))
    caption = f"Records by hour (UTC) and day of the week: {words(found.view).title}, {many(days, 'day')}"
    yield f'<div class="scroll heat h{step}"><table><caption><span>{escape(caption)}</span></caption>'
    yield '<thead><tr><th scope="col">Hour</th>'
    yield "".join(f'<th scope="col">{name}</th>' for name in WEEKDAYS) + "</tr></thead><tbody>"
    for hour in range(HOURS):
        cells = "".join(_cell(heat[on][hour], most) for on in range(7))
        yield f'<tr><th scope="row">{hour:02}{cells}'
    yield "</tbody></table>"
    rows = [[f"{hour:02}", *(str(heat[on][hour]) for on in range(7))] for hour in range(HOURS)]
    yield download(f"hours-{slug(found.view)}-{days}", caption, ["Hour", *WEEKDAYS], rows)
    yield "</div>"


def _cell(count: int, most: int) -> str:
    return f"<td class=q{levels(count, most)}>{count}" if count else "<td>0"


# --- time -----------------------------------------------------------------------------------------


def _time(drawn: Drawn, found: Digest, made: Sequence[Inference], at: int) -> Iterator[str]:
    told = drawn.material.found.brief
    long = told.days * DAY
    marks = [
        Mark(n, min((one.at - told.begun) / long, 1.0), step_at(one.at, told.begun, found.steps))
        for n, one in enumerate(made, 1)
    ]
    yield "<h3>In the course of time</h3>"
    title = f"Time line: {words(found.view).title}"
    each = many(found.span, "day")
    says = f"Bars: records that name the target, for each {each}. Numbers: what could be inferred, in the table below."
    ticks = [(n / 4, day(told.begun + n * long / 4)) for n in range(5)]
    yield "<figure>"
    yield from timeline(f"time-{at}", title, says, found.bars, marks, ticks)
    yield f"<figcaption>{says} The scale is this view's own.</figcaption></figure>"
    yield from _inferred(found, made, [mark.step for mark in marks])
    rows = [row for n, counts in enumerate(found.bars) for row in _span(found, told.begun, n, counts)]
    caption = f"Records of {words(found.view).phrase} that name the target, for each {each}"
    yield from Listing(caption, ["From", "Days", "Records"], rows, f"time-{slug(found.view)}", style="spans").lines()


def _span(found: Digest, begun: float, n: int, counts: Sequence[int]) -> Iterator[Row]:
    """One span's line, and one for each step that ends within it."""
    first, end = n * found.span, min((n + 1) * found.span, found.steps[-1])
    for step, days in enumerate(found.steps):
        if days > first:
            held = min(days, end) - first
            whole = held == end - first
            yield Row([day(begun + first * DAY), str(held), f"{counts[step]:,}"], step, only=not whole)
            if whole:
                return


def _inferred(found: Digest, made: Sequence[Inference], steps: Sequence[int]) -> Iterator[str]:
    rows = [
        Row([str(n), day(one.at), one.says, one.why, "right" if one.right else "wrong"], step)
        for (n, one), step in zip(enumerate(made, 1), steps, strict=True)
    ]
    for step, days in enumerate(found.steps):
        by_then = [one.right for one, since in zip(made, steps, strict=True) if since <= step]
        yield f'<p class="quiet x{step}">{_rightly(by_then)} from {many(days, "day")}.</p>'
    caption = f"What an analyst infers from the records of {words(found.view).phrase}, and why"
    head = ["No.", "On", "The target", "Because", "In truth"]
    yield from Listing(caption, head, rows, f"inferred-{slug(found.view)}", style="inferred").lines()


def _rightly(right: Sequence[bool]) -> str:
    if not right:
        return "Nothing is inferred"
    return f"{many(len(right), 'inference')}, {sum(right):,} of them right,"


def _answers(drawn: Drawn, found: Digest) -> Iterator[str]:
    yield "<h3>Five questions</h3>"
    rows = []
    for question in Question:
        of_step = [next((one for one in answers if one.question is question), None) for answers in found.answers]
        last = of_step[-1]
        if last is not None:
            grades = [
                _by_then(drawn, question, days) or (graded(one) if one else "")
                for one, days in zip(of_step, found.steps, strict=True)
            ]
            rows.append(Row([question.value, _said(drawn, last), last.why, f"1 in {last.choices:g}", *grades]))
    days = [f"{days} d" for days in found.steps]
    caption = f"What the analyst answers from the records of {words(found.view).phrase}, and how right that was by days"
    head = ["Question", "Answer at the end", "Because", "By chance", *days]
    yield from Listing(caption, head, rows, f"answers-{slug(found.view)}", style="whole answers").lines()


def _by_then(drawn: Drawn, question: Question, days: int) -> str:
    """What is not so yet cannot be answered rightly."""
    late = drawn.called is not None and drawn.called >= drawn.material.life.begun + days * DAY
    return "not yet" if question is Question.SOURCE and late else ""


def _said(drawn: Drawn, one: Answer) -> str:
    if one.question is Question.CONTACTS:
        return f"{len(one.said):,} numbers"
    if one.question is Question.ASLEEP:
        return f"around {clock(one.said[0])}" if one.said else ""
    return ", ".join(f"{said} {_name(drawn, said)}".strip() for said in one.said)
