"""A life, played and read: captures to files, sightings to the analyst, answers for a report; also over many seeds."""

import asyncio
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from grue.errors import UsageError
from grue.exposure.analyst import answers, brief, hops, of_target, scores
from grue.exposure.captures import RELAYED, Event
from grue.exposure.decode import names
from grue.exposure.lives import (
    Answer,
    Answers,
    Brief,
    Kind,
    Life,
    Score,
    Shown,
    Sighting,
    View,
    load,
    load_lines,
    save,
    save_lines,
)
from grue.exposure.lives import Event as Happening
from grue.exposure.records import Asked, CallDetail, Held, Passed
from grue.exposure.views import from_both, from_carrier, from_relay, from_rest, from_return, from_server
from grue.lab.life import YEAR, Shape, generate
from grue.lab.play import GrueTapes, play_classic, play_grue, play_telephone, quick_folder
from grue.lab.taps import STREAM

CAPTURES: Final = "captures"

Record = TypeVar("Record", bound=msgspec.Struct)

DIRECTORY: Final = frozenset({"Evaluate", "Evaluated", "RegisterFinish", "CheckIn"})
"""What the directory is given, of all that the server is."""
TOKENS: Final = frozenset({"DrawTokens", "Drawn"})
"""What the token issuer is given; tokens that are spent lie in the requests that they pay for."""


class Tags(msgspec.Struct, frozen=True):
    """`tags.json`: what the directory's key makes of `account.phone_tag`."""

    numbers: dict[str, str]


def make(seed: int, folder: Path, shape: Shape = YEAR) -> Answers:
    """Generate a life, play it through all three systems, and write everything to a folder that is new or empty.

    Uses two processes. Raises UsageError.
    """
    life = generate(seed, shape)
    _prepare(folder)
    save(folder / "life.json", life)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        ways = [pool.submit(_way, life, folder, oblivious) for oblivious in (False, True)]
        shown = [_classic(life, folder), _carrier(life, folder), *(one for way in ways for one in way.result())]
    return _kept(folder, life, shown)


def read(folder: Path) -> Answers:
    """The same answers from the captures in a folder, as far as each goes: one that was cut short says less.

    Raises UsageError when there is no life.
    """
    try:
        life = load(folder / "life.json", Life)
        tags = load(folder / "tags.json", Tags)
    except (OSError, msgspec.DecodeError):
        raise UsageError(f"{folder} holds no life.") from None
    told, where = brief(life), folder / CAPTURES
    tapes = _Files(where)
    found = {
        View.CLASSIC: tapes.read("classic", Asked, from_return),
        View.CARRIER: tapes.read("carrier", CallDetail, from_carrier),
        View.REST: tapes.read("rest", Held, lambda rows: from_rest(rows, tags.numbers)),
        View.DIRECT: tapes.read("live-direct", Event, from_server),
        View.OBLIVIOUS: tapes.read("live-oblivious", Event, from_server),
        View.RELAY: tapes.read("relay", Passed, lambda passed: from_relay(passed, _subscribers(life))),
        View.COLLUDING: tapes.both(),
    }
    _, chained = tapes.read("classic-chained", Asked, from_return)
    others = {View.CLASSIC: chained}
    return Answers(told, [_shown(view, *one, told, life, others.get(view, ())) for view, one in found.items()])


class _Files:
    """Captures in a folder."""

    def __init__(self, where: Path) -> None:
        self._where = where

    def lines(self, name: str, kind: type[Record]) -> list[Record]:
        path = self._where / f"{name}.jsonl.gz"
        return list(load_lines(path, kind)) if path.exists() else []

    def read(
        self, name: str, kind: type[Record], view: Callable[[list[Record]], list[Sighting]]
    ) -> tuple[int, list[Sighting]]:
        records = self.lines(name, kind)
        return len(records), view(records)

    def both(self) -> tuple[int, list[Sighting]]:
        events, passed = self.lines("live-oblivious", Event), self.lines("relay", Passed)
        return len(events) + len(passed), from_both(events, passed)


# --- one life -------------------------------------------------------------------------------------


def _prepare(folder: Path) -> None:
    try:
        (folder / CAPTURES).mkdir(parents=True, exist_ok=True)
    except OSError:
        raise UsageError(f"{folder} cannot hold a life.") from None
    for old in (folder / "classic.db", folder / "classic.db-wal", folder / "classic.db-shm"):
        old.unlink(missing_ok=True)


def _kept(folder: Path, life: Life, shown: Sequence[Shown]) -> Answers:
    order = list(View)
    whole = Answers(brief(life), sorted(shown, key=lambda one: order.index(one.view)))
    save(folder / "answers.json", whole)
    return whole


def _shown(
    view: View, records: int, sightings: list[Sighting], told: Brief, life: Life, others: Iterable[Sighting] = ()
) -> Shown:
    """`others` are sightings that answer nothing about the target, and show whom its contacts know."""
    answered = answers(view, sightings, told, life)
    return Shown(view, records, of_target(sightings, told), answered, hops(sightings, told, others))


def _classic(life: Life, folder: Path) -> Shown:
    with quick_folder() as quick:
        tapes = play_classic(life, quick / "classic.db")
        shutil.copyfile(quick / "classic.db", folder / "classic.db")
    records = tapes.returned.records()
    chained = [record for one in tapes.chained for record in one.records()]
    save(folder / "return.json", tapes.returned)
    save_lines(folder / CAPTURES / "classic.jsonl.gz", records)
    save_lines(folder / CAPTURES / "classic-chained.jsonl.gz", chained)
    return _shown(View.CLASSIC, len(records), from_return(records), brief(life), life, from_return(chained))


def _carrier(life: Life, folder: Path) -> Shown:
    tapes = play_telephone(life)
    where = folder / CAPTURES
    save_lines(where / "carrier.jsonl.gz", tapes.records)
    save_lines(where / "dialled.jsonl.gz", tapes.dialled)
    save_lines(where / "radio.jsonl.gz", tapes.heard)
    save_lines(where / "contact.jsonl.gz", _told_to(life, life.closest))
    return _shown(View.CARRIER, len(tapes.records), from_carrier(tapes.records), brief(life), life)


def _told_to(life: Life, number: str) -> Iterator[Happening]:
    """What one contact was given: what was written to it, and by whom."""
    return (event for event in life.events if event.kind is Kind.TEXT and event.whom == number)


def _way(life: Life, folder: Path | None, oblivious: bool) -> list[Shown]:
    """One way through Grue: what its observers were given, into files where wanted, and what they make of it."""
    played = asyncio.run(play_grue(life, oblivious=oblivious))
    if folder is not None:
        _save_way(played, folder, oblivious)
    return list(_views(life, played, oblivious))


def _views(life: Life, played: GrueTapes, oblivious: bool) -> Iterator[Shown]:
    told, tapes = brief(life), played.tapes
    if not oblivious:
        yield _shown(View.REST, len(played.rest), from_rest(played.rest, played.tags), told, life)
        yield _shown(View.DIRECT, len(tapes.server), from_server(tapes.server), told, life)
        return
    yield _shown(View.OBLIVIOUS, len(tapes.server), from_server(tapes.server), told, life)
    yield _shown(View.RELAY, len(tapes.relay), from_relay(tapes.relay, _subscribers(life)), told, life)
    both = from_both(tapes.server, tapes.relay)
    yield _shown(View.COLLUDING, len(tapes.server) + len(tapes.relay), both, told, life)


def _save_way(played: GrueTapes, folder: Path, oblivious: bool) -> None:
    tapes, where = played.tapes, folder / CAPTURES
    if oblivious:
        save_lines(where / "live-oblivious.jsonl.gz", tapes.server)
        save_lines(where / "gateway.jsonl.gz", (event for event in tapes.server if event.address == RELAYED))
        save_lines(where / "relay.jsonl.gz", tapes.relay)
        return
    save_lines(where / "live-direct.jsonl.gz", tapes.server)
    save_lines(where / "directory.jsonl.gz", _given(tapes.server, DIRECTORY))
    save_lines(where / "tokens.jsonl.gz", _given(tapes.server, TOKENS))
    save_lines(where / "sms-gateway.jsonl.gz", played.submitted)
    save_lines(where / "network.jsonl.gz", tapes.network)
    save_lines(where / "rest.jsonl.gz", played.rest)
    save(folder / "tags.json", Tags(played.tags))


def _given(events: Iterable[Event], kinds: frozenset[str]) -> Iterator[Event]:
    # Streams carry neither, and are most of all.
    return (event for event in events if event.where != STREAM and names(event) in kinds)


def _subscribers(life: Life) -> dict[str, str]:
    """Whose an address is, as access providers say: homes, and wherever the subject was."""
    return {one.address: one.number for one in life.people} | {stay.address: life.subject for stay in life.stays}


# --- many lives -----------------------------------------------------------------------------------


def over_seeds(seeds: Sequence[int], shape: Shape) -> list[Score]:
    """Every view's answers over many lives, on two processes. Raises UsageError."""
    shape.check()
    if not seeds:
        raise UsageError("At least one seed has to be played.")
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        return scores(pool.map(_answers_of, seeds, repeat(shape)))


def _answers_of(seed: int, shape: Shape) -> list[Answer]:
    life = generate(seed, shape)
    told = brief(life)
    returned, records = play_classic(life).returned.records(), play_telephone(life).records
    shown = [
        _shown(View.CLASSIC, len(returned), from_return(returned), told, life),
        _shown(View.CARRIER, len(records), from_carrier(records), told, life),
    ]
    shown += [one for oblivious in (False, True) for one in _way(life, None, oblivious)]
    return [answer for one in shown for answer in one.answers]
