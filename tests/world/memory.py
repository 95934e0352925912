"""What tests of the world in memory share: a few people, and what these have read."""

from grue.client.client import Client

ALICE, BOB, CAROL, NOBODY = "+447700900001", "+447700900002", "+447700900003", "+447700900999"


async def take(client: Client) -> list[str]:
    """Fetch what waits and show it."""
    await client.poll()
    return [message.text for message in await client.unshown()]
