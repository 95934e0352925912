"""The rule for SMS: a message goes as one only after a proven absence, and only with the sender's consent.

A lookup that failed, was refused or is stale ends in `UNKNOWN`: no event leads from there to `SMS`. A contact
that was ever reached encrypted does not fall back either.
"""

from enum import StrEnum
from typing import Final

from grue.errors import ConsentNeeded, EncryptedContact, RouteUnknown
from grue.protocol.states import Table, advance


class Route(StrEnum):
    """How a message to a number goes out, as people and `--json` read it."""

    ENCRYPTED = "encrypted"
    SMS = "sms"
    UNKNOWN = "unknown"


class FallbackState(StrEnum):
    ASKED = "asked"
    ENCRYPTED = "encrypted"
    ABSENT = "absent"
    WAS_ENCRYPTED = "was_encrypted"
    UNKNOWN = "unknown"
    SMS = "sms"


class FallbackEvent(StrEnum):
    FOUND = "found"
    PROVED_ABSENT = "proved_absent"
    FAILED = "failed"
    ENCRYPTED_BEFORE = "encrypted_before"
    CONSENT = "consent"


TABLE: Final[Table[FallbackState, FallbackEvent]] = {
    FallbackState.ASKED: {
        FallbackEvent.FOUND: FallbackState.ENCRYPTED,
        FallbackEvent.PROVED_ABSENT: FallbackState.ABSENT,
        FallbackEvent.FAILED: FallbackState.UNKNOWN,
    },
    FallbackState.ABSENT: {
        FallbackEvent.CONSENT: FallbackState.SMS,
        FallbackEvent.ENCRYPTED_BEFORE: FallbackState.WAS_ENCRYPTED,
    },
    FallbackState.ENCRYPTED: {},
    FallbackState.WAS_ENCRYPTED: {},
    FallbackState.UNKNOWN: {},
    FallbackState.SMS: {},
}

_LOOKED_UP: Final = {
    Route.ENCRYPTED: FallbackEvent.FOUND,
    Route.SMS: FallbackEvent.PROVED_ABSENT,
    Route.UNKNOWN: FallbackEvent.FAILED,
}


def decide(route: Route, *, consent: bool, encrypted_before: bool) -> Route:
    """The route to take now: `ENCRYPTED` or `SMS`.

    FALLBACK-01 RouteUnknown when the lookup proved nothing. FALLBACK-02 EncryptedContact when this contact was
    reached encrypted before. FALLBACK-03 ConsentNeeded when the sender has not agreed to SMS.
    """
    state = advance(TABLE, FallbackState.ASKED, _LOOKED_UP[route])
    if state is FallbackState.UNKNOWN:
        raise RouteUnknown
    if state is FallbackState.ENCRYPTED:
        return Route.ENCRYPTED
    if encrypted_before:
        advance(TABLE, state, FallbackEvent.ENCRYPTED_BEFORE)
        raise EncryptedContact
    if not consent:
        raise ConsentNeeded
    advance(TABLE, state, FallbackEvent.CONSENT)
    return Route.SMS
