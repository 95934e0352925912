"""Queries for search, to be used inside a transaction.

Folded texts lie beside the messages and are read from the newest on until enough match. Nothing is written for this
when a message comes: the next search folds what it finds new. A message that goes takes its folded text along.
"""

from collections.abc import Sequence
from itertools import islice
from typing import Final

from grue.client.search.folding import fold
from grue.client.store.engine import Db, as_int, as_str

FOLDED_AT_ONCE: Final = 2000
"""Messages that one transaction folds: 40 ms in which nothing else is written."""


def catch_up(db: Db) -> bool:
    """Fold the oldest messages that are not folded yet; False when there are no more."""
    rows = db.rows(
        "SELECT n, text, coalesce(name, '') FROM message LEFT JOIN attachment ON attachment.message = message.n"
        " WHERE n > (SELECT coalesce(max(n), 0) FROM searchable) ORDER BY n LIMIT ?",
        FOLDED_AT_ONCE,
    )
    folded = ((n, "\n".join(fold(as_str(part)) for part in (text, name) if part)) for n, text, name in rows)
    # Folded text has no line end, so that no word reaches from a text into a file's name.
    db.many("INSERT INTO searchable VALUES (?, ?)", folded)
    return len(rows) == FOLDED_AT_ONCE


def is_behind(db: Db) -> bool:
    """Whether there are messages that are not folded yet."""
    row = db.row("SELECT (SELECT max(n) FROM message) > (SELECT coalesce(max(n), 0) FROM searchable)")
    return row is not None and bool(row[0])


def matching(db: Db, words: Sequence[str], chat: int | None, before: int, limit: int) -> list[int]:
    """Rows of messages with all these words, each at any place, the newest first.

    words  folded
    Cost: reads the folded texts from the newest on, until there are enough; all of them when few match.
    """
    like = " AND ".join(["searchable.text LIKE ? ESCAPE '\\'"] * len(words))
    patterns = [f"%{_escaped(word)}%" for word in words]
    if chat is None:
        sql = f"SELECT n FROM searchable WHERE n < ? AND {like} ORDER BY n DESC LIMIT ?"  # noqa: S608
        rows = db.rows(sql, before, *patterns, limit)
    else:
        sql = (
            "SELECT message.n FROM message CROSS JOIN searchable ON searchable.n = message.n"  # noqa: S608
            f" WHERE message.chat = ? AND message.n < ? AND {like} ORDER BY message.n DESC LIMIT ?"
        )
        rows = db.rows(sql, chat, before, *patterns, limit)
    return [as_int(n) for (n,) in rows]


def named(db: Db, words: Sequence[str]) -> list[int]:
    """Chats with all these words in what they are called, what they call themselves, or in their number."""
    rows = db.rows(
        "SELECT chat.id, chat.title, coalesce(chat.number, chat.claimed), contact.name, person.name, profile_name"
        " FROM chat LEFT JOIN contact ON contact.number = chat.number"
        " LEFT JOIN person ON person.identity = chat.identity"
    )
    called = ((as_int(row[0]), "\n".join(fold(as_str(name)) for name in row[1:] if name)) for row in rows)
    return [chat for chat, name in called if all(word in name for word in words)]


def contacts(db: Db, words: Sequence[str], limit: int) -> list[tuple[str, str]]:
    """Numbers and names of the address book with all these words in them, by name, of whom there is no chat."""
    rows = db.rows(
        "SELECT number, name FROM contact"
        " WHERE number NOT IN (SELECT number FROM chat WHERE number IS NOT NULL) ORDER BY name, number"
    )
    book = ((as_str(number), as_str(name)) for number, name in rows)
    found = (one for one in book if all(word in f"{fold(one[1])}\n{one[0]}" for word in words))
    return list(islice(found, limit))


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
