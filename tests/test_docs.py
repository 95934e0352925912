"""The generated parts of the documents say what the code says, and no *cannot* stands without its test."""

import ast
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import pytest
from msgspec import Meta

from grue.client.conversations import inbox, requests
from grue.protocol.conversation import answering
from grue.protocol.states import Table
from grue.protocol.wire import Message, seen
from tools import docs

ALIAS: TypeAlias = Annotated[bytes, Meta(min_length=3, max_length=3)]

LIMIT: Final = 4096
"""Bytes: enough | no more."""

WITHOUT_REASON: Final = 7


class Note(Message, tag=2_000_001, frozen=True):
    """One note
    on two lines."""

    name: Annotated[str, Meta(max_length=5), seen("server")]
    """Whose it is."""
    keys: Annotated[list[ALIAS], Meta(min_length=1, max_length=4), seen("nobody")]
    at: Annotated[int, seen("server")] = 0


class Light(StrEnum):
    BLUE = "blue"
    GREEN = "green"
    LOST = "lost"


class Step(StrEnum):
    LOOK = "look"
    WAIT = "wait"
    DROP = "drop"


TABLE: Final[Table[Light, Step]] = {
    Light.BLUE: {Step.LOOK: Light.GREEN, Step.WAIT: Light.GREEN},
    Light.GREEN: {Step.DROP: Light.LOST},
    Light.LOST: {},
}


def part(marker: str) -> str:
    return docs.render(f"before\n<!-- {marker} -->\nold\n<!-- end -->\nafter\n")


def test_a_message_is_shown_with_its_sizes_its_readers_and_its_docstrings() -> None:
    assert part(f"fields: {__name__}.Note") == (
        f"before\n<!-- fields: {__name__}.Note -->\n\n"
        "**`Note`** (tag 2000001): One note on two lines.\n\n"
        "| field | type | bytes | who can read it | meaning |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| `name` | `str` | up to 5 characters | server | Whose it is. |\n"
        "| `keys` | `list[ALIAS]` | 1 to 4 × 3 | nobody |  |\n"
        "| `at` | `int` | 1 to 9 | server |  |\n"
        "\n<!-- end -->\nafter\n"
    )


def test_a_message_of_the_protocol_is_found_by_its_name_alone() -> None:
    assert "| `number` | `Number` | 5 to 16 characters | server |" in part("fields: RegisterStart CodeSent")


def test_a_state_machine_is_drawn_from_its_table() -> None:
    assert (
        "```mermaid\nstateDiagram-v2\n"
        "    [*] --> blue\n"
        "    blue --> green: look, wait\n"
        "    green --> lost: drop\n"
        "    lost --> [*]\n```\n"
    ) in part(f"states: {__name__}.TABLE")


def test_a_limit_is_shown_with_its_reason_and_none_without_one() -> None:
    shown = part(f"limits: {__name__}")
    assert "| `LIMIT` | 4,096 | Bytes: enough \\| no more. |" in shown
    assert "WITHOUT_REASON" not in shown


def test_an_error_is_shown_with_its_exit_code_and_its_fix() -> None:
    assert "| `busy` | 4 | The server is busy. | Wait a little and try again. |" in part("errors: busy")


def test_every_error_that_has_a_code_is_in_the_list_of_errors() -> None:
    source = docs.ROOT / "src" / "grue"
    codes = {
        code
        for path in source.rglob("*.py")
        for code in re.findall(r'^    code(?:: ClassVar\[str\])? = "(\w+)"', path.read_text(), re.MULTILINE)
    }
    assert {"bug", "home_copied", "demo_failed"} <= codes
    listed = re.findall(r"^\| `(\w+)` \| \d", (docs.ROOT / "docs" / "errors.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(codes)


def test_every_column_at_rest_is_shown_with_what_it_says() -> None:
    assert "| `envelope` | `seq` | their order |" in part("tables")


def test_what_is_written_once_is_up_to_date() -> None:
    once = part("types: grue.protocol.wire.base")
    assert docs.render(once) == once


def test_a_part_that_is_filled_by_hand_is_left_alone() -> None:
    assert part("demo-table") == "before\n<!-- demo-table -->\nold\n<!-- end -->\nafter\n"


@pytest.mark.parametrize(
    "marker",
    [
        "feilds: Note",
        "fields: NoSuchMessage",
        "fields: grue.nowhere.Note",
        "errors: no_such_code",
        "limits: grue.protocol.states",
    ],
)
def test_a_marker_that_asks_for_what_is_not_there_is_an_error(marker: str) -> None:
    with pytest.raises(docs.DocsError):
        part(marker)


def test_a_part_without_its_end_does_not_swallow_the_next() -> None:
    with pytest.raises(docs.DocsError):
        docs.render("<!-- errors: busy -->\ntext\n<!-- errors: network -->\n<!-- end -->\n")


def test_check_says_which_document_is_out_of_date_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    document = tmp_path / "README.md"
    stale = "<!-- errors: busy -->\n<!-- end -->\n"
    document.write_text(stale)
    assert docs.main(["--check"]) == 1
    said = capsys.readouterr().out
    assert (document.read_text(), "README.md: out of date" in said) == (stale, True)
    assert "The server is busy." in said, "it shows what would be written"
    assert docs.main([]) == 0
    assert docs.main(["--check"]) == 0
    assert "The server is busy." in document.read_text()


def test_what_is_out_of_date_is_said_by_the_number_that_it_is_and_should_be() -> None:
    assert docs.changes("It took **7.6 ms** here.\n", "It took **7.9 ms** here.\n") == ["**7.6  ->  **7.9"]
    assert docs.changes("one", "one") == []
    many = " and ".join("abcdefghijklmno")
    assert docs.changes(many, many.upper().replace("AND", "and"))[-1] == "and 3 more"


# --- the threat model -----------------------------------------------------------------------------

TEST_NAME: Final = re.compile(r"`(test_\w+|[a-z0-9]+(?:_[a-z0-9]+){3,})`")
"""In backticks; Rust's tests have no prefix, and four words or more."""

NO_TEST: Final = "no test yet"


def _cannots(text: str) -> list[tuple[str, str]]:
    """Section and words of every bullet under a label such as **Live, cannot**."""
    found = []
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title = section.partition("\n")[0]
        for labelled in re.split(r"^(?=\*\*)", section, flags=re.MULTILINE)[1:]:
            label, _, rest = labelled.partition("\n")
            if re.fullmatch(r"\*\*.*\bcannot\*\*", label, flags=re.IGNORECASE):
                bullets = re.split(r"^- ", rest, flags=re.MULTILINE)[1:]
                found += [(title, " ".join(bullet.split())) for bullet in bullets or [""]]
    return found


def test_every_cannot_of_the_threat_model_names_its_test() -> None:
    """That the tests exist is checked for all documents, in `test_repository.py`."""
    text = (docs.ROOT / "docs" / "threat-model.md").read_text()
    cannots = _cannots(text)
    unproven = [words for _, words in cannots if not TEST_NAME.search(words) and NO_TEST not in words]
    assert unproven == []
    sections = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    about_all = {"What is assumed", "The ways to the server", "What others may cost", "What is out of scope"}
    assert set(sections) - about_all == {section for section, _ in cannots}, "every observer cannot do something"


def test_every_line_of_what_others_may_cost_names_its_test_and_the_limit_as_it_is() -> None:
    text = (docs.ROOT / "docs" / "threat-model.md").read_text()
    section = text.split("\n## What others may cost\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ") and "---" not in line]
    heads = {"what comes", "key package", "state"}
    assert [row for row in rows if row.split(" | ")[0][2:] not in heads and not TEST_NAME.search(row)] == []
    limits = vars(requests) | vars(inbox) | vars(answering)
    named = re.findall(r"`([A-Z_]+)` ([\d,]+)", section)
    assert len(named) > 5
    assert {name: int(value.replace(",", "")) for name, value in named} == {name: limits[name] for name, _ in named}


def test_a_cannot_is_found_with_all_its_words() -> None:
    text = (
        "## Somebody\n\n**Can**\n- see;\n\n**Live, cannot**\n- read\n  (`test_x`);\n- write.\n\n**Can**\n- go.\n"
        "## Nobody\n**Cannot**\n"
    )
    assert _cannots(text) == [("Somebody", "read (`test_x`);"), ("Somebody", "write."), ("Nobody", "")]


# --- the way of a message -------------------------------------------------------------------------

HOP: Final = re.compile(r"^\| .+ \| `([\w/]+\.(?:py|rs))` \| `([\w.]+)` \|$", re.MULTILINE)


def test_every_hop_of_the_message_path_exists() -> None:
    text = (docs.ROOT / "docs" / "message-path.md").read_text()
    hops = HOP.findall(text)
    assert len(hops) == len(re.findall(r"^\| (?!hop|---)", text, re.MULTILINE))
    assert [f"{path}: {name}" for path, name in hops if name not in _defined(path)] == []


def test_every_path_that_the_architecture_names_exists() -> None:
    """Rows of generated tables name a module alone, and a path has its room before it."""
    text = (docs.ROOT / "docs" / "architecture.md").read_text()
    paths = set(re.findall(r"`((?:[\w.]+/)+[\w.]*)`", text))
    places = [docs.ROOT, docs.ROOT / "src" / "grue", docs.ROOT / "src" / "grue" / "server"]
    places += [docs.ROOT / "src" / "grue" / part for part in ("client", "protocol")]
    assert len(paths) > 50
    assert [path for path in sorted(paths) if not any((place / path).exists() for place in places)] == []


def _defined(path: str) -> set[str]:
    """The functions of a file; those of a class with its name before theirs."""
    if path.startswith("rust/"):
        return set(re.findall(r"\bfn (\w+)", (docs.ROOT / path).read_text()))
    file = docs.ROOT / "src" / "grue" / path
    body = ast.parse(file.read_text()).body if file.exists() else []
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    methods = (
        f"{one.name}.{f.name}"
        for one in body
        if isinstance(one, ast.ClassDef)
        for f in one.body
        if isinstance(f, functions)
    )
    return {*methods, *(one.name for one in body if isinstance(one, functions))}
