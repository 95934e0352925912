"""What goes between a client's process and who uses it: every request, answer and event, as JSON.

These are not the library's own types, so that those may change. `tools/typescript.py` writes them for the window.
"""

from typing import Final

from msgspec import Struct

from grue.protocol.conversation.delivery import MessageState
from grue.protocol.conversation.fallback import Route

PAGE: Final = 100
"""Messages that a page of a chat has, unless fewer are asked for."""


class Nothing(Struct, forbid_unknown_fields=True):
    """No parameters, or nothing to say."""


# --- errors and the account -----------------------------------------------------------------------


class Failure(Struct, frozen=True):
    """An error as every part of Grue tells it; `data` of a JSON-RPC error."""

    code: str
    """For programs: a code of `docs/errors.md`."""
    exit: int
    """Whose fault it is: 2 the caller's, 3 refused, 4 the network's, 5 a failed check, 1 our own."""
    message: str
    fix: str
    retry_after: int
    """Seconds; 0 when waiting does not help."""


class Account(Struct, frozen=True):
    """The account of this home."""

    number: str
    """E.164."""
    written: str
    """As people of its country write it."""
    server: str


class State(Struct, frozen=True):
    """What stands at the beginning."""

    version: str
    account: Account | None
    """None in a home that is not registered."""


class Register(Struct, forbid_unknown_fields=True):
    number: str
    server: str


class Registering(Struct, frozen=True):
    number: str
    """The number that a code was sent to, in E.164."""


class Verify(Struct, forbid_unknown_fields=True):
    code: str


# --- chats and messages ---------------------------------------------------------------------------


class Chat(Struct, frozen=True):
    """A line of the list of chats."""

    chat: str
    """What to send to."""
    name: str
    """From the address book, or what the group is called; empty where there is neither."""
    number: str
    """The verified number as people of its country write it; empty where there is none."""
    claimed: str
    """The number that the other side claims and that nothing proves."""
    group: bool
    notes: bool
    """The chat with oneself."""
    request: bool
    """Somebody who was not accepted yet."""
    encrypted: bool
    """Whether a message ever went or came encrypted: then none goes as SMS any more."""
    verified: bool
    unread: int
    last: str
    last_sent: float
    """Unix seconds by the sender's clock; 0 where there is no message."""
    pinned: bool
    muted_until: int
    """Unix seconds until which what comes is quiet; 0 when it is not. Muted without an end: the year 9999."""
    archived: bool
    draft: str
    """What was written and not sent."""


class File(Struct, frozen=True):
    name: str
    bytes: int


class Message(Struct, frozen=True):
    """One message of a chat."""

    row: int
    """Its place: the higher, the later it came here."""
    id: str
    incoming: bool
    sender: str
    """Who sent it, as far as that is proved: a number, `person:` or `chat:` and an id."""
    sender_name: str
    """From the address book."""
    claimed: str
    text: str
    route: Route
    sent: float
    state: MessageState
    file: File | None


class Page(Struct, frozen=True):
    messages: list[Message]
    more: bool
    """Whether there are older ones."""
    later: bool
    """Whether there are newer ones, that are not told of until they are asked for."""


class PageOf(Struct, forbid_unknown_fields=True):
    """Asks for the messages of a chat that came before a row, or after one; the newest without either."""

    chat: str
    before: int | None = None
    after: int | None = None
    limit: int = PAGE


class Around(Struct, forbid_unknown_fields=True):
    """Asks for the messages of a chat around a row, which is a search's or a reply's."""

    chat: str
    row: int
    limit: int = PAGE


class Search(Struct, forbid_unknown_fields=True):
    """Asks for messages and chats with all these words; without words nothing is found, and search made ready."""

    words: str
    chat: str | None = None
    before: int | None = None
    """A row: only messages before it, for the next page."""
    limit: int = 30


class Piece(Struct, frozen=True):
    text: str
    match: bool


class Hit(Struct, frozen=True):
    """A message that was found."""

    chat: str
    name: str
    """What the chat is called, as in `Chat`."""
    row: int
    incoming: bool
    sender: str
    sender_name: str
    sent: float
    snippet: list[Piece]
    file: bool
    """It is the name of a file that matches."""


class FoundContact(Struct, frozen=True):
    """Somebody of the address book whom nothing was written to yet."""

    number: str
    """E.164."""
    written: str
    """As people of its country write it."""
    name: str


class Found(Struct, frozen=True):
    chats: list[Chat]
    contacts: list[FoundContact]
    hits: list[Hit]
    more: bool


class OfChat(Struct, forbid_unknown_fields=True):
    chat: str


class Pin(Struct, forbid_unknown_fields=True):
    chat: str
    on: bool


class Mute(Struct, forbid_unknown_fields=True):
    chat: str
    on: bool
    until: float | None = None
    """Unix seconds; None: for good."""


class Archive(Struct, forbid_unknown_fields=True):
    chat: str
    on: bool


class Draft(Struct, forbid_unknown_fields=True):
    """What stands in the composer now; empty when it was sent."""

    chat: str
    text: str


class Seen(Struct, forbid_unknown_fields=True):
    chat: str
    row: int


class Send(Struct, forbid_unknown_fields=True):
    to: str
    text: str
    sms: bool = False
    """The person has agreed to SMS, having been told who would see it."""
    accept_key: bool = False


class Sent(Struct, frozen=True):
    id: str
    route: Route
    state: MessageState


class Gateway(Struct, frozen=True):
    """Who carries SMS for this server, in its own words; empty when nobody does."""

    name: str


# --- lookups --------------------------------------------------------------------------------------


class Typed(Struct, forbid_unknown_fields=True):
    """What stands in the field for a number now."""

    text: str
    done: bool = False
    """The person has said that this is the number."""


class Shown(Struct, frozen=True):
    """What to show for the field."""

    text: str
    """With the spaces that people of that country write."""
    number: str | None
    """E.164, once it is whole."""
    route: Route | None
    """None while it is not asked for, or not answered."""
    failure: Failure | None


# --- events ---------------------------------------------------------------------------------------


class ChatsChanged(Struct, frozen=True):
    """Lines of the list that are new or otherwise; and those that are gone."""

    changed: list[Chat]
    gone: list[str]


class MessagesChanged(Struct, frozen=True):
    """In the chat that was opened last: messages that are new or otherwise."""

    chat: str
    changed: list[Message]


class Trouble(Struct, frozen=True):
    """Whether the server is reached; with what is wrong when it is not."""

    failure: Failure | None
