"""Estimate what it costs to learn the column of a private query: the table in docs/protocol/lookup.md, section 10.

The lattice-estimator runs on Sage (Debian: `apt-get install sagemath`), which is too large for the gate:

    git clone https://github.com/malb/lattice-estimator && git -C lattice-estimator checkout 27a581bb
    PYTHONPATH=lattice-estimator sage -python tools/security_table.py

Five minutes on one core. Exit 1 when a row is not in the document.
"""

from math import log2
from pathlib import Path
from typing import Final

from estimator import LWE, ND, RC  # type: ignore[import-not-found]

DOCUMENT: Final = Path(__file__).resolve().parent.parent / "docs" / "protocol" / "lookup.md"
Q: Final = 2**32
SAMPLES: Final = 164_480
"""Columns at ten million records."""
ATTACKS: Final = ("usvp", "bdd", "dual", "dual_hybrid")
OTHERS: Final = ("arora-gb", "bkw", "bdd_hybrid", "bdd_mitm_hybrid")
"""Dearer than those by far, or as dear as `bdd`."""
TERNARY: Final = ND.Uniform(-1, 1)
NARROW: Final = ND.DiscreteGaussian(6.4)
OURS: Final = ND.CenteredBinomial(320)
ROWS: Final = (
    ("1024, Gaussian, 6.4 (SimplePIR as published)", 1024, NARROW, NARROW),
    ("1160, ternary, 12.65 (the smallest with 128)", 1160, TERNARY, OURS),
    ("**1280, ternary, 12.65 (ours)**", 1280, TERNARY, OURS),
    ("1536, ternary, 6.4", 1536, TERNARY, NARROW),
)


def row(name: str, n: int, secret: object, error: object) -> str:
    """A line of the table: bits by MATZOV's model, then by core-SVP."""
    parameters = LWE.Parameters(n=n, q=Q, Xs=secret, Xe=error, m=SAMPLES)
    matzov, core_svp = (
        LWE.estimate(parameters, red_cost_model=model, deny_list=OTHERS, quiet=True) for model in (RC.MATZOV, RC.ADPS16)
    )
    costs = [f"{log2(matzov[attack]['rop']):.1f} / {log2(core_svp[attack]['rop']):.1f}" for attack in ATTACKS]
    return f"| {name} | {' | '.join(costs)} |"


def main() -> int:
    written = DOCUMENT.read_text().splitlines()
    missing = 0
    for one in ROWS:
        line = row(*one)
        missing += line not in written
        print(line, "" if line in written else "<- not in the document", flush=True)
    return min(missing, 1)


if __name__ == "__main__":
    raise SystemExit(main())
