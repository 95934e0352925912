"""The contents that are encrypted: intro payloads and the application messages of MLS.

The rules of `grue.protocol.wire` hold here too: arrays, tag first, fields only appended. The server carries
these bytes and cannot read them; the one exception is an SMS, which it saw in the clear as it passed.
"""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, field

from grue.protocol.pictures import MAX_PICTURE
from grue.protocol.wire import MAX_SLOTS, MAX_SMS, Codec, Count, Id, Key, Message, Number, Signature, seen

MEMBERS: Final = seen("members of the conversation")
ADMINS_ASKED: Final = seen("the admins in the link")
DEVICES: Final = seen("the account's devices; the server saw it pass")
HOLDERS: Final = seen("whoever has the link")
LINKED: Final = seen("the two devices, and who has the link")
OWN: Final = seen("the account's devices")
ALL_OF_SMS: Final = seen("server, SMS gateway, carriers, anyone near the handset")

MAX_TEXT: Final = 48 * 1024
"""Bytes of UTF-8 text in one message: fits the largest envelope beside what MLS and padding add."""

MAX_HEAD: Final = 512
"""Bytes of a directory's head inside a message; one has some 190."""

MAX_NAMED: Final = 16
"""Texts that one receipt names: with them it still fits the smallest envelope, as any other."""

MAX_NAME: Final = 255
"""Characters of a file's name: what file systems take."""

MAX_GROUP_NAME: Final = 100
"""Characters of a group's name: one line of a list of chats."""

MAX_URL: Final = 200
"""Characters of a server's URL in a link, which has to be scanned."""

MAX_PROFILE_NAME: Final = 64
"""Characters of what somebody calls themself: it stands beside their number or id in one line."""

MAX_DESCRIPTION: Final = 1000
"""Characters of a group's description: a paragraph."""

MAX_DEVICE_NAME: Final = 40
"""Characters of a device's name: a line of a list."""

DeviceName = Annotated[str, Meta(min_length=1, max_length=MAX_DEVICE_NAME)]

MAX_REGISTERS: Final = 256
"""Registers of one `Sync`; of long ones fewer fit an envelope."""

GroupName = Annotated[str, Meta(min_length=1, max_length=MAX_GROUP_NAME)]
Description = Annotated[str, Meta(max_length=MAX_DESCRIPTION)]

MAX_PARTS: Final = 64
"""Parts of one commit, 4 MiB: 1.2 MB in a group of 1,000 that has hardly written, 2.7 KB for each device it adds."""

MAX_MEMBERS: Final = MAX_SLOTS
"""Accounts in one group: each has a device, and each device a slot when the mailbox moves."""


# --- inside an intro mailbox's envelope -----------------------------------------------------------


class IntroWelcome(Message, tag=70):
    """A Welcome and the invitation that goes with it, an MLS PrivateMessage of the new group."""

    welcome: Annotated[
        bytes, Meta(max_length=65536), seen("server sees which key package it answers; the rest: device")
    ]
    invitation: Annotated[bytes, Meta(max_length=65536), MEMBERS]
    tree: Annotated[bytes, Meta(max_length=256), seen("device")] = b""
    """A `TreePlace`, sealed with a secret that the Welcome has; empty when that has the tree itself."""


class IntroSealed(Message, tag=75):
    """An `IntroWelcome`, sealed to the account: what is the same in two would say that they are into one group."""

    sealed: Annotated[bytes, Meta(max_length=65536), DEVICES]


class IntroSms(Message, tag=71):
    """An inbound SMS, sealed to the account the moment it came."""

    sealed: Annotated[bytes, Meta(max_length=65536), DEVICES]


class IntroRequest(Message, tag=74):
    """What a member of a conversation is asked from outside: by who has lost track of it, or has a link to it."""

    mark: Annotated[bytes, Meta(min_length=8, max_length=8), seen("server; means nothing without the key")]
    """By which who has the key knows that it is the right one: from the key and the envelope's id."""
    sealed: Annotated[bytes, Meta(max_length=65536), MEMBERS]
    """A `ResyncRequest` under a key of the conversation, or a `JoinRequest` under one that is in a link."""


# --- inside MLS -----------------------------------------------------------------------------------


class Attachment(Message, tag=88):
    """What opens an attachment: its parts' ids come from the key, so all sizes have a reference of one length."""

    key: Annotated[Key, MEMBERS]
    length: Annotated[Count, MEMBERS]
    """Bytes, without padding."""
    name: Annotated[str, Meta(max_length=MAX_NAME), MEMBERS] = ""
    """As the sender calls the file. Whoever shows it takes out what a terminal obeys, and writes to no such path."""


class Text(Message, tag=80):
    id: Annotated[Id, MEMBERS]
    text: Annotated[str, Meta(max_length=MAX_TEXT), MEMBERS]
    sent: Annotated[Count, MEMBERS]
    """Unix milliseconds by the sender's clock."""
    read_seq: Annotated[Count, MEMBERS] = 0
    """The sender has read the log up to here ..."""
    log_hash: Annotated[bytes, Meta(max_length=32), MEMBERS] = b""
    """... and this is its hash up to there; empty before the first read."""
    attachment: Annotated[Attachment | None, MEMBERS] = None
    head: Annotated[bytes, Meta(max_length=MAX_HEAD), MEMBERS] = b""
    """The directory's head at the sender's last daily round, as a `SignedFile`; empty before the first."""
    after: Annotated[Count, MEMBERS] = 0
    """Of the log up to here the sender has not seen all, so that `read_seq` says nothing of it."""


class Receipt(Message, tag=81):
    """The sender has read and stored the log up to here, and the texts that are named."""

    read_seq: Annotated[Count, MEMBERS]
    log_hash: Annotated[bytes, Meta(max_length=32), MEMBERS]
    """Empty, with `read_seq` 0, when the sender does not know it."""
    head: Annotated[bytes, Meta(max_length=MAX_HEAD), MEMBERS] = b""
    """As in `Text`."""
    after: Annotated[Count, MEMBERS] = 0
    """As in `Text`."""
    texts: Annotated[list[Id], Meta(max_length=MAX_NAMED), MEMBERS] = field(default_factory=list)
    """Ids of texts that `read_seq` does not cover, from whatever conversation of the same two."""


class Transcript(Message, tag=82):
    """A self-lookup that the receiver can check offline: it shows which number the sender's record is under."""

    oprf_epoch: Annotated[Count, MEMBERS]
    scalar: Annotated[Key, MEMBERS]
    evaluated: Annotated[Key, MEMBERS]
    proof: Annotated[Signature, MEMBERS]


class Slot(Message, tag=83):
    leaf: Annotated[Count, MEMBERS]
    secret: Annotated[Key, MEMBERS]


class TreePlace(Message, tag=110):
    """Where the tree of a large group is: the parts of a blob, as an attachment's."""

    key: Annotated[Key, seen("device")]
    length: Annotated[Count, seen("device")]
    inviter: Annotated[bytes, Meta(max_length=32), seen("device")] = b""
    """Whose intro mailbox is asked, should the tree not be there, to be readmitted with another ..."""
    request_key: Annotated[bytes, Meta(max_length=32), seen("device")] = b""
    """... by a request under this key of the group ..."""
    epoch: Annotated[Count, seen("device")] = 0
    """... in this epoch, which the Welcome leads to."""


class Role(StrEnum):
    """What a member of a group may do."""

    ADMIN = "admin"
    MEMBER = "member"


class CameBack(Message, tag=97):
    """A device that was readmitted to a group."""

    identity: Annotated[Key, MEMBERS]
    """Its account."""
    signature_key: Annotated[Key, MEMBERS]
    number: Annotated[Count, MEMBERS]
    """Of the `Readmission` that it came back by: only one with a higher number leads back again."""


class GroupMember(Message, tag=90):
    """One account in a group."""

    identity: Annotated[Key, MEMBERS]
    intro_mailbox: Annotated[Key, MEMBERS]
    """Where a Welcome goes when a device of this account has lost track."""
    role: Annotated[Role, MEMBERS] = Role.MEMBER
    joined: Annotated[Count, MEMBERS] = 0
    """The epoch since which it is in: what it has signed before counts no more."""


class LinkRule(Message, tag=100):
    """A link by which people ask to be let into a group."""

    digest: Annotated[Key, MEMBERS]
    """Of the link's secret, which only those have who have the link."""
    ask: Annotated[bool, MEMBERS] = False
    """An admin decides; otherwise the first admin's client that reads the request adds who asks."""


class GroupState(Message, tag=91):
    """What the members of a group agree on beside MLS. Only a `GroupChange` in a commit changes it."""

    name: Annotated[GroupName, MEMBERS]
    members: Annotated[list[GroupMember], Meta(min_length=1, max_length=MAX_MEMBERS), MEMBERS]
    """In the order in which they came."""
    description: Annotated[Description, MEMBERS] = ""
    may_add: Annotated[Role, MEMBERS] = Role.ADMIN
    may_rename: Annotated[Role, MEMBERS] = Role.ADMIN
    may_write: Annotated[Role, MEMBERS] = Role.MEMBER
    """`admin` in a group for announcements."""
    back: Annotated[list[CameBack], Meta(max_length=MAX_SLOTS), MEMBERS] = field(default_factory=list)
    """Devices that were readmitted since their account came."""
    link: Annotated[LinkRule | None, MEMBERS] = None


class LargeGroup(Message, tag=111):
    """What the Welcome and the invitation of a large group leave out."""

    tree: Annotated[bytes, Meta(max_length=4 << 20), MEMBERS]
    """Of the epoch that the Welcome leads to, as RFC 9420 encodes it."""
    group: Annotated[GroupState, MEMBERS]


class NewLink(Message, tag=101):
    rule: Annotated[LinkRule | None, MEMBERS]
    """None takes the link away."""


class NewRole(Message, tag=92):
    identity: Annotated[Key, MEMBERS]
    role: Annotated[Role, MEMBERS]


class Departure(Message, tag=93):
    """The proof that an account wants to be removed from a group, by one of its devices."""

    signature_key: Annotated[Key, MEMBERS]
    signature: Annotated[Signature, MEMBERS]
    epoch: Annotated[Count, MEMBERS]
    """In which it was signed."""


class Readmission(Message, tag=96):
    """The proof that a device has asked to be removed and added again, from its `ResyncRequest`."""

    signature_key: Annotated[Key, MEMBERS]
    signature: Annotated[Signature, MEMBERS]
    number: Annotated[Count, MEMBERS]
    """The epoch in which it has lost track; higher than any by which it came back before, and higher again should it
    wait in vain for very long."""


class GroupChange(Message, tag=94):
    """The authenticated data of a commit in a group. What is empty stays as it is."""

    state_hash: Annotated[Key, MEMBERS]
    """Of the state that follows, so that a newcomer who was told another one notices."""
    name: Annotated[GroupName | None, MEMBERS] = None
    description: Annotated[Description | None, MEMBERS] = None
    may_add: Annotated[Role | None, MEMBERS] = None
    may_rename: Annotated[Role | None, MEMBERS] = None
    may_write: Annotated[Role | None, MEMBERS] = None
    roles: Annotated[list[NewRole], Meta(max_length=MAX_MEMBERS), MEMBERS] = field(default_factory=list)
    added: Annotated[list[GroupMember], Meta(max_length=MAX_MEMBERS), MEMBERS] = field(default_factory=list)
    """The accounts whose devices this commit adds and that had none here."""
    departed: Annotated[list[Departure], Meta(max_length=MAX_MEMBERS), MEMBERS] = field(default_factory=list)
    readmitted: Annotated[list[Readmission], Meta(max_length=MAX_MEMBERS), MEMBERS] = field(default_factory=list)
    link: Annotated[NewLink | None, MEMBERS] = None


class Leave(Message, tag=95):
    """The sender wants to be removed; whoever may commit does it."""

    departure: Annotated[Departure, MEMBERS]


class CommitPart(Message, tag=112):
    """A piece of a commit that no envelope takes."""

    commit: Annotated[Id, MEMBERS]
    """The envelope id of its last part, which is the commit's."""
    number: Annotated[Count, MEMBERS]
    """From 0."""
    of: Annotated[int, Meta(ge=2, le=MAX_PARTS), MEMBERS]
    piece: Annotated[bytes, Meta(max_length=65536), MEMBERS]


class Invitation(Message, tag=84):
    """What a newcomer needs to read and write in a conversation, with the first text."""

    mailbox: Annotated[Key, MEMBERS]
    write_key: Annotated[Key, MEMBERS]
    slots: Annotated[list[Slot], Meta(max_length=MAX_SLOTS), MEMBERS]
    start_seq: Annotated[Count, MEMBERS]
    log_hash: Annotated[bytes, Meta(max_length=32), MEMBERS]
    """Empty when the sender does not know it."""
    number: Annotated[str, Meta(max_length=16, pattern=r"^(\+[1-9][0-9]{3,})?\Z"), MEMBERS]
    """The number that the sender claims; empty from who shows none."""
    transcript: Annotated[Transcript | None, MEMBERS]
    device_list: Annotated[bytes, Meta(max_length=4096), MEMBERS]
    """The sender's `SignedDeviceList`."""
    text: Annotated[Text | None, MEMBERS] = None
    replaces: Annotated[bytes, Meta(max_length=32), MEMBERS] = b""
    """The conversation that this one takes over from, when the sender's own state went back."""
    group: Annotated[GroupState | None, MEMBERS] = None
    """Of a group, as it is when the newcomer is in it; None in a conversation of two accounts, and where a
    `LargeGroup` has it."""
    request_key: Annotated[bytes, Meta(max_length=32), MEMBERS] = b""
    """What requests of who has lost track are sealed under; empty from a home of before there were such keys."""
    ticket: Annotated[bytes, Meta(max_length=16), MEMBERS] = b""
    """From the link by which the sender found the other side; empty without one."""
    peer: Annotated[GroupMember | None, MEMBERS] = None
    """From one device of an account to another: with whom a conversation of two accounts is."""


class ResyncRequest(Message, tag=85):
    """The sender could not follow a commit and asks to be removed and added again."""

    commit: Annotated[Id, MEMBERS]
    """The envelope id of the commit, or zeros."""
    key_package: Annotated[bytes, Meta(max_length=8192), MEMBERS]
    intro_mailbox: Annotated[Key, MEMBERS]
    proof: Annotated[Readmission | None, MEMBERS] = None
    """Always there. In a group, who answers shows it to the others."""


class Profile(Message, tag=120):
    """What the sender calls themself, and their picture, for whoever is in the conversation."""

    version: Annotated[Count, MEMBERS]
    """Unix milliseconds at which it was made: of several the newest counts."""
    name: Annotated[str, Meta(max_length=MAX_PROFILE_NAME), MEMBERS] = ""
    """Empty for none."""
    picture: Annotated[bytes, Meta(max_length=MAX_PICTURE), MEMBERS] = b""
    """JPEG, PNG or WebP; empty for none."""


class PersonLink(Message, tag=121):
    """What it takes to write to somebody first."""

    identity: Annotated[Key, HOLDERS]
    intro_mailbox: Annotated[Key, HOLDERS]
    list_version: Annotated[Count, HOLDERS]
    """Of the device list when the link was made: an older one is refused."""
    ticket: Annotated[Id, HOLDERS]
    """Goes along with the first message, so that its owner can tell who has a link that still holds."""
    server_public: Annotated[Key, HOLDERS]
    server: Annotated[str, Meta(max_length=MAX_URL), HOLDERS]
    """Its URL, for who has no account yet."""


MAX_LINK_ADMINS: Final = 5
"""Admins whose intro mailboxes are in a link: one of them will read it, and a camera still reads the code."""


class JoinLink(Message, tag=98):
    """What a `grue:join/` link holds."""

    group: Annotated[Key, HOLDERS]
    secret: Annotated[Id, HOLDERS]
    admins: Annotated[list[Key], Meta(min_length=1, max_length=MAX_LINK_ADMINS), HOLDERS]
    """Intro mailboxes."""
    server: Annotated[str, Meta(max_length=200), HOLDERS]
    """Its URL, for people."""
    server_key: Annotated[Id, HOLDERS]
    """The beginning of SHA-256 of the server's public key: that decides whether it is ours."""


class JoinRequest(Message, tag=99):
    """Somebody who has a link asks to be let into its group."""

    secret: Annotated[Id, ADMINS_ASKED]
    device_list: Annotated[bytes, Meta(max_length=4096), ADMINS_ASKED]
    """The sender's `SignedDeviceList`."""
    number: Annotated[Number | None, ADMINS_ASKED] = None
    """The number that the sender claims, if it shows one."""
    transcript: Annotated[Transcript | None, ADMINS_ASKED] = None


class ReceivedSms(Message, tag=86):
    """What `IntroSms.sealed` opens to; signed by the server, so that nobody else can forge one."""

    sender: Annotated[str, Meta(min_length=1, max_length=21), ALL_OF_SMS]
    """A number, a short code or a name, as the carrier gives it."""
    to: Annotated[Number, ALL_OF_SMS]
    text: Annotated[str, Meta(max_length=MAX_SMS), ALL_OF_SMS]
    received: Annotated[Count, seen("server")]
    """Unix milliseconds by the server's clock."""


class SignedSms(Message, tag=87):
    body: Annotated[bytes, Meta(max_length=8192), DEVICES]
    signature: Annotated[Signature, DEVICES]


# --- between devices of one account ---------------------------------------------------------------


class LinkHello(Message, tag=127):
    """A device that wants to belong to an account. The link has its hash, so that no other comes in its place."""

    device_public: Annotated[Key, LINKED]
    """Its MLS signature key."""
    seal_public: Annotated[bytes, Meta(max_length=2048), LINKED]
    """MLKEM768-X25519, for this one exchange: what the account is sealed to."""
    intro_read_hash: Annotated[Key, LINKED]
    """SHA-256 of its read key of the account's intro mailbox."""
    nonce: Annotated[Key, LINKED]
    name: Annotated[DeviceName, LINKED]
    """What its owner calls it."""
    manages: Annotated[bool, LINKED] = False
    """It asks for the identity key, to link and remove devices itself."""


class LinkOffer(Message, tag=125):
    """The account that a device may belong to. It goes out before the device shows its nonce."""

    nonce: Annotated[Key, LINKED]
    identity_public: Annotated[Key, LINKED]
    number: Annotated[Number, LINKED]


class LinkSealed(Message, tag=126):
    sealed: Annotated[bytes, Meta(max_length=16384), seen("the new device")]
    """A `LinkAccount`, by HPKE to the new device; the exchange so far is bound to it."""


class LinkAccount(Message, tag=113):
    """What the new device needs to be one of the account's. It holds secrets."""

    account: Annotated[Id, seen("the new device")]
    number: Annotated[Number, seen("the new device")]
    credential: Annotated[bytes, Meta(max_length=1024), seen("the new device")]
    """The certificate of its key, by the identity key."""
    device_list: Annotated[bytes, Meta(max_length=4096), seen("the new device")]
    sms_secret: Annotated[Key, seen("the new device")]
    """What opens inbound SMS."""
    identity_secret: Annotated[bytes, Meta(max_length=32), seen("the new device")] = b""
    """Empty unless it is to manage devices."""
    hidden: Annotated[bool, seen("the new device")] = False
    """The number is not in the directory."""


class LinkJoined(Message, tag=114):
    """The new device is ready to be added to conversations."""

    package: Annotated[bytes, Meta(max_length=8192), LINKED]
    """A key package of it that the account's other devices add it by, each time."""


class LinkRefused(Message, tag=115):
    """The account's owner has said no."""


class Kind(StrEnum):
    """What a register is about."""

    LIST = "list"
    """The account's `SignedDeviceList`. The key is empty."""
    HIDDEN = "hidden"
    """Whether the number is kept out of the directory: `1` or `0`. The key is empty."""
    PACKAGE = "package"
    """A device's key package for its own account's devices. The key is its signature key."""
    NAME = "name"
    """What a device is called."""
    HOLDER = "holder"
    """A device that holds the identity key."""
    DAY = "day"
    """The last day that a device was in use: days since 1970, as text."""
    PERSON = "person"
    """What is known of an account: a `Person`. The key is its identity."""
    CONTACT = "contact"
    """The name in the address book of the number that is the key; empty when it was taken out."""
    CALLED = "called"
    """What somebody who shows no number is called here. The key is their identity."""
    RESETS = "resets"
    """How often the own link was reset, as text. The key is empty."""
    BLOCKED = "blocked"
    """Who is not heard any more, and the name under which it was blocked; empty when it is heard again."""
    VERIFIED = "verified"
    """An identity whose safety number was compared: Unix seconds, as text; empty when the mark was taken back."""
    SHOWN = "shown"
    """A message was shown. The key is its sender's identity and its id."""
    DECIDED = "decided"
    """Whether a conversation that came as a request was accepted or declined. The key is its id."""
    PINNED = "pinned"
    """Whether a chat stands above the others: `1`, or empty. The key, as of the three below, is `g` and a group's id,
    `i` and an account's identity, or `n` and a number that has no account."""
    MUTED = "muted"
    """Until when a chat is quiet: Unix seconds, as text; empty when it is not."""
    ARCHIVED = "archived"
    """Whether a chat is out of the list until something comes: `1`, or empty."""
    DRAFT = "draft"
    """What was written in a chat and not sent."""


class Register(Message, tag=116):
    """One thing that all devices of an account agree on: the latest value counts."""

    kind: Annotated[Kind, OWN]
    key: Annotated[bytes, Meta(max_length=64), OWN]
    value: Annotated[bytes, Meta(max_length=8192), OWN]
    time: Annotated[Count, OWN]
    """Unix milliseconds by the clock of the device that set it."""


class Sync(Message, tag=117):
    """What changed on one device of an account, for the others."""

    registers: Annotated[list[Register], Meta(max_length=MAX_REGISTERS), OWN]


class Person(Message, tag=118):
    """An account that there are conversations with."""

    number: Annotated[str, Meta(max_length=32), OWN]
    """Verified by a lookup; empty for none."""
    claimed: Annotated[str, Meta(max_length=32), OWN]
    list_version: Annotated[Count, OWN]


IntroPayload = IntroWelcome | IntroSealed | IntroSms | IntroRequest
LinkMessage = LinkHello | LinkOffer | LinkSealed | LinkJoined | LinkRefused
Application = Invitation | Text | Receipt | Leave | CommitPart | Profile | Sync

INTRO_PAYLOAD: Final = Codec[IntroPayload](IntroPayload)
INTRO_WELCOME: Final = Codec[IntroWelcome](IntroWelcome)
APPLICATION: Final = Codec[Application](Application)
LINK_MESSAGE: Final = Codec[LinkMessage](LinkMessage)
LINK_ACCOUNT: Final = Codec[LinkAccount](LinkAccount)
PERSON: Final = Codec[Person](Person)
ASKED: Final = Codec[ResyncRequest | JoinRequest](ResyncRequest | JoinRequest)
JOIN_LINK: Final = Codec[JoinLink](JoinLink)
GROUP_CHANGE: Final = Codec[GroupChange](GroupChange)
TREE_PLACE: Final = Codec[TreePlace](TreePlace)
LARGE_GROUP: Final = Codec[LargeGroup](LargeGroup)
PERSON_LINK: Final = Codec[PersonLink](PersonLink)
ATTACHMENT: Final = Codec[Attachment](Attachment)
SIGNED_SMS: Final = Codec[SignedSms](SignedSms)
RECEIVED_SMS: Final = Codec[ReceivedSms](ReceivedSms)
