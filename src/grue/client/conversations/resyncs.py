"""Who has lost track of a conversation asks to be readmitted, and answers others who do.

Requests come to the intro mailbox, and wait in the conversation that they are for until that was read to its head.
"""

from collections.abc import Callable, Sequence

from grue._core import MlsSession
from grue.client.context import Context
from grue.client.conversations import steps, tables
from grue.client.store.engine import Db
from grue.client.store.entries import group_prefix, mls_entries
from grue.protocol import wire
from grue.protocol.conversation.answering import ANSWERING, ask_us
from grue.protocol.conversation.asking import keys_of_requests, open_request
from grue.protocol.conversation.contents import IntroRequest, ResyncRequest
from grue.protocol.conversation.conversation import Conversation, ConversationState
from grue.protocol.conversation.resync import ask_due, ask_resync

Follow = Callable[[Db, bytes, bytes, Sequence[wire.Delivery]], object]


class Resyncs:
    """The readmissions of one home, its own and those of others.

    follow  reads into a conversation what came to a mailbox of an incarnation: nothing, here
    """

    def __init__(self, context: Context, follow: Follow) -> None:
        self._context = context
        self._follow = follow
        self._asked: set[bytes] | None = None
        """Conversations in which somebody is to be readmitted; None until that was looked up."""

    # --- our own ------------------------------------------------------------------------------------

    def lost(self, db: Db, chat: int, conversation: Conversation) -> None:
        """Lost by a commit: ask to be added again. Lost for good: what is unconfirmed goes out in a new one."""
        if conversation.state is not ConversationState.LOST:
            return
        if conversation.lost_commit:
            self._ask(db, conversation.id)
        else:
            steps.intend_again(db, conversation.id, chat)

    async def ask_again(self) -> bool:
        """Queue another request for each resync that nobody has answered; whether there is one."""
        lost = await self._context.store.read(tables.heard_conversations, {ConversationState.LOST})
        due = [conversation for conversation, _ in lost if ask_due(conversation, self._context.now_ms)]
        for conversation in due:
            await self._context.store.transact(self._ask, conversation.id)
        return bool(due)

    def _ask(self, db: Db, conversation_id: bytes) -> None:
        found = tables.conversation_by_id(db, conversation_id)
        if found is None or not ask_due(found[0], self._context.now_ms):
            # Another process has asked.
            return
        session = MlsSession(mls_entries(db, b"s", b"k", group_prefix(conversation_id)))
        asked = ask_resync(session, found[0], self._context.account.me, self._context.tools)
        steps.save(self._context, db, found[1], asked, session)

    # --- others' ------------------------------------------------------------------------------------

    def requested(self, db: Db, envelope: bytes, payload: IntroRequest) -> bool:
        """Keep what a member asks who has lost track, for when the conversation was read; False when it is not that.

        Costs a hash for each key.
        """
        mailbox = self._context.account.intro_mailbox
        for conversation, chat in tables.heard_conversations(db, ANSWERING):
            request = open_request(keys_of_requests(conversation), mailbox, envelope, payload)
            if isinstance(request, ResyncRequest):
                tables.save_conversation(db, ask_us(conversation, request), chat)
                self._wait(conversation.id)
                return True
        return False

    async def answer(self) -> None:
        """Do what members who have lost track have asked for."""
        if self._asked is None:
            waiting = await self._context.store.read(tables.heard_conversations, ANSWERING)
            self._asked = {found.id for found, _ in waiting if found.asking}
        asked, self._asked = self._asked, set()
        for conversation_id in asked:
            await self._context.store.transact(self._answer, conversation_id)

    def _answer(self, db: Db, conversation_id: bytes) -> None:
        found = tables.conversation_by_id(db, conversation_id)
        if found is None or not found[0].asking:
            return
        log = found[0].log
        self._follow(db, log.mailbox, log.incarnation, [])
        after = tables.conversation_by_id(db, conversation_id)
        if after is not None and after[0].asking:
            # A commit of ours is pending.
            self._wait(conversation_id)

    def _wait(self, conversation_id: bytes) -> None:
        if self._asked is not None:
            self._asked.add(conversation_id)
