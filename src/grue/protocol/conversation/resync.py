"""A device that has lost track asks to be removed and added again, or goes on without what it has lost."""

from typing import Final

from msgspec.structs import replace

from grue._core import MlsSession
from grue.protocol.conversation.asking import keys_of_requests, post_request
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
from grue.protocol.conversation.delivery import EXPIRED_AFTER_MS
from grue.protocol.conversation.first_contact import Me
from grue.protocol.conversation.groups import came_back, own_key, picked, sign_readmission
from grue.protocol.conversation.holes import lost_by
from grue.protocol.conversation.mailbox import Log, met
from grue.protocol.conversation.stored import Asked

ASK_AGAIN_MS: Final = 10 * 60 * 1000
"""After this a resync is asked for again, and then after twice as long each time, up to a day: the others may have been
away, or busy with commits of their own."""

ASK_DAILY: Final = 8
"""Requests until the pause between two is a day."""

MAX_ASKS: Final = 32
"""Requests of one loss, some 25 days: then nobody of those who are asked is there any more, or wants us back."""

DAY_MS: Final = 24 * 3600 * 1000


def ask_resync(session: MlsSession, conversation: Conversation, me: Me, tools: Tools) -> Step:
    """Ask, by the epoch that we are still in, to be removed and added again. Needs b"s", b"k", b"g".

    The request goes to the intro mailbox of the other side, or of a few members of the group (GROUP-12), and can be
    read there however many commits have passed. Asking again names the same key package, so that the answer to any of
    the requests can be used.

    CONVERSATION-18 what was read last before we lost track is named, in the log: nobody may answer while its sender
    waits.
    """
    asked = conversation.asked or _package_to_ask_by(session, me)
    if asked.times and tools.now_ms - conversation.since > EXPIRED_AFTER_MS:
        # Who answered the request before this one was not heard, and takes no older proof again.
        asked = replace(asked, times=max(asked.times, ASK_DAILY + 1))
    proof = sign_readmission(session, conversation.id, _number(session, conversation, asked))
    request = ResyncRequest(conversation.lost_commit, asked.package, me.intro_mailbox, proof)
    asking = replace(conversation, since=tools.now_ms, asked=replace(asked, times=asked.times + 1))
    key, mailboxes = keys_of_requests(conversation)[0], _whom(conversation, me, tools)
    outgoing = [post_request(key, mailbox, request, tools) for mailbox in mailboxes]
    if conversation.owed and not conversation.mute:
        read = Receipt(0, b"", texts=conversation.owed[-MAX_NAMED:])
        outgoing.append(post(session, conversation, read, Purpose.RECEIPT, tools))
    return Step(asking, outgoing)


def _whom(conversation: Conversation, me: Me, tools: Tools) -> list[bytes]:
    if not conversation.members:
        # The group of the own devices: each of the others reads this.
        return [me.intro_mailbox]
    mailboxes = {member.identity: member.intro_mailbox for member in conversation.members}
    return [mailboxes[one] for one in picked(mailboxes, me.identity_public, tools.random(16))]


def _number(session: MlsSession, conversation: Conversation, asked: Asked) -> int:
    """The number of a `Readmission`: a readmission that did not reach us for days is not to be the last one."""
    back = dict(conversation.back) if conversation.group is None else came_back(conversation.group)
    used = back.get(own_key(session, conversation.id), -1)
    return max(session.epoch(conversation.id), used + 1) + max(0, asked.times - ASK_DAILY)


def _package_to_ask_by(session: MlsSession, me: Me) -> Asked:
    before = session.changes().keys()
    package = session.key_package(me.credential, last_resort=False)
    (entry,) = (key for key in session.changes().keys() - before if key.startswith(KEY_PACKAGES))
    return Asked(entry.removeprefix(KEY_PACKAGES), package)


def ask_due(conversation: Conversation, now_ms: int) -> bool:
    """A resync is to be asked for, or nobody has answered for a while."""
    if conversation.state is not ConversationState.LOST or not conversation.lost_commit:
        return False
    times = 0 if conversation.asked is None else conversation.asked.times
    pause = min(ASK_AGAIN_MS << max(0, times - 1), DAY_MS) if times else 0
    return times < MAX_ASKS and now_ms - conversation.since >= pause


def give_up_mailbox(conversation: Conversation) -> Conversation:
    """The mailbox is gone, or does not know us: of a group we ask to be let in again, and the next message to a contact
    starts another conversation.
    """
    commit = b"" if conversation.group is None else lost_by(conversation, b"")
    return replace(become_if(conversation, ConversationEvent.LOST_TRACK), lost_commit=commit, asked=None)


def start_again(conversation: Conversation, log: Log, incarnation: bytes) -> Conversation:
    """The server's store was restored from a backup: read from the beginning, with a hole where it may have one."""
    return with_log(replace(conversation, gap=True), met(log, incarnation))
