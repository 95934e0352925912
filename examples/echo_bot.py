"""A bot that says back what it is told, encrypted. Who writes by SMS gets no answer: `helpline.py` gives one.

Register its home once (`grue register NUMBER --server URL`, `grue verify CODE`), then run it: `python echo_bot.py`.
"""

import asyncio
import sys

import grue


async def run(me: grue.Client) -> None:
    """Answer until cancelled."""
    async for message in me.receive():
        if message.route is grue.Route.SMS:
            continue
        try:
            await me.send(message.chat, f"You wrote: {message.text}")
        except grue.GrueError as error:
            # Nobody who writes may end it, by leaving, by a text that leaves no room for the answer, or otherwise.
            print(f"An answer did not go: {error} {error.fix}", file=sys.stderr)


async def main() -> None:
    async with grue.open() as me:
        await run(me)


if __name__ == "__main__":
    asyncio.run(main())
