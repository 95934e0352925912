"""`python -m bench [NAME...]`: measure, print a table, write `bench/results.json`, and draw the picture of it.

Every module here that has a `measure` is one bench: it returns figures, `{"id", "value", "unit", "reach"}` and
perhaps `peers`. A bench that cannot run here says why, and the others go on.
"""

import importlib
import json
import pkgutil
import sys
from pathlib import Path
from typing import Any, Final

import bench
from bench import picture
from bench.server import machine

RESULTS: Final = Path(__file__).with_name("results.json")
Figure = dict[str, Any]


def names() -> list[str]:
    """Every bench there is."""
    found = (module.name for module in pkgutil.iter_modules(bench.__path__) if not module.name.startswith("_"))
    return [name for name in found if hasattr(_module(name), "measure")]


def _module(name: str) -> Any:
    return importlib.import_module(f"bench.{name}")


def run(name: str, here: str) -> list[Figure]:
    """The figures of one bench, with command and machine; each is also a line of JSON on stdout."""
    figures = []
    for figure in _module(name).measure():
        whole = {"reach": None, "peers": {}} | figure | {"command": f"python -m bench {name}", "machine": here}
        figures.append({key: whole[key] for key in ("id", "value", "unit", "reach", "command", "machine", "peers")})
        sys.stdout.write(json.dumps(figures[-1]) + "\n")
        sys.stdout.flush()
    return figures


def keep(figures: list[Figure]) -> None:
    """Put new figures into the results; those of benches that did not run stay."""
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    merged = {figure["id"]: figure for figure in [*before, *figures]}
    after = sorted(merged.values(), key=lambda figure: str(figure["id"]))
    RESULTS.write_text(json.dumps(after, indent=1) + "\n")
    picture.write(after)


def table(figures: list[Figure]) -> str:
    rows = [("figure", "value", "unit", "reach")]
    rows += [(f["id"], f"{f['value']:,}", f["unit"], "" if f["reach"] is None else f"{f['reach']:,}") for f in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = (f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:<{widths[2]}}  {d:>{widths[3]}}".rstrip() for a, b, c, d in rows)
    return "\n".join(lines)


def main(wanted: list[str]) -> int:
    """Run the benches that are named, or all; 1 when one failed."""
    figures: list[Figure] = []
    failed = False
    here = machine()
    for name in wanted or names():
        try:
            figures += run(name, here)
        except Exception as error:  # noqa: BLE001 -- the other benches go on
            failed = True
            sys.stderr.write(f"{name}: {type(error).__name__}: {error}\n")
    keep(figures)
    sys.stderr.write(table(figures) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
