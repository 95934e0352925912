"""What is wrong with a server now, for who runs it: looked at every few seconds, told when it comes and when it goes.

Of no request and no person is anything known here, so `GET /health` may show the codes to anybody.
"""

import math
import os
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography import x509

from grue.server.sms.gateway import SmsGateway
from grue.server.store.interface import Store

LOOK_EVERY: Final = 5.0
"""Seconds between two looks."""

LITTLE_DISK: Final = 64 << 20
"""Bytes free below which the disk counts as full: what a sweep needs to write a small database anew."""

SOON_SECONDS: Final = 7 * 86_400
"""Before a certificate ends, its renewal has failed: those that renew themselves do so weeks before."""

SOON_PART: Final = 3
"""The part of a certificate's lifetime that is left when it counts as ending soon, if that is less than
`SOON_SECONDS`: one that lives for six days is renewed when a half or a third of them is left."""

Told = Callable[[dict[str, Any]], None]
"""Takes `{"wrong": CODE, "message", "fix"}` when something is wrong, and `{"mended": CODE}` when it is no longer."""


class Condition(StrEnum):
    SMS = "sms_gateway"
    DISK = "disk_full"
    CERTIFICATE = "certificate"


FIXES: Final = {
    Condition.SMS: "No SMS passes, and nobody can register. Check the URL, the password, the `ca` and the carrier.",
    Condition.DISK: "Free some: what finds no room is refused. Nothing that was acknowledged is lost.",
    Condition.CERTIFICATE: "Clients refuse a certificate that has ended. Renew it, and start the server again.",
}


class Conditions:
    """The one place that knows. `look` finds out, `now` says.

    data         the data directory
    certificate  the PEM file of the server's own certificate, when it serves https
    """

    def __init__(
        self,
        data: Path,
        store: Store,
        gateway: SmsGateway | None,
        certificate: Path | None,
        clock: Callable[[], float],
        told: Told = lambda _line: None,
    ) -> None:
        self._data = data
        self._store = store
        self._gateway = gateway
        self._certificates = [] if certificate is None else _lives(certificate)
        self._clock = clock
        self._told = told
        self.now: dict[Condition, str] = {}
        """What is wrong, and how."""

    async def look(self) -> None:
        """Find out what is wrong, and tell what has changed."""
        found = {condition: how for condition, how in self._found() if how}
        before, self.now = self.now, found
        for condition, how in found.items():
            if before.get(condition) != how:
                self._told({"wrong": condition.value, "message": how, "fix": FIXES[condition]})
        for condition in before.keys() - found.keys():
            self._told({"mended": condition.value})

    def _found(self) -> list[tuple[Condition, str]]:
        return [
            (Condition.SMS, self._sms()),
            (Condition.DISK, self._disk()),
            (Condition.CERTIFICATE, self._own_certificate()),
        ]

    def _sms(self) -> str:
        if self._gateway is None or self._gateway.health == "bound":
            return ""
        return f"The SMS gateway: {self._gateway.health}."

    def _disk(self) -> str:
        if self._store.disk_full:
            return "The disk is full."
        space = os.statvfs(self._data)
        free = space.f_bavail * space.f_frsize
        return f"The disk has less than {LITTLE_DISK >> 20} MiB left." if free < LITTLE_DISK else ""

    def _own_certificate(self) -> str:
        """Of the one that is served, as it was at the start: a renewed file changes nothing until the next."""
        if self._certificates is None:
            return "The server's certificate cannot be read."
        now = self._clock()
        ends = min((life.ends for life in self._certificates if life.soon <= now), default=math.inf)
        if ends == math.inf:
            return ""
        if ends <= now:
            return "The server's certificate has ended."
        # The moment and not how long until then, so that it is said once.
        return f"The server's certificate ends on {datetime.fromtimestamp(ends, UTC):%Y-%m-%d at %H:%M} UTC."


class _Life(NamedTuple):
    """Unix seconds."""

    soon: float
    ends: float


def _lives(certificate: Path) -> list[_Life] | None:
    """Of each certificate of a chain; None for what cannot be read."""
    try:
        chain = x509.load_pem_x509_certificates(certificate.read_bytes())
    except (OSError, ValueError):
        return None
    return [_life(one.not_valid_before_utc.timestamp(), one.not_valid_after_utc.timestamp()) for one in chain]


def _life(begins: float, ends: float) -> _Life:
    return _Life(ends - min(SOON_SECONDS, (ends - begins) / SOON_PART), ends)
