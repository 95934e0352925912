"""The trees of large groups are fetched here, before the Welcome that they belong to is read for good."""

import asyncio

from grue.client.context import Context
from grue.errors import NotAGrueServer
from grue.protocol import wire
from grue.protocol.blobs import Sealing
from grue.protocol.conversation.contents import LargeGroup, TreePlace
from grue.protocol.conversation.trees import large_group


async def fetch(context: Context, place: TreePlace) -> LargeGroup:
    """Raises NoSuchBlob, BadAttachment for what is not the group's, and NetworkError: the same again goes on."""
    sealing = Sealing(place.key, place.length)
    parts = []
    for n in range(sealing.parts):
        answer = await context.transport.anonymous(wire.GetBlob(sealing.part_id(n)))
        if not isinstance(answer, wire.BlobPart):
            raise NotAGrueServer
        parts.append(await asyncio.to_thread(sealing.unseal, n, answer.blob))
    return large_group(b"".join(parts))
