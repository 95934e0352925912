"""The tree of a large group, which no envelope takes: a sealed blob has it, and a Welcome says where.

Only who is welcomed learns the secret that the place is sealed with, since the Welcome's encrypted part holds it; the
server, which reads what lies in an intro mailbox, sees a blob that somebody puts and some fetch.
"""

from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from grue._core import MlsSession
from grue.errors import BadAttachment, BadRequest
from grue.protocol.blobs import PART_ROOM, Sealing
from grue.protocol.conversation.asking import keys_of_requests, post_request
from grue.protocol.conversation.contents import (
    LARGE_GROUP,
    TREE_PLACE,
    IntroWelcome,
    LargeGroup,
    ResyncRequest,
    TreePlace,
)
from grue.protocol.conversation.conversation import Conversation, Outgoing, Purpose, Tools
from grue.protocol.conversation.groups import sign_readmission
from grue.protocol.wire import MAX_BLOB_DAYS, PutBlob, encode

MAX_LARGE_GROUP: Final = 5 << 20
"""Bytes of a tree and a group's state: 2.9 MB of 1,000 devices whose tree is full, and 110 KB of their accounts."""

NONCE_BYTES: Final = 12

_PLACE_LABEL: Final = b"grue tree place v1"


def put_apart(session: MlsSession, conversation: Conversation, inviter: bytes, secret: bytes, tools: Tools) -> "Apart":
    """What the Welcome of a large group leaves out, in parts to be uploaded, and the sealed place of them.

    inviter  our intro mailbox, where who does not find it asks
    """
    group, state = conversation.id, conversation.group
    assert state is not None
    contents = encode(LargeGroup(session.tree(group), state))
    request_key = keys_of_requests(conversation)[0]
    place = TreePlace(tools.random(32), len(contents), inviter, request_key, session.epoch(group))
    sealing, nonce = Sealing(place.key, place.length), tools.random(NONCE_BYTES)
    parts = [
        PutBlob(sealing.part_id(n), sealing.seal(n, contents[n * PART_ROOM :][: sealing.room(n)]), MAX_BLOB_DAYS)
        for n in range(sealing.parts)
    ]
    sealed = nonce + _cipher(secret).encrypt(nonce, encode(place), group)
    return Apart([Outgoing(Purpose.TREE, part) for part in parts], sealed)


class Apart:
    """A large group's tree and state, on their way to the server."""

    def __init__(self, outgoing: Sequence[Outgoing], place: bytes) -> None:
        self.outgoing = outgoing
        self.place = place


def place_of(session: MlsSession, payload: IntroWelcome, group: bytes) -> TreePlace | None:
    """Where the tree of this Welcome is; None when it is inside. Needs b"s", b"k"; the session's changes are void.

    GROUP-30 the place is sealed with the secret in the Welcome, and names no more than `MAX_LARGE_GROUP` bytes.
    Raises BadAttachment, or an MlsError.
    """
    secret = session.tree_secret(payload.welcome)
    if secret is None:
        return None
    nonce, sealed = payload.tree[:NONCE_BYTES], payload.tree[NONCE_BYTES:]
    try:
        place = TREE_PLACE.decode(_cipher(secret).decrypt(nonce, sealed, group))
    except (InvalidTag, BadRequest, ValueError):
        raise BadAttachment("(a tree's place)") from None
    if place.length > MAX_LARGE_GROUP:
        raise BadAttachment("(a tree's size)")
    return place


def ask_for_tree(
    session: MlsSession, place: TreePlace, group: bytes, device: bytes, credential: bytes, mailbox: bytes, tools: Tools
) -> Outgoing | None:
    """Ask the inviter to be readmitted with a tree that is there; None when the place does not say whom. Needs b"s".

    device, credential, mailbox  our signature key, its credential, and our intro mailbox
    """
    if not place.inviter or not place.request_key:
        return None
    proof = sign_readmission(session, group, place.epoch, device)
    package = session.key_package(credential, last_resort=False)
    return post_request(place.request_key, place.inviter, ResyncRequest(bytes(16), package, mailbox, proof), tools)


def large_group(contents: bytes) -> LargeGroup:
    """What a place led to. Raises BadAttachment. That it is the right tree, MLS checks by its hash."""
    try:
        return LARGE_GROUP.decode(contents)
    except BadRequest:
        raise BadAttachment("(no tree)") from None


def _cipher(secret: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(HKDFExpand(SHA256(), 32, _PLACE_LABEL).derive(secret))
