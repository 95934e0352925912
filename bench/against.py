"""`python -m bench ID... --against REV`: this tree and another revision, in turn, and the ratios of their figures.

Each round runs a bench here and then there, so that a pair of figures was taken within a minute or so: what a machine
does besides changes more in a day than code does. The ratio is this tree's figure over the other's: the median of the
ratios pair by pair, whose smallest and largest are its spread. `--against HEAD` with nothing changed shows the noise.
"""

import difflib
import fnmatch
import os
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from bench import revision
from bench.revision import NotComparableError
from bench.server import machine

Figure = dict[str, Any]


class Side(Protocol):
    """What can be measured: a tree, or a test's."""

    @property
    def name(self) -> str: ...

    def bench_of(self, figure: str, elsewhere: str | None) -> str | None: ...

    def run(self, bench: str) -> Mapping[str, Figure]: ...


@dataclass
class Pairs:
    """One figure at both sides: a pair a round."""

    unit: str = ""
    here: list[float] = field(default_factory=list)
    there: list[float] = field(default_factory=list)

    def add(self, here: Figure, there: Figure | None) -> None:
        self.unit = str(here["unit"])
        self.here.append(float(here["value"]))
        if there is not None:
            self.there.append(float(there["value"]))

    @property
    def ratios(self) -> list[float]:
        """This tree's figure over the other's, for each pair whose figures both are something."""
        if len(self.there) < len(self.here):
            return []
        return [one / other for one, other in zip(self.here, self.there, strict=True) if other]


def chosen(words: Sequence[str], known: Mapping[str, str]) -> list[str]:
    """The figures that words name: ids, patterns of ids (`deliver_*`), or benches, which have several.

    known  for each figure its bench

    Raises NotComparableError for a word that names none, with those that are spelled like it.
    """
    if not words:
        raise NotComparableError("Say which figures to compare, for example `acked_per_s`, `deliver_*` or `crypto`.")
    found: dict[str, None] = {}
    for word in words:
        ids = fnmatch.filter(known, word) or [figure for figure, bench in known.items() if bench == word]
        if not ids:
            near = difflib.get_close_matches(word, [*known, *set(known.values())], 3, 0.5)
            hint = f"Near it are: {', '.join(near)}." if near else "`bench/results.json` has them all."
            raise NotComparableError(f"No figure or bench that was ever measured is called {word}. {hint}")
        found |= dict.fromkeys(ids)
    return list(found)


def compared(ids: Iterable[str], here: Side, there: Side, rounds: int) -> tuple[dict[str, Pairs], list[str]]:
    """So many pairs of each figure, and what failed. A round in which one side fails counts for neither."""
    homes = {figure: here.bench_of(figure, None) for figure in ids}
    pairs = {figure: Pairs() for figure in homes}
    failures: list[str] = []
    for number in range(rounds):
        for bench in sorted({home for home in homes.values() if home is not None}):
            wanted = [figure for figure, home in homes.items() if home == bench]
            others = {figure: there.bench_of(figure, bench) for figure in wanted}
            sys.stderr.write(f"round {number + 1} of {rounds}: {bench}\n")
            try:
                ours = here.run(bench)
                theirs: dict[str, Figure] = {}
                for other in sorted({name for name in others.values() if name is not None}):
                    theirs |= there.run(other)
            except NotComparableError as failure:
                failures.append(str(failure))
                continue
            for figure in wanted:
                if figure in ours:
                    pairs[figure].add(ours[figure], theirs.get(figure))
    return pairs, failures


def table(pairs: Mapping[str, Pairs], here: str, there: str) -> str:
    """A row a figure: both medians, the ratio, and its spread."""
    rows = [("figure", "unit", here, there, "ratio", "spread"), *(_row(*one) for one in pairs.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _row(figure: str, pair: Pairs) -> tuple[str, str, str, str, str, str]:
    if not pair.here:
        return figure, "", "not measured", "", "", ""
    ours = _figure(statistics.median(pair.here))
    # What stands in a unit after a comma is about one run.
    unit = pair.unit.partition(",")[0]
    if not pair.there:
        return figure, unit, ours, "not there", "", ""
    theirs, ratios = _figure(statistics.median(pair.there)), pair.ratios
    if not ratios:
        return figure, unit, ours, theirs, "none", ""
    return figure, unit, ours, theirs, f"{statistics.median(ratios):.3f}", f"{min(ratios):.3f}..{max(ratios):.3f}"


def _figure(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def main(words: Sequence[str], wanted: str, rounds: int) -> int:
    """Compare and print; 1 when a bench failed, 2 when nothing could be compared."""
    try:
        here = revision.here()
        ids = chosen(words, here.benches)
        there = revision.revision(wanted)
    except NotComparableError as reason:
        sys.stderr.write(f"{reason}\n")
        return 2
    load = os.getloadavg()[0]
    pairs, failures = compared(ids, here, there, rounds)
    sys.stdout.write(f"{table(pairs, here.name, there.name)}\n")
    sys.stdout.write(f"In turn, {rounds} of each, on {machine()}; load {load:.1f} at the start.\n")
    sys.stderr.writelines(f"{failure}\n" for failure in failures)
    return int(bool(failures))
