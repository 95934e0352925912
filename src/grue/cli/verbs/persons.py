"""`person`: links by which people are written to without a number."""

from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import App, Parameter

from grue.cli.opening import opened, typed
from grue.cli.parameters import FLAG, HYPHENS, Injected
from grue.cli.shell import one_line

if TYPE_CHECKING:
    from rich.console import Group

GIVE: Final = """\
Whoever has this link can write to you, without your number and without learning it. Give it to whom you like, or print
it. `grue person link --reset` makes a new one, and the old one holds no more."""


async def link(
    *,
    reset: Annotated[bool, FLAG, Parameter(help="A new one: who writes by the old one is turned down.")] = False,
    shell: Injected,
) -> None:
    """Print the link by which people write to you without a number, and its QR code."""
    async with opened(shell) as client:
        made = await client.people.link(reset=reset)
    shell.result({"link": made}, lambda: _shown(made))


async def add(
    link: Annotated[str, HYPHENS, Parameter(help="Their `grue:person/...`. `-`: from stdin.")],
    name: Annotated[str, HYPHENS, Parameter(help="What to call them here.")] = "",
    /,
    *,
    shell: Injected,
) -> None:
    """Keep somebody by their link. Nobody is told; the first message is a request to them, as any other."""
    async with opened(shell) as client:
        who = await client.people.add(typed(link), name)
    shell.result({"person": who, "name": name}, lambda: f"{one_line(name) or who} can be written to: `grue send`.")


def _shown(made: str) -> "Group":
    from rich.console import Group
    from rich.text import Text

    from grue.cli.qr import drawn

    return Group(Text(made, overflow="fold", no_wrap=False), Text(), drawn(made), Text(GIVE, style="dim"))


person_app: Final = App(name="person")
person_app.command(link)
person_app.command(add)
