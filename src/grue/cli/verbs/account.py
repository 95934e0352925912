"""`register` and `verify`: register a number of one's own, and verify it by a code that comes as SMS."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import App, Parameter

from grue.cli.opening import opened, typed
from grue.cli.parameters import FLAG, HYPHENS, Injected
from grue.cli.verbs.transports import PROXY_HELP, RELAY_HELP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text


async def register(
    number: Annotated[str, HYPHENS, Parameter(help="Your phone number with its country code. `-`: from stdin.")],
    /,
    *,
    server: Annotated[str, Parameter(help="The server's URL: https://, or http:// on this machine.")],
    relay: Annotated[str, Parameter(help=RELAY_HELP)] = "",
    proxy: Annotated[str, Parameter(help=PROXY_HELP)] = "",
    not_discoverable: Annotated[bool, FLAG, Parameter(help="Nobody is to find you by your number.")] = False,
    shell: Injected,
) -> None:
    """Have a code sent to your number by SMS; `verify` takes it."""
    async with opened(shell, new=True) as client:
        with shell.waiting("Asking the server for a code ..."):
            shown = not not_discoverable
            e164 = await client.register(typed(number), server, relay=relay, proxy=proxy, discoverable=shown)
    shell.result({"number": e164, "account": None, "next": "verify"}, lambda: _code_sent(e164))


async def verify(
    code: Annotated[str, HYPHENS, Parameter(help="The digits from the SMS. `-`: from stdin.")],
    /,
    *,
    shell: Injected,
) -> None:
    """Hand in the code from the SMS; after that the number is registered here."""
    async with opened(shell) as client:
        with shell.waiting("Registering ..."):
            account = await client.verify(typed(code))
            number = client.number
    shell.result({"number": number, "account": account}, lambda: _registered(number))


CLAIM_HELP: Final = "The claim's name, which the other device shows with `held`."

account_app: Final = App(
    name="account", help="Say whether your number is to be found, and what becomes of it when others want it."
)


@account_app.command
async def claims(*, shell: Injected) -> None:
    """Show who proved to receive your number's SMS and wants the number, by the name of each claim."""
    async with opened(shell) as client:
        with shell.waiting("Asking the server ..."):
            found = await client.account.claims()
    for claim in found:
        until = claim.until.isoformat()
        shell.emit({"claim": claim.name, "until": until, "objected": claim.objected})
        shell.say(f"{claim.name}  from {until} on{', and you objected' if claim.objected else ''}")
    shell.result({"claims": len(found)}, lambda: _claimed(len(found)))


class Switch(StrEnum):
    """On or off."""

    ON = "on"
    OFF = "off"


@account_app.command
async def discoverable(
    switch: Annotated[Switch | None, Parameter(help="`on` or `off`; without it, say which.")] = None,
    /,
    *,
    shell: Injected,
) -> None:
    """Be found by your number, or not: then people write to you by `grue person link`, or know you already."""
    async with opened(shell) as client:
        if switch is not None:
            with shell.waiting("Telling the server ..."):
                await client.account.set_discoverable(switch is Switch.ON)
        found = await client.account.is_discoverable()
    shell.result({"discoverable": found}, lambda: FOUND if found else NOT_FOUND)


FOUND: Final = "Whoever has your number finds that you can be written to."
NOT_FOUND: Final = (
    "Nobody finds you by your number, and nobody new is shown it. People reach you by `grue person link`."
)


@account_app.command
async def release(claim: Annotated[str, Parameter(help=CLAIM_HELP)], /, *, shell: Injected) -> None:
    """Let go of your number: the device that makes this claim has it when `verify` is typed there again."""
    async with opened(shell) as client:
        await client.account.release(claim)
    shell.result({"released": True}, lambda: "Your number goes to the other device, by its next `grue verify`.")


@account_app.command(name="object")
async def object_(
    claim: Annotated[str, Parameter(help="The claim's name; without one every claim that there is now.")] = "",
    /,
    *,
    shell: Injected,
) -> None:
    """Object to a claim of your number: its week begins anew. You can do so once."""
    async with opened(shell) as client:
        with shell.waiting("Asking the server ..."):
            named = await client.account.object(claim)
    shell.result({"objected": named}, lambda: _objected(named))


def _claimed(count: int) -> str:
    if not count:
        return "Nobody else claims your number."
    return "Your own new device shows its claim's name: `grue account release CLAIM`. Any other: `grue account object`."


def _objected(named: "Sequence[str]") -> str:
    return f"The week of {', '.join(named)} begins anew, once. Ask your carrier who receives your SMS."


def _code_sent(number: str) -> "Text":
    from rich.text import Text

    return Text.assemble(
        f"A code is on its way by SMS to {number}. It works once, for ten minutes or more.\n",
        "The SMS gateway and the carriers see that this number asked for one.\n",
        ("Next: ", "bold"),
        "grue verify CODE",
    )


def _registered(number: str) -> "Text":
    from rich.text import Text

    return Text.assemble(
        (f"{number} is registered here.\n", "bold"),
        "Whoever types this number into Grue now finds that it can be written to encrypted.\n",
        "Nobody, you included, is told who looked.\n",
        ("Next: ", "bold"),
        "grue lookup NUMBER, or grue send NUMBER TEXT",
    )
