"""What a search finds: chats by their names, and messages by their texts and files, the newest first."""

import re
from dataclasses import dataclass
from typing import Final

from grue.client import chats
from grue.client.api.messages import ChatInfo, Message, info_of, messages_of
from grue.client.context import own_number
from grue.client.conversations import naming
from grue.client.conversations.histories import MAX_ROW
from grue.client.search import tables
from grue.client.search.folding import fold, snippet
from grue.client.store.engine import Db, Store
from grue.errors import UsageError

MAX_WORDS: Final = 16
MAX_QUERY: Final = 1000
"""Characters. Each word costs a look at each text."""

FOUND_CHATS: Final = 20
"""Chats, and contacts without one, that are found by their names: who looks for one types more of it."""

PAGE: Final = 50
"""Messages that are found at once, unless it is said otherwise."""


@dataclass(frozen=True)
class Hit:
    """A message that a search found."""

    message: Message
    """`Client.history` before and since its `row` gives what stands around it."""
    snippet: tuple[tuple[str, bool], ...]
    """A part of its text in one line, or its file's name: pieces, and whether each of them is what was looked for."""
    in_file: bool
    """It is the name of the file that matches."""


@dataclass(frozen=True)
class Found:
    """What a search found."""

    chats: tuple[ChatInfo, ...]
    """By their names; none when it was looked for in one chat, or for a further page."""
    contacts: tuple[tuple[str, str], ...]
    """Of the address book, who has no chat here: number and name. None where there are no chats."""
    hits: tuple[Hit, ...]
    more: bool
    """There are older ones: search again, `before` the row of the last."""


async def search(
    store: Store, typed: str, chat: str | None, before: int | None, limit: int, now: float
) -> Found:  # fmt: skip
    words = _words(typed)
    while await store.read(tables.is_behind) and await store.note(tables.catch_up):
        pass
    return await store.read(_search, words, chat, before, limit, now)


def _words(typed: str) -> list[str]:
    """What has to stand in a text: each word, and each `"row of words"` as it is. Raises UsageError."""
    if len(typed) > MAX_QUERY:
        raise UsageError(f"A search takes at most {MAX_QUERY:,} characters.")
    parts = [fold(quoted or word) for quoted, word in re.findall(r'"([^"]+)"|([^\s"]+)', typed)]
    words = list(dict.fromkeys(part for part in parts if part.strip()))
    if len(words) > MAX_WORDS:
        raise UsageError(f"A search takes at most {MAX_WORDS} words.")
    return words


def _search(db: Db, words: list[str], chat: str | None, before: int | None, limit: int, now: float) -> Found:
    own = own_number(db)
    within = None if chat is None else naming.chat(db, chat, own)
    if not words or limit < 1:
        return Found((), (), (), more=False)
    rows = tables.matching(db, words, within.id if within else None, MAX_ROW if before is None else before, limit + 1)
    hits = [_hit(message, words) for message in messages_of(db, own, rows[:limit])]
    named: list[ChatInfo] = []
    others: list[tuple[str, str]] = []
    if within is None and before is None:
        found = set(tables.named(db, words))
        listed = (one for one in chats.all_chats(db) if one.id in found)
        named = [info for one in listed if (info := info_of(db, one, own, now)) is not None][:FOUND_CHATS]
        others = tables.contacts(db, words, FOUND_CHATS)
    return Found(tuple(named), tuple(others), tuple(hits), more=len(rows) > limit)


def _hit(message: Message, words: list[str]) -> Hit:
    text = fold(message.text)
    in_file = message.file is not None and not any(word in text for word in words)
    shown = message.file.name if in_file and message.file is not None else message.text
    return Hit(message, snippet(shown, words), in_file)
