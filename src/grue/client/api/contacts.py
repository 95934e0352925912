"""`client.contacts`: the address book, brought in from files, looked up, and forgotten; and what people are called."""

from pathlib import Path
from typing import BinaryIO

from grue.client import chats
from grue.client.context import Opened
from grue.client.conversations import naming, sync
from grue.client.conversations.naming import checked_name
from grue.client.people import contacts, contactsync, tables
from grue.client.people.contacts import Imported
from grue.client.people.contactsync import Progress, Synced
from grue.client.people.tables import MAX_CONTACT_NAME, Contact
from grue.client.store.engine import Db
from grue.errors import UsageError
from grue.protocol.conversation.contents import Kind
from grue.protocol.numbers import parse, region_of


class Contacts:
    """The address book of one home. It lies there encrypted, and goes to no server."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened

    async def import_file(self, file: Path | BinaryIO) -> Imported:
        """Bring in names and numbers, vCard or CSV, and ask no server. Raises NotAnAddressBook; see `Imported`."""
        if isinstance(file, Path):
            with file.open("rb") as opened:
                return await self.import_file(opened)
        return await contacts.take_in(self._opened.store, file, region_of(self._opened.ready.account.number))

    async def all(self) -> list[Contact]:
        """Return the address book by name, with the routes as they were when they were checked."""
        return await self._opened.store.read(tables.everybody)

    async def sync(self, progress: Progress | None = None) -> Synced:
        """Look the address book up; the server learns about how many numbers are new, and no more.

        progress  is told how many of how many steps are done

        Where a limit or the network leaves some over, the daily round goes on with them. Raises NetworkError,
        VerificationFailed, ..., after it has checked what it can; a limit is no error: see `Synced.left`.
        """
        return await contactsync.sync(self._opened.ready, progress)

    async def name(self, who: str, name: str) -> str:
        """Call somebody so, here alone; returns who, as a number or an id. An empty name takes it back.

        A number is put into the address book where it is not; who shows no number is named by their `person:` id.
        Raises UsageError (a group, oneself, or a name that cannot be told from an id), NoSuchChat, NotANumber.
        """
        name = checked_name(name, MAX_CONTACT_NAME) if name else ""
        return await self._opened.store.transact(_name, self._opened.ready.account.number, who, name)

    async def forget(self, number: str) -> None:
        """Drop a number, and what a lookup of it left here. Raises NoSuchContact, NotANumber."""
        number = parse(number, region_of(self._opened.ready.account.number))
        await self._opened.store.transact(tables.forget, number)

    async def forget_all(self) -> int:
        """Drop the whole address book, and look nothing up by itself any more; returns how many there were."""
        return await self._opened.store.transact(tables.forget_all)


def _name(db: Db, own_number: str, who: str, name: str) -> str:
    meant = naming.target(db, who, own_number)
    chat = naming.chat_of(db, meant, own_number)
    number = chat.number if chat is not None else "" if meant.startswith(chats.PREFIXES) else meant
    if own_number in (meant, number) or meant == chats.ME:
        raise UsageError("That is yourself: `grue profile` says how others see you.")
    if chat is not None and chat.group:
        raise UsageError("A group is called the same by everybody: `grue group rename`.")
    if number.startswith("+"):
        tables.call_number(db, number, name)
        return number
    if chat is not None and not chat.identity:
        raise UsageError("An SMS sender with a name keeps it.")
    identity = naming.identity(db, meant) if chat is None else chat.identity
    tables.call_person(db, identity, name)
    sync.touch(db, Kind.CALLED, identity)
    return meant if chat is None else chat.name
