"""A bot's test: a world in memory, the bot in it, and somebody who writes to it.

`async def test_...` needs a plugin of pytest, such as anyio's or pytest-asyncio.
"""

import asyncio
from pathlib import Path

import echo_bot

import grue.testing


async def test_it_says_back_what_it_is_told(tmp_path: Path) -> None:
    async with grue.testing.World(tmp_path) as world:
        alice, bot = await world.person("+447700900001"), await world.person("+447700900002")
        answering = asyncio.create_task(echo_bot.run(bot))
        await alice.send(bot.number, "hello")
        assert (await anext(alice.receive())).text == "You wrote: hello"
        answering.cancel()


async def test_an_sms_is_not_answered_and_ends_nothing(tmp_path: Path) -> None:
    async with grue.testing.World(tmp_path) as world:
        alice, bot = await world.person("+447700900001"), await world.person("+447700900002")
        answering = asyncio.create_task(echo_bot.run(bot))
        await world.carrier.inject("+447700900003", bot.number, "hello by SMS")
        await alice.send(bot.number, "hello")
        assert (await anext(alice.receive())).text == "You wrote: hello"
        assert world.texts("+447700900003") == []
        answering.cancel()


async def test_it_goes_on_after_the_network_was_away(tmp_path: Path) -> None:
    async with grue.testing.World(tmp_path) as world:
        alice, bot = await world.person("+447700900001"), await world.person("+447700900002")
        answering = asyncio.create_task(echo_bot.run(bot))
        received = alice.receive()
        await alice.send(bot.number, "hello")
        assert (await anext(received)).text == "You wrote: hello"
        world.network.down = True
        await alice.send(bot.number, "are you still there?")
        world.network.down = False
        assert (await anext(received)).text == "You wrote: are you still there?"
        answering.cancel()
