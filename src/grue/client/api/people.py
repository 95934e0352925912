"""`client.people`: is it really them, and what do they call themselves? Safety numbers, marks, and profiles."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from grue.client import chats, verified
from grue.client.api import report
from grue.client.chats import ME, PERSON_PREFIX, SMS_PREFIX
from grue.client.context import Context, Opened
from grue.client.conversations import naming, personlinks, profiles, sync
from grue.client.conversations.naming import checked_name
from grue.client.lookup.directory import record_before
from grue.client.people.tables import MAX_CONTACT_NAME, call_person
from grue.client.store.engine import Db
from grue.errors import GrueError, NoSuchChat, NotOnGrue, UsageError
from grue.protocol.conversation import safety
from grue.protocol.conversation.contents import Kind
from grue.protocol.directory.lookup import Found
from grue.protocol.directory.record import Record

NO_KEY: Final = "An SMS sender has no key, and so no safety number."


@dataclass(frozen=True)
class SafetyNumber:
    """What two people compare by another way, to know that nobody is in between."""

    number: str
    """Theirs, as E.164; empty when none is known to be."""
    person: str
    """`person:` and the beginning of the identity key that the digits are over."""
    digits: str
    """Sixty, without blanks: the same at the other side."""
    verified: bool
    """Whether they were compared, for this identity."""
    changed: bool
    """Whether this number had another identity here before: nothing goes to the new one until it is accepted."""


@dataclass(frozen=True)
class Profile:
    """What somebody calls themself; nobody vouches for it."""

    name: str
    """Empty for none."""
    picture: bytes = field(repr=False)
    """JPEG, PNG or WebP; empty for none."""


@dataclass(frozen=True)
class _Person:
    """Whose identity key is meant: the one known here, and the one that the directory has under the number now."""

    number: str
    known: bytes
    identity: bytes


class People:
    """People that one home writes with. Each is named by a number, or by `chat:` or `person:` and an id.

    A number means whoever the directory lists under it now: where that is another identity than the one known here, the
    safety number is the new one's. A number that was never written to is looked up, and nobody learns which it is.
    `chat:` and `person:` mean the identity known here.

    Each raises UsageError (oneself, a group, an SMS sender with a name), NoSuchChat, NotANumber, NotOnGrue; and for a
    number without an identity here NetworkError or VerificationFailed, as a lookup.
    """

    def __init__(self, opened: Opened, send: Callable[[], Awaitable[None]]) -> None:
        """`send` sends what waits, if the server answers."""
        self._opened = opened
        self._send = send

    async def safety(self, who: str) -> SafetyNumber:
        """Return the safety number with somebody."""
        return await self._opened.ready.store.read(self._shown, await self._find(who))

    async def compare(self, who: str, digits: str) -> SafetyNumber:
        """Hold the digits of the other side against ours; nothing is marked. Raises SafetyNumberDiffers, UsageError.

        digits  sixty, with blanks anywhere
        """
        safety.read(digits)
        found = await self.safety(who)
        safety.compare(found.digits, digits)
        return found

    async def verify(self, who: str, digits: str | None = None) -> SafetyNumber:
        """Mark the identity as verified: its safety number was compared with its owner. Raises as `compare`.

        digits  as the other side has them, to be compared first; the mark then goes to no other identity
        """
        if digits is not None:
            safety.read(digits)
        return await self._opened.ready.store.transact(self._mark, await self._find(who), digits)

    async def unverify(self, who: str) -> SafetyNumber:
        """Take the mark back."""
        return await self._opened.ready.store.transact(self._unmark, await self._find(who))

    async def profile(self, who: str = ME) -> Profile:
        """Return what somebody calls themself, as they last said here; without `who` what we do. Asks no server.

        Raises NoSuchChat, NotANumber, AmbiguousName, UsageError.
        """
        return await self._opened.ready.store.read(self._profile, who)

    async def set_profile(self, *, name: str | None = None, picture: bytes | None = None) -> Profile:
        """Say what we call ourselves; None leaves one of the two as it is, and empty takes it back.

        picture  JPEG, PNG or WebP, at most 40 KiB without what is no picture: places, times and devices are taken out

        It goes to whom we have written to or accepted, and with the next text to groups. Raises UsageError.
        """
        context = self._opened.ready
        changed = await context.store.transact(profiles.change, context, name, picture)
        await self._send()
        return Profile(changed.name, changed.picture)

    async def link(self, *, reset: bool = False) -> str:
        """Return the link by which others write to us without a number: `grue:person/...`. Asks no server.

        reset  a new one: who writes by the old one is turned down, without being told
        """
        context = self._opened.ready
        return await context.store.transact(partial(personlinks.own, context=context, reset=reset))

    async def add(self, link: str, name: str = "") -> str:
        """Keep somebody by their link; returns what to send to. Asks no server.

        name  what to call them here
        Raises BadLink, OtherLink, UsageError (oneself, another server, a name that cannot be told from an id).
        """
        context = self._opened.ready
        return await context.store.transact(_add, context, link, checked_name(name, MAX_CONTACT_NAME) if name else "")

    async def report(self, who: str, file: Path) -> int:
        """Write what is kept here of a chat into a new file, for ourselves; returns how many messages are in it.

        Nothing goes anywhere. The file says what it proves, and what it does not. Raises NoSuchChat, UsageError, ...
        """
        return await self._opened.store.read(report.write, who, file, int(self._opened.ready.clock()))

    def _profile(self, db: Db, typed: str) -> Profile:
        account = self._opened.ready.account
        meant = naming.target(db, typed, account.number)
        if meant in (ME, account.number, chats.person(account.identity_public)):
            own = profiles.own(db)
            return Profile(own.name, own.picture)
        chat = naming.chat_of(db, meant, account.number)
        if chat is not None and chat.group:
            raise UsageError("A group has no profile; `grue group show` tells what it is called.")
        if chat is None and not meant.startswith(PERSON_PREFIX):
            raise NoSuchChat
        identity = naming.identity(db, meant) if chat is None else chat.identity
        return Profile(profiles.name_of(db, identity), profiles.picture_of(db, identity))

    def _mark(self, db: Db, person: _Person, digits: str | None) -> SafetyNumber:
        if digits is not None:
            safety.compare(self._shown(db, person).digits, digits)
        if person.number and not person.known:
            # From now on another identity under this number is noticed.
            chats.bind(db, person.number, person.identity)
        verified.mark(db, person.identity, person.number, int(self._opened.ready.clock()))
        return self._shown(db, person)

    def _unmark(self, db: Db, person: _Person) -> SafetyNumber:
        verified.unmark(db, person.identity, person.number)
        return self._shown(db, person)

    def _shown(self, db: Db, person: _Person) -> SafetyNumber:
        own = self._opened.ready.account.identity_public
        other = person.known not in (b"", person.identity)
        return SafetyNumber(
            number=person.number,
            person=chats.person(person.identity),
            digits=safety.safety_number(own, person.identity),
            verified=verified.is_verified(db, person.identity),
            changed=other or verified.has_changed(db, person.number, person.identity),
        )

    async def _find(self, typed: str) -> _Person:
        context = self._opened.ready
        person = await context.store.read(self._here, typed)
        if not person.number or person.identity:
            return person
        if person.known:
            with suppress(GrueError):
                # Without the server it is the one that is known here.
                await context.directory.freshen()
            return await context.store.read(_listed_now, person)
        (looked_up,) = await context.directory.lookup([person.number])
        if looked_up.error is not None:
            raise looked_up.error
        if not isinstance(looked_up.result, Found):
            raise NotOnGrue
        return _Person(person.number, b"", looked_up.result.record.identity_public)

    def _here(self, db: Db, typed: str) -> _Person:
        """Who is meant, as far as it is known here; without an `identity` the directory is to be asked."""
        own = self._opened.ready.account
        meant = naming.target(db, typed, own.number)
        if meant.startswith(SMS_PREFIX):
            raise UsageError(NO_KEY)
        chat = naming.chat_of(db, meant, own.number)
        if meant.startswith(PERSON_PREFIX) and chat is None:
            person = _Person("", b"", naming.identity(db, meant))
        elif meant.startswith(chats.PREFIXES):
            if chat is None:
                raise NoSuchChat
            if chat.group:
                raise UsageError("A group has no safety number; each member has one: `grue group show` lists them.")
            if not chat.identity and not chat.number.startswith("+"):
                raise UsageError(NO_KEY)
            person = _Person(chat.number, chat.identity, chat.identity)
        else:
            number = own.number if meant == ME else meant
            person = _Person(number, b"" if chat is None else chat.identity, b"")
        if person.number == own.number or person.identity == own.identity_public:
            raise UsageError("That is yourself: a safety number is of two people.")
        return person


def _add(db: Db, context: Context, link: str, name: str) -> str:
    chat = personlinks.learn(db, context, link)
    if name:
        call_person(db, chat.identity, name)
        sync.touch(db, Kind.CALLED, chat.identity)
    return chat.name


def _listed_now(db: Db, person: _Person) -> _Person:
    """With the identity that the copy of the directory has under the number; the known one if that cannot be told."""
    with suppress(GrueError):
        record = record_before(db, person.number)
        if isinstance(record, Record):
            return _Person(person.number, person.known, record.identity_public)
    return _Person(person.number, person.known, person.known)
