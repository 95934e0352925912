"""The registration role, against a real store and directory: whose a number is, and what is left of it."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from grue.errors import GrueError, SmsGatewayDown
from grue.protocol import wire
from grue.protocol.conversation.devices import device_list_hash, sign_device_list
from grue.protocol.directory.record import Record, open_record
from grue.protocol.registration import CODE_WINDOW, HOLD_DAYS
from grue.server import chores
from grue.server.accounts import codes, registration
from grue.server.directory.directory import Directory, record_key
from grue.server.keys.keys import Keys, open_keys
from grue.server.sms.sms import SmsRole
from grue.server.store.interface import Tx
from tests.damage import flipped
from tests.server.kit import Clock, TestServer, key_hash, serving

NUMBER, OTHER = "+447700900123", "+447700900124"


class Person:
    """Somebody's identity, devices and what they would send."""

    def __init__(self, number: str = NUMBER) -> None:
        self.number = number
        self.identity = Ed25519PrivateKey.generate()
        self.public = self.identity.public_key().public_bytes_raw()
        self.intro, self.read_key = os.urandom(32), os.urandom(32)
        self.devices = [os.urandom(32)]
        self.list_version = 1
        self.discoverable = True

    @property
    def device_list(self) -> bytes:
        return sign_device_list(
            wire.DeviceList(self.list_version, self.public, b"hpke" * 8, self.intro, self.devices), self.identity
        )

    @property
    def record(self) -> Record:
        return Record(self.intro, self.public, device_list_hash(self.device_list))

    def start(self) -> wire.RegisterStart:
        return wire.RegisterStart(self.number, self.public)

    def finish(self, code: str) -> wire.RegisterFinish:
        return wire.RegisterFinish(self.number, code, self.device_list, key_hash(self.read_key), self.discoverable)


class Phones:
    """The SMS gateway's place: keeps what was sent, or fails."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.error: GrueError | None = None

    async def send_code(self, _role: SmsRole | None, number: str, text: str) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append((number, text))

    def code(self, number: str = NUMBER) -> str:
        text = next(text for to, text in reversed(self.sent) if to == number)
        return text.split()[0]


class World:
    def __init__(self, server: TestServer, phones: Phones, keys: Keys) -> None:
        self.server = server
        self.phones = phones
        self.keys = keys

    async def register(self, person: Person) -> bytes:
        assert isinstance(await self.server.account_ask(person.start()), wire.CodeSent)
        answer = await self.server.account_ask(person.finish(self.phones.code(person.number)))
        assert isinstance(answer, wire.Registered), answer
        return answer.account

    async def register_after_the_hold(self, person: Person) -> bytes:
        """Take a number over that somebody else's device still uses."""
        await self.server.account_ask(person.start())
        held = await self.server.account_ask(person.finish(self.phones.code(person.number)))
        assert held == wire.Held(self.server.today + HOLD_DAYS)
        self.server.clock.days(HOLD_DAYS)
        return await self.register(person)

    async def refused(self, request: wire.Message) -> wire.Refusal:
        answer = await self.server.account_ask(request)
        assert isinstance(answer, wire.Refusal), answer
        return answer

    def record(self, number: str = NUMBER) -> Record | None:
        """What a lookup of this number finds."""
        key = record_key(self.keys, number)
        sealed = self.server.directory.find(key.tag)
        return open_record(sealed, key) if sealed is not None else None

    async def rows(self, sql: str) -> list[Any]:
        async def select(tx: Tx) -> list[Any]:
            return list(await tx.rows(sql))

        return await self.server.store.read(select)

    async def check_in(self, account: bytes, person: Person) -> str:
        """`done`, or the refusal's code."""
        request = wire.CheckIn(person.number, person.device_list, person.discoverable)
        try:
            await self.server.registration.check_in(account, request)
        except GrueError as error:
            return error.code
        return "done"


@asynccontextmanager
async def a_world(data: Path, monkeypatch: pytest.MonkeyPatch, store: Path | None = None) -> AsyncIterator[World]:
    phones, keys = Phones(), open_keys(data)
    monkeypatch.setattr("grue.server.sms.sms.send_code", phones.send_code)
    clock = Clock()
    async with serving(store, clock=clock, keys=keys, directory=Directory(data, keys, clock)) as server:
        yield World(server, phones, keys)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async with a_world(tmp_path / "data", monkeypatch) as made:
        yield made


# --- registering ----------------------------------------------------------------------------------


async def test_whoever_receives_the_code_gets_the_account(world: World) -> None:
    person = Person()
    account = await world.register(person)
    assert world.record() == person.record
    assert await world.rows("SELECT account, identity_pub, discoverable, lock FROM account") == [
        (account, person.public, 1, None)
    ]
    assert await world.rows("SELECT account, device_pub FROM device") == [(account, person.devices[0])]


async def test_the_intro_mailbox_takes_first_contacts_at_once(world: World) -> None:
    person = Person()
    await world.register(person)
    posted = await world.server.ask(wire.PostIntro(person.intro, os.urandom(16), b"e" * 1024))
    assert isinstance(posted, wire.Posted)
    fetched = await world.server.ask(wire.Fetch(person.intro, person.read_key, 0))
    assert len(fetched.envelopes) == 1


async def test_how_an_intro_mailbox_counts_does_not_tell_how_many_came(world: World) -> None:
    people = [Person(number=f"+4477009000{n}0") for n in range(4)]
    for person in people:
        await world.register(person)
    rows = await world.rows("SELECT m.seq, r.cursor FROM mailbox m JOIN reader r USING (mailbox)")
    assert len({seq for seq, _ in rows}) == len(people)
    assert all(seq == cursor for seq, cursor in rows)


async def test_the_code_goes_to_the_number_and_says_how_long_it_holds(world: World) -> None:
    world.server.clock.now += 100
    answer = await world.server.account_ask(Person().start())
    assert answer == wire.CodeSent(2 * CODE_WINDOW - 100)
    assert [number for number, _ in world.phones.sent] == [NUMBER]
    assert "Nobody from Grue will ask" in world.phones.sent[0][1]


async def test_the_record_is_in_the_directory_before_the_answer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    person = Person()
    await world.server.account_ask(person.start())
    order = []
    put = world.server.directory.put

    async def slow_put(record: bytes) -> None:
        await asyncio.sleep(0.01)
        await put(record)
        order.append("record")

    monkeypatch.setattr(world.server.directory, "put", slow_put)
    await world.server.account_ask(person.finish(world.phones.code()))
    order.append("answer")
    assert order == ["record", "answer"]


async def test_finishing_twice_gives_the_same_account(world: World) -> None:
    person = Person()
    account = await world.register(person)
    length = world.server.directory.head.length
    again = await world.server.account_ask(person.finish(world.phones.code()))
    assert again == wire.Registered(account)
    assert world.server.directory.head.length == length


async def test_finishing_twice_at_once_gives_one_account(world: World) -> None:
    person = Person()
    await world.server.account_ask(person.start())
    request = person.finish(world.phones.code())
    first, second = await asyncio.gather(world.server.account_ask(request), world.server.account_ask(request))
    assert first == second
    assert len(await world.rows("SELECT account FROM account")) == 1


async def test_another_identity_under_the_number_replaces_the_account(world: World) -> None:
    old, new = Person(), Person()
    before = await world.register(old)
    await world.server.ask(wire.PostIntro(old.intro, os.urandom(16), b"e" * 1024))
    after = await world.register_after_the_hold(new)
    assert after != before
    assert world.record() == new.record
    assert await world.rows("SELECT account FROM account") == [(after,)]
    assert await world.rows("SELECT account FROM device") == [(after,)]
    assert await world.server.code(wire.PostIntro(old.intro, os.urandom(16), b"e" * 1024)) == "no_such_mailbox"


async def test_two_identities_at_once_leave_account_and_record_of_one(world: World) -> None:
    for _ in range(5):
        one, two = Person(), Person()
        await world.server.account_ask(one.start())
        first = world.phones.code()
        await world.server.account_ask(two.start())
        second = world.phones.code()
        await asyncio.gather(world.server.account_ask(one.finish(first)), world.server.account_ask(two.finish(second)))
        world.server.clock.now += codes.COUNTED_WINDOWS * CODE_WINDOW
        ((identity,),) = await world.rows("SELECT identity_pub FROM account")
        record = world.record()
        assert record is not None
        assert record.identity_public == identity


async def test_who_does_not_want_to_be_found_has_no_record(world: World) -> None:
    person = Person()
    person.discoverable = False
    await world.register(person)
    assert world.record() is None
    assert await world.rows("SELECT discoverable FROM account") == [(0,)]


async def test_an_account_and_a_code_outlive_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    person, other = Person(), Person(OTHER)
    async with a_world(tmp_path / "data", monkeypatch, tmp_path / "db") as world:
        account = await world.register(person)
        await world.server.account_ask(other.start())
        code = world.phones.code(OTHER)
    async with a_world(tmp_path / "data", monkeypatch, tmp_path / "db") as world:
        assert world.record() == person.record
        assert isinstance(await world.server.account_ask(other.finish(code)), wire.Registered)
        assert (account,) in await world.rows("SELECT account FROM account")


async def test_a_crash_between_account_and_record_is_mended_by_asking_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = Person()
    await world.server.account_ask(person.start())

    async def crash(_record: bytes) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(world.server.directory, "put", crash)
        assert (await world.refused(person.finish(world.phones.code()))).code == "bug"
    assert world.record() is None
    assert isinstance(await world.server.account_ask(person.finish(world.phones.code())), wire.Registered)
    assert world.record() == person.record


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number", ["+44112", "+1911", "+49116117", "+999123456789", "+4477009001234", "+4407700900123"]
)
async def test_registration_03_no_code_goes_to_what_is_no_persons_number(world: World, number: str) -> None:
    for request in (wire.RegisterStart(number, bytes(32)), Person(number).finish("123456")):
        assert (await world.refused(request)).code in ("not_a_number", "number_too_short")
    assert world.phones.sent == []


async def test_registration_04_a_number_gets_few_codes_an_hour(world: World) -> None:
    for _ in range(codes.MAX_CODES):
        assert isinstance(await world.server.account_ask(Person().start()), wire.CodeSent)
    refusal = await world.refused(Person().start())
    assert (refusal.code, refusal.retry_after) == ("too_many_codes", codes.COUNTED_WINDOWS * CODE_WINDOW)
    assert len(world.phones.sent) == codes.MAX_CODES


async def test_registration_06_a_locked_number_is_registered_by_a_long_code(world: World) -> None:
    person, mallory = Person(), Person()
    await world.server.account_ask(person.start())
    owners = world.phones.code()
    await world.server.account_ask(mallory.start())
    for n in range(codes.MAX_GUESSES):
        wrong = f"{(int(world.phones.code()) + 1 + n) % 10**6:06}"
        assert (await world.refused(mallory.finish(wrong))).code in ("code_wrong", "code_expired")
    assert (await world.refused(person.finish(owners))).code == "too_many_guesses"
    await world.server.account_ask(person.start())
    written = world.phones.code()
    assert [len(part) for part in written.split("-")] == [4, 4, 4]
    assert isinstance(await world.server.account_ask(person.finish(written.replace("-", ""))), wire.Registered)


async def test_registration_06_right_after_a_start_no_code_is_right_that_was_not_sent(world: World) -> None:
    person, window = Person(), int(world.server.clock()) // CODE_WINDOW
    for ago in (0, 1):
        code = codes.make_code(world.keys, NUMBER, person.public, window - ago)
        assert (await world.refused(person.finish(code))).code == "code_wrong"


async def test_registration_04_who_is_over_a_cap_is_told_when_to_come_back(world: World) -> None:
    world.server.registration._caps = codes.Caps(in_all=1, prefix=1)
    await world.server.account_ask(Person(OTHER).start())
    refusal = await world.refused(Person().start())
    assert (refusal.code, refusal.retry_after) == ("codes_used_up", codes.COUNTED_WINDOWS * CODE_WINDOW)
    assert len(world.phones.sent) == 1


async def test_the_chores_remove_what_is_noted_of_codes(world: World) -> None:
    await world.register(Person())
    world.server.clock.now += codes.COUNTED_WINDOWS * CODE_WINDOW
    await chores.sweep_codes(world.server)
    assert [await world.rows(f"SELECT 1 FROM {table}") for table in ("code_sent", "code_count")] == [[], []]  # noqa: S608


async def test_a_code_that_could_not_be_sent_costs_nothing(world: World) -> None:
    world.phones.error = SmsGatewayDown()
    for _ in range(2 * codes.MAX_CODES):
        assert (await world.refused(Person().start())).code == "sms_gateway_down"
    world.phones.error = None
    assert isinstance(await world.server.account_ask(Person().start()), wire.CodeSent)


async def test_registration_05_a_device_list_that_its_identity_did_not_sign_is_refused(world: World) -> None:
    person, mallory = Person(), Person()
    await world.server.account_ask(person.start())
    forged = sign_device_list(
        wire.DeviceList(1, person.public, b"hpke" * 8, mallory.intro, mallory.devices), mallory.identity
    )
    for bad in (b"", b"nonsense", forged, flipped(person.device_list)):
        request = wire.RegisterFinish(NUMBER, world.phones.code(), bad, key_hash(b""), True)
        assert (await world.refused(request)).code == "bad_request"
    assert await world.rows("SELECT account FROM account") == []


async def test_registration_06_the_code_serves_only_the_identity_that_asked(world: World) -> None:
    person, mallory = Person(), Person()
    await world.server.account_ask(person.start())
    assert (await world.refused(mallory.finish(world.phones.code()))).code == "code_wrong"


async def test_registration_06_an_old_code_has_expired(world: World) -> None:
    person = Person()
    await world.server.account_ask(person.start())
    world.server.clock.now += 2 * CODE_WINDOW
    assert (await world.refused(person.finish(world.phones.code()))).code == "code_expired"


async def test_registration_07_a_code_that_has_served_makes_no_second_account(world: World) -> None:
    old, new = Person(), Person()
    account = await world.register(old)
    code = world.phones.code()
    await world.server.registration.delete_account(account)
    assert (await world.refused(old.finish(code))).code == "code_wrong"
    # Nor does it take the number back from somebody who has got it since.
    await world.register(new)
    assert (await world.refused(old.finish(code))).code == "code_wrong"
    assert world.record() == new.record


async def test_registration_08_another_accounts_intro_mailbox_is_refused(world: World) -> None:
    victim, mallory = Person(), Person(OTHER)
    await world.register(victim)
    mallory.intro = victim.intro
    await world.server.account_ask(mallory.start())
    assert (await world.refused(mallory.finish(world.phones.code(OTHER)))).code == "mailbox_conflict"
    assert world.record(OTHER) is None
    assert world.record() == victim.record


async def test_registration_08_another_accounts_device_is_refused(world: World) -> None:
    # Its key packages would be handed out for the wrong account, and deleted with it.
    victim, mallory = Person(), Person(OTHER)
    await world.register(victim)

    async def upload(tx: Tx) -> None:
        await tx.run(
            "INSERT INTO key_package (device_pub, ref, last_resort, expires_week, blob) VALUES ($1, $2, 0, 9999, $3)",
            victim.devices[0],
            bytes(16),
            b"package",
        )

    await world.server.store.transact(upload)
    mallory.devices = [*mallory.devices, victim.devices[0]]
    await world.server.account_ask(mallory.start())
    assert (await world.refused(mallory.finish(world.phones.code(OTHER)))).code == "not_permitted"


async def test_registration_08_a_device_is_one_accounts_even_before_it_has_key_packages(world: World) -> None:
    victim, mallory = Person(), Person(OTHER)
    account = await world.register(victim)
    own = mallory.devices
    mallory.devices = [*own, *victim.devices]
    await world.server.account_ask(mallory.start())
    assert (await world.refused(mallory.finish(world.phones.code(OTHER)))).code == "not_permitted"
    assert await world.rows("SELECT account, device_pub FROM device") == [(account, victim.devices[0])]
    # Nor by a later list.
    mallory.devices = own
    other = await world.register(mallory)
    mallory.list_version, mallory.devices = 2, victim.devices
    assert await world.check_in(other, mallory) == "not_permitted"
    with pytest.raises(apsw.ConstraintError):
        await world.server.store.transact(_insert_device, victim.devices[0])


async def _insert_device(tx: Tx, device: bytes) -> None:
    await tx.run("INSERT INTO device (account, device_pub, expires_week) VALUES ($1, $2, 1)", bytes(16), device)


async def test_a_device_moves_with_its_number_to_the_identity_that_replaces_the_account(world: World) -> None:
    old, new = Person(), Person()
    await world.register(old)
    new.devices = list(old.devices)
    account = await world.register_after_the_hold(new)
    assert await world.rows("SELECT account, device_pub FROM device") == [(account, old.devices[0])]
    new.list_version = 2
    assert await world.check_in(account, new) == "done"


# --- check-in -------------------------------------------------------------------------------------


async def test_a_check_in_brings_the_present_device_list(world: World) -> None:
    person = Person()
    account = await world.register(person)
    person.list_version, person.devices = 2, [*person.devices, os.urandom(32)]
    assert await world.check_in(account, person) == "done"
    assert world.record() == person.record
    assert len(await world.rows("SELECT device_pub FROM device")) == 2


async def test_a_check_in_that_changes_nothing_leaves_no_trace_in_the_directory(world: World) -> None:
    person = Person()
    account = await world.register(person)
    length = world.server.directory.head.length
    assert await world.check_in(account, person) == "done"
    assert world.server.directory.head.length == length


async def test_a_removed_device_is_gone_with_its_key_packages(world: World) -> None:
    person = Person()
    account = await world.register(person)
    gone = person.devices[0]
    person.list_version, person.devices = 2, [os.urandom(32)]
    assert await world.check_in(account, person) == "done"
    assert await world.rows("SELECT device_pub FROM device") == [(person.devices[0],)]
    assert (gone,) not in await world.rows("SELECT device_pub FROM key_package")


async def test_hiding_and_showing_again(world: World) -> None:
    person = Person()
    account = await world.register(person)
    person.discoverable = False
    assert await world.check_in(account, person) == "done"
    assert world.record() is None
    person.discoverable = True
    assert await world.check_in(account, person) == "done"
    assert world.record() == person.record


async def test_a_check_in_keeps_the_account_alive(world: World) -> None:
    person = Person()
    account = await world.register(person)
    world.server.clock.days(7 * (registration.ACCOUNT_WEEKS - 1))
    await world.check_in(account, person)
    world.server.clock.days(14)
    await world.server.registration.expire()
    assert await world.rows("SELECT account FROM account") == [(account,)]
    world.server.clock.days(7 * registration.ACCOUNT_WEEKS)
    await world.server.registration.expire()
    assert await world.rows("SELECT account FROM account") == []
    assert world.record() is None


async def add_accounts(world: World, count: int, expires_week: int) -> None:
    """Accounts that nobody can find, with nothing to them."""

    async def add(tx: Tx) -> None:
        for _ in range(count):
            await tx.run(
                "INSERT INTO account VALUES ($1, $2, $3, $3, $3, $4, 0, NULL, $5)",
                os.urandom(16), os.urandom(16), b"k" * 32, os.urandom(32), expires_week,
            )  # fmt: skip

    await world.server.store.transact(add)


async def test_a_sweep_deletes_every_account_that_is_due_however_many_there_are(world: World) -> None:
    week = world.server.week
    due = 2 * registration.EXPIRED_AT_ONCE + 1
    await add_accounts(world, due, week)
    await add_accounts(world, 3, week + 1)
    await world.server.sweep()
    assert await world.rows("SELECT expires_week, count(*) FROM account GROUP BY 1") == [(week + 1, 3)]
    world.server.clock.days(7)
    await world.server.sweep()
    assert await world.rows("SELECT 1 FROM account") == []


async def test_who_checks_in_while_the_sweep_is_at_work_stays(world: World) -> None:
    person = Person()
    account = await world.register(person)
    world.server.clock.days(7 * registration.ACCOUNT_WEEKS)
    _, answer = await asyncio.gather(world.server.registration.expire(), world.check_in(account, person))
    assert answer == "done"
    assert await world.rows("SELECT account FROM account") == [(account,)]
    assert world.record() == person.record


async def test_registration_09_a_check_in_with_another_number_or_identity_is_refused(world: World) -> None:
    person, other = Person(), Person(OTHER)
    account = await world.register(person)
    await world.register(other)
    stranger = Person()
    moved = Person(OTHER)
    moved.identity, moved.public = person.identity, person.public
    for bad in (other, stranger, moved):
        assert await world.check_in(account, bad) == "not_permitted"
    assert world.record() == person.record
    assert world.record(OTHER) == other.record


async def test_registration_08_an_older_device_list_is_refused(world: World) -> None:
    person = Person()
    person.list_version = 5
    account = await world.register(person)
    person.devices = [os.urandom(32)]
    for version in (4, 5):
        person.list_version = version
        assert await world.check_in(account, person) == "not_permitted"
    person.list_version = 6
    assert await world.check_in(account, person) == "done"


# --- leaving --------------------------------------------------------------------------------------


async def test_a_deleted_account_leaves_nothing(world: World) -> None:
    person = Person()
    account = await world.register(person)
    await world.server.ask(wire.PostIntro(person.intro, os.urandom(16), b"e" * 1024))
    assert await world.server.registration.delete_account(account) == wire.Done()
    for table in ("account", "device", "key_package", "mailbox", "reader", "envelope"):
        assert await world.rows(f"SELECT 1 FROM {table}") == [], table  # noqa: S608
    assert world.record() is None
    assert await world.server.registration.delete_account(account) == wire.Done()


async def test_a_crash_while_deleting_leaves_nobody_who_is_found_but_not_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = Person()
    account = await world.register(person)

    async def crash(*_arguments: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(world.server.store, "transact", crash)
        with pytest.raises(RuntimeError):
            await world.server.registration.delete_account(account)
    assert world.record() is None
    await world.server.registration.delete_account(account)
    assert await world.rows("SELECT account FROM account") == []


# --- what is at rest ------------------------------------------------------------------------------


async def test_no_number_and_no_code_is_at_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_world(tmp_path / "data", monkeypatch, tmp_path / "data" / "server.db") as world:
        await world.register(Person())
        code = world.phones.code()
    for path in tmp_path.rglob("*"):
        if path.is_file():
            contents = path.read_bytes()
            assert NUMBER.encode() not in contents, path
            assert NUMBER[1:].encode() not in contents, path
            assert code.encode() not in contents, path
