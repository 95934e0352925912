"""Messages that are public or signed for many: the server's hello, the directory's files, device lists."""

from typing import Annotated, Final

from msgspec import Meta, field

from grue.protocol.wire.base import EVERYONE, MAX_DEVICES, SERVER, Codec, Count, Key, Message, Signature


class ServerHello(Message, tag=1):
    """`GET /grue`: what a client has to know before anything else."""

    protocols: Annotated[list[int], EVERYONE]
    server_public: Annotated[Key, EVERYONE]
    """Signs manifests, overlay heads and inbound SMS; a client pins it at registration."""
    sms: Annotated[str, EVERYONE] = ""
    """Who carries SMS for this server, in words for people; empty when nobody does."""


class TokenKey(Message, tag=65):
    """A key that tokens of one purpose and epoch are made with."""

    purpose: Annotated[str, Meta(max_length=16), EVERYONE]
    epoch: Annotated[Count, EVERYONE]
    public: Annotated[Key, EVERYONE]


class Manifest(Message, tag=60):
    """What one base snapshot of the directory is; everybody gets the same one."""

    epoch: Annotated[Count, EVERYONE]
    oprf_epoch: Annotated[Count, EVERYONE]
    oprf_public: Annotated[Key, EVERYONE]
    count: Annotated[Count, EVERYONE]
    """Records in the base: the number of discoverable accounts when it was cut."""
    merkle_root: Annotated[Key, EVERYONE]
    layout: Annotated[str, Meta(max_length=16), EVERYONE]
    """`table`: the base is `count` records of 128 bytes, sorted by tag."""
    token_keys: Annotated[list[TokenKey], Meta(max_length=8), EVERYONE] = field(default_factory=list)
    """Those that are in use: of this token epoch and the one before."""
    pir: Annotated[bytes, Meta(max_length=128), EVERYONE] = b""
    """The layout of the table for private queries (`docs/protocol/pir.md`); empty when there is none."""
    hint_hash: Annotated[bytes, Meta(max_length=32), EVERYONE] = b""
    """SHA-256 of the file of this name, as the next two; empty when there is no such table."""
    fences_hash: Annotated[bytes, Meta(max_length=32), EVERYONE] = b""
    top_hash: Annotated[bytes, Meta(max_length=32), EVERYONE] = b""
    ended: Annotated[bytes, Meta(max_length=32), EVERYONE] = b""
    """The chain hash that the epoch before ended with, so that nothing of it can be unsaid; empty in the first."""
    ended_length: Annotated[Count, EVERYONE] = 0
    """Entries of the overlay of the epoch before, when it ended."""


class OverlayHead(Message, tag=61):
    """How far the overlay goes; monotone, and valid for hours."""

    epoch: Annotated[Count, EVERYONE]
    manifest_hash: Annotated[Key, EVERYONE]
    length: Annotated[Count, EVERYONE]
    """Entries of 128 bytes."""
    chain: Annotated[Key, EVERYONE]
    """The chain hash after the last entry."""
    issued: Annotated[Count, EVERYONE]
    """Unix seconds; the beginning of a period, not the moment of a change."""
    valid_until: Annotated[Count, EVERYONE]
    """Unix seconds; after it, absence is `unknown`."""


class GatewayKey(Message, tag=66):
    """The key that oblivious requests are sealed to; everybody gets the same one."""

    config: Annotated[bytes, Meta(max_length=2048), EVERYONE]
    """One key configuration (RFC 9458, section 3)."""
    valid_until: Annotated[Count, EVERYONE]
    """Unix seconds; the gateway opens nothing with it afterwards."""


class SignedFile(Message, tag=62):
    """A manifest, an overlay head or a gateway's key, signed by the server's key over its context and `body`."""

    body: Annotated[bytes, Meta(max_length=65536), EVERYONE]
    signature: Annotated[Signature, EVERYONE]


class DeviceList(Message, tag=63):
    """An account's devices, signed by its identity key; contacts refuse a lower version."""

    version: Annotated[Count, SERVER]
    """Grows with every change."""
    identity_public: Annotated[Key, SERVER]
    hpke_public: Annotated[bytes, Meta(max_length=2048), SERVER]
    """MLKEM768-X25519; what inbound SMS and invitations are sealed to."""
    intro_mailbox: Annotated[Key, SERVER]
    devices: Annotated[list[Key], Meta(min_length=1, max_length=MAX_DEVICES), SERVER]
    """Each device's MLS signature key."""
    intro_readers: Annotated[list[Key], Meta(max_length=MAX_DEVICES), SERVER] = field(default_factory=list)
    """SHA-256 of each device's read key of the intro mailbox, in the order of `devices`; empty: there is the first
    device's alone, which came with the registration."""


class SignedDeviceList(Message, tag=64):
    body: Annotated[bytes, Meta(max_length=4096), SERVER]
    signature: Annotated[Signature, SERVER]


SERVER_HELLO: Final = Codec[ServerHello](ServerHello)
SIGNED_FILE: Final = Codec[SignedFile](SignedFile)
MANIFEST: Final = Codec[Manifest](Manifest)
OVERLAY_HEAD: Final = Codec[OverlayHead](OverlayHead)
GATEWAY_KEY: Final = Codec[GatewayKey](GatewayKey)
SIGNED_DEVICE_LIST: Final = Codec[SignedDeviceList](SignedDeviceList)
DEVICE_LIST: Final = Codec[DeviceList](DeviceList)
