"""Reaching somebody: their key packages are claimed, by their number or without one, and checked."""

from typing import Final

from grue.client import chats, verified
from grue.client.chats import Chat
from grue.client.context import Context
from grue.client.conversations import personlinks
from grue.client.lookup.directory import Gone, LookedUp
from grue.client.store.engine import Db
from grue.client.store.entries import get_meta, put_meta
from grue.errors import ContactGone, NoSuchChat, NotAGrueServer, RouteUnknown
from grue.protocol import wire
from grue.protocol.conversation.first_contact import Peer, check_claimed
from grue.protocol.directory.lookup import Found
from grue.protocol.directory.record import Record


async def look_up(context: Context, number: str) -> LookedUp:
    """What the directory says of a number. Raises what kept it from saying anything."""
    (looked_up,) = await context.directory.lookup([number])
    if looked_up.error is not None:
        raise looked_up.error
    return looked_up


async def claim(context: Context, chat: int) -> tuple[Peer, bool]:
    """Take key packages of a chat's account, and say whether it was found by its number.

    By a number the record says which device list is theirs. Without a record it is whatever the known identity has
    signed, not older than one seen before (PEOPLE-01). Raises KeyChanged when the number leads to another identity.
    """
    contact = await context.store.read(chats.by_id, chat)
    if contact is None:
        raise NoSuchChat
    found = await _record_of(context, contact)
    intro_mailbox, list_hash = found or (await context.store.read(personlinks.intro_of, contact.identity), None)
    if not intro_mailbox:
        raise RouteUnknown
    claimed = await context.tokens.ask(wire.Claim(intro_mailbox))
    if not isinstance(claimed, wire.Claimed):
        raise NotAGrueServer
    return check_claimed(claimed, contact.identity, list_hash, contact.list_version), found is not None


async def _record_of(context: Context, contact: Chat) -> tuple[bytes, bytes] | None:
    """Intro mailbox and hash of the device list, as the directory has them; None of who is not to be found.

    Raises RouteUnknown for a number that had a record, and KeyChanged.
    """
    number = contact.number or contact.claimed
    if not number:
        return None
    looked_up = await look_up(context, number)
    if not isinstance(looked_up.result, Found):
        if contact.number:
            raise RouteUnknown
        return None
    record = looked_up.result.record
    if record.identity_public != contact.identity:
        raise await context.store.read(verified.key_changed, contact.identity)
    return record.intro_mailbox, record.device_list_hash


def check_not_gone(db: Db, chat: Chat, record: Record | Gone | None, accept_key: bool) -> None:
    """Raises ContactGone when the record of a contact's number has vanished, unless the user said to go on without."""
    before = set(get_meta(db, _UNLISTED, list[int]) or [])
    accepted = before
    if isinstance(record, Record):
        accepted = before - {chat.id}
    elif record is Gone.GONE and chat.id not in before:
        if not accept_key:
            raise ContactGone
        accepted = before | {chat.id}
    if accepted != before:
        put_meta(db, _UNLISTED, sorted(accepted))


_UNLISTED: Final = "unlisted"
"""Chats whose number has no record any more, and that the user writes to all the same."""
