"""`desktop`: open the window."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from grue.cli.opening import entered, home_of
from grue.cli.parameters import FLAG, Injected
from grue.cli.shell import Shell
from grue.cli.signals import stop_on_sigterm
from grue.errors import NoPassphrase, UsageError

if TYPE_CHECKING:
    from grue.desktop.secrets import Secrets


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
    # These are light; what takes its time is imported while the browser starts.
    from grue.client.store.home import is_home
    from grue.desktop.port import address, listening, own_port
    from grue.desktop.secrets import Secrets
    from grue.desktop.window import Window

    stop_on_sigterm(and_sigint=True)
    home, secrets = home_of(shell), Secrets()
    async with AsyncExitStack() as stack:
        early = _opens(home)
        if not early:
            client = await entered(home, exists=is_home(home))
            stack.push_async_callback(client.close)
        sock = stack.enter_context(listening(own_port(home) if not listen else _port(listen)))
        window = Window(home, address(sock))
        with _closing(window.open(secrets.once()) if early and not no_open else None) as browser:
            if early:
                client = await entered(home, exists=True)
                stack.push_async_callback(client.close)
            from grue.desktop.run import running

            await stack.enter_async_context(running(client, sock, secrets))
        url = f"http://{window.host}/"
        fields = {"listening": window.host, "url": url} | ({"once": secrets.once()} if no_open else {})
        shell.result(fields, lambda: f"The window is at {url} until you press Ctrl-C.")
        if not no_open and browser is None and window.open(secrets.once()) is None:
            window.open_tab(secrets.once())
            shell.note(
                "It is in a tab of your browser: extensions can read it. With Chromium it has a window of its own."
            )
        with suppress(asyncio.CancelledError):
            if no_open:
                await _keys(shell, secrets)
            await asyncio.Event().wait()


def _opens(home: Path) -> bool:
    """Whether the home is there and opens without a question, so that a window may be opened before it is."""
    from grue.client.store.home import is_home, unlock

    try:
        return is_home(home) and bool(unlock(home))
    except NoPassphrase:
        return False


@contextmanager
def _closing(browser: Popen[bytes] | None) -> Iterator[Popen[bytes] | None]:
    """Close a window whose home cannot be opened."""
    try:
        yield browser
    except BaseException:
        if browser is not None:
            browser.terminate()
        raise


def _port(listen: str) -> int:
    host, _, port = listen.rpartition(":")
    if host != "127.0.0.1" or not port.isdecimal() or int(port) > 65_535:
        raise UsageError("The window is for this machine alone: --listen takes 127.0.0.1:PORT.")
    return int(port)


async def _keys(shell: Shell, secrets: "Secrets") -> None:
    """One more key for each line, until stdin ends."""
    reader = asyncio.StreamReader()
    with suppress(ValueError):
        # Of a file that is no stream there are no lines to wait for.
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while await reader.readline():
            once = secrets.once()
            shell.result({"once": once}, once)
