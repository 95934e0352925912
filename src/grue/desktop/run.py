"""Serve the window of one home until it is stopped."""

import secrets as random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from grue.client.client import Client
from grue.desktop.app import application, page
from grue.desktop.secrets import Secrets
from grue.errors import UsageError

LOOPBACK: Final = "127.0.0.1"
PORTS: Final = range(20_000, 30_000)
"""What a home's own port is chosen from, once: below those that the system gives out."""
PORT_FILE: Final = "window.port"
"""In the home. It says nothing but that there was a window."""


class PortTaken(UsageError):
    """Nothing is opened elsewhere instead: the browser's permissions and the launcher are for this port."""

    code = "port_taken"
    message = "Another program listens at the port of this home's window."
    fix = "If that is not another `grue desktop` of this home, give another: `grue desktop --listen 127.0.0.1:PORT`."


@dataclass(frozen=True)
class Running:
    """A window's process, ready to be opened."""

    host: str
    secrets: Secrets

    @property
    def url(self) -> str:
        return f"http://{self.host}/"


def own_port(home: Path) -> int:
    """The port that this home's windows have, chosen at the first time."""
    path = home / PORT_FILE
    with suppress(FileNotFoundError, ValueError):
        return int(path.read_text())
    port = random.choice(PORTS)
    path.write_text(f"{port}\n")
    return port


@asynccontextmanager
async def running(client: Client, port: int) -> AsyncIterator[Running]:
    """Listen on loopback while entered. Raises PortTaken, NoPage."""
    folder = page()
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((LOOPBACK, port))
        except OSError:
            raise PortTaken from None
        host = f"{LOOPBACK}:{listening.getsockname()[1]}"
        secrets = Secrets()
        runner = web.AppRunner(
            application(client, secrets, folder, host), access_log=None, shutdown_timeout=1, auto_decompress=False
        )
        await runner.setup()
        try:
            await web.SockSite(runner, listening).start()
            yield Running(host, secrets)
        finally:
            await runner.cleanup()
