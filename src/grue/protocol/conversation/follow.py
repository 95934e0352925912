"""Following a conversation's log: texts, receipts, commits that win or lose, and the way back when one cannot be read.

The mailbox's order decides. Of the commits for one epoch the first that passes every check which all members can make
wins, for everybody; an own one that is met in the log has won, another's that is met first has beaten it.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from msgspec.structs import replace

from grue._core import (
    MlsApplication,
    MlsError,
    MlsLost,
    MlsMalformed,
    MlsOwnMessage,
    MlsRefused,
    MlsSecretGone,
    MlsSession,
    MlsStagedCommit,
    MlsWrongEpoch,
)
from grue.errors import BadEnvelope, BadRequest, GrueError, NotPermitted, TooLarge
from grue.protocol.conversation import envelope
from grue.protocol.conversation.answering import is_asked, let_all_go, let_go, plan_again, readmit_all
from grue.protocol.conversation.changing import is_own, is_put_out, move, release_slots, stop_reading
from grue.protocol.conversation.commits import gathered, next_epoch
from grue.protocol.conversation.contents import (
    APPLICATION,
    MAX_NAMED,
    CommitPart,
    GroupState,
    Leave,
    Profile,
    Receipt,
    Sync,
    Text,
)
from grue.protocol.conversation.conversation import (
    COMMITS,
    READING,
    Conversation,
    ConversationEvent,
    ConversationState,
    Incoming,
    Notice,
    Purpose,
    Step,
    Tools,
    become,
    become_if,
    epoch_key,
    members_of,
    permit_commit,
    post,
    with_log,
)
from grue.protocol.conversation.devices import identity_of
from grue.protocol.conversation.first_contact import Me, welcome_newcomers
from grue.protocol.conversation.groups import left, may_write, role_of
from grue.protocol.conversation.hearing import hear
from grue.protocol.conversation.holes import UNKNOWN_COMMIT, lose, miss, owe, won_unseen
from grue.protocol.conversation.mailbox import UNKNOWN_HASH, Log, delivered, skipped
from grue.protocol.wire import Delivery

Entries = dict[bytes, bytes]
Changes = dict[bytes, bytes | None]

MAX_BEATEN: Final = 8
"""Own beaten commits that may still be on their way: more than can be in flight."""

_JUNK = (MlsMalformed, MlsRefused, MlsSecretGone, MlsWrongEpoch)
"""What an envelope raises that is no message for us: forged, replayed, or of an epoch that has passed."""


@dataclass
class Follower:
    """Reads envelopes into one `Step`, with the MLS changes that belong to it.

    session  over b"s" and the group; a follower uses it up
    entries  what it was made of
    posted   what one of our own envelopes was for; None for an id that is not ours
    ours     whether we have sent an MLS message with this SHA-256
    hash_at  the log's hash after a seq, as far back as it is kept
    parts    what came in this epoch of the commit that a leaf is sending
    readmitted  when devices of an account were readmitted, as far as it may matter: Unix milliseconds
    """

    session: MlsSession
    entries: Callable[[], Entries]
    me: Me
    tools: Tools
    posted: Callable[[bytes], Purpose | None]
    ours: Callable[[bytes], bool]
    hash_at: Callable[[int], bytes | None]
    readmitted: Callable[[bytes], Sequence[int]]
    parts: Callable[[int], Sequence[CommitPart]] = lambda _leaf: ()

    def follow(self, conversation: Conversation, deliveries: Sequence[Delivery]) -> tuple[Step, MlsSession | Changes]:
        """Read envelopes in order of seq. Costs about 0.2 ms an envelope.

        Returns the session, whose changes are to be stored; or, when an envelope has voided it, the changes alone.
        Ends early, with the rest unread, when the conversation becomes lost. Raises nothing for any bytes.
        """
        try:
            return self._batch(conversation, deliveries)
        except (MlsError, GrueError):
            # A session is void after such an error: read again, one session an envelope, to void only the bad one.
            return self._singly(conversation, deliveries)

    def _batch(self, conversation: Conversation, deliveries: Sequence[Delivery]) -> tuple[Step, MlsSession]:
        session, step = self.session, Step(conversation)
        for delivery in deliveries:
            self._one(session, step, delivery)
            if step.conversation.state not in READING:
                break
        self._answer(session, step)
        self._last_word(session, step, conversation)
        return step, session

    def _singly(self, conversation: Conversation, deliveries: Sequence[Delivery]) -> tuple[Step, Changes]:
        step = Step(conversation)
        entries, changes = self.entries(), Changes()
        for delivery in deliveries:
            session = MlsSession(entries)
            try:
                self._one(session, step, delivery)
            except (MlsError, GrueError):
                self._void(step, delivery)
            else:
                _keep(entries, changes, session.changes())
            if step.conversation.state not in READING:
                break
        session = MlsSession(entries)
        self._answer(session, step)
        self._last_word(session, step, conversation)
        _keep(entries, changes, session.changes())
        return step, changes

    def _last_word(self, session: MlsSession, step: Step, before: Conversation) -> None:
        """CONVERSATION-18 what was read last in a conversation that was superseded, and that we can follow no more, is
        named while its writer still reads us there: nobody is asked to let us in again, and the other one may never
        have been joined.
        """
        gone = step.conversation
        if before.state is ConversationState.SUPERSEDED and gone.state is ConversationState.GONE and gone.owed:
            read = Receipt(0, b"", texts=gone.owed[-MAX_NAMED:])
            step.outgoing += [] if gone.mute else [post(session, gone, read, Purpose.RECEIPT, self.tools)]
            step.conversation = replace(gone, owed=[])

    def _void(self, step: Step, delivery: Delivery) -> None:
        """An envelope that could not be read at all is passed over; but not an own commit, which others follow."""
        pending = step.conversation.pending
        if pending is not None and pending.envelope == delivery.envelope:
            lose(step, delivery.envelope)
            return
        step.skipped += 1
        _read(step, delivery)

    def _one(self, session: MlsSession, step: Step, delivery: Delivery) -> None:
        conversation = step.conversation
        if delivery.mailbox != conversation.log.mailbox:
            self._drained(session, step, delivery)
            return
        if delivery.seq <= conversation.log.cursor:
            return
        if delivery.seq != conversation.log.cursor + 1:
            miss(step, delivery.seq - 1, self.tools)
            if step.conversation.state not in READING:
                return
        if step.conversation.group is not None and won_unseen(step) is not None:
            # Of many somebody has seen it, in time.
            self._merge_unseen(session, step, delivery)
            self._one(session, step, delivery)
            return
        purpose = self.posted(delivery.envelope)
        if conversation.pending is not None and conversation.pending.envelope == delivery.envelope:
            step.conversation = self._won(session, step, delivered(conversation.log, delivery))
        elif delivery.envelope in conversation.beaten:
            left = [envelope for envelope in conversation.beaten if envelope != delivery.envelope]
            step.conversation = replace(step.conversation, beaten=left)
        elif purpose in COMMITS:
            # It won for everybody else, and we have forgotten it: it cannot be merged any more.
            lose(step, delivery.envelope)
        elif purpose is None:
            self._theirs(session, step, delivery)
        elif purpose in (Purpose.SAY, Purpose.PROFILE):
            self._said(step, delivery, purpose)
        if step.conversation.state in READING:
            _read(step, delivery)

    def _drained(self, session: MlsSession, step: Step, delivery: Delivery) -> None:
        """GROUP-11 where the conversation moved from, messages of who is still a member count, and no commit does."""
        conversation = step.conversation
        reader = conversation.reader(delivery.mailbox)
        if reader is None or delivery.seq <= reader.log.cursor:
            return
        if self.posted(delivery.envelope) is None:
            opened = self._opened_of_drained(session, conversation, delivery)
            if opened is None:
                step.skipped += 1
            else:
                self._application(session, step, opened, delivery)
        _read(step, delivery)

    def _opened_of_drained(
        self, session: MlsSession, conversation: Conversation, delivery: Delivery
    ) -> MlsApplication | None:
        try:
            message = envelope.unseal(conversation.epoch_keys, delivery.mailbox, delivery.envelope, delivery.blob)
            opened = session.process(conversation.id, message)
        except (BadEnvelope, MlsOwnMessage, MlsLost, *_JUNK):
            return None
        if isinstance(opened, MlsStagedCommit):
            session.discard(opened)
            return None
        return opened if identity_of(opened.credential) in conversation.others | {self.me.identity_public} else None

    def _said(self, step: Step, delivery: Delivery, purpose: Purpose) -> None:
        """CONVERSATION-13 an own text that commits overtook on its way, so that nobody can open it, goes out again.

        CONVERSATION-20 where an own text was met is noted: only there can the other side have read it.
        """
        keys, mailbox = step.conversation.epoch_keys, step.conversation.log.mailbox
        try:
            envelope.unseal(keys, mailbox, delivery.envelope, delivery.blob)
        except BadEnvelope:
            step.resend |= purpose is Purpose.SAY
            step.unintroduced |= purpose is Purpose.PROFILE
        else:
            step.echoes[delivery.envelope] = delivery.seq

    def _won(self, session: MlsSession, step: Step, log: Log) -> Conversation:
        """Merge the own commit; `log` is how far the log was read with it."""
        conversation = step.conversation
        session.accepted(conversation.id)
        pending = conversation.pending
        state = pending.after if pending is not None and pending.after is not None else conversation.group
        key = epoch_key(session, conversation.id, state)
        following = next_epoch(step, conversation, key, self.tools.now_ms)
        merged = replace(following, pending=None, since=self.tools.now_ms)
        if pending is not None and (pending.after is not None or pending.moves):
            merged = self._become(session, step, merged, state, log, moves=pending.moves)
        if pending is not None and pending.newcomers:
            # The newcomers read after the commit, so their log starts there.
            at = replace(merged, log=log)
            with suppress(TooLarge):
                # It was seen to fit when it was committed; whatever it is, our own commit has won.
                step.outgoing += welcome_newcomers(session, at, self.me, pending, self.tools)
            step.resend |= pending.plan is None and not pending.own
            if merged.group is None:
                stay = [one for one in merged.back if one[0] not in dict(pending.back)]
                merged = replace(merged, back=[*stay, *pending.back])
        return merged

    def _merge_unseen(self, session: MlsSession, step: Step, delivery: Delivery) -> None:
        """CONVERSATION-23 the other side shows that it met our commit, which lies in a hole of our log before this."""
        log = step.conversation.log
        log = log if log.cursor == delivery.seq - 1 else skipped(log, delivery.seq - 1)
        step.conversation = replace(step.conversation, log=log, gap=True)
        step.conversation = self._won(session, step, log)

    def _become(
        self, session: MlsSession, step: Step, conversation: Conversation, after: GroupState | None, log: Log, *,
        moves: bool,
    ) -> Conversation:  # fmt: skip
        """The conversation as it is after a commit; when an account or a device was removed its mailbox moves."""
        became, gone = conversation, set[bytes]()
        if after is not None and conversation.group is not None:
            gone = left(conversation.group, after)
            members = members_of(after, self.me.identity_public, conversation.members)
            became = replace(conversation, group=after, members=members)
            step.changes.append(after)
        if not (gone or moves):
            return became
        step.moved = True
        moving = move(session, replace(became, log=log), self.tools)
        step.outgoing += moving.outgoing
        return moving.conversation

    def _theirs(self, session: MlsSession, step: Step, delivery: Delivery) -> None:
        conversation = step.conversation
        try:
            message, key = envelope.unseal_by(
                conversation.epoch_keys, conversation.log.mailbox, delivery.envelope, delivery.blob
            )
        except BadEnvelope:
            if won_unseen(step) is None:
                self._unreadable(step)
                return
            self._merge_unseen(session, step, delivery)
            self._one(session, step, delivery)
            return
        try:
            opened = session.process(conversation.id, message)
        except MlsOwnMessage:
            self._own(step, message)
        except MlsLost:
            if key:
                step.skipped += 1
            else:
                lose(step, delivery.envelope)
        except _JUNK:
            step.skipped += 1
        else:
            if conversation.gap and len(session.members(conversation.id)) == 2:
                # No third one can have committed in the hole, and its writer knows its own commits.
                step.conversation = replace(step.conversation, gap=False)
            if isinstance(opened, MlsApplication):
                self._application(session, step, opened, delivery, newest=not key)
            elif key:
                # CONVERSATION-22 a commit counts only under the newest key: a newcomer has no other, and must agree.
                session.discard(opened)
                step.skipped += 1
            else:
                self._commit(session, step, opened, delivery)

    def _unreadable(self, step: Step) -> None:
        """Junk; or, CONVERSATION-24 after a hole, a sign that a commit was in it, which nothing can bring back."""
        step.skipped += 1
        if step.conversation.gap:
            lose(step, b"")

    def _own(self, step: Step, message: bytes) -> None:
        """A message of ours in an envelope that is not: sealed anew by somebody, or unknown as our state went back."""
        if self.ours(sha256(message).digest()):
            step.skipped += 1
        elif step.conversation.state is not ConversationState.RESTORED:
            step.notices.append(Notice.RESTORED)
            step.conversation = become_if(step.conversation, ConversationEvent.WENT_BACK)
            if step.conversation.group is not None:
                # There is no other conversation to go on in: we are to be added again, with keys that nobody has used.
                step.conversation = replace(step.conversation, mute=True)
                lose(step, UNKNOWN_COMMIT)

    def _application(
        self, session: MlsSession, step: Step, opened: MlsApplication, delivery: Delivery, newest: bool = False
    ) -> None:
        try:
            content = APPLICATION.decode(opened.plaintext)
        except BadRequest:
            step.skipped += 1
            return
        sender = identity_of(opened.credential)
        if sender in step.conversation.others:
            # Who still writes in what was superseded has not found the other one: it is read for as long again.
            superseded = step.conversation.state is ConversationState.SUPERSEDED
            since = self.tools.now_ms if superseded else step.conversation.since
            members = [replace(one, heard=True) if one.identity == sender else one for one in step.conversation.members]
            heard = replace(step.conversation, heard=True, since=since, members=members)
            step.conversation = become_if(heard, ConversationEvent.HEARD)
        if isinstance(content, Text | Receipt):
            hear(step, sender, content, delivery, self.hash_at)
            step.heads += [content.head] if content.head else []
        if isinstance(content, Text):
            self._text(step, sender, content, delivery)
        elif isinstance(content, Leave):
            let_go(step, content)
        elif isinstance(content, CommitPart) and newest:
            self._part(session, step, opened.leaf, content, delivery)
        elif isinstance(content, Profile):
            step.profiles.append((sender, content))
        elif isinstance(content, Sync) and sender == self.me.identity_public and not step.conversation.members:
            # DEVICES-09 what an own device says, where nobody else is.
            step.registers += content.registers

    def _part(self, session: MlsSession, step: Step, leaf: int, part: CommitPart, delivery: Delivery) -> None:
        """With the last part of a commit, that is as if it lay there."""
        whole = gathered(step, leaf, part, self.parts)
        if whole is None or part.commit != delivery.envelope:
            return
        try:
            opened = session.process(step.conversation.id, whole)
        except MlsLost:
            lose(step, delivery.envelope)
        except (MlsOwnMessage, *_JUNK):
            # Our own in parts that are not: those of ours would have told.
            step.skipped += 1
        else:
            assert isinstance(opened, MlsStagedCommit)
            self._commit(session, step, opened, delivery)

    def _text(self, step: Step, sender: bytes, text: Text, delivery: Delivery) -> None:
        if not may_write(step.conversation.group, sender):
            step.skipped += 1
            return
        step.incoming.append(Incoming(sender, text, delivery.seq))
        if sender in step.conversation.others:
            step.conversation = owe(step.conversation, [text.id])

    def _commit(self, session: MlsSession, step: Step, staged: MlsStagedCommit, delivery: Delivery) -> None:
        conversation = step.conversation
        try:
            epoch = session.epoch(conversation.id)
            after = permit_commit(conversation, staged, session.members(conversation.id), epoch)
        except NotPermitted:
            session.discard(staged)
            step.skipped += 1
            return
        if after is not None and role_of(after, self.me.identity_public) is None:
            self._removed(session, step, staged, delivery, [Notice.REMOVED])
            return
        if staged.removes_self and is_put_out(session, conversation, staged, self.me):
            own = is_own(conversation, self.me.identity_public)
            self._removed(session, step, staged, delivery, [Notice.UNLINKED] if own else [])
            return
        if staged.removes_self:
            # Somebody thinks that we are lost, and the Welcome is on its way.
            session.discard(staged)
            lose(step, delivery.envelope)
            return
        session.merge(conversation.id, staged)
        key = epoch_key(session, conversation.id, after)
        pending = conversation.pending
        beaten = [*conversation.beaten, pending.envelope] if pending else conversation.beaten
        step.outgoing.extend(release_slots(conversation))
        following = next_epoch(step, conversation, key, self.tools.now_ms)
        followed = replace(following, pending=None, beaten=beaten[-MAX_BEATEN:])
        again = {member.signature_key: identity_of(member.credential) for member in staged.added}
        # Whoever was readmitted by somebody else counts as well, or two would undo each other's answers.
        readmitted = {again[m.signature_key] for m in staged.removed if m.signature_key in again}
        step.readmitted += readmitted
        # They have not seen what came since they lost track.
        step.resend |= bool(readmitted)
        moves = any(member.signature_key not in again for member in staged.removed)
        step.devices |= bool(staged.added or staged.removed)
        if moves or (after is not None and after != conversation.group):
            log = delivered(followed.log, delivery)
            followed = self._become(session, step, followed, after, log, moves=moves)
        step.conversation = followed
        if pending is not None and pending.plan is not None:
            plan_again(session, step, self.me, pending.plan, self.tools)

    def _removed(
        self, session: MlsSession, step: Step, staged: MlsStagedCommit, delivery: Delivery, told: list[Notice]
    ) -> None:
        """We are no member any more: the keys go, and the row stays, so that no older Welcome leads back."""
        conversation = step.conversation
        session.discard(staged)
        step.notices += told
        step.conversation = replace(
            become(replace(conversation, log=delivered(conversation.log, delivery)), ConversationEvent.LEFT),
            pending=None, drains=[], left_in=session.epoch(conversation.id),
        )  # fmt: skip
        step.outgoing += stop_reading(conversation)
        session.delete(conversation.id)

    def _answer(self, session: MlsSession, step: Step) -> None:
        """Do what others have asked for, at the head of what is here."""
        unseen = won_unseen(step)
        if unseen is not None and is_asked(session, step.conversation, self.me):
            # Who asks follows nothing until the Welcome, so it has not gone on without this commit.
            step.conversation = self._won(session, step, step.conversation.log)
            # It may be the answer to an earlier request, whose Welcome goes out only now.
            asking = [
                one for one in step.conversation.asking if one.proof and one.proof.signature_key not in unseen.added
            ]
            step.conversation = replace(step.conversation, asking=asking)
        let_all_go(session, step, self.me, self.tools)
        readmit_all(session, step, self.me, self.tools, self.readmitted)


def refused_commit(session: MlsSession, conversation: Conversation) -> Step:
    """The server has definitely refused an own commit: forget it. Never call this after a time-out."""
    session.rejected(conversation.id)
    return Step(replace(conversation, pending=None), release_slots(conversation))


def _read(step: Step, delivery: Delivery) -> None:
    """The log goes on; that of a mailbox which is drained, when it came from there."""
    conversation = step.conversation
    reader = conversation.reader(delivery.mailbox)
    if reader is None or delivery.seq <= reader.log.cursor:
        return
    log = delivered(reader.log, delivery)
    step.conversation = with_log(conversation, log)
    if log.mailbox != conversation.log.mailbox:
        return
    step.conversation = replace(step.conversation, own=[seq for seq in conversation.own if seq > log.cursor])
    if log.hash != UNKNOWN_HASH:
        step.hashes[log.cursor] = log.hash


def _keep(entries: Entries, changes: Changes, more: Changes) -> None:
    changes.update(more)
    for key, value in more.items():
        if value is None:
            entries.pop(key, None)
        else:
            entries[key] = value
