"""A report on a chat: what is kept here of it, in one file for its owner. It goes nowhere by itself."""

import json
import os
from pathlib import Path
from typing import Final

from grue.client import chats, verified
from grue.client.api.messages import Message, history_of
from grue.client.chats import Chat
from grue.client.context import own_number
from grue.client.conversations import naming, profiles, tables
from grue.client.people.tables import name_of
from grue.client.store.engine import Db
from grue.errors import UsageError
from grue.protocol.dates import date

PROVES: Final = (
    "This is what this copy of Grue has stored. Each encrypted message was checked when it came: it was signed by a "
    "device of the identity key that is named here, in a conversation whose log had the hash that is given. The "
    "signatures are not kept, so this file proves nothing to somebody who does not believe its owner: anybody could "
    "write such a file. The hashes let two members of the conversation find out whether they have read the same log. "
    "What is sent by SMS can name any number as its sender."
)
"""Said in the file itself, so that nobody takes it for more than it is."""

Field = str | int | float | bool | None
Part = dict[str, Field]


def write(db: Db, typed: str, file: Path, now: int) -> int:
    """Write what is kept of a chat into a new file that its owner alone can read; returns how many messages there are.

    Raises NoSuchChat, NotANumber, AmbiguousName, and UsageError for a file that is there already.
    """
    chat = naming.chat(db, typed, own_number(db))
    messages = [_message(one) for one in history_of(db, chat.name)]
    report = {
        "report": "grue report 1",
        "made": date(now),
        "proves": PROVES,
        "about": _about(db, chat),
        "logs": [_log(db, one.id, one.log.cursor) for one in tables.conversations_of(db, chat.id)],
        "messages": messages,
    }
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as target:
            json.dump(report, target, indent=1, ensure_ascii=False)
            target.write("\n")
    except (OSError, UnicodeEncodeError):
        raise UsageError("There is a file already, or none can be written there.") from None
    return len(messages)


def _about(db: Db, chat: Chat) -> Part:
    if chat.group:
        return {"group": chat.name, "name": chat.title}
    return {
        "number": chat.number or None,
        "claimed": chat.claimed or None,
        "person": chats.person(chat.identity) if chat.identity else None,
        "identity_key": chat.identity.hex() or None,
        "verified": verified.is_verified(db, chat.identity),
        "name": name_of(db, chat.number, chat.identity) or None,
        "profile": profiles.name_of(db, chat.identity) or None,
    }


def _log(db: Db, conversation: bytes, cursor: int) -> Part:
    head = tables.hash_at(db, conversation, cursor)
    return {"conversation": conversation.hex(), "read_until": cursor, "hash": None if head is None else head.hex()}


def _message(one: Message) -> Part:
    return {
        "id": one.id,
        "from": one.sender,
        "claimed": one.claimed or None,
        "to": one.to,
        "incoming": one.incoming,
        "route": one.route.value,
        "state": one.state.value,
        "sent": one.sent,
        "sent_by_the_senders_clock": date(one.sent),
        "text": one.text,
        "file": one.file.name if one.file else None,
        "file_bytes": one.file.bytes if one.file else None,
    }
