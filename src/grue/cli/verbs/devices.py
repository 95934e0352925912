"""`device`: link a further device to the account, list, rename and remove the own ones."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import App, Parameter

from grue.cli.opening import opened, typed
from grue.cli.parameters import FLAG, HYPHENS, Injected
from grue.cli.shell import Shell, one_line
from grue.errors import CannotManage, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from grue.client.api.devices import AskingDevice, Device, NewDevice

DEVICE: Final = Parameter(help="Its name, or its id as `device list` shows it.")
MANAGE: Final = "Ask for the identity key, too: this device can then link and remove others, and is removed by nobody."
SAME: Final = "Do not ask: the link came straight from the other device, and nobody else has seen it."
CODE: Final = "The six digits that the new device shows. `-`: from stdin, once they are shown here."
NEW_IDENTITY: Final = "For a device that holds the identity key: give that key up, and register the number anew."


async def link(
    name: Annotated[str, HYPHENS, Parameter(help="What to call this device.")],
    /,
    *,
    server: Annotated[str, Parameter(help="The URL of the server that your account is at.")],
    can_manage: Annotated[bool, FLAG, Parameter(help=MANAGE)] = False,
    shell: Injected,
) -> None:
    """On a new device, with an empty home: show a link and a QR code for your other device, and wait."""
    async with (
        opened(shell, new=True) as client,
        client.devices.link(server, typed(name), can_manage=can_manage) as new,
    ):
        shell.emit({"link": new.link})
        shell.say(_scan(new.link))
        with shell.waiting("Waiting for your other device, ten minutes at most ..."):
            code = await new.meet()
        shell.emit({"code": code, "number": new.number})
        shell.say(_digits(code, f"The other device belongs to {new.number}."))
        number = await _finished(shell, new)
    shell.result({"linked": True, "number": number}, lambda: _linked(number))


async def accept(
    link: Annotated[str, HYPHENS, Parameter(help="What the new device shows. `-`: from stdin.")],
    /,
    *,
    code: Annotated[str | None, HYPHENS, Parameter(help=CODE)] = None,
    yes: Annotated[bool, FLAG, Parameter(help=SAME)] = False,
    shell: Injected,
) -> None:
    """On a device that manages your account: take in the one that shows this link, when both show the same digits."""
    async with opened(shell) as client:
        with shell.waiting("Meeting the other device ..."):
            asking = await client.devices.accept(typed(link))
        shell.emit({"device": asking.name, "can_manage": asking.manages, "code": asking.code})
        shell.say(_digits(asking.code, _asks(asking)))
        theirs = None if yes else await asyncio.to_thread(_agreed, asking.code, code)
        with shell.waiting("Linking, and adding it to your conversations ..."):
            await asking.accept(theirs)
    shell.result({"linked": asking.name}, f"{one_line(asking.name)} is one of your devices now.")


async def list_(*, shell: Injected) -> None:
    """List your devices, with the day on which each was last in use."""
    async with opened(shell) as client:
        found = await client.devices.list()
    for device in found:
        shell.emit(_fields(device))
    shell.result({"devices": len(found)}, lambda: _table(found))


async def rename(
    device: Annotated[str, HYPHENS, DEVICE],
    name: Annotated[str, HYPHENS, Parameter(help="What to call it.")],
    /,
    *,
    shell: Injected,
) -> None:
    """Call a device something else; all of yours are told."""
    async with opened(shell) as client:
        renamed = await client.devices.rename(typed(device), typed(name))
    shell.result(_fields(renamed), f"It is called {one_line(renamed.name)} now.")


async def remove(
    device: Annotated[str, HYPHENS, DEVICE],
    /,
    *,
    new_identity: Annotated[bool, FLAG, Parameter(help=NEW_IDENTITY)] = False,
    shell: Injected,
) -> None:
    """Remove a device, as one that was stolen: it need not be there, and all your conversations get new keys."""
    async with opened(shell) as client:
        named = typed(device)
        found = [one for one in await client.devices.list() if named in (one.name, one.id)]
        if new_identity and found and found[0].manages:
            if not any(one.own and one.manages for one in await client.devices.list()):
                raise CannotManage
            server = client.server
            with shell.waiting("Leaving, and asking the server for a code ..."):
                number = await client.devices.leave_identity()
                await client.register(number, server)
            shell.result({"removed": found[0].id, "number": number, "next": "verify"}, lambda: _anew(number))
            return
        with shell.waiting("Removing it, and changing the keys of your conversations ..."):
            gone = await client.devices.remove(named)
    words = f"{one_line(gone.name or gone.id)} is none of your devices any more."
    shell.result({"removed": gone.id, "next": None}, words)


async def _finished(shell: Shell, new: "NewDevice") -> str:
    """The account's number, once both sides have said yes; somebody at a terminal is asked here as well."""
    if sys.stdin.isatty() and not await asyncio.to_thread(_is_yes, "Do both show these digits, and is it your number?"):
        await new.refuse()
        raise UsageError("You said no: nothing was linked.")
    with shell.waiting("Waiting for the yes on your other device ..."):
        return await new.finish()


def _agreed(shown: str, code: str | None) -> str:
    """The digits of the other device, as somebody typed them, or the ones shown here if they say that it has the same.

    Raises UsageError.
    """
    if code is not None:
        return typed(code)
    if not sys.stdin.isatty():
        raise UsageError("Nobody is there to be asked: --code DIGITS, or --yes.")
    # Not the same: something that is none.
    return shown if _is_yes("Does the new device show the same six digits?") else "no"


def _is_yes(question: str) -> bool:
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _fields(device: "Device") -> dict[str, Any]:
    return {
        "id": device.id,
        "name": device.name,
        "own": device.own,
        "manages": device.manages,
        "last_seen": device.last_seen.isoformat() if device.last_seen else None,
    }


def _scan(link: str) -> "Group":
    from rich.console import Group
    from rich.text import Text

    from grue.cli.qr import drawn

    head = "On your other device: grue device accept LINK, with this, or scan it."
    told = "Show it to nobody else. It works once, for ten minutes."
    return Group(
        Text(head, style="bold"), drawn(link), Text(link, no_wrap=True, overflow="ignore"), Text(told, style="dim")
    )


def _digits(code: str, more: str) -> "Text":
    from rich.text import Text

    return Text.assemble((f"{code[:3]} {code[3:]}", "bold"), f"  {more} Both devices have to show these six digits.")


def _asks(asking: "AskingDevice") -> str:
    wants = " and asks for your identity key, to link and remove devices itself" if asking.manages else ""
    return f"{one_line(asking.name)} wants to be one of your devices{wants}."


def _linked(number: str) -> "Text":
    from rich.text import Text

    return Text.assemble(
        (f"This is a device of {number} now.\n", "bold"), "What is written from now on is on all of them."
    )


def _anew(number: str) -> "Text":
    from rich.text import Text

    return Text.assemble(
        ("The identity key is given up, and with it every device that had it.\n", "bold"),
        "Your contacts will be told that your key changed: tell them by another way that it was you.\n",
        "Groups have to add you again, and your other devices have to be linked again.\n",
        f"A code is on its way by SMS to {number}. ",
        ("Next: ", "bold"),
        "grue verify CODE",
    )


def _table(found: "Sequence[Device]") -> "Table":
    from rich.table import Table

    table = Table("device", "id", "last in use", "", box=None, pad_edge=False)
    for device in found:
        marks = [word for word, is_so in (("this one", device.own), ("manages", device.manages)) if is_so]
        last = device.last_seen.isoformat() if device.last_seen else "not yet"
        table.add_row(one_line(device.name) or "(no name)", device.id, last, ", ".join(marks))
    return table


device_app: Final = App(name="device", help="Link further devices to your account, list them, and remove them.")
device_app.command(link)
device_app.command(accept)
device_app.command(list_, name="list")
device_app.command(rename)
device_app.command(remove)
