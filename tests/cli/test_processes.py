"""What only processes show: restarts between any two commands, several processes on one home, and how each ends."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from grue.protocol import wire
from tests.cli.play import GRUE, PASSPHRASE, PATIENCE, Service, Stage, until

pytestmark = pytest.mark.whole

ALICE, BOB, NOBODY = "+447700900121", "+447700900122", "+447700900129"


@pytest.fixture(scope="module")
def stage(shared: Stage) -> Stage:
    """Alice and Bob, who have written to each other."""
    for number, home in ((ALICE, "alice"), (BOB, "bob")):
        ok(shared, home, "register", number, "--server", shared.url)
        ok(shared, home, "verify", shared.code(number))
    ok(shared, "alice", "send", BOB, "hello")
    assert texts(shared, "bob") == ["hello"]
    ok(shared, "bob", "send", ALICE, "hello yourself")
    assert texts(shared, "alice") == ["hello yourself"]
    return shared


def ok(stage: Stage, home: str, *arguments: str) -> list[dict[str, Any]]:
    """What a command printed with `--json`; it has to succeed."""
    outcome = stage.grue("--home", home, "--json", *arguments)
    assert (outcome.code, outcome.stderr) == (0, []), outcome
    return [json.loads(line) for line in outcome.stdout]


def texts(stage: Stage, home: str) -> list[str]:
    return [line["text"] for line in ok(stage, home, "receive")]


def environment(stage: Stage, home: str) -> dict[str, str]:
    return {"GRUE_HOME": str(stage.path / home), "GRUE_PASSPHRASE": PASSPHRASE}


@pytest.fixture
def follow(stage: Stage) -> Iterator[Callable[[str], Service]]:
    """Start `receive --follow` in a home; it is gone when the test is, however that ends."""
    started: list[Service] = []

    def follow(home: str) -> Service:
        started.append(Service("--json", "receive", "--follow", env=environment(stage, home)))
        started[-1].first(lambda line: "receiving" in line)
        return started[-1]

    yield follow
    for service in started:
        if service.process.poll() is None:
            service.stop(signal.SIGKILL)


def start(stage: Stage, home: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    env = {**os.environ, **environment(stage, home)}
    return subprocess.Popen([*GRUE, *arguments], env=env, text=True, **options)


# --- what other users of the machine see ----------------------------------------------------------


def test_the_password_of_the_sms_gateway_need_not_be_in_the_list_of_processes(tmp_path: Path) -> None:
    url = "smpp://grue:qZ7vK2wx@127.0.0.1:1"
    service = Service("serve", "--data", str(tmp_path), "--listen", "127.0.0.1:0", env={"GRUE_SMS": url})
    try:
        with urllib.request.urlopen(f"http://{service.listening()}/grue") as answer:
            hello = wire.SERVER_HELLO.decode(answer.read())
        title = subprocess.check_output(["ps", "-ww", "-o", "args=", "-p", str(service.process.pid)])
    finally:
        assert service.stop() == 0
    assert "127.0.0.1" in hello.sms, "it was understood"
    assert str(tmp_path).encode() in title
    assert b"qZ7vK2wx" not in title


# --- restarts -------------------------------------------------------------------------------------


class Restarts:
    """Kills the server, as a power cut would, and restarts the carrier; which of them is back first takes turns."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._turn = 0

    def __call__(self) -> None:
        self._turn += 1
        self._stage.kill_server()
        self._stage.stop_carrier()
        back = [self._stage.start_carrier, self._stage.start_server]
        for start in back if self._turn % 2 else reversed(back):
            start()


@pytest.mark.timeout(180)
def test_nothing_is_lost_though_the_server_is_killed_and_the_carrier_restarted_between_any_two_commands(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    stage = Stage(tmp_path_factory.mktemp("restarts"))
    stage.open()
    between = Restarts(stage)
    try:
        for number, home in ((ALICE, "alice"), (BOB, "bob")):
            ok(stage, home, "register", number, "--server", stage.url)
            code = stage.code(number)
            between()
            assert ok(stage, home, "verify", code)[0]["number"] == number
        between()
        routes = [line["route"] for line in ok(stage, "alice", "lookup", BOB, NOBODY)]
        assert routes == ["encrypted", "sms"]
        between()
        ok(stage, "alice", "send", BOB, "hello")
        between()
        assert texts(stage, "bob") == ["hello"]
        ok(stage, "bob", "send", ALICE, "hello yourself")
        between()
        assert texts(stage, "alice") == ["hello yourself"]
        between()
        assert ok(stage, "alice", "send", NOBODY, "green", "--sms")[0]["route"] == "sms"
        stage.carrier_saw(ALICE, NOBODY, "green")
        ok(stage, "alice", "carrier", "sms", "--from", NOBODY, "--to", ALICE, "--carrier", stage.carrier, "an answer")
        until(lambda: texts(stage, "alice") == ["an answer"])
        between()
        assert [line["text"] for line in ok(stage, "alice", "show", BOB)] == ["hello", "hello yourself"]
        assert texts(stage, "alice") == texts(stage, "bob") == []
    finally:
        stage.close()


# --- several processes on one home ----------------------------------------------------------------


def test_two_processes_on_one_home_both_work_and_a_message_is_shown_once(
    stage: Stage, follow: Callable[[str], Service]
) -> None:
    receiving = [follow("bob"), follow("bob")]
    for n in range(3):
        ok(stage, "alice", "send", BOB, f"one of three: {n}")
        ok(stage, "bob", "send", ALICE, f"while receiving: {n}")
    until(lambda: sum(len(service.lines) - 1 for service in receiving) >= 3)
    shown = [line["text"] for service in receiving for line in service.lines[1:]]
    assert sorted(shown) == [f"one of three: {n}" for n in range(3)]
    assert [service.stop() for service in receiving] == [0, 0]
    assert sorted(texts(stage, "alice")) == [f"while receiving: {n}" for n in range(3)]
    assert texts(stage, "bob") == []


def test_who_follows_hears_of_a_conversation_that_another_process_began(
    stage: Stage, follow: Callable[[str], Service]
) -> None:
    carol = "+447700900123"
    ok(stage, "carol", "register", carol, "--server", stage.url)
    ok(stage, "carol", "verify", stage.code(carol))
    following = follow("carol")
    ok(stage, "carol", "send", BOB, "we have not met")
    assert texts(stage, "bob") == ["we have not met"]
    ok(stage, "bob", "send", carol, "now we have")
    assert following.first(lambda line: line.get("text") == "now we have")["from"] == BOB
    assert following.stop() == 0


# --- how a process ends ---------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_following_ends_cleanly(follow: Callable[[str], Service], number: signal.Signals) -> None:
    following = follow("bob")
    assert (following.stop(number), following.errors) == (0, [])


def test_ctrl_c_leaves_no_trace_behind(stage: Stage) -> None:
    process = start(stage, "bob", "receive", "--timeout", "60", stderr=subprocess.PIPE)
    assert process.stderr is not None
    with process.stderr:
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        assert (process.wait(PATIENCE), process.stderr.read()) == (130, "")


@pytest.mark.parametrize("options", [["--json"], []])
def test_a_message_that_could_not_be_printed_is_shown_the_next_time(stage: Stage, options: list[str]) -> None:
    ok(stage, "alice", "send", BOB, "into a broken pipe")
    reading, writing = os.pipe()
    os.close(reading)
    process = start(stage, "bob", *options, "receive", stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert process.stderr is not None
    with process.stderr:
        assert (process.wait(PATIENCE), process.stderr.read()) == (141, "")
    assert texts(stage, "bob") == ["into a broken pipe"]


def test_a_full_disk_for_stdout_shows_the_message_the_next_time(stage: Stage) -> None:
    ok(stage, "alice", "send", BOB, "onto a full disk")
    with open("/dev/full", "w") as full:
        process = start(stage, "bob", "--json", "receive", stdout=full, stderr=subprocess.PIPE)
        assert process.stderr is not None
        with process.stderr:
            assert (process.wait(PATIENCE), json.loads(process.stderr.read())["error"]) == (3, "disk_full")
    assert texts(stage, "bob") == ["onto a full disk"]


def test_a_person_at_a_terminal_is_asked_for_the_passphrase_twice_when_it_is_new(stage: Stage) -> None:
    outcome = at_a_terminal(stage, "dave", ["first", "second"], "register", "+447700900124", "--server", stage.url)
    assert "A passphrase for this new home: " in outcome
    assert "The two passphrases differ." in outcome
    outcome = at_a_terminal(stage, "dave", ["same", "same"], "register", "+447700900124", "--server", stage.url)
    assert "A code is on its way" in outcome
    outcome = at_a_terminal(stage, "dave", ["other"], "chats")
    assert "The passphrase does not open this home." in outcome
    # The second recommended choice of RFC 9106: in this process alone keys are stretched less.
    made = json.loads((stage.path / "dave" / "key.json").read_text())
    assert (made["kdf"], made["time"], made["memory_kib"], made["lanes"]) == ("argon2id", 3, 64 * 1024, 4)


def at_a_terminal(stage: Stage, home: str, typed: list[str], *arguments: str) -> str:
    """Run a command on a terminal of its own, type what is asked for, and return what was shown."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.pop("GRUE_PASSPHRASE", None)
        os.execv(sys.executable, [*GRUE, "--home", str(stage.path / home), *arguments])  # noqa: S606
    shown, asked = b"", b""
    try:
        while data := _read(terminal):
            shown, asked = shown + data, asked + data
            if asked.endswith((b"home: ", b"Passphrase: ", b"again: ")):
                os.write(terminal, typed.pop(0).encode() + b"\n")
                asked = b""
    finally:
        os.close(terminal)
        os.waitpid(child, 0)
    return shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1024)
    except OSError:  # Linux says so when the other side has gone.
        return b""


# --- what is imported -----------------------------------------------------------------------------

SLOW = {"aiohttp", "argon2", "asyncio", "cryptography", "cyclopts", "keyring", "msgspec", "phonenumbers", "rich", "ssl"}


@pytest.mark.parametrize(
    ("arguments", "without"),
    [
        (["--version"], SLOW),
        (
            ["--json", "--home", "/nowhere", "chats"],
            {"aiohttp", "cryptography", "phonenumbers", "keyring", "rich.table"},
        ),
    ],
    ids=["--version", "an error"],
)
def test_nothing_is_imported_before_it_is_needed(arguments: list[str], without: set[str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "grue", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time")}
    assert "grue.cli.main" in imported
    assert imported & without == set()
