"""`register` and `verify`: register a number of one's own, and verify it by a code that comes as SMS."""

from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import App, Parameter

from grue.cli.opening import opened, typed
from grue.cli.parameters import HYPHENS, Injected
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
    shell: Injected,
) -> None:
    """Have a code sent to your number by SMS; `verify` takes it."""
    async with opened(shell, new=True) as client:
        with shell.waiting("Asking the server for a code ..."):
            e164 = await client.register(typed(number), server, relay=relay, proxy=proxy)
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
    name="account", help="Say what becomes of your number when somebody wants it on another device."
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
