"""Who may import whom: the arrows of docs/architecture.md, read from the source of every module, Rust's too."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCE: Final = ROOT / "src" / "grue"
CRATES: Final = sorted(file.parent.parent for file in (ROOT / "rust").glob("*/src/lib.rs"))

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
    "rpc": frozenset({"", "errors", "protocol", "client"}),
    "desktop": frozenset({"errors", "protocol", "client", "rpc"}),
    "exposure": frozenset({"errors", "protocol"}),
    # A bot's author tests with it, and so do our own tests, the examples and the lab, which plays its lives in the same
    # world in memory and is no product either: nothing that is used for real may need it.
    "testing": frozenset({"errors", "protocol", "server", "client"}),
    "lab": frozenset({"errors", "_core", "protocol", "server", "client", "exposure", "testing"}),
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

FLOORS: Final = {
    "protocol": (
        "dates states urls numbers links pictures",
        "wire",
        "blobs tokens registration oblivious accountkey",
        "conversation",
        "directory sms",
        "devices",
    ),
    "server": (
        "reporting clock chance listening arriving",
        "store",
        "keys",
        "context",
        "tokens",
        "mailboxes",
        "directory",
        "replica",
        "sms",
        "accounts",
        "oblivious",
        "demands",
        "app conditions",
        "chores",
        "http",
        "run",
    ),
    "client": (
        "store",
        "transport verified search",
        "chats",
        "lookup",
        "context",
        "signing",
        "people",
        "account",
        "conversations",
        "devices",
        "daily_round",
        "health",
        "api",
        "client",
    ),
}
"""The rooms of the large parts, from the ground up: a room is a folder, or a file that stands beside the folders.

Of its part, a module imports its own room and the rooms on the floors below; rooms on one floor do not know each other.
"""

MOST_FILES: Final = 22
"""Modules side by side in a folder, `__init__` not counted: about as many names as one takes in at a glance. Above it
nobody finds the file that a thing is in, and the folder wants rooms."""

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
    "abc", "base64", "bisect", "collections", "contextlib", "copy", "dataclasses", "datetime", "enum", "functools",
    "hashlib", "heapq", "hmac", "ipaddress", "itertools", "math", "operator", "re", "string", "struct", "types",
    "typing", "unicodedata",
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


def _floor(dotted: str) -> int | None:
    """How many floors are below a module's room; None when its part names no such room."""
    _, part, room, *_ = [*dotted.split("."), "", ""]
    return next((height for height, rooms in enumerate(FLOORS[part]) if room in rooms.split()), None)


def _room_fault(module: str, target: str) -> str | None:
    """Why a module may not import this name of its own part, or None when it may."""
    own, others = module.split(".")[2:3], target.split(".")[2:3]
    floor, other = _floor(module), _floor(target)
    if other is None:
        return f"{target} is in no room that FLOORS names"
    if own != others and (floor is None or floor <= other):
        return f"{others[0]} is not below {own[0] if own else 'the whole part'}"
    return None


def faults(tree: ast.Module, module: str, *, package: bool = False) -> list[str]:
    """What a module imports against the rules, one line each."""
    part = part_of(module)
    if part == "" and module != "grue":
        return [f"{module} is in no part that MAY_IMPORT names"]
    large = next((name for name in module.split(".")[1:2] if name in FLOORS), None)
    if large and module != f"grue.{large}" and _floor(module) is None:
        return [f"{module} is in no room that FLOORS names"]
    found = []
    for target, line, when_loaded in imports(tree, module, package=package):
        top = target.partition(".")[0]
        other = part_of(target)
        if top != "grue":
            if part == "protocol" and not _protocol_may(top):
                found.append(f"{module}:{line} imports {top}, and the protocol is sans-I/O")
        elif not {other, other.split(".")[0]} & {part, *MAY_IMPORT[part]}:
            found.append(f"{module}:{line} imports {target}, and {part or 'grue'} must not import {other or 'grue'}")
        elif other in INSIDE_FUNCTIONS_ONLY.get(part, ()) and when_loaded:
            found.append(f"{module}:{line} imports {target} as it is loaded; a function has to")
        elif large and target.split(".")[1:2] == [large] and (why := _room_fault(module, target)):
            found.append(f"{module}:{line} imports {target}, and {why}")
    return found


def _protocol_may(top: str) -> bool:
    return top in (PROTOCOL_STANDARD_LIBRARY if top in sys.stdlib_module_names else PROTOCOL_LIBRARIES)


class Arrow(NamedTuple):
    """One module names another."""

    source: str
    line: int
    target: str


def circles(arrows: Iterable[Arrow]) -> list[str]:
    """For each package in which the modules or rooms name each other in a circle: the arrows of one such circle."""
    packages: dict[str, dict[tuple[str, str], Arrow]] = {}
    for arrow in arrows:
        package, first, second = _where_they_part(arrow.source, arrow.target)
        if first != second:
            packages.setdefault(package, {}).setdefault((first, second), arrow)
    return [found for package, steps in sorted(packages.items()) if (found := _circle(package, steps))]


def _where_they_part(source: str, target: str) -> tuple[str, str, str]:
    """The innermost package of two modules, and which member of it each of them is in: "" is the package's own file."""
    ways, names = source.split("."), target.split(".")
    depth = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ways, names, strict=False)))
    return ".".join(ways[:depth]), "".join(ways[depth : depth + 1]), "".join(names[depth : depth + 1])


def _circle(package: str, steps: Mapping[tuple[str, str], Arrow]) -> str | None:
    members: dict[str, list[str]] = {}
    for first, second in steps:
        members.setdefault(first, []).append(second)
    try:
        TopologicalSorter(members).prepare()
    except CycleError as error:
        way = (steps[second, first] for first, second in pairwise(error.args[1]))
        return f"{package}: " + ", ".join(f"{arrow.source}:{arrow.line} names {arrow.target}" for arrow in way)
    return None


RUST_TEXT: Final = re.compile(
    r"""//[^\n]* | /\*.*?\*/ | \br(\#*)".*?"\1 | "(?:\\.|[^"\\])*" | '(?:\\[^']*|[^'\\])'""", re.DOTALL | re.VERBOSE
)
"""Comments, strings and characters, in which a path names nothing."""
RUST_USE: Final = re.compile(r"\buse\s+([^;]+);")
RUST_BRANCH: Final = re.compile(r"([\w:]*)\{([^{}]*)\}")
RUST_PATH: Final = re.compile(r"(?<![\w:])[a-z_]\w*(?:::\w+)+")


class RustUse(NamedTuple):
    path: str
    name: str
    """What the path is called in the module that uses it, and for whoever looks there."""


def rust_arrows(sources: Mapping[str, str]) -> list[Arrow]:
    """What the modules of a crate name of each other, by `use` or by a path; its tests may name anything.

    A name that a module only hands on (`pub use`) is followed to the module that has it: `crate::Layout` is an arrow to
    `layout`, not to the root. `sources` is by dotted name: `pir`, `pir.kernel`, `pir.kernel.x86`.
    """
    codes = {module: _without_tests(_blank(RUST_TEXT, text)) for module, text in sources.items()}
    used = {module: {each.name: each.path for each in _uses(code)} for module, code in codes.items()}

    def find(path: str, module: str) -> str | None:
        """The module that a path leads to; None outside the crate."""
        first, *names = path.split("::")
        match first:
            case "crate":
                at = module.partition(".")[0]
            case "super":
                at = module.rpartition(".")[0]
            case "self":
                at = module
            case _:
                names, at = [first, *names], module
                if f"{module}.{first}" not in codes:
                    return None
        for name in names:
            if name == "super":
                at = at.rpartition(".")[0]
            elif f"{at}.{name}" in codes:
                at = f"{at}.{name}"
            elif name in used[at]:
                return find(used[at][name], at) or at
            else:
                break
        return at

    found = []
    for module, code in codes.items():
        paths = [(match.start(), each.path) for match in RUST_USE.finditer(code) for each in _uses(match[0])]
        paths += [(match.start(), match[0]) for match in RUST_PATH.finditer(_blank(RUST_USE, code))]
        targets = ((code.count("\n", 0, at) + 1, find(path, module)) for at, path in sorted(paths))
        found += [Arrow(module, line, target) for line, target in targets if target and target != module]
    return found


def _blank(pattern: re.Pattern[str], text: str) -> str:
    """Put spaces where the pattern matches, so that all else stays where it is."""
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def _without_tests(code: str) -> str:
    """Blank each item that is compiled for tests alone: up to its semicolon, or to the brace that closes it."""
    while (start := code.find("#[cfg(test)]")) >= 0:
        depth, end = 0, len(code)
        for match in re.compile(r"[{};]").finditer(code, start):
            depth += {"{": 1, "}": -1, ";": 0}[match[0]]
            if depth == 0:
                end = match.end()
                break
        code = code[:start] + re.sub(r"[^\n]", " ", code[start:end]) + code[end:]
    return code


def _uses(code: str) -> Iterator[RustUse]:
    """Each path of each `use`: `use a::{b, c::d as e};` is `a::b`, and `a::c::d` by the name of `e`."""
    for match in RUST_USE.finditer(code):
        tree = re.sub(r"\s*([{},:])\s*", r"\1", match[1].strip())
        while branch := RUST_BRANCH.search(tree):
            paths = ",".join(branch[1] + path for path in branch[2].split(",") if path)
            tree = tree[: branch.start()] + paths + tree[branch.end() :]
        for each in tree.split(","):
            path, _, name = each.partition(" as ")
            path = path.removesuffix("::self")
            yield RustUse(path, name or path.rpartition("::")[2])


def _modules() -> list[Path]:
    return sorted([*SOURCE.rglob("*.py"), *SOURCE.rglob("*.pyi")])


def _name(path: Path) -> str:
    names = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _arrows() -> Iterator[Arrow]:
    """What the modules of `grue` import of each other: those for type checkers and those in functions included."""
    names = {_name(path) for path in _modules()}
    for path in _modules():
        module = _name(path)
        for target, line, _ in imports(_tree(path), module, package=path.stem == "__init__"):
            parts = target.split(".")
            prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
            other = next((prefix for prefix in prefixes if prefix in names), module)
            if other != module:
                yield Arrow(module, line, other)


def _crate(folder: Path) -> dict[str, str]:
    """The sources of a crate by dotted name; `lib` and `mod` are the files of the folders that they are in."""
    sources = {}
    for file in sorted((folder / "src").rglob("*.rs")):
        names = (folder.name, *file.relative_to(folder / "src").with_suffix("").parts)
        sources[".".join(names[:-1] if names[-1] in ("lib", "mod") else names)] = file.read_text()
    return sources


@pytest.mark.parametrize("part", sorted({path.relative_to(SOURCE).parts[0] for path in _modules()}))
def test_the_modules_of_a_part_import_only_what_they_may(part: str) -> None:
    paths = [path for path in _modules() if path.relative_to(SOURCE).parts[0] == part]
    found = [line for path in paths for line in faults(_tree(path), _name(path), package=path.stem == "__init__")]
    assert not found, "\n".join(found)


def test_what_the_rules_name_is_there() -> None:
    names = {_name(path) for path in _modules()}
    named = {f"grue.{part}" for part in MAY_IMPORT if "." in part} | OPENS_A_SEAL.keys()
    named |= {f"grue.{part}.{room}" for part, floors in FLOORS.items() for room in " ".join(floors).split()}
    assert named - names == set()


def test_no_modules_and_no_rooms_import_each_other_in_a_circle() -> None:
    assert circles(_arrows()) == []


@pytest.mark.parametrize("folder", CRATES, ids=lambda folder: folder.name)
def test_no_modules_of_a_crate_name_each_other_in_a_circle(folder: Path) -> None:
    assert circles(rust_arrows(_crate(folder))) == []


def test_no_folder_has_more_modules_side_by_side_than_one_takes_in() -> None:
    folders = [path.parent for path in _modules() if path.stem != "__init__"]
    assert {folder for folder in folders if folders.count(folder) > MOST_FILES} == set()


def test_the_protocol_makes_no_randomness_and_asks_no_clock() -> None:
    found = {}
    for path in sorted((SOURCE / "protocol").rglob("*.py")):
        calls = [node.func for node in ast.walk(_tree(path)) if isinstance(node, ast.Call)]
        names = {call.attr if isinstance(call, ast.Attribute) else ast.unparse(call) for call in calls}
        found[_name(path)] = names & OUTSIDE_THE_PROTOCOL - OPENS_A_SEAL.get(_name(path), frozenset())
    assert {module: names for module, names in found.items() if names} == {}


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
        ("grue.server.oblivious.relay", "from grue.protocol.oblivious import seal_request", True),
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
        ("grue.server.mailboxes.mailboxes", "from grue.server.tokens.tokens import spend", True),
        ("grue.server.tokens.tokens", "from grue.server.mailboxes.mailboxes import Mailboxes", False),
        ("grue.server.tokens.tokens", "if TYPE_CHECKING:\n    from grue.server import app", False),
        ("grue.server.tokens.tokens", "def f():\n    from ..app import Server", False),
        ("grue.server.tokens.tokens", "from grue.server import nothing", False),
        ("grue.server.clock", "from grue.server import reporting", False),
        ("grue.server.cellar", "", False),
        ("grue.server.cellar.one", "", False),
        ("grue.server", "from grue.server import run", False),
        ("grue.lab.inprocess", "from grue.server.app import Server", True),
        ("grue.client.client", "from grue.client.people.contacts import Contacts", True),
        ("grue.client.people.contacts", "from grue.client.people import vcard", True),
        ("grue.client.people.contacts", "from grue.client.client import Client", False),
        ("grue.client.lookup.directory", "from grue.client import context", False),
        ("grue.protocol.directory.lookup", "from grue.protocol.conversation.fallback import Choice", True),
        ("grue.protocol.conversation.fallback", "from grue.protocol.directory.lookup import Answer", False),
        ("grue.protocol.tokens", "from grue.protocol import oblivious", False),
        ("grue.testing", "from grue.server.app import Server", True),
        ("grue.testing.world", "from grue.testing.clock import Clock", True),
        ("grue.testing.world", "from grue.lab import carrier", False),
        ("grue.lab.play", "from grue.testing import World", True),
        ("grue.client.client", "from grue import testing", False),
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
        ("grue.cli.verbs.account", "def register():\n    from grue.testing import World", False),
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
    assert (faults(ast.parse(source), module) == []) is allowed


@pytest.mark.parametrize(
    ("arrows", "circle"),
    [
        ([("grue.lab.a", "grue.lab.b"), ("grue.lab.b", "grue.lab.c")], None),
        ([("grue.lab.a", "grue.lab.b"), ("grue.lab.b", "grue.lab.a")], "grue.lab"),
        # The modules make none, and their rooms do.
        ([("grue.client.a.x", "grue.client.b.y"), ("grue.client.b.z", "grue.client.a.w")], "grue.client"),
        ([("grue.client.a.x", "grue.client.b"), ("grue.client.b", "grue.client.a.w")], "grue.client"),
        ([("grue.client.a", "grue.server.b"), ("grue.server.c", "grue.client.d")], "grue"),
        # A package that loads its modules, and one of them that asks the package for another.
        ([("grue.wire", "grue.wire.a"), ("grue.wire.b", "grue.wire.a")], None),
        ([("grue.wire", "grue.wire.a"), ("grue.wire.a", "grue.wire")], "grue.wire"),
        ([("pir.kernel", "pir.kernel.x86"), ("pir.kernel.x86", "pir.kernel")], "pir.kernel"),
    ],
)
def test_a_circle_is_found_among_modules_and_among_rooms(arrows: list[tuple[str, str]], circle: str | None) -> None:
    found = circles(Arrow(source, 1, target) for source, target in arrows)
    assert [line.partition(":")[0] for line in found] == ([circle] if circle else [])


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("use crate::layout::LINE;", {"layout"}),
        ("use crate::{\n    Error, layout::{self, LINE},\n    noise as n,\n};", {"error", "layout", "noise"}),
        ("use super::{Shape, noise};", {"layout", "noise"}),
        ("const X: f64 = crate::noise::ETA;", {"noise"}),
        ("fn f() { super::noise::bound() }", {"noise"}),
        ("use std::fmt;\nuse sha2::layout::Digest;", set()),
        # The root hands these on; `VERSION` is its own, and a module that takes it makes a circle with it.
        ("use crate::{Layout, Shape, Result};", {"layout", "error"}),
        ("use crate::VERSION;", {""}),
        ('/// See [`crate::layout::LINE`].\nconst X: &str = "crate::noise::ETA"; // crate::error::Error', set()),
        ("const X: char = '\"'; const Y: f64 = crate::noise::ETA; const Z: char = '\"';", {"noise"}),
        (
            "#[cfg(test)]\n#[allow(dead_code)]\nmod tests { fn f() { crate::noise::f() } }\nuse crate::error::Error;",
            {"error"},
        ),
        ("#[cfg(test)]\nuse crate::noise::ETA;\nuse crate::error::Error;", {"error"}),
    ],
)
def test_what_a_rust_module_names_is_read(source: str, named: set[str]) -> None:
    root = "pub use error::{Error, Result}; pub use layout::{Layout, Shape}; const VERSION: u32 = 1;"
    arrows = rust_arrows({"pir": root, "pir.error": "", "pir.layout": "", "pir.noise": "", "pir.pack": source})
    found = {arrow.target for arrow in arrows if arrow.source == "pir.pack"}
    assert found == {f"pir.{name}".removesuffix(".") for name in named}
