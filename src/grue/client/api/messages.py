"""Messages and chats as a program is shown them: whose they are, what is verified, and what may be sent back."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, cast

from grue.client import chats, verified
from grue.client.chats import CHAT_PREFIX, Chat, person
from grue.client.context import own_number
from grue.client.conversations import histories, naming, profiles, tables
from grue.client.conversations.showing import Showing
from grue.client.conversations.tables import StoredMessage
from grue.client.lookup.directory import names_another
from grue.client.people.tables import name_of
from grue.client.store.engine import Db
from grue.errors import BadRecord
from grue.protocol.conversation.conversation import ConversationState
from grue.protocol.conversation.delivery import MessageState
from grue.protocol.conversation.fallback import Route

LOOK_AT: Final = 16
"""Messages that `take` looks at together: all but the first are being shown by others, or not at all yet."""

NOT_AGREED: Final = frozenset({ConversationState.REQUESTED, ConversationState.DECLINED, ConversationState.GONE})
"""Of somebody who has no other conversations with us, we have accepted nothing."""


@dataclass(frozen=True)
class File:
    """What came with a message and can be saved, as its sender says."""

    name: str
    bytes: int


@dataclass(frozen=True)
class Message:
    """One message, as it is shown."""

    id: str
    chat: str
    """What to send an answer to: the group's id, the number when it is verified, else the chat's name."""
    sender: str
    """The sender's number when it is verified, else `chat:` and the chat's id, as for every SMS; in a group `person:`
    and the beginning of the identity key."""
    claimed: str
    """The number that an unverified sender claims, as the sender of every SMS does; empty for a verified one."""
    to: str
    text: str
    route: Route
    sent: float
    """Unix seconds by the sender's clock."""
    incoming: bool
    state: MessageState
    request: bool = False
    """From somebody we have not accepted: nothing was acknowledged to them, and an answer accepts."""
    row: int = 0
    """Where it lies in this home's store."""
    file: File | None = None
    group: str = ""
    """What the group is called that it came to; empty in a chat with one person."""
    verified: bool = False
    """Whether the sender's identity was verified by its safety number; of an own one, that of whom it is to."""
    name: str = ""
    """What the user calls the sender; of an own one, whom it is to. Empty for nothing, and for who is not verified to
    have the number that the name goes with."""
    profile: str = ""
    """What the sender calls themself: nobody vouches for it."""


@dataclass(frozen=True)
class ChatInfo:
    """One line of the list of chats."""

    chat: str
    claimed: str
    encrypted: bool
    request: bool
    messages: int
    unread: int
    """Incoming messages that nobody was shown yet."""
    last: str
    last_sent: float
    """When the newest message was sent, in Unix seconds by its sender's clock; 0 where there is none."""
    group: str = ""
    """What it is called, when it is a group."""
    notes: bool = False
    """The chat with oneself, which `me` names."""
    verified: bool = False
    """Whether the identity was verified by its safety number; not while the directory has another one."""
    name: str = ""
    """What the user calls them."""
    profile: str = ""
    """What they call themselves: nobody vouches for it."""
    pinned: bool = False
    """It stands above those that are not."""
    muted_until: int = 0
    """Unix seconds until which what comes is quiet; 0 when it is not, `FOR_GOOD` without an end."""
    archived: bool = False
    """It is out of the list, until something comes that is not quiet."""
    draft: str = ""
    """What was written and not sent."""


Claimed = tuple[int | None, int]
"""The row of a message that is ours to show, and the last that was looked at; 0 when there was none."""


def claiming(
    showing: Showing, own: str, after: int
) -> tuple[Callable[[Db], Claimed], Callable[[Db, Claimed], tuple[int, Message | None]]]:
    """Claim a message behind a row; and read it anew, since whoever had it may have shown it until a moment ago.

    The second one returns where to look next, 0 when nothing is left, and the message if it is ours.
    """

    def claim(db: Db) -> Claimed:
        page = tables.unshown(db, after, LOOK_AT)
        mine = next((row for row, id in page if showing.claim(row, id)), None)
        return mine, page[-1][0] if page else 0

    def read(db: Db, claimed: Claimed) -> tuple[int, Message | None]:
        mine, last = claimed
        if mine is None:
            return last, None
        message = None
        try:
            found = tables.still_unshown(db, mine)
            message = None if found is None else _public(db, own, *found)
        finally:
            if message is None:
                showing.release(mine)
        return mine, message

    return claim, read


def _is_request(db: Db, chat: Chat) -> bool:
    states = {conversation.state for conversation in tables.conversations_of(db, chat.id)}
    return ConversationState.REQUESTED in states and states <= NOT_AGREED


def _is_strangers(db: Db, chat: Chat) -> bool:
    """Whether nothing of theirs was ever accepted; a request that gave way to others is none any more."""
    states = {conversation.state for conversation in tables.conversations_of(db, chat.id)}
    return bool(states) and states <= NOT_AGREED


def _is_turned_down(db: Db, chat: Chat) -> bool:
    states = {conversation.state for conversation in tables.conversations_of(db, chat.id)}
    return ConversationState.DECLINED in states and states <= NOT_AGREED - {ConversationState.REQUESTED}


def _public(db: Db, own: str, message: StoredMessage, chat: Chat) -> Message:
    other, attachment = chat.name, tables.attached(db, message.n)
    sender, claimed = _sender(db, message, chat)
    return Message(
        id=message.id.hex(),
        chat=other,
        sender=sender if message.incoming else own,
        claimed=claimed,
        to=own if message.incoming else other,
        text=message.text,
        route=message.route,
        sent=message.sent / 1000,
        incoming=message.incoming,
        state=message.state,
        request=message.incoming and message.route is Route.ENCRYPTED and _is_strangers(db, chat),
        row=message.n,
        file=None if attachment is None else File(attachment.name, attachment.length),
        group=chat.title,
        verified=message.route is Route.ENCRYPTED
        and verified.is_verified(db, message.sender if message.incoming else chat.identity),
        name=_name(db, message, chat, sender),
        profile=profiles.name_of(db, message.sender) if message.incoming else "",
    )


def _name(db: Db, message: StoredMessage, chat: Chat, sender: str) -> str:
    if not message.incoming:
        return "" if chat.group else name_of(db, chat.number, chat.identity)
    return name_of(db, sender if sender.startswith("+") else "", message.sender)


def _sender(db: Db, message: StoredMessage, chat: Chat) -> tuple[str, str]:
    """Who sent it, and which number they only claim."""
    if chat.group:
        return named_member(db, message.sender)
    unverified = message.incoming and _is_doubtful(db, message, chat)
    claimed = chat.number if unverified else "" if chat.number else chat.claimed
    return (_nobodys(message, chat) if unverified else chat.name), claimed


def _nobodys(message: StoredMessage, chat: Chat) -> str:
    """A sender who may not be who has the chat's number: no account of whoever can send an SMS."""
    return f"{CHAT_PREFIX}{chat.id}" if message.route is Route.SMS else chat.unnumbered


def named_member(db: Db, identity: bytes) -> tuple[str, str]:
    """What a member of a group is called here: by a number that is known to be theirs, else by `person:`.

    And the number that they only claim, if any.
    """
    known = chats.of_identity(db, identity)
    if known is None:
        return person(identity), ""
    with suppress(BadRecord):
        if known.number and not names_another(db, known.number, identity):
            return known.number, ""
    return person(identity), known.number or known.claimed


def _is_doubtful(db: Db, message: StoredMessage, chat: Chat) -> bool:
    """Whether this chat's number may not be the sender's.

    Whoever can send an SMS chooses the number that it is from; and somebody else may have the number by now.
    """
    if not chat.number or message.route is Route.SMS:
        return bool(chat.number)
    return _has_moved(db, chat)


def _has_moved(db: Db, chat: Chat) -> bool:
    """Whether somebody else has this chat's number by now."""
    with suppress(BadRecord):
        return bool(chat.number) and names_another(db, chat.number, chat.identity)
    return False


def _last(db: Db, message: StoredMessage) -> str:
    """What the list of chats shows of a message: its text, or else its file's name."""
    attachment = None if message.text else tables.attached(db, message.n)
    return message.text if attachment is None else attachment.name


def listed(db: Db, now: float) -> list[ChatInfo]:
    own = own_number(db)
    found = [_chat_info(db, chat, own, now) for chat in chats.all_chats(db) if _is_listed(db, chat)]
    return sorted(found, key=lambda one: not one.pinned)


def info_of(db: Db, chat: Chat, own: str, now: float) -> ChatInfo | None:
    """The line of one chat; None of one that no list has."""
    return _chat_info(db, chat, own, now) if _is_listed(db, chat) else None


def messages_of(db: Db, own: str, rows: Iterable[int]) -> list[Message]:
    """The messages in these rows, without those of who was turned down."""
    found = [message for row in rows for message in tables.messages(db, "WHERE n = ?", row)]
    by_id = {id: cast("Chat", chats.by_id(db, id)) for id in {message.chat for message in found}}
    shown = {id for id, chat in by_id.items() if not _is_turned_down(db, chat)}
    return [_public(db, own, message, by_id[message.chat]) for message in found if message.chat in shown]


def _is_listed(db: Db, chat: Chat) -> bool:
    """Not who was turned down, and not who is known from a group alone."""
    if _is_turned_down(db, chat):
        return False
    return histories.newest(db, chat.id) is not None or bool(tables.conversations_of(db, chat.id))


def _chat_info(db: Db, chat: Chat, own: str, now: float) -> ChatInfo:
    counted = histories.counted(db, chat.id)
    newest = histories.newest(db, chat.id)
    return ChatInfo(
        chat=chat.name,
        claimed="" if chat.number else chat.claimed,
        encrypted=chat.encrypted,
        request=_is_request(db, chat),
        messages=counted[0],
        unread=counted[1],
        last="" if newest is None else _last(db, newest),
        last_sent=0 if newest is None else newest.sent / 1000,
        group=chat.title,
        notes=bool(own) and chat.number == own,
        verified=verified.is_verified(db, chat.identity) and not _has_moved(db, chat),
        name="" if chat.group else name_of(db, chat.number, chat.identity),
        profile="" if chat.group else profiles.name_of(db, chat.identity),
        pinned=chat.pinned,
        muted_until=chat.muted if chat.is_muted(now) else 0,
        archived=chat.is_archived(now),
        draft=chat.draft,
    )


def history_of(
    db: Db, name: str, since: int = 0, before: int | None = None, limit: int | None = None, *, oldest: bool = False
) -> list[Message]:
    own = own_number(db)
    chat = naming.chat(db, name, own)
    found = histories.history(db, chat.id, since, before, limit, oldest=oldest)
    return [_public(db, own, message, chat) for message in found]


def see(db: Db, name: str, until: int) -> None:
    """Somebody has seen this chat up to a row: that is shown to nobody again."""
    histories.mark_seen(db, naming.chat(db, name, own_number(db)).id, until)
