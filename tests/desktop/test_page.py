"""The window in a real browser, with a real server, carrier and process behind it."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest

from grue.desktop.app import NoPage, page
from tests.cli.browser import Tab, needs_browser, tab
from tests.cli.play import PASSPHRASE, Stage
from tests.cli.transcript import Outcome

ALICE, BOB, CAROL, NOBODY = "+447700900111", "+447700900222", "+447700900333", "+447700900999"
NASTY = "<img src=x onerror=alert(1)>\u202egnp.exe http://example.org@evil.test/ http://example.org/a"


def _is_built() -> bool:
    try:
        page()
    except NoPage:
        return False
    return True


built = pytest.mark.skipif(not _is_built(), reason="the page is not built here: make setup")
pytestmark = [pytest.mark.whole, pytest.mark.timeout(150), needs_browser, built]


async def grue(stage: Stage, *arguments: str) -> Outcome:
    """A verb of somebody else's. In a thread: it has a loop of its own."""
    outcome = await asyncio.to_thread(stage.grue, *arguments)
    assert outcome.code == 0, outcome
    return outcome


async def registered(stage: Stage, home: str, number: str) -> None:
    await grue(stage, "--home", home, "register", number, "--server", stage.url)
    await grue(stage, "--home", home, "verify", await asyncio.to_thread(stage.code, number))


class Person:
    """Somebody before a window: looks for things, clicks and types."""

    def __init__(self, tab: Tab) -> None:
        self.tab = tab

    async def sees(self, selector: str, text: str = "") -> None:
        has = f"e.textContent.includes({json.dumps(text)}) || e.ariaLabel?.includes({json.dumps(text)})"
        await self.until(f"[...document.querySelectorAll({json.dumps(selector)})].some(e => {has})", selector, text)

    async def until(self, expression: str, *looked_for: str) -> None:
        with anyio.move_on_after(30):
            while not await self.tab.value(expression):  # noqa: ASYNC110 -- a page tells nobody
                await anyio.sleep(0.05)
            return
        raise AssertionError((*looked_for, await self.tab.value("document.body.innerText"), self.tab.complaints))

    async def clicks(self, selector: str, text: str = "") -> None:
        await self.sees(selector, text)
        has = f"e.textContent.includes({json.dumps(text)}) || e.ariaLabel?.includes({json.dumps(text)})"
        await self.tab.value(f"[...document.querySelectorAll({json.dumps(selector)})].find(e => {has}).click()")

    async def types(self, selector: str, text: str) -> None:
        await self.sees(selector)
        await self.tab.value(f"document.querySelector({json.dumps(selector)}).focus()")
        await self.tab.call("Input.insertText", text=text)

    async def presses(self, key: str, *, code: int, modifiers: int = 0) -> None:
        for kind in ("keyDown", "keyUp"):
            await self.tab.call(
                "Input.dispatchKeyEvent", type=kind, key=key, modifiers=modifiers, windowsVirtualKeyCode=code
            )

    async def enters(self) -> None:
        await self.presses("Enter", code=13)

    async def pictures(self, path: Path) -> None:
        taken = await self.tab.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(taken["data"]))


@asynccontextmanager
async def before_a_window(stage: Stage, home: str, *options: str) -> AsyncIterator[Person]:
    command = [sys.executable, "-m", "grue", "--json", "--home", str(stage.path / home), "desktop", "--no-open"]
    start = partial(subprocess.Popen, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process = start(command, env={**os.environ, "GRUE_PASSPHRASE": PASSPHRASE})
    try:
        assert process.stdout is not None
        ready = json.loads(await asyncio.to_thread(process.stdout.readline))
        async with tab(stage.path / f"{home} profile", "--window-size=1180,780", "--lang=en", *options) as opened:
            for domain in ("Page", "Network", "Log", "Runtime"):
                await opened.call(f"{domain}.enable")
            await opened.call("Emulation.setFocusEmulationEnabled", enabled=True)
            await opened.call("Page.navigate", url=f"{ready['url']}#{ready['once']}")
            yield Person(opened)
            assert opened.complaints == []
            assert {url.split("/")[2] for url in opened.asked} == {ready["listening"]}
    finally:
        process.terminate()
        assert await asyncio.to_thread(process.wait, 20) == 0
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            stream.close()


async def test_somebody_registers_writes_blue_and_is_answered(stage: Stage) -> None:
    await registered(stage, "bob", BOB)
    async with before_a_window(stage, "alice") as alice:
        await alice.types("input[type=tel]", "+44 7700 900111")
        await alice.types("input[type=url]", stage.url)
        await alice.clicks("button", "Send me the code")
        await alice.types("input[inputmode=numeric]", await asyncio.to_thread(stage.code, ALICE))
        await alice.clicks("button", "Finish")
        await alice.sees(".none")
        await alice.presses("n", code=78, modifiers=2)
        await alice.types("#number", "+447700900222")
        await alice.enters()
        await alice.sees(".route.encrypted", "Encrypted")
        await alice.types("#write", "Hello Bob")
        await alice.enters()
        await alice.sees(".bubble.own.encrypted", "Hello Bob")
        assert "Hello Bob" in "".join((await grue(stage, "--home", "bob", "receive")).stdout)
        await grue(stage, "--home", "bob", "send", ALICE, "Hello Alice")
        await alice.sees(".bubble:not(.own)", "Hello Alice")
        await alice.sees(".state[title=Delivered]")


async def test_an_sms_looks_otherwise_and_is_sent_after_consent_alone(stage: Stage) -> None:
    await registered(stage, "alice", ALICE)
    async with before_a_window(stage, "alice") as alice:
        await alice.clicks("button", "New message")
        await alice.types("#number", NOBODY)
        await alice.enters()
        await alice.sees(".route.sms", "SMS")
        await alice.types("#write", "Are you on Grue?")
        await alice.enters()
        await alice.sees("dialog[open]", "Example Mobile")
        stage.carrier_did_not_see("Are you on Grue?")
        await alice.clicks("dialog[open] button", "Send as SMS")
        await alice.sees(".bubble.own.sms", "Are you on Grue?")
        await asyncio.to_thread(stage.carrier_saw, ALICE, NOBODY, "Are you on Grue?")
        await alice.sees(".composer.sms")


async def test_a_stranger_is_a_request_until_accepted(stage: Stage) -> None:
    await registered(stage, "alice", ALICE)
    await registered(stage, "carol", CAROL)
    await grue(stage, "--home", "carol", "send", ALICE, "From the choir")
    async with before_a_window(stage, "alice") as alice:
        await alice.sees(".unread", "1")
        await alice.clicks(".chat", "From the choir")
        await alice.sees(".request", "wants to write to you")
        await alice.clicks(".request button", "Accept")
        await alice.sees(".thread:not(:has(.request))")
        await alice.sees(".list:not(:has(.unread))")


async def test_what_others_write_is_shown_as_text(stage: Stage) -> None:
    await registered(stage, "alice", ALICE)
    await registered(stage, "bob", BOB)
    await grue(stage, "--home", "bob", "send", ALICE, NASTY)
    async with before_a_window(stage, "alice") as alice:
        await alice.clicks(".chat", "img")
        await alice.sees(".bubble", "<img src=x")
        links = await alice.tab.value("[...document.querySelectorAll('.text a')].map(a => a.href).join(' ')")
        assert links == "http://example.org/a"
        assert await alice.tab.value("document.querySelectorAll('.bubble img').length") == 0


async def test_desktop_06_a_script_that_is_not_ours_is_refused(stage: Stage) -> None:
    await registered(stage, "alice", ALICE)
    async with before_a_window(stage, "alice") as alice:
        await alice.sees(".none")
        put_in = "document.body.innerHTML = '<b>x</b>'; 'done'"
        assert await alice.tab.value(f"try {{ {put_in} }} catch (e) {{ e.name }}") == "TypeError"
        assert any("TrustedHTML" in one for one in alice.tab.complaints)
        alice.tab.complaints.clear()


async def test_a_server_that_is_away_is_said_and_what_was_written_goes_later(stage: Stage) -> None:
    await registered(stage, "alice", ALICE)
    await registered(stage, "bob", BOB)
    await grue(stage, "--home", "alice", "send", BOB, "hello")
    await grue(stage, "--home", "bob", "receive")
    await grue(stage, "--home", "bob", "send", ALICE, "hello yourself")
    async with before_a_window(stage, "alice") as alice:
        await alice.clicks(".chat", "hello yourself")
        await asyncio.to_thread(stage.stop_server)
        await alice.sees(".banner", "No connection")
        await alice.types("#write", "written meanwhile")
        await alice.enters()
        await alice.sees(".state[title^=Waiting]")
        await asyncio.to_thread(stage.start_server)
        await alice.sees(".state[title^=Sent]")
        await alice.sees(".thread")
        await alice.tab.value("new Promise(r => setTimeout(r, 100))")
        assert "written meanwhile" in "".join((await grue(stage, "--home", "bob", "receive")).stdout)


@pytest.mark.parametrize(
    ("language", "width", "direction"), [("de", 1180, "ltr"), ("ar", 1180, "rtl"), ("en", 380, "ltr")]
)
async def test_it_is_there_in_other_languages_directions_and_widths(
    stage: Stage, language: str, width: int, direction: str
) -> None:
    await registered(stage, "alice", ALICE)
    await grue(stage, "--home", "alice", "send", "me", "a note")
    async with before_a_window(stage, "alice", f"--lang={language}", f"--accept-lang={language}") as alice:
        await alice.tab.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=720, deviceScaleFactor=1, mobile=False
        )
        await alice.clicks(".chat", "a note")
        await alice.sees(".bubble", "a note")
        assert await alice.tab.value("document.documentElement.dir") == direction
        assert await alice.tab.value("document.documentElement.scrollWidth") == width
        shown = await alice.tab.value("getComputedStyle(document.querySelector('.list')).display")
        assert (shown == "none") == (width < 700)


def test_a_home_without_an_installed_page_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nowhere:
        @staticmethod
        def files(_: str) -> Path:
            return Path("/nowhere")

    monkeypatch.setattr("grue.desktop.app.resources", Nowhere)
    with pytest.raises(NoPage, match="no window"):
        page()
