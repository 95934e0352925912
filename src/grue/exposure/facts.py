"""The facts of a run, and how each would show in a capture. Nothing here says who learns what: the captures do."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final, TypeAlias

from grue.exposure import views
from grue.exposure.captures import Capture, Event, Piece
from grue.exposure.decode import names
from grue.exposure.scanner import encodings
from grue.exposure.scanner.needles import all_starts, by_start
from grue.exposure.truth import LookedUp, Said, Truth
from grue.exposure.views import ENVELOPE_BYTES


class Verdict(StrEnum):
    LEARNED = "learned"
    GUESSED = "by timing"
    """Not said anywhere, but two things of a size happened one after the other."""
    SIZE_ONLY = "size only"
    """Something encrypted, padded to one of four sizes."""
    NOT = "not"


@dataclass(frozen=True)
class Finding:
    """What an observer learned of a fact: how many of its instances, how often and where they were seen."""

    verdict: Verdict
    instances: int = 0
    of: int = 0
    times: int = 0
    where: tuple[str, ...] = ()


Look: TypeAlias = Callable[[Capture, Truth], Finding]


@dataclass(frozen=True)
class Fact:
    id: str
    sentence: str
    look: Look


# --- found in bytes -------------------------------------------------------------------------------


def found(capture: Capture, wanted: Sequence[frozenset[bytes]]) -> Finding:
    """Search everything that was captured for each instance, in all its forms."""
    return _finding([list(_hits(capture, forms)) for forms in wanted])


def _finding(hits: Sequence[Sequence[str]]) -> Finding:
    """From the places in which each instance was seen."""
    instances, places = sum(map(bool, hits)), [place for one in hits for place in one]
    verdict = Verdict.LEARNED if instances else Verdict.NOT
    return Finding(verdict, instances, len(hits), len(places), tuple(dict.fromkeys(places)))


def _hits(capture: Capture, forms: frozenset[bytes], lookup: LookedUp | None = None) -> Iterator[str]:
    """Where one of the forms stands; with `lookup` only in what was captured during it."""
    for piece in capture.pieces:
        if (lookup is None or lookup.holds(piece.at)) and _holds(piece.data, forms):
            yield piece.where
    for event in capture.events:
        if (lookup is None or lookup.holds(event.at)) and _holds(event.data, forms):
            yield names(event)


@lru_cache(maxsize=1 << 14)
def _holds(data: bytes, forms: frozenset[bytes]) -> bool:
    starts = all_starts(data)
    return any(form in data for start, some in _needles(forms).items() if start in starts for form in some)


@lru_cache(maxsize=1 << 10)
def _needles(forms: frozenset[bytes]) -> Mapping[int, list[bytes]]:
    return by_start(forms)


# --- each fact ------------------------------------------------------------------------------------


def registered(capture: Capture, truth: Truth) -> Finding:
    return found(capture, [encodings.of_number(person.number) for person in truth.people])


def looked_up(capture: Capture, truth: Truth) -> Finding:
    """While it was looked up: the same numbers are given to the server on other occasions, as for an SMS."""
    return _finding([list(_hits(capture, encodings.of_number(one.number), one)) for one in truth.lookups])


def whether_found(capture: Capture, truth: Truth) -> Finding:
    """Hits are told from misses when their requests differ in number, order, kind or size."""
    count = len(truth.lookups)
    if views.tells_hits_from_misses(capture.events, truth.lookups):
        return Finding(Verdict.LEARNED, count, count, count, ("requests that differ",))
    return Finding(Verdict.NOT, of=count)


def whose_request(capture: Capture, truth: Truth) -> Finding:
    """A name of an account on the connection by which it posts or looks up; the address is another fact."""
    return _finding([views.named_beside_what_is_anonymous(capture.events, truth)])


def message_text(capture: Capture, truth: Truth) -> Finding:
    plain = found(capture, [encodings.of_text(said.text) for said in truth.messages])
    return plain if plain.verdict is Verdict.LEARNED else _sizes(capture, truth.messages) or plain


def sms_text(capture: Capture, truth: Truth) -> Finding:
    return found(capture, [encodings.of_text(said.text) for said in truth.sms])


def sms_numbers(capture: Capture, truth: Truth) -> Finding:
    """Both numbers of an SMS, side by side."""
    return _pairs(capture, truth.sms)


def who_wrote_to_whom(capture: Capture, truth: Truth) -> Finding:
    """Both people in one place, or a way from one to the other through what the observer holds."""
    side_by_side = _pairs(capture, truth.messages)
    if side_by_side.verdict is Verdict.LEARNED:
        return side_by_side
    wanted = {(said.sender, said.to) for said in truth.messages}
    linked = wanted & (views.by_mailbox(capture.events) | views.by_rows(capture.rows, truth))
    if linked:
        return Finding(Verdict.LEARNED, len(linked), len(wanted), len(linked), ("mailboxes and addresses",))
    guessed = views.by_timing(capture.events, truth)
    if guessed:
        return Finding(Verdict.GUESSED, len(guessed), len(wanted), len(guessed), ("times and sizes",))
    return side_by_side


def when(capture: Capture, truth: Truth) -> Finding:
    """The time of a message, finer than a day."""
    seen = [event for said in truth.messages for event in _during(capture.events, said)]
    pieces = [place for said in truth.messages for place in _moments(capture.pieces, said)]
    places = tuple(dict.fromkeys([*map(names, seen), *pieces]))
    verdict = Verdict.LEARNED if places else Verdict.NOT
    return Finding(verdict, bool(places) * len(truth.messages), len(truth.messages), len(seen) + len(pieces), places)


def addresses(capture: Capture, truth: Truth) -> Finding:
    by_event = {event.address for event in capture.events}
    of_people = {person.address for person in truth.people}
    known = by_event & of_people
    if known:
        return Finding(Verdict.LEARNED, len(known), len(of_people), len(capture.events), ("connections",))
    return found(capture, [encodings.of_address(address) for address in sorted(of_people)])


FACTS: Final = (
    Fact("registered", "Numbers that registered", registered),
    Fact("looked_up", "Numbers that were looked up", looked_up),
    Fact("whether_found", "Whether they were found", whether_found),
    Fact("whose_request", "Account on a post or lookup", whose_request),
    Fact("who_wrote", "Who wrote to whom, encrypted", who_wrote_to_whom),
    Fact("message_text", "What those messages say", message_text),
    Fact("when", "When they were sent, exactly", when),
    Fact("address", "Network address of a client", addresses),
    Fact("sms_numbers", "Both numbers of an SMS", sms_numbers),
    Fact("sms_text", "What the SMS says", sms_text),
)


# --- parts ----------------------------------------------------------------------------------------


def _pairs(capture: Capture, said: Sequence[Said]) -> Finding:
    pairs = sorted({(one.sender, one.to) for one in said})
    return _finding([list(_side_by_side(capture, *pair)) for pair in pairs])


def _side_by_side(capture: Capture, sender: str, to: str) -> Iterator[str]:
    if _anywhere(capture, sender) and _anywhere(capture, to):
        yield from (place for place, data in _together(capture) if _names_both(data, sender, to))


def _anywhere(capture: Capture, number: str) -> bool:
    return next(_hits(capture, encodings.of_number(number)), None) is not None


def _together(capture: Capture) -> Iterator[tuple[str, bytes]]:
    """What belongs together: an event, a row, a piece; but not a whole file or column."""
    for event in capture.events:
        yield names(event), event.data
    for row in capture.rows:
        yield "row", b"\0\0".join(value if isinstance(value, bytes) else str(value).encode() for value in row)
    if not capture.rows:
        for piece in capture.pieces:
            yield piece.where, piece.data


def _names_both(data: bytes, one: str, other: str) -> bool:
    return all(_holds(data, encodings.of_number(number)) for number in (one, other))


def _during(events: Iterable[Event], said: Said) -> Iterator[Event]:
    return (event for event in events if said.begun <= event.at <= said.ended and len(event.data) >= ENVELOPE_BYTES)


def _sizes(capture: Capture, said: Sequence[Said]) -> Finding | None:
    seen = [event for one in said for event in _during(capture.events, one)]
    blobs = [value for row in capture.rows for value in row if isinstance(value, bytes) and _is_envelope(value)]
    if not seen and not blobs:
        return None
    places = tuple(dict.fromkeys([*map(names, seen), *(["envelope"] if blobs else [])]))
    return Finding(Verdict.SIZE_ONLY, len(said), len(said), len(seen) + len(blobs), places)


def _is_envelope(value: bytes) -> bool:
    from grue.protocol.wire import ENVELOPE_BUCKETS

    return len(value) in ENVELOPE_BUCKETS


UNITS: Final = (1, 1_000, 1_000_000, 1_000_000_000)
"""Parts of a second in which software keeps the time."""


def _moments(pieces: Iterable[Piece], said: Said) -> Iterator[str]:
    for piece in pieces:
        ranges = [(int(said.begun * unit), int(said.ended * unit) + 1) for unit in UNITS]
        told = piece.at is not None and said.begun <= piece.at <= said.ended
        if told or any(low <= value <= high for value in piece.integers for low, high in ranges):
            yield piece.where
