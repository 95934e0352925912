"""A device that has lost track asks to be removed and added again, or goes on without what it has lost."""

from msgspec.structs import replace

from grue._core import MlsSession
from grue.protocol.conversation.contents import MAX_NAMED, Receipt, ResyncRequest
from grue.protocol.conversation.conversation import (
    KEY_PACKAGES,
    Conversation,
    ConversationEvent,
    ConversationState,
    Purpose,
    Step,
    Tools,
    become_if,
    post,
    with_log,
)
from grue.protocol.conversation.first_contact import Me
from grue.protocol.conversation.follow import ASK_AGAIN_MS
from grue.protocol.conversation.groups import sign_readmission
from grue.protocol.conversation.mailbox import Log, met
from grue.protocol.conversation.stored import Asked


def ask_resync(session: MlsSession, conversation: Conversation, me: Me, tools: Tools) -> Step:
    """Ask, in the epoch that we are still in, to be removed and added again. Needs b"s", b"k", b"g".

    Asking again names the same key package, so that the answer to any of the requests can be used.

    CONVERSATION-18 what was read last before we lost track is named, too: nobody may answer while its sender waits.
    """
    asked = conversation.asked or _package_to_ask_by(session, me)
    proof = None if conversation.group is None else sign_readmission(session, conversation.id)
    request = ResyncRequest(conversation.lost_commit, asked.package, me.intro_mailbox, proof)
    asking = replace(conversation, since=tools.now_ms, asked=asked)
    outgoing = [post(session, conversation, request, Purpose.RESYNC, tools)]
    if conversation.owed:
        read = Receipt(0, b"", texts=conversation.owed[-MAX_NAMED:])
        outgoing.append(post(session, conversation, read, Purpose.RECEIPT, tools))
    return Step(asking, outgoing)


def _package_to_ask_by(session: MlsSession, me: Me) -> Asked:
    before = session.changes().keys()
    package = session.key_package(me.credential, last_resort=False)
    (entry,) = (key for key in session.changes().keys() - before if key.startswith(KEY_PACKAGES))
    return Asked(entry.removeprefix(KEY_PACKAGES), package)


def ask_due(conversation: Conversation, now_ms: int) -> bool:
    """A resync was asked for, and nobody has answered for a while."""
    waiting = conversation.state is ConversationState.LOST and conversation.lost_commit
    return bool(waiting) and now_ms - conversation.since > ASK_AGAIN_MS


def give_up_mailbox(conversation: Conversation) -> Conversation:
    """The mailbox is gone, or does not know us: the next message starts another conversation."""
    return replace(become_if(conversation, ConversationEvent.LOST_TRACK), lost_commit=b"", asked=None)


def start_again(conversation: Conversation, log: Log, incarnation: bytes) -> Conversation:
    """The server's store was restored from a backup: read from the beginning, with a hole where it may have one."""
    return with_log(replace(conversation, gap=True), met(log, incarnation))
