"""Whatever five people do, the text that one of them sent is shown, or its sender is told that it was not."""

import json
import os
import subprocess
import sys

from tests.often import WEEKLY


def test_of_seeded_schedules_none_leaves_a_text_unheard_and_its_sender_untold() -> None:
    # Its keys and disks are lighter than a test's, so it is a process of its own. `python -m bench.schedules 20000 1`
    # is the same for longer, and `python -m bench.schedules --show SEED` says what happened in one of them.
    schedules = 1000 if WEEKLY else 20
    command = [sys.executable, "-m", "bench.schedules", str(schedules), "1"]
    hashed = os.environ | {"PYTHONHASHSEED": "0"}
    played = subprocess.run(command, check=True, capture_output=True, text=True, env=hashed, timeout=1800)
    assert json.loads(played.stdout) == [], played.stderr
