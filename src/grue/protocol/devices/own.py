"""The group of one account: how its devices keep each other up to date, and where notes to oneself are written."""

import dataclasses
from collections.abc import Sequence
from typing import Final

from grue._core import MlsSession
from grue.protocol.conversation.changing import OWN_GROUP
from grue.protocol.conversation.contents import (
    MAX_REGISTERS,
    GroupMember,
    GroupState,
    Register,
    Role,
    Sync,
    Text,
)
from grue.protocol.conversation.conversation import (
    SENDING,
    Conversation,
    Outgoing,
    Purpose,
    Step,
    Tools,
    post,
)
from grue.protocol.conversation.first_contact import Me, started_alone
from grue.protocol.wire import encode

ROOM: Final = 32 * 1024
"""Bytes of registers in one `Sync`, so that it fits an envelope of 64 KiB whatever MLS adds."""


def start_own_group(session: MlsSession, me: Me, tools: Tools) -> Step:
    """Make the group of the own devices, with this one alone in it."""
    state = GroupState(OWN_GROUP, [GroupMember(me.identity_public, me.intro_mailbox, Role.ADMIN)])
    return started_alone(session, me, state, tools)


def tell(
    session: MlsSession, conversation: Conversation, registers: Sequence[Register], tools: Tools
) -> list[Outgoing]:
    """Tell the own other devices what changed here: in as many messages as that takes."""
    if conversation.state not in SENDING or not registers:
        return []
    batches: list[list[Register]] = [[]]
    room = ROOM
    for register in registers:
        size = len(encode(register))
        if (size > room and batches[-1]) or len(batches[-1]) == MAX_REGISTERS:
            batches.append([])
            room = ROOM
        batches[-1].append(register)
        room -= size
    return [post(session, conversation, Sync(batch), Purpose.SYNC, tools) for batch in batches]


def note(session: MlsSession, conversation: Conversation, text: Text, tools: Tools) -> list[Outgoing]:
    """A note to oneself, to the own other devices: what becomes of it is nobody's question."""
    if conversation.state not in SENDING:
        return []
    outgoing = post(session, conversation, text, Purpose.SYNC, tools)
    return [dataclasses.replace(outgoing, message=b"")]
