"""Requests to the members of a conversation from outside its log: they go to intro mailboxes, sealed under a key that
all members keep for very long.

So whoever has lost track can be read however many commits have passed since. The key says no more than that somebody
is, or was, a member; the request proves who asks.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from grue._core import MlsSession
from grue.errors import BadEnvelope
from grue.protocol.conversation.contents import ASKED, GroupState, IntroRequest, JoinRequest, ResyncRequest
from grue.protocol.conversation.conversation import Conversation, Outgoing, Purpose, Tools, state_context
from grue.protocol.conversation.padding import pad
from grue.protocol.wire import PostIntro, encode

REQUEST_LABEL: Final = "grue request v1"
"""MLS exporter label of the key of requests, of the epoch in which a conversation begins or its mailbox moves."""

MAX_REQUEST_KEYS: Final = 32
"""Keys of requests that a member keeps: who lost track longer ago, of a group that moved so often since, is added again
by hand."""

MARK_BYTES: Final = 8
NONCE: Final = bytes(12)
"""Constant: the key is derived from the envelope's random id, and used once."""


def request_key(session: MlsSession, group: bytes, state: GroupState | None) -> bytes:
    """The key of requests from this epoch on. A removed member has the one before."""
    return session.exporter(group, REQUEST_LABEL, state_context(group, state), 32)


def keys_of_requests(conversation: Conversation) -> list[bytes]:
    """Under what we ask, first, and by what we read what others ask.

    Of a conversation of before there were such keys, those of the last epochs will do, as far as they are the same.
    """
    return [*conversation.request_keys, *conversation.epoch_keys]


def post_request(key: bytes, mailbox: bytes, request: ResyncRequest | JoinRequest, tools: Tools) -> Outgoing:
    """Seal a request for one intro mailbox."""
    envelope = tools.random(16)
    sealed = _cipher(key, envelope).encrypt(NONCE, encode(request), mailbox)
    blob = pad(encode(IntroRequest(_mark(key, envelope), sealed)))
    purpose = Purpose.RESYNC if isinstance(request, ResyncRequest) else Purpose.JOIN
    return Outgoing(purpose, PostIntro(mailbox, envelope, blob), envelope)


def open_request(
    keys: Sequence[bytes], mailbox: bytes, envelope: bytes, payload: IntroRequest
) -> ResyncRequest | JoinRequest | None:
    """What is asked under one of these keys; None when it was sealed under none. Raises BadEnvelope, BadRequest."""
    key = next((key for key in keys if _mark(key, envelope) == payload.mark), None)
    if key is None:
        return None
    try:
        opened = _cipher(key, envelope).decrypt(NONCE, payload.sealed, mailbox)
    except InvalidTag:
        raise BadEnvelope from None
    return ASKED.decode(opened)


def _mark(key: bytes, envelope: bytes) -> bytes:
    return sha256(b"grue request mark v1" + key + envelope).digest()[:MARK_BYTES]


def _cipher(key: bytes, envelope: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(HKDF(SHA256(), 32, salt=envelope, info=b"grue request key v1").derive(key))
