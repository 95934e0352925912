"""The stage for transcripts: a server and a carrier as processes, homes in a folder, and commands beside `grue`."""

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from grue.cli.run import run
from grue.protocol import wire
from tests.cli.transcript import Outcome, Step
from tests.damage import flipped

PASSPHRASE = "a passphrase for tests"
PATIENCE = 20
"""Seconds for other processes to do something, on a machine that is busy."""

GRUE = [sys.executable, "-m", "grue"]


class Service:
    """A `grue` verb that keeps running, and the lines that it has printed."""

    def __init__(self, *arguments: str, ahead: int = 0, env: dict[str, str] | None = None) -> None:
        command = [*GRUE, *arguments]
        if ahead:
            # The same program, by a clock that is ahead.
            turn = f"import time; now = time.time; time.time = lambda: now() + {ahead}"
            command = [sys.executable, "-c", f"{turn}\nfrom grue.cli.main import main; main()", *arguments]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}
        )
        self.lines: list[dict[str, Any]] = []
        self.errors: list[str] = []
        # Daemons: a test that fails before it stops its process must not keep pytest waiting.
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read, self._complain)]
        for reader in self._readers:
            reader.start()

    def listening(self) -> str:
        return str(self.first(lambda line: "listening" in line)["listening"])

    def first(self, wanted: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        until(lambda: any(map(wanted, self.lines)) or self.process.poll() is not None)
        found = [line for line in self.lines if wanted(line)]
        assert found, (self.lines, self.errors)
        return found[0]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Wait until it has ended by itself; returns its exit code."""
        code = self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        assert "Traceback" not in "".join(self.errors), self.errors
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def _complain(self) -> None:
        assert self.process.stderr is not None
        self.errors.extend(self.process.stderr)


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


class Stage:
    """One server, one carrier, and a folder with homes in it."""

    def __init__(self, path: Path, *, sms: bool = True) -> None:
        self.path = path
        self._sms = sms
        self._data = "server"
        self._carrier: Service | None = None
        self._server: Service | None = None
        self._carrier_address = "127.0.0.1:0"
        self._server_address = "127.0.0.1:0"
        self._heard: list[dict[str, Any]] = []
        self._imposters: dict[str, ThreadingHTTPServer] = {}
        self._linking: dict[str, Service] = {}
        """By home, those that wait to be linked."""

    @property
    def url(self) -> str:
        return f"http://{self._server_address}"

    @property
    def server(self) -> Service | None:
        """The process, while it runs."""
        return self._server

    @property
    def carrier(self) -> str:
        return self._carrier_address

    def open(self) -> None:
        self.start_carrier()
        self.start_server()

    def close(self) -> None:
        self.stop_server()
        self.stop_carrier()
        for imposter in self._imposters.values():
            imposter.shutdown()
            imposter.server_close()

    # --- playing ----------------------------------------------------------------------------------

    def play(self, step: Step) -> Outcome:
        """Run one command line of a transcript."""
        words = [self._filled(word) for word in step.words()]
        env = {}
        while re.match(r"[A-Z_]+=", words[0]):
            name, _, value = words.pop(0).partition("=")
            env[name] = value
        stdin = ""
        if "<" in words:
            at = words.index("<")
            words, stdin = words[:at], words[at + 1].encode().decode("unicode_escape")
        if words[0] == "grue":
            return self.grue(*words[1:], env=env, stdin=stdin)
        getattr(self, "_".join(words[:2]).replace("-", "_"))(*words[2:])
        return Outcome([], [], 0)

    def grue(self, *arguments: str, env: dict[str, str] | None = None, stdin: str = "") -> Outcome:
        """Run `grue` here: the program in this process, the server and the carrier outside of it."""
        out, errors = io.StringIO(), io.StringIO()
        given = io.TextIOWrapper(io.BytesIO(stdin.encode()))
        here = _surroundings({"GRUE_PASSPHRASE": PASSPHRASE, "COLUMNS": "200", **(env or {})}, given, self.path)
        with here, contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            code = run(arguments)
        return Outcome(self._lines(out), self._lines(errors), code)

    def _lines(self, printed: io.StringIO) -> list[str]:
        """What was printed, with the names of this run's servers as a transcript has them."""
        text = printed.getvalue().replace(self.url, "<server>")
        for kind in self._imposters:
            text = text.replace(self._imposter(kind), f"<imposter {kind}>")
        return [line.rstrip() for line in text.splitlines()]

    def _filled(self, word: str) -> str:
        word = word.replace("<server>", self.url).replace("<carrier>", self.carrier)
        word = re.sub(r"<code (\+\d+)>", lambda match: self.code(match[1]), word)
        word = re.sub(r"<newest (\w+) (\S+)>", lambda match: self._newest(match[1], match[2]), word)
        word = re.sub(r"<claim (\w+)>", lambda match: self._claim(match[1]), word)
        word = re.sub(r"<group (\w+)>", lambda match: str(self._group(match[1])["group"]), word)
        word = re.sub(r"<member (\w+) (\d)>", lambda match: self._member(match[1], int(match[2])), word)
        word = re.sub(r"<digits (\w+) (\S+)>", lambda match: self._digits(match[1], match[2]), word)
        word = re.sub(r"<link (\w+)>", lambda match: str(self._linking[match[1]].first(_has("link"))["link"]), word)
        word = re.sub(r"<join (\w+)>", lambda match: self._link(match[1]), word)
        return re.sub(r"<imposter (\w+)>", lambda match: self._imposter(match[1]), word)

    def _newest(self, home: str, chat: str) -> str:
        """The id of a chat's newest message."""
        shown = self.grue("--home", home, "--json", "show", chat).stdout
        return str(json.loads(shown[-1])["id"])

    def _digits(self, home: str, who: str) -> str:
        """The safety number that a home has with somebody."""
        (shown,) = self.grue("--home", home, "--json", "safety", who).stdout
        return str(json.loads(shown)["digits"])

    def _claim(self, home: str) -> str:
        """The name of the first claim of a home's number."""
        shown = self.grue("--home", home, "--json", "account", "claims").stdout
        return str(json.loads(shown[0])["claim"])

    def _group(self, home: str) -> dict[str, Any]:
        """The first group of a home."""
        listed = self.grue("--home", home, "--json", "group", "list").stdout
        return dict(json.loads(listed[0]))

    def _link(self, home: str) -> str:
        """The link into the first group of a home."""
        (shown,) = self.grue("--home", home, "--json", "group", "link", str(self._group(home)["group"])).stdout
        return str(json.loads(shown)["link"])

    def _member(self, home: str, number: int) -> str:
        """The id of the first group's member of this number, from 1 on."""
        return str(self._group(home)["members"][number - 1]["person"])

    # --- what can be done besides -----------------------------------------------------------------

    def start_server(self, ahead: str = "0", *options: str) -> None:
        sms = ["--sms", f"smpp://grue:secret@{self.carrier}?name=Example%20Mobile"] if self._sms else []
        data = str(self.path / self._data)
        arguments = ["serve", "--data", data, "--listen", self._server_address, *sms, *options]
        self._server = Service(*arguments, ahead=int(ahead))
        self._server_address = self._server.listening()

    def stop_server(self) -> None:
        if self._server is not None:
            assert self._server.stop() == 0, self._server.errors
            self._server = None

    def kill_server(self) -> None:
        """As a power cut would."""
        assert self._server is not None
        self._server.stop(signal.SIGKILL)
        self._server = None

    def restart_server(self, ahead: str = "0") -> None:
        self.stop_server()
        self.start_server(ahead)

    def kill_and_start_server(self) -> None:
        self.kill_server()
        self.start_server()

    def replace_server(self) -> None:
        """Another server answers at this address, with data and keys of its own."""
        self.stop_server()
        self._data = "another"
        self.start_server()

    def put_back_server(self) -> None:
        self.stop_server()
        self._data = "server"
        self.start_server()

    def start_carrier(self, *options: str) -> None:
        self._carrier = Service("carrier", "--listen", self._carrier_address, *options)
        self._carrier_address = self._carrier.listening()

    def stop_carrier(self) -> None:
        if self._carrier is not None:
            assert self._carrier.stop() == 0, self._carrier.errors
            self._heard += self._carrier.lines
            self._carrier = None

    def carrier_saw(self, sender: str, to: str, text: str) -> None:
        until(lambda: {"from": sender, "to": to, "text": text} in self.heard())

    def carrier_did_not_see(self, text: str) -> None:
        assert not [line for line in self.heard() if line.get("text") == text]

    def damage_file(self, name: str) -> None:
        """Everything after the first page of the database."""
        path = self.path / name
        data = path.read_bytes()
        path.write_bytes(data[:4096] + os.urandom(len(data) - 4096))
        # Or the pages in it would stand in for the damaged ones.
        path.with_name(path.name + "-wal").unlink(missing_ok=True)

    def write_file(self, name: str, text: str) -> None:
        (self.path / name).parent.mkdir(exist_ok=True)
        (self.path / name).write_bytes(text.encode().decode("unicode_escape").encode())

    def same_file(self, one: str, other: str) -> None:
        assert (self.path / one).read_bytes() == (self.path / other).read_bytes()

    def damage_parts(self) -> None:
        """Every part of an attachment that the server has, at its end."""
        for path in (self.path / self._data / "blobs").iterdir():
            path.write_bytes(flipped(path.read_bytes()))

    def copy_home(self, name: str, to: str) -> None:
        shutil.copytree(self.path / name, self.path / to)

    def chmod_file(self, name: str, mode: str) -> None:
        (self.path / name).chmod(int(mode, 8))

    def begin_linking(self, home: str, *options: str) -> None:
        """A new device shows its link, and waits."""
        env = {"GRUE_PASSPHRASE": PASSPHRASE}
        words = ("--home", str(self.path / home), "--json", "device", "link", home, "--server", self.url, *options)
        self._linking[home] = Service(*words, env=env)

    def end_linking(self, home: str, outcome: str) -> None:
        """It has become a device, or says why it has not."""
        service = self._linking.pop(home)
        code = service.ended()
        if outcome == "linked":
            assert (code, service.first(_has("linked"))["linked"]) == (0, True)
        else:
            assert (code, json.loads(service.errors[-1])["error"]) == (3, outcome), service.errors

    def code(self, number: str) -> str:
        """The newest code that the carrier brought to a number; each is used once."""
        until(lambda: self._codes(number))
        return self._codes(number)[-1]

    def heard(self) -> list[dict[str, Any]]:
        """Everything that the carrier has seen."""
        return [*self._heard, *(self._carrier.lines if self._carrier is not None else [])]

    def _codes(self, number: str) -> list[str]:
        texts = [str(line["text"]) for line in self.heard() if line.get("to") == number]
        return [text.split()[0] for text in texts if "Grue code" in text]

    # --- servers that are none --------------------------------------------------------------------

    def _imposter(self, kind: str) -> str:
        """The URL of something that is not our server: of a `later` protocol, a `website`, or `closed`."""
        if kind == "closed":
            return "http://127.0.0.1:1"
        if kind not in self._imposters:
            server = ThreadingHTTPServer(("127.0.0.1", 0), _imposter(kind))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self._imposters[kind] = server
        return f"http://127.0.0.1:{self._imposters[kind].server_address[1]}"


def _has(key: str) -> Callable[[dict[str, Any]], bool]:
    return lambda line: key in line


def _imposter(kind: str) -> type[BaseHTTPRequestHandler]:
    bodies = {
        "later": wire.encode(wire.ServerHello([wire.PROTOCOL + 1, wire.PROTOCOL + 2], bytes(32))),
        "website": b"<!doctype html><title>Hello</title>",
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(bodies[kind])

        def log_message(self, *_: object) -> None: ...

    return Handler


@contextlib.contextmanager
def _surroundings(env: dict[str, str], stdin: Any, folder: Path) -> Iterator[None]:
    before, here, given = os.environ.copy(), Path.cwd(), sys.stdin
    os.environ.update(env)
    os.chdir(folder)
    sys.stdin = stdin
    try:
        yield
    finally:
        sys.stdin = given
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)
