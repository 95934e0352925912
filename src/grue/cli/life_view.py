"""One view's section of the lab's report: the record itself, the contact graph, the hours, and the time line."""

import json
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Final

from grue.cli.charts import Edge, Mark, Node, graph, legend, levels, timeline
from grue.cli.life_record import record
from grue.cli.page import Cells, Listing, Row, day, download, many
from grue.exposure.digest import HOURS, WEEKDAYS, Contact, Digest, step_at
from grue.exposure.inferences import Inference, clock
from grue.exposure.layout import Point
from grue.exposure.lives import DAY, Answer, Question, Role, View

if TYPE_CHECKING:
    from grue.cli.life_page import Drawn

DRAWN: Final = 150
"""Contacts, and people beyond, whom a graph shows: more would be a black disc."""
NAMED: Final = 8
"""Contacts with a name beside their dot, besides doctors, lawyers and the source."""
LISTED: Final = 300
"""Lines of a table of contacts."""
LISTED_PAIRS: Final = 120
"""Lines of a table of pairs."""
DOWNLOADED: Final = 450
"""Lines of the CSV of either: a page stays under 2 MB whatever the life."""

HOLDS: Final = {
    View.CLASSIC: "A directory that is asked, number by number, how a message goes, and logs the questions. On an "
    "order it hands its log over; the order was extended every 30 days, and the snapshots add up.",
    View.CARRIER: "The telephone company: calls, and SMS, with their text for the few days that it is kept. What goes "
    "encrypted does not pass here.",
    View.REST: "The disk of a Grue server with all its keys, looked at every 30 days.",
    View.DIRECT: "A Grue server that records all that it is given as it happens, of clients that reach it directly. It "
    "knows an address by the account last seen there, and so names who writes to whom. This is what Grue gives "
    "away to whoever runs the server and lies about it.",
    View.OBLIVIOUS: "The same server, of clients that reach it by a relay: requests without an address.",
    View.RELAY: "The relay: addresses, times and sizes; and, from access providers, whose address is whose. Somebody "
    "asks, and at that moment somebody else's waiting request is answered.",
    View.COLLUDING: "The server and its relay, run by people who tell each other everything.",
}


def section(drawn: "Drawn", found: Digest, made: Sequence[Inference], at: int) -> Iterator[str]:
    """All about one view."""
    says = [_says(found, step) for step in range(len(found.steps))]
    yield f'<section class="view" id="view-{at}" data-says="{escape(_json(says))}" aria-labelledby="view-{at}-h">'
    yield f'<h2 id="view-{at}-h">{escape(found.view.capitalize())}</h2>'
    yield f"<p>{escape(HOLDS[found.view])}</p>"
    yield from record(drawn, found)
    yield from _contacts(drawn, found, at)
    yield from _hours(found)
    yield from _time(drawn, found, made, at)
    yield from _answers(drawn, found)
    yield "</section>"


def _json(texts: Sequence[str]) -> str:
    return json.dumps(texts)


def _says(found: Digest, step: int) -> str:
    people = many(found.reached(step), "person").replace("persons", "people")
    nameless = f", {many(found.unnamed[step], 'record')} that name nobody or one side" if found.unnamed[step] else ""
    return f"{many(found.steps[step], 'day')}: {people} named in {many(found.named[step], 'record')}{nameless}"


def _slug(view: View) -> str:
    return "".join(one if one.isalnum() else "-" for one in view).replace("--", "-")


# --- contacts -------------------------------------------------------------------------------------


def _contacts(drawn: "Drawn", found: Digest, at: int) -> Iterator[str]:
    yield "<h3>Who is in touch with whom</h3>"
    if not found.contacts:
        yield "<p>Nobody is named together with the target, so there is no graph.</p>"
    else:
        yield from _graph(drawn, found, at)
    head = ["Number", "Name (truth)", "Is (truth)", "First seen", *(f"{days} d" for days in found.steps), "Truly"]
    rows = [Row(_contact(drawn, one), f"f{one.since()}") for one in found.contacts]
    caption = f"Contacts: how often {found.view} names each together with the target, by days of records"
    file = f"contacts-{_slug(found.view)}"
    yield from Listing(caption, head, rows, file, LISTED, DOWNLOADED, "contacts").lines()
    yield from _second_hop(drawn, found)


def _contact(drawn: "Drawn", one: Contact) -> Cells:
    person = drawn.people.get(one.number)
    name, role = (person.name, person.role.value) if person else ("", "")
    return [one.number, name, role, day(one.first), *map(str, one.times), str(one.true)]


def _graph(drawn: "Drawn", found: Digest, at: int) -> Iterator[str]:
    shown = [one for one in found.contacts if one.number in drawn.places][:DRAWN]
    nodes = [_node(drawn, one, n < NAMED) for n, one in enumerate(shown)]
    since = {one.number: one.since() for one in shown}
    edges, far = _beyond(drawn, found.view, since)
    title = f"Contact graph: {found.view}"
    says = (
        f"At the end: the target in the middle, {len(nodes)} contacts around it, the closer the nearer, with thicker "
        f"lines the more often they were seen; outside of them {len(far)} people whom only contacts know."
    )
    yield "<figure>"
    yield from graph(f"graph-{at}", title, says, nodes, edges, far)
    yield from legend()
    yield f"<figcaption>{escape(says)} {escape(_left_out(found, len(nodes)))}</figcaption></figure>"


def _left_out(found: Digest, drawn: int) -> str:
    left = len(found.contacts) - drawn
    return (
        f"{left:,} more contacts are not drawn, since nothing could be told apart; the table has them." if left else ""
    )


def _node(drawn: "Drawn", one: Contact, close: bool) -> Node:
    person = drawn.people.get(one.number)
    name, role = (person.name, person.role) if person else (one.number, Role.STRANGER)
    listed = role in (Role.DOCTOR, Role.LAWYER, Role.SOURCE)
    return Node(name, role, drawn.places[one.number], one.since(), one.times[-1], close or listed)


def _beyond(drawn: "Drawn", view: View, since: dict[str, int]) -> tuple[list[Edge], dict[Point, int]]:
    """Edges from contacts, to each other and beyond, and the people beyond: there once their contact is."""
    edges: list[Edge] = []
    far: dict[Point, int] = {}
    for pair in drawn.shown[view].hops:
        near, away = (pair.who, pair.whom) if pair.who in since else (pair.whom, pair.who)
        if near not in since:
            continue
        step = max(since[near], since.get(away, 0))
        if away in since:
            edges.append(Edge(drawn.places[near], drawn.places[away], step))
        elif away in drawn.far and (drawn.far[away] in far or len(far) < DRAWN):
            place = drawn.far[away]
            far[place] = min(far.get(place, step), step)
            edges.append(Edge(drawn.places[near], place, step))
    return edges, far


def _second_hop(drawn: "Drawn", found: Digest) -> Iterator[str]:
    since = {one.number: one.since() for one in found.contacts}
    pairs = [one for one in drawn.shown[found.view].hops if one.who in since or one.whom in since]
    rows = []
    for pair in pairs:
        near, away = (pair.who, pair.whom) if pair.who in since else (pair.whom, pair.who)
        known = "also a contact" if away in since else "beyond"
        rows.append(
            Row([near, _name(drawn, near), away, _name(drawn, away), known, str(pair.times)], f"f{since[near]}")
        )
    head = ["Contact", "Name (truth)", "In touch with", "Name (truth)", "Who is", "Seen"]
    caption = f"Second hop: with whom those contacts are in touch, as {found.view} has it"
    yield from Listing(caption, head, rows, f"second-hop-{_slug(found.view)}", LISTED_PAIRS, DOWNLOADED).lines()


def _name(drawn: "Drawn", number: str) -> str:
    person = drawn.people.get(number)
    return person.name if person else ""


# --- hours ----------------------------------------------------------------------------------------


def _hours(found: Digest) -> Iterator[str]:
    yield "<h3>At which hours</h3>"
    if not any(map(any, found.heat[-1])):
        yield "<p>No record names the target with an hour: there is nothing to draw.</p>"
        return
    yield '<p class="quiet">Hours down, days of the week across; numbers of records, the darker the more.</p>'
    for step, days in enumerate(found.steps):
        yield from _heat(found, step, days)


def _heat(found: Digest, step: int, days: int) -> Iterator[str]:
    heat = found.heat[step]
    most = max(map(max, heat))
    caption = f"Records by hour (UTC) and day of the week: {found.view}, {many(days, 'day')}"
    yield f'<div class="scroll heat h{step}"><table><caption><span>{escape(caption)}</span></caption>'
    yield '<thead><tr><th scope="col">Hour</th>'
    yield "".join(f'<th scope="col">{name}</th>' for name in WEEKDAYS) + "</tr></thead><tbody>"
    for hour in range(HOURS):
        cells = "".join(_cell(heat[on][hour], most) for on in range(7))
        yield f'<tr><th scope="row">{hour:02}{cells}'
    yield "</tbody></table>"
    rows = [[f"{hour:02}", *(str(heat[on][hour]) for on in range(7))] for hour in range(HOURS)]
    yield download(f"hours-{_slug(found.view)}-{days}", caption, ["Hour", *WEEKDAYS], rows)
    yield "</div>"


def _cell(count: int, most: int) -> str:
    return f"<td class=q{levels(count, most)}>{count}" if count else "<td>0"


# --- time -----------------------------------------------------------------------------------------


def _time(drawn: "Drawn", found: Digest, made: Sequence[Inference], at: int) -> Iterator[str]:
    told = drawn.material.found.brief
    long = told.days * DAY
    begins = [told.begun + n * found.span * DAY for n in range(len(found.bars))]
    steps = [step_at(begun, told.begun, found.steps) for begun in begins]
    marks = [
        Mark(n, min((one.at - told.begun) / long, 1.0), step_at(one.at, told.begun, found.steps))
        for n, one in enumerate(made, 1)
    ]
    yield "<h3>In the course of time</h3>"
    title = f"Time line: {found.view}"
    each = many(found.span, "day")
    says = f"Bars: records that name the target, for each {each}. Numbers: what could be inferred, in the table below."
    ticks = [(n / 4, day(told.begun + n * long / 4)) for n in range(5)]
    yield "<figure>"
    yield from timeline(f"time-{at}", title, says, list(zip(found.bars, steps, strict=True)), marks, ticks)
    yield f"<figcaption>{says}</figcaption></figure>"
    yield from _inferred(found, made, [mark.step for mark in marks])
    rows = [
        Row([day(begun), str(count)], f"f{step}") for begun, count, step in zip(begins, found.bars, steps, strict=True)
    ]
    caption = f"Records of {found.view} that name the target, for each {each}"
    yield from Listing(caption, ["From", "Records"], rows, f"time-{_slug(found.view)}").lines()


def _inferred(found: Digest, made: Sequence[Inference], steps: Sequence[int]) -> Iterator[str]:
    rows = [
        Row([str(n), day(one.at), one.says, one.why, "right" if one.right else "wrong"], f"f{step}")
        for (n, one), step in zip(enumerate(made, 1), steps, strict=True)
    ]
    right = sum(one.right for one in made)
    caption = f"What an analyst infers from {found.view}, and why: in the whole life {right} of {len(made)} right"
    yield from Listing(
        caption,
        ["No.", "On", "The target", "Because", "In truth"],
        rows,
        f"inferred-{_slug(found.view)}",
        style="inferred",
    ).lines()


def _answers(drawn: "Drawn", found: Digest) -> Iterator[str]:
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
            rows.append(Row([question, _said(drawn, last), last.why, f"1 in {last.choices:g}", *grades]))
    days = [f"{days} d" for days in found.steps]
    caption = f"What the analyst answers from {found.view}; and how right that was, by days of records"
    head = ["Question", "Answer at the end", "Because", "By chance", *days]
    yield from Listing(caption, head, rows, f"answers-{_slug(found.view)}", style="whole answers").lines()


def _by_then(drawn: "Drawn", question: Question, days: int) -> str:
    """What is not so yet cannot be answered rightly."""
    first = drawn.material.life.source_first()
    late = first is not None and first >= drawn.material.life.begun + days * DAY
    return "not yet" if question is Question.SOURCE and late else ""


def graded(one: Answer) -> str:
    """`right`, or how many are."""
    return f"{one.right} of {one.of}" if one.of > 1 else "right" if one.right else "wrong"


def _said(drawn: "Drawn", one: Answer) -> str:
    if one.question is Question.CONTACTS:
        return f"{len(one.said):,} numbers"
    if one.question is Question.ASLEEP:
        return f"around {clock(one.said[0])}" if one.said else ""
    return ", ".join(f"{said} {_name(drawn, said)}".strip() for said in one.said)
