"""`lab life` and `lab classic`: play a life and read its observers; run a directory that logs what is typed."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import App, Parameter

from grue.cli.parameters import ANY_NUMBER, HYPHENS, Injected
from grue.errors import UsageError
from grue.protocol.numbers import parse

if TYPE_CHECKING:
    from rich.console import RenderableType

    from grue.exposure.lives import Answers
    from grue.exposure.records import Return

ADDRESS: Final = "127.0.0.1:8600"
SERVER: Final = f"http://{ADDRESS}"

ServerUrl = Annotated[str, Parameter(help="The classic directory's URL.")]


def life(
    *,
    out: Annotated[Path, Parameter(help="The directory for what everybody was given; made when it is not there.")],
    seed: Annotated[int, Parameter(help="The same seed gives the same life.")] = 0,
    days: Annotated[int, Parameter(help="How long a piece of it.")] = 365,
    contacts: Annotated[int, Parameter(help="How many people it is in touch with.")] = 300,
    events: Annotated[int, Parameter(help="About how many lookups, texts, SMS and calls.")] = 30_000,
    kept_days: Annotated[int, Parameter(help="After so many days the classic directory's log forgets.")] = 30,
    shell: Injected,
) -> None:
    """Play a made-up person's year through a classic directory, a carrier and Grue, and ask what each of them knows."""
    from grue.lab.life import Shape
    from grue.lab.seen import make

    with shell.waiting("Living ..."):
        found = make(seed, out, Shape(days, contacts, events), kept_days=kept_days)
    for view in found.views:
        for answer in view.answers:
            shell.emit(
                {
                    "view": answer.view,
                    "question": answer.question,
                    "right": answer.right,
                    "of": answer.of,
                    "why": answer.why,
                }
            )
    shell.emit({"life": str(out), "seed": seed, "views": len(found.views)})
    shell.say(lambda: _answers(found, out))


def _answers(found: "Answers", out: Path) -> "RenderableType":
    from rich.console import Group
    from rich.table import Table

    from grue.exposure.inferences import graded
    from grue.exposure.lives import Question

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("who knows", style="bold", no_wrap=True)
    for question in Question:
        table.add_column(question, justify="right")
    for view in found.views:
        right = {one.question: graded(one) for one in view.answers}
        table.add_row(view.view, *(right.get(question, "nothing to know") for question in Question))
    return Group(
        table, "", f"What each was given is in {out}. One life proves nothing: some answers are lucky guesses."
    )


# --- the classic directory ------------------------------------------------------------------------


def classic(
    *,
    listen: Annotated[str, Parameter(help="HOST:PORT on this machine; port 0 is any free one.")] = ADDRESS,
    log: Annotated[Path | None, Parameter(help="The log's database. Without it the log is in memory.")] = None,
    registered: Annotated[list[str] | None, Parameter(help="A number that has the messenger.")] = None,
    kept_days: Annotated[int, Parameter(help="After so many days a line of the log is deleted.")] = 30,
    shell: Injected,
) -> None:
    """Run a directory as others have it: it is asked number by number, and logs who asked for whom.

    It is a reproduction for the laboratory, and no part of a Grue server. Give it no real number.
    """
    from grue.cli.shell import write_object
    from grue.lab.classic import WARNING
    from grue.lab.classic_http import run

    shell.warn({"notice": "laboratory", "message": WARNING}, WARNING)
    run(listen, log, map(parse, registered or []), lambda address: write_object({"listening": address}), kept_days)


async def ask(
    number: Annotated[str, HYPHENS, Parameter(help=ANY_NUMBER)],
    /,
    *,
    account: Annotated[str, HYPHENS, Parameter(name="--as", help="The number of the account that asks.")],
    server: ServerUrl = SERVER,
    shell: Injected,
) -> None:
    """Type a number, as a client would: the directory says how a message goes, and logs that it was asked."""
    from grue.lab import classic_http

    asked, wanted = parse(account), parse(number)
    route = await classic_http.ask(server, asked, wanted)
    words = f"A message to {wanted} goes {'encrypted' if route == 'encrypted' else 'as SMS'}."
    shell.result(
        {"account": asked, "number": wanted, "route": route},
        f"{words} That {asked} asked for {wanted} is in the log, whether or not one follows.",
    )


async def turn_clock(
    days: Annotated[int, Parameter(name="DAYS", help="How many pass.", allow_leading_hyphen=True)],
    /,
    *,
    server: ServerUrl = SERVER,
    shell: Injected,
) -> None:
    """Let days pass at the directory, with a sweep on each, to try out what an order and its extensions get."""
    from grue.lab import classic_http

    now = await classic_http.turn(server, days)
    shell.result({"now": now}, f"At the directory it is {_moment(now)} UTC now, until it stops.")


async def orders(*, server: ServerUrl = SERVER, shell: Injected) -> None:
    """List every order."""
    from grue.lab import classic_http

    taken = await classic_http.orders(server)
    for one in taken:
        fields = {"order": one.order, "target": one.target, "begun": one.begun, "until": one.until}
        line = f"{one.order:>4}  {one.target:<16}  from {_moment(one.begun)} to {_moment(one.until)} UTC"
        shell.result(fields, line)
    if not taken:
        shell.note("There are no orders.")


async def order(
    target: Annotated[str, HYPHENS, Parameter(help=ANY_NUMBER)],
    /,
    *,
    start: Annotated[str, Parameter(help="The date from which the log is wanted, YYYY-MM-DD; now or earlier.")],
    days: Annotated[int, Parameter(help="How long the order runs: 30 or 60.")] = 30,
    server: ServerUrl = SERVER,
    shell: Injected,
) -> None:
    """Order the log about a number, and show its return as of now."""
    from grue.lab import classic_http

    begun = _day(start)
    number = await classic_http.order(server, parse(target), begun, days)
    _show(await classic_http.produced(server, number), shell)


async def extend(
    number: Annotated[int, Parameter(name="ORDER", help="The number of the order.")],
    /,
    *,
    days: Annotated[int, Parameter(help="By how much: 30 or 60.", allow_leading_hyphen=True)] = 30,
    server: ServerUrl = SERVER,
    shell: Injected,
) -> None:
    """Let an order run on, and show its return as of now: all its snapshots so far."""
    from grue.lab import classic_http

    await classic_http.extend(server, number, days)
    _show(await classic_http.produced(server, number), shell)


async def pen_register(
    target: Annotated[str, HYPHENS, Parameter(help=ANY_NUMBER)],
    /,
    *,
    server: ServerUrl = SERVER,
    shell: Injected,
) -> None:
    """Show each number as it is typed, until the directory stops or this is stopped."""
    from grue.cli.signals import stop_on_sigterm
    from grue.lab import classic_http

    stop_on_sigterm()
    wanted = parse(target)
    async for asked in classic_http.dialled(server, wanted):
        shell.result(
            {"at": asked.at, "account": asked.account, "address": asked.address, "number": asked.number},
            f"{_moment(asked.at)} UTC  {asked.address}  {asked.number}",
        )


def _day(date: str) -> float:
    try:
        return datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise UsageError("A date is written as YYYY-MM-DD.") from None


def _moment(at: float) -> str:
    """In UTC; the year has four digits whatever it is."""
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat(" ", "seconds")


def _show(returned: "Return", shell: Injected) -> None:
    for record in returned.records():
        shell.emit(
            {
                "order": returned.order,
                "at": record.at,
                "account": record.account,
                "address": record.address,
                "number": record.number,
                "devices": record.devices,
            }
        )
    shell.emit(
        {
            "order": returned.order,
            "target": returned.target,
            "until": returned.until,
            "snapshots": [len(snapshot.records) for snapshot in returned.snapshots],
            "records": len(returned.records()),
            "kept_from": returned.kept_from,
            "notice": returned.notice,
        }
    )
    shell.say(lambda: _page(returned))


def _page(returned: "Return") -> "RenderableType":
    from rich.console import Group
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for head in ("date and time (UTC)", "source", "client address", "number asked for", "devices"):
        # An address of IPv6 may need two lines of 80 columns; the others never do.
        table.add_column(head, no_wrap=head != "client address", overflow="fold")
    for one in returned.records():
        table.add_row(_moment(one.at), one.account, one.address, one.number, str(one.devices))
    days = f"from {_moment(returned.begun)} to {_moment(returned.until)} (UTC)"
    kept = f"The log goes back to {_moment(returned.kept_from)}; older lines are deleted, unless an order had them."
    head = f"Order {returned.order}: {returned.target}, {days}.\n{kept}"
    if not returned.responsive:
        return Group(head, "", "Nothing is held about this number. What it asks from now on will be.")
    return Group(head, "", table, "", returned.notice)


classic_app = App(name="classic", help="A directory as others have it, and what orders get from it.")
classic_app.default(classic)
classic_app.command(ask)
classic_app.command(turn_clock, name="clock")
classic_app.command(orders)
classic_app.command(order)
classic_app.command(extend)
classic_app.command(pen_register)
