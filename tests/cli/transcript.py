"""Transcripts: a terminal session as a text file, played against real processes, and compared line by line.

    # a remark
    $ grue --home alice lookup 07700900222       typed; what follows is what comes out
    +447700900222    encrypted ...               on stdout
    ! Network: ...                               on stderr
    => 4                                         the exit code, when it is not 0

What varies is written as <hex>, <n>, <time> or <any>; a line of `...` is any number of lines. `<server>` is the
server's URL, `<carrier>` the carrier's address, `<code +44...>` the newest code that the carrier brought to a number,
`<newest HOME CHAT>` the id of a chat's newest message, `<claim HOME>` the name of a claim of its number, `<group HOME>`
the id of its first group, `<member HOME 2>` that of this group's second member, `<digits HOME WHO>` a safety number,
`<join HOME>` the link into its first group.
`< 'text'` at the end of a command is its stdin. Other commands than `grue` are those of `play.Stage`.

WRITE_TRANSCRIPTS=1 writes down what came out instead of comparing it: read the difference before you keep it.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

TESTDATA = Path(__file__).parent / "testdata"

VARIABLE = {"<hex>": r"[0-9a-f]{8,}", "<n>": r"\d[\d.]*", "<time>": r"\d\d:\d\d", "<any>": r".*"}

SPELLED = [
    (re.compile(r"\b[0-9a-f]{32}\b|(?<=\bgroup:)[0-9a-f]{16}\b|(?<=\bperson:)[0-9a-f]{16}\b"), "<hex>"),
    (
        re.compile(r'(?<="id": ")[0-9a-f]{16}(?=")|(?<="removed": ")[0-9a-f]{16}(?=")|(?<=  )[0-9a-f]{16}(?=  )'),
        "<hex>",
    ),
    (
        re.compile(r'(?<="code": ")\d{6}|^\d{3} \d{3}(?=  )|(?<="last_seen": ")\d{4}-\d\d-\d\d|(?<=  )\d{4}-\d\d-\d\d'),
        "<any>",
    ),
    (re.compile(r'(?<="since": )[\d.]+'), "<n>"),
    (re.compile(r'(?<="ms": )[\d.]+|(?<="sent": )[\d.]+|(?<=bytes_down": )\d+|(?<=bytes_up": )\d+'), "<n>"),
    (re.compile(r"^\d\d:\d\d(?=  )"), "<time>"),
    (re.compile(r'\b\d{5}( \d{5})+\b|\b\d{60}\b|(?<="person:)[0-9a-f]{16}'), "<any>"),
    (re.compile(r"^[█▀▄ ]+$"), "<any>"),
    (re.compile(r"(?<=grue:join/)[\w-]{20,}"), "<any>"),
    # A receipt may come before or after the answer.
    (re.compile(r"(?<=^SMS: ).*"), "<any>"),
    (re.compile(r"(?<=Python )[\d.]+\d|\d+(?= GiB)|\d+(?= ms;)|\d+(?= more minutes)|(?<=retry_after\": )\d+"), "<n>"),
]
"""How what varies is written down."""


@dataclass
class Step:
    """One command and what is expected of it."""

    line: int
    command: str
    stdout: list[str] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)
    code: int = 0

    def words(self) -> list[str]:
        return shlex.split(self.command, comments=True)


@dataclass
class Outcome:
    stdout: list[str]
    stderr: list[str]
    code: int


def parse(text: str) -> Iterator["Step | str"]:
    """Steps, and the lines between them (remarks and blank lines)."""
    step: Step | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("$ "):
            if step:
                yield step
            step = Step(number, line[2:])
        elif step is None or line.startswith("# ") or not line:
            if step:
                yield step
            step = None
            yield line
        elif line.startswith("! ") or line == "!":
            step.stderr.append(line[2:])
        elif line.startswith("=> "):
            step.code = int(line[3:])
        else:
            step.stdout.append(line)
    if step:
        yield step


def difference(step: Step, outcome: Outcome) -> str | None:
    """What is not as expected, for people; None when all is."""
    as_expected = (
        matches(step.stdout, outcome.stdout) and matches(step.stderr, outcome.stderr) and step.code == outcome.code
    )
    return None if as_expected else f"line {step.line} gave\n{written(step, outcome)}"


def matches(expected: list[str], actual: list[str]) -> bool:
    # A marker after each line, so that blank lines count.
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else _pattern(line) + r"\n" for line in expected)
    return re.fullmatch(pattern, "".join(line + "\n" for line in actual)) is not None


def _pattern(line: str) -> str:
    parts = re.split(r"(<(?:hex|n|time|any)>)", line)
    return "".join(VARIABLE.get(part, re.escape(part)) for part in parts)


def written(step: Step, outcome: Outcome) -> str:
    """The step as it would stand in the file."""
    lines = [f"$ {step.command}", *map(_spelled, outcome.stdout), *(f"! {_spelled(line)}" for line in outcome.stderr)]
    if outcome.code:
        lines.append(f"=> {outcome.code}")
    return "\n".join(lines)


def _spelled(line: str) -> str:
    for pattern, name in SPELLED:
        line = pattern.sub(name, line)
    return line
