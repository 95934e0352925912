"""Who may talk to the process: a secret that is used once to come in, and a bearer for as long as the page is open.

No cookie: cookies know no port, so that every page of another local port would get and send them.
"""

import hmac
import secrets
import time
from collections.abc import Callable
from typing import Final

from grue.errors import Refused

ONCE_SECONDS: Final = 30.0
"""For which a one-use secret is good: a browser that is slow to start takes some ten."""
MAX_ONCE: Final = 16
"""One-use secrets that are good at a time; of more the oldest are not."""
MAX_BEARERS: Final = 32
"""Windows of one process at a time; the one that has been open longest gives way."""
SECRET_BYTES: Final = 32


class NotLetIn(Refused):
    """The secret was used, is too old, or was never ours."""

    code = "not_let_in"
    message = "This window's key was used already, or is too old."
    fix = "Run `grue desktop` again: it opens a window with a new one."


class Secrets:
    """The secrets of one process, in memory only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._once: dict[str, float] = {}
        self._bearers: list[str] = []

    def __repr__(self) -> str:
        return "Secrets()"

    def once(self) -> str:
        """A new one-use secret, for the fragment of a URL."""
        secret = secrets.token_urlsafe(SECRET_BYTES)
        self._once[secret] = self._clock() + ONCE_SECONDS
        while len(self._once) > MAX_ONCE:
            del self._once[next(iter(self._once))]
        return secret

    def enter(self, once: str) -> str:
        """The bearer for a one-use secret, which is used up. Raises NotLetIn."""
        known = [one for one in self._once if hmac.compare_digest(one.encode(), once.encode())]
        if not known or self._once.pop(known[0]) < self._clock():
            raise NotLetIn
        bearer = secrets.token_urlsafe(SECRET_BYTES)
        self._bearers = [*self._bearers, bearer][-MAX_BEARERS:]
        return bearer

    def check(self, bearer: str) -> None:
        """Raises NotLetIn."""
        if not any(hmac.compare_digest(one.encode(), bearer.encode()) for one in self._bearers):
            raise NotLetIn
