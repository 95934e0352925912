"""The mirror: a replica's copy of a directory's files, checked as clients check them, and the table built of it.

On disk, under DATA/directory, as a server has them: `<epoch>/manifest`, `<epoch>/head` (the first one that named it),
`<epoch>/base`, and the table for private queries. A folder has its number once everything in it is checked, and not
before. There is nothing here that could not be fetched again: what does not check is thrown away.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from grue._core import PirBase, PirError, PirLayout, PirProgress
from grue.errors import BadDirectory, VerificationFailed
from grue.protocol.directory import directory
from grue.protocol.directory.directory import Head, Manifest, UnverifiedHead, UnverifiedManifest
from grue.server.directory import base, pir_table
from grue.server.directory.pir_table import Private
from grue.server.store.disk import sync_directory, sync_file, write_file, writing

DIRECTORY: Final = "directory"

KEPT_EPOCHS: Final = 2
"""The present one and the one before, which lookups may be in the middle of: as many as a server answers for."""

_NEW: Final = ".new-"


@dataclass(frozen=True)
class Epoch:
    """One epoch, checked and open."""

    manifest: Manifest
    head: Head
    private: Private | None
    """None where the directory is so small that there is no table."""


class Mirror:
    """One process's copy. `add` and `tidy` may run in a thread; what is read by others is replaced whole."""

    def __init__(self, data: Path, server_public: bytes) -> None:
        """Take what is there and checks: the newest epochs. Raises DiskFull, OSError."""
        self._path = data / DIRECTORY
        self._server_public = server_public
        self._progress = PirProgress()
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._epochs: dict[int, Epoch] = {}
        for epoch in self._stored()[-KEPT_EPOCHS:]:
            opened = self._opened(epoch)
            if opened is not None:
                self._epochs[epoch] = opened
        self._tidy()

    @property
    def present(self) -> Epoch | None:
        """The newest epoch; None before the first one has come."""
        return self._epochs[max(self._epochs)] if self._epochs else None

    def private_base(self, epoch: int) -> PirBase | None:
        """What answers queries for an epoch, if it is here and has a table."""
        found = self._epochs.get(epoch)
        return None if found is None or found.private is None else found.private.base

    def file(self, path: str) -> Path | None:
        """Where a public file lies that is here and never changes; None for any other."""
        parsed = directory.parse_path(path)
        if parsed is None or parsed[0] not in self._epochs or "/" in parsed[1]:
            return None
        file = self._path / str(parsed[0]) / parsed[1]
        return file if file.is_file() else None

    def incoming(self, epoch: int) -> Path:
        """Where the base of an epoch to come is put as it comes; what came of it before is there still."""
        folder = self._path / f"{_NEW}{epoch}"
        for other in self._path.glob(f"{_NEW}*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder / "base"

    def stop(self) -> None:
        """Let a table that is being built be given up, in about a second, and none be begun; for any thread."""
        self._progress.stop()

    def drop_incoming(self) -> None:
        """What came is no good, or there is no room for it."""
        for folder in self._path.glob(f"{_NEW}*"):
            shutil.rmtree(folder, ignore_errors=True)

    def add(self, manifest: Manifest, head: Head) -> Epoch:
        """Check the base that came, build the table of it, and have both answer from now on.

        Whatever it raises, what is here stays as it is; so it does once `stop` was called.

        REPLICA-03 the base is the manifest's: DIRECTORY-09 to -11. Raises BadDirectory.
        REPLICA-04 so is the table that is made of it, file by file. Raises BadDirectory, PirError, DiskFull, OSError.
        """
        epoch = manifest.contents.epoch
        folder = self.incoming(epoch).parent
        with writing():
            _check_base(folder, manifest)
            sync_file(folder / "base")
            self._build(folder, manifest)
            write_file(folder / "manifest", manifest.file)
            write_file(folder / "head", head.file)
            sync_directory(folder)
            # One that is there did not check, or it would be the present one.
            shutil.rmtree(self._path / str(epoch), ignore_errors=True)
            folder.rename(self._path / str(epoch))
            sync_directory(self._path)
        added = Epoch(manifest, head, pir_table.opened(self._path / str(epoch), manifest.contents))
        before = {n: one for n, one in self._epochs.items() if n < epoch}
        newest = sorted(before)[1 - KEPT_EPOCHS :]
        # At once, for whoever asks: REPLICA-05.
        self._epochs = {n: before[n] for n in newest} | {epoch: added}
        self._tidy()
        return added

    def _build(self, folder: Path, manifest: Manifest) -> None:
        """From the seed that the signed layout names, so that every byte has to be the server's."""
        if not manifest.contents.pir:
            return
        layout = PirLayout.from_bytes(manifest.contents.pir)
        built = pir_table.build(folder, self._progress, layout.seed, layout.slots)
        if pir_table.described(manifest.contents, built) != manifest.contents:
            raise BadDirectory("(a table of other records than the base's)")

    def _stored(self) -> list[int]:
        return sorted(int(path.name) for path in self._path.iterdir() if path.name.isdecimal())

    def _opened(self, epoch: int) -> Epoch | None:
        """REPLICA-06: an epoch as it was left, with the checks of a server's start; None when any of them fails."""
        folder = self._path / str(epoch)
        try:
            manifest = UnverifiedManifest((folder / "manifest").read_bytes()).verify(self._server_public)
            head = UnverifiedHead((folder / "head").read_bytes()).verify(self._server_public)
            directory.check_manifest(manifest, head)
            _check_base(folder, manifest)
            return Epoch(manifest, head, pir_table.opened(folder, manifest.contents))
        except (VerificationFailed, PirError, OSError):
            return None

    def _tidy(self) -> None:
        for epoch in self._stored():
            if epoch not in self._epochs:
                shutil.rmtree(self._path / str(epoch), ignore_errors=True)


def _check_base(folder: Path, manifest: Manifest) -> None:
    path = folder / "base"
    directory.check_records(base.pieces(path), path.stat().st_size, manifest)
