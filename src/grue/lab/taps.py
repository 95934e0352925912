"""Taps write down, while a life is played, what the server is asked and answers, and what a relay and the network see.

Sealed contents are written down as zeros of the same length, since no observer could read them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from grue.exposure.captures import RELAYED, Event
from grue.exposure.records import Passed
from grue.protocol import oblivious, wire

ANONYMOUS: Final = f"POST {oblivious.ANONYMOUS_PATH}"
ACCOUNT: Final = f"POST /{wire.PROTOCOL}/account"
STREAM: Final = f"WS /{wire.PROTOCOL}/stream"

SEALED_REQUEST: Final = 1143
"""Bytes that sealing adds to a request: the key's name, an encapsulated key, and a tag."""
SEALED_RESPONSE: Final = 48
"""Bytes that sealing adds to a response: a nonce and a tag."""


@dataclass(repr=False)
class Tapes:
    """The captures of one way through Grue, `direct` or `oblivious`."""

    server: list[Event] = field(default_factory=list)
    relay: list[Passed] = field(default_factory=list)
    network: list[Passed] = field(default_factory=list)

    def by_time(self) -> "Tapes":
        """In the order in which it passed: polls are written down when they are answered, and began earlier."""
        at = attrgetter("at")
        return Tapes(sorted(self.server, key=at), sorted(self.relay, key=at), sorted(self.network, key=at))


class Tap:
    """Writes down what one client's connections carry. `clock` gives Unix seconds."""

    def __init__(self, tapes: Tapes, clock: Callable[[], float], address: Callable[[], str], name: str) -> None:
        self._tapes = tapes
        self._clock = clock
        self._address = address
        self._name = name

    def direct(self, kind: str, where: str, up: bool, data: bytes, sealed: Iterable[bytes] = ()) -> None:
        """`kind` tells a client's connections apart: they never share a socket."""
        at, address = self._clock(), self._address()
        connection = f"{self._name} {kind} {address}"
        self._tapes.server.append(Event(at, address, connection, up, where, _without(data, sealed)))
        self._tapes.network.append(Passed(at, address, connection, up, len(data)))

    def relayed(self, number: int, up: bool, data: bytes, sealed: Iterable[bytes] = (), *, earlier: float = 0) -> None:
        """`number` tells this request from all others; `earlier` is for how many seconds it had waited."""
        at, address = self._clock() - earlier, self._address()
        one, size = f"{RELAYED} {number}", sealed_size(len(data), up=up)
        self._tapes.server.append(Event(at, RELAYED, one, up, ANONYMOUS, _without(data, sealed)))
        self._tapes.relay.append(Passed(at, address, f"{self._name} {number}", up, size, "relay"))
        self._tapes.network.append(Passed(at, address, f"{self._name} {number}", up, size, "relay"))


def sealed_size(length: int, *, up: bool) -> int:
    """Bytes of a sealed request or response with an inner body of that length."""
    sizes = oblivious.REQUEST_SIZES if up else oblivious.RESPONSE_SIZES
    around = oblivious.FRAMING + (len(oblivious.ANONYMOUS_PATH) if up else 0)
    padded = next(size for size in sizes if length + around <= size)
    return padded + (SEALED_REQUEST if up else SEALED_RESPONSE)


def _without(data: bytes, sealed: Iterable[bytes]) -> bytes:
    for contents in sealed:
        data = data.replace(contents, bytes(len(contents)))
    return data
