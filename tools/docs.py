"""Write the generated parts of the documents: each fact is written once, in the code, and shown in the documents.

A part stands between two markers and is replaced whole:

    <!-- fields: RegisterStart CodeSent -->   messages of grue.protocol.wire and .contents, with their fields
    <!-- types: grue.protocol.wire -->        the named types that fields are made of
    <!-- limits: grue.protocol.wire -->       a module's named constants and the reason for each
    <!-- modules: grue.server -->             a package's modules room by room, each with its first sentence
    <!-- floors: server -->                   a part's rooms, the highest first, as tests/test_arrows.py holds them
    <!-- parts -->                            the parts of grue, and which others each may import
    <!-- floors: server -->                   a part's rooms, the highest first, as tests/test_arrows.py holds them
    <!-- library: grue -->                    the public names of a module, with signatures and docstrings
    <!-- states: grue.protocol.x.TABLE -->    a state machine, as a diagram
    <!-- tables -->                           what the server stores, column by column, and what each says
    <!-- errors: code code -->                errors; without codes, all of them
    <!-- bench -->                            the measurements in bench/results.json, in groups and words
    <!-- headlines -->                        five of them as sentences
    <!-- peers -->                            those of them that set a lookup beside others' programs
    <!-- life -->                             the scores in bench/life.json
    <!-- end -->

`python tools/docs.py` writes them, `--check` fails when one is out of date.
"""

import argparse
import ast
import importlib
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Final, TypeGuard, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct
from msgspec import inspect as shapes

from grue.errors import BY_CODE

ROOT: Final = Path(__file__).resolve().parent.parent
MESSAGE_MODULES: Final = ("grue.protocol.wire", "grue.protocol.conversation.contents")

_PART: Final = re.compile(
    r"(?P<open><!-- (?P<kind>[a-z-]+)(?:: (?P<argument>[^>]*?))? -->\n)(?P<body>.*?)(?P<close><!-- end -->)", re.DOTALL
)
BY_HAND: Final = frozenset({"demo-table"})
"""Parts that something else writes: they are left as they are."""


class DocsError(Exception):
    """A marker that asks for something that is not there."""


# --- Markdown -------------------------------------------------------------------------------------


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(map(_cell, line)) + " |\n" for line in lines)


# --- docstrings under fields and constants, which Python itself does not keep ---------------------


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DocsError(f"no module {name}: {error}") from error


def _annotated(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.expr | None, str]]:
    """Name, annotation and docstring of each assignment in a class or module body."""
    for statement, after in zip(body, [*body[1:], None], strict=True):
        annotation: ast.expr | None = None
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation):
                pass
            case ast.Assign(targets=[ast.Name(id=name)]):
                pass
            case _:
                continue
        match after:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield name, annotation, inspect.cleandoc(text)
            case _:
                yield name, annotation, ""


def _module_body(module: ModuleType) -> list[ast.stmt]:
    return ast.parse(inspect.getsource(module)).body


def _class_body(cls: type) -> list[ast.stmt]:
    found = [node for node in _module_body(_module(cls.__module__)) if isinstance(node, ast.ClassDef)]
    return next(node.body for node in found if node.name == cls.__name__)


# --- fields ---------------------------------------------------------------------------------------


def _message(name: str) -> type[Struct]:
    if "." in name:
        path, _, name = name.rpartition(".")
        places: tuple[str, ...] = (path,)
    else:
        places = MESSAGE_MODULES
    for place in places:
        found = getattr(_module(place), name, None)
        if isinstance(found, type) and issubclass(found, Struct):
            return found
    raise DocsError(f"no message {name} in {' or '.join(places)}")


def _written_type(annotation: ast.expr | None) -> str:
    """The type as it stands in the source, without what `Annotated` adds."""

    class Plain(ast.NodeTransformer):
        def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
            self.generic_visit(node)
            match node:
                case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[first, *_])):
                    return first
            return node

    return "" if annotation is None else f"`{ast.unparse(Plain().visit(annotation))}`"


def _range(least: int | None, most: int | None, unit: str = "") -> str:
    unit = f" {unit}" if unit else ""
    if least == most and most is not None:
        return f"{most:,}{unit}"
    if most is None:
        return "any"
    return f"{least:,} to {most:,}{unit}" if least else f"up to {most:,}{unit}"


def _size(shape: shapes.Type) -> str:
    """What a value takes on the wire, without the one to five bytes that MessagePack puts before it."""
    match shape:
        case shapes.Metadata(type=inner):
            return _size(inner)
        case shapes.BytesType(min_length=least, max_length=most):
            return _range(least, most)
        case shapes.StrType(min_length=least, max_length=most):
            return _range(least, most, "characters")
        case shapes.IntType():
            return "1 to 9"
        case shapes.BoolType():
            return "1"
        case shapes.ListType(item_type=item, min_length=least, max_length=most):
            each = _size(item)
            return f"{_range(least, most)} × {f'({each})' if ' ' in each else each}"
        case shapes.StructType(cls=cls):
            return f"see `{cls.__name__}`"
        case shapes.UnionType(types=types):
            return " or ".join("1" if isinstance(one, shapes.NoneType) else _size(one) for one in types)
        case _:
            raise DocsError(f"no size for {shape}")


def _seen_by(annotation: Any) -> str:
    """The innermost `seen(...)` of a field; the last one wins when an alias has its own."""
    if get_origin(annotation) is not Annotated:
        return ""
    found = [meta.extra["seen"] for meta in get_args(annotation)[1:] if isinstance(meta, msgspec.Meta) and meta.extra]
    return found[-1] if found else ""


def fields(argument: str) -> str:
    """Each message: its name and tag, what it does, and its fields."""
    return "\n".join(_one_message(_message(name)) for name in argument.split())


def _one_message(cls: type[Struct]) -> str:
    shape = shapes.type_info(cls)
    assert isinstance(shape, shapes.StructType)
    written = {name: (_written_type(annotation), doc) for name, annotation, doc in _annotated(_class_body(cls))}
    tag = "" if shape.tag is None else f" (tag {shape.tag})"
    doc = " ".join((cls.__doc__ or "").split())
    heading = f"**`{cls.__name__}`**{tag}{': ' + doc if doc else ''}\n"
    rows = [
        (f"`{field.name}`", written[field.name][0], _size(field.type), _seen_by(annotation), written[field.name][1])
        for field, annotation in zip(shape.fields, get_type_hints(cls, include_extras=True).values(), strict=True)
    ]
    if not rows:
        return f"{heading}\nNo fields.\n"
    return f"{heading}\n" + _table(("field", "type", "bytes", "who can read it", "meaning"), rows)


def types(argument: str) -> str:
    """The named types of a module: those written `Name = Annotated[...]`."""
    module = _module(argument)
    rows = [
        (f"`{name}`", _size(shapes.type_info(getattr(module, name))), doc)
        for name, _, doc in _annotated(_module_body(module))
        if get_origin(getattr(module, name, None)) is Annotated
    ]
    return _table(("type", "bytes", "what it is"), rows)


# --- modules --------------------------------------------------------------------------------------


def modules(argument: str) -> str:
    """A package's own modules, then those of each of its rooms under the room's docstring."""
    folder = ROOT / "src" / argument.replace(".", "/")
    rooms: dict[Path, list[Path]] = {}
    for path in sorted(folder.rglob("*.py"), key=lambda path: (len(path.parts), path)):
        if path.stat().st_size and path.name != "__init__.py":
            rooms.setdefault(path.parent, []).append(path)
    if not rooms:
        raise DocsError(f"{argument} has no modules")
    return "\n".join(_room(room, folder, paths) for room, paths in rooms.items())


def floors(argument: str) -> str:
    """A part's rooms from the top down. A room is a folder, or a file beside the folders."""
    from tests.test_arrows import FLOORS

    if argument not in FLOORS:
        raise DocsError(f"tests/test_arrows.py has no floors for {argument!r}")
    part = ROOT / "src" / "grue" / argument
    rows = [
        (f"{at}", "<br>".join(_door(part, room) for room in floor.split()))
        for at, floor in reversed(list(enumerate(FLOORS[argument])))
    ]
    return _table(("floor", "rooms"), rows)


def _door(part: Path, room: str) -> str:
    folder = part / room
    name, init = (f"`{room}/`", folder / "__init__.py") if folder.is_dir() else (f"`{room}.py`", part / f"{room}.py")
    return f"{name} {_first_paragraph(init)}"


def parts(_argument: str) -> str:
    """The parts of grue that are folders, and which others each may import."""
    from tests.test_arrows import MAY_IMPORT

    rows = [
        (f"`{part}/`", _first_paragraph(init), ", ".join(f"`{other or 'grue'}`" for other in sorted(MAY_IMPORT[part])))
        for part in MAY_IMPORT
        if (init := ROOT / "src" / "grue" / part / "__init__.py").exists() and part
    ]
    return _table(("part", "what it is", "may import"), rows)


def floors(argument: str) -> str:
    """A part's rooms from the top down. A room is a folder, or a file beside the folders."""
    from tests.test_arrows import FLOORS

    if argument not in FLOORS:
        raise DocsError(f"tests/test_arrows.py has no floors for {argument!r}")
    part = ROOT / "src" / "grue" / argument
    rows = [
        (f"{at}", f"`{name}`", said)
        for at, floor in reversed(list(enumerate(FLOORS[argument])))
        for name, said in (_door(part, room) for room in floor.split())
    ]
    return _table(("floor", "room", "what it is"), rows)


def _door(part: Path, room: str) -> tuple[str, str]:
    folder, file = part / room, part / f"{room}.py"
    return (f"{room}/", _first_paragraph(folder / "__init__.py")) if folder.is_dir() else (file.name, _first_paragraph(file))


def _room(room: Path, folder: Path, paths: Sequence[Path]) -> str:
    rows = [(f"`{path.name}`", _first_paragraph(path)) for path in paths]
    table = _table(("module", "what it is"), rows)
    if room == folder:
        return table
    init = room / "__init__.py"
    said = _first_paragraph(init) if init.exists() else ""
    return f"**`{room.relative_to(folder.parent)}/`** {said}".rstrip() + f"\n\n{table}"


def _first_paragraph(path: Path) -> str:
    return " ".join((ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n\n")[0].split())


# --- the library ----------------------------------------------------------------------------------


def library(argument: str) -> str:
    """Every public name of a module: its signature, its docstring, and of a class what it has."""
    module = _module(argument)
    names = sorted(getattr(module, "__all__", ()), key=lambda name: (not name.islower(), name))
    if not names:
        raise DocsError(f"{argument} has no __all__")
    things = {name: getattr(module, name) for name in names}
    raised = [(name, thing) for name, thing in things.items() if _is_error(thing)]
    entries = [_public(argument, name, thing) for name, thing in things.items() if not _is_error(thing)]
    return "\n".join([*entries, _raised(argument, raised)] if raised else entries)


def _is_error(thing: object) -> TypeGuard[type[Exception]]:
    return isinstance(thing, type) and issubclass(thing, Exception)


def _raised(module: str, errors: Sequence[tuple[str, type[Exception]]]) -> str:
    rows = [(f"`{module}.{name}`", f"`{error.code}`", _prose(inspect.getdoc(error) or "")) for name, error in errors]  # type: ignore[attr-defined]
    return "### Errors\n\n" + _table(("type", "code", "when"), rows)


def _public(module: str, name: str, thing: object) -> str:
    if isinstance(thing, type):
        return _entry(f"{module}.{name}", "", thing, _members(thing))
    if callable(thing):
        return _entry(f"{module}.{name}", str(inspect.signature(thing)), thing, "")
    return _entry(f"{module}.{name}", "", type(thing), "")


def _entry(name: str, signature: str, thing: object, rest: str) -> str:
    shown = f"```python\n{name}{_plain(signature)}\n```\n\n" if signature else ""
    doc = inspect.cleandoc(getattr(thing, "__doc__", None) or "")
    parts = (f"### `{name}`\n", shown, _prose(doc), rest)
    return "\n".join(part.rstrip("\n") + "\n" for part in parts if part)


def _members(cls: type) -> str:
    """An enumeration's values, a record's fields, and public methods, in the order of the source."""
    if issubclass(cls, StrEnum):
        return "Values: " + ", ".join(f"`{one.value}`" for one in cls) + ".\n"
    rows = [
        (f"`{name}`", _written_type(annotation), doc)
        for name, annotation, doc in _annotated(_class_body(cls))
        if annotation is not None and not name.startswith("_")
    ]
    fields = _table(("field", "type", "meaning"), rows) if rows else ""
    methods = "\n".join(
        f"**`{_kind(method)}{name}{_plain(str(inspect.signature(method)))}`**\n\n{_prose(inspect.getdoc(method) or '')}"
        for name, method in _methods(cls)
    )
    properties = [
        (f"`{name}`", f"`{_plain(_returned(value))}`", _prose(inspect.getdoc(value) or "").strip())
        for name, value in vars(cls).items()
        if isinstance(value, property) and not name.startswith("_")
    ]
    table = _table(("property", "type", "meaning"), properties) if properties else ""
    return "\n".join(part for part in (fields, table, methods) if part)


def _methods(cls: type) -> Iterator[tuple[str, Callable[..., object]]]:
    for name, value in vars(cls).items():
        if inspect.isfunction(value) and not name.startswith("_"):
            yield name, value


def _kind(method: Callable[..., object]) -> str:
    """How it is called: awaited, iterated, or plainly."""
    if inspect.isasyncgenfunction(method):
        return "async for "
    return "await " if inspect.iscoroutinefunction(method) else ""


def _returned(value: property) -> str:
    return str(inspect.signature(value.fget)).partition(" -> ")[2] if value.fget is not None else ""


def _plain(signature: str) -> str:
    """A signature as people write it: names of types without the modules that they are in, and no `self`."""
    shorter = re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Za-z])", "", signature)
    unquoted = re.sub(r"(: |-> |\[|\| |^)'([^']+)'", r"\1\2", shorter)
    return re.sub(r"\(self(?:, )?", "(", unquoted)


def _prose(doc: str) -> str:
    """A docstring as Markdown; what is set out in columns or as code stays as it is."""
    paragraphs = doc.split("\n\n") if doc else []
    set_out = re.compile(r"^\s*(?:>>> |async |    )|^\w+(?:, \w+)*  +\S", re.MULTILINE)
    kept = [f"```text\n{one}\n```" if set_out.search(one) else " ".join(one.split()) for one in paragraphs]
    return "".join(f"{one}\n\n" for one in kept).rstrip("\n") + "\n" if kept else ""


# --- limits ---------------------------------------------------------------------------------------


def _value(value: object) -> str:
    match value:
        case bool() | str() | bytes():
            return f"`{value!r}`"
        case int():
            return f"{value:,}"
        case tuple():
            return " / ".join(_value(one) for one in value)
        case _:
            return f"{value}"


def limits(argument: str) -> str:
    """The public constants of a module that say why they are what they are."""
    module = _module(argument)
    rows = [
        (f"`{name}`", _value(getattr(module, name)), doc)
        for name, _, doc in _annotated(_module_body(module))
        if doc and re.fullmatch(r"[A-Z][A-Z0-9_]*", name) and not isinstance(getattr(module, name), Mapping)
    ]
    if not rows:
        raise DocsError(f"{argument} has no constant with a reason under it")
    return _table(("name", "value", "unit and reason"), rows)


# --- states ---------------------------------------------------------------------------------------


def states(argument: str) -> str:
    """A state machine as a diagram; it starts in the first state of the table and in those nothing leads to."""
    path, _, name = argument.rpartition(".")
    table: Mapping[StrEnum, Mapping[StrEnum, StrEnum]] = getattr(_module(path), name)
    entered = {target for state, steps in table.items() for target in steps.values() if target is not state}
    lines = [f"[*] --> {state}" for index, state in enumerate(table) if index == 0 or state not in entered]
    for state, steps in table.items():
        for target in dict.fromkeys(steps.values()):
            events = [str(event) for event in steps if steps[event] is target]
            lines.append(f"{state} --> {target}: {', '.join(events)}")
        if not steps:
            lines.append(f"{state} --> [*]")
    return "```mermaid\nstateDiagram-v2\n" + "".join(f"    {line}\n" for line in lines) + "```\n"


# --- what is stored -------------------------------------------------------------------------------


def tables(_argument: str) -> str:
    """Every column that the server has at rest."""
    from grue.server.store.interface import TABLES

    rows = [(f"`{table.name}`", f"`{column.name}`", column.says) for table in TABLES for column in table.columns]
    return _table(("table", "column", "what it says"), rows)


# --- errors ---------------------------------------------------------------------------------------


def errors(argument: str) -> str:
    """Errors by their code, as the command line and a refusal name them."""
    codes = argument.split() or list(BY_CODE)
    if missing := [code for code in codes if code not in BY_CODE]:
        raise DocsError(f"no error has the code {', '.join(missing)}")
    found = [BY_CODE[code] for code in codes]
    rows = [(f"`{error.code}`", str(error.exit_code), error.message, error.fix) for error in found]
    return _table(("code", "exit", "message", "what to do"), rows)


# --- measurements ---------------------------------------------------------------------------------


PEER: Final = "vs_"
"""What the names of measurements begin with that set a lookup beside others' programs."""


def _figure(value: float) -> str:
    return f"{value:,.4g}" if isinstance(value, float) and value < 1000 else f"{value:,.0f}"


def bench(_argument: str) -> str:
    """The measurements of the last `make bench` in groups; what they were measured on, under the tables.

    Without those that `peers` shows.
    """
    path = ROOT / "bench" / "results.json"
    if not path.exists():
        return "Nothing has been measured yet; `make bench` does it.\n"
    from bench.catalogue import GROUPS

    results = {one["id"]: one for one in json.loads(path.read_text())}
    named = {key for group in GROUPS.values() for key in group}
    if without := [key for key in results if key not in named and not key.startswith(PEER)]:
        raise DocsError(f"bench/catalogue.py has no words for {', '.join(without)}")
    parts = [_figures(title, group, results) for title, group in GROUPS.items()]
    return "\n".join(filter(None, parts)) + "\n" + _measured_on(list(results.values()))


def _figures(title: str, group: Mapping[str, str], results: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        (
            words,
            f"{_figure(one['value'])} {one['unit']}",
            "" if one.get("reach") is None else _figure(one["reach"]),
            ", ".join(f"{peer} {_figure(value)}" for peer, value in one.get("peers", {}).items()),
            f"`{key}`",
        )
        for key, words in group.items()
        if (one := results.get(key)) is not None
    ]
    if not rows:
        return ""
    names = dict.fromkeys(results[key]["command"].rpartition(" ")[2] for key in group if key in results)
    head = ("what", "measured", "aim", "beside it, in the same run", "id")
    return f"### {title}\n\n" + _table(head, rows) + f"\nMeasured by `python -m bench {' '.join(names)}`.\n"


def headlines(_argument: str) -> str:
    """The sentences of the README, with the figures of the last `make bench` in them."""
    from bench.catalogue import HEADLINES

    results = {one["id"]: one for one in json.loads((ROOT / "bench" / "results.json").read_text())}

    def figure(match: re.Match[str]) -> str:
        one = results.get(match["id"])
        if one is None or (match["peer"] and match["peer"] not in one["peers"]):
            raise DocsError(f"no measurement {match[0]}")
        value = one["peers"][match["peer"]] if match["peer"] else one["value"]
        return f"{value:.0%}".replace("%", " %") if match["share"] else _figure(value)

    filled = (re.sub(r"\{(?P<id>\w+)(?::(?P<peer>[^}%]+))?(?P<share>%)?\}", figure, one) for one in HEADLINES)
    return "".join(f"- {one}\n" for one in filled)


def _measured_on(results: Sequence[Mapping[str, Any]]) -> str:
    machines = dict.fromkeys(one["machine"] for one in results)
    return "".join(f"Measured on: {machine}.\n" for machine in machines)


def peers(_argument: str) -> str:
    """What a lookup costs us and others, a row for each program and size, by the last `python -m bench peers`."""
    results = {one["id"]: one for one in json.loads((ROOT / "bench" / "results.json").read_text())}
    costs = [(*key.removeprefix(PEER).rsplit("_", 1), one) for key, one in results.items() if key.startswith(PEER)]
    rows = [
        (size, name, _figure(one["value"]), _figure(results[f"{PEER}{name}_{size}_bytes"]["value"]), one["peers"])
        for name, size, one in costs
        if size != "bytes"
    ]
    rows.sort(key=lambda row: (len(row[0].replace("m", "000k")), row[1] != "grue", row[1]))
    columns = list(rows[0][-1]) if rows else []
    table = [(*row[:-1], *(_figure(row[-1][column]) for column in columns)) for row in rows]
    return _table(("records", "program", "times our time", "times our bytes", *columns), table)


def life(_argument: str) -> str:
    """What each observer of made-up lives answers, by the last `python -m bench life`."""
    path = ROOT / "bench" / "life.json"
    if not path.exists():
        return "Nothing has been measured yet; `python -m bench life` does it.\n"
    scores = json.loads(path.read_text())
    found = {(one["view"], one["question"]): one for one in scores}
    views, questions = (list(dict.fromkeys(one[key] for one in scores)) for key in ("view", "question"))
    rows = [(view, *(_score(found[view, question]) for question in questions)) for view in views]
    rows.append(("by chance", *(f"{found[views[0], question]['chance']:.0%}" for question in questions)))
    return _table(("", *questions), rows) + f"\nOver {scores[0]['seeds']} lives.\n"


def _score(one: Mapping[str, Any]) -> str:
    """The share that is right with its interval, and the bits learned with theirs."""
    share = f"{one['share']:.0%} ({one['low']:.0%} to {one['high']:.0%})"
    return f"{share}; {one['bits']:.1f} bits ({one['bits_low']:.1f} to {one['bits_high']:.1f})"


# --- documents ------------------------------------------------------------------------------------

KINDS: Final = {
    "fields": fields,
    "types": types,
    "modules": modules,
    "floors": floors,
    "parts": parts,
    "floors": floors,
    "library": library,
    "limits": limits,
    "states": states,
    "tables": tables,
    "errors": errors,
    "bench": bench,
    "headlines": headlines,
    "life": life,
    "peers": peers,
}


def documents() -> list[Path]:
    """Every Markdown file that people read: those at the top and all under docs/."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def render(text: str) -> str:
    """The document with every generated part made anew. Raises DocsError for a marker that means nothing."""

    def part(match: re.Match[str]) -> str:
        kind, argument = match["kind"], (match["argument"] or "").strip()
        if kind in BY_HAND:
            return match[0]
        if kind not in KINDS:
            raise DocsError(f"no generated part is called {kind!r}")
        if _PART.match(match["body"]) or "<!-- " in match["body"]:
            raise DocsError(f"the part {kind!r} has no <!-- end --> of its own")
        return f"{match['open']}\n{KINDS[kind](argument)}\n{match['close']}"

    return _PART.sub(part, text)


def main(arguments: Sequence[str] | None = None) -> int:
    # Python itself looks beside this file alone, and the figures' words lie in `bench`.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    parser = argparse.ArgumentParser(description="Write the generated parts of the documents.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a part is out of date")
    check = parser.parse_args(arguments).check
    stale = False
    for path in documents():
        old = path.read_text()
        try:
            new = render(old)
        except DocsError as error:
            print(f"{path.relative_to(ROOT)}: {error}", file=sys.stderr)
            return 2
        if new == old:
            continue
        stale = True
        if not check:
            path.write_text(new)
        print(f"{path.relative_to(ROOT)}: {'out of date, `make docs` writes it' if check else 'written'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
