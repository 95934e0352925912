"""`demo` and `lab`: everything at once on this machine, and data to try things with."""

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from grue.cli.parameters import Injected
from grue.cli.shell import Shell
from grue.cli.signals import stop_on_sigterm

if TYPE_CHECKING:
    from types import ModuleType

    from grue.lab.demo import Step


def fill(
    *,
    data: Annotated[Path, Parameter(help="The data of a server that is not running.")],
    count: Annotated[int, Parameter(help="How many numbers.")] = 1000,
    seed: Annotated[int, Parameter(help="The same seed gives the same numbers.")] = 0,
    shell: Injected,
) -> None:
    """Register numbers that belong to nobody, straight into a server's data."""
    from grue.lab.fill import fill as run

    with shell.waiting("Filling the directory ..."):
        numbers = run(data, count, seed)
    fields = {"filled": len(numbers), "seed": seed, "example": numbers[0] if numbers else None}
    shell.result(
        fields, lambda: f"{len(numbers)} numbers that belong to nobody are registered, {fields['example']} among them."
    )


async def demo(
    *,
    keep: Annotated[Path | None, Parameter(help="Keep everything that was captured in this directory.")] = None,
    shell: Injected,
) -> None:
    """Run a server, a carrier and two clients on this machine, and show who learned what.

    What each party was given is recorded as the run goes on, and the table at the end is made from that.
    """
    from grue.lab.demo import Demo

    stop_on_sigterm()
    shell.say(lambda: _story().opening())
    began = perf_counter()
    with shell.working("Working ..."):
        await Demo(lambda step: _tell(shell, step), keep).run()
    seconds = perf_counter() - began
    shell.emit({"demo": "ok"})
    shell.say(lambda: _story().ending(seconds, keep))


def _tell(shell: Shell, step: "Step") -> None:
    from grue.exposure.report import as_objects

    fields = {"step": step.name, "title": step.title, "seconds": round(step.seconds, 3), "results": list(step.results)}
    shell.emit({**fields, "rows": as_objects(step.rows)} if step.rows else fields)
    shell.say(lambda: _story().step(step))


def _story() -> "ModuleType":
    from grue.cli import story

    return story


lab_app = App(name="lab", help="For demonstrations and measurements.")
lab_app.command(fill)
