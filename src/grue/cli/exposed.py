"""`exposure`: what this home has given to whom so far, by its own record."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from grue.cli.opening import opened
from grue.cli.parameters import Injected

if TYPE_CHECKING:
    from rich.console import RenderableType

    from grue.client.transport import TransportSettings
    from grue.exposure.own import Row


async def exposure(
    *,
    html: Annotated[Path | None, Parameter(help="Write it as a page, too, that needs no network.")] = None,
    shell: Injected,
) -> None:
    """Show what this home has given to whom so far, and what they could not see by it."""
    from grue.exposure.own import own_exposure

    async with opened(shell) as client:
        rows = own_exposure(await client.exposure())
        days, settings = await client.exposure_days(), await client.transport_settings()
    if html is not None:
        _write(html, rows, days, settings)
        shell.note(f"The page is in {html}.")
    for row in rows:
        shell.emit(
            {
                "party": row.party,
                "kind": row.kind,
                "given": row.what,
                "hidden": row.hidden or None,
                "times": row.times,
            }
        )
    shell.say(lambda: _table(rows))


def _write(html: Path, rows: "list[Row]", days: list[tuple[int, int]], settings: "TransportSettings") -> None:
    from grue.cli.own_page import page
    from grue.cli.subpoena_page import write
    from grue.exposure.own import sights

    dated = [(datetime.fromtimestamp(day * 86_400, UTC).date().isoformat(), count) for day, count in days]
    seen = sights(relay=bool(settings.relay), proxy=bool(settings.proxy))
    write(html, page(rows, seen, dated))


def _table(rows: "list[Row]") -> "RenderableType":
    from rich.console import Group
    from rich.table import Table

    from grue.exposure.own import CAVEAT

    if not rows:
        return "Nothing has been given to anybody yet."
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("who", style="bold", no_wrap=True)
    table.add_column("has been given")
    table.add_column("times", justify="right")
    table.add_column("and cannot tell")
    last = ""
    for row in rows:
        table.add_row("" if row.party == last else row.party, row.what, str(row.times), row.hidden)
        last = row.party
    return Group(table, "", CAVEAT)
