"""`doctor`: look at everything between this home and its server, and say how to mend what is wrong."""

from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from grue.cli.opening import entered, home_of
from grue.cli.parameters import Injected
from grue.cli.shell import Shell

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from grue.cli.checks import Check
    from grue.client.transport.transport import TransportSettings
    from grue.exposure.own import Sight


async def doctor(
    *,
    server: Annotated[str | None, Parameter(help="Look at this server, where there is no account yet.")] = None,
    shell: Injected,
) -> int:
    """Say what is wrong here, and how to mend it. Ends with the exit code of the first thing that is wrong."""
    from grue.cli.checks import Doctor

    home = home_of(shell)
    code, wrong = 0, 0
    examination = Doctor(home, server, lambda: entered(home, exists=True))
    async with aclosing(examination.examine()) as checks:
        async for check in checks:
            _tell(shell, check)
            if check.error is not None:
                code, wrong = code or check.error.exit_code, wrong + 1
    shell.say("All is well." if not wrong else f"{wrong} of these {'needs' if wrong == 1 else 'need'} you.")
    if examination.transport is not None:
        _tell_sights(shell, examination.transport)
    return code


def _tell(shell: Shell, check: "Check") -> None:
    error = check.error
    shell.emit(
        {
            "check": check.name,
            "ok": check.ok,
            "message": check.message,
            "error": error.code if error else None,
            "fix": error.fix if error else None,
        }
    )
    shell.say(lambda: _line(check))


def _tell_sights(shell: Shell, settings: "TransportSettings") -> None:
    """Which observers see what, while this home is used with its present settings."""
    from grue.exposure.own import sights

    seen = sights(relay=bool(settings.relay), proxy=bool(settings.proxy))
    for sight in seen:
        shell.emit({"observer": sight.party, "sees": sight.sees, "not": sight.hidden})
    shell.say(lambda: table_of(seen))


def table_of(seen: "list[Sight]") -> "Table":
    """Who sees what, a line an observer."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("who", style="bold", no_wrap=True)
    table.add_column("sees, with these settings")
    table.add_column("and not")
    for sight in seen:
        table.add_row(sight.party, sight.sees, sight.hidden)
    return table


def _line(check: "Check") -> "Text":
    from rich.text import Text

    from grue.cli.shell import one_line

    word, style = {True: ("fine", "green"), False: ("wrong", "bold red"), None: ("skipped", "dim")}[check.ok]
    line = Text.assemble((f"{word:<8}", style), (f"{check.name:<13}", "bold"), one_line(check.message))
    return line if check.error is None else line.append(f"\n{'':21}{check.error.fix}", style="yellow")
