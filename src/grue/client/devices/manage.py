"""Devices are removed and called something; and once a day each says to the others that it is in use."""

from typing import Final

from grue.client.account import forget
from grue.client.context import Account, Context, load_account, save_account
from grue.client.conversations import own_devices, sync
from grue.client.conversations.once import Parts
from grue.client.devices.link import publish, unlist
from grue.client.signing import signed
from grue.client.store.engine import Db, as_int
from grue.errors import CannotManage, HoldsIdentity, Refused, UsageError
from grue.protocol import wire
from grue.protocol.conversation.contents import Kind

DAY_MS: Final = 24 * 3600 * 1000

RENEW_PACKAGE_MS: Final = 7 * DAY_MS
"""How long the own other devices add this one by the same key package: what it keeps opens their Welcomes so long."""


async def remove(context: Context, parts: Parts, device: bytes) -> None:
    """Take a device off the list, and out of every conversation, each of which gets new keys and another mailbox.

    It takes no part in that. Raises CannotManage, HoldsIdentity, UsageError, NetworkError (nothing was changed, unless
    the server has taken the list: then the next connection goes on).
    """
    before = await context.store.read(load_account)
    _check_may_remove(before, device, await context.store.read(sync.values_of, Kind.HOLDER))
    await context.store.transact(unlist, context, device)
    try:
        await publish(context)
    except Refused:
        await context.store.transact(save_account, before)
        context.account = before
        raise
    await parts.own.tell()
    await parts.send()
    await parts.look_after()


async def leave_identity(context: Context) -> None:
    """Give the identity up, with all that hold it: the server forgets the account; the number is registered anew.

    Raises NetworkError; then nothing was changed.
    """
    await signed(context, wire.DeleteAccount(), wire.Done)
    await context.store.transact(forget)


def say_in_use(db: Db, context: Context) -> None:
    """Once a day: this device is in use. Now and then it is added by another key package from then on."""
    if sync.own_group(db) is None:
        return
    account, day = load_account(db), context.now_ms // DAY_MS
    sync.put(db, Kind.DAY, account.device_public, str(day).encode(), context.now_ms)
    row = db.row("SELECT time FROM synced WHERE kind = ? AND key = ?", Kind.PACKAGE.value, account.device_public)
    if row is None or context.now_ms - as_int(row[0]) > RENEW_PACKAGE_MS:
        own_devices.make_package(db, context)


def _check_may_remove(account: Account, device: bytes, holders: dict[bytes, bytes]) -> None:
    if not account.manages:
        raise CannotManage
    if device == account.device_public:
        raise UsageError("That is this device. Remove it from another one.")
    if device in holders:
        raise HoldsIdentity
