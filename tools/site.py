"""Build the documents as a site: `python tools/site.py dist/site`. Any broken link, and anything fetched, is an error.

The Markdown files lie in the site as they lie in the project, so their links among themselves need no change. Three
things are done to a copy of them before MkDocs reads it: a link to code becomes a path to read, since a site has no
code; a state machine becomes a table, since to draw it in the browser would take 3 MB of JavaScript; and the address of
a section is the one that a forge gives it. What comes out fetches nothing from anywhere, and its pages open from the
disk; only the search needs a web server, whichever.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
CONFIGURATION: Final = ROOT / "tools" / "site.yml"
STYLE: Final = ROOT / "tools" / "site.css"

LINK: Final = re.compile(r"(?<!!)\[(?P<text>[^\]\[]+)\]\((?P<target>(?!\w+:)[^)#\s]+)(?P<section>#[^)\s]*)?\)")
STATES: Final = re.compile(r"```mermaid\nstateDiagram-v2\n(?P<lines>.*?)```\n", re.DOTALL)
STEP: Final = re.compile(r"^ *(?P<state>[\w*\[\]]+) --> (?P<target>[\w*\[\]]+)(?:: (?P<events>.*))?$", re.MULTILINE)
END: Final = "[*]"
"""Where a diagram begins and ends."""

FETCHED: Final = re.compile(
    r"""(?:<(?:script|img|iframe|source|video|audio)\b[^>]*\bsrc|<link\b(?![^>]*\brel="?canonical)[^>]*\bhref)="?(https?:[^"\s>]+)"""
    r"""|(?:url\(|@import |importScripts\()["']?(https?:[^"')\s]+)""",
    re.IGNORECASE,
)
"""What a browser would fetch by itself from another machine."""


def documents() -> Iterator[Path]:
    """What the site is made of, by the paths in the project."""
    found = [path for one in ("*.md", "examples/*.md", "docs/**/*.md", "docs/images/*.svg") for path in ROOT.glob(one)]
    yield from (path.relative_to(ROOT) for path in sorted(found))


def staged(path: Path, text: str) -> str:
    """A document as the site has it."""
    return STATES.sub(lambda match: _as_table(match["lines"]), _without_code_links(path, text))


def _without_code_links(path: Path, text: str) -> str:
    def kept_or_named(match: re.Match[str]) -> str:
        target = (ROOT / path.parent / match["target"]).resolve()
        if target.is_dir() and target.is_relative_to(ROOT / "docs"):
            return f"[{match['text']}]({match['target'].rstrip('/')}/{_first_page(target)})"
        if target.suffix == ".md" and target.exists():
            return match[0]
        if not target.exists():
            return match[0]
        where = target.relative_to(ROOT)
        return f"{match['text']} (`{where}`)" if str(where) not in match["text"] else match["text"]

    return LINK.sub(kept_or_named, text)


def _first_page(folder: Path) -> str:
    """What a link to a folder leads to: its own page, or the first one in it."""
    readme = folder / "README.md"
    return readme.name if readme.exists() else min(path.name for path in folder.glob("*.md"))


def _as_table(lines: str) -> str:
    steps = [(one["state"], one["events"], one["target"]) for one in STEP.finditer(lines)]
    begins = ", ".join(f"`{target}`" for state, _, target in steps if state == END)
    ends = ", ".join(f"`{state}`" for state, _, target in steps if target == END)
    rows = [f"| `{state}` | {events} | `{target}` |\n" for state, events, target in steps if END not in (state, target)]
    said = f"Begins in {begins}" + (f", and ends in {ends}.\n" if ends else "; no state is the last.\n")
    return f"{said}\n| state | event | next state |\n| --- | --- | --- |\n{''.join(rows)}"


def fetched(site: Path) -> list[str]:
    """What pages, styles and scripts of the site would fetch from elsewhere."""
    return [
        f"{path.relative_to(site)}: {match[1] or match[2]}"
        for path in sorted(site.rglob("*"))
        if path.suffix in {".html", ".css", ".js"}
        for match in FETCHED.finditer(path.read_text(errors="replace"))
    ]


def build(site: Path) -> int:
    """Build it; returns 0, or 1 after saying what is wrong."""
    with tempfile.TemporaryDirectory(prefix="grue-site-") as scratch:
        stage = Path(scratch) / "pages"
        for path in documents():
            (stage / path).parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".md":
                (stage / path).write_text(staged(path, (ROOT / path).read_text()))
            else:
                shutil.copy(ROOT / path, stage / path)
        shutil.copy(STYLE, stage / "site.css")
        configuration = Path(scratch) / "mkdocs.yml"
        shutil.copy(CONFIGURATION, configuration)
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--clean"]
        command += ["--config-file", str(configuration), "--site-dir", str(site.resolve())]
        # It would speak of its own future otherwise.
        environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 -- ours
        if done.returncode:
            # With `--quiet` MkDocs would not even count its warnings.
            print("\n".join(line for line in done.stderr.splitlines() if not line.startswith("INFO")))
            return 1
    elsewhere = fetched(site)
    print("\n".join(f"fetched from elsewhere: {one}" for one in elsewhere) or f"{site / 'index.html'} is there.")
    return int(bool(elsewhere))


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the documents as a site.")
    parser.add_argument("site", type=Path, help="the folder that it is built into; what is there is removed")
    return build(parser.parse_args().site)


if __name__ == "__main__":
    sys.exit(main())
