"""The wire: golden bytes for every message, round trips, and nothing but `BadRequest` for everything else.

`tests/vectors/wire.json` holds every form that a message ever had, the newest last; all of them stay readable.
After appending a field: `python -m tests.protocol.test_wire` adds the new form.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grue.errors import BadRequest
from grue.protocol import wire
from grue.protocol.conversation import contents
from tests.protocol.messages import every_message, example, messages, tag

VECTORS = Path(__file__).parents[1] / "vectors" / "wire.json"
MESSAGES = every_message()
CODECS = {
    f"{module.__name__}.{name}": codec
    for module in (wire, contents)
    for name, codec in vars(module).items()
    if isinstance(codec, wire.Codec)
}
NAMES = [kind.__name__ for kind in MESSAGES]


@pytest.mark.parametrize("kind", MESSAGES, ids=NAMES)
def test_no_field_shows_in_a_repr(kind: type[wire.Message]) -> None:
    message = example(kind)
    assert repr(message) == str(message) == f"{kind.__name__}()"
    # Rich has a way of its own.
    assert message.__rich_repr__() == []


def golden() -> dict[str, list[str]]:
    forms: dict[str, list[str]] = json.loads(VECTORS.read_text())
    return forms


def decoder(kind: type[wire.Message]) -> "msgspec.msgpack.Decoder[Any]":
    return msgspec.msgpack.Decoder(kind)


def test_every_message_has_golden_bytes() -> None:
    assert list(golden()) == NAMES


@pytest.mark.parametrize("kind", MESSAGES, ids=NAMES)
def test_the_newest_golden_form_is_what_is_written(kind: type[wire.Message]) -> None:
    assert wire.encode(example(kind)).hex() == golden()[kind.__name__][-1]


@pytest.mark.parametrize("kind", MESSAGES, ids=NAMES)
def test_every_golden_form_is_still_read(kind: type[wire.Message]) -> None:
    for form in golden()[kind.__name__]:
        assert isinstance(decoder(kind).decode(bytes.fromhex(form)), kind)


def test_tags_are_unique_and_fit_one_byte() -> None:
    tags = [tag(kind) for kind in MESSAGES]
    assert len(set(tags)) == len(tags)
    assert max(tags) < 128


@pytest.mark.parametrize("kind", MESSAGES, ids=NAMES)
def test_every_field_says_who_can_read_it(kind: type[wire.Message]) -> None:
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    for field in info.fields:
        shape: Any = field.type
        said = isinstance(shape, msgspec.inspect.Metadata) and (shape.extra or {}).get("seen")
        assert said, f"{kind.__name__}.{field.name}"


def test_the_types_refuse_what_is_out_of_bounds() -> None:
    start = wire.RegisterStart("+447700900123", bytes(32))
    assert wire.ACCOUNT_REQUEST.decode(wire.encode(start)) == start
    for number in ("447700900123", "+0447700900123", "+44 7700900123", "+447700900123\n", "+4477009001234567", "+"):
        with pytest.raises(BadRequest):
            wire.ACCOUNT_REQUEST.decode(wire.encode(wire.RegisterStart(number, bytes(32))))
    with pytest.raises(BadRequest):
        wire.ACCOUNT_REQUEST.decode(wire.encode(wire.RegisterStart("+447700900123", bytes(31))))
    with pytest.raises(BadRequest):
        wire.ANONYMOUS_REQUEST.decode(wire.encode(wire.Evaluate(1, [])))
    with pytest.raises(BadRequest):
        wire.ANONYMOUS_REQUEST.decode(wire.encode(wire.Evaluate(1, [bytes(32)] * (wire.MAX_EVALUATIONS + 1))))


def test_a_message_of_another_union_is_refused() -> None:
    with pytest.raises(BadRequest):
        wire.ANONYMOUS_REQUEST.decode(wire.encode(wire.RegisterStart("+447700900123", bytes(32))))


def test_a_field_that_a_newer_version_appended_is_ignored() -> None:
    longer = msgspec.msgpack.encode([*msgspec.msgpack.decode(wire.encode(wire.Registered(bytes(16)))), b"new", 7])
    assert wire.ACCOUNT_ANSWER.decode(longer) == wire.Registered(bytes(16))


@given(st.data())
def test_any_message_survives_its_bytes(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(MESSAGES))
    message = data.draw(messages(kind))
    assert decoder(kind).decode(wire.encode(message)) == message


@pytest.mark.parametrize("kind", MESSAGES, ids=NAMES)
def test_no_truncated_message_is_read(kind: type[wire.Message]) -> None:
    whole = wire.encode(example(kind))
    for cut in {*range(min(len(whole), 200)), *range(0, len(whole), 97), len(whole) - 1}:
        for codec in CODECS.values():
            with pytest.raises(BadRequest):
                codec.decode(whole[:cut])


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_a_bad_request(data: bytes) -> None:
    for codec in CODECS.values():
        decoded_or_refused(codec, data)


@given(st.data())
def test_any_change_of_a_message_is_a_message_or_a_bad_request(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(MESSAGES))
    whole = bytearray(wire.encode(example(kind)))
    for _ in range(data.draw(st.integers(1, 4))):
        # Headers, where a change does most, come first and between fields; contents are long.
        at = data.draw(st.one_of(st.integers(0, min(8, len(whole) - 1)), st.integers(0, len(whole) - 1)))
        whole[at] = data.draw(st.integers(0, 255))
    for codec in CODECS.values():
        decoded_or_refused(codec, bytes(whole))


def test_deep_nesting_and_huge_lengths_are_bad_requests() -> None:
    for data in (
        b"\x91" * 100_000,
        b"\xdd\xff\xff\xff\xff",
        b"\x93\x1e\x01\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
    ):
        for codec in CODECS.values():
            with pytest.raises(BadRequest):
                codec.decode(data)


def decoded_or_refused(codec: wire.Codec[Any], data: bytes) -> None:
    """The refusal must not quote the input: its text may be shown and logged."""
    try:
        outcome: object = codec.decode(data)
    except BadRequest as error:
        outcome = error.detail, error.__cause__
    assert isinstance(outcome, wire.Message) or outcome == ("", None)


def write() -> None:
    """Add the forms that are new; forget none."""
    forms = golden() if VECTORS.exists() else {}
    for kind in MESSAGES:
        written = wire.encode(example(kind)).hex()
        known = forms.setdefault(kind.__name__, [])
        if not known or known[-1] != written:
            known.append(written)
    VECTORS.write_text(json.dumps({name: forms[name] for name in NAMES}, indent=1) + "\n")


if __name__ == "__main__":
    write()
