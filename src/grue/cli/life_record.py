"""The record itself, as it would be handed over: a directory's return, a carrier's list, or what there is."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Final

from grue.cli.page import Listing, Row, day, many, moment
from grue.exposure.digest import Digest, step_at
from grue.exposure.lives import DAY, Sighting, View
from grue.exposure.records import Asked, CallDetail, Return

if TYPE_CHECKING:
    from grue.cli.life_page import Drawn

LISTED: Final = 400
"""Records that a page shows of each view; of what Grue's observers see, the CSV has no more."""
DOWNLOADED: Final = 3200
"""Records in the CSV of a return or a carrier's list."""


def record(drawn: "Drawn", found: Digest) -> Iterator[str]:
    """The first thing that a view's section shows."""
    yield "<h3>The record itself</h3>"
    material = drawn.material
    if found.view is View.CLASSIC and material.returned is not None:
        yield from _return(material.returned, material.found.brief.begun, found.steps)
    elif found.view is View.CARRIER and material.calls:
        yield from _calls(material.calls, found, material.found.brief.begun)
    else:
        yield from _sightings(drawn.shown[found.view].sightings, found, material.found.brief.begun)


def _held(found: Digest, count: int) -> str:
    return (
        f"{many(found.records, 'record')} in the capture, whoever they are about; "
        f"{count:,} are the target's, or leave open on one side whose they are."
    )


# --- the classic directory's return -----------------------------------------------------------------


def _return(one: Return, begun: float, steps: Sequence[int]) -> Iterator[str]:
    records = one.records()
    yield "<dl>"
    for name, says in (
        ("Order", str(one.order)),
        ("Account", one.target),
        ("Records asked for from", f"{moment(one.begun)} UTC"),
        ("Until", f"{moment(one.until)} UTC"),
        ("Produced", f"{moment(one.produced)} UTC"),
        ("Responsive records", f"{len(records):,}, in {many(len(one.snapshots), 'snapshot')}" if records else "none"),
    ):
        yield f"<dt>{name}</dt><dd>{escape(says)}</dd>"
    yield f'</dl><p class="quiet">{escape(one.notice)}</p>'
    rows = [Row(_asked(asked), f"f{step_at(asked.at, begun, steps)}") for asked in records]
    head = ["Date and time (UTC)", "Source", "Client address", "Number asked for", "Devices"]
    caption = f"Return of order {one.order}: every number that was typed on {one.target}"
    yield from Listing(caption, head, rows, "return", LISTED, DOWNLOADED, "record").lines()
    rows = [
        Row([str(n), day(snapshot.begun), day(snapshot.ended), str(len(snapshot.records))])
        for n, snapshot in enumerate(one.snapshots, 1)
    ]
    yield from Listing(
        "Its snapshots, one for each extension",
        ["No.", "From", "To", "Records"],
        rows,
        "return-snapshots",
        style="whole",
    ).lines()


def _asked(one: Asked) -> list[str]:
    return [moment(one.at), one.account, one.address, one.number, str(one.devices)]


# --- a carrier's list -------------------------------------------------------------------------------


def _calls(calls: Sequence[CallDetail], found: Digest, begun: float) -> Iterator[str]:
    yield f'<p class="quiet">{_held(found, len(calls))}</p>'
    rows = [Row(_call(one), f"f{step_at(one.at, begun, found.steps)}") for one in calls]
    head = ["Date and time (UTC)", "Kind", "From", "To", "Seconds", "Text"]
    caption = "The carrier's list of calls and SMS"
    yield from Listing(caption, head, rows, "carrier-list", LISTED, DOWNLOADED, "record").lines()


def _call(one: CallDetail) -> list[str]:
    return [moment(one.at), one.kind, one.sender, one.to, str(one.seconds or ""), one.text]


# --- what an observer of Grue can make out ----------------------------------------------------------


def _sightings(sightings: Sequence[Sighting], found: Digest, begun: float) -> Iterator[str]:
    yield f'<p class="quiet">{_held(found, len(sightings))}</p>'
    rows = [Row(_sighted(one), f"f{step_at(one.at, begun, found.steps)}") for one in sightings]
    head = ["Date and time (UTC)", "What", "By", "To"]
    caption = f"What {found.view} can make out"
    file = "".join(one for one in found.view if one.isalnum())
    yield from Listing(caption, head, rows, f"record-{file}", LISTED, LISTED, "record").lines()


def _sighted(one: Sighting) -> list[str]:
    if one.spread >= DAY:
        at = f"{day(one.at)} or the day after" if one.at % DAY else f"{day(one.at)}, hour unknown"
    else:
        at = moment(one.at)
    return [at, one.kind, one.who or "not named", one.whom or "not named"]
