"""The real server as a process of its own, for benches."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil  # type: ignore[import-untyped]

_SERVE: Final = """
import sys
from pathlib import Path
from grue.server.run import run
run(Path(sys.argv[1]), "127.0.0.1:0", ready=lambda address: print(address, flush=True))
"""


class ServerProcess:
    def __init__(self, data: Path, code: str = _SERVE) -> None:
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", code, str(data)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline().rpartition(":")[2])
        self._seen = psutil.Process(self._process.pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    def cpu_seconds(self) -> float:
        times = self._seen.cpu_times()
        return float(times.user + times.system)

    def rss_kib(self) -> float:
        return float(self._seen.memory_info().rss) / 1024

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(30)


def machine() -> str:
    """What a figure was measured on, in a line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    system = f"{platform.system()} {platform.machine()}"
    return f"{os.cpu_count()} cores, {memory} GiB, {system}, Python {platform.python_version()}"
