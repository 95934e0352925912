"""Put together what an observer holds in pieces: who is behind a mailbox, and whether lookups can be told apart."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from grue.errors import BadRequest
from grue.exposure.captures import RELAYED, Event
from grue.exposure.decode import messages, names
from grue.exposure.scanner.encodings import of_bytes
from grue.exposure.truth import LookedUp, Said, Truth
from grue.protocol import wire

Pair: TypeAlias = tuple[str, str]
"""Who wrote, and to whom: two numbers."""

Trace: TypeAlias = tuple[tuple[bool, str, int], ...]
"""Towards the server or not, what it was, and its bytes, in order."""

ENVELOPE_BYTES: Final = 1024
"""The smallest envelope: what is smaller carries no message."""

ANONYMOUS: Final = wire.Evaluate | wire.Query | wire.Claim | wire.CreateMailbox | wire.Post | wire.PostIntro
"""Requests that say nothing of who makes them."""

MIN_LINK: Final = 8
"""Bytes: values that are shorter are counts and days, which many rows share by chance."""


def trace(events: Iterable[Event], lookup: LookedUp) -> Trace:
    """What one lookup made pass, as far as an observer of these events can see.

    What came by a relay meanwhile is taken for the lookup's: in a run nobody else does anything then.
    """
    return tuple(
        (event.up, names(event), len(event.data))
        for event in events
        if event.address in (lookup.by, RELAYED) and lookup.holds(event.at)
    )


def tells_hits_from_misses(events: Sequence[Event], lookups: Iterable[LookedUp]) -> bool:
    """Whether no hit looked like any miss. (Hits need not all look alike: one of them may have brought news.)"""
    traces: defaultdict[bool, set[Trace]] = defaultdict(set)
    for lookup in lookups:
        traces[lookup.found].add(trace(events, lookup))
    return bool(traces[True]) and bool(traces[False]) and not traces[True] & traces[False]


def by_mailbox(events: Sequence[Event]) -> set[Pair]:
    """A posts to a mailbox, B is given it: by their addresses, whose numbers were seen when they registered."""
    number_at: dict[str, str] = {}
    posted: dict[bytes, str] = {}
    pairs: set[Pair] = set()
    for read in messages(events):
        match read.message:
            case wire.RegisterStart(number=number):
                number_at[read.event.address] = number
            case wire.Post(envelope=envelope) | wire.PostIntro(envelope=envelope):
                posted[envelope] = read.event.address
            case wire.Delivery(envelope=envelope):
                pairs |= _pair(number_at, posted.get(envelope), read.event.address)
            case wire.Fetched(envelopes=envelopes):
                for delivery in envelopes:
                    pairs |= _pair(number_at, posted.get(delivery.envelope), read.event.address)
    return pairs


def _pair(number_at: Mapping[str, str], sender: str | None, reader: str) -> set[Pair]:
    if sender is None or sender == reader or not {sender, reader} <= number_at.keys():
        return set()
    return {(number_at[sender], number_at[reader])}


def by_timing(events: Sequence[Event], truth: Truth) -> set[Pair]:
    """Something as large as an envelope comes from A, and then something as large goes to B: no more than a guess."""
    address_of = {person.number: person.address for person in truth.people}
    large = [event for event in events if len(event.data) >= ENVELOPE_BYTES]
    return {
        (said.sender, said.to)
        for said in truth.messages
        if any(
            first.up and not then.up and first.at <= then.at
            for first in _between(large, said, address_of.get(said.sender))
            for then in _between(large, said, address_of.get(said.to))
        )
    }


def _between(events: Iterable[Event], said: Said, address: str | None) -> list[Event]:
    return [event for event in events if event.address == address and said.begun <= event.at <= said.ended]


def identifiers(events: Iterable[Event]) -> dict[str, list[bytes]]:
    """By number, everything that names its account on the wire, from what a server was given at registration."""
    found: dict[str, list[bytes]] = {}
    asked: dict[str, str] = {}
    for read in messages(events):
        match read.message:
            case wire.RegisterFinish(number=number, device_list=signed, intro_read_hash=read_hash):
                asked[read.event.connection] = number
                found[number] = [read_hash, *_of_list(signed)]
            case wire.Registered(account=account) if read.event.connection in asked:
                found[asked[read.event.connection]].append(account)
    return found


def named_beside_what_is_anonymous(events: Sequence[Event], truth: Truth) -> list[str]:
    """Where a name of the account stands on a connection that also posts or looks up: it would be under all of that."""
    read = [read.event for read in messages(events) if isinstance(read.message, ANONYMOUS)]
    anonymous = {event.connection for event in read if event.up}
    forms = {
        person.address: [form for name in truth.identifiers.get(person.number, ()) for form in of_bytes(name)]
        for person in truth.people
    }
    return [
        names(event)
        for event in events
        if event.up
        and event.connection in anonymous
        and any(form in event.data for form in forms.get(event.address, ()))
    ]


def _of_list(signed: bytes) -> list[bytes]:
    try:
        devices = wire.DEVICE_LIST.decode(wire.SIGNED_DEVICE_LIST.decode(signed).body)
    except BadRequest:
        return []
    return [devices.identity_public, devices.hpke_public, devices.intro_mailbox, *devices.devices]


def by_rows(rows: Sequence[tuple[object, ...]], truth: Truth) -> set[Pair]:
    """A and B are linked when a way leads from a name of one to a name of the other, over rows that share values."""
    rows_of: defaultdict[bytes, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        for value in _values(row):
            rows_of[value].append(at)
    pairs = {(said.sender, said.to) for said in truth.messages}
    return {(a, b) for a, b in pairs if _reachable(truth, a, rows, rows_of) & set(truth.identifiers.get(b, ()))}


def _reachable(
    truth: Truth, number: str, rows: Sequence[tuple[object, ...]], rows_of: Mapping[bytes, list[int]]
) -> set[bytes]:
    seen = set(truth.identifiers.get(number, ()))
    rest = list(seen)
    while rest:
        for at in rows_of.get(rest.pop(), ()):
            new = _values(rows[at]) - seen
            seen |= new
            rest += new
    return seen


def _values(row: tuple[object, ...]) -> set[bytes]:
    texts = {value.encode() if isinstance(value, str) else value for value in row if isinstance(value, str | bytes)}
    return {text for text in texts if len(text) >= MIN_LINK}
