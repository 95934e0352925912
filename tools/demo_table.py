"""Put the table of who learned what into the README, from a real run.

`grue demo --keep DIR`, then `python tools/demo_table.py DIR`. With `--check` it writes nothing, and fails when that run
and the README disagree.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Final

README: Final = Path(__file__).resolve().parent.parent / "README.md"
PART: Final = re.compile(r"(<!-- demo-table -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> int:
    parser = argparse.ArgumentParser(description="Put the table of who learned what into the README.")
    parser.add_argument("kept", type=Path, help="what `grue demo --keep` left")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the README shows another table")
    arguments = parser.parse_args()
    table = (arguments.kept / "who-learned-what.md").read_text()
    old = README.read_text()
    new = PART.sub(lambda match: f"{match[1]}\n{table}\n{match[2]}", old)
    if not arguments.check:
        README.write_text(new)
    elif new != old:
        print(f"README.md shows another table than this run, which gave:\n\n{table}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
