"""`chat` and `search`: arrange the list of chats, keep what was written and not sent, and find what was written."""

import re
import time
from datetime import datetime
from typing import Annotated, Final

from cyclopts import App, Parameter

from grue.cli.opening import opened, typed
from grue.cli.parameters import HYPHENS, Injected
from grue.cli.shell import one_line
from grue.cli.verbs.messages import message_fields, message_words
from grue.errors import UsageError

WHICH: Final = "A number, an id that `chats` lists, a name, or `me`. `-`: from stdin."
Which = Annotated[str, HYPHENS, Parameter(help=WHICH)]

CHAT: Final = "In this chat alone: a number, an id, a name, or `me`."
BEFORE: Final = "The next page: what came before this `row`, the last one's."
WORDS: Final = 'Each has to stand in it, as a part of a word too; "a row of words" as it is. `-`: from stdin.'

SECONDS: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


async def pin(chat: Which, /, *, shell: Injected) -> None:
    """Have a chat stand above the others."""
    async with opened(shell) as client:
        await client.chats.pin(named := typed(chat))
    shell.result({"chat": named, "pinned": True}, f"{one_line(named)} is pinned.")


async def unpin(chat: Which, /, *, shell: Injected) -> None:
    """Have a chat stand among the others."""
    async with opened(shell) as client:
        await client.chats.unpin(named := typed(chat))
    shell.result({"chat": named, "pinned": False}, f"{one_line(named)} is pinned no more.")


async def mute(
    chat: Which,
    /,
    *,
    for_: Annotated[str | None, Parameter(name="--for", help="So long: `30m`, `8h`, `2d`, `1w`.")] = None,
    until: Annotated[str | None, Parameter(help="Until then, by this machine's clock: `2030-12-24 08:00`.")] = None,
    shell: Injected,
) -> None:
    """Have what comes in a chat be quiet: for good, unless it is said for how long."""
    end = _end(for_, until)
    async with opened(shell) as client:
        await client.chats.mute(named := typed(chat), end)
    when = "" if end is None else f" until {datetime.fromtimestamp(end).astimezone():%Y-%m-%d %H:%M}"
    shell.result(
        {"chat": named, "muted": True, "until": None if end is None else int(end)}, f"{one_line(named)} is muted{when}."
    )


async def unmute(chat: Which, /, *, shell: Injected) -> None:
    """Have what comes in a chat be quiet no more."""
    async with opened(shell) as client:
        await client.chats.unmute(named := typed(chat))
    shell.result({"chat": named, "muted": False}, f"{one_line(named)} is muted no more.")


async def archive(chat: Which, /, *, shell: Injected) -> None:
    """Put a chat away until something comes in it; what comes while it is muted leaves it there."""
    async with opened(shell) as client:
        await client.chats.archive(named := typed(chat))
    shell.result({"chat": named, "archived": True}, f"{one_line(named)} is archived: `grue chats --archived` lists it.")


async def unarchive(chat: Which, /, *, shell: Injected) -> None:
    """Take a chat back into the list."""
    async with opened(shell) as client:
        await client.chats.unarchive(named := typed(chat))
    shell.result({"chat": named, "archived": False}, f"{one_line(named)} is in `grue chats` again.")


async def draft(
    chat: Which, text: Annotated[str, HYPHENS, Parameter(help="What to keep; empty: no draft. `-`: from stdin.")], /,
    *, shell: Injected,
) -> None:  # fmt: skip
    """Keep what you have written and not sent."""
    if chat == text == "-":
        raise UsageError("Only one of the two can come from stdin.")
    async with opened(shell) as client:
        await client.chats.draft(named := typed(chat), kept := typed(text))
    shell.result(
        {"chat": named, "draft": kept or None}, "Kept; it is not sent." if kept else f"{one_line(named)} has no draft."
    )


async def search(
    words: Annotated[str, HYPHENS, Parameter(help=WORDS)],
    /,
    *more: Annotated[str, HYPHENS],
    chat: Annotated[str | None, HYPHENS, Parameter(help=CHAT)] = None,
    before: Annotated[int | None, Parameter(help=BEFORE)] = None,
    shell: Injected,
) -> None:
    """Find messages by their texts and files, and chats by their names, the newest first. It asks no server.

    Case, accents and width make no difference, in any language.
    """
    looked_for = " ".join([typed(words), *more])
    async with opened(shell) as client:
        found = await client.search(looked_for, chat=None if chat is None else typed(chat), before=before)
    if shell.as_json:
        for one in found.chats:
            shell.emit({"chat": one.chat, "group": one.group or None, "name": one.name or None})
        for number, name in found.contacts:
            shell.emit({"contact": number, "name": name or None})
        for hit in found.hits:
            snippet = [{"text": text, "match": match} for text, match in hit.snippet]
            shell.emit(message_fields(hit.message) | {"row": hit.message.row, "snippet": snippet})
        shell.emit({"more": found.more})
    shell.say(lambda: message_words().found(found))


def _end(for_: str | None, until: str | None) -> float | None:
    """Unix seconds; None for good. Raises UsageError."""
    if for_ is not None and until is not None:
        raise UsageError("Either --for or --until.")
    if for_ is not None:
        if not (said := re.fullmatch(r"([1-9][0-9]{0,5})([mhdw])", for_)):
            raise UsageError("--for takes a number and m, h, d or w, as in `8h`.")
        return time.time() + int(said[1]) * SECONDS[said[2]]
    if until is None:
        return None
    try:
        return datetime.fromisoformat(until).timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError("--until takes a day and a time, as in `2030-12-24 08:00`.") from None


chat_app: Final = App(name="chat")
for verb in (pin, unpin, mute, unmute, archive, unarchive, draft):
    chat_app.command(verb)
