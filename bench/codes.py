"""`takeover_per_restart`: how many numbers one attacker takes over by guessing right after a server starts.

The attacker has the server's answers and no SMS. Simulated: a server is started five times, and handed what would
be the right codes of some numbers, of this window and the last, which nobody was sent. Computed: the share of them that
is taken, times the guesses that the attacker has time for, a millionth of which is right.

`takeover_while_in_use`: how many numbers that a device uses are taken within the week in which they are held, by
somebody who receives their SMS. Simulated: the server is started anew every day, and handed a new code and then the
same again.
"""

import asyncio
import os
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from grue.lab.fill import HPKE_PUBLIC_BYTES
from grue.protocol import wire
from grue.protocol.conversation.devices import sign_device_list
from grue.protocol.registration import CODE_DIGITS, CODE_WINDOW, HOLD_DAYS
from grue.server.accounts import codes
from grue.server.accounts.codes import Caps
from grue.server.accounts.registration import Creation, Until, create, intro_begin
from grue.server.clock import DAY
from grue.server.keys.keys import open_keys
from grue.server.store.sqlite import open_store

NUMBERS: Final = 500

GUESSES: Final = 700_000
"""What one client hands in within the 20 minutes after a start, some 600 a second, of as many numbers as it takes."""

CLAIMED: Final = 50
"""Numbers in use that somebody claims who receives their SMS."""

UNCAPPED: Final = Caps(10**9, 10**9)

NOW: Final = 3_000_000 * CODE_WINDOW


def measure() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="grue-bench-") as scratch:
        taken = asyncio.run(_taken(Path(scratch)))
    with tempfile.TemporaryDirectory(prefix="grue-bench-") as scratch:
        early = asyncio.run(_taken_early(Path(scratch)))
    share = taken / (2 * NUMBERS)
    expected = GUESSES * share / 10**CODE_DIGITS
    return [
        {"id": "takeover_per_restart", "value": round(expected, 3), "unit": "", "reach": 0},
        {"id": "takeover_while_in_use", "value": early, "unit": "", "reach": 0},
    ]


async def _taken(data: Path) -> int:
    """How many right codes that were never sent are taken by a server that has just started."""
    keys, taken = open_keys(data), 0
    for start in range(0, NUMBERS, NUMBERS // 5):
        store = await open_store(data / "server.db")
        for n in range(start, start + NUMBERS // 5):
            number, identity = f"+4477009{n:05}", os.urandom(32)
            for window in (NOW // CODE_WINDOW, NOW // CODE_WINDOW - 1):
                code = codes.make_code(keys, number, identity, window)
                typed = codes.read(keys, number, identity, code, NOW)
                taken += await store.transact(codes.check, typed, NOW // CODE_WINDOW, NOW // DAY)
        await store.close()
    return taken


# --- by who receives the SMS ----------------------------------------------------------------------


async def _taken_early(data: Path) -> int:
    """How many numbers in use are given away within the hold; each is when it is over, or nothing was measured."""
    keys, early = open_keys(data), 0
    numbers = [f"+4477009{n:05}" for n in range(CLAIMED)]
    owners, claimants = ([_Person() for _ in numbers] for _ in range(2))
    for day in range(HOLD_DAYS + 1):
        given = 0
        # Anew each day: nothing of a claim is in memory.
        store = await open_store(data / "server.db")
        now = NOW + day * DAY
        for number, owner, claimant in zip(numbers, owners, claimants, strict=True):
            if day == 0:
                await store.transact(create, owner.creation(number, None, now))
            names = codes.names_of(keys, number, claimant.public)
            await store.transact(codes.take, names, UNCAPPED, now)
            code = codes.make_code(keys, number, claimant.public, now // CODE_WINDOW)
            for _ in range(2):
                typed = codes.read(keys, number, claimant.public, code, now)
                assert await store.transact(codes.check, typed, now // CODE_WINDOW, now // DAY)
                answer = await store.transact(create, claimant.creation(number, typed, now))
            given += not isinstance(answer, Until)
        await store.close()
        early = max(early, given) if day < HOLD_DAYS else early
    if given != CLAIMED:
        raise RuntimeError(f"the second proof after the hold took {given} of {CLAIMED} numbers")
    return early


class _Person:
    def __init__(self) -> None:
        identity = Ed25519PrivateKey.generate()
        self.public = identity.public_key().public_bytes_raw()
        self._intro_read_hash = os.urandom(32)
        self._devices = wire.DeviceList(1, self.public, os.urandom(HPKE_PUBLIC_BYTES), os.urandom(32), [os.urandom(32)])
        self._signed = sign_device_list(self._devices, identity)

    def creation(self, number: str, typed: codes.Typed | None, now: int) -> Creation:
        today = now // DAY
        return Creation(
            account=os.urandom(16),
            tag=sha256(number.encode()).digest(),
            devices=self._devices,
            signed_list=self._signed,
            intro_read_hash=self._intro_read_hash,
            incarnation=os.urandom(16),
            intro_begin=intro_begin(os.urandom),
            discoverable=True,
            week=today // 7,
            today=today,
            typed=typed,
        )
