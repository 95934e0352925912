"""Running a server: `serve` puts its parts together, serves until it is told to stop, and loses nothing then."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from grue.server import chores
from grue.server.accounts.codes import DEFAULT_CAPS, Caps
from grue.server.app import Server
from grue.server.clock import SteadyClock
from grue.server.conditions import Conditions, Told
from grue.server.directory.directory import Directory
from grue.server.http import runner
from grue.server.keys.keys import Keys, open_keys, open_replica_key
from grue.server.listening import listening, parse_address, run_fast, set_limits, stop_signal
from grue.server.mailboxes.blobs import MAX_BLOB_BYTES, Blobs
from grue.server.replica.replicas import Replicas
from grue.server.reporting import report
from grue.server.sms.sms import SMS_A_DAY, SmsRole, open_gateway
from grue.server.store.disk import starting
from grue.server.store.files import BLOBS, DATABASE, locked
from grue.server.store.sqlite import open_store


async def serve(
    data: Path,
    listen: str,
    sms: str | None = None,
    directory_key: Path | None = None,
    tls: ssl.SSLContext | None = None,
    ready: Callable[[str], None] = lambda _address: None,
    restored: bool = False,
    clock_is_right: bool = False,
    blob_limit: int = MAX_BLOB_BYTES,
    replicas: Sequence[str] = (),
    make: Callable[..., Server] = Server,
    sms_a_day: int = SMS_A_DAY,
    certificate: Path | None = None,
    told: Told = lambda _line: None,
    caps: Caps = DEFAULT_CAPS,
) -> None:
    """Serve until SIGTERM or SIGINT. Calls `ready` with HOST:PORT once requests are answered.

    restored        the data comes from a backup: clients are told to read again, old key packages and tokens are void
    clock_is_right  start although the clock contradicts what was signed last
    blob_limit      bytes that attachments may take on the disk
    replicas        URLs of replicas, or of what balances load among some: private queries are passed on to them
    make            what makes the server of its parts
    sms_a_day       SMS that one number sends a day
    certificate     the file of the certificate that `tls` has, to say when it ends
    told            hears of what is wrong, and of what no longer is
    caps            how many codes go out an hour

    Raises UsageError, ClockImplausible, ForeignDatabase, CorruptDatabase, when it cannot start; DiskFull and DiskFailed
    say whose disk it is that has no room for what a start writes, or cannot be written. That is the folder and its
    lock, the keys, the database with its log and its index, a base of the directory with its head, and a folder for
    attachments; most of it at the first start, and then a head and, once a week or after a step of the clock, a base.
    """
    address = parse_address(listen)
    set_limits()
    stop = stop_signal()
    asyncio.get_running_loop().set_exception_handler(_report_from_loop)
    async with AsyncExitStack() as stack:
        with starting(data):
            stack.enter_context(locked(data))
            server = await stack.enter_async_context(
                _server(data, sms, directory_key, clock_is_right, blob_limit, replicas, make, sms_a_day, caps)
            )
            if restored:
                await chores.after_restore(server)
        gateway = server.sms.gateway if server.sms is not None else None
        conditions = Conditions(data, server.store, gateway, certificate, server.context.clock, told)
        stack.enter_context(chores.done_for(server, conditions))
        bound = await stack.enter_async_context(listening(runner(server, conditions), address, tls))
        ready(bound)
        await stop.wait()


def run(data: Path, listen: str, **options: Any) -> None:
    """`serve`, on the fastest event loop there is."""
    run_fast(serve(data, listen, **options))


@asynccontextmanager
async def _server(
    data: Path,
    sms_url: str | None,
    directory_key: Path | None,
    clock_is_right: bool = False,
    blob_limit: int = MAX_BLOB_BYTES,
    replicas: Sequence[str] = (),
    make: Callable[..., Server] = Server,
    sms_a_day: int = SMS_A_DAY,
    caps: Caps = DEFAULT_CAPS,
) -> AsyncIterator[Server]:
    """All parts of a server, in the order in which they need each other, and left in the opposite one."""
    gateway = open_gateway(sms_url) if sms_url is not None else None
    keys = open_keys(data, directory_key)
    store = await open_store(data / DATABASE)
    try:
        role = SmsRole(gateway, sms_a_day) if gateway is not None else None
        clock = SteadyClock()
        directory = Directory(data, keys, clock, clock_is_right=clock_is_right)
        try:
            blobs = Blobs(data / BLOBS, blob_limit)
            server = make(store, keys=keys, directory=directory, blobs=blobs, sms=role, clock=clock, caps=caps)
            async with _replicas(server, data, keys, replicas), _sms(server, role):
                yield server
        finally:
            await directory.close()
    finally:
        await store.close()


@asynccontextmanager
async def _replicas(server: Server, data: Path, keys: Keys, urls: Sequence[str]) -> AsyncIterator[None]:
    if not urls:
        yield
        return
    replicas = Replicas(urls, open_replica_key(data, keys))
    server.queries.helpers = replicas
    async with replicas.connected():
        yield


@asynccontextmanager
async def _sms(server: Server, role: SmsRole | None) -> AsyncIterator[None]:
    if role is None:
        yield
        return
    await role.start(server.context, server.mailboxes)
    try:
        yield
    finally:
        await role.close()


def _report_from_loop(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What the loop would log by itself holds addresses."""
    if (error := context.get("exception")) is not None:
        report(error)
