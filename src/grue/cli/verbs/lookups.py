"""`lookup`: tell how a message to a number would go, without anybody learning which number it is."""

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from grue.cli.opening import going_on, opened, typed
from grue.cli.parameters import ANY_NUMBER, HYPHENS, Injected
from grue.cli.route_words import ROUTE_WORDS
from grue.cli.shell import spoken

if TYPE_CHECKING:
    from rich.text import Text

    from grue.client.lookup.directory import LookedUp


async def lookup(
    number: Annotated[str, HYPHENS, Parameter(help=ANY_NUMBER)],
    /,
    *numbers: Annotated[str, HYPHENS, Parameter(help="More of them.")],
    shell: Injected,
) -> int:
    """Say for each number whether a message would go encrypted or as SMS. No server learns the number or the answer."""
    wanted = [line for argument in (number, *numbers) for line in typed(argument).splitlines() or [""]]
    async with opened(shell) as client:
        with shell.waiting(lambda: going_on("Looking up ...", client)):
            results = await client.lookup(*wanted)
    for one in results:
        shell.result(fields(one), lambda one=one: _line(one))  # type: ignore[misc]
    failure = next((one.error for one in results if one.error is not None), None)
    return 0 if failure is None else shell.fail(failure)


def fields(one: "LookedUp") -> dict[str, Any]:
    """A result as `--json` shows it. The costs are those of the whole command."""
    failed = {} if one.error is None else {"error": one.error.code, "message": spoken(one.error), "fix": one.error.fix}
    return {
        "number": one.number,
        "route": one.route.value,
        "registered": one.registered,
        "epoch": one.result.epoch if one.result else None,
        "tier": one.tier,
        "requests": one.requests,
        "bytes_up": one.bytes_up,
        "bytes_down": one.bytes_down,
        "ms": round(one.ms, 3),
        **failed,
    }


def _line(one: "LookedUp") -> "Text":
    from rich.text import Text

    word, colour, meaning = ROUTE_WORDS[one.route]
    return Text.assemble(f"{one.number:<16} ", (f"{word:<9}", colour), f" {meaning}")
