"""The lab's report gets its material here, read from the folder of a run."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from grue.errors import UsageError
from grue.exposure.lives import Answers, Life, Score, load, load_lines
from grue.exposure.records import CallDetail, Return
from grue.lab.seen import KINDS, Kept, capture_file, read

RETURN: Final = "return"

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
    """The classic directory's return, when it is there and whole; `damages` says when it is not."""
    try:
        return load(folder / "return.json", Return)
    except (OSError, msgspec.DecodeError):
        return None


def calls_of(folder: Path, target: str) -> list[CallDetail]:
    """The carrier's records about one number, as far as they go."""
    path = capture_file(folder, "carrier")
    if not path.exists():
        return []
    return [one for one in load_lines(path, CallDetail) if target in (one.sender, one.to)]


@dataclass(frozen=True)
class Damage:
    """A file of a run that is not as it was written."""

    name: str
    """Of the capture; `return` for the classic directory's return."""
    missing: bool
    """It is not there at all; otherwise it was cut short, or changed."""

    def sentence(self, *, anew: bool) -> str:
        """What it means for a report that reads captures `anew`, or has the answers as they were kept."""
        if self.name == RETURN:
            return "The return is not there, or is broken: it is left out here. `grue lab life` writes it again."
        state = "is not there" if self.missing else "was cut short or changed"
        if not anew:
            before = "what follows was read from it before that. --anew reads what is left."
            return f"The capture {self.name} {state}: {before}"
        left = "nothing" if self.missing else "what is left"
        return f"The capture {self.name} {state}: what follows is from {left} of it."


def damages(folder: Path) -> Iterator[Damage]:
    """Of everything that a run writes, what is missing, cut short or changed since; by the sizes that it wrote down.

    Where those are gone too, each capture is read to its end: some 10 ms for each MB.
    """
    try:
        sizes = load(folder / "kept.json", Kept).captures
    except (OSError, msgspec.DecodeError):
        sizes = {}
    for name in KINDS:
        path = capture_file(folder, name)
        if not path.exists():
            yield Damage(name, missing=True)
        elif path.stat().st_size != sizes[name] if name in sizes else not _whole(path):
            yield Damage(name, missing=False)
    if return_of(folder) is None:
        yield Damage(RETURN, missing=not (folder / "return.json").exists())


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
