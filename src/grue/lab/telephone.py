"""The telephone network of a life: a carrier with its records, a recorder on one line, a receiver near one handset.

What the handset sends and gets over TLS is on the network's tape; `play` puts it to what the receiver hears here.
"""

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from grue.exposure.lives import DAY
from grue.exposure.records import CallDetail, Dialled, Heard

KEPT_YEARS: Final = 7.0
"""How long records of calls and SMS are kept by the carrier that keeps them longest, of those in a table of the US
Department of Justice of August 2010; the others keep them for one to five. `docs/exposure-lab.md` has the source."""

TEXT_KEPT_DAYS: Final = 5.0
"""How long the texts of SMS are kept, by the only large carrier in that table that keeps them: three to five days."""

SMS, CALL = "sms", "call"


class Telephones:
    """A carrier, and who taps it. `clock` gives Unix seconds."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        kept_years: float = KEPT_YEARS,
        text_kept_days: float = TEXT_KEPT_DAYS,
        line: str = "",
        near: Callable[[], bool] = lambda: False,
    ) -> None:
        """
        line  the number with a dial-number recorder on it, whose handset the receiver is looking for
        near  whether that handset is near the receiver now
        """
        self.records: list[CallDetail] = []
        self.dialled: list[Dialled] = []
        self.heard: list[Heard] = []
        self._clock = clock
        self._kept = kept_years * 365 * DAY
        self._text_kept = text_kept_days * DAY
        self._line = line
        self._near = near

    def sms(self, sender: str, to: str, text: str) -> None:
        """Carry an SMS: its text goes through the carrier, and over the air of both handsets."""
        self._carry(CallDetail(self._clock(), SMS, sender, to, text=text))

    def call(self, sender: str, to: str, seconds: int) -> None:
        """Put a call through."""
        self._carry(CallDetail(self._clock(), CALL, sender, to, seconds))

    def present(self) -> None:
        """The handset says to the network that it is there, as it does every now and then."""
        self._hear(Heard(self._clock(), "presence", self._line))

    def sweep(self) -> None:
        """Forget texts, and later records, that were kept long enough. What was tapped stays with who tapped it."""
        now = self._clock()
        self.records = [
            one if now - one.at <= self._text_kept else replace(one, text="")
            for one in self.records
            if now - one.at <= self._kept
        ]

    def _carry(self, one: CallDetail) -> None:
        self.records.append(one)
        if self._line not in (one.sender, one.to):
            return
        outgoing = one.sender == self._line
        other = one.to if outgoing else one.sender
        self.dialled.append(Dialled(one.at, self._line, other, outgoing, one.kind, one.seconds))
        self._hear(Heard(one.at, one.kind, one.sender, one.to, one.text))

    def _hear(self, one: Heard) -> None:
        if self._line and self._near():
            self.heard.append(one)
