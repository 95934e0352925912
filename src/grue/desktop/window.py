"""Open the window: in an app window of a Chromium-like browser with a profile of its own, else in the usual browser."""

import json
import os
import shutil
import subprocess
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BROWSERS: Final = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
    "microsoft-edge-stable",
    "brave-browser",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)
"""In the order in which they are looked for: each has an app window, without extensions or other people's pages."""

QUIET: Final = (
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-pings",
    "--disable-features=AutofillServerCommunication,OptimizationHints,MediaRouter,Translate",
    # Whoever the browser still wants to ask, it finds nobody: nothing leaves but what goes to our own process.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
"""Without these a fresh window asks five hosts of its maker, and sends hashes of our page's fields to one of them."""

LAUNCHER: Final = "window.html"
PROFILE: Final = "window"


@dataclass(frozen=True)
class Window:
    """Where a window is to be opened: a home, and the address of its process."""

    home: Path
    host: str

    def open(self, once: str) -> "subprocess.Popen[bytes] | None":
        """Open it; None when there is no such browser, and nothing is opened."""
        browser = next(filter(None, map(shutil.which, BROWSERS)), None)
        if browser is None:
            return None
        # The secret is not in the arguments, which every user of this machine can read.
        arguments = [browser, f"--app={self._launcher(once).as_uri()}", f"--user-data-dir={self._profile()}", *QUIET]
        nothing = subprocess.DEVNULL
        return subprocess.Popen(arguments, stdin=nothing, stdout=nothing, stderr=nothing)  # noqa: S603 -- of `BROWSERS`

    def open_tab(self, once: str) -> None:
        """Open it in the usual browser, which sees more."""
        webbrowser.open(self._launcher(once).as_uri())

    def _launcher(self, once: str) -> Path:
        """A page that only this user can read, and that leads to the process with the secret."""
        url = json.dumps(f"http://{self.host}/#{once}")
        path = self.home / LAUNCHER
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"<!doctype html><title>Grue</title><script>location.replace({url})</script>")
        return path

    def _profile(self) -> Path:
        """A profile of the browser for this window, in which nothing is filled in, checked or remembered."""
        profile = self.home / PROFILE
        preferences = profile / "Default" / "Preferences"
        if not preferences.exists():
            preferences.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            granted = {f"http://{self.host},*": {"setting": 1}}
            wanted = {
                "profile": {"content_settings": {"exceptions": {"notifications": granted}}},
                "autofill": {"enabled": False, "profile_enabled": False, "credit_card_enabled": False},
                "browser": {"enable_spellchecking": False},
                "credentials_enable_service": False,
            }
            preferences.write_text(json.dumps(wanted))
        return profile
