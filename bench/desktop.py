"""The window: until it shows the list, opens a chat of 10,000 messages, echoes a key and a message, and what it weighs.

A home with 10,000 messages, a real server, `grue desktop` as a process and Debian's Chromium without a screen.
`desktop_first_paint_s` is from the start of the process to the list on the screen, the browser's start included; what a
browser takes by itself to show an empty page from a file is beside it, measured in turn. A key's and a message's echo
are from the event to the task after the frame that shows it. `desktop_scroll_blank` counts frames in which more than
`GAP` pixels of the list show no message, while a gesture of `SPEED` pixels a second goes up to the first of all.
`desktop_jump_px` is how far the topmost message in view moved, at most, when older ones arrived above it or the window
changed its width. Memory is resident: of the process, and of the page's renderer by its share of shared pages.
"""

import asyncio
import gzip
import json
import os
import random
import statistics
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import aiohttp
import anyio
import uvloop

from bench import _window
from bench._window import FRAME, PAINTED, View, view
from bench.people import BOB, acquainted, processes
from grue.desktop.app import page
from tests.cli.browser import CHROMIUM

MESSAGES: Final = 10_000
STARTS: Final = 5
KEYS: Final = 60
SENDS: Final = 20
CASES: Final = 100
GAP: Final = 24
"""Pixels: more than the space between two messages with a day between them."""
SCREEN: Final = {"deviceScaleFactor": 1, "mobile": False}
SPEED: Final = 12_000
"""Pixels a second: a hard flick of a touchpad."""

Figure = dict[str, Any]


# --- starting ---------------------------------------------------------------------------------------


async def _shown_at(profile: Path, ready: str, when: str) -> float:
    """Seconds since the epoch at which a page showed what was waited for, by its own marks."""
    port = profile / "DevToolsActivePort"
    with anyio.fail_after(60):
        while not (port.exists() and port.read_text().count("\n")):  # noqa: ASYNC110 -- a browser tells nobody
            await anyio.sleep(0.01)
        where = f"http://127.0.0.1:{port.read_text().split()[0]}/json/list"
        async with aiohttp.ClientSession() as session:
            while True:
                async with session.get(where) as answer:
                    targets = [one for one in await answer.json() if one["type"] == "page"]
                for one in targets:
                    async with session.ws_connect(one["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                        asked = {"expression": f"({ready}) ? {when} : 0", "returnByValue": True}
                        await socket.send_json({"id": 1, "method": "Runtime.evaluate", "params": asked})
                        value = (await socket.receive_json())["result"]["result"].get("value")
                        if value:
                            await socket.send_json({"id": 2, "method": "Browser.close"})
                            await socket.receive()
                            return float(value) / 1e3
                await anyio.sleep(0.02)


async def _first_paint(home: Path, folder: Path) -> float:
    """Of the whole: process, browser, list."""
    environment = {"PATH": f"{folder}:{os.environ['PATH']}"}
    begun = time.time()
    process = await _window.served(home, env=environment)
    mark = "performance.getEntriesByName('chats')[0]"
    at = await _shown_at(home / "window", mark, f"performance.timeOrigin + {mark}.startTime")
    await _window.ended(process)
    return at - begun


async def _browser_alone(folder: Path, profile: Path) -> float:
    empty = profile.with_suffix(".html")
    empty.write_text("<!doctype html><title>Grue</title><p>Grue")
    paint = "performance.getEntriesByType('paint')[0]"
    begun = time.time()
    process = await asyncio.create_subprocess_exec(
        str(folder / "chromium"), f"--app={empty.as_uri()}", f"--user-data-dir={profile}", "--no-first-run",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    at = await _shown_at(profile, paint, f"performance.timeOrigin + {paint}.startTime")
    await process.wait()
    return at - begun


async def _starts(home: Path) -> tuple[list[float], list[float]]:
    folder = _window.browser_in(home.parent / "bin")
    whole, alone = [], []
    for n in range(STARTS + 1):
        took = await _first_paint(home, folder), await _browser_alone(folder, home.parent / "alone")
        for profile in (home / "window", home.parent / "alone"):
            (profile / "DevToolsActivePort").unlink(missing_ok=True)
        if n:  # The first start makes a profile.
            whole.append(took[0])
            alone.append(took[1])
    return whole, alone


# --- in the window ------------------------------------------------------------------------------------


async def _opening(seen: View) -> list[float]:
    took = []
    for _ in range(STARTS * 2):
        took.append(
            await seen.run(
                "const begun = performance.now(); document.querySelector('.chat').click();"
                f"while (!document.querySelector('article')) {{ {FRAME} }} {PAINTED}; return performance.now() - begun"
            )
        )
        await seen.key("Escape", 27)
        await seen.until("document.querySelector('article') === null")
    return took


_TIMER: Final = (
    "window.took = []; addEventListener('keydown', async event => { const begun = event.timeStamp;"
    f"{PAINTED}; window.took.push(performance.now() - begun) }}, true)"
)


async def _keys(seen: View) -> list[float]:
    await seen.run(_TIMER)
    await seen.tab.value("document.querySelector('#write').focus()")
    for n in range(KEYS):
        letter = "abcdefghij"[n % 10]
        await seen.key(letter, ord(letter.upper()), letter)
        await anyio.sleep(0.05)
    took = await seen.run("return window.took")
    assert len(await seen.tab.value("document.querySelector('#write').value")) == KEYS
    await seen.run(
        "const field = document.querySelector('#write'); field.value = '';"
        "field.dispatchEvent(new Event('input', {bubbles: true}))"
    )
    return list(took)


async def _sends(seen: View) -> list[float]:
    await seen.run(
        "window.shown = []; addEventListener('keydown', async event => { if (event.key !== 'Enter') return;"
        "const begun = event.timeStamp, said = document.querySelector('#write').value;"
        "while (![...document.querySelectorAll('.bubble.own')].some(one => one.textContent.includes(said)))"
        f"{{ {FRAME} }} {PAINTED}; window.shown.push(performance.now() - begun) }}, true)"
    )
    for n in range(SENDS):
        await seen.tab.value("document.querySelector('#write').focus()")
        await seen.tab.call("Input.insertText", text=f"echo number {n}.")
        await seen.key("Enter", 13, "\r")
        await seen.until(f"window.shown.length === {n + 1}")
        await anyio.sleep(0.1)
    return list(await seen.run("return window.shown"))


async def _memory(seen: View) -> tuple[float, float]:
    """MB of Python's process, and of the largest renderer."""
    own = _kib(seen.process.pid, "status", "VmRSS:") / 1024
    renderers = [0.0]
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = (folder / "cmdline").read_bytes()
            if b"--type=renderer" in line and b"--extension-process" not in line:
                renderers.append(_kib(int(folder.name), "smaps_rollup", "Pss:") / 1024)
    return own, max(renderers)


def _kib(pid: int, name: str, field: str) -> int:
    lines = Path(f"/proc/{pid}/{name}").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


async def _scrolls(seen: View) -> tuple[int, int, float]:
    """Frames with a gap, all frames, and the tallest gap, from the last message up to the first."""
    await seen.run(
        "window.frames_seen = 0; window.blank = 0; window.hole = 0; window.watching = true;"
        "const list = document.querySelector('.messages'); const look = () => {"
        "const view = list.getBoundingClientRect(); let down = view.top, hole = 0;"
        "const boxes = [...list.querySelectorAll('article')].map(row => row.getBoundingClientRect());"
        "for (const box of boxes.sort((a, b) => a.top - b.top)) {"
        "if (box.bottom < view.top || box.top > view.bottom) continue;"
        "hole = Math.max(hole, box.top - down); down = box.bottom } hole = Math.max(hole, view.bottom - down);"
        f"window.frames_seen++; if (hole > {GAP}) window.blank++;"
        "window.hole = Math.max(window.hole, hole);"
        "if (window.watching) requestAnimationFrame(look) }; requestAnimationFrame(look)"
    )
    box = await seen.run(
        "const box = document.querySelector('.messages').getBoundingClientRect();"
        "return [box.x + box.width / 2, box.y + box.height / 2]"
    )
    with anyio.fail_after(600):
        while await seen.tab.value(
            'document.querySelector(\'article:not([aria-setsize="-1"])[aria-posinset="1"]\') === null'
        ):
            await seen.tab.call(
                "Input.synthesizeScrollGesture",
                x=box[0],
                y=box[1],
                yDistance=20_000,
                speed=SPEED,
                gestureSourceType="mouse",
                preventFling=True,
            )
    blank, frames, hole = await seen.run(
        "window.watching = false; return [window.blank, window.frames_seen, window.hole]"
    )
    return int(blank), int(frames), float(hole)


_TOP: Final = (
    "const list = document.querySelector('.messages');"
    "const top = () => list.getBoundingClientRect().top;"
    "const all = () => [...list.querySelectorAll('article')];"
    "const first = () => all().find(one => one.getBoundingClientRect().bottom > top() + 1);"
    "const named = name => all().find(one => one.ariaLabel === name);"
    f"const scroll = async to => {{ list.scrollTop = to; do {{ {FRAME} }} while (!first()); }};"
    "const at = one => one ? one.getBoundingClientRect().top - top() : null;"
)


async def _jumps(seen: View) -> list[float]:
    """How far the topmost message moved in each case, half of them when older ones came, half in another width."""
    chosen, width = random.Random(1), 1180
    moved: list[float] = []
    settled = "await new Promise(done => setTimeout(done, 200));"
    older = (
        f"{settled} const size = list.scrollHeight; list.scrollTop -= 300; {FRAME};"
        "const name = first().ariaLabel, before = at(first());"
        f"for (let n = 0; n < 30 && list.scrollHeight === size; n++) {{ {FRAME} }}"
        f"if (list.scrollHeight === size) return -1; {settled} return Math.abs(at(named(name)) - before)"
    )
    while len(moved) < CASES // 2:
        case = float(await seen.run(f"{_TOP} await scroll({chosen.randrange(4050, 4250)}); {older}"))
        # Below zero: the rows found their heights, nobody was near the start any more, and nothing was fetched.
        moved += [case] if case >= 0 else []
    for _ in range(CASES // 2):
        there = f"{chosen.random()} * (list.scrollHeight - list.clientHeight - 900) + 450"
        script = f"{_TOP} await scroll({there}); {settled} return [first().ariaLabel, at(first())]"
        label, before = await seen.run(script)
        width = chosen.choice([one for one in range(500, 1180, 20) if one != width])
        await seen.tab.call("Emulation.setDeviceMetricsOverride", width=width, height=780, **SCREEN)
        after = await seen.run(f"{_TOP} {settled} return at(named({json.dumps(label)}))")
        # A message that is nowhere in the list has gone far.
        moved.append(abs(after - before) if after is not None else 1e6)
    return moved


# --- all --------------------------------------------------------------------------------------------


async def _measured() -> list[Figure]:
    async with processes() as world:
        alice, _ = await acquainted(world)
        await _window.filled(alice, BOB, MESSAGES)
        home = world.path / alice.number
        await alice.close()
        whole, alone = await _starts(home)
        async with view(home) as seen:
            opening = await _opening(seen)
            await seen.open_chat()
            keys, sends = await _keys(seen), await _sends(seen)
            memory = await _memory(seen)
            moved = await _jumps(seen)
        (world.path / f"{home.name} profile" / "DevToolsActivePort").unlink()
        async with view(home) as seen:
            await seen.open_chat()
            blank, frames, hole = await _scrolls(seen)
    first, own = statistics.median(whole), statistics.median(alone)
    shipped = sum(len(gzip.compress(path.read_bytes(), 9)) for path in page().rglob("*.js"))
    times = {"open_chat": (opening, 200), "key_echo": (keys, 30), "send_echo": (sends, 60)}
    figures: list[Figure] = [
        {
            "id": f"desktop_{name}_ms",
            "value": round(statistics.median(took), 1),
            "unit": "ms",
            "reach": reach,
            "peers": {"slowest": round(max(took), 1)},
        }
        for name, (took, reach) in times.items()
    ]
    above = {"whole": round(first, 2), "browser alone": round(own, 2)}
    wide = {"cases above 1": sum(one > 1 for one in moved)}
    for name, value, unit, reach, peers in (
        ("first_paint_s", round(first - own, 2), "s above the browser's own", 1.0, above),
        ("scroll_blank", blank, f"of {frames:,} frames", 0, {"tallest gap, pixels": round(hole, 1)}),
        ("jump_px", round(max(moved), 1), f"pixels, the worst of {CASES} cases", 0, wide),
        ("script_kb", round(shipped / 1e3, 1), "kB, gzip", 150, {}),
        ("rss_mb", round(memory[0], 1), "MiB", 130, {}),
        ("renderer_mb", round(memory[1], 1), "MiB", 110, {}),
    ):
        figures.append({"id": f"desktop_{name}", "value": value, "unit": unit, "reach": reach, "peers": peers})
    return figures


def measure() -> list[Figure]:
    """Medians, but for what is the worst of many. Needs Chromium, and the built page."""
    if CHROMIUM is None:
        raise RuntimeError("no browser is installed here: apt-get install chromium")
    return uvloop.run(_measured())
