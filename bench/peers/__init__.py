"""`vs_*`: a lookup beside those of other programs, over the same records in the same run.

`vs_grue_SIZE` is ours, and `vs_PEER_SIZE` another's: how many times our time one lookup takes server and client
together, with what a client can do ahead. It is time on a core, so that others who use the machine do not count.
`..._bytes`: how many times our bytes a client carries in an epoch of 42 lookups, the first download included.

The peers are programs of their own in folders beside this file, built here when they are needed and under the versions
that their lock files say. One that cannot be built, or does not end within `PATIENCE`, is left out, and the bench says
so. `RECORDS` in the environment makes it one size.

Of ours the bytes are all that a real server and client carry over loopback: requests, tokens, proofs; the first
download is with an empty overlay, and none is fetched after it. Of the others they are the messages alone.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvloop

from bench.lookup_scale import answering, at_client, looked_up, named, records
from bench.oprf import median_us
from bench.server import ServerProcess
from grue._core import OprfBlind, OprfKey, PirBase, PirClient, oprf_finalize
from grue.protocol.directory.directory_sync import RecordTable
from grue.protocol.directory.pir import EPOCH_LOOKUPS
from grue.protocol.directory.record import RECORD_BYTES, TAG_BYTES
from grue.server.directory.directory import Directory
from grue.server.keys.keys import open_keys

HERE: Final = Path(__file__).parent
SIZES: Final = (10_000, 100_000, 1_000_000)
LOOKUPS: Final = 11
PATIENCE: Final = 1_800
"""Seconds for one peer at one size, its set-up included."""


class NotHereError(Exception):
    """A peer that cannot be measured here, in a sentence."""


@dataclass(frozen=True)
class Cost:
    """What lookups by one program cost: medians, times on a core."""

    setup_s: float
    """Of the server, for a whole new table."""
    server_ms: float
    ahead_ms: float
    """At the client, before it is known what will be looked up."""
    client_ms: float
    up: float
    """Bytes; the next two too."""
    down: float
    cold: float
    load: float
    """Processes that wanted a core while it ran, itself among them."""

    @property
    def ms(self) -> float:
        return self.server_ms + self.ahead_ms + self.client_ms

    @property
    def epoch(self) -> float:
        """Bytes of a client in one of the directory's epochs."""
        return self.cold + EPOCH_LOOKUPS * (self.up + self.down)

    def told(self) -> dict[str, float]:
        return {
            "server ms": _three(self.server_ms),
            "client ms": _three(self.client_ms),
            "ahead ms": _three(self.ahead_ms),
            "up kB": _three(self.up / 1e3),
            "down kB": _three(self.down / 1e3),
            "cold MB": _three(self.cold / 1e6),
            "set-up s": _three(self.setup_s),
            "load": round(self.load, 1),
        }


def _three(value: float) -> float:
    """To three digits."""
    return float(f"{value:.3g}")


def ours(scratch: Path, count: int) -> tuple[Cost, Path]:
    """A lookup in tier 2: an evaluation and a private query. And the file of the records, sorted, that it was in."""
    data = scratch / "data"
    keys = open_keys(data)
    start = time.process_time()
    directory = Directory(data, keys)
    directory.put_many(records(count))
    setup_s, epoch = time.process_time() - start, directory.manifest.epoch
    del directory
    folder = data / "directory" / str(epoch)
    at_server, at_home = evaluation()
    server_ms, client_ms = answering(folder), at_client(data / "directory", keys, epoch)
    with ServerProcess(data) as server:
        used = uvloop.run(looked_up(scratch / "home", server.url, keys))
    cost = Cost(
        setup_s=setup_s,
        server_ms=server_ms + at_server,
        ahead_ms=material_ms(folder),
        client_ms=client_ms + at_home,
        up=used["up_kb"] * 1e3,
        down=used["down_kb"] * 1e3,
        cold=used["cold_mb"] * 1e6,
        load=os.getloadavg()[0],
    )
    return cost, folder / "base"


def evaluation() -> tuple[float, float]:
    """Milliseconds of one number's evaluation at server and client."""
    key, number = OprfKey.generate(), b"+447700900000"
    blind = OprfBlind.blind(number)
    evaluated, proof = key.evaluate([blind.element])
    finalized = median_us(lambda: oprf_finalize([blind], evaluated, proof, key.public), 1)
    at_home = finalized + median_us(lambda: OprfBlind.blind(number), 1)
    return median_us(lambda: key.evaluate([blind.element]), 1) / 1e3, at_home / 1e3


def material_ms(folder: Path) -> float:
    """A core's milliseconds for the material of one query."""
    client = PirClient(PirBase.open(folder / "packed").layout, (folder / "hint").read_bytes())
    times = []
    for _ in range(LOOKUPS):
        start = time.process_time()
        client.material(1)
        times.append((time.process_time() - start) * 1e3)
    return statistics.median(times)


# --- the others -----------------------------------------------------------------------------------


def _in_rust(project: Path, base: Path) -> Cost:
    if shutil.which("cargo") is None:
        raise NotHereError("it needs cargo")
    _done(["cargo", "build", "--quiet", "--release", "--locked"], project)
    program = "peer-" + project.name.replace("_", "-")
    return _measured([str(project / "target" / "release" / program), str(base), str(LOOKUPS)])


def chalametpir(base: Path) -> Cost:
    return _in_rust(HERE / "chalametpir", base)


def simplepir_rs(base: Path) -> Cost:
    """SimplePIR as the crate `simplepir` has it. Its authors' own, in Go, is not to be had as a module."""
    return _in_rust(HERE / "simplepir_rs", base)


def openmined_psi(base: Path) -> Cost:
    project = HERE / "openmined_psi"
    python = project / ".venv" / "bin" / "python"
    if not python.exists():
        venv.create(project / ".venv", with_pip=True)
    required = ["--quiet", "--disable-pip-version-check", "--require-hashes", "-r", "requirements.txt"]
    _done([str(python), "-m", "pip", "install", *required], project)
    return _measured([str(python), str(project / "lookups.py"), str(base), str(LOOKUPS)])


def download(base: Path) -> Cost:
    """The whole table at home, as in tier 1: nothing is asked but to have it."""
    table = base.read_bytes()
    held = RecordTable(table)
    tags = [table[at : at + TAG_BYTES] for at in range(0, len(table), len(table) // (LOOKUPS * RECORD_BYTES) * 128)]
    times = []
    for tag in tags:
        start = time.process_time()
        assert held.find(tag) is not None
        times.append((time.process_time() - start) * 1e3)
    return Cost(0, 0, 0, statistics.median(times), 0, 0, len(table), os.getloadavg()[0])


PEERS: Final[dict[str, Callable[[Path], Cost]]] = {
    "chalametpir": chalametpir,
    "openmined_psi": openmined_psi,
    "simplepir_rs": simplepir_rs,
    "download": download,
}


def _done(command: list[str], folder: Path | None = None) -> str:
    """What a command printed. Raises NotHereError."""
    try:
        done = subprocess.run(command, cwd=folder, timeout=PATIENCE, capture_output=True, text=True, check=True)
    except subprocess.TimeoutExpired:
        raise NotHereError(f"it did not end within {PATIENCE} s") from None
    except subprocess.CalledProcessError as error:
        raise NotHereError(f"it ended with {error.returncode}: {error.stderr.strip()[-200:]}") from None
    return done.stdout


def _measured(command: list[str]) -> Cost:
    """Run a peer's program, which prints its costs as JSON: totals, and lists with an entry for each lookup."""
    told = json.loads(_done(command))
    medians = {name: statistics.median(told[name]) for name in ("server_ms", "ahead_ms", "client_ms")}
    sizes = {name: told[name] for name in ("setup_s", "up", "down", "cold")}
    return Cost(**sizes, **medians, load=os.getloadavg()[0])


def at_size(count: int) -> list[dict[str, Any]]:
    size = named(count)
    with tempfile.TemporaryDirectory(prefix="grue-bench-") as scratch:
        own, base = ours(Path(scratch), count)
        costs = {"grue": own}
        for name, measured in PEERS.items():
            try:
                costs[name] = measured(base)
            except NotHereError as reason:
                sys.stderr.write(f"{name} at {count:,} records: {reason}\n")
    return [figure for name, cost in costs.items() for figure in compared(f"vs_{name}_{size}", cost, own)]


def compared(name: str, cost: Cost, own: Cost) -> list[dict[str, Any]]:
    return [
        {"id": name, "value": _three(cost.ms / own.ms), "unit": "times our time", "peers": cost.told()},
        {"id": f"{name}_bytes", "value": _three(cost.epoch / own.epoch), "unit": "times our bytes"},
    ]


def measure() -> list[dict[str, Any]]:
    """Needs 10 GB of memory; some half an hour on two cores, nearly all of it for the others' set-ups."""
    os.environ["GRUE_DIRECTORY_TIER"] = "2"
    one = os.environ.get("RECORDS")
    return [figure for count in ([int(one)] if one else SIZES) for figure in at_size(count)]
