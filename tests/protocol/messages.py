"""One example and a hypothesis strategy for every wire message, made from the types in `wire` and `contents.py`."""

import re
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect as shapes

from grue.protocol import wire
from grue.protocol.conversation import contents
from grue.protocol.wire import Message


def every_message() -> list[type[Message]]:
    """Every message type there is, by tag."""
    found = [kind for kind in _subclasses(Message) if kind.__module__.startswith((wire.__name__, contents.__name__))]
    return sorted(found, key=tag)


def tag(kind: type[Message]) -> int:
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, shapes.StructType)
    assert isinstance(info.tag, int)
    return info.tag


def example(kind: type[Message]) -> Message:
    """A message with every field filled, the same on every run."""
    made = _example(msgspec.inspect.type_info(kind), 1)
    assert isinstance(made, kind)
    return made


def messages(kind: type[Message]) -> st.SearchStrategy[Any]:
    """Any message of this type."""
    return _strategy(msgspec.inspect.type_info(kind))


def _subclasses(kind: type[Message]) -> list[type[Message]]:
    return [leaf for sub in kind.__subclasses__() for leaf in [sub, *_subclasses(sub)]]


def _example(shape: shapes.Type, salt: int) -> Any:
    match shape:
        case shapes.StructType():
            return shape.cls(*(_example(field.type, salt + n) for n, field in enumerate(shape.fields)))
        case shapes.BytesType():
            length = min(max(shape.min_length or 0, 3), shape.max_length or 3)
            return bytes((salt + n) % 256 for n in range(length))
        case shapes.StrType(pattern=str()):
            return f"+44770090{salt:04}"
        case shapes.StrType():
            return f"text {salt}"[: shape.max_length]
        case shapes.IntType():
            return min(salt * 1000, 2**63 - 1 if shape.le is None else shape.le)
        case shapes.BoolType():
            return True
        case shapes.EnumType():
            return list(shape.cls)[salt % len(shape.cls)]
        case shapes.ListType():
            return [_example(shape.item_type, salt + n) for n in range(max(shape.min_length or 0, 2))]
        case shapes.UnionType():
            return _example(next(kind for kind in shape.types if not isinstance(kind, shapes.NoneType)), salt)
        case shapes.Metadata():
            return _example(shape.type, salt)
    raise AssertionError(shape)


def _strategy(shape: shapes.Type) -> st.SearchStrategy[Any]:
    match shape:
        case shapes.StructType():
            fields = [_strategy(field.type) for field in shape.fields]
            return st.tuples(*fields).map(lambda values: shape.cls(*values))
        case shapes.BytesType():
            return st.binary(min_size=shape.min_length or 0, max_size=_short(shape.min_length, shape.max_length))
        case shapes.StrType(pattern=str(pattern)):
            longest = shape.max_length or 16
            digits = st.text("0123456789", min_size=(shape.min_length or 2) - 2, max_size=longest - 2)
            return digits.map(lambda rest: f"+1{rest}").filter(lambda text: re.match(pattern, text) is not None)
        case shapes.StrType():
            return st.text(min_size=shape.min_length or 0, max_size=_short(shape.min_length, shape.max_length))
        case shapes.IntType():
            return st.integers(
                min_value=-(2**63) if shape.ge is None else shape.ge,
                max_value=2**63 - 1 if shape.le is None else shape.le,
            )
        case shapes.BoolType():
            return st.booleans()
        case shapes.EnumType():
            return st.sampled_from(shape.cls)
        case shapes.ListType():
            smallest = shape.min_length or 0
            return st.lists(_strategy(shape.item_type), min_size=smallest, max_size=max(smallest, 3))
        case shapes.UnionType():
            return st.one_of([_strategy(kind) for kind in shape.types])
        case shapes.NoneType():
            return st.none()
        case shapes.Metadata():
            return _strategy(shape.type)
    raise AssertionError(shape)


def _short(smallest: int | None, longest: int | None) -> int:
    """A bound that keeps examples small where the type allows megabytes."""
    return max(smallest or 0, min(longest or 40, (smallest or 0) + 40))
