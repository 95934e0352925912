"""The interface of an SMS gateway: it takes SMS from the server, and brings it SMS and receipts."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class Sms:
    """One SMS to hand over. Its `repr` says nothing, so that no log can."""

    sender: str | None = field(repr=False)
    """E.164; None is the service itself, for codes."""
    to: str = field(repr=False)
    text: str = field(repr=False)


@dataclass(frozen=True)
class Inbound:
    """An SMS that came in, whole. The carrier keeps it until `settle(True)`; after `settle(False)` it tries again."""

    sender: str = field(repr=False)
    """E.164, or a short code or name, as the carrier gives it."""
    to: str = field(repr=False)
    text: str = field(repr=False)
    settle: Callable[[bool], None] = field(repr=False)


@dataclass(frozen=True)
class Receipt:
    """What became of an SMS: `delivered` or `failed`."""

    id: str
    state: str


Event = Inbound | Receipt


@runtime_checkable
class SmsGateway(Protocol):
    """Who carries SMS for us. Adapters differ in this only; `submit` never tries twice."""

    @property
    def description(self) -> str:
        """Who that is, in words for the people whose SMS they will read."""
        ...

    @property
    def health(self) -> str:
        """How it is with the connection, in a word for operators: `bound`, or why not."""
        ...

    async def start(self) -> None:
        """Connect, and stay connected until `close`. Returns when the first attempt is over, however it ended."""
        ...

    async def close(self) -> None: ...

    async def submit(self, sms: Sms) -> str:
        """Hand one SMS over; the carrier's id for it.

        Raises SmsGatewayDown, SmsThrottled, SmsRejected, TooLarge: it was definitely not sent.
        Raises SmsMayHaveGone: the answer was lost, or only some of its parts were taken.
        """
        ...

    def events(self) -> AsyncIterator[Event]:
        """What comes in, until `close`. One reader."""
        ...
