"""Claims of a number that somebody else's device still uses, at the server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from grue.protocol import wire
from grue.protocol.registration import HOLD_DAYS
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


async def test_registration_07_a_number_whose_device_was_quiet_for_two_weeks_is_taken_at_once(world: World) -> None:
    old, new = Person(), Person()
    await world.register(old)
    world.server.clock.days(14)
    await world.register(new)
    assert world.record() == new.record


async def test_a_claim_that_nobody_came_back_for_is_forgotten(world: World) -> None:
    account = await world.register(Person())
    new = Person()
    await world.server.account_ask(new.start())
    await world.server.account_ask(new.finish(world.phones.code()))
    world.server.clock.days(HOLD_DAYS)
    assert await world.server.store.read(claims.held_until, account, world.server.today) == 0
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
