"""`python -m bench [NAME...]`: measure, print a table, write `bench/results.json`, and draw the picture of it.
`python -m bench ID... --against REV`: compare with another revision in turn, and write nothing (`bench.against`).

Every module here that has a `measure` is one bench: it returns figures, `{"id", "value", "unit", "reach"}` and
perhaps `peers`, which are others' figures of the same run and no others. With them are kept the command, the machine,
the commit, and the load when the bench began: processes that wanted a core, over one, five and fifteen minutes. A bench
that cannot run here says why, and the others go on.
"""

import argparse
import importlib
import json
import os
import pkgutil
import sys
from pathlib import Path
from typing import Any, Final

import bench
from bench import against, picture
from bench.revision import commit
from bench.server import machine

RESULTS: Final = Path(__file__).with_name("results.json")
KEYS: Final = ("id", "value", "unit", "reach", "command", "machine", "commit", "load", "peers")
"""Of a figure that is kept. Those measured before commit and load were noted have neither."""

Figure = dict[str, Any]


def names() -> list[str]:
    """Every bench there is."""
    found = (module.name for module in pkgutil.iter_modules(bench.__path__) if not module.name.startswith("_"))
    return [name for name in found if hasattr(_module(name), "measure")]


def _module(name: str) -> Any:
    return importlib.import_module(f"bench.{name}")


def run(name: str, here: dict[str, str]) -> list[Figure]:
    """The figures of one bench, with how they were taken; each is also a line of JSON on stdout."""
    figures = []
    taken = {"command": f"python -m bench {name}", "load": [round(load, 1) for load in os.getloadavg()]} | here
    for figure in _module(name).measure():
        whole = {"reach": None, "peers": {}} | figure | taken
        figures.append({key: whole[key] for key in KEYS})
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


def _rounds(told: str) -> int:
    if not told.isdecimal() or not int(told):
        raise argparse.ArgumentTypeError(f"{told} is not how often something can be run; 1 or more is")
    return int(told)


def main(arguments: list[str]) -> int:
    # Only help needs the names: a bench that imported all the others would measure their memory too.
    listed = f"benches: {', '.join(names())}" if {"-h", "--help"} & set(arguments) else None
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure and keep the figures: those of the benches that are named, or of all, replace their "
        "former values in bench/results.json, and the picture in docs/images is drawn from it. `make docs` then writes "
        "them into the documents. With --against, compare with another revision and keep nothing.",
        epilog=listed,
    )
    parser.add_argument(
        "name", nargs="*", help="a bench of those below; with --against also a figure's id, or a pattern of ids"
    )
    parser.add_argument(
        "--against",
        metavar="REV",
        help="run REV's own bench in turn with this one, print the ratios, and leave bench/results.json as it is; REV "
        "is built once, in .bench/, which can be deleted at any time",
    )
    parser.add_argument("--rounds", type=_rounds, default=5, metavar="N", help="how often each is run (default: 5)")
    told = parser.parse_args(arguments)
    return against.main(told.name, told.against, told.rounds) if told.against else measured(told.name)


def measured(wanted: list[str]) -> int:
    """Run the benches that are named, or all, and keep their figures; 1 when one failed."""
    figures: list[Figure] = []
    failed = False
    here = {"machine": machine(), "commit": commit()}
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
