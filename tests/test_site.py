"""The site of the documents: how a document is changed before it is built, and that nothing is fetched."""

from pathlib import Path

from tools import site

HERE = Path("docs/architecture.md")


def test_a_link_to_another_document_stays() -> None:
    text = "[the words](glossary.md#messages) and [all](../SECURITY.md)"
    assert site.staged(HERE, text) == text


def test_a_link_to_code_becomes_a_path_to_read() -> None:
    assert site.staged(HERE, "an [example](../src/grue/cli/main.py)") == "an example (`src/grue/cli/main.py`)"


def test_a_link_to_a_folder_leads_to_its_first_page() -> None:
    assert site.staged(HERE, "[why](decisions)") == "[why](decisions/README.md)"


def test_a_link_that_leads_nowhere_is_left_for_the_build_to_refuse() -> None:
    assert site.staged(HERE, "[x](nowhere.md)") == "[x](nowhere.md)"


def test_a_state_machine_becomes_a_table() -> None:
    drawn = "```mermaid\nstateDiagram-v2\n    [*] --> blue\n    blue --> green: look, wait\n    green --> [*]\n```\n"
    assert site.staged(HERE, drawn) == (
        "Begins in `blue`, and ends in `green`.\n\n"
        "| state | event | next state |\n| --- | --- | --- |\n"
        "| `blue` | look, wait | `green` |\n"
    )


def test_what_a_browser_would_fetch_is_found(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(
        '<a href="https://example.com/"></a><script src="https://cdn.example/x.js"></script>'
        '<link rel="stylesheet" href="https://cdn.example/x.css"><link rel="canonical" href="https://us.example/">'
        '<script src="own.js"></script>'
    )
    (tmp_path / "own.css").write_text("@font-face { src: url(https://cdn.example/x.woff2) }")
    assert site.fetched(tmp_path) == [
        "own.css: https://cdn.example/x.woff2",
        "page.html: https://cdn.example/x.js",
        "page.html: https://cdn.example/x.css",
    ]


def test_every_document_that_a_link_may_lead_to_is_in_the_site() -> None:
    found = set(site.documents())
    assert {Path("README.md"), Path("docs/index.md"), Path("examples/README.md"), Path("docs/images/demo.svg")} <= found
