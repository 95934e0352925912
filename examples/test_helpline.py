"""The helpline's test: SMS come and go by a carrier in memory, and days pass at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import helpline
import pytest

import grue.testing

ALICE, HELPLINE, ON_SMS = "+447700900001", "+447700900002", "+447700900003"


@asynccontextmanager
async def closed(path: Path) -> AsyncIterator[tuple[grue.testing.World, grue.Client]]:
    """A world with the helpline in it, and somebody who may write to it."""
    async with grue.testing.World(path) as world:
        alice, me = await world.person(ALICE), await world.person(HELPLINE)
        answering = asyncio.create_task(helpline.run(me))
        yield world, alice
        answering.cancel()


async def test_who_writes_encrypted_is_answered_encrypted(tmp_path: Path) -> None:
    async with closed(tmp_path) as (world, alice):
        await alice.send(HELPLINE, "is anybody there?")
        answer = await anext(alice.receive())
        assert (answer.text, answer.route) == (helpline.CLOSED, grue.Route.ENCRYPTED)
        assert world.texts(ALICE) == []


async def test_who_writes_by_sms_is_answered_by_sms_once_a_day(tmp_path: Path) -> None:
    async with closed(tmp_path) as (world, _):
        for text in ("hello", "hello?", "anybody?"):
            await world.carrier.inject(ON_SMS, HELPLINE, text)
        assert await world.carrier.next_text(ON_SMS) == helpline.BY_SMS
        await world.pass_days(1)
        await world.carrier.inject(ON_SMS, HELPLINE, "it is me again")
        assert await world.carrier.next_text(ON_SMS) == helpline.BY_SMS
        assert len(world.texts(ON_SMS)) == 2


async def test_what_the_carrier_does_not_take_is_told_and_the_next_is_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with closed(tmp_path) as (world, alice):
        world.carrier.failure = grue.SmsRejected()
        await world.carrier.inject(ON_SMS, HELPLINE, "hello")
        await alice.send(HELPLINE, "hello")
        assert (await anext(alice.receive())).text == helpline.CLOSED
        assert capsys.readouterr().err.startswith("An answer did not go: ")
        assert world.texts(ON_SMS) == []
