"""Links that people send, print or scan: `grue:KIND/` and letters that hold some bytes, with a checksum over them.

What the bytes mean is for who makes a kind of link. Here one that was cut off, mistyped or is of another kind is told
from one that can be used.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from enum import StrEnum
from hashlib import sha256
from typing import Final

from grue.errors import BadLink, OtherLink

SCHEME: Final = "grue:"
VERSION: Final = b"\x01"
"""The first byte: another one is of a version of Grue that is still to come."""

CHECKSUM_BYTES: Final = 4
"""Of SHA-256 over kind, version and contents: one mistyped link in four billion passes for another."""

MAX_LINK: Final = 1500
"""Characters: what a QR code can still hold, and a camera read, with 15 % to spare."""


class LinkKind(StrEnum):
    DEVICE = "link"
    """Another device becomes one of the account's."""
    GROUP = "join"
    """Somebody asks to be a member of a group."""
    PERSON = "person"
    """Somebody writes to a person whose number they do not know."""


MEANT_FOR: Final = {
    LinkKind.DEVICE: "adds a device",
    LinkKind.GROUP: "leads into a group",
    LinkKind.PERSON: "leads to somebody to write to",
}


def make_link(kind: LinkKind, contents: bytes) -> str:
    """The link that holds these bytes."""
    body = VERSION + contents
    return f"{SCHEME}{kind.value}/" + urlsafe_b64encode(body + _checksum(kind, body)).rstrip(b"=").decode()


def read_link(kind: LinkKind, link: str) -> bytes:
    """The bytes that a link of this kind holds. Raises BadLink, and OtherLink for one of another kind or version.

    LINK-01 it has the scheme, a kind, base64url and a checksum that fits. LINK-02 it is of the expected kind.
    LINK-03 it is of this version.
    """
    # Mail programs break long lines, and what was copied often ends in a blank.
    link = "".join(link.split())
    found = next((one for one in LinkKind if link.startswith(f"{SCHEME}{one.value}/")), None)
    if found is None or len(link) > MAX_LINK:
        raise BadLink
    body = _decoded(found, link.removeprefix(f"{SCHEME}{found.value}/"))
    if found is not kind:
        raise OtherLink(f"(it {MEANT_FOR[found]})")
    if body[:1] != VERSION:
        raise OtherLink("(it is of a newer version of Grue)")
    return body[1:]


def is_link(text: str) -> bool:
    """Whether somebody meant a link by this, whatever is in it."""
    return text.strip().startswith(tuple(f"{SCHEME}{one.value}/" for one in LinkKind))


def _decoded(kind: LinkKind, text: str) -> bytes:
    try:
        # Python would leave out what is no base64url, and take several writings of the same bytes.
        all_of_it = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise BadLink from None
    body, checksum = all_of_it[:-CHECKSUM_BYTES], all_of_it[-CHECKSUM_BYTES:]
    if not body or checksum != _checksum(kind, body) or urlsafe_b64encode(all_of_it).rstrip(b"=") != text.encode():
        raise BadLink
    return body


def _checksum(kind: LinkKind, body: bytes) -> bytes:
    return sha256(b"grue link v1" + kind.value.encode() + b"/" + body).digest()[:CHECKSUM_BYTES]
