"""What goes over the wire: MessagePack arrays, tag first, fields only ever appended."""

# All of it under one name, for everybody else: `wire.Post`.
from grue.protocol.wire.anonymous import *  # noqa: F403
