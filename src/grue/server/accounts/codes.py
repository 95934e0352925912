"""Registration codes: the server computes them and stores none, and bounds guesses and SMS.

A code is an HMAC over the number, the ten-minute window and the identity key, so it outlives a restart and is nowhere
at rest. What is counted lives in memory, under names that say nothing without the server's key.
"""

import hmac
from collections import OrderedDict
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from grue.errors import CodeExpired, CodeWrong, TooManyCodes, TooManyGuesses
from grue.protocol.registration import CODE_DIGITS, CODE_WINDOW

if TYPE_CHECKING:
    from grue.server.keys.keys import Keys

MAX_GUESSES: Final = 5
"""Wrong codes for a number before it is locked; the sixth guess is not looked at."""

FIRST_LOCK: Final = 2 * CODE_WINDOW
"""Seconds: until every code that could be guessed at has expired. Each further lock is twice as long."""

MAX_LOCK: Final = 24 * 3600
"""Seconds. A guesser ends at five guesses a day, a hit in some 270 years; the owner waits a day at most."""

FORGET_AFTER: Final = 7 * 24 * 3600
"""Seconds without a wrong guess after which a number's locks start short again."""

MAX_CODES: Final = 5
"""SMS with codes to one number within `CODES_WITHIN`: enough for a bad line, too few to bother somebody."""

CODES_WITHIN: Final = 3600
"""Seconds."""

EXPIRED_WINDOWS: Final = 144
"""Windows, together a day, in which an old code is told apart from a wrong one."""

MAX_COUNTED: Final = 100_000
"""Numbers that are counted at once, some 70 MB; the one that was idle the longest is forgotten."""


def make_code(keys: "Keys", number: str, identity_public: bytes, window: int) -> str:
    """Six digits that only this server can make, and that only this identity can use in this window."""
    digest = hmac.digest(keys.code_key, code_input(number, identity_public, window), "sha256")
    return f"{int.from_bytes(digest[:16], 'big') % 10**CODE_DIGITS:0{CODE_DIGITS}}"


def code_input(number: str, identity_public: bytes, window: int) -> bytes:
    """What a code is a MAC of."""
    return b"\0".join([b"grue code v1", number.encode(), window.to_bytes(8, "big") + identity_public])


def check_code(keys: "Keys", number: str, identity_public: bytes, code: str, now: int) -> int:
    """Compare a code in constant time; returns its window.

    REGISTRATION-06 the code is this number's, for this identity, of this or the last window, and was sent. Raises
    CodeWrong, CodeExpired (which counts as no guess, having been right once), TooManyGuesses.
    """
    counted = counted_for(keys, number, now)
    counted.check_lock(now)
    newest = now // CODE_WINDOW
    windows = range(newest, newest - EXPIRED_WINDOWS, -1)
    codes = ((window, make_code(keys, number, identity_public, window)) for window in windows)
    matching = [window for window, made in codes if hmac.compare_digest(made.encode(), code.encode())]
    if matching and matching[0] < newest - 1:
        raise CodeExpired
    if not matching or not counted.may_have_sent(identity_public, matching[0]):
        counted.wrong_guess(now)
        raise CodeWrong
    return matching[0]


class Counted:
    """What one number has used up."""

    __slots__ = ("_codes", "_guesses", "_last_wrong", "_locked_until", "_locks", "_since", "_used")

    def __init__(self, since: int) -> None:
        self._since = since
        self._codes: list[tuple[int, bytes]] = []
        self._used: set[tuple[bytes, int]] = set()
        self._guesses = 0
        self._locks = 0
        self._locked_until = 0
        self._last_wrong = 0

    def check_lock(self, now: int) -> None:
        """Raises TooManyGuesses while the number is locked."""
        if now < self._locked_until:
            raise TooManyGuesses(retry_after=self._locked_until - now)

    def wrong_guess(self, now: int) -> None:
        if now - self._last_wrong > FORGET_AFTER:
            self._guesses = self._locks = 0
        self._last_wrong = now
        self._guesses += 1
        if self._guesses >= MAX_GUESSES:
            self._guesses = 0
            self._locked_until = now + min(FIRST_LOCK << min(self._locks, 16), MAX_LOCK)
            self._locks += 1

    def take_code(self, identity_public: bytes, now: int) -> None:
        """Count an SMS that is about to go. Raises TooManyCodes."""
        self._codes = [(sent, identity) for sent, identity in self._codes if now - sent < CODES_WITHIN]
        if len(self._codes) >= MAX_CODES:
            raise TooManyCodes(retry_after=self._codes[0][0] + CODES_WITHIN - now)
        self._codes.append((now, identity_public))

    def give_back_code(self, identity_public: bytes, now: int) -> None:
        """It was definitely not sent, so it was nobody's turn."""
        if (now, identity_public) in self._codes:
            self._codes.remove((now, identity_public))

    def may_have_sent(self, identity_public: bytes, window: int) -> bool:
        """Say whether this identity's code of this window was sent, by us or by the process before us.

        A code is right whether or not it was sent. Without this, somebody could guess at every number there is
        without a single SMS that would make its owner look up.
        """
        sent = (identity_public, window)
        return window <= self._since or sent in {(identity, at // CODE_WINDOW) for at, identity in self._codes}

    def is_used(self, identity_public: bytes, window: int) -> bool:
        """Say whether this identity's code of this window has served."""
        return (identity_public, window) in self._used

    def use(self, identity_public: bytes, window: int) -> None:
        """A code has served: its guesses are forgotten, and it makes no second account."""
        self._guesses = self._locks = 0
        self._used = {(identity, used) for identity, used in self._used if used >= window - 2}
        self._used.add((identity_public, window))


class Memory:
    """What one server counts, since the window in which it began."""

    def __init__(self, since: int) -> None:
        self.since = since
        self.counted: OrderedDict[bytes, Counted] = OrderedDict()


_MEMORIES: Final[WeakKeyDictionary["Keys", Memory]] = WeakKeyDictionary()
"""One for each server, which its keys stand for here."""


def counted_input(number: str) -> bytes:
    """What the name is a MAC of under which a number is counted."""
    return b"grue counted v1\0" + number.encode()


def counted_for(keys: "Keys", number: str, now: int) -> Counted:
    """What is counted for a number."""
    memory = _MEMORIES.setdefault(keys, Memory(now // CODE_WINDOW))
    name = hmac.digest(keys.code_key, counted_input(number), "sha256")[:16]
    counted = memory.counted.pop(name, None) or Counted(memory.since)
    memory.counted[name] = counted
    if len(memory.counted) > MAX_COUNTED:
        memory.counted.popitem(last=False)
    return counted
