"""`mls_encrypt_us`, `mls_decrypt_us`, `first_contact_ms`: the cryptography of messages, through Python.

Each costs what a client pays: a session made from the stored entries, the work, and the changes taken out again.
First contact is everything of it on both sides, for two accounts with two devices each: four leaves.
"""

import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from grue._core import MlsApplication, MlsSession
from grue.protocol import wire
from grue.protocol.contents import IntroWelcome, Text
from grue.protocol.conversation import Tools
from grue.protocol.devices import credential, device_list_hash, sign_device_list
from grue.protocol.first_contact import Me, check_claimed, found, invited, open_intro
from grue.protocol.smsseal import SECRET_BYTES, public_of

MESSAGES: Final = 400
CONTACTS: Final = 15
TEXT: Final = os.urandom(256)

T = TypeVar("T")


class Device:
    """One device's entries, kept as a client keeps them."""

    def __init__(self, identity: Ed25519PrivateKey) -> None:
        self.entries: dict[bytes, bytes] = {}
        session = MlsSession({})
        self.public = session.new_identity()
        self.keep(session)
        self.credential = credential(identity, self.public)

    def keep(self, session: MlsSession) -> None:
        for key, value in session.changes().items():
            if value is None:
                self.entries.pop(key, None)
            else:
                self.entries[key] = value

    def session(self, *prefixes: bytes) -> MlsSession:
        return MlsSession({key: value for key, value in self.entries.items() if key.startswith(prefixes)})

    def package(self) -> bytes:
        session = self.session(b"s")
        package = session.key_package(self.credential, last_resort=False)
        self.keep(session)
        return package


class Person:
    """An account with two devices."""

    def __init__(self) -> None:
        identity = Ed25519PrivateKey.generate()
        self.devices = [Device(identity), Device(identity)]
        self.identity_public = identity.public_key().public_bytes_raw()
        intro = os.urandom(32)
        keys = [device.public for device in self.devices]
        listed = wire.DeviceList(1, self.identity_public, public_of(os.urandom(SECRET_BYTES)), intro, keys)
        self.list = sign_device_list(listed, identity)
        self.me = [
            Me(self.identity_public, "+447700900001", device.credential, self.list, intro, None)
            for device in self.devices
        ]

    def claimed(self) -> wire.Claimed:
        packages = [wire.ClaimedPackage(device.public, device.package()) for device in self.devices]
        return wire.Claimed(self.list, packages)


def _contact(alice: Person, bob: Person) -> tuple[float, bytes]:
    """One first contact: seconds of both sides together, and the group."""
    claimed, own_other = bob.claimed(), alice.devices[1].package()
    tools = Tools(0, os.urandom)
    start = time.perf_counter()
    peer = check_claimed(claimed, bob.identity_public, device_list_hash(bob.list), 0)
    session = alice.devices[0].session(b"s")
    step = found(session, alice.me[0], peer, Text(os.urandom(16), "hello", 0), tools, [own_other])
    alice.devices[0].keep(session)
    blob = next(o.request.blob for o in step.outgoing if isinstance(o.request, wire.PostIntro))
    for person, n in ((bob, 0), (bob, 1), (alice, 1)):
        device = person.devices[n]
        session = device.session(b"s", b"k")
        payload = open_intro(blob)
        assert isinstance(payload, IntroWelcome)
        if person is bob:
            invited(session, person.me[n], payload, lambda _group: None, lambda _identity: 0, tools)
        else:
            # The own other device follows through the same Welcome.
            session.accept_welcome(session.stage_welcome(payload.welcome))
            session.process(step.conversation.id, payload.invitation)
        device.keep(session)
    return time.perf_counter() - start, step.conversation.id


def _messages(alice: Person, bob: Person, group: bytes) -> tuple[float, float]:
    """Median seconds to encrypt, and to decrypt, one message of a group of four leaves."""
    encrypts, decrypts = [], []
    for _ in range(MESSAGES):
        took, message = _with_session(alice.devices[0], group, lambda s: s.encrypt(group, TEXT, b""))
        encrypts.append(took)
        took, opened = _with_session(bob.devices[0], group, partial(_open, group=group, message=message))
        decrypts.append(took)
        assert isinstance(opened, MlsApplication)
        assert opened.plaintext == TEXT
    return statistics.median(encrypts), statistics.median(decrypts)


def _open(session: MlsSession, group: bytes, message: bytes) -> object:
    return session.process(group, message)


def _with_session(device: Device, group: bytes, act: Callable[[MlsSession], T]) -> tuple[float, T]:
    entries = {key: value for key, value in device.entries.items() if key.startswith((b"s", b"g" + group))}
    start = time.perf_counter()
    session = MlsSession(entries)
    result = act(session)
    device.keep(session)
    return time.perf_counter() - start, result


def measure() -> list[dict[str, Any]]:
    """Medians of many."""
    alice, bob = Person(), Person()
    contacts = [_contact(alice, bob) for _ in range(CONTACTS)]
    encrypt, decrypt = _messages(alice, bob, contacts[-1][1])
    first = statistics.median(seconds for seconds, _ in contacts)
    return [
        {"id": "mls_encrypt_us", "value": round(encrypt * 1e6), "unit": "us", "reach": 300},
        {"id": "mls_decrypt_us", "value": round(decrypt * 1e6), "unit": "us", "reach": 300},
        {"id": "first_contact_ms", "value": round(first * 1e3, 1), "unit": "ms", "reach": 60},
    ]
