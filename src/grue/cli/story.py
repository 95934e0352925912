"""The demo for people: each step with what was typed and what came out, and the table at the end."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from grue.cli.message_words import ROUTES, STATES
from grue.cli.route_words import ROUTE_WORDS
from grue.cli.shell import one_line
from grue.exposure import report
from grue.exposure.facts import Verdict
from grue.protocol.conversation.delivery import MessageState
from grue.protocol.conversation.fallback import Route

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grue.lab.demo import Step

STYLES: Final = {
    Verdict.LEARNED: "bold red",
    Verdict.GUESSED: "yellow",
    Verdict.SIZE_ONLY: "yellow",
    Verdict.NOT: "green",
}


def opening(*, direct: bool) -> Text:
    between = "a carrier" if direct else "a relay, a carrier"
    return Text.assemble(
        ("Blue or green? ", "bold"),
        f"A server, {between} and two people on this machine, each a process of its own.\n",
        ("Taps between them record what each is given; the table at the end is made from that.\n", "dim"),
    )


def step(one: "Step", *, timed: bool = True) -> RenderableType:
    seconds = f"  {one.seconds:.1f} s" if timed else ""
    lines: list[RenderableType] = [Text.assemble((one.title, "bold"), (seconds, "dim"))]
    lines += [Text(f"  $ {one_line(command)}", style="cyan") for command in one.commands]
    lines += [_indented(said) for result in one.results if (said := _result(result)) is not None]
    if one.rows:
        lines += ["", who_learned_what(one.rows)]
    return Group(*lines, "")


def ending(seconds: float, keep: Path | None) -> Text:
    kept = f" Everything that was captured is in {keep}." if keep is not None else " Nothing of it is left."
    return Text.assemble(("Done", "bold green"), f" in {seconds:.1f} seconds.{kept}")


def who_learned_what(rows: "Sequence[report.Row]") -> Table:
    # Fits a terminal of 80 columns.
    table = Table(box=SIMPLE_HEAD, header_style="bold", show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", overflow="fold")
    for observer in rows[0].findings:
        table.add_column(observer.replace(", ", ",\n"), justify="center", overflow="fold")
    for row in rows:
        words = [Text(report.WORDS[found.verdict], style=STYLES[found.verdict]) for found in row.findings.values()]
        table.add_row(row.fact.sentence, *words)
    return table


def _indented(text: Text) -> Text:
    return Text("\n").join(Text.assemble("    ", line) for line in text.split("\n"))


def _result(fields: dict[str, Any]) -> Text | None:
    match fields:
        case {"error": _, "message": message, "fix": fix}:
            return _refused(message, fix, fields.get("seen_by", []))
        case {"route": route, "registered": _, "number": number}:
            word, colour, meaning = ROUTE_WORDS[Route(route)]
            return Text.assemble(f"{number:<15} ", (f"{word:<9}", colour), f" {meaning}")
        case {"route": route, "state": state, "id": _} if "text" not in fields:
            word, colour = ROUTES[Route(route)]
            return Text.assemble((word, f"bold {colour}"), f": {STATES[MessageState(state)]}")
        case {"from": sender, "to": receiver, "text": text, **rest}:
            return _message(sender, receiver, text, rest.get("route"))
        case {"number": number, "account": str()}:
            return Text(f"{number} is registered")
        case {"claim": name, "until": day}:
            return Text(f"the claim {name}: somebody else can have the number from {day} on")
        case {"objected": list(names)}:
            return Text(f"the week of the claim {', '.join(names)} begins anew, once")
        case {"listening": address, "what": what}:
            return Text(f"{what} listens at {address}")
        case _:
            return None


def _message(sender: str, receiver: str, text: str, route: str | None) -> Text:
    if route is None:
        return Text.assemble(("the carrier sees", "bold green"), f" {sender} to {receiver}: {one_line(text)}")
    word, colour = ROUTES[Route(route)]
    return Text.assemble(f"{receiver} reads, from {sender}, ", (word, f"bold {colour}"), f": {one_line(text)}")


def _refused(message: str, fix: str, seen_by: "Sequence[str]") -> Text:
    parties = "".join(f"\n  - {party}" for party in seen_by)
    seen = f"\nAn SMS would show both numbers, the time and the text to:{parties}" if parties else ""
    return Text.assemble(("exit code 3", "bold yellow"), f": {message}{seen}\n{fix}")
