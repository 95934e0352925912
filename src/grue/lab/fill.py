"""A server's data is filled with registered numbers that belong to nobody, for demonstrations and measurements.

They go through the server's own code, in bulk. The accounts are complete but for key packages, so they are found, and
cannot be written to.
"""

import asyncio
import fcntl
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from grue.errors import UsageError
from grue.protocol import wire
from grue.protocol.conversation.devices import device_list_hash, sign_device_list
from grue.protocol.directory.record import NONCE_BYTES, Record, derive, seal
from grue.server.accounts.registration import Creation, create, intro_begin
from grue.server.directory.directory import Directory, outputs
from grue.server.keys.keys import open_keys
from grue.server.store.files import DATABASE, LOCK
from grue.server.store.interface import Tx
from grue.server.store.sqlite import open_store

HPKE_PUBLIC_BYTES: Final = 1216
"""Bytes of an MLKEM768-X25519 public key."""

BATCH: Final = 500
"""Accounts in one transaction."""


@dataclass(frozen=True)
class Member:
    """One synthetic account."""

    number: str
    devices: wire.DeviceList
    signed_list: bytes
    record: bytes
    tag: bytes


def fictional_numbers() -> Iterator[str]:
    """152,000 numbers that no operator assigns: kept for films, or in area codes that do not exist.

    North America: 555-0100 to 555-0199 in every geographic area code (ATIS-0300115). Australia: the geographic ranges
    that the ACMA keeps for creative works. Ofcom's +44 7700 900000 to 900999 is left for people to play with.
    """
    for area in range(200, 1000):
        # Two equal digits at the end mark services, toll-free numbers among them, whose 555 lines are assigned.
        if area // 10 % 10 != area % 10:
            yield from (f"+1{area}55501{line:02}" for line in range(100))
    for area in (2, 3, 7, 8):
        for exchange in ("5550", "7010"):
            yield from (f"+61{area}{exchange}{line:04}" for line in range(10_000))


def numbers(count: int, seed: int) -> list[str]:
    """`count` of the fictional numbers, the same for the same seed. Raises UsageError above 152,000."""
    every = list(fictional_numbers())
    if count > len(every):
        raise UsageError(f"There are only {len(every)} numbers that belong to nobody.")
    return random.Random(seed).sample(every, count)  # noqa: S311 -- which of them does not matter


def fill(data: Path, count: int, seed: int = 0) -> list[str]:
    """Register `count` numbers in the data of a server that is not running; returns them.

    Some 0.25 ms each. Raises UsageError while a server runs there. The same again replaces them.
    """
    return asyncio.run(filled(data, count, seed))


async def filled(data: Path, count: int, seed: int = 0) -> list[str]:
    """`fill` within an event loop."""
    chosen = numbers(count, seed)
    with _locked(data, LOCK):
        keys = open_keys(data)
        directory = Directory(data, keys)
        members = [_member(number, output) for number, output in zip(chosen, outputs(keys, chosen), strict=True)]
        store = await open_store(data / DATABASE)
        try:
            today = int(time.time()) // 86_400
            for at in range(0, len(members), BATCH):
                await store.transact(_create, members[at : at + BATCH], today)
        finally:
            await store.close()
        directory.put_many(member.record for member in members)
    return chosen


def _member(number: str, output: bytes) -> Member:
    identity = Ed25519PrivateKey.generate()
    public = identity.public_key().public_bytes_raw()
    devices = wire.DeviceList(1, public, os.urandom(HPKE_PUBLIC_BYTES), os.urandom(32), [os.urandom(32)])
    signed = sign_device_list(devices, identity)
    key = derive(output)
    record = seal(Record(devices.intro_mailbox, public, device_list_hash(signed)), key, os.urandom(NONCE_BYTES))
    return Member(number, devices, signed, record, key.tag)


async def _create(tx: Tx, members: list[Member], today: int) -> None:
    for member in members:
        await create(
            tx,
            Creation(
                account=os.urandom(16),
                tag=member.tag,
                devices=member.devices,
                signed_list=member.signed_list,
                intro_read_hash=os.urandom(32),
                incarnation=os.urandom(16),
                intro_begin=intro_begin(os.urandom),
                discoverable=True,
                week=today // 7,
                today=today,
                typed=None,
            ),
        )


@contextmanager
def _locked(data: Path, lock: str) -> Iterator[None]:
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    mask = os.umask(0o077)
    try:
        with (data / lock).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError:
        raise UsageError("A server is running on this directory. Stop it first.") from None
    finally:
        os.umask(mask)
