"""The page of `exposure --html`: what a home has given to whom, from its own record, without script or network."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from html import escape
from typing import Final

from grue.exposure.own import CAVEAT, Sight, when
from grue.exposure.own import Row as Given
from grue.pages.charts import bars, timeline
from grue.pages.page import Listing, Row, document, many

TITLE: Final = "What this home has given to whom"


def page(
    rows: Sequence[Given], seen: Sequence[Sight], days: Sequence[tuple[str, int]], first: date | None = None
) -> str:
    """The whole file.

    rows   what was given, to whom, how often
    seen   who sees what with the present settings
    days   dates, each with how many requests went out
    first  the day from which on the rows and days are; None since the home was made
    """
    return document(TITLE, _body(rows, seen, days, when(first)))


def _body(rows: Sequence[Given], seen: Sequence[Sight], days: Sequence[tuple[str, int]], period: str) -> Iterator[str]:
    yield f"<header><h1>{TITLE}</h1>"
    yield f"<p><strong>What was given {period}.</strong></p>"
    yield (
        "<p>From the record that this home keeps of its own requests. It counts them by kind and day, and has no "
        "numbers, names or hours in it, so that whoever finds it learns no more than this page says: there is no "
        "contact graph and no heat map of hours to draw. <code>grue lab report</code> draws those of a life that "
        "nobody lives.</p>"
    )
    # Nothing slides here: all is there from the first step on.
    yield '</header><main class="d0">'
    yield "<section><h2>The record itself</h2>"
    lines = [Row([row.party, row.what, str(row.times), row.hidden]) for row in rows]
    head = ["Who", "Has been given", "Times", "And cannot tell"]
    yield from Listing(
        "What was given, to whom, and what they cannot tell by it",
        head,
        lines,
        "given",
        style="whole wrapped",
        grouped=True,
    ).lines()
    if not rows:
        yield f"<p>Nothing was given to anybody {period}.</p>"
    yield f"<p>{escape(CAVEAT)}</p></section>"
    yield from _parties(rows)
    yield from _days(days)
    yield "<section><h2>Who sees what, with the settings of today</h2>"
    lines = [Row([one.party, one.sees, one.hidden]) for one in seen]
    head = ["Who", "Sees", "And not"]
    yield from Listing("While this home is used", head, lines, "sights", style="whole wrapped", grouped=True).lines()
    yield "</section></main>"


def _parties(rows: Sequence[Given]) -> Iterator[str]:
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row.party] += row.times
    ordered = counts.most_common()
    yield "<section><h2>To whom how often</h2>"
    if ordered:
        says = "; ".join(f"{party} {many(count, 'time')}" for party, count in ordered)
        yield "<figure>"
        yield from bars("parties", "Times that each party was given something", says, ordered)
        yield "</figure>"
    lines = [Row([party, str(count)]) for party, count in ordered]
    yield from Listing("Times that each party was given something", ["Who", "Times"], lines, "parties").lines()
    yield "</section>"


def _days(days: Sequence[tuple[str, int]]) -> Iterator[str]:
    yield "<section><h2>On which days</h2>"
    if days:
        yield from _course(days)
    lines = [Row([on, str(count)]) for on, count in days]
    yield from Listing("Requests on each day (UTC), of all kinds", ["Day", "Requests"], lines, "days").lines()
    yield "</section>"


def _course(days: Sequence[tuple[str, int]]) -> Iterator[str]:
    """A bar for each day, also for those without a request."""
    counts = Counter(dict(days))
    first, last = (date.fromisoformat(on) for on in (min(counts), max(counts)))
    every = [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
    title = "Requests on each day"
    busiest = max(counts, key=lambda on: counts[on])
    says = f"{many(counts.total(), 'request')} from {first} to {last}; most on {busiest}: {counts[busiest]:,}."
    ticks = [(0.0, every[0]), (1.0, every[-1])] if len(every) > 1 else [(0.0, every[0])]
    yield "<figure>"
    yield from timeline("course", title, says, [(counts[on],) for on in every], [], ticks)
    yield f"<figcaption>{says}</figcaption></figure>"
