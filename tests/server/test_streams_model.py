"""A stream under any sequence of posts, slow and fast reading, expiry and subscribing again."""

import asyncio
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from grue.protocol import wire
from tests.often import LONGER
from tests.server.kit import Box, Reader, serving

STEPS: Final = ("post", "burst", "slow", "fast", "again", "breathe", "expire")


@settings(max_examples=60 * LONGER)
@given(st.lists(st.sampled_from(STEPS), max_size=25))
def test_everything_comes_once_and_in_order_whatever_happens(steps: list[str]) -> None:
    asyncio.run(play(steps))


async def play(steps: list[str]) -> None:
    async with serving() as server:
        box = await Box.create(server)
        reader = Reader(server)
        await reader.subscribe(box)
        posted, expired = 0, 0
        for step in steps:
            match step:
                case "post" | "burst":
                    count = 1 if step == "post" else 20
                    await asyncio.gather(*(box.post() for _ in range(count)))
                    posted += count
                case "slow":
                    reader.slow()
                case "fast":
                    reader.fast()
                case "again":
                    # A client that subscribes again names the last one that it has.
                    reader.fast()
                    await reader.subscribe(box, after=max(reader.seqs(box), default=0))
                case "expire":
                    server.clock.days(30)
                    await server.sweep()
                    expired = posted
                case "breathe":
                    await asyncio.sleep(0.002)
        reader.fast()
        await box.post()
        await until_seen(reader, box, posted + 1)
        for part in parts(reader):
            assert part == sorted(set(part)), "in order, and once"
        seqs = reader.seqs(box)
        assert set(range(expired + 1, posted + 2)) <= set(seqs), "whatever had not expired"
        reader.stream.close()


def parts(reader: Reader) -> list[list[int]]:
    """The seqs that came after each `Subscribed`: a client that asks again may get again what was on its way."""
    found: list[list[int]] = []
    for push in reader.pushes:
        if isinstance(push, wire.Subscribed):
            found.append([])
        else:
            found[-1].append(push.seq)
    return found


async def until_seen(reader: Reader, box: Box, seq: int) -> None:
    async with asyncio.timeout(10):
        while seq not in reader.seqs(box):
            await reader.until(len(reader.pushes) + 1)
