"""A capture holds what one observer of a run was given, byte for byte; a report is made from captures and nothing else.

A capture is made of pieces, each with where it was seen and when. Live interfaces give events as well: who sent how
much to whom, on which connection.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

SERVER_LIVE: Final = "server, live"
SERVER_AT_REST: Final = "server, at rest"
RELAY: Final = "relay"
CARRIER: Final = "carrier"
NETWORK: Final = "network"
CONTACT: Final = "contact"
OBSERVERS: Final = (SERVER_LIVE, SERVER_AT_REST, RELAY, CARRIER, NETWORK, CONTACT)


RELAYED: Final = "by relay"
"""The address of what a server is given by a relay: whose client's it is, the server does not see."""


class Event(msgspec.Struct, frozen=True):
    """Bytes that passed an interface."""

    at: float
    """Unix seconds."""
    address: str
    """Whose connection it is: the client's network address."""
    connection: str
    """Tells one connection from another."""
    up: bool
    """Towards the server."""
    where: str
    """What was asked for, such as `POST /2/account`; for SMPP, `SMPP`."""
    data: bytes


class Piece(msgspec.Struct, frozen=True):
    """Some bytes that an observer holds, and where."""

    where: str
    data: bytes
    at: float | None = None
    """Unix seconds; None when the observer does not know."""
    integers: tuple[int, ...] = ()
    """Numbers among them, which have no one form in bytes."""


@dataclass(frozen=True)
class Capture:
    """All that one observer was given."""

    observer: str
    pieces: Sequence[Piece] = ()
    events: Sequence[Event] = field(default=(), repr=False)
    """What passed its interfaces, for who looks at order, sizes and times."""
    rows: Sequence[tuple[object, ...]] = field(default=(), repr=False)
    """What lies in a database: values that share a row belong together."""


def network_view(events: Iterable[Event]) -> Capture:
    """What is left of live events for somebody who sees TLS pass: endpoints, sizes and times."""
    seen = [Event(one.at, one.address, one.connection, one.up, "TLS", bytes(len(one.data))) for one in events]
    pieces = [Piece("addresses and sizes", f"{one.address} {len(one.data)}".encode(), one.at) for one in seen]
    return Capture(NETWORK, pieces, seen)


def save_events(path: Path, events: Iterable[Event]) -> None:
    """One event a line, as JSON; bytes in base64."""
    path.write_bytes(b"".join(map(event_line, events)))


def event_line(event: Event) -> bytes:
    """One line of what `load_events` reads."""
    return msgspec.json.encode(event) + b"\n"


def load_events(path: Path) -> Iterator[Event]:
    """What `save_events` wrote; a last line that was cut short is left out."""
    for line in path.read_bytes().splitlines():
        try:
            yield msgspec.json.decode(line, type=Event)
        except msgspec.DecodeError:
            return
