"""`client.devices`: the devices of the own account, one of which is this home."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import date
from typing import Final

from grue.client.account import calendar_day
from grue.client.context import Account, Opened, Random, load_account
from grue.client.conversations import sync
from grue.client.conversations.once import Parts
from grue.client.devices import link as links
from grue.client.devices import manage
from grue.client.devices.link import Linking, Met, check_no_account
from grue.client.store.engine import Db
from grue.client.transport.transport import Transport
from grue.errors import CannotManage, CodesDiffer, NetworkError, NoSuchDevice, UsageError
from grue.protocol.conversation.contents import MAX_DEVICE_NAME, Kind, LinkRefused
from grue.protocol.conversation.devices import verify_device_list
from grue.protocol.urls import check_url

ID_DIGITS: Final = 16
"""64 bits of a key, as of other ids."""


@dataclass(frozen=True)
class Device:
    """One device of the account."""

    id: str
    """The beginning of its key, 16 hexadecimal digits."""
    name: str
    """What its owner calls it; empty for one that nobody has named."""
    own: bool
    """It is this home."""
    manages: bool
    """It holds the identity key: it can link and remove devices, and cannot be removed without a new identity."""
    last_seen: date | None
    """The day on which it said last that it is in use; None when it has not yet."""


class NewDevice:
    """A home that waits to be linked. `link` is for the account's device; then `meet`, and `finish` or `refuse`."""

    def __init__(self, linking: Linking, assemble: Callable[[Account, Linking], Awaitable[None]]) -> None:
        self._linking = linking
        self._assemble = assemble
        self.link = linking.link
        """To be shown to the account's device, as text or QR code; whoever sees it can get in between, and is
        noticed by other digits."""

    async def meet(self) -> str:
        """Wait, ten minutes at most, until the link is used; returns six digits.

        Raises LinkExpired, LinkUsed, FalseLink.
        """
        return await self._linking.meet()

    @property
    def number(self) -> str:
        """Whose account it would be, after `meet`: to be shown beside the digits."""
        return self._linking.number

    async def finish(self) -> str:
        """The digits are the same on both: wait for the other side's yes; returns the account's number.

        Raises LinkDeclined, LinkExpired, FalseLink, AlreadyRegistered.
        """
        account = await self._linking.account()
        await self._assemble(account, self._linking)
        return account.number

    async def refuse(self) -> None:
        """The digits differ: nothing is linked, and the other side is told."""
        await self._linking.refuse()


class AskingDevice:
    """A device that asks to be linked. Show what it is called and the digits; then `accept` or `refuse`."""

    def __init__(self, met: Met, take_in: Callable[[Met], Awaitable[None]]) -> None:
        self._met = met
        self._take_in = take_in
        self.name = met.hello.name
        """What it calls itself."""
        self.manages = met.hello.manages
        """It asks for the identity key, to link and remove devices itself."""
        self.code = met.code
        """Six digits, to be compared with what it shows."""

    async def accept(self, code: str | None = None) -> None:
        """Take it in: it is put on the device list, told the account, and added to every conversation.

        code  the digits as the other device shows them; with others nothing is linked (CodesDiffer)
        Raises NetworkError, LinkExpired, NotPermitted for a device of another account.
        """
        if code is not None and "".join(code.split()) != self.code:
            await self.refuse()
            raise CodesDiffer
        await self._take_in(self._met)

    async def refuse(self) -> None:
        """Nothing is linked, and the other side is told."""
        await self._met.talk.say(LinkRefused())
        await self._met.talk.leave()


class Devices:
    """The devices of the own account. Those with its identity key link and remove; others raise CannotManage."""

    def __init__(
        self,
        opened: Opened,
        parts: Callable[[], Parts],
        connect: Callable[[str, bytes], Awaitable[Transport]],
        assemble: Callable[[Account, Linking], Awaitable[None]],
        random: Random,
    ) -> None:
        self._opened = opened
        self._parts = parts
        self._connect = connect
        self._assemble = assemble
        self._random = random

    @asynccontextmanager
    async def link(self, server: str, name: str, *, can_manage: bool = False) -> AsyncIterator[NewDevice]:
        """Offer this home, which has no account, as a further device of one at this server.

        name        what it is called on the account's other devices
        can_manage  ask for the identity key as well: only with it devices are linked and removed
        Raises UsageError, AlreadyRegistered, NetworkError.
        """
        server, name = check_url(server), checked_name(name)
        await self._opened.store.read(check_no_account)
        transport = await self._connect(server, b"")
        await transport.hello()
        yield NewDevice(Linking(self._opened.store, transport, server, name, can_manage, self._random), self._assemble)

    async def accept(self, link: str) -> AskingDevice:
        """Meet the device that shows this link, and say what it is. A `post` token.

        Raises UsageError (no link), CannotManage, TooManyDevices, LinkUsed, LinkExpired, FalseLink, NetworkError.
        """
        context = self._opened.ready

        async def take_in(met: Met) -> None:
            await links.take_in(context, self._parts(), met)

        return AskingDevice(await links.meet(context, link), take_in)

    async def list(self) -> list[Device]:
        """Return the devices of the account, in the order in which they came, as far as this one knows."""
        _ = self._opened.ready
        return await self._opened.store.read(_listed)

    async def rename(self, device: str, name: str) -> Device:
        """Call a device something, on all of them. Raises NoSuchDevice, UsageError.

        device  its name, where only one is called so, or its id
        """
        context, name = self._opened.ready, checked_name(name)
        key = await context.store.read(_key_of, device)
        await context.store.transact(sync.put, Kind.NAME, key, name.encode(), context.now_ms)
        with suppress(NetworkError):
            await self._parts().send()
        return next(one for one in await self.list() if one.id == key.hex()[:ID_DIGITS])

    async def remove(self, device: str) -> Device:
        """Remove a device, which has no say in it: a new list, new keys and another mailbox for every conversation.

        Returns what it was. Raises NoSuchDevice, CannotManage, HoldsIdentity (its own key signs lists: only a new
        identity is without it), UsageError, NetworkError.
        """
        context = self._opened.ready
        key = await context.store.read(_key_of, device)
        gone = next(one for one in await self.list() if one.id == key.hex()[:ID_DIGITS])
        await manage.remove(context, self._parts(), key)
        return gone

    async def leave_identity(self) -> str:
        """Give up the identity key that another device holds, and the account; returns the number, to `register` anew.

        Messages and the address book stay here. The contacts are told that the key changed, groups have to add us
        again, and every other device has to be linked again. Raises CannotManage, NetworkError.
        """
        context = self._opened.ready
        account = await context.store.read(load_account)
        if not account.manages:
            raise CannotManage
        await manage.leave_identity(context)
        self._opened.leave()
        return account.number


def _key_of(db: Db, device: str) -> bytes:
    """The key of a device by its name or id. Raises NoSuchDevice."""
    listed = verify_device_list(load_account(db).device_list).devices
    names = sync.values_of(db, Kind.NAME)
    found = [key for key in listed if device in (key.hex()[:ID_DIGITS], names.get(key, b"").decode(errors="replace"))]
    if len(found) != 1 or not device:
        raise NoSuchDevice
    return found[0]


def checked_name(name: str) -> str:
    """A device's name as it is stored. Raises UsageError."""
    name = " ".join(name.split())
    if not name or len(name) > MAX_DEVICE_NAME or not name.isprintable():
        raise UsageError(f"A device's name has 1 to {MAX_DEVICE_NAME} characters that can be seen.")
    return name


def _listed(db: Db) -> list[Device]:
    account = load_account(db)
    devices = verify_device_list(account.device_list, account.identity_public).devices
    names, days = sync.values_of(db, Kind.NAME), sync.values_of(db, Kind.DAY)
    holders = sync.values_of(db, Kind.HOLDER)
    return [
        Device(
            id=key.hex()[:ID_DIGITS],
            name=names.get(key, b"").decode(errors="replace"),
            own=key == account.device_public,
            manages=key in holders or (len(devices) == 1),
            last_seen=calendar_day(int(days[key])) if days.get(key, b"").isdigit() else None,
        )
        for key in devices
    ]
