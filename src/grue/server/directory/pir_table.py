"""The table for private queries, on disk: it is built beside its base, and checked when it is opened.

In an epoch's folder: `packed`, mapped into memory to answer queries; `hint`, `fences` and `top`, which clients fetch.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Final

from msgspec.structs import replace

from grue._core import PirBase, PirBuilt, PirError, PirProgress, pir_build
from grue.errors import BadDirectory
from grue.protocol import wire
from grue.protocol.directory.directory import MAX_RECORDS, PRIVATE_FILES
from grue.protocol.directory.pir import PRIVATE_FROM, PRIVATE_TIER, PrivateFiles, PrivateTable, check_private_file
from grue.server.store.disk import sync_directory

PACKED: Final = "packed"
"""The matrix; only who answers queries has it."""

SEED_BYTES: Final = 16


@dataclass(frozen=True)
class Private:
    """One epoch's table, open."""

    base: PirBase
    files: Mapping[str, bytes]
    """Those of `PRIVATE_FILES`."""


def is_wanted(count: int, tier: int | None) -> bool:
    """Whether a base of so many records gets a table for private queries; `tier` is what the operator forces.

    Above `MAX_RECORDS` no client downloads the whole, so there is no choice.
    """
    if tier is None or count > MAX_RECORDS:
        return count >= PRIVATE_FROM
    return tier == PRIVATE_TIER


Told = Callable[[str, float], None]
"""Hears what is being done, and how much of it is done, from 0 to 1."""

TOLD_EVERY: Final = 0.2
"""Seconds between two words of how far a table is."""


@contextmanager
def telling(progress: PirProgress, tell: Told) -> Iterator[None]:
    """Say how far a table is that is being built meanwhile: `packing`, then `hint`. From a thread of its own."""
    done = Event()

    def say() -> None:
        phase, steps, of = progress.steps
        tell(phase, steps / of if of else 0.0)

    def poll() -> None:
        say()
        while not done.wait(TOLD_EVERY):
            say()
        say()

    teller = Thread(target=poll, daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


def build(folder: Path, progress: PirProgress, seed: bytes, slots: int | None = None) -> PirBuilt:
    """Build the table of a folder's `base` beside it; 5 s on two cores at a million records.

    Raises PirError, OSError.
    """
    built = pir_build(folder / "base", folder, seed, threads(), progress, slots)
    sync_directory(folder)
    return built


def threads() -> int:
    """How many a build uses."""
    return os.cpu_count() or 1


def described(manifest: wire.Manifest, built: PirBuilt) -> wire.Manifest:
    """The manifest with what clients have to know of the table."""
    return replace(
        manifest,
        pir=built.layout.to_bytes(),
        hint_hash=built.hint,
        fences_hash=built.fences,
        top_hash=built.top,
    )


def opened(folder: Path, manifest: wire.Manifest) -> Private | None:
    """The table in an epoch's folder, None if it has none. Raises BadDirectory, OSError.

    Clients' own checks (DIRECTORY-16, -17), and that `packed` has the same layout and is whole. Its bytes are not read:
    `grue directory verify` does that.
    """
    if not manifest.pir:
        return None
    files = {name: check_private_file(name, (folder / name).read_bytes(), manifest) for name in PRIVATE_FILES}
    layout = PrivateTable(manifest, PrivateFiles(**files)).layout
    try:
        base = PirBase.open(folder / PACKED)
    except PirError:
        raise BadDirectory("(packed: refused)") from None
    if base.layout.to_bytes() != layout.to_bytes():
        raise BadDirectory("(packed: another layout)")
    return Private(base, files)
