"""Accounts and their devices: the signed device list, the certificates of MLS leaves, and links to people.

The account's identity key signs two things: the device list, which says what belongs to the account, and one
certificate per device, which every member of a group can check without asking anybody.
"""

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from grue._core import MLS_CERTIFICATE_CONTEXT, mls_credential
from grue.errors import BadKeyPackage, BadLink, BadRequest, UsageError
from grue.protocol.conversation.contents import PERSON_LINK, PersonLink
from grue.protocol.links import LinkKind, make_link, read_link
from grue.protocol.wire import DEVICE_LIST, SIGNED_DEVICE_LIST, DeviceList, SignedDeviceList, encode

LIST_CONTEXT: Final = b"grue device list v1"
TICKET_CONTEXT: Final = b"grue person link v1"
LIST_HASH_BYTES: Final = 16
SIGNATURE_BYTES: Final = 64
"""Bytes of a certificate, which a credential ends with."""
CREDENTIAL_IDENTITY: Final = slice(1, 33)
"""Where a credential holds the account's identity key: behind the version byte."""


def sign_device_list(devices: DeviceList, identity: Ed25519PrivateKey | bytes) -> bytes:
    """The list as contacts and the server get it, a `SignedDeviceList`."""
    body = encode(devices)
    identity = Ed25519PrivateKey.from_private_bytes(identity) if isinstance(identity, bytes) else identity
    return encode(SignedDeviceList(body, identity.sign(LIST_CONTEXT + body)))


def verify_device_list(signed: bytes, identity_public: bytes | None = None) -> DeviceList:
    """The list, when the identity key that it names signed it.

    DEVICES-01 the signature verifies. DEVICES-02 the identity key is the expected one, when one is given. DEVICES-03 no
    device is on it twice, and where readers of the intro mailbox are named each device has one of its own.
    Raises BadKeyPackage.
    """
    try:
        outer = SIGNED_DEVICE_LIST.decode(signed)
        devices = DEVICE_LIST.decode(outer.body)
        Ed25519PublicKey.from_public_bytes(devices.identity_public).verify(outer.signature, LIST_CONTEXT + outer.body)
    except (BadRequest, InvalidSignature, ValueError):
        raise BadKeyPackage("(the device list is not signed)") from None
    if identity_public is not None and devices.identity_public != identity_public:
        raise BadKeyPackage("(the device list is another account's)")
    readers, count = devices.intro_readers, len(devices.devices)
    if len(set(devices.devices)) != count or (readers and not len(set(readers)) == len(readers) == count):
        raise BadKeyPackage("(a device twice, or without a reader)")
    return devices


def device_list_hash(signed: bytes) -> bytes:
    """The first 16 bytes of SHA-256, as they stand in a directory record."""
    digest = Hash(SHA256())
    digest.update(signed)
    return digest.finalize()[:LIST_HASH_BYTES]


def credential(identity: Ed25519PrivateKey, device_public: bytes) -> bytes:
    """The MLS credential of one device of this account."""
    certificate = identity.sign(MLS_CERTIFICATE_CONTEXT + device_public)
    return mls_credential(identity.public_key().public_bytes_raw(), certificate)


def certify(identity_secret: bytes, device_public: bytes) -> bytes:
    """As `credential`, by the identity's stored secret."""
    return credential(Ed25519PrivateKey.from_private_bytes(identity_secret), device_public)


def check_certificate(certified: bytes, identity_public: bytes, device_public: bytes) -> None:
    """A credential is this identity's, for this device. Raises BadKeyPackage."""
    if certified != mls_credential(identity_public, certified[-SIGNATURE_BYTES:]):
        raise BadKeyPackage("(a credential of another form)")
    try:
        key = Ed25519PublicKey.from_public_bytes(identity_public)
        key.verify(certified[-SIGNATURE_BYTES:], MLS_CERTIFICATE_CONTEXT + device_public)
    except (InvalidSignature, ValueError):
        raise BadKeyPackage("(the certificate is another device's)") from None


def identity_of(mls_credential: bytes) -> bytes:
    """The account that a leaf belongs to; the core has checked the credential's form and certificate."""
    return mls_credential[CREDENTIAL_IDENTITY]


# --- links to people ------------------------------------------------------------------------------


def link_ticket(secret: bytes, resets: int) -> bytes:
    """The ticket of the link that holds now, of a secret that all devices of an account have, after so many resets."""
    return HKDF(SHA256(), 16, salt=None, info=TICKET_CONTEXT + resets.to_bytes(8, "big")).derive(secret)


def make_person_link(link: PersonLink) -> str:
    """A link by which somebody is written to without a number."""
    return make_link(LinkKind.PERSON, encode(link))


def read_person_link(text: str, server_public: bytes) -> PersonLink:
    """What a link holds. Raises BadLink, OtherLink, UsageError.

    PEOPLE-05 it is whole, and of somebody at our server.
    """
    try:
        link = PERSON_LINK.decode(read_link(LinkKind.PERSON, text))
    except BadRequest:
        raise BadLink from None
    if link.server_public != server_public:
        raise UsageError("This link is of somebody at another server, and servers do not talk to each other.")
    return link


def hpke_public_of(device_list: bytes) -> bytes:
    """What is sealed to all devices of an account whose `SignedDeviceList` was verified, or is ours."""
    return DEVICE_LIST.decode(SIGNED_DEVICE_LIST.decode(device_list).body).hpke_public
