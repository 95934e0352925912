"""Who may import whom: the arrows of docs/architecture.md, read from the source of every module."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

SOURCE: Final = Path(__file__).resolve().parent.parent / "src" / "grue"

MAY_IMPORT: Final = {
    "errors": frozenset[str](),
    "_core": frozenset[str](),
    "protocol": frozenset({"errors", "_core"}),
    "server": frozenset({"errors", "_core", "protocol"}),
    # Another operator runs the relay, so it must not need our server; and what both are started with needs neither.
    "server.oblivious.relay": frozenset({"errors", "protocol", "server.listening"}),
    "server.listening": frozenset({"errors"}),
    # A replica holds no account's key and no store: of the server it has what keeps and answers a public table.
    "server.replica.replica": frozenset(
        {
            "errors",
            "_core",
            "protocol",
            "server.listening",
            "server.replica.mirror",
            "server.replica.origin",
            "server.directory.queryqueue",
            "server.store.disk",
            "server.keys.keyfile",
            "server.reporting",
        }
    ),
    "server.replica.mirror": frozenset(
        {"errors", "_core", "protocol", "server.directory.base", "server.store.disk", "server.directory.pir_table"}
    ),
    "server.directory.base": frozenset({"protocol"}),
    "server.replica.origin": frozenset({"errors", "protocol", "server.store.disk"}),
    "server.directory.pir_table": frozenset({"errors", "_core", "protocol", "server.store.disk"}),
    "server.directory.queryqueue": frozenset({"errors", "_core"}),
    "server.keys.keyfile": frozenset({"errors", "server.store.disk"}),
    "server.store.disk": frozenset({"errors"}),
    "server.reporting": frozenset[str](),
    "client": frozenset({"errors", "_core", "protocol"}),
    "calls": frozenset({"errors", "protocol", "client"}),
    "desktop": frozenset({"errors", "protocol", "client"}),
    "exposure": frozenset({"errors", "protocol"}),
    "lab": frozenset({"errors", "_core", "protocol", "server", "client", "exposure"}),
    "pages": frozenset({"", "errors", "protocol", "exposure", "server"}),
    # The command line names every part, and starts the lab by what a person types: only then is it imported.
    # `doctor` says whether the core loads.
    "cli": frozenset(
        {"", "errors", "_core", "protocol", "server", "client", "calls", "desktop", "exposure", "lab", "pages"}
    ),
    "": frozenset({"errors", "protocol", "client"}),
    "__main__": frozenset({"cli"}),
}
"""For each part of `grue`, the other parts that it may import. "" is `import grue` itself: the library."""

INSIDE_FUNCTIONS_ONLY: Final = {
    "cli": frozenset({"_core", "lab", "server", "client", "calls", "desktop"}),
    "pages": frozenset({"server"}),
}
"""Imports that a part makes when it needs them, never when it is loaded: a verb waits for no other verb's parts.
What only type checkers see is not loaded."""

PROTOCOL_LIBRARIES: Final = frozenset({"cryptography", "msgspec", "phonenumbers", "yarl"})
"""yarl, because aiohttp connects to what it reads in a URL: a check by another parser could read another host there."""
# fmt: off
PROTOCOL_STANDARD_LIBRARY: Final = frozenset({
    "abc", "base64", "bisect", "collections", "contextlib", "copy", "dataclasses", "enum", "functools", "hashlib",
    "heapq", "hmac", "ipaddress", "itertools", "math", "operator", "re", "string", "struct", "types", "typing",
    "unicodedata",
})
# fmt: on
"""No socket, disk, clock, thread or randomness among them: those are passed in."""

OUTSIDE_THE_PROTOCOL: Final = frozenset({"generate", "generate_key", "urandom", "token_bytes", "now", "today", "open"})
"""Calls that fetch randomness, the time or a file, whatever they are called on."""

OPENS_A_SEAL: Final = {
    "grue.protocol.oblivious": frozenset({"open"}),
    "grue.protocol.directory.pir": frozenset({"open"}),
}
"""Where a word means something else."""


class Import(NamedTuple):
    target: str
    """Dotted, with the name imported: `grue.protocol.wire.Post`."""
    line: int
    when_loaded: bool


def imports(tree: ast.Module, module: str, *, package: bool = False) -> Iterator[Import]:
    """Every import of a module, those for type checkers included."""
    home = module.split(".") if package else module.split(".")[:-1]

    def walk(node: ast.AST, loaded: bool) -> Iterator[Import]:
        match node:
            case ast.Import(names=names):
                yield from (Import(alias.name, node.lineno, loaded) for alias in names)
            case ast.ImportFrom(module=source, names=names, level=level):
                base = [*home[: len(home) - level + 1], *([source] if source else [])] if level else [source or ""]
                yield from (Import(".".join([*base, alias.name]), node.lineno, loaded) for alias in names)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, loaded and not _is_later(node))

    return walk(tree, True)


def _is_later(node: ast.AST) -> bool:
    """Say whether loading the module does not run what stands inside this node."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda() | ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case _:
            return False


def part_of(dotted: str) -> str:
    """The entry of `MAY_IMPORT` that a name under `grue` comes under."""
    names = dotted.split(".")[1:]
    parts = (".".join(names[:length]) for length in range(len(names), 0, -1))
    return next((part for part in parts if part in MAY_IMPORT), "")


def faults(source: str, module: str, *, package: bool = False) -> list[str]:
    """What a module imports against the rules, one line each."""
    part = part_of(module)
    if part == "" and module != "grue":
        return [f"{module} is in no part that MAY_IMPORT names"]
    found = []
    for target, line, when_loaded in imports(ast.parse(source), module, package=package):
        top = target.partition(".")[0]
        other = part_of(target)
        if top != "grue":
            if part == "protocol" and not _protocol_may(top):
                found.append(f"{module}:{line} imports {top}, and the protocol is sans-I/O")
        elif not {other, other.split(".")[0]} & {part, *MAY_IMPORT[part]}:
            found.append(f"{module}:{line} imports {target}, and {part or 'grue'} must not import {other or 'grue'}")
        elif other in INSIDE_FUNCTIONS_ONLY.get(part, ()) and when_loaded:
            found.append(f"{module}:{line} imports {target} as it is loaded; a function has to")
    return found


def _protocol_may(top: str) -> bool:
    return top in (PROTOCOL_STANDARD_LIBRARY if top in sys.stdlib_module_names else PROTOCOL_LIBRARIES)


def _modules() -> list[Path]:
    return sorted([*SOURCE.rglob("*.py"), *SOURCE.rglob("*.pyi")])


def _name(path: Path) -> str:
    names = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


@pytest.mark.parametrize("path", _modules(), ids=_name)
def test_a_module_imports_only_what_its_part_may(path: Path) -> None:
    assert faults(path.read_text(), _name(path), package=path.stem == "__init__") == []


@pytest.mark.parametrize("path", sorted((SOURCE / "protocol").rglob("*.py")), ids=_name)
def test_the_protocol_makes_no_randomness_and_asks_no_clock(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    names = {(call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)) for call in calls}
    assert names & OUTSIDE_THE_PROTOCOL - OPENS_A_SEAL.get(_name(path), frozenset()) == set()


def test_the_version_is_said_without_loading_any_part() -> None:
    code = "import sys; sys.argv = ['grue', '--version']; import grue.cli.main as m; m.main(); print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    parts = {name.split(".")[1] for name in output.split() if name.startswith("grue.")}
    assert parts == {"cli"}


def test_a_relay_loads_neither_a_store_nor_a_key_nor_any_other_part_of_the_server() -> None:
    code = "import sys, grue.server.oblivious.relay; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    ours = {name for name in loaded if name.startswith("grue.server.") or name in ("grue._core", "grue.client")}
    assert ours == {"grue.server.listening", "grue.server.oblivious", "grue.server.oblivious.relay"}
    assert loaded & {"apsw", "cryptography", "sqlite3"} == set()


@pytest.mark.parametrize(
    ("module", "source", "allowed"),
    [
        ("grue.server.mailboxes.mailboxes", "from grue.protocol import wire", True),
        ("grue.server.mailboxes.mailboxes", "from grue.server.store.interface import Store", True),
        ("grue.server.mailboxes.mailboxes", "from .store import Store", True),
        ("grue.server.mailboxes.mailboxes", "from ...client import open", False),
        ("grue.server.mailboxes.mailboxes", "from grue import client", False),
        ("grue.server.mailboxes.mailboxes", "import grue.client.store.engine", False),
        ("grue.server.mailboxes.mailboxes", "import grue", False),
        ("grue.server.mailboxes.mailboxes", "def f():\n    import grue.client", False),
        ("grue.server.mailboxes.mailboxes", "if TYPE_CHECKING:\n    import grue.client", False),
        ("grue.server.oblivious.relay", "from grue.protocol.ohttp import encapsulate", True),
        ("grue.server.oblivious.relay", "from grue.server import store", False),
        ("grue.server.oblivious.relay", "from .. import store", False),
        ("grue.server.oblivious.relay", "from grue.server import keys", False),
        ("grue.server.oblivious.relay", "from grue.server.app import Server", False),
        ("grue.server.oblivious.relay", "from grue.server.store.sqlite import open_store", False),
        ("grue.server.oblivious.relay", "from grue.server.http import runner", False),
        ("grue.server.oblivious.relay", "from grue.server.run import serve", False),
        ("grue.server.oblivious.relay", "from grue.server.listening import runner", True),
        ("grue.server.oblivious.relay", "from grue._core import OhttpGateway", False),
        ("grue.server.listening", "from grue.server.store.interface import Store", False),
        ("grue.server.listening", "from grue.protocol import wire", False),
        ("grue.server.run", "from grue.server.listening import runner", True),
        ("grue.client.account", "import grue.server", False),
        ("grue.client.account", "from grue._core import MlsSession", True),
        ("grue.protocol.directory.lookup", "from grue.protocol.wire import Evaluate", True),
        ("grue.protocol.directory.lookup", "from grue._core import OprfBlind", True),
        ("grue.protocol.directory.lookup", "import socket", False),
        ("grue.protocol.directory.lookup", "import aiohttp", False),
        ("grue.protocol.directory.lookup", "from grue.client import account", False),
        ("grue.client.account", "import grue.lab.carrier", False),
        ("grue.cli.carrier", "import grue.lab.carrier", False),
        ("grue.cli.carrier", "def carrier():\n    import grue.lab.carrier", True),
        ("grue.cli.carrier", "if TYPE_CHECKING:\n    import grue.lab.carrier", True),
        ("grue.cli.main", "from grue import __version__", True),
        ("grue.cli.main", "from grue.errors import GrueError", True),
        ("grue.cli.main", "from grue.cli.output import say", True),
        ("grue.errors", "from grue.protocol import wire", False),
        ("grue", "from grue.client import open", True),
        ("grue", "from grue.server import serve", False),
        ("grue.gadgets.one", "", False),
    ],
)
def test_the_rules_are_read_as_they_are_meant(module: str, source: str, allowed: bool) -> None:
    assert (faults(source, module) == []) is allowed
