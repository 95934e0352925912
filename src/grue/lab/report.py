"""What the lab's report is made from, read from the folder of a run."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from grue.errors import UsageError
from grue.exposure.lives import Answers, Life, Score, load, load_lines
from grue.exposure.records import CallDetail, Return
from grue.lab.seen import CAPTURES, read

Record = TypeVar("Record", bound=msgspec.Struct)


def answers_of(folder: Path, scores: Path | None = None, *, anew: bool = False) -> Answers:
    """As they were kept, or `anew` from the captures as they are; and scores over many lives. Raises UsageError."""
    found = read(folder) if anew else _load(folder / "answers.json", Answers)
    if scores is None:
        return found
    try:
        return msgspec.structs.replace(found, scores=msgspec.json.decode(scores.read_bytes(), type=list[Score]))
    except (OSError, msgspec.DecodeError):
        raise UsageError(f"{scores} holds no scores.") from None


def life_of(folder: Path) -> Life:
    """Raises UsageError."""
    return _load(folder / "life.json", Life)


def return_of(folder: Path) -> Return | None:
    """The classic directory's return, when it is there and whole."""
    try:
        return load(folder / "return.json", Return)
    except (OSError, msgspec.DecodeError):
        return None


def calls_of(folder: Path, target: str) -> list[CallDetail]:
    """The carrier's records about one number, as far as they go."""
    path = folder / CAPTURES / "carrier.jsonl.gz"
    if not path.exists():
        return []
    return [one for one in load_lines(path, CallDetail) if target in (one.sender, one.to)]


def cut_short(folder: Path) -> Iterator[str]:
    """Names of captures that end in the middle. Some 10 ms for each MB."""
    for path in sorted((folder / CAPTURES).glob("*.jsonl.gz")):
        if not _whole(path):
            yield path.name.removesuffix(".jsonl.gz")


def _whole(path: Path) -> bool:
    try:
        with gzip.open(path, "rb") as file:
            last = b"\n"
            while block := file.read(1 << 20):
                last = block[-1:]
    except (EOFError, OSError):
        return False
    return last == b"\n"


def _load(path: Path, kind: type[Record]) -> Record:
    try:
        return load(path, kind)
    except (OSError, msgspec.DecodeError):
        raise UsageError(f"{path} is not there, or is not what `grue lab life` writes.") from None
