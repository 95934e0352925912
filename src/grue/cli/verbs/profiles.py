"""`profile`: say what you call yourself, or show what others do."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from grue.cli.opening import opened, typed
from grue.cli.parameters import FLAG, HYPHENS, Injected
from grue.errors import UsageError

if TYPE_CHECKING:
    from grue.client.api.people import Profile

MOST: Final = 16 * 2**20
"""Bytes of a file that may be a picture: more is none that could be made small enough by taking out a preview."""

WHO: Final = "Whose: a number, an id or a name. Without it, yours."
SEEN: Final = "Whoever you have written to or accepted sees it, and with your next text your groups."


async def profile(
    who: Annotated[str, HYPHENS, Parameter(help=WHO)] = "me",
    /,
    *,
    name: Annotated[str | None, Parameter(help="What you call yourself; empty for nothing.")] = None,
    picture: Annotated[Path | None, Parameter(help="A JPEG, PNG or WebP file of at most 40 KiB.")] = None,
    no_picture: Annotated[bool, FLAG, Parameter(help="Take your picture back.")] = False,
    save: Annotated[Path | None, Parameter(help="Write the picture into this file, which is not there yet.")] = None,
    shell: Injected,
) -> None:
    """Say what you call yourself, or show what others do. It goes to whom you write with."""
    changes = name is not None or picture is not None or no_picture
    if (changes and (who != "me" or save is not None)) or (picture is not None and no_picture):
        raise UsageError("Only your own profile is yours to change, and what is changed is not saved.")
    async with opened(shell) as client:
        if changes:
            with shell.waiting("Sending ..."):
                bytes_of_it = b"" if no_picture else None if picture is None else _read(picture)
                found = await client.people.set_profile(name=name, picture=bytes_of_it)
        else:
            found = await client.people.profile(typed(who))
    if save is not None:
        _write(save, found.picture)
    shell.result(_fields(found), lambda: _words(found, own=who == "me", changed=changes))


def _fields(found: "Profile") -> dict[str, Any]:
    return {"name": found.name or None, "picture": len(found.picture) or None}


def _words(found: "Profile", *, own: bool, changed: bool) -> str:
    from grue.cli.message_words import itself

    picture = f", with a picture of {len(found.picture):,} bytes" if found.picture else ""
    if not found.name and not picture:
        return "No name and no picture: nobody is told any." if own else "They have not said what they call themselves."
    shown = f"{itself(found.name) or 'No name'}{picture}."
    return f"{shown} {SEEN}" if changed else shown


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as source:
            return source.read(MOST)
    except OSError:
        raise UsageError("There is no such file, or it cannot be read.") from None


def _write(file: Path, picture: bytes) -> None:
    if not picture:
        raise UsageError("There is no picture to save.")
    try:
        with file.open("xb") as target:
            target.write(picture)
    except OSError:
        raise UsageError("There is a file already, or none can be written there.") from None
