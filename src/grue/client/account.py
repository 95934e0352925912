"""An SMS code makes the own account, key packages keep it reachable, and a self-lookup vouches for it."""

import os
from contextlib import suppress
from datetime import date
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from grue._core import MlsSession
from grue.client import chats
from grue.client.context import Account, Context, Random, load_account, note_left, save_account
from grue.client.lookup import directory, own_record
from grue.client.people.tables import know_nothing
from grue.client.signing import signed
from grue.client.store.engine import Db, Store
from grue.client.store.entries import drop_meta, get_meta, mls_entries, put_meta, save_mls
from grue.client.transport.transport import Transport
from grue.errors import (
    AlreadyRegistered,
    GrueError,
    KeyChanged,
    NotAGrueServer,
    NotPermitted,
    NotRegistered,
    NumberHeld,
    OldAccount,
)
from grue.protocol import wire
from grue.protocol.accountkey import SECRET_BYTES, public_of
from grue.protocol.conversation.conversation import Notice, hashed
from grue.protocol.conversation.devices import credential, sign_device_list
from grue.protocol.directory.lookup import ANSWERED, Found
from grue.protocol.registration import Registration, RegistrationState, check_server, claim_name, written_claim

_OF_ACCOUNT: Final = ("account", "registration", "tended", "checked_in", "number_claims", "copied", "intro_read")
"""What is kept in `meta` about an account."""

EPOCH: Final = date(1970, 1, 1).toordinal()

KEY_PACKAGES: Final = 20
"""Key packages at the server: new people in one offline stretch. After them the last resort serves, and less secretly:
its private part stays, so what is taken from the device later can open those Welcomes."""


async def begin(
    store: Store, transport: Transport, server: str, number: str, random: Random = os.urandom, *, hidden: bool = False
) -> Account:
    """Make keys for a number and have a code sent to it. Asking again keeps the keys.

    hidden  the number is not to be found in the directory

    Raises AlreadyRegistered, Refused (limits), NetworkError.
    """
    hello = await transport.hello()
    registration = await store.transact(_prepare, server, hello.server_public, number, random, hidden)
    check_server(hello, registration.server_public)
    asked, request = registration.ask()
    await store.transact(_save_registration, asked)
    try:
        await transport.account(request)
    except GrueError as error:
        await store.transact(_save_registration, asked.failed(error))
        raise
    await store.transact(_save_registration, asked.code_sent())
    return await store.read(load_account)


async def finish(store: Store, transport: Transport, code: str) -> Account:
    """Hand the code in; doing so again after a lost answer does no harm. Raises CodeWrong, CodeExpired, ..."""
    registration = await store.read(_registration)
    check_server(await transport.hello(), registration.server_public)
    verifying, request = registration.verify(code)
    await store.transact(_save_registration, verifying)
    try:
        answer = await transport.account(request)
        if isinstance(answer, wire.Held):
            await store.transact(_save_registration, verifying.held())
            raise held_until(answer.until_day, verifying.identity_public)
        if not isinstance(answer, wire.Registered):
            raise NotAGrueServer
    except NumberHeld:
        raise
    except GrueError as error:
        await store.transact(_save_registration, verifying.failed(error))
        raise
    return await store.transact(_registered, verifying.registered(answer))


def held_until(day: int, identity_public: bytes) -> NumberHeld:
    """What is said to who claims a number that is held until a day since 1970."""
    name = written_claim(claim_name(identity_public))
    return NumberHeld(f"From {calendar_day(day).isoformat()} on it can be yours, by the claim {name}.")


def calendar_day(day: int) -> date:
    """A day since 1970."""
    return date.fromordinal(EPOCH + day)


async def keep_reachable(context: Context) -> None:
    """See to key packages at the server, tokens here, and a transcript for contacts. Raises NetworkError, ..."""
    try:
        await _fill_up(context)
    except NotPermitted:
        # The account is gone. Whether somebody else has the number now, only the directory says.
        await _look_self_up_anyway(context)
        raise
    await _look_self_up_anyway(context)


async def _look_self_up_anyway(context: Context) -> None:
    """Whatever is listed under the own number, a notice says so (`lookup.own_record`), and the round goes on.

    What the account signs must not depend on it: by one wrong answer a server would learn whose query it was.
    """
    with suppress(*ANSWERED, KeyChanged):
        await look_self_up(context)


async def _fill_up(context: Context) -> None:
    """Upload the key packages and draw the tokens that are missing."""
    left = await signed(context, wire.CountKeyPackages(), wire.KeyPackageCount)
    await context.store.transact(note_claims, context.account, left.claims)
    if left.left < KEY_PACKAGES:
        # Whatever is missing, so that what is left does not tell for long who was written to.
        request = await context.store.transact(_make_packages, context.account, left.left)
        await signed(context, request, wire.KeyPackageCount)
    await context.tokens.fill()


async def look_self_up(context: Context) -> None:
    """Check the own record, as contacts see it, and keep the transcript for them.

    Raises KeyChanged when the directory lists another identity under our number; SpoiltAnswer, BadRecord, NetworkError.
    """
    account = context.account
    result, transcript = await context.directory.look_self_up(account.number)
    context.account = await context.store.transact(_save_transcript, transcript)
    if isinstance(result, GrueError):
        raise result
    if isinstance(result, Found) and result.record.identity_public != account.identity_public:
        raise KeyChanged("The directory lists another account under your own number.")


async def check_in(context: Context) -> None:
    """Hand the own number in again, so that the server can write our record anew."""
    account = await context.store.read(load_account)
    await signed(context, wire.CheckIn(account.number, account.device_list, not account.hidden), wire.Done)


async def set_discoverable(context: Context, on: bool) -> None:
    """Put the own number into the directory, or take it out. Raises NetworkError: then the next check-in says it."""
    context.account = await context.store.transact(_set_hidden, not on)
    await check_in(context)


def _set_hidden(db: Db, hidden: bool) -> Account:
    account = replace(load_account(db), hidden=hidden)
    save_account(db, account)
    # The own other devices check in, too.
    db.execute("INSERT OR IGNORE INTO unsynced VALUES ('hidden', x'')")
    drop_meta(db, "checked_in")
    own_record.expect(db, listed=not hidden)
    return account


def forget(db: Db) -> None:
    """The account is no more; its keys go, and the messages and the address book stay.

    So does nothing that is true of this server's directory alone: another server's has another key.
    """
    note_left(db)
    for key in (
        "account",
        "registration",
        "tended",
        "checked_in",
        "number_claims",
        "copied",
        "intro_read",
        "own_group",
    ):
        drop_meta(db, key)
    directory.forget(db)
    own_record.forget(db)
    know_nothing(db)
    for table in ("token", "mls", "intent", "outbox", "conversation", "synced", "unsynced", "own_checked"):
        db.execute(f"DELETE FROM {table}")  # noqa: S608 -- names of our own


# --- in transactions ------------------------------------------------------------------------------


def _prepare(
    db: Db, server: str, server_public: bytes, number: str, random: Random, hidden: bool = False
) -> Registration:
    try:
        known = load_account(db)
    except OldAccount:
        forget(db)
        known = None
    except NotRegistered:
        known = None
    if known is not None and known.id:
        raise AlreadyRegistered
    if known is not None and (known.server, known.number) == (server, number):
        save_account(db, replace(known, hidden=hidden))
        return replace(_registration(db), discoverable=not hidden)
    account = replace(_new_account(db, server, server_public, number, random), hidden=hidden)
    save_account(db, account)
    intro = hashed(account.intro_read_key)
    registration = Registration(
        number, account.identity_public, account.device_list, intro, server_public, discoverable=not hidden
    )
    _save_registration(db, registration)
    return registration


def _new_account(db: Db, server: str, server_public: bytes, number: str, random: Random) -> Account:
    identity = Ed25519PrivateKey.from_private_bytes(random(32))
    session = MlsSession({})
    device_public = session.new_identity()
    save_mls(db, session.changes())
    sms_secret, intro_mailbox = random(SECRET_BYTES), random(32)
    identity_public = identity.public_key().public_bytes_raw()
    devices = wire.DeviceList(1, identity_public, public_of(sms_secret), intro_mailbox, [device_public])
    return Account(
        server=server,
        server_public=server_public,
        number=number,
        identity_secret=identity.private_bytes_raw(),
        identity_public=identity_public,
        sms_secret=sms_secret,
        device_public=device_public,
        credential=credential(identity, device_public),
        device_list=sign_device_list(devices, identity),
        intro_mailbox=intro_mailbox,
        intro_read_key=random(32),
        protocol=wire.PROTOCOL,
    )


def _registration(db: Db) -> Registration:
    registration = get_meta(db, "registration", Registration)
    if registration is None:
        raise NotRegistered
    if registration.state is RegistrationState.REGISTERED:
        raise AlreadyRegistered
    return registration


def _save_registration(db: Db, registration: Registration) -> None:
    put_meta(db, "registration", registration)


def _registered(db: Db, registration: Registration) -> Account:
    account = replace(load_account(db), id=registration.account)
    save_account(db, account)
    _save_registration(db, registration)
    return account


def note_claims(db: Db, account: Account, claims: list[wire.NumberClaim]) -> None:
    """Tell the user once of each claim of the own number, and of each new day."""
    before = get_meta(db, "number_claims", list[wire.NumberClaim]) or []
    if claims != before:
        put_meta(db, "number_claims", claims)
    if {(claim.name, claim.until_day) for claim in claims} - {(claim.name, claim.until_day) for claim in before}:
        chats.notify(db, chats.bind(db, account.number, account.identity_public).id, [Notice.NUMBER_CLAIMED])


def _make_packages(db: Db, account: Account, left: int) -> wire.UploadKeyPackages:
    """What is missing; and a new last resort when there was nothing left, so that it may have served."""
    session = MlsSession(mls_entries(db, b"s"))
    packages = [session.key_package(account.credential, last_resort=False) for _ in range(KEY_PACKAGES - left)]
    last_resort = b"" if left else session.key_package(account.credential, last_resort=True)
    save_mls(db, session.changes())
    return wire.UploadKeyPackages(packages, last_resort)


def _save_transcript(db: Db, transcript: wire.Message) -> Account:
    account = replace(load_account(db), transcript=transcript)
    save_account(db, account)
    return account
