"""A bot is tested without a server in a world in memory, in which everything but the network is real.

async def test_the_bot_answers(tmp_path: Path) -> None:
    async with grue.testing.World(tmp_path) as world:
        alice, bot = await world.person("+447700900001"), await world.person("+447700900002")
        answering = asyncio.create_task(my_bot.run(bot))
        await alice.send(bot.number, "hello")
        assert (await anext(alice.receive())).text == "You wrote: hello"
        answering.cancel()

Server and clients are the ones that people run, on a real disk, with real keys. The network between them is calls, and
can lose, delay and change what passes; the carrier keeps every SMS; the clock passes when it is told to.
"""

from grue.testing.carrier import Carrier
from grue.testing.network import Network
from grue.testing.world import Clock, World

__all__ = ["Carrier", "Clock", "Network", "World"]
