"""What must hold for the files of the project themselves: what they mention, that it exists, and their size."""

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from grue.errors import BY_CODE

ROOT: Final = Path(__file__).resolve().parent.parent
THIS: Final = Path(__file__).resolve()

ONE_MACHINE: Final = re.compile(r"(?<![\w.}$:~/-])/(?:work|home|root|Users|tmp)/\w+")
"""A path that exists on the machine of whoever wrote it, and nowhere else."""

URL: Final = re.compile(r"\b(?:https?|wss?|smpp)://(?:[^\s@/\"'`<>]*@)?([A-Za-z0-9][A-Za-z0-9.-]*)")
HOSTS: Final = frozenset(
    {
        "crates.io",
        "datatracker.ietf.org",
        "docs.rs",
        "eprint.iacr.org",
        "files.pythonhosted.org",
        "github.com",
        "iana.org",
        "keepachangelog.com",
        "pypi.org",
        "rustsec.org",
        "rustup.rs",
        "semver.org",
        "www.apache.org",
        "www.rfc-editor.org",
        "www.w3.org",
    }
)
"""Public hosts that the project may name. A package index of one machine or one company is not among them."""
HOSTS_OF_NOBODY: Final = re.compile(
    r"localhost|127(\.\d+){1,3}|0\.0\.0\.0|(192\.0\.2|198\.51\.100|203\.0\.113)\.\d+|[^.]+|(.+\.)?example(\.(com|net|org))?|.+\.(test|invalid|example)"
)
"""For examples and tests: RFC 2606, RFC 5737, loopback, and names without a dot."""

NO_READER_KNOWS: Final = re.compile(
    r"\bDESIGN(?:\.md)?\b|\b(?:FLOWS|STYLE|LOOKUP)\.md\b|(?<![\w/.-])shared/"
    r"|(?i:co-authored-by|ai[- ]generated|language model)"
)
"""Notes that are not part of the project, and how a text came about: the documents stand for themselves."""

LONGEST: Final = 600
"""Lines. A file that is longer holds more than one thing, and nobody reads it to the end."""


@cache
def _files() -> dict[Path, str]:
    """Every text file of the project, the new ones included; locks and binaries are not read by people."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("needs a git checkout")
    texts = {}
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path == THIS or path.name == "package-lock.json" or not path.is_file():
            continue
        try:
            texts[path.relative_to(ROOT)] = path.read_text()
        except UnicodeDecodeError:
            continue
    return texts


def _lines_that_match(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{number}: {match[0]}"
        for path, text in _files().items()
        for number, line in enumerate(text.splitlines(), 1)
        for match in pattern.finditer(line)
    ]


def test_no_file_names_a_path_of_one_machine() -> None:
    assert _lines_that_match(ONE_MACHINE) == []


def test_every_host_that_is_named_is_public_or_nobodys() -> None:
    named = {host.rstrip(".") for text in _files().values() for host in URL.findall(text)}
    assert {host for host in named if host not in HOSTS and not HOSTS_OF_NOBODY.fullmatch(host)} == set()


def test_no_file_refers_to_what_a_reader_does_not_have() -> None:
    assert _lines_that_match(NO_READER_KNOWS) == []


def test_every_link_between_documents_leads_somewhere() -> None:
    link = re.compile(r"\]\((?!\w+:)([^)#\s]+)")
    broken = [
        f"{path}: {target}"
        for path, text in _files().items()
        if path.suffix == ".md"
        for target in link.findall(text)
        if not (ROOT / path.parent / target).exists()
    ]
    assert broken == []


def test_every_test_that_a_document_names_exists() -> None:
    """Rust's tests have no prefix; a name of four words or more in backticks is one."""
    code = [text for path, text in _files().items() if path.suffix in {".py", ".rs", ".ts"}]
    defined = {name for text in code for name in re.findall(r"\b(?:def|fn) (\w+)\b", text)}
    figures = {figure["id"] for figure in json.loads((ROOT / "bench" / "results.json").read_text())}
    named = re.compile(r"`(?:[\w/.:]*\W)?(test_\w+|[a-z0-9]+(?:_[a-z0-9]+){3,})`")
    missing = [
        f"{path}: {name}"
        for path, text in _files().items()
        if path.suffix == ".md"
        for name in named.findall(text)
        if name not in defined and name not in BY_CODE and name not in figures
    ]
    assert missing == []


def test_every_check_of_a_protocol_stands_in_document_code_and_test() -> None:
    """A check's id (`LOOKUP-03`, `test_lookup_03`) leads a reader from the rule to its code and its test."""
    written: dict[str, set[str]] = {"docs": set(), "src": set(), "tests": set()}
    for path, text in _files().items():
        place = path.parts[0]
        if place == "rust":
            place = "tests" if "tests" in path.parts else "src"
        if place in written and not (place == "docs" and path.parts[1] != "protocol"):
            written[place].update(re.findall(r"\b(?!UTF-|CRC-)[A-Z]{3,}-\d\d\b", text))
            written[place].update(
                f"{area.upper()}-{n}" for area, n in re.findall(r"\btest_([a-z]+)_(\d\d)(?!\d)", text)
            )
    known = written["docs"] | written["src"]
    assert {place: sorted(known - ids) for place, ids in written.items() if known - ids} == {}


def test_what_starts_processes_of_ours_is_left_out_of_the_unit_tests() -> None:
    starting = re.compile(
        r"^from tests\.(?:cli\.play|world\.processes) import .*\b(?:Service|Stage|ProcessWorld)\b", re.M
    )
    tests = {path: text for path, text in _files().items() if path.name.startswith("test_") and starting.search(text)}
    assert len(tests) > 5
    assert [str(path) for path, text in tests.items() if "pytest.mark.whole" not in text] == []


def test_no_source_file_is_too_long_to_read() -> None:
    sources = {path: text.count("\n") for path, text in _files().items() if path.suffix in {".py", ".rs", ".ts"}}
    assert {str(path): lines for path, lines in sources.items() if lines > LONGEST} == {}
