"""The words for what a server holds about a number; the terminal and the page use the same."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grue.server.demands.subpoena import Answer, HeldColumn, HeldRow

LISTED: Final = 3
"""Rows of a table that are listed one by one; more are summed up. `--json` has each."""

HELD: Final = "What is held today"
LIVE: Final = "What a live order could add from now on"
CANNOT: Final = "What cannot be answered, and why"


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
