"""A command line is run from what was typed to an exit code: global options, the verb, and every way to end."""

import asyncio
import errno
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from grue.cli.shell import Shell
from grue.errors import DiskFull, GrueError, UsageError

if TYPE_CHECKING:
    from cyclopts import CycloptsError

INTERRUPTED: Final = 130
"""128 + SIGINT, as shells have it."""
TERMINATED: Final = 143
"""128 + SIGTERM."""
BROKEN_PIPE: Final = 141
"""128 + SIGPIPE: whoever was reading has gone."""

DEBUG_VARIABLE: Final = "GRUE_DEBUG"

_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_OF_THE_USER: Final = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
)
"""What a path can be that somebody gave."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns its exit code. Nothing but an exit code comes out of it."""
    shell = Shell(as_json="--json" in arguments)
    try:
        shell = _shell(arguments)
        return _dispatch(shell)
    except GrueError as error:
        return shell.fail(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Python would complain once more when it flushes what is left at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 -- a person sees a message, never a trace
        return shell.fail(_unexpected(error))


def _shell(arguments: Sequence[str]) -> Shell:
    """Take `--home DIR` and `--json` out, wherever they stand before a `--`."""
    rest: list[str] = []
    home, as_json = None, False
    words = iter(arguments)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word == "--json":
            as_json = True
        elif word == "--home":
            home = next(words, "")
        elif word.startswith("--home="):
            home = word.removeprefix("--home=")
        else:
            rest.append(word)
    if home == "":
        raise UsageError("--home takes a directory.")
    return Shell(home=Path(home).expanduser() if home else None, as_json=as_json, arguments=tuple(rest))


def _dispatch(shell: Shell) -> int:
    if shell.arguments in (("--version",), ("-V",)):
        from grue import __version__

        shell.result({"version": __version__}, f"grue {__version__}")
        return 0
    from cyclopts import CycloptsError

    from grue.cli.verbs import VERBS, app

    shell.verb = next((word for word in shell.arguments[:1] if word in VERBS), "")
    try:
        verb, bound, injected = app.parse_args(list(shell.arguments), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise _usage(error) from None
    extra = {"shell": shell} if "shell" in injected else {}
    code = verb(*bound.args, **bound.kwargs, **extra)
    if asyncio.iscoroutine(code):
        try:
            code = asyncio.run(code)
        except asyncio.CancelledError:
            return TERMINATED
    return code if isinstance(code, int) else 0


def _usage(error: "CycloptsError") -> UsageError:
    from cyclopts.exceptions import UnusedCliTokensError

    if isinstance(error, UnusedCliTokensError):
        # Its own words repeat what was typed, which may be part of a message.
        return UsageError("There are too many arguments; a text of several words goes in quotes.")
    said, _, _ = str(error).partition(" Available commands")
    return UsageError(" ".join(said.split()))


def _unexpected(error: Exception) -> GrueError:
    """A fault of ours, by type and place: its own text may hold what somebody wrote."""
    if os.environ.get(DEBUG_VARIABLE) == "1":
        traceback.print_tb(error.__traceback__)
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return DiskFull()
    if isinstance(error, OSError) and error.errno in _OF_THE_USER:
        return UsageError(f"The system says: {os.strerror(error.errno)}.")
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else "?"
    return GrueError(f"({type(error).__name__} at {place})")
