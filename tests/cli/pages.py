"""Read a page back: its tables, and the files behind its links."""

import csv
import io
from html.parser import HTMLParser
from urllib.parse import unquote


class Reader(HTMLParser):
    """Tables by caption, as rows of cells; CSVs by name; tags, and addresses of anything.

    Rows have the classes by which a slider shows them: `f2` is there from the third step on, `x2` in the third alone.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.shapes: list[tuple[str, dict[str, str]]] = []
        """Every tag with its attributes."""
        self._styles: dict[str, list[str]] = {}
        self.files: dict[str, list[list[str]]] = {}
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self._caption = ""
        self._in_caption = self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        self.shapes.append((tag, {name: value or "" for name, value in attrs}))
        self.addresses += [values[name] or "" for name in ("src", "href", "action", "data") if name in values]
        if tag == "a" and (name := values.get("download")):
            body = unquote((values["href"] or "").removeprefix("data:text/csv;charset=utf-8,"))
            self.files[name] = list(csv.reader(io.StringIO(body)))
        if tag == "caption":
            self._in_caption, self._caption = True, ""
        elif tag == "tr":
            self.tables.setdefault(self._caption, []).append([])
            self._styles.setdefault(self._caption, []).append(values.get("class") or "")
        elif tag in ("td", "th"):
            self._in_cell = True
            self.tables[self._caption][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "caption":
            self._in_caption = False
        elif tag in ("table", "thead"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._in_caption:
            self._caption += data
        elif self._in_cell:
            self.tables[self._caption][-1][-1] += data.strip("\n")

    def table(self, begins: str, step: int = 99) -> list[list[str]]:
        """The rows under the head of the only table whose caption begins so, as a step of the slider shows them;
        without one as the last does. Lines that say what is left out are none.
        """
        ((caption, rows),) = [one for one in self.tables.items() if one[0].startswith(begins)]
        styles = self._styles[caption]
        return [row for row, style in list(zip(rows, styles, strict=True))[1:] if shown(style, step)]


def shown(style: str, step: int) -> bool:
    """Whether a class is of what a step shows."""
    if "gap" in style:
        return False
    return all(
        (kind == "f" and int(at) <= step) or (kind == "x" and int(at) == step) or (kind == "u" and int(at) != step)
        for kind, at in ((one[0], one[1:]) for one in style.split())
        if kind in "fxu" and at.isdigit()
    )
