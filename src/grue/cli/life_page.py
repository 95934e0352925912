"""The lab's report as a page: a life as each observer was given it, view by view, and all of them side by side.

Everything is in the page from the beginning, and a script only hides what is not chosen. The truth is known, so each
answer stands beside it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final

from grue.cli.life_view import graded, section
from grue.cli.page import Listing, Row, day, document, many
from grue.cli.page_script import SCRIPT
from grue.exposure.digest import Digest, digests
from grue.exposure.inferences import Inference, by_rule, inferences
from grue.exposure.layout import Point, around, outside
from grue.exposure.lives import WHOLE, Answer, Answers, Life, Person, Question, Role, Shown, View
from grue.exposure.records import CallDetail, Return

PLACED: Final = 400
"""Contacts that have a place in the drawings, those first whom some view has seen most often."""

START: Final = 30
"""Days at which the slider stands at first."""

TITLE: Final = "One life, and who knew what of it"


@dataclass(frozen=True, repr=False)
class Material:
    """All that a report is made from."""

    life: Life
    found: Answers
    returned: Return | None
    """The classic directory's; None when it is not there."""
    calls: list[CallDetail] = field(default_factory=list)
    """Of the carrier's records those about the target."""
    notes: tuple[str, ...] = ()
    """Sentences on what of the run is damaged, and what that means for the page."""


@dataclass(frozen=True, repr=False)
class Drawn:
    """What every view's section is made with."""

    material: Material
    people: dict[str, Person]
    places: dict[str, Point]
    far: dict[str, Point]
    shown: dict[View, Shown]


def page(material: Material) -> str:
    """The whole file. Names, numbers, addresses and texts are data, and are escaped."""
    found = digests(material.found, material.life)
    drawn = _drawn(material, found)
    return document(TITLE, _body(drawn, found), SCRIPT)


def _drawn(material: Material, found: Sequence[Digest]) -> Drawn:
    people = {one.number: one for one in material.life.people}
    most: dict[str, int] = {}
    for one in found:
        for contact in one.contacts if one.view in WHOLE else ():
            most[contact.number] = max(most.get(contact.number, 0), contact.times[-1])
    ordered = sorted(most, key=lambda number: (-most[number], number))[:PLACED]
    places = around([(number, people[number].role if number in people else Role.STRANGER) for number in ordered])
    reached: dict[str, str] = {}
    for shown in material.found.views:
        for pair in shown.hops if shown.view in WHOLE else ():
            for near, away in ((pair.who, pair.whom), (pair.whom, pair.who)):
                if near in places and away not in places:
                    reached.setdefault(away, near)
    views = {shown.view: shown for shown in material.found.views}
    return Drawn(material, people, places, outside(reached.items(), places), views)


def _body(drawn: Drawn, found: Sequence[Digest]) -> Iterator[str]:
    life = drawn.material.life
    steps = found[0].steps if found else (life.days,)
    yield from _header(drawn.material)
    yield f'<main class="d{len(steps) - 1}">'
    if not life.events:
        yield "<p><strong>Nothing happens in this life, so nobody has anything of it.</strong></p>"
    whole = [one for one in found if one.view in WHOLE]
    yield from _controls(whole, steps)
    made = {}
    for at, one in enumerate(whole):
        returned = drawn.material.returned if one.view is View.CLASSIC else None
        made[one.view] = inferences(one, life, returned)
        yield from section(drawn, one, made[one.view], at)
    yield from _side_by_side(found, steps)
    yield from _rules(made)
    yield from _scores(drawn.material.found)
    yield from _how(drawn.material)
    yield "</main>"


def _header(material: Material) -> Iterator[str]:
    life = material.life
    yield f"<header><h1>{escape(TITLE)}</h1>"
    yield (
        f"<p>A made-up person's {many(life.days, 'day')} from {day(life.begun)} (UTC), of seed {life.seed}: "
        f"{many(len(life.events), 'event')}, {many(len(life.contacts()), 'contact')}. Nobody lives this life, and its "
        "numbers belong to nobody. It was played through a directory that is asked number by number, a carrier, and "
        "Grue. Below is what each of them was given, and what an analyst makes of it. Names and kinds of people are "
        "written in from the truth; an observer has numbers at best.</p>"
    )
    for note in material.notes:
        yield f"<p><strong>{escape(note)}</strong></p>"
    yield '<p class="without quiet">Without scripts everything is shown, one below the other.</p></header>'


def _controls(found: Sequence[Digest], steps: Sequence[int]) -> Iterator[str]:
    yield '<form class="controls" aria-label="What is shown"><fieldset><legend>Seen by</legend>'
    for at, one in enumerate(found):
        checked = " checked" if at == 0 else ""
        yield f'<label><input type="radio" name="view" value="{at}"{checked}> {escape(one.view)}</label>'
    start = steps.index(START) if START in steps else len(steps) - 1
    yield (
        '</fieldset><div class="days"><label for="step">Days of records</label>'
        f'<input type="range" id="step" min="0" max="{len(steps) - 1}" step="1" value="{start}">'
        '<output id="told" for="step"></output></div></form><p class="printed" id="printed"></p>'
    )


# --- all views ------------------------------------------------------------------------------------


def _side_by_side(found: Sequence[Digest], steps: Sequence[int]) -> Iterator[str]:
    yield '<section><h2 id="all">All of them side by side</h2>'
    head = ["Seen by", *(f"{days} d" for days in steps)]
    rows = [
        Row([one.view, *(f"{one.reached(step)} ({one.named[step]:,})" for step in range(len(steps)))]) for one in found
    ]
    caption = "Snapshots add up: people named after so many days, and in brackets records that name them"
    yield from Listing(caption, head, rows, "snapshots", style="whole").lines()
    rows = [Row([one.view, *(_by_question(one.answers[-1], question) for question in Question)]) for one in found]
    caption = "Answers from all of the life, for each question; by chance alone one in the brackets is right"
    yield from Listing(caption, ["Seen by", *Question], rows, "answers", style="whole").lines()
    yield "</section>"


def _by_question(answers: Sequence[Answer], question: Question) -> str:
    one = next((one for one in answers if one.question is question), None)
    if one is None:
        return "nothing to know"
    return f"{graded(one)} (1 in {one.choices:g}{', guessed' if one.why.startswith('a guess') else ''})"


def _rules(made: dict[View, list[Inference]]) -> Iterator[str]:
    yield '<section><h2 id="rules">How often the inferences were right</h2>'
    rows = [
        Row([view, rule, str(right), str(count)])
        for view, found in made.items()
        for rule, right, count in by_rule(found)
    ]
    head = ["Seen by", "Inference", "Right", "Made"]
    yield from Listing("Inferences of the time lines, by kind", head, rows, "inferences", style="whole").lines()
    yield "<p>A view without a line here allowed none that is more than a guess.</p></section>"


def _scores(found: Answers) -> Iterator[str]:
    if not found.scores:
        return
    yield '<section><h2 id="scores">Over many lives</h2>'
    rows = [
        Row(
            [
                one.view, one.question, str(one.seeds), f"{one.share:.1%}", f"{one.low:.1%} to {one.high:.1%}",
                f"{one.chance:.1%}", f"{one.bits:.2f}", f"{one.bits_low:.2f} to {one.bits_high:.2f}",
            ]
        )
        for one in found.scores
    ]  # fmt: skip
    head = ["Seen by", "Question", "Lives", "Right", "95 %", "By chance", "Bits learned", "95 %"]
    yield from Listing("The share answered correctly, and bits learned", head, rows, "scores", style="whole").lines()
    yield "</section>"


def _how(material: Material) -> Iterator[str]:
    from grue import __version__

    known = len(material.found.brief.known)
    yield '<section><h2 id="how">How this was made</h2>'
    yield (
        f"<p>By <code>grue lab report</code>, version {escape(__version__)}. Every view is read by the same analyst, "
        f"who is told the target's number, {many(known, 'number')} of which about half are contacts, the town's "
        "doctors and lawyers, and whom to suspect as the source; and who guesses where nothing was seen. Days are "
        "counted from the beginning of the life. The second hop of the classic directory is from further "
        "orders, one for each number in its log. Hours are UTC, which is local time in this life. One life proves "
        "nothing: some answers are lucky guesses.</p>"
    )
    yield "</section>"
