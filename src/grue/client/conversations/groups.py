"""Groups are made and changed here: who is in them is looked up first, and what changes is committed and waited for.

A change is stored as a pending commit before it goes out, so one that the network interrupts is finished later, by
whichever process sends and reads next.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from grue._core import MlsSession
from grue.client import chats, verified
from grue.client.chats import PERSON_PREFIX, Chat
from grue.client.context import Context
from grue.client.conversations import steps, tables
from grue.client.conversations.inbox import Inbox
from grue.client.conversations.outbox import Outbox
from grue.client.lookup.directory import LookedUp
from grue.client.store.engine import Db
from grue.client.store.entries import mls_entries
from grue.errors import (
    Blocked,
    GroupBusy,
    GroupFull,
    NoSuchMember,
    NotAGrueServer,
    NotInGroup,
    NotOnGrue,
    NotPermitted,
    OnlyAdmins,
    TooLarge,
    UsageError,
)
from grue.protocol import wire
from grue.protocol.conversation.changing import NO_HASH, carry_out, leave
from grue.protocol.conversation.contents import MAX_DESCRIPTION, MAX_GROUP_NAME, GroupChange, GroupState, NewRole, Role
from grue.protocol.conversation.conversation import GIVEN_UP, SENDING, Conversation, ConversationState
from grue.protocol.conversation.first_contact import Peer, check_claimed, start_group
from grue.protocol.conversation.stored import Adding, Plan
from grue.protocol.directory.lookup import Found
from grue.protocol.numbers import parse, reads_as_number, region_of

ROUNDS: Final = 8
"""Times that a change is committed until somebody else's commits leave it room: each is one round trip."""

CANNOT_FOLLOW: Final = (
    "This device cannot follow the group any more. If it is not added again by itself, leave the group, and have "
    "yourself added."
)

JOINERS: Final = "\u200c\u200d"
"""Invisible, and part of how Persian, Hindi and many pictures are written."""

BLANK: Final = "\u2800\u3164\uffa0\u115f\u1160"
"""Letters and signs that show nothing."""


@dataclass(frozen=True)
class Claimed:
    """An account that a number led to, with its key packages."""

    number: str
    peer: Peer


class GroupChanges:
    """Makes and changes the groups of one home."""

    def __init__(self, context: Context, inbox: Inbox, outbox: Outbox) -> None:
        self._context = context
        self._inbox = inbox
        self._outbox = outbox

    async def create(self, name: str, numbers: Sequence[str], description: str) -> Chat:
        """Make a group of numbers that are on Grue; when one is not, nothing is made.

        Raises UsageError, NotOnGrue, Blocked, KeyChanged, GroupFull, and what lookups and claims raise.
        """
        name = checked_name(name)
        check_description(description)
        claimed = await self._claim(self._numbers(numbers))
        chat = await self._context.store.transact(self._start, name, claimed, description)
        await self._outbox.flush(chat.group)
        return chat

    async def add(self, group: str, numbers: Sequence[str]) -> GroupState:
        """Add numbers. Raises as `create`, and OnlyAdmins, GroupBusy."""
        chat = await self._chat(group)
        wanted = self._numbers(numbers)
        state = await self._settled(chat)
        present = {member.identity for member in state.members}
        known = [await self._context.store.read(chats.of_number, number) for number in wanted]
        if any(one is not None and one.identity in present for one in known):
            raise UsageError("Somebody of them is in this group already. Nothing was changed.")
        claimed = await self._claim(wanted)
        adding = [_adding(one.peer) for one in claimed]
        if any(one.identity in present for one in adding):
            raise UsageError("Somebody of them is in this group already. Nothing was changed.")
        await self._context.store.transact(_bind, claimed)
        return await self._change(chat, Plan(GroupChange(NO_HASH), adding))

    async def remove(self, group: str, who: Sequence[str]) -> GroupState:
        """Remove members; the mailbox moves, and what comes after is not theirs to read. Raises OnlyAdmins, ..."""
        chat = await self._chat(group)
        state = await self._settled(chat)
        identities = [await self._member(state, one) for one in who]
        if self._own in identities:
            raise UsageError("That is yourself; `grue group leave` is for that.")
        return await self._change(chat, Plan(GroupChange(NO_HASH), remove=identities))

    async def set_role(self, group: str, who: str, role: Role) -> GroupState:
        """Make a member an admin, or an admin a member. Raises OnlyAdmins, NoSuchMember, UsageError."""
        chat = await self._chat(group)
        state = await self._settled(chat)
        identity = await self._member(state, who)
        admins = [member.identity for member in state.members if member.role is Role.ADMIN]
        if role is Role.MEMBER and admins == [identity]:
            raise UsageError("A group has an admin. Make somebody else one first.")
        return await self._change(chat, Plan(GroupChange(NO_HASH, roles=[NewRole(identity, role)])))

    async def change(self, group: str, change: GroupChange) -> GroupState:
        """Change the name, the description, or who may do what. Raises OnlyAdmins."""
        chat = await self._chat(group)
        await self._settled(chat)
        return await self._change(chat, Plan(change))

    async def leave(self, group: str) -> None:
        """Ask to be removed, and read no more. Raises NotInGroup, and UsageError for the only admin of others."""
        chat = await self._chat(group)
        if (await self._context.store.read(_conversation, chat)).state not in GIVEN_UP:
            _check_may_leave(await self._settled(chat), self._own)
        await self._context.store.transact(self._leave, chat)
        await self._outbox.flush(chat.group)

    # --- who ----------------------------------------------------------------------------------------

    @property
    def _own(self) -> bytes:
        return self._context.account.identity_public

    def _numbers(self, numbers: Sequence[str]) -> list[str]:
        region = region_of(self._context.account.number)
        parsed = [parse(number, region) for number in numbers]
        if not parsed:
            raise UsageError("Name at least one number.")
        if len(set(parsed)) != len(parsed):
            raise UsageError("One of the numbers is there twice. Nothing was changed.")
        if self._context.account.number in parsed:
            raise UsageError("You are in it yourself already. Name the others.")
        return parsed

    async def _claim(self, numbers: Sequence[str]) -> list[Claimed]:
        """Look all numbers up, and take key packages of all of them: only when each is there."""
        looked_up = await self._context.directory.lookup(numbers)
        records = [_record(one) for one in looked_up]
        known = await self._context.store.read(_known_versions, numbers, records)
        claimed = []
        for number, record, version in zip(numbers, records, known, strict=True):
            answer = await self._context.tokens.ask(wire.Claim(record.record.intro_mailbox))
            if not isinstance(answer, wire.Claimed):
                raise NotAGrueServer
            peer = check_claimed(answer, record.record.identity_public, record.record.device_list_hash, version)
            claimed.append(Claimed(number, peer))
        return claimed

    async def _member(self, state: GroupState, who: str) -> bytes:
        """The identity of a member by number or `person:` id. Raises NoSuchMember, NotANumber."""
        present = [member.identity for member in state.members]
        if who.startswith(PERSON_PREFIX):
            named = [identity for identity in present if chats.person(identity) == who]
        elif reads_as_number(who):
            number = parse(who, region_of(self._context.account.number))
            chat = await self._context.store.read(chats.of_number, number)
            own = [self._own] if number == self._context.account.number else []
            named = [identity for identity in present if chat is not None and identity == chat.identity] or own
        else:
            named = []
        if len(named) != 1:
            raise NoSuchMember
        return named[0]

    # --- changing -------------------------------------------------------------------------------------

    async def _chat(self, group: str) -> Chat:
        return await self._context.store.read(chats.named_group, group)

    async def _settled(self, chat: Chat) -> GroupState:
        """Read the group to its head, until nothing of ours is pending. Raises NotInGroup, GroupBusy, ..."""
        for _ in range(ROUNDS):
            await self._outbox.flush(chat.group)
            await self._inbox.read_now(chat.id)
            conversation = await self._context.store.read(_conversation, chat)
            if conversation.state not in SENDING or conversation.group is None:
                raise UsageError("Accept it first: `grue accept`." if _is_asked(conversation) else CANNOT_FOLLOW)
            if conversation.pending is None:
                await self._outbox.flush(chat.group)
                return conversation.group
        raise GroupBusy

    async def _change(self, chat: Chat, plan: Plan) -> GroupState:
        await self._context.store.transact(self._commit, chat, plan)
        after = await self._settled(chat)
        if not _holds(after, plan):
            raise GroupBusy
        return after

    def _commit(self, db: Db, chat: Chat, plan: Plan) -> None:
        conversation = _conversation(db, chat)
        session = self._context.sessions.open(db, conversation.id)
        if conversation.pending is not None:
            raise GroupBusy
        try:
            step = carry_out(session, conversation, self._context.account.me, plan, self._context.tools)
        except NotPermitted:
            raise OnlyAdmins from None
        except TooLarge:
            raise GroupFull from None
        steps.save(self._context, db, chat.id, step, session)

    def _start(self, db: Db, name: str, claimed: Sequence[Claimed], description: str) -> Chat:
        _bind(db, claimed)
        session = MlsSession(mls_entries(db, b"s"))
        peers = [one.peer for one in claimed]
        try:
            step = start_group(session, self._context.account.me, peers, name, description, self._context.tools)
        except TooLarge:
            raise GroupFull from None
        chat = chats.for_group(db, step.conversation.id, name)
        steps.save(self._context, db, chat.id, step, session)
        return chat

    def _leave(self, db: Db, chat: Chat) -> None:
        conversation = _conversation(db, chat)
        session = self._context.sessions.open(db, conversation.id)
        steps.save(self._context, db, chat.id, leave(session, conversation, self._context.tools), session)
        for message, _ in tables.intended(db, chat.id):
            steps.give_up_intent(db, message)


def checked_name(name: str) -> str:
    """A group's name as it is stored. Raises UsageError for one that nobody could see, type or tell from an id."""
    name = " ".join(name.split())
    if not any(unicodedata.category(character)[0] in "LNPS" and character not in BLANK for character in name):
        raise UsageError("A group needs a name that can be seen.")
    if len(name) > MAX_GROUP_NAME:
        raise UsageError(f"A group's name has at most {MAX_GROUP_NAME} characters.")
    if not all(character.isprintable() or character in JOINERS for character in name):
        raise UsageError("This name has characters that cannot be seen, or that turn the writing round.")
    if name == chats.ME or name.startswith(chats.PREFIXES) or reads_as_number(name):
        raise UsageError("This name reads as a number, as `me` or as an id. Choose another.")
    return name


def check_description(description: str) -> None:
    """Raises UsageError for one that is too long."""
    if len(description) > MAX_DESCRIPTION:
        raise UsageError(f"A description has at most {MAX_DESCRIPTION} characters.")


def _check_may_leave(state: GroupState, own: bytes) -> None:
    admins = [member.identity for member in state.members if member.role is Role.ADMIN]
    if admins == [own] and len(state.members) > 1:
        raise UsageError("You are its only admin. Make somebody else one first: `grue group role`.")


def _is_asked(conversation: Conversation) -> bool:
    return conversation.state in (ConversationState.REQUESTED, ConversationState.DECLINED)


def _conversation(db: Db, chat: Chat) -> Conversation:
    found = tables.conversation_by_id(db, chat.group)
    if found is None or found[0].state is ConversationState.GONE:
        raise NotInGroup
    return found[0]


def _record(looked_up: LookedUp) -> Found:
    if looked_up.error is not None:
        raise looked_up.error
    if not isinstance(looked_up.result, Found):
        raise NotOnGrue(f"({looked_up.number})")
    return looked_up.result


def _known_versions(db: Db, numbers: Sequence[str], records: Sequence[Found]) -> list[int]:
    """The newest device list seen of each. Raises KeyChanged, Blocked."""
    for number, found in zip(numbers, records, strict=True):
        identity = found.record.identity_public
        chat = chats.of_number(db, number)
        if chat is not None and chat.identity not in (b"", identity):
            raise verified.key_changed(db, chat.identity, f"({number})")
        if tables.blocked_as(db, number, identity.hex()) is not None:
            raise Blocked(f"({number})")
    return [chats.list_version_of(db, found.record.identity_public) for found in records]


def _bind(db: Db, claimed: Sequence[Claimed]) -> None:
    """Who is behind these numbers was looked up: members of that name are called by their number."""
    for one in claimed:
        chat = chats.bind(db, one.number, one.peer.devices.identity_public)
        chats.mark_encrypted(db, chat.id, one.peer.devices.version, by_us=True)


def _adding(peer: Peer) -> Adding:
    return Adding(peer.devices.identity_public, peer.devices.intro_mailbox, peer.packages)


def _holds(state: GroupState, plan: Plan) -> bool:
    """Whether the group is now as the plan wanted it."""
    roles = {member.identity: member.role for member in state.members}
    change = plan.change
    return (
        all(adding.identity in roles for adding in plan.add)
        and not any(identity in roles for identity in plan.remove)
        and all(roles.get(new.identity) is new.role for new in change.roles)
        and change.name in (None, state.name)
        and change.description in (None, state.description)
        and change.may_add in (None, state.may_add)
        and change.may_rename in (None, state.may_rename)
        and change.may_write in (None, state.may_write)
    )
