"""A report says who learned what: one row for each fact, one column for each observer, from captures alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from grue.exposure.captures import Capture
from grue.exposure.facts import FACTS, Fact, Finding, Verdict
from grue.exposure.truth import Truth

WORDS: Final[Mapping[Verdict, str]] = {
    Verdict.LEARNED: "yes",
    Verdict.GUESSED: "by timing",
    Verdict.SIZE_ONLY: "size only",
    Verdict.NOT: "no",
}


@dataclass(frozen=True)
class Row:
    """One fact, and what each observer learned of it."""

    fact: Fact
    findings: Mapping[str, Finding]


def report(captures: Sequence[Capture], truth: Truth, facts: Sequence[Fact] = FACTS) -> list[Row]:
    """Look for every fact in every capture."""
    return [Row(fact, {capture.observer: fact.look(capture, truth) for capture in captures}) for fact in facts]


def as_objects(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Each finding as an object for machines."""
    return [
        {
            "fact": row.fact.id,
            "sentence": row.fact.sentence,
            "observer": observer,
            "learned": finding.verdict.value,
            "instances": finding.instances,
            "of": finding.of,
            "times": finding.times,
            "where": list(finding.where),
        }
        for row in rows
        for observer, finding in row.findings.items()
    ]


def as_markdown(rows: Sequence[Row]) -> str:
    """The table for a document."""
    observers = list(rows[0].findings) if rows else []
    lines = [["", *observers], ["---"] * (len(observers) + 1)]
    lines += [[row.fact.sentence, *(WORDS[row.findings[one].verdict] for one in observers)] for row in rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
