"""Write the window's types from those of `grue.rpc`: `python tools/typescript.py`; with `--check` only compare.

What goes between page and process is declared once, in Python; the page cannot say of it what is not so.
"""

import inspect
import sys
import typing
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, get_args, get_origin, get_type_hints

import msgspec

from grue.rpc import types
from grue.rpc.session import EVENTS, METHODS

OUT: Final = Path(__file__).resolve().parent.parent / "web" / "src" / "lib" / "api.ts"

HEAD: Final = """\
// Written by tools/typescript.py from src/grue/rpc/types.py and session.py. Do not edit.
"""


def written() -> str:
    """The whole file."""
    kinds: list[type] = [kind for _, kind in inspect.getmembers(types, inspect.isclass)]
    structs = [kind for kind in kinds if issubclass(kind, msgspec.Struct) and kind.__module__ == types.__name__]
    structs.sort(key=lambda kind: inspect.getsourcelines(kind)[1])
    enums = sorted({kind for struct in structs for kind in _enums(struct)}, key=lambda kind: kind.__name__)
    parts = [HEAD, *map(_enum, enums), *map(_interface, structs), _methods(), _events(), _constants()]
    return "\n".join(parts)


def _enums(struct: type[msgspec.Struct]) -> set[type[Enum]]:
    return {kind for hint in get_type_hints(struct).values() for kind in _leaves(hint) if _is_enum(kind)}


def _is_enum(kind: object) -> bool:
    return inspect.isclass(kind) and issubclass(kind, Enum)


def _leaves(hint: Any) -> set[Any]:
    arguments = get_args(hint)
    return set().union(*map(_leaves, arguments)) if arguments else {hint}


def _enum(kind: type[Enum]) -> str:
    values = " | ".join(f'"{member.value}"' for member in kind)
    return f"{_comment(kind)}export type {kind.__name__} = {values};\n"


def _interface(struct: type[msgspec.Struct]) -> str:
    hints = get_type_hints(struct)
    # What the process writes is always there; what the page writes may leave out what has a default.
    optional = {field.name for field in msgspec.structs.fields(struct) if not field.required}
    lines = [f"  {name}{'?' if name in optional else ''}: {_type(hints[name])};\n" for name in struct.__struct_fields__]
    return f"{_comment(struct)}export interface {struct.__name__} {{\n{''.join(lines)}}}\n"


def _comment(kind: type) -> str:
    said = kind.__dict__.get("__doc__")
    return f"/** {inspect.cleandoc(said)} */\n".replace("\n\n", "\n * ") if said else ""


_PLAIN: Final[dict[object, str]] = {str: "string", int: "number", float: "number", bool: "boolean", NoneType: "null"}


def _type(hint: Any) -> str:
    origin = get_origin(hint)
    if origin in (UnionType, typing.Union):
        return " | ".join(map(_type, get_args(hint)))
    if origin is list:
        (inner,) = get_args(hint)
        return f"{_type(inner)}[]"
    return _PLAIN.get(hint) or str(hint.__name__)


def _methods() -> str:
    lines = [f"  {name}: [{one.params.__name__}, {_type(one.result)}];\n" for name, one in METHODS.items()]
    head = "/** What can be asked for: its parameters and its result. */\nexport interface Methods {\n"
    return f"{head}{''.join(lines)}}}\n"


def _events() -> str:
    lines = [f"  {name}: {kind.__name__};\n" for name, kind in EVENTS.items()]
    return f"/** What is told without being asked for. */\nexport interface Events {{\n{''.join(lines)}}}\n"


def _constants() -> str:
    return f"export const PAGE = {types.PAGE};\n"


if __name__ == "__main__":
    text = written()
    if "--check" in sys.argv:
        sys.exit(0 if OUT.read_text() == text else f"{OUT.name} is not what tools/typescript.py writes")
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(text)
