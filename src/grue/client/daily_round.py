"""The daily round: chores that keep an account reachable, done once a day by whichever process comes first."""

from contextlib import suppress
from typing import Final

from grue.client import account as accounts
from grue.client.context import Context
from grue.client.conversations import requests, steps, tables
from grue.client.devices import manage
from grue.client.lookup import gossip
from grue.client.people import contactsync
from grue.client.store.engine import Db
from grue.client.store.entries import get_meta, put_meta
from grue.errors import GrueError, NetworkError, SplitDirectory
from grue.protocol.conversation.conversation import READING, SUPERSEDED_FOR_MS, ConversationState

EVERY: Final = 24 * 3600
"""Seconds between two rounds."""

AGAIN_AFTER: Final = 3600
"""Seconds until a round that failed is tried again."""

CHECK_IN_EVERY: Final = 7 * 24 * 3600
"""Seconds between two check-ins: the server forgets an account that has not been heard of for a year."""


async def daily_round(context: Context) -> None:
    """Do all that an account needs once a day, if that is due. Raises NetworkError.

    What fails is tried again in an hour, and never stands in the way of messages.
    """
    now = int(context.clock())
    if not await context.store.transact(_due, "tended", EVERY, now):
        return
    try:
        await _chores(context, now)
    except GrueError as error:
        await context.store.note(put_meta, "tended", now - EVERY + AGAIN_AFTER)
        if isinstance(error, NetworkError):
            raise


async def _chores(context: Context, now: int) -> None:
    # Before anything that names the account: by refusing that to one person, a server would keep what it shows them
    # from their contacts. What is wrong with the directory ends the round further down.
    with suppress(GrueError):
        await context.directory.current()
        await context.store.note(gossip.tell)
    # Then this, since it looks ourselves up: a clock that is years ahead does not pass that, and what comes after it
    # would take everything for old.
    try:
        await accounts.keep_reachable(context)
    except SplitDirectory:
        # Messages go on for as long as it takes to find out, and so has the account.
        await _check_in(context, now)
        raise
    await _check_in(context, now)
    await context.directory.prepare()
    await context.store.transact(manage.say_in_use, context)
    await context.store.transact(_leave_superseded, context)
    await context.store.transact(_leave_drained, context)
    await context.store.transact(requests.tidy, context)
    await context.store.note(tables.forget_old, context.now_ms)
    await contactsync.resume(context)


async def _check_in(context: Context, now: int) -> None:
    last = await context.store.read(get_meta, "checked_in", int)
    if last is None or not 0 <= now - last < CHECK_IN_EVERY:
        await accounts.check_in(context)
        # Only now: one that failed is due again with the next round, for by it the number is known to be in use.
        await context.store.note(put_meta, "checked_in", now)


def _due(db: Db, what: str, every: int, now: int) -> bool:
    last = get_meta(db, what, int)
    if last is not None and 0 <= now - last < every:
        return False
    put_meta(db, what, now)
    return True


def _leave_drained(db: Db, context: Context) -> None:
    """Leave the mailboxes that conversations have moved from."""
    for conversation, chat in tables.conversations_in(db, READING):
        steps.leave_drained(context, db, chat, conversation)


def _leave_superseded(db: Db, context: Context) -> None:
    """Leave the mailboxes of superseded conversations whose time has passed, and forget their keys."""
    for conversation, chat in tables.conversations_in(db, {ConversationState.SUPERSEDED}):
        if context.now_ms - conversation.since > SUPERSEDED_FOR_MS and not conversation.owed:
            steps.leave(context, db, chat, conversation)
