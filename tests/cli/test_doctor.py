"""What `doctor` finds, each fault by itself; the transcripts show it whole."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from grue.client import health
from grue.errors import CorruptDatabase, KeyChanged, StaleDirectory, Unreachable
from grue.exposure.own import sights
from grue.protocol.wire import PROTOCOL
from tests.cli.play import Service, Stage

pytestmark = pytest.mark.whole

ALICE = "+447700900131"


@pytest.fixture(scope="module")
def stage(shared: Stage) -> Stage:
    for arguments in (["register", ALICE, "--server", shared.url], ["verify"]):
        given = [*arguments, shared.code(ALICE)] if arguments == ["verify"] else arguments
        assert shared.grue("--home", "alice", *given).code == 0
    return shared


def examined(stage: Stage) -> tuple[dict[str, dict[str, Any]], int]:
    outcome = stage.grue("--home", "alice", "--json", "doctor")
    checks = [json.loads(line) for line in outcome.stdout]
    return {check["check"]: check for check in checks if "check" in check}, outcome.code


def raising(error: Exception) -> Callable[..., Any]:
    async def check(*_: Any) -> None:
        raise error

    return check


def giving(value: object) -> Callable[..., Any]:
    async def check(*_: Any) -> object:
        return value

    return check


class Disk(NamedTuple):
    total: int
    used: int
    free: int


FAULTS = {
    "clock ahead": ("clock_ahead", giving(4000), "clock", "clock_wrong", 2),
    "clock behind": ("clock_ahead", giving(-4000), "clock", "clock_wrong", 2),
    "old directory": ("check_directory", raising(StaleDirectory()), "directory", "stale_directory", 5),
    "record not there": ("check_own_record", giving(False), "own record", "own_record_missing", 5),
    "record of somebody else": ("check_own_record", raising(KeyChanged()), "own record", "key_changed", 5),
    "keys run out": ("key_packages_left", giving(1), "key packages", "few_key_packages", 4),
    "messages wait": ("waiting", giving(health.Waiting(2, time.time() - 3600)), "outbox", "messages_wait", 4),
    "a copy": ("copied", giving(time.time() - 86_500), "copies", "home_copied", 5),
    "damaged pages": ("check_database", raising(CorruptDatabase()), "database", "corrupt_database", 5),
    "server goes away": ("check_server", raising(Unreachable()), "server key", "unreachable", 4),
}


@pytest.mark.parametrize(("function", "fault", "check", "error", "code"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_found_where_it_is_and_says_what_to_do(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    fault: Callable[..., Any],
    check: str,
    error: str,
    code: int,
) -> None:
    monkeypatch.setattr(health, function, fault)
    checks, exit_code = examined(stage)
    wrong = {name: found["error"] for name, found in checks.items() if found["ok"] is False}
    assert (wrong, exit_code) == ({check: error}, code)
    assert checks[check]["fix"]


def test_an_account_of_an_earlier_protocol_is_found(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grue.client.context.PROTOCOL", PROTOCOL + 1)
    checks, exit_code = examined(stage)
    assert (checks["account"]["error"], exit_code) == ("old_account", 2)
    assert "grue register" in checks["account"]["fix"]


def test_a_disk_that_is_nearly_full_is_found(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Disk(1 << 30, 1 << 30, 5 << 20))
    checks, code = examined(stage)
    assert (checks["disk"]["error"], "5 MiB" in checks["disk"]["message"], code) == ("disk_full", True, 3)
    assert checks["outbox"]["ok"] is True


def test_a_missing_core_is_found(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grue._core", None)
    checks, code = examined(stage)
    assert (checks["core"]["ok"], code) == (False, 2)


def test_messages_that_wait_for_a_moment_are_no_fault(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "waiting", giving(health.Waiting(2, time.time() - 5)))
    checks, code = examined(stage)
    assert (checks["outbox"]["message"], code) == ("2 messages wait", 0)


def test_doctor_makes_nothing(stage: Stage) -> None:
    assert stage.grue("--home", "nowhere", "doctor").code == 2
    assert not (stage.path / "nowhere").exists()


def test_doctor_only_looks(stage: Stage) -> None:
    before = sorted(path.name for path in (stage.path / "alice").iterdir())
    assert examined(stage)[1] == 0
    assert sorted(path.name for path in (stage.path / "alice").iterdir()) == before


# --- by a relay -----------------------------------------------------------------------------------


@contextmanager
def relayed(stage: Stage) -> Iterator[Service]:
    """Alice's home goes through a relay as long as this lasts."""
    relay = Service("relay", "--listen", "127.0.0.1:0", "--to", stage.url)
    try:
        address = relay.listening()
        assert stage.grue("--home", "alice", "transport", "--relay", f"http://{address}").code == 0
        yield relay
    finally:
        assert stage.grue("--home", "alice", "transport", "--direct").code == 0
        if relay.process.returncode is None:
            assert relay.stop() == 0


def test_a_home_with_a_relay_is_examined_through_it_and_told_what_the_relay_sees(stage: Stage) -> None:
    with relayed(stage):
        outcome = stage.grue("--home", "alice", "--json", "doctor")
        shown = stage.grue("--home", "alice", "transport").stdout
    lines = [json.loads(line) for line in outcome.stdout]
    (way,) = [line for line in lines if line.get("check") == "transport"]
    assert (way["ok"], outcome.code) == (True, 0)
    assert way["message"].startswith("oblivious: ")
    assert "it goes through http://127.0.0.1:" in way["message"]
    told = [(line["observer"], line["sees"], line["not"]) for line in lines if "observer" in line]
    assert told == [(sight.party, sight.sees, sight.hidden) for sight in sights(relay=True, proxy=False)]
    assert "except by guessing" in " ".join(line for line in shown if line.startswith("relay"))


def test_a_relay_that_is_away_is_found(stage: Stage) -> None:
    with relayed(stage) as relay:
        assert relay.stop() == 0
        checks, code = examined(stage)
    wrong = {name: found["error"] for name, found in checks.items() if found["ok"] is False}
    assert (wrong, code) == ({"transport": "relay_unreachable"}, 4)
    assert checks["directory"]["ok"] is None
