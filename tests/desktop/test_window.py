"""How the browser is started."""

import json
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from grue.desktop import window as window_module
from grue.desktop.window import Window


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    commands: list[list[str]] = []

    def popen(command: list[str], **_: Any) -> object:
        commands.append(command)
        return object()

    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.setattr("shutil.which", lambda name: name if name == "chromium" else None)
    return commands


def test_the_launcher_is_this_users_alone_and_no_argument_has_the_key(tmp_path: Path, started: list[list[str]]) -> None:
    assert Window(tmp_path, "127.0.0.1:9101").open("the-key")
    launcher = tmp_path / window_module.LAUNCHER
    assert stat.S_IMODE(launcher.stat().st_mode) == 0o600
    assert "http://127.0.0.1:9101/#the-key" in launcher.read_text()
    assert "the-key" not in " ".join(started[0])


@pytest.mark.usefixtures("started")
def test_a_launcher_that_somebody_put_there_is_replaced(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("")
    (tmp_path / window_module.LAUNCHER).symlink_to(elsewhere)
    Window(tmp_path, "127.0.0.1:9101").open("the-key")
    assert elsewhere.read_text() == ""


def test_the_profile_fills_nothing_in_and_grants_notifications_to_this_port(
    tmp_path: Path, started: list[list[str]]
) -> None:
    Window(tmp_path, "127.0.0.1:9101").open("the-key")
    preferences = json.loads((tmp_path / window_module.PROFILE / "Default" / "Preferences").read_text())
    assert not preferences["autofill"]["enabled"]
    granted = preferences["profile"]["content_settings"]["exceptions"]["notifications"]
    assert granted == {"http://127.0.0.1:9101,*": {"setting": 1}}
    assert f"--user-data-dir={tmp_path / window_module.PROFILE}" in started[0]


def test_without_such_a_browser_the_usual_one_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("webbrowser.open", opened.append)
    window = Window(tmp_path, "127.0.0.1:9101")
    assert window.open("the-key") is None
    window.open_tab("the-key")
    assert opened == [(tmp_path / window_module.LAUNCHER).as_uri()]
