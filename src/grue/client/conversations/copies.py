"""A home that exists twice is noticed by what the other one took out of the intro mailbox.

The mailbox counts without holes, and has one reader, to whom each message is given once. So what is missing there has
expired, or the server kept it back, or a copy of this home, or a later state of it, has read it.
"""

from typing import Final

from grue.client import chats
from grue.client.context import Account
from grue.client.conversations.tables import DAY_MS
from grue.client.store.engine import Db
from grue.client.store.entries import get_meta, put_meta
from grue.protocol.conversation.conversation import Notice
from grue.protocol.wire import ENVELOPE_DAYS

_READ: Final = "intro_read"
_COPIED: Final = "copied"


def read(db: Db, now_ms: int) -> None:
    """The intro mailbox was read to here: what is missing soon after this has not expired."""
    put_meta(db, _READ, now_ms)


def read_before(db: Db, now_ms: int) -> bool:
    """Whether it is to be noted again that the intro mailbox was read: once a day is enough."""
    last = get_meta(db, _READ, int)
    return last is None or not 0 <= now_ms - last < DAY_MS


def missing(db: Db, account: Account, now_ms: int) -> None:
    """Something in the intro mailbox was never seen here: tell of a copy, unless it may have expired."""
    last = get_meta(db, _READ, int)
    if account.intro_cursor and last is not None and 0 <= now_ms - last < ENVELOPE_DAYS * DAY_MS:
        put_meta(db, _COPIED, now_ms)
        chats.notify(db, chats.bind(db, account.number, account.identity_public).id, [Notice.COPIED])


def noticed(db: Db) -> int | None:
    """Unix milliseconds when a copy of this home was noticed last; None: never."""
    return get_meta(db, _COPIED, int)
