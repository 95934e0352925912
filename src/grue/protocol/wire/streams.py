"""Messages of streams, and the frames that several anonymous requests share a socket in."""

from typing import Annotated, Final

from msgspec import Meta

from grue.protocol.wire.anonymous import Ack, Delivery
from grue.protocol.wire.base import MAX_REQUEST, SERVER, Codec, Count, Id, Key, Message


class Subscribe(Message, tag=50):
    """Push what comes after `after`, then what is appended, until the stream ends."""

    mailbox: Annotated[Key, SERVER]
    read_key: Annotated[Key, SERVER]
    after: Annotated[Count, SERVER]


class Subscribed(Message, tag=51):
    """Sent once, before the first `Delivery` of this mailbox."""

    mailbox: Annotated[Key, SERVER]
    incarnation: Annotated[Id, SERVER]
    head: Annotated[Count, SERVER]


class NotSubscribed(Message, tag=52):
    """This mailbox is gone, or does not know the read key; the stream goes on for the others."""

    mailbox: Annotated[Key, SERVER]
    code: Annotated[str, Meta(max_length=40), SERVER]


class Framed(Message, tag=53):
    """One request or answer on the anonymous request socket; answers carry the request's `n`."""

    n: Annotated[Count, SERVER]
    body: Annotated[bytes, Meta(max_length=MAX_REQUEST), SERVER]


StreamRequest = Subscribe | Ack
StreamPush = Subscribed | NotSubscribed | Delivery

STREAM_REQUEST: Final = Codec[StreamRequest](StreamRequest)
STREAM_PUSH: Final = Codec[StreamPush](StreamPush)
FRAMED: Final = Codec[Framed](Framed)
