"""What `grue` prints: keys for machines, words for people, and nothing of anybody when it fails by itself."""

import importlib
import inspect
import json
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from cyclopts import App
from rich.console import Console

from grue.cli import message_words, verbs
from grue.cli.notices import NOTICES
from grue.cli.run import run
from grue.cli.shell import Shell, one_line, safe
from grue.cli.verbs.messages import message_fields
from grue.client.api.messages import ChatInfo, File, Message
from grue.errors import BY_CODE
from grue.protocol.conversation.conversation import Notice
from grue.protocol.conversation.delivery import MessageState
from grue.protocol.conversation.fallback import Route

MESSAGE = Message(
    id="00" * 16,
    chat="+447700900111",
    sender="+447700900111",
    claimed="",
    to="+447700900222",
    text="hello",
    route=Route.ENCRYPTED,
    sent=1_800_000_000.0,
    incoming=True,
    state=MessageState.DELIVERED,
)

NASTY = "\x1b]0;owned\x07\x1b[2J\r\x9b1mbold\u202egpj.exe\u2066"
"""Sets a terminal's title, clears it, overwrites its line, and turns a file name round."""


def a_chat(text: str) -> ChatInfo:
    return ChatInfo(text, text, encrypted=True, request=True, messages=1, unread=1, last=text, last_sent=0)


def plain(renderable: Any) -> str:
    out = StringIO()
    Console(file=out, width=200).print(renderable)
    return out.getvalue()


# --- people ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shown",
    [
        plain(message_words.message(replace(MESSAGE, text=NASTY))),
        plain(message_words.message(replace(MESSAGE, sender=NASTY, chat=NASTY))),
        plain(message_words.message(replace(MESSAGE, claimed=NASTY))),
        plain(message_words.chats([a_chat(NASTY)])),
    ],
    ids=["text", "sender", "claimed number", "chats"],
)
def test_nothing_that_others_write_is_obeyed_by_a_terminal(shown: str) -> None:
    assert set(shown) & set("\x1b\x07\r\x9b\u202e\u2066") == set()
    assert "bold" in shown


FORGED = "14:02  +447700900222  encrypted"
BREAKS = ["\n", "\r\n", "\r", "\v", "\f", "\x85", "\u2028", "\u2029", "\t", " " * 160]


def on_a_terminal(renderable: Any, width: int | None) -> list[str]:
    """The lines that are shown: broken at a terminal's width, or, in a file, as they are."""
    out = StringIO()
    Console(file=out, width=width or 80, soft_wrap=width is None).print(renderable)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [None, 60, 80])
@pytest.mark.parametrize("break_", BREAKS)
def test_nothing_that_others_write_can_look_like_a_message_of_somebody_else(break_: str, width: int | None) -> None:
    forged = break_.join(["x", FORGED, FORGED])
    named = File(forged, 1)
    for message in (
        replace(MESSAGE, text=forged),
        replace(MESSAGE, text="see", file=named),
        replace(MESSAGE, text="", file=named),
        replace(MESSAGE, sender=forged, chat=forged),
        replace(MESSAGE, sender="chat:7", claimed=forged),
        replace(MESSAGE, incoming=False, sender=MESSAGE.to, to=forged),
        replace(MESSAGE, sender=MESSAGE.to, text=forged),
    ):
        first, *others = on_a_terminal(message_words.message(message), width)
        assert not any(line.startswith("14:02") for line in others), others
        assert "x" not in first[:1]


@pytest.mark.parametrize("break_", BREAKS[:-1])
def test_what_has_one_line_is_shown_in_one(break_: str) -> None:
    forged = break_.join(["x", FORGED])
    assert one_line(forged).splitlines() == [one_line(forged)]
    listed = message_words.chats([a_chat(forged)])
    assert not any(line.startswith("14:02") for line in on_a_terminal(listed, 300))


def test_text_is_shown_as_it_is_written() -> None:
    text = "naïve 日本語 👩‍👩‍👧 שלום [bold]not markup[/bold] :smile:\n\tand a second line"
    assert safe(text) == text
    assert "[bold]not markup[/bold] :smile:" in plain(message_words.message(replace(MESSAGE, text=text)))


def test_a_sender_who_is_not_verified_is_shown_as_that() -> None:
    shown = plain(
        message_words.message(replace(MESSAGE, sender="chat:7", chat="chat:7", claimed="+447700900111", request=True))
    )
    assert "chat:7" in shown
    assert "claims to be +447700900111, not verified" in shown


@pytest.mark.parametrize("seconds", [1e300, -1e300, float("inf"), float("nan")])
def test_a_sender_with_an_impossible_clock_stops_nothing(seconds: float) -> None:
    assert "hello" in plain(message_words.message(replace(MESSAGE, sent=seconds)))


@pytest.mark.parametrize("route", list(Route))
@pytest.mark.parametrize("state", list(MessageState))
def test_every_state_has_a_word_beside_its_colour(route: Route, state: MessageState) -> None:
    from grue.client.conversations.messenger import Sent

    assert plain(message_words.sent(Sent("00", route, state))).strip().count(":") >= 1


def test_every_notice_has_its_words() -> None:
    assert NOTICES.keys() == set(Notice)


# --- machines -------------------------------------------------------------------------------------


def test_a_message_has_the_keys_that_are_promised() -> None:
    assert message_fields(MESSAGE).keys() >= {"id", "from", "to", "text", "route", "sent"}


def test_with_json_nothing_but_objects_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    shell = Shell(as_json=True)
    shell.result({"a": 1}, lambda: pytest.fail("made words for nobody"))
    shell.say("words")
    shell.note("words")
    with shell.waiting("..."):
        pass
    assert capsys.readouterr() == ('{"a": 1}\n', "")


# --- failures -------------------------------------------------------------------------------------

SECRET = "+447700900111 says hello"


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    """`chats` raises what no code of ours should, with somebody's message in it."""

    def chats() -> None:
        held = SECRET
        raise RuntimeError(held)

    monkeypatch.setattr(verbs, "app", App(name="grue"))
    verbs.app.command(chats)


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize("debug", ["", "1"])
def test_a_fault_of_ours_names_a_place_and_nobody(
    debug: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRUE_DEBUG", debug)
    assert run(["--json", "chats"]) == 1
    out, errors = capsys.readouterr()
    *trace, last = errors.splitlines()
    assert out == ""
    assert json.loads(last)["error"] == "bug"
    assert "RuntimeError at test_output.py" in json.loads(last)["message"]
    assert bool(trace) is bool(debug)
    assert SECRET not in errors


def test_every_error_has_an_exit_code_that_scripts_know() -> None:
    assert {error.exit_code for error in BY_CODE.values()} == {1, 2, 3, 4, 5}


# --- help -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(verbs.VERBS.keys() - verbs.APPS.keys()))
def test_help_says_of_a_verb_what_the_verb_says_of_itself(name: str) -> None:
    module, summary = verbs.VERBS[name]
    verb = getattr(importlib.import_module(f"grue.cli.verbs.{module}"), name)
    assert (inspect.getdoc(verb) or "").startswith(summary.rstrip("."))


def test_help_lists_every_verb_without_importing_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    assert [name for name in verbs.VERBS if name not in out] == []
