"""`python -m tests.week --days 7 --rounds 40 --seed 1`: play a week, and end with 1 if anything was lost or differs."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.week.week import Week

if __name__ == "__main__":
    given = argparse.ArgumentParser(prog="make week", description=__doc__)
    given.add_argument("--days", type=int, default=7)
    given.add_argument("--rounds", type=int, default=40, help="in a day: in each, one to three people do something")
    given.add_argument("--seed", type=int, default=1)
    given.add_argument("--keep", type=Path, help="an empty folder in which everything is left")
    asked = given.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Week(asked.keep or Path(folder), asked.seed) as week:
        week.begin()
        for day in range(asked.days):
            week.day(asked.rounds)
            print(f"day {day + 1}: {week.said} texts, {week.kills} kills, {time.monotonic() - began:.0f} s", flush=True)
        found = week.faults()
    print(f"refused: {dict(week.refused)}")
    print("\n".join(found) or "The same on every device.")
    sys.exit(bool(found))
