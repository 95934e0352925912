"""Grue: reach people by phone number, encrypted or by SMS, and tell nobody whom you looked for.

Names are loaded when they are first used, so that `import grue` costs nothing that is not needed.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from grue.client.api.account import OwnAccount
    from grue.client.api.contacts import Contacts
    from grue.client.api.directory import DirectoryCopy
    from grue.client.api.exposure import Exposure
    from grue.client.client import ChatInfo, Client, Message, open
    from grue.client.conversations.messenger import Sent
    from grue.client.lookup.asyoutype import AsYouType, Shown
    from grue.client.lookup.directory import LookedUp
    from grue.client.people.contacts import Imported
    from grue.client.people.contactsync import Synced
    from grue.client.people.tables import Contact
    from grue.errors import (
        AlreadyRegistered,
        BadAttachment,
        BadCertificate,
        BadDirectory,
        BadEnvelope,
        BadGatewayKey,
        BadKeyPackage,
        BadManifest,
        BadProof,
        BadRecord,
        BadRequest,
        BadToken,
        BlobConflict,
        CodeExpired,
        CodesUsedUp,
        CodeWrong,
        ConsentNeeded,
        CorruptDatabase,
        DiskFailed,
        DiskFull,
        EncryptedContact,
        EpochEnded,
        ForeignDatabase,
        ForkedLog,
        GrueError,
        HomeBusy,
        KeyChanged,
        LimitReached,
        MailboxConflict,
        MailboxFull,
        NetworkError,
        NoKeyPackages,
        NoPassphrase,
        NoSuchBlob,
        NoSuchChat,
        NoSuchContact,
        NoSuchMailbox,
        NotAGrueServer,
        NotAnAddressBook,
        NotANumber,
        NotARelay,
        NotPermitted,
        NotRegistered,
        NumberTooShort,
        OtherVersion,
        ProxyUnreachable,
        Refused,
        RelayUnreachable,
        RouteUnknown,
        ServerBusy,
        ServerChanged,
        ShrunkDirectory,
        SmsGatewayDown,
        SmsMayHaveGone,
        SmsRejected,
        SmsThrottled,
        SmsUnavailable,
        SplitDirectory,
        SpoiltAnswer,
        StaleDirectory,
        TimedOut,
        TokenExpired,
        TokenNeeded,
        TokenSpent,
        TooLarge,
        TooManyCodes,
        TooManyGuesses,
        Unreachable,
        UsageError,
        VerificationFailed,
        WrongPassphrase,
    )
    from grue.protocol.conversation.delivery import MessageState
    from grue.protocol.conversation.fallback import Route

__version__ = "0.1.0"

__all__ = [
    "AlreadyRegistered",
    "AsYouType",
    "BadAttachment",
    "BadCertificate",
    "BadDirectory",
    "BadEnvelope",
    "BadGatewayKey",
    "BadKeyPackage",
    "BadManifest",
    "BadProof",
    "BadRecord",
    "BadRequest",
    "BadToken",
    "BlobConflict",
    "ChatInfo",
    "Client",
    "CodeExpired",
    "CodeWrong",
    "CodesUsedUp",
    "ConsentNeeded",
    "Contact",
    "Contacts",
    "CorruptDatabase",
    "DirectoryCopy",
    "DiskFailed",
    "DiskFull",
    "EncryptedContact",
    "EpochEnded",
    "Exposure",
    "ForeignDatabase",
    "ForkedLog",
    "GrueError",
    "HomeBusy",
    "Imported",
    "KeyChanged",
    "LimitReached",
    "LookedUp",
    "MailboxConflict",
    "MailboxFull",
    "Message",
    "MessageState",
    "NetworkError",
    "NoKeyPackages",
    "NoPassphrase",
    "NoSuchBlob",
    "NoSuchChat",
    "NoSuchContact",
    "NoSuchMailbox",
    "NotAGrueServer",
    "NotANumber",
    "NotARelay",
    "NotAnAddressBook",
    "NotPermitted",
    "NotRegistered",
    "NumberTooShort",
    "OtherVersion",
    "OwnAccount",
    "ProxyUnreachable",
    "Refused",
    "RelayUnreachable",
    "Route",
    "RouteUnknown",
    "Sent",
    "ServerBusy",
    "ServerChanged",
    "Shown",
    "ShrunkDirectory",
    "SmsGatewayDown",
    "SmsMayHaveGone",
    "SmsRejected",
    "SmsThrottled",
    "SmsUnavailable",
    "SplitDirectory",
    "SpoiltAnswer",
    "StaleDirectory",
    "Synced",
    "TimedOut",
    "TokenExpired",
    "TokenNeeded",
    "TokenSpent",
    "TooLarge",
    "TooManyCodes",
    "TooManyGuesses",
    "Unreachable",
    "UsageError",
    "VerificationFailed",
    "WrongPassphrase",
    "open",
]

_HOMES = {
    "AsYouType": "grue.client.lookup.asyoutype",
    "Shown": "grue.client.lookup.asyoutype",
    "OwnAccount": "grue.client.api.account",
    "Contacts": "grue.client.api.contacts",
    "DirectoryCopy": "grue.client.api.directory",
    "Exposure": "grue.client.api.exposure",
    "Contact": "grue.client.people.tables",
    "Imported": "grue.client.people.contacts",
    "Synced": "grue.client.people.contactsync",
    "ChatInfo": "grue.client.client",
    "Client": "grue.client.client",
    "Message": "grue.client.client",
    "open": "grue.client.client",
    "LookedUp": "grue.client.lookup.directory",
    "Sent": "grue.client.conversations.messenger",
    "MessageState": "grue.protocol.conversation.delivery",
    "Route": "grue.protocol.conversation.fallback",
}
"""Where a name is; the others are errors."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'grue' has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "grue.errors")), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
