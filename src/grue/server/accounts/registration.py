"""The registration role: it sends a code by SMS, makes an account for who got it, and lists that in the directory."""

import asyncio
import hmac
from collections.abc import Callable
from typing import Final, NamedTuple, cast
from weakref import WeakValueDictionary

from grue.errors import (
    BadKeyPackage,
    BadRecord,
    BadRequest,
    CodeWrong,
    GrueError,
    MailboxConflict,
    NotANumber,
    NotPermitted,
)
from grue.protocol import numbers, wire
from grue.protocol.conversation.devices import device_list_hash, verify_device_list
from grue.protocol.directory.record import NONCE_BYTES, Record, RecordKey, open_record, seal
from grue.protocol.registration import CODE_DIGITS, CODE_WINDOW
from grue.server.accounts import claims, codes, keypackages
from grue.server.accounts.codes import Caps, Typed
from grue.server.context import Context
from grue.server.directory.directory import Directory, record_key
from grue.server.mailboxes import mailboxes
from grue.server.sms import sms
from grue.server.sms.sms import SmsRole
from grue.server.store.interface import Tx

ACCOUNT_WEEKS: Final = 52
"""Weeks an account lives after a check-in; its number may have another owner by then."""

EXPIRED_AT_ONCE: Final = 200
"""Accounts that one step of the sweep reads, a few milliseconds; it goes on until none is due."""

SMS_TEXT: Final = "{code} is your Grue code. Nobody from Grue will ask you for it."
"""One SMS of GSM-7 characters."""


# --- requests -------------------------------------------------------------------------------------


class Registration:
    """The registration role of one server."""

    def __init__(self, context: Context, directory: Directory, sms: SmsRole | None, caps: Caps) -> None:
        self._context = context
        self._caps = caps
        self._directory = directory
        self._sms = sms
        self._locks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        """By tag; one lives as long as somebody holds it or waits for it."""

    async def start(self, request: wire.RegisterStart) -> wire.CodeSent | wire.Refusal:
        """Send a code to the number, if it may have one.

        REGISTRATION-03 the number is a person's, in E.164 (NotANumber).
        REGISTRATION-04 there were few enough within an hour, for the number (TooManyCodes), for its beginning and in
        all (CodesUsedUp). Raises also what `sms.send_code` raises.
        """
        if (refusal := _refuse_number(request.number)) is not None:
            return refusal
        keys, store, now = self._context.keys, self._context.store, int(self._context.clock())
        names = codes.names_of(keys, request.number, request.identity_public)
        window = now // CODE_WINDOW
        # Before it goes: a code that somebody holds is never unknown here, not even after a crash.
        digits = await store.transact(codes.take, names, self._caps, now)
        code = codes.make_code(keys, request.number, request.identity_public, window, digits)
        try:
            await sms.send_code(self._sms, request.number, SMS_TEXT.format(code=_written(code)))
        except GrueError:
            await store.transact(codes.give_back, names, window)
            raise
        return wire.CodeSent(2 * CODE_WINDOW - now % CODE_WINDOW)

    async def finish(self, request: wire.RegisterFinish) -> wire.Registered | wire.Held | wire.Refusal:
        """Create the account, or find the same identity's again; its record is in the directory on return.

        REGISTRATION-03, and -06 for the code. REGISTRATION-05 the device list is signed by its identity key
        (BadRequest). Then REGISTRATION-07 and -08 in `create`.
        """
        if (refusal := _refuse_number(request.number)) is not None:
            return refusal
        context = self._context
        devices = _verified(request.device_list)
        identity = devices.identity_public
        now = int(context.clock())
        typed = codes.read(context.keys, request.number, identity, request.code, now)
        if not await context.store.transact(codes.check, typed, now // CODE_WINDOW, context.today):
            raise CodeWrong
        key = record_key(context.keys, request.number)
        new = Creation(
            account=context.random(16),
            tag=key.tag,
            devices=devices,
            signed_list=request.device_list,
            intro_read_hash=request.intro_read_hash,
            incarnation=context.random(16),
            intro_begin=intro_begin(context.random),
            discoverable=request.discoverable,
            week=context.week,
            today=context.today,
            typed=typed,
        )
        async with self._one_at_a_time(key.tag):
            account = await context.store.transact(create, new)
            if isinstance(account, Until):
                return wire.Held(account.day)
            await self._publish(key, devices, request.device_list, request.discoverable)
        return wire.Registered(account)

    async def check_in(self, account: bytes, request: wire.CheckIn) -> wire.Done:
        """Keep an account alive, and put its present device list into the directory.

        REGISTRATION-05, and REGISTRATION-09 the number and the identity are the account's (NotPermitted).
        """
        devices = _verified(request.device_list)
        key = record_key(self._context.keys, request.number)
        async with self._one_at_a_time(key.tag):
            await self._context.store.transact(
                _update, account, key.tag, devices, request.device_list, request.discoverable, self._context.week
            )
            await self._publish(key, devices, request.device_list, request.discoverable)
        return wire.Done()

    async def delete_account(self, account: bytes) -> wire.Done:
        """Remove the account with all that belongs to it."""
        tag = await self._context.store.read(_tag_of_account, account)
        if tag is not None:
            async with self._one_at_a_time(tag):
                await self._remove(account, tag)
        return wire.Done()

    async def expire(self) -> None:
        """Delete the accounts that have not checked in for `ACCOUNT_WEEKS`, a transaction each."""
        while due := await self._context.store.read(_expired, self._context.week):
            for account, tag in due:
                async with self._one_at_a_time(tag):
                    # It may have checked in while those before it were deleted.
                    if await self._context.store.read(_is_due, account, self._context.week):
                        await self._remove(account, tag)

    async def _remove(self, account: bytes, tag: bytes) -> None:
        # The record first: after a crash in between, the account is still there to be deleted again.
        await self._directory.remove(tag)
        await self._context.store.transact(_delete, account)

    def _one_at_a_time(self, tag: bytes) -> asyncio.Lock:
        """Account and record change together for one number, or two registrations at once would leave one of each."""
        return self._locks.setdefault(tag, asyncio.Lock())

    async def _publish(self, key: RecordKey, devices: wire.DeviceList, signed: bytes, discoverable: bool) -> None:
        """Put the record into the directory, or take it out; nothing when it says the same already."""
        record = Record(devices.intro_mailbox, devices.identity_public, device_list_hash(signed))
        if not discoverable:
            await self._directory.remove(key.tag)
        elif not _says(self._directory.find(key.tag), key, record):
            await self._directory.put(seal(record, key, self._context.random(NONCE_BYTES)))


def _written(code: str) -> str:
    """As it is easily typed: a long code in groups of four."""
    return "-".join(code[at : at + 4] for at in range(0, len(code), 4)) if len(code) > CODE_DIGITS else code


def _refuse_number(number: str) -> wire.Refusal | None:
    """A refusal for what is no person's number in E.164; a mistyped number is no fault to be logged."""
    try:
        if numbers.parse(number) == number:
            return None
    except NotANumber as error:
        return wire.Refusal(error.code)
    return wire.Refusal(NotANumber.code)


def _verified(signed: bytes) -> wire.DeviceList:
    try:
        return verify_device_list(signed)
    except BadKeyPackage:
        raise BadRequest("(the device list)") from None


def _says(sealed: bytes | None, key: RecordKey, record: Record) -> bool:
    try:
        return sealed is not None and open_record(sealed, key) == record
    except BadRecord:
        return False


# --- transactions ---------------------------------------------------------------------------------


class Creation(NamedTuple):
    """An account to create, as far as it does not depend on what is there."""

    account: bytes
    tag: bytes
    devices: wire.DeviceList
    signed_list: bytes
    intro_read_hash: bytes
    incarnation: bytes
    intro_begin: int
    discoverable: bool
    week: int
    today: int
    typed: Typed | None
    """The code by which it is made, unless it is made up. One that has served may find an account, but not make one."""


class Until(NamedTuple):
    """A claim is held until this day."""

    day: int


async def create(tx: Tx, new: Creation) -> "bytes | Until":
    """Create an account with its devices and its intro mailbox; returns its id, an earlier one if it is the same.

    REGISTRATION-07 another identity's account under this number is removed, the code shows whose the number is now; but
    while a device of it is active the claim is held, and a second proof after `HOLD_DAYS` or a release ends the hold.
    REGISTRATION-08 the intro mailbox and the devices are no other account's (MailboxConflict, NotPermitted), and the
    device list is not older than the one stored (NotPermitted).
    """
    account = await _same_account(tx, new)
    served = new.typed is not None and await codes.use(tx, new.typed)
    if account is None and new.typed is not None and await _is_active(tx, new.tag, new.week):
        try:
            day = await claims.claim(
                tx, new.tag, new.devices.identity_public, new.signed_list, new.today, may_begin=not served
            )
        except NotPermitted:
            raise CodeWrong from None
        if day is not None:
            return Until(day)
    elif served and account is None:
        raise CodeWrong
    await _check_intro(tx, account or new.account, new.devices.intro_mailbox)
    if account is None:
        account = new.account
        await _insert(tx, new)
    else:
        await _update(tx, account, new.tag, new.devices, new.signed_list, new.discoverable, new.week)
    intro = new.devices.intro_mailbox
    await mailboxes.create_intro(tx, intro, new.intro_read_hash, new.incarnation, new.today, new.intro_begin)
    if new.devices.intro_readers:
        await mailboxes.set_readers(tx, intro, new.devices.intro_readers)
    return account


def intro_begin(random: Callable[[int], bytes]) -> int:
    """Where a new intro mailbox begins to count."""
    return int.from_bytes(random(4), "big") >> 32 - mailboxes.INTRO_BEGIN_BITS


async def _same_account(tx: Tx, new: Creation) -> bytes | None:
    row = await tx.row("SELECT account, identity_pub FROM account WHERE phone_tag = $1", new.tag)
    return cast("bytes", row[0]) if row is not None and row[1] == new.devices.identity_public else None


async def _is_active(tx: Tx, tag: bytes, week: int) -> bool:
    """Whether the account under a number checked in or drew tokens within two weeks: this week or the two before.

    A client checks in every seven days, and has to be able to miss one.
    """
    checked_in = "SELECT 1 FROM account WHERE phone_tag = $1 AND expires_week >= $2"
    if await tx.row(checked_in, tag, week - 2 + ACCOUNT_WEEKS) is not None:
        return True
    drew = "SELECT 1 FROM account JOIN token_quota USING (phone_tag) WHERE phone_tag = $1 AND week >= $2"
    return await tx.row(drew, tag, week - 2) is not None


async def _check_intro(tx: Tx, account: bytes, intro_mailbox: bytes) -> None:
    row = await tx.row("SELECT account FROM account WHERE intro_mailbox = $1", intro_mailbox)
    if row is not None and row[0] != account:
        raise MailboxConflict


async def _insert(tx: Tx, new: Creation) -> None:
    row = await tx.row("SELECT account FROM account WHERE phone_tag = $1", new.tag)
    if row is not None:
        await _delete(tx, cast("bytes", row[0]))
    await tx.run(
        "INSERT INTO account (account, phone_tag, identity_pub, hpke_pub, device_list, intro_mailbox, discoverable,"
        " lock, expires_week) VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, $8)",
        new.account,
        new.tag,
        new.devices.identity_public,
        new.devices.hpke_public,
        new.signed_list,
        new.devices.intro_mailbox,
        int(new.discoverable),
        new.week + ACCOUNT_WEEKS,
    )
    await _set_devices(tx, new.account, new.devices.devices, new.week + ACCOUNT_WEEKS)


async def _update(
    tx: Tx,
    account: bytes,
    tag: bytes,
    devices: wire.DeviceList,
    signed: bytes,
    discoverable: bool,
    week: int,
) -> None:
    row = await tx.row(
        "SELECT phone_tag, identity_pub, intro_mailbox, device_list FROM account WHERE account = $1", account
    )
    if row is None or not hmac.compare_digest(cast("bytes", row[0]), tag) or row[1] != devices.identity_public:
        raise NotPermitted
    _check_newer(cast("bytes", row[3]), signed, devices.version)
    if row[2] != devices.intro_mailbox:
        raise MailboxConflict("(an account keeps its intro mailbox)")
    await tx.run(
        "UPDATE account SET hpke_pub = $2, device_list = $3, discoverable = $4, expires_week = $5 WHERE account = $1",
        account,
        devices.hpke_public,
        signed,
        int(discoverable),
        week + ACCOUNT_WEEKS,
    )
    await _set_devices(tx, account, devices.devices, week + ACCOUNT_WEEKS)
    if devices.intro_readers:
        await mailboxes.set_readers(tx, devices.intro_mailbox, devices.intro_readers)


def _check_newer(stored: bytes, signed: bytes, version: int) -> None:
    """A device list of the same version is the same; one of a lower version is a replay."""
    if stored and signed != stored and version <= verify_device_list(stored).version:
        raise NotPermitted("(an older device list)")


async def _set_devices(tx: Tx, account: bytes, devices: list[bytes], expires_week: int) -> None:
    rows = await tx.rows("SELECT device_pub FROM device WHERE account = $1", account)
    present = {cast("bytes", row[0]) for row in rows}
    for gone in present - set(devices):
        await tx.run("DELETE FROM device WHERE account = $1 AND device_pub = $2", account, gone)
        await keypackages.delete(tx, gone)
    for device in set(devices):
        if device in present:
            sql = "UPDATE device SET expires_week = $3 WHERE account = $1 AND device_pub = $2"
        else:
            await _check_unused(tx, device)
            sql = "INSERT INTO device (account, device_pub, expires_week) VALUES ($1, $2, $3)"
        await tx.run(sql, account, device, expires_week)


async def _check_unused(tx: Tx, device: bytes) -> None:
    """Key packages are kept by device key: whoever listed another account's device could take them."""
    used = "SELECT 1 FROM device WHERE device_pub = $1 UNION ALL SELECT 1 FROM key_package WHERE device_pub = $1"
    if await tx.row(used, device) is not None:
        raise NotPermitted


async def _delete(tx: Tx, account: bytes) -> None:
    row = await tx.row("SELECT intro_mailbox, phone_tag FROM account WHERE account = $1", account)
    if row is None:
        return
    await claims.forget(tx, cast("bytes", row[1]))
    await _set_devices(tx, account, [], 0)
    await mailboxes.delete(tx, cast("bytes", row[0]))
    await tx.run("DELETE FROM account WHERE account = $1", account)


async def _tag_of_account(tx: Tx, account: bytes) -> bytes | None:
    row = await tx.row("SELECT phone_tag FROM account WHERE account = $1", account)
    return cast("bytes", row[0]) if row else None


async def _expired(tx: Tx, week: int) -> list[tuple[bytes, bytes]]:
    """Some accounts that are due, with their tags."""
    sql = "SELECT account, phone_tag FROM account WHERE expires_week <= $1 LIMIT $2"
    return cast("list[tuple[bytes, bytes]]", await tx.rows(sql, week, EXPIRED_AT_ONCE))


async def _is_due(tx: Tx, account: bytes, week: int) -> bool:
    return await tx.row("SELECT 1 FROM account WHERE account = $1 AND expires_week <= $2", account, week) is not None
