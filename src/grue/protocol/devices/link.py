"""Linking a device to an account, sans-I/O: the link, its mailbox, what is sealed in it, and six digits that both show.

The new device commits to its hello in the link; the account's device then sends its offer; only then the hello is
shown. So neither side, nor anybody in between, can choose what they say by the digits that come of it.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from grue.errors import BadEnvelope, BadKeyPackage, BadLink, BadRequest, FalseLink
from grue.protocol.accountkey import SUITE, private_of, public_key_of
from grue.protocol.conversation import envelope
from grue.protocol.conversation.contents import (
    LINK_ACCOUNT,
    LINK_MESSAGE,
    LinkAccount,
    LinkHello,
    LinkMessage,
    LinkOffer,
    LinkSealed,
)
from grue.protocol.conversation.devices import check_certificate, verify_device_list
from grue.protocol.links import LinkKind, make_link, read_link
from grue.protocol.urls import check_url
from grue.protocol.wire import CreateMailbox, Delivery, DeviceList, ExchangeSlot, Post, encode

LINK_SECONDS: Final = 600
"""How long a new device waits for its link to be used: time to find the other one, and too little to be forgotten."""

ANSWER_SECONDS: Final = 60
"""How long each side waits for the other's next message, a person's answer aside."""

SECRET_BYTES: Final = 16
"""Bytes of a link's secret: it names the mailbox, and hides what is in it from the server."""

CODE_DIGITS: Final = 6
"""Digits that both sides show: who is in between is met by other ones but once in a million times."""

_KEYS_LABEL: Final = b"grue link keys v1"
_HELLO_LABEL: Final = b"grue link hello v1"
_CODE_LABEL: Final = b"grue link code v1"
_SEAL_LABEL: Final = b"grue link account v1"


class Link(msgspec.Struct, array_like=True, frozen=True):
    """What a new device shows, once. Holds a secret: never printed but to its owner."""

    server: str
    secret: bytes
    commitment: bytes
    """SHA-256 over the hello that the device will send."""

    def __repr__(self) -> str:
        return "Link()"


@dataclass(frozen=True)
class Meeting:
    """The mailbox that both sides of a link meet in, as its secret gives it."""

    mailbox: bytes
    write_key: bytes
    slot_secret: bytes
    seal_key: bytes

    def __repr__(self) -> str:
        return "Meeting()"

    def create(self, read_key: bytes) -> CreateMailbox:
        """Made by the account's device, which has tokens; the new device has a slot in it.

        DEVICES-05 another creator's read key makes other contents, which the server refuses: a link is used once.
        """
        hashes = [sha256(key).digest() for key in (self.write_key, read_key, self.slot_secret)]
        return CreateMailbox(self.mailbox, hashes[0], hashes[1], [hashes[2]])

    def come(self, read_key: bytes) -> ExchangeSlot:
        return ExchangeSlot(self.mailbox, self.slot_secret, sha256(read_key).digest())

    def post(self, message: LinkMessage, envelope_id: bytes) -> Post:
        blob = envelope.seal(self.seal_key, self.mailbox, envelope_id, encode(message))
        return Post(self.mailbox, self.write_key, envelope_id, blob, [])

    def opened(self, delivery: Delivery) -> LinkMessage:
        """Raises FalseLink for what nobody honest put there."""
        try:
            blob = envelope.unseal([self.seal_key], self.mailbox, delivery.envelope, delivery.blob)
            return LINK_MESSAGE.decode(blob)
        except (BadEnvelope, BadRequest):
            raise FalseLink from None


def link_to(hello: LinkHello, server: str, secret: bytes) -> Link:
    return Link(server, secret, commitment(hello))


def written(link: Link) -> str:
    """As it is shown: one word, that a QR code holds."""
    return make_link(LinkKind.DEVICE, msgspec.msgpack.encode(link))


def read(text: str) -> Link:
    """The link that somebody typed. Raises BadLink, OtherLink, UsageError."""
    try:
        link = msgspec.msgpack.decode(read_link(LinkKind.DEVICE, text), type=Link)
    except msgspec.DecodeError:
        raise BadLink from None
    if (len(link.secret), len(link.commitment)) != (SECRET_BYTES, 32):
        raise BadLink
    check_url(link.server)
    return link


def meeting(link: Link) -> Meeting:
    keys = HKDF(SHA256(), 128, salt=link.commitment, info=_KEYS_LABEL).derive(link.secret)
    return Meeting(keys[:32], keys[32:64], keys[64:96], keys[96:])


def commitment(hello: LinkHello) -> bytes:
    return sha256(_HELLO_LABEL + encode(hello)).digest()


def check_hello(link: Link, message: LinkMessage) -> LinkHello:
    """DEVICES-04 the hello is the one that the link commits to. Raises FalseLink."""
    if not isinstance(message, LinkHello) or commitment(message) != link.commitment:
        raise FalseLink
    return message


def code_of(hello: LinkHello, offer: LinkOffer) -> str:
    """The six digits that both sides show: over all that was said, the link's commitment included."""
    digest = sha256(_CODE_LABEL + encode(hello) + encode(offer)).digest()
    return f"{int.from_bytes(digest[:8], 'big') % 10**CODE_DIGITS:0{CODE_DIGITS}}"


def seal_account(hello: LinkHello, offer: LinkOffer, account: LinkAccount) -> LinkSealed:
    """Seal it to the new device, bound to what was said. Raises FalseLink for a key that is none."""
    try:
        key = public_key_of(hello.seal_public)
        return LinkSealed(SUITE.encrypt(encode(account), key, info=_SEAL_LABEL + _said(hello, offer)))
    except ValueError:
        raise FalseLink from None


def open_account(seal_secret: bytes, hello: LinkHello, offer: LinkOffer, message: LinkMessage) -> LinkAccount:
    """What the account's device has sealed to us. Raises FalseLink.

    DEVICES-06 it was sealed to us in this exchange; the list is signed by the identity that was offered, and names us;
    the certificate is that identity's, for our key. So the account is the one that the digits were over.
    """
    if not isinstance(message, LinkSealed):
        raise FalseLink
    try:
        opened = SUITE.decrypt(message.sealed, private_of(seal_secret), info=_SEAL_LABEL + _said(hello, offer))
        account = LINK_ACCOUNT.decode(opened)
        devices = verify_device_list(account.device_list, offer.identity_public)
        check_certificate(account.credential, offer.identity_public, hello.device_public)
    except (InvalidTag, BadRequest, BadKeyPackage, ValueError):
        raise FalseLink from None
    if account.number != offer.number or not _names(devices, hello):
        raise FalseLink
    return account


def _names(devices: DeviceList, hello: LinkHello) -> bool:
    """Whether the device is on the list, with its own reader of the intro mailbox."""
    listed = dict(zip(devices.devices, devices.intro_readers, strict=False))
    return listed.get(hello.device_public) == hello.intro_read_hash


def _said(hello: LinkHello, offer: LinkOffer) -> bytes:
    return sha256(encode(hello) + encode(offer)).digest()
