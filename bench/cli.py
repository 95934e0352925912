"""`cli_start_ms`: `grue --version`, a process of its own each time, from its start to its end.

Beside it stands what Python itself takes, and what a verb takes until it says that there is no account: most of
that is reading the command line.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

GRUE: Final = str(Path(sys.executable).with_name("grue"))
RUNS: Final = 21


def _median_ms(*command: str) -> float:
    subprocess.run(command, capture_output=True, check=False)  # writes what Python compiles
    times = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        subprocess.run(command, capture_output=True, check=False)
        times.append((time.perf_counter() - begun) * 1000)
    return round(statistics.median(times), 1)


def measure() -> list[dict[str, Any]]:
    """Start each command 21 times; the medians."""
    start, python = _median_ms(GRUE, "--version"), _median_ms(sys.executable, "-c", "pass")
    with tempfile.TemporaryDirectory() as nowhere:
        verb = _median_ms(GRUE, "--home", f"{nowhere}/home", "chats")
    return [
        {"id": "cli_start_ms", "value": start, "unit": "ms", "reach": 150, "peers": {"python -c pass": python}},
        {"id": "cli_verb_ms", "value": verb, "unit": "ms"},
    ]


if __name__ == "__main__":
    for figure in measure():
        sys.stdout.write(f"{figure}\n")
