"""Captured events are decoded to messages of the protocol, as a server that keeps everything would decode them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from grue.errors import BadRequest
from grue.exposure.captures import Event
from grue.protocol import wire


@dataclass(frozen=True)
class Read:
    """One message, with the event that it came by."""

    event: Event
    message: wire.Message


def messages(events: Iterable[Event]) -> Iterator[Read]:
    """All messages in order; what cannot be read as one is left out."""
    for event in events:
        try:
            yield from (Read(event, message) for message in _of(event))
        except BadRequest:
            continue


def names(event: Event) -> str:
    """What an event is, in the protocol's words, or else by where it passed."""
    try:
        found = [type(message).__name__ for message in _of(event)]
    except BadRequest:
        found = []
    return found[-1] if found else event.where


def _of(event: Event) -> Iterator[wire.Message]:
    path = event.where.split(" ")[-1]
    if path.endswith("/account"):
        yield from _account(event)
    elif path.endswith("/anonymous"):
        body = wire.FRAMED.decode(event.data).body if event.where.startswith("WS") else event.data
        yield from (_anonymous(body) if event.up else [wire.ANONYMOUS_ANSWER.decode(body)])
    elif path.endswith("/stream"):
        yield (wire.STREAM_REQUEST.decode(event.data) if event.up else wire.STREAM_PUSH.decode(event.data))


def _anonymous(body: bytes) -> Iterator[wire.Message]:
    request = wire.ANONYMOUS_REQUEST.decode(body)
    yield request
    if isinstance(request, wire.Spend):
        yield wire.PRICED.decode(request.body)


def _account(event: Event) -> Iterator[wire.Message]:
    if not event.up:
        yield wire.ACCOUNT_ANSWER.decode(event.data)
        return
    request = wire.ACCOUNT_REQUEST.decode(event.data)
    yield request
    if isinstance(request, wire.Signed):
        yield wire.SIGNED_REQUEST.decode(request.body)
