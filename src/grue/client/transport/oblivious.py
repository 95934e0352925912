"""The `oblivious` transport seals anonymous requests and sends them through a relay; the account's own go straight.

The relay learns this machine's address, when something is asked and how large it is; the server learns one request at
a time and no address. It never falls back to another way: without the relay nothing anonymous is asked.
"""

import asyncio
import logging
import math
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Final

import aiohttp

from grue.client.transport.http import MAX_FILE, REQUEST_SECONDS, get_aging, new_session, post
from grue.client.transport.transport import UNASKED, DirectTransport, Endpoint, Stream, Transport, decoded, kind_of
from grue.errors import (
    NetworkError,
    NoSuchMailbox,
    NotAGrueServer,
    NotARelay,
    NotPermitted,
    ProxyUnreachable,
    Refused,
    RelayUnreachable,
    ServerBusy,
    TimedOut,
    Unreachable,
    UsageError,
    VerificationFailed,
)
from grue.protocol import oblivious, wire

log: Final = logging.getLogger("grue.client")

POLLS: Final = 24
"""Polls that wait at once, on average, each on a connection of its own. With more conversations each waits for a part
of its time; none waits for another's end, which would show the server that they belong together."""

WAIT_SECONDS: Final = (20, wire.MAX_WAIT)
"""Between which a poll waits, by chance: the polls of one client drift apart, so that the server cannot pair them."""

START_SECONDS: Final = 60.0
"""Within which the polls of a client begin, each when chance says, and within which one goes on that has failed twice:
a server sees the mailboxes of many come in one minute, and not the six of one client in one second. A chat that
somebody looks at comes first. Within it, too, each conversation posts what is queued for it, receipts and what was not
answered among it, when chance says; only a text that is being written goes at once, and alone."""

START_VARIABLE: Final = "GRUE_START_SECONDS"
"""In the environment: other seconds than `START_SECONDS`. 0 shows a gateway at once which mailboxes one client reads:
for the demo and for tests, in which that is known anyhow."""

SPREAD_SECONDS: Final = 1.0
"""At most, between two polls of a mailbox, by chance: waits are whole seconds, so that without it all polls of a client
would keep the fraction of a second at which they began, and be known by it."""

KEY_SECONDS: Final = 120
"""Seconds for which the gateway's key is used at most before the relay is asked again. A relay says for how long its
copy still is everybody's, and then all its clients ask again: whoever a key was made for, all of them seal to it."""

GOODBYE_SECONDS: Final = 2.0
"""How long the end of a stream waits for what was acknowledged to be known."""

PUSHES: Final = 64
"""Pushes that may wait here, 4 MiB at most."""

Ask = Callable[[wire.AnonymousRequest], Awaitable[wire.AnonymousAnswer]]
Ready = Callable[[], Awaitable[bool]]
Seal = Callable[[bytes], oblivious.Sealed]
"""Seals one request to a key configuration."""


def open_transport(endpoint: Endpoint) -> Transport:
    """The transport that the settings choose."""
    return ObliviousTransport(endpoint) if endpoint.settings.relay else _direct(endpoint)


def _direct(endpoint: Endpoint) -> DirectTransport:
    return DirectTransport(endpoint.url, endpoint.settings.proxy)


class ObliviousTransport:
    """Anonymous requests through a relay; see the module.

    clock   gives Unix seconds
    passed  gives seconds that nobody sets back
    """

    def __init__(
        self, endpoint: Endpoint, clock: Callable[[], float] = time.time, passed: Callable[[], float] = time.monotonic
    ) -> None:
        self._account = _direct(endpoint)
        self.usage = self._account.usage
        self.spread = _start_seconds()
        self._relay = _Relay(endpoint, clock, passed)
        self._streams: set[_PolledStream] = set()

    async def hello(self) -> wire.ServerHello:
        return await self._account.hello()

    async def account(self, request: wire.AccountRequest) -> wire.AccountAnswer:
        return await self._account.account(request)

    async def intro(self, request: wire.Fetch | wire.Ack) -> wire.AnonymousAnswer:
        return await self._account.intro(request)

    async def anonymous(self, request: wire.AnonymousRequest) -> wire.AnonymousAnswer:
        """Sealed and padded, through the relay. Raises also RelayUnreachable, NotARelay, BadGatewayKey, TooLarge."""
        body = wire.encode(request)
        self.usage.sent(kind_of(request), len(body), relayed=True)
        status, answer = await self._relay.ask(lambda config: oblivious.seal_request(config, body))
        if status != oblivious.OK:
            raise NotAGrueServer
        self.usage.bytes_down += len(answer)
        return decoded(wire.ANONYMOUS_ANSWER, answer)

    async def file(self, path: str, start: int = 0, most: int | None = None) -> bytes:
        """In parts of a MiB, each a request of its own."""
        file, status = bytearray(), oblivious.MORE
        while status == oblivious.MORE and (most is None or len(file) < most):
            self.usage.sent("file", 0, relayed=True)
            status, part = await self._relay.ask(_file_request(path, start + len(file)))
            if status not in (oblivious.OK, oblivious.MORE) or (status == oblivious.MORE and not part):
                raise NotAGrueServer
            self.usage.bytes_down += len(part)
            file += part
            if len(file) > MAX_FILE:
                raise NotAGrueServer
        return bytes(file[:most])

    async def stream(self) -> Stream:
        stream = _PolledStream(self.anonymous, self._relay.ready, self._streams.discard, self.spread)
        self._streams.add(stream)
        return stream

    async def intro_stream(self) -> Stream:
        return await self._account.intro_stream()

    async def close(self) -> None:
        for stream in list(self._streams):
            await stream.close()
        await self._relay.close()
        await self._account.close()


def _file_request(path: str, start: int) -> Seal:
    return lambda config: oblivious.seal_file(config, path, start)


class _Relay:
    """The relay, and the gateway's key as the relay hands it out: to all its clients the same."""

    def __init__(self, endpoint: Endpoint, clock: Callable[[], float], passed: Callable[[], float]) -> None:
        self._url = f"{endpoint.settings.relay}/{wire.PROTOCOL}/relay"
        self._proxy = endpoint.settings.proxy
        self._server_public = endpoint.server_public
        self._clock = clock
        self._passed = passed
        self._session: aiohttp.ClientSession | None = None
        self._config = b""
        self._fresh_until = -math.inf
        self._valid_until = 0
        self._fetching = asyncio.Lock()

    async def ask(self, seal: Seal) -> tuple[int, bytes]:
        """Status and body of one inner response. A request that was refused unopened is sealed once more.

        Raises one of `UNASKED` only when nothing was written.
        """
        used = await self._key()
        sealed = seal(used)
        try:
            response = await self._post(sealed.data)
        except NotAGrueServer:
            # The gateway has another key since its start, or takes the request for a repeated one.
            sealed, response = await self._once_more(seal, used)
        return oblivious.open_response(sealed.request, response)

    async def _once_more(
        self, seal: Callable[[bytes], oblivious.Sealed], used: bytes
    ) -> tuple[oblivious.Sealed, bytes]:
        """Raises ServerBusy while the relay has a key that the gateway does not know, for two minutes after its start.

        GATEWAY-07 who is refused gets the key that everybody has: the relay is asked, whose copy that is until its
        time is over. A gateway could refuse one client alone, to know it by a key that only this client has asked for.
        Nothing here may say that nothing was asked: a relay can refuse what it has handed on.
        """
        try:
            sealed = seal(await self._common_key(used))
            return sealed, await self._post(sealed.data)
        except NotAGrueServer:
            raise ServerBusy(retry_after=math.ceil(max(0.0, self._fresh_until - self._passed()))) from None
        except UNASKED:
            raise TimedOut from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def ready(self) -> bool:
        """Return once there is a key that may be used; whether it was here already. Raises as `ask`."""
        here = not (self._fetching.locked() or self._is_old())
        if not here:
            await self._key()
        return here

    def _is_old(self) -> bool:
        return self._passed() >= self._fresh_until or self._clock() >= self._valid_until

    async def _key(self) -> bytes:
        async with self._fetching:
            if self._is_old():
                await self._fetch()
            return self._config

    async def _common_key(self, used: bytes) -> bytes:
        """What the relay has now: another key than the one that was used if it was started anew since."""
        async with self._fetching:
            # Unless another request has fetched one already.
            if self._config == used:
                await self._fetch()
            return self._config

    async def _fetch(self) -> None:
        try:
            file, common = await get_aging(self._opened(), self._url)
        except NotAGrueServer:
            raise NotARelay from None
        except ProxyUnreachable:
            raise
        except (Unreachable, TimedOut, ServerBusy):
            raise RelayUnreachable from None
        key = oblivious.check_key(file, self._server_public, int(self._clock()))
        self._config, self._valid_until = key.config, key.valid_until
        self._fresh_until = self._passed() + min(KEY_SECONDS, KEY_SECONDS if common is None else common)

    async def _post(self, data: bytes) -> bytes:
        try:
            return await post(self._opened(), self._url, data, {"Content-Type": wire.OHTTP_REQUEST})
        except ProxyUnreachable:
            raise
        except Unreachable:
            raise RelayUnreachable from None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = new_session(self._proxy, REQUEST_SECONDS + wire.MAX_WAIT)
        return self._session


class _Poll:
    """What one mailbox of a stream has going, and nothing of another's: each of them waits and fails alone."""

    def __init__(self) -> None:
        self.hurry = asyncio.Event()
        """Set to end a pause."""
        self.reading: asyncio.Task[None] | None = None
        self.acknowledging: asyncio.Task[None] | None = None
        self.acknowledged: wire.Ack | None = None
        """How far it is read, when the server has not said yet that it knows."""

    async def pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.hurry.wait()
        self.hurry.clear()


class _PolledStream:
    """A `Stream` made of polls, one a mailbox, each a request of its own: nothing shows which belong to one client.

    Nothing that happens to one poll is seen at another. So a poll waits for no other's turn, a failure pauses one and
    is told to nobody, and the acknowledgements of one mailbox hold none up. Only a check that fails ends the stream: it
    is of the relay's key, which all requests have in common.

    ask     asks the server
    ready   returns once the relay's key is here, and whether it was here already
    spread  seconds within which it begins to read
    """

    def __init__(self, ask: Ask, ready: Ready, closed: "Callable[[_PolledStream], None]", spread: float) -> None:
        self._ask = ask
        self._ready = ready
        self._closed = closed
        self._spread = spread
        self._polls: dict[bytes, _Poll] = {}
        self._pushes: asyncio.Queue[wire.StreamPush | Exception | None] = asyncio.Queue(PUSHES)

    async def send(self, request: wire.StreamRequest) -> None:
        """A mailbox that is new here is read from some time within the spread on; see `first`."""
        match request:
            case wire.Subscribe():
                known = request.mailbox in self._polls
                await self._stop(request.mailbox)
                poll = self._polls[request.mailbox] = _Poll()
                poll.reading = asyncio.create_task(self._poll(poll, request, 0.0 if known else _chance(self._spread)))
            case wire.Ack():
                self._acknowledge(self._polls.setdefault(request.mailbox, _Poll()), request)

    def first(self, mailbox: bytes) -> None:
        """Somebody looks at this one: it pauses no longer."""
        if mailbox in self._polls:
            self._polls[mailbox].hurry.set()

    async def pushes(self) -> AsyncIterator[wire.StreamPush]:
        """What comes, until the stream is closed. Raises the check that failed, which ends it."""
        while (push := await self._pushes.get()) is not None:
            if isinstance(push, Exception):
                raise push
            yield push

    async def close(self) -> None:
        """Give what was acknowledged a moment to be known."""
        said = [poll.acknowledging for poll in self._polls.values() if poll.acknowledging is not None]
        if said:
            await asyncio.wait(said, timeout=GOODBYE_SECONDS)
        for mailbox in list(self._polls):
            await self._stop(mailbox)
        self._closed(self)

    async def _stop(self, mailbox: bytes) -> None:
        poll = self._polls.pop(mailbox, None)
        tasks = [] if poll is None else [task for task in (poll.reading, poll.acknowledging) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # --- acknowledging ----------------------------------------------------------------------------

    def _acknowledge(self, poll: _Poll, request: wire.Ack) -> None:
        """Say it in a task of its own: whoever waited for the answer would be kept from another mailbox by it."""
        poll.acknowledged = request
        if poll.acknowledging is None:
            poll.acknowledging = asyncio.create_task(self._acknowledged(poll))

    async def _acknowledged(self, poll: _Poll) -> None:
        try:
            while (request := poll.acknowledged) is not None:
                # A mailbox that is gone is said by its poll.
                with suppress(Refused):
                    await self._ask(request)
                if poll.acknowledged is request:
                    poll.acknowledged = None
        except Exception as error:  # noqa: BLE001 -- it is said again after the next answer to the poll
            log.info("an acknowledgement was not answered: %s", type(error).__name__)
        finally:
            poll.acknowledging = None

    # --- reading ----------------------------------------------------------------------------------

    async def _poll(self, poll: _Poll, request: wire.Subscribe, pause: float) -> None:
        """Read one mailbox until it is gone or a check fails."""
        try:
            with suppress(NetworkError, Refused):
                # Before the pause, so that nothing that waits for the key goes on together.
                await self._ready()
            await poll.pause(pause)
            await self._read(poll, request)
        except (NoSuchMailbox, NotPermitted) as error:
            await self._pushes.put(wire.NotSubscribed(request.mailbox, error.code))
        except VerificationFailed as error:
            await self._pushes.put(error)

    async def _read(self, poll: _Poll, request: wire.Subscribe) -> None:
        incarnation, after, failed = b"", request.after, False
        while True:
            wait, until = self._wait()
            try:
                await self._key_is_here(poll)
                wait, until = self._wait()
                answer = await self._fetched(wire.Fetch(request.mailbox, request.read_key, after, wait=wait))
            except _ENDS:
                raise
            except Exception as error:  # noqa: BLE001 -- one poll pauses, whatever it was; the others must not know
                log.info("a poll failed: %s", type(error).__name__)
                # The first time it goes on as if nothing had come: so the server sees nothing of a short disturbance.
                await poll.pause(_chance(self._spread) if failed else _left(until) + _chance(SPREAD_SECONDS))
                failed = True
                continue
            failed = False
            if answer.incarnation != incarnation:
                incarnation = answer.incarnation
                # A cursor beyond the head is from before a restore; it must not make us wait for ever.
                after = min(after, answer.head)
                await self._pushes.put(wire.Subscribed(request.mailbox, incarnation, answer.head))
            for delivery in answer.envelopes:
                await self._pushes.put(delivery)
                after = delivery.seq
            if poll.acknowledged is not None:
                self._acknowledge(poll, poll.acknowledged)
            if not answer.envelopes:
                # A server with too many polls answers at once. Asking again at once would make it more.
                await poll.pause(_left(until) + _chance(SPREAD_SECONDS))

    async def _fetched(self, request: wire.Fetch) -> wire.Fetched:
        answer = await self._ask(request)
        if not isinstance(answer, wire.Fetched):
            raise NotAGrueServer
        return answer

    async def _key_is_here(self, poll: _Poll) -> None:
        """Wait for the relay's key, and then for a while by chance: else all that waited would ask at one moment."""
        began = _now()
        if not await self._ready():
            await poll.pause(_chance(self._spread if _now() - began > SPREAD_SECONDS else SPREAD_SECONDS))

    def _wait(self) -> tuple[int, float]:
        """How many seconds a poll waits at the server, and until when the next one has time, by the loop's clock.

        With more mailboxes than `POLLS` each waits for a part of its time, and pauses for the rest.
        """
        least, most = WAIT_SECONDS
        seconds = least + secrets.randbelow(most - least + 1)
        return max(1, seconds * POLLS // max(POLLS, len(self._polls))), _now() + seconds


_ENDS: Final = (NoSuchMailbox, NotPermitted, VerificationFailed)
"""What ends the reading of a mailbox; all else pauses it."""


def _start_seconds() -> float:
    """Raises UsageError for what the environment has and is no number of seconds."""
    said = os.environ.get(START_VARIABLE, "")
    try:
        seconds = float(said or START_SECONDS)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3_600:
        raise UsageError(f"{START_VARIABLE} takes seconds, from 0 to 3600.")
    return seconds


def _now() -> float:
    return asyncio.get_running_loop().time()


def _left(until: float) -> float:
    return max(0.0, until - _now())


def _chance(most: float) -> float:
    """Seconds, so many at most."""
    return most * secrets.randbelow(1_000_000) / 1_000_000
