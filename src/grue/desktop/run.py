"""Serve the window of one home until it is stopped."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from grue.client.client import Client
from grue.desktop.app import application, page
from grue.desktop.port import address
from grue.desktop.secrets import Secrets


@asynccontextmanager
async def running(client: Client, sock: socket.socket, secrets: Secrets) -> AsyncIterator[None]:
    """Serve who connects to a listening socket while entered. Raises NoPage."""
    runner = web.AppRunner(
        application(client, secrets, page(), address(sock)), access_log=None, shutdown_timeout=1, auto_decompress=False
    )
    await runner.setup()
    try:
        await web.SockSite(runner, sock).start()
        yield
    finally:
        await runner.cleanup()
