"""A life is played and read: captures go to files, sightings to the analyst, answers to a report."""

import asyncio
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from grue.errors import UsageError
from grue.exposure.analyst import answers, brief, hops, of_target, scores
from grue.exposure.captures import RELAYED, Event
from grue.exposure.decode import names
from grue.exposure.lives import (
    DAY,
    Answer,
    Answers,
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
from grue.exposure.records import Asked, CallDetail, Delivered, Dialled, Heard, Held, Names, Passed
from grue.exposure.views import (
    from_both,
    from_carrier,
    from_contact,
    from_network,
    from_radio,
    from_recorder,
    from_relay,
    from_rest,
    from_return,
    from_server,
)
from grue.lab.classic import KEPT_DAYS, check_kept
from grue.lab.life import YEAR, Shape, generate
from grue.lab.play import STEP_DAYS, ClassicTapes, GrueTapes, memory_folder, play_classic, play_grue
from grue.lab.taps import STREAM

CAPTURES: Final = "captures"

WAYS: Final = ("direct", "oblivious")
"""The two ways through Grue, each with a server of its own."""

KINDS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "classic": Asked,
    "classic-chained": Asked,
    "carrier": CallDetail,
    "dialled": Dialled,
    "radio": Heard,
    "sms-gateway": CallDetail,
    "rest": Held,
    "live-direct": Event,
    "live-oblivious": Event,
    "directory": Event,
    "tokens": Event,
    "gateway": Event,
    "relay": Passed,
    "network": Passed,
    "network-oblivious": Passed,
    "contact": Delivered,
}
"""Every capture of a run, `captures/NAME.jsonl.gz`, and what a line of it is."""

DAILY: Final = "rest-daily"
"""Like `rest`, for every day: no file, and there in lives that are scored."""

DIRECTORY: Final = frozenset({"Evaluate", "Evaluated", "RegisterFinish", "CheckIn"})
"""What the directory is given, of all that the server is."""
TOKENS: Final = frozenset({"DrawTokens", "Drawn"})
"""What the token issuer is given; tokens that are spent lie in the requests that they pay for."""

WEEK_DAYS: Final = 7
"""Days between two looks at a server's disk, in lives that are scored: one of four weeks is looked at five times."""


class Kept(msgspec.Struct, frozen=True):
    """`kept.json`: what a run wrote, so that what is cut short or taken away later is noticed."""

    captures: dict[str, int]
    """Bytes of each capture's file, by its name."""


Captures: TypeAlias = Mapping[str, Sequence[Any]]
"""Records of `KINDS`, by the name of the capture."""


def make(seed: int, folder: Path, shape: Shape = YEAR, *, kept_days: int = KEPT_DAYS) -> Answers:
    """Generate a life, play it through all three systems, and write everything to a folder that is new or empty.

    The classic directory keeps its log for `kept_days`. Uses two processes. Raises UsageError.
    """
    check_kept(kept_days)
    life = generate(seed, shape)
    _prepare(folder)
    save(folder / "life.json", life)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        ways = [pool.submit(_way_kept, life, folder, oblivious) for oblivious in (False, True)]
        shown = [*_classic_kept(life, folder, kept_days), *(one for way in ways for one in way.result())]
    order = list(View)
    whole = Answers(brief(life), sorted(shown, key=lambda one: order.index(one.view)))
    save(folder / "answers.json", whole)
    save(folder / "kept.json", Kept({name: capture_file(folder, name).stat().st_size for name in KINDS}))
    return whole


def read(folder: Path) -> Answers:
    """The same answers from the captures in a folder, as far as each goes: one that was cut short says less.

    Raises UsageError when there is no life.
    """
    try:
        life = load(folder / "life.json", Life)
        direct, oblivious = (load(folder / f"names-{way}.json", Names) for way in WAYS)
    except (OSError, msgspec.DecodeError):
        raise UsageError(f"{folder} holds no life.") from None
    shown: list[Shown] = []
    for view, reading in _readings(life, direct.with_those_of(oblivious)).items():
        if KINDS.keys() >= set(reading.every()):
            captures = {name: _lines(folder, name) for name in reading.every()}
            shown.append(_shown(view, reading, captures, life))
    return Answers(brief(life), shown)


def capture_file(folder: Path, name: str) -> Path:
    """Where a run has the capture of that name."""
    return folder / CAPTURES / f"{name}.jsonl.gz"


def _lines(folder: Path, name: str) -> list[msgspec.Struct]:
    path = capture_file(folder, name)
    return list(load_lines(path, KINDS[name])) if path.exists() else []


def _prepare(folder: Path) -> None:
    try:
        (folder / CAPTURES).mkdir(parents=True, exist_ok=True)
    except OSError:
        raise UsageError(f"{folder} cannot hold a life.") from None
    for old in (folder / "classic.db", folder / "classic.db-wal", folder / "classic.db-shm"):
        old.unlink(missing_ok=True)


# --- from captures to answers ---------------------------------------------------------------------


@dataclass(frozen=True)
class _Reading:
    """How one view is read."""

    names: tuple[str, ...]
    """Of the captures that it holds."""
    read: Callable[..., list[Sighting]]
    """From their records to sightings."""
    chained: tuple[str, ...] = ()
    """Captures that answer nothing about the target, and show whom its contacts know; read in the same way."""

    def every(self) -> tuple[str, ...]:
        return self.names + self.chained


def _readings(life: Life, known: Names) -> dict[View, _Reading]:
    """Every view, in their order. Each is read with that observer's knowledge and no more."""
    subscribers = _subscribers(life)
    lines = {address: number for address, number in subscribers.items() if number == life.subject}

    def on_lines(passed: Sequence[Passed]) -> list[Sighting]:
        return from_network(passed, lines)

    return {
        View.CLASSIC: _Reading(("classic",), from_return, ("classic-chained",)),
        View.CARRIER: _Reading(("carrier",), from_carrier),
        View.REST: _Reading(("rest",), lambda rows: from_rest(rows, known.numbers)),
        View.DIRECT: _Reading(("live-direct",), from_server),
        View.OBLIVIOUS: _Reading(("live-oblivious",), from_server),
        View.RELAY: _Reading(("relay",), lambda passed: from_relay(passed, subscribers)),
        View.COLLUDING: _Reading(("live-oblivious", "relay"), from_both),
        View.NETWORK_DIRECT: _Reading(("network",), on_lines),
        View.NETWORK_OBLIVIOUS: _Reading(("network-oblivious",), on_lines),
        View.CONTACT: _Reading(("contact",), lambda told: from_contact(told, life.closest)),
        View.RECORDER: _Reading(("dialled",), from_recorder),
        View.RADIO: _Reading(("radio",), from_radio),
        View.DIRECTORY: _Reading(("directory",), from_server),
        View.GATEWAY: _Reading(("gateway",), lambda events: from_server(events, intros=known.intros)),
        View.TOKENS: _Reading(("tokens",), lambda events: from_server(events, accounts=known.accounts)),
        View.REST_DAILY: _Reading((DAILY,), lambda rows: from_rest(rows, known.numbers)),
    }


def _subscribers(life: Life) -> dict[str, str]:
    """Whose an address is, as access providers say: homes, and wherever the subject was."""
    return {one.address: one.number for one in life.people} | {stay.address: life.subject for stay in life.stays}


def _shown(view: View, reading: _Reading, captures: Captures, life: Life) -> Shown:
    told = brief(life)
    held = [captures[name] for name in reading.names]
    sightings = reading.read(*held)
    others = [one for name in reading.chained for one in reading.read(captures[name])]
    answered = answers(view, sightings, told, life)
    return Shown(view, sum(map(len, held)), of_target(sightings, told), answered, hops(sightings, told, others))


def _all_shown(captures: Captures, life: Life, known: Names) -> Iterator[Shown]:
    """Every view that these captures are enough for."""
    for view, reading in _readings(life, known).items():
        if captures.keys() >= set(reading.every()):
            yield _shown(view, reading, captures, life)


# --- from a life to captures ----------------------------------------------------------------------


def _of_classic(tapes: ClassicTapes) -> Captures:
    chained = [record for one in tapes.chained for record in one.records()]
    return {"classic": tapes.returned.records(), "classic-chained": chained}


def _of_way(played: GrueTapes, oblivious: bool) -> Captures:
    """What the observers of one way through Grue were given; of what is the same on both, that of the direct one."""
    tapes = played.tapes
    if oblivious:
        return {
            "live-oblivious": tapes.server,
            "gateway": [event for event in tapes.server if event.address == RELAYED],
            "relay": tapes.relay,
            "network-oblivious": tapes.network,
        }
    return {
        "live-direct": tapes.server,
        "directory": list(_given(tapes.server, DIRECTORY)),
        "tokens": list(_given(tapes.server, TOKENS)),
        "sms-gateway": played.submitted,
        "network": tapes.network,
        "rest": played.rest,
        "carrier": played.telephones.records,
        "dialled": played.telephones.dialled,
        "radio": played.telephones.heard,
        "contact": played.told,
    }


def _given(events: Iterable[Event], kinds: frozenset[str]) -> Iterator[Event]:
    # Streams carry neither, and are most of all.
    return (event for event in events if event.where != STREAM and names(event) in kinds)


def _keep(folder: Path, captures: Captures) -> None:
    for name, records in captures.items():
        save_lines(capture_file(folder, name), records)


def _classic_kept(life: Life, folder: Path, kept_days: int) -> list[Shown]:
    with memory_folder() as memory:
        tapes = play_classic(life, memory / "classic.db", kept_days=kept_days)
        shutil.copyfile(memory / "classic.db", folder / "classic.db")
    captures = _of_classic(tapes)
    save(folder / "return.json", tapes.returned)
    _keep(folder, captures)
    return list(_all_shown(captures, life, Names({})))


def _way_kept(life: Life, folder: Path, oblivious: bool) -> list[Shown]:
    """One way through Grue: what its observers were given, into files, and what they make of it."""
    played = asyncio.run(play_grue(life, oblivious=oblivious, snapshot_days=STEP_DAYS))
    captures = _of_way(played, oblivious)
    _keep(folder, captures)
    save(folder / f"names-{WAYS[oblivious]}.json", played.names)
    return list(_all_shown(captures, life, played.names))


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
    shown = list(_all_shown(_of_classic(play_classic(life)), life, Names({})))
    for oblivious in (False, True):
        played = asyncio.run(play_grue(life, oblivious=oblivious, snapshot_days=STEP_DAYS if oblivious else 1))
        shown += _all_shown(_looked_at(_of_way(played, oblivious), life), life, played.names)
    return [answer for one in shown for answer in one.answers]


def _looked_at(captures: Captures, life: Life) -> Captures:
    """The disk's rows of every day under a name of their own, and of those what is seen weekly and at the end."""
    rows = captures.get("rest")
    if rows is None:
        return captures
    weekly = [one for one in rows if (one.at - life.begun) // DAY % WEEK_DAYS == 0 or one.at >= life.ended]
    return {**captures, DAILY: rows, "rest": weekly}
