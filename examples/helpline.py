"""A helpline that is closed: everybody who writes hears so once a day, by the way on which they wrote.

Who writes by SMS is answered by SMS and told what that means. Who writes encrypted is answered encrypted, and never by
SMS: `send` refuses rather than fall back. Set its home up as that of `echo_bot.py`.
"""

import asyncio
import sys

import grue

DAY = 86_400

CLOSED = "Thank you for writing. The helpline is open on weekdays from 9 to 17; somebody will answer you then."
BY_SMS = f"{CLOSED} SMS can be read by telephone companies: with Grue you reach this number encrypted."


async def run(me: grue.Client) -> None:
    """Answer until cancelled. Messages stay in the home for whoever opens it in the morning."""
    answered: dict[str, float] = {}
    async for message in me.receive():
        if message.sent - answered.get(message.chat, -DAY) < DAY:
            continue  # Two that answer by themselves would go on for ever.
        answered[message.chat] = message.sent
        try:
            if message.route is grue.Route.SMS:
                await me.send(message.chat, BY_SMS, sms=True)
            else:
                await me.send(message.chat, CLOSED)
        except grue.LimitReached as error:
            print(f"No more SMS for {error.retry_after} seconds.", file=sys.stderr)
        except (grue.Refused, grue.NetworkError, grue.VerificationFailed) as error:
            print(f"An answer did not go: {error} {error.fix}", file=sys.stderr)


async def main() -> None:
    async with grue.open() as me:
        await run(me)


if __name__ == "__main__":
    asyncio.run(main())
