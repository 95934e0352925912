"""The chores of a server: it sweeps what has expired, tends the directory, and recovers from a restored backup."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from grue.protocol.registration import CODE_WINDOW
from grue.server.accounts import claims, codes, keypackages
from grue.server.app import Server
from grue.server.conditions import LOOK_EVERY, Conditions
from grue.server.directory.directory import TEND_EVERY
from grue.server.mailboxes import blobs, mailboxes
from grue.server.reporting import report
from grue.server.tokens import tokens

SWEEP_EVERY: Final = 6 * 3600
"""Seconds between two sweeps of what has expired; expiry counts in days."""


@contextmanager
def done_for(server: Server, conditions: Conditions) -> Iterator[None]:
    """Do a server's chores as long as this lasts."""
    chores = [
        asyncio.create_task(_every(LOOK_EVERY, conditions.look)),
        asyncio.create_task(_every(SWEEP_EVERY, lambda: sweep(server))),
        asyncio.create_task(_every(CODE_WINDOW, lambda: sweep_codes(server))),
        asyncio.create_task(_every(TEND_EVERY, server.directory.tend)),
    ]
    try:
        yield
    finally:
        for chore in chores:
            chore.cancel()


async def _every(seconds: float, chore: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await chore()
        except Exception as error:  # noqa: BLE001 -- tried again next time
            report(error)
        await asyncio.sleep(seconds)


async def sweep(server: Server) -> None:
    """Remove what has expired, a little at a time, so that nobody waits for it. Once a day is enough."""
    context, store = server.context, server.store
    above: bytes | None = b""
    while above is not None:
        above, gone = await store.transact(mailboxes.expire, above, context.today)
        for mailbox in gone:
            server.streams.gone(mailbox)
    for first_byte in range(256):
        await store.transact(mailboxes.forget_posted, first_byte, context.today)
        await store.transact(tokens.expire, first_byte, context.week, context.keys.token_generation)
    await store.transact(keypackages.expire, context.week)
    await sweep_codes(server)
    await store.transact(claims.expire, context.today)
    await server.registration.expire()
    await blobs.expire(context, server.blobs)
    await store.tidy()


async def sweep_codes(server: Server) -> None:
    """Remove what is noted of codes once it counts no longer. Once in a window: no other rows live as short."""
    context = server.context
    await server.store.transact(codes.expire, int(context.clock()) // CODE_WINDOW, context.today)


async def after_restore(server: Server) -> None:
    """The store comes from a backup: what happened since is not in it, and everybody has to know.

    To be called before anybody is served. What tokens were spent on since is not known either, so none is good now.
    """
    await server.directory.void_tokens()
    await server.store.transact(mailboxes.renew_incarnation, server.context.random(16))
    await server.store.transact(keypackages.after_restore)
