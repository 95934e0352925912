"""What really happened in a run: what a report looks for in the captures, and a capture never holds."""

from typing import Final

import msgspec

LOOKUPS: Final = "lookups"
"""The phase in which numbers were looked up, and nothing else asked for."""


class Person(msgspec.Struct, frozen=True):
    """Somebody who registered in the run."""

    number: str
    address: str
    """The network address of their client."""


class LookedUp(msgspec.Struct, frozen=True):
    number: str
    found: bool
    by: str
    """The network address of who looked."""


class Said(msgspec.Struct, frozen=True):
    """A message or an SMS: from whom, to whom, and between which moments it was sent."""

    sender: str
    to: str
    text: str
    begun: float
    ended: float
    """Unix seconds."""


class Phase(msgspec.Struct, frozen=True):
    begun: float
    ended: float

    def holds(self, at: float | None) -> bool:
        """Whether something was in this phase; what has no time may have been."""
        return at is None or self.begun <= at <= self.ended


class Truth(msgspec.Struct, frozen=True):
    """One run."""

    people: list[Person]
    lookups: list[LookedUp]
    messages: list[Said]
    """Encrypted ones."""
    sms: list[Said]
    phases: dict[str, Phase]
    identifiers: dict[str, list[bytes]] = {}
    """By number, what names the account on the wire; see `grue.exposure.linking.identifiers`."""
