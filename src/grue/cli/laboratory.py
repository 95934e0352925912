"""`demo` and `lab`: everything at once on this machine, and data to try things with."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from grue.cli.parameters import Injected


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
) -> int:
    """Run a server, a carrier and two clients on this machine, and show from what was captured who learned what."""
    from grue.lab.demo import Demo

    return await Demo(shell, keep).run()


lab_app = App(name="lab", help="For demonstrations and measurements.")
lab_app.command(fill)
