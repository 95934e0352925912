"""`client.groups`: make groups, change who is in them, what they are called and who may do what."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from grue.client import chats, verified
from grue.client.api.messages import named_member
from grue.client.chats import Chat
from grue.client.context import Opened
from grue.client.conversations import naming, profiles, tables
from grue.client.conversations.groups import GroupChanges, check_description, checked_name
from grue.client.people.tables import name_of
from grue.client.store.engine import Db
from grue.errors import NotInGroup
from grue.protocol.conversation.changing import NO_HASH
from grue.protocol.conversation.contents import GroupChange, GroupState, Role
from grue.protocol.conversation.conversation import ConversationState


@dataclass(frozen=True)
class GroupMember:
    """Somebody in a group, as far as is known here."""

    person: str
    """`person:` and the beginning of the identity key."""
    number: str
    """The verified number; empty when it was never shown or found here."""
    name: str
    """What the user calls them; empty for nothing."""
    role: Role
    own: bool
    """It is ourselves."""
    profile: str = ""
    """What they call themselves: nobody vouches for it."""
    verified: bool = False
    """Whether the identity was verified by its safety number."""


@dataclass(frozen=True)
class Group:
    """A group as its members know it."""

    id: str
    """What to send to: `group:` and the beginning of its id."""
    name: str
    description: str
    members: tuple[GroupMember, ...]
    may_add: Role
    may_rename: Role
    may_write: Role
    state: ConversationState
    """`active`, unless it waits to be accepted, or this device has lost track of it."""


@dataclass(frozen=True)
class GroupLink:
    """The link into a group."""

    link: str
    """Empty when there is none."""
    ask: bool
    """An admin decides on each who asks by it."""


class Groups:
    """The groups of one home. A group is named by its id, or by its name where only one is called so.

    What changes a group raises OnlyAdmins when it is for admins, GroupBusy when somebody else was first, NotInGroup for
    one that we have left, and NetworkError when the server does not answer: what was stored before that goes out with
    the next `poll`.
    """

    def __init__(self, opened: Opened, changes: Callable[[], GroupChanges]) -> None:
        self._opened = opened
        self._changes = changes

    async def create(self, name: str, *numbers: str, description: str = "") -> Group:
        """Make a group with these numbers, and ourselves as its admin; returns when all were invited.

        Costs a lookup and a `post` token for each number, and one more. When a number is not on Grue, nothing is made.
        Raises NotOnGrue, UsageError (a name or a number that makes no sense), KeyChanged, Blocked, GroupFull.
        """
        chat = await self._changes().create(name, numbers, description)
        return await self._opened.ready.store.read(self._shown, chat)

    async def add(self, group: str, *numbers: str) -> Group:
        """Add numbers; they read what comes after. Raises as `create`."""
        await self._changes().add(group, numbers)
        return await self.show(group)

    async def remove(self, group: str, *who: str) -> Group:
        """Remove members, by number or `person:` id; what comes after is not theirs to read. Raises NoSuchMember."""
        await self._changes().remove(group, who)
        return await self.show(group)

    async def rename(self, group: str, name: str) -> Group:
        """Call it something else, for everybody. Raises UsageError."""
        await self._changes().change(group, GroupChange(NO_HASH, name=(name := checked_name(name))))
        return await self.show(group if group.startswith(chats.PREFIXES) else name)

    async def describe(self, group: str, description: str) -> Group:
        """Say what it is for. Raises UsageError."""
        check_description(description)
        await self._changes().change(group, GroupChange(NO_HASH, description=description))
        return await self.show(group)

    async def allow(
        self, group: str, *, add: Role | None = None, rename: Role | None = None, write: Role | None = None
    ) -> Group:
        """Say who may add members, rename it, and write: all members, or admins only. None leaves it as it is."""
        change = GroupChange(NO_HASH, may_add=add, may_rename=rename, may_write=write)
        await self._changes().change(group, change)
        return await self.show(group)

    async def set_role(self, group: str, who: str, role: Role) -> Group:
        """Make a member an admin, or an admin a member. Raises NoSuchMember, UsageError."""
        await self._changes().set_role(group, who, role)
        return await self.show(group)

    async def link(self, group: str, *, reset: bool = False, ask: bool | None = None, off: bool = False) -> "GroupLink":
        """Return the link by which people ask to be let in; for admins. It is made when there is none.

        reset  make another one: who has the former gets in by it no more
        ask    whether an admin decides on each; None leaves it. Otherwise the first admin's client lets them in
        off    take it away
        Raises UsageError when another admin has made it: only they can show it.
        """
        link, asks = await self._changes().link(group, reset=reset, ask=ask, off=off)
        return GroupLink(link, asks)

    async def join(self, link: str, *, show_number: bool = False) -> None:
        """Ask to be let into the group of a link. It appears in `list` once an admin's client has done so.

        show_number  prove our number to its admins, which they learn by nothing else
        Raises BadLink, OtherLink, LinkElsewhere, UsageError of a group that we are in.
        """
        await self._changes().join(link, show_number=show_number)

    async def leave(self, group: str) -> None:
        """Leave: nothing more is read, and an admin's client removes us. Its history stays. Raises UsageError."""
        await self._changes().leave(group)

    async def list(self) -> Sequence[Group]:
        """Return the groups that we are in, or are asked into. Asks no server."""
        return await self._opened.ready.store.read(self._all)

    async def show(self, group: str) -> Group:
        """Return one group. Asks no server. Raises NoSuchChat, NotInGroup."""
        return await self._opened.ready.store.read(self._named, group)

    def _all(self, db: Db) -> Sequence[Group]:
        groups = [chat for chat in chats.all_chats(db) if chat.group]
        return [self._shown(db, chat) for chat in groups if _state(db, chat) is not None]

    def _named(self, db: Db, group: str) -> Group:
        return self._shown(db, naming.group(db, group))

    def _shown(self, db: Db, chat: Chat) -> Group:
        account = self._opened.ready.account
        found = tables.conversation_by_id(db, chat.group)
        state = _state(db, chat)
        if found is None or state is None:
            raise NotInGroup
        members = [
            _member(db, member.identity, member.role, account.identity_public, account.number)
            for member in state.members
        ]
        return Group(
            id=chat.name,
            name=state.name,
            description=state.description,
            members=tuple(members),
            may_add=state.may_add,
            may_rename=state.may_rename,
            may_write=state.may_write,
            state=found[0].state,
        )


def _state(db: Db, chat: Chat) -> GroupState | None:
    found = tables.conversation_by_id(db, chat.group)
    out = found is None or found[0].state in (ConversationState.GONE, ConversationState.DECLINED)
    return None if found is None or out else found[0].group


def _member(db: Db, identity: bytes, role: Role, own_identity: bytes, own_number: str) -> GroupMember:
    own = identity == own_identity
    shown, _ = (own_number, "") if own else named_member(db, identity)
    number = shown if shown.startswith("+") else ""
    name = "" if own else name_of(db, number, identity)
    profile = profiles.own(db).name if own else profiles.name_of(db, identity)
    return GroupMember(chats.person(identity), number, name, role, own, profile, verified.is_verified(db, identity))
