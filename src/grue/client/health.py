"""`doctor` asks these functions how a client is doing: what waits here, and what its server and directory say.

Each answers one question, and raises what is wrong. None changes anything that a later step relies on.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from grue.client import account as accounts
from grue.client.context import Context
from grue.client.conversations import copies
from grue.client.signing import signed
from grue.client.store.engine import Db
from grue.client.transport.http import get, new_session
from grue.errors import CorruptDatabase, NotAGrueServer, ServerChanged
from grue.protocol import wire
from grue.protocol.directory.directory import HEAD_PATH, UnverifiedHead
from grue.protocol.directory.directory_sync import Current
from grue.protocol.directory.lookup import Found

COPIED_FOR_MS: Final = 30 * 24 * 3600 * 1000
"""How long a copy that was noticed is told: until most people have found it."""


@dataclass(frozen=True)
class Waiting:
    """What is kept here until the server takes it."""

    messages: int
    since: float
    """Unix seconds of the oldest message; 0 without any."""


async def check_database(context: Context) -> None:
    """Read every page. Raises CorruptDatabase."""
    if not await context.store.read(_is_whole):
        raise CorruptDatabase


async def waiting(context: Context) -> Waiting:
    """Messages that were not sent yet."""
    return await context.store.read(_waiting)


async def check_server(context: Context) -> wire.ServerHello:
    """Ask the server what it is. Raises NetworkError, NotAGrueServer, OtherVersion, ServerChanged."""
    hello = await context.transport.hello()
    if hello.server_public != context.account.server_public:
        raise ServerChanged
    return hello


async def server_conditions(url: str, proxy: str = "") -> list[str]:
    """Ask a server what is wrong with it: codes, for who runs it; none of an older one. Raises NetworkError."""
    async with new_session(proxy) as session:
        try:
            return msgspec.json.decode(await get(session, f"{url}/health"), type=_Health).wrong
        except (NotAGrueServer, msgspec.DecodeError):
            return []


class _Health(msgspec.Struct):
    wrong: list[str]


async def check_transport(context: Context) -> None:
    """Make one anonymous request, for a small public file. Raises NetworkError, NotARelay, BadGatewayKey, ..."""
    await context.transport.file(HEAD_PATH)


async def clock_ahead(context: Context) -> int:
    """Seconds by which this machine's clock is outside what the newest head allows; negative when it is behind.

    Raises BadManifest, NetworkError.
    """
    head = UnverifiedHead(await context.transport.file(HEAD_PATH)).verify(context.account.server_public).contents
    now = int(context.clock())
    return now - min(max(now, head.issued), head.valid_until)


async def check_directory(context: Context) -> Current:
    """Bring the copy of the directory up to date. Raises VerificationFailed, NetworkError."""
    return await context.directory.current()


async def check_own_record(context: Context) -> bool:
    """Look the own number up, as contacts do; whether they find it. Raises KeyChanged, VerificationFailed, ..."""
    # This first, since it does not raise: what is asked may not depend on what came.
    (looked_up,) = await context.directory.lookup([context.account.number])
    await accounts.look_self_up(context)
    if looked_up.error is not None:
        raise looked_up.error
    return isinstance(looked_up.result, Found)


async def key_packages_left(context: Context) -> int:
    """How many new people can write before the server has none of our keys left for them. Raises NetworkError, ..."""
    return (await signed(context, wire.CountKeyPackages(), wire.KeyPackageCount)).left


async def copied(context: Context) -> float | None:
    """Unix seconds when another copy of this home was noticed last; None: never, or long ago."""
    noticed = await context.store.read(copies.noticed)
    recent = noticed is not None and context.now_ms - noticed < COPIED_FOR_MS
    return noticed / 1000 if noticed is not None and recent else None


def _is_whole(db: Db) -> bool:
    return db.rows("PRAGMA quick_check(1)") == [("ok",)]


def _waiting(db: Db) -> Waiting:
    row = db.row("SELECT count(*), min(sent) FROM message WHERE incoming = 0 AND state = 'queued'")
    assert row is not None
    count, oldest = row
    return Waiting(int(count or 0), int(oldest or 0) / 1000)
