"""How much of the suite is run: what holds before each change, or everything, which `.ci/weekly` does."""

import os
from typing import Final

WEEKLY: Final = os.environ.get("GRUE_TESTS") == "weekly"
"""Whether everything is run that takes long and says little more than what always runs."""

LONGER: Final = 20 if WEEKLY else 1
"""How many times as many examples of a model are tried."""
