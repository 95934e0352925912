"""Links into groups: an admin makes one, and whoever has it asks to be let in at the admins' intro mailboxes.

The group's state has a hash of the link's secret alone. So every admin can tell a request by the link that holds now
from others, and no member can make the link of it.
"""

from hashlib import sha256
from typing import Final

from grue.errors import BadLink, BadRequest, LinkElsewhere, NotPermitted
from grue.protocol.conversation.asking import post_request
from grue.protocol.conversation.contents import (
    JOIN_LINK,
    MAX_LINK_ADMINS,
    GroupState,
    JoinLink,
    JoinRequest,
    Role,
)
from grue.protocol.conversation.conversation import Outgoing, Tools
from grue.protocol.conversation.devices import verify_device_list
from grue.protocol.conversation.first_contact import Me
from grue.protocol.conversation.groups import role_of
from grue.protocol.links import LinkKind, make_link, read_link
from grue.protocol.wire import DeviceList, encode

SECRET_BYTES: Final = 16
LINK_CONTEXT: Final = b"grue join link v1"


def link_digest(secret: bytes) -> bytes:
    """What the group's state has of a link; requests by it are sealed under this, too."""
    return sha256(LINK_CONTEXT + secret).digest()


def make_join_link(group: bytes, state: GroupState, me: Me, secret: bytes, server: str, server_public: bytes) -> str:
    """A link with our intro mailbox, and those of other admins."""
    admins = [member.intro_mailbox for member in state.members if member.role is Role.ADMIN]
    ours_first = sorted(admins, key=lambda mailbox: mailbox != me.intro_mailbox)
    link = JoinLink(group, secret, ours_first[:MAX_LINK_ADMINS], server, _server_key(server_public))
    return make_link(LinkKind.GROUP, encode(link))


def read_join_link(text: str, server_public: bytes) -> JoinLink:
    """What a link holds. Raises BadLink, OtherLink, and LinkElsewhere when its group is on another server."""
    try:
        link = JOIN_LINK.decode(read_link(LinkKind.GROUP, text))
    except BadRequest:
        raise BadLink from None
    if link.server_key != _server_key(server_public):
        raise LinkElsewhere(f"({link.server})" if link.server.isprintable() else "")
    return link


def ask_to_join(link: JoinLink, me: Me, tools: Tools, *, show_number: bool) -> list[Outgoing]:
    """Ask each of the admins in a link."""
    number, transcript = (me.number, me.transcript) if show_number else (None, None)
    request = JoinRequest(link.secret, me.device_list, number, transcript)
    return [post_request(link_digest(link.secret), mailbox, request, tools) for mailbox in dict.fromkeys(link.admins)]


def check_wish(state: GroupState, own_identity: bytes, request: JoinRequest) -> DeviceList:
    """GROUP-17 the request has the secret of the link that holds now, we are an admin, and who asks is no member.

    Returns who asks: whoever signed that device list. Raises NotPermitted, BadKeyPackage.
    """
    if state.link is None or link_digest(request.secret) != state.link.digest:
        raise NotPermitted
    devices = verify_device_list(request.device_list)
    if role_of(state, own_identity) is not Role.ADMIN or role_of(state, devices.identity_public) is not None:
        raise NotPermitted
    return devices


def _server_key(server_public: bytes) -> bytes:
    return sha256(server_public).digest()[:16]
