"""Who is meant by what a person types: `me`, a number, an id, or a name that only one chat or contact has.

In this order, so that nobody catches a message by a name that reads as a number or an id. What people call themselves
is none of these names: it is theirs to choose.
"""

import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from grue.client import chats
from grue.client.chats import CHAT_PREFIX, GROUP_PREFIX, ME, PERSON_PREFIX, PREFIXES, Chat
from grue.client.conversations import tables
from grue.client.people.tables import called
from grue.client.store.engine import Db
from grue.errors import AmbiguousName, NoSuchChat, UsageError
from grue.protocol.conversation.conversation import ConversationState
from grue.protocol.links import SCHEME
from grue.protocol.numbers import parse, reads_as_number, region_of

JOINERS: Final = "\u200c\u200d"
"""Invisible, and part of how Persian, Hindi and many pictures are written."""

BLANK: Final = "\u2800\u3164\uffa0\u115f\u1160"
"""Letters and signs that show nothing."""

_NOT_IN: Final = frozenset({ConversationState.REQUESTED, ConversationState.DECLINED, ConversationState.GONE})


def target(db: Db, typed: str, own_number: str, *, to_write: bool = False) -> str:
    """What is meant, as `me`, a number in E.164, or an id.

    to_write  only groups that we are in count: a stranger's that is called like one of ours catches nothing
    Raises AmbiguousName of a name that several have, NoSuchChat, NotANumber.
    """
    if typed == ME or typed.startswith(PREFIXES):
        return typed
    region = region_of(own_number) if own_number else None
    if reads_as_number(typed):
        return parse(typed, region)
    found = _called(db, " ".join(typed.split()), to_write)
    if len(found) > 1:
        raise AmbiguousName(f"({', '.join(found)})")
    if found:
        return found[0]
    if any(character.isdecimal() for character in typed):
        return parse(typed, region)
    raise NoSuchChat


def chat(db: Db, typed: str, own_number: str) -> Chat:
    """The chat that is meant. Raises NoSuchChat, NotANumber, AmbiguousName."""
    found = chat_of(db, target(db, typed, own_number), own_number)
    if found is None:
        raise NoSuchChat
    return found


def group(db: Db, typed: str) -> Chat:
    """The group of an id or a name. Raises NoSuchChat, AmbiguousName."""
    found = None
    if not reads_as_number(typed):
        with suppress(NoSuchChat):
            found = chat(db, typed, "")
    if found is None or not found.group:
        raise NoSuchChat("(no group is called so)")
    return found


def chat_of(db: Db, meant: str, own_number: str = "") -> Chat | None:
    """The chat of what `target` gives; None when there is none."""
    if meant.startswith(CHAT_PREFIX):
        digits = meant.removeprefix(CHAT_PREFIX)
        return chats.by_id(db, int(digits)) if digits.isdecimal() and len(digits) < 18 else None
    if meant.startswith(GROUP_PREFIX):
        return chats.of_group_id(db, meant)
    if meant.startswith(PERSON_PREFIX):
        return chats.of_person_id(db, meant)
    return chats.of_number(db, own_number if meant == ME else meant)


def person(db: Db, meant: str) -> Chat:
    """The chat of a `person:` id, made for somebody who is known from a group alone. Raises NoSuchChat."""
    return chats.of_person_id(db, meant) or chats.for_identity(db, identity(db, meant), "")


def identity(db: Db, meant: str) -> bytes:
    """The identity key of a `person:` id: of a chat's, or a member's of a group. Raises NoSuchChat."""
    found = chats.of_person_id(db, meant)
    known = [found.identity] if found is not None else [one.identity for one in tables.all_members(db)]
    for one in known:
        if chats.person(one) == meant:
            return one
    raise NoSuchChat


def checked_name(name: str, longest: int) -> str:
    """A name as it is stored. Raises UsageError for one that nobody could see, type or tell from an id.

    PEOPLE-02 it can be seen, has nothing invisible in it and nothing that turns the writing round, and reads neither as
    a number nor as `me` or an id.
    """
    name = " ".join(name.split())
    if not any(unicodedata.category(character)[0] in "LNPS" and character not in BLANK for character in name):
        raise UsageError("A name has to be one that can be seen.")
    if len(name) > longest:
        raise UsageError(f"A name has at most {longest} characters here.")
    if not all(character.isprintable() or character in JOINERS for character in name):
        raise UsageError("This name has characters that cannot be seen, or that turn the writing round.")
    if name == ME or name.startswith((*PREFIXES, SCHEME)) or reads_as_number(name):
        raise UsageError("This name reads as a number, as `me` or as an id. Choose another.")
    return name


def _called(db: Db, name: str, to_write: bool) -> Sequence[str]:
    """The numbers and ids of who is called so here."""
    people = [*called(db, name)]
    groups = chats.groups_called(db, name)
    if to_write:
        states = {one.id: _state_of(db, one.group) for one in groups}
        # One that we have left is named to say so.
        left = [one for one in groups if states[one.id] is ConversationState.GONE]
        in_it = [one for one in groups if states[one.id] not in _NOT_IN]
        groups = in_it or ([] if people else left[:1])
    return list(dict.fromkeys([*people, *(one.name for one in groups)]))


def _state_of(db: Db, group: bytes) -> ConversationState:
    found = tables.conversation_by_id(db, group)
    return ConversationState.GONE if found is None else found[0].state
