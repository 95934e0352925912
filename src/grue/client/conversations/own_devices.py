"""The own devices in each conversation: those on the account's list are added, and those that left it are removed.

Whichever device is there does so: a conversation in which they are not right is looked at again until they are.
"""

from contextlib import suppress
from typing import Final

from grue._core import MlsSession
from grue.client import chats
from grue.client.account import check_in
from grue.client.context import Account, Context, load_account
from grue.client.conversations import steps, sync, tables
from grue.client.conversations.inbox import Inbox
from grue.client.conversations.outbox import Outbox
from grue.client.store.engine import Db
from grue.client.store.entries import drop_meta, get_meta, mls_entries, put_meta, save_mls
from grue.errors import NotPermitted, Refused, TooLarge, VerificationFailed
from grue.protocol.conversation.changing import change_own_devices, own_leaves
from grue.protocol.conversation.commits import update, update_due
from grue.protocol.conversation.contents import Kind
from grue.protocol.conversation.conversation import SENDING, Conversation, Step
from grue.protocol.conversation.devices import verify_device_list
from grue.protocol.conversation.mailbox import ReaderState
from grue.protocol.devices.own import note, start_own_group, tell

OTHERS_FIRST_MS: Final = 10 * 60 * 1000
"""Until a device looks after what another one has begun: that one is at it, or was switched off."""

ROUNDS: Final = 3
"""Commits of others that one may lose to in a row, before it is tried again later."""

UNPUBLISHED: Final = "list_unpublished"
"""In `meta` while the server may not have the newest device list."""

_DUE: Final = "own_devices_due"


class OwnDevices:
    """What one home does for the other devices of its account."""

    def __init__(self, context: Context, inbox: Inbox, outbox: Outbox) -> None:
        self._context = context
        self._inbox = inbox
        self._outbox = outbox

    async def tell(self) -> None:
        """Tell the others what changed here. Raises NetworkError; what was not told stays."""
        own = await self._context.store.read(_to_tell, self._context.now_ms)
        if own is None:
            return
        if not self._inbox.is_fresh(own.log.mailbox):
            await self._inbox.catch_up_in(own.id)
        await self._context.store.transact(self._tell)

    async def look_after(self) -> None:
        """Add and remove own devices wherever that is due. Raises NetworkError."""
        for conversation in await self.due():
            await self.try_to_bring(conversation)

    async def due(self) -> list[bytes]:
        """The conversations in which the own devices are to be looked at, that of the own devices first."""
        self._context.account = await self._context.store.read(load_account)
        if await self._context.store.read(get_meta, UNPUBLISHED, bool):
            # The answer to the last attempt was lost, or a process ended before it.
            await check_in(self._context)
            await self._context.store.transact(drop_meta, UNPUBLISHED)
        return await self._context.store.read(due, self._context.account, self._context.now_ms)

    async def try_to_bring(self, conversation: bytes) -> None:
        """As `bring`; what is refused is tried again with the next look."""
        with suppress(Refused, VerificationFailed):
            await self.bring(conversation)

    async def bring(self, conversation: bytes) -> None:
        """Have the own devices in one conversation be those of the list. Raises NetworkError, Refused."""
        for _ in range(ROUNDS):
            await self._outbox.flush(conversation)
            await self._inbox.catch_up_in(conversation)
            if not await self._context.store.transact(self._change, conversation):
                break
        await self._outbox.flush(conversation)

    async def found(self) -> bytes:
        """The id of the group of the own devices, which is made when there is none."""
        return await self._context.store.transact(self._found)

    def _found(self, db: Db) -> bytes:
        if (own := sync.own_group(db)) is not None and own.state in SENDING:
            return own.id
        session = MlsSession(mls_entries(db, b"s"))
        account = load_account(db)
        step = start_own_group(session, account.me, self._context.tools)
        chat = chats.bind(db, account.number, account.identity_public)
        put_meta(db, sync.OWN_GROUP, step.conversation.id)
        steps.save(self._context, db, chat.id, step, session)
        return step.conversation.id

    def _tell(self, db: Db) -> None:
        own = _to_tell(db, self._context.now_ms)
        if own is None:
            return
        context, session = self._context, self._context.sessions.open(db, own.id)
        registers, notes = sync.take(db, context)
        step = Step(own, tell(session, own, registers, context.tools))
        for message in notes:
            text = tables.own_text(db, message)
            step.outgoing += [] if text is None else note(session, own, text, context.tools)
        if update_due(own, context.now_ms):
            renewed = update(session, own, context.tools)
            step.conversation = renewed.conversation
            step.outgoing += renewed.outgoing
        chat = chats.bind(db, context.account.number, context.account.identity_public)
        steps.save(context, db, chat.id, step, session)

    def _change(self, db: Db, id: bytes) -> bool:
        """Commit what is missing; False when nothing is, or nothing can be done now."""
        found, account = tables.conversation_by_id(db, id), load_account(db)
        if found is None or found[0].state not in SENDING:
            return False
        conversation, chat = found
        if conversation.pending is not None:
            return True
        session = self._context.sessions.open(db, id)
        listed = verify_device_list(account.device_list, account.identity_public)
        present = {member.signature_key for member in own_leaves(session, conversation, account.identity_public)}
        packages = packages_of(db, account)
        extra = sorted(present - set(listed.devices))
        missing = set(listed.devices) - present
        adding = [] if extra else [packages[device] for device in sorted(missing) if device in packages]
        if not extra and not adding:
            if not missing:
                note_checked(db, id, listed.version)
            return False
        try:
            step = change_own_devices(session, conversation, account.me, adding, extra, self._context.tools)
        except (NotPermitted, TooLarge):
            # A group that is full, or does not let us: the device is not in it.
            note_checked(db, id, listed.version)
            return False
        steps.save(self._context, db, chat, step, session)
        return True


def due(db: Db, account: Account, now_ms: int) -> list[bytes]:
    """The conversations in which the own devices are not known to be right, that of the own devices first."""
    listed = verify_device_list(account.device_list, account.identity_public)
    if listed.version == 1 or account.device_public not in listed.devices or now_ms < (get_meta(db, _DUE, int) or 0):
        return []
    own = get_meta(db, sync.OWN_GROUP, bytes)
    rows = db.rows("SELECT conversation FROM own_checked WHERE version >= ?", listed.version)
    right = {row[0] for row in rows}
    found = [c for c, _ in tables.heard_conversations(db, SENDING) if c.log.state is ReaderState.READING]
    return sorted((c.id for c in found if c.id not in right), key=lambda id: id != own)


def wait_for_others(db: Db, now_ms: int) -> None:
    """Another device has changed the list, and sees to the conversations."""
    put_meta(db, _DUE, now_ms + OTHERS_FIRST_MS)


def do_now(db: Db) -> None:
    """This device has changed the list."""
    put_meta(db, _DUE, 0)


def note_checked(db: Db, conversation: bytes, version: int) -> None:
    """By this version of the list the own devices in a conversation are right."""
    db.execute("INSERT OR REPLACE INTO own_checked VALUES (?, ?)", conversation, version)


def packages_of(db: Db, account: Account) -> dict[bytes, bytes]:
    """By their keys, the packages by which the own other devices are added, as far as they have said them."""
    listed = verify_device_list(account.device_list, account.identity_public)
    known = sync.values_of(db, Kind.PACKAGE)
    return {key: known[key] for key in listed.devices if key != account.device_public and known.get(key)}


def make_package(db: Db, context: Context) -> bytes:
    """A key package by which the own other devices add this one, as often as they have to; they are told."""
    account = load_account(db)
    session = MlsSession(mls_entries(db, b"s"))
    package = session.key_package(account.credential, last_resort=True)
    save_mls(db, session.changes())
    sync.put(db, Kind.PACKAGE, account.device_public, package, context.now_ms)
    return package


def _to_tell(db: Db, now_ms: int) -> Conversation | None:
    """The group of the own devices, when it can be written to and there is something to say."""
    own = sync.own_group(db) if sync.waits(db, now_ms) else None
    return own if own is not None and own.state in SENDING and own.log.state is ReaderState.READING else None
