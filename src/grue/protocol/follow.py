"""Follow a conversation's log: texts, receipts, commits that win or lose, and what to do when one cannot be followed.

The mailbox's order decides. Of the commits for one epoch the first that passes every check which all members can make
wins, for everybody; an own one that is met in the log has won, another's that is met first has beaten it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from grue._core import (
    MlsApplication,
    MlsError,
    MlsLost,
    MlsMalformed,
    MlsMember,
    MlsOwnMessage,
    MlsRefused,
    MlsSecretGone,
    MlsSession,
    MlsStagedCommit,
    MlsWrongEpoch,
    mls_key_package_member,
)
from grue.errors import BadEnvelope, BadRequest, NotPermitted
from grue.protocol import envelope
from grue.protocol.contents import APPLICATION, Receipt, ResyncRequest, Text
from grue.protocol.conversation import (
    READING,
    Conversation,
    ConversationEvent,
    ConversationState,
    Incoming,
    Newcomer,
    Notice,
    Outgoing,
    PendingCommit,
    Purpose,
    Step,
    Tools,
    become,
    epoch_key,
    permit_commit,
    post,
    seal_post,
    with_epoch_key,
)
from grue.protocol.devices import identity_of
from grue.protocol.first_contact import Me, welcome_newcomer
from grue.protocol.mailbox import UNKNOWN_HASH, delivered
from grue.protocol.wire import Delivery, RemoveReader

Entries = dict[bytes, bytes]
Changes = dict[bytes, bytes | None]

_JUNK = (BadEnvelope, MlsMalformed, MlsRefused, MlsSecretGone, MlsWrongEpoch)
"""What an envelope raises that is no message for us: forged, replayed, or of an epoch that has passed."""


@dataclass
class Follower:
    """Reads envelopes into one `Step`; `changes` are the MLS entries that belong to it.

    posted   whether an envelope id is one of our own posts
    hash_at  the log's hash after a seq, as far back as it is kept
    """

    entries: Entries
    me: Me
    tools: Tools
    posted: Callable[[bytes], bool]
    hash_at: Callable[[int], bytes | None]

    def follow(self, conversation: Conversation, deliveries: Sequence[Delivery]) -> tuple[Step, Changes]:
        """Read envelopes in order of seq. Costs one load of the group and about 0.2 ms an envelope.

        Ends early, with the rest unread, when the conversation becomes lost. Raises nothing for any bytes.
        """
        try:
            return self._batch(conversation, deliveries, self.entries)
        except MlsError:
            # A session is void after such an error: read again, one session an envelope, to void only the bad one.
            return self._singly(conversation, deliveries)

    def _batch(
        self, conversation: Conversation, deliveries: Sequence[Delivery], entries: Entries
    ) -> tuple[Step, Changes]:
        session, step = MlsSession(entries), Step(conversation)
        for delivery in deliveries:
            self._one(session, step, delivery)
            if step.conversation.state not in READING:
                return step, session.changes()
        return step, session.changes()

    def _singly(self, conversation: Conversation, deliveries: Sequence[Delivery]) -> tuple[Step, Changes]:
        step = Step(conversation)
        entries, changes = dict(self.entries), Changes()
        for delivery in deliveries:
            session = MlsSession(entries)
            try:
                self._one(session, step, delivery)
            except MlsError:
                step.skipped += 1
                _read(step, delivery)
            else:
                _keep(entries, changes, session.changes())
            if step.conversation.state not in READING:
                break
        return step, changes

    def _one(self, session: MlsSession, step: Step, delivery: Delivery) -> None:
        conversation = step.conversation
        if delivery.seq <= conversation.log.cursor:
            return
        if conversation.pending is not None and conversation.pending.envelope == delivery.envelope:
            step.conversation = self._won(session, step, delivery)
        elif not self.posted(delivery.envelope):
            self._theirs(session, step, delivery)
        if step.conversation.state in READING:
            _read(step, delivery)

    def _won(self, session: MlsSession, step: Step, delivery: Delivery) -> Conversation:
        conversation = step.conversation
        session.accepted(conversation.id)
        key = epoch_key(session, conversation.id)
        merged = replace(with_epoch_key(conversation, key), pending=None, since=self.tools.now_ms)
        newcomer = conversation.pending.newcomer if conversation.pending else None
        if newcomer is not None:
            # The newcomer reads after the commit, so its log starts there.
            at = replace(merged, log=delivered(merged.log, delivery))
            step.outgoing.append(welcome_newcomer(session, at, self.me, newcomer, self.tools))
        return merged

    def _theirs(self, session: MlsSession, step: Step, delivery: Delivery) -> None:
        conversation = step.conversation
        try:
            message = envelope.unseal(
                conversation.epoch_keys, conversation.log.mailbox, delivery.envelope, delivery.blob
            )
            opened = session.process(conversation.id, message)
        except MlsOwnMessage:
            # Ours, and not among what we know to have posted: our own state went back.
            _lose(step, b"")
            step.start_over = True
        except MlsLost:
            _lose(step, delivery.envelope)
        except _JUNK:
            step.skipped += 1
        else:
            self._opened(session, step, opened, delivery)

    def _opened(
        self, session: MlsSession, step: Step, opened: MlsApplication | MlsStagedCommit, delivery: Delivery
    ) -> None:
        if isinstance(opened, MlsApplication):
            self._application(session, step, opened, delivery)
        else:
            self._commit(session, step, opened)

    def _application(self, session: MlsSession, step: Step, opened: MlsApplication, delivery: Delivery) -> None:
        try:
            content = APPLICATION.decode(opened.plaintext)
        except BadRequest:
            step.skipped += 1
            return
        sender = _member(session, step.conversation, opened.leaf)
        if isinstance(content, Text):
            step.incoming.append(Incoming(identity_of(sender.credential), content, delivery.seq))
            self._heard(step, sender, content.read_seq, content.log_hash)
        elif isinstance(content, Receipt):
            self._heard(step, sender, content.read_seq, content.log_hash)
        elif isinstance(content, ResyncRequest):
            self._readmit(session, step, sender, content)

    def _heard(self, step: Step, sender: MlsMember, seq: int, log_hash: bytes) -> None:
        """MAILBOX-20 the other's hash of the log is ours, as far as both have read."""
        ours = step.hashes.get(seq) or self.hash_at(seq)
        if seq and log_hash and ours and ours != log_hash:
            if step.conversation.state is not ConversationState.FORKED:
                step.conversation = become(step.conversation, ConversationEvent.FORK_SEEN)
                step.notices.append(Notice.FORKED)
        elif identity_of(sender.credential) == step.conversation.peer:
            step.read_by_peer = max(step.read_by_peer or 0, seq)

    def _commit(self, session: MlsSession, step: Step, staged: MlsStagedCommit) -> None:
        conversation = step.conversation
        try:
            permit_commit(conversation, staged, session.members(conversation.id))
        except NotPermitted:
            session.discard(staged)
            step.skipped += 1
            return
        if conversation.pending is not None:
            session.rejected(conversation.id)
            step.outgoing.extend(_release_slot(conversation))
        session.merge(conversation.id, staged)
        key = epoch_key(session, conversation.id)
        step.conversation = replace(with_epoch_key(conversation, key), pending=None)

    def _readmit(self, session: MlsSession, step: Step, sender: MlsMember, request: ResyncRequest) -> None:
        """Remove a member that lost track and add it again, in one commit, at the head of the log.

        CONVERSATION-10 the key package is the asking member's own. One at a time: whoever asks while another commit of
        ours is pending asks again.
        """
        conversation = step.conversation
        newcomer = mls_key_package_member(request.key_package)
        same = newcomer.signature_key == sender.signature_key and newcomer.credential == sender.credential
        if not same or conversation.pending is not None or conversation.state is not ConversationState.ACTIVE:
            step.skipped += not same
            return
        secret, envelope_id = self.tools.random(32), self.tools.random(16)
        commit = session.commit(conversation.id, [request.key_package], [sender.leaf], b"")
        step.outgoing.append(seal_post(conversation, commit.message, Purpose.COMMIT, envelope_id, slots=[secret]))
        welcome = Newcomer(request.intro_mailbox, commit.welcome or b"", secret, newcomer.signature_key)
        step.conversation = replace(conversation, pending=PendingCommit(envelope_id, welcome))


def refused_commit(session: MlsSession, conversation: Conversation) -> Step:
    """The server has definitely refused an own commit: forget it. Never call this after a time-out."""
    session.rejected(conversation.id)
    return Step(replace(conversation, pending=None), _release_slot(conversation))


def ask_resync(session: MlsSession, conversation: Conversation, me: Me, tools: Tools) -> Step:
    """Ask, in the epoch that we are still in, to be removed and added again. Needs b"s", b"k", b"g"."""
    package = session.key_package(me.credential, last_resort=False)
    request = ResyncRequest(conversation.lost_commit, package, me.intro_mailbox)
    return Step(conversation, [post(session, conversation, request, Purpose.RESYNC, tools)])


def _lose(step: Step, commit: bytes) -> None:
    step.notices.append(Notice.LOST)
    step.conversation = replace(become(step.conversation, ConversationEvent.LOST_TRACK), lost_commit=commit)


def _release_slot(conversation: Conversation) -> list[Outgoing]:
    """Give back the slot that a lost commit reserved: nobody will read there, so it must not hold envelopes."""
    if conversation.pending is None or conversation.pending.newcomer is None:
        return []
    request = RemoveReader(conversation.log.mailbox, conversation.pending.newcomer.slot_secret)
    return [Outgoing(Purpose.LEAVE, request)]


def _read(step: Step, delivery: Delivery) -> None:
    log = delivered(step.conversation.log, delivery)
    step.conversation = replace(step.conversation, log=log)
    if log.hash != UNKNOWN_HASH:
        step.hashes[log.cursor] = log.hash


def _keep(entries: dict[bytes, bytes], changes: Changes, more: Changes) -> None:
    changes.update(more)
    for key, value in more.items():
        if value is None:
            entries.pop(key, None)
        else:
            entries[key] = value


def _member(session: MlsSession, conversation: Conversation, leaf: int) -> MlsMember:
    return next(member for member in session.members(conversation.id) if member.leaf == leaf)
