"""`replica_gain`: how much of a core a server needs for an answer of its own, over what it needs to pass one on.

A million records, one server process and one replica, which share this machine and its cores with the client. So the
answers a second of both together say little of what replicas on machines of their own add; the server's processor time
does: with the cores of one server, as many times the answers go out before it is the server that is busy.
"""

import os
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

import uvloop

from bench.lookup_scale import MILLION, per_second, records
from bench.server import Program, ServerProcess
from grue.protocol.directory.replica import READY_PATH
from grue.server.directory.directory import Directory
from grue.server.keys.keys import Keys, open_keys, open_replica_key

ANSWERS: Final = 600
"""Answers that are counted: some two seconds of a server on two cores."""

_SERVE: Final = """
import sys
from pathlib import Path
from grue.server.run import run
ready = lambda address: print(address, flush=True)
run(Path(sys.argv[1]), "127.0.0.1:0", replicas=["{url}"], ready=ready)
"""

_REPLICA: Final = """
import sys
from pathlib import Path
from grue.server.replica.replica import run
ready = lambda address: print(address, flush=True)
run(Path(sys.argv[1]), "127.0.0.1:0", sys.argv[2], Path(sys.argv[3]), ready=ready)
"""


def has_directory(replica: Program) -> float:
    """Wait until it does; seconds."""
    start = time.perf_counter()
    while True:
        try:
            urllib.request.urlopen(f"{replica.url}/{READY_PATH}").close()  # noqa: S310 -- on this machine
            return time.perf_counter() - start
        except urllib.error.HTTPError:
            time.sleep(0.02)


class Load:
    """Queries, as many as there are answers to be counted, to one server."""

    def __init__(self, data: Path, keys: Keys, epoch: int) -> None:
        self._folder, self._keys, self._epoch = data / "directory" / str(epoch), keys, epoch

    def on(self, server: Program, replica: Program | None = None) -> tuple[float, list[float]]:
        """Answers a second, and milliseconds of a core for each: the server's, and the replica's."""
        programs = [server] if replica is None else [server, replica]
        before = [program.cpu_seconds() for program in programs]
        rate = uvloop.run(per_second(self._folder, server.url, self._keys, self._epoch, ANSWERS))
        used = [program.cpu_seconds() - then for program, then in zip(programs, before, strict=True)]
        return rate, [seconds * 1000 / ANSWERS for seconds in used]


def measure() -> list[dict[str, Any]]:
    """Needs 1.5 GB of memory, and 1 GB of disk; some two minutes."""
    count = int(os.environ.get("RECORDS", MILLION))
    os.environ["GRUE_DIRECTORY_TIER"] = "2"
    with tempfile.TemporaryDirectory(prefix="grue-bench-") as scratch:
        data, copy = Path(scratch) / "data", Path(scratch) / "copy"
        keys = open_keys(data)
        open_replica_key(data, keys)
        directory = Directory(data, keys)
        directory.put_many(records(count))
        load = Load(data, keys, directory.manifest.epoch)
        del directory
        with ServerProcess(data) as server:
            alone, (alone_ms,) = load.on(server)
            replica = Program(_REPLICA, str(copy), server.url, str(data / "replica.key"))
            epoch_s = has_directory(replica)
        with replica, ServerProcess(data, _SERVE.format(url=replica.url)) as server:
            together, (server_ms, replica_ms) = load.on(server, replica)
    return [
        {"id": "replica_gain", "value": round(alone_ms / server_ms, 1), "unit": "times"},
        {
            "id": "replica_server_cpu_ms",
            "value": round(server_ms, 2),
            "unit": "ms",
            "peers": {"alone": round(alone_ms, 2)},
        },
        {"id": "replica_cpu_ms", "value": round(replica_ms, 2), "unit": "ms"},
        {"id": "replica_per_s", "value": round(together), "unit": "1/s", "peers": {"server alone": round(alone)}},
        {"id": "replica_epoch_s", "value": round(epoch_s, 1), "unit": "s"},
    ]
