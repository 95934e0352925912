"""An observer's record as it would be handed over: a directory's return, a carrier's list, or whatever there is."""

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from grue.exposure.digest import Digest, step_at
from grue.exposure.lives import DAY, Sighting, View
from grue.exposure.records import Asked, CallDetail, Return, Snapshot
from grue.pages.life_material import Drawn
from grue.pages.life_words import words
from grue.pages.page import Listing, Row, day, many, moment

LISTED: Final = 400
"""Records that a page shows of each view."""
DOWNLOADED: Final = 3200
"""Records in the CSV of a return or a carrier's list."""


def record(drawn: Drawn, at: int) -> Iterator[str]:
    """The first thing that a view's section shows."""
    yield "<h3>The record itself</h3>"
    material, found = drawn.material, drawn.found[at]
    begun = material.found.brief.begun
    if found.view is View.CLASSIC and material.returned is not None:
        yield from _return(drawn, material.returned, begun, found.steps)
    elif found.view is View.CARRIER and material.calls:
        yield from _calls(drawn, found, begun)
    else:
        yield from _sightings(drawn, at, begun)


def _held(found: Digest, count: int) -> str:
    return (
        f"{many(found.records, 'record')} in the capture, whoever they are about; "
        f"{count:,} are the target's, or leave open on one side whose they are."
    )


# --- the classic directory's return -----------------------------------------------------------------


def _return(drawn: Drawn, one: Return, begun: float, steps: Sequence[int]) -> Iterator[str]:
    for step, days in enumerate(steps):
        yield from _cover(one, begun + days * DAY if step < len(steps) - 1 else math.inf, step)
    yield f'<p class="quiet">{escape(one.notice)}</p>'
    rows = [Row(_asked(asked), step_at(asked.at, begun, steps)) for asked in one.records()]
    head = ["Date and time (UTC)", "Source", "Client address", "Number asked for", "Devices"]
    lines = drawn.part(LISTED), drawn.part(DOWNLOADED)
    caption = f"Return of order {one.order}: every number that was typed on {one.target}"
    yield from Listing(caption, head, rows, "return", *lines, "record", ends=True).lines()
    yield from Listing(
        "Its snapshots: one of the order, and one of each extension",
        ["No.", "From", "To", "Records"],
        list(_snapshots(one.snapshots, begun, steps)),
        "return-snapshots",
        style="whole",
    ).lines()


def _cover(one: Return, cut: float, step: int) -> Iterator[str]:
    """As it would be if it were produced at `cut`."""
    snapshots = [snapshot for snapshot in one.snapshots if snapshot.begun < cut]
    count = sum(asked.at < cut for asked in one.records())
    whole = len(snapshots) == len(one.snapshots)
    until = one.until if whole else snapshots[-1].ended
    yield f'<dl class="x{step}">'
    for name, says in (
        ("Order", str(one.order)),
        ("Account", one.target),
        ("Records asked for from", f"{moment(one.begun)} UTC"),
        ("Until", f"{moment(until)} UTC"),
        ("Produced", f"{moment(min(cut, one.produced))} UTC"),
        ("Responsive records", f"{count:,}, in {many(len(snapshots), 'snapshot')}" if count else "none"),
    ):
        yield f"<dt>{name}</dt><dd>{escape(says)}</dd>"
    yield "</dl>"


def _snapshots(snapshots: Sequence[Snapshot], begun: float, steps: Sequence[int]) -> Iterator[Row]:
    """A line of each, and one for each step that ends within it."""
    for number, snapshot in enumerate(snapshots, 1):
        for step, days in enumerate(steps):
            cut = begun + days * DAY
            if snapshot.begun >= cut and step < len(steps) - 1:
                continue
            whole = snapshot.ended <= cut or step == len(steps) - 1
            records = snapshot.records if whole else [asked for asked in snapshot.records if asked.at < cut]
            cells = [str(number), day(snapshot.begun), day(min(snapshot.ended, cut)), f"{len(records):,}"]
            yield Row(cells, step, only=not whole)
            if whole:
                break


def _asked(one: Asked) -> list[str]:
    return [moment(one.at), one.account, one.address, one.number, str(one.devices)]


# --- a carrier's list -------------------------------------------------------------------------------


def _calls(drawn: Drawn, found: Digest, begun: float) -> Iterator[str]:
    calls = drawn.material.calls
    yield f'<p class="quiet">{_held(found, len(calls))} {_texts(calls)}</p>'
    rows = [Row(_call(one), step_at(one.at, begun, found.steps)) for one in calls]
    head = ["Date and time (UTC)", "Kind", "From", "To", "Seconds", "Text"]
    lines = drawn.part(LISTED), drawn.part(DOWNLOADED)
    caption = "The carrier's list of calls and SMS, as it was at the end"
    yield from Listing(caption, head, rows, "carrier-list", *lines, "record", ends=True).lines()


def _texts(calls: Sequence[CallDetail]) -> str:
    """Why most lines have no text."""
    kept = [one.at for one in calls if one.text]
    if not kept:
        return "Texts of SMS are kept for days only: no line has one."
    return (
        f"Texts of SMS are kept for days only: {len(kept):,} of {many(len(calls), 'line')} have one, from "
        f"{day(kept[0])} on. SMS before that had one when they were new."
    )


def _call(one: CallDetail) -> list[str]:
    return [moment(one.at), one.kind, one.sender, one.to, str(one.seconds or ""), one.text]


# --- what an observer of Grue can make out ----------------------------------------------------------


def _sightings(drawn: Drawn, at: int, begun: float) -> Iterator[str]:
    found, sightings = drawn.found[at], drawn.shown[at].sightings
    yield f'<p class="quiet">{_held(found, len(sightings))}</p>'
    listed = drawn.part(LISTED)
    # There may be a million, and cells are made of those alone that have a place.
    rows = [
        Row(_sighted(one) if min(n, len(sightings) - n) <= listed else (), step_at(one.at, begun, found.steps))
        for n, one in enumerate(sightings)
    ]
    head = ["Date and time (UTC)", "What", "By", "To"]
    caption = f"What {words(found.view).phrase} can make out"
    file = f"record-{slug(found.view)}"
    yield from Listing(caption, head, rows, file, listed, listed, "record", ends=True).lines()


def slug(view: View) -> str:
    """For the names of files."""
    return "-".join("".join(one if one.isalnum() else " " for one in view).split())


def _sighted(one: Sighting) -> list[str]:
    if one.spread >= DAY:
        at = f"{day(one.at)} or the day after" if one.at % DAY else f"{day(one.at)}, hour unknown"
    else:
        at = moment(one.at)
    return [at, one.kind, one.who or "not named", one.whom or "not named"]
