"""A window before a browser without a screen, for benches: a home with a past, `grue desktop`, and what it shows."""

import asyncio
import json
import os
import shlex
import shutil
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio

from grue.client import chats
from grue.client.client import Client
from grue.client.conversations import tables
from grue.client.store.engine import Db
from grue.protocol.conversation.delivery import MessageState
from grue.protocol.conversation.fallback import Route
from grue.testing.world import PASSPHRASE
from tests.cli.browser import CHROMIUM, Tab, tab

WORDS: Final = [
    "the",
    "train",
    "leaves",
    "at",
    "nine",
    "from",
    "the",
    "other",
    "platform",
    "and",
    "nobody",
    "has",
    "told",
    "the",
    "guide",
    "who",
    "waits",
    "in",
    "the",
    "rain",
]

FRAME: Final = "await new Promise(done => requestAnimationFrame(done))"
PAINTED: Final = (
    f"{FRAME}; await new Promise(done => {{ const c = new MessageChannel(); c.port1.onmessage = done;"
    "c.port2.postMessage(0) })"
)
"""A task after a frame's callbacks: the frame has been drawn by then."""


def text(n: int) -> str:
    """Between one word and sixty, the same in each run."""
    return f"{n}: " + " ".join(WORDS[(n * 7 + k) % len(WORDS)] for k in range(1 + n * 37 % 60))


def fill(db: Db, number: str, count: int, now_ms: int) -> None:
    """Put so many messages of the past, a minute apart and read, into the chat with a number."""
    chat = chats.of_number(db, number)
    assert chat is not None
    for n in range(count):
        sent, id = now_ms - (count - n) * 60_000, b"bench" + n.to_bytes(11, "big")
        if n % 3:
            tables.add_incoming(db, chat.id, b"\x01" * 32, id, text(n), Route.ENCRYPTED, sent)
        else:
            tables.add_own(db, chat.id, b"\x02" * 32, id, text(n), Route.ENCRYPTED, sent, MessageState.DELIVERED)
    db.execute("UPDATE message SET shown = 1")


async def filled(client: Client, number: str, count: int) -> None:
    await client.context.store.transact(fill, number, count, client.context.now_ms)


@dataclass
class View:
    """A window that is open, and the process behind it."""

    tab: Tab
    process: Process

    async def run(self, script: str) -> Any:
        """The value of a script, which may await."""
        asked = {"expression": f"(async () => {{ {script} }})()", "awaitPromise": True, "returnByValue": True}
        result = await self.tab.call("Runtime.evaluate", **asked)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, expression: str) -> None:
        with anyio.fail_after(60):
            while not await self.tab.value(expression):  # noqa: ASYNC110 -- a page tells nobody
                await anyio.sleep(0.01)

    async def open_chat(self) -> None:
        await self.tab.value("document.querySelector('.chat').click()")
        await self.until("document.querySelector('article') !== null")
        await anyio.sleep(0.5)

    async def key(self, key: str, code: int, text: str = "") -> None:
        for kind in ("keyDown", "keyUp"):
            await self.tab.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                windowsVirtualKeyCode=code,
                **({"text": text} if text else {}),
            )


async def served(home: Path, *options: str, env: dict[str, str] | None = None) -> Process:
    """`grue desktop` of a home."""
    command = [sys.executable, "-m", "grue", "--json", "--home", str(home), "desktop", *options]
    return await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, env={**os.environ, "GRUE_PASSPHRASE": PASSPHRASE, **(env or {})}
    )


async def told(process: Process) -> dict[str, str]:
    assert process.stdout is not None
    line = await process.stdout.readline()
    return dict(json.loads(line))


async def ended(process: Process) -> None:
    process.terminate()
    assert await process.wait() == 0


@asynccontextmanager
async def view(home: Path, *options: str) -> AsyncIterator[View]:
    """The window of a home, its list shown. `options` are the browser's."""
    process = await served(home, "--no-open")
    try:
        ready = await told(process)
        async with tab(home.parent / f"{home.name} profile", "--window-size=1180,780", "--lang=en", *options) as opened:
            for domain in ("Page", "Network", "Log", "Runtime"):
                await opened.call(f"{domain}.enable")
            await opened.call("Emulation.setFocusEmulationEnabled", enabled=True)
            await opened.call("Page.navigate", url=f"{ready['url']}#{ready['once']}")
            seen = View(opened, process)
            await seen.until("document.querySelector('.chat') !== null")
            yield seen
    finally:
        await ended(process)


def browser_in(folder: Path) -> Path:
    """A folder with a `chromium` that opens no screen and lets a bench look in; for PATH."""
    assert CHROMIUM is not None
    folder.mkdir()
    program = folder / "chromium"
    options = (
        "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --remote-debugging-port=0 --window-size=1180,780"
    )
    program.write_text(
        f'#!/bin/sh\necho $$ >{shlex.quote(str(folder))}/pid\nexec {shutil.which(CHROMIUM)} {options} "$@"\n'
    )
    program.chmod(0o755)
    return folder
