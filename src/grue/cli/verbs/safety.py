"""`safety`: compare the safety number with somebody, and mark them as verified."""

from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from grue.cli.opening import going_on, opened, typed
from grue.cli.parameters import FLAG, HYPHENS, Injected
from grue.cli.shell import one_line
from grue.errors import UsageError
from grue.protocol.conversation.safety import grouped, read

if TYPE_CHECKING:
    from rich.console import Group

    from grue.client.api.people import SafetyNumber
    from grue.client.client import Client

WHO: Final = "A number, the id of a chat or member, or the name of a contact. `-`: from stdin."
MARK: Final = "Mark them as verified: you have compared. With --compare, only if it is equal."
COMPARE: Final = "Compare these sixty digits, theirs, with the ones here. `-`: from stdin."

HOW: Final = """\
Compare it with them by another way: side by side, or on a call in which you know the voice. They see the same digits
with `grue safety` and your number. When all are equal, --verified marks it."""

IN_A_LINE: Final = 4
"""Groups of digits: three lines are read out without getting lost."""


async def safety(
    who: Annotated[str, HYPHENS, Parameter(help=WHO)],
    /,
    *,
    verified: Annotated[bool, FLAG, Parameter(help=MARK)] = False,
    unverified: Annotated[bool, FLAG, Parameter(help="Take the mark back.")] = False,
    compare: Annotated[str | None, HYPHENS, Parameter(help=COMPARE)] = None,
    shell: Injected,
) -> None:
    """Show the safety number with somebody, sixty digits and a QR code.

    It is made of your two identity keys: when both of you see the same, nobody is in between.
    """
    if unverified and (verified or compare is not None):
        raise UsageError("--unverified takes the mark back; neither --verified nor --compare goes with it.")
    if who == compare == "-":
        raise UsageError("Only one of the two can come from stdin.")
    who, digits = typed(who), None if compare is None else read(typed(compare))
    async with opened(shell) as client:
        with shell.waiting(lambda: going_on("Looking ...", client)):
            found = await _asked(client, who, digits, verified=verified, unverified=unverified)
    plain = not (verified or unverified or digits)
    shell.result(_fields(found), lambda: _whole(found) if plain else _done(found, compared=digits is not None))


async def _asked(client: "Client", who: str, digits: str | None, *, verified: bool, unverified: bool) -> "SafetyNumber":
    if verified:
        return await client.people.verify(who, digits)
    if unverified:
        return await client.people.unverify(who)
    return await (client.people.compare(who, digits) if digits else client.people.safety(who))


def _fields(found: "SafetyNumber") -> dict[str, Any]:
    return {
        "number": found.number or None,
        "person": found.person,
        "digits": found.digits,
        "verified": found.verified,
        "changed": found.changed,
    }


def _done(found: "SafetyNumber", *, compared: bool) -> str:
    name = one_line(found.number or found.person)
    equal = "The safety numbers are equal. " if compared else ""
    if not found.verified:
        return f"{equal}{name} is not marked as verified."
    then = " `grue send --accept-key` goes on with this identity." if found.changed else ""
    return f"{equal}{name} is verified.{then}"


def _whole(found: "SafetyNumber") -> "Group":
    from rich.console import Group
    from rich.text import Text

    from grue.cli.qr import drawn

    name = one_line(found.number or found.person)
    head = Text.assemble((name, "bold"), "  ", ("verified", "bold") if found.verified else ("not verified", "yellow"))
    if found.changed:
        head.append("  not the identity that was known here", style="bold yellow")
    groups = grouped(found.digits)
    lines = [Text(" ".join(groups[at : at + IN_A_LINE])) for at in range(0, len(groups), IN_A_LINE)]
    told = [] if found.verified else [Text(HOW, style="dim")]
    return Group(head, *lines, Text(), drawn(found.digits), *told)
