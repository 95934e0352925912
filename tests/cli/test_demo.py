"""The demo, whole: it ends well, says what the captures say, and leaves nothing behind however it ends."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from grue.exposure.captures import RELAYED, load_events
from grue.exposure.decode import messages
from grue.exposure.views import ANONYMOUS
from grue.lab.demo import ALICE, BOB, CAROL
from grue.protocol.directory.pir import TABLE_TIER, TIER_VARIABLE
from grue.protocol.oblivious import REQUEST_SIZES
from tests.cli.play import GRUE, PATIENCE
from tests.exposure.expected import EXPECTED, OBSERVERS

pytestmark = pytest.mark.whole

SEALING = 1_143
"""Bytes that sealing adds to a request."""


def start(scratch: Path, *arguments: str) -> subprocess.Popen[str]:
    env = {**os.environ, "TMPDIR": str(scratch)}
    return subprocess.Popen([*GRUE, *arguments], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def processes_of(scratch: Path) -> list[Any]:
    """Every process that works in this run's folder."""
    return [process for process in psutil.process_iter(["cmdline"]) if str(scratch) in str(process.info["cmdline"])]


def assert_homes_open(run: Path) -> None:
    """The homes that are kept can be opened with the passphrase beside them, and by their owner alone."""
    passphrase = run / "passphrase"
    assert passphrase.stat().st_mode & 0o777 == 0o600
    for home in (run / "alice", run / "bob"):
        env = {**os.environ, "GRUE_HOME": str(home), "GRUE_PASSPHRASE": passphrase.read_text().strip()}
        done = subprocess.run([*GRUE, "--json", "exposure"], env=env, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout


def assert_is_held(steps: list[dict[str, Any]]) -> None:
    """Who reads Bob's SMS is told the day, and by which claim; Bob is shown the same, and is found as before."""
    held, answered = ([*step["results"]] for step in steps if step["step"] in ("claim", "object"))
    assert held[-1]["error"] == "held"
    claim, count, objected, looked = answered
    assert (claim["objected"], count, objected) == (False, {"claims": 1}, {"objected": [claim["claim"]]})
    assert held[-1]["message"].endswith(f"From {claim['until']} on it can be yours, by the claim {claim['claim']}.")
    assert (looked["number"], looked["route"]) == (BOB, "encrypted")


@pytest.mark.timeout(180)
def test_the_demo_ends_well_and_shows_what_is_promised_and_admitted(tmp_path: Path) -> None:
    scratch, keep = tmp_path / "scratch", tmp_path / "kept"
    scratch.mkdir()
    process = start(scratch, "--json", "demo", "--keep", str(keep))
    out, errors = process.communicate(timeout=150)
    assert (process.returncode, errors) == (0, "")
    *steps, last = [json.loads(line) for line in out.splitlines()]
    assert last == {"demo": "ok"}
    names = [step["step"] for step in steps]
    assert names == [
        "start", "register", "verify", "lookup", "send", "reply", "consent", "sms", "sms_reply", "claim", "object",
        "exposure",
    ]  # fmt: skip
    (lookups,) = [step["results"] for step in steps if step["step"] == "lookup"]
    assert {one["tier"] for one in lookups} == {int(os.environ.get(TIER_VARIABLE) or TABLE_TIER)}
    assert_is_held(steps)
    found = {(row["fact"], row["observer"]): row["learned"] for row in steps[-1]["rows"]}
    assert {fact: tuple(found[fact, observer] for observer in OBSERVERS) for fact in EXPECTED} == EXPECTED
    assert len(found) == len(EXPECTED) * len(OBSERVERS)
    live = list(load_events(keep / "server-live.jsonl"))
    anonymous = {read.event.address for read in messages(live) if isinstance(read.message, ANONYMOUS)}
    assert anonymous == {RELAYED}, "every anonymous request came by the relay"
    sealed = [event for event in load_events(keep / "relay.jsonl") if event.up and event.where == "POST /2/relay"]
    assert {len(event.data) - SEALING for event in sealed} <= set(REQUEST_SIZES)
    assert "| Numbers that were looked up |" in (keep / "who-learned-what.md").read_text()
    assert len(list(load_events(keep / "network.jsonl"))) > len(sealed)
    assert [json.loads(line)["text"] for line in (keep / "contact.jsonl").read_text().splitlines()]
    assert_homes_open(keep / "run")
    assert list(scratch.iterdir()) == []
    assert processes_of(scratch) == []
    table = (keep / "who-learned-what.md").read_text().splitlines()
    assert [cell.strip() for cell in table[0].split("|")[2:-1]] == list(OBSERVERS)
    check_subpoena(keep / "run" / "server", tmp_path / "subpoena.html")


def check_subpoena(data: Path, html: Path) -> None:
    """What the demo's server could hand over about a number of the demo, in each of the three ways to show it."""
    answer = json.loads(subpoena(data, ALICE, "--json"))
    held = {row["table"] for row in answer["held"]}
    assert (answer["number"], answer["registered"]) == (ALICE, True)
    assert {"account", "device", "key_package", "mailbox", "reader", "token_quota"} <= held
    assert any("by a relay" in one or "use a relay" in one for one in answer["live"])
    assert CAROL not in json.dumps(answer)
    assert BOB not in json.dumps(answer)
    said = subpoena(data, ALICE, html=html)
    for text in (said, html.read_text()):
        assert f"{ALICE} is registered on this server." in text
        assert "use a relay" in text
    assert json.loads(subpoena(data, CAROL, "--json"))["held"] == []


def subpoena(data: Path, number: str, *options: str, html: Path | None = None) -> str:
    """What it prints; nothing on stderr but where the page is."""
    page = ["--html", str(html)] if html is not None else []
    command = [*GRUE, *options, "subpoena", number, "--data", str(data), *page]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert len(done.stderr.splitlines()) == (html is not None)
    return done.stdout


@pytest.mark.timeout(180)
def test_the_demo_for_people_says_what_listens_and_names_a_home_with_each_verb(tmp_path: Path) -> None:
    process = start(tmp_path, "demo", "--direct", "--keep", str(tmp_path / "kept"))
    out, errors = process.communicate(timeout=150)
    assert (process.returncode, errors) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    typed = [words[2:] for words in lines if words[:2] == ["$", "grue"]]
    homes = {words[1] for words in typed if words[0] == "--home"}
    assert homes == {"alice", "bob", "other"}
    assert all((tmp_path / "kept" / "run" / home).is_dir() for home in homes)
    assert {words[0] for words in typed} == {"--home", "carrier", "lab"}
    listening = [" ".join(words[:2]) for words in lines if "listens" in words]
    assert listening == ["the carrier", "the server"]
    assert "Another device still uses this number" in out
    assert "begins anew, once" in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_demo_that_is_interrupted_takes_everything_with_it(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path, "--json", "demo")
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        assert json.loads(process.stdout.readline())["step"] == "start"
        assert processes_of(tmp_path) != []
        process.send_signal(number)
        assert process.wait(PATIENCE) == 128 + number
        assert process.stderr.read() == ""
    assert processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_fails_is_named_with_what_the_process_said(tmp_path: Path) -> None:
    process = start(tmp_path, "--json", "demo")
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        process.stdout.readline()
        server = next(one for one in processes_of(tmp_path) if "wiretap" in one.info["cmdline"])
        server.kill()
        assert process.wait(PATIENCE * 2) == 1
        error = json.loads(process.stderr.read().splitlines()[-1])
    assert error["error"] == "demo_failed"
    assert "grue register" in error["message"]
    assert '"unreachable"' in error["message"]
    assert processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
