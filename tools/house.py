"""The house, for the documents: its parts, rooms and modules, and the library's public names."""

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeGuard

from tools.source import ROOT, DocsError, annotated, class_body, module, table, written_type

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


def parts(_argument: str) -> str:
    """The parts of grue that are folders, and which others each may import."""
    from tests.test_arrows import MAY_IMPORT

    rows = [
        (f"`{part}/`", _first_paragraph(init), ", ".join(f"`{other or 'grue'}`" for other in sorted(MAY_IMPORT[part])))
        for part in MAY_IMPORT
        if (init := ROOT / "src" / "grue" / part / "__init__.py").exists() and part
    ]
    return table(("part", "what it is", "may import"), rows)


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
    return table(("floor", "room", "what it is"), rows)


def _door(part: Path, room: str) -> tuple[str, str]:
    folder, file = part / room, part / f"{room}.py"
    if not folder.is_dir() and not file.exists():
        raise DocsError(f"no room {room} in {part.name}")
    return (
        (f"{room}/", _first_paragraph(folder / "__init__.py"))
        if folder.is_dir()
        else (file.name, _first_paragraph(file))
    )


def _room(room: Path, folder: Path, paths: Sequence[Path]) -> str:
    rows = [(f"`{path.name}`", _first_paragraph(path)) for path in paths]
    listed = table(("module", "what it is"), rows)
    if room == folder:
        return listed
    init = room / "__init__.py"
    said = _first_paragraph(init) if init.exists() else ""
    return f"**`{room.relative_to(folder.parent)}/`** {said}".rstrip() + f"\n\n{listed}"


def _first_paragraph(path: Path) -> str:
    return " ".join((ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n\n")[0].split())


# --- the library ----------------------------------------------------------------------------------


def library(argument: str) -> str:
    """Every public name of a module: its signature, its docstring, and of a class what it has."""
    package = module(argument)
    names = sorted(getattr(package, "__all__", ()), key=lambda name: (not name.islower(), name))
    if not names:
        raise DocsError(f"{argument} has no __all__")
    things = {name: getattr(package, name) for name in names}
    raised = [(name, thing) for name, thing in things.items() if _is_error(thing)]
    entries = [_public(argument, name, thing) for name, thing in things.items() if not _is_error(thing)]
    return "\n".join([*entries, _raised(argument, raised)] if raised else entries)


def _is_error(thing: object) -> TypeGuard[type[Exception]]:
    return isinstance(thing, type) and issubclass(thing, Exception)


def _raised(module: str, errors: Sequence[tuple[str, type[Exception]]]) -> str:
    rows = [(f"`{module}.{name}`", f"`{error.code}`", _prose(inspect.getdoc(error) or "")) for name, error in errors]  # type: ignore[attr-defined]
    return "### Errors\n\n" + table(("type", "code", "when"), rows)


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
        (f"`{name}`", written_type(annotation), doc)
        for name, annotation, doc in annotated(class_body(cls))
        if annotation is not None and not name.startswith("_")
    ]
    fields = table(("field", "type", "meaning"), rows) if rows else ""
    methods = "\n".join(
        f"**`{_kind(method)}{name}{_plain(str(inspect.signature(method)))}`**\n\n{_prose(inspect.getdoc(method) or '')}"
        for name, method in _methods(cls)
    )
    properties = [
        (f"`{name}`", f"`{_plain(_returned(value))}`", _prose(inspect.getdoc(value) or "").strip())
        for name, value in vars(cls).items()
        if isinstance(value, property) and not name.startswith("_")
    ]
    properly = table(("property", "type", "meaning"), properties) if properties else ""
    return "\n".join(part for part in (fields, properly, methods) if part)


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


_NAMED: Final = re.compile(r"^(\w+(?:, \w+)*)  +(\S.*)$")
"""A line that sets out a parameter or field: its name, two spaces, what it is."""


def _prose(doc: str) -> str:
    """A docstring as Markdown: parameters become a list, and code stays as it is."""
    parts = [_paragraph(one) for one in doc.split("\n\n")] if doc else []
    return "\n\n".join(parts) + "\n" if parts else ""


def _paragraph(one: str) -> str:
    lines = one.splitlines()
    if any(map(_NAMED.match, lines)):
        return "\n".join(map(_item, lines))
    if re.search(r"^(?:>>> |async |    )", one, re.MULTILINE):
        return f"```python\n{one}\n```"
    return " ".join(one.split())


def _item(line: str) -> str:
    """A parameter begins an item, an indented line goes on with it, and any other ends the list."""
    if match := _NAMED.match(line):
        return f"- `{match[1].replace(', ', '`, `')}`: {match[2]}"
    return f"  {line.strip()}" if line.startswith(" ") else f"\n{line}"
