"""`requests`, `accept`, `decline`, `block`, `unblock`, `report`: decide who may write here, and keep what they did."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from grue.cli.opening import opened, typed
from grue.cli.parameters import FLAG, HYPHENS, Injected
from grue.cli.shell import Shell, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table
    from rich.text import Text

    from grue.client.client import Client
    from grue.client.conversations.requests import Request

FROM: Final = "A number, an id that `requests` or `chats` lists, or a name. `-`: from stdin."


async def requests(
    *,
    blocked: Annotated[bool, FLAG, Parameter(help="List who is blocked instead.")] = False,
    shell: Injected,
) -> int:
    """Fetch and list who has written to you and was not accepted yet. Nothing but an acceptance is told to anybody."""
    async with opened(shell) as client:
        if blocked:
            for name in await client.requests.blocked():
                shell.result({"blocked": name}, name)
            return 0
        with shell.waiting("Looking ..."):
            listed = await client.requests.list()
        away, unreached = await client.requests.turned_away(), client.requests.unreached
    if shell.as_json:
        for one in listed:
            shell.emit(
                {
                    "chat": one.chat,
                    "claimed": one.claimed or None,
                    "messages": one.messages,
                    "text": one.text,
                    "since": one.since,
                    "group": one.group or None,
                    "inviter": one.inviter or None,
                    "profile": one.profile or None,
                    "joins": one.joins,
                }
            )
    shell.say(lambda: _table(listed, "No requests." if unreached is None else "No requests are here so far."))
    if away:
        told = "1 request" if away == 1 else f"{away} requests"
        shell.warn({"turned_away": away}, f"{told} gave way to newer ones. What they said is in `grue receive`.")
    return 0 if unreached is None else shell.fail(unreached)


async def accept(chat: Annotated[str, HYPHENS, Parameter(help=FROM)], /, *, shell: Injected) -> None:
    """Accept a request, as an answer does: from then on the sender sees what was read."""
    from grue.client.chats import GROUP_PREFIX

    async with opened(shell) as client:
        joining = await client.requests.joining()
        with shell.waiting("Accepting ..."):
            name = await client.requests.accept(named := typed(chat))
        _warn_unreached(shell, client)
    done = f"You are in {one_line(named)}." if name.startswith(GROUP_PREFIX) else f"{name} may write to you."
    if name in joining:
        done = f"{name} is let in."
    shell.result({"accepted": name}, f"{done} What came meanwhile is in `grue receive`.")


async def decline(chat: Annotated[str, HYPHENS, Parameter(help=FROM)], /, *, shell: Injected) -> None:
    """Turn a request down, without its sender being told. They may ask again; `block` ends that."""
    async with opened(shell) as client:
        with shell.waiting("Looking ..."):
            name = await client.requests.decline(typed(chat))
        _warn_unreached(shell, client)
    shell.result({"declined": name}, f"{name} was turned down, and is not told.")


async def block(
    who: Annotated[str, HYPHENS, Parameter(help=f"{FROM} Or an SMS sender.")], /, *, shell: Injected
) -> None:
    """Hear nothing of somebody any more, without their being told: neither encrypted nor by SMS."""
    async with opened(shell) as client:
        with shell.waiting("Looking ..."):
            name = await client.requests.block(typed(who))
        _warn_unreached(shell, client)
    shell.result({"blocked": name}, f"{name} is blocked, and is not told. `grue unblock` takes it back.")


async def unblock(
    who: Annotated[str, HYPHENS, Parameter(help="As `requests --blocked` lists them.")], /, *, shell: Injected
) -> None:
    """Hear somebody again; of what they wrote meanwhile, what still waits at the server comes."""
    async with opened(shell) as client:
        name = await client.requests.unblock(typed(who))
    shell.result({"unblocked": name}, f"{name} is heard again.")


async def report(
    chat: Annotated[str, HYPHENS, Parameter(help="A number, an id or a name. `-`: from stdin.")],
    file: Annotated[Path, Parameter(help="Where to: a file that is not there yet.")],
    /,
    *,
    shell: Injected,
) -> None:
    """Write what is kept of a chat into a file for yourself, which is sent to nobody."""
    async with opened(shell) as client:
        count = await client.people.report(typed(chat), file)
    shell.result(
        {"report": str(file), "messages": count},
        lambda: f"{file} has {count:,} messages, and says what it proves. It was sent to nobody: it is yours to give.",
    )


def _warn_unreached(shell: Shell, client: "Client") -> None:
    """What is decided here holds, whether or not the server has heard of it."""
    error = client.requests.unreached
    if error is not None:
        shell.warn({"unreached": error.code, "message": str(error)}, f"{error} What is here already was used.")


def _named(one: "Request") -> str:
    """Who asks; for a group what it is called, and who asks into it."""
    from grue.cli.message_words import itself

    claimed = f" (claims {one.claimed})" if one.claimed else ""
    claimed += f" {itself(one.profile)}" if one.profile else ""
    if one.joins:
        return f"{one.chat}{claimed} asks to be let into {one.group}"
    return f"{one.chat} {one.group}, by {one.inviter}{claimed}" if one.group else f"{one.chat}{claimed}"


def _table(listed: "Sequence[Request]", none: str) -> "Table | Text":
    from rich.table import Table
    from rich.text import Text

    from grue.cli.shell import safe

    if not listed:
        return Text(none)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for head in ("from", "messages", "first"):
        table.add_column(head, no_wrap=head != "first", justify="right" if head == "messages" else "left")
    for one in listed:
        name = _named(one)
        first = safe(one.text).replace("\n", " ")[:200]
        table.add_row(Text(safe(name), style="bold"), str(one.messages), Text(first))
    return table
