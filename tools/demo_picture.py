"""Run the demo without a relay, keep what it captured, and draw `docs/images/demo.svg`, as a terminal shows it.

`python tools/demo_picture.py DIR`. The picture has the steps that show a message's colour. With `--check` it draws
nothing, and fails when the picture shows other words than this run.
"""

import argparse
import asyncio
import io
import re
import sys
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from grue.cli import story
from grue.lab.demo import Demo, Step

PICTURE: Final = Path(__file__).resolve().parent.parent / "docs" / "images" / "demo.svg"
SHOWN: Final = ("lookup", "send", "consent")
"""Steps in the picture. Nothing in their words differs from run to run."""
WIDTH: Final = 100
"""Columns."""

INK: Final = [
    (40, 44, 52),
    (180, 35, 40),
    (20, 120, 60),
    (150, 95, 0),
    (30, 90, 180),
    (130, 60, 140),
    (0, 110, 130),
    (90, 90, 90),
]
PAPER: Final = TerminalTheme((250, 250, 247), INK[0], INK, INK)
"""Dark on light; each colour has a contrast of at least 4.5 to 1 against the ground."""

FRAME: Final = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>What grue demo shows</title>
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, "DejaVu Sans Mono", "Liberation Mono", Menlo, Consolas, monospace;
    font-size: {char_height}px;
    line-height: {line_height}px;
    white-space: pre;
}}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>{lines}</defs>
<rect width="{width}" height="{height}" rx="8" fill="#fafaf7" />
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""A terminal without a window around it, in fonts that the reader has: a picture that fetches nothing."""


def draw(steps: list[Step]) -> str:
    """The steps that are shown, as SVG."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text("$ grue demo --direct", style="bold"), "")
    for step in steps:
        if step.name in SHOWN:
            console.print(story.step(step, timed=False))
    drawn = console.export_svg(theme=PAPER, code_format=FRAME, unique_id="demo")
    return re.sub(r"[ \t]+$", "", drawn, flags=re.MULTILINE)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the demo without a relay, and draw it.")
    parser.add_argument("keep", type=Path, help="where what it captured is kept")
    parser.add_argument("--check", action="store_true", help="draw nothing; fail when the picture is another")
    arguments = parser.parse_args()
    steps: list[Step] = []
    asyncio.run(Demo(steps.append, arguments.keep, direct=True).run())
    drawn = draw(steps)
    if not arguments.check:
        PICTURE.write_text(drawn)
    elif PICTURE.read_text() != drawn:
        print(f"{PICTURE.name} shows another run; `make docs` draws it anew.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
