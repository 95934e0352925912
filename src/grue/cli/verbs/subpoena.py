"""`subpoena`: tell what a server could hand over about a number, and what it could not."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from grue.cli.opening import typed
from grue.cli.parameters import ANY_NUMBER, HYPHENS, Injected
from grue.errors import UsageError
from grue.pages.subpoena_words import CANNOT, HELD, LIVE, opening, tables
from grue.protocol.numbers import parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

    from grue.server.demands.subpoena import Answer, HeldColumn


def subpoena(
    number: Annotated[str, HYPHENS, Parameter(help=ANY_NUMBER)],
    /,
    *,
    data: Annotated[Path, Parameter(help="The server's directory. Nothing in it is changed.")],
    directory_key: Annotated[Path | None, Parameter(help="The directory's key file, when not in DATA.")] = None,
    html: Annotated[Path | None, Parameter(help="Write it as a page to print, too.")] = None,
    shell: Injected,
) -> None:
    """Show what a server could hand over about a number, and what it could not. It may be running."""
    from grue.pages.page import write
    from grue.pages.subpoena_page import page
    from grue.server.demands.subpoena import gather

    wanted = parse(typed(number))
    if html is not None and html.resolve().is_relative_to(data.resolve()):
        raise UsageError("The page goes somewhere else than into the server's directory, which stays as it is.")
    with shell.waiting("Reading what is held ..."):
        answer = gather(data, wanted, directory_key)
    if html is not None:
        write(html, page(answer))
    shell.result(fields(answer), lambda: _words(answer))
    if html is not None:
        shell.note(f"The page to print is in {html}.")


def fields(answer: "Answer") -> dict[str, Any]:
    """The answer as `--json` shows it; `date`, `means` and `others` stand where there is something to say."""
    return {
        "number": answer.number,
        "registered": answer.registered,
        "held": [{"table": row.table, "columns": [_column(column) for column in row.columns]} for row in answer.held],
        "live": list(answer.live),
        "cannot": [{"question": one.question, "why": one.why} for one in answer.cannot],
        "server": answer.fingerprint,
    }


def _column(column: "HeldColumn") -> dict[str, Any]:
    more = {"date": column.date, "means": column.means, "others": column.others}
    fields = {"name": column.name, "value": column.value, "says": column.says}
    return fields | {name: value for name, value in more.items() if value}


def _words(answer: "Answer") -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(opening(answer), "bold"), "", Text(HELD, "bold underline")]
    parts += _held(tables(answer)) or ["Nothing."]
    parts += ["", Text(LIVE, "bold underline"), *(Text(f"  - {one}") for one in answer.live)]
    parts += ["", Text(CANNOT, "bold underline")]
    for one in answer.cannot:
        parts += [Text(f"  {one.question}", "bold"), Text(f"    {one.why}")]
    return Group(*parts, "", Text(f"The server's key, as SHA-256: {answer.fingerprint}", "dim"))


def _held(found: "Iterable[tuple[str, list[tuple[str, str, str]]]]") -> "list[RenderableType]":
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = []
    for title, rows in found:
        table = Table(box=None, padding=(0, 2, 0, 2), pad_edge=True, show_header=False)
        table.add_column("column", no_wrap=True)
        table.add_column("value", style="cyan", overflow="fold")
        table.add_column("says", style="dim")
        for row in rows:
            table.add_row(*map(Text, row))
        parts += ["", Text(title, "bold"), table]
    return parts
