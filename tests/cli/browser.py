"""A real browser without a window, driven by its own protocol: what a page does there, and what it asks for."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import anyio
import pytest

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE: Final = 60
"""Seconds for it to start, on a machine that is busy."""

needs_browser: Final = pytest.mark.skipif(
    CHROMIUM is None, reason="no browser is installed here: apt-get install chromium"
)


class Tab:
    """One page, opened."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._last = 0
        self.asked: list[str] = []
        """URLs that were asked for."""
        self.complaints: list[str] = []
        """What the browser logged: errors of scripts, and what the policy kept out."""

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._last += 1
        await self._socket.send_json({"id": self._last, "method": method, "params": parameters})
        while True:
            told: dict[str, Any] = await self._socket.receive_json(timeout=PATIENCE)
            if told.get("id") == self._last:
                assert "error" not in told, told
                return dict(told["result"])
            self._note(told)

    async def open(self, page: Path) -> None:
        for domain in ("Page", "Network", "Log", "Runtime"):
            await self.call(f"{domain}.enable")
        await self.call("Page.navigate", url=page.as_uri())
        # The page tells nobody when it is done but who asks.
        while await self.value("document.readyState + location.protocol") != "completefile:":  # noqa: ASYNC110
            await anyio.sleep(0.05)

    async def value(self, expression: str) -> Any:
        result = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def _note(self, told: dict[str, Any]) -> None:
        match told.get("method"):
            case "Network.requestWillBeSent":
                self.asked.append(told["params"]["request"]["url"])
            case "Log.entryAdded":
                self.complaints.append(told["params"]["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(told["params"]["exceptionDetails"]))


@contextlib.asynccontextmanager
async def tab(folder: Path, *options: str) -> AsyncIterator[Tab]:
    """A browser with a profile in a folder."""
    assert CHROMIUM is not None
    port = folder / "DevToolsActivePort"
    # Of a browser that had this profile before.
    port.unlink(missing_ok=True)
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--no-first-run"]
    command += [f"--user-data-dir={folder}", "--disable-dev-shm-usage", *options, "about:blank"]
    environment = {**os.environ, "HOME": str(folder)}
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet, env=environment)  # noqa: ASYNC220 -- it is started at once
    try:
        until = time.monotonic() + PATIENCE
        while not (port.exists() and port.read_text().count("\n")):
            assert process.poll() is None, "the browser ended"
            assert time.monotonic() < until, "the browser did not start"
            await anyio.sleep(0.05)
        where = f"http://127.0.0.1:{port.read_text().split()[0]}/json/list"
        async with aiohttp.ClientSession() as session:
            async with session.get(where) as answer:
                targets = [one for one in await answer.json() if one["type"] == "page"]
            async with session.ws_connect(targets[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Tab(socket)
    finally:
        process.terminate()
        process.wait(PATIENCE)
