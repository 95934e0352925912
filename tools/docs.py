"""Write the generated parts of the documents: each fact is written once, in the code, and shown in the documents.

A part stands between two markers and is replaced whole:

    <!-- fields: RegisterStart CodeSent -->   messages of grue.protocol.wire and .contents, with their fields
    <!-- types: grue.protocol.wire.base -->   the named types that fields are made of
    <!-- limits: grue.protocol.wire.base -->  a module's named constants and the reason for each
    <!-- modules: grue.server -->             a package's modules room by room, each with its first sentence
    <!-- floors: server -->                   a part's rooms, the highest first, as tests/test_arrows.py holds them
    <!-- parts -->                            the parts of grue, and which others each may import
    <!-- library: grue -->                    the public names of a module, with signatures and docstrings
    <!-- states: grue.protocol.x.TABLE -->    a state machine, as a diagram
    <!-- tables -->                           what the server stores, column by column, and what each says
    <!-- errors: code code -->                errors of grue.errors; without codes, all of them
    <!-- local-errors -->                     the errors that one module has for itself, and which module
    <!-- bench -->                            the measurements in bench/results.json, in groups and words
    <!-- headlines -->                        five of them as sentences
    <!-- peers -->                            those of them that set a lookup beside others' programs
    <!-- life -->                             the scores in bench/life.json
    <!-- demo-table: direct -->               left as it is: tools/demo_table.py writes it, from runs of the demo
    <!-- end -->

`python tools/docs.py` writes them; `--check` fails when one is out of date, and says what it should say instead.
"""

import argparse
import ast
import difflib
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct
from msgspec import inspect as shapes

from grue.errors import BY_CODE, GrueError

if not __package__:
    # Started as a file: Python looks beside it alone.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.catalogue import GROUPS, HEADLINES
from tools.house import floors, library, modules, parts
from tools.source import ROOT as ROOT
from tools.source import DocsError as DocsError
from tools.source import annotated, class_body, module, module_body, table, written_type

MESSAGE_MODULES: Final = ("grue.protocol.wire", "grue.protocol.conversation.contents")

_PART: Final = re.compile(
    r"(?P<open><!-- (?P<kind>[a-z-]+)(?:: (?P<argument>[^>]*?))? -->\n)(?P<body>.*?)(?P<close><!-- end -->)", re.DOTALL
)
BY_HAND: Final = frozenset({"demo-table"})
"""Parts that something else writes: they are left as they are."""

SHOWN_CHANGES: Final = 12
"""Differences that are shown of a document that is out of date: one change of the code makes many of a kind."""


# --- fields ---------------------------------------------------------------------------------------


def _message(name: str) -> type[Struct]:
    if "." in name:
        path, _, name = name.rpartition(".")
        places: tuple[str, ...] = (path,)
    else:
        places = MESSAGE_MODULES
    for place in places:
        found = getattr(module(place), name, None)
        if isinstance(found, type) and issubclass(found, Struct):
            return found
    raise DocsError(f"no message {name} in {' or '.join(places)}")


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
        case shapes.EnumType(cls=enum):
            return " or ".join(f"`{member.value}`" for member in enum)
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
    written = {name: (written_type(annotation), doc) for name, annotation, doc in annotated(class_body(cls))}
    tag = "" if shape.tag is None else f" (tag {shape.tag})"
    doc = " ".join((cls.__doc__ or "").split())
    heading = f"**`{cls.__name__}`**{tag}{': ' + doc if doc else ''}\n"
    rows = [
        (f"`{field.name}`", written[field.name][0], _size(field.type), _seen_by(annotation), written[field.name][1])
        for field, annotation in zip(shape.fields, get_type_hints(cls, include_extras=True).values(), strict=True)
    ]
    if not rows:
        return f"{heading}\nNo fields.\n"
    return f"{heading}\n" + table(("field", "type", "bytes", "who can read it", "meaning"), rows)


def types(argument: str) -> str:
    """The named types of a module: those written `Name = Annotated[...]`."""
    one = module(argument)
    rows = [
        (f"`{name}`", _size(shapes.type_info(getattr(one, name))), doc)
        for name, _, doc in annotated(module_body(one))
        if get_origin(getattr(one, name, None)) is Annotated
    ]
    return table(("type", "bytes", "what it is"), rows)


# --- limits ---------------------------------------------------------------------------------------


def _value(value: object) -> str:
    match value:
        case frozenset():
            # Its own order is another one in each process.
            return ", ".join(sorted(f"`{one}`" for one in value))
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
    one = module(argument)
    rows = [
        (f"`{name}`", _value(getattr(one, name)), doc)
        for name, _, doc in annotated(module_body(one))
        if doc and re.fullmatch(r"[A-Z][A-Z0-9_]*", name) and not isinstance(getattr(one, name), Mapping)
    ]
    if not rows:
        raise DocsError(f"{argument} has no constant with a reason under it")
    return table(("name", "value", "unit and reason"), rows)


# --- states ---------------------------------------------------------------------------------------


def states(argument: str) -> str:
    """A state machine as a diagram; it starts in the first state of the table and in those nothing leads to."""
    path, _, name = argument.rpartition(".")
    table: Mapping[StrEnum, Mapping[StrEnum, StrEnum]] = getattr(module(path), name)
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
    from grue.server.store.schema import TABLES

    rows = [(f"`{table.name}`", f"`{column.name}`", column.says) for table in TABLES for column in table.columns]
    return table(("table", "column", "what it says"), rows)


# --- errors ---------------------------------------------------------------------------------------


def errors(argument: str) -> str:
    """Errors by their code, as the command line and a refusal name them."""
    codes = argument.split() or sorted(BY_CODE, key=lambda code: BY_CODE[code].exit_code)
    if missing := [code for code in codes if code not in BY_CODE]:
        raise DocsError(f"no error has the code {', '.join(missing)}")
    found = [BY_CODE[code] for code in codes]
    return table(("code", "exit", "message", "what to do"), [_error(error) for error in found])


def _error(error: type[GrueError]) -> tuple[str, ...]:
    return f"`{error.code}`", str(error.exit_code), error.message, error.fix


def local_errors(_argument: str) -> str:
    """The errors that stand outside of `grue.errors`, in the order of their modules."""
    package = ROOT / "src" / "grue"
    rows = [
        (*_error(error), f"`{path.relative_to(package)}`")
        for path in sorted(package.rglob("*.py"))
        if path.parent != package / "errors"
        for error in _errors_of(path)
    ]
    return table(("code", "exit", "message", "what to do", "raised in"), rows)


def _errors_of(path: Path) -> Iterator[type[GrueError]]:
    """Those classes of a file that give themselves a `code` as errors do. A file without any is not imported."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef) and any(name == "code" for name, *_ in annotated(node.body)):
            found = getattr(module(".".join(path.relative_to(ROOT / "src").with_suffix("").parts)), node.name)
            if issubclass(found, GrueError):
                yield found


# --- measurements ---------------------------------------------------------------------------------


PEER: Final = "vs_"
"""What the names of measurements begin with that set a lookup beside others' programs."""


def _figure(value: float) -> str:
    return f"{value:,.4g}" if isinstance(value, float) and value < 1000 else f"{value:,.0f}"


def _taken(one: Mapping[str, Any]) -> str:
    """At which commit, and the load of the minute before; a figure that is older than these notes has neither."""
    return f"`{one['commit']}`, load {one['load'][0]:.1f}" if "commit" in one else "unknown"


def bench(_argument: str) -> str:
    """The measurements of the last `make bench` in groups; what they were measured on, under the tables.

    Without those that `peers` shows.
    """
    path = ROOT / "bench" / "results.json"
    if not path.exists():
        return "Nothing has been measured yet; `make bench` does it.\n"
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
            _taken(one),
            f"`{key}`",
        )
        for key, words in group.items()
        if (one := results.get(key)) is not None
    ]
    if not rows:
        return ""
    names = dict.fromkeys(results[key]["command"].rpartition(" ")[2] for key in group if key in results)
    head = ("what", "measured", "aim", "beside it, in the same run", "taken at", "id")
    return f"### {title}\n\n" + table(head, rows) + f"\nMeasured by `python -m bench {' '.join(names)}`.\n"


def headlines(_argument: str) -> str:
    """The sentences of the README, with the figures of the last `make bench` in them."""
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
    shown = [(*row[:-1], *(_figure(row[-1][column]) for column in columns)) for row in rows]
    taken = ", ".join(dict.fromkeys(_taken(one) for _, size, one in costs if size != "bytes"))
    head = ("records", "program", "times our time", "times our bytes", *columns)
    return f"{table(head, shown)}\nTaken at: {taken}.\n"


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
    return table(("", *questions), rows) + f"\nOver {scores[0]['seeds']} lives.\n"


def _score(one: Mapping[str, Any]) -> str:
    """The share that is right with its interval, and the bits learned with theirs."""
    share = f"{one['share']:.0%} ({one['low']:.0%} to {one['high']:.0%})"
    return f"{share}; {one['bits']:.1f} bits ({one['bits_low']:.1f} to {one['bits_high']:.1f})"


# --- documents ------------------------------------------------------------------------------------

KINDS: Final = {
    "fields": fields,
    "types": types,
    "modules": modules,
    "parts": parts,
    "floors": floors,
    "library": library,
    "limits": limits,
    "states": states,
    "tables": tables,
    "errors": errors,
    "local-errors": local_errors,
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


def changes(old: str, new: str) -> list[str]:
    """What a document says and what it should say, word by word, so that one sees which number is meant."""
    before, after = old.split(), new.split()
    found = [
        f"{' '.join(before[a:b]) or 'nothing'}  ->  {' '.join(after[c:d]) or 'nothing'}"
        for kind, a, b, c, d in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
        if kind != "equal"
    ]
    more = len(found) - SHOWN_CHANGES
    return found[:SHOWN_CHANGES] + ([f"and {more} more"] if more > 0 else [])


def main(arguments: Sequence[str] | None = None) -> int:
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
        if check:
            print("".join(f"    {one}\n" for one in changes(old, new)), end="")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
