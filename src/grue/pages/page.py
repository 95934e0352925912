"""The parts of a page: the frame, which loads nothing from outside, and tables, each with its CSV."""

import base64
import csv
import errno
import hashlib
import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Final
from urllib.parse import quote

from grue.errors import DiskFull, UsageError
from grue.pages.page_style import ON_PAPER, STYLE

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that a spreadsheet would calculate."""

Cells = Sequence[str]


@dataclass(frozen=True)
class Row:
    """A line of a table. Cells are texts, and escaped when they are written."""

    cells: Cells
    step: int = 0
    """The slider's, from which on the line is there."""
    only: bool = False
    """It is there in that step alone, and a fuller one in its place later: a CSV has the fuller one."""
    shades: Sequence[int] = ()
    """How strong each cell is shaded, 0 to 4."""

    def style(self) -> str:
        return f"x{self.step}" if self.only else f"f{self.step}" if self.step else ""


@dataclass(frozen=True)
class Listing:
    """A table, and as CSV. What is left out of either is said."""

    caption: str
    head: Cells
    rows: Sequence[Row]
    file: str
    """What the CSV is called, without its ending."""
    listed: int = 10_000
    """Rows that the table shows at most."""
    downloaded: int = 10_000
    """Rows that the CSV has at most."""
    style: str = ""
    ends: bool = False
    """What is left out lies in the middle, and not at the end: of records by time, both ends say something."""
    grouped: bool = False
    """The first cell of rows that follow on each other stands once above them."""

    def lines(self) -> Iterator[str]:
        """HTML. What is wider or longer than the screen scrolls in itself, also by the keyboard."""
        first, left, last = self._parted(self.rows, self.listed)
        said = f"{self._first(self.listed)} of {len(self.rows):,}" if left else ""
        caption = escape(self.caption + (f" ({said})" if left else ""))
        long = " long" if len(first) + len(last) > 2 * ON_PAPER else ""
        yield f'<div class="scroll {self.style}{long}" role="region" tabindex="0" aria-label="{caption}">'
        yield f"<table><caption><span>{caption}</span></caption><thead><tr>"
        yield "".join(f'<th scope="col">{escape(one)}</th>' for one in self.head[self.grouped :])
        yield "</tr></thead><tbody>"
        yield from self._nothing((*first, *last))
        yield from self._rows(first)
        if left:
            yield self._gap(left)
        yield from self._rows(last)
        yield "</tbody></table></div>"
        if long:
            yield f'<p class="onpaper">On paper at most the first {ON_PAPER} lines and the last {ON_PAPER}.</p>'
        yield self._download()

    def _rows(self, rows: Sequence[Row]) -> Iterator[str]:
        if not self.grouped:
            yield from map(_row, rows)
            return
        for name, group in groupby(rows, key=lambda row: row.cells[0]):
            yield f'<tr><th scope="rowgroup" colspan="{len(self.head) - 1}">{escape(name)}</th></tr>'
            yield from (_row(replace(row, cells=row.cells[1:])) for row in group)

    def _parted(self, rows: Sequence[Row], most: int) -> tuple[Sequence[Row], Sequence[Row], Sequence[Row]]:
        """What is shown, what is left out, and what is shown after it."""
        if len(rows) <= most:
            return rows, (), ()
        end = len(rows) - most // 2 if self.ends else len(rows)
        begin = most - (len(rows) - end)
        return rows[:begin], rows[begin:end], rows[end:]

    def _first(self, most: int) -> str:
        half = most // 2
        return f"the first {most - half:,} and the last {half:,}" if self.ends else f"the first {most:,}"

    def _nothing(self, rows: Sequence[Row]) -> Iterator[str]:
        """A line for each step of the slider that empties the table."""
        wide = len(self.head)
        if not self.rows:
            yield f'<tr><td colspan="{wide}">Nothing.</td></tr>'
        for step in range(min((row.step for row in rows), default=0)):
            yield f'<tr class="x{step}"><td colspan="{wide}">Nothing in so few days.</td></tr>'

    def _gap(self, left: Sequence[Row]) -> str:
        """How many lines are left out, in each step of the slider."""
        counts = Counter(row.step for row in left)
        begin, end, total = min(counts), max(counts), 0
        said = []
        for step in range(begin, end + 1):
            total += counts[step]
            said.append(f'<span class="{"f" if step == end else "x"}{step}">{total:,}</span>')
        where = "more between these, left out here" if self.ends else "more, left out here"
        return f'<tr class="gap f{begin}"><td colspan="{len(self.head)}">{"".join(said)} {where}</td></tr>'

    def _download(self) -> str:
        rows = [row for row in self.rows if not row.only]
        first, left, last = self._parted(rows, self.downloaded)
        part = f" of {self._first(self.downloaded)}" if left else ""
        return download(self.file, self.caption, self.head, [row.cells for row in (*first, *last)], part)


def _row(row: Row) -> str:
    # End tags of rows and cells may be left out in HTML, and are a tenth of the page.
    style = row.style()
    opening = f'<tr class={style}><th scope="row">' if style else '<tr><th scope="row">'
    shades = row.shades or [0] * len(row.cells)
    pairs = list(zip(map(escape, row.cells), shades, strict=True))
    return (
        opening
        + pairs[0][0]
        + "".join(f"<td class=q{shade}>{one}" if shade else f"<td>{one}" for one, shade in pairs[1:])
    )


def download(file: str, caption: str, head: Cells, rows: Iterable[Cells], part: str = "") -> str:
    """A link whose address is the file itself."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_inert(cell) for cell in row] for row in rows)
    address = "data:text/csv;charset=utf-8," + quote(text.getvalue(), safe=",:;+-_.()!*@=/")
    label = escape(f"CSV{part}: {caption}")
    return f'<p class="csv"><a download="{escape(file)}.csv" href="{address}" aria-label="{label}">CSV{part}</a></p>'


def _inert(cell: str) -> str:
    """A number stays as it is; a text that would be a formula gets an apostrophe before it."""
    plain = cell[1:].isdigit() if cell.startswith("+") else not cell.startswith(FORMULA)
    return cell if plain else f"'{cell}"


def document(title: str, body: Iterable[str], script: str = "") -> str:
    """One file. Its policy lets in this style and this script by their hashes, and nothing else from anywhere."""
    policy = f"default-src 'none'; style-src {_hash(STYLE)}; base-uri 'none'; form-action 'none'"
    if script:
        policy += f"; script-src {_hash(script)}"
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
    )
    end = f"<script>{script}</script>" if script else ""
    return "\n".join([head, *body, f"{end}</body></html>\n"])


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def moment(at: float) -> str:
    """Unix seconds as a date with time, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def many(count: int, what: str) -> str:
    """`1 day`, `2,000 days`."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def write(path: Path, text: str) -> None:
    """Write the page, for its owner's eyes. Raises UsageError, DiskFull."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull from None
        raise UsageError(f"The page cannot be written there: {os.strerror(error.errno or 0)}.") from None
