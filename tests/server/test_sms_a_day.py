"""How many SMS a number sends a day: counted in memory, as carriers count, and said before anything is sent."""

import asyncio

import pytest

from grue.errors import LimitReached, SmsThrottled, SmsUnavailable
from grue.server.sms import sms
from grue.server.store.interface import Tx
from tests.server.smskit import ANN, BEN
from tests.server.test_sms import OTHER_ID, Account, Memory, send, sending, world


async def test_sms_08_a_number_sends_so_many_a_day_and_is_told_how_long_to_wait() -> None:
    transport = Memory()
    async with world(transport, a_day=3) as (server, ann):
        server.clock.now += 3600
        for n in range(3):
            assert await send(server, ann, sending(bytes([n]) * 16)) == "submitted"
        with pytest.raises(LimitReached) as limit:
            await send(server, ann, sending(OTHER_ID))
        assert limit.value.retry_after == 23 * 3600
        assert await send(server, ann, sending(bytes(16))) == "submitted", "the same again is no other SMS"
        ben = await Account(BEN).register(server)
        assert await send(server, ben, sending(sender=BEN)) == "submitted"
        server.clock.now += limit.value.retry_after
        assert await send(server, ann, sending(OTHER_ID)) == "submitted"
        assert len(transport.sent) == 5


async def test_sms_08_a_day_that_comes_again_goes_on() -> None:
    async with world(Memory(), a_day=1) as (server, ann):
        server.clock.now += 1
        await send(server, ann, sending())
        server.clock.now -= 3600
        with pytest.raises(LimitReached) as limit:
            await send(server, ann, sending(OTHER_ID))
        server.clock.now += limit.value.retry_after
        assert await send(server, ann, sending(OTHER_ID)) == "submitted"


async def test_sms_08_leaving_and_coming_back_brings_no_new_day() -> None:
    transport = Memory()
    async with world(transport, a_day=1) as (server, ann):
        await send(server, ann, sending())
        await server.store.transact(forget_accounts)
        again = await Account(ANN).register(server)
        with pytest.raises(LimitReached):
            await send(server, again, sending(OTHER_ID))
        assert len(transport.sent) == 1


async def forget_accounts(tx: Tx) -> None:
    await tx.run("DELETE FROM account")


async def test_sms_08_a_long_text_counts_as_carriers_count_it_and_what_was_not_sent_not_at_all() -> None:
    transport = Memory()
    async with world(transport, a_day=3) as (server, ann):
        transport.fails = SmsThrottled()
        for _ in range(5):
            with pytest.raises(SmsThrottled):
                await send(server, ann, sending(text="a" * 320))
        transport.fails = None
        assert await send(server, ann, sending(text="a" * 320)) == "submitted"
        with pytest.raises(LimitReached):
            await send(server, ann, sending(OTHER_ID))


async def test_sms_08_many_at_once_are_counted_one_after_the_other() -> None:
    transport = Memory()
    async with world(transport, a_day=3) as (server, ann):
        sends = (send(server, ann, sending(bytes([n]) * 16)) for n in range(20))
        outcomes = await asyncio.gather(*sends, return_exceptions=True)
        assert outcomes.count("submitted") == len(transport.sent) == 3


async def test_sms_08_with_none_a_day_codes_go_out_and_accounts_send_nothing() -> None:
    transport = Memory()
    async with world(transport, a_day=0) as (server, ann):
        assert server.hello().sms == ""
        with pytest.raises(SmsUnavailable):
            await send(server, ann, sending())
        await sms.send_code(server.sms, ANN, "123456")
        assert [one.text for one in transport.sent] == ["123456"]
        assert await transport.receive("comes in")
