"""The page of `subpoena --html`: one file without scripts, which loads nothing from a network and prints well."""

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Final

from grue.pages.subpoena_words import CANNOT, HELD, LISTED, LIVE, opening, tables

if TYPE_CHECKING:
    from grue.server.demands.subpoena import Answer

STYLE: Final = """
:root { color-scheme: light dark; --line: #c8c8c8; --quiet: #555; --band: #f3f3f3; }
@media (prefers-color-scheme: dark) { :root { --line: #555; --quiet: #b0b0b0; --band: #262626; } }
@page { size: A4; margin: 18mm 16mm; @bottom-right { content: counter(page) " of " counter(pages); font-size: 9pt; } }
body { font: 11pt/1.45 Georgia, "Times New Roman", serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; break-after: avoid; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: 1rem 0; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
.state { font-weight: bold; }
table { width: 100%; border-collapse: collapse; table-layout: fixed; font-size: .86rem; }
table { margin: 0 0 1.2rem; break-inside: avoid; }
caption { text-align: left; font-weight: bold; padding: .25rem 0; break-after: avoid; }
th, td { text-align: left; vertical-align: top; padding: .25rem .5rem; border-top: 1px solid var(--line); }
thead th { background: var(--band); }
tbody th { font-weight: normal; }
tr { break-inside: avoid; }
.column { width: 20%; }
.value { width: 42%; }
.question { width: 38%; }
code { font: .92em/1.4 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; white-space: pre-line; }
li { margin: .25rem 0; }
@media print {
  :root { color-scheme: light; --line: #999; --quiet: #333; --band: #eee; }
  body { margin: 0; padding: 0; max-width: none; font-size: 10pt; }
}
"""


def page(answer: "Answer") -> str:
    """The whole file. Whatever comes from the database is escaped."""
    return "\n".join(_lines(answer))


def _lines(answer: "Answer") -> Iterator[str]:
    title = f"What a Grue server holds about {answer.number}"
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    yield f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
    yield f"<header><h1>{escape(title)}</h1>"
    yield f'<p class="state">{escape(opening(answer))}</p><dl>'
    yield f"<dt>Date of this answer</dt><dd>{answer.made:%-d %B %Y, %H:%M} UTC</dd>"
    yield f"<dt>Server's public key</dt><dd><code>{_grouped(answer.fingerprint)}</code> (SHA-256)</dd>"
    yield "</dl></header><main>"
    yield from _held(answer)
    yield from _live(answer)
    yield from _cannot(answer)
    yield from _made(answer)
    yield "</main></body></html>"
    yield ""


def _held(answer: "Answer") -> Iterator[str]:
    yield f"<section><h2>1. {HELD}</h2>"
    empty = True
    for title, rows in tables(answer):
        empty = False
        head = '<th scope="col" class="column">Column</th><th scope="col" class="value">Value</th>'
        yield f"<table><caption>{escape(title)}</caption>"
        yield f'<thead><tr>{head}<th scope="col">What it says</th></tr></thead><tbody>'
        for name, value, says in rows:
            yield (
                f'<tr><th scope="row"><code>{escape(name)}</code></th>'
                f"<td><code>{escape(value)}</code></td><td>{escape(says)}</td></tr>"
            )
        yield "</tbody></table>"
    if empty:
        yield "<p>Nothing.</p>"
    yield "</section>"


def _live(answer: "Answer") -> Iterator[str]:
    yield f"<section><h2>2. {LIVE}</h2>"
    yield "<p>None of this is stored. A server that is ordered to watch could note, while it runs:</p><ul>"
    for one in answer.live:
        yield f"<li>{escape(one)}</li>"
    yield "</ul></section>"


def _cannot(answer: "Answer") -> Iterator[str]:
    yield f"<section><h2>3. {CANNOT}</h2>"
    yield "<table><caption>Questions without an answer</caption><thead>"
    yield '<tr><th scope="col" class="question">Question</th><th scope="col">Why there is no answer</th></tr>'
    yield "</thead><tbody>"
    for one in answer.cannot:
        yield f'<tr><th scope="row">{escape(one.question)}</th><td>{escape(one.why)}</td></tr>'
    yield "</tbody></table></section>"


def _made(answer: "Answer") -> Iterator[str]:
    from grue import __version__

    state = "running" if answer.served else "stopped"
    yield "<section><h2>How this was made</h2>"
    yield (
        f"<p>By <code>grue subpoena</code>, version {escape(__version__)}, from the files of a server that was "
        f"{state}; nothing in them was changed, and nothing was logged. With the directory's key the number gives a "
        "tag. Every row of every table of the database that holds this tag was taken, then every row that holds an "
        "identifier found in those, and so on until nothing was added. Tables and columns are those that the database "
        "has, not those of a list. A value that rows of others hold in the same column was not followed. Besides, "
        "every record under the tag in the directory's files was opened.</p>"
    )
    yield (
        f"<p>Of a table with more than {LISTED} rows the page gives the sum; <code>--json</code> gives each row. "
        "Values of more than 64 bytes are given by size and the beginning of their SHA-256. Days and weeks count from "
        "1 January 1970. Backups, and the times that the file system keeps, were not looked at.</p></section>"
    )


def _grouped(fingerprint: str) -> str:
    return " ".join(fingerprint[at : at + 4] for at in range(0, len(fingerprint), 4))
