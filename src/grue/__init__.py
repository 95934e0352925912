"""Grue: reach people by phone number, encrypted or by SMS, and tell nobody whom you looked for.

Names are loaded when they are first used, so that `import grue` costs nothing that is not needed.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from grue.client.asyoutype import AsYouType, Shown
    from grue.client.client import ChatInfo, Client, Message, open
    from grue.client.contacts import Contact, Imported
    from grue.client.contactsync import Synced
    from grue.client.directory import LookedUp
    from grue.client.messenger import Sent
    from grue.errors import GrueError
    from grue.protocol.delivery import MessageState
    from grue.protocol.fallback import Route

__version__ = "0.1.0"

__all__ = [
    "AsYouType",
    "ChatInfo",
    "Client",
    "Contact",
    "GrueError",
    "Imported",
    "LookedUp",
    "Message",
    "MessageState",
    "Route",
    "Sent",
    "Shown",
    "Synced",
    "open",
]

_HOMES = {
    "AsYouType": "grue.client.asyoutype",
    "Shown": "grue.client.asyoutype",
    "Contact": "grue.client.contacts",
    "Imported": "grue.client.contacts",
    "Synced": "grue.client.contactsync",
    "ChatInfo": "grue.client.client",
    "Client": "grue.client.client",
    "Message": "grue.client.client",
    "open": "grue.client.client",
    "LookedUp": "grue.client.directory",
    "Sent": "grue.client.messenger",
    "GrueError": "grue.errors",
    "MessageState": "grue.protocol.delivery",
    "Route": "grue.protocol.fallback",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'grue' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
