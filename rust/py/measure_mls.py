"""Measure `grue._core` as a client uses it: `python rust/py/measure_mls.py` after `make setup`.

Each message is encrypted or opened in a session of its own, made from the stored entries; making it and taking its
changes are part of the time. Prints medians of 300 in microseconds, for groups in their fourth epoch.
"""

import os
import statistics
import sys
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from grue import _core

GROUP = os.urandom(32)
ENTRIES = b"g" + GROUP


class Device:
    """Stored entries, and who they belong to."""

    def __init__(self) -> None:
        self.entries: dict[bytes, bytes] = {}
        identity = Ed25519PrivateKey.generate()
        session = _core.MlsSession({})
        certified = _core.MLS_CERTIFICATE_CONTEXT + session.new_identity()
        self.store(session)
        self.credential = _core.mls_credential(identity.public_key().public_bytes_raw(), identity.sign(certified))

    def session(self, *prefixes: bytes) -> _core.MlsSession:
        """Over the entries under these prefixes."""
        return _core.MlsSession({key: value for key, value in self.entries.items() if key.startswith(prefixes)})

    def store(self, session: _core.MlsSession) -> None:
        """Keep what a session changed."""
        for key, value in session.changes().items():
            if value is None:
                self.entries.pop(key, None)
            else:
                self.entries[key] = value


def gather(size: int) -> tuple[Device, Device, float, float]:
    """Two of `size` devices in one group; the milliseconds that founding and joining it took."""
    devices = [Device() for _ in range(size)]
    packages = []
    for device in devices[1:]:
        session = device.session(b"s")
        packages.append(session.key_package(device.credential, last_resort=False))
        device.store(session)
    founder, member = devices[:2]
    start = time.perf_counter()
    session = founder.session(b"s")
    session.create(GROUP, founder.credential)
    welcome = session.commit(GROUP, packages, [], b"").welcome
    session.accepted(GROUP)
    founder.store(session)
    founded = time.perf_counter()
    session = member.session(b"s", b"k")
    session.accept_welcome(session.stage_welcome(welcome or b""))
    member.store(session)
    return founder, member, (founded - start) * 1e3, (time.perf_counter() - founded) * 1e3


def advance(founder: Device, member: Device) -> None:
    """One commit of the founder, followed by the member."""
    session = founder.session(b"s", ENTRIES)
    commit = session.commit(GROUP, [], [], b"")
    session.accepted(GROUP)
    founder.store(session)
    session = member.session(ENTRIES)
    staged = session.process(GROUP, commit.message)
    assert isinstance(staged, _core.MlsStagedCommit)
    session.merge(GROUP, staged)
    member.store(session)


def exchange(founder: Device, member: Device) -> tuple[float, float]:
    """Microseconds to encrypt and to open one message of 256 bytes."""
    start = time.perf_counter()
    session = founder.session(b"s", ENTRIES)
    message = session.encrypt(GROUP, bytes(256), b"")
    founder.store(session)
    encrypted = time.perf_counter()
    session = member.session(ENTRIES)
    session.process(GROUP, message)
    member.store(session)
    return (encrypted - start) * 1e6, (time.perf_counter() - encrypted) * 1e6


def main() -> None:
    """Print one line for each size of group."""
    for size in (2, 4, 8, 32, 128):
        founder, member, founding, joining = gather(size)
        for _ in range(3):
            advance(founder, member)
        times = [exchange(founder, member) for _ in range(300)]
        encrypting, opening = (statistics.median(column) for column in zip(*times, strict=True))
        sys.stdout.write(
            f"{size:4} devices: found {founding:6.1f} ms, join {joining:5.1f} ms,"
            f" encrypt {encrypting:5.0f} us, open {opening:5.0f} us\n"
        )


if __name__ == "__main__":
    main()
