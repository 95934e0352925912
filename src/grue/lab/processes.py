"""A group of `grue` processes on this machine is started together, read line by line, and ended together."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from grue.errors import GrueError
from grue.protocol.directory.pir import TIER_VARIABLE

READY_SECONDS: Final = 30.0
"""For a process to say that it is ready, and for one command, on a machine that is busy with other things."""

STOP_SECONDS: Final = 5.0


class ProcessFailed(GrueError):
    """A process of ours ended otherwise than it should have."""

    code = "demo_failed"
    message = "A step did not go as it should."
    fix = "Its output is above; please report it if it is not clear."


@dataclass(frozen=True)
class Done:
    """One command that has ended."""

    arguments: tuple[str, ...]
    code: int
    objects: list[dict[str, Any]]
    """What it printed with `--json`."""
    error: dict[str, Any]
    """The last error that it printed; empty when there was none."""
    began: float
    ended: float
    """Unix seconds."""


@dataclass
class Running:
    """A process that goes on, and what it has printed so far, each line with the time at which it came."""

    name: str
    process: asyncio.subprocess.Process
    errors: Path
    lines: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _reader: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._reader = asyncio.create_task(self._read())

    async def first(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first line that is wanted, as soon as it is there. Raises ProcessFailed."""
        try:
            async with asyncio.timeout(READY_SECONDS), self._news:
                while True:
                    if (line := next((line for _, line in self.lines if wanted(line)), None)) is not None:
                        return line
                    if self._reader is None or self._reader.done():
                        raise ProcessFailed(f"{self.name} has ended: {self.errors.read_text()}")
                    await self._news.wait()
        except TimeoutError:
            raise ProcessFailed(f"{self.name} did not say what was waited for. {self.errors.read_text()}") from None

    async def listening(self) -> str:
        return str((await self.first(lambda line: "listening" in line))["listening"])

    async def stop(self) -> None:
        with suppress(ProcessLookupError):
            self.process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
        if self._reader is not None:
            await self._reader

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            with suppress(ValueError):
                self.lines.append((time.time(), json.loads(line)))
            async with self._news:
                self._news.notify_all()
        async with self._news:
            self._news.notify_all()


class Group:
    """`async with`: whatever happens inside, none of its processes outlives it."""

    def __init__(self, where: Path) -> None:
        self._where = where
        self._running: list[Running] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        # Shielded: a second Ctrl-C must not leave processes behind.
        await asyncio.shield(asyncio.gather(*(one.stop() for one in reversed(self._running))))

    async def start(self, name: str, *arguments: str, env: Mapping[str, str] | None = None) -> Running:
        """Start a verb that goes on until it is stopped."""
        errors = self._where / f"{name}.stderr"
        with errors.open("wb") as stderr:
            process = await _spawn(arguments, env or {}, stderr)
        running = Running(name, process, errors)
        self._running.append(running)
        running.start()
        return running

    async def run(self, *arguments: str, env: Mapping[str, str] | None = None, expect: int = 0) -> Done:
        """Run a verb to its end. Raises ProcessFailed for another exit code than expected."""
        began = time.time()
        process = await _spawn(arguments, env or {}, asyncio.subprocess.PIPE)
        try:
            async with asyncio.timeout(READY_SECONDS):
                out, error = await process.communicate()
        except BaseException:
            with suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())
            raise
        code = process.returncode or 0
        if code != expect:
            words = " ".join(arguments)
            raise ProcessFailed(f"`grue {words}` ended with {code}: {(error or out).decode(errors='replace').strip()}")
        return Done(arguments, code, _objects(out), next(iter(_objects(error)[::-1]), {}), began, time.time())


async def _spawn(arguments: tuple[str, ...], env: Mapping[str, str], stderr: Any) -> asyncio.subprocess.Process:
    """A process of its own group, so that Ctrl-C comes to us alone, who end the others in order."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "grue", "--json", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        env={**_clean(os.environ), **env},
        start_new_session=True,
    )


def _clean(env: Mapping[str, str]) -> dict[str, str]:
    """Nobody's home and nobody's passphrase; the directory's tier stays, which whoever starts it may force."""
    return {name: value for name, value in env.items() if name == TIER_VARIABLE or not name.startswith("GRUE_")}


def _objects(output: bytes) -> list[dict[str, Any]]:
    objects = []
    for line in output.splitlines():
        with suppress(ValueError):
            objects.append(json.loads(line))
    return [one for one in objects if isinstance(one, dict)]
