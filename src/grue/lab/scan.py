"""The scanner reads what a server keeps with the keys that the server has: no reader of its disk is stronger."""

import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, cast

import apsw
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from grue._core import OprfError, OprfKey
from grue.errors import BadRequest, UsageError
from grue.exposure.scanner.scan import Canary, Derive, Hit, Label, Scanner, Secrets, Together
from grue.exposure.scanner.snapshot import opened, snapshot
from grue.exposure.scanner.surfaces import ASKED, COUNTED, TAG, Surface, of_directory, of_file, of_image, of_memory
from grue.protocol import wire
from grue.protocol.directory.record import derive
from grue.protocol.registration import CODE_WINDOW
from grue.server.accounts.codes import NAME_BYTES, code_input, counted_input, sent_input
from grue.server.keys.keys import DIRECTORY, DIRECTORY_KEY, SERVER_KEY, Keys
from grue.server.store.files import DATABASE

KEY_BYTES: Final = 32
"""Bytes of each key in a key file."""


def secrets_of(data: Path, more: Mapping[str, bytes] | None = None, moments: Iterable[float] = ()) -> Secrets:
    """Every key in the key files of a server's data, and what the server makes of a number with them.

    A key file is taken without its first line: whole, and in parts of 32 bytes. To them come the keys of tokens, which
    are derived and stored nowhere, of all epochs in the directory's manifests. `more` are further keys by their names;
    those of a PRF are used as such too. `moments`, in Unix seconds, are when a code may have been asked for: the time
    is in its MAC. Raises UsageError without any key.
    """
    keys: dict[str, bytes] = {}
    for path in sorted(data.glob("*.key")):
        contents = path.read_bytes()
        keys |= _keys_in(path.name, contents.partition(b"\n")[2] or contents)
    derived = {**_token_keys(data), **(more or {})}
    keys |= derived
    if not keys:
        raise UsageError(f"There is no key file in {data}.")
    derive = _deriving({name: key for name, key in keys.items() if name.startswith(DIRECTORY_KEY) or name in derived})
    label, code_key = _labelling(data, derive, windows_of(moments)), _code_key(data)
    return Secrets(keys, lambda text: derive(text) | _names(data, code_key, derive, text), label)


def windows_of(moments: Iterable[float]) -> list[int]:
    """In which windows of codes these moments are, with those beside them."""
    return sorted({int(at) // CODE_WINDOW + beside for at in moments for beside in (-1, 0, 1)})


def _token_keys(data: Path) -> dict[str, bytes]:
    """The keys of tokens that the directory has published, by purpose and epoch."""
    seed = _code_key(data)
    if seed is None:
        return {}
    keys = Keys(Ed25519PrivateKey.generate(), seed, OprfKey.generate())
    published = [key for path in (data / DIRECTORY).glob("*/manifest") for key in _published(path)]
    return {f"{one.purpose} {one.epoch}": keys.token_key(one.purpose, one.epoch).to_bytes() for one in published}


def _code_key(data: Path) -> bytes | None:
    """The key that codes are made with, if it is there."""
    path = data / SERVER_KEY
    key = path.read_bytes().partition(b"\n")[2][KEY_BYTES:] if path.exists() else b""
    return key if len(key) == KEY_BYTES else None


def _published(manifest: Path) -> list[wire.TokenKey]:
    """Those in a manifest, whoever signed it."""
    with suppress(BadRequest, FileNotFoundError):
        return wire.MANIFEST.decode(wire.SIGNED_FILE.decode(manifest.read_bytes()).body).token_keys
    return []


def _names(data: Path, key: bytes | None, derive: Derive, text: str) -> dict[str, bytes]:
    """Under which names `server/accounts/codes.py` notes a number's codes, if its key is there."""
    if key is None:
        return {}
    inputs = {COUNTED: counted_input(text)}
    for identity in _identities(data, derive(text).get(TAG)):
        inputs[ASKED] = sent_input(text, identity)
    return {form: hmac.digest(key, one, "sha256")[:NAME_BYTES] for form, one in inputs.items()}


def _labelling(data: Path, derive: Derive, windows: Sequence[int]) -> Label:
    """What `server/accounts/codes.py` makes MACs of for a number: names that codes are noted under, and codes."""

    def made(text: str) -> list[bytes]:
        identities = _identities(data, derive(text).get(TAG))
        names = [counted_input(text), *(sent_input(text, one) for one in identities)]
        return [*names, *(code_input(text, one, window) for one in identities for window in windows)]

    return made


def _identities(data: Path, tag: bytes | None) -> list[bytes]:
    """The identity key of the account that has a number."""
    if tag is None or not (data / DATABASE).exists():
        return []
    # A table with that name may be of another's making.
    with opened(snapshot(data / DATABASE)) as connection, suppress(apsw.SQLError):
        rows = connection.execute("SELECT identity_pub FROM account WHERE phone_tag = ?", (tag,)).fetchall()
        return [cast("bytes", row[0]) for row in rows]
    return []


def _keys_in(name: str, body: bytes) -> dict[str, bytes]:
    if len(body) <= KEY_BYTES:
        return {name: body}
    parts = range(0, len(body) - KEY_BYTES + 1, KEY_BYTES)
    return {f"{name}, whole": body, **{f"{name}, key {at // KEY_BYTES + 1}": body[at : at + KEY_BYTES] for at in parts}}


def _deriving(candidates: Mapping[str, bytes]) -> Derive:
    """The PRF's output and what comes from it, as the server makes them of a number."""
    keys = {name: key for name, one in candidates.items() if (key := _oprf(one)) is not None}

    def made(text: str) -> dict[str, bytes]:
        out: dict[str, bytes] = {}
        for name, key in keys.items():
            (output,) = key.output([text.encode()])
            record = derive(output)
            out |= {f"the output of {name}": output, f"the record's key of {name}": record.key}
            out[TAG if name.startswith(DIRECTORY_KEY) else f"the tag of {name}"] = record.tag
        return out

    return made


def _oprf(key: bytes) -> OprfKey | None:
    try:
        return OprfKey.from_bytes(key)
    except (OprfError, ValueError):
        return None


def scan(
    places: Sequence[Path],
    canaries: Iterable[Canary],
    secrets: Secrets | None = None,
    *,
    together: Iterable[Together] = (),
    process: int | None = None,
) -> list[Hit]:
    """Look for the canaries in directories, files and block devices, and in a process's memory.

    Some 0.2 s for every megabyte. Raises UsageError for a place that is not there, PermissionError for a process
    that one may not trace.
    """
    return scan_all(places, canaries, secrets, together=together, process=process).hits


class Scan(NamedTuple):
    """What came of a scan."""

    hits: list[Hit]
    unopened: list[str]
    """Packed streams that were met and could not be opened: what is in them was not looked at."""


def scan_all(
    places: Sequence[Path],
    canaries: Iterable[Canary],
    secrets: Secrets | None = None,
    *,
    together: Iterable[Together] = (),
    process: int | None = None,
) -> Scan:
    """The same as `scan`, and what it could not look into."""
    scanner = Scanner(canaries, secrets, together)
    hits = scanner.scan(surfaces(places, process))
    return Scan(hits, list(scanner.unopened))


def surfaces(places: Iterable[Path], process: int | None = None) -> Iterator[Surface]:
    """All that lies in these places."""
    for place in places:
        if place.is_dir():
            yield from of_directory(place)
        elif place.is_block_device() or place.suffix in (".img", ".raw"):
            yield from of_image(place)
        elif place.is_file():
            yield from of_file(place, place.name)
        else:
            raise UsageError(f"There is nothing at {place}.")
    if process is not None:
        yield from of_memory(process)
