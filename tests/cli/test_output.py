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
from grue.cli.shell import Shell, safe
from grue.cli.verbs.messages import message_fields
from grue.client.client import ChatInfo, Message
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
        plain(message_words.chats([ChatInfo(NASTY, NASTY, encrypted=True, request=True, messages=1, last=NASTY)])),
    ],
    ids=["text", "sender", "claimed number", "chats"],
)
def test_nothing_that_others_write_is_obeyed_by_a_terminal(shown: str) -> None:
    assert set(shown) & set("\x1b\x07\r\x9b\u202e\u2066") == set()
    assert "bold" in shown


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
