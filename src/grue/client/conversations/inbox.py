"""The inbox stores each batch that arrives in one transaction, and only then acknowledges it.

Whatever the bytes are, they are read once: junk is counted and passed over, so that it can hold nothing up.
"""

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Final

from msgspec.structs import replace

from grue._core import MlsError, MlsSession
from grue.client import chats
from grue.client.chats import SMS_PREFIX, Chat
from grue.client.context import Context, load_account, save_account
from grue.client.conversations import copies, personlinks, requests, steps, sync, tables, trees
from grue.client.conversations.resyncs import Resyncs
from grue.client.lookup.tables import told_head
from grue.client.store.engine import Db
from grue.client.store.entries import drop_meta, get_meta, group_prefix, mls_entries, put_meta, save_mls
from grue.errors import GrueError, NetworkError, NoSuchMailbox, NotAGrueServer, NotPermitted, Refused
from grue.protocol import wire
from grue.protocol.conversation.changing import is_own
from grue.protocol.conversation.contents import (
    MAX_NAMED,
    IntroRequest,
    IntroSms,
    IntroWelcome,
    LargeGroup,
    TreePlace,
)
from grue.protocol.conversation.conversation import (
    READING,
    Conversation,
    ConversationState,
    Notice,
    Step,
    confirm,
    preferred,
    with_log,
)
from grue.protocol.conversation.fallback import Route
from grue.protocol.conversation.first_contact import (
    AGREED,
    Invited,
    accept_invited,
    invited,
    open_intro,
    settle,
)
from grue.protocol.conversation.follow import Follower
from grue.protocol.conversation.hearing import receipt_due
from grue.protocol.conversation.holes import miss_all, owe
from grue.protocol.conversation.mailbox import Log, ReaderState
from grue.protocol.conversation.resync import give_up_mailbox, start_again
from grue.protocol.conversation.stored import Reader
from grue.protocol.directory.directory_sync import Current
from grue.protocol.directory.lookup import claimed_output
from grue.protocol.directory.pir import TABLE_TIER
from grue.protocol.directory.record import derive
from grue.protocol.sms.smsseal import open_sms

log: Final = logging.getLogger("grue.client")

FRESH_SECONDS: Final = 60.0
"""How long a log counts as read to its head: before more is written, what came is read, own commits most of all."""


CLAIMS_A_DAY: Final = 20
"""Claimed numbers that are looked up in a day where the table is not here: each costs a `lookup` token, and strangers
decide how many come. Later ones stay unverified."""

MAX_SUPERSEDED: Final = 8
"""Superseded conversations with one account that are still read: each is a mailbox to poll, and the other side decides
how many there are."""

_ACCEPTED: Final = frozenset(ConversationState) - {ConversationState.REQUESTED, ConversationState.DECLINED}
"""CONVERSATION-18 what was read in one of these is confirmed, in another one when it was lost since then."""

_CLAIMS: Final = "claims"


class Inbox:
    """Reads deliveries into the store. Returns only after everything is committed."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._unconfirmed: set[bytes] | None = None
        self.resyncs = Resyncs(context, self._follow)
        self._read_at: dict[bytes, float] = {}

    # --- receipts and resyncs ---------------------------------------------------------------------

    async def unconfirmed(self) -> set[bytes]:
        """The conversations in which something new was read, and no receipt of it has been queued."""
        if self._unconfirmed is None:
            # What a process has read that ended before it said so.
            accepted = await self._context.store.read(tables.heard_conversations, _ACCEPTED)
            if self._unconfirmed is None:
                self._unconfirmed = {found.id for found, _ in accepted if found.owed}
        return self._unconfirmed

    async def confirm(self, only: bytes | None = None) -> bool:
        """Queue a receipt for each conversation in which something new was read: one, however much it was."""
        unconfirmed = set(await self.unconfirmed())
        chosen = unconfirmed if only is None else unconfirmed & {only}
        self._unconfirmed = unconfirmed - chosen
        for conversation in chosen:
            await self._context.store.transact(self._confirm, conversation)
        return bool(chosen)

    def _confirm(self, db: Db, conversation_id: bytes) -> None:
        found = tables.conversation_by_id(db, conversation_id)
        if found is None:
            return
        conversation, chat = found
        if not receipt_due(conversation, self._context.now_ms):
            # What is owed stays with the conversation, and is looked for again.
            return
        here = conversation.confirms
        speaking = conversation if here else preferred(tables.conversations_of(db, chat))
        if speaking is None or not (here or speaking.heard):
            # Whoever never joined would not hear it there.
            return
        active = conversation.state is ConversationState.ACTIVE
        # In one that was superseded they may have gone out again meanwhile, so that its seqs say nothing of them.
        named = [] if active and conversation.is_whole and conversation.log.cursor else conversation.owed
        session = self._context.sessions.open(db, speaking.id)
        receipts = confirm(session, speaking, named, self._context.tools, told_head(db))
        if receipts:
            said = replace(conversation, owed=[], confirmed=self._context.now_ms)
            tables.save_conversation(db, said, chat)
            if here:
                speaking = said
            steps.save(self._context, db, chat, Step(speaking, receipts), session)

    async def ask_again(self) -> bool:
        """Queue another request for each resync that nobody has answered, and look for what was not confirmed yet."""
        self._unconfirmed = None
        await self.resyncs.answer()
        return await self.resyncs.ask_again()

    # --- polling ----------------------------------------------------------------------------------

    async def poll_conversations(self) -> None:
        """Fetch all that waits in the conversations that can be read, one after another. Raises NetworkError."""
        for conversation, _ in await self._context.store.read(tables.reading_conversations):
            await self._catch_up(conversation)

    async def catch_up_in(self, conversation_id: bytes) -> None:
        """Read one conversation to its head, if it can be read and its sender is not blocked. Raises NetworkError."""
        found = await self._context.store.read(tables.conversation_by_id, conversation_id)
        if found is not None and found[1] not in await self._context.store.read(tables.blocked_chats):
            await self._catch_up(found[0])

    def _miss_all(self, db: Db, asked: wire.Fetch, fetched: wire.Fetched) -> None:
        """What was asked for is not there, and has been: it expired. Nothing of a log that begins anew."""
        incarnation, cursor, head = fetched.incarnation, asked.after, fetched.head
        found = tables.conversation_by_mailbox(db, asked.mailbox)
        if found is None or found[0].state not in READING or found[0].log.mailbox != asked.mailbox:
            return
        conversation, chat = found
        if conversation.log.incarnation == incarnation and cursor <= conversation.log.cursor < head:
            step = miss_all(conversation, head, self._context.tools)
            if step.conversation.unseen != conversation.unseen:
                step.conversation = self._owe_again(db, chat, step.conversation)
            steps.save(self._context, db, chat, step)
            self.resyncs.lost(db, chat, step.conversation)

    async def read_now(self, chat: int) -> None:
        """Read a chat's conversations to their heads, however lately that was done. Raises NetworkError."""
        for conversation in await self._context.store.read(tables.readable_of, chat):
            await self._catch_up(conversation)

    async def catch_up(self, chat: int) -> None:
        """Read a chat's conversations to their heads, unless that was done a moment ago. Raises NetworkError."""
        for conversation in await self._context.store.read(tables.readable_of, chat):
            if not self.is_fresh(conversation.log.mailbox):
                await self._catch_up(conversation)

    def is_fresh(self, mailbox: bytes) -> bool:
        """This mailbox was read to its head a moment ago, in this process."""
        return time.monotonic() - self._read_at.get(mailbox, -FRESH_SECONDS) < FRESH_SECONDS

    def fresh(self, mailbox: bytes) -> None:
        """This mailbox has just been read to its head."""
        self._read_at[mailbox] = time.monotonic()

    async def poll_intro(self) -> None:
        """Fetch all that waits in the intro mailbox. Raises NetworkError."""
        transport, still = self._context.transport, False
        while not still:
            account = await self._context.store.read(load_account)
            mailbox, read_key = account.intro_mailbox, account.intro_read_key
            try:
                fetched = _fetched(await transport.intro(wire.Fetch(mailbox, read_key, account.intro_cursor)))
            except NoSuchMailbox:
                # Our own: it has gone with the account.
                raise NotPermitted from None
            cursor = await self.intro(fetched.incarnation, fetched.envelopes)
            if cursor and not fetched.envelopes:
                cursor = await self._nothing_left(fetched.head)
            if cursor:
                with suppress(Refused):
                    await transport.intro(wire.Ack(mailbox, read_key, cursor))
            same = (cursor, fetched.incarnation) == (account.intro_cursor, account.intro_incarnation)
            still = same or cursor >= fetched.head

    async def _catch_up(self, conversation: Conversation) -> None:
        """Read what the conversation has moved from, and then where it is."""
        for reader in conversation.readers if conversation.state in READING else ():
            await self._catch_up_in(conversation.state, reader)

    async def _catch_up_in(self, state: ConversationState, reader: Reader | None) -> None:
        while reader is not None and reader.log.state is ReaderState.READING:
            before = reader.log
            try:
                request = wire.Fetch(before.mailbox, reader.read_key, before.cursor)
                fetched = _fetched(await self._context.tokens.ask(request))
            except (NoSuchMailbox, NotPermitted):
                # One that we have started may not be there yet; any other is gone for us.
                if state is not ConversationState.STARTED:
                    await self._context.store.transact(self.give_up_mailbox, before.mailbox)
                return
            reader = await self.conversation(before.mailbox, fetched.incarnation, fetched.envelopes)
            if reader is not None and not fetched.envelopes and reader.log.cursor < fetched.head:
                await self._context.store.transact(self._miss_all, request, fetched)
            if reader is None or _is_at_head(before, reader.log, fetched.head):
                self.fresh(before.mailbox)
                return

    # --- the intro mailbox ------------------------------------------------------------------------

    async def intro(self, incarnation: bytes, deliveries: Sequence[wire.Delivery]) -> int:
        """Store what came to the intro mailbox; returns how far it is read now, 0 when it begins anew."""
        if await self._context.store.transact(self._intro_begins_anew, incarnation):
            return 0
        current = await self._fresh_directory() if deliveries else None
        for delivery in deliveries:
            large = await self._large_group(delivery)
            await self._retrieve_claimed(current, delivery, large)
            await self._context.store.transact(self._intro_one, current, delivery, large)
        return (await self._context.store.read(load_account)).intro_cursor

    async def _nothing_left(self, head: int) -> int:
        """Nothing came, although the mailbox may have gone on; returns how far it is read now."""
        account, now_ms = await self._context.store.read(load_account), self._context.now_ms
        if account.intro_cursor < head or await self._context.store.read(copies.read_before, now_ms):
            await self._context.store.note(self._skip_to, head)
        return max(account.intro_cursor, head)

    def _skip_to(self, db: Db, head: int) -> None:
        account = load_account(db)
        if account.intro_cursor < head:
            copies.missing(db, account, self._context.now_ms)
            save_account(db, replace(account, intro_cursor=head))
        copies.read(db, self._context.now_ms)

    async def _fresh_directory(self) -> Current | None:
        # A newcomer's record may be seconds old. Without the directory a number just stays unverified.
        try:
            return await self._context.directory.current()
        except GrueError:
            return None

    async def _large_group(self, delivery: wire.Delivery) -> LargeGroup | None:
        """What a large group's Welcome leaves out. Raises NetworkError: then the Welcome is read again."""
        try:
            place = await self._context.store.read(self._place, delivery)
            return None if place is None else await trees.fetch(self._context, place)
        except NetworkError:
            raise
        except (GrueError, MlsError) as error:
            log.info("a group's tree was not found: %s", type(error).__name__)
            return None

    def _place(self, db: Db, delivery: wire.Delivery) -> TreePlace | None:
        account = load_account(db)
        if delivery.mailbox != account.intro_mailbox or delivery.seq <= account.intro_cursor:
            return None
        payload = open_intro(delivery.blob, self._context.account.sms_secret)
        return trees.place(db, payload) if isinstance(payload, IntroWelcome) else None

    async def _retrieve_claimed(
        self, current: Current | None, delivery: wire.Delivery, large: LargeGroup | None
    ) -> None:
        """Where the table is not here, ask for the claimed number's record before the invitation is read for good.

        Only with a transcript that is right for the number, so that nobody has us ask for what they do not know.
        """
        if current is None or current.tier == TABLE_TIER:
            return
        try:
            tag = await self._context.store.read(self._claimed_tag, current, delivery, large)
            counted = tag is not None and await self._context.store.note(self._count_claim)
            await self._context.directory.retrieve(current, [tag] if tag is not None and counted else [])
        except (GrueError, MlsError) as error:
            log.info("a claimed number stays unverified: %s", type(error).__name__)

    def _claimed_tag(self, db: Db, current: Current, delivery: wire.Delivery, large: LargeGroup | None) -> bytes | None:
        account = load_account(db)
        if delivery.mailbox != account.intro_mailbox or delivery.seq <= account.intro_cursor:
            return None
        payload = open_intro(delivery.blob, self._context.account.sms_secret)
        if not isinstance(payload, IntroWelcome):
            return None
        _, result = self._invited(db, payload, large)
        if result.transcript is None:
            return None
        return derive(claimed_output(current, result.number, result.transcript)).tag

    def _count_claim(self, db: Db) -> bool:
        """Whether there is one more to look up today, which this is."""
        today = self._context.now_ms // tables.DAY_MS
        day, count = get_meta(db, _CLAIMS, tuple[int, int]) or (today, 0)
        count = count if day == today else 0
        put_meta(db, _CLAIMS, (today, count + 1))
        return count < CLAIMS_A_DAY

    def _intro_begins_anew(self, db: Db, incarnation: bytes) -> bool:
        """A restored store counts from elsewhere: what was fetched by the old cursor is dropped, and fetched again."""
        account = load_account(db)
        if account.intro_incarnation == incarnation:
            return False
        began = bool(account.intro_incarnation)
        cursor = 0 if began else account.intro_cursor
        if began:
            # The server has lost our newest key packages as well: the next daily round is due.
            drop_meta(db, "tended")
        save_account(db, replace(account, intro_cursor=cursor, intro_incarnation=incarnation))
        return began

    def _intro_one(self, db: Db, current: Current | None, delivery: wire.Delivery, large: LargeGroup | None) -> None:
        account = load_account(db)
        if delivery.mailbox != account.intro_mailbox or delivery.seq <= account.intro_cursor:
            return
        if delivery.seq != account.intro_cursor + 1:
            copies.missing(db, account, self._context.now_ms)
        copies.read(db, self._context.now_ms)
        save_account(db, replace(account, intro_cursor=delivery.seq))
        if tables.first_sight(db, delivery.envelope, self._context.now_ms):
            db.execute("SAVEPOINT intro")
            try:
                self._intro_payload(db, current, delivery, large)
            except (GrueError, MlsError) as error:
                db.execute("ROLLBACK TO intro")
                log.info("an intro envelope was passed over: %s", type(error).__name__)
                trees.ask(self._context, db, delivery)
            db.execute("RELEASE intro")

    def _intro_payload(
        self, db: Db, current: Current | None, delivery: wire.Delivery, large: LargeGroup | None
    ) -> None:
        payload = open_intro(delivery.blob, self._context.account.sms_secret)
        if isinstance(payload, IntroSms):
            self._sms(db, payload)
        elif isinstance(payload, IntroRequest):
            if not self.resyncs.requested(db, delivery.envelope, payload):
                self._wished(db, current, delivery.envelope, payload)
        else:
            self._welcome(db, current, payload, large)

    def _wished(self, db: Db, current: Current | None, envelope: bytes, payload: IntroRequest) -> None:
        """Somebody who has a link asks to be let into a group."""
        wish, request = requests.wished(db, self._context, envelope, payload)
        number = request.number or ""
        if tables.blocked_as(db, wish.identity.hex(), number) is None:
            requests.chat_of(db, self._context, current, requests.Claim(wish.identity, number, request.transcript))
            requests.keep_wish(db, wish)

    def _sms(self, db: Db, payload: IntroSms) -> None:
        account = self._context.account
        sms = open_sms(account.sms_secret, account.server_public, account.number, payload.sealed)
        is_number = sms.sender.startswith("+") and sms.sender[1:].isdecimal()
        # A sender that is a name must not be taken for one of our own names, such as `me` or `chat:1`.
        sender = sms.sender if is_number else SMS_PREFIX + sms.sender
        if tables.blocked_as(db, sender) is not None:
            return
        chat = chats.for_number(db, sender)
        message = sha256(payload.sealed).digest()[:16]
        tables.add_incoming(db, chat.id, b"", message, sms.text, Route.SMS, sms.received)

    def _invited(self, db: Db, payload: IntroWelcome, large: LargeGroup | None) -> tuple[MlsSession, Invited]:
        before = tables.conversation_by_id(db, payload.invitation[5:37])
        prefixes = [group_prefix(before[0].id)] if before else []
        session = MlsSession(mls_entries(db, b"s", b"k", *prefixes))
        result = invited(
            session,
            self._context.account.me,
            payload,
            lambda _group: before[0] if before else None,
            lambda identity: chats.list_version_of(db, identity),
            self._context.tools,
            large,
        )
        return session, result

    def _welcome(self, db: Db, current: Current | None, payload: IntroWelcome, large: LargeGroup | None) -> None:
        session, result = self._invited(db, payload, large)
        if result.device_list.identity_public == self._context.account.identity_public:
            self._from_own(db, result, session)
            return
        claim = requests.Claim(result.device_list.identity_public, result.number, result.transcript)
        chat = requests.chat_of(db, self._context, current, claim)
        group = result.step.conversation.group
        room = chat if group is None else chats.for_group(db, result.step.conversation.id, group.name)
        unwanted = personlinks.is_unwanted(db, self._context, chat, result)
        if requests.is_blocked(db, chat, result) or (unwanted and result.again is None):
            self._turned_down(db, room, result, session)
            return
        if group is not None:
            self._group(db, room, chat, result, session)
            return
        same = tables.conversations_of(db, chat.id)
        already = sync.decided(db, result.step.conversation.id) == sync.ACCEPTED
        step, left = settle(result, same, self._context.tools, agreed=already)
        chats.mark_encrypted(db, chat.id, result.device_list.version)
        for old in left:
            tables.save_conversation(db, old, chat.id)
            # Nobody confirms anything in it any more; what was read there already is known by its id.
            steps.intend_again(db, old.id, chat.id)
        if step.conversation.state is not ConversationState.REQUESTED:
            step.conversation = owe(step.conversation, [incoming.text.id for incoming in step.incoming])
            self._unconfirmed = None
        steps.save(self._context, db, chat.id, step, session)
        self._heard(db, chat.id, step)
        superseded = [c for c in tables.conversations_of(db, chat.id) if c.state is ConversationState.SUPERSEDED]
        for old in sorted(superseded, key=lambda c: (c.since, c.id))[:-MAX_SUPERSEDED]:
            steps.leave(self._context, db, chat.id, old)
        if step.conversation.state is ConversationState.REQUESTED:
            requests.came(db, self._context, chat)

    def _from_own(self, db: Db, result: Invited, session: MlsSession) -> None:
        """Another device of ours has added this one: what it has agreed to, we have."""
        account, conversation, tools = self._context.account, result.step.conversation, self._context.tools
        if conversation.group is None:
            chat = chats.for_identity(db, conversation.members[0].identity, "")
        elif is_own(conversation, account.identity_public):
            chat = chats.bind(db, account.number, account.identity_public)
            put_meta(db, sync.OWN_GROUP, conversation.id)
        else:
            chat = chats.for_group(db, conversation.id, conversation.group.name)
        same = [] if conversation.group is not None else tables.conversations_of(db, chat.id)
        step, left = settle(result, same, tools, agreed=True)
        for old in left:
            tables.save_conversation(db, old, chat.id)
            steps.intend_again(db, old.id, chat.id)
        steps.save(self._context, db, chat.id, step, session)
        chats.mark_encrypted(db, chat.id, by_us=True)

    def _group(self, db: Db, room: Chat, inviter: Chat, result: Invited, session: MlsSession) -> None:
        """Who we have agreed to hear from may put us into a group; anybody else asks, and so does who we left it by."""
        already = sync.decided(db, result.step.conversation.id) == sync.ACCEPTED
        left = tables.conversation_by_id(db, result.step.conversation.id) is not None and result.again is None
        agreed = already or (not left and any(c.state in AGREED for c in tables.conversations_of(db, inviter.id)))
        asked = requests.was_asked(db, result.step.conversation.id, self._context.now_ms)
        at_once = agreed or asked or result.again is not None
        step = accept_invited(result, self._context.tools) if at_once else result.step
        if result.again is None:
            step.notices.append(Notice.ADDED if at_once else Notice.INVITED)
        steps.save(self._context, db, room.id, step, session)
        chats.mark_encrypted(db, inviter.id, result.device_list.version)
        if not at_once:
            requests.came(db, self._context, room)

    def _turned_down(self, db: Db, chat: Chat, result: Invited, session: MlsSession) -> None:
        """Who is blocked has written: it is kept like any request, and put before nobody."""
        if result.again is not None:
            raise Refused("(blocked)")
        step = Step(requests.turn_down(result.step.conversation), incoming=result.step.incoming)
        steps.save(self._context, db, chat.id, step, session)
        tables.show_no_more(db, chat.id)
        requests.tidy(db, self._context)

    def _heard(self, db: Db, chat: int, step: Step) -> None:
        """What the others were shown of the directory."""
        self._context.directory.gossip.heard(db, chat, step.heads, int(self._context.clock()))

    # --- conversations ----------------------------------------------------------------------------

    async def conversation(
        self, mailbox: bytes, incarnation: bytes, deliveries: Sequence[wire.Delivery], acknowledge: bool = True
    ) -> Reader | None:
        """Store what came to a conversation's mailbox and acknowledge it; None when it is not read (any more).

        When the mailbox begins anew, what was fetched by the old cursor is dropped, and the cursor is 0.
        """
        after = await self._context.store.transact(self._follow, mailbox, incarnation, deliveries)
        if after is not None and deliveries and acknowledge and after.log.cursor:
            # Only the server's store depends on it, so its refusal must not stop what is read here.
            with suppress(Refused):
                await self._context.tokens.ask(wire.Ack(mailbox, after.read_key, after.log.cursor))
        return after

    def _follow(self, db: Db, mailbox: bytes, incarnation: bytes, deliveries: Sequence[wire.Delivery]) -> Reader | None:
        found = tables.conversation_by_mailbox(db, mailbox)
        if found is None or found[0].state not in READING:
            return None
        conversation, chat = found
        if chat in tables.blocked_chats(db):
            return None
        reader = conversation.reader(mailbox)
        if reader is None:
            return None
        known = reader.log.incarnation
        if known and known != incarnation:
            return self._begin_anew(db, chat, conversation, reader.log, incarnation)
        conversation = with_log(conversation, replace(reader.log, incarnation=incarnation))
        follower = Follower(
            session=self._context.sessions.open(db, conversation.id),
            entries=lambda: mls_entries(db, b"s", group_prefix(conversation.id)),
            me=load_account(db).me,
            tools=self._context.tools,
            posted=lambda envelope: tables.posted_purpose(db, envelope),
            ours=lambda digest: tables.is_ours(db, digest),
            hash_at=lambda seq: tables.hash_at(db, conversation.id, seq),
            readmitted=lambda identity: tables.readmitted(db, identity),
            parts=lambda leaf: tables.parts_of(db, conversation.id, leaf),
        )
        step, followed = follower.follow(conversation, deliveries)
        lost = step.conversation.state is ConversationState.LOST
        if lost or step.conversation.unseen != conversation.unseen:
            step.conversation = self._owe_again(db, chat, step.conversation)
        if step.conversation.owed and self._unconfirmed is not None:
            self._unconfirmed.add(conversation.id)
        if isinstance(followed, MlsSession):
            steps.save(self._context, db, chat, step, followed)
        else:
            save_mls(db, followed)
            steps.save(self._context, db, chat, step)
        steps.intend_never_kept(self._context, db, step.conversation, chat)
        self._heard(db, chat, step)
        self.resyncs.lost(db, chat, step.conversation)
        sync.hear(db, self._context, step.registers)
        if step.devices:
            db.execute("DELETE FROM own_checked WHERE conversation = ?", conversation.id)
        return step.conversation.reader(mailbox)

    def _owe_again(self, db: Db, chat: int, conversation: Conversation) -> Conversation:
        """CONVERSATION-18 something of theirs was missed: perhaps what they sent again for want of a receipt."""
        self._unconfirmed = None
        return owe(conversation, tables.last_incoming(db, chat, conversation.others, MAX_NAMED))

    def _begin_anew(self, db: Db, chat: int, conversation: Conversation, log: Log, incarnation: bytes) -> Reader | None:
        again = start_again(conversation, log, incarnation)
        if log.mailbox == conversation.log.mailbox:
            tables.forget_log(db, conversation.id)
            # What the store has lost by that nobody knows; who has read it knows it by its id.
            steps.intend_again(db, conversation.id, chat)
        tables.save_conversation(db, again, chat)
        return again.reader(log.mailbox)

    def give_up_mailbox(self, db: Db, mailbox: bytes) -> None:
        """This mailbox is gone, or does not know us any more."""
        found = tables.conversation_by_mailbox(db, mailbox)
        if found is not None and found[0].log.mailbox == mailbox:
            self.give_up(db, found[0].id)
        elif found is not None:
            # The conversation has moved from it, and nothing more comes there.
            stay = [drain for drain in found[0].drains if drain.log.mailbox != mailbox]
            tables.save_conversation(db, replace(found[0], drains=stay), found[1])

    def give_up(self, db: Db, conversation_id: bytes) -> None:
        """This conversation's mailbox is gone, or does not know us any more: what waits for it goes elsewhere."""
        found = tables.conversation_by_id(db, conversation_id)
        if found is None or found[0].state not in READING:
            return
        conversation, chat = give_up_mailbox(found[0]), found[1]
        tables.drop_queued(db, conversation.id)
        tables.save_conversation(db, conversation, chat)
        chats.notify(db, chat, [Notice.LOST])
        self.resyncs.lost(db, chat, conversation)


def _is_at_head(before: Log, after: Log, head: int) -> bool:
    """Whether nothing more is to be fetched: all was read, or nothing new came."""
    return after.cursor >= head or (after.cursor, after.incarnation) == (before.cursor, before.incarnation)


def _fetched(answer: wire.AnonymousAnswer) -> wire.Fetched:
    if not isinstance(answer, wire.Fetched):
        raise NotAGrueServer
    return answer
