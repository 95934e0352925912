"""`doctor`: look at everything between this home and its server, and say how to mend what is wrong."""

from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from grue.cli.opening import entered, home_of
from grue.cli.parameters import Injected
from grue.cli.shell import Shell

if TYPE_CHECKING:
    from rich.text import Text

    from grue.cli.checks import Check


async def doctor(
    *,
    server: Annotated[str | None, Parameter(help="Look at this server, where there is no account yet.")] = None,
    shell: Injected,
) -> int:
    """Say what is wrong here, and how to mend it. Ends with the exit code of the first thing that is wrong."""
    from grue.cli.checks import Doctor

    home = home_of(shell)
    code, wrong = 0, 0
    async with aclosing(Doctor(home, server, lambda: entered(home, exists=True)).examine()) as checks:
        async for check in checks:
            _tell(shell, check)
            if check.error is not None:
                code, wrong = code or check.error.exit_code, wrong + 1
    shell.say("All is well." if not wrong else f"{wrong} of these {'needs' if wrong == 1 else 'need'} you.")
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


def _line(check: "Check") -> "Text":
    from rich.text import Text

    from grue.cli.shell import safe

    word, style = {True: ("fine", "green"), False: ("wrong", "bold red"), None: ("skipped", "dim")}[check.ok]
    line = Text.assemble((f"{word:<8}", style), (f"{check.name:<13}", "bold"), safe(check.message))
    return line if check.error is None else line.append(f"\n{'':21}{check.error.fix}", style="yellow")
