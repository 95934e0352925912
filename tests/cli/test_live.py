"""What shows of processes that run: in their titles, to everybody on the machine; in the server's memory, to root."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from grue.exposure.scanner.scan import NUMBER, TEXT, Canary, Scanner
from grue.exposure.scanner.surfaces import FILE, Surface, of_memory
from grue.lab.scan import secrets_of
from tests.cli.play import PASSPHRASE, Service, Stage

pytestmark = [
    pytest.mark.whole,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's"),
]

ALICE, BOB = "+447700900161", "+447700900162"
STRANGER = "+447700900163"
"""Gets an SMS, and is not on Grue."""

NOBODY = "+447700900164"
"""Is looked up, and that is all."""

TEXT_SENT, TEXT_GREEN = "nine herons waded by Elmsdyke", "a kingfisher at Oxlode weir"


class Played(NamedTuple):
    """A story that has been played, and what runs since."""

    stage: Stage
    server: Service
    relay: Service
    following: Service
    codes: list[str]

    def canaries(self) -> list[Canary]:
        numbers = [Canary(NUMBER, number) for number in (ALICE, BOB, STRANGER, NOBODY)]
        return [*numbers, *(Canary(TEXT, text) for text in (TEXT_SENT, TEXT_GREEN, *self.codes))]


@pytest.fixture(scope="module")
def played(shared: Stage) -> Iterator[Played]:
    """Alice looks two numbers up, writes to Bob and sends an SMS, all by a relay; Bob reads on."""
    relay = Service("relay", "--listen", "127.0.0.1:0", "--to", shared.url)
    way = f"http://{relay.listening()}"
    codes = []
    for number, home in ((ALICE, "alice"), (BOB, "bob")):
        ok(shared, home, "register", number, "--server", shared.url, "--relay", way)
        codes.append(shared.code(number))
        ok(shared, home, "verify", codes[-1])
    environment = {"GRUE_HOME": str(shared.path / "bob"), "GRUE_PASSPHRASE": PASSPHRASE}
    following = Service("--json", "receive", "--follow", env=environment)
    following.first(lambda line: "receiving" in line)
    ok(shared, "alice", "lookup", BOB)
    ok(shared, "alice", "lookup", NOBODY)
    ok(shared, "alice", "send", BOB, TEXT_SENT)
    ok(shared, "alice", "send", STRANGER, TEXT_GREEN, "--sms")
    following.first(lambda line: line.get("text") == TEXT_SENT)
    assert shared.server is not None
    yield Played(shared, shared.server, relay, following, codes)
    for service in (following, relay):
        assert service.stop() == 0


def ok(stage: Stage, home: str, *arguments: str) -> None:
    outcome = stage.grue("--home", home, "--json", *arguments)
    assert (outcome.code, outcome.stderr) == (0, []), outcome


def strings_of(process: int) -> bytes:
    """What everybody on the machine is shown of a process: its arguments, its name, and those of its threads."""
    folder = Path(f"/proc/{process}")
    names = [path.read_bytes() for path in folder.glob("task/*/comm")]
    return b"\n".join([(folder / "cmdline").read_bytes(), (folder / "comm").read_bytes(), *names])


@pytest.mark.parametrize("which", ["server", "relay", "following"])
def test_the_title_of_what_runs_names_nobody_and_says_nothing(played: Played, which: str) -> None:
    shown = strings_of(getattr(played, which).process.pid)
    assert b"grue" in shown
    assert Scanner(played.canaries()).scan([Surface(FILE, which, shown)]) == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("which", ["server", "relay"])
def test_what_never_came_in_the_clear_is_not_in_memory(played: Played, which: str) -> None:
    """A number that was looked up, and a text that was encrypted: there is no moment at which they could be."""
    process = getattr(played, which).process.pid
    secrets = secrets_of(played.stage.path / "server")
    try:
        hits = Scanner([Canary(NUMBER, NOBODY), Canary(TEXT, TEXT_SENT)], secrets).scan(of_memory(process))
    except PermissionError as error:
        pytest.skip(f"one may not look into the process here: {error}")
    assert hits == []
    # It is looked into: what it was called with is there.
    assert any(b"--listen" in surface.data for surface in of_memory(process))
