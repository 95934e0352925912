"""Claims of a number that somebody else's device still uses, at the server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from grue.errors import NoClaim
from grue.protocol import wire
from grue.protocol.registration import CODE_WINDOW, HOLD_DAYS, claim_name
from grue.server.accounts import claims
from tests.server.test_registration import Person, World, a_world


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async with a_world(tmp_path / "data", monkeypatch) as made:
        yield made


async def test_registration_07_a_number_whose_device_is_active_is_held(world: World) -> None:
    old, new = Person(), Person()
    account = await world.register(old)
    await world.server.account_ask(new.start())
    code = world.phones.code()
    held = wire.Held(world.server.today + HOLD_DAYS)
    for _ in range(2):
        # Asked again after a lost answer, it is the same claim.
        assert await world.server.account_ask(new.finish(code)) == held
    assert world.record() == old.record
    assert await world.rows("SELECT account FROM account") == [(account,)]
    assert await world.rows("SELECT identity_pub, until_day, objected FROM claim") == [(new.public, held.until_day, 0)]


async def test_registration_07_a_number_whose_device_was_quiet_for_three_weeks_is_taken_at_once(world: World) -> None:
    old, new = Person(), Person()
    await world.register(old)
    world.server.clock.days(21)
    await world.register(new)
    assert world.record() == new.record


@pytest.mark.parametrize("weekday", range(7))
@pytest.mark.parametrize("days", [8, 14])
async def test_registration_07_who_missed_one_check_in_is_active_whatever_the_weekday(
    world: World, weekday: int, days: int
) -> None:
    world.server.clock.days(weekday)
    await world.register(Person())
    world.server.clock.days(days)
    new = Person()
    await world.server.account_ask(new.start())
    held = await world.server.account_ask(new.finish(world.phones.code()))
    assert held == wire.Held(world.server.today + HOLD_DAYS)


async def test_registration_10_a_device_that_was_away_for_the_hold_is_told_and_objects_once(world: World) -> None:
    account, new = await world.register(Person()), Person()
    await world.server.account_ask(new.start())
    await world.server.account_ask(new.finish(world.phones.code()))
    world.server.clock.days(HOLD_DAYS + 1)
    today = world.server.today
    name = claim_name(new.public)
    assert await world.server.store.read(claims.held, account, today) == [wire.NumberClaim(name, today - 1, False)]
    await world.server.store.transact(claims.answer, account, name, False, today)
    held = wire.NumberClaim(name, today + HOLD_DAYS, True)
    assert await world.server.store.read(claims.held, account, today) == [held]
    with pytest.raises(NoClaim):
        await world.server.store.transact(claims.answer, account, name, False, today)


async def claiming(world: World, *people: Person) -> None:
    for person in people:
        await world.server.account_ask(person.start())
        await world.server.account_ask(person.finish(world.phones.code()))


async def test_registration_10_a_number_that_two_claim_goes_to_the_one_that_is_named(world: World) -> None:
    """One of them may be who read the owner's SMS."""
    account = await world.register(Person())
    thief, own = Person(), Person()
    await claiming(world, thief, own)
    today = world.server.today
    await world.server.store.transact(claims.answer, account, claim_name(own.public), True, today)
    rows = await world.rows("SELECT identity_pub, until_day FROM claim")
    assert dict(rows) == {thief.public: today + HOLD_DAYS, own.public: today}


async def test_registration_10_an_objection_to_a_claim_that_is_gone_meets_no_later_one(world: World) -> None:
    old, first, later = Person(), Person(), Person()
    account = await world.register(old)
    await claiming(world, first)
    world.server.clock.days(HOLD_DAYS + claims.CLAIM_DAYS)
    await world.server.sweep()
    await world.server.registration.check_in(account, wire.CheckIn(old.number, old.device_list))
    await claiming(world, later)
    today = world.server.today
    for release in (False, True):
        with pytest.raises(NoClaim):
            await world.server.store.transact(claims.answer, account, claim_name(first.public), release, today)
    assert await world.rows("SELECT identity_pub, until_day, objected FROM claim") == [
        (later.public, today + HOLD_DAYS, 0)
    ]


async def test_a_device_is_told_first_of_the_claims_that_it_may_object_to(world: World) -> None:
    account = await world.register(Person())
    people = [Person() for _ in range(4)]
    await claiming(world, *people)
    today = world.server.today
    for person in people[:3]:
        await world.server.store.transact(claims.answer, account, claim_name(person.public), False, today)
    told = await world.server.store.read(claims.held, account, today)
    assert [one.objected for one in told] == [False, True, True, True]
    assert told[0].name == claim_name(people[3].public)


async def test_who_deletes_the_account_voids_every_claim_of_its_number_and_its_code(world: World) -> None:
    account, new = await world.register(Person()), Person()
    await world.server.account_ask(new.start())
    code = world.phones.code()
    assert isinstance(await world.server.account_ask(new.finish(code)), wire.Held)
    await world.server.registration.delete_account(account)
    assert await world.rows("SELECT 1 FROM claim") == []
    # The code has served for the claim, so it makes no account; that of the next window does, and at once.
    assert (await world.server.account_ask(new.finish(code))) == wire.Refusal("code_wrong")
    world.server.clock.now += CODE_WINDOW
    await world.register(new)
    assert world.record() == new.record


async def test_a_claim_that_nobody_came_back_for_is_forgotten(world: World) -> None:
    await world.register(Person())
    new = Person()
    await world.server.account_ask(new.start())
    await world.server.account_ask(new.finish(world.phones.code()))
    world.server.clock.days(HOLD_DAYS)
    world.server.clock.days(claims.CLAIM_DAYS)
    await world.server.sweep()
    assert await world.rows("SELECT 1 FROM claim") == []


async def test_a_later_claim_of_somebody_else_does_not_begin_the_week_anew(world: World) -> None:
    await world.register(Person())
    new, other = Person(), Person()
    for n, person in enumerate((new, other)):
        world.server.clock.days(n)
        await world.server.account_ask(person.start())
        held = await world.server.account_ask(person.finish(world.phones.code()))
        assert held == wire.Held(world.server.today + HOLD_DAYS)
    world.server.clock.days(HOLD_DAYS - 1)
    await world.register(new)
    # Who came first has the number, and what was claimed of the owner before is settled.
    assert world.record() == new.record
    assert await world.rows("SELECT 1 FROM claim") == []
