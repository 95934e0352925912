"""`group`: make groups, change who is in them, what they are called, and who may do what."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import App, Parameter

from grue.cli.opening import opened, typed
from grue.cli.parameters import FLAG, HYPHENS, Injected
from grue.cli.shell import Shell, one_line
from grue.errors import UsageError
from grue.protocol.conversation.contents import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Group as Lines
    from rich.table import Table
    from rich.text import Text

    from grue.client.api.groups import Group, GroupLink

GROUP: Final = Parameter(help="The group's name, or its id as `group list` shows it.")
NUMBERS: Final = Parameter(help="Phone numbers, names of contacts, or ids of people. All have to be on Grue.")
WHO: Final = Parameter(help="Members: numbers, names of contacts, or ids as `group show` lists them.")


class Who(StrEnum):
    """Who may do something in a group."""

    EVERYBODY = "everybody"
    ADMINS = "admins"


_ROLES: Final = {None: None, Who.EVERYBODY: Role.MEMBER, Who.ADMINS: Role.ADMIN}


async def new(
    name: Annotated[str, HYPHENS, Parameter(help="What to call it.")],
    /,
    *numbers: Annotated[str, NUMBERS],
    description: Annotated[str, Parameter(help="What it is for.")] = "",
    shell: Injected,
) -> None:
    """Make a group with these numbers. You are its admin. When one is not on Grue, nothing is made."""
    async with opened(shell) as client:
        with shell.waiting("Looking the numbers up, and inviting them ..."):
            group = await client.groups.create(typed(name), *numbers, description=description)
    _tell(shell, group, "made")


async def add(group: Annotated[str, HYPHENS, GROUP], /, *numbers: Annotated[str, NUMBERS], shell: Injected) -> None:
    """Add members. They read what comes from then on, and nothing from before."""
    async with opened(shell) as client:
        with shell.waiting("Adding ..."):
            after = await client.groups.add(typed(group), *numbers)
    _tell(shell, after, "added")


async def remove(group: Annotated[str, HYPHENS, GROUP], /, *who: Annotated[str, WHO], shell: Injected) -> None:
    """Remove members: they are told, and can read nothing that comes after."""
    if not who:
        raise UsageError("Say who is to be removed.")
    async with opened(shell) as client:
        with shell.waiting("Removing ..."):
            after = await client.groups.remove(typed(group), *who)
    _tell(shell, after, "removed")


async def leave(group: Annotated[str, HYPHENS, GROUP], /, *, shell: Injected) -> None:
    """Leave a group. What was said so far stays in this home."""
    async with opened(shell) as client:
        with shell.waiting("Leaving ..."):
            await client.groups.leave(named := typed(group))
    shell.result({"left": named}, f"You have left {one_line(named)}. Others see it once an admin's client has read it.")


async def role(
    group: Annotated[str, HYPHENS, GROUP],
    who: Annotated[str, WHO],
    to: Annotated[Role, Parameter(help="`admin` or `member`.")],
    /,
    *,
    shell: Injected,
) -> None:
    """Make a member an admin, or an admin a member."""
    async with opened(shell) as client:
        with shell.waiting("Changing ..."):
            after = await client.groups.set_role(typed(group), who, to)
    _tell(shell, after, "changed")


async def rename(
    group: Annotated[str, HYPHENS, GROUP],
    name: Annotated[str, HYPHENS, Parameter(help="What to call it from now on.")],
    /,
    *,
    shell: Injected,
) -> None:
    """Call a group something else, for everybody."""
    async with opened(shell) as client:
        with shell.waiting("Changing ..."):
            after = await client.groups.rename(typed(group), name)
    _tell(shell, after, "changed")


async def describe(
    group: Annotated[str, HYPHENS, GROUP],
    description: Annotated[str, HYPHENS, Parameter(help="What it is for; empty for nothing. `-`: from stdin.")],
    /,
    *,
    shell: Injected,
) -> None:
    """Say what a group is for."""
    async with opened(shell) as client:
        with shell.waiting("Changing ..."):
            after = await client.groups.describe(group, typed(description))
    _tell(shell, after, "changed")


async def allow(
    group: Annotated[str, HYPHENS, GROUP],
    /,
    *,
    add: Annotated[Who | None, Parameter(help="Who may add members.")] = None,
    rename: Annotated[Who | None, Parameter(help="Who may change name and description.")] = None,
    write: Annotated[Who | None, Parameter(help="Who may write; `admins` makes it a group for announcements.")] = None,
    shell: Injected,
) -> None:
    """Say who may do what in a group."""
    if add is None and rename is None and write is None:
        raise UsageError("Say what is to be allowed: --add, --rename or --write, each with `everybody` or `admins`.")
    async with opened(shell) as client:
        with shell.waiting("Changing ..."):
            after = await client.groups.allow(typed(group), add=_ROLES[add], rename=_ROLES[rename], write=_ROLES[write])
    _tell(shell, after, "changed")


async def link(
    group: Annotated[str, HYPHENS, GROUP],
    /,
    *,
    reset: Annotated[bool, FLAG, Parameter(help="Make another one; who has the former gets in by it no more.")] = False,
    ask: Annotated[
        bool | None, Parameter(help="Whether an admin decides on each. Else the first admin's client lets them in.")
    ] = None,
    off: Annotated[bool, FLAG, Parameter(help="Take the link away.")] = False,
    shell: Injected,
) -> None:
    """Show the link by which people ask to be let in, and its QR code; an admin makes it, if there is none."""
    if off and (reset or ask is not None):
        raise UsageError("--off goes with nothing else.")
    async with opened(shell) as client:
        with shell.waiting("Looking ..."):
            found = await client.groups.link(named := typed(group), reset=reset, ask=ask, off=off)
    fields = {"link": found.link or None, "ask": found.ask}
    if not found.link:
        shell.result(fields, f"There is no link into {one_line(named)} any more.")
        return
    shell.result(fields, lambda: _link(found))


async def join(
    link: Annotated[str, Parameter(help="`grue:join/...`, whole. `-`: from stdin.")],
    /,
    *,
    show_number: Annotated[
        bool, FLAG, Parameter(help="Prove your number to the group's admins, who learn it by nothing else.")
    ] = False,
    shell: Injected,
) -> None:
    """Ask to be let into the group that a link leads into. Its admins see who asks."""
    async with opened(shell) as client:
        with shell.waiting("Asking ..."):
            await client.groups.join(typed(link), show_number=show_number)
    shell.result(
        {"joining": True},
        "Waiting for an admin. `grue receive` says when you are in. If nothing happens for a day, the link may have "
        "been reset: ask for another.",
    )


async def list_groups(*, shell: Injected) -> None:
    """List the groups that you are in."""
    async with opened(shell) as client:
        listed = await client.groups.list()
    if shell.as_json:
        for group in listed:
            shell.emit(group_fields(group))
    shell.say(lambda: _table(listed))


async def show(group: Annotated[str, HYPHENS, GROUP], /, *, shell: Injected) -> None:
    """Show a group's members, and who may do what."""
    async with opened(shell) as client:
        shown = await client.groups.show(typed(group))
    shell.result(group_fields(shown), lambda: _whole(shown))


def group_fields(group: "Group") -> dict[str, Any]:
    """A group as `--json` shows it; a member has a `number` where it is known here."""
    return {
        "group": group.id,
        "name": group.name,
        "description": group.description,
        "state": group.state.value,
        "members": [
            {"person": member.person}
            | ({"number": member.number} if member.number else {})
            | {
                "name": member.name,
                "profile": member.profile or None,
                "role": member.role.value,
                "own": member.own,
                "verified": member.verified,
            }
            for member in group.members
        ],
        "add": _who(group.may_add),
        "rename": _who(group.may_rename),
        "write": _who(group.may_write),
    }


def _who(role: Role) -> str:
    return next(who.value for who, needed in _ROLES.items() if who is not None and needed is role)


def _tell(shell: Shell, group: "Group", what: str) -> None:
    shell.result({"done": what} | group_fields(group), lambda: _whole(group))


def _table(listed: "Sequence[Group]") -> "Table | Text":
    from rich.table import Table
    from rich.text import Text

    if not listed:
        return Text("No groups yet. `grue group new` makes one.")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for head in ("group", "members", "id"):
        table.add_column(head, no_wrap=head != "group", justify="right" if head == "members" else "left")
    for group in listed:
        asked = "" if group.state.value in ("founded", "active") else f"  ({_state(group)})"
        name = Text.assemble((one_line(group.name), "bold"), (asked, "yellow"))
        table.add_row(name, str(len(group.members)), Text(group.id, style="dim"))
    return table


def _state(group: "Group") -> str:
    return {"requested": "you are asked: `grue accept`", "lost": "cannot be followed; asked to be added again"}.get(
        group.state.value, group.state.value
    )


def _link(found: "GroupLink") -> "Lines":
    from rich.console import Group as Lines
    from rich.text import Text

    from grue.cli.qr import drawn

    who = "An admin decides on each." if found.ask else "Whoever has it gets in, until it is reset."
    return Lines(Text(found.link, overflow="fold"), Text(), drawn(found.link), Text(who, style="dim"))


def _whole(group: "Group") -> "Lines":
    from rich.console import Group as Lines
    from rich.table import Table
    from rich.text import Text

    from grue.cli.message_words import itself

    head = Text.assemble((one_line(group.name), "bold"), (f"  {group.id}", "dim"))
    table = Table(box=None, pad_edge=False, show_header=False)
    for member in group.members:
        shown = member.number or member.person
        name = "you" if member.own else one_line(member.name) or itself(member.profile)
        mark = "verified" if member.verified else ""
        table.add_row(Text(shown, style="bold"), Text(name), Text(member.role.value, style="dim"), Text(mark))
    rules = f"{_who(group.may_write)} may write, {_who(group.may_add)} add, {_who(group.may_rename)} rename"
    described = [Text(one_line(group.description))] if group.description else []
    return Lines(head, *described, table, Text(rules, style="dim"))


groups_app = App(name="group")
for _verb in (new, add, remove, leave, role, rename, describe, allow, show, link):
    groups_app.command(_verb)
groups_app.command(list_groups, name="list")
