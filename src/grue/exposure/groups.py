"""Read what a server was given as groups: how many devices a mailbox has, whose, and which mailbox follows another.

Nothing that a server is given says "group": a conversation of two has a mailbox too, with two readers. Each function
reads one observer's records, and knows nothing else.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from grue.errors import BadRequest, GrueError
from grue.exposure.captures import RELAYED, Event
from grue.exposure.decode import messages
from grue.exposure.scanner.rest import Table
from grue.protocol import wire
from grue.protocol.conversation.contents import INTRO_PAYLOAD, IntroWelcome
from grue.protocol.conversation.first_contact import group_of
from grue.protocol.conversation.padding import unpad

TOGETHER: Final = 5.0
"""Seconds in which Welcomes are posted that are taken for those of one group."""

LEAST_KEPT: Final = 0.5
"""Share of a mailbox's readers that have to turn to a new one for it to be taken for the same group's."""


@dataclass
class Seen:
    """One mailbox of a conversation."""

    readers: int = 0
    """Devices that may read it, as far as is known: those that came, and places for those that are to come."""
    addresses: set[str] = field(default_factory=set)
    """Of the clients that read it."""


def live(events: Iterable[Event]) -> dict[bytes, Seen]:
    """Mailboxes of conversations in the order in which they were made, as a server sees them while it works."""
    found: dict[bytes, Seen] = {}
    for read in messages(events):
        address = read.event.address
        match read.message:
            case wire.CreateMailbox(mailbox=mailbox, read_hash=read_hash, slots=slots):
                found[mailbox] = Seen((read_hash is not None) + len(slots))
            case wire.Post(mailbox=mailbox, slots=slots) if mailbox in found:
                found[mailbox].readers += len(slots)
            case wire.RemoveReader(mailbox=mailbox) if mailbox in found:
                found[mailbox].readers -= 1
            case wire.Fetch(mailbox=mailbox) | wire.Subscribe(mailbox=mailbox) | wire.ExchangeSlot(mailbox=mailbox):
                if mailbox in found and address != RELAYED:
                    found[mailbox].addresses.add(address)
    return found


def moved(found: Mapping[bytes, Seen]) -> list[tuple[bytes, bytes]]:
    """Which mailbox follows another, by the addresses that turn to it; of two people nothing is said."""
    pairs = []
    made = list(found.items())
    for at, (new, seen) in enumerate(made):
        before = [
            old
            for old, other in made[:at]
            if len(other.addresses) > 2 and len(seen.addresses & other.addresses) > LEAST_KEPT * len(other.addresses)
        ]
        if before:
            pairs.append((before[-1], new))
    return pairs


def numbers_by_address(events: Iterable[Event]) -> dict[str, str]:
    """Who connects from where: their registrations said it."""
    return {
        read.event.address: read.message.number
        for read in messages(events)
        if isinstance(read.message, wire.RegisterStart)
    }


def numbers_by_intro(events: Iterable[Event]) -> dict[bytes, str]:
    """Whose intro mailbox is which: their registrations said that too, by a relay or not."""
    return {
        intro: read.message.number
        for read in messages(events)
        if isinstance(read.message, wire.RegisterFinish)
        for intro in _intro(read.message.device_list)
    }


def welcomed(events: Sequence[Event]) -> list[set[str]]:
    """Numbers whose intro mailboxes were given something within seconds: members of one group, perhaps."""
    of_intro = numbers_by_intro(events)
    found: list[set[str]] = []
    last = float("-inf")
    for read in messages(events):
        if isinstance(read.message, wire.PostIntro) and read.message.mailbox in of_intro:
            if read.event.at - last > TOGETHER:
                found.append(set())
            found[-1].add(of_intro[read.message.mailbox])
            last = read.event.at
    return found


def invited(events: Sequence[Event]) -> dict[bytes, set[str]]:
    """Numbers by the group whose id stands in what their intro mailboxes were given, as a server sees it at work.

    Invitations are sealed; it is so for who has lost track and is readmitted.
    """
    of_intro = numbers_by_intro(events)
    posts = [read.message for read in messages(events) if isinstance(read.message, wire.PostIntro)]
    return _by_group((one.blob, of_intro.get(one.mailbox)) for one in posts)


def _by_group(invitations: Iterable[tuple[bytes, str | None]]) -> dict[bytes, set[str]]:
    found: dict[bytes, set[str]] = {}
    for blob, number in invitations:
        group = _group_of(blob)
        if group is not None and number is not None:
            found.setdefault(group, set()).add(number)
    return found


def _group_of(blob: bytes) -> bytes | None:
    """The MLS group of an invitation, whose framing is in the clear."""
    try:
        payload = INTRO_PAYLOAD.decode(unpad(blob))
    except GrueError:
        return None
    return group_of(payload) if isinstance(payload, IntroWelcome) else None


def at_rest(tables: Iterable[Table]) -> dict[bytes, int]:
    """How many readers each mailbox has on a server's disk."""
    counted: dict[bytes, int] = {}
    for row in _rows(tables, "reader"):
        mailbox = row["mailbox"]
        assert isinstance(mailbox, bytes)
        counted[mailbox] = counted.get(mailbox, 0) + 1
    return counted


def invited_at_rest(tables: Sequence[Table], numbers: Mapping[bytes, str]) -> dict[bytes, set[str]]:
    """The same on a disk that is read with the directory's key, of invitations that wait: `numbers` are by tag."""
    tags = {row["intro_mailbox"]: row["phone_tag"] for row in _rows(tables, "account")}
    by_tag: dict[object, str] = dict(numbers.items())
    blobs = [(row["blob"], by_tag.get(tags.get(row["mailbox"]))) for row in _rows(tables, "envelope")]
    return _by_group((blob, number) for blob, number in blobs if isinstance(blob, bytes))


def _rows(tables: Iterable[Table], name: str) -> Iterator[dict[str, object]]:
    for table in tables:
        if table.name == name:
            yield from (dict(zip(table.heads, row, strict=True)) for row in table.rows)


def _intro(signed: bytes) -> list[bytes]:
    try:
        return [wire.DEVICE_LIST.decode(wire.SIGNED_DEVICE_LIST.decode(signed).body).intro_mailbox]
    except BadRequest:
        return []
