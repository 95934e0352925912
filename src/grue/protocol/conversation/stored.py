"""What a client stores of a conversation: who is in it, where it is read, and what of ours is under way."""

from dataclasses import dataclass

from msgspec import Struct

from grue.protocol.conversation.contents import GroupChange, GroupState
from grue.protocol.conversation.mailbox import Log


class NewDevice(Struct, array_like=True, frozen=True):
    """A device that a pending commit adds, and the slot that is reserved for it."""

    signature_key: bytes
    slot_secret: bytes


class Newcomer(Struct, array_like=True, frozen=True):
    """An account whose devices a pending commit adds: who has to hear of it once it has won."""

    intro_mailbox: bytes
    devices: list[NewDevice]
    welcome: bytes = b""
    """For these devices; empty in a home of before each had its own."""
    hpke_public: bytes = b""
    """What its invitation is sealed to; empty for who asks to be readmitted, and in a home of before they were."""


class Adding(Struct, array_like=True, frozen=True):
    """An account that is to be added to a group, with the key packages that were claimed for it."""

    identity: bytes
    intro_mailbox: bytes
    packages: list[bytes]
    hpke_public: bytes = b""


class Plan(Struct, array_like=True, frozen=True):
    """What somebody wants to change in a group. It is tried again when another commit was first."""

    change: GroupChange
    """What it wants, beside the members; the hash in it means nothing yet."""
    add: list[Adding] = []
    remove: list[bytes] = []
    """Identities."""


class PendingCommit(Struct, array_like=True, frozen=True):
    """An own commit that is posted, or about to be, and has neither won nor lost."""

    envelope: bytes
    newcomers: list[Newcomer] = []
    welcome: bytes = b""
    """For all of the newcomers, in a home of before each had its own."""
    plan: Plan | None = None
    """Of a change of the group; None for a renewed leaf or a device that is readmitted."""
    after: GroupState | None = None
    """The group's state should it win; None when that stays as it is."""
    seq: int = 0
    """Where in the log the server says to have put it; 0: it has not said so yet."""
    unseen: bool = False
    """CONVERSATION-23 it was the first in a hole of the log, and is merged when somebody shows to have met it."""
    moves: bool = False
    """It removes a device that it does not add again: the mailbox moves."""
    own: bool = False
    """It changes which of the own devices are there."""
    tree_secret: bytes = b""
    """Seals the place of the tree, which the Welcomes do not hold; empty when they do."""
    back: list[tuple[bytes, int]] = []
    """The devices that it readmits, and the numbers of their `Readmission`."""

    @property
    def added(self) -> set[bytes]:
        """Signature keys of the devices that it adds."""
        return {device.signature_key for newcomer in self.newcomers for device in newcomer.devices}


class Drain(Struct, array_like=True, frozen=True):
    """The mailbox that a conversation has moved from: it is read for a while, for what crossed the move."""

    log: Log
    read_key: bytes
    until: int
    """Unix milliseconds."""


class Member(Struct, array_like=True, frozen=True):
    """Another account in a conversation."""

    identity: bytes
    intro_mailbox: bytes = b""
    """On its device list; empty in a home of before it was kept."""
    heard: bool = False
    """It has said something in this group: only then does a text wait for its word."""


class Asked(Struct, array_like=True, frozen=True):
    """The key package of an own resync request: the only one that a lost group is joined anew by."""

    reference: bytes
    package: bytes
    times: int = 0
    """How often it was asked for."""


@dataclass(frozen=True)
class Reader:
    """We, in one mailbox."""

    log: Log
    read_key: bytes

    def __repr__(self) -> str:
        return f"Reader(cursor={self.log.cursor})"
