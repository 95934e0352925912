"""The checks that `doctor` makes, in the order in which one depends on another."""

import os
import shutil
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from grue.cli.shell import spoken
from grue.errors import (
    CorruptDatabase,
    DiskFull,
    ForeignDatabase,
    GrueError,
    NetworkError,
    NotRegistered,
    OldAccount,
    OtherVersion,
    UsageError,
    VerificationFailed,
)

if TYPE_CHECKING:
    from grue.client.client import Client
    from grue.client.context import Context
    from grue.client.transport.transport import TransportSettings
    from grue.protocol import wire

ROOM: Final = 200 << 20
"""Bytes free below which a home may soon be unable to take what arrives."""

PYTHON: Final = (3, 11)
FEW_PACKAGES: Final = 3
STANDS_ON: Final = frozenset({"home", "key", "database", "account", "url", "server", "server key", "transport"})
"""When one of these is wrong, what follows in its group cannot be looked at."""

OLD: Final = 600
"""Seconds after which a message that waits says that something is wrong."""


class HomeOpenToOthers(UsageError):
    code = "home_open"
    message = "Others on this machine can look into this home."
    fix = "Run `chmod 700` on it."


class ClockWrong(UsageError):
    code = "clock_wrong"
    message = "This machine's clock differs from the server's."
    fix = "Set the clock; lookups need it to tell a fresh directory from an old one."


class NotFound(GrueError):
    code = "own_record_missing"
    exit_code = 5
    message = "Contacts who look your number up do not find it."
    fix = "If you registered to be found: the server hides your record, or has lost it. Register again."


class FewKeys(NetworkError):
    code = "few_key_packages"
    message = "The server has few keys left for new people."
    fix = "Run `grue receive` on this device; it brings new ones."


CONDITIONS: Final = {
    "sms_gateway": "its SMS gateway does not take it",
    "disk_full": "its disk is full, or nearly",
    "certificate": "its certificate ends soon, or has ended",
}
"""What a server reports of itself, in words."""


class ServerImpaired(NetworkError):
    code = "server_impaired"
    message = "The server runs, and reports that something is wrong with it."
    fix = "Whoever runs it finds what to do in what `grue serve` writes; nothing that was sent is lost."


class HomeCopied(VerificationFailed):
    code = "home_copied"
    message = "Another copy of this home has read messages that are not here."
    fix = "Use it in one place only: what one copy reads the other never gets. Delete the copy, or register here again."


class Waits(NetworkError):
    code = "messages_wait"
    message = "Messages wait here to be sent."
    fix = "Run `grue receive`, which sends them when the server can be reached."


@dataclass(frozen=True)
class Check:
    """What was looked at, and what came of it."""

    name: str
    message: str
    error: GrueError | None = None
    skipped: bool = False
    """It could not be looked at, because of something before it."""

    @property
    def ok(self) -> bool | None:
        return None if self.skipped else self.error is None


Step = tuple[str, Callable[[], Awaitable[str]]]


class Doctor:
    """One examination of one home."""

    def __init__(self, home: Path, server: str | None, opened: "Callable[[], Awaitable[Client]]") -> None:
        self._home = home
        self._url = server
        self._open = opened
        self._client: Client | None = None
        self._hello: wire.ServerHello | None = None
        self._unopened: GrueError | None = None
        self.transport: TransportSettings | None = None
        """After the examination: how the account's server is reached."""

    async def examine(self) -> AsyncGenerator[Check, None]:
        """Every check, one after the other; what stands on a failed one is skipped."""
        try:
            for group in (self._machine, self._of_home, self._of_server, self._of_account):
                failed = False
                for name, step in group():
                    check = Check(name, "not looked at", skipped=True) if failed else await _run(name, step)
                    failed |= check.skipped or (check.error is not None and name in STANDS_ON)
                    yield check
        finally:
            self.transport = await self.settings() if self._registered() is not None else None
            if self._client is not None:
                await self._client.close()

    # --- what is looked at ------------------------------------------------------------------------

    def _machine(self) -> list[Step]:
        return [("python", _python), ("core", _core), ("disk", self._disk)]

    def _of_home(self) -> list[Step]:
        return [
            ("home", self._there),
            ("permissions", self._permissions),
            ("key", self._key),
            ("database", self._database),
            ("account", self._account),
        ]

    def _of_server(self) -> list[Step]:
        if self._url is None:
            return []
        return [("url", self._transport), ("server", self._server), ("operation", self._operation)]

    def _of_account(self) -> list[Step]:
        if self._hello is None or self._registered() is None:
            return []
        return [
            ("server key", self._server_key),
            ("transport", self._way),
            ("clock", self._clock),
            ("directory", self._directory),
            ("own record", self._own_record),
            ("key packages", self._key_packages),
            ("outbox", self._outbox),
            ("copies", self._copies),
        ]

    # --- machine and home -------------------------------------------------------------------------

    async def _disk(self) -> str:
        place = next(path for path in (self._home, *self._home.parents) if path.exists())
        free = shutil.disk_usage(place).free
        if free < ROOM:
            raise DiskFull(f"({free >> 20} MiB are free.)")
        return f"{free >> 30} GiB are free"

    async def _there(self) -> str:
        if not (self._home / "key.json").exists():
            raise NotRegistered
        return str(self._home)

    async def _permissions(self) -> str:
        mode = self._home.stat().st_mode & 0o777
        if os.name == "posix" and mode & 0o077:
            raise HomeOpenToOthers(f"(Its mode is {mode:o}.)")
        return "for its owner only"

    async def _key(self) -> str:
        from grue.client.store.home import unlock

        try:
            self._client = await self._open()
        except (CorruptDatabase, ForeignDatabase) as error:
            # Raised again, unless it was the database that did not open.
            unlock(self._home)
            self._unopened = error
        from_keyring = b'"keyring"' in (self._home / "key.json").read_bytes()
        return f"it comes from {'the keyring' if from_keyring else 'a passphrase'}, and fits"

    async def _database(self) -> str:
        from grue.client.health import check_database

        if self._unopened is not None:
            raise self._unopened
        context = self._registered()
        if context is not None:
            await check_database(context)
        return "it opens, and is whole"

    async def _account(self) -> str:
        try:
            context = self._client.context if self._client is not None else None
        except OldAccount:
            raise
        except NotRegistered:
            context = None
        if context is None:
            raise NotRegistered("(A registration may have been begun.)")
        self._url = context.account.server
        return f"{context.account.number} is registered"

    def _registered(self) -> "Context | None":
        if self._client is not None:
            with suppress(NotRegistered):
                return self._client.context
        return None

    # --- the server -------------------------------------------------------------------------------

    async def _transport(self) -> str:
        from grue.protocol.urls import check_url

        assert self._url is not None
        self._url = check_url(self._url)
        secret = "TLS hides it from the network" if self._url.startswith("https:") else "this machine only"
        return f"{self._url}: {secret}"

    async def _server(self) -> str:
        from grue.client.transport.transport import DirectTransport

        assert self._url is not None
        began = time.perf_counter()
        async with DirectTransport(self._url, (await self.settings()).proxy) as transport:
            self._hello = await transport.hello()
        ms = (time.perf_counter() - began) * 1000
        carried = f"SMS by {self._hello.sms}" if self._hello.sms else "no SMS"
        return f"a Grue server of protocol {self._hello.protocols[-1]}, answers in {ms:.0f} ms; {carried}"

    async def _operation(self) -> str:
        from grue.client.health import server_conditions

        assert self._url is not None
        wrong = await server_conditions(self._url, (await self.settings()).proxy)
        if wrong:
            raise ServerImpaired(f"({', '.join(CONDITIONS.get(code, code) for code in wrong)}.)")
        return "it reports nothing wrong"

    async def _server_key(self) -> str:
        from grue.client.health import check_server

        await check_server(self._context)
        return "the one that this account was registered with"

    async def _way(self) -> str:
        """That anonymous requests get through, on the way that is set."""
        from grue.client.health import check_transport

        settings = await self.settings()
        began = time.perf_counter()
        await check_transport(self._context)
        ms = (time.perf_counter() - began) * 1000
        by = f"through {settings.relay}" if settings.relay else "straight to the server"
        proxied = f", by the proxy {settings.proxy}" if settings.proxy else ""
        return f"{settings.name}: an anonymous request takes {ms:.0f} ms; it goes {by}{proxied}"

    async def settings(self) -> "TransportSettings":
        """How this home reaches its server; straight, as long as there is none."""
        from grue.client.transport.transport import TransportSettings

        return await self._client.account.transport_settings() if self._client is not None else TransportSettings()

    async def _clock(self) -> str:
        from grue.client.health import clock_ahead
        from grue.protocol.directory.directory import CLOCK_SKEW

        ahead = await clock_ahead(self._context)
        if not -CLOCK_SKEW <= ahead <= 0:
            raise ClockWrong(f"(It is {abs(ahead)} s {'ahead' if ahead > 0 else 'behind'}, or the server's is.)")
        return "agrees with the directory's times"

    async def _directory(self) -> str:
        from grue.client.health import check_directory

        current = await check_directory(self._context)
        left = current.head.contents.valid_until - int(time.time())
        records = current.manifest.contents.count + current.head.contents.length
        return f"signed, complete and fresh for {left // 60} more minutes; about {records} records"

    # --- the account ------------------------------------------------------------------------------

    @property
    def _context(self) -> "Context":
        assert self._client is not None
        return self._client.context

    async def _own_record(self) -> str:
        from grue.client.health import check_own_record

        found = await check_own_record(self._context)
        if self._context.account.hidden:
            return "not to be found, as you wanted" if not found else "still listed; it goes with the next check-in"
        if not found:
            raise NotFound
        return "contacts find your number, with your key"

    async def _key_packages(self) -> str:
        from grue.client.health import key_packages_left

        left = await key_packages_left(self._context)
        if left < FEW_PACKAGES:
            raise FewKeys(f"({left} are left.)")
        return f"{left} are left, each for one new contact"

    async def _outbox(self) -> str:
        from grue.client.health import waiting

        found = await waiting(self._context)
        age = int(time.time() - found.since)
        if found.messages and age > OLD:
            raise Waits(f"({found.messages}, the oldest for {age // 60} minutes.)")
        return f"{found.messages} messages wait" if found.messages else "nothing waits"

    async def _copies(self) -> str:
        from grue.client.health import copied

        noticed = await copied(self._context)
        if noticed is not None:
            raise HomeCopied(f"(It was noticed {int(time.time() - noticed) // 86_400} days ago.)")
        return "no other copy of this home was noticed"


async def _run(name: str, step: Callable[[], Awaitable[str]]) -> Check:
    try:
        return Check(name, await step())
    except GrueError as error:
        return Check(name, spoken(error), error)


async def _python() -> str:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < PYTHON:
        raise OtherVersion(f"(Python is {version}.)")
    return f"Python {version}"


async def _core() -> str:
    from grue import __version__

    try:
        from grue._core import MlsSession

        MlsSession({}).new_identity()
    except ImportError:
        raise UsageError("The compiled core is missing; install Grue again.") from None
    return f"Grue {__version__}, and its compiled core works"
