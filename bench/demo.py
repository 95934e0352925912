"""`demo_s`: the whole demo, with everything set up: some twenty processes on real sockets, and the table at the end."""

import json
import subprocess
import sys
import time
from typing import Any, Final

RUNS: Final = 3


def _run() -> tuple[float, list[dict[str, Any]]]:
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "grue", "--json", "demo"], capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - begun
    *steps, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert last == {"demo": "ok"}
    return seconds, steps


def measure() -> list[dict[str, Any]]:
    """Run it three times: the median, and the longest step of that run."""
    seconds, steps = sorted((_run() for _ in range(RUNS)), key=lambda run: run[0])[RUNS // 2]
    longest = max(steps, key=lambda step: step["seconds"])
    return [
        {"id": "demo_s", "value": round(seconds, 2), "unit": "s", "reach": 10},
        {"id": "demo_longest_step_s", "value": longest["seconds"], "unit": "s"},
    ]


if __name__ == "__main__":
    for figure in measure():
        sys.stdout.write(f"{figure}\n")
