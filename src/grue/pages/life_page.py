"""The lab's report as a page: a life as each observer was given it, view by view, and all of them side by side.

Everything is in the page from the beginning, and a script only hides what is not chosen. The truth is known, so each
answer stands beside it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final

from grue.exposure.digest import Digest, digests
from grue.exposure.inferences import inferences
from grue.exposure.layout import around, chosen, outside
from grue.exposure.lives import WHOLE, Role, View
from grue.pages.charts import SHAPES
from grue.pages.life_compared import matrix, numbers
from grue.pages.life_material import Drawn, Material
from grue.pages.life_view import DRAWN, section, top
from grue.pages.life_words import words
from grue.pages.page import day, document, many
from grue.pages.page_script import SCRIPT

MOST_BYTES: Final = 1_950_000
"""A page stays under 2 MB, so that it can be sent and opened anywhere."""

SHARES: Final = (100, 75, 50, 30, 15)
"""Per cent of its lines that each long table has, and of its people each graph, the first with which a page is small
enough: how many views there are, and how many people each names, is not known before.
"""

START: Final = 30
"""Days at which the slider stands at first."""

TITLE: Final = "One life, and who knew what of it"


def page(material: Material) -> str:
    """The whole file. Names, numbers, addresses and texts are data, and are escaped."""
    every = digests(material.found, material.life)
    text = ""
    called = material.life.source_first()
    for share in SHARES:
        text = document(TITLE, _body(_drawn(material, every, share, called), every), SCRIPT)
        if len(text.encode()) <= MOST_BYTES:
            break
    return text


def _drawn(material: Material, every: Sequence[Digest], share: int, called: float | None) -> Drawn:
    found = [one for one in every if one.view in WHOLE]
    shown = [one for one in material.found.views if one.view in WHOLE]
    people = {one.number: one for one in material.life.people}
    listed = {one.number for one in material.life.people if one.role in SHAPES}
    drawn = DRAWN * share // 100
    near = [chosen({one.number: one.times for one in view.contacts}, drawn, listed) for view in found]
    beyond = [chosen(_only_beyond(*one), drawn) for one in zip(found, near, strict=True)]
    most: Counter[str] = Counter()
    for view, contacts in zip(found, near, strict=True):
        most |= Counter({one.number: one.times[-1] for one in view.contacts if one.number in contacts})
    ordered = sorted(most, key=lambda number: (-most[number], number))
    places = around([(number, people[number].role if number in people else Role.STRANGER) for number in ordered])
    reached: dict[str, str] = {}
    for view, others in zip(found, beyond, strict=True):
        for pair in view.pairs:
            if pair.away in others and pair.near in places:
                reached.setdefault(pair.away, pair.near)
    far = outside(reached.items(), places)
    return Drawn(material, people, shown, found, near, beyond, places, far, share, called)


def _only_beyond(found: Digest, near: Mapping[str, Sequence[bool]]) -> dict[str, list[int]]:
    """People whom only drawn contacts know: how often they were seen with them, by step."""
    contacts = {one.number for one in found.contacts}
    counts: dict[str, list[int]] = {}
    for pair in found.pairs:
        if pair.near in near and pair.away not in contacts:
            times = [count if there else 0 for count, there in zip(pair.times, near[pair.near], strict=True)]
            before = counts.get(pair.away, [0] * len(times))
            counts[pair.away] = [one + other for one, other in zip(before, times, strict=True)]
    return counts


def _body(drawn: Drawn, every: Sequence[Digest]) -> Iterator[str]:
    life, found, scores = drawn.material.life, drawn.found, drawn.material.found.scores
    steps = found[0].steps if found else (life.days,)
    yield from _header(drawn.material)
    yield f'<main class="d{len(steps) - 1}">'
    if not life.events:
        yield "<p><strong>Nothing happens in this life, so nobody has anything of it.</strong></p>"
    yield from _controls(found, steps)
    for at in range(len(found)):
        yield from top(drawn, at)
    yield from matrix(every, scores)
    returned = drawn.material.returned
    made = [inferences(one, life, returned if one.view is View.CLASSIC else None) for one in found]
    for at, of_view in enumerate(made):
        yield from section(drawn, of_view, at)
    yield from numbers(every, found, made, steps, scores)
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
        yield f'<label><input type="radio" name="view" value="{at}"{checked}> {escape(words(one.view).title)}</label>'
    start = steps.index(START) if START in steps else len(steps) - 1
    yield (
        '</fieldset><div class="days"><label for="step">Days of records</label>'
        f'<input type="range" id="step" min="0" max="{len(steps) - 1}" step="1" value="{start}">'
        '<output id="told" for="step"></output></div></form><p class="printed" id="printed"></p>'
    )


def _how(material: Material) -> Iterator[str]:
    from grue import __version__

    known = len(material.found.brief.known)
    yield '<section><h2 id="how">How this was made</h2>'
    yield (
        f"<p>By <code>grue lab report</code>, version {escape(__version__)}. Every view is read by the same analyst, "
        f"who is told the target's number, {many(known, 'number')} of which about half are contacts, the town's "
        "doctors, and whom to suspect as the source; and who guesses where nothing was seen, which the grade says. Of "
        "the inferences beside the time lines those about lawyers take the town's lawyers to be listed too. Days are "
        "counted from the beginning of the life. The second hop of the classic directory is from further "
        "orders, one for each number in its log. Hours are UTC, which is local time in this life. One life proves "
        "nothing: some answers are lucky guesses.</p>"
    )
    yield "</section>"
