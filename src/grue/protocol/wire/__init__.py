"""Messages go over the wire as MessagePack arrays, tag first; fields are only ever appended.

A message's tag is its first element and is never used again for another message. A new field goes to the
end with a default, so that both sides read the other's older form. Every field says who can read it
(`seen`): the tables in `docs/protocol/` are rendered from here.

Decoding is total: any bytes give a message of the expected union, or `BadRequest`.
"""

# All of it under one name, for everybody else: `wire.Post`.
from grue.protocol.wire.account import *  # noqa: F403
from grue.protocol.wire.anonymous import *  # noqa: F403
from grue.protocol.wire.base import *  # noqa: F403
from grue.protocol.wire.public import *  # noqa: F403
from grue.protocol.wire.streams import *  # noqa: F403
