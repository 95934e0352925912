"""Scan what a server keeps, with the keys that the server has: the strongest reader of its disk that there is."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from grue._core import OprfError, OprfKey
from grue.errors import UsageError
from grue.exposure.scan import TAG, Canary, Derive, Hit, Scanner, Secrets, Together
from grue.exposure.surfaces import Surface, of_directory, of_file, of_image, of_memory
from grue.protocol.record import derive
from grue.server.keys import DIRECTORY_KEY

KEY_BYTES: Final = 32
"""Bytes of each key in a key file."""


def secrets_of(data: Path, more: Mapping[str, bytes] | None = None) -> Secrets:
    """Every key in the key files of a server's data, and what the directory's key makes of a text.

    A key file is taken without its first line: whole, and in parts of 32 bytes. `more` are keys that are stored
    nowhere, by their names; those of a PRF are used as such too. Raises UsageError without any.
    """
    keys: dict[str, bytes] = {}
    for path in sorted(data.glob("*.key")):
        contents = path.read_bytes()
        keys |= _keys_in(path.name, contents.partition(b"\n")[2] or contents)
    keys |= more or {}
    if not keys:
        raise UsageError(f"There is no key file in {data}.")
    return Secrets(
        keys,
        _deriving({name: key for name, key in keys.items() if name.startswith(DIRECTORY_KEY) or name in (more or {})}),
    )


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

    Some 0.1 s for every megabyte. Raises UsageError for a place that is not there, PermissionError for a process
    that one may not trace.
    """
    return Scanner(canaries, secrets, together).scan(surfaces(places, process))


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
