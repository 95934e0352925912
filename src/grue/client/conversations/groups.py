"""Groups are made and changed here: who is in them is looked up first, and what changes is committed and waited for.

A change is stored as a pending commit before it goes out, so one that the network interrupts is finished later, by
whichever process sends and reads next.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from grue._core import MlsSession
from grue.client import chats, verified
from grue.client.chats import PERSON_PREFIX, Chat
from grue.client.context import Context, load_account
from grue.client.conversations import naming, personlinks, requests, steps, tables
from grue.client.conversations.inbox import Inbox
from grue.client.conversations.outbox import Outbox
from grue.client.lookup.directory import LookedUp
from grue.client.store.engine import Db
from grue.client.store.entries import mls_entries
from grue.errors import (
    Blocked,
    GroupBusy,
    GroupFull,
    GrueError,
    NetworkError,
    NoSuchChat,
    NoSuchMember,
    NotAGrueServer,
    NotInGroup,
    NotOnGrue,
    NotPermitted,
    OnlyAdmins,
    Refused,
    TooLarge,
    UsageError,
    VerificationFailed,
)
from grue.protocol import wire
from grue.protocol.conversation.changing import NO_HASH, carry_out, leave
from grue.protocol.conversation.contents import (
    MAX_DESCRIPTION,
    MAX_GROUP_NAME,
    GroupChange,
    GroupState,
    JoinLink,
    LinkRule,
    NewLink,
    NewRole,
    Role,
)
from grue.protocol.conversation.conversation import GIVEN_UP, SENDING, Conversation, ConversationState
from grue.protocol.conversation.first_contact import Peer, check_claimed, start_group
from grue.protocol.conversation.groups import role_of
from grue.protocol.conversation.joining import (
    SECRET_BYTES,
    ask_to_join,
    link_digest,
    make_join_link,
    read_join_link,
)
from grue.protocol.conversation.stored import Adding, Plan
from grue.protocol.directory.lookup import Found

log: Final = logging.getLogger("grue.client")

ROUNDS: Final = 8
"""Times that a change is committed until somebody else's commits leave it room: each is one round trip."""

CANNOT_FOLLOW: Final = (
    "This device cannot follow the group any more. If it is not added again by itself, leave the group, and have "
    "yourself added."
)


@dataclass(frozen=True)
class Claimed:
    """An account with its key packages."""

    number: str
    """That led to it; empty for who was named by an id."""
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
        named = await self._whom(numbers)
        _check_room(1 + len(named))
        claimed = await self._claim(named)
        chat = await self._context.store.transact(self._start, name, claimed, description)
        await self._outbox.flush(chat.group)
        return chat

    async def add(self, group: str, numbers: Sequence[str]) -> GroupState:
        """Add numbers. Raises as `create`, and OnlyAdmins, GroupBusy."""
        chat = await self._chat(group)
        wanted = await self._whom(numbers)
        state = await self._settled(chat)
        present = {member.identity for member in state.members}
        known = [await self._context.store.read(naming.chat_of, one) for one in wanted]
        if any(one is not None and one.identity in present for one in known):
            raise UsageError("Somebody of them is in this group already. Nothing was changed.")
        _check_room(len(present) + len(wanted))
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

    # --- links ----------------------------------------------------------------------------------------

    async def link(self, group: str, *, reset: bool, ask: bool | None, off: bool) -> tuple[str, bool]:
        """The link into a group, made when there is none, and whether an admin is asked first; empty when it is off.

        Raises OnlyAdmins, GroupBusy, UsageError when another admin has made it.
        """
        chat = await self._chat(group)
        state = await self._settled(chat)
        if role_of(state, self._own) is not Role.ADMIN:
            raise OnlyAdmins
        secret = await self._context.store.read(requests.secret_of, chat.group)
        rule, before = state.link, state.link is not None and state.link.ask
        if off:
            rule = None
        elif rule is None or reset:
            secret = self._context.random(SECRET_BYTES)
            rule = LinkRule(link_digest(secret), ask is True or (ask is None and before))
        elif link_digest(secret) != rule.digest:
            raise UsageError("Another admin has made this group's link, and has it. --reset makes a new one.")
        elif ask is not None:
            rule = replace(rule, ask=ask)
        if rule != state.link:
            await self._context.store.transact(requests.keep_secret, chat.group, secret)
            state = await self._change(chat, Plan(GroupChange(NO_HASH, link=NewLink(rule))))
        if rule is None:
            return "", False
        account = self._context.account
        made = make_join_link(chat.group, state, account.me, secret, account.server, account.server_public)
        return made, rule.ask

    async def join(self, link: str, *, show_number: bool) -> None:
        """Ask the admins in a link. Raises BadLink, OtherLink, LinkElsewhere, UsageError of who is in it."""
        read = read_join_link(link, self._context.account.server_public)
        await self._context.store.transact(self._ask_to_join, read, show_number)
        await self._outbox.flush(read.group)

    def _ask_to_join(self, db: Db, link: JoinLink, show_number: bool) -> None:
        found = tables.conversation_by_id(db, link.group)
        if found is not None and found[0].state is ConversationState.REQUESTED:
            raise UsageError("You are asked into this group already: `grue accept`.")
        if found is not None and found[0].state not in (ConversationState.GONE, ConversationState.DECLINED):
            raise UsageError("You are in this group already.")
        requests.note_asked(db, link.group, self._context.now_ms)
        for outgoing in ask_to_join(link, self._context.account.me, self._context.tools, show_number=show_number):
            tables.enqueue(db, link.group, outgoing, self._context.now_ms)

    async def admit(self) -> None:
        """Let in who has asked by a link, and may come. Raises NetworkError: then it is tried again."""
        if not await self._context.store.read(requests.all_wishes):
            return
        for group, wishes in (await self._context.store.note(requests.wishes_due, self._context.now_ms)).items():
            try:
                await self._admit(group, wishes)
            except NetworkError:
                raise
            except GroupBusy:
                continue
            except GrueError as error:
                log.info("somebody who has a link was not let in: %s", type(error).__name__)
            await self._context.store.transact(requests.drop_wishes, wishes)

    async def _admit(self, group: bytes, wishes: Sequence[requests.Wish]) -> None:
        chat = await self._context.store.read(requests.group_chat, group)
        if chat is None:
            raise NotInGroup
        present = {member.identity for member in (await self._settled(chat)).members}
        wanted = [one for one in wishes if one.identity not in present]
        await self._context.store.transact(requests.count_admitted, group, len(wanted), self._context.now_ms)
        claimed = [peer for one in wanted if (peer := await self._claim_of(one)) is not None]
        if claimed:
            await self._change(chat, Plan(GroupChange(NO_HASH), [_adding(peer) for peer in claimed]))

    async def _claim_of(self, wish: requests.Wish) -> Peer | None:
        """Key packages of who asks; None when there are none, or not theirs."""
        version = await self._context.store.read(chats.list_version_of, wish.identity)
        with suppress(Refused, VerificationFailed):
            answer = await self._context.tokens.ask(wire.Claim(wish.intro_mailbox))
            if isinstance(answer, wire.Claimed):
                return check_claimed(answer, wish.identity, None, version)
        return None

    # --- who ----------------------------------------------------------------------------------------

    @property
    def _own(self) -> bytes:
        return self._context.account.identity_public

    async def _whom(self, typed: Sequence[str]) -> list[str]:
        """Whom to add: numbers, and `person:` ids of who shows none. Raises UsageError, and as `naming.target`."""
        return await self._context.store.read(self._meant, typed)

    def _meant(self, db: Db, typed: Sequence[str]) -> list[str]:
        own = self._context.account.number
        meant = [_number_or_person(db, naming.target(db, one, own)) for one in typed]
        if not meant:
            raise UsageError("Name at least one person.")
        if len(set(meant)) != len(meant):
            raise UsageError("Somebody is there twice. Nothing was changed.")
        if {chats.ME, own, chats.person(self._own)} & set(meant):
            raise UsageError("You are in it yourself already. Name the others.")
        return meant

    async def _claim(self, whom: Sequence[str]) -> list[Claimed]:
        """Look all numbers up, and take key packages of everybody: only when each is there."""
        numbers = [one for one in whom if not one.startswith(PERSON_PREFIX)]
        records = [_record(one) for one in await self._context.directory.lookup(numbers)] if numbers else []
        found = dict(zip(numbers, records, strict=True))
        claimed = []
        for one, account in zip(whom, await self._context.store.read(_accounts, whom, found), strict=True):
            answer = await self._context.tokens.ask(wire.Claim(account.intro_mailbox))
            if not isinstance(answer, wire.Claimed):
                raise NotAGrueServer
            peer = check_claimed(answer, account.identity, account.list_hash, account.known_version)
            claimed.append(Claimed(one if one in found else "", peer))
        return claimed

    async def _member(self, state: GroupState, typed: str) -> bytes:
        """The identity of the member that is meant. Raises NoSuchMember, NotANumber, AmbiguousName."""
        try:
            return await self._context.store.read(self._member_of, state, typed)
        except NoSuchChat:
            raise NoSuchMember from None

    def _member_of(self, db: Db, state: GroupState, typed: str) -> bytes:
        own = self._context.account
        meant = naming.target(db, typed, own.number)
        chat = naming.chat_of(db, meant, own.number)
        for member in state.members:
            named = chats.person(member.identity) == meant or (chat is not None and chat.identity == member.identity)
            if named or (member.identity == self._own and meant in (own.number, chats.ME)):
                return member.identity
        raise NoSuchMember

    # --- changing -------------------------------------------------------------------------------------

    async def _chat(self, group: str) -> Chat:
        return await self._context.store.read(naming.group, group)

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
            step = start_group(session, load_account(db).me, peers, name, description, self._context.tools)
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
    """A group's name as it is stored. Raises UsageError."""
    return naming.checked_name(name, MAX_GROUP_NAME)


def _check_room(accounts: int) -> None:
    """Raises GroupFull before anybody is looked up: each account has a device."""
    if accounts > wire.MAX_SLOTS:
        raise GroupFull


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


@dataclass(frozen=True)
class _Account:
    """Where key packages are claimed, and what they are checked against."""

    identity: bytes
    intro_mailbox: bytes
    list_hash: bytes | None
    known_version: int


def _number_or_person(db: Db, meant: str) -> str:
    """The number behind an id, where it is known here."""
    if meant.startswith((chats.GROUP_PREFIX, chats.SMS_PREFIX)):
        raise UsageError("Only people can be added to a group.")
    if not meant.startswith(chats.PREFIXES):
        return meant
    chat = naming.chat_of(db, meant)
    if chat is None or not chat.identity:
        return chats.person(naming.identity(db, meant))
    return chat.number or chats.person(chat.identity)


def _accounts(db: Db, whom: Sequence[str], found: Mapping[str, Found]) -> list[_Account]:
    """Raises KeyChanged, Blocked, and NotOnGrue of somebody without a number who is in no conversation with us."""
    accounts = []
    for one in whom:
        if one in found:
            record = found[one].record
            identity, intro, list_hash = record.identity_public, record.intro_mailbox, record.device_list_hash
            chat = chats.of_number(db, one)
            if chat is not None and chat.identity not in (b"", identity):
                raise verified.key_changed(db, chat.identity, f"({one})")
            account = _Account(identity, intro, list_hash, chats.list_version_of(db, identity))
        else:
            identity = naming.identity(db, one)
            account = _Account(identity, personlinks.intro_of(db, identity), None, chats.list_version_of(db, identity))
        if not account.intro_mailbox:
            raise NotOnGrue(f"({one})")
        if tables.blocked_as(db, one, account.identity.hex()) is not None:
            raise Blocked(f"({one})")
        accounts.append(account)
    return accounts


def _bind(db: Db, claimed: Sequence[Claimed]) -> None:
    """Who is behind these numbers was looked up: members of that name are called by their number."""
    for one in claimed:
        identity = one.peer.devices.identity_public
        chat = chats.bind(db, one.number, identity) if one.number else chats.for_identity(db, identity, "")
        chats.mark_encrypted(db, chat.id, one.peer.devices.version, by_us=True)


def _adding(peer: Peer) -> Adding:
    return Adding(peer.devices.identity_public, peer.devices.intro_mailbox, peer.packages, peer.devices.hpke_public)


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
        and (change.link is None or change.link.rule == state.link)
    )
