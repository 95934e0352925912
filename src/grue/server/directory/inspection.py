"""The operator's tools for a directory's files: make them anew, list them, check them against each other.

`build` needs the directory to itself. `inspect` and `verify` read, and may do so beside a running server.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Final

from grue._core import PirError, PirLayout, pir_build
from grue.errors import BadDirectory, BadManifest, BadRequest, CorruptDatabase, GrueError, UsageError
from grue.protocol import wire
from grue.protocol.directory import directory
from grue.protocol.directory.directory import HEAD_PATH, PRIVATE_FILES, Manifest, UnverifiedHead, UnverifiedManifest
from grue.protocol.directory.pir import PRIVATE_TIER, TABLE_TIER
from grue.protocol.directory.record import RECORD_BYTES
from grue.server.directory import base, pir_table
from grue.server.directory.directory import Directory
from grue.server.directory.pir_table import Told
from grue.server.keys.keys import DIRECTORY, open_keys
from grue.server.store.files import locked

FILES: Final = ("manifest", "base", "overlay", pir_table.PACKED, *PRIVATE_FILES)
"""Those of an epoch, in the order in which they are listed."""


@dataclass(frozen=True)
class Epoch:
    """One epoch's files."""

    epoch: int
    count: int
    """Records of its base."""
    tier: int
    """The highest that clients can be of."""
    manifest_hash: bytes
    merkle_root: bytes
    sizes: dict[str, int]
    """Bytes of each file that is there."""
    hashes: dict[str, bytes]
    """SHA-256 of each."""


@dataclass(frozen=True)
class Finding:
    """What was found of one file."""

    epoch: int
    file: str
    fault: GrueError | None


def build(data: Path, directory_key: Path | None, tell: Told) -> Epoch:
    """Make a new base of a directory that no server runs on; returns its epoch.

    tell    hears how far it is: `checking`, `merging`, `packing`, `hint` (as `Directory` has them), then `hashing`

    Raises UsageError (no directory, or in use), CorruptDatabase, DiskFull.
    """
    _folder(data)
    with locked(data):
        try:
            opened = Directory(data, open_keys(data, directory_key), tell=tell)
            if not opened.renewed:
                opened.renew()
        except PirError as error:
            raise CorruptDatabase(f"({error})") from None
        return _epoch(data / DIRECTORY / str(opened.manifest.epoch), tell)


def inspect(data: Path) -> list[Epoch]:
    """All epochs that are kept, oldest first; reads every file once. Raises UsageError, CorruptDatabase."""
    return [_epoch(folder) for folder in _epochs(data)]


def verify(data: Path) -> Iterator[Finding]:
    """Make every root and hash again from the files, table for private queries included, and compare.

    As long as building takes, with as much room for temporary files. Raises UsageError.
    """
    server_public = open_keys(data).server_public if _folder(data) else b""
    epochs = _epochs(data)
    for folder in epochs:
        yield from _verified(folder, server_public)
    head = _finding(epochs[-1], HEAD_PATH, lambda: _check_head(data / DIRECTORY, server_public))
    yield head


def _verified(folder: Path, server_public: bytes) -> Iterator[Finding]:
    manifests: list[Manifest] = []

    def manifest() -> None:
        manifests.append(UnverifiedManifest((folder / "manifest").read_bytes()).verify(server_public))
        if str(manifests[0].contents.epoch) != folder.name:
            raise BadManifest("(of another epoch)")

    yield _finding(folder, "manifest", manifest)
    if manifests:
        (found,) = manifests
        records = _finding(folder, "base", lambda: base.checked(folder / "base", found))
        yield records
        if found.contents.pir and records.fault is None:
            yield from _verified_table(folder, found.contents)


def _verified_table(folder: Path, manifest: wire.Manifest) -> Iterator[Finding]:
    """Build the table again, from its seed, and compare every file."""
    layout = PirLayout.from_bytes(manifest.pir)
    with tempfile.TemporaryDirectory(prefix="grue-verify-") as again:
        built = pir_build(folder / "base", again, layout.seed, pir_table.threads(), None, layout.slots)
    signed = {"hint": manifest.hint_hash, "fences": manifest.fences_hash, "top": manifest.top_hash}
    right = {pir_table.PACKED: built.packed, "hint": built.hint, "fences": built.fences, "top": built.top}
    if built.layout.to_bytes() != manifest.pir:
        yield Finding(manifest.epoch, "manifest", BadDirectory("(a table of other records than the base's)"))
    for name, expected in right.items():
        yield _finding(folder, name, lambda name=name, expected=expected: _check_file(folder / name, expected))  # type: ignore[misc]
        if signed.get(name, expected) != expected:
            yield Finding(manifest.epoch, "manifest", BadDirectory(f"({name}: the manifest has another hash)"))


def _check_file(path: Path, expected: bytes) -> None:
    if _hash(path) != expected:
        raise BadDirectory(f"({path.name}: another hash)")


def _check_head(path: Path, server_public: bytes) -> None:
    """The head names its epoch's manifest, and the overlay has what it says; more is what a crash left behind it."""
    head = UnverifiedHead((path / HEAD_PATH).read_bytes()).verify(server_public)
    folder = path / str(head.contents.epoch)
    directory.check_manifest(UnverifiedManifest((folder / "manifest").read_bytes()).verify(server_public), head)
    directory.check_overlay((folder / "overlay").read_bytes()[: head.contents.length * RECORD_BYTES], head)


def _finding(folder: Path, file: str, check: Callable[[], object]) -> Finding:
    try:
        check()
    except GrueError as error:
        return Finding(int(folder.name), file, error)
    except OSError:
        return Finding(int(folder.name), file, BadDirectory(f"({file}: cannot be read)"))
    return Finding(int(folder.name), file, None)


def _epoch(folder: Path, tell: Told = lambda _phase, _part: None) -> Epoch:
    try:
        signed = wire.SIGNED_FILE.decode((folder / "manifest").read_bytes())
        manifest = wire.MANIFEST.decode(signed.body)
    except (BadRequest, OSError):
        raise CorruptDatabase(f"(the manifest of {folder} cannot be read)") from None
    sizes = {name: (folder / name).stat().st_size for name in FILES if (folder / name).is_file()}
    return Epoch(
        epoch=manifest.epoch,
        count=manifest.count,
        tier=PRIVATE_TIER if manifest.pir else TABLE_TIER,
        manifest_hash=sha256(signed.body).digest(),
        merkle_root=manifest.merkle_root,
        sizes=sizes,
        hashes=dict(_hashes(folder, sizes, tell)),
    )


def _hashes(folder: Path, sizes: dict[str, int], tell: Told) -> Iterator[tuple[str, bytes]]:
    done = 0
    for name, size in sizes.items():
        tell("hashing", done / sum(sizes.values()))
        yield name, _hash(folder / name)
        done += size
    tell("hashing", 1.0)


def _hash(path: Path) -> bytes:
    with path.open("rb") as file:
        return file_digest(file, "sha256").digest()


def _folder(data: Path) -> Path:
    if not (data / DIRECTORY).is_dir():
        raise UsageError("There is no server's directory in that place.")
    return data / DIRECTORY


def _epochs(data: Path) -> list[Path]:
    found = [path for path in _folder(data).iterdir() if path.name.isdecimal()]
    if not found:
        raise CorruptDatabase("(the directory has no epoch)")
    return sorted(found, key=lambda path: int(path.name))
