"""A bot that says back what it is told.

Register its home once (`grue register NUMBER --server URL`, `grue verify CODE`), then run it: `python echo_bot.py`.
"""

import asyncio

import grue


async def run(me: grue.Client) -> None:
    """Answer until cancelled."""
    async for message in me.receive():
        await me.send(message.chat, f"You wrote: {message.text}")


async def main() -> None:
    async with grue.open() as me:
        await run(me)


if __name__ == "__main__":
    asyncio.run(main())
