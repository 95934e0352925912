"""`exposure`: tell what this home has given to whom, this week or since it was made, by its own record."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from grue.cli.opening import opened
from grue.cli.parameters import FLAG, Injected
from grue.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from grue.client.transport.transport import TransportSettings
    from grue.exposure.own import Row


THIS_WEEK: Final = 7
"""Days, today among them."""


async def exposure(
    *,
    days: Annotated[
        int | None, Parameter(help="The last so many days, today among them; 7 when nothing is said.")
    ] = None,
    since: Annotated[str | None, Parameter(help="From this day on instead, written as YYYY-MM-DD.")] = None,
    everything: Annotated[bool, FLAG, Parameter(name="--all", help="Since this home was made.")] = False,
    html: Annotated[Path | None, Parameter(help="Write it as a page, too, that needs no network.")] = None,
    shell: Injected,
) -> None:
    """Show what each party was given by this home this week, and what they could not see by it.

    Days are by UTC: the home's own record has no hours.
    """
    from grue.exposure.own import own_exposure

    first = first_day(days, since, everything=everything, today=datetime.now(UTC).date())
    async with opened(shell) as client:
        rows = own_exposure(await client.exposure.since(first))
        by_day, settings = await client.exposure.by_day(first), await client.account.transport_settings()
    if html is not None:
        _write(html, rows, by_day, settings, first)
        shell.note(f"The page is in {html}.")
    for row in rows:
        shell.emit(
            {
                "party": row.party,
                "kind": row.kind,
                "given": row.what,
                "hidden": row.hidden or None,
                "times": row.times,
                "since": first and first.isoformat(),
            }
        )
    shell.say(lambda: _table(rows, first))


def first_day(days: int | None, since: str | None, *, everything: bool, today: date) -> date | None:
    """The first day that is asked for, None for all there are. Raises UsageError."""
    if (days is not None) + (since is not None) + everything > 1:
        raise UsageError("--days, --since and --all each say from when on: give one of them.")
    if everything:
        return None
    if since is None:
        return _back(THIS_WEEK if days is None else days, today)
    try:
        first = datetime.strptime(since, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise UsageError("A date is written as YYYY-MM-DD.") from None
    if first > today:
        raise UsageError("--since is a day that has not come yet.")
    return first


def _back(days: int, today: date) -> date:
    if days < 1:
        raise UsageError("--days is 1 at least: today.")
    return date.fromordinal(max(today.toordinal() - days + 1, 1))


def _write(
    html: Path, rows: "list[Row]", days: list[tuple[int, int]], settings: "TransportSettings", first: date | None
) -> None:
    from grue.exposure.own import sights
    from grue.pages.own_page import page
    from grue.pages.page import write

    dated = [(datetime.fromtimestamp(day * 86_400, UTC).date().isoformat(), count) for day, count in days]
    seen = sights(relay=bool(settings.relay), proxy=bool(settings.proxy))
    write(html, page(rows, seen, dated, first))


def _table(rows: "list[Row]", first: date | None) -> "RenderableType":
    from rich.console import Group
    from rich.table import Table

    from grue.exposure.own import CAVEAT, when

    if not rows:
        return f"Nothing was given to anybody {when(first)}."
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("who", style="bold", no_wrap=True)
    table.add_column("has been given")
    table.add_column("times", justify="right")
    table.add_column("and cannot tell")
    last = ""
    for row in rows:
        table.add_row("" if row.party == last else row.party, row.what, str(row.times), row.hidden)
        last = row.party
    return Group(f"What was given {when(first)}:", "", table, "", CAVEAT)
