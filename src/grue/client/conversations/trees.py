"""The trees of large groups are fetched here, before the Welcome that they belong to is read for good."""

import asyncio
from contextlib import suppress

from grue._core import MlsError, MlsSession
from grue.client.context import Context
from grue.client.conversations import tables
from grue.client.store.engine import Db
from grue.client.store.entries import mls_entries, save_mls
from grue.errors import GrueError, NotAGrueServer
from grue.protocol import wire
from grue.protocol.blobs import Sealing
from grue.protocol.conversation.contents import IntroWelcome, LargeGroup, TreePlace
from grue.protocol.conversation.first_contact import group_of, open_intro
from grue.protocol.conversation.trees import ask_for_tree, large_group, place_of


def place(db: Db, payload: IntroWelcome) -> TreePlace | None:
    """Where the tree of a Welcome is; None when that has it. Raises BadAttachment, or an MlsError."""
    if not payload.tree:
        return None
    return place_of(MlsSession(mls_entries(db, b"s", b"k")), payload, group_of(payload))


async def fetch(context: Context, place: TreePlace) -> LargeGroup:
    """Raises NoSuchBlob, BadAttachment for what is not the group's, and NetworkError: the same again goes on."""
    sealing = Sealing(place.key, place.length)
    parts = []
    for n in range(sealing.parts):
        answer = await context.transport.anonymous(wire.GetBlob(sealing.part_id(n)))
        if not isinstance(answer, wire.BlobPart):
            raise NotAGrueServer
        parts.append(await asyncio.to_thread(sealing.unseal, n, answer.blob))
    return large_group(b"".join(parts))


def ask(context: Context, db: Db, delivery: wire.Delivery) -> None:
    """GROUP-32 a large group that we hold nothing of was not joined: who invited us is asked, once a Welcome."""
    with suppress(GrueError, MlsError):
        payload = open_intro(delivery.blob, context.account.sms_secret)
        if isinstance(payload, IntroWelcome) and tables.conversation_by_id(db, group_of(payload)) is None:
            _ask(context, db, payload)


def _ask(context: Context, db: Db, payload: IntroWelcome) -> None:
    found = place(db, payload)
    if found is None:
        return
    session, group, account = MlsSession(mls_entries(db, b"s")), group_of(payload), context.account
    asking = ask_for_tree(
        session, found, group, account.device_public, account.credential, account.intro_mailbox, context.tools
    )
    if asking is not None:
        tables.enqueue(db, group, asking, context.now_ms)
        save_mls(db, session.changes())
