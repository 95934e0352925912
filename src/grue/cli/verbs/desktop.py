"""`desktop`: open the window."""

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from grue.cli.opening import entered, home_of
from grue.cli.parameters import FLAG, Injected
from grue.cli.shell import Shell
from grue.cli.signals import stop_on_sigterm
from grue.errors import UsageError

if TYPE_CHECKING:
    from grue.desktop.run import Running


async def desktop(
    *,
    listen: Annotated[
        str, Parameter(help="127.0.0.1:PORT instead of this home's own port; port 0 is any free one.")
    ] = "",
    no_open: Annotated[
        bool,
        FLAG,
        Parameter(name="--no-open", help="Open nothing; print a one-use key, and one more for each line of stdin."),
    ] = False,
    shell: Injected,
) -> None:
    """Open the window: chats, groups and what others could see of them. Every key stays in this process.

    Runs until Ctrl-C. The window is a page that this process serves on loopback to your own browser, and nobody else.
    """
    from grue.client.store.home import is_home
    from grue.desktop.run import own_port, running
    from grue.desktop.window import Window

    stop_on_sigterm(and_sigint=True)
    home = home_of(shell)
    client = await entered(home, exists=is_home(home))
    try:
        port = own_port(home) if not listen else _port(listen)
        async with running(client, port) as window:
            fields = {"listening": window.host, "url": window.url} | (
                {"once": window.secrets.once()} if no_open else {}
            )
            shell.result(fields, lambda: f"The window is at {window.url} until you press Ctrl-C.")
            if no_open:
                await _keys(shell, window)
            elif not Window(home, window.host).open(window.secrets.once()):
                shell.note(
                    "It is in a tab of your browser: extensions can read it. With Chromium it has a window of its own."
                )
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        pass
    finally:
        await client.close()


def _port(listen: str) -> int:
    host, _, port = listen.rpartition(":")
    if host != "127.0.0.1" or not port.isdecimal() or int(port) > 65_535:
        raise UsageError("The window is for this machine alone: --listen takes 127.0.0.1:PORT.")
    return int(port)


async def _keys(shell: Shell, window: "Running") -> None:
    """One more key for each line, until stdin ends."""
    reader = asyncio.StreamReader()
    with suppress(ValueError):
        # Of a file that is no stream there are no lines to wait for.
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while await reader.readline():
            once = window.secrets.once()
            shell.result({"once": once}, once)
