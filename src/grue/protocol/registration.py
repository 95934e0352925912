"""The client's side of registration, sans-I/O: ask for a code, hand it in, be registered.

A registration outlives the process between the two commands: it is a value, kept in the store, and each step
returns the next one with the request to send.
"""

import re
from enum import StrEnum
from hashlib import sha256
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from grue.errors import CodeExpired, CodeWrong, GrueError, NetworkError, ServerChanged, UsageError
from grue.protocol.states import Table, advance
from grue.protocol.wire import CLAIM_NAME_BYTES, Registered, RegisterFinish, RegisterStart, ServerHello

CODE_DIGITS: Final = 6
"""Digits: with five guesses a code is hit once in 100,000 registrations."""

LONG_CODE_DIGITS: Final = 12
"""Digits of a code for a number that is locked: nobody guesses it, so that it is taken in spite of the lock."""

CODE_WINDOW: Final = 600
"""Seconds. A code holds in the window in which it was asked for and the next."""

_CODE: Final = re.compile(rf"\d{{{CODE_DIGITS}}}|\d{{{LONG_CODE_DIGITS}}}", re.ASCII)
_BETWEEN: Final = re.compile(r"[\s-]+")


HOLD_DAYS: Final = 7
"""Days in which a number that its old device still uses is not given to somebody else with its SMS: long enough that
the owner hears of it and can have a stolen SIM blocked, short enough for who lost the telephone."""

_CLAIM_LABEL: Final = b"grue claim v1"
_GROUPED: Final = 4


class RegistrationState(StrEnum):
    IDLE = "idle"
    ASKING = "asking"
    CODE_SENT = "code_sent"
    VERIFYING = "verifying"
    HELD = "held"
    """The number was proved to be ours, and another device still uses it: it is proved again when the hold is over."""
    REGISTERED = "registered"


class RegistrationEvent(StrEnum):
    ASK = "ask"
    SENT = "sent"
    VERIFY = "verify"
    ACCEPTED = "accepted"
    CODE_EXPIRED = "code_expired"
    HELD = "held"
    REFUSED = "refused"
    LOST = "lost"


TABLE: Final[Table[RegistrationState, RegistrationEvent]] = {
    RegistrationState.IDLE: {RegistrationEvent.ASK: RegistrationState.ASKING},
    RegistrationState.ASKING: {
        RegistrationEvent.ASK: RegistrationState.ASKING,
        RegistrationEvent.SENT: RegistrationState.CODE_SENT,
        RegistrationEvent.REFUSED: RegistrationState.IDLE,
        # The SMS may have gone all the same, and its code is good.
        RegistrationEvent.LOST: RegistrationState.CODE_SENT,
    },
    RegistrationState.CODE_SENT: {
        RegistrationEvent.ASK: RegistrationState.ASKING,
        RegistrationEvent.VERIFY: RegistrationState.VERIFYING,
    },
    RegistrationState.VERIFYING: {
        # After a crash in between it is not known whether the code was taken; taking it twice does no harm.
        RegistrationEvent.ASK: RegistrationState.ASKING,
        RegistrationEvent.VERIFY: RegistrationState.VERIFYING,
        RegistrationEvent.ACCEPTED: RegistrationState.REGISTERED,
        RegistrationEvent.CODE_EXPIRED: RegistrationState.IDLE,
        RegistrationEvent.HELD: RegistrationState.HELD,
        RegistrationEvent.REFUSED: RegistrationState.CODE_SENT,
        RegistrationEvent.LOST: RegistrationState.CODE_SENT,
    },
    RegistrationState.HELD: {
        RegistrationEvent.ASK: RegistrationState.ASKING,
        # With the same code, where the old device let go at once.
        RegistrationEvent.VERIFY: RegistrationState.VERIFYING,
    },
    RegistrationState.REGISTERED: {},
}


class ClaimState(StrEnum):
    """Of a claim of a number, at the server."""

    HELD = "held"
    OBJECTED = "objected"
    OPEN = "open"
    TAKEN = "taken"


class ClaimEvent(StrEnum):
    PROVED = "proved"
    RELEASED = "released"
    OBJECTED = "objected"
    WAITED = "waited"


CLAIMS: Final[Table[ClaimState, ClaimEvent]] = {
    ClaimState.HELD: {
        ClaimEvent.PROVED: ClaimState.HELD,
        ClaimEvent.RELEASED: ClaimState.OPEN,
        ClaimEvent.OBJECTED: ClaimState.OBJECTED,
        ClaimEvent.WAITED: ClaimState.OPEN,
    },
    ClaimState.OBJECTED: {
        ClaimEvent.PROVED: ClaimState.OBJECTED,
        ClaimEvent.RELEASED: ClaimState.OPEN,
        ClaimEvent.WAITED: ClaimState.OPEN,
    },
    # A device that was away while the claim was held may still object, once.
    ClaimState.OPEN: {ClaimEvent.PROVED: ClaimState.TAKEN, ClaimEvent.OBJECTED: ClaimState.OBJECTED},
    ClaimState.TAKEN: {},
}


class Registration(Struct, frozen=True):
    """One registration as it stands. Keep it before the request goes out, and again after the answer."""

    number: str
    """E.164, see `grue.protocol.numbers`."""
    identity_public: bytes
    device_list: bytes
    """The signed list, see `grue.protocol.conversation.devices`."""
    intro_read_hash: bytes
    """SHA-256 of the intro mailbox's read key."""
    server_public: bytes
    """The server's key, pinned at the first answer."""
    discoverable: bool = True
    state: RegistrationState = RegistrationState.IDLE
    account: bytes = b""

    def ask(self) -> tuple["Registration", RegisterStart]:
        """Ask for a code by SMS, the first or another one."""
        return self._after(RegistrationEvent.ASK), RegisterStart(self.number, self.identity_public)

    def code_sent(self) -> "Registration":
        return self._after(RegistrationEvent.SENT)

    def verify(self, code: str) -> tuple["Registration", RegisterFinish]:
        """Hand the code in, as it was typed: spaces and dashes do not matter.

        REGISTRATION-01 it has six digits, or twelve; anything else would only cost a guess. Raises CodeWrong.
        """
        bare = _BETWEEN.sub("", code)
        if not _CODE.fullmatch(bare):
            raise CodeWrong(f"A code has {CODE_DIGITS} digits, or {LONG_CODE_DIGITS}.")
        request = RegisterFinish(self.number, bare, self.device_list, self.intro_read_hash, self.discoverable)
        return self._after(RegistrationEvent.VERIFY), request

    def registered(self, answer: Registered) -> "Registration":
        return replace(self._after(RegistrationEvent.ACCEPTED), account=answer.account)

    def held(self) -> "Registration":
        """It was proved, and the number is still another device's."""
        return self._after(RegistrationEvent.HELD)

    def failed(self, error: GrueError) -> "Registration":
        """The request was refused, or its answer did not come; a lost answer leaves everything possible."""
        if isinstance(error, CodeExpired):
            return self._after(RegistrationEvent.CODE_EXPIRED)
        lost = isinstance(error, NetworkError)
        return self._after(RegistrationEvent.LOST if lost else RegistrationEvent.REFUSED)

    def _after(self, event: RegistrationEvent) -> "Registration":
        return replace(self, state=advance(TABLE, self.state, event))


def check_server(hello: ServerHello, pinned: bytes) -> None:
    """REGISTRATION-02 the server still has the key that was pinned at registration. Raises ServerChanged."""
    if hello.server_public != pinned:
        raise ServerChanged


# --- the name of a claim --------------------------------------------------------------------------


def claim_name(identity_public: bytes) -> bytes:
    """By what a claim is told from others: its own device can say it, and so can the server, who has the key."""
    return sha256(_CLAIM_LABEL + identity_public).digest()[:CLAIM_NAME_BYTES]


def written_claim(name: bytes) -> str:
    """As people read and type it: sixteen hexadecimal digits in groups."""
    return name.hex("-", _GROUPED // 2)


def read_claim(written: str) -> bytes:
    """The name that somebody typed. Raises UsageError."""
    digits = _BETWEEN.sub("", written)
    try:
        name = bytes.fromhex(digits)
    except ValueError:
        name = b""
    if len(name) != CLAIM_NAME_BYTES:
        raise UsageError("A claim is named by sixteen digits and letters from a to f; `grue account claims` shows it.")
    return name
