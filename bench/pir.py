"""`pir_kernel_ratio`, `pir_kernel_2t_ratio`, `pir_batch8_gain` at ten million records, and what tables cost to build.

The kernel is set against a plain read of the same mapped memory, turn and turn about, with threads pinned to as many
processors as there are threads. `pir_query_constant_ratio` sets a query of zeros and one of ones against one that a
client has made, at a million records, in time of the processor: the longest of the three over the shortest. `RECORDS`
in the environment makes it smaller: then its figures are not those.
"""

import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from grue._core import PirBase, PirClient, PirLayout, PirProgress, pir_build

LARGE: Final = 10_000_000
MIDDLE: Final = 1_000_000
RUNS: Final = 21
BATCH: Final = 8
PIECE: Final = 10_000
SEED: Final = bytes(range(16))


def _write_records(path: Path, count: int) -> None:
    """Random tags in ascending order, and random contents; 128 bytes each."""
    dice = random.Random(1)
    step = (1 << 128) // max(count, 1)
    with path.open("wb") as file:
        for first in range(0, count, PIECE):
            contents = dice.randbytes(112 * PIECE)
            for at in range(first, min(count, first + PIECE)):
                tag = at * step + dice.getrandbits(96)
                where = 112 * (at - first)
                file.write(tag.to_bytes(16, "big") + contents[where : where + 112])


@contextmanager
def _pinned(threads: int) -> Iterator[None]:
    """Threads that are started within stay on as many processors."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:threads])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _built(folder: Path, count: int, threads: int) -> tuple[float, float, PirBase]:
    """Seconds that a table took to build, those of its hint among them, and its base."""
    records = folder / "records"
    _write_records(records, count)
    progress = PirProgress()
    with ThreadPoolExecutor(1) as pool:
        start = time.perf_counter()
        built = pool.submit(pir_build, records, folder, SEED, threads, progress)
        while not built.done() and progress.steps[0] == "packing":
            time.sleep(0.002)
        hint = time.perf_counter()
        built.result()
        end = time.perf_counter()
    records.unlink()
    return end - start, end - hint, PirBase.open(folder / "packed")


def _client(folder: Path, layout: PirLayout) -> PirClient:
    return PirClient(layout, (folder / "hint").read_bytes())


def _kernel(base: PirBase, query: bytes, threads: int) -> tuple[float, float, float]:
    """Medians: a plain read's time over a query's, what a batch gains, and a query's seconds.

    The first two compare what ran one after the other, since a neighbour's load changes within seconds.
    """
    times: list[list[float]] = [[], [], []]
    with _pinned(threads):
        base.touch(threads)
        for _ in range(RUNS):
            times[0].append(_seconds(lambda: base.touch(threads)))
            times[1].append(_seconds(lambda: base.answer([query], threads)))
            times[2].append(_seconds(lambda: base.answer([query] * BATCH, threads)))
    rounds = list(zip(*times, strict=True))
    return (
        statistics.median(read / one for read, one, _ in rounds),
        statistics.median(BATCH * one / batch for _, one, batch in rounds),
        statistics.median(times[1]),
    )


def _constant(base: PirBase, query: bytes) -> float:
    """The longest time over the shortest of a query of zeros, a client's, which looks random, and one of ones.

    Medians of what ran one after the other; a core's time, so that others who use the machine do not count.
    """
    kinds = [bytes(len(query)), query, b"\xff" * len(query)]
    with _pinned(1):
        base.touch(1)
        rounds = [[_core_seconds(base, one) for one in kinds] for _ in range(RUNS)]
    over_clients = [statistics.median(times[kind] / times[1] for times in rounds) for kind in range(len(kinds))]
    return max(over_clients) / min(over_clients)


def _core_seconds(base: PirBase, query: bytes) -> float:
    start = time.process_time()
    base.answer([query], 1)
    return time.process_time() - start


def _large(count: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds, _, base = _built(folder, count, 2)
        client = _client(folder, base.layout)
        query, _ = client.query(client.material(os.cpu_count() or 1), 0)
        size = base.layout.rows * base.layout.columns
        ratio, gain, seconds_1t = _kernel(base, query, 1)
        ratio_2t, _, seconds_2t = _kernel(base, query, 2)
    return [
        {"id": "pir_kernel_ratio", "value": round(ratio, 3), "unit": "of a plain read", "reach": 0.9},
        {
            "id": "pir_kernel_2t_ratio",
            "value": round(ratio_2t, 3),
            "unit": "of a plain read",
            "reach": 0.9,
        },
        {"id": "pir_batch8_gain", "value": round(gain, 2), "unit": "times", "reach": 1.3},
        {"id": "pir_kernel_gbs", "value": round(size / seconds_1t / 1e9, 2), "unit": "GB/s"},
        {"id": "pir_kernel_2t_gbs", "value": round(size / seconds_2t / 1e9, 2), "unit": "GB/s"},
        {"id": "pir_answer_10m_ms", "value": round(seconds_1t * 1e3, 1), "unit": "ms"},
        {"id": "pir_build_10m_s", "value": round(seconds, 1), "unit": "s"},
    ]


def _middle(count: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with _pinned(1):
            _, hint, _ = _built(folder, count, 1)
        seconds, hint_2t, base = _built(folder, count, 2)
        client = _client(folder, base.layout)
        with _pinned(1):
            material = statistics.median(_seconds(lambda: client.material(1)) for _ in range(RUNS))
        query, _ = client.query(client.material(os.cpu_count() or 1), 0)
        constant = _constant(base, query)
    return [
        {"id": "pir_query_constant_ratio", "value": round(constant, 3), "unit": "times"},
        {"id": "pir_hint_1m_s", "value": round(hint, 2), "unit": "s"},
        {"id": "pir_hint_1m_2t_s", "value": round(hint_2t, 2), "unit": "s"},
        {"id": "pir_build_1m_s", "value": round(seconds, 2), "unit": "s"},
        {"id": "pir_material_1m_ms", "value": round(material * 1e3, 1), "unit": "ms"},
    ]


def measure() -> list[dict[str, Any]]:
    """Needs 3 GB of memory and of disk; some two minutes."""
    large = int(os.environ.get("RECORDS", LARGE))
    return _large(large) + _middle(min(large, MIDDLE))
