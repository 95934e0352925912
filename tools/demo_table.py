"""Put the tables of who learned what into the documents, from two real runs: one without a relay, one with one.

`grue demo --direct --keep DIRECT` and `grue demo --keep RELAYED`, then `python tools/demo_table.py DIRECT RELAYED`.
With `--check` it writes nothing, and fails when a run and a document disagree. Three parts are filled:

    <!-- demo-table: direct -->   who learned what without a relay, which is the default
    <!-- demo-table: relayed -->  the same with a relay
    <!-- demo-table: change -->   of the rows in which the two differ: the live server before and after, and the relay
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Final

from grue.exposure.captures import RELAY, SERVER_LIVE

ROOT: Final = Path(__file__).resolve().parent.parent
DOCUMENTS: Final = (ROOT / "README.md", ROOT / "docs" / "exposure.md")
PART: Final = re.compile(r"(<!-- demo-table: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def tables(direct: str, relayed: str) -> dict[str, str]:
    """The parts by name, from the two tables in Markdown."""
    return {"direct": direct, "relayed": relayed, "change": _change(_cells(direct), _cells(relayed))}


def _change(direct: list[list[str]], relayed: list[list[str]]) -> str:
    """Only what a relay changes: what the live server learns no more, and what the relay learns."""
    before, after, relay = direct[0].index(SERVER_LIVE), relayed[0].index(SERVER_LIVE), relayed[0].index(RELAY)
    lines = [["", "server, live, without a relay", "server, live, with a relay", "the relay"], ["---"] * 4]
    lines += [
        [old[0], old[before], new[after], new[relay]]
        for old, new in zip(direct[2:], relayed[2:], strict=True)
        if old[before] != new[after] or new[relay] != "no"
    ]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]


def main() -> int:
    parser = argparse.ArgumentParser(description="Put the tables of who learned what into the documents.")
    parser.add_argument("direct", type=Path, help="what `grue demo --direct --keep` left")
    parser.add_argument("relayed", type=Path, help="what `grue demo --keep` left")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a document shows another table")
    arguments = parser.parse_args()
    kept = (arguments.direct, arguments.relayed)
    parts = tables(*((folder / "who-learned-what.md").read_text() for folder in kept))
    stale = False
    for document in DOCUMENTS:
        old = document.read_text()
        new = PART.sub(lambda match: f"{match[1]}\n{parts[match['name']]}\n{match[3]}", old)
        stale |= new != old
        if not arguments.check:
            document.write_text(new)
        elif new != old:
            print(f"{document.relative_to(ROOT)} shows another table than these runs, which gave:\n")
            print("\n".join(parts.values()))
    return int(stale and arguments.check)


if __name__ == "__main__":
    sys.exit(main())
