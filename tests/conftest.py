"""What holds for every test: the event loop, hypothesis profiles, and no trace of the machine it runs on."""

import os
import signal
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.often import WEEKLY

# The same on every run, and bounded; no deadline, because two busy cores make any a coin toss.
settings.register_profile("default", max_examples=100, deadline=None)
settings.register_profile(
    "ci",
    max_examples=100,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# With every core in use for hours, drawing an example is as slow as it likes.
settings.register_profile(
    "long", max_examples=5000, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "default"))

# Here and not in a fixture, so that the processes that tests start inherit it: nobody's home, nobody's keyring, and no
# marks of stocks of theirs. What stays is for the suite itself, which runs in either tier, and weekly whole.
for name in [name for name in os.environ if name.startswith("GRUE_")]:
    if name not in ("GRUE_DIRECTORY_TIER", "GRUE_TESTS"):
        del os.environ[name]
_RUNTIME = tempfile.TemporaryDirectory(prefix="grue-tests-")
os.environ["XDG_RUNTIME_DIR"] = _RUNTIME.name
# No test has a minute; those of how starts are spread say otherwise.
os.environ["GRUE_START_SECONDS"] = "0.1"
os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"

# A job in the background is started with SIGINT ignored, and what it starts inherits that: `grue` then goes on at
# Ctrl-C, as any program should there. Tests say what it does in a terminal. A handler, unlike SIG_IGN, is not
# inherited, and this one leaves the run itself as deaf as it was started.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, lambda *_: None)


@pytest.fixture(scope="session", autouse=True)
def _little_stretching() -> Iterator[None]:
    """The keys of homes are stretched little, for a test's passphrase is no secret. Not in other processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("grue.client.store.home.ARGON2_MEMORY_KIB", 64)
        yield


@pytest.fixture(scope="session", autouse=True)
def _small_logs() -> Iterator[None]:
    """Hundreds of databases with a log of 9 MiB each would fill the disk. Not in other processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("grue.server.store.wal.LOG_PAGES", 40)
        yield


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The loop that Grue runs on."""
    return "asyncio", {"use_uvloop": True}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what runs weekly, unless this is the week's run or such a test is named."""
    if WEEKLY or any("::" in argument for argument in config.args):
        return
    later = [item for item in items if item.get_closest_marker("weekly")]
    items[:] = [item for item in items if not item.get_closest_marker("weekly")]
    config.hook.pytest_deselected(items=later)
