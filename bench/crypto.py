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

from grue._core import MlsApplication, MlsSession
from grue.protocol import wire
from grue.protocol.conversation.contents import IntroWelcome, Text
from grue.protocol.conversation.first_contact import invited, open_intro, start_conversation
from tests.protocol.people import TOOLS, Device, Person

MESSAGES: Final = 400
CONTACTS: Final = 15
TEXT: Final = os.urandom(256)

T = TypeVar("T")


def _contact(alice: Person, bob: Person) -> tuple[float, bytes]:
    """One first contact: seconds of both sides together, and the group."""
    claimed, own_other = bob.claimed(), alice.devices[1].package()
    start = time.perf_counter()
    peer = bob.checked(claimed)
    session = _session(alice.device, b"s")
    step = start_conversation(session, alice.device.me, peer, Text(os.urandom(16), "hello", 0), TOOLS, [own_other])
    alice.device.keep(session)
    blob = next(o.request.blob for o in step.outgoing if isinstance(o.request, wire.PostIntro))
    for device in (*bob.devices, alice.devices[1]):
        payload = open_intro(blob, device.secret)
        assert isinstance(payload, IntroWelcome)
        session = _session(device, b"s", b"k")
        if device in bob.devices:
            invited(session, device.me, payload, lambda _group: None, lambda _identity: 0, TOOLS)
        else:
            # What the own other device will cost; the library has no such devices yet.
            session.accept_welcome(session.stage_welcome(payload.welcome))
            session.process(step.conversation.id, payload.invitation)
        device.keep(session)
    return time.perf_counter() - start, step.conversation.id


def _messages(alice: Person, bob: Person, group: bytes) -> tuple[float, float]:
    """Median seconds to encrypt, and to decrypt, one message of a group of four leaves."""
    encrypts, decrypts = [], []
    for _ in range(MESSAGES):
        took, message = _with_session(alice.device, group, lambda s: s.encrypt(group, TEXT, b""))
        encrypts.append(took)
        took, opened = _with_session(bob.device, group, partial(_open, group=group, message=message))
        decrypts.append(took)
        assert isinstance(opened, MlsApplication)
        assert opened.plaintext == TEXT
    return statistics.median(encrypts), statistics.median(decrypts)


def _session(device: Device, *prefixes: bytes) -> MlsSession:
    return MlsSession({key: value for key, value in device.entries.items() if key.startswith(prefixes)})


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
    alice, bob = Person("+447700900001", devices=2), Person("+447700900002", devices=2)
    contacts = [_contact(alice, bob) for _ in range(CONTACTS)]
    encrypt, decrypt = _messages(alice, bob, contacts[-1][1])
    first = statistics.median(seconds for seconds, _ in contacts)
    return [
        {"id": "mls_encrypt_us", "value": round(encrypt * 1e6), "unit": "us", "reach": 300},
        {"id": "mls_decrypt_us", "value": round(decrypt * 1e6), "unit": "us", "reach": 300},
        {"id": "first_contact_ms", "value": round(first * 1e3, 1), "unit": "ms", "reach": 60},
    ]
