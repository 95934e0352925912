"""Sources, read for the documents: tables in Markdown, and the docstrings of fields and constants."""

import ast
import importlib
import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent


class DocsError(Exception):
    """A marker that asks for something that is not there."""


# --- Markdown -------------------------------------------------------------------------------------


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(map(cell, line)) + " |\n" for line in lines)


# --- docstrings under fields and constants, which Python itself does not keep ---------------------


def module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DocsError(f"no module {name}: {error}") from error


def annotated(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.expr | None, str]]:
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


def module_body(module: ModuleType) -> list[ast.stmt]:
    return ast.parse(inspect.getsource(module)).body


def class_body(cls: type) -> list[ast.stmt]:
    found = [node for node in module_body(module(cls.__module__)) if isinstance(node, ast.ClassDef)]
    return next(node.body for node in found if node.name == cls.__name__)


def written_type(annotation: ast.expr | None) -> str:
    """The type as it stands in the source, without what `Annotated` adds."""

    class Plain(ast.NodeTransformer):
        def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
            self.generic_visit(node)
            match node:
                case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[first, *_])):
                    return first
            return node

    return "" if annotation is None else f"`{ast.unparse(Plain().visit(annotation))}`"
