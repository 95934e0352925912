"""What pages are made of: the frame, which lets nothing in from outside, and tables, each with its CSV."""

import base64
import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Final
from urllib.parse import quote

from grue.cli.page_style import STYLE

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that a spreadsheet would calculate."""

Cells = Sequence[str]


@dataclass(frozen=True)
class Row:
    """A line of a table. Cells are texts, and escaped when they are written."""

    cells: Cells
    style: str = ""
    """A class: `f2` is there from the third step on."""


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

    def lines(self) -> Iterator[str]:
        """HTML. What is wider or longer than the screen scrolls in itself, also by the keyboard."""
        shown = f" (the first {self.listed:,} of {len(self.rows):,})" if len(self.rows) > self.listed else ""
        caption = escape(self.caption + shown)
        yield f'<div class="scroll {self.style}" role="region" tabindex="0" aria-label="{caption}">'
        yield f"<table><caption><span>{caption}</span></caption><thead><tr>"
        yield "".join(f'<th scope="col">{escape(one)}</th>' for one in self.head)
        yield "</tr></thead><tbody>"
        for row in self.rows[: self.listed]:
            yield _row(row)
        if not self.rows:
            yield f'<tr><td colspan="{len(self.head)}">Nothing.</td></tr>'
        yield "</tbody></table></div>"
        part = f" of the first {self.downloaded:,}" if len(self.rows) > self.downloaded else ""
        yield download(self.file, self.caption, self.head, [row.cells for row in self.rows[: self.downloaded]], part)


def _row(row: Row) -> str:
    # End tags of rows and cells may be left out in HTML, and are a tenth of the page.
    opening = f'<tr class={row.style}><th scope="row">' if row.style else '<tr><th scope="row">'
    return opening + "<td>".join(escape(one) for one in row.cells)


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
