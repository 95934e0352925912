"""The list of chats and the search field in a real browser: what is pinned, archived, drafted and found."""

import json
from pathlib import Path

import anyio
import pytest

from grue.client.client import Client
from tests.cli.browser import needs_browser
from tests.cli.play import PASSPHRASE, Stage
from tests.desktop.test_page import ALICE, BOB, CAROL, NOBODY, before_a_window, built, grue, registered

CONTROL, CONTROL_SHIFT = 2, 10

pytestmark = [pytest.mark.whole, pytest.mark.timeout(150), needs_browser, built]


async def acquainted(stage: Stage) -> None:
    """Alice has written to Bob and to Carol, and keeps a note."""
    for home, number in (("alice", ALICE), ("bob", BOB), ("carol", CAROL)):
        await registered(stage, home, number)
    await grue(stage, "--home", "alice", "send", BOB, "Nine at the station")
    await grue(stage, "--home", "alice", "send", CAROL, "Choir at eight")


async def noted(stage: Stage, home: str, count: int) -> None:
    """A long chat with oneself."""
    async with Client(stage.path / home, passphrase=PASSPHRASE) as client:
        for n in range(count):
            await client.send("me", f"note number {n}")


async def drafts(stage: Stage) -> list[str]:
    listed = [json.loads(line) for line in (await grue(stage, "--home", "alice", "--json", "chats")).stdout]
    return [chat["draft"] for chat in listed if chat["draft"]]


async def test_a_chat_is_pinned_muted_and_archived_by_its_menu_and_by_key(stage: Stage) -> None:
    await acquainted(stage)
    async with before_a_window(stage, "alice") as alice:
        await alice.sees(".chat", "Choir at eight")
        await alice.clicks(".dots", "900222")
        await alice.clicks("[role=menuitem]", "Pin")
        await alice.sees("li:first-child .chat", "Nine at the station")
        await alice.clicks(".dots", "900222")
        await alice.sees("[role=menuitem]", "Unpin")
        await alice.clicks("[role=menuitem]", "Mute for good")
        await alice.sees("li:first-child .chat svg[aria-label=Muted]")
        await alice.clicks(".chat", "Choir at eight")
        await alice.sees(".bubble", "Choir at eight")
        await alice.presses("A", code=65, modifiers=CONTROL_SHIFT)
        await alice.sees(".list ul:not(:has(li:nth-child(3)))")
        await alice.clicks(".archived", "Archived")
        await alice.sees(".archive-head", "Archived")
        await alice.clicks(".chat", "Choir at eight")
        await alice.clicks(".archive-head button")
        await alice.sees("li:first-child .chat", "Nine at the station")
        # What comes brings it back.
        await grue(stage, "--home", "carol", "receive")
        await grue(stage, "--home", "carol", "send", ALICE, "Rather at nine")
        await alice.sees(".line .chat", "Rather at nine")
        await alice.sees(".list:not(:has(.archived))")


async def test_what_was_written_and_not_sent_stays(stage: Stage) -> None:
    await acquainted(stage)
    async with before_a_window(stage, "alice") as alice:
        await alice.clicks(".chat", "Nine at the station")
        await alice.types("#write", "Or rather ten")
        await alice.clicks(".chat", "Choir at eight")
        await alice.sees(".chat .draft", "Draft:")
        await alice.sees(".chat", "Or rather ten")
    assert await drafts(stage) == ["Or rather ten"]
    async with before_a_window(stage, "alice") as alice:
        await alice.clicks(".chat", "Or rather ten")
        await alice.sees("#write")
        assert await alice.tab.value("document.querySelector('#write').value") == "Or rather ten"
        await alice.tab.value("document.querySelector('#write').focus()")
        await alice.enters()
        await alice.sees(".bubble.own", "Or rather ten")
        await alice.clicks(".chat", "Choir at eight")
        await alice.sees(".list:not(:has(.draft))")
        with anyio.fail_after(20):
            while await drafts(stage):  # noqa: ASYNC110 -- a process tells nobody
                await anyio.sleep(0.2)


async def test_what_was_said_long_ago_is_found_and_shown_among_its_neighbours(stage: Stage, tmp_path: Path) -> None:
    await acquainted(stage)
    await noted(stage, "alice", 260)
    async with before_a_window(stage, "alice") as alice:
        await alice.sees(".chat", "note number 259")
        await alice.presses("F", code=70, modifiers=CONTROL_SHIFT)
        await alice.types("#search", '"NUMBER 42"')
        await alice.sees(".hit mark", "number 42")
        await alice.pictures(tmp_path / "found.png")
        await alice.enters()
        await alice.sees(".sought .bubble", "note number 42")
        box = "document.querySelector(`.sought`).getBoundingClientRect()"
        await alice.until(f"{box}.top >= 0 && {box}.bottom <= innerHeight")
        await alice.pictures(tmp_path / "jumped.png")
        await alice.clicks(".newest", "Newest messages")
        await alice.sees(".bubble", "note number 259")
        await alice.sees(".thread:not(:has(.newest))")
        await alice.presses("Escape", code=27)


async def test_a_search_stays_in_one_chat_and_goes_by_keys(stage: Stage) -> None:
    await acquainted(stage)
    async with before_a_window(stage, "alice") as alice:
        await alice.clicks(".chat", "Choir at eight")
        await alice.sees(".bubble", "Choir at eight")
        await alice.presses("f", code=70, modifiers=CONTROL)
        await alice.sees(".within", "In ")
        await alice.types("#search", "at")
        await alice.sees(".hit", "Choir at eight")
        await alice.sees(".found:not(:has(li:nth-child(3)))")
        await alice.clicks(".within")
        await alice.sees(".hit", "Nine at the station")
        await alice.until("document.activeElement.id === 'search'")
        await alice.presses("ArrowDown", code=40)
        await alice.presses("ArrowDown", code=40)
        assert "Nine at the station" in await alice.tab.value("document.activeElement.textContent")
        await alice.presses("ArrowUp", code=38)
        await alice.presses("ArrowUp", code=38)
        assert await alice.tab.value("document.activeElement.id") == "search"
        await alice.presses("Escape", code=27)
        await alice.sees(".chat", "Nine at the station")
        assert await alice.tab.value("document.querySelector('#search').value") == ""
        # The thread is still open.
        await alice.sees(".bubble", "Choir at eight")
        await grue(stage, "--home", "alice", "contacts", "name", NOBODY, "Cousin Zoë")
        await alice.types("#search", "zoe")
        await alice.sees(".hit", "Cousin Zoë")
        await alice.enters()
        await alice.sees(".route.sms", "SMS")


@pytest.mark.parametrize(("language", "scheme"), [("en", "dark"), ("ar", "light")])
async def test_the_list_and_what_was_found_are_there_in_narrow_windows_and_other_directions(
    stage: Stage, tmp_path: Path, language: str, scheme: str
) -> None:
    await acquainted(stage)
    await grue(stage, "--home", "alice", "chat", "pin", BOB)
    await grue(stage, "--home", "alice", "chat", "mute", BOB)
    await grue(stage, "--home", "alice", "chat", "archive", CAROL)
    await grue(stage, "--home", "alice", "chat", "draft", BOB, "Or rather ten")
    async with before_a_window(stage, "alice", f"--lang={language}", f"--accept-lang={language}") as alice:
        await alice.tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        await alice.tab.call(
            "Emulation.setDeviceMetricsOverride", width=380, height=720, deviceScaleFactor=1, mobile=False
        )
        await alice.sees(".chat .draft")
        await alice.sees(".archived")
        await alice.clicks(".dots", "900222")
        await alice.sees("[role=menuitem]")
        await alice.pictures(tmp_path / f"{language} menu.png")
        await alice.presses("Escape", code=27)
        await alice.clicks(".chat", "Or rather ten")
        await alice.sees("#write")
        await alice.presses("F", code=70, modifiers=CONTROL_SHIFT)
        await alice.types("#search", "nine")
        await alice.sees(".hit mark", "Nine")
        await alice.pictures(tmp_path / f"{language} found.png")
        await alice.clicks(".hit")
        await alice.sees(".sought .bubble", "Nine at the station")
        assert await alice.tab.value("document.documentElement.scrollWidth") == 380
