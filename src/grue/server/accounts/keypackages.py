"""Key packages: a device leaves some at the server, and strangers take them to write to it while it is away."""

import asyncio
from hashlib import sha256
from hmac import compare_digest
from typing import Final, cast

from grue._core import mls_key_package_member
from grue.errors import BadRequest, NoKeyPackages, TooLarge
from grue.protocol import wire
from grue.server.store.interface import Tx

PACKAGE_WEEKS: Final = 13
"""Weeks a device's key packages are handed out: their private halves stay on the device that long."""

LAST_RESORT_WEEKS: Final = 52
"""Weeks the last-resort package is handed out; the device replaces it long before."""


async def check(request: wire.UploadKeyPackages, device_public: bytes) -> None:
    """KEYPACKAGE-01: every package is valid and the uploading device's. Raises BadRequest.

    Some 100 us a package, outside the event loop.
    """
    packages = [*request.packages, request.last_resort] if request.last_resort else request.packages
    await asyncio.to_thread(_check_all, packages, device_public)


def _check_all(packages: list[bytes], device_public: bytes) -> None:
    for package in packages:
        try:
            key = bytes(mls_key_package_member(package).signature_key)
        except Exception:  # noqa: BLE001 -- whatever the core finds wrong with it, the request is bad
            raise BadRequest from None
        if not compare_digest(key, device_public):
            raise BadRequest


async def upload(tx: Tx, request: wire.UploadKeyPackages, device_public: bytes, week: int) -> int:
    """Store checked packages; one that is there already stays as it is. Returns how many are left to claim.

    KEYPACKAGE-04: all of a device's packages expire together, those that fill up as the first of them, so that their
    expiry does not tell when somebody new wrote. Raises TooLarge (KEYPACKAGE-02) above `wire.MAX_KEY_PACKAGES`.
    """
    expires = await _expiry(tx, device_public, week) or week + PACKAGE_WEEKS
    for package in request.packages:
        await _insert(tx, package, device_public, 0, expires)
    if request.last_resort:
        await tx.run("DELETE FROM key_package WHERE device_pub = $1 AND last_resort = 1", device_public)
        await _insert(tx, request.last_resort, device_public, 1, week + LAST_RESORT_WEEKS)
    left = await count(tx, device_public, week)
    if left > wire.MAX_KEY_PACKAGES:
        raise TooLarge
    return left


async def _expiry(tx: Tx, device_public: bytes, week: int) -> int | None:
    """The week in which what a device has here expires, the last resort aside."""
    row = await tx.row(
        "SELECT min(expires_week) FROM key_package WHERE device_pub = $1 AND last_resort = 0 AND expires_week > $2",
        device_public, week,
    )  # fmt: skip
    return cast("int | None", row[0]) if row else None


async def after_restore(tx: Tx) -> None:
    """A backup holds packages that were claimed since, whose devices have destroyed the private part: hand out no more
    of them. Last resorts stay good, and devices bring new ones when they meet the new incarnation.
    """
    await tx.run("DELETE FROM key_package WHERE last_resort = 0")


async def _insert(tx: Tx, package: bytes, device_public: bytes, last_resort: int, expires_week: int) -> None:
    await tx.run(
        "INSERT INTO key_package (device_pub, ref, last_resort, expires_week, blob) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT DO NOTHING",
        device_public, sha256(package).digest()[:16], last_resort, expires_week, package,
    )  # fmt: skip


async def count(tx: Tx, device_public: bytes, week: int) -> int:
    """Packages of a device that can still be claimed, the last resort aside."""
    row = await tx.row(
        "SELECT count(*) FROM key_package WHERE device_pub = $1 AND last_resort = 0 AND expires_week > $2",
        device_public, week,
    )  # fmt: skip
    return cast("int", row[0]) if row else 0


async def claim(tx: Tx, intro_mailbox: bytes, week: int) -> wire.Claimed:
    """Take one package per device of an account. A device that has none left gives its last resort, which stays.

    Raises NoKeyPackages when there is no such account, or no device of it has any. KEYPACKAGE-03: no package
    but the last resort is ever given twice.
    """
    account = await tx.row("SELECT account, device_list FROM account WHERE intro_mailbox = $1", intro_mailbox)
    if account is None:
        raise NoKeyPackages
    devices = await tx.rows(
        "SELECT device_pub FROM device WHERE account = $1 ORDER BY device_pub LIMIT $2", account[0], wire.MAX_DEVICES
    )
    packages = []
    for (device,) in cast("list[tuple[bytes]]", devices):
        package = await _take(tx, device, week)
        if package is not None:
            packages.append(wire.ClaimedPackage(device, package))
    if not packages:
        raise NoKeyPackages
    return wire.Claimed(cast("bytes", account[1]), packages)


async def _take(tx: Tx, device_public: bytes, week: int) -> bytes | None:
    row = await tx.row(
        "DELETE FROM key_package WHERE device_pub = $1 AND ref = (SELECT ref FROM key_package"
        " WHERE device_pub = $1 AND last_resort = 0 AND expires_week > $2 ORDER BY ref LIMIT 1) RETURNING blob",
        device_public, week,
    )  # fmt: skip
    if row is None:
        row = await tx.row(
            "SELECT blob FROM key_package WHERE device_pub = $1 AND last_resort = 1 AND expires_week > $2",
            device_public, week,
        )  # fmt: skip
    return cast("bytes", row[0]) if row else None


async def delete(tx: Tx, device_public: bytes) -> None:
    """Remove all packages of a device that is gone."""
    await tx.run("DELETE FROM key_package WHERE device_pub = $1", device_public)


async def expire(tx: Tx, week: int) -> None:
    await tx.run("DELETE FROM key_package WHERE expires_week <= $1", week)
