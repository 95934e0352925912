"""What has come of WebSocket messages and was not taken yet: counted over all sockets, and not kept for long.

aiohttp keeps each frame until it is whole, and the frames of a message until its last: up to a MiB a socket, for as
long as the socket is there. So what it keeps is counted here, from the headers of the frames, beside its own reader.
"""

import asyncio
from typing import Any, Final

from aiohttp import web

MAX_ARRIVING: Final = 128 << 20
"""Bytes of messages that have come in part, or whole and wait for their turn, over all sockets: five hundred uploads at
once. Beyond that sockets are closed: of those that hold a fair part, the one that has stood still for longest."""

WHOLE_SECONDS: Final = 30.0
"""Within which a message that has begun must be whole, or `PIECE` more of it be here: 9 kbit/s."""

PIECE: Final = 32 << 10
"""Bytes that show that a sender is there, if on a slow line: a part of an attachment takes 256 KiB."""

FAIR_PART: Final = 0.5
"""Of what a socket holds on average, of those that hold anything: who holds less is not closed for want of room, since
that would give back little, and whoever is at it has a small request."""

OVERHEAD: Final = 64
"""Bytes that each read of an unfinished frame takes beside what it holds."""

_MASKED, _SHORT, _LONG = 0x80, 126, 127
_CONTROL: Final = 0x08
_LAST: Final = 0x80


class Arrivals:
    """All sockets of a server."""

    def __init__(self, most: int = MAX_ARRIVING) -> None:
        self._most = most
        self.bytes = 0
        self.sockets: set[Arriving] = set()

    def add(self, count: int) -> None:
        self.bytes += count
        while self.bytes > self._most:
            self._worst().drop()

    def _worst(self) -> "Arriving":
        """Not the largest, which is an honest upload among many that hold a little less and never end.

        Who would have an upload closed has to fill all that there is room for, and to bring `PIECE` more on each of
        those sockets as often as it does: with a MiB on each, at 128 times its rate.
        """
        holding = [socket for socket in self.sockets if socket.held > 0]
        fair = FAIR_PART * self.bytes / len(holding)
        return min((socket for socket in holding if socket.held >= fair), key=lambda socket: socket.moved)


class Arriving:
    """One socket: stands before aiohttp's reader, and counts."""

    def __init__(self, all_of_them: Arrivals, reader: Any, transport: asyncio.Transport, seconds: float) -> None:
        self._all = all_of_them
        self._reader = reader
        self._transport = transport
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        self.held = 0
        """Bytes that have come and were not taken."""
        self._header = bytearray()
        self._left = 0
        """Bytes of the frame that are still to come."""
        self._control = self._last = False
        """Of the frame that comes: whether it stands between those of a message; whether it ends one."""
        self._begun = False
        """Frames of a message have come, and not its last."""
        self._overhead = 0
        self._since = 0
        """Bytes since the timer was started."""
        self.moved = 0.0
        """By the loop's clock: when it began to hold something, or last brought `PIECE` or had a message taken."""
        self._brought = 0
        """Bytes since then."""
        self._all.sockets.add(self)

    # --- what aiohttp calls -----------------------------------------------------------------------

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.count(data)
        # Of a socket that has just been dropped nothing more is kept.
        return self._reader.feed_data(data) if self in self._all.sockets else (False, b"")

    def feed_eof(self) -> None:
        if self._reader is not None:
            self._reader.feed_eof()

    # --- what the socket's handler calls ----------------------------------------------------------

    def taken(self, message: bytes) -> None:
        """A whole message is counted elsewhere from now on."""
        self._move()
        self._hold(-min(len(message), self.held - self._overhead))

    def drop(self) -> None:
        """End the socket: its handler then ends, and with it what is kept."""
        self._transport.abort()
        self.forget()

    def forget(self) -> None:
        """Count no more."""
        self._stop_waiting()
        self._all.sockets.discard(self)
        self._hold(-self.held)

    # --- counting ---------------------------------------------------------------------------------

    def count(self, data: bytes) -> None:
        """Follow the frames in what has come; their payloads are not looked at."""
        at, payload, whole = 0, 0, False
        while at < len(data):
            if not self._left:
                at = self._read_header(data, at)
            here = min(self._left, len(data) - at)
            at, self._left = at + here, self._left - here
            if not self._control:
                payload += here
                if not (self._header or self._left):
                    self._begun, whole = not self._last, whole or self._last
        if self in self._all.sockets:
            self._settle(payload, whole)

    def _read_header(self, data: bytes, at: int) -> int:
        """Take a frame's header, or what is here of it; where its payload begins (RFC 6455, section 5.2)."""
        header = self._header
        while at < len(data) and len(header) < _length_of(header):
            header.append(data[at])
            at += 1
        if len(header) < _length_of(header):
            return at
        short = header[1] & ~_MASKED
        self._left = short if short < _SHORT else int.from_bytes(header[2 : 4 if short == _SHORT else 10], "big")
        self._control, self._last = bool(header[0] & _CONTROL), bool(header[0] & _LAST)
        header.clear()
        return at

    def _settle(self, payload: int, whole: bool) -> None:
        """`whole`: a message has ended in what came."""
        self._brought += payload
        # That a message is whole is no sign: many small ones that wait for their turn cost their sender nothing.
        if not self.held or self._brought >= PIECE:
            self._move()
        unfinished = self._begun or bool(self._left) or bool(self._header)
        if whole or not unfinished:
            self._stop_waiting()
            payload, self._overhead = payload - self._overhead, 0
        self._since += payload
        if self._since >= PIECE:
            # It goes on, if slowly.
            self._stop_waiting()
        if unfinished:
            payload, self._overhead = payload + OVERHEAD, self._overhead + OVERHEAD
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(self._seconds, self.drop)
        self._hold(payload)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._since = 0

    def _move(self) -> None:
        self.moved, self._brought = asyncio.get_running_loop().time(), 0

    def _hold(self, count: int) -> None:
        self.held += count
        self._all.add(count)


class Socket(web.WebSocketResponse):
    """A WebSocket that counts what comes, and ends a message that does not."""

    def __init__(self, arrivals: Arrivals, seconds: float = WHOLE_SECONDS, **options: Any) -> None:
        super().__init__(compress=False, **options)
        self._arrivals = arrivals
        self._seconds = seconds
        self.arriving: Arriving

    def _post_start(self, request: web.BaseRequest, protocol: str | None, writer: Any) -> None:
        # There is no other place: from here on aiohttp's reader is fed, first with what came behind the request.
        connection: Any = request.protocol
        came = connection._message_tail
        super()._post_start(request, protocol, writer)
        transport = request.transport
        assert transport is not None
        self.arriving = connection._payload_parser = Arriving(self._arrivals, self._parser, transport, self._seconds)
        self.arriving.count(came)

    async def end(self) -> None:
        """Say goodbye, and let go at once of what has come: a cycle of objects would keep it until there are many."""
        try:
            await self.close()
        finally:
            self.arriving.forget()
            self._parser = self._reader = None
            self.arriving._reader = None


def _length_of(header: bytearray) -> int:
    """How many bytes a header has, as far as its first two say."""
    if len(header) < 2:
        return 2
    short = header[1] & ~_MASKED
    return 2 + {_SHORT: 2, _LONG: 8}.get(short, 0) + (4 if header[1] & _MASKED else 0)
