"""What really happened in a run: what a report looks for in the captures, and a capture never holds."""

import msgspec


class Person(msgspec.Struct, frozen=True):
    """Somebody who registered in the run."""

    number: str
    address: str
    """The network address of their client."""


class LookedUp(msgspec.Struct, frozen=True):
    """A number that somebody looked up, and between which moments nothing else was asked for from their address."""

    number: str
    found: bool
    by: str
    """The network address of who looked."""
    begun: float
    ended: float
    """Unix seconds."""

    def holds(self, at: float | None) -> bool:
        """Whether something was in that time; what has no time may have been."""
        return at is None or self.begun <= at <= self.ended


class Said(msgspec.Struct, frozen=True):
    """A message or an SMS: from whom, to whom, and between which moments it was sent."""

    sender: str
    to: str
    text: str
    begun: float
    ended: float
    """Unix seconds."""


class Truth(msgspec.Struct, frozen=True):
    """One run."""

    people: list[Person]
    lookups: list[LookedUp]
    messages: list[Said]
    """Encrypted ones."""
    sms: list[Said]
    identifiers: dict[str, list[bytes]] = {}
    """By number, what names the account on the wire; see `grue.exposure.views.identifiers`."""
