"""Who may write here, or be let into our groups: requests wait, are looked at and decided, and people are blocked.

To its sender and to the server a request that was declined, was blocked or gave way is one that still waits: nothing
is acknowledged or answered, and whoever looks at requests looks at those as well.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec
from msgspec.structs import replace

from grue._core import MlsSession
from grue.client import chats, verified
from grue.client.chats import Chat
from grue.client.context import Context
from grue.client.conversations import apart, histories, naming, profiles, steps, tables
from grue.client.lookup import directory as own_directory
from grue.client.lookup import watch
from grue.client.people.tables import is_contact
from grue.client.store.engine import Db
from grue.client.store.entries import drop_meta, get_meta, group_prefix, mls_entries, put_meta, save_mls
from grue.errors import GrueError, NoSuchChat, NoSuchMailbox, NoSuchRequest, NotAGrueServer, NotPermitted, UsageError
from grue.protocol import wire
from grue.protocol.conversation.asking import open_request
from grue.protocol.conversation.contents import IntroRequest, JoinRequest, Transcript
from grue.protocol.conversation.conversation import (
    SENDING,
    TABLE,
    Conversation,
    ConversationEvent,
    ConversationState,
    Notice,
    become,
    supersede,
)
from grue.protocol.conversation.first_contact import AGREED, Invited, accept_all
from grue.protocol.conversation.follow import Follower
from grue.protocol.conversation.joining import check_wish
from grue.protocol.conversation.mailbox import exchanged
from grue.protocol.directory.directory_sync import Current
from grue.protocol.directory.lookup import Found, check_transcript, claimed_output
from grue.protocol.wire import ENVELOPE_DAYS, DeviceList

MAX_REQUESTS: Final = 1000
"""Requests that wait at once, and declined ones that are remembered: nobody reads more, and each takes some 20 KiB."""

MAX_REQUESTS_EACH: Final = 3
"""Requests of one identity that wait at once: who lost their own state founds another, and does so rarely."""

LOOKED_AT: Final = 32
"""Requests, the newest, of which later texts are fetched when somebody looks: a fetch for each."""

LOOK_TEXTS: Final = 32
"""Envelopes of one request that are looked at."""

LOOK_MS: Final = 30 * 24 * 3600 * 1000
"""How long a request is looked at: as long as an envelope lives."""

_TURNED_AWAY: Final = "turned_away"

_INTRODUCED: Final = frozenset({ConversationState.REQUESTED, ConversationState.DECLINED})


@dataclass(frozen=True)
class Request:
    """Somebody we have not accepted, and what they have written so far."""

    chat: str
    """What to accept, decline, block or answer: the number when it is verified, else the chat's name."""
    claimed: str
    """The number that an unverified sender claims; empty for a verified one."""
    messages: int
    text: str
    """The first one's."""
    since: float
    """Unix seconds at which it came here."""
    group: str = ""
    """What the group is called that one is asked into; empty when one person writes."""
    inviter: str = ""
    """Who asks into the group, as in `chat`; empty when `joins`."""
    profile: str = ""
    """What who asks calls themself."""
    joins: bool = False
    """`chat` asks to be let into the group, by a link."""


# --- coming in ------------------------------------------------------------------------------------


def came(db: Db, context: Context, chat: Chat) -> None:
    """A request was stored: of too many the oldest give way, and a notice says so once."""
    waiting = tables.conversations_in(db, {ConversationState.REQUESTED})
    inviter = max((c for c, of in waiting if of == chat.id), key=lambda c: (c.since, c.id)).inviter
    own = {c.id: (c, of) for c, of in waiting if c.inviter == inviter}
    away = [own[c.id] for c in _oldest_first([c for c, _ in own.values()])[:-MAX_REQUESTS_EACH]]
    if len(waiting) > MAX_REQUESTS:
        order = sorted(waiting, key=lambda found: (_is_known(db, found[1]), found[0].since, found[0].id))
        away = order[: len(waiting) - MAX_REQUESTS]
    if away:
        _decline(db, away)
        _tell_turned_away(db, context, len(away))
        tidy(db, context)


def is_blocked(db: Db, chat: Chat, invited: Invited) -> bool:
    """Whether who invites is blocked, by identity or by a number. Remembers the identity of a blocked number."""
    identity = invited.device_list.identity_public.hex()
    name = tables.blocked_as(db, identity, invited.number, chat.number)
    if name is None:
        return False
    # And not the number: anybody may claim one.
    tables.block(db, identity, name)
    return True


def turn_down(conversation: Conversation) -> Conversation:
    """The request as one that is never answered."""
    return become(conversation, ConversationEvent.DECLINED)


def tidy(db: Db, context: Context) -> None:
    """Forget the keys of declined requests that nobody looks at any more, and of too many the oldest."""
    declined = _oldest_first([c for c, _ in tables.conversations_in(db, {ConversationState.DECLINED})])
    late = [c for c in declined if context.now_ms - c.since > LOOK_MS]
    for conversation in {c.id: c for c in (*late, *declined[:-MAX_REQUESTS])}.values():
        found = tables.conversation_by_id(db, conversation.id)
        assert found is not None
        forget(db, [found])


def forget(db: Db, declined: Sequence[tuple[Conversation, int]]) -> None:
    """Forget the keys of declined requests; a row stays, so that the same Welcome makes no request again."""
    for conversation, chat in declined:
        session = MlsSession(mls_entries(db, group_prefix(conversation.id)))
        gone = replace(become(conversation, ConversationEvent.EXPIRED), left_in=session.epoch(conversation.id))
        tables.save_conversation(db, gone, chat)
        session.delete(conversation.id)
        save_mls(db, session.changes())


def _is_known(db: Db, chat: int) -> tuple[bool, bool]:
    """Who is in the address book gives way last, and whose number is verified after others."""
    found = chats.by_id(db, chat)
    number = "" if found is None else found.number
    return bool(number) and is_contact(db, number), bool(number)


def _tell_turned_away(db: Db, context: Context, count: int) -> None:
    before = get_meta(db, _TURNED_AWAY, int) or 0
    put_meta(db, _TURNED_AWAY, before + count)
    if not before:
        account = context.account
        chats.notify(db, chats.bind(db, account.number, account.identity_public).id, [Notice.TURNED_AWAY])


def _decline(db: Db, requests: Sequence[tuple[Conversation, int]]) -> None:
    for conversation, chat in requests:
        tables.save_conversation(db, turn_down(conversation), chat)


def _oldest_first(conversations: Sequence[Conversation]) -> list[Conversation]:
    return sorted(conversations, key=lambda c: (c.since, c.id))


# --- looking --------------------------------------------------------------------------------------


async def look(context: Context) -> None:
    """Fetch what the newest requests hold by now, and acknowledge nothing. Raises NetworkError.

    Declined ones are fetched just the same, so that the server cannot tell; what came of them is thrown away. Through a
    relay each is fetched by itself, some time within a minute, or who answers would see that they are one reader's.
    """
    introduced = await context.store.read(_introduced, context.now_ms)
    await apart.each(context.transport.spread, [partial(_look_at, context, one) for one in introduced])


async def _look_at(context: Context, conversation: Conversation) -> None:
    log = conversation.log
    with suppress(NoSuchMailbox, NotPermitted):
        answer = await context.tokens.ask(wire.Fetch(log.mailbox, conversation.slot_secret, log.cursor, LOOK_TEXTS))
        if not isinstance(answer, wire.Fetched):
            raise NotAGrueServer
        await context.store.transact(_seen, context, conversation.id, answer.envelopes)


def _introduced(db: Db, now_ms: int) -> list[Conversation]:
    found = [c for c, _ in tables.conversations_in(db, _INTRODUCED) if now_ms - c.since <= LOOK_MS]
    return _oldest_first(found)[-LOOKED_AT:]


def _seen(db: Db, context: Context, conversation_id: bytes, deliveries: Sequence[wire.Delivery]) -> None:
    """Store the texts, and nothing of the state that opened them: accepted, the log is read from its beginning."""
    found = tables.conversation_by_id(db, conversation_id)
    if found is None or found[0].state is not ConversationState.REQUESTED:
        return
    conversation, chat = found
    entries = mls_entries(db, b"s", group_prefix(conversation.id))
    follower = Follower(
        session=MlsSession(entries),
        entries=lambda: entries,
        me=context.account.me,
        tools=context.tools,
        posted=lambda _envelope: None,
        ours=lambda _digest: False,
        hash_at=lambda _seq: None,
        readmitted=lambda _identity: (),
    )
    reading = become(conversation, ConversationEvent.ACCEPTED)
    step, _ = follower.follow(replace(reading, log=exchanged(reading.log, reading.log.cursor)), deliveries)
    for sender, profile in step.profiles:
        if sender != context.account.identity_public:
            profiles.keep(db, sender, profile)
    for incoming in step.incoming:
        steps.save_incoming(db, chat, context.account.identity_public, incoming, conversation.id)


# --- what a person decides ------------------------------------------------------------------------


def waiting(db: Db) -> list[Request]:
    """The requests that wait, one for each chat, the newest first."""
    found: dict[int, int] = {}
    for conversation, chat in tables.conversations_in(db, {ConversationState.REQUESTED}):
        found[chat] = max(found.get(chat, 0), conversation.since)
    newest_first = sorted(found, key=lambda chat: -found[chat])
    listed = [_request(db, chats.by_id(db, chat), found[chat]) for chat in newest_first]
    return [request for request in [*_joining(db), *listed] if request is not None]


def _joining(db: Db) -> list[Request]:
    """Who asks to be let into a group of ours."""
    listed = []
    for wish in all_wishes(db):
        who, group = chats.of_identity(db, wish.identity), group_chat(db, wish.group)
        if not wish.approved and who is not None and group is not None:
            claimed = "" if who.number else who.claimed
            listed.append(Request(who.name, claimed, 0, "", wish.since / 1000, group.title, joins=True))
    return listed[::-1]


def turned_away(db: Db) -> int:
    """How many requests gave way since this was last asked."""
    count = get_meta(db, _TURNED_AWAY, int) or 0
    if count:
        drop_meta(db, _TURNED_AWAY)
    return count


def accept(db: Db, context: Context, name: str) -> str:
    """Accept what waits of a chat, or was declined; returns the chat's name.

    Raises NoSuchRequest, NoSuchChat, and UsageError of who is blocked.
    """
    chat = naming.chat(db, name, context.account.number)
    if tables.blocked_as(db, chat.number, chat.identity.hex()) is not None:
        raise UsageError("This one is blocked; `grue unblock` comes first.")
    conversations = tables.conversations_of(db, chat.id)
    waiting = [c for c in conversations if c.state is ConversationState.REQUESTED]
    joined = decide_wishes(db, chat, accept=True)
    if joined and not waiting:
        return chat.name
    chosen = waiting or [c for c in conversations if c.state is ConversationState.DECLINED]
    if not chosen:
        raise NoSuchRequest
    for conversation in conversations:
        if conversation.state in SENDING and ConversationEvent.SUPERSEDED in TABLE[conversation.state]:
            # They have founded another since: that one is in use.
            tables.save_conversation(db, supersede(conversation, context.tools), chat.id)
            steps.intend_again(db, conversation.id, chat.id)
    chats.drop_notices(db, chat.id, Notice.INVITED)
    for step in accept_all(chosen, context.tools):
        steps.save(context, db, chat.id, step)
        steps.owe_all(db, step.conversation.id)
    chats.mark_encrypted(db, chat.id, by_us=True)
    return chat.name


def decline(db: Db, context: Context, name: str) -> str:
    """Turn down what waits of a chat; returns the chat's name. Raises NoSuchRequest, NoSuchChat."""
    chat = naming.chat(db, name, context.account.number)
    joined = decide_wishes(db, chat, accept=False)
    if not _turn_down_all(db, chat) and not joined:
        raise NoSuchRequest
    return chat.name


def block(db: Db, context: Context, name: str) -> str:
    """Hear nothing of somebody any more, under whatever identity or number they have; returns who.

    Raises UsageError, NoSuchChat, NotANumber.
    """
    chat, blocked = _blockable(db, name, context.account.number)
    if chat is not None and chat.group:
        raise UsageError("A group cannot be blocked. Leave it, or block who invites you.")
    own = (context.account.number, context.account.identity_public.hex())
    theirs = [blocked] if chat is None else [chat.number, chat.identity.hex()]
    if blocked == chats.ME or any(one in own for one in theirs):
        raise UsageError("That is yourself.")
    for one in filter(None, theirs):
        tables.block(db, one, blocked)
    if chat is not None:
        decide_wishes(db, chat, accept=False)
        _turn_down_all(db, chat)
        for message, _ in tables.intended(db, chat.id):
            steps.give_up_intent(db, message)
    return blocked


def unblock(db: Db, context: Context, name: str) -> str:
    """Hear somebody again; what they wrote meanwhile comes as far as it still waits. Returns who. Raises UsageError."""
    chat, blocked = _blockable(db, name, context.account.number)
    known = tables.blocked_as(db, *((chat.number, chat.identity.hex()) if chat is not None else (blocked,)))
    if known is None or not tables.unblock(db, known):
        raise UsageError("Nobody of that name is blocked here.")
    if chat is not None and any(c.state in AGREED for c in tables.conversations_of(db, chat.id)):
        with suppress(UsageError):
            accept(db, context, chat.name)
    return blocked


def _turn_down_all(db: Db, chat: Chat) -> bool:
    chats.drop_notices(db, chat.id, Notice.INVITED)
    requests = [c for c in tables.conversations_of(db, chat.id) if c.state is ConversationState.REQUESTED]
    _decline(db, [(c, chat.id) for c in requests])
    tables.show_no_more(db, chat.id)
    return bool(requests)


def turn_down_blocked(db: Db) -> None:
    """Whoever is blocked by now is asked about no more."""
    for id in tables.blocked_chats(db):
        chat = chats.by_id(db, id)
        if chat is not None:
            _turn_down_all(db, chat)


def _blockable(db: Db, name: str, own_number: str) -> tuple[Chat | None, str]:
    """The chat that is meant, if there is one, and what it is called. Raises UsageError."""
    meant = naming.target(db, name, own_number)
    if meant.startswith(chats.PERSON_PREFIX):
        chat: Chat | None = naming.person(db, meant)
    else:
        chat = naming.chat_of(db, meant, own_number)
    if chat is None and meant.startswith((chats.CHAT_PREFIX, chats.GROUP_PREFIX)):
        raise NoSuchChat
    return chat, meant if chat is None else chat.name


def _request(db: Db, chat: Chat | None, since: int) -> Request | None:
    if chat is None:
        return None
    messages = [m for m in histories.history(db, chat.id) if m.incoming]
    inviter = _inviter(db, chat) if chat.group else chat
    claimed = "" if inviter is None or inviter.number else inviter.claimed
    text = messages[0].text if messages else ""
    name = inviter.name if chat.group and inviter is not None else ""
    profile = "" if inviter is None else profiles.name_of(db, inviter.identity)
    return Request(chat.name, claimed, len(messages), text, since / 1000, chat.title, name, profile)


def _inviter(db: Db, chat: Chat) -> Chat | None:
    found = tables.conversation_by_id(db, chat.group)
    return None if found is None else chats.of_identity(db, found[0].inviter)


# --- links into groups ---------------------------------------------------------------------------

MAX_WISHES: Final = 64
"""Who waits to be let into one group: of more the oldest give way."""

ADMISSIONS_A_DAY: Final = 50
"""Who is let into a group by its link in a day by this client: each costs two `post` tokens, and whoever has the link
decides how many ask. The others wait for the next day, or for another admin."""

WAIT_MS: Final = ENVELOPE_DAYS * tables.DAY_MS
"""How long an answer to an own request can come: as long as the request waits to be read."""

_WISHES: Final = "joins"
_ADMITTED: Final = "joins_admitted"
_ASKED: Final = "joins_asked"
_SECRETS: Final = "joins_secrets"


class Wish(msgspec.Struct, array_like=True, frozen=True):
    """Somebody who wants to be let into a group."""

    group: bytes
    identity: bytes
    intro_mailbox: bytes
    since: int
    approved: bool


# --- others' ----------------------------------------------------------------------------------------


def wished(db: Db, context: Context, envelope: bytes, payload: IntroRequest) -> tuple[Wish, JoinRequest]:
    """Who asks, and for which of our groups. Raises NotPermitted, BadEnvelope, BadRequest, BadKeyPackage."""
    account = context.account
    for conversation, _ in tables.heard_conversations(db, SENDING):
        state = conversation.group
        if state is None or state.link is None:
            continue
        request = open_request([state.link.digest], account.intro_mailbox, envelope, payload)
        if isinstance(request, JoinRequest):
            devices = check_wish(state, account.identity_public, request)
            return _wish(conversation.id, devices, context.now_ms, approved=not state.link.ask), request
    raise NotPermitted


def _wish(group: bytes, devices: DeviceList, now_ms: int, *, approved: bool) -> Wish:
    return Wish(group, devices.identity_public, devices.intro_mailbox, now_ms, approved)


def keep_wish(db: Db, wish: Wish) -> None:
    """Let a wish wait; the same again is the newer one."""
    others = [one for one in all_wishes(db) if (one.group, one.identity) != (wish.group, wish.identity)]
    of_group = [one for one in others if one.group == wish.group][-MAX_WISHES + 1 :]
    _put(db, [one for one in others if one.group != wish.group or one in of_group] + [wish])


def all_wishes(db: Db) -> list[Wish]:
    return get_meta(db, _WISHES, list[Wish]) or []


def drop_wishes(db: Db, wishes: Sequence[Wish]) -> None:
    """These were let in, or turned down."""
    gone = {(one.group, one.identity) for one in wishes}
    _put(db, [one for one in all_wishes(db) if (one.group, one.identity) not in gone])


def decide_wishes(db: Db, chat: Chat, *, accept: bool) -> bool:
    """Let somebody into the groups that they ask for, or not; whether they ask for any."""
    theirs = [one for one in all_wishes(db) if one.identity == chat.identity and not one.approved]
    drop_wishes(db, theirs)
    if accept:
        for one in theirs:
            keep_wish(db, replace(one, approved=True))
    return bool(theirs)


def wishes_due(db: Db, now_ms: int) -> dict[bytes, list[Wish]]:
    """Who is to be let in now, by group; what waits for longer than its answer would be waited for goes."""
    fresh = [one for one in all_wishes(db) if now_ms - one.since <= WAIT_MS]
    _put(db, fresh)
    _, admitted = _admitted(db, now_ms)
    found: dict[bytes, list[Wish]] = {}
    for wish in fresh:
        of_group = found.setdefault(wish.group, [])
        if wish.approved and len(of_group) + admitted.get(wish.group.hex(), 0) < ADMISSIONS_A_DAY:
            of_group.append(wish)
    return {group: wishes for group, wishes in found.items() if wishes}


def count_admitted(db: Db, group: bytes, number: int, now_ms: int) -> None:
    """So many were let into a group, or were tried."""
    day, admitted = _admitted(db, now_ms)
    put_meta(db, _ADMITTED, (day, admitted | {group.hex(): admitted.get(group.hex(), 0) + number}))


def _admitted(db: Db, now_ms: int) -> tuple[int, dict[str, int]]:
    today = now_ms // tables.DAY_MS
    day, admitted = get_meta(db, _ADMITTED, tuple[int, dict[str, int]]) or (today, {})
    return today, admitted if day == today else {}


def _put(db: Db, wishes: Sequence[Wish]) -> None:
    put_meta(db, _WISHES, list(wishes))


# --- our own ----------------------------------------------------------------------------------------


def note_asked(db: Db, group: bytes, now_ms: int) -> None:
    """We have asked to be let into a group."""
    asked = get_meta(db, _ASKED, dict[str, int]) or {}
    put_meta(db, _ASKED, {one: at for one, at in asked.items() if now_ms - at <= WAIT_MS} | {group.hex(): now_ms})


def was_asked(db: Db, group: bytes, now_ms: int) -> bool:
    """Whether we wait for an answer of this group; asked once."""
    asked = get_meta(db, _ASKED, dict[str, int]) or {}
    at = asked.pop(group.hex(), None)
    put_meta(db, _ASKED, asked)
    return at is not None and now_ms - at <= WAIT_MS


def keep_secret(db: Db, group: bytes, secret: bytes) -> None:
    """Of a link that we have made: only here can it be shown again."""
    put_meta(db, _SECRETS, (get_meta(db, _SECRETS, dict[str, bytes]) or {}) | {group.hex(): secret})


def secret_of(db: Db, group: bytes) -> bytes:
    """Of the newest link that we have made; empty when there is none."""
    return (get_meta(db, _SECRETS, dict[str, bytes]) or {}).get(group.hex(), b"")


def group_chat(db: Db, group: bytes) -> Chat | None:
    found = tables.conversation_by_id(db, group)
    return None if found is None else chats.by_id(db, found[1])


# --- whose number ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Claim:
    """Somebody who says to have a number."""

    identity: bytes
    number: str
    """Empty when none is shown."""
    transcript: Transcript | None


def chat_of(db: Db, context: Context, current: Current | None, result: Claim) -> Chat:
    """The chat of whoever asks: under the claimed number only when the directory says it is theirs."""
    identity = result.identity
    before = chats.of_identity(db, identity)
    if before is not None and before.number == result.number:
        return before
    by_number = chats.of_number(db, result.number)
    taken = by_number is not None and by_number.identity not in (b"", identity)
    if not taken and _owns_number(db, context, current, result):
        return chats.bind(db, result.number, identity)
    if taken and verified.owner(db, result.number) and _owns_number(db, context, current, result):
        watch.tell(db, result.number, identity)
    return chats.for_identity(db, identity, result.number)


def _owns_number(db: Db, context: Context, current: Current | None, result: Claim) -> bool:
    if current is None or result.transcript is None:
        return False
    identity, now = result.identity, int(context.clock())
    try:
        # Kept, so that a new key under this number is noticed later; whatever is found, or later requests would
        # tell.
        output = claimed_output(current, result.number, result.transcript)
        own_directory.remember(db, current, {result.number: output})
        find = own_directory.copy_of(db, current).find
        found, _ = check_transcript(current, result.number, identity, result.transcript, find, now)
    except GrueError:
        return False
    return isinstance(found, Found)
