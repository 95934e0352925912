"""`subpoena`: what a server could hand over about a number, and what it could not."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from grue.cli.opening import typed
from grue.cli.parameters import ANY_NUMBER, HYPHENS, Injected
from grue.errors import UsageError
from grue.protocol.numbers import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import RenderableType

    from grue.server.subpoena import Answer, HeldColumn, HeldRow

LISTED: Final = 3
"""Rows of a table that are listed one by one; more are summed up. `--json` has each."""

HELD: Final = "What is held today"
LIVE: Final = "What a live order could add from now on"
CANNOT: Final = "What cannot be answered, and why"


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
    from grue.cli.subpoena_page import page, write
    from grue.server.subpoena import gather

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


# --- for people, here and on the page -------------------------------------------------------------


def opening(answer: "Answer") -> str:
    """In a sentence whether the number is there."""
    if answer.registered:
        return f"{answer.number} is registered on this server."
    if answer.held:
        return f"{answer.number} is not registered on this server. What is listed is all that is left of it."
    return f"{answer.number} is not registered on this server, and nothing is held about it."


def tables(answer: "Answer") -> "Iterator[tuple[str, list[tuple[str, str, str]]]]":
    """A title and (column, value, what it says) for each row, or for all rows of a table that has many."""
    grouped: dict[str, list[HeldRow]] = {}
    for row in answer.held:
        grouped.setdefault(row.table, []).append(row)
    for table, rows in grouped.items():
        if len(rows) > LISTED:
            columns = zip(*(row.columns for row in rows), strict=True)
            yield f"{table}, {len(rows)} rows", [(one[0].name, _summed_up(one), one[0].says) for one in columns]
            continue
        for n, row in enumerate(rows, 1):
            title = f"{table}, row {n} of {len(rows)}" if len(rows) > 1 else table
            yield title, [(column.name, _value(column), column.says) for column in row.columns]


def _value(column: "HeldColumn") -> str:
    said = "(empty)" if column.value is None else str(column.value)
    if notes := [note for note in (column.date, column.means) if note is not None]:
        said += f" ({'; '.join(notes)})"
    if column.others:
        said += f" (and in {column.others} rows that are not this number's)"
    return said


def _summed_up(columns: "tuple[HeldColumn, ...]") -> str:
    values = list(dict.fromkeys(map(_value, columns)))
    if len(values) <= LISTED:
        return "\n".join(values)
    numbers = [column.value for column in columns if isinstance(column.value, int)]
    if len(numbers) == len(columns):
        ends = [_value(min(columns, key=_number)), _value(max(columns, key=_number))]
        return " to ".join(ends)
    sizes = sorted({_size(column.value) for column in columns})
    return f"{len(values)} values, such as {values[0]}" if len(sizes) > 1 else f"{len(values)} values of {sizes[0]}"


def _number(column: "HeldColumn") -> int:
    return column.value if isinstance(column.value, int) else 0


def _size(value: object) -> str:
    text = str(value)
    return text.partition(",")[0] if " bytes, " in text else f"{len(text) // 2} bytes"


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
